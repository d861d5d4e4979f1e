"""Autoregressive models of many series at once, fitted away from the lowest frequencies.

A slow change of level looks, at the lowest frequencies, like strong dependence. Here those
frequencies do not take part in the fit: the model is found from faster fluctuations and
extrapolated, so that a change of level is seen as what it is, an excess over the model.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import chi2

from skstrf.utils.settings import checked_number, checked_reals, checked_whole

__all__ = ["colour", "fit_autoregression", "gated", "whiten"]

# Reflection coefficients beyond it belong to series that hardly ever return to their mean.
_STEEPEST = 0.99
_FIXED_POINT_STEPS = 6
_BISECTIONS = 16
_TINY = 1e-30


def fit_autoregression(
    x: np.ndarray, order: int, *, n_slow: int = 0, persistence: float | None = None
) -> np.ndarray:
    """Fit an autoregressive model to every series, leaving its slowest cosines out.

    Parameters
    ----------
    x : ndarray of shape (n_points, ...)
        Series along the first axis, each of mean 0.
    order : int
        Of the models; 0 gives none.
    n_slow : int, default=0
        The mean and that many of the slowest cosines, of 1/2, 1, ... cycles, do not take part.
    persistence : float or None, default=None
        Largest sum of the coefficients, by default ``1 - 1 / sqrt(n_points)``: 1 would be a
        random walk, which is not stationary, and what comes close to it cannot be told from
        one in so few points.

    Returns
    -------
    ndarray of shape (order, ...)
        Coefficients of ``x[t - 1], x[t - 2], ...``; stable.

    Notes
    -----
    Yule-Walker equations on autocovariances ``c[h]`` of what is left after projection on the
    faster cosines. The cosine k has expected power ``f(w_k)``, with f the spectrum and
    ``w_k = pi k / n``, so that ``E c[h] = g[h] - sum_k f(w_k) cos(w_k h) / n`` with g the true
    autocovariance; the missing sum is put back with the f of the last fit, some times over. With
    `n_slow` 0 this is the usual correction for an estimated mean. The limit on persistence is
    that of [1]_.

    References
    ----------
    .. [1] D. Sul, P. C. B. Phillips and C.-Y. Choi, "Prewhitening bias in HAC estimation",
       Oxford Bulletin of Economics and Statistics 67(4), 517-546, 2005.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy.signal import lfilter
    >>> from skstrf.surrogates import fit_autoregression
    >>> noise = np.random.default_rng(0).standard_normal((400, 50))
    >>> x = lfilter([1], [1, -0.7], noise, axis=0)
    >>> float(fit_autoregression(x - x.mean(axis=0), 1).mean())
    0.7
    """
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

    Parameters
    ----------
    coefficients : ndarray of shape (order, n_series)
        From `fit_autoregression`.
    x : ndarray of shape (n_points, n_series)
        What they were fitted to.
    n_slow : int
        As in the fit.
    level : float
        Quantile of the portmanteau statistic, n times the explained share of variance, of
        white noise, beyond which a model is kept.

    Returns
    -------
    ndarray of shape (order, n_series)
        Of the same dtype.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf.surrogates.autoregression import fit_autoregression, gated
    >>> noise = np.random.default_rng(0).standard_normal((128, 100))
    >>> kept = gated(fit_autoregression(noise, 4), noise, n_slow=0, level=0.9)
    >>> bool((kept == 0).all(axis=0).mean() > 0.8)
    True
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
    """What autoregressive models leave of series: the innovations.

    Parameters
    ----------
    x : ndarray of shape (n_points, ...)
        Series along the first axis.
    coefficients : ndarray of shape (order, ...)
        Of every series.

    Returns
    -------
    ndarray of shape (n_points - order, ...)
        Of the points that have enough before them, with their mean taken off.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf.surrogates import whiten
    >>> whiten(np.array([[4.0], [2.0], [1.0], [2.5]]), np.array([[0.5]])).ravel()
    array([-0.67, -0.67,  1.33])
    """
    x, order = checked_reals(x, "x"), len(coefficients)
    n = len(x)
    if not order < n:
        raise ValueError(f"Models of order {order} cannot be taken off series of {n} points.")
    left = x[order:].copy()
    for lag, factor in enumerate(coefficients, start=1):
        left -= factor * x[order - lag : n - lag]
    return left - left.mean(axis=0)


def colour(innovations: np.ndarray, coefficients: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Make series from innovations: the inverse of `whiten`.

    Parameters
    ----------
    innovations : ndarray of shape (n_points - order, ...)
        Along the first axis; changed in place when `order` is 0.
    coefficients : ndarray of shape (order, ...)
        Of the models; may be broadcast against the innovations.
    start : ndarray of shape (order, ...)
        The first points.

    Returns
    -------
    ndarray of shape (n_points, ...)
        The series.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf.surrogates import colour
    >>> colour(np.zeros((3, 1)), np.array([[0.5]]), np.array([[4.0]])).ravel()
    array([4. , 2. , 1. , 0.5])
    """
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
    """Move all poles of too persistent models towards 0 until the coefficients sum to `limit`."""
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
