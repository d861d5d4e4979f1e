"""CNNClassifier: the contract, learning, chance, weights, and its place among other estimators."""

import logging

import joblib
import numpy as np
import pytest
import torch
from sklearn import config_context
from sklearn.base import clone
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import parametrize_with_checks

from skstrf.neural import (
    CNNClassifier,
    ConvolutionalNetwork,
    SeparableNetwork,
    TensorAugmentation,
    make_eremeeva2017_classifier,
)
from skstrf.utils.validation import InvalidParameterError
from tests.neural.small_networks import FAST, PLAIN, REPORT, classifier, patterns

# ---- scikit-learn's contract ----

EXPECTED = {
    "check_sample_weight_equivalence_on_dense_data": (
        "batches, held-back part and running statistics depend on the number of rows; "
        "test_integer_weights_are_repetitions shows the law where it can hold"
    )
}
LAYERS = {"network__n_filters": 4, "network__kernel_sizes": (3,)}
SMALL = classifier(**{**FAST, **LAYERS, "max_epochs": 8, "lr": 0.05})


@pytest.mark.slow  # tests/test_common.py checks another instance
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
        ("network__n_filters", 0),
        ("network__kernel_sizes", 3),
        ("network__dropout", 1.0),
        ("augmentation__mask", 1.0),
        ("network", "best"),
        ("augmentation", 0.3),
        ("batch_size", "small"),
        ("optimizer", "lbfgs"),
        ("lr", 0.0),
        ("lr_schedule", "step"),
        ("max_epochs", 0),
        ("patience", 0),
        ("validation_fraction", 1.0),
        ("class_weight", "even"),
        ("input_scaling", "pixel"),
        ("warm_start_from", 3),
    ],
)
def test_parameters_out_of_range_are_named(data, name, value):
    params = {key: v for key, v in FAST.items() if not key.startswith(f"{name}__")}
    with pytest.raises(InvalidParameterError, match=f"'{name.split('__')[-1]}' parameter"):
        classifier(**{**params, name: value}).fit(*data)


# ---- learning ----


def test_learns_patterns_wherever_they_are():
    X, y = patterns(200)
    test_X, test_y = patterns(150, seed=1)
    clf = classifier(**{**FAST, "max_epochs": 25, "lr": 1e-2}).fit(X, y)
    assert clf.score(test_X, test_y) > 0.9


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, id="default"),
        pytest.param({"input_scaling": "cell"}, id="cell", marks=pytest.mark.slow),
        pytest.param({"input_scaling": "all"}, id="all", marks=pytest.mark.slow),
        pytest.param(REPORT, id="report"),
    ],
)
def test_scale_of_the_input_does_not_matter(options):
    X, y = patterns(120)
    test_X, test_y = patterns(120, seed=1)
    params = {**FAST, "max_epochs": 8, "lr": 1e-2}
    scores = [
        classifier(**{**params, **options})
        .fit(X * scale + shift, y)
        .score(test_X * scale + shift, test_y)
        for scale, shift in ((1, 0), (1000, 0), (1e-6, 0), (1, 50))
    ]
    assert np.ptp(scores) < 0.1


@pytest.mark.parametrize("input_scaling", ["cell", "all"])
@pytest.mark.parametrize("scale", [2.0**10, 2.0**-20])
def test_scaled_input_gives_the_same_network(input_scaling, scale):
    X, y = patterns(30)
    clf = classifier(**{**FAST, "max_epochs": 1, "input_scaling": input_scaling})
    expected = clone(clf).fit(X, y).predict_proba(X)
    found = clf.fit(X * scale, y).predict_proba(X * scale)
    np.testing.assert_allclose(found, expected, rtol=1e-3)


def test_float64_is_standardized_before_it_is_rounded():
    X, y = patterns(90)
    shifted = X.astype(np.float64) + 1e9  # float32 has steps of 64 there
    params = {**FAST, "max_epochs": 8}
    near = classifier(**params).fit(X.astype(np.float64), y).predict_proba(X)
    far = classifier(**params).fit(shifted, y).predict_proba(shifted)
    np.testing.assert_allclose(near, far, atol=1e-3)


