"""Distances between spectrograms."""

from __future__ import annotations

from typing import Any

import numpy as np

from skstrf.utils.arrays import to_numpy
from skstrf.utils.validation import checked_number

__all__ = ["decibels", "log_spectral_distance", "spectrogram_correlation"]

_RANGE = 60.0
_MAX_RANGE = 6000.0  # in dB; beyond, double precision underflows


def decibels(v: Any, reference: Any = None, *, dynamic_range: float = _RANGE) -> np.ndarray:
    r"""Levels of a spectrogram in dB below the maximum of a reference."""
    checked_number(
        dynamic_range, "dynamic_range", low=0, high=_MAX_RANGE, open_low=True, unit="dB"
    )
    levels, against = _check_pair(v, v if reference is None else reference, ("v", "reference"))
    largest = against.max(axis=(-2, -1), keepdims=True)
    silent = largest <= 0
    relative = levels / np.where(silent, 1.0, largest)
    shown = 20 * np.log10(np.maximum(relative, 10 ** (-dynamic_range / 20)))
    return np.where(silent, np.where(levels > 0, np.inf, -float(dynamic_range)), shown)


def log_spectral_distance(a: Any, b: Any, *, dynamic_range: float = _RANGE) -> Any:
    r"""Root mean square difference of levels over the channels, averaged over the frames.

    .. math:: \frac{1}{T} \sum_t \sqrt{\frac{1}{N} \sum_x (L_a[x, t] - L_b[x, t])^2}

    with levels :math:`L` in dB of amplitude, from :func:`decibels`: both spectrograms are cut
    off `dynamic_range` dB below the maximum of `a`. A wrong overall gain counts.
    """
    _check_pair(a, b, ("a", "b"))
    levels = decibels(a, dynamic_range=dynamic_range)
    # The distance to a silent reference is infinite.
    difference = decibels(b, a, dynamic_range=dynamic_range) - levels
    distance = np.sqrt(np.mean(difference**2, axis=-2)).mean(axis=-1)
    return distance if distance.ndim else float(distance)


def spectrogram_correlation(a: Any, b: Any) -> Any:
    r"""Pearson's correlation of two spectrograms over all channels and frames."""
    centered = []
    for array in _check_pair(a, b, ("a", "b")):
        largest = np.abs(array).max(axis=(-2, -1), keepdims=True)
        scaled = array / np.where(largest > 0, largest, 1)
        difference = scaled - scaled.mean(axis=(-2, -1), keepdims=True)
        # Deviations of this size are rounding noise of the mean.
        negligible = np.abs(difference).max(axis=(-2, -1), keepdims=True) < 1e-14
        centered.append(np.where(negligible, 0, difference))
    first, second = centered
    energy = np.sum(first**2, axis=(-2, -1)) * np.sum(second**2, axis=(-2, -1))
    product = np.sum(first * second, axis=(-2, -1))
    correlation = np.divide(
        product, np.sqrt(energy), out=np.full(energy.shape, np.nan), where=energy > 0
    )
    return correlation if correlation.ndim else float(correlation)


def _check_pair(a: Any, b: Any, names: tuple[str, str]) -> tuple[np.ndarray, np.ndarray]:
    arrays = []
    for name, value in zip(names, (a, b), strict=True):
        array = to_numpy(value)
        if array.dtype.kind not in "fiu":
            raise ValueError(f"{name} must be a real spectrogram, got dtype {array.dtype}.")
        if array.ndim < 2 or array.size == 0:
            raise ValueError(
                f"{name} needs the axes (..., n_freqs, n_frames), none of them empty; "
                f"got shape {array.shape}."
            )
        if not np.isfinite(array).all():
            raise ValueError(f"{name} contains NaN or infinite values.")
        arrays.append(array.astype(np.float64))
    if arrays[0].shape != arrays[1].shape:
        raise ValueError(
            f"{names[0]} has shape {arrays[0].shape} and {names[1]} {arrays[1].shape}: "
            "make both with the same settings, from sounds of the same length."
        )
    return arrays[0], arrays[1]
