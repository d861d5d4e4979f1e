"""CNNClassifier: the contract, learning, chance, weights, and its place among other estimators."""

import logging

import joblib
import numpy as np
import pytest
import torch
from sklearn import config_context
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import parametrize_with_checks

from skstrf.neural import CNNClassifier
from skstrf.utils.validation import InvalidParameterError
from tests.neural.small_networks import FAST, PLAIN, patterns

# ---- scikit-learn's contract ----

EXPECTED = {
    "check_sample_weight_equivalence_on_dense_data": (
        "batches, held-back part and running statistics depend on the number of rows; "
        "test_integer_weights_are_repetitions shows the law where it can hold"
    )
}
SMALL = CNNClassifier(**{**FAST, "max_epochs": 20, "lr": 0.05, "batch_size": 50})


@parametrize_with_checks([SMALL], expected_failed_checks=lambda estimator: EXPECTED)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks([CNNClassifier()], expected_failed_checks=lambda estimator: EXPECTED)
def test_scikit_learn_checks_of_the_defaults(estimator, check):
    check(estimator)


@pytest.mark.parametrize(
    "name, value",
    [
        ("n_filters", 0),
        ("kernel_sizes", 3),
        ("dropout", 1.0),
        ("mask", 1.0),
        ("recipe", "best"),
        ("optimizer", "lbfgs"),
        ("lr", 0.0),
        ("lr_schedule", "step"),
        ("max_epochs", 0),
        ("patience", 0),
        ("validation_fraction", 1.0),
        ("class_weight", "even"),
        ("standardize", "pixel"),
        ("warm_start_from", 3),
    ],
)
def test_parameters_out_of_range_are_named(data, name, value):
    with pytest.raises(InvalidParameterError, match=name):
        CNNClassifier(**{**FAST, name: value}).fit(*data)


# ---- learning ----


def test_learns_patterns_wherever_they_are():
    X, y = patterns(200)
    test_X, test_y = patterns(150, seed=1)
    clf = CNNClassifier(**{**FAST, "max_epochs": 25, "lr": 1e-2}).fit(X, y)
    assert clf.score(test_X, test_y) > 0.9


@pytest.mark.parametrize(
    "options",
    [{}, {"standardize": "cell"}, {"standardize": "all"}, {"recipe": "report"}],
    ids=lambda options: "-".join(options.values()) or "default",
)
def test_scale_of_the_input_does_not_matter(options):
    X, y = patterns(120)
    test_X, test_y = patterns(120, seed=1)
    params = {**FAST, "max_epochs": 8, "lr": 1e-2}
    scores = [
        CNNClassifier(**params, **options)
        .fit(X * scale + shift, y)
        .score(test_X * scale + shift, test_y)
        for scale, shift in ((1, 0), (1000, 0), (1e-6, 0), (1, 50))
    ]
    assert np.ptp(scores) < 0.1


def test_float64_is_standardized_before_it_is_rounded():
    X, y = patterns(90)
    shifted = X.astype(np.float64) + 1e9  # float32 has steps of 64 there
    params = {**FAST, "max_epochs": 8}
    near = CNNClassifier(**params).fit(X.astype(np.float64), y).predict_proba(X)
    far = CNNClassifier(**params).fit(shifted, y).predict_proba(shifted)
    np.testing.assert_allclose(near, far, atol=1e-3)


@pytest.mark.parametrize("shape", [(7,), (9, 8), (2, 4, 3), (2, 3, 4, 6), (2, 2, 2, 5, 1)])
def test_samples_of_any_order_fold_into_channels(shape):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(24, *shape)), np.arange(24) % 2
    X[y == 1] += 2
    clf = CNNClassifier(**FAST).fit(X, y)
    channels = int(np.prod(shape[:-2])) if len(shape) > 2 else 1
    assert clf.architecture_["plan"][0]["in_channels"] == channels
    assert clf.input_shape_ == shape
    # The folding is a reshape: the same numbers in fewer axes give the same net.
    if len(shape) > 3:
        folded = X.reshape(24, -1, *shape[-2:])
        again = CNNClassifier(**FAST).fit(folded, y)
        assert np.array_equal(clf.predict_proba(X), again.predict_proba(folded))


