"""Test of homogeneity of planes, and the preparation of planes for tests."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.fft

from skstrf.surrogates.generators import gaussianized, phase_surrogates
from skstrf.surrogates.lines import rank_p_values
from skstrf.utils.validation import checked_reals, checked_whole

__all__ = ["PlaneTestResult", "local_spectra", "median_polish", "plane_test", "resample_plane"]

# Number of bands of radius and of orientation of local spectra.
_RADII, _ORIENTATIONS = 4, 3
# Smallest power of a block, relative to the mean over blocks.
_FLOOR = 1e-3
_TINY = 1e-30


class PlaneTestResult(NamedTuple):
    """Result of `plane_test`."""

    p_value: float
    effect: float
    score: float


def plane_test(
    x: np.ndarray,
    n_surrogates: int = 199,
    rng: np.random.Generator | int | None = None,
    *,
    n_blocks: tuple[int, int] = (4, 4),
) -> PlaneTestResult:
    """Test whether a plane is homogeneous to second order.

    Parameters
    ----------
    x : ndarray of shape (n_rows, n_columns)
        The plane, such as a spectrogram.
    n_surrogates : int, default=199
        Number of surrogates.
    rng : numpy.random.Generator, int or None, default=None
        Random number generator, or its seed.
    n_blocks : (int, int), default=(4, 4)
        Number of blocks along rows and columns whose spectra are compared.

    Returns
    -------
    PlaneTestResult
        Named tuple with the fields ``p_value``, ``effect`` (the index of non-stationarity, about
        1 for homogeneous planes) and ``score`` (``min(1, 1 / effect)``), each a float. All are 1
        for a constant plane.

    Raises
    ------
    ValueError
        If `x` is not one real and finite plane, or is too small for `n_blocks`.

    See Also
    --------
    lines_test : Test whether lines keep their level and variability.

    Notes
    -----
    The statistic is the variance over blocks of the logarithmic local spectra, averaged over
    bands, as [1]_ averages over wavelets. Under the null hypothesis the plane, with its values
    replaced by normal scores, is a homogeneous Gaussian field. The surrogates have the same
    periodogram and random phases, and the index is that of [2]_. The test is blind to a change of
    level alone, which `lines_test` detects.

    References
    ----------
    .. [1] S. L. Taylor, I. A. Eckley and M. A. Nunes, "A test of stationarity for textured
       images", Technometrics 56(3), 291-301, 2014.
    .. [2] P. Borgnat et al., "Testing stationarity with surrogates: a time-frequency approach",
       IEEE Trans. Signal Processing 58(7), 3459-3470, 2010, section III.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf.surrogates import plane_test
    >>> plane = np.random.default_rng(1).standard_normal((64, 128))
    >>> plane_test(plane, 99, 0).p_value > 0.05
    True
    >>> plane[:, 64:] = plane[:, 64:].cumsum(axis=0)
    >>> plane_test(plane, 99, 0).p_value
    0.01
    """
    x = checked_reals(x, "x", ndim=2)
    if x.ndim != 2:
        raise ValueError(f"x must have the shape (n_rows, n_columns); got {x.shape}.")
    checked_whole(n_surrogates, "n_surrogates")
    if np.ptp(x) <= 4 * np.finfo(x.dtype).eps * np.abs(x).max():
        return PlaneTestResult(1.0, 1.0, 1.0)
    field = gaussianized(x).astype(np.float32)
    copies = phase_surrogates(field, n_surrogates, np.random.default_rng(rng), axes=(-2, -1))
    variation = np.concatenate(
        [
            local_spectra(part, n_blocks).var(axis=-2).mean(axis=-1)
            for part in (field[None], copies)
        ]
    )
    effect = float(np.sqrt(variation[0] / max(variation[1:].mean(), _TINY)))
    score = min(1.0, 1 / max(effect, _TINY))
    return PlaneTestResult(float(rank_p_values(variation)[0]), effect, score)


def local_spectra(x: np.ndarray, n_blocks: tuple[int, int] = (4, 4)) -> np.ndarray:
    """Logarithmic power of every block of planes, in bands of radius and orientation."""
    x = checked_reals(x, "x", ndim=2)
    rows, columns = (checked_whole(n, "n_blocks") for n in n_blocks)
    height, width = x.shape[-2] // rows, x.shape[-1] // columns
    if height * width < 2:
        raise ValueError(
            f"Planes of {x.shape[-2]} by {x.shape[-1]} are too small for n_blocks={n_blocks}."
        )
    cut = x[..., : rows * height, : columns * width]
    blocks = np.moveaxis(cut.reshape(*x.shape[:-2], rows, height, columns, width), -3, -2)
    blocks = blocks - blocks.mean(axis=(-1, -2), keepdims=True)
    window = np.outer(np.hanning(height + 2)[1:-1], np.hanning(width + 2)[1:-1])
    spectra = np.abs(scipy.fft.rfft2(blocks * window.astype(x.dtype))) ** 2
    power = spectra.reshape(*x.shape[:-2], rows * columns, -1) @ _bands(height, width, x.dtype)
    # The spectrum of a silent block is zero: the floor keeps its logarithm finite.
    return np.log(power + _FLOOR * power.mean(axis=-2, keepdims=True) + _TINY)


def _bands(height: int, width: int, dtype: np.dtype) -> np.ndarray:
    """Weights that average the half-plane of frequencies in every band, one column per band."""
    vertical = np.fft.fftfreq(height)[:, None]
    horizontal = np.fft.rfftfreq(width)[None]
    radius = np.maximum(np.abs(vertical), horizontal)
    edges = 0.5 * 2.0 ** np.arange(1 - _RADII, 0)
    ring = np.searchsorted(edges, radius, side="left")
    # Orientations are centered on 0, 60 and 120 degrees; opposite directions are equivalent.
    angle = np.arctan2(vertical, horizontal) / np.pi * _ORIENTATIONS
    band = ring * _ORIENTATIONS + np.round(angle).astype(int) % _ORIENTATIONS
    band[0, 0] = -1
    members = band.ravel()[:, None] == np.unique(band[band >= 0])
    return (members / members.sum(axis=0)).astype(dtype)


def median_polish(x: np.ndarray, *, max_iter: int = 5) -> np.ndarray:
    """Subtract row and column medians in turn (Tukey's median polish)."""
    x = checked_reals(x, "x", ndim=2)
    checked_whole(max_iter, "max_iter", low=0)
    for _ in range(max_iter):
        before = x
        for axis in (-1, -2):
            x = x - np.median(x, axis=axis, keepdims=True)
        if np.array_equal(before, x):
            break
    return x


def resample_plane(x: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Resample the last two axes to the lengths `shape`.

    Axes are shortened by averages over equal intervals and lengthened by linear interpolation.
    """
    x = checked_reals(x, "x", ndim=2)
    for axis, n_points in zip((-2, -1), shape, strict=True):
        n, n_points = x.shape[axis], checked_whole(n_points, "n_points")
        if n != n_points:
            weights = _averaging(n, n_points) if n_points < n else _interpolation(n, n_points)
            x = np.moveaxis(np.moveaxis(x, axis, -1) @ weights.astype(x.dtype), -1, axis)
    return x


def _averaging(n: int, n_points: int) -> np.ndarray:
    """Share of every old point in every new one."""
    edges = np.linspace(0, n, n_points + 1)
    low = np.maximum(np.arange(n)[:, None], edges[:-1])
    high = np.minimum(np.arange(1, n + 1)[:, None], edges[1:])
    return np.maximum(high - low, 0) / (n / n_points)


def _interpolation(n: int, n_points: int) -> np.ndarray:
    centers = (np.arange(n_points) + 0.5) * n / n_points - 0.5
    distance = np.abs(np.arange(n)[:, None] - np.clip(centers, 0, n - 1))
    return np.maximum(1 - distance, 0)
