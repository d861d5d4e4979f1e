import copy
import logging
import pickle
import subprocess
import sys

import joblib
import numpy as np
import pytest
import skops.io
import torch
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import parametrize_with_checks

from skstrf.neural import CNNClassifier
from skstrf.utils.validation import InvalidParameterError

TYPE = "skstrf.neural.classifier.CNNClassifier"
FAST = {
    "n_filters": 8,
    "kernel_sizes": (3, 3),
    "strides": 1,
    "n_hidden": 16,
    "max_epochs": 4,
    "batch_size": 16,
    "factorise": True,
    "early_stopping": True,
    "device": "cpu",
    "random_state": 0,
}
# No chance but the first weights: what is left of the law of weights can be seen.
PLAIN = {"recipe": "report", "early_stopping": False, "batch_size": 1000}


def patterns(n=60, shape=(2, 8, 10), n_classes=3, seed=0, noise=0.3):
    """Bars of one orientation a class, anywhere in the image, in noise."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % n_classes
    X = noise * rng.normal(size=(n, *shape))
    height, width = shape[-2:]
    for x, label in zip(X, y, strict=True):
        i, j = rng.integers(1, height - 2), rng.integers(1, width - 2)
        steps = np.arange(-1, 2)
        offsets = [(0 * steps, steps), (steps, 0 * steps), (steps, steps)][label]
        x[..., i + offsets[0], j + offsets[1]] += 2
    return X.astype(np.float32), y


@pytest.fixture(scope="module")
def data():
    return patterns()


@pytest.fixture(scope="module")
def fitted(data):
    X, y = data
    return CNNClassifier(**FAST).fit(X, np.array(["bass", "flute", "ümlaut"])[y])


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
        ("standardise", "pixel"),
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
    [{}, {"standardise": "cell"}, {"standardise": "all"}, {"recipe": "report"}],
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


def test_float64_is_standardised_before_it_is_rounded():
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
    loud |= {"weight_decay": 1.0, "lr_schedule": "cosine", "standardise": "cell"}
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
        {"standardise": "cell"},
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
    from skstrf.neural.batches import split_validation

    codes = np.repeat([0, 1, 2], [60, 30, 10])
    train, valid = split_validation(codes, 0.2, 0)
    assert np.bincount(codes[valid]).tolist() == [12, 6, 2]
    assert np.array_equal(np.sort(np.concatenate([train, valid])), np.arange(100))


def test_rare_classes_stay_in_training(caplog):
    from skstrf.neural.batches import split_validation

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


# ---- other networks as a start ----


def test_frozen_layers_stay_bit_equal_and_the_rest_learns(data, fitted):
    X, y = data
    start = {k: v.clone() for k, v in fitted.net_.module_.state_dict().items()}
    clf = CNNClassifier(**FAST, warm_start_from=fitted, frozen_layers=2).fit(X, y % 2)
    after = clf.net_.module_.state_dict()
    frozen = [k for k in start if k.startswith(("conv", "standardise"))]
    assert len(frozen) > 6 and all(torch.equal(start[k], after[k]) for k in frozen)
    assert not torch.equal(start["hidden.dense.weight"], after["hidden.dense.weight"])
    assert after["output.dense.weight"].shape[0] == 2


def test_warm_start_begins_where_the_other_ended(data, tmp_path):
    X, y = data
    # So small a rate moves nothing: what comes out is what was copied.
    still = {**FAST, "max_epochs": 1, "lr": 1e-12, "weight_decay": 0.0, "batch_norm": False}
    source = CNNClassifier(**{**FAST, "batch_norm": False}).fit(X, y)
    source.save(tmp_path / "b.safetensors")
    x = torch.from_numpy(X)
    expected = source.net_.module_.activations(x, ["hidden"])["hidden"]
    for start in (source, FrozenEstimator(source), tmp_path / "b.safetensors"):
        clf = CNNClassifier(**still, warm_start_from=start).fit(X, y)
        found = clf.net_.module_.eval().activations(x, ["hidden"])["hidden"]
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_layers_may_be_frozen_by_name(data, fitted):
    clf = CNNClassifier(**FAST, warm_start_from=fitted, frozen_layers=["conv2"]).fit(*data)
    old, new = fitted.net_.module_.state_dict(), clf.net_.module_.state_dict()
    assert torch.equal(old["conv2.columns.weight"], new["conv2.columns.weight"])
    assert not torch.equal(old["conv1.columns.weight"], new["conv1.columns.weight"])


def test_cloning_keeps_the_network_to_start_from(data, fitted):
    clf = CNNClassifier(**FAST, warm_start_from=fitted, frozen_layers=1)
    assert clone(clf).warm_start_from is fitted
    assert np.isfinite(cross_val_score(clf, *data, cv=2)).all()


@pytest.mark.parametrize(
    "params, word",
    [
        ({"frozen_layers": ["conv7"]}, "conv7"),
        ({"frozen_layers": "conv1"}, "frozen_layers"),
        ({"frozen_layers": 4}, "no layer to train"),
        ({"frozen_layers": ["conv1", "conv2", "hidden", "output"]}, "no layer to train"),
        ({"warm_start_from": CNNClassifier()}, "no trained network"),
        ({"layer_lr": {"conv7": 0.1}}, "conv7"),
        ({"layer_lr": {"conv1": 0.0}}, "layer_lr has .*'conv1': 0.0.*frozen_layers"),
        ({"layer_lr": {"conv1": float("nan")}}, "layer_lr has"),
        ({"layer_lr": {"conv1": "slow"}}, "layer_lr has .*'slow'"),
        ({"layer_lr": -0.1}, "layer_lr"),
    ],
)
def test_impossible_starts_are_refused(data, params, word):
    with pytest.raises(ValueError, match=word):
        CNNClassifier(**FAST, **params).fit(*data)


def test_frozen_layers_that_could_not_be_copied_are_refused(data, fitted):
    params = {**FAST, "n_filters": 9, "warm_start_from": fitted, "frozen_layers": 1}
    with pytest.raises(ValueError, match=r"conv1.*other shapes"):
        CNNClassifier(**params).fit(*data)


def _rates(clf, key="lr"):
    """Learning rates and decays of the parameters of a net, by name."""
    names = {id(p): name for name, p in clf.net_.module_.named_parameters()}
    return {
        names[id(p)]: (group[key], group["weight_decay"])
        for group in clf.net_.optimizer_.param_groups
        for p in group["params"]
    }


def test_copied_layers_may_learn_more_slowly_than_the_new_output(data, fitted):
    X, y = data
    plain = {**FAST, "lr_schedule": None, "early_stopping": False, "weight_decay": 0.25}
    clf = CNNClassifier(**plain, lr=1e-3, warm_start_from=fitted, layer_lr=0.1).fit(X, y)
    assert clf.layer_lr_ == {"conv1": 0.1, "conv2": 0.1, "hidden": 0.1}
    rates = _rates(clf)
    assert set(rates) == {name for name, _ in clf.net_.module_.named_parameters()}
    for name, (lr, decay) in rates.items():
        assert lr == pytest.approx(1e-3 if name.startswith("output") else 1e-4)
        assert decay == (0.0 if name.endswith("bias") or ".norm." in name else 0.25)
    assert clf.history_[0]["lr"] == pytest.approx(1e-3)
    # Without a network to start from there is nothing that a single number is for.
    assert CNNClassifier(**FAST, layer_lr=0.1).fit(X, y).layer_lr_ == {}


@pytest.mark.parametrize("schedule", ["onecycle", "cosine", "plateau", None])
def test_every_schedule_keeps_the_ratio_of_the_rates(data, schedule):
    options = {**FAST, "lr_schedule": schedule, "early_stopping": False, "max_epochs": 2}
    clf = CNNClassifier(**options, layer_lr={"conv1": 0.01, "output": 2.0}).fit(*data)
    # A cosine ends at nothing: what it came down from is compared there.
    key = "initial_lr" if schedule == "cosine" else "lr"
    rates = {name: lr for name, (lr, _) in _rates(clf, key).items()}
    base = rates["conv2.columns.weight"]
    assert base > 0
    assert rates["conv1.columns.weight"] == pytest.approx(0.01 * base)
    assert rates["output.dense.weight"] == pytest.approx(2 * base)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_layer_moves_by_its_own_rate(data, fitted, optimizer):
    start = fitted.net_.module_.state_dict()["conv1.columns.weight"].clone()
    moved = []
    for factor in (1e-3, 1.0):
        clf = CNNClassifier(
            **{**FAST, "optimizer": optimizer, "max_epochs": 2, "weight_decay": 0.0},
            warm_start_from=fitted,
            layer_lr={"conv1": factor},
        ).fit(*data)
        after = clf.net_.module_.state_dict()["conv1.columns.weight"]
        moved.append(float((after - start).abs().max()))
    assert 0 < moved[0] < 1e-2 * moved[1]


def test_rates_of_layers_come_along_when_saved(data, fitted, tmp_path):
    clf = CNNClassifier(**FAST, warm_start_from=fitted, layer_lr=0.5).fit(*data)
    clf.save(tmp_path / "a.safetensors")
    twin = CNNClassifier.load(tmp_path / "a.safetensors")
    assert twin.layer_lr_ == clf.layer_lr_
    twin.partial_fit(*data)
    rates = _rates(twin)
    lr = rates["output.dense.weight"][0]
    assert rates["hidden.dense.weight"][0] == pytest.approx(0.5 * lr)


# ---- partial_fit ----


def test_partial_fit_learns_epoch_by_epoch():
    X, y = patterns(150)
    clf = CNNClassifier(**{**FAST, "lr": 5e-3})
    for _ in range(15):
        clf.partial_fit(X, y, classes=[0, 1, 2])
    assert clf.n_iter_ == 15 and [row["epoch"] for row in clf.history_] == list(range(1, 16))
    assert clf.score(*patterns(90, seed=1)) > 0.8


def test_partial_fit_goes_on_after_fit_and_after_pickling(data):
    X, y = data
    clf = CNNClassifier(**FAST).fit(X, y)
    again = pickle.loads(pickle.dumps(clf))
    n, before = clf.n_iter_, clf.predict_proba(X)
    clf.partial_fit(X, y)
    again.partial_fit(X, y)
    assert clf.n_iter_ == n + 1
    assert not np.array_equal(clf.predict_proba(X), before)
    assert np.array_equal(clf.predict_proba(X), again.predict_proba(X))


def test_frozen_layers_stay_frozen_in_partial_fit_after_pickling(data, fitted):
    clf = CNNClassifier(**FAST, warm_start_from=fitted, frozen_layers=2).fit(*data)
    again = pickle.loads(pickle.dumps(clf)).partial_fit(*data)
    old, new = fitted.net_.module_.state_dict(), again.net_.module_.state_dict()
    assert all(torch.equal(old[k], new[k]) for k in old if k.startswith("conv"))
    assert not torch.equal(old["hidden.dense.weight"], new["hidden.dense.weight"])


def test_partial_fit_may_see_classes_later(data):
    X, y = data
    clf = CNNClassifier(**FAST).partial_fit(X[y < 2], y[y < 2], classes=[0, 1, 2])
    assert clf.partial_fit(X[y == 2], y[y == 2]).predict_proba(X).shape == (len(X), 3)
    clf.partial_fit(X[:1], y[:1])  # a single sample has no spread, and must not break


def test_partial_fit_refuses_new_labels_and_new_classes(data):
    X, y = data
    clf = CNNClassifier(**FAST).partial_fit(X, y)
    with pytest.raises(ValueError, match=r"not seen before: \[7\]"):
        clf.partial_fit(X[:2], [0, 7])
    with pytest.raises(ValueError, match="classes"):
        clf.partial_fit(X, y, classes=[0, 1, 2, 3])
    with pytest.raises(ValueError, match="balanced"):
        CNNClassifier(**FAST, class_weight="balanced").partial_fit(X, y)


# ---- bad input ----


def test_one_class_is_refused(data):
    with pytest.raises(ValueError, match=r"1 class: \['jazz'\]"):
        CNNClassifier(**FAST).fit(data[0], np.full(len(data[0]), "jazz"))


def test_bad_samples_are_refused(data, fitted):
    X, y = data
    for bad in (np.nan, np.inf):
        spoilt = X.copy()
        spoilt[3, 1, 2, 2] = bad
        with pytest.raises(ValueError, match="X contains"):
            CNNClassifier(**FAST).fit(spoilt, y)
        with pytest.raises(ValueError, match="X contains"):
            fitted.predict(spoilt)
    with pytest.raises(ValueError, match=r"\(2, 8, 10\).*\(2, 8, 9\)"):
        fitted.predict(X[..., :-1])
    with pytest.raises(ValueError, match="infinite"):
        CNNClassifier(**FAST).fit(X.astype(np.float64) * 1e200, y)
    with pytest.raises(ValueError, match="outside the range"):
        fitted.predict(np.full((1, *X.shape[1:]), 1e300))


def test_bad_weights_and_validation_data_are_refused(data):
    X, y = data
    for bad in (-np.ones(len(y)), np.zeros(len(y)), np.ones((len(y), 2)), np.full(len(y), np.nan)):
        with pytest.raises(ValueError, match="sample_weight"):
            CNNClassifier(**FAST).fit(X, y, sample_weight=bad)
    with pytest.raises(ValueError, match=r"not seen before: \['x'\]"):
        CNNClassifier(**FAST).fit(X, y.astype(str), validation_data=(X[:2], ["0", "x"]))
    with pytest.raises(ValueError, match="validation_data"):
        CNNClassifier(**FAST).fit(X, y, validation_data=(X[:2], y[:3]))
    with pytest.raises(ValueError, match="samples of shape"):
        CNNClassifier(**FAST).fit(X, y, validation_data=(X[:2, :, 1:], y[:2]))
    with pytest.raises(ValueError, match=r"class_weight names \['rock'\]"):
        CNNClassifier(**FAST, class_weight={"rock": 2.0}).fit(X, y)


def test_divergence_is_an_error_not_a_result(data):
    params = {**FAST, "optimizer": "sgd", "recipe": "report", "lr": 1e30}
    with pytest.raises(ValueError, match=r"diverged.*smaller lr"):
        CNNClassifier(**params).fit(*data)


def test_ctrl_c_stops_the_program_and_not_only_the_training(data, monkeypatch):
    from skstrf.neural import training

    def interrupt(self, net, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(training.Divergence, "on_epoch_end", interrupt)
    with pytest.raises(KeyboardInterrupt):
        CNNClassifier(**FAST).fit(*data)


# ---- devices ----


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_an_absent_gpu_is_refused_and_auto_does_without(data, caplog):
    with pytest.raises(ValueError, match="device='cuda'"):
        CNNClassifier(**{**FAST, "device": "cuda"}).fit(*data)
    with caplog.at_level(logging.INFO, logger="skstrf"):
        clf = CNNClassifier(**{**FAST, "device": "auto"}).fit(*data)
    assert clf.device_ == "cpu" and "takes cpu" in caplog.text


def test_a_network_from_a_gpu_runs_without_one(data, fitted):
    state = fitted.__getstate__()
    state["device"] = state["device_"] = "cuda:63"
    moved = CNNClassifier.__new__(CNNClassifier)
    moved.__setstate__(state)
    expected = "cuda:63" if torch.cuda.is_available() else "cpu"
    assert moved.device_ == expected
    if expected == "cpu":
        assert np.array_equal(moved.predict_proba(data[0]), fitted.predict_proba(data[0]))


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_gpu_and_cpu_agree(data):
    X, y = data
    clf = CNNClassifier(**{**FAST, "device": "cuda"}).fit(X, y)
    state = clf.__getstate__()
    state["device"] = "cpu"
    moved = CNNClassifier.__new__(CNNClassifier)
    moved.__setstate__(state)
    assert moved.device_ == "cpu" and clf.device_ == "cuda"
    np.testing.assert_allclose(moved.predict_proba(X), clf.predict_proba(X), atol=1e-3)


@pytest.mark.slow
def test_compiled_network_learns_and_pickles():
    X, y = patterns(150)
    clf = CNNClassifier(**{**FAST, "max_epochs": 30, "lr": 1e-2}, compile=True)
    try:
        clf.fit(X, y)
    except RuntimeError as error:  # torch's compiler needs a C++ compiler
        pytest.skip(f"torch cannot compile here: {error}")
    assert clf.score(*patterns(90, seed=1)) > 0.8
    again = pickle.loads(pickle.dumps(clf))
    np.testing.assert_allclose(again.predict_proba(X), clf.predict_proba(X), atol=1e-5)


# ---- keeping ----


def test_state_is_plain_values_and_arrays(fitted):
    def plain(value):
        if isinstance(value, dict):
            return all(plain(v) for pair in value.items() for v in pair)
        if isinstance(value, list | tuple):
            return all(map(plain, value))
        return value is None or type(value) in (bool, int, float, str, np.ndarray)

    state = fitted.__getstate__()
    assert [name for name, value in state.items() if not plain(value)] == []
    assert "net_" not in state and hasattr(fitted, "net_")


@pytest.mark.parametrize("way", ["pickle", "joblib", "copy", "skops", "save"])
def test_every_way_of_keeping_gives_the_same_bits(data, fitted, tmp_path, way):
    X, _ = data
    if way == "pickle":
        again = pickle.loads(pickle.dumps(fitted))
    elif way == "joblib":
        joblib.dump(fitted, tmp_path / "a.joblib")
        again = joblib.load(tmp_path / "a.joblib")
    elif way == "copy":
        again = copy.deepcopy(fitted)
    elif way == "skops":
        dump = skops.io.dumps(fitted)
        assert skops.io.get_untrusted_types(data=dump) == [TYPE]
        again = skops.io.loads(dump, trusted=[TYPE])
    else:
        fitted.save(tmp_path / "a.safetensors")
        again = CNNClassifier.load(tmp_path / "a.safetensors")
    assert again is not fitted
    assert np.array_equal(again.predict_proba(X), fitted.predict_proba(X))
    assert np.array_equal(again.predict(X), fitted.predict(X))
    assert again.get_params() == fitted.get_params()
    assert again.history_ == fitted.history_
    assert clone(again).get_params() == fitted.get_params()


def test_a_pipeline_is_kept_by_skops_and_unfitted_ones_are_copied(data, fitted):
    pipeline = make_pipeline(FunctionTransformer(), fitted)
    dump = skops.io.dumps(pipeline)
    again = skops.io.loads(dump, trusted=skops.io.get_untrusted_types(data=dump))
    assert np.array_equal(again.predict(data[0]), pipeline.predict(data[0]))
    unfitted = pickle.loads(pickle.dumps(CNNClassifier(**FAST)))
    with pytest.raises(NotFittedError):
        unfitted.predict(data[0])
    with pytest.raises(NotFittedError):
        unfitted.save("never.safetensors")


def test_changing_parameters_after_fit_does_not_break_pickling(data, fitted):
    changed = copy.deepcopy(fitted).set_params(
        n_filters=99, kernel_sizes=(5,), frozen_layers=50, optimizer="none", device="moon"
    )
    again = pickle.loads(pickle.dumps(changed))
    assert np.array_equal(again.predict_proba(data[0]), fitted.predict_proba(data[0]))


def test_another_process_predicts_the_same(data, fitted, tmp_path):
    with open(tmp_path / "clf.pkl", "wb") as file:
        pickle.dump(fitted, file)
    fitted.save(tmp_path / "clf.safetensors")
    np.save(tmp_path / "X.npy", data[0])
    program = (
        "import pickle, numpy as np, torch; torch.set_num_threads(1)\n"
        "from skstrf.neural import CNNClassifier\n"
        "X = np.load('X.npy')\n"
        "np.save('a.npy', pickle.load(open('clf.pkl', 'rb')).predict_proba(X))\n"
        "np.save('b.npy', CNNClassifier.load('clf.safetensors').predict_proba(X))\n"
    )
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True)
    for name in ("a.npy", "b.npy"):
        assert np.array_equal(np.load(tmp_path / name), fitted.predict_proba(data[0]))


def test_importing_the_package_loads_no_torch():
    program = "import sys, skstrf.neural; assert not {'torch', 'skorch'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)


LABELS = [
    np.array(["a", "longer", "é"]),
    np.array([-3, 2**40, 7]),
    np.array([1, 5, 200], dtype=np.uint8),
    np.array([1.0, 2.0, 30.0]),
    np.array([1.0, 2.0, 3.0], dtype=np.float32),
    np.array(["x", "y", "z"], dtype=object),
    np.array([False, True]),
]


@pytest.mark.parametrize("labels", LABELS, ids=lambda labels: labels.dtype.str)
def test_labels_of_any_type_survive_the_file(data, tmp_path, labels):
    X, y = data
    y = labels[y % len(labels)]
    params = {**FAST, "max_epochs": 1, "class_weight": {labels[0]: 2.0}}
    clf = CNNClassifier(**params).fit(X, y)
    clf.save(tmp_path / "a.safetensors")
    again = CNNClassifier.load(tmp_path / "a.safetensors")
    assert again.classes_.dtype == clf.classes_.dtype == y.dtype
    assert again.classes_.tolist() == clf.classes_.tolist() == sorted(labels.tolist())
    assert again.predict(X).dtype == y.dtype
    assert again.class_weight == clf.class_weight


def test_saving_replaces_whole_or_not_at_all(data, fitted, tmp_path, monkeypatch):
    path = tmp_path / "a.safetensors"
    fitted.save(path)
    before = path.read_bytes()
    import os

    def fail(*args):
        raise OSError("no space left")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="no space"):
        CNNClassifier(**{**FAST, "random_state": 1}).fit(*data).save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def _rewrite(path, **changes):
    from safetensors import safe_open
    from safetensors.numpy import save_file

    with safe_open(path, framework="numpy") as file:
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    save_file(tensors, path, {**metadata, **changes})


def _damage(path, how):
    content = path.read_bytes()
    if how == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "text":
        path.write_text("not a model at all")
    elif how == "one bit":
        middle = len(content) - 100
        path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    elif how == "pickle":
        path.write_bytes(pickle.dumps({"a": 1}))
    elif how == "foreign":
        from safetensors.numpy import save_file

        save_file({"weight": np.zeros(3)}, path)
    elif how == "other version":
        _rewrite(path, version="2")
    elif how == "other settings":
        _rewrite(path, state="{}")


@pytest.mark.parametrize(
    "how",
    [
        "truncated",
        "empty",
        "text",
        "one bit",
        "pickle",
        "foreign",
        "other version",
        "other settings",
    ],
)
def test_files_that_are_no_model_are_refused_by_name(fitted, tmp_path, how):
    path = tmp_path / "model.safetensors"
    fitted.save(path)
    _damage(path, how)
    with pytest.raises(ValueError, match=r"model\.safetensors cannot be loaded.*[Ss]ave"):
        CNNClassifier.load(path)


@pytest.mark.parametrize("attribute", ["predict", "history_", "n_filters"])
def test_a_file_with_other_attributes_than_ours_is_refused(fitted, tmp_path, attribute):
    from skstrf.neural.storage import write_network

    state = fitted.__getstate__()
    weights = state.pop("_weights")
    if attribute in state:
        del state[attribute]
    else:
        state[attribute] = "evil"
    write_network(tmp_path / "a.safetensors", state, weights)
    with pytest.raises(ValueError, match=f"other settings.*{attribute}"):
        CNNClassifier.load(tmp_path / "a.safetensors")


def test_weights_of_another_architecture_are_refused(fitted, tmp_path):
    from skstrf.neural.storage import write_network

    state = fitted.__getstate__()
    weights = state.pop("_weights")
    weights["hidden.dense.bias"] = np.zeros(3, dtype=np.float32)
    write_network(tmp_path / "a.safetensors", state, weights)
    with pytest.raises(ValueError, match=r"hidden\.dense\.bias"):
        CNNClassifier.load(tmp_path / "a.safetensors")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.safetensors"):
        CNNClassifier.load(tmp_path / "none.safetensors")


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
