"""Standardization and contrast normalization of tensors."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from copy import copy
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin

from skstrf.multilinear.products import chunk_slices, double, empty_like, like, map_chunks
from skstrf.transforms.compression import compress
from skstrf.utils.arrays import is_torch, to_numpy
from skstrf.utils.lazy import apply_samplewise, is_dask, reduce_blocks
from skstrf.utils.validation import (
    Integral,
    Interval,
    Real,
    all_finite,
    check_batch,
    check_is_fitted,
    fit_context,
    numpy_dtype,
    reject_dataframe_output,
)

__all__ = ["LogContrast", "TensorScaler"]


def _axis_statistics(x: Any, axes: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of a batch over some of its axes, in one pass."""
    if is_dask(x):
        n, mean, squares = reduce_blocks(x, _block_sums, _merged, axes)
        return mean[0], squares[0] / n
    first = x[0:1][tuple(slice(0, 1) if a in axes else slice(None) for a in range(x.ndim))]
    count = np.prod([x.shape[axis] for axis in axes])
    with np.errstate(all="ignore"):
        # A float32 sum of squares keeps no digit of a variance far below the squared mean, so a
        # rough mean is subtracted first. Starting from one value makes it exact for constant data.
        chunk = double(x[chunk_slices(x)[0]]) - double(first)
        shift = like(double(first) + chunk.mean(axis=axes, keepdims=True), x)
    dtype = double(x[:0]).dtype

    def task(rows: slice) -> tuple[Any, Any]:
        centered = x[rows] - shift
        sums = centered.sum(axis=axes, keepdims=True, dtype=dtype)
        centered *= centered
        return sums, centered.sum(axis=axes, keepdims=True, dtype=dtype)

    total, squares = (to_numpy(sum(part)) for part in zip(*map_chunks(task, x), strict=True))
    with np.errstate(all="ignore"):
        missed = total / count
        var = np.maximum(squares / count - missed**2, 0.0)
        return (to_numpy(double(shift)) + missed)[0], var[0]


def _block_sums(block: np.ndarray, axes: tuple[int, ...]) -> tuple[float, Any, Any]:
    """Number of values, their mean and the sum of their squared deviations from it."""
    if not np.isfinite(block).all():
        raise ValueError("X given to TensorScaler contains NaN or infinity.")
    mean, var = _axis_statistics(block, axes)
    n = float(np.prod([block.shape[axis] for axis in axes]))
    return n, mean[None], n * var[None]


def _merged(parts: Sequence[tuple[float, Any, Any]]) -> tuple[float, Any, Any]:
    """Combine statistics relative to the first mean, so that constants stay exact."""
    n = sum(part[0] for part in parts)
    shift = parts[0][1]
    mean = shift + sum(count * (one - shift) for count, one, _ in parts) / n
    squares = sum(inner + count * (one - mean) ** 2 for count, one, inner in parts)
    return n, mean, squares


