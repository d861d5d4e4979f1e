"""Univariate scoring and selection of (scale, rate) channels."""

from __future__ import annotations

import os
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

from skstrf.caching.backend import open_memory
from skstrf.utils.arrays import is_torch, to_numpy
from skstrf.utils.cluster import WorkerDied, current_client, run_on_cluster
from skstrf.utils.lazy import apply_samplewise, is_dask, whole_samples
from skstrf.utils.messages import warn_user
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


_MAX_FOLDS = 5


@dataclass(frozen=True, eq=False)
class ChannelScores:
    """Cross-validated scores of every channel alone, which unpack to `mean` and `std`.

    Parameters
    ----------
    folds : ndarray of shape (n_scales, n_rates, n_folds)
        Score of each channel on each fold.
    chance : float
        Mean score, on the same folds, of always predicting the most frequent class.
    test_share : float
        Ratio of test samples to training samples, averaged over the folds.

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
        """Corrected standard error of `mean`, (n_scales, n_rates); NaN for a single fold."""
        # Folds share training samples, so that dividing by the root of their number would
        # underestimate the error. C. Nadeau and Y. Bengio, "Inference for the generalization
        # error", Machine Learning 52, 239-281, 2003, section 3.
        n_folds = self.folds.shape[-1]
        if n_folds < 2:
            return np.full(self.folds.shape[:-1], np.nan)
        factor = 1 / n_folds + self.test_share
        return np.sqrt(factor * self.folds.var(axis=-1, ddof=1))

    def best(self, k: int) -> np.ndarray:
        """Scale and rate indices of the k best channels, (k, 2), best first; stable for ties."""
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
        Classifier of one channel. It gets data of shape (n_samples, n_freqs, n_frames) if it
        accepts more than two axes, as `CNNClassifier` or a Pipeline that begins with `MPCA`
        does, and (n_samples, n_freqs * n_frames) otherwise. None is a logistic regression of
        standardized features.
    X : array-like or torch.Tensor of shape (n_samples, n_scales, n_rates, ...)
        Tensors. A memory map is read one channel at a time.
    y : array-like of shape (n_samples,)
        Class labels.
    cv : int, cross-validation splitter, iterable or None, default=None
        Folds, the same for all channels. None is 5 stratified folds, or fewer if a class has
        fewer samples; groups are not split if `groups` is given.
    groups : array-like of shape (n_samples,) or None, default=None
        Group labels of the samples, passed to the splitter.
    scoring : str, callable or None, default=None
        Scoring method as in scikit-learn. None is the accuracy (the estimator's own score).
    n_jobs : int or None, default=None
        Number of channels scored in parallel. None means 1 unless in a
        :func:`joblib.parallel_config` context, -1 all processors. The result does not depend on
        it.
    memory : str, PathLike, joblib.Memory or None, default=None
        Folder in which the scores of each channel are cached. An interrupted run continues with
        the channels that are missing, and the same data, folds and settings are never scored
        twice.
    verbose : bool, default=False
        Whether to show a progress bar.

    Returns
    -------
    ChannelScores
        Object with the attributes `mean`, `std` and `standard_error` of shape
        (n_scales, n_rates), `folds` with the score of each fold, and the score of `chance`.

    Raises
    ------
    ValueError
        If X has fewer than three axes or contains NaN or infinity, y does not match it or has a
        single class, or the score of a fold is undefined.

    See Also
    --------
    ChannelSelector : Transformer that keeps the best channels.
    skstrf.inspection.ChannelScoreDisplay : Plot of the scores.

    Notes
    -----
    The score of the best of many channels is an optimistic estimate. Select channels with
    `ChannelSelector` inside a Pipeline, and score the Pipeline.

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
    >>> X[:, 1, 2] += y[:, None, None]  # one channel depends on the class
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
    from tqdm import tqdm

    shape = X.shape[1:3]
    estimator = clone(estimator)  # a fitted state must not be part of the cache key
    # Workers of a cluster may run in another folder.
    memory = os.path.abspath(memory) if isinstance(memory, str | os.PathLike) else memory
    as_tensors = _accepts_tensors(estimator)
    if current_client() is None:
        # Without memory maps, which joblib would read back from a disk that is full.
        score = open_memory(memory).cache(_score_channel, mmap_mode=None)
        # Without memory maps, whose cache keys differ from those of the arrays they hold.
        outcomes = Parallel(n_jobs=n_jobs, return_as="generator", max_nbytes=None)(
            delayed(score)(estimator, _channel(X, place, as_tensors), y, folds, scoring)
            for place in np.ndindex(shape)
        )
    else:
        outcomes = _on_cluster(np.ndindex(shape), estimator, X, y, folds, scoring, memory)
    n_channels = int(np.prod(shape))
    outcomes = tqdm(outcomes, total=n_channels, desc="Channels", disable=not verbose)
    scores = np.array(list(outcomes))
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
    channel = _channel(X, place, _accepts_tensors(estimator))
    return open_memory(memory).cache(_score_channel, mmap_mode=None)(
        estimator, channel, y, folds, scoring
    )


def _check_data(X: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
    X = check_array(
        to_numpy(X), allow_nd=True, dtype=[np.float64, np.float32], input_name="X", copy=False
    )
    if X.ndim < 3 or X.size == 0:
        raise ValueError(
            f"X has shape {X.shape}: expected (n_samples, n_scales, n_rates, ...) without empty "
            "axes, such as the output of STRFTransformer."
        )
    y = column_or_1d(y)
    check_consistent_length(X, y)
    check_classification_targets(y)
    if len(np.unique(y)) < 2:
        raise ValueError(f"y has 1 class ({y[0]}); at least 2 are required.")
    return X, y


def _folds(cv: Any, X: np.ndarray, y: np.ndarray, groups: Any) -> list[Any]:
    """Split once, so that all channels have the same folds."""
    if cv is None:
        counts = np.unique(y, return_counts=True)[1]
        n_folds = int(np.clip(counts.min(), 2, _MAX_FOLDS))
        cv = StratifiedKFold(n_folds) if groups is None else StratifiedGroupKFold(n_folds)
    return list(check_cv(cv, y, classifier=True).split(np.empty((len(X), 1)), y, groups))


def _channel(X: np.ndarray, place: tuple[int, int], as_tensor: bool) -> np.ndarray:
    channel = X[:, place[0], place[1]]
    if as_tensor and channel.ndim > 1:
        return np.ascontiguousarray(channel)
    return np.ascontiguousarray(channel.reshape(len(X), -1))


def _accepts_tensors(estimator: Any) -> bool:
    """Whether an estimator, or the first one inside it, accepts data of more than two axes."""
    while True:
        if hasattr(estimator, "steps"):
            steps = [step for _, step in estimator.steps if step not in (None, "passthrough")]
            inner = steps[0] if steps else None
        else:
            inner = getattr(estimator, "estimator", None)
        if inner is None:  # meta-estimators such as BaggingClassifier have a default inside
            return bool(get_tags(estimator).input_tags.three_d_array)
        estimator = inner


def _score_channel(
    estimator: Any, channel: np.ndarray, y: np.ndarray, folds: list[Any], scoring: Any
) -> np.ndarray:
    """Score of each fold. NaN is an error, because a mean over the other folds would mislead."""
    scores = cross_val_score(estimator, channel, y, cv=folds, scoring=scoring, error_score="raise")
    if not np.isfinite(scores).all():
        raise ValueError(
            f"scoring={scoring!r} gave {scores} on the folds: choose a score that is defined on "
            "every fold, or fewer folds."
        )
    return scores


class ChannelSelector(TransformerMixin, BaseEstimator):
    """Selector of the (scale, rate) channels with the best cross-validated scores.

    Parameters
    ----------
    estimator : classifier or None, default=None
        Classifier that every channel is scored with, see :func:`channel_scores`. None is a
        logistic regression of standardized features.
    k : int or "all", default=10
        Number of channels to keep. All are kept, with a warning, if there are fewer.
    cv : int, cross-validation splitter, iterable or None, default=None
        Folds, see :func:`channel_scores`.
    scoring : str, callable or None, default=None
        Scoring method as in scikit-learn. None is the accuracy.
    n_jobs : int or None, default=None
        Number of channels scored in parallel. None means 1, -1 all processors.
    memory : str, PathLike, joblib.Memory or None, default=None
        Folder in which scores are cached.
    verbose : bool, default=False
        Whether to show a progress bar.

    Attributes
    ----------
    scores_ : ChannelScores
        Scores of all channels.
    mask_ : ndarray of shape (n_scales, n_rates), bool
        Mask of the channels that are kept; (n_features,) for data of two axes.
    channels_ : ndarray of shape (k, 2), int
        Indices of the scale and the rate of each kept channel, in the order of the data.
    input_shape_ : tuple of int
        Shape of one sample.
    n_features_in_ : int
        Length of axis 1.

    See Also
    --------
    skstrf.MPCA : Reduction by combination of channels instead of selection.

    Notes
    -----
    Each channel is scored alone, so that two redundant channels may both be kept. In a Pipeline
    the selection is repeated on the training samples of every fold, and the cross-validated
    score of the Pipeline is unbiased. ``fit`` accepts `groups`:
    ``pipeline.fit(X, y, channelselector__groups=groups)``.

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
        """Score all channels and select the best.

        Parameters
        ----------
        X : array-like or torch.Tensor of shape (n_samples, n_scales, n_rates, ...)
            Tensors. In data of two axes every feature is a channel.
        y : array-like of shape (n_samples,)
            Class labels.
        groups : array-like of shape (n_samples,) or None, default=None
            Group labels of the samples, passed to the splitter.

        Returns
        -------
        ChannelSelector
            This object.

        Raises
        ------
        ValueError
            If :func:`channel_scores` raises one.
        """
        if y is None:
            raise ValueError(
                "ChannelSelector requires y to be passed, but the target y is None: channels are "
                "scored by how well they predict y."
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
            warn_user(f"k={self.k} is more than the {n_channels} channels: all are kept.")
        return min(int(self.k), n_channels)

    def transform(self, X):
        """Select the channels of X.

        Parameters
        ----------
        X : array-like, torch.Tensor or dask array of shape (n_samples, n_scales, n_rates, ...)
            Samples of the shape seen in fit.

        Returns
        -------
        ndarray, torch.Tensor or dask array of shape (n_samples, k, ...)
            Copy of the selected channels, (n_samples, k, n_freqs, n_frames) for STRF tensors.
            Lazy for a dask array.

        Raises
        ------
        ValueError
            If the shape differs from that seen in fit, or X contains NaN or infinity.
        """
        check_is_fitted(self)
        X = check_batch(self, X, reset=False, keep_lazy=True)
        reject_dataframe_output(self, 1 + len(self._kept_shape()))
        shape = self._kept_shape()
        return apply_samplewise(copy(self)._take, X, shape=shape, dtype=X.dtype)

    def _take(self, X: Any) -> Any:
        return all_finite(self, X)[(slice(None), *self._index(X))]

    def _kept_shape(self) -> tuple[int, ...]:
        return (len(self.channels_), *self.input_shape_[self.mask_.ndim :])

    def inverse_transform(self, X):
        """Put the selected channels back in their places; all others are zero.

        Parameters
        ----------
        X : array-like, torch.Tensor or dask array of shape (n_samples, k, ...)
            Samples as returned by `transform`.

        Returns
        -------
        ndarray, torch.Tensor or dask array of shape (n_samples, n_scales, n_rates, ...)
            Tensors of the shape seen in fit.

        Raises
        ------
        ValueError
            If the shape is not that of the output of `transform`.
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
        return apply_samplewise(copy(self)._put_back, X, shape=self.input_shape_, dtype=X.dtype)

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
