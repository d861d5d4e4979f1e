"""Test of the stationarity of lines: level and variability, against surrogates drawn jointly."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.fft

from skstrf.utils.settings import checked_reals, checked_whole

from .autoregression import colour, fit_autoregression, gated, whiten
from .rates import combined_p_values, rank_p_values

__all__ = ["LineTest", "kpss_statistic", "line_statistics", "lines_test", "sieve_surrogates"]

# Points for each coefficient of a model.
_POINTS_PER_LAG = 16
# Quantile of white noise beyond which what lines have in common gets a model.
_GATE = 0.9
# One cosine across the lines in so many has a model in any case: slow variation is coarse.
_COARSE = 8
_TINY = 1e-30


class LineTest(NamedTuple):
    """What `lines_test` finds.

    Attributes
    ----------
    p_values : ndarray of shape (n_groups * n_lines,)
        Of every line: level and variability together.
    p_value : float
        That all lines are stationary.
    level_p_value, variance_p_value : float
        Of all lines, for level and variability alone.
    effect : float
        Root of the mean statistic over the mean of the surrogates': about 1 where stationary.
    """

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
    """How far the partial sums of series wander, in units of white noise.

    Parameters
    ----------
    x : ndarray of shape (n_points, ...)
        Series along the first axis, of mean 0.

    Returns
    -------
    ndarray of shape (...)
        ``sum_t S_t**2 / (n**2 var)`` with S the partial sums; 0 for constant series. The
        statistic eta of [1]_ with no lags: the series should be white but for what is tested.

    References
    ----------
    .. [1] D. Kwiatkowski, P. C. B. Phillips, P. Schmidt and Y. Shin, "Testing the null
       hypothesis of stationarity against the alternative of a unit root", J. Econometrics
       54(1-3), 159-178, 1992, equation 13.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf.surrogates import kpss_statistic
    >>> kpss_statistic(np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]]))
    array([0.38, 0.12])
    """
    x = checked_reals(x, "x")
    sums = np.cumsum(x, axis=0)
    power = np.einsum("i...,i...->...", x, x) / len(x)
    wandering = np.einsum("i...,i...->...", sums, sums) / len(x) ** 2
    return wandering / np.maximum(power, _TINY)


def line_statistics(x: np.ndarray, detrend: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Statistics of level and of variability of every series.

    Parameters
    ----------
    x : ndarray of shape (n_points, ...)
        Series along the first axis.
    detrend : bool, default=False
        Take a straight line off first.

    Returns
    -------
    level, variability : ndarray of shape (...)
        `kpss_statistic` of the innovations, and of what is left when their absolute values are
        whitened in turn.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf.surrogates.lines import line_statistics
    >>> x = np.random.default_rng(0).standard_normal((128, 1))
    >>> x[64:] *= 3
    >>> level, variability = line_statistics(x)
    >>> bool(variability[0] > 0.5 > level[0])
    True
    """
    x = _centred(x, detrend)
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
    """Stationary surrogates of a plane: the same models, innovations in another order.

    Parameters
    ----------
    x : ndarray of shape (n_points, n_lines)
        Lines along the first axis, in the order of their places in the plane.
    n_surrogates : int
        How many.
    rng : numpy.random.Generator
        Source of chance.
    detrend : bool, default=False
        Take a straight line off every line first.

    Returns
    -------
    ndarray of shape (n_points, n_surrogates, n_lines)
        In float32, each line with mean about 0.

    Notes
    -----
    Every line gets an autoregressive model. What it leaves is brought to unit variance and
    transformed by cosines across the lines, which in a homogeneous plane separates what varies
    independently, and the cosines get models too (the finer ones unless they look white): so
    lines may have more in common at low frequencies than at high ones. What is left then is a
    sequence of vectors. They are permuted, the same for all lines, which keeps the distribution
    and the dependence of lines but destroys every change in time, and both models are inverted.
    The models are fitted away from the lowest frequencies (`fit_autoregression`), so that a
    trend does not become part of the null hypothesis. Resampling innovations is the sieve
    bootstrap of [1]_.

    References
    ----------
    .. [1] P. Buehlmann, "Sieve bootstrap for time series", Bernoulli 3(2), 123-148, 1997.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf.surrogates import sieve_surrogates
    >>> rng = np.random.default_rng(0)
    >>> sieve_surrogates(rng.standard_normal((128, 16)), 5, rng).shape
    (128, 5, 16)
    """
    x = checked_reals(x, "x", ndim=2)
    if x.ndim != 2 or len(x) < 2:
        raise ValueError(
            f"x must be lines of two or more points, (n_points, n_lines); got {x.shape}."
        )
    checked_whole(n_surrogates, "n_surrogates")
    orders = _Orders.for_length(len(x))
    lines = _centred(x, detrend).astype(np.float32)
    models = fit_autoregression(lines, orders.line, n_slow=orders.line_slow)
    left = whiten(lines, models)
    scale = np.maximum(left.std(axis=0), _TINY)
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
    shared = colour(innovations[order.T], common, begin)
    left = scipy.fft.idct(shared, axis=2, norm="ortho") * scale
    starts = rng.integers(0, len(lines) - orders.line + 1, n_surrogates)
    return colour(left, models, lines[starts + np.arange(orders.line)[:, None]])


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
    centred = values - values.mean(axis=-1, keepdims=True)
    return np.where(constant, 0, centred / np.where(constant, 1, deviation)).astype(np.float32)


def _centred(x: np.ndarray, detrend: bool) -> np.ndarray:
    x = x - x.mean(axis=0)
    if detrend:
        t = np.linspace(-1, 1, len(x), dtype=x.dtype).reshape(-1, *[1] * (x.ndim - 1))
        x -= t * ((t * x).sum(axis=0) / (t * t).sum())
    return x
