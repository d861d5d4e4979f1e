"""Spectra of stationary series at their lowest frequencies, predicted from the higher ones.

Series are given by their orthonormal cosine transforms (DCT-II). Coefficients 1 to K are slow:
they hold trends, steps and few cycles of modulation, and take no part in any fit. The
coefficients of the band above them decide which stationary spectra are plausible.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

__all__ = ["Band", "band_of", "draw_spectra", "fit_spectra", "mode_groups", "pooled_power"]

# Points of a line for each slow coefficient, and the largest number of slow coefficients.
_POINTS_PER_COEFFICIENT, _MOST_SLOW = 32, 8
# The band reaches up to this coefficient, as models are simpler than spectra.
_LAST = 64
# Number of memories of the line that fit into it at least: correlations of a stationary line
# decay by 1 / e within n / 2.5 points.
_MEMORIES = 2.5
# Smallest number of coefficients in the band that allows a model of dependence.
_SMALLEST_BAND = 8
# Shares of white noise in the power of the band.
_NOISE_SHARES = (0.0, 0.05, 0.2, 0.5, 0.8, 0.9, 0.95)
# Twice the gain in log-likelihood for which a group of modes gets a shape of its own, and the
# prior probability that it has one.
_GAIN, _OWN = 5.0, 0.2
# Standard deviation of the logarithm by which true spectra differ from the plausible ones.
_MISFIT = 0.1
# Power above these many standard deviations is taken for an isolated peak.
_OUTLIER = 4.0
_TINY = 1e-12


class Band(NamedTuple):
    """Slow coefficients 1 to `n_slow`, the band up to `last`, and plausible spectra.

    `shapes` has a row for each spectrum at coefficients 1 to `last`, with mean 1 over the band.
    """

    n_slow: int
    last: int
    shapes: np.ndarray


@lru_cache(maxsize=64)
def band_of(n_points: int) -> Band:
    """Bands and plausible spectra of series of `n_points` points, at least three."""
    n_slow = int(
        np.clip(n_points // _POINTS_PER_COEFFICIENT, 1 if n_points < 16 else 2, _MOST_SLOW)
    )
    last = min(n_points // 2, _LAST)
    if last < n_slow + _SMALLEST_BAND:
        last = n_points - 1
    frequencies = np.pi * np.arange(1, last + 1) / n_points
    shapes = [np.ones(last)]
    if last - n_slow >= _SMALLEST_BAND:
        decays = np.geomspace(_MEMORIES / n_points, 0.7, 16)
        short = [1 / (1 - 2 * r * np.cos(frequencies) + r * r) for r in 1 - decays]
        long = [(2 * np.sin(frequencies / 2)) ** (-2 * d) for d in np.linspace(0.05, 0.5, 10)]
        for shape in short + long:
            scaled = shape / shape[n_slow:].mean()
            shapes += [share + (1 - share) * scaled for share in _NOISE_SHARES]
    table = np.array(shapes)
    return Band(n_slow, last, table / table[:, n_slow:].mean(axis=1, keepdims=True))


def mode_groups(n_modes: int) -> np.ndarray:
    """Edges of octaves of cosine modes across lines; the mean over lines is a group alone."""
    edges = [0, *(2**i for i in range(n_modes.bit_length()) if 2**i < n_modes), n_modes]
    return np.array(edges)


def pooled_power(modes: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Mean power of the modes of every group."""
    return np.add.reduceat(modes**2, edges[:-1], axis=0) / np.diff(edges)[:, None]


def fit_spectra(power: np.ndarray, sizes: np.ndarray, band: Band) -> np.ndarray:
    """Most likely spectra of groups, at coefficients 1 to `band.last`, from power in the band.

    All groups share one shape unless the likelihood of another is much larger. Isolated peaks
    are cut.
    """
    slack = _outlier_ratio(sizes)
    spectra = _most_likely(power, sizes, band)
    for _ in range(3):
        kept = np.minimum(power, slack * spectra[:, band.n_slow :])
        spectra = _most_likely(kept, sizes, band)
    return spectra


def draw_spectra(
    power: np.ndarray,
    sizes: np.ndarray,
    band: Band,
    fitted: np.ndarray,
    n_draws: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Draw slow spectra from their posterior distribution, of shape (n_draws, n_groups, n_slow).

    The prior is uniform over shapes and over the logarithm of power. As no spectrum has exactly
    one of the shapes, all slow power of a draw is changed by a common random factor.
    """
    kept = np.minimum(power, _outlier_ratio(sizes) * fitted[:, band.n_slow :])
    likelihoods, scales = _likelihoods(kept, sizes, band)
    total = likelihoods.sum(axis=0)
    shared = rng.choice(len(total), n_draws, p=_normalized(total))
    spectra = np.empty((n_draws, len(sizes), band.n_slow))
    for i, likelihood in enumerate(likelihoods):
        relative = np.exp(likelihood - likelihood.max())
        own = rng.choice(len(total), n_draws, p=relative / relative.sum())
        odds = _OWN * relative.mean() / ((1 - _OWN) * np.maximum(relative[shared], _TINY))
        chosen = np.where(rng.random(n_draws) < odds / (1 + odds), own, shared)
        half = sizes[i] * (band.last - band.n_slow) / 2
        scale = scales[i, chosen] * half / rng.standard_gamma(half, n_draws)
        spectra[:, i] = scale[:, None] * band.shapes[chosen, : band.n_slow]
    return spectra * np.exp(_MISFIT * rng.standard_normal(n_draws))[:, None, None]


def _outlier_ratio(sizes: np.ndarray) -> np.ndarray:
    return (1 + _OUTLIER * np.sqrt(2 / np.minimum(sizes, 16)))[:, None]


def _likelihoods(
    power: np.ndarray, sizes: np.ndarray, band: Band
) -> tuple[np.ndarray, np.ndarray]:
    """Whittle's log-likelihood and scale of every shape, of shape (n_groups, n_shapes)."""
    inner = band.shapes[:, band.n_slow :]
    scales = np.maximum(power @ (1 / inner).T / inner.shape[1], _TINY)
    cost = np.log(scales) + np.log(inner).mean(axis=1)
    return -0.5 * (sizes * inner.shape[1])[:, None] * cost, scales


def _most_likely(power: np.ndarray, sizes: np.ndarray, band: Band) -> np.ndarray:
    likelihoods, scales = _likelihoods(power, sizes, band)
    shared, own = likelihoods.sum(axis=0).argmax(), likelihoods.argmax(axis=1)
    groups = np.arange(len(sizes))
    gain = 2 * (likelihoods[groups, own] - likelihoods[:, shared])
    chosen = np.where(gain > _GAIN, own, shared)
    return scales[groups, chosen, None] * band.shapes[chosen]


def _normalized(log_weights: np.ndarray) -> np.ndarray:
    weights = np.exp(log_weights - log_weights.max())
    return weights / weights.sum()
