"""make_ripple_genres: classes that differ by their modulation, and by nothing else."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skstrf.datasets import make_ripple_genres


def test_shapes_labels_and_reproducibility():
    X, y = make_ripple_genres(3, 5, duration=0.3, sample_rate=8000, random_state=0)
    assert X.shape == (15, 2400) and X.dtype == np.float32 and np.isfinite(X).all()
    assert np.bincount(y).tolist() == [3] * 5
    assert not (np.diff(y) >= 0).all()
    again, _ = make_ripple_genres(3, 5, duration=0.3, sample_rate=8000, random_state=0)
    np.testing.assert_array_equal(X, again)
    other, _ = make_ripple_genres(3, 5, duration=0.3, sample_rate=8000, random_state=1)
    assert not np.array_equal(X, other)
    assert len(np.unique(X, axis=0)) == 15


def test_the_global_random_state_is_left_alone():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    make_ripple_genres(1, 2, duration=0.1, random_state=0)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


def test_what_the_bunch_tells():
    bunch = make_ripple_genres(4, 8, duration=0.1, spread=0.3, return_X_y=False, random_state=0)
    assert bunch.data.shape == (32, 1600) and bunch.sample_rate == 16000
    assert len(set(bunch.target_names)) == 8
    for rate, scale, label in zip(bunch.rates, bunch.scales, bunch.target, strict=True):
        name = bunch.target_names[label]
        nominal_rate, nominal_scale = float(name.split(" Hz")[0]), float(name.split()[2])
        assert abs(np.log2(rate / nominal_rate)) <= 0.3
        assert abs(np.log2(scale / nominal_scale)) <= 0.3
    assert "32 sounds, 8 classes" in bunch.DESCR


def test_snr_is_what_is_asked_for():
    settings = {"n_per_class": 2, "n_classes": 2, "duration": 0.5, "random_state": 0}
    clean, _ = make_ripple_genres(**settings, snr=None)
    noisy, _ = make_ripple_genres(**settings, snr=-40)
    for one, other in zip(clean, noisy, strict=True):
        assert abs(np.corrcoef(one, other)[0, 1]) < 0.1  # hardly more than noise
    almost, _ = make_ripple_genres(**settings, snr=40)
    for one, other in zip(clean, almost, strict=True):
        assert np.corrcoef(one, other)[0, 1] == pytest.approx(1 / np.sqrt(1 + 1e-4), abs=2e-3)


@pytest.fixture(scope="module")
def sounds():
    return make_ripple_genres(8, 8, return_X_y=False, random_state=0)


def band_power(X):
    """Power in bands of an eighth of an octave over time, the bands' octaves, frames' seconds."""
    frames = np.lib.stride_tricks.sliding_window_view(X, 1024, axis=1)[:, ::128]
    power = np.abs(np.fft.rfft(frames * np.hanning(1024), axis=2)) ** 2
    bins = np.arange(power.shape[2]) * 16000 / 1024
    octaves = np.arange(0, 5, 0.125)  # above 220 Hz, as far as the carriers go
    edges = 220 * 2 ** (octaves - 0.0625)
    weights = (bins >= edges[:, None]) & (bins < edges[:, None] * 2**0.125)
    keep = weights.any(axis=1)
    return power @ weights[keep].T, octaves[keep], np.arange(frames.shape[1]) * 128 / 16000


def test_each_sound_has_the_modulation_of_its_class(sounds):
    power, octaves, time = band_power(sounds.data)
    log = np.log(power)
    log -= log.mean(axis=1, keepdims=True)
    strengths = []
    for name in sounds.target_names:
        rate, scale = float(name.split(" Hz")[0]), float(name.split()[2])
        # Rates and scales vary within a class: the strongest nearby counts.
        near = [
            np.abs(log @ np.exp(-2j * np.pi * q * octaves) @ np.exp(-2j * np.pi * r * time))
            for r in rate * 2.0 ** np.linspace(-0.2, 0.2, 9)
            for q in scale * 2.0 ** np.linspace(-0.2, 0.2, 5)
        ]
        strengths.append(np.max(near, axis=0))
    assert (np.argmax(strengths, axis=0) == sounds.target).mean() > 0.95


def test_level_and_long_term_spectrum_tell_nothing(sounds):
    levels = np.log(sounds.data.std(axis=1))[:, np.newaxis]
    assert levels.std() > 0.2
    spectra = np.log(band_power(sounds.data)[0].mean(axis=1))
    for features in (levels, spectra):
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
        assert cross_val_score(model, features, sounds.target, cv=4).mean() < 0.3  # chance .125


@pytest.mark.parametrize(
    "settings",
    [
        {"n_per_class": 0},
        {"n_classes": 1},
        {"n_classes": 9},
        {"duration": 0},
        {"sample_rate": 1},
        {"snr": np.nan},
        {"spread": 2},
        {"depth": -1},
        {"random_state": "x"},
    ],
)
def test_bad_arguments(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        make_ripple_genres(**settings)
