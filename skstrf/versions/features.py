"""Fixed-length features of chromagrams for the recognition of versions."""

from __future__ import annotations

import numpy as np

__all__ = ["equalize", "fourier_magnitudes", "stretch", "trim_silence"]

# Bertin-Mahieux and Ellis raise the chroma to a power of 1.96, which emphasizes the melody.
POWER = 2.0


def trim_silence(chroma: np.ndarray) -> np.ndarray:
    """Return a chromagram without the quiet frames at both ends, or all of silence.

    Quiet frames have less than a thousandth of the largest value of the piece, 30 dB for power.
    """
    peaks = chroma.max(axis=0)
    sounding = np.flatnonzero((peaks > 0) & (peaks >= 1e-3 * peaks.max()))
    if not sounding.size:
        return chroma
    return chroma[:, sounding[0] : sounding[-1] + 1]


def equalize(chroma: np.ndarray) -> np.ndarray:
    """Return a chromagram whose frames have the maximum 1; silent frames stay 0."""
    peaks = chroma.max(axis=0)
    return chroma / np.where(peaks > 0, peaks, 1)


def stretch(chroma: np.ndarray, n_frames: int) -> np.ndarray:
    """Return the means of a chromagram over `n_frames` equal parts of its duration."""
    old = chroma.shape[1]
    sums = np.zeros((len(chroma), old + 1))
    np.cumsum(chroma, axis=1, dtype=np.float64, out=sums[:, 1:])
    edges = np.linspace(0, old, n_frames + 1)
    low = np.minimum(edges.astype(int), old - 1)
    at_edges = sums[:, low] + (edges - low) * (sums[:, low + 1] - sums[:, low])
    # Differences of sums may leave a zero as a rounding error of either sign.
    means = np.maximum(np.diff(at_edges, axis=1) * (n_frames / old), 0)
    return means.astype(chroma.dtype, copy=False)


def fourier_magnitudes(
    chroma: np.ndarray, n_frames: int, *, key_invariant: bool = True, tempo_invariant: bool = True
) -> np.ndarray:
    """Return magnitudes of the two-dimensional Fourier transform as a vector of norm 1, or 0.

    Circular shifts of pitch classes, which are transpositions, change only the phase. With
    `tempo_invariant` the whole piece is stretched to `n_frames`; otherwise the result is the
    median over excerpts of `n_frames` frames. Without `key_invariant` the transform is along time
    only.
    """
    power = chroma.astype(np.float64) ** POWER
    if tempo_invariant:
        excerpts = stretch(power, n_frames)[None]
    else:
        missing = max(n_frames - power.shape[1], 0)
        power = np.pad(power, ((0, 0), (0, missing)))
        windows = np.lib.stride_tricks.sliding_window_view(power, n_frames, axis=1)
        excerpts = windows[:, :: max(n_frames // 2, 1)].transpose(1, 0, 2)
    spectra = np.fft.rfft(excerpts, axis=-1)
    if key_invariant:
        spectra = np.fft.fft(spectra, axis=-2)
    vector = np.median(np.abs(spectra), axis=0).ravel()
    norm = np.linalg.norm(vector)
    return vector / norm if norm > 0 else vector
