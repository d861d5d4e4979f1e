"""Surrogate data that keep the spectrum, the values or short blocks of the data."""

from __future__ import annotations

import numpy as np
import scipy.fft
from scipy.special import ndtri
from scipy.stats import rankdata

from skstrf.utils.validation import checked_number, checked_reals, checked_whole

__all__ = [
    "automatic_block_length",
    "gaussianized",
    "iaaft_surrogates",
    "phase_surrogates",
    "stationary_bootstrap",
]

_TINY = 1e-30


def phase_surrogates(
    x: np.ndarray,
    n_surrogates: int,
    rng: np.random.Generator,
    *,
    axes: tuple[int, ...] = (-1,),
) -> np.ndarray:
    """Surrogates with the same periodogram and random phases.

    Parameters
    ----------
    x : ndarray
        Real data. The Fourier transform is taken along `axes`. The same phases are added to all
        entries along the other axes, so that the dependence between lines is kept [2]_.
    n_surrogates : int
        Number of surrogates.
    rng : numpy.random.Generator
        Random number generator.
    axes : tuple of int, default=(-1,)
        Axes of the Fourier transform: one for lines, two for planes, which become homogeneous.

    Returns
    -------
    ndarray of shape (n_surrogates, ...)
        Surrogates with the dtype and the mean of `x`.

    Raises
    ------
    ValueError
        If `x` is not real and finite, or `axes` are not axes of `x`.

    See Also
    --------
    iaaft_surrogates : Surrogates that also keep the values.

    References
    ----------
    .. [1] P. Borgnat et al., "Testing stationarity with surrogates: a time-frequency approach",
       IEEE Trans. Signal Processing 58(7), 3459-3470, 2010.
    .. [2] D. Prichard and J. Theiler, "Generating surrogate data for time series with several
       simultaneously measured variables", Physical Review Letters 73(7), 951-954, 1994.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf.surrogates import phase_surrogates
    >>> rng = np.random.default_rng(0)
    >>> x = rng.standard_normal((4, 32))
    >>> copies = phase_surrogates(x, 2, rng)
    >>> bool(np.allclose(abs(np.fft.rfft(copies)), abs(np.fft.rfft(x))))
    True
    """
    x = checked_reals(x, "x")
    checked_whole(n_surrogates, "n_surrogates", low=0)
    if not all(-x.ndim <= axis < x.ndim for axis in axes) or not axes:
        raise ValueError(f"axes must be some of the {x.ndim} axes of x; got {axes!r}.")
    axes = tuple(axis % x.ndim for axis in axes)
    lengths = [x.shape[axis] for axis in axes]
    noise_shape = [n if axis in axes else 1 for axis, n in enumerate(x.shape)]
    shifted = [axis + 1 for axis in axes]  # axis 0 counts the surrogates
    # The spectrum of real noise has the symmetry that keeps the surrogates real.
    noise = rng.standard_normal((n_surrogates, *noise_shape), dtype=np.float32).astype(x.dtype)
    rotation = scipy.fft.rfftn(noise, axes=shifted)
    rotation /= np.maximum(np.abs(rotation), _TINY)
    # The mean keeps its sign.
    rotation[(slice(None), *[0 if axis in axes else slice(None) for axis in range(x.ndim)])] = 1
    return scipy.fft.irfftn(scipy.fft.rfftn(x, axes=axes) * rotation, s=lengths, axes=shifted)


def iaaft_surrogates(
    x: np.ndarray, n_surrogates: int, rng: np.random.Generator, *, max_iter: int = 50
) -> np.ndarray:
    """Surrogates with the same values and nearly the same periodogram.

    Iterative amplitude-adjusted Fourier transform [1]_ of one line or plane.

    Parameters
    ----------
    x : ndarray
        Real data. The Fourier transform is taken along all axes.
    n_surrogates : int
        Number of surrogates.
    rng : numpy.random.Generator
        Random number generator.
    max_iter : int, default=50
        Maximum number of iterations. Each imposes the periodogram and then the values.

    Returns
    -------
    ndarray of shape (n_surrogates, ...)
        Rearrangements of the values of `x`.

    Raises
    ------
    ValueError
        If `x` is not real and finite.

    See Also
    --------
    phase_surrogates : Surrogates with exactly the same periodogram.

    References
    ----------
    .. [1] T. Schreiber and A. Schmitz, "Improved surrogate data for nonlinearity tests",
       Physical Review Letters 77(4), 635-638, 1996.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf.surrogates import iaaft_surrogates
    >>> x = np.array([3.0, 1.0, 4.0, 1.5, 9.0, 2.0])
    >>> np.sort(iaaft_surrogates(x, 1, np.random.default_rng(0))[0])
    array([1. , 1.5, 2. , 3. , 4. , 9. ])
    """
    x = checked_reals(x, "x")
    checked_whole(n_surrogates, "n_surrogates", low=0)
    checked_whole(max_iter, "max_iter", low=0)
    axes = tuple(range(1, x.ndim + 1))
    values = np.sort(x, axis=None)
    amplitude = np.abs(scipy.fft.rfftn(x))
    # The floor is relative to the data, as dividing large amplitudes by it must not overflow.
    floor = _TINY * max(1.0, float(amplitude.max()))
    flat = np.broadcast_to(x.ravel(), (n_surrogates, x.size))
    copies = rng.permuted(flat, axis=1).reshape(n_surrogates, *x.shape)
    for _ in range(max_iter):
        spectrum = scipy.fft.rfftn(copies, axes=axes)
        spectrum *= amplitude / np.maximum(np.abs(spectrum), floor)
        wanted = scipy.fft.irfftn(spectrum, s=x.shape, axes=axes).reshape(n_surrogates, -1)
        ranks = wanted.argsort(axis=1, kind="stable").argsort(axis=1, kind="stable")
        updated = values[ranks].reshape(copies.shape)
        if np.array_equal(updated, copies):
            break
        copies = updated
    return copies


