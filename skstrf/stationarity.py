"""Stationarity of tensors along their axes and over their planes."""

from __future__ import annotations

from typing import Any

import numpy as np
from joblib import Parallel, delayed
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import check_random_state

from skstrf.surrogates.tensors import TensorScore, block_grid, score_tensor
from skstrf.transforms.base import Axis
from skstrf.utils.validation import (
    Integral,
    Interval,
    Real,
    StrOptions,
    check_is_fitted,
    fit_context,
    validate_tensors,
)

__all__ = ["StationarityScorer"]

# Default names of the axes after the sounds, by their number.
_DEFAULT_NAMES = {
    1: ("time",),
    2: ("frequency", "time"),
    4: ("scale", "rate", "frequency", "time"),
}


class StationarityScorer(TransformerMixin, BaseEstimator):
    """Measure how stationary spectrograms and STRF tensors are, between 0 and 1.

    Along every axis: one minus the share of the variance of the lines (rows of a spectrogram for
    time, columns for frequency) that slow changes of level or of variability explain. Over every
    plane of frequency and time: how similar the local spectra of its parts are, compared with a
    homogeneous field.

    Parameters
    ----------
    axes : sequence of str, of Axis or of int, or None, default=None
        Names of the axes after the first, such as the ``axes_`` of a transformer; or positions of
        the axes to test, where 1 is the first axis after the sounds and negative positions count
        from the end. None stands for frequency and time, or scale, rate, frequency and time,
        depending on the number of axes.
    n_surrogates : int, default=199
        Number of surrogates per test. No p-value along an axis is below about
        ``2 / (1 + n_surrogates)``; with fewer than 79, no axis is rejected at ``alpha=0.05``.
    alpha : float, default=0.05
        Significance level of the tests. Intervals have the confidence ``1 - alpha``.
    detrend : {"linear", "polish"} or None, default=None
        "linear" tests for stationarity around a straight line along every axis. "polish" first
        subtracts the medians of rows and columns from every plane, so that neither the spectral
        profile nor the course of loudness counts.
    max_lines : int or None, default=1024
        Maximum number of lines to test along each axis of a tensor. If a tensor has more,
        evenly spaced whole planes are selected. None tests all lines.
    n_jobs : int or None, default=None
        Number of processes among which the sounds are divided. None means 1.
    random_state : int, RandomState instance or None, default=None
        Seed of the surrogates. All sounds have surrogates of the same seed, so that the results of
        a sound do not depend on the other sounds.
    verbose : bool, default=False
        Whether to show a progress bar.

    Attributes
    ----------
    axis_names_ : list of str
        Names of the axes tested.
    stationarity_ : ndarray of shape (n_sounds, n_axes)
        ``1 - effect_`` for every sound seen in fit and every axis of `axis_names_`: 1 if the
        lines vary slowly no more than stationary lines do, towards 0 as the change grows.
    effect_ : ndarray of shape (n_sounds, n_axes)
        Share of the variance of the lines explained by slow changes, beyond what the fast
        fluctuations of the lines predict: the larger of the shares for level and for variability.
    effect_interval_ : ndarray of shape (n_sounds, n_axes, 2)
        Confidence interval of `effect_`. It contains 0 if and only if ``p_value_ > alpha``.
    rate_ : ndarray of shape (n_sounds, n_axes)
        Estimated share of stationary lines (Storey's estimate of the share of true null
        hypotheses).
    rate_interval_ : ndarray of shape (n_sounds, n_axes, 2)
        Confidence interval of `rate_`. It contains 1 if and only if ``p_value_ > alpha``.
    raw_rate_ : ndarray of shape (n_sounds, n_axes)
        Share of lines that are not rejected at the level `alpha` each: about ``1 - alpha`` if all
        lines are stationary.
    p_value_ : ndarray of shape (n_sounds, n_axes)
        p-value of the hypothesis that all lines along the axis are stationary; a single test
        without need for correction.
    level_p_value_, variance_p_value_ : ndarray of shape (n_sounds, n_axes)
        The same for level and for variability alone.
    level_effect_, variance_effect_ : ndarray of shape (n_sounds, n_axes)
        Effects of level and of variability alone, negative if lines vary slowly less than
        predicted.
    tested_share_ : ndarray of shape (n_sounds, n_axes)
        Share of lines that could be tested.
    plane_score_ : ndarray of shape (n_sounds,) or None
        ``min(1, 1 / effect)`` averaged over planes: 1 if local spectra vary as in a homogeneous
        field. None if planes are too small to be cut into blocks of 8 x 8.
    plane_effect_ : ndarray of shape (n_sounds,) or None
        Index of non-stationarity, averaged over planes.
    plane_p_value_ : ndarray of shape (n_sounds,) or None
        Smallest p-value of the planes times their number (Bonferroni), at most 1.
    seed_ : int
        Seed of the surrogates.
    input_shape_ : tuple of int
        Shape of the tensor of one sound.
    n_features_in_ : int
        Length of axis 1.

    See Also
    --------
    skstrf.surrogates : The tests as functions of arrays.
    skstrf.inspection.StationarityDisplay : Plot of the results.

    Notes
    -----
    *Null hypothesis.* A line is a stationary series with short memory, whose correlation decays
    by 1/e within ``n / 2.5`` points, or with long memory, up to a 1/f spectrum. More persistent
    series cannot be distinguished from a random walk on so few points and count as
    non-stationary. Changes that the fast fluctuations do not explain are the power of the
    slowest cosines (of up to two cycles for 128 points, and four for 256 and more) and of steps.
    Modulation of more cycles counts as stationary, and so do beats, which are removed first. See
    :doc:`/stationarity` for the method.

    *The results agree.* `effect_interval_` contains 0 if and only if `rate_interval_` contains 1,
    and if and only if ``p_value_ > alpha``; each estimate lies in its interval. Absence of
    rejection is not evidence of stationarity: the upper end of `effect_interval_` is the largest
    change that the sound may have.

    *Limitations.* Measured on 64 lines of 128 points (see :doc:`/results/stationarity`): random
    walks are found in only about two of three draws, as AR(1) series with a coefficient of .98
    are among the null hypotheses, and random walks that all lines share or beneath noise are
    found less often. Onsets of 1 to 4 standard deviations that decay within a twelfth of the line
    are found in half of the draws. GARCH lines with one common volatility are rejected in 12 % of
    the draws. Lines of 32 points hold little evidence: steps of one standard deviation are found
    in a quarter of the draws.

    *Special cases.* Constant lines, such as channels of zeros, and lines that are constant but
    for one point count as stationary (p-value 1); `tested_share_` is their complement. Axes of
    one or two points have stationarity 1. Lines of fewer than 20 points are taken to be
    uncorrelated, so that the results along such axes only measure whether there is a profile.

    References
    ----------
    .. [1] E. Eremeeva, "Transform analysis and music style transfer with deep neural
       networks", ATIAM report, IRCAM, 2017, sections 2 and 6.3.
    .. [2] J. D. Storey, "A direct approach to false discovery rates", J. Royal Statistical
       Society B 64(3), 479-498, 2002.
    .. [3] P. Borgnat et al., "Testing stationarity with surrogates: a time-frequency approach",
       IEEE Trans. Signal Processing 58(7), 3459-3470, 2010.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf import StationarityScorer
    >>> spectrograms = np.random.default_rng(1).standard_normal((2, 32, 128))
    >>> spectrograms[1] *= np.linspace(1, 4, 128)
    >>> scorer = StationarityScorer(random_state=0).fit(spectrograms)
    >>> scorer.axis_names_
    ['frequency', 'time']
    >>> scorer.stationarity_[:, 1].round(1)
    array([1. , 0.9])
    >>> bool(scorer.p_value_[0, 1] > 0.05 > scorer.p_value_[1, 1])
    True
    """

    _parameter_constraints: dict = {
        "axes": ["array-like", tuple, None],
        "n_surrogates": [Interval(Integral, 19, None, closed="left")],
        "alpha": [Interval(Real, 0, 1, closed="neither")],
        "detrend": [StrOptions({"linear", "polish"}), None],
        "max_lines": [Interval(Integral, 1, None, closed="left"), None],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
        "verbose": ["boolean"],
    }

    def __init__(
        self,
        axes=None,
        n_surrogates=199,
        alpha=0.05,
        *,
        detrend=None,
        max_lines=1024,
        n_jobs=None,
        random_state=None,
        verbose=False,
    ):
        self.axes = axes
        self.n_surrogates = n_surrogates
        self.alpha = alpha
        self.detrend = detrend
        self.max_lines = max_lines
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Test the tensors of sounds.

        Parameters
        ----------
        X : array-like of shape (n_sounds, ...)
            Spectrograms of shape (n_sounds, n_freqs, n_frames), STRF tensors, or other tensors
            whose axes are named by `axes`. Power should be given as its logarithm.
        y : None
            Ignored.

        Returns
        -------
        StationarityScorer
            This object.

        Raises
        ------
        ValueError
            If X contains NaN or infinity, or `axes` does not match the axes of X.
        """
        self._fit(X)
        return self

    @fit_context(prefer_skip_nested_validation=True)
    def fit_transform(self, X, y=None):
        """Test the tensors of sounds once and return their stationarity.

        Parameters
        ----------
        X : array-like of shape (n_sounds, ...)
            Tensors as in `fit`.
        y : None
            Ignored.

        Returns
        -------
        ndarray of shape (n_sounds, n_outputs)
            Stationarity as from `transform`.
        """
        return self._fit(X)

    def transform(self, X):
        """Return the stationarity of tensors.

        Parameters
        ----------
        X : array-like of shape (n_sounds, ...)
            Tensors of the shape seen in fit.

        Returns
        -------
        ndarray of shape (n_sounds, n_outputs)
            The stationarity along every axis. The last column holds the plane score if planes are
            large enough to have one (`get_feature_names_out` gives the names of the columns).
            float32 for float32 input, otherwise float64.
        """
        check_is_fitted(self)
        X = validate_tensors(self, X, reset=False)
        return self._table(self._score(X), X.dtype)

    def score(self, X, y=None):
        """Return the mean stationarity over sounds and axes.

        Parameters
        ----------
        X : array-like of shape (n_sounds, ...)
            Tensors of the shape seen in fit.
        y : None
            Ignored.

        Returns
        -------
        float
            Mean of `stationarity_` in [0, 1], without the plane score.
        """
        return float(self.transform(X)[:, : len(self.axis_names_)].mean())

    def get_feature_names_out(self, input_features=None):
        """Return the names of the columns of `transform`.

        Parameters
        ----------
        input_features : None
            Ignored.

        Returns
        -------
        ndarray of str
            Names such as ``"frequency"``, ``"time"``, ``"plane"``.
        """
        check_is_fitted(self)
        plane = [] if self._blocks is None else ["plane"]
        return np.array([*self.axis_names_, *plane], dtype=object)

    def _fit(self, X: Any) -> np.ndarray:
        X = validate_tensors(self, X, reset=True)
        names, self._tested = resolve_axes(self.axes, X.ndim)
        self.axis_names_ = [names[axis - 1] for axis in self._tested]
        self._blocks = block_grid(X.shape[-2:]) if X.ndim > 2 else None
        self.seed_ = int(check_random_state(self.random_state).randint(2**31 - 1))
        scores = self._score(X)
        self.effect_ = _collected(scores, "effect")
        self.stationarity_ = 1 - self.effect_
        self.effect_interval_ = _collected(scores, "effect_interval")
        self.rate_ = _collected(scores, "rate")
        self.rate_interval_ = _collected(scores, "rate_interval")
        self.raw_rate_ = np.array(
            [[np.mean(test.p_values > self.alpha) for test in score.lines] for score in scores]
        )
        self.p_value_ = _collected(scores, "p_value")
        self.level_p_value_ = _collected(scores, "level_p_value")
        self.variance_p_value_ = _collected(scores, "variance_p_value")
        self.level_effect_ = _collected(scores, "level_effect")
        self.variance_effect_ = _collected(scores, "variance_effect")
        self.tested_share_ = np.array(
            [[np.mean(test.tested) for test in score.lines] for score in scores]
        )
        self.plane_score_ = self.plane_effect_ = self.plane_p_value_ = None
        if self._blocks is not None:
            groups = [score.planes for score in scores]
            self.plane_score_ = np.array([np.mean([p.score for p in group]) for group in groups])
            self.plane_effect_ = np.array([np.mean([p.effect for p in group]) for group in groups])
            smallest = [len(group) * min(p.p_value for p in group) for group in groups]
            self.plane_p_value_ = np.minimum(smallest, 1.0)
        return self._table(scores, X.dtype)

    def _score(self, X: np.ndarray) -> list[TensorScore]:
        """Score every tensor, in parallel."""
        tasks = (
            delayed(score_tensor)(
                x,
                [axis - 1 for axis in self._tested],
                self._blocks,
                n_surrogates=self.n_surrogates,
                alpha=self.alpha,
                detrend=self.detrend,
                max_lines=self.max_lines,
                seed=self.seed_,
            )
            for x in X
        )
        scores = Parallel(n_jobs=self.n_jobs, return_as="generator")(tasks)
        if self.verbose:
            from tqdm import tqdm

            scores = tqdm(scores, total=len(X), desc="Stationarity", unit="sound")
        return list(scores)

    def _table(self, scores: list[TensorScore], dtype: Any) -> np.ndarray:
        """Stationarity and mean plane scores, one row per sound."""
        rows = [
            [
                *(1 - test.effect for test in one.lines),
                *([np.mean([p.score for p in one.planes])] if one.planes else []),
            ]
            for one in scores
        ]
        return np.array(rows, dtype=dtype)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.non_deterministic = self.random_state is None
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _collected(scores: list[TensorScore], name: str) -> np.ndarray:
    """One field of the tests of all sounds and axes."""
    return np.array([[getattr(test, name) for test in score.lines] for score in scores])


def resolve_axes(axes: Any, ndim: int) -> tuple[list[str], list[int]]:
    """Names of all axes after the first, and the positions of the axes to test."""
    n_axes = ndim - 1
    every = list(range(1, ndim))
    given = None if axes is None else list(axes)
    if given and all(isinstance(one, Integral) for one in given):
        wrong = [int(one) for one in given if not -n_axes <= int(one) < ndim or int(one) == 0]
        positions = [int(one) % ndim for one in given]
        if wrong or len(set(positions)) < len(positions):
            raise ValueError(
                f"axes={axes!r} of StationarityScorer, but X has {ndim} axes: give different "
                f"positions from 1 to {n_axes} (axis 0 are the sounds), or from -{n_axes} to -1."
            )
        default = tuple(f"axis {position}" for position in every)
        return list(_DEFAULT_NAMES.get(n_axes, default)), positions
    if given is None:
        if n_axes not in _DEFAULT_NAMES:
            raise ValueError(
                f"X has {n_axes} axes after the sounds, which have no default names: name them "
                "with axes=, such as the axes_ of the transformer or ['scale', 'frequency', "
                "'time']; or give the positions of the axes to test."
            )
        return list(_DEFAULT_NAMES[n_axes]), every
    names = [one.name if isinstance(one, Axis) else one for one in given]
    if len(names) != n_axes or not all(isinstance(name, str) for name in names):
        raise ValueError(f"axes must name the {n_axes} axes of X after the sounds, got {names!r}.")
    return names, every
