"""Autoregressive models of many series at once, fitted without the lowest frequencies.

At the lowest frequencies a slow change of level looks like strong dependence. These frequencies
therefore do not take part in the fit: the model is estimated from the faster fluctuations and
extrapolated, so that a change of level shows as an excess over the model.

In all functions axis 0 is time; the other axes index independent series.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import chi2

from skstrf.utils.validation import checked_reals, checked_whole

__all__ = ["color", "drop_insignificant", "fit_autoregression", "whiten"]

# Reflection coefficients beyond this value belong to series that hardly return to their mean.
_MAX_REFLECTION = 0.99
_FIXED_POINT_STEPS = 6
_BISECTIONS = 16
_TINY = 1e-30


def fit_autoregression(x: np.ndarray, order: int, *, n_slow: int = 0) -> np.ndarray:
    """Fit an autoregressive model to every series, without its `n_slow` slowest cosines."""
    x = checked_reals(x, "x")
    n = len(x)
    checked_whole(order, "order", low=0, high=n - 1)
    checked_whole(n_slow, "n_slow", low=0, high=n - 1)
    if order == 0:
        return np.empty((0, *x.shape[1:]), x.dtype)
    observed = _fast_autocovariance(x.reshape(n, -1), order, n_slow)
    frequencies = np.pi * np.arange(n_slow + 1)[:, None] / n
    steps = frequencies * np.arange(order + 1)
    exponentials = np.exp(-1j * steps[:, 1:]).astype(np.result_type(x.dtype, np.complex64))
    missing = (np.cos(steps) / n).astype(x.dtype)
    # The share of the autocovariance at the removed frequencies depends on the model, which
    # depends on the autocovariance: a fixed-point iteration finds both.
    covariance = observed
    for step in range(_FIXED_POINT_STEPS + 1):
        coefficients, power = _yule_walker(covariance)
        coefficients = _limited(coefficients, 1 - 1 / np.sqrt(n))
        if step < _FIXED_POINT_STEPS:
            gain = np.abs(1 - exponentials @ coefficients) ** 2
            covariance = observed + missing.T @ (power / gain)
    return coefficients.reshape(order, *x.shape[1:])


def drop_insignificant(
    coefficients: np.ndarray, x: np.ndarray, *, n_slow: int, level: float
) -> np.ndarray:
    """Set to zero the models of series that do not differ significantly from white noise.

    Coefficients fitted to white noise are small but not zero, and series generated from them
    fluctuate more slowly than noise.
    """
    n, order = len(x), len(coefficients)
    if order == 0:
        return coefficients
    covariance = _fast_autocovariance(x, order, n_slow)
    _, power = _yule_walker(covariance)
    explained = 1 - power / np.maximum(covariance[0], _TINY)
    return np.where(n * explained > chi2.ppf(level, order), coefficients, 0).astype(x.dtype)


def whiten(x: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
    """Compute the innovations of autoregressive models, centered."""
    x, order = checked_reals(x, "x"), len(coefficients)
    n = len(x)
    if not order < n:
        raise ValueError(f"A model of order {order} needs more than {n} points per series.")
    innovations = x[order:].copy()
    for lag, factor in enumerate(coefficients, start=1):
        innovations -= factor * x[order - lag : n - lag]
    return innovations - innovations.mean(axis=0)


def color(innovations: np.ndarray, coefficients: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Generate series from innovations and their first points; the inverse of `whiten`."""
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


def _fast_autocovariance(x: np.ndarray, order: int, n_slow: int) -> np.ndarray:
    """Autocovariance of series without their mean and their slowest cosines, by lag."""
    n = len(x)
    t = (np.arange(n) + 0.5) / n
    slow = np.cos(np.pi * np.arange(n_slow + 1)[:, None] * t) * np.sqrt(2 / n)
    slow[0] /= np.sqrt(2)
    slow = slow.astype(x.dtype)
    x = x - slow.T @ (slow @ x)
    return np.stack([np.einsum("ij,ij->j", x[: n - h], x[h:]) / (n - h) for h in range(order + 1)])


def _yule_walker(covariance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients and innovation power of all series by Levinson's recursion."""
    order = len(covariance) - 1
    power = covariance[0].copy()
    phi = np.zeros((order, *power.shape), power.dtype)
    for k in range(order):
        residual = covariance[k + 1] - np.einsum("ij,ij->j", phi[:k], covariance[k:0:-1])
        reflection = np.clip(
            residual / np.maximum(power, _TINY), -_MAX_REFLECTION, _MAX_REFLECTION
        )
        phi[:k] -= reflection * phi[:k][::-1]
        phi[k] = reflection
        power = power * (1 - reflection**2)
    return phi, power


def _limited(coefficients: np.ndarray, limit: float) -> np.ndarray:
    """Shrink the poles of models whose coefficients sum to more than `limit`, by bisection."""
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
