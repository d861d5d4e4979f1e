"""WaveletTransformer against PyWavelets, and its inverse on recordings."""

from inspect import signature

import numpy as np
import pytest
import pywt

from skstrf import WaveletTransformer
from skstrf.transforms.wavelet import wavelet_bank


def test_spectrum_of_the_morlet_wavelet():
    # Teolis (1998): exp(-pi^2 B (f - C)^2) for exp(2 pi i C t) exp(-t^2 / B) / sqrt(pi B).
    for bandwidth, center in ((1.5, 1.0), (16.0, 1.0), (4.0, 2.5)):
        bank = wavelet_bank(f"cmor{bandwidth}-{center}", 100.0, 200.0, 1)
        ratio = np.linspace(0.7, 1.3, 31)
        expected = np.exp(-(np.pi**2) * bandwidth * (center * (ratio - 1)) ** 2)
        np.testing.assert_allclose(bank.response(0, 100 * ratio), expected, atol=1e-4)


@pytest.mark.parametrize(("wavelet", "center"), [("cmor1.5-1.0", 1.0), ("cmor6.0-2.0", 2.0)])
def test_is_pywavelets(wavelet, center, recordings):
    x = recordings[2, 2000:6000].astype(float)
    cwt = WaveletTransformer(
        frame_rate=16000, wavelet=wavelet, fmin=100, fmax=1600, bins_per_octave=3, output="complex"
    ).fit(x[None])
    actual = cwt.transform(x[None])[0]
    scales = center * 16000 / cwt.axes_[0].values
    if "precision" not in signature(pywt.cwt).parameters:
        pytest.skip("PyWavelets before 1.9 is too coarse to compare with")
    expected, _ = pywt.cwt(x, scales, wavelet, method="fft", precision=16)
    # They multiply by the root of the scale, we by twice that of a wavelet of unit area. Half a
    # sample of delay in theirs turns the phase.
    expected = 2 * np.abs(expected) / np.sqrt(scales)[:, None]
    error = np.linalg.norm(np.abs(actual) - expected) / np.linalg.norm(expected)
    assert error < 0.01


def test_a_sine_has_its_amplitude():
    x = 0.3 * np.sin(2 * np.pi * 440 * np.arange(16000) / 16000)
    cwt = WaveletTransformer(compression=None, fmin=27.5).fit(x[None])
    profile = cwt.transform(x[None])[0, :, 30]
    assert cwt.axes_[0].values[profile.argmax()] == pytest.approx(440)
    np.testing.assert_allclose(profile.max(), 0.3, rtol=1e-3)


def test_frequencies_are_logarithmic():
    cwt = WaveletTransformer().fit(np.zeros((1, 100)))
    values = cwt.axes_[0].values
    np.testing.assert_allclose(values[12:] / values[:-12], 2)
    assert values[0] == 32.7
    assert 7200 / 2 ** (1 / 12) < values[-1] <= 7200


def test_frames_hold_the_mean_power_of_every_sample(recordings):
    x = recordings[3, :8192].astype(float)
    options = {"output": "power", "compression": None}
    every = WaveletTransformer(frame_rate=16000, **options).fit_transform(x[None])[0]
    frames = WaveletTransformer(frame_rate=62.5, **options).fit_transform(x[None])[0]
    expected = every.reshape(len(every), 32, 256).mean(axis=2)
    np.testing.assert_allclose(frames, expected, atol=3e-3 * expected.max())


def test_complex_coefficients_of_recordings_give_them_back(recordings, snr):
    # What is below 32.7 Hz, above 7.2 kHz or beyond the ends is lost.
    X = recordings[:, :8000]
    for frame_rate in (16000, 1000):
        cwt = WaveletTransformer(output="complex", frame_rate=frame_rate, max_iter=8).fit(X)
        quality = snr(cwt.inverse_transform(cwt.transform(X)), X)
        assert np.median(quality) > 22


def test_a_sound_within_the_band_comes_back_exactly(snr):
    # Nothing lost below fmin, above fmax, or beyond the ends of the sound.
    times = np.arange(16000) / 16000
    X = (np.sin(2 * np.pi * 440 * times) * np.hanning(16000) ** 2)[None]
    cwt = WaveletTransformer(output="complex", frame_rate=16000, max_iter=4).fit(X)
    assert snr(cwt.inverse_transform(cwt.transform(X)), X).min() > 60


def test_magnitudes_of_recordings_are_found_again(recordings, convergence):
    # Measured over 28 clips: median .058, worst .16.
    X = recordings[[1, 2]]
    cwt = WaveletTransformer(compression=None, random_state=0).fit(X)
    tensor = cwt.transform(X)
    error = convergence(cwt.transform(cwt.inverse_transform(tensor)), tensor)
    assert np.median(error) < 0.08
    assert error.max() < 0.22


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"wavelet": "mexh"}, "wavelet='mexh' is not one with a bandwidth"),
        ({"wavelet": "lynx"}, "wavelet='lynx' is unknown"),
        ({"sample_rate": 60}, "fmin=32.7 Hz is not below fmax=27"),
        ({"bins_per_octave": 0}, "bins_per_octave"),
    ],
)
def test_bad_settings_are_named(options, words):
    with pytest.raises(ValueError, match=words):
        WaveletTransformer(**{"frame_rate": 10, **options}).fit(np.zeros((1, 100)))
