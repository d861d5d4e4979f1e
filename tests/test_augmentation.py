"""Changed copies of sounds: what changes, what stays, and the classifier that uses them."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skstrf import MPCA, AugmentedClassifier, STRFTransformer
from skstrf.auditory import moving_ripple
from skstrf.augmentation import augment_sounds

NONE = {"pitch": 0, "equalizer": 0, "room": 0, "noise_snr_db": np.inf}


@pytest.fixture(scope="module")
def sounds():
    rng = np.random.default_rng(0)
    return rng.standard_normal((3, 16000)) * [[0.1], [1], [10]]


def test_nothing_asked_nothing_changed(sounds):
    np.testing.assert_allclose(augment_sounds(sounds, **NONE, random_state=0), sounds, rtol=1e-9)


@pytest.mark.parametrize("name", ["pitch", "equalizer", "room", "noise_snr_db"])
def test_each_change_works_alone_and_keeps_the_level(sounds, name):
    defaults = {"pitch": 2.0, "equalizer": 3.0, "room": 0.4, "noise_snr_db": 25.0}
    changed = augment_sounds(sounds, **{**NONE, name: defaults[name]}, random_state=0)
    assert np.abs(changed - sounds).max() > 1e-3
    level = np.sqrt((sounds**2).mean(axis=1))
    np.testing.assert_allclose(np.sqrt((changed**2).mean(axis=1)), level, rtol=1e-6)


def test_pitch_moves_a_tone_within_its_bounds():
    tone = np.sin(2 * np.pi * 1000 * np.arange(32000) / 16000)[None]
    found = []
    for seed in range(20):
        changed = augment_sounds(tone, **{**NONE, "pitch": 3}, random_state=seed)[0]
        found.append(np.abs(np.fft.rfft(changed * np.hanning(32000))).argmax() / 2)
    semitones = 12 * np.log2(np.array(found) / 1000)
    assert np.abs(semitones).max() <= 3.05
    assert semitones.min() < -1 < 1 < semitones.max()


def test_noise_keeps_to_its_ratio():
    tone = np.sin(2 * np.pi * 1000 * np.arange(16000) / 16000)[None]
    for seed in range(10):
        changed = augment_sounds(tone, **{**NONE, "noise_snr_db": 20}, random_state=seed)[0]
        gain = changed @ tone[0] / (tone[0] @ tone[0])
        residue = changed - gain * tone[0]
        ratio = 10 * np.log10(np.mean((gain * tone[0]) ** 2) / np.mean(residue**2))
        assert 19.5 < ratio < 55.5


def test_room_rings_on_after_the_sound():
    click = np.zeros((1, 16000))
    click[0, 100] = 1
    changed = augment_sounds(click, **{**NONE, "room": 1.0}, random_state=1)[0]
    assert np.abs(changed[:99]).max() < 1e-9
    assert (changed[200:1000] ** 2).sum() > 10 * (changed[8000:8800] ** 2).sum() > 0


def test_gain_moves_the_level_within_its_bounds_and_nothing_else(sounds):
    many = np.repeat(sounds, 20, axis=0)
    changed = augment_sounds(many, **NONE, gain_db=12, random_state=0)
    decibels = 20 * np.log10(np.std(changed, axis=1) / np.std(many, axis=1))
    assert np.abs(decibels).max() <= 12 + 1e-6
    assert decibels.min() < -9 < 9 < decibels.max()
    np.testing.assert_allclose(changed, many * 10 ** (decibels[:, None] / 20), atol=1e-9)
    with_all = augment_sounds(sounds, gain_db=12, random_state=0)
    without = augment_sounds(sounds, random_state=0)
    shares = with_all / without
    np.testing.assert_allclose(shares, np.broadcast_to(shares[:, :1], shares.shape), rtol=1e-6)


def test_a_gain_that_overflows_is_refused():
    with pytest.raises(ValueError, match="gain_db=200"):
        augment_sounds(np.full((9, 64), 1e37, np.float32), **NONE, gain_db=200, random_state=0)


def test_same_seed_same_sounds_and_float32_stays(sounds):
    x = sounds.astype(np.float32)
    first = augment_sounds(x, random_state=3)
    assert first.dtype == np.float32
    np.testing.assert_array_equal(first, augment_sounds(x, random_state=3))
    assert np.abs(first - augment_sounds(x, random_state=4)).max() > 0


def test_silence_stays_silence():
    assert (augment_sounds(np.zeros((1, 500)), random_state=0) == 0).all()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"pitch": -1}, "pitch"),
        ({"equalizer": np.inf}, "equalizer"),
        ({"room": np.nan}, "room"),
        ({"noise_snr_db": np.nan}, "noise_snr_db"),
        ({"gain_db": -3}, "gain_db"),
        ({"sample_rate": 0}, "sample_rate"),
    ],
)
def test_bad_settings_are_named(sounds, options, words):
    with pytest.raises(ValueError, match=words):
        augment_sounds(sounds, **options)


@pytest.mark.parametrize("bad", [np.zeros(100), np.zeros((1, 2, 3)), np.full((2, 9), np.nan)])
def test_bad_sounds_are_refused(bad):
    with pytest.raises(ValueError, match=r"2D|dim|NaN"):
        augment_sounds(bad)


def test_classifier_sees_copies_in_fit_alone():
    seen = []

    class Spy(LogisticRegression):
        def fit(self, X, y):
            seen.append((X.copy(), np.asarray(y)))
            return super().fit(X, y)

    X = np.random.default_rng(0).standard_normal((6, 400))
    y = np.array(list("ababab"))
    model = AugmentedClassifier(Spy(), n_copies=2, random_state=0).fit(X, y)
    (given, labels), = seen  # fmt: skip
    np.testing.assert_array_equal(given[:6], X)
    np.testing.assert_array_equal(labels, np.tile(y, 3))
    assert np.abs(given[6:12] - X).max() > 0.01
    assert np.abs(given[12:] - given[6:12]).max() > 0.01
    np.testing.assert_array_equal(model.predict_proba(X), model.estimator_.predict_proba(X))


class Recorder(LogisticRegression):
    def fit(self, X, y, sample_weight=None, names=None, settings=None):
        self.recorded_ = sample_weight, names, settings
        return super().fit(X, y, sample_weight)


@pytest.mark.parametrize("in_pipeline", [False, True])
def test_parameters_of_fit_with_an_entry_per_sound_are_repeated(in_pipeline):
    X = np.random.default_rng(0).standard_normal((6, 400))
    weights, names, settings = np.arange(6.0), list("uvwxyz"), {"a": 1}
    model = make_pipeline(StandardScaler(), Recorder()) if in_pipeline else Recorder()
    prefix = "recorder__" if in_pipeline else ""
    params = {"sample_weight": weights, "names": names, "settings": settings}
    fitted = AugmentedClassifier(model, n_copies=2, random_state=0).fit(
        X, list("ababab"), **{prefix + name: value for name, value in params.items()}
    )
    last = fitted.estimator_[-1] if in_pipeline else fitted.estimator_
    np.testing.assert_array_equal(last.recorded_[0], np.tile(weights, 3))
    np.testing.assert_array_equal(last.recorded_[1], names * 3)
    assert last.recorded_[2] is settings


def test_copies_help_with_a_microphone_never_heard():
    # Two modulations; each class was recorded through its own equalizer, and at the test the
    # equalizers are exchanged. Without copies the equalizer is the easier cue.
    def record(rate, tilt, seed):
        x = moving_ripple(rate, 1, 1.0, depth=0.3, random_state=seed)
        octaves = np.log2(np.maximum(np.fft.rfftfreq(16000, 1 / 16000), 50) / 1000)
        return np.fft.irfft(np.fft.rfft(x) * 10 ** (tilt * octaves / 20), 16000)

    def make(sign, seeds):
        X = [record(rate, sign * np.sign(rate) * 4, s) for s in seeds for rate in (-8, 8)]
        return np.stack(X), np.tile([-8, 8], len(seeds))

    X, y = make(1, range(6))
    X_test, y_test = make(-1, range(100, 106))
    pipeline = make_pipeline(
        STRFTransformer(contrast=False, channel_step=4),
        MPCA(0.99, vectorize=True),
        LogisticRegression(C=0.01),
    )
    assert pipeline.fit(X, y).score(X_test, y_test) < 0.2
    helped = AugmentedClassifier(
        pipeline, n_copies=4, equalizer=6, pitch=0, room=0, random_state=0
    )
    assert helped.fit(X, y).score(X_test, y_test) > 0.8
