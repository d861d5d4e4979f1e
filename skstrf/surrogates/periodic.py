"""Periodic components, such as a beat, that many lines share."""

from __future__ import annotations

import numpy as np
import scipy.fft
from scipy.ndimage import median_filter

from skstrf.surrogates.spectra import band_of, mode_groups, pooled_power

__all__ = ["without_periodic"]

# Power of a peak relative to the median around it, and the largest number of peaks.
_PEAK, _MOST_PEAKS = 14.0, 16
# Bins per cycle of the zero-padded spectrum, and half the width of the median in cycles.
_PADDING, _NEIGHBORHOOD = 4, 8
_SHORTEST = 32
_ROUNDS, _REFINEMENTS = 2, 3


def without_periodic(x: np.ndarray) -> np.ndarray:
    """Subtract the sinusoids that stand out of the spectrum of lines of shape (n_lines, n_points).

    Sinusoids of fewer cycles than twice those of the slow cosines are kept.
    """
    n = x.shape[1]
    if n < _SHORTEST:
        return x
    time = np.arange(n) - (n - 1) / 2
    n_slow = band_of(n).n_slow
    slow = np.cos(np.pi * np.arange(n_slow + 1)[:, None] * (np.arange(n) + 0.5) / n)
    # The modes across lines separate what is common to all lines from what is not.
    modes = scipy.fft.dct(x, axis=0, norm="ortho")
    frequencies = np.empty(0)
    for _ in range(_ROUNDS):
        n_before = len(frequencies)
        while len(frequencies) < _MOST_PEAKS:
            waves = np.concatenate([slow, _sinusoids(frequencies, time)])
            peak = _strongest_peak(_fit_out(modes, waves)[0], n_slow // 2 + 3)
            if peak is None:
                break
            frequencies = np.append(frequencies, peak)
        if len(frequencies) == n_before:
            break
        for _ in range(_REFINEMENTS):
            frequencies = frequencies + _corrections(modes, slow, frequencies, time)
    if len(frequencies) == 0:
        return x
    waves = _sinusoids(frequencies, time)
    amplitudes = _fit_out(modes, np.concatenate([slow, waves]))[1][len(slow) :]
    return x - scipy.fft.idct(amplitudes.T @ waves, axis=0, norm="ortho")


def _fit_out(modes: np.ndarray, waves: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What least squares leave of the modes, and the amplitudes of the waves."""
    amplitudes = np.linalg.lstsq(waves.T, modes.T, rcond=1e-6)[0]
    return modes - amplitudes.T @ waves, amplitudes


def _sinusoids(frequencies: np.ndarray, time: np.ndarray) -> np.ndarray:
    phases = np.outer(frequencies, time)
    return np.concatenate([np.cos(phases), np.sin(phases)])


def _strongest_peak(modes: np.ndarray, fewest_cycles: int) -> float | None:
    """Angular frequency of the sinusoid that stands out most in any group of modes."""
    n = modes.shape[1]
    window = np.hanning(n + 2)[1:-1]
    spectra = np.abs(scipy.fft.rfft(modes * window, _PADDING * n, axis=1))
    edges = mode_groups(len(modes))
    power = pooled_power(spectra, edges)
    power = np.concatenate([power, (np.diff(edges) @ power)[None] / len(modes)])
    around = median_filter(power, (1, 2 * _PADDING * _NEIGHBORHOOD + 1), mode="reflect")
    floor = 1e-12 * power.max() + 1e-300
    prominence = power / np.maximum(around, floor)
    prominence[:, : _PADDING * fewest_cycles] = 0
    group, peak = np.unravel_index(prominence.argmax(), prominence.shape)
    if prominence[group, peak] < _PEAK:
        return None
    # A parabola through the logarithm of three bins.
    near = np.clip(peak + np.arange(-1, 2), 0, power.shape[1] - 1)
    low, middle, high = np.log(np.maximum(power[group, near], floor))
    curvature = low - 2 * middle + high
    offset = 0.5 * (low - high) / curvature if curvature < 0 else 0.0
    return float(2 * np.pi * (peak + np.clip(offset, -0.5, 0.5)) / (_PADDING * n))


def _corrections(
    modes: np.ndarray, slow: np.ndarray, frequencies: np.ndarray, time: np.ndarray
) -> np.ndarray:
    """One Gauss-Newton step of the frequencies."""
    waves = _sinusoids(frequencies, time)
    all_waves = np.concatenate([slow, waves, time * waves])
    amplitudes = _fit_out(modes, all_waves)[1][len(slow) :]
    cosine, sine, cosine_slope, sine_slope = amplitudes.reshape(4, len(frequencies), -1)
    turned = (cosine_slope * sine - sine_slope * cosine).sum(axis=1)
    power = (cosine**2 + sine**2).sum(axis=1)
    limit = 0.3 / modes.shape[1]
    return np.clip(turned / np.maximum(power, 1e-300), -limit, limit)
