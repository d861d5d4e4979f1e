"""Tests of stationarity along lines, with surrogates from autoregressive models."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.fft
from scipy.stats import false_discovery_control, rankdata

from skstrf.surrogates.autoregression import color, drop_insignificant, fit_autoregression, whiten
from skstrf.utils.validation import checked_number, checked_reals, checked_whole

__all__ = [
    "LinesTestResult",
    "combined_p_values",
    "kpss_statistic",
    "lines_test",
    "null_share",
    "rank_p_values",
    "sieve_surrogates",
    "stationarity_rate",
]

# Number of points that each coefficient of a model requires.
_POINTS_PER_LAG = 16
# The finer patterns across lines have a model only where white noise is rejected at this quantile.
_GATE = 0.9
# One cosine across the lines in so many always has a model, as slow variation is coarse.
_COARSE = 8
_TINY = 1e-30


class LinesTestResult(NamedTuple):
    """Result of `lines_test`."""

    p_values: np.ndarray
    p_value: float
    level_p_value: float
    variance_p_value: float
    effect: float


def lines_test(
    x: np.ndarray,
    n_surrogates: int = 199,
    rng: np.random.Generator | int | None = None,
    *,
    detrend: bool = False,
) -> LinesTestResult:
    """Test whether lines keep their level and their variability.

    Every line is whitened by an autoregressive model. The KPSS statistic [1]_ with zero lags of
    the innovations measures changes of level; that of their whitened absolute values measures
    changes of variability. Both are compared with surrogates [2]_ that have the same models and
    the same innovations in random order.

    Parameters
    ----------
    x : ndarray of shape (n_groups, n_lines, n_points) or (n_lines, n_points)
        Lines along the last axis. The lines of a group are neighbors in a plane, in order.
    n_surrogates : int, default=199
        Number of surrogates. The smallest possible p-value is ``1 / (1 + n_surrogates)``.
    rng : numpy.random.Generator, int or None, default=None
        Random number generator, or its seed. The surrogates of a group do not depend on the
        other groups.
    detrend : bool, default=False
        If True, test for stationarity around a straight line.

    Returns
    -------
    LinesTestResult
        Named tuple with the fields

        - ``p_values``, ndarray of shape (n_groups * n_lines,): p-value of every line. Constant
          lines and lines of fewer than three points have the p-value 1.
        - ``p_value``, float: p-value of the hypothesis that all lines are stationary.
        - ``level_p_value`` and ``variance_p_value``, float: the same for level and for
          variability alone.
        - ``effect``, float: root of the ratio of the statistics to those of the surrogates,
          about 1 for stationary lines.

    Raises
    ------
    ValueError
        If `x` is not real and finite, or has fewer than two axes.

    See Also
    --------
    plane_test : Test whether a plane is homogeneous.
    skstrf.StationarityScorer : Applies both tests along all axes of tensors.

    References
    ----------
    .. [1] D. Kwiatkowski, P. C. B. Phillips, P. Schmidt and Y. Shin, "Testing the null
       hypothesis of stationarity against the alternative of a unit root", J. Econometrics
       54(1-3), 159-178, 1992.
    .. [2] P. Buehlmann, "Sieve bootstrap for time series", Bernoulli 3(2), 123-148, 1997.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf.surrogates import lines_test
    >>> noise = np.random.default_rng(0).standard_normal((16, 128))
    >>> trend = np.linspace(0, 2, 128)
    >>> lines_test(noise, 99, 0).p_value > 0.05 > lines_test(noise + trend, 99, 0).p_value
    True
    """
    x = checked_reals(x, "x", ndim=2)
    checked_whole(n_surrogates, "n_surrogates")
    groups = x.reshape(-1, *x.shape[-2:])
    seed = np.random.default_rng(rng).integers(2**63)
    if groups.shape[-1] < 3:
        return LinesTestResult(np.ones(groups.shape[0] * groups.shape[1]), 1.0, 1.0, 1.0, 1.0)
    p_values, sums = [], np.zeros((2, 1 + n_surrogates))
    for group in groups:
        # All groups have the same seed, so that they share permutations and their sums keep the
        # dependence between groups.
        statistics = _group_statistics(group, n_surrogates, np.random.default_rng(seed), detrend)
        p_values.append(combined_p_values(*statistics))
        sums += statistics.sum(axis=2)
    level, variability = rank_p_values(sums.T)[0]
    null = sums[:, 1:].mean(axis=1)
    ratios = np.divide(sums[:, 0], null, out=np.ones(2), where=null > 0)
    return LinesTestResult(
        np.concatenate(p_values),
        float(combined_p_values(*sums)),
        float(level),
        float(variability),
        float(np.sqrt(ratios.mean())),
    )


def _group_statistics(
    group: np.ndarray, n_surrogates: int, rng: np.random.Generator, detrend: bool
) -> np.ndarray:
    """Level and variability of data and surrogates, of shape (2, 1 + n_surrogates, n_lines)."""
    lines = _standardized(group).T
    surrogates = sieve_surrogates(lines, n_surrogates, rng, detrend=detrend)
    observed = _line_statistics(lines[:, None], detrend)
    simulated = _line_statistics(surrogates, detrend)
    return np.stack([np.concatenate(pair) for pair in zip(observed, simulated, strict=True)])


def _standardized(lines: np.ndarray) -> np.ndarray:
    """Zero mean and unit variance in float32; lines that are constant up to rounding become 0."""
    eps = np.finfo(lines.dtype).eps
    values = lines.astype(np.float64)
    deviation = values.std(axis=-1, keepdims=True)
    constant = deviation <= 4 * eps * np.abs(values).max(axis=-1, keepdims=True)
    centered = values - values.mean(axis=-1, keepdims=True)
    return np.where(constant, 0, centered / np.where(constant, 1, deviation)).astype(np.float32)


class _ModelOrders(NamedTuple):
    """Orders of the models of lines of some length, and numbers of slow cosines left out."""

    line: int
    line_slow: int
    shared: int
    shared_slow: int
    spread: int
    spread_slow: int

    @classmethod
    def for_length(cls, n: int) -> _ModelOrders:
        room = n // _POINTS_PER_LAG
        return cls(*(min(most, room) for most in (4, 2, 8, 4, 1, 2)))


def sieve_surrogates(
    x: np.ndarray, n_surrogates: int, rng: np.random.Generator, *, detrend: bool = False
) -> np.ndarray:
    """Stationary surrogates of a plane from its autoregressive models and permuted innovations.

    Takes an array of shape (n_points, n_lines) and returns one of shape (n_points, n_surrogates,
    n_lines). Each line has a model of its own. What these leave is transformed to cosines across
    the lines, which have further models, so that the dependence between lines is kept.
    """
    x = checked_reals(x, "x", ndim=2)
    if x.ndim != 2 or len(x) < 2:
        raise ValueError(
            f"x must have the shape (n_points, n_lines) with at least two points; got {x.shape}."
        )
    checked_whole(n_surrogates, "n_surrogates")
    orders = _ModelOrders.for_length(len(x))
    lines = _centered(x, detrend).astype(np.float32)
    models = fit_autoregression(lines, orders.line, n_slow=orders.line_slow)
    residual = whiten(lines, models)
    scale = np.maximum(residual.std(axis=0), _TINY)
    shared = scipy.fft.dct(residual / scale, axis=1, norm="ortho")
    n_slow = orders.shared_slow
    common = fit_autoregression(shared, orders.shared, n_slow=n_slow)
    coarse = lines.shape[1] // _COARSE
    fine = drop_insignificant(common[:, coarse:], shared[:, coarse:], n_slow=n_slow, level=_GATE)
    common = np.concatenate([common[:, :coarse], fine], axis=1)
    innovations = whiten(shared, common)
    order = rng.permuted(np.tile(np.arange(len(innovations)), (n_surrogates, 1)), axis=1)
    # A surrogate starts with consecutive points of the data from a random place, which is the
    # same for all lines.
    starts = rng.integers(0, len(shared) - orders.shared + 1, n_surrogates)
    begin = shared[starts + np.arange(orders.shared)[:, None]]
    shared = color(innovations[order.T], common, begin)
    residual = scipy.fft.idct(shared, axis=2, norm="ortho") * scale
    starts = rng.integers(0, len(lines) - orders.line + 1, n_surrogates)
    return color(residual, models, lines[starts + np.arange(orders.line)[:, None]])


def _line_statistics(x: np.ndarray, detrend: bool) -> tuple[np.ndarray, np.ndarray]:
    """Statistics of level and of variability of every series."""
    x = _centered(x, detrend)
    orders = _ModelOrders.for_length(len(x))
    coefficients = fit_autoregression(x, orders.line, n_slow=orders.line_slow)
    innovations = whiten(x, coefficients)
    spread = np.abs(innovations)
    spread -= spread.mean(axis=0)
    spread = whiten(spread, fit_autoregression(spread, orders.spread, n_slow=orders.spread_slow))
    return kpss_statistic(innovations), kpss_statistic(spread)


def kpss_statistic(x: np.ndarray) -> np.ndarray:
    """KPSS statistic with zero lags of centered series along axis 0."""
    x = checked_reals(x, "x")
    sums = np.cumsum(x, axis=0)
    power = np.einsum("i...,i...->...", x, x) / len(x)
    wandering = np.einsum("i...,i...->...", sums, sums) / len(x) ** 2
    return wandering / np.maximum(power, _TINY)


def _centered(x: np.ndarray, detrend: bool) -> np.ndarray:
    x = x - x.mean(axis=0)
    if detrend:
        t = np.linspace(-1, 1, len(x), dtype=x.dtype).reshape(-1, *[1] * (x.ndim - 1))
        x -= t * ((t * x).sum(axis=0) / (t * t).sum())
    return x


# p-values and the rates computed from them


def rank_p_values(statistics: np.ndarray) -> np.ndarray:
    """p-value of every entry along axis 0 from its rank among all entries."""
    return rankdata(-statistics, method="max", axis=0) / len(statistics)


def combined_p_values(*statistics: np.ndarray) -> np.ndarray:
    """One p-value for several dependent statistics; entry 0 along axis 0 is the observation."""
    smallest = np.min([rank_p_values(values) for values in statistics], axis=0)
    excess = np.max([v / np.maximum(v.mean(axis=0), _TINY) for v in statistics], axis=0)
    # The excess breaks ties only: p-values have steps of 1 / n, and no statistic is more than n
    # times its mean.
    order = smallest - 0.5 * excess / len(excess) ** 2
    return (order <= order[0]).mean(axis=0)


def stationarity_rate(p_values: np.ndarray, alpha: float = 0.05) -> float:
    """Share of lines whose stationarity is not rejected at the false discovery rate `alpha`."""
    p_values = _checked_p_values(p_values)
    checked_number(alpha, "alpha", low=0, high=1)
    return float(np.mean(false_discovery_control(p_values) > alpha))


def null_share(p_values: np.ndarray) -> float:
    """Storey's estimate of the share of stationary lines, from the p-values above one half."""
    return min(1.0, 2 * float(np.mean(_checked_p_values(p_values) > 0.5)))


def _checked_p_values(p_values: np.ndarray) -> np.ndarray:
    p_values = checked_reals(p_values, "p_values")
    if p_values.min() < 0 or p_values.max() > 1:
        raise ValueError("p_values must lie between 0 and 1.")
    return p_values.ravel()
