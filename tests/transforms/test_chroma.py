"""ChromaTransformer against librosa."""

import librosa
import numpy as np
import pytest

from skstrf import ChromaTransformer, STFTTransformer
from skstrf.transforms.chroma import _spectral_peaks


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"norm": 2, "n_chroma": 24},
        {"norm": None, "tuning": 0.2},
        {"octwidth": None, "norm": 1},
    ],
)
def test_is_librosas_sound_by_sound(recordings, options):
    X = recordings.astype(float)
    power = STFTTransformer(n_fft=2048, output="power", compression=None).fit_transform(X)
    actual = ChromaTransformer(**options).fit_transform(X)
    for chroma, spectra in zip(actual, power, strict=True):
        expected = librosa.feature.chroma_stft(S=spectra, sr=16000, **options)
        np.testing.assert_allclose(chroma, expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sample_rate", [300, 6000, 44100.5])
def test_peaks_are_those_of_librosa_to_the_last_bit(dtype, sample_rate):
    noise = np.random.default_rng(0).standard_normal((129, 50)).cumsum(axis=0).astype(dtype)
    power = np.square(noise)
    power[:, 7] = 0
    power[40:43, 8] = power.max()
    pitch, height = librosa.piptrack(S=power, sr=sample_rate)
    found = _spectral_peaks(power, sample_rate)
    for values, expected in zip(found, (pitch, height), strict=True):
        assert values.dtype == power.dtype
        np.testing.assert_array_equal(values, expected[pitch > 0])


@pytest.mark.parametrize("semitone", range(0, 24, 5))
def test_a_tone_is_in_its_class(semitone):
    hz = 261.6256 * 2 ** (semitone / 12)
    tone = np.sin(2 * np.pi * hz * np.arange(8000) / 16000)
    chroma = ChromaTransformer(tuning=0.0).fit(tone[None])
    profile = chroma.transform(tone[None])[0].mean(axis=1)
    assert chroma.axes_[0].values[profile.argmax()] == semitone % 12


def test_tuning_is_that_of_the_sound_not_of_the_batch():
    times = np.arange(16000) / 16000
    X = np.stack([np.sin(2 * np.pi * 440 * 2 ** (cents / 1200) * times) for cents in (0, 40)])
    chroma = ChromaTransformer().fit(X)
    np.testing.assert_array_equal(chroma.transform(X)[1:], chroma.transform(X[1:]))
    assert (chroma.transform(X).mean(axis=2).argmax(axis=1) == 9).all()


@pytest.mark.parametrize(
    ("options", "words"),
    [({"tuning": 3}, "tuning"), ({"norm": 3}, "norm"), ({"n_chroma": 0}, "n_chroma")],
)
def test_bad_settings_are_named(options, words):
    with pytest.raises(ValueError, match=words):
        ChromaTransformer(**options).fit(np.zeros((1, 100)))
