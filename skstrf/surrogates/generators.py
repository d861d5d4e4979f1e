"""Surrogate data of the literature: same spectrum or same short stretches, else chance."""

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


def gaussianized(x: np.ndarray) -> np.ndarray:
    """Replace values by normal scores of their ranks.

    A field that is stationary stays so, since every value is changed by the same increasing
    function; phases of what is not Gaussian carry its distribution and should not be randomized.
    """
    x = checked_reals(x, "x")
    return ndtri((rankdata(x).reshape(x.shape) - 0.5) / x.size)


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
        Real. The Fourier transform is taken along `axes`; the same phases are added to
        everything along the other axes, so that the dependence between lines stays.
    n_surrogates : int
        How many.
    rng : numpy.random.Generator
        Source of chance.
    axes : tuple of int, default=(-1,)
        One axis for lines, two for planes, which become homogeneous.

    Returns
    -------
    ndarray of shape (n_surrogates, ...)
        Of the dtype of `x`, and of its mean.

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
    behind = [axis + 1 for axis in axes]
    # The phases of real noise have the symmetry that keeps the surrogates real.
    noise = rng.standard_normal((n_surrogates, *noise_shape), dtype=np.float32).astype(x.dtype)
    turn = scipy.fft.rfftn(noise, axes=behind)
    turn /= np.maximum(np.abs(turn), _TINY)
    # The mean is no fluctuation: it keeps its sign.
    turn[(slice(None), *[0 if axis in axes else slice(None) for axis in range(x.ndim)])] = 1
    return scipy.fft.irfftn(scipy.fft.rfftn(x, axes=axes) * turn, s=lengths, axes=behind)


def iaaft_surrogates(
    x: np.ndarray, n_surrogates: int, rng: np.random.Generator, *, max_iter: int = 50
) -> np.ndarray:
    """Surrogates of one line or plane with its values, and as nearly as possible its periodogram.

    Parameters
    ----------
    x : ndarray
        Transformed along all its axes.
    n_surrogates : int
        How many.
    rng : numpy.random.Generator
        Source of chance.
    max_iter : int, default=50
        Rounds of imposing the periodogram, then the values.

    Returns
    -------
    ndarray of shape (n_surrogates, ...)
        Rearrangements of the values of `x`.

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
    # Relative to the data, as nothing may overflow when loud ones are divided by it.
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
    """Indices that resample a line in blocks of random length, around a circle.

    Parameters
    ----------
    n_points : int
        Of the line.
    n_surrogates : int
        How many.
    block_length : float
        Expected length of the blocks, at least 1; their lengths are geometric.
    rng : numpy.random.Generator
        Source of chance.

    Returns
    -------
    ndarray of shape (n_surrogates, n_points), int
        Use one row for all lines, and the dependence between them stays.

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
    fresh = rng.integers(0, n_points, (n_surrogates, n_points))
    since = np.maximum.accumulate(np.where(begins, np.arange(n_points), 0), axis=1)
    origin = np.take_along_axis(fresh, since, axis=1)
    return (origin + np.arange(n_points) - since) % n_points


def automatic_block_length(x: np.ndarray) -> np.ndarray:
    """Expected block length of the stationary bootstrap that suits the dependence of each line."""
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
    # Lags up to the last before `window` negligible ones in a row, twice over.
    negligible = np.abs(covariance[1:] / covariance[0]) < 2 * np.sqrt(np.log10(n) / n)
    runs = np.convolve(negligible, np.ones(window), mode="valid") == window
    last = int(np.argmax(runs)) if runs.any() else longest
    lags = np.arange(1, min(2 * max(last, 1), longest) + 1)
    weights = np.minimum(1, 2 * (1 - lags / lags[-1]))
    spectrum = covariance[0] + 2 * (weights * covariance[lags]).sum()
    slope = 2 * (weights * lags * covariance[lags]).sum()
    length = (slope**2 / max(spectrum**2, _TINY)) ** (1 / 3) * n ** (1 / 3)
    return float(np.clip(length, 1, np.ceil(min(3 * np.sqrt(n), n / 3))))