def test_constant_channels_and_data_do_no_harm(data):
    X, y = data
    X = X.copy()
    X[:, 1] = 1e6
    assert np.isfinite(CNNClassifier(**FAST).fit(X, y).predict_proba(X)).all()
    constant = np.full_like(X, 0.1)
    proba = CNNClassifier(**FAST).fit(constant, y).predict_proba(constant)
    np.testing.assert_allclose(proba, proba[:1].repeat(len(X), axis=0))


@pytest.mark.parametrize("optimizer", ["adamw", "adam", "sgd"])
@pytest.mark.parametrize("lr_schedule", [None, "cosine", "plateau", "onecycle"])
def test_schedules_do_to_the_learning_rate_what_they_say(data, optimizer, lr_schedule):
    params = {**FAST, "optimizer": optimizer, "lr_schedule": lr_schedule, "max_epochs": 10}
    params["early_stopping"] = False
    clf = CNNClassifier(**params, lr=1e-2).fit(*data)
    rates = [row["lr"] for row in clf.history_]
    if lr_schedule is None:
        assert rates == [1e-2] * 10
    elif lr_schedule == "cosine":
        expected = 5e-3 * (1 + np.cos(np.pi * np.arange(10) / 10))
        np.testing.assert_allclose(rates, expected)
    elif lr_schedule == "plateau":
        assert rates[0] == 1e-2 and rates == sorted(rates, reverse=True)
    else:
        assert rates[0] < 1e-3 and max(rates) > 0.9e-2 and rates[-1] < 1e-3


def test_plateau_lowers_the_rate_when_nothing_improves(data):
    X = np.zeros_like(data[0])  # nothing to learn, so the loss stands still
    params = {**FAST, "max_epochs": 30, "early_stopping": False}
    clf = CNNClassifier(**params, lr_schedule="plateau").fit(X, data[1])
    assert clf.history_[-1]["lr"] < 0.5 * clf.history_[0]["lr"]


def test_report_recipe_silences_the_arguments(data):
    X, y = data
    loud = {"batch_norm": True, "dropout": 0.5, "mixup": 1.0, "mask": 0.5, "noise": 1.0}
    loud |= {"shift": 0.5, "gain": 1.0, "tilt": 1.0, "label_smoothing": 0.5}
    loud |= {"weight_decay": 1.0, "lr_schedule": "cosine", "standardize": "cell"}
    a = CNNClassifier(**FAST, **loud, recipe="report").fit(X, y)
    b = CNNClassifier(**FAST, recipe="report").fit(X, y)
    assert np.array_equal(a.predict_proba(X), b.predict_proba(X))
    kinds = {type(m).__name__ for m in a.net_.module_.modules()}
    assert "BatchNorm" not in kinds
    assert a.get_params()["batch_norm"] is True  # the parameters themselves stay


