"""MultilinearLDA, discriminative order of features, TensorPLS and NonNegativeCP."""

import numpy as np
import pytest
from scipy.linalg import subspace_angles
from scipy.optimize import nnls
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from tensorly.cp_tensor import cp_normalize
from tensorly.decomposition import non_negative_parafac_hals
from tensorly.regression import CP_PLSR

from skstrf import MPCA, MultilinearLDA, NonNegativeCP, TensorPLS
from skstrf.multilinear import fisher_scores
from tests.decomposition.tensors import tensors

SHAPE = (6, 5, 4)


def classes(n=90, noise=1.0, seed=0):
    """Three classes whose means differ in a planted subspace of every mode, and that subspace."""
    rng = np.random.default_rng(seed)
    planted = [np.linalg.qr(rng.standard_normal((i, 2)))[0] for i in SHAPE]
    cores = 3 * rng.standard_normal((3, 2, 2, 2))
    y = np.arange(n) % 3
    means = np.einsum("cpqr,ip,jq,kr->cijk", cores, *planted)
    return means[y] + noise * rng.standard_normal((n, *SHAPE)), y, planted


@pytest.fixture(scope="module")
def data():
    return classes()


def test_planted_discriminant_directions_are_found():
    """A direction of large variance, which no class depends on, is not among them."""
    X, y, planted = classes(n=1500)
    nuisance = np.linalg.svd(planted[0])[0][:, -1]  # orthogonal to the planted plane
    level = 20 * np.random.default_rng(1).standard_normal(len(X))
    X = X + np.multiply.outer(level, nuisance)[:, :, None, None]
    lda = MultilinearLDA(2, shrinkage=0.0).fit(X, y)
    for found, true in zip(lda.components_, planted, strict=True):
        assert np.degrees(subspace_angles(found.T, true)).max() < 5
    assert np.abs(MPCA(2).fit(X).components_[0][0] @ nuisance) > 0.9


def test_angles_without_a_nuisance():
    X, y, planted = classes(n=1500)
    for found, true in zip(MultilinearLDA(2).fit(X, y).components_, planted, strict=True):
        assert np.degrees(subspace_angles(found.T, true)).max() < 5


@pytest.mark.parametrize("shrinkage", [0.0, 0.3])
def test_the_ratio_grows_and_is_the_one_of_the_definition(data, shrinkage):
    X, y, _ = data
    lda = MultilinearLDA((3, 2, 2), shrinkage=shrinkage, max_iter=8, tol=0.0).fit(X, y)
    assert np.all(np.diff(lda.criterion_) > -1e-9)
    Z = lda.transform(X)
    means = np.stack([Z[y == c].mean(0) for c in range(3)])
    between = sum((y == c).sum() * ((means[c] - Z.mean(0)) ** 2).sum() for c in range(3))
    within = ((Z - means[y]) ** 2).sum()
    all_means = np.stack([X[y == c].mean(0) for c in range(3)])
    ridge = ((X - all_means[y]) ** 2).sum() / np.prod(SHAPE) * Z[0].size
    expected = between / ((1 - shrinkage) * within + shrinkage * ridge)
    np.testing.assert_allclose(lda.criterion_[-1], expected, rtol=1e-8)


def test_two_dimensional_samples_are_those_of_the_trace_ratio_of_fisher(data):
    """With one component and no shrinkage it is Fisher's direction."""
    X, y, _ = data
    flat = X[:, :, 0, 0]
    lda = MultilinearLDA(1, shrinkage=0.0).fit(flat, y == 0)
    fisher = LinearDiscriminantAnalysis().fit(flat, y == 0).coef_[0]
    cosine = np.abs(lda.components_[0][0] @ fisher) / np.linalg.norm(fisher)
    assert cosine > 1 - 1e-9


def fisher_by_definition(Z, y):
    between = sum((y == c).sum() * (Z[y == c].mean(0) - Z.mean(0)) ** 2 for c in np.unique(y))
    within = sum(((Z[y == c] - Z[y == c].mean(0)) ** 2).sum(0) for c in np.unique(y))
    return between / within