class TensorScaler(TransformerMixin, BaseEstimator):
    """Standardize tensors by subtracting the mean and dividing by the standard deviation.

    This is scikit-learn's ``StandardScaler`` for tensors. The mean and standard deviation are
    computed over the samples and over the axes named by `axis`; each position along the other
    axes has its own. By default, an STRF tensor of shape
    (n_sounds, n_scales, n_rates, n_freqs, n_frames) has one mean and one standard deviation for
    every scale, rate and frequency, computed over all sounds and all frames.

    Parameters
    ----------
    axis : int, tuple of int or None, default=-1
        Axes of X, besides the samples, that the statistics are computed over. Negative numbers
        count from the end. None is the samples alone, as in ``StandardScaler``.
    with_mean : bool, default=True
        Whether to subtract the mean.
    with_std : bool, default=True
        Whether to divide by the standard deviation.

    Attributes
    ----------
    mean_ : ndarray
        Mean in float64, of the shape of one sample with length 1 along the axes that it is
        computed over. Also available if `with_mean` is false.
    var_ : ndarray
        Variance, of the same shape (the sum of squares divided by the number of values).
    scale_ : ndarray
        Divisor of transform: the square root of `var_`, or 1 where the data are constant.
    input_shape_ : tuple of int
        Shape of one sample.
    n_features_in_ : int
        Length of axis 1.

    See Also
    --------
    skstrf.MPCA : The usual next step, which depends on the scale of X as PCA does.

    Notes
    -----
    X is read in chunks of samples and summed in float64, so that float32 data whose mean is a
    thousand times their standard deviation are scaled correctly, and the result is the only copy
    of X. torch tensors stay on their device and transform to torch tensors. Memory maps and zarr
    arrays are read in chunks. Every block of a dask array is reduced where it is computed, and
    transform and inverse_transform of a dask array are lazy.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf import TensorScaler
    >>> X = 5 + 3 * np.random.default_rng(0).standard_normal((40, 4, 6, 10))
    >>> scaler = TensorScaler().fit(X)
    >>> scaler.mean_.shape
    (4, 6, 1)
    >>> X_scaled = scaler.transform(X)
    >>> bool(np.allclose(X_scaled.mean(axis=(0, 3)), 0))
    True
    """

    _parameter_constraints: ClassVar[dict] = {
        "axis": [Integral, tuple, list, None],
        "with_mean": ["boolean"],
        "with_std": ["boolean"],
    }

    def __init__(self, axis=-1, with_mean=True, with_std=True):
        self.axis = axis
        self.with_mean = with_mean
        self.with_std = with_std

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Compute the mean and the standard deviation.

        Parameters
        ----------
        X : array-like, torch.Tensor, zarr.Array or dask array of shape (n_samples, ...)
            Data of at least two axes.
        y : None
            Ignored.

        Returns
        -------
        TensorScaler
            This object.

        Raises
        ------
        ValueError
            If X contains NaN or infinity, or `axis` names an axis that X does not have.
        """
        X = check_batch(self, X, reset=True, keep_lazy=True)
        mean, var = _axis_statistics(X, _shared_axes(self.axis, X.ndim))
        all_finite(self, var)
        # A deviation below the spacing of floats around the mean is rounding noise.
        eps = np.finfo(numpy_dtype(X)).eps
        constant = var <= (eps * mean) ** 2
        self.mean_, self.var_ = mean, var
        self.scale_ = np.where(constant, 1.0, np.sqrt(var))
        return self

    def transform(self, X):
        """Standardize X.

        Parameters
        ----------
        X : array-like, torch.Tensor, zarr.Array or dask array of shape (n_samples, ...)
            Samples of the shape seen in fit.

        Returns
        -------
        ndarray, torch.Tensor or dask array of the shape of X
            Standardized copy, float32 for float32; lazy for a dask array.

        Raises
        ------
        ValueError
            If the shape differs from that seen in fit, or X contains NaN or infinity.
        """
        check_is_fitted(self)
        X = check_batch(self, X, reset=False, keep_lazy=True)
        reject_dataframe_output(self, X.ndim)
        # A copy, because fitting again must not change a result that is still to be computed.
        return apply_samplewise(copy(self)._scale, X, shape=self.input_shape_, dtype=X.dtype)

    def _scale(self, X):
        mean, scale = like(self.mean_, X), like(self.scale_, X)

        def scaled(rows):
            chunk = X[rows] - mean if self.with_mean else X[rows]
            return chunk / scale if self.with_std else chunk

        return all_finite(self, _fill(scaled, X))

    def inverse_transform(self, X):
        """Reverse `transform`, exactly up to rounding.

        Parameters
        ----------
        X : array-like, torch.Tensor, zarr.Array or dask array of shape (n_samples, ...)
            Standardized samples.

        Returns
        -------
        ndarray, torch.Tensor or dask array of the shape of X
            Samples in the units of the data seen in fit.

        Raises
        ------
        ValueError
            If the shape differs from that seen in fit, or X contains NaN or infinity.
        """
        check_is_fitted(self)
        X = check_batch(self, X, reset=False, keep_lazy=True)
        return apply_samplewise(copy(self)._restore, X, shape=self.input_shape_, dtype=X.dtype)

    def _restore(self, X):
        mean, scale = like(self.mean_, X), like(self.scale_, X)

        def restored(rows):
            chunk = X[rows] * scale if self.with_std else X[rows]
            return chunk + mean if self.with_mean else chunk

        return all_finite(self, _fill(restored, X))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _shared_axes(axis: Any, ndim: int) -> tuple[int, ...]:
    given = () if axis is None else (axis,) if isinstance(axis, Integral) else tuple(axis)
    for one in given:
        if not isinstance(one, Integral) or not -ndim <= int(one) < ndim:
            raise ValueError(
                f"axis={axis!r} of TensorScaler, but X has {ndim} axes: give integers from "
                f"{-ndim} to {ndim - 1} (axis 0, the samples, is always included), or None."
            )
    return tuple(sorted({0, *(int(one) % ndim for one in given)}))


def _fill(task: Any, X: Any) -> Any:
    """Run `task` on every chunk of X into one new array of the shape of X."""
    out = empty_like(X, X.shape)

    def fill(rows: slice) -> None:
        out[rows] = task(rows)

    deque(map_chunks(fill, X), maxlen=0)
    return out


def log_contrast(x: Any, compression_floor: float = 1e-3, *, envelope: bool = True) -> Any:
    """Logarithms of magnitudes minus their mean over channels, and the logarithms themselves."""
    channels = tuple(range(1, max(2, x.ndim - 2)))
    with np.errstate(all="ignore"):  # the caller looks for infinity in the result
        sign = x.sign() if is_torch(x) else np.sign(x)
        y = sign * compress(abs(x), "log", compression_floor)
        contrast = y - y.mean(axis=channels, keepdims=True)
    if not envelope:
        return contrast
    if is_torch(x):
        import torch

        return torch.cat([contrast, y], 1)
    return np.concatenate([contrast, y], axis=1)


class LogContrast(TransformerMixin, BaseEstimator):
    r"""Contrast and envelope of STRF magnitudes, side by side along the axis of scales.

    The envelope is the compressed magnitude
    :math:`y = \mathrm{sign}(x) \log(1 + |x| / \mathrm{floor})`. The contrast is :math:`y` minus
    its mean over scales and rates at the same frequency and time, that is the logarithm of each
    channel relative to the geometric mean of all. A slowly varying gain over frequency, such as
    that of a room or a microphone, affects the mean only.

    The default `contrast` of :class:`~skstrf.STRFTransformer` removes the spectral envelope.
    This makes features robust against other rooms and instruments, but discards the information
    in the envelope. This transformer passes both to a network, after
    ``STRFTransformer(compression=None, contrast=False)``.

    Parameters
    ----------
    compression_floor : float, default=1e-3
        Magnitude below which the logarithm becomes linear.
    envelope : bool, default=True
        Whether to return the envelope beside the contrast.

    Attributes
    ----------
    input_shape_ : tuple of int
        Shape of one sample seen in fit.
    n_features_in_ : int
        Length of axis 1.

    See Also
    --------
    skstrf.STRFTransformer : Transformer that computes the magnitudes.

    Examples
    --------
    >>> from skstrf import LogContrast, STRFTransformer, load_instruments
    >>> sounds = load_instruments(split="test", duration=1.0).data[:2]
    >>> tensors = STRFTransformer(compression=None, contrast=False).fit_transform(sounds)
    >>> tensors.shape, LogContrast().fit_transform(tensors).shape
    ((2, 6, 10, 128, 1), (2, 12, 10, 128, 1))
    """

    _parameter_constraints: dict = {
        "compression_floor": [Interval(Real, 0, None, closed="neither")],
        "envelope": ["boolean"],
    }

    def __init__(self, compression_floor=1e-3, *, envelope=True):
        self.compression_floor = compression_floor
        self.envelope = envelope

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Record the shape of the samples; there is nothing to learn.

        Parameters
        ----------
        X : array-like, torch.Tensor, zarr.Array or dask array of shape (n_samples, ...)
            Magnitudes.
        y : None
            Ignored.

        Returns
        -------
        LogContrast
            This object.
        """
        X = check_batch(self, X, reset=True, keep_lazy=True)
        if isinstance(X, np.ndarray):
            all_finite(self, X)
        return self

    def transform(self, X):
        """Compute the contrast, and the envelope.

        Parameters
        ----------
        X : array-like, torch.Tensor, zarr.Array or dask array of shape (n_samples, ...)
            Magnitudes of the shape seen in fit.

        Returns
        -------
        ndarray, torch.Tensor or dask array
            Contrast, followed along axis 1 by the envelope; lazy for a dask array.

        Raises
        ------
        ValueError
            If the shape differs from that seen in fit, or X contains NaN or infinity.
        """
        check_is_fitted(self)
        X = check_batch(self, X, reset=False, keep_lazy=True)
        reject_dataframe_output(self, X.ndim)
        first, *others = self.input_shape_
        shape = ((1 + self.envelope) * first, *others)
        return apply_samplewise(copy(self)._contrast, X, shape=shape, dtype=X.dtype)

    def _contrast(self, X):
        return all_finite(self, log_contrast(X, self.compression_floor, envelope=self.envelope))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.requires_fit = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
