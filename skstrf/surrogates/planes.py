"""Test of the homogeneity of planes: whether all parts have the same local spectrum."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.fft

from skstrf.utils.settings import checked_reals, checked_whole

from .generators import gaussianized, phase_surrogates
from .rates import rank_p_values

__all__ = ["PlaneTest", "local_spectra", "median_polish", "plane_test"]

_RADII, _ORIENTATIONS = 4, 3
# Least power of a block, as a share of the mean over blocks.
_FLOOR = 1e-3
_TINY = 1e-30


class PlaneTest(NamedTuple):
    """What `plane_test` finds.

    Attributes
    ----------
    p_value : float
        That the plane is homogeneous.
    effect : float
        Index of non-stationarity: root of the variation of local spectra over that of the
        surrogates; about 1 where homogeneous.
    score : float
        ``min(1, 1 / effect)``, in (0, 1].
    """

    p_value: float
    effect: float
    score: float


def local_spectra(x: np.ndarray, n_blocks: tuple[int, int] = (4, 4)) -> np.ndarray:
    """Logarithmic power of every block of planes in bands of radius and orientation.

    Parameters
    ----------
    x : ndarray of shape (..., n_rows, n_columns)
        Planes.
    n_blocks : (int, int), default=(4, 4)
        Blocks along rows and columns; what does not fill a block is left out at the end.

    Returns
    -------
    ndarray of shape (..., n_blocks, n_bands)
        Up to 12 bands: octaves of the larger of the two frequencies, and orientation.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf.surrogates import local_spectra
    >>> local_spectra(np.random.default_rng(0).standard_normal((64, 128))).shape
    (16, 12)
    """
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
    # Blocks of silence have a spectrum of zeros: they count as far below the others, not as
    # infinitely far.
    return np.log(power + _FLOOR * power.mean(axis=-2, keepdims=True) + _TINY)


def plane_test(
    x: np.ndarray,
    n_surrogates: int = 199,
    rng: np.random.Generator | int | None = None,
    *,
    n_blocks: tuple[int, int] = (4, 4),
) -> PlaneTest:
    """Test whether a plane is homogeneous to second order.

    Parameters
    ----------
    x : ndarray of shape (n_rows, n_columns)
        The plane.
    n_surrogates : int, default=199
        Surrogates.
    rng : numpy.random.Generator, int or None, default=None
        Source of chance.
    n_blocks : (int, int), default=(4, 4)
        Blocks whose spectra are compared, along rows and columns.

    Returns
    -------
    PlaneTest
        p-value and effect; p-value, effect and score 1 for a constant plane.

    Notes
    -----
    Statistic: variance over blocks of the logarithmic local spectra, averaged over bands, as [1]_
    averages over wavelets. Null hypothesis: the plane, its values replaced by normal scores, is a
    homogeneous Gaussian field; its surrogates have the same periodogram and random phases, and
    the index is that of [2]_. A change of level alone is not seen: that is what `lines_test`
    is for.

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
        raise ValueError(f"x must be one plane, (n_rows, n_columns); got the shape {x.shape}.")
    checked_whole(n_surrogates, "n_surrogates")
    if np.ptp(x) <= 4 * np.finfo(x.dtype).eps * np.abs(x).max():
        return PlaneTest(1.0, 1.0, 1.0)
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
    return PlaneTest(float(rank_p_values(variation)[0]), effect, score)


def median_polish(x: np.ndarray, *, max_iter: int = 5) -> np.ndarray:
    """Take off the medians of rows and columns in turn: what is left has no profile along either.

    Parameters
    ----------
    x : ndarray of shape (..., n_rows, n_columns)
        Planes.
    max_iter : int, default=5
        Rounds.

    Returns
    -------
    ndarray of the shape of `x`
        Residuals.

    References
    ----------
    .. [1] J. W. Tukey, "Exploratory data analysis", Addison-Wesley, 1977, chapter 11.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf.surrogates import median_polish
    >>> median_polish(np.add.outer([1.0, 2, 5], [10.0, 20, 40]))
    array([[0., 0., 0.],
           [0., 0., 0.],
           [0., 0., 0.]])
    """
    x = checked_reals(x, "x", ndim=2)
    checked_whole(max_iter, "max_iter", low=0)
    for _ in range(max_iter):
        before = x
        for axis in (-1, -2):
            x = x - np.median(x, axis=axis, keepdims=True)
        if np.array_equal(before, x):
            break
    return x


def _bands(height: int, width: int, dtype: np.dtype) -> np.ndarray:
    """Weights that average the half-plane of frequencies in every band, a column for each."""
    vertical = np.fft.fftfreq(height)[:, None]
    horizontal = np.fft.rfftfreq(width)[None]
    radius = np.maximum(np.abs(vertical), horizontal)
    edges = 0.5 * 2.0 ** np.arange(1 - _RADII, 0)
    ring = np.searchsorted(edges, radius, side="left")
    # Orientations are centred on 0, 60 and 120 degrees; opposite directions are the same.
    angle = np.arctan2(vertical, horizontal) / np.pi * _ORIENTATIONS
    band = ring * _ORIENTATIONS + np.round(angle).astype(int) % _ORIENTATIONS
    band[0, 0] = -1
    members = band.ravel()[:, None] == np.unique(band[band >= 0])
    return (members / members.sum(axis=0)).astype(dtype)
