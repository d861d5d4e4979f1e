"""AugmentedClassifier: fit any classifier of sounds on changed copies of them too."""

from __future__ import annotations

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone
from sklearn.linear_model import LogisticRegression
from sklearn.utils import check_random_state
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets

from .augmentation import augment_sounds
from .utils.validation import (
    HasMethods,
    Integral,
    Interval,
    Real,
    check_is_fitted,
    fit_context,
    validate_tensors,
)

__all__ = ["AugmentedClassifier"]


def _has_probabilities(self) -> bool:
    return hasattr(getattr(self, "estimator_", _inside(self)), "predict_proba")


def _inside(self):
    """What is fitted: a plain logistic regression where nothing was given."""
    return LogisticRegression() if self.estimator is None else self.estimator


_CHANGES = ("pitch", "equaliser", "room", "noise", "gain")


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
    pitch, equaliser, room, noise, gain : float
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
        "equaliser": [Interval(Real, 0, None, closed="left")],
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
        equaliser=3.0,
        room=0.4,
        noise=25.0,
        gain=0.0,
        random_state=None,
    ):
        self.estimator = estimator
        self.n_copies = n_copies
        self.sample_rate = sample_rate
        self.pitch = pitch
        self.equaliser = equaliser
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
