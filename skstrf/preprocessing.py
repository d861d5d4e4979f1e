"""Scaling of n-D data."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from copy import copy
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin

from skstrf.multilinear.products import chunk_slices, double, empty_like, like, map_chunks
from skstrf.utils.arrays import is_torch, to_numpy
from skstrf.utils.lazy import is_dask, map_samples, reduce_blocks
from skstrf.utils.validation import (
    Integral,
    Interval,
    Real,
    all_finite,
    check_batch,
    check_is_fitted,
    fit_context,
    reject_dataframe_output,
)

__all__ = [
    "LogContrast",
    "TensorScaler",
    "axis_statistics",
    "log_contrast",
]


def axis_statistics(x: Any, axes: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of a batch over some of its axes, in one pass."""
    if is_dask(x):
        n, mean, squares = reduce_blocks(x, _block_sums, _merged, axes)
        return mean[0], squares[0] / n
    first = x[0:1][tuple(slice(0, 1) if a in axes else slice(None) for a in range(x.ndim))]
    count = np.prod([x.shape[axis] for axis in axes])
    with np.errstate(all="ignore"):
        # A float32 sum of squares keeps no digit of a variance far below the squared mean: take
        # a rough mean off first. Starting from one value makes it exact for constant data.
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
    """Count the values, and give their mean and their squared deviations from it."""
    if not np.isfinite(block).all():
        raise ValueError("X given to TensorScaler contains NaN or infinity.")
    mean, var = axis_statistics(block, axes)
    n = float(np.prod([block.shape[axis] for axis in axes]))
    return n, mean[None], n * var[None]


def _merged(parts: Sequence[tuple[float, Any, Any]]) -> tuple[float, Any, Any]:
    """Put statistics together around the first mean, so that constants stay exact."""
    n = sum(part[0] for part in parts)
    shift = parts[0][1]
    mean = shift + sum(count * (one - shift) for count, one, _ in parts) / n
    squares = sum(inner + count * (one - mean) ** 2 for count, one, inner in parts)
    return n, mean, squares


