"""Receptive fields against explicit lagged matrices, and the contract of the estimator."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline

from skstrf import STFTTransformer, STRFRegressor
from skstrf.encoding import lagged, simulate_neuron

RNG = np.random.default_rng(0)
X = RNG.standard_normal((6, 4, 40)) + 1
Y = RNG.standard_normal((6, 40, 2)) + X[:, 1:3].swapaxes(1, 2)


def lagged_matrix(x, lags):
    """The matrix that the package never forms, frames x (channels x lags)."""
    n = x.shape[1]
    out = np.zeros((n, x.shape[0], len(lags)))
    for column, lag in enumerate(lags):
        for t in range(n):
            if 0 <= t - lag < n:
                out[t, :, column] = x[:, t - lag]
    return out.reshape(n, -1)


def centered(X, Y):
    mean = np.mean(X, axis=(0, 2))[:, None]
    return X - mean, Y - Y.mean((0, 1))


@pytest.mark.parametrize("solver", ["cholesky", "cg"])
@pytest.mark.parametrize("lag_min", [0, -2, 3, -9])
def test_ridge_equals_scikit_learn_on_the_lagged_matrix(lag_min, solver):
    model = STRFRegressor(5, lag_min, alpha=2.0, prior="ridge", solver=solver).fit(X, Y)
    x, y = centered(X, Y)
    rows = np.concatenate([lagged_matrix(one, range(lag_min, lag_min + 5)) for one in x])
    ridge = Ridge(2.0, fit_intercept=False).fit(rows, y.reshape(-1, 2))
    tolerance = 1e-10 if solver == "cholesky" else 1e-5
    np.testing.assert_allclose(model.coef_.reshape(2, -1), ridge.coef_, atol=tolerance)
    expected = ridge.predict(rows).reshape(6, 40, 2) + Y.mean((0, 1))
    np.testing.assert_allclose(model.predict(X), expected, atol=10 * tolerance)


@pytest.mark.parametrize("solver", ["cholesky", "cg"])
def test_missing_responses_are_left_out(solver):
    y = Y.copy()
    y[RNG.random(Y.shape) < 0.2] = np.nan
    y[0, :, 0] = np.nan
    settings = {"alpha": 2.0, "prior": "ridge", "fit_intercept": False, "solver": solver}
    model = STRFRegressor(5, **settings).fit(X, y)
    rows = np.concatenate([lagged_matrix(one, range(5)) for one in X])
    for output in range(2):
        known = ~np.isnan(y[..., output].ravel())
        ridge = Ridge(2.0, fit_intercept=False).fit(rows[known], y[..., output].ravel()[known])
        np.testing.assert_allclose(model.coef_[output].ravel(), ridge.coef_, atol=1e-5)


def test_laplacian_penalizes_differences_between_neighbors():
    penalty = lagged.laplacian(3, (4,))
    w = RNG.standard_normal((3, 4))
    expected = (np.diff(w, axis=0) ** 2).sum() + (np.diff(w, axis=1) ** 2).sum()
    assert w.ravel() @ penalty @ w.ravel() == pytest.approx(expected)
    model = STRFRegressor(5, alpha=3.0, prior="laplacian").fit(X, Y)
    x, y = centered(X, Y)
    rows = np.stack([lagged_matrix(one, range(5)) for one in x]).reshape(-1, 4, 5)
    rows = rows.swapaxes(1, 2).reshape(-1, 20)
    matrix = rows.T @ rows + 3 * lagged.laplacian(5, (4,))
    expected = np.linalg.solve(matrix, rows.T @ y.reshape(-1, 2)).T.reshape(2, 5, 4)
    np.testing.assert_allclose(model.coef_, expected.swapaxes(1, 2), atol=1e-10)


def test_smooth_prior_is_that_of_a_gaussian_process():
    model = STRFRegressor(5, alpha=3.0, widths=(1, 0.7)).fit(X, Y)
    x, y = centered(X, Y)
    rows = np.concatenate([lagged_matrix(one, range(5)) for one in x])
    distance = [np.subtract.outer(np.arange(n), np.arange(n)) ** 2 for n in (4, 5)]
    prior = np.kron(np.exp(-distance[0] / 4), np.exp(-distance[1] / (4 * 0.49)))
    inner = rows @ prior @ rows.T + 3 * np.eye(len(rows))
    expected = prior @ rows.T @ np.linalg.solve(inner, y.reshape(-1, 2))
    np.testing.assert_allclose(model.coef_.reshape(2, -1), expected.T, atol=1e-3)


@pytest.mark.parametrize("prior", ["smooth", "laplacian", "ridge"])
@pytest.mark.parametrize("scoring", ["correlation", "r2"])
def test_both_solvers_give_the_same_scores_in_cross_validation(prior, scoring):
    settings = {"prior": prior, "scoring": scoring, "widths": (1, 1)}
    exact, iterative = (
        STRFRegressor(5, alpha=[1.0, 30.0], cv=3, **settings, solver=solver).fit(X, Y)
        for solver in ("cholesky", "cg")
    )
    # The first predicts the score from sums, the second from predictions.
    np.testing.assert_allclose(exact.cv_scores_, iterative.cv_scores_, atol=2e-5)
    np.testing.assert_array_equal(exact.alpha_, iterative.alpha_)
    np.testing.assert_allclose(exact.coef_, iterative.coef_, atol=1e-5)


def test_cross_validation_chooses_what_grid_search_would():
    folds = [(np.delete(np.arange(6), [k, k + 1]), np.array([k, k + 1])) for k in (0, 2, 4)]
    alphas = [0.1, 10.0, 1000.0]
    settings = {"prior": "ridge", "fit_intercept": False}
    model = STRFRegressor(5, alpha=alphas, cv=folds, **settings).fit(X, Y[..., 0])
    search = GridSearchCV(STRFRegressor(5, **settings), {"alpha": alphas}, cv=folds)
    search.fit(X, Y[..., 0])
    np.testing.assert_allclose(
        model.cv_scores_[0, :, 0], search.cv_results_["mean_test_score"], atol=1e-9
    )
    assert model.alpha_ == search.best_params_["alpha"]


def test_order_of_trials_changes_nothing():
    order = [3, 0, 5, 1, 4, 2]
    one = STRFRegressor(5).fit(X, Y)
    other = STRFRegressor(5).fit(X[order], Y[order])
    np.testing.assert_array_equal(one.coef_, other.coef_)
    np.testing.assert_array_equal(one.predict(X)[order], other.predict(X[order]))


def test_trials_of_several_lengths():
    lengths = [40, 25, 33, 40, 12, 28]
    ragged = [x[:, :n] for x, n in zip(X, lengths, strict=True)]
    y = [one[:n] for one, n in zip(Y, lengths, strict=True)]
    model = STRFRegressor(5, alpha=1.0, prior="ridge").fit(ragged, y)
    mean = np.concatenate(ragged, axis=1).mean(1, keepdims=True)
    rows = np.concatenate([lagged_matrix(x - mean, range(5)) for x in ragged])
    target = np.concatenate(y) - np.concatenate(y).mean(0)
    ridge = Ridge(1.0, fit_intercept=False).fit(rows, target)
    np.testing.assert_allclose(model.coef_.reshape(2, -1), ridge.coef_, atol=1e-10)
    assert [one.shape for one in model.predict(ragged)] == [(n, 2) for n in lengths]


def test_repeats_of_a_stimulus_stay_in_one_fold():
    repeated = np.concatenate([X[:2], X[:2]])
    y = np.concatenate([Y[:2], Y[:2]])
    model = STRFRegressor(5, alpha=[1.0, 2.0], prior="ridge").fit(repeated, y)
    folds = [(np.array([0, 2]), np.array([1, 3])), (np.array([1, 3]), np.array([0, 2]))]
    same = STRFRegressor(5, alpha=[1.0, 2.0], prior="ridge", cv=folds).fit(repeated, y)
    np.testing.assert_allclose(model.cv_scores_, same.cv_scores_)
    once = STRFRegressor(5, alpha=1.0, prior="ridge").fit(X[:2], Y[:2])
    twice = STRFRegressor(5, alpha=2.0, prior="ridge").fit(repeated, y)
    np.testing.assert_allclose(once.coef_, twice.coef_)


def test_channels_of_several_axes():
    tensors = X.reshape(6, 2, 2, 40)
    model = STRFRegressor(5, alpha=1.0, prior="ridge").fit(tensors, Y)
    assert model.coef_.shape == (2, 2, 2, 5)
    flat = STRFRegressor(5, alpha=1.0, prior="ridge").fit(X, Y)
    np.testing.assert_allclose(model.predict(tensors), flat.predict(X))
    smooth = STRFRegressor(5, alpha=1.0, widths=(1, 1)).fit(tensors, Y)
    assert np.isfinite(smooth.coef_).all()


def test_float32_stays_float32():
    model = STRFRegressor(5).fit(X.astype(np.float32), Y)
    assert model.coef_.dtype == model.predict(X.astype(np.float32)).dtype == np.float32


def test_torch_in_torch_out():
    model = STRFRegressor(5).fit(torch.as_tensor(X), torch.as_tensor(Y))
    expected = STRFRegressor(5).fit(X, Y)
    np.testing.assert_array_equal(model.coef_, expected.coef_)
    predicted = model.predict(torch.as_tensor(X))
    assert isinstance(predicted, torch.Tensor)
    np.testing.assert_array_equal(predicted.numpy(), expected.predict(X))
    ragged = model.predict([torch.as_tensor(X[0]), torch.as_tensor(X[1, :, :20])])
    assert [tuple(one.shape) for one in ragged] == [(40, 2), (20, 2)]


@pytest.mark.parametrize("prior", ["smooth", "laplacian"])
@pytest.mark.parametrize("solver", ["cholesky", "cg"])
def test_torch_computes_the_same(monkeypatch, prior, solver):
    """The route of a GPU, on the CPU."""
    from skstrf.encoding import regression

    settings = {"prior": prior, "solver": solver, "cv": 2, "widths": (1, 1), "alpha": [1.0, 9.0]}
    expected = STRFRegressor(5, **settings).fit(X, Y)
    monkeypatch.setattr(
        regression, "_mover", lambda _: lambda x: None if x is None else torch.as_tensor(x)
    )
    found = STRFRegressor(5, **settings).fit(X, Y)
    # Conjugate gradients stop at a relative residual of 1e-6.
    tolerance = 1e-9 if solver == "cholesky" else 1e-5
    np.testing.assert_allclose(found.coef_, expected.coef_, atol=tolerance)


def test_dask_over_trials():
    da = pytest.importorskip("dask.array")
    model = STRFRegressor(5).fit(da.from_array(X, chunks=(2, 4, 40)), da.from_array(Y))
    np.testing.assert_array_equal(model.coef_, STRFRegressor(5).fit(X, Y).coef_)


def test_threads_change_nothing():
    one = STRFRegressor(5).fit(X, Y)
    np.testing.assert_array_equal(STRFRegressor(5, n_jobs=2).fit(X, Y).coef_, one.coef_)


def test_in_a_pipeline_with_groups():
    sounds = np.random.default_rng(1).standard_normal((6, 48000))
    spectra = STFTTransformer(n_fft=256, frame_rate=100)
    shape = spectra.fit_transform(sounds).shape
    field = np.zeros((shape[1], 4))
    field[5, 1] = 1
    y = simulate_neuron(spectra.fit_transform(sounds), field)
    model = make_pipeline(spectra, STRFRegressor(4, alpha=1e-3, prior="ridge"))
    scores = cross_val_score(model, sounds, y, groups=[0, 0, 1, 1, 2, 2], cv=GroupKFold(3))
    assert scores.min() > 0.95


def test_score_relative_to_the_ceiling():
    clean = X[:, 1] + 0.5 * X[:, 2]
    many = np.repeat(X, 40, axis=0)
    noisy = np.repeat(clean, 40, axis=0) + 2 * RNG.standard_normal((240, 40))
    model = STRFRegressor(3, alpha=1.0, prior="ridge", scoring="cc_norm").fit(X, clean)
    assert model.score(many, noisy) == pytest.approx(1, abs=0.06)
    assert model.set_params(scoring="correlation").score(many, noisy) < 0.6
    with pytest.raises(ValueError, match="occur twice"):
        model.set_params(scoring="cc_norm").score(X, clean)


def test_constant_outputs_and_channels():
    x = X.copy()
    x[:, 0] = 3.0
    y = np.stack([Y[..., 0], np.full((6, 40), 2.5)], axis=-1)
    model = STRFRegressor(5, prior="ridge").fit(x, y)
    np.testing.assert_allclose(model.coef_[:, 0], 0, atol=1e-12)
    np.testing.assert_allclose(model.coef_[1], 0, atol=1e-12)
    np.testing.assert_allclose(model.predict(x)[..., 1], 2.5)
    assert model.score_outputs(x, y)[1] == 0
    np.testing.assert_array_equal(model.cv_scores_[..., 1], 0)


def test_alpha_0_is_least_squares_with_the_least_norm():
    x = X.copy()
    x[:, 0] = x[:, 1]
    model = STRFRegressor(3, alpha=0.0, prior="ridge").fit(x, Y)
    np.testing.assert_allclose(model.coef_[:, 0], model.coef_[:, 1], atol=1e-8)


@pytest.mark.parametrize(
    ("change", "x", "y", "message"),
    [
        ({}, X, Y[:, :30], "frame rate"),
        ({}, X, Y[:5], "same trials"),
        ({}, X, np.where(np.arange(2) == 1, np.nan, Y), r"outputs \[1\]"),
        ({}, X, np.where(Y > 1, np.inf, Y), "infinity"),
        ({}, X, Y.astype(complex), "real"),
        ({}, X, np.zeros((6, 40, 2, 2)), "n_outputs"),
        ({}, X, None, "requires y"),
        ({}, np.where(X > 2, np.nan, X), Y, "NaN"),
        ({}, list(np.where(X > 2, np.nan, X)), Y, "NaN"),
        ({}, [X[0], X[1, :3]], Y[:2], "same channels"),
        ({}, X[:1], Y[:1], "different stimulus"),
        ({}, np.repeat(X[:1], 3, axis=0), Y[:3], "different stimulus"),
        ({"cv": 7}, X, Y, "as many different stimuli"),
        ({"n_lags": 41}, X, Y, "shortest trial"),
        ({"lag_min": -40}, X, Y, "shortest trial"),
        ({"n_lags": 0}, X, Y, "n_lags"),
        ({"alpha": -1.0}, X, Y, "alpha"),
        ({"alpha": [1.0, np.nan]}, X, Y, "alpha"),
        ({"widths": (1, -1)}, X, Y, "widths"),
        ({"widths": (1, 2, 3)}, X, Y, "widths"),
    ],
)
def test_bad_input(change, x, y, message):
    with pytest.raises(ValueError, match=message):
        STRFRegressor(**({"n_lags": 5} | change)).fit(x, y)


def test_other_channels_are_refused():
    model = STRFRegressor(5, alpha=1.0).fit(X, Y)
    with pytest.raises(ValueError, match="features"):
        model.predict(X[:, :3])


def test_a_fold_without_responses_is_refused():
    y = Y.copy()
    y[1:, :, 0] = np.nan
    with pytest.raises(ValueError, match="no responses"):
        STRFRegressor(5).fit(X, y)
