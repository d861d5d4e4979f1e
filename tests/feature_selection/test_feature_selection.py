"""channel_scores and ChannelSelector, on tensors where known channels carry the class."""

from pathlib import Path

import joblib
import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import AdaBoostClassifier, BaggingClassifier
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    PredefinedSplit,
    ShuffleSplit,
    StratifiedKFold,
    cross_val_score,
)
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skstrf import MPCA, ChannelSelector, CNNClassifier, channel_scores
from skstrf.feature_selection import ChannelScores
from skstrf.neural import ConvolutionalNetwork

SHAPE = (3, 4, 5, 6)
CARRIERS = [(0, 1), (2, 3)]


def make_data(n=60, strength=1.5, carriers=CARRIERS, n_classes=2, seed=0, dtype=np.float32):
    """Noise, and in the carriers a pattern of each class at one place of the channel."""
    random = np.random.default_rng(seed)
    X = random.standard_normal((n, *SHAPE)).astype(dtype)
    y = np.arange(n) % n_classes
    for scale, rate in carriers:
        X[np.arange(n), scale, rate, y, :] += strength
    return X, np.array(["bow", "pluck", "blow"])[y]


@pytest.fixture(scope="module")
def data():
    return make_data()


@pytest.fixture(scope="module")
def scores(data):
    return channel_scores(None, *data)


# ---------------------------------------------------------------------- scores


def test_the_carriers_score_and_the_others_do_not(scores):
    assert {tuple(place) for place in scores.best(2)} == set(CARRIERS)
    carried = np.array([scores.mean[place] for place in CARRIERS])
    assert carried.min() > 0.9
    noise = np.delete(scores.mean.ravel(), [np.ravel_multi_index(c, (3, 4)) for c in CARRIERS])
    # Ten channels of chance alone, 60 samples each: a mean of .5 and a deviation of .065.
    assert 0.38 < noise.mean() < 0.62 and noise.max() < 0.75
    assert scores.chance == 0.5


def test_scores_are_those_of_cross_validating_each_channel_by_hand(data, scores):
    X, y = data
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    for scale, rate in [(0, 1), (1, 0), (2, 2)]:
        flat = X[:, scale, rate].reshape(len(X), -1)
        expected = cross_val_score(model, flat, y, cv=StratifiedKFold(5))
        np.testing.assert_array_equal(scores.folds[scale, rate], expected)
        np.testing.assert_allclose(scores.mean[scale, rate], expected.mean())
        np.testing.assert_allclose(scores.std[scale, rate], expected.std())
    mean, std = scores
    assert mean.shape == std.shape == (3, 4) and scores.folds.shape == (3, 4, 5)


def test_standard_error_is_the_corrected_one(scores):
    np.testing.assert_allclose(scores.test_share, 0.25)
    expected = np.sqrt((1 / 5 + 0.25) * scores.folds.var(axis=-1, ddof=1))
    np.testing.assert_allclose(scores.standard_error, expected)
    assert np.isnan(ChannelScores(np.ones((2, 2, 1)), 0.5, 1.0).standard_error).all()


def test_scores_do_not_depend_on_the_number_of_workers(data, scores):
    X, y = data
    found = channel_scores(None, X[:, :2, :2], y, n_jobs=2)
    np.testing.assert_array_equal(found.folds, scores.folds[:2, :2])


@pytest.mark.parametrize(
    "model",
    [
        BaggingClassifier(n_estimators=2, random_state=0),
        AdaBoostClassifier(n_estimators=2, random_state=0),
        CalibratedClassifierCV(cv=2),
        GridSearchCV(make_pipeline("passthrough", RidgeClassifier()), {}, cv=2),
    ],
    ids=lambda model: type(model).__name__,
)
def test_estimators_with_a_default_inside_get_features(data, model):
    X, y = data
    found = channel_scores(model, X[:, :1, :2], y, cv=2)
    flat = X[:, 0, 1].reshape(len(X), -1)
    expected = cross_val_score(clone(model), flat, y, cv=StratifiedKFold(2))
    np.testing.assert_array_equal(found.folds[0, 1], expected)


def test_order_of_channels_carries_over(data, scores):
    X, y = data
    found = channel_scores(None, X[:, 1::-1, [2, 0, 3]], y)
    np.testing.assert_array_equal(found.folds, scores.folds[1::-1][:, [2, 0, 3]])