class TensorScaler(TransformerMixin, BaseEstimator):
    """Standardize n-D data: take off the mean and divide by the standard deviation.

    scikit-learn's ``StandardScaler`` for tensors. Mean and deviation are shared over the samples
    and over the axes named; each position along the other axes has its own. With the default,
    an STRF tensor of shape (n_sounds, n_scales, n_rates, n_freqs, n_frames) gets one mean and
    one deviation for every scale, rate and frequency, computed over all sounds and all frames.

    Parameters
    ----------
    axis : int, tuple of int or None, default -1
        The axes of X, besides the samples, that share their mean and deviation; negative ones
        count from the end. None shares over the samples alone, as ``StandardScaler`` does.
    with_mean : bool, default True
        Whether to take off the mean.
    with_std : bool, default True
        Whether to divide by the standard deviation.

    Attributes
    ----------
    mean_ : ndarray
        Mean, float64, of the shape of one sample with 1 in place of every shared axis; found
        also when `with_mean` is false.
    var_ : ndarray
        Variance, of the same shape; the sum of squares is divided by the number of values.
    scale_ : ndarray
        What transform divides by: the square root of `var_`, 1 where the data are constant.
    input_shape_ : tuple of int
        Shape of one sample.
    n_features_in_ : int
        Length of axis 1.

    See Also
    --------
    skstrf.decomposition.MPCA : The usual next step; like PCA it depends on the scale of X.

    Notes
    -----
    A chunk of samples at a time is summed in float64, so that float32 data with a mean a
    thousand times the deviation are scaled right and no copy of X is made but the result. torch
    tensors are taken as they are and give torch tensors on their device. Memory maps and zarr
    arrays are read in chunks. Every block of a dask array is reduced where it is computed;
    transform and inverse_transform of it are lazy.

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
        """Find mean and deviation.

        Parameters
        ----------
        X : array-like, torch.Tensor, zarr.Array or dask array of shape (n_samples, ...)
            Two or more axes.
        y : None
            Ignored.

        Returns
        -------
        TensorScaler
            This object.

        Raises
        ------
        ValueError
            On NaN or infinity in X, or an axis that X lacks.
        """
        X = check_batch(self, X, reset=True, keep_lazy=True)
        mean, var = axis_statistics(X, _shared_axes(self.axis, X.ndim))
        all_finite(self, var)
        # A deviation below the spacing of numbers around the mean is rounding, not variation.
        eps = np.finfo(str(X.dtype).removeprefix("torch.")).eps
        constant = var <= (eps * mean) ** 2
        self.mean_, self.var_ = mean, var
        self.scale_ = np.where(constant, 1.0, np.sqrt(var))
        return self

    def transform(self, X):
        """Scale X.

        Parameters
        ----------
        X : array-like, torch.Tensor, zarr.Array or dask array of shape (n_samples, ...)
            Samples of the shape seen in fit.

        Returns
        -------
        ndarray, torch.Tensor or dask array of the shape of X
            A scaled copy, float32 for float32; lazy for a dask array.

        Raises
        ------
        ValueError
            When the shape differs from that seen in fit, or X is not finite.
        """
        check_is_fitted(self)
        X = check_batch(self, X, reset=False, keep_lazy=True)
        reject_dataframe_output(self, X.ndim)
        if is_dask(X):
            # A copy: fitting again must not change what is still to be computed.
            return map_samples(X, copy(self)._scale, self.input_shape_, X.dtype)
        return self._scale(X)

    def _scale(self, X):
        mean, scale = like(self.mean_, X), like(self.scale_, X)

        def scaled(rows):
            chunk = X[rows] - mean if self.with_mean else X[rows]
            return chunk / scale if self.with_std else chunk

        return all_finite(self, _fill(scaled, X))

    def inverse_transform(self, X):
        """Undo `transform`; exact up to rounding.

        Parameters
        ----------
        X : array-like, torch.Tensor, zarr.Array or dask array of shape (n_samples, ...)
            Scaled samples.

        Returns
        -------
        ndarray, torch.Tensor or dask array of the shape of X
            In the units of the data seen in fit.

        Raises
        ------
        ValueError
            When the shape differs from that seen in fit, or X is not finite.
        """
        check_is_fitted(self)
        X = check_batch(self, X, reset=False, keep_lazy=True)
        if is_dask(X):
            return map_samples(X, copy(self)._restore, self.input_shape_, X.dtype)
        return self._restore(X)

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
                f"{-ndim} to {ndim - 1} (axis 0, the samples, is always shared), or None."
            )
    return tuple(sorted({0, *(int(one) % ndim for one in given)}))


def _fill(task: Any, X: Any) -> Any:
    """Run `task` on every chunk of X into one new array of the shape of X."""
    out = empty_like(X, X.shape)

    def fill(rows: slice) -> None:
        out[rows] = task(rows)

    deque(map_chunks(fill, X), maxlen=0)
    return out


def log_contrast(x: Any, floor: float = 1e-3, *, envelope: bool = True) -> Any:
    r"""Logarithms of magnitudes less their mean over channels, and the logarithms themselves.

    With :math:`y = \mathrm{sign}(x) \log(1 + |x| / \mathrm{floor})` the contrast is :math:`y`
    less its mean over scales and rates at the same frequency and time: the logarithm of each
    channel in units of the geometric mean of all. What multiplies the spectrum slowly, such as a
    room or a microphone, is in that mean.
    """
    channels = tuple(range(1, max(2, x.ndim - 2)))
    if is_torch(x):
        import torch

        y = torch.sign(x) * torch.log1p(x.abs() / floor)
        contrast = y - y.mean(channels, keepdim=True)
        return torch.cat([contrast, y], 1) if envelope else contrast
    with np.errstate(all="ignore"):  # who calls this looks for infinities in the result
        y = np.sign(x) * np.log1p(np.abs(x) / x.dtype.type(floor))
        contrast = y - y.mean(axis=channels, keepdims=True)
    return np.concatenate([contrast, y], axis=1) if envelope else contrast


class LogContrast(TransformerMixin, BaseEstimator):
    """Contrast and envelope of STRF magnitudes, side by side along the axis of scales.

    The default `contrast` of :class:`~skstrf.STRFTransformer` divides the spectral envelope out,
    which helps with other rooms and instruments, and loses what the envelope tells. A network can
    be given both: ``STRFTransformer(compression=None, contrast=False)``, then this.

    Parameters
    ----------
    floor : float, default=1e-3
        Where the logarithm turns linear, in units of the magnitudes.
    envelope : bool, default=True
        Whether to keep the logarithms beside the contrast.

    Attributes
    ----------
    input_shape_ : tuple of int
        Shape of one sample seen in fit.
    n_features_in_ : int
        Length of axis 1.

    See Also
    --------
    log_contrast : The function.

    Examples
    --------
    >>> from skstrf import LogContrast, STRFTransformer, load_instruments
    >>> sounds = load_instruments(split="test", duration=1.0).data[:2]
    >>> tensors = STRFTransformer(compression=None, contrast=False).fit_transform(sounds)
    >>> tensors.shape, LogContrast().fit_transform(tensors).shape
    ((2, 6, 10, 128, 1), (2, 12, 10, 128, 1))
    """

    _parameter_constraints: dict = {
        "floor": [Interval(Real, 0, None, closed="neither")],
        "envelope": ["boolean"],
    }

    def __init__(self, floor=1e-3, *, envelope=True):
        self.floor = floor
        self.envelope = envelope

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Take note of the shape of the samples; nothing is learned.

        Parameters
        ----------
        X : array-like, torch.Tensor, zarr.Array or dask array of shape (n_samples, ...)
            Magnitudes.
        y : None
            Ignored.

        Returns
        -------
        self : object
            This object.
        """
        X = check_batch(self, X, reset=True, keep_lazy=True)
        if isinstance(X, np.ndarray):
            all_finite(self, X)
        return self

    def transform(self, X):
        """Give contrast, and envelope.

        Parameters
        ----------
        X : array-like, torch.Tensor, zarr.Array or dask array of shape (n_samples, ...)
            Magnitudes of the shape seen in fit.

        Returns
        -------
        ndarray, torch.Tensor or dask array
            See :func:`log_contrast`; lazy for a dask array.

        Raises
        ------
        ValueError
            When the shape differs from that seen in fit, or X is not finite.
        """
        check_is_fitted(self)
        X = check_batch(self, X, reset=False, keep_lazy=True)
        reject_dataframe_output(self, X.ndim)
        first, *others = self.input_shape_
        if is_dask(X):
            shape = ((1 + self.envelope) * first, *others)
            return map_samples(X, copy(self)._contrast, shape, X.dtype)
        return self._contrast(X if is_torch(X) else np.asarray(X[0 : len(X)]))

    def _contrast(self, X):
        return all_finite(self, log_contrast(X, self.floor, envelope=self.envelope))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.requires_fit = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
