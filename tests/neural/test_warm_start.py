"""CNNClassifier that starts from another network, or goes on from where it was."""

import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import cross_val_score

from skstrf.model_io import load_model, save_model
from skstrf.neural import CNNClassifier
from tests.neural.small_networks import FAST, classifier, patterns

# ---- other networks as a start ----


def test_frozen_layers_stay_bit_equal_and_the_rest_learns(data, fitted):
    X, y = data
    start = {k: v.clone() for k, v in fitted.net_.module_.state_dict().items()}
    clf = classifier(**FAST, warm_start_from=fitted, frozen_layers=2).fit(X, y % 2)
    after = clf.net_.module_.state_dict()
    frozen = [k for k in start if k.startswith(("conv", "standardize"))]
    assert len(frozen) > 6 and all(torch.equal(start[k], after[k]) for k in frozen)
    assert not torch.equal(start["hidden.dense.weight"], after["hidden.dense.weight"])
    assert after["output.dense.weight"].shape[0] == 2


def test_warm_start_begins_where_the_other_ended(data, tmp_path):
    X, y = data
    # So small a rate moves nothing: what comes out is what was copied.
    still = {
        **FAST,
        "max_epochs": 1,
        "lr": 1e-12,
        "weight_decay": 0.0,
        "network__batch_norm": False,
    }
    source = classifier(**{**FAST, "network__batch_norm": False}).fit(X, y)
    save_model(source, tmp_path / "b.skops")
    x = torch.from_numpy(X)
    expected = source.net_.module_.activations(x, ["hidden"])["hidden"]
    for start in (source, FrozenEstimator(source), tmp_path / "b.skops"):
        clf = classifier(**still, warm_start_from=start).fit(X, y)
        found = clf.net_.module_.eval().activations(x, ["hidden"])["hidden"]
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_layers_may_be_frozen_by_name(data, fitted):
    clf = classifier(**FAST, warm_start_from=fitted, frozen_layers=["conv2"]).fit(*data)
    old, new = fitted.net_.module_.state_dict(), clf.net_.module_.state_dict()
    assert torch.equal(old["conv2.columns.weight"], new["conv2.columns.weight"])
    assert not torch.equal(old["conv1.columns.weight"], new["conv1.columns.weight"])


def test_cloning_keeps_the_network_to_start_from(data, fitted):
    clf = classifier(**FAST, warm_start_from=fitted, frozen_layers=1)
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
        classifier(**FAST, **params).fit(*data)


def test_frozen_layers_that_could_not_be_copied_are_refused(data, fitted):
    params = {**FAST, "network__n_filters": 9, "warm_start_from": fitted, "frozen_layers": 1}
    with pytest.raises(ValueError, match=r"conv1.*other shapes"):
        classifier(**params).fit(*data)


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
    clf = classifier(**plain, lr=1e-3, warm_start_from=fitted, layer_lr=0.1).fit(X, y)
    assert clf.layer_lr_ == {"conv1": 0.1, "conv2": 0.1, "hidden": 0.1}
    rates = _rates(clf)
    assert set(rates) == {name for name, _ in clf.net_.module_.named_parameters()}
    for name, (lr, decay) in rates.items():
        assert lr == pytest.approx(1e-3 if name.startswith("output") else 1e-4)
        assert decay == (0.0 if name.endswith("bias") or ".norm." in name else 0.25)
    assert clf.history_[0]["lr"] == pytest.approx(1e-3)
    # Without a network to start from there is nothing that a single number is for.
    assert classifier(**FAST, layer_lr=0.1).fit(X, y).layer_lr_ == {}


@pytest.mark.parametrize("schedule", ["onecycle", "cosine", "plateau", None])
def test_every_schedule_keeps_the_ratio_of_the_rates(data, schedule):
    options = {**FAST, "lr_schedule": schedule, "early_stopping": False, "max_epochs": 2}
    clf = classifier(**options, layer_lr={"conv1": 0.01, "output": 2.0}).fit(*data)
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
        clf = classifier(
            **{**FAST, "optimizer": optimizer, "max_epochs": 2, "weight_decay": 0.0},
            warm_start_from=fitted,
            layer_lr={"conv1": factor},
        ).fit(*data)
        after = clf.net_.module_.state_dict()["conv1.columns.weight"]
        moved.append(float((after - start).abs().max()))
    assert 0 < moved[0] < 1e-2 * moved[1]


def test_rates_of_layers_come_along_when_saved(data, fitted, tmp_path):
    clf = classifier(**FAST, warm_start_from=fitted, layer_lr=0.5).fit(*data)
    save_model(clf, tmp_path / "a.skops")
    twin = load_model(tmp_path / "a.skops")
    assert clf.warm_start_from is fitted and twin.warm_start_from is None
    assert twin.layer_lr_ == clf.layer_lr_
    twin.partial_fit(*data)
    rates = _rates(twin)
    lr = rates["output.dense.weight"][0]
    assert rates["hidden.dense.weight"][0] == pytest.approx(0.5 * lr)


# ---- partial_fit ----


def test_partial_fit_learns_epoch_by_epoch():
    X, y = patterns(150)
    clf = classifier(**{**FAST, "lr": 5e-3})
    for _ in range(15):
        clf.partial_fit(X, y, classes=[0, 1, 2])
    assert clf.n_iter_ == 15 and [row["epoch"] for row in clf.history_] == list(range(1, 16))
    assert clf.score(*patterns(90, seed=1)) > 0.8


def test_partial_fit_goes_on_after_fit_and_after_pickling(data):
    X, y = data
    clf = classifier(**FAST).fit(X, y)
    again = pickle.loads(pickle.dumps(clf))
    n, before = clf.n_iter_, clf.predict_proba(X)
    clf.partial_fit(X, y)
    again.partial_fit(X, y)
    assert clf.n_iter_ == n + 1
    assert not np.array_equal(clf.predict_proba(X), before)
    assert np.array_equal(clf.predict_proba(X), again.predict_proba(X))


def test_frozen_layers_stay_frozen_in_partial_fit_after_pickling(data, fitted):
    clf = classifier(**FAST, warm_start_from=fitted, frozen_layers=2).fit(*data)
    again = pickle.loads(pickle.dumps(clf)).partial_fit(*data)
    old, new = fitted.net_.module_.state_dict(), again.net_.module_.state_dict()
    assert all(torch.equal(old[k], new[k]) for k in old if k.startswith("conv"))
    assert not torch.equal(old["hidden.dense.weight"], new["hidden.dense.weight"])


def test_partial_fit_may_see_classes_later(data):
    X, y = data
    clf = classifier(**FAST).partial_fit(X[y < 2], y[y < 2], classes=[0, 1, 2])
    assert clf.partial_fit(X[y == 2], y[y == 2]).predict_proba(X).shape == (len(X), 3)
    clf.partial_fit(X[:1], y[:1])  # a single sample has no spread, and must not break


def test_partial_fit_refuses_new_labels_and_new_classes(data):
    X, y = data
    clf = classifier(**FAST).partial_fit(X, y)
    with pytest.raises(ValueError, match=r"not seen before: \[7\]"):
        clf.partial_fit(X[:2], [0, 7])
    with pytest.raises(ValueError, match="classes"):
        clf.partial_fit(X, y, classes=[0, 1, 2, 3])
    with pytest.raises(ValueError, match="balanced"):
        classifier(**FAST, class_weight="balanced").partial_fit(X, y)