def test_types_of_data(data, scores, tmp_path):
    X, y = data
    X = X[:, :1, :2]
    np.save(tmp_path / "x.npy", X)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    for other in (torch.from_numpy(X), mapped, X.tolist()):
        found = channel_scores(None, other, y)
        np.testing.assert_allclose(found.mean, scores.mean[:1, :2], atol=0.05)


def test_cv_groups_and_scoring_are_respected(data):
    X, y = data
    groups = np.repeat(np.arange(6), 10)
    seen = []

    def score(model, channel, labels):
        seen.append(len(labels))
        return model.score(channel, labels)

    found = channel_scores(RidgeClassifier(), X, y, cv=GroupKFold(3), groups=groups, scoring=score)
    assert found.folds.shape[-1] == 3 and set(seen) == {20}
    predefined = PredefinedSplit(np.where(np.arange(60) < 15, 0, -1))
    one = channel_scores(RidgeClassifier(), X, y, cv=predefined)
    assert one.folds.shape[-1] == 1 and one.test_share == 15 / 45
    auc = channel_scores(LogisticRegression(), X[:, :1, :2], y, scoring="roc_auc")
    assert auc.chance == 0.5 and auc.mean[0, 1] > 0.95


def test_groups_without_cv_stay_together():
    """Where each group has a pattern of its own, only honest folds find that it does not help."""
    X, y = make_data(carriers=[])
    groups = np.arange(60) // 2 % 15
    y = np.array(["a", "b"])[groups % 2]
    X[np.arange(60), 1, 1, groups % 5, groups % 6] += 9
    knn = KNeighborsClassifier(1)
    leaking = channel_scores(knn, X, y).mean[1, 1]
    honest = channel_scores(knn, X, y, groups=groups).mean[1, 1]
    assert leaking > honest + 0.2


def test_chance_is_that_of_the_most_frequent_class():
    X, _ = make_data()
    y = np.repeat(["a", "b", "c"], [40, 10, 10])
    assert abs(channel_scores(RidgeClassifier(), X, y).chance - 40 / 60) < 1e-12


def test_small_classes_get_fewer_folds():
    X, _ = make_data(20)
    y = np.repeat(["a", "b"], [17, 3])
    assert channel_scores(RidgeClassifier(), X, y).folds.shape[-1] == 3


def test_networks_get_images_and_others_get_rows(data):
    X, y = data
    shapes = []

    class Spy(KNeighborsClassifier):
        def fit(self, X, y):
            shapes.append(X.shape)
            return super().fit(X, y)

    channel_scores(Spy(), X[:, :1, :1], y, cv=2)
    channel_scores(make_pipeline(Spy()), X[:, :1, :1], y, cv=2)
    assert set(shapes) == {(30, 30)}
    reduced = make_pipeline(MPCA((2, 3), vectorize=True), Spy())
    shapes.clear()
    channel_scores(reduced, X[:, :1, :1], y, cv=2)
    assert set(shapes) == {(30, 6)}
    layers = ConvolutionalNetwork(n_filters=4, n_hidden=8)
    network = CNNClassifier(layers, max_epochs=3, random_state=0)
    found = channel_scores(network, X[:, :1, :2], y, cv=2)
    again = channel_scores(network, X[:, :1, :2], y, cv=2)
    np.testing.assert_array_equal(found.folds, again.folds)
    assert np.isfinite(found.mean).all()


def test_a_search_can_be_scored(data):
    X, y = data
    search = GridSearchCV(RidgeClassifier(), {"alpha": [1.0, 10.0]}, cv=2)
    assert channel_scores(search, X[:, :1], y, cv=2).best(1).tolist() == [[0, 1]]


# ---------------------------------------------------------------------- memory


class Counting(RidgeClassifier):
    """Writes a line for every fit, and fails once `allowed` are reached."""

    def __init__(self, log=None, alpha=1.0):
        super().__init__(alpha=alpha)
        self.log = log

    def fit(self, X, y):
        with open(self.log, "a") as file:
            file.write("x")
        log, limit = Path(self.log), Path(self.log + ".limit")
        if limit.exists() and log.stat().st_size > int(limit.read_text()):
            raise KeyboardInterrupt
        return super().fit(X, y)


