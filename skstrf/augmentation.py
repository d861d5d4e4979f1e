"""Sounds as another instrument, room and microphone might have given them."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone
from sklearn.linear_model import LogisticRegression
from sklearn.utils import check_random_state
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets

from skstrf.auditory import resample
from skstrf.utils.validation import (
    HasMethods,
    Integral,
    Interval,
    Real,
    check_is_fitted,
    checked_number,
    fit_context,
    validate_tensors,
)

__all__ = [
    "AugmentedClassifier",
    "augment_sounds",
]


# The equalizer is drawn at octaves, from below the lowest cochlear channel upward.
_KNOTS = 62.5 * 2.0 ** np.arange(8)
# Beyond what any sound needs, and within what double precision holds.
_MOST_SEMITONES = 96  # the largest change of rate that `resample` takes
_STEEPEST_DB = 60
_MOST_ROOM = 1000
_LEAST_RATIO_DB = -200
_MOST_GAIN_DB = 200


def augment_sounds(
    X: Any,
    *,
    sample_rate: float = 16000,
    pitch: float = 2.0,
    equalizer: float = 3.0,
    room: float = 0.4,
    noise: float = 25.0,
    gain: float = 0.0,
    random_state: Any = None,
) -> np.ndarray:
    """Change every sound at random in pitch, spectrum, room, noise and level.

    Parameters
    ----------
    X : array-like of shape (n_sounds, n_times)
        Sounds.
    sample_rate : float, default=16000
        Hz.
    pitch : float, default=2.0
        Largest shift in semitones, up or down; speed changes along, as with a tape. What a
        faster sound lacks at its end is filled by its own beginning. 0 for none, 96 at most.
    equalizer : float, default=3.0
        Standard deviation of the step from one octave to the next, in dB, of a random smooth
        gain over frequency. 0 for none, 60 at most.
    room : float, default=0.4
        Largest amplitude of a reverberant tail relative to the sound (root mean square);
        its decay time is drawn from 0.1 to 0.8 s. 0 for none, 1000 at most.
    noise : float, default=25.0
        Lowest signal-to-noise ratio in dB, at least -200; each is drawn from this to
        this + 35 dB.
        ``numpy.inf`` for none.
    gain : float, default=0.0
        Largest change of level in dB, up or down, 200 at most. It makes a difference only to
        what follows the level, such as ``STRFTransformer(normalize=False)``.
    random_state : int, RandomState instance or None
        Same seed, same result.

    Returns
    -------
    ndarray of shape (n_sounds, n_times)
        Same dtype as `X`; without `gain` the root-mean-square level of each sound is kept.

    Raises
    ------
    ValueError
        On misshapen or non-finite sounds, or a setting that makes no sense.

    Notes
    -----
    Pitch and time are coupled so that the change is free of artifacts of its own.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf.augmentation import augment_sounds
    >>> X = np.random.default_rng(0).standard_normal((3, 8000)).astype("float32")
    >>> changed = augment_sounds(X, random_state=0)
    >>> changed.shape, changed.dtype.name
    ((3, 8000), 'float32')
    """
    from sklearn.utils import check_array, check_random_state

    X = check_array(X, dtype=[np.float64, np.float32])
    checked_number(pitch, "pitch", low=0, high=_MOST_SEMITONES, unit="semitones")
    checked_number(equalizer, "equalizer", low=0, high=_STEEPEST_DB, unit="dB")
    checked_number(room, "room", low=0, high=_MOST_ROOM)
    if noise != np.inf:
        checked_number(noise, "noise", low=_LEAST_RATIO_DB, unit="dB")
    checked_number(gain, "gain", low=0, high=_MOST_GAIN_DB, unit="dB")
    checked_number(sample_rate, "sample_rate", low=1, high=1e9, unit="Hz")
    rng = check_random_state(random_state)
    rows = [_augment(x, rng, sample_rate, pitch, equalizer, room, noise) for x in X]
    changed = np.stack(rows)
    if gain:  # drawn after all else: the other changes of a seed are the same with and without
        changed *= 10 ** (gain * rng.uniform(-1, 1, (len(X), 1)) / 20)
        if np.abs(changed).max() > np.finfo(X.dtype).max:
            raise ValueError(
                f"gain={gain} dB makes these sounds overflow {X.dtype}: scale X down."
            )
    return changed.astype(X.dtype)


def _augment(x, rng, sample_rate, pitch, equalizer, room, noise) -> np.ndarray:
    n_times = len(x)
    level = np.sqrt(np.mean(np.square(x, dtype=np.float64)))
    # All numbers are drawn whatever the settings, so that each setting changes its part alone.
    factor = 2.0 ** (pitch * rng.uniform(-1, 1) / 12)
    steps = equalizer * rng.standard_normal(len(_KNOTS))
    tail_level, decay = room * rng.uniform(), rng.uniform(0.1, 0.8)
    ratio = noise + 35 * rng.uniform()
    seeds = rng.randint(2**31, size=2)
    changed = np.asarray(x, dtype=np.float64)
    if pitch:
        changed = resample(changed, sample_rate * factor, sample_rate)
        changed = np.resize(changed, n_times)  # repeats from the start where it is too short
    changed = _filtered(changed, sample_rate, steps, tail_level, decay, int(seeds[0]))
    if np.isfinite(ratio):
        hiss = np.random.default_rng(seeds[1]).standard_normal(n_times)
        changed = changed + hiss * level * 10 ** (-ratio / 20)
    after = np.sqrt(np.mean(changed**2))
    return changed * (level / after) if after > 0 else changed


def _filtered(x, sample_rate, steps, tail_level, decay, seed) -> np.ndarray:
    """Equalize and add the reverberant tail, in one multiplication of spectra."""
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


def _has_probabilities(self) -> bool:
    return hasattr(getattr(self, "estimator_", _inside(self)), "predict_proba")


def _inside(self):
    """What is fitted: a plain logistic regression where nothing was given."""
    return LogisticRegression() if self.estimator is None else self.estimator


_CHANGES = ("pitch", "equalizer", "room", "noise", "gain")


class AugmentedClassifier(ClassifierMixin, MetaEstimatorMixin, BaseEstimator):
    """Fit a classifier on sounds and on randomly changed copies of them.

    Recordings differ in instrument, player, room and microphone. A classifier that has heard
    each training sound through several of them relies less on any one. Only `fit` augments.

    Parameters
    ----------
    estimator : classifier or None, default=None
        Takes sounds (n_sounds, n_times): usually a Pipeline that begins with
        :class:`STRFTransformer`. None is a plain logistic regression of the samples.
    n_copies : int, default=3
        Changed copies beside each original; 0 for none.
    sample_rate : float, default=16000
        Of the sounds, in Hz.
    pitch, equalizer, room, noise, gain : float
        How much changes, see :func:`skstrf.augmentation.augment_sounds`.
    random_state : int, RandomState instance or None, default=None
        Of the changes; the estimator has its own.

    Attributes
    ----------
    estimator_ : classifier
        The fitted one.
    classes_ : ndarray of shape (n_classes,)
        The labels.
    n_features_in_ : int
        Samples of every sound.

    Notes
    -----
    A validation part that the estimator itself holds back holds changed copies of training
    sounds too, so its score is too good to choose by. Choose on sounds that `fit` has not seen.

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
        "noise": [Real],
        "gain": [Real],
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
        noise=25.0,
        gain=0.0,
        random_state=None,
    ):
        self.estimator = estimator
        self.n_copies = n_copies
        self.sample_rate = sample_rate
        self.pitch = pitch
        self.equalizer = equalizer
        self.room = room
        self.noise = noise
        self.gain = gain
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
        **fit_params
            Handed to the estimator's fit as they are.

        Returns
        -------
        AugmentedClassifier
            This object.
        """
        X, y = validate_tensors(self, X, y, reset=True)
        check_classification_targets(y)
        rng = check_random_state(self.random_state)
        settings = {name: getattr(self, name) for name in _CHANGES}
        copies = [
            augment_sounds(X, sample_rate=self.sample_rate, random_state=rng, **settings)
            for _ in range(self.n_copies)
        ]
        estimator = clone(_inside(self))
        repeated = np.tile(y, self.n_copies + 1)
        self.estimator_ = estimator.fit(np.concatenate([X, *copies]), repeated, **fit_params)
        self.classes_ = self.estimator_.classes_
        return self

    def predict(self, X):
        """Predict labels of unchanged sounds.

        Parameters
        ----------
        X : array-like of shape (n_sounds, n_times)
            Sounds.

        Returns
        -------
        ndarray of shape (n_sounds,)
            Labels.
        """
        check_is_fitted(self)
        return self.estimator_.predict(validate_tensors(self, X, reset=False))

    @available_if(_has_probabilities)
    def predict_proba(self, X):
        """Predict probabilities of the classes, where the estimator can.

        Parameters
        ----------
        X : array-like of shape (n_sounds, n_times)
            Sounds.

        Returns
        -------
        ndarray of shape (n_sounds, n_classes)
            Rows sum to 1.
        """
        check_is_fitted(self)
        return self.estimator_.predict_proba(validate_tensors(self, X, reset=False))
