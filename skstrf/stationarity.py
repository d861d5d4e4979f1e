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

    Along every axis: the share of lines (rows of a spectrogram for time, columns for frequency)
    whose level and variability do not change. Over every plane of frequency and time: how similar
    the local spectra of its parts are, compared with a homogeneous field.

    Parameters
    ----------
    axes : sequence of str, of Axis or of int, or None, default=None
        Names of the axes after the first, such as the ``axes_`` of a transformer; or positions of
        the axes to test, where 1 is the first axis after the sounds and negative positions count
        from the end. None stands for frequency and time, or scale, rate, frequency and time,
        depending on the number of axes.
    n_surrogates : int, default=199
        Number of surrogates per test. No p-value is below ``1 / (1 + n_surrogates)``.
    alpha : float, default=0.05
        False discovery rate of `rate_`, and significance level of `raw_rate_`.
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
        Seed of the surrogates. All sounds have surrogates of the same seed, so that the rates of
        a sound do not depend on the other sounds.
    verbose : bool, default=False
        Whether to show a progress bar.

    Attributes
    ----------
    axis_names_ : list of str
        Names of the axes tested.
    rate_ : ndarray of shape (n_sounds, n_axes)
        For every sound seen in fit, the share of lines whose stationarity is not rejected at the
        false discovery rate `alpha`.
    raw_rate_ : ndarray of shape (n_sounds, n_axes)
        Share of lines that are not rejected at the level `alpha` each: about ``1 - alpha`` if all
        lines are stationary.
    pi0_ : ndarray of shape (n_sounds, n_axes)
        Estimated share of stationary lines, independent of `alpha`.
    p_value_ : ndarray of shape (n_sounds, n_axes)
        p-value of the hypothesis that all lines along the axis are stationary; a single test
        without need for correction.
    level_p_value_, variance_p_value_ : ndarray of shape (n_sounds, n_axes)
        The same for level and for variability alone.
    effect_ : ndarray of shape (n_sounds, n_axes)
        Deviation of levels and variability relative to stationary lines: about 1 for stationary
        lines, larger otherwise, up to about 3 for a pure trend.
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
    skstrf.inspection.StationarityDisplay : Plot of the rates.

    Notes
    -----
    *Null hypothesis.* A line is a stationary series whose correlation decays well within its
    length: after whitening by an autoregressive model with coefficients that sum to at most
    ``1 - 1 / sqrt(n)``, neither its level nor its variability changes more than with the
    innovations in random order. More persistent series cannot be distinguished from a random walk
    on so few points and count as non-stationary. The surrogates are drawn jointly for all lines
    of a plane. See :doc:`/stationarity` for formulas, calibration and power.

    *Special cases.* Constant lines, such as channels of zeros, count as stationary (p-value 1).
    Axes of one or two points have rate 1. Lines of fewer than 16 points are taken to be
    uncorrelated, so that rates along such axes only measure whether there is a profile.

    References
    ----------
    .. [1] E. Eremeeva, "Transform analysis and music style transfer with deep neural
       networks", ATIAM report, IRCAM, 2017, sections 2 and 6.3.
    .. [2] D. Kwiatkowski, P. C. B. Phillips, P. Schmidt and Y. Shin, "Testing the null
       hypothesis of stationarity against the alternative of a unit root", J. Econometrics
       54(1-3), 159-178, 1992.
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
    >>> bool(scorer.rate_[0, 1] > 0.9), bool(scorer.rate_[1, 1] < 0.5)
    (True, True)
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
        """Test the tensors of sounds once and return their rates.

        Parameters
        ----------
        X : array-like of shape (n_sounds, ...)
            Tensors as in `fit`.
        y : None
            Ignored.

        Returns
        -------
        ndarray of shape (n_sounds, n_outputs)
            Rates as from `transform`.
        """
        return self._fit(X)

    def transform(self, X):
        """Return the rates of tensors.

        Parameters
        ----------
        X : array-like of shape (n_sounds, ...)
            Tensors of the shape seen in fit.

        Returns
        -------
        ndarray of shape (n_sounds, n_outputs)
            The rate along every axis. The last column holds the plane score if planes are large
            enough to have one (`get_feature_names_out` gives the names of the columns). float32
            for float32 input, otherwise float64.
        """
        check_is_fitted(self)
        X = validate_tensors(self, X, reset=False)
        return self._table(self._score(X), X.dtype)

    def score(self, X, y=None):
        """Return the mean rate over sounds and axes.

        Parameters
        ----------
        X : array-like of shape (n_sounds, ...)
            Tensors of the shape seen in fit.
        y : None
            Ignored.

        Returns
        -------
        float
            Mean rate in [0, 1], without the plane score.
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
        self.rate_ = np.stack([score.rate for score in scores])
        self.raw_rate_ = np.stack([score.raw_rate for score in scores])
        self.pi0_ = np.stack([score.pi0 for score in scores])
        self.p_value_ = np.stack([score.p_value for score in scores])
        self.level_p_value_ = np.stack([score.level_p_value for score in scores])
        self.variance_p_value_ = np.stack([score.variance_p_value for score in scores])
        self.effect_ = np.stack([score.effect for score in scores])
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
        """Rates and mean plane scores, one row per sound."""
        rows = [
            [*one.rate, *([np.mean([p.score for p in one.planes])] if one.planes else [])]
            for one in scores
        ]
        return np.array(rows, dtype=dtype)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.non_deterministic = self.random_state is None
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


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
