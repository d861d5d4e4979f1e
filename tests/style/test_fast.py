"""One network learns several styles, mixes them, and keeps what StyleTransfer keeps."""

import copy
import pickle

import dask.array as da
import numpy as np
import pytest
import torch
from sklearn.base import clone

from skstrf import ChromaTransformer, FastStyleTransfer
from skstrf.style import log_stft
from skstrf.style.fast import StyleNetwork

RATE = 8000  # of the sounds in conftest.py


@pytest.fixture(scope="module")
def sounds(clicks, hiss):
    """Two styles, low and high noise."""
    high = hiss * np.cos(np.pi * np.arange(RATE))
    return np.stack([hiss, high]).astype(np.float32)


def untrained():
    return FastStyleTransfer(
        log_stft(RATE),
        max_iter=200,
        n_hidden=32,
        n_blocks=2,
        batch_size=2,
        crop_duration=0.5,
        lr=5e-3,
        random_state=0,
    )


@pytest.fixture
def fast():
    return untrained()


@pytest.fixture(scope="module")
def trained(sounds, clicks):
    contents = np.stack([clicks, clicks[::-1]])
    return untrained().fit(sounds, ["low", "high"], contents=contents)


@pytest.fixture
def fitted(trained):
    return copy.deepcopy(trained)


def gram(fitted, style, clicks):
    fitted.set_params(style=style)
    return fitted.score_table(clicks[None])["gram_distance"]


def test_each_style_comes_nearer_and_mixtures_lie_between(fitted, clicks):
    assert fitted.classes_.tolist() == ["high", "low"]
    tops = {}
    for style in ("low", "high"):
        distance = gram(fitted, style, clicks)
        assert distance["result"][0] < 0.6 * distance["content"][0]
        tops[style] = high_share(fitted.transform(clicks[None])[0])
    assert fitted.score(clicks[None]) > 0
    mixed = high_share(fitted.set_params(style={"low": 1, "high": 1}).transform(clicks[None])[0])
    assert tops["low"] < mixed < tops["high"]
    losses = [values["style"] for values in fitted.history_]
    assert np.mean(losses[-50:]) < 0.5 * np.mean(losses[:50])


def high_share(x):
    power = np.abs(np.fft.rfft(x)) ** 2
    return power[len(power) // 2 :].sum() / power.sum()


def test_weights_count_by_their_ratio(fitted, clicks):
    one = fitted.set_params(style={"low": 1, "high": 3}).transform(clicks[None])
    np.testing.assert_allclose(
        fitted.set_params(style={"low": 10, "high": 30}).transform(clicks[None]), one, atol=1e-6
    )
    np.testing.assert_array_equal(
        fitted.set_params(style=None).transform(clicks[None]),
        fitted.set_params(style="high").transform(clicks[None]),
    )


def test_level_length_channels_kind_and_pickle(fitted, clicks):
    stereo = 0.05 * np.stack([clicks, 0.5 * clicks])[None].astype(np.float32)
    result = fitted.transform(stereo)
    assert result.shape == stereo.shape
    assert result.dtype == np.float32
    assert result.std() == pytest.approx(stereo.std(), rel=1e-2)
    np.testing.assert_array_equal(fitted.transform(torch.from_numpy(stereo)).numpy(), result)
    lazy = fitted.transform(da.from_array(stereo, chunks=(1, 2, 4000)))
    np.testing.assert_array_equal(lazy.compute(scheduler="synchronous"), result)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(fitted)).transform(stereo), result)


def test_long_sounds_go_block_by_block(fitted, clicks):
    long = np.tile(clicks, 3)[None]
    parts = fitted.set_params(block_duration=1.0).transform(long)
    assert parts.shape == long.shape
    # Four decays a second: no stretch of their length is lost or doubled at a join.
    levels = np.sqrt(np.square(parts).reshape(-1, RATE // 4).mean(axis=1))
    assert levels.min() > 0.6 * np.median(levels)
    assert levels.max() < 1.6 * np.median(levels)


def test_untrained_network_changes_nothing():
    network = StyleNetwork(128, 3, n_hidden=4).initialize(torch.Generator().manual_seed(0))
    x = torch.randn(2, 1001, generator=torch.Generator().manual_seed(1))
    weights = torch.tensor([[1.0, 0, 0], [0.2, 0.3, 0.5]])
    torch.testing.assert_close(network(x, weights), x, atol=1e-4, rtol=1e-4)


def test_same_seed_same_bits_and_every_iteration_is_told(fast, sounds):
    told = []
    fast.set_params(max_iter=3, callback=told.append)
    first = fast.fit(sounds).transform(sounds)
    assert [t["iteration"] for t in told] == [0, 1, 2]
    assert told == fast.history_
    np.testing.assert_array_equal(clone(fast).fit(sounds).transform(sounds), first)
    other = clone(fast).set_params(random_state=1).fit(sounds).transform(sounds)
    assert not np.array_equal(other, first)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"style": "middle"}, r"among the styles \[0, 1\]"),
        ({"style": {0: 0.0}}, "one must be above 0"),
        ({"style": {0: -1.0, 1: 2.0}}, "must not be negative"),
        ({"content_weight": 0, "style_weight": 0}, "both be 0"),
        ({"representation": ChromaTransformer()}, "differentiable"),
        ({"n_hidden": 0}, "n_hidden"),
        ({"network": "envelopes"}, "network"),
        ({"content_weight": None}, "content_weight"),
    ],
)
def test_bad_settings(fast, sounds, settings, message):
    with pytest.raises(ValueError, match=message):
        fast.set_params(**settings).fit(sounds)


def test_bad_sounds(fast, sounds, clicks):
    with pytest.raises(ValueError, match="sound 1 of the style is silent"):
        fast.fit(np.stack([clicks, 0 * clicks]))
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        fast.fit(sounds, ["one"])
    with pytest.raises(ValueError, match="must be mono"):
        fast.fit(sounds[None])
    with pytest.raises(ValueError, match="sound 0 of the contents is silent"):
        fast.fit(sounds, contents=0 * sounds)
    fast.set_params(max_iter=1).fit(sounds)
    with pytest.raises(ValueError, match="sound 0 of the content is silent"):
        fast.transform(0 * sounds)
