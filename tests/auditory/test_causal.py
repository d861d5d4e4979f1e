"""Causal receptive fields against the filters of the model."""

import numpy as np
import pytest

from skstrf.auditory import (
    auditory_spectrogram,
    causal_cortical_transform,
    cortical_transform,
    moving_ripple,
)
from skstrf.auditory.causal import CausalCortex, causal_settings
from skstrf.datasets import load_instruments


@pytest.fixture(scope="module")
def spectrograms():
    X = load_instruments(split="test", duration=2.0).data[:3].astype(float)
    return auditory_spectrogram((X - X.mean(axis=1, keepdims=True)) / X.std(axis=1, keepdims=True))


@pytest.mark.parametrize(("method", "most"), [("recursive", 0.16), ("fir", 0.05)])
def test_tensors_are_close_to_those_of_the_model(spectrograms, method, most):
    expected = cortical_transform(spectrograms, bandpass=True)
    actual = causal_cortical_transform(spectrograms, bandpass=True, method=method)
    assert np.linalg.norm(actual - expected) < most * np.linalg.norm(expected)


def test_a_longer_look_ahead_is_closer(spectrograms):
    expected = cortical_transform(spectrograms, bandpass=True)
    errors = [
        np.linalg.norm(
            causal_cortical_transform(
                spectrograms, bandpass=True, method="fir", look_ahead=look_ahead
            )
            - expected
        )
        / np.linalg.norm(expected)
        for look_ahead in (0, 4, 12)
    ]
    assert errors == sorted(errors, reverse=True)
    assert errors[0] < 0.1


@pytest.mark.parametrize("method", ["recursive", "fir"])
def test_later_frames_have_no_influence_beyond_the_look_ahead(method):
    v = np.random.default_rng(0).random((128, 200))
    changed = v.copy()
    changed[:, 120:] += 1
    look_ahead = 12 if method == "fir" else 0
    options = {"rates": [4, 16], "scales": [1], "method": method}
    before = causal_cortical_transform(v, **options)
    after = causal_cortical_transform(changed, **options)
    np.testing.assert_allclose(
        after[..., : 120 - look_ahead], before[..., : 120 - look_ahead], atol=1e-12
    )
    assert np.abs(after - before)[..., 120 - look_ahead].max() > 0


@pytest.mark.parametrize("method", ["recursive", "fir"])
@pytest.mark.parametrize("rate", [-16, -4, 4, 8])
def test_directions_of_ripples(method, rate):
    ripple = moving_ripple(rate, 1, 4.0, sample_rate=16000, random_state=0)
    v = auditory_spectrogram(ripple)
    magnitudes = np.abs(
        causal_cortical_transform(v, rates=[abs(rate)], scales=[1], method=method)
    ).mean(axis=(0, 2))
    right = magnitudes[int(rate > 0)] > magnitudes[int(rate < 0)]
    assert right[125:].mean() >= 0.99


def test_the_other_direction_is_30_db_down():
    # Complex ripples of one direction at the best rate, without a cochlea.
    frames, channels = np.arange(1000) / 125, np.arange(128)[:, None] / 24
    for rate in (2, 4, 8, 16, 32):
        v = np.cos(2 * np.pi * (rate * frames + channels))
        c = causal_cortical_transform(v, rates=[rate], scales=[1], bandpass=True)
        levels = np.abs(c[0, :, 32:96, 600:]).mean(axis=(1, 2))
        assert abs(20 * np.log10(levels[0] / levels[1])) > 30


@pytest.mark.parametrize("method", ["recursive", "fir"])
def test_blocks_of_frames_equal_the_whole(method):
    v = np.random.default_rng(0).random((2, 128, 300))
    settings = causal_settings([4, 8], [1, 2], method=method)
    whole = CausalCortex(settings, 2)
    expected = np.concatenate([whole.push(v), whole.flush()], axis=-1)
    cortex = CausalCortex(settings, 2)
    parts = [cortex.push(part) for part in np.split(v, [0, 1, 2, 20, 21, 170, 290], axis=-1)]
    actual = np.concatenate([*parts, cortex.flush()], axis=-1)
    np.testing.assert_allclose(actual, expected, atol=1e-12 * np.abs(expected).max())


def test_dtypes_and_shapes():
    v = np.random.default_rng(0).random((3, 2, 128, 20)).astype(np.float32)
    c = causal_cortical_transform(v, rates=[4], scales=[1, 2], channel_step=4)
    assert c.shape == (3, 2, 2, 2, 32, 20)
    assert c.dtype == np.complex64
    assert causal_cortical_transform(v[0, 0].astype(float), rates=[4], scales=[1]).dtype == complex


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"method": "iir"}, "method must be one of"),
        ({"look_ahead": 3}, "needs method='fir'"),
        ({"method": "fir", "look_ahead": -1}, "look_ahead"),
        ({"rates": [8, 4]}, "ascending"),
        ({"rates": [80]}, "half the frame rate"),
        ({"scales": [13]}, "half the channel density"),
    ],
)
def test_bad_settings_are_named(options, words):
    with pytest.raises(ValueError, match=words):
        causal_cortical_transform(np.ones((128, 5)), **options)


def test_bad_spectrograms_are_named():
    with pytest.raises(ValueError, match="64 channels"):
        causal_cortical_transform(np.ones((64, 5)))
    with pytest.raises(ValueError, match="NaN"):
        causal_cortical_transform(np.full((128, 5), np.nan))