def test_work_that_was_interrupted_goes_on(data, tmp_path):
    X, y = data
    log = tmp_path / "log"
    (tmp_path / "log.limit").write_text("11")
    model = Counting(str(log))
    with pytest.raises(KeyboardInterrupt):
        channel_scores(model, X, y, cv=2, memory=tmp_path / "memory")
    (tmp_path / "log.limit").unlink()
    assert log.stat().st_size == 12  # five channels, and half of the sixth
    found = channel_scores(model, X, y, cv=2, memory=tmp_path / "memory")
    assert log.stat().st_size == 12 + 2 * 7
    memory = joblib.Memory(str(tmp_path / "memory"), verbose=0)
    again = channel_scores(model, X, y, cv=2, memory=memory)
    assert log.stat().st_size == 12 + 2 * 7
    np.testing.assert_array_equal(found.folds, again.folds)
    np.testing.assert_array_equal(found.folds, channel_scores(model, X, y, cv=2).folds)


def test_memory_is_not_mistaken(data, tmp_path):
    X, y = data
    X = X[:, :2, :2]
    memory = tmp_path / "memory"
    first = channel_scores(RidgeClassifier(), X, y, memory=memory)
    changed = X.copy()
    changed[:, 1, 1] = changed[:, 0, 1]
    for other, labels, model, settings in [
        (changed, y, RidgeClassifier(), {}),
        (X, np.random.default_rng(0).permutation(y), RidgeClassifier(), {}),
        (X, y, RidgeClassifier(alpha=1e4), {}),
        (X, y, RidgeClassifier(), {"cv": 3}),
        (X, y, RidgeClassifier(), {"scoring": "f1_macro"}),
    ]:
        found = channel_scores(model, other, labels, memory=memory, **settings)
        fresh = channel_scores(model, other, labels, **settings)
        np.testing.assert_array_equal(found.folds, fresh.folds)
        assert found.folds.shape != first.folds.shape or (found.folds != first.folds).any()


def test_workers_share_the_memory(data, tmp_path):
    X, y = data
    model, log = Counting(str(tmp_path / "log")), tmp_path / "log"
    channel_scores(model, X, y, cv=2, memory=tmp_path / "m", n_jobs=2)
    assert log.stat().st_size == 24
    channel_scores(model, X, y, cv=2, memory=tmp_path / "m")
    assert log.stat().st_size == 24


# ---------------------------------------------------------------------- bad input


def nan_data():
    X, y = make_data()
    X[3, 1, 1, 1, 1] = np.nan
    return X, y


@pytest.mark.parametrize(
    ("X", "y", "match"),
    [
        (np.ones((6, 4)), np.arange(6) % 2, r"shape \(6, 4\): expected \(n_samples, n_scales"),
        (np.ones((6, 0, 3, 2)), np.arange(6) % 2, "without empty axes"),
        (np.ones((6, 2, 2)), np.arange(5) % 2, "inconsistent numbers of samples"),
        (np.ones((6, 2, 2)), np.zeros(6), "y has 1 class"),
        (np.ones((6, 2, 2)), np.linspace(0, 1, 6), "Unknown label type: continuous"),
        (*nan_data(), "X contains NaN"),
        (np.full((6, 2, 2), "a"), np.arange(6) % 2, "could not convert"),
    ],
)
def test_data_that_cannot_be_scored(X, y, match):
    with pytest.raises(ValueError, match=match):
        channel_scores(None, X, y)


def test_scores_that_are_not_defined_are_refused(data):
    X, y = data
    with pytest.raises(ValueError, match="choose a score that is defined"):
        channel_scores(RidgeClassifier(), X, y, cv=2, scoring=lambda *_: float("nan"))
    with pytest.raises(ValueError, match="'estimator' parameter"):
        channel_scores("ridge", X, y)


# ---------------------------------------------------------------------- selector