@pytest.mark.parametrize("shape", [(7,), (9, 8), (2, 4, 3), (2, 3, 4, 6), (2, 2, 2, 5, 1)])
def test_samples_of_any_order_fold_into_channels(shape):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(24, *shape)), np.arange(24) % 2
    X[y == 1] += 2
    clf = classifier(**FAST).fit(X, y)
    channels = int(np.prod(shape[:-2])) if len(shape) > 2 else 1
    assert clf.architecture_["plan"][0]["in_channels"] == channels
    assert clf.input_shape_ == shape
    # The folding is a reshape: the same numbers in fewer axes give the same net.
    if len(shape) > 3:
        folded = X.reshape(24, -1, *shape[-2:])
        again = classifier(**FAST).fit(folded, y)
        assert np.array_equal(clf.predict_proba(X), again.predict_proba(folded))


def test_constant_channels_and_data_do_no_harm(data):
    X, y = data
    X = X.copy()
    X[:, 1] = 1e6
    assert np.isfinite(classifier(**FAST).fit(X, y).predict_proba(X)).all()
    constant = np.full_like(X, 0.1)
    proba = classifier(**FAST).fit(constant, y).predict_proba(constant)
    np.testing.assert_allclose(proba, proba[:1].repeat(len(X), axis=0))


@pytest.mark.parametrize(
    ("optimizer", "lr_schedule"),
    [
        ("adamw", None),
        ("adam", "cosine"),
        ("sgd", "plateau"),
        ("sgd", "onecycle"),
        ("adamw", "onecycle"),
    ],
)
def test_schedules_do_to_the_learning_rate_what_they_say(data, optimizer, lr_schedule):
    params = {**FAST, "optimizer": optimizer, "lr_schedule": lr_schedule, "max_epochs": 10}
    params["early_stopping"] = False
    clf = classifier(**params, lr=1e-2).fit(*data)
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
    params = {**FAST, "max_epochs": 15, "early_stopping": False}
    clf = classifier(**params, lr_schedule="plateau").fit(X, data[1])
    assert clf.history_[-1]["lr"] < 0.5 * clf.history_[0]["lr"]


def test_the_preset_of_the_report_is_a_bare_network_and_overrides_nothing(data):
    options = {key: value for key, value in FAST.items() if "separable" not in key}
    bare = make_eremeeva2017_classifier(**options).fit(*data)
    same = classifier(**{**FAST, **REPORT, "batch_size": 50}).fit(*data)
    assert np.array_equal(bare.predict_proba(data[0]), same.predict_proba(data[0]))
    assert "BatchNorm" not in {type(m).__name__ for m in bare.net_.module_.modules()}
    loud = make_eremeeva2017_classifier(
        network__dropout=0.5, augmentation__mixup=1.0, lr_schedule="cosine", batch_size=7
    )
    assert loud.network.dropout == 0.5 and loud.network.batch_norm is False
    assert (loud.augmentation.mixup, loud.lr_schedule, loud.batch_size) == (1.0, "cosine", 7)
    separable = SeparableNetwork()
    assert make_eremeeva2017_classifier(network=separable).network is separable


def test_nested_parameters_are_reached_where_the_object_is_none():
    clf = CNNClassifier().set_params(augmentation__mixup=0.1, network__dropout=0.5)
    assert (clf.augmentation.mixup, clf.augmentation.mask) == (0.1, 0.0)
    assert (clf.network.dropout, clf.network.n_filters) == (0.5, 64)
    assert CNNClassifier().network is None
    names = CNNClassifier().get_params()
    assert (names["network__dropout"], names["augmentation__mixup"]) == (0.3, 0.3)
    both = CNNClassifier().set_params(network=SeparableNetwork(n_filters=3), network__dropout=0.2)
    assert (both.network.n_filters, both.network.dropout) == (3, 0.2)
    again = clone(both).set_params(network__dropout=0.4)
    assert (both.network.dropout, again.network.dropout) == (0.2, 0.4)
    with pytest.raises(ValueError, match="separable_kernels"):
        both.set_params(network__separable_kernels=True)
    with pytest.raises(ValueError, match="mixing"):
        CNNClassifier().set_params(augmentation__mixing=1)


def test_none_stands_for_the_default_objects(data):
    options = {"max_epochs": 1, "device": "cpu", "random_state": 0}
    explicit = CNNClassifier(ConvolutionalNetwork(), TensorAugmentation(), **options).fit(*data)
    proba = CNNClassifier(**options).fit(*data).predict_proba(data[0])
    assert np.array_equal(explicit.predict_proba(data[0]), proba)


