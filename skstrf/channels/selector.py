"""ChannelSelector: keep the channels that tell most."""

from __future__ import annotations

import warnings
from copy import copy
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin

from skstrf.channels.scores import channel_scores
from skstrf.utils.arrays import is_torch
from skstrf.utils.blocks import is_dask, map_samples, whole_samples
from skstrf.utils.validation import (
    HasMethods,
    Integral,
    Interval,
    StrOptions,
    all_finite,
    check_batch,
    check_is_fitted,
    fit_context,
    refuse_tables,
)

__all__ = ["ChannelSelector"]


class ChannelSelector(TransformerMixin, BaseEstimator):
    """Keep the (scale, rate) channels from which a classifier learns most.

    Parameters
    ----------
    estimator : classifier or None, default=None
        What every channel is scored with, see `channel_scores`. None: standardised features and
        logistic regression.
    k : int or "all", default=10
        Channels to keep. More than there are: all, with a warning.
    cv : int, cross-validation splitter, iterable or None, default=None
        The folds, see `channel_scores`.
    scoring : str, callable or None, default=None
        As in scikit-learn.
    n_jobs : int or None, default=None
        Channels scored at a time.
    memory : str, Path, joblib.Memory or None, default=None
        Where scores are kept.
    verbose : bool, default=False
        Show a progress bar.

    Attributes
    ----------
    scores_ : ChannelScores
        Of all channels.
    mask_ : ndarray of shape (n_scales, n_rates), bool
        Which are kept; (n_features,) for data of two axes.
    channels_ : ndarray of shape (k, 2), int
        Index of scale and rate of each channel of the result, in the order of the data.
    input_shape_ : tuple of int
        Shape of one sample.
    n_features_in_ : int
        Length of axis 1.

    See Also
    --------
    skstrf.MPCA : Combines channels where this one selects them.

    Notes
    -----
    Each channel is scored alone: two that tell the same are both kept. As a stage of a Pipeline
    it selects anew in every fold, so cross-validating the Pipeline is honest. ``fit`` takes
    `groups` (``pipeline.fit(X, y, channelselector__groups=groups)``).

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf import ChannelSelector
    >>> X = np.random.default_rng(0).standard_normal((40, 2, 3, 4, 5))
    >>> y = np.arange(40) % 2
    >>> X[:, 1, 2] += y[:, None, None]
    >>> selector = ChannelSelector(k=1).fit(X, y)
    >>> selector.channels_
    array([[1, 2]])
    >>> selector.transform(X).shape
    (40, 1, 4, 5)
    """

    _parameter_constraints: dict = {
        "estimator": [HasMethods(["fit", "predict"]), None],
        "k": [Interval(Integral, 1, None, closed="left"), StrOptions({"all"})],
        "cv": ["cv_object"],
        "scoring": [str, callable, None],
        "n_jobs": [Integral, None],
        "memory": [str, HasMethods(["cache"]), HasMethods(["__fspath__"]), None],
        "verbose": ["boolean"],
    }

    def __init__(
        self,
        estimator=None,
        k=10,
        cv=None,
        *,
        scoring=None,
        n_jobs=None,
        memory=None,
        verbose=False,
    ):
        self.estimator = estimator
        self.k = k
        self.cv = cv
        self.scoring = scoring
        self.n_jobs = n_jobs
        self.memory = memory
        self.verbose = verbose

    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y, groups=None):
        """Score all channels and choose the best.

        Parameters
        ----------
        X : array-like or torch.Tensor of shape (n_samples, n_scales, n_rates, ...)
            Tensors. With two axes every feature is a channel.
        y : array-like of shape (n_samples,)
            Labels.
        groups : array-like of shape (n_samples,) or None, default=None
            Samples that stay on one side of each fold.

        Returns
        -------
        ChannelSelector
            This object.

        Raises
        ------
        ValueError
            As from `channel_scores`.
        """
        if y is None:
            raise ValueError(
                "ChannelSelector requires y to be passed, but the target y is None: it scores "
                "channels by what they tell of y."
            )
        X = all_finite(self, check_batch(self, X, reset=True, ensure_min_samples=2))
        self.scores_ = channel_scores(
            self.estimator,
            X[:, :, None] if X.ndim == 2 else X,
            y,
            cv=self.cv,
            groups=groups,
            scoring=self.scoring,
            n_jobs=self.n_jobs,
            memory=self.memory,
            verbose=self.verbose,
        )
        mask = np.zeros(self.scores_.mean.shape, dtype=bool)
        mask[tuple(self.scores_.best(self._count(mask.size)).T)] = True
        self.channels_ = np.argwhere(mask)
        self.mask_ = mask[:, 0] if X.ndim == 2 else mask
        return self

    def _count(self, n_channels: int) -> int:
        if self.k == "all":
            return n_channels
        if self.k > n_channels:
            warnings.warn(
                f"k={self.k} is more than the {n_channels} channels: all are kept.",
                UserWarning,
                stacklevel=4,
            )
        return min(int(self.k), n_channels)

    def transform(self, X):
        """Take the chosen channels.

        Parameters
        ----------
        X : array-like, torch.Tensor or dask array of shape (n_samples, n_scales, n_rates, ...)
            Samples of the shape seen in fit.

        Returns
        -------
        ndarray, torch.Tensor or dask array of shape (n_samples, k, ...)
            A copy, lazy for a dask array; (n_samples, k, n_freqs, n_frames) of STRF tensors.

        Raises
        ------
        ValueError
            When the shape differs from that seen in fit, or X is not finite.
        """
        check_is_fitted(self)
        X = check_batch(self, X, reset=False, keep_lazy=True)
        refuse_tables(self, 1 + len(self._kept_shape()))
        if is_dask(X):
            return map_samples(X, copy(self)._take, self._kept_shape(), X.dtype)
        return self._take(X)

    def _take(self, X: Any) -> Any:
        return all_finite(self, X)[(slice(None), *self._index(X))]

    def _kept_shape(self) -> tuple[int, ...]:
        return (len(self.channels_), *self.input_shape_[self.mask_.ndim :])

    def inverse_transform(self, X):
        """Put channels back to where they were; those left out become zero, so they are lost.

        Parameters
        ----------
        X : array-like, torch.Tensor or dask array of shape (n_samples, k, ...)
            As from `transform`.

        Returns
        -------
        ndarray, torch.Tensor or dask array of shape (n_samples, n_scales, n_rates, ...)
            Tensors of the shape seen in fit.

        Raises
        ------
        ValueError
            When the shape is not that of the output of `transform`.
        """
        check_is_fitted(self)
        if is_dask(X):
            X = whole_samples(X, "ChannelSelector.inverse_transform")
        elif not is_torch(X):
            X = np.asarray(X)
        kept = self._kept_shape()
        if tuple(X.shape[1:]) != kept:
            raise ValueError(
                f"X has samples of shape {tuple(X.shape[1:])}, but transform gives {kept}."
            )
        if is_dask(X):
            return map_samples(X, copy(self)._put_back, self.input_shape_, X.dtype)
        return self._put_back(X)

    def _put_back(self, X: Any) -> Any:
        shape = (len(X), *self.input_shape_)
        whole = X.new_zeros(shape) if is_torch(X) else np.zeros(shape, dtype=X.dtype)
        whole[(slice(None), *self._index(X))] = X
        return whole

    def _index(self, like: Any) -> tuple[Any, ...]:
        index = self.mask_.nonzero()
        if not is_torch(like):
            return index
        import torch

        return tuple(torch.as_tensor(one, device=like.device) for one in index)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.target_tags.required = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
