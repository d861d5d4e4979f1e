"""How much every (scale, rate) channel tells alone, and keeping the channels that tell most."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    StratifiedGroupKFold,
    StratifiedKFold,
    check_cv,
    cross_val_score,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import check_array, check_consistent_length, column_or_1d, get_tags
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_memory

from skstrf.utils.arrays import is_torch, to_numpy
from skstrf.utils.cluster import WorkerDied, current_client, run_on_cluster
from skstrf.utils.lazy import Stored, is_dask, map_samples, whole_samples
from skstrf.utils.validation import (
    HasMethods,
    Integral,
    Interval,
    StrOptions,
    all_finite,
    check_batch,
    check_is_fitted,
    fit_context,
    reject_dataframe_output,
    validate_params,
)

__all__ = [
    "ChannelScores",
    "ChannelSelector",
    "channel_scores",
]


MOST_FOLDS = 5


@dataclass(frozen=True, eq=False)
class ChannelScores:
    """Cross-validated scores of every channel alone; unpacks to `mean` and `std`.

    Parameters
    ----------
    folds : ndarray of shape (n_scales, n_rates, n_folds)
        Score of each channel on each fold.
    chance : float
        Mean score, on the same folds, of predicting the most frequent class.
    test_share : float
        Samples tested on over samples trained on, in the mean of the folds.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf.feature_selection import ChannelScores
    >>> mean, std = ChannelScores(np.array([[[0.5, 0.7], [0.2, 0.2]]]), 0.5, 1.0)
    >>> mean
    array([[0.6, 0.2]])
    """

    folds: np.ndarray
    chance: float
    test_share: float

    @property
    def mean(self) -> np.ndarray:
        """Mean over the folds, (n_scales, n_rates)."""
        return self.folds.mean(axis=-1)

    @property
    def std(self) -> np.ndarray:
        """Standard deviation over the folds, (n_scales, n_rates)."""
        return self.folds.std(axis=-1)

    @property
    def standard_error(self) -> np.ndarray:
        """Standard error of `mean`, (n_scales, n_rates); NaN for a single fold.

        Folds share training samples, so dividing by the root of their number would promise too
        much: this is the corrected one of Nadeau and Bengio.

        References
        ----------
        .. [1] C. Nadeau and Y. Bengio, "Inference for the generalization error", Machine
           Learning 52, 239-281, 2003, section 3.
        """
        n_folds = self.folds.shape[-1]
        if n_folds < 2:
            return np.full(self.folds.shape[:-1], np.nan)
        factor = 1 / n_folds + self.test_share
        return np.sqrt(factor * self.folds.var(axis=-1, ddof=1))

    def best(self, k: int) -> np.ndarray:
        """Return the k best channels as rows (scale, rate) of indices, best first.

        Parameters
        ----------
        k : int
            At most the number of channels.

        Returns
        -------
        ndarray of shape (k, 2), int
            Of equal channels the first goes first.

        Examples
        --------
        >>> import numpy as np
        >>> from skstrf.feature_selection import ChannelScores
        >>> ChannelScores(np.array([[[0.1], [0.9]], [[0.5], [0.9]]]), 0.5, 1.0).best(3)
        array([[0, 1],
               [1, 1],
               [1, 0]])
        """
        mean = self.mean
        order = np.argsort(-mean, axis=None, kind="stable")[:k]
        return np.stack(np.unravel_index(order, mean.shape), axis=1)

    def __iter__(self) -> Iterator[np.ndarray]:
        return iter((self.mean, self.std))


@validate_params(
    {
        "estimator": [HasMethods(["fit", "predict"]), None],
        "cv": ["cv_object"],
        "groups": ["array-like", None],
        "scoring": [str, callable, None],
        "n_jobs": [Integral, None],
        "memory": [str, HasMethods(["cache"]), HasMethods(["__fspath__"]), None],
        "verbose": ["boolean"],
    },
    prefer_skip_nested_validation=True,
)
def channel_scores(
    estimator: Any,
    X: Any,
    y: Any,
    *,
    cv: Any = None,
    groups: Any = None,
    scoring: Any = None,
    n_jobs: int | None = None,
    memory: Any = None,
    verbose: bool = False,
) -> ChannelScores:
    """Cross-validate a classifier on every (scale, rate) channel alone.

    Parameters
    ----------
    estimator : classifier or None
        Gets one channel: (n_samples, n_freqs, n_frames) if it takes such data (as
        `CNNClassifier` does, or a Pipeline that begins with `MPCA`), else
        (n_samples, n_freqs * n_frames). None: standardized features and logistic regression.
    X : array-like or torch.Tensor of shape (n_samples, n_scales, n_rates, ...)
        Tensors, computed once; a memory map is read a channel at a time.
    y : array-like of shape (n_samples,)
        Labels.
    cv : int, cross-validation splitter, iterable or None
        The folds, the same for all channels. None: 5 stratified ones (fewer if a class has
        fewer samples), with whole groups if `groups` are given.
    groups : array-like of shape (n_samples,) or None
        Samples that stay on one side of each fold.
    scoring : str, callable or None
        As in scikit-learn. None: accuracy (the estimator's own score).
    n_jobs : int or None
        Channels worked on at a time, as joblib counts them. The result does not depend on it.
    memory : str, Path, joblib.Memory or None
        Where each channel's scores are kept: what was interrupted goes on where it stopped, and
        the same channels, labels, folds and settings are never scored twice.
    verbose : bool
        Show a progress bar.

    Returns
    -------
    ChannelScores
        With `mean`, `std` and `standard_error` of shape (n_scales, n_rates), the scores of each
        fold, and the level of `chance`.

    Raises
    ------
    ValueError
        When X has fewer than three axes or is not finite, y does not fit it or has one class,
        or a fold cannot be scored.

    See Also
    --------
    ChannelSelector : Keeps the best channels, inside a Pipeline.
    skstrf.inspection.ChannelScoreDisplay : Draws the scores.

    Notes
    -----
    Choosing the best of many channels and quoting their score from here is optimistic. Choose
    with `ChannelSelector` inside a Pipeline, and score that.

    References
    ----------
    .. [1] E. Eremeeva, "Transform analysis and music style transfer with deep neural networks",
       ATIAM report, IRCAM, 2017, section 6 and figure 7.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf import channel_scores
    >>> X = np.random.default_rng(0).standard_normal((40, 2, 3, 4, 5))
    >>> y = np.arange(40) % 2
    >>> X[:, 1, 2] += y[:, None, None]  # one channel carries the class
    >>> mean, std = channel_scores(None, X, y)
    >>> mean.shape
    (2, 3)
    >>> np.argwhere(mean == mean.max())
    array([[1, 2]])
    """
    X, y = _check_data(X, y)
    folds = _folds(cv, X, y, groups)
    if estimator is None:
        estimator = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    shape = X.shape[1:3]
    estimator = clone(estimator)  # what it was fitted on before is no part of the key in memory
    # Absolute: a worker of a cluster may stand in another folder.
    memory = os.path.abspath(memory) if isinstance(memory, str | os.PathLike) else memory
    as_tensors = _takes_tensors(estimator)
    if current_client() is None:
        score = check_memory(memory).cache(_score_channel)
        # Workers get the arrays themselves: the key of a memory map is not that of its array.
        outcomes = Parallel(n_jobs=n_jobs, return_as="generator", max_nbytes=None)(
            delayed(score)(estimator, _channel(X, place, as_tensors), y, folds, scoring)
            for place in np.ndindex(shape)
        )
    else:
        outcomes = _on_cluster(np.ndindex(shape), estimator, X, y, folds, scoring, memory)
    scores = np.array(list(_with_progress(outcomes, np.prod(shape), verbose)))
    dummy = DummyClassifier(strategy="prior")
    chance = _score_channel(dummy, np.zeros((len(y), 1)), y, folds, scoring)
    return ChannelScores(
        folds=scores.reshape(*shape, len(folds)),
        chance=float(chance.mean()),
        test_share=float(np.mean([len(test) / len(train) for train, test in folds])),
    )


def _on_cluster(places: Any, *shared: Any) -> Iterator[np.ndarray]:
    for place, outcome in run_on_cluster(_score_place, places, *shared):
        if isinstance(outcome, WorkerDied):
            raise OSError(f"Scoring the channel {place} {outcome.reason}.")
        yield outcome


def _score_place(
    place: tuple[int, int],
    estimator: Any,
    X: np.ndarray,
    y: np.ndarray,
    folds: list[Any],
    scoring: Any,
    memory: Any,
) -> np.ndarray:
    channel = _channel(X, place, _takes_tensors(estimator))
    return check_memory(memory).cache(_score_channel)(estimator, channel, y, folds, scoring)


def _check_data(X: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
    X = check_array(
        to_numpy(X), allow_nd=True, dtype=[np.float64, np.float32], input_name="X", copy=False
    )
    if X.ndim < 3 or X.size == 0:
        raise ValueError(
            f"X has shape {X.shape}: expected (n_samples, n_scales, n_rates, ...), no axis empty, "
            "such as STRFTransformer gives."
        )
    y = column_or_1d(y)
    check_consistent_length(X, y)
    check_classification_targets(y)
    if len(np.unique(y)) < 2:
        raise ValueError(f"y has 1 class ({y[0]}): there is nothing to tell apart. Add another.")
    return X, y


def _folds(cv: Any, X: np.ndarray, y: np.ndarray, groups: Any) -> list[Any]:
    """Divide once, so that all channels meet the same folds."""
    if cv is None:
        counts = np.unique(y, return_counts=True)[1]
        n_folds = int(np.clip(counts.min(), 2, MOST_FOLDS))
        cv = StratifiedKFold(n_folds) if groups is None else StratifiedGroupKFold(n_folds)
    return list(check_cv(cv, y, classifier=True).split(np.empty((len(X), 1)), y, groups))


def _channel(X: np.ndarray, place: tuple[int, int], as_tensor: bool) -> np.ndarray:
    channel = X[:, place[0], place[1]]
    if as_tensor and channel.ndim > 1:
        return np.ascontiguousarray(channel)
    return np.ascontiguousarray(channel.reshape(len(X), -1))


def _takes_tensors(estimator: Any) -> bool:
    """Whether an estimator, or what it begins with, is made for data of more than two axes."""
    while True:
        if hasattr(estimator, "steps"):
            estimator = next(step for _, step in estimator.steps if step != "passthrough")
        elif hasattr(estimator, "estimator"):
            estimator = estimator.estimator
        else:
            return bool(get_tags(estimator).input_tags.three_d_array)


def _score_channel(
    estimator: Any, channel: np.ndarray, y: np.ndarray, folds: list[Any], scoring: Any
) -> np.ndarray:
    """Score of each fold; NaN is an error here, because a mean over what is left would mislead."""
    scores = cross_val_score(estimator, channel, y, cv=folds, scoring=scoring, error_score="raise")
    if not np.isfinite(scores).all():
        raise ValueError(
            f"scoring={scoring!r} gave {scores} on the folds: choose a score that is defined on "
            "each of them, or fewer folds."
        )
    return scores


def _with_progress(outcomes: Any, total: int, verbose: bool) -> Any:
    from tqdm import tqdm

    return tqdm(outcomes, total=int(total), desc="Channels", disable=not verbose)


class ChannelSelector(TransformerMixin, BaseEstimator):
    """Keep the (scale, rate) channels from which a classifier learns most.

    Parameters
    ----------
    estimator : classifier or None, default=None
        What every channel is scored with, see `channel_scores`. None: standardized features and
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
        reject_dataframe_output(self, 1 + len(self._kept_shape()))
        if is_dask(X):
            return map_samples(X, copy(self)._take, self._kept_shape(), X.dtype)
        return self._take(X[0 : len(X)] if isinstance(X, Stored) else X)

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