def test_the_carriers_are_kept_in_the_order_of_the_data(data):
    X, y = data
    selector = ChannelSelector(k=2).fit(X, y)
    assert selector.channels_.tolist() == [[0, 1], [2, 3]]
    assert selector.mask_.shape == (3, 4) and selector.mask_.sum() == 2
    out = selector.transform(X)
    assert out.shape == (60, 2, 5, 6) and out.dtype == np.float32
    np.testing.assert_array_equal(out[:, 0], X[:, 0, 1])
    np.testing.assert_array_equal(out[:, 1], X[:, 2, 3])
    assert not np.shares_memory(out, X)
    tensor = selector.transform(torch.from_numpy(X))
    np.testing.assert_array_equal(tensor.numpy(), out)


def test_inverse_puts_channels_back(data):
    X, y = data
    selector = ChannelSelector(RidgeClassifier(), k=2).fit(X, y)
    whole = selector.inverse_transform(selector.transform(X))
    np.testing.assert_array_equal(whole[:, selector.mask_], X[:, selector.mask_])
    assert not whole[:, ~selector.mask_].any() and whole.dtype == np.float32
    tensor = selector.inverse_transform(torch.from_numpy(selector.transform(X)))
    np.testing.assert_array_equal(tensor.numpy(), whole)
    with pytest.raises(ValueError, match=r"transform gives \(2, 5, 6\)"):
        selector.inverse_transform(X[:, 0])


def test_k(data):
    X, y = data
    fast = RidgeClassifier()
    assert ChannelSelector(fast, k="all", cv=2).fit(X, y).mask_.all()
    with pytest.warns(UserWarning, match="k=13 is more than the 12 channels"):
        assert ChannelSelector(fast, k=13, cv=2).fit(X, y).mask_.all()
    for bad in (0, 2.5, "best"):
        with pytest.raises(ValueError, match="'k' parameter"):
            ChannelSelector(fast, k=bad).fit(X, y)
    with pytest.raises(ValueError, match="requires y"):
        ChannelSelector(fast).fit(X, None)


def test_two_axes_are_channels_of_one_feature(data):
    random = np.random.default_rng(0)
    X = random.standard_normal((60, 5))
    y = (X[:, 3] > 0).astype(int)
    selector = ChannelSelector(k=1).fit(X, y)
    assert selector.mask_.tolist() == [False, False, False, True, False]
    np.testing.assert_array_equal(selector.transform(X), X[:, [3]])


def test_selection_inside_a_pipeline_is_honest():
    """Labels of chance: selecting outside the folds finds something, inside it does not."""
    X = np.random.default_rng(3).standard_normal((40, 4, 25))
    y = np.random.default_rng(4).permutation(np.arange(40) % 2)
    select = ChannelSelector(RidgeClassifier(), k=5, cv=2)
    cv = StratifiedKFold(3, shuffle=True, random_state=0)
    honest = cross_val_score(make_pipeline(select, RidgeClassifier()), X, y, cv=cv).mean()
    outside = cross_val_score(RidgeClassifier(), select.fit_transform(X, y), y, cv=cv).mean()
    assert outside > honest + 0.15


def test_it_works_with_mpca_and_a_network(data):
    X, y = data
    model = make_pipeline(
        ChannelSelector(RidgeClassifier(), k=2),
        MPCA((2, 4, 4)),
        CNNClassifier(
            ConvolutionalNetwork(n_filters=4, n_hidden=8), max_epochs=30, random_state=0
        ),
    )
    assert model.fit(X, y).score(X, y) > 0.9
    search = GridSearchCV(
        make_pipeline(
            ChannelSelector(RidgeClassifier()),
            MPCA((1, 5, 6), vectorize=True),
            clone(RidgeClassifier()),
        ),
        {"channelselector__k": [1, 2]},
        cv=ShuffleSplit(1, random_state=0),
    )
    assert search.fit(X, y).best_estimator_[0].mask_[0, 1]


def test_groups_reach_the_folds(data):
    X, y = data
    groups = np.repeat(np.arange(6), 10)
    model = make_pipeline(
        ChannelSelector(RidgeClassifier(), k=2, cv=GroupKFold(3)),
        MPCA((2, 2, 2), vectorize=True),
        RidgeClassifier(),
    )
    model.fit(X, y, channelselector__groups=groups)
    expected = channel_scores(RidgeClassifier(), X, y, cv=GroupKFold(3), groups=groups)
    np.testing.assert_array_equal(model[0].scores_.folds, expected.folds)
    with pytest.raises(ValueError, match="groups"):
        model.fit(X, y)
