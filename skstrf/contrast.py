"""Contrast of modulations: what is left of a tensor when its spectral envelope is divided out."""

from __future__ import annotations

from copy import copy
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin

from skstrf.utils.arrays import is_torch
from skstrf.utils.blocks import is_dask, map_samples
from skstrf.utils.stored import stored
from skstrf.utils.validation import (
    Interval,
    Real,
    all_finite,
    check_batch,
    check_is_fitted,
    fit_context,
    refuse_tables,
)

__all__ = ["LogContrast", "log_contrast"]


def log_contrast(x: Any, floor: float = 1e-3, *, envelope: bool = True) -> Any:
    r"""Logarithms of magnitudes less their mean over channels, and the logarithms themselves.

    With :math:`y = \mathrm{sign}(x) \log(1 + |x| / \mathrm{floor})` the contrast is :math:`y`
    less its mean over scales and rates at the same frequency and time: the logarithm of each
    channel in units of the geometric mean of all. What multiplies the spectrum slowly, such as a
    room or a microphone, is in that mean.

    Parameters
    ----------
    x : ndarray or torch.Tensor of shape (n_samples, ..., n_freqs, n_frames)
        Magnitudes. All axes between the first and the last two are channels; if there are none,
        axis 1 is.
    floor : float, default=1e-3
        Where the logarithm turns linear.
    envelope : bool, default=True
        Whether to append :math:`y` itself to the contrast, along axis 1.

    Returns
    -------
    ndarray or torch.Tensor
        Of the type of `x`, axis 1 twice as long with `envelope`.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf.contrast import log_contrast
    >>> x = np.random.default_rng(0).random((3, 6, 10, 16, 5))
    >>> stacked = log_contrast(x)
    >>> stacked.shape
    (3, 12, 10, 16, 5)
    >>> bool(np.allclose(stacked[:, :6].mean(axis=(1, 2)), 0))
    True
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
        X = check_batch(self, stored(X), reset=True, keep_lazy=True)
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
        X = check_batch(self, stored(X), reset=False, keep_lazy=True)
        refuse_tables(self, X.ndim)
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
