"""Autoregressive models of many series at once, fitted away from the lowest frequencies.

A slow change of level looks, at the lowest frequencies, like strong dependence. Here those
frequencies do not take part in the fit: the model is found from faster fluctuations and
extrapolated, so that a change of level is seen as what it is, an excess over the model.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.fft
from scipy.stats import chi2, false_discovery_control, rankdata

from skstrf.utils.validation import checked_number, checked_reals, checked_whole

__all__ = [
    "LineTest",
    "color",
    "combined_p_values",
    "fit_autoregression",
    "gated",
    "kpss_statistic",
    "line_statistics",
    "lines_test",
    "null_share",
    "rank_p_values",
    "sieve_surrogates",
    "stationarity_rate",
    "whiten",
]


# Reflection coefficients beyond it belong to series that hardly ever return to their mean.
_STEEPEST = 0.99
_FIXED_POINT_STEPS = 6
_BISECTIONS = 16
_TINY = 1e-30


def fit_autoregression(
    x: np.ndarray, order: int, *, n_slow: int = 0, persistence: float | None = None
) -> np.ndarray:
    """Fit an autoregressive model to every series, leaving its slowest cosines out."""
    x = checked_reals(x, "x")
    n = len(x)
    checked_whole(order, "order", low=0, high=n - 1)
    checked_whole(n_slow, "n_slow", low=0, high=n - 1)
    if persistence is not None:
        checked_number(persistence, "persistence", low=0, high=1)
    series = x.reshape(n, -1)
    if order == 0:
        return np.empty((0, *x.shape[1:]), x.dtype)
    limit = 1 - 1 / np.sqrt(n) if persistence is None else persistence
    slow = _slow_cosines(n, n_slow).astype(x.dtype)
    observed = _autocovariance(series - slow.T @ (slow @ series), order)
    frequencies = np.pi * np.arange(n_slow + 1)[:, None] / n
    steps = frequencies * np.arange(order + 1)
    exponentials = np.exp(-1j * steps[:, 1:]).astype(np.result_type(x.dtype, np.complex64))
    missing = (np.cos(steps) / n).astype(x.dtype)
    covariance = observed
    for step in range(_FIXED_POINT_STEPS + 1):
        coefficients, power = _yule_walker(covariance)
        coefficients = _limited(coefficients, limit)
        if step < _FIXED_POINT_STEPS:
            gain = np.abs(1 - exponentials @ coefficients) ** 2
            covariance = observed + missing.T @ (power / gain)
    return coefficients.reshape(order, *x.shape[1:])


def gated(coefficients: np.ndarray, x: np.ndarray, *, n_slow: int, level: float) -> np.ndarray:
    """Set to zero the models of series that cannot be told from white noise.

    Coefficients fitted to white noise are small but not zero, and series made with them have
    slower fluctuations than noise.
    """
    n, order = len(x), len(coefficients)
    if order == 0:
        return coefficients
    slow = _slow_cosines(n, n_slow).astype(x.dtype)
    covariance = _autocovariance(x - slow.T @ (slow @ x), order)
    _, power = _yule_walker(covariance)
    explained = 1 - power / np.maximum(covariance[0], _TINY)
    return np.where(n * explained > chi2.ppf(level, order), coefficients, 0).astype(x.dtype)


def whiten(x: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
    """What autoregressive models leave of series: the innovations."""
    x, order = checked_reals(x, "x"), len(coefficients)
    n = len(x)
    if not order < n:
        raise ValueError(f"Models of order {order} cannot be taken off series of {n} points.")
    left = x[order:].copy()
    for lag, factor in enumerate(coefficients, start=1):
        left -= factor * x[order - lag : n - lag]
    return left - left.mean(axis=0)


def color(innovations: np.ndarray, coefficients: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Make series from innovations: the inverse of `whiten`."""
    order = len(coefficients)
    if len(start) != order:
        raise ValueError(f"start must hold the first {order} points, one for each coefficient.")
    if order == 0:
        return innovations
    x = np.concatenate([start, innovations])
    for t in range(order, len(x)):
        for lag, factor in enumerate(coefficients, start=1):
            x[t] += factor * x[t - lag]
    return x


def _slow_cosines(n: int, n_slow: int) -> np.ndarray:
    """The constant and the slowest vectors of the cosine transform, orthonormal rows."""
    t = (np.arange(n) + 0.5) / n
    rows = np.cos(np.pi * np.arange(n_slow + 1)[:, None] * t) * np.sqrt(2 / n)
    rows[0] /= np.sqrt(2)
    return rows


def _autocovariance(x: np.ndarray, order: int) -> np.ndarray:
    n = len(x)
    return np.stack([np.einsum("ij,ij->j", x[: n - h], x[h:]) / (n - h) for h in range(order + 1)])