def stationary_bootstrap(
    n_points: int, n_surrogates: int, block_length: float, rng: np.random.Generator
) -> np.ndarray:
    """Indices of the stationary bootstrap of a line.

    The line is resampled in blocks of random length, which continue from its end at its
    beginning [1]_.

    Parameters
    ----------
    n_points : int
        Number of points of the line.
    n_surrogates : int
        Number of surrogates.
    block_length : float
        Expected length of the blocks, at least 1. Lengths follow a geometric distribution.
    rng : numpy.random.Generator
        Random number generator.

    Returns
    -------
    ndarray of int of shape (n_surrogates, n_points)
        Indices into the line. Applying one row to all lines of a plane keeps the dependence
        between them.

    Raises
    ------
    ValueError
        If `n_points` or `block_length` is less than 1, or `n_surrogates` is negative.

    References
    ----------
    .. [1] D. N. Politis and J. P. Romano, "The stationary bootstrap", J. American Statistical
       Association 89(428), 1303-1313, 1994.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf.surrogates import stationary_bootstrap
    >>> stationary_bootstrap(6, 1, 1e9, np.random.default_rng(0))
    array([[3, 4, 5, 0, 1, 2]])
    """
    checked_whole(n_points, "n_points")
    checked_whole(n_surrogates, "n_surrogates", low=0)
    checked_number(block_length, "block_length", low=1)
    begins = rng.random((n_surrogates, n_points)) < 1 / block_length
    begins[:, 0] = True
    sources = rng.integers(0, n_points, (n_surrogates, n_points))
    since = np.maximum.accumulate(np.where(begins, np.arange(n_points), 0), axis=1)
    origin = np.take_along_axis(sources, since, axis=1)
    return (origin + np.arange(n_points) - since) % n_points


def automatic_block_length(x: np.ndarray) -> np.ndarray:
    """Expected block length of the stationary bootstrap for each line (Politis and White 2004)."""
    lines = np.atleast_2d(checked_reals(x, "x")).astype(float)
    lengths = [_block_length(line - line.mean()) for line in lines.reshape(-1, lines.shape[-1])]
    return np.array(lengths).reshape(np.shape(x)[:-1])


def _block_length(x: np.ndarray) -> float:
    n = len(x)
    window = max(5, int(np.log10(n)))
    longest = min(n - 1, int(np.ceil(np.sqrt(n))) + window)
    covariance = np.array([x[: n - h] @ x[h:] for h in range(longest + 1)]) / n
    if covariance[0] <= 0:
        return 1.0
    # The bandwidth is twice the last lag before `window` negligible ones in a row.
    negligible = np.abs(covariance[1:] / covariance[0]) < 2 * np.sqrt(np.log10(n) / n)
    runs = np.convolve(negligible, np.ones(window), mode="valid") == window
    last = int(np.argmax(runs)) if runs.any() else longest
    lags = np.arange(1, min(2 * max(last, 1), longest) + 1)
    weights = np.minimum(1, 2 * (1 - lags / lags[-1]))
    spectrum = covariance[0] + 2 * (weights * covariance[lags]).sum()
    slope = 2 * (weights * lags * covariance[lags]).sum()
    length = (slope**2 / max(spectrum**2, _TINY)) ** (1 / 3) * n ** (1 / 3)
    return float(np.clip(length, 1, np.ceil(min(3 * np.sqrt(n), n / 3))))


def gaussianized(x: np.ndarray) -> np.ndarray:
    """Replace values by the normal scores of their ranks.

    One increasing function is applied to all values, so that a stationary field stays stationary.
    The phases of a non-Gaussian field carry its distribution and should not be randomized.
    """
    x = checked_reals(x, "x")
    return ndtri((rankdata(x).reshape(x.shape) - 0.5) / x.size)