def test_features_of_mpca_in_discriminative_order(data):
    X, y, _ = data
    mpca = MPCA((3, 3, 2), vectorize=True, feature_order="fisher").fit(X, y)
    expected = fisher_by_definition(MPCA((3, 3, 2)).fit_transform(X), y)
    np.testing.assert_allclose(mpca.fisher_scores_, expected, rtol=1e-9)
    ordered = fisher_by_definition(mpca.transform(X), y)
    assert np.all(np.diff(ordered) <= 1e-9 * ordered[0])
    few = MPCA((3, 3, 2), vectorize=True, feature_order="fisher", n_features=4).fit(X, y)
    np.testing.assert_array_equal(few.transform(X), mpca.transform(X)[:, :4])
    assert few.get_feature_names_out().tolist() == ["mpca0", "mpca1", "mpca2", "mpca3"]
    rest = mpca.transform(X)
    rest[:, 4:] = 0
    np.testing.assert_allclose(
        few.inverse_transform(few.transform(X)), mpca.inverse_transform(rest), atol=1e-12
    )


def test_constant_features_come_last():
    X = np.array([[0.0, 1.0], [2.0, 1.0], [10.0, 1.0], [12.0, 1.0]])
    assert fisher_scores(X, [0, 0, 1, 1], X.mean(0), [None]).tolist() == [25.0, 0.0]


@pytest.mark.parametrize("kind", ["dask", "torch", "memmap"])
@pytest.mark.parametrize(
    "estimator",
    [
        MultilinearLDA((3, 2, None), vectorize=True),
        MPCA((3, 2, None), vectorize=True, feature_order="fisher"),
        TensorPLS(3),
        NonNegativeCP(3, random_state=0),
    ],
    ids=lambda e: type(e).__name__,
)
def test_kinds_of_arrays_agree(data, kind, estimator, tmp_path):
    X, y, _ = data
    X = abs(X) if isinstance(estimator, NonNegativeCP) else X
    expected = estimator.fit(X, y).transform(X)
    if kind == "torch":
        torch = pytest.importorskip("torch")
        given = torch.from_numpy(X)
    elif kind == "dask":
        given = pytest.importorskip("dask.array").from_array(X, chunks=(7, -1, -1, -1))
    else:
        np.save(tmp_path / "x.npy", X)
        given = np.load(tmp_path / "x.npy", mmap_mode="r")
    found = estimator.fit(given, y).transform(given)
    assert (type(found).__module__.split(".")[0] == kind) == (kind != "memmap")
    np.testing.assert_allclose(np.asarray(found), expected, rtol=1e-8, atol=1e-8)
    back = estimator.inverse_transform(found)
    assert tuple(back.shape) == X.shape


def test_all_components_give_the_samples_back(data):
    X, y, _ = data
    lda = MultilinearLDA(SHAPE, vectorize=True).fit(X, y)
    np.testing.assert_allclose(lda.inverse_transform(lda.transform(X)), X, atol=1e-10)


@pytest.mark.parametrize("n_components", [1, 4, 12])
def test_tensor_pls_is_that_of_tensorly(data, n_components):
    X, y, _ = data
    one_hot = (y[:, None] == np.arange(3)).astype(float)
    theirs = CP_PLSR(n_components).fit(X, one_hot)
    new = classes(n=20, seed=3)[0]
    ours = TensorPLS(n_components).fit(X, y)
    for found, expected in zip(ours.components_, theirs.X_factors[1:], strict=True):
        np.testing.assert_allclose(found, expected.T, atol=1e-8)
    np.testing.assert_allclose(ours.transform(new), theirs.transform(new), atol=1e-8)
    predicted = ours.transform(new) @ ours.coef_ @ ours.y_components_ + ours.y_mean_
    np.testing.assert_allclose(predicted, theirs.predict(new), atol=1e-8)


def test_tensor_pls_of_values():
    X = tensors(n=60)
    y = np.stack([X[:, 0, 0, 0], X[:, 1, 1, 1]], axis=1)
    ours, theirs = TensorPLS(5).fit(X, y), CP_PLSR(5).fit(X, y)
    assert ours.classes_ is None
    np.testing.assert_allclose(ours.transform(X), theirs.transform(X), atol=1e-8)
    # Whole numbers are values only if that is asked for.
    whole = np.round(10 * y[:, 0])
    as_values = TensorPLS(2, target="values").fit(X, whole.astype(int))
    assert as_values.y_components_.shape == (2, 1)
    assert len(TensorPLS(2).fit(X, (whole > 0).astype(int)).classes_) == 2


