"""What every transformer of sounds has in common."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from joblib import Parallel, delayed
from sklearn.base import BaseEstimator, TransformerMixin

from ..utils.arrays import is_torch, to_numpy
from ..utils.validation import check_is_fitted, fit_context, validate_tensors
from .axes import Axis
from .cache import cached_rows

__all__ = ["SoundTransformer", "check_sounds"]


class SoundTransformer(TransformerMixin, BaseEstimator):
    """Base of the transformers from sounds (n_sounds, n_times) to tensors with named axes.

    A subclass writes its constructor (every one has `memory` and `n_jobs`), ``_prepare``, which
    checks what the declarative constraints cannot and returns the axes, and ``_compute``, which
    transforms a batch. Torch at the door, the cache and scikit-learn's contract are done here.

    Attributes
    ----------
    axes_ : list of Axis
        Name, unit and values of every output axis after the first.
    input_shape_ : tuple of int
        Shape of one sound.
    n_features_in_ : int
        Samples of one sound.
    """

    # Raised whenever a change alters the numbers, so that entries of older caches are not used.
    _algorithm_version: ClassVar[int] = 1
    # Parameters that change where and how it is computed but not what comes out.
    _without_effect: ClassVar[frozenset[str]] = frozenset(
        {"memory", "n_jobs", "device", "verbose"}
    )

    memory: Any
    n_jobs: int | None

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Check the sounds and the settings; nothing is learned from the data.

        Parameters
        ----------
        X : array-like of shape (n_sounds, n_times)
            Mono sounds.
        y : None
            Ignored.

        Returns
        -------
        self : object
            This object.
        """
        X = check_sounds(self, X, reset=True)
        self.axes_ = self._prepare(X.shape[1])
        return self

    def transform(self, X):
        """Compute the tensor of every sound.

        Parameters
        ----------
        X : array-like or torch.Tensor of shape (n_sounds, n_times)
            Mono sounds of the length seen in fit.

        Returns
        -------
        ndarray or torch.Tensor of shape (n_sounds, ...)
            The axes after the first are those of `axes_`; float32 for float32 input, else
            float64 (or complex of the same precision). A torch tensor gives a torch tensor on
            its device.
        """
        check_is_fitted(self)
        sounds = check_sounds(self, X, reset=False)
        result = cached_rows(self._compute, sounds, memory=self.memory, key=self._cache_key())
        if is_torch(X):
            import torch

            return torch.from_numpy(np.ascontiguousarray(result)).to(X.device)
        return result

    def _prepare(self, n_times: int) -> list[Axis]:
        """Check settings against the length of the sounds; return the output's axes."""
        raise NotImplementedError

    def _compute(self, X: np.ndarray) -> np.ndarray:
        """Transform a batch of checked float32 or float64 sounds."""
        raise NotImplementedError

    def _each(self, function: Any, X: np.ndarray) -> np.ndarray:
        """Stack ``function(sound)`` of every sound, computed in `n_jobs` threads."""
        if self.n_jobs in (None, 1) or len(X) == 1:
            return np.stack([function(x) for x in X])
        rows = Parallel(n_jobs=self.n_jobs, prefer="threads")(delayed(function)(x) for x in X)
        return np.stack(rows)

    def _cache_key(self) -> dict:
        """Everything but the sound that decides on the numbers."""
        params = self.get_params(deep=False)
        used = {k: v for k, v in params.items() if k not in self._without_effect}
        return {"algorithm": type(self).__name__, "version": self._algorithm_version} | used

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def check_sounds(estimator: Any, X: Any, *, reset: bool) -> np.ndarray:
    """Check a batch of mono sounds, torch or numpy.

    Parameters
    ----------
    estimator : BaseEstimator
        Gets ``input_shape_`` and ``n_features_in_`` when `reset` is true.
    X : array-like or torch.Tensor of shape (n_sounds, n_times)
        The sounds.
    reset : bool
        True in fit.

    Returns
    -------
    ndarray of shape (n_sounds, n_times)
        float32 or float64.

    Raises
    ------
    ValueError
        On NaN, infinities, a length other than in fit, or more than two axes.
    """
    X = validate_tensors(estimator, to_numpy(X) if is_torch(X) else X, reset=reset)
    if X.ndim != 2:
        raise ValueError(
            f"Sounds must be mono, of shape (n_sounds, n_times); got shape {X.shape}. "
            "Average the channels of stereo sounds first (AudioLoader does)."
        )
    return X