def _yule_walker(covariance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Levinson's recursion for all series; also the power of the innovations."""
    order = len(covariance) - 1
    power = covariance[0].copy()
    phi = np.zeros((order, *power.shape), power.dtype)
    for k in range(order):
        missed = covariance[k + 1] - np.einsum("ij,ij->j", phi[:k], covariance[k:0:-1])
        reflection = np.clip(missed / np.maximum(power, _TINY), -_STEEPEST, _STEEPEST)
        phi[:k] -= reflection * phi[:k][::-1]
        phi[k] = reflection
        power = power * (1 - reflection**2)
    return phi, power


def _limited(coefficients: np.ndarray, limit: float) -> np.ndarray:
    """Move all poles of too persistent models toward 0 until the coefficients sum to `limit`."""
    over = coefficients.sum(axis=0) > limit
    if not over.any():
        return coefficients
    chosen = coefficients[:, over]
    powers = np.arange(1, len(chosen) + 1)[:, None]
    low, high = np.zeros((2, chosen.shape[1]), chosen.dtype)
    high += 1
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        above = (chosen * middle**powers).sum(axis=0) > limit
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    coefficients = coefficients.copy()
    coefficients[:, over] = chosen * low**powers
    return coefficients


_TINY_RATES = 1e-30


def rank_p_values(statistics: np.ndarray) -> np.ndarray:
    """p-value of every entry among all: its own, and those of the surrogates."""
    return rankdata(-statistics, method="max", axis=0) / len(statistics)


def combined_p_values(*statistics: np.ndarray) -> np.ndarray:
    """One p-value for several statistics, none of which need be independent."""
    smallest = np.min([rank_p_values(values) for values in statistics], axis=0)
    excess = np.max([v / np.maximum(v.mean(axis=0), _TINY_RATES) for v in statistics], axis=0)
    # Steps of p-values are 1 / n, and no statistic is more than n times its mean.
    order = smallest - 0.5 * excess / len(excess) ** 2
    return (order <= order[0]).mean(axis=0)


def stationarity_rate(p_values: np.ndarray, alpha: float = 0.05) -> float:
    """Share of lines whose stationarity is not rejected, all tests taken together."""
    p_values = _shares(p_values)
    checked_number(alpha, "alpha", low=0, high=1)
    return float(np.mean(false_discovery_control(p_values) > alpha))


def null_share(p_values: np.ndarray) -> float:
    """Estimate the share of lines that are stationary, from the p-values above one half."""
    return min(1.0, 2 * float(np.mean(_shares(p_values) > 0.5)))


def _shares(p_values: np.ndarray) -> np.ndarray:
    p_values = checked_reals(p_values, "p_values")
    if p_values.min() < 0 or p_values.max() > 1:
        raise ValueError("p_values must lie between 0 and 1.")
    return p_values.ravel()


# Points for each coefficient of a model.
_POINTS_PER_LAG = 16
# Quantile of white noise beyond which what lines have in common gets a model.
_GATE = 0.9
# One cosine across the lines in so many has a model in any case: slow variation is coarse.
_COARSE = 8
_TINY_LINES = 1e-30


class LineTest(NamedTuple):
    """What `lines_test` finds."""

    p_values: np.ndarray
    p_value: float
    level_p_value: float
    variance_p_value: float
    effect: float


class _Orders(NamedTuple):
    """How many coefficients, and slow cosines left out, models for lines of some length have."""

    line: int
    line_slow: int
    shared: int
    shared_slow: int
    spread: int
    spread_slow: int

    @classmethod
    def for_length(cls, n: int) -> _Orders:
        room = n // _POINTS_PER_LAG
        return cls(*(min(most, room) for most in (4, 2, 8, 4, 1, 2)))


def kpss_statistic(x: np.ndarray) -> np.ndarray:
    """How far the partial sums of series wander, in units of white noise."""
    x = checked_reals(x, "x")
    sums = np.cumsum(x, axis=0)
    power = np.einsum("i...,i...->...", x, x) / len(x)
    wandering = np.einsum("i...,i...->...", sums, sums) / len(x) ** 2
    return wandering / np.maximum(power, _TINY_LINES)


def line_statistics(x: np.ndarray, detrend: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Statistics of level and of variability of every series."""
    x = _centered(x, detrend)
    orders = _Orders.for_length(len(x))
    coefficients = fit_autoregression(x, orders.line, n_slow=orders.line_slow)
    innovations = whiten(x, coefficients)
    spread = np.abs(innovations)
    spread -= spread.mean(axis=0)
    spread = whiten(spread, fit_autoregression(spread, orders.spread, n_slow=orders.spread_slow))
    return kpss_statistic(innovations), kpss_statistic(spread)


def sieve_surrogates(
    x: np.ndarray, n_surrogates: int, rng: np.random.Generator, *, detrend: bool = False
) -> np.ndarray:
    """Stationary surrogates of a plane: the same models, innovations in another order."""
    x = checked_reals(x, "x", ndim=2)
    if x.ndim != 2 or len(x) < 2:
        raise ValueError(
            f"x must be lines of two or more points, (n_points, n_lines); got {x.shape}."
        )
    checked_whole(n_surrogates, "n_surrogates")
    orders = _Orders.for_length(len(x))
    lines = _centered(x, detrend).astype(np.float32)
    models = fit_autoregression(lines, orders.line, n_slow=orders.line_slow)
    left = whiten(lines, models)
    scale = np.maximum(left.std(axis=0), _TINY_LINES)
    shared = scipy.fft.dct(left / scale, axis=1, norm="ortho")
    n_slow = orders.shared_slow
    common = fit_autoregression(shared, orders.shared, n_slow=n_slow)
    coarse = lines.shape[1] // _COARSE
    fine = gated(common[:, coarse:], shared[:, coarse:], n_slow=n_slow, level=_GATE)
    common = np.concatenate([common[:, :coarse], fine], axis=1)
    innovations = whiten(shared, common)
    order = rng.permuted(np.tile(np.arange(len(innovations)), (n_surrogates, 1)), axis=1)
    # Series start as the data do somewhere, the same place for all lines.
    starts = rng.integers(0, len(shared) - orders.shared + 1, n_surrogates)
    begin = shared[starts + np.arange(orders.shared)[:, None]]
    shared = color(innovations[order.T], common, begin)
    left = scipy.fft.idct(shared, axis=2, norm="ortho") * scale
    starts = rng.integers(0, len(lines) - orders.line + 1, n_surrogates)
    return color(left, models, lines[starts + np.arange(orders.line)[:, None]])


def lines_test(
    x: np.ndarray,
    n_surrogates: int = 199,
    rng: np.random.Generator | int | None = None,
    *,
    detrend: bool = False,
) -> LineTest:
    """Test whether lines keep their level and their variability.

    Parameters
    ----------
    x : ndarray of shape (n_groups, n_lines, n_points) or (n_lines, n_points)
        Lines along the last axis; those of one group in the order of their places in a plane.
    n_surrogates : int, default=199
        Surrogates; the smallest p-value is ``1 / (1 + n_surrogates)``.
    rng : numpy.random.Generator, int or None, default=None
        Source of chance; a group's surrogates do not depend on the other groups.
    detrend : bool, default=False
        Test for stationarity around a straight line.

    Returns
    -------
    LineTest
        p-values of the lines and of all together. Constant lines, and lines of fewer than
        three points, have p-value 1: nothing speaks against their stationarity.

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
        return LineTest(np.ones(groups.shape[0] * groups.shape[1]), 1.0, 1.0, 1.0, 1.0)
    p_values, sums = [], np.zeros((2, 1 + n_surrogates))
    for group in groups:
        # The same seed for every group: permutations are then shared, and dependence is kept.
        found = _group_statistics(group, n_surrogates, np.random.default_rng(seed), detrend)
        p_values.append(combined_p_values(*found))
        sums += found.sum(axis=2)
    level, variability = rank_p_values(sums.T)[0]
    null = sums[:, 1:].mean(axis=1)
    ratios = np.divide(sums[:, 0], null, out=np.ones(2), where=null > 0)
    return LineTest(
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
    observed = line_statistics(lines[:, None], detrend)
    simulated = line_statistics(surrogates, detrend)
    return np.stack([np.concatenate(pair) for pair in zip(observed, simulated, strict=True)])


def _standardized(lines: np.ndarray) -> np.ndarray:
    """Zero mean and unit variance in float32; lines that are constant up to rounding become 0."""
    eps = np.finfo(lines.dtype).eps
    values = lines.astype(np.float64)
    deviation = values.std(axis=-1, keepdims=True)
    constant = deviation <= 4 * eps * np.abs(values).max(axis=-1, keepdims=True)
    centered = values - values.mean(axis=-1, keepdims=True)
    return np.where(constant, 0, centered / np.where(constant, 1, deviation)).astype(np.float32)


def _centered(x: np.ndarray, detrend: bool) -> np.ndarray:
    x = x - x.mean(axis=0)
    if detrend:
        t = np.linspace(-1, 1, len(x), dtype=x.dtype).reshape(-1, *[1] * (x.ndim - 1))
        x -= t * ((t * x).sum(axis=0) / (t * t).sum())
    return x