@pytest.mark.parametrize(("batch_size", "expected"), [("auto", 8), (20, 20), (4, 4)])
def test_automatic_batches_are_small_and_explicit_ones_stay(data, batch_size, expected):
    options = {"early_stopping": False, "batch_size": batch_size, "max_epochs": 1}
    clf = classifier(**{**FAST, **options}).fit(*data)
    sizes = [batch["train_batch_size"] for batch in clf.net_.history[-1]["batches"]]
    assert max(sizes) == expected
    assert sum(sizes) == len(data[0])


@pytest.mark.parametrize(
    "change",
    [
        {"network__batch_norm": False},
        {"network__dropout": 0.0},
        {"augmentation__mixup": 0.0},
        {"augmentation__mask": 0.4},
        {"augmentation__shift": 0.3},
        {"augmentation__noise": 0.5},
        {"augmentation__gain": 0.5},
        {"augmentation__tilt": 0.5},
        {"label_smoothing": 0.3},
        {"weight_decay": 0.5},
        {"input_scaling": "cell"},
        {"optimizer": "sgd"},
        {"network__n_hidden": 0},
        {"class_weight": {0: 3.0}},
        {"random_state": 1},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_option_has_an_effect(data, fitted, change):
    X, y = data
    X = X + np.arange(10, dtype=np.float32)  # cells differ in their mean
    plain = classifier(**FAST).fit(X, y).predict_proba(X)
    changed = classifier(**{**FAST, **change}).fit(X, y).predict_proba(X)
    assert not np.allclose(plain, changed, atol=1e-5)


# ---- chance ----


def test_same_seed_same_bits_and_global_generators_untouched(data):
    X, y = data
    torch_state, numpy_state = torch.random.get_rng_state(), np.random.get_state()  # noqa: NPY002
    threads = torch.get_num_threads()
    options = {"augmentation": TensorAugmentation(shift=0.2, noise=0.1, gain=0.1, tilt=0.1)}
    first = classifier(**FAST, **options).fit(X, y)
    torch.rand(7)
    torch.random.set_rng_state(torch_state)
    second = classifier(**FAST, **options).fit(X, y)
    assert np.array_equal(first.predict_proba(X), second.predict_proba(X))
    assert [r["train_loss"] for r in first.history_] == [r["train_loss"] for r in second.history_]
    assert torch.equal(torch.random.get_rng_state(), torch_state)
    assert np.array_equal(np.random.get_state()[1], numpy_state[1])  # noqa: NPY002
    assert torch.get_num_threads() == threads


def test_fits_in_threads_do_not_disturb_each_other(data):
    X, y = data
    alone = classifier(**FAST).fit(X, y).predict_proba(X)
    fits = joblib.Parallel(n_jobs=3, backend="threading")(
        joblib.delayed(classifier(**FAST).fit)(X, y) for _ in range(3)
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
    clf = classifier(**params).fit(X, y, validation_data=(val_X, val_y))
    losses = [row["valid_loss"] for row in clf.history_]
    best = int(np.argmin(losses))
    assert clf.n_epochs_to_best_ == best + 1
    assert clf.n_iter_ == len(losses) == best + 1 + 4  # stopped by patience, not by max_epochs
    assert np.isclose(log_loss(val_y, clf.predict_proba(val_X)), losses[best], rtol=1e-4)
    assert clf.score(val_X, val_y) == clf.history_[best]["valid_accuracy"]


def test_without_early_stopping_the_last_weights_stay(data):
    val = patterns(30, seed=4)
    clf = classifier(**{**FAST, "early_stopping": False}).fit(*data, validation_data=val)
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
        clf = classifier(**FAST).fit(X[:6], y[:6])
    assert "no validation part" in caplog.text
    assert clf.n_iter_ == 4 and "valid_loss" not in clf.history_[0]


# ---- weights ----


def test_integer_weights_are_repetitions(data):
    X, y = data
    weights = np.random.default_rng(0).integers(0, 4, len(y))
    params = {**FAST, **PLAIN, "max_epochs": 8}
    weighted = classifier(**params).fit(X, y, sample_weight=weights)
    repeated = classifier(**params).fit(X.repeat(weights, axis=0), y.repeat(weights))
    np.testing.assert_allclose(weighted.predict_proba(X), repeated.predict_proba(X), atol=1e-4)
    unweighted = classifier(**params).fit(X, y)
    assert not np.allclose(weighted.predict_proba(X), unweighted.predict_proba(X), atol=1e-3)


def test_samples_of_weight_zero_are_as_if_absent(data):
    X, y = data
    kept = np.arange(len(y)) % 5 > 0
    spoilt = X.copy()
    spoilt[~kept] = 1e6
    weighted = classifier(**FAST).fit(spoilt, y, sample_weight=kept)
    without = classifier(**FAST).fit(X[kept], y[kept])
    assert np.array_equal(weighted.predict_proba(X), without.predict_proba(X))


def test_balanced_is_the_dict_of_its_weights(data):
    X, y = data
    few = np.r_[np.flatnonzero(y == 0), np.flatnonzero(y == 1)[:8], np.flatnonzero(y == 2)[:12]]
    X, y = X[few], y[few]
    table = {c: len(y) / (3 * n) for c, n in enumerate(np.bincount(y))}
    a = classifier(**FAST, class_weight="balanced").fit(X, y)
    b = classifier(**FAST, class_weight=table).fit(X, y)
    assert np.array_equal(a.predict_proba(X), b.predict_proba(X))


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_weights_of_classes_multiply_those_of_samples(data, method):
    X, y = data
    table = {0: 4.0, 1: 1.0, 2: 0.5}
    short = classifier(**FAST | {"max_epochs": 1})
    a = getattr(clone(short), method)(X, y, sample_weight=[table[c] for c in y])
    b = getattr(clone(short).set_params(class_weight=table), method)(X, y)
    assert np.array_equal(a.predict_proba(X), b.predict_proba(X))


# ---- among other estimators ----


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_probabilities_have_the_type_of_the_input_and_sum_to_one(data, dtype):
    X, y = data
    X = (10 * X).astype(dtype)
    proba = classifier(**FAST).fit(X, y).predict_proba(X)
    assert proba.dtype == (np.float32 if dtype == np.float32 else np.float64)
    np.testing.assert_allclose(proba.sum(axis=1), 1, atol=1e-6)


def test_grid_search_in_a_pipeline(data):
    X, y = data
    pipeline = make_pipeline(FunctionTransformer(np.abs), classifier(**FAST))
    grid = {
        "cnnclassifier__network__n_filters": [2, 4],
        "cnnclassifier__augmentation__mixup": [0.0, 0.3],
    }
    search = GridSearchCV(pipeline, grid, cv=2, error_score="raise").fit(X, y)
    assert len(search.cv_results_["params"]) == 4
    assert search.predict(X).shape == y.shape


@pytest.mark.slow  # two processes load torch
def test_two_processes_give_the_scores_of_one(data):
    clf = classifier(**FAST)
    one = cross_val_score(clf, *data, cv=2)
    two = cross_val_score(clf, *data, cv=2, n_jobs=2)
    np.testing.assert_array_equal(one, two)


def test_metadata_routing_carries_weights_and_validation_data(data):
    X, y = data
    with config_context(enable_metadata_routing=True):
        clf = classifier(**FAST).set_fit_request(sample_weight=True, validation_data=True)
        clf.set_score_request(sample_weight=True)
        pipeline = make_pipeline(FunctionTransformer(), clf)
        pipeline.fit(X, y, sample_weight=np.arange(len(y)), validation_data=(X[:9], y[:9]))
        scores = cross_val_score(pipeline, X, y, cv=2, params={"sample_weight": np.ones(len(y))})
    direct = classifier(**FAST)
    direct.fit(X, y, sample_weight=np.arange(len(y)), validation_data=(X[:9], y[:9]))
    assert np.array_equal(pipeline.predict_proba(X), direct.predict_proba(X))
    assert np.isfinite(scores).all()


def test_progress_is_shown_when_asked_for(data, capsys):
    classifier(**FAST, verbose=True).fit(*data)
    assert "4/4" in capsys.readouterr().err
    classifier(**FAST).fit(*data)
    shown = capsys.readouterr()
    assert shown.err == shown.out == ""
