"""StationarityScorer: how stationary tensors are along their axes and over their planes."""

from __future__ import annotations

from collections.abc import Iterable
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

# Names of the axes of what the transformers give, by their number.
_USUAL = {
    1: ("time",),
    2: ("frequency", "time"),
    4: ("scale", "rate", "frequency", "time"),
}


class StationarityScorer(TransformerMixin, BaseEstimator):
    """How stationary spectrograms and STRF tensors are, between 0 and 1.

    Along every axis: the share of lines (rows of a spectrogram for time, columns for frequency)
    whose level and variability stay the same. Over every plane of frequency and time: how alike
    the local spectra of its parts are, compared with a homogeneous field.

    Parameters
    ----------
    axes : sequence of str, of Axis or of int, or None, default=None
        Names of the axes after the first, such as the ``axes_`` of a transformer; or the
        positions of those to test (1 is the first after the sounds, negative ones count from the
        end). None: frequency and time, or scale, rate, frequency and time, by their number.
    n_surrogates : int, default=199
        Surrogates for every test; no p-value is below ``1 / (1 + n_surrogates)``.
    alpha : float, default=0.05
        False discovery rate of `rate_`, and level of `raw_rate_`.
    detrend : {"linear", "polish"} or None, default=None
        "linear" asks for stationarity around a straight line along every axis. "polish" takes
        the medians of rows and columns off every plane first, so that neither the spectral
        profile nor the course of loudness counts.
    max_lines : int or None, default=1024
        Lines to test along each axis, of a tensor; where there are more, whole planes spread
        evenly are taken. None: all of them.
    random_state : int, RandomState instance or None, default=None
        Seed of the surrogates. All sounds are compared with surrogates of the same chance, so
        that the rates of a sound do not depend on the others.
    n_jobs : int or None, default=None
        Processes that share the sounds.
    verbose : bool, default=False
        Show a progress bar.

    Attributes
    ----------
    axis_names_ : list of str
        Names of the axes tested.
    rate_ : ndarray of shape (n_sounds, n_axes)
        For every sound seen in fit, the share of lines whose stationarity is not rejected at a
        false discovery rate of `alpha`.
    raw_rate_ : ndarray of shape (n_sounds, n_axes)
        Share of lines not rejected at level `alpha` each: about ``1 - alpha`` where all are
        stationary.
    pi0_ : ndarray of shape (n_sounds, n_axes)
        Estimated share of stationary lines, which depends on no level.
    p_value_ : ndarray of shape (n_sounds, n_axes)
        That all lines along the axis are stationary: one test, no correction needed.
    level_p_value_, variance_p_value_ : ndarray of shape (n_sounds, n_axes)
        The same for level and for variability alone.
    effect_ : ndarray of shape (n_sounds, n_axes)
        How far levels and variability wander, in units of what stationary lines would: about 1,
        more where they are not stationary, up to about 3 where a trend is all there is.
    plane_score_ : ndarray of shape (n_sounds,) or None
        ``min(1, 1 / plane_effect_)`` averaged over planes: 1 when local spectra vary as in a
        homogeneous field. None when planes are too small to be cut into blocks of 8 x 8.
    plane_effect_, plane_p_value_ : ndarray of shape (n_sounds,) or None
        Index of non-stationarity, averaged over planes; and the smallest p-value times the
        number of planes (Bonferroni), at most 1.
    seed_ : int
        Of the surrogates.
    input_shape_ : tuple of int
        Shape of one sound's tensor.
    n_features_in_ : int
        Length of axis 1.

    See Also
    --------
    skstrf.surrogates : The tests themselves.
    skstrf.inspection.StationarityDisplay : Draws the rates.

    Notes
    -----
    *Null hypothesis.* A line is a stationary series whose dependence has died out long before
    its end: after whitening by an autoregressive model, at most ``1 - 1 / sqrt(n)`` persistent,
    neither its level nor its variability wanders more than when the innovations are put in any
    other order. What is more persistent cannot be told from a random walk on so few points, and
    is called non-stationary. See :func:`skstrf.surrogates.sieve_surrogates` for the surrogates,
    which are drawn jointly for all lines of a plane, and :doc:`/stationarity` for formulas,
    calibration and power.

    *Special values.* Constant lines, such as channels that are all zero, count as stationary
    (p-value 1). Axes of one or two points have rate 1, and on fewer than 16 points lines are
    taken for uncorrelated: rates along axes so short say whether there is a profile, no more.

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
        "random_state": ["random_state"],
        "n_jobs": [Integral, None],
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
        random_state=None,
        n_jobs=None,
        verbose=False,
    ):
        self.axes = axes
        self.n_surrogates = n_surrogates
        self.alpha = alpha
        self.detrend = detrend
        self.max_lines = max_lines
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.verbose = verbose

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Test the tensors.

        Parameters
        ----------
        X : array-like of shape (n_sounds, ...)
            Spectrograms (n_sounds, n_freqs, n_frames), STRF tensors, or any with `axes` named.
            Take logarithms of power first.
        y : None
            Ignored.

        Returns
        -------
        StationarityScorer
            This object.

        Raises
        ------
        ValueError
            On NaN or infinity, or when `axes` does not fit the axes of X.
        """
        self._fitted(X)
        return self

    def fit_transform(self, X, y=None):
        """Test the tensors once, and give their rates.

        Parameters
        ----------
        X : array-like of shape (n_sounds, ...)
            As in `fit`.
        y : None
            Ignored.

        Returns
        -------
        ndarray of shape (n_sounds, n_outputs)
            As from `transform`.
        """
        self._validate_params()
        return self._fitted(X)

    def transform(self, X):
        """Give the rates of tensors.

        Parameters
        ----------
        X : array-like of shape (n_sounds, ...)
            Tensors of the shape seen in fit.

        Returns
        -------
        ndarray of shape (n_sounds, n_outputs)
            The rate along every axis, and the plane score in the last column if planes are large
            enough to have one (`get_feature_names_out` names the columns). float32 for float32.
        """
        check_is_fitted(self)
        X = validate_tensors(self, X, reset=False)
        return self._table(self._score(X), X.dtype)

    def score(self, X, y=None):
        """Mean rate over sounds and axes.

        Parameters
        ----------
        X : array-like of shape (n_sounds, ...)
            Tensors of the shape seen in fit.
        y : None
            Ignored.

        Returns
        -------
        float
            In [0, 1]. The plane score has no part in it.
        """
        return float(self.transform(X)[:, : len(self.axis_names_)].mean())

    def get_feature_names_out(self, input_features=None):
        """Names of the columns that `transform` gives.

        Parameters
        ----------
        input_features : None
            Ignored.

        Returns
        -------
        ndarray of str
            Such as ``"frequency"``, ``"time"``, ``"plane"``.
        """
        check_is_fitted(self)
        plane = [] if self._blocks is None else ["plane"]
        return np.array([*self.axis_names_, *plane], dtype=object)

    def _fitted(self, X: Any) -> np.ndarray:
        X = validate_tensors(self, X, reset=True)
        names, self._tested = resolve_axes(self.axes, X.ndim)
        self.axis_names_ = [names[axis - 1] for axis in self._tested]
        self._blocks = block_grid(X.shape[-2:]) if X.ndim > 2 else None
        self.seed_ = int(check_random_state(self.random_state).randint(2**31 - 1))
        found = self._score(X)
        for name in ("rate", "raw_rate", "pi0", "p_value", "level_p_value", "variance_p_value"):
            setattr(self, f"{name}_", np.stack([getattr(one, name) for one in found]))
        self.effect_ = np.stack([one.effect for one in found])
        planes = [one.planes for one in found if one.planes]
        self.plane_score_ = self.plane_effect_ = self.plane_p_value_ = None
        if planes:
            self.plane_score_ = np.array([np.mean([p.score for p in group]) for group in planes])
            self.plane_effect_ = np.array([np.mean([p.effect for p in group]) for group in planes])
            smallest = [len(group) * min(p.p_value for p in group) for group in planes]
            self.plane_p_value_ = np.minimum(smallest, 1.0)
        return self._table(found, X.dtype)

    def _score(self, X: np.ndarray) -> list[TensorScore]:
        """Score every tensor, sharing them among processes."""
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
        return list(_with_progress(scores, len(X), self.verbose))

    def _table(self, found: list[TensorScore], dtype: Any) -> np.ndarray:
        rows = [
            [*one.rate, *([np.mean([p.score for p in one.planes])] if one.planes else [])]
            for one in found
        ]
        return np.array(rows, dtype=dtype)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.non_deterministic = self.random_state is None
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def resolve_axes(axes: Any, ndim: int) -> tuple[list[str], list[int]]:
    """Names of all axes after the first, and the positions of those to test."""
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
        usual = _USUAL.get(n_axes, tuple(f"axis {position}" for position in every))
        return list(usual), positions
    if given is None:
        if n_axes not in _USUAL:
            raise ValueError(
                f"X has {n_axes} axes after the sounds, and what they mean is not known: name "
                "them with axes=, such as the axes_ of the transformer or ['scale', 'frequency', "
                "'time']; or give the positions of those to test."
            )
        return list(_USUAL[n_axes]), every
    names = [one.name if isinstance(one, Axis) else one for one in given]
    if len(names) != n_axes or not all(isinstance(name, str) for name in names):
        raise ValueError(f"axes must name the {n_axes} axes of X after the sounds, got {names!r}.")
    return names, every


def _with_progress(
    scores: Iterable[TensorScore], total: int, verbose: bool
) -> Iterable[TensorScore]:
    if not verbose:
        return scores
    from tqdm import tqdm

    return tqdm(scores, total=total, desc="Stationarity", unit="sound")
