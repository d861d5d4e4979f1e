"""Measures of spectrograms, on known answers."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from skstrf.auditory.measures import decibels, log_spectral_distance, spectrogram_correlation


@pytest.fixture
def v():
    return np.random.default_rng(0).random((16, 30)) + 0.1


@given(st.floats(-15, 15))
def test_distance_of_a_gain_is_the_gain(gain):
    v = np.random.default_rng(0).random((16, 30)) * 0.5 + 0.2  # a range of 11 dB
    np.testing.assert_allclose(
        log_spectral_distance(v, v * 10 ** (gain / 20)), abs(gain), atol=1e-9
    )


def test_distance_is_rms_over_channels_and_mean_over_frames():
    a = np.ones((4, 2))
    b = a.copy()
    b[0, 0] = 10  # 20 dB in one of four channels: 10 dB in this frame, 0 in the other
    assert log_spectral_distance(a, b) == pytest.approx(5)
    b[:, 1] = 0.1  # 20 dB in all channels
    assert log_spectral_distance(a, b) == pytest.approx(15)


def test_what_is_below_the_floor_of_the_reference_does_not_count():
    a = np.array([[1.0, 1.0], [1e-4, 0.0]])
    assert log_spectral_distance(a, np.array([[1.0, 1.0], [1e-7, -3.0]])) == 0
    assert log_spectral_distance(a, a, dynamic_range=200) == 0
    # 1e-4 is 80 dB down, 20 dB above a floor at -100 dB; rms over two channels, two frames
    b = np.array([[1.0, 1.0], [0.0, 0.0]])
    assert log_spectral_distance(a, b, dynamic_range=100) == pytest.approx(20 / np.sqrt(2) / 2)
    # A loud fault of the judged one does not raise the floor.
    faulty = np.array([[1.0, 1.0], [1e-4, 1e3]])
    assert log_spectral_distance(a, faulty) == pytest.approx(120 / np.sqrt(2) / 2)


def test_silence(v):
    nil = np.zeros_like(v)
    assert log_spectral_distance(nil, nil) == 0
    assert log_spectral_distance(nil, v) == np.inf
    assert np.isfinite(log_spectral_distance(v, nil))
    assert np.isnan(spectrogram_correlation(nil, v))
    assert np.isnan(spectrogram_correlation(v, np.full_like(v, 0.1)))


def test_correlation_is_pearsons(v):
    other = v**2 + np.random.default_rng(1).random(v.shape)
    expected = np.corrcoef(v.ravel(), other.ravel())[0, 1]
    assert spectrogram_correlation(v, other) == pytest.approx(expected, abs=1e-12)
    for gain in (1e-30, 1e30):  # no overflow, no underflow
        assert spectrogram_correlation(v, gain * other) == pytest.approx(expected, abs=1e-12)
    assert spectrogram_correlation(v, -2 * v + 5) == pytest.approx(-1)


def test_batches_are_measured_one_by_one(v):
    a = np.stack([v, v[::-1], np.sqrt(v)])
    b = np.stack([v, v, v**2])
    for measure in (log_spectral_distance, spectrogram_correlation):
        batch = measure(a, b)
        assert batch.shape == (3,)
        np.testing.assert_allclose(batch, [measure(*pair) for pair in zip(a, b, strict=True)])
        assert isinstance(measure(v, v), float)
        assert measure(torch.from_numpy(a), b)[1] == batch[1]


def test_float32_is_measured_in_float64(v):
    noisy = v + 1e-3 * np.random.default_rng(1).standard_normal(v.shape)
    single = v.astype("f4"), noisy.astype("f4")
    for measure in (log_spectral_distance, spectrogram_correlation):
        assert measure(*single) == pytest.approx(measure(v, noisy), rel=1e-4)


def test_levels_are_relative_to_the_reference():
    np.testing.assert_allclose(decibels([[1.0, 0.5]], [[10.0, 0]]), [[-20, -26.0206]], rtol=1e-5)
    np.testing.assert_allclose(decibels([[-1.0, 1e-9]], dynamic_range=40), [[-40, 0]])
    assert decibels([[0.5, 0.0]], [[0.0, 0.0]], dynamic_range=40).tolist() == [[np.inf, -40]]
    with pytest.raises(ValueError, match="dynamic_range"):
        decibels([[1.0]], dynamic_range=0)


@pytest.mark.parametrize(
    "a, b, message",
    [
        (np.ones((3, 4)), np.ones((3, 5)), r"a has shape \(3, 4\) and b \(3, 5\)"),
        (np.ones(3), np.ones(3), "axes"),
        (np.ones((0, 4)), np.ones((0, 4)), "empty"),
        (np.ones((3, 4)), np.full((3, 4), np.nan), "b contains NaN"),
        (np.ones((3, 4)) * 1j, np.ones((3, 4)), "a must be a real"),
    ],
)
def test_what_cannot_be_compared_is_refused(a, b, message):
    for measure in (log_spectral_distance, spectrogram_correlation):
        with pytest.raises(ValueError, match=message):
            measure(a, b)