@pytest.mark.parametrize(
    "change",
    [
        {"batch_norm": False},
        {"dropout": 0.0},
        {"mixup": 0.0},
        {"mask": 0.4},
        {"shift": 0.3},
        {"noise": 0.5},
        {"gain": 0.5},
        {"tilt": 0.5},
        {"label_smoothing": 0.3},
        {"weight_decay": 0.5},
        {"standardize": "cell"},
        {"optimizer": "sgd"},
        {"n_hidden": 0},
        {"class_weight": {0: 3.0}},
        {"random_state": 1},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_option_has_an_effect(data, fitted, change):
    X, y = data
    X = X + np.arange(10, dtype=np.float32)  # cells differ in their mean
    plain = CNNClassifier(**FAST).fit(X, y).predict_proba(X)
    changed = CNNClassifier(**{**FAST, **change}).fit(X, y).predict_proba(X)
    assert not np.allclose(plain, changed, atol=1e-5)


# ---- chance ----


def test_same_seed_same_bits_and_global_generators_untouched(data):
    X, y = data
    torch_state, numpy_state = torch.random.get_rng_state(), np.random.get_state()  # noqa: NPY002
    threads = torch.get_num_threads()
    options = {"shift": 0.2, "noise": 0.1, "gain": 0.1, "tilt": 0.1}
    first = CNNClassifier(**FAST, **options).fit(X, y)
    torch.rand(7)
    torch.random.set_rng_state(torch_state)
    second = CNNClassifier(**FAST, **options).fit(X, y)
    assert np.array_equal(first.predict_proba(X), second.predict_proba(X))
    assert [r["train_loss"] for r in first.history_] == [r["train_loss"] for r in second.history_]
    assert torch.equal(torch.random.get_rng_state(), torch_state)
    assert np.array_equal(np.random.get_state()[1], numpy_state[1])  # noqa: NPY002
    assert torch.get_num_threads() == threads


def test_fits_in_threads_do_not_disturb_each_other(data):
    X, y = data
    alone = CNNClassifier(**FAST).fit(X, y).predict_proba(X)
    fits = joblib.Parallel(n_jobs=3, backend="threading")(
        joblib.delayed(CNNClassifier(**FAST).fit)(X, y) for _ in range(3)
    )
    for clf in fits:
        np.testing.assert_allclose(clf.predict_proba(X), alone, atol=1e-6)


def test_predictions_do_not_depend_on_the_company(data, fitted):
    X, _ = data
    X = np.concatenate([X, X])  # more than one batch
    together = fitted.predict_proba(X)
    single = np.concatenate([fitted.predict_proba(x[None]) for x in X])
    assert np.array_equal(together, single)


# ---- early stopping ----


def test_best_weights_come_back(data):
    X, y = patterns(90, noise=1.5)
    val_X, val_y = patterns(45, seed=3, noise=1.5)
    params = {**FAST, "max_epochs": 40, "patience": 4, "lr": 1e-2, "lr_schedule": None}
    clf = CNNClassifier(**params).fit(X, y, validation_data=(val_X, val_y))
    losses = [row["valid_loss"] for row in clf.history_]
    best = int(np.argmin(losses))
    assert clf.n_epochs_to_best_ == best + 1
    assert clf.n_iter_ == len(losses) == best + 1 + 4  # stopped by patience, not by max_epochs
    assert np.isclose(log_loss(val_y, clf.predict_proba(val_X)), losses[best], rtol=1e-4)
    assert clf.score(val_X, val_y) == clf.history_[best]["valid_accuracy"]


def test_without_early_stopping_the_last_weights_stay(data):
    val = patterns(30, seed=4)
    clf = CNNClassifier(**{**FAST, "early_stopping": False}).fit(*data, validation_data=val)
    assert clf.n_iter_ == clf.n_epochs_to_best_ == 4
    assert np.isclose(log_loss(val[1], clf.predict_proba(val[0])), clf.history_[-1]["valid_loss"])


def test_history_is_plain_numbers(fitted):
    assert [row["epoch"] for row in fitted.history_] == list(range(1, fitted.n_iter_ + 1))
    keys = {"epoch", "train_loss", "valid_loss", "valid_accuracy", "lr", "seconds"}
    for row in fitted.history_:
        assert set(row) == keys
        assert all(type(v) is float for k, v in row.items() if k != "epoch")


def test_validation_part_is_stratified_and_of_the_asked_size():
    from skstrf.neural.samples import split_validation

    codes = np.repeat([0, 1, 2], [60, 30, 10])
    train, valid = split_validation(codes, 0.2, 0)
    assert np.bincount(codes[valid]).tolist() == [12, 6, 2]
    assert np.array_equal(np.sort(np.concatenate([train, valid])), np.arange(100))


def test_rare_classes_stay_in_training(caplog):
    from skstrf.neural.samples import split_validation

    codes = np.r_[np.repeat([0, 1, 2, 3], 10), 4]
    with caplog.at_level(logging.INFO, logger="skstrf"):
        train, valid = split_validation(codes, 0.05, 0)
    assert 40 in train
    assert np.bincount(codes[valid]).tolist() == [1, 1, 1, 1]
    assert "4 samples instead of 3" in caplog.text


def test_too_few_samples_for_a_validation_part_are_all_trained_on(data, caplog):
    X, y = data
    with caplog.at_level(logging.WARNING, logger="skstrf"):
        clf = CNNClassifier(**FAST).fit(X[:6], y[:6])
    assert "no validation part" in caplog.text
    assert clf.n_iter_ == 4 and "valid_loss" not in clf.history_[0]


# ---- weights ----


def test_integer_weights_are_repetitions(data):
    X, y = data
    weights = np.random.default_rng(0).integers(0, 4, len(y))
    params = {**FAST, **PLAIN, "max_epochs": 8}
    weighted = CNNClassifier(**params).fit(X, y, sample_weight=weights)
    repeated = CNNClassifier(**params).fit(X.repeat(weights, axis=0), y.repeat(weights))
    np.testing.assert_allclose(weighted.predict_proba(X), repeated.predict_proba(X), atol=1e-4)
    unweighted = CNNClassifier(**params).fit(X, y)
    assert not np.allclose(weighted.predict_proba(X), unweighted.predict_proba(X), atol=1e-3)


def test_samples_of_weight_zero_are_as_if_absent(data):
    X, y = data
    kept = np.arange(len(y)) % 5 > 0
    spoilt = X.copy()
    spoilt[~kept] = 1e6
    weighted = CNNClassifier(**FAST).fit(spoilt, y, sample_weight=kept)
    without = CNNClassifier(**FAST).fit(X[kept], y[kept])
    assert np.array_equal(weighted.predict_proba(X), without.predict_proba(X))


def test_balanced_is_the_dict_of_its_weights(data):
    X, y = data
    few = np.r_[np.flatnonzero(y == 0), np.flatnonzero(y == 1)[:8], np.flatnonzero(y == 2)[:12]]
    X, y = X[few], y[few]
    table = {c: len(y) / (3 * n) for c, n in enumerate(np.bincount(y))}
    a = CNNClassifier(**FAST, class_weight="balanced").fit(X, y)
    b = CNNClassifier(**FAST, class_weight=table).fit(X, y)
    assert np.array_equal(a.predict_proba(X), b.predict_proba(X))


# ---- among other estimators ----


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_probabilities_have_the_type_of_the_input_and_sum_to_one(data, dtype):
    X, y = data
    X = (10 * X).astype(dtype)
    proba = CNNClassifier(**FAST).fit(X, y).predict_proba(X)
    assert proba.dtype == (np.float32 if dtype == np.float32 else np.float64)
    np.testing.assert_allclose(proba.sum(axis=1), 1, atol=1e-6)


def test_grid_search_in_a_pipeline(data):
    X, y = data
    pipeline = make_pipeline(FunctionTransformer(np.abs), CNNClassifier(**FAST))
    grid = {"cnnclassifier__n_filters": [2, 4], "cnnclassifier__recipe": ["modern", "report"]}
    search = GridSearchCV(pipeline, grid, cv=2, error_score="raise").fit(X, y)
    assert len(search.cv_results_["params"]) == 4
    assert search.predict(X).shape == y.shape


def test_two_processes_give_the_scores_of_one(data):
    clf = CNNClassifier(**FAST)
    one = cross_val_score(clf, *data, cv=2)
    two = cross_val_score(clf, *data, cv=2, n_jobs=2)
    np.testing.assert_array_equal(one, two)


def test_metadata_routing_carries_weights_and_validation_data(data):
    X, y = data
    with config_context(enable_metadata_routing=True):
        clf = CNNClassifier(**FAST).set_fit_request(sample_weight=True, validation_data=True)
        clf.set_score_request(sample_weight=True)
        pipeline = make_pipeline(FunctionTransformer(), clf)
        pipeline.fit(X, y, sample_weight=np.arange(len(y)), validation_data=(X[:9], y[:9]))
        scores = cross_val_score(pipeline, X, y, cv=2, params={"sample_weight": np.ones(len(y))})
    direct = CNNClassifier(**FAST)
    direct.fit(X, y, sample_weight=np.arange(len(y)), validation_data=(X[:9], y[:9]))
    assert np.array_equal(pipeline.predict_proba(X), direct.predict_proba(X))
    assert np.isfinite(scores).all()


def test_progress_is_shown_when_asked_for(data, capsys):
    CNNClassifier(**FAST, verbose=True).fit(*data)
    assert "4/4" in capsys.readouterr().err
    CNNClassifier(**FAST).fit(*data)
    shown = capsys.readouterr()
    assert shown.err == shown.out == ""
