"""Augmentation of sounds: random changes of instrument, room and microphone."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone
from sklearn.linear_model import LogisticRegression
from sklearn.utils import check_random_state
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets

from skstrf.auditory.cochlea import resample
from skstrf.utils.validation import (
    HasMethods,
    Integral,
    Interval,
    Real,
    check_array,
    check_is_fitted,
    check_overflow,
    checked_number,
    fit_context,
    validate_tensors,
)

__all__ = [
    "AugmentedClassifier",
    "augment_sounds",
]

# Frequencies in Hz at which the gain of the equalizer is drawn: octaves, from below the lowest
# cochlear channel upward.
_KNOTS = 62.5 * 2.0 ** np.arange(8)
# Limits beyond what any sound needs, and within what double precision represents.
_MAX_SEMITONES = 96  # the largest change of rate that `resample` accepts
_MAX_EQUALIZER_DB = 60
_MAX_ROOM = 1000
_MIN_SNR_DB = -200
_MAX_GAIN_DB = 200
# Width in dB of the range that signal-to-noise ratios are drawn from.
_SNR_RANGE_DB = 35


def augment_sounds(
    X: Any,
    *,
    sample_rate: float = 16000,
    pitch: float = 2.0,
    equalizer: float = 3.0,
    room: float = 0.4,
    noise_snr_db: float = 25.0,
    gain_db: float = 0.0,
    random_state: Any = None,
) -> np.ndarray:
    """Change the pitch, spectrum, reverberation, noise and level of sounds at random.

    Parameters
    ----------
    X : array-like of shape (n_sounds, n_times)
        Sounds.
    sample_rate : float, default=16000
        Sampling rate of the sounds in Hz.
    pitch : float, default=2.0
        Largest pitch shift in semitones, up or down, at most 96. The speed changes with the
        pitch, as on a tape. The end of a faster sound is filled with its own beginning. 0 leaves
        the pitch unchanged.
    equalizer : float, default=3.0
        Standard deviation in dB, at most 60, of the step from one octave to the next of a
        random, smooth gain over frequency. 0 leaves the spectrum unchanged.
    room : float, default=0.4
        Largest root-mean-square amplitude of a reverberant tail relative to the sound, at most
        1000. Its decay time is drawn from 0.1 to 0.8 s. 0 adds no reverberation.
    noise_snr_db : float, default=25.0
        Lowest signal-to-noise ratio in dB, at least -200. The ratio of each sound is drawn from
        this value to this value + 35 dB. ``numpy.inf`` adds no noise.
    gain_db : float, default=0.0
        Largest change of level in dB, up or down, at most 200. It matters only for features that
        depend on the level, such as those of ``STRFTransformer(normalize=False)``.
    random_state : int, RandomState instance or None, default=None
        Seed of the random changes.

    Returns
    -------
    ndarray of shape (n_sounds, n_times)
        Changed sounds in the dtype of `X`. Without `gain_db` each sound keeps its
        root-mean-square level.

    Raises
    ------
    ValueError
        If the sounds are not a finite two-dimensional array, or a setting is out of range.

    See Also
    --------
    skstrf.AugmentedClassifier : Classifier that is fitted on sounds and changed copies.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf.augmentation import augment_sounds
    >>> X = np.random.default_rng(0).standard_normal((3, 8000)).astype("float32")
    >>> changed = augment_sounds(X, random_state=0)
    >>> changed.shape, changed.dtype.name
    ((3, 8000), 'float32')
    """
    with np.errstate(over="ignore", invalid="ignore"):  # of the sum that looks for NaN
        X = check_array(X, dtype=[np.float64, np.float32])
    checked_number(pitch, "pitch", low=0, high=_MAX_SEMITONES, unit="semitones")
    checked_number(equalizer, "equalizer", low=0, high=_MAX_EQUALIZER_DB, unit="dB")
    checked_number(room, "room", low=0, high=_MAX_ROOM)
    if noise_snr_db != np.inf:
        checked_number(noise_snr_db, "noise_snr_db", low=_MIN_SNR_DB, unit="dB")
    checked_number(gain_db, "gain_db", low=0, high=_MAX_GAIN_DB, unit="dB")
    checked_number(sample_rate, "sample_rate", low=1, high=1e9, unit="Hz")
    rng = check_random_state(random_state)
    with np.errstate(over="ignore", invalid="ignore"):  # check_overflow looks at the result
        rows = [_augment(x, rng, sample_rate, pitch, equalizer, room, noise_snr_db) for x in X]
    changed = np.stack(rows)
    if gain_db:  # drawn last: a seed gives the same other changes with and without it
        changed *= 10 ** (gain_db * rng.uniform(-1, 1, (len(X), 1)) / 20)
        if np.abs(changed).max() > np.finfo(X.dtype).max:
            raise ValueError(
                f"gain_db={gain_db} makes these sounds overflow {X.dtype}: scale X down."
            )
    with np.errstate(over="ignore"):
        return check_overflow(changed.astype(X.dtype), "augment_sounds")


def _augment(x, rng, sample_rate, pitch, equalizer, room, noise_snr_db) -> np.ndarray:
    n_times = len(x)
    level = np.sqrt(np.mean(np.square(x, dtype=np.float64)))
    # All numbers are drawn whatever the settings, so that a setting affects its own change only.
    factor = 2.0 ** (pitch * rng.uniform(-1, 1) / 12)
    steps = equalizer * rng.standard_normal(len(_KNOTS))
    tail_level, decay = room * rng.uniform(), rng.uniform(0.1, 0.8)
    snr_db = noise_snr_db + _SNR_RANGE_DB * rng.uniform()
    seeds = rng.randint(2**31, size=2)
    changed = np.asarray(x, dtype=np.float64)
    if pitch:
        changed = resample(changed, sample_rate * factor, sample_rate)
        changed = np.resize(changed, n_times)  # repeats a sound that is too short
    changed = _equalize_and_reverberate(
        changed, sample_rate, steps, tail_level, decay, int(seeds[0])
    )
    if np.isfinite(snr_db):
        noise = np.random.default_rng(seeds[1]).standard_normal(n_times)
        changed = changed + noise * level * 10 ** (-snr_db / 20)
    after = np.sqrt(np.mean(changed**2))
    return changed * (level / after) if after > 0 else changed


def _equalize_and_reverberate(x, sample_rate, steps, tail_level, decay, seed) -> np.ndarray:
    """Apply the equalizer and add the reverberant tail, in one product of spectra."""
    n_fft = 2 * len(x)
    spectrum = np.fft.rfft(x, n_fft)
    frequency = np.maximum(np.fft.rfftfreq(n_fft, 1 / sample_rate), _KNOTS[0])
    curve = np.cumsum(steps)
    gain = np.interp(np.log2(frequency), np.log2(_KNOTS), curve - curve.mean())
    spectrum *= 10 ** (gain / 20)
    if tail_level > 0:
        length = min(len(x), int(decay * sample_rate) + 1)
        fall = np.exp(-np.log(1000) * np.arange(length) / (decay * sample_rate))  # 60 dB
        tail = np.random.default_rng(seed).standard_normal(length) * fall
        tail *= tail_level / np.sqrt(np.sum(tail**2))
        tail[0] += 1
        spectrum *= np.fft.rfft(tail, n_fft)
    return np.fft.irfft(spectrum, n_fft)[: len(x)]


def _given_estimator(model):
    return LogisticRegression() if model.estimator is None else model.estimator


def _has_probabilities(model):
    return hasattr(getattr(model, "estimator_", _given_estimator(model)), "predict_proba")


class AugmentedClassifier(ClassifierMixin, MetaEstimatorMixin, BaseEstimator):
    """Classifier that is fitted on sounds and on randomly changed copies of them.

    Recordings differ in instrument, player, room and microphone. A classifier fitted on several
    versions of each training sound relies less on any one of these. Only `fit` augments.

    Parameters
    ----------
    estimator : classifier or None, default=None
        Classifier of sounds (n_sounds, n_times), usually a Pipeline that begins with
        :class:`STRFTransformer`. None is a logistic regression of the samples.
    n_copies : int, default=3
        Number of changed copies of each sound, which are added to the original.
    sample_rate : float, default=16000
        Sampling rate of the sounds in Hz.
    pitch : float, default=2.0
        Largest pitch shift in semitones, see :func:`skstrf.augmentation.augment_sounds`.
    equalizer : float, default=3.0
        Standard deviation in dB of the random gain from one octave to the next.
    room : float, default=0.4
        Largest amplitude of the reverberant tail relative to the sound.
    noise_snr_db : float, default=25.0
        Lowest signal-to-noise ratio in dB. ``numpy.inf`` adds no noise.
    gain_db : float, default=0.0
        Largest change of level in dB, up or down.
    random_state : int, RandomState instance or None, default=None
        Seed of the random changes. The estimator has its own.

    Attributes
    ----------
    estimator_ : classifier
        Fitted classifier.
    classes_ : ndarray of shape (n_classes,)
        Class labels.
    n_features_in_ : int
        Number of samples of each sound.

    See Also
    --------
    skstrf.augmentation.augment_sounds : Function that changes the sounds.

    Notes
    -----
    If the estimator itself holds out a validation set, this set contains changed copies of
    training sounds, and its score is too optimistic for model selection. Select models on sounds
    that were not passed to `fit`.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.linear_model import LogisticRegression
    >>> from skstrf import MPCA, AugmentedClassifier, STRFTransformer, make_ripple_genres
    >>> X, y = make_ripple_genres(n_per_class=4, n_classes=2, duration=1.0, random_state=0)
    >>> model = make_pipeline(STRFTransformer(), MPCA(0.95, vectorize=True), LogisticRegression())
    >>> AugmentedClassifier(model, n_copies=1, random_state=0).fit(X, y).predict(X).shape
    (8,)
    """

    _parameter_constraints: dict = {
        "estimator": [HasMethods(["fit", "predict"]), None],
        "n_copies": [Interval(Integral, 0, None, closed="left")],
        "sample_rate": [Interval(Real, 0, None, closed="neither")],
        "pitch": [Interval(Real, 0, None, closed="left")],
        "equalizer": [Interval(Real, 0, None, closed="left")],
        "room": [Interval(Real, 0, None, closed="left")],
        "noise_snr_db": [Real],
        "gain_db": [Real],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        estimator=None,
        n_copies=3,
        *,
        sample_rate=16000,
        pitch=2.0,
        equalizer=3.0,
        room=0.4,
        noise_snr_db=25.0,
        gain_db=0.0,
        random_state=None,
    ):
        self.estimator = estimator
        self.n_copies = n_copies
        self.sample_rate = sample_rate
        self.pitch = pitch
        self.equalizer = equalizer
        self.room = room
        self.noise_snr_db = noise_snr_db
        self.gain_db = gain_db
        self.random_state = random_state

    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y, **fit_params):
        """Fit the estimator on the sounds and their changed copies.

        Parameters
        ----------
        X : array-like of shape (n_sounds, n_times)
            Sounds.
        y : array-like of shape (n_sounds,)
            Labels.
        **fit_params : dict
            Parameters of the estimator's fit, such as ``sample_weight``, or
            ``stepname__sample_weight`` for a step of a Pipeline. A parameter with one entry per
            sound is repeated for the copies, as the labels are.

        Returns
        -------
        AugmentedClassifier
            This object.
        """
        X, y = validate_tensors(self, X, y, reset=True)
        check_classification_targets(y)
        rng = check_random_state(self.random_state)
        copies = [
            augment_sounds(
                X,
                sample_rate=self.sample_rate,
                pitch=self.pitch,
                equalizer=self.equalizer,
                room=self.room,
                noise_snr_db=self.noise_snr_db,
                gain_db=self.gain_db,
                random_state=rng,
            )
            for _ in range(self.n_copies)
        ]
        times = self.n_copies + 1
        repeated = {name: _repeat(value, len(X), times) for name, value in fit_params.items()}
        self.estimator_ = clone(_given_estimator(self)).fit(
            np.concatenate([X, *copies]), np.tile(y, times), **repeated
        )
        self.classes_ = self.estimator_.classes_
        return self

    def predict(self, X):
        """Predict the classes of sounds, which are not changed.

        Parameters
        ----------
        X : array-like of shape (n_sounds, n_times)
            Sounds.

        Returns
        -------
        ndarray of shape (n_sounds,)
            Predicted labels.
        """
        check_is_fitted(self)
        return self.estimator_.predict(validate_tensors(self, X, reset=False))

    @available_if(_has_probabilities)
    def predict_proba(self, X):
        """Predict class probabilities; available if the estimator provides them.

        Parameters
        ----------
        X : array-like of shape (n_sounds, n_times)
            Sounds.

        Returns
        -------
        ndarray of shape (n_sounds, n_classes)
            Probabilities of the classes, in the order of ``classes_``.
        """
        check_is_fitted(self)
        return self.estimator_.predict_proba(validate_tensors(self, X, reset=False))


def _repeat(value, n_sounds, times):
    """Repeat a fit parameter that has one entry per sound; return others unchanged."""
    is_sequence = hasattr(value, "__len__") and not isinstance(value, str | bytes | dict | set)
    if not is_sequence or np.ndim(value) == 0 or len(value) != n_sounds:
        return value
    return np.concatenate([np.asarray(value)] * times)