def test_tensor_pls_stops_where_nothing_is_left():
    X = np.random.default_rng(0).standard_normal((20, 3))
    pls = TensorPLS(10).fit(X, X[:, 0])
    assert 1 <= pls.n_components_ <= 4
    assert np.isfinite(pls.transform(X)).all()
    np.testing.assert_allclose(
        (pls.transform(X) @ pls.coef_ @ pls.y_components_ + pls.y_mean_)[:, 0], X[:, 0], atol=1e-6
    )


def test_non_negative_cp_is_that_of_tensorly():
    X = np.abs(tensors(n=30))
    weights, factors = cp_normalize(
        non_negative_parafac_hals(X, 4, init="random", random_state=0, tol=1e-6)
    )
    ours = NonNegativeCP(4, init="random", random_state=0).fit(X)
    energy = np.linalg.norm(factors[0] * weights, axis=0)
    for found, expected in zip(ours.components_, factors[1:], strict=True):
        assert found.min() >= 0
        np.testing.assert_allclose(found, expected.T[np.argsort(-energy)], atol=1e-8)
    assert ours.reconstruction_err_ < 0.5


def test_scores_of_new_samples_solve_the_whole_problem():
    ours = NonNegativeCP(4, random_state=0).fit(np.abs(tensors(n=30)))
    new = np.abs(tensors(n=6, seed=5))
    whole = np.einsum("za,zb,zc->abcz", *ours.components_).reshape(-1, 4)
    expected = np.stack([nnls(whole, x.ravel())[0] for x in new])
    np.testing.assert_allclose(ours.transform(new), expected, atol=1e-8)
    np.testing.assert_allclose(
        ours.inverse_transform(expected).reshape(6, -1), expected @ whole.T, atol=1e-10
    )


@pytest.mark.parametrize(
    ("estimator", "X", "y", "message"),
    [
        (MultilinearLDA(2), np.ones((4, 3, 3)), [0, 0, 0, 0], "single class"),
        (MultilinearLDA(4), np.ones((4, 3, 3)), [0, 0, 1, 1], "between 1 and 3"),
        (MultilinearLDA(2, n_features=2), np.ones((4, 3, 3)), [0, 0, 1, 1], "vectorize=True"),
        (MPCA(feature_order="fisher"), np.ones((4, 3, 3)), None, "requires y"),
        (MPCA(2, vectorize=True, n_features=5), np.eye(4)[:, :, None], None, "have 1|axis 2"),
        (TensorPLS(2), np.ones((4, 3, 3)), [0, 0, 1, 1], "constant"),
        (NonNegativeCP(2), -np.ones((4, 3, 3)), None, "Negative values"),
        (NonNegativeCP(2), np.zeros((4, 3, 3)), None, "zero everywhere"),
    ],
)
def test_errors_name_the_remedy(estimator, X, y, message):
    with pytest.raises(ValueError, match=message):
        estimator.fit(X, y)


def test_discriminative_order_has_no_partial_fit():
    assert not hasattr(MPCA(feature_order="fisher"), "partial_fit")


def test_display_draws_the_components(data):
    plt = pytest.importorskip("matplotlib.pyplot")
    from skstrf.inspection import ComponentsDisplay

    X, y, _ = data
    pls = TensorPLS(3).fit(X, y)
    display = ComponentsDisplay.from_estimator(pls, mode_names=["a", "b", "c"], n_components=2)
    assert len(display.axes_) == 6
    np.testing.assert_array_equal(display.lines_[4].get_ydata(), pls.components_[1][1])
    plt.close(display.figure_)
    with pytest.raises(ValueError, match="mode_names"):
        ComponentsDisplay(pls.components_, mode_names=["a"]).plot()
    with pytest.raises(ValueError, match="same number"):
        ComponentsDisplay([np.ones((2, 3)), np.ones((1, 3))]).plot()
