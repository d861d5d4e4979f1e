"""Comparisons of reductions and classifiers, and the cache of finished parts."""

import numpy as np
import pytest

from skstrf.caching.results import ResultCache
from skstrf.experiments import run_comparison
from skstrf.experiments._base import _divide_times
from skstrf.inspection import ComparisonDisplay
from skstrf.neural import SeparableNetwork


def test_reduction_compares_every_way(noises, make_small_pipeline):
    from sklearn.decomposition import PCA
    from sklearn.pipeline import Pipeline

    from skstrf import MPCA, ChannelSelector
    from skstrf.experiments._evaluation import Flatten, linear_classifier
    from skstrf.experiments.comparison import make_reduction_comparison

    _, space = make_reduction_comparison(duration=0.4)
    kinds = [type(way) for way in space["mpca"].values()]
    assert kinds == [str, *[MPCA] * 6, ChannelSelector, Pipeline, Pipeline]
    ways = ["passthrough", MPCA(0.9), ChannelSelector(k=1, cv=2)]
    ways.append(Pipeline([("flat", Flatten()), ("pca", PCA(0.9))]))
    pipeline = make_small_pipeline().set_params(scaler="passthrough", cnn=linear_classifier())
    results = run_comparison(*noises, pipeline, {"mpca": ways}, cv=3, n_seeds=2)
    none, mpca, best, pca = results.rows
    assert none["dimension"] == np.prod(results.tensor_shape)
    assert best["dimension"] == none["dimension"] / 2
    assert none["kept"] is None and best["kept"] is None
    assert 0.7 < mpca["kept"] <= 1
    assert 0.9 <= pca["kept"] <= 1
    assert all(len(row["accuracy"]["values"]) == 6 for row in results.rows)
    assert none["accuracy"]["mean"] > results.chance
    display = ComparisonDisplay.from_results(results)
    assert len(display.ax_.get_yticklabels()) == 4
    with pytest.raises(ValueError, match="empty"):
        run_comparison(*noises, pipeline, {})
    grids = [{"mpca": [MPCA(0.9)]}, {"mpca": {"": "passthrough"}, "scaler": {"bare": None}}]
    results = run_comparison(*noises, pipeline, grids, cv=3, n_seeds=1)
    assert [row["name"] for row in results.rows] == ["MPCA(n_components=0.9)", "bare"]
    assert results.rows[1]["dimension"] == none["dimension"]
    with pytest.raises(ValueError, match="empty"):
        run_comparison(*noises, pipeline, [{}])


def test_networks_of_the_genres_learn_from_the_same_tensors():
    from skstrf import STRFTransformer
    from skstrf.experiments._evaluation import divide_pipeline
    from skstrf.experiments.comparison import make_genre_comparison

    pipeline, (behind_mpca, whole) = make_genre_comparison(duration=1.0, max_epochs=3)
    head, tail = divide_pipeline(pipeline)
    assert list(tail.named_steps) == ["scaler", "mpca", "cnn"]
    sounds = 0.1 * np.random.default_rng(0).standard_normal((2, 16000)).astype(np.float32)
    magnitudes = head["strf"].fit_transform(sounds)
    np.testing.assert_allclose(
        tail["scaler"].fit_transform(magnitudes),
        STRFTransformer().fit_transform(sounds),
        atol=1e-4,
    )
    networks = [*behind_mpca["cnn"].values(), *whole["cnn"].values()]
    assert [getattr(network, "max_epochs", None) for network in networks] == [3, 3, None, 3]
    assert [network.lr for network in networks[:2]] == [1e-3, 5e-3]
    assert networks[0].network.batch_norm is False and networks[1].network is None
    assert isinstance(networks[3].network, SeparableNetwork)


def test_averaged_networks():
    from skstrf import CNNClassifier
    from skstrf.experiments import make_separable_pipeline

    sounds = np.random.default_rng(0).standard_normal((8, 8000)).astype(np.float32)
    sounds[::2] = np.cumsum(sounds[::2], axis=1) / 30
    y = np.tile(["brown", "white"], 4)
    options = {"network__n_filters": 4, "max_epochs": 2, "random_state": 5}
    three = make_separable_pipeline(n_networks=3, **options).fit(sounds, y)
    ones = [
        make_separable_pipeline(n_networks=1, **{**options, "random_state": seed}).fit(sounds, y)
        for seed in (5, 6, 7)
    ]
    assert isinstance(ones[0][-1], CNNClassifier)
    probabilities = [one.predict_proba(sounds) for one in ones]
    np.testing.assert_allclose(
        three.predict_proba(sounds), np.mean(probabilities, axis=0), atol=1e-6
    )
    assert np.ptp(probabilities, axis=0).max() > 1e-3
    with pytest.raises(ValueError, match="n_networks=0"):
        make_separable_pipeline(n_networks=0)


def test_parts_of_other_settings_are_not_taken(tmp_path):
    first = ResultCache(tmp_path, lambda: {"seed": 0}).get("a", lambda: 1)
    assert ResultCache(tmp_path, lambda: {"seed": 1}).get("a", lambda: 2) == 2
    assert ResultCache(tmp_path, lambda: {"seed": 0}).get("a", lambda: 3) == first
    assert ResultCache(None, dict).get("a", lambda: 4) == 4


def test_times_are_taken_out():
    found, times = _divide_times({"a": [{"b": 1}, {"b": 2, "seconds": 3}], "c": {}})
    assert found == {"a": [{"b": 1}, {"b": 2}], "c": {}}
    assert times == {"a": [{}, {"seconds": 3}]}
