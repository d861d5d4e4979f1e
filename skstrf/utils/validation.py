"""Checks of parameters and arrays.

The only module that imports what scikit-learn keeps private (the declarative
parameter constraints): should a name move there, this file alone has to follow.
"""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn import config_context, get_config
from sklearn.base import _fit_context as fit_context
from sklearn.utils._param_validation import (
    HasMethods,
    Interval,
    InvalidParameterError,
    Options,
    StrOptions,
    validate_params,
)
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from .arrays import is_torch
from .blocks import is_dask, whole_samples
from .stored import Stored

__all__ = [
    "HasMethods",
    "Integral",
    "Interval",
    "InvalidParameterError",
    "Options",
    "Real",
    "StrOptions",
    "all_finite",
    "check_array",
    "check_batch",
    "check_is_fitted",
    "check_same_shape",
    "fit_context",
    "float_blocks",
    "refuse_tables",
    "stand_in",
    "validate_params",
    "validate_tensors",
]

FLOATS = (np.float64, np.float32)


def validate_tensors(
    estimator: Any,
    X: Any,
    y: Any = "no_validation",
    *,
    reset: bool,
    ensure_min_samples: int = 1,
) -> Any:
    """Check the n-D data of an estimator, first axis = samples.

    ``validate_data`` with ``allow_nd=True`` holds only axis 1 to what was seen
    in fit; this holds every trailing axis to it.

    Parameters
    ----------
    estimator : BaseEstimator
        Gets ``input_shape_`` (and ``n_features_in_``) when `reset` is true.
    X : array-like of shape (n_samples, ...)
        Two or more axes. Integers become float64, float32 and float64 stay.
    y : array-like or "no_validation"
        The target, checked along with `X` when given.
    reset : bool
        True in fit, False in transform and predict.
    ensure_min_samples : int
        The fewest samples accepted.

    Returns
    -------
    ndarray or (ndarray, ndarray)
        The checked `X`, and `y` when one was given.

    Raises
    ------
    ValueError
        On NaN, infinities, fewer than two axes, an empty axis, or trailing
        axes that differ from those seen in fit.
    """
    checked = validate_data(
        estimator,
        X,
        y,
        reset=reset,
        allow_nd=True,
        dtype=FLOATS,
        ensure_min_samples=ensure_min_samples,
    )
    array = checked[0] if isinstance(checked, tuple) else checked
    if array.size == 0:
        raise ValueError(
            f"{type(estimator).__name__} got an array of shape {array.shape}: "
            "found an axis of length 0, a minimum of 1 is required."
        )
    if reset:
        estimator.input_shape_ = array.shape[1:]
    else:
        check_same_shape(estimator, array.shape[1:])
    return checked


def check_same_shape(estimator: Any, shape: tuple[int, ...]) -> None:
    """Raise a ValueError when `shape` is not the one `estimator` was fitted on.

    Parameters
    ----------
    estimator : BaseEstimator
        Fitted; its ``input_shape_`` is compared.
    shape : tuple of int
        The trailing axes of the new data.

    Raises
    ------
    ValueError
        Naming both shapes and the remedy.
    """
    if tuple(shape) != tuple(estimator.input_shape_):
        raise ValueError(
            f"{type(estimator).__name__} was fitted on samples of shape "
            f"{tuple(estimator.input_shape_)} and now gets samples of shape {tuple(shape)}. "
            "Make the new data with the same settings (duration, sample rate, rates, scales, "
            "frame step), or fit again."
        )


def check_batch(
    estimator: Any, X: Any, *, reset: bool, ensure_min_samples: int = 1, keep_lazy: bool = False
) -> Any:
    """Check shape and dtype of a batch of tensors of any kind; leave its values unread.

    Reading hundreds of megabytes to look for NaN takes as long as projecting them, and NaN
    survives every sum: the estimator looks for it in its result instead.

    Parameters
    ----------
    estimator : BaseEstimator
        Gets ``input_shape_`` when `reset` is true, is compared with it otherwise.
    X : array-like, torch.Tensor, Stored or dask array of shape (n_samples, ...)
        Two or more axes.
    reset : bool
        True in fit.
    ensure_min_samples : int
        The fewest samples accepted.
    keep_lazy : bool
        Whether arrays on disk and dask arrays come back as they are; else they are read.

    Returns
    -------
    ndarray, torch.Tensor, Stored or dask array
        float32 or float64.

    Raises
    ------
    ValueError
        On a wrong shape or dtype.
    """
    options: dict[str, Any] = {"reset": reset, "ensure_min_samples": ensure_min_samples}
    with config_context(assume_finite=True):
        if keep_lazy and (isinstance(X, Stored) or is_dask(X)):
            X = float_blocks(estimator, X)
            validate_tensors(estimator, stand_in(X), **options)
            return X
        if not is_torch(X):
            return validate_tensors(estimator, X, **options)
        import torch

        if X.is_complex():
            raise ValueError(
                f"Complex data not supported by {type(estimator).__name__}: give the magnitude, "
                "X.abs(), or real and imaginary part as two channels, torch.view_as_real(X)."
            )
        if X.dtype in (torch.float16, torch.bfloat16):
            X = X.float()
        elif X.dtype not in (torch.float32, torch.float64):
            X = X.double()
        validate_tensors(estimator, stand_in(X), **options)
        return X


def stand_in(X: Any) -> np.ndarray:
    """Make a numpy array of the shape and dtype of `X` that owns a single number.

    Parameters
    ----------
    X : array of any kind
        What checks are to be made for, without reading it.

    Returns
    -------
    ndarray
        Zeros, read-only.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf.utils.validation import stand_in
    >>> stand_in(np.ones((10, 3), np.float32)).strides
    (0, 0)
    """
    dtype = str(X.dtype).removeprefix("torch.")
    return np.broadcast_to(np.zeros((), dtype), X.shape)


def float_blocks(estimator: Any, X: Any) -> Any:
    """Refuse what is not a real number; of dask arrays see to the chunks and the dtype.

    Parameters
    ----------
    estimator : BaseEstimator
        For its name.
    X : Stored or dask array of shape (n_samples, ...)
        What a user gave.

    Returns
    -------
    Stored or dask array
        float32 or float64; a dask array in blocks of whole samples.

    Raises
    ------
    ValueError
        On numbers of another kind, no numbers, or chunks of unknown size.
    """
    name = type(estimator).__name__
    kind = np.dtype(X.stored_dtype if isinstance(X, Stored) else X.dtype).kind
    if kind == "c":
        raise ValueError(
            f"Complex data not supported by {name}: give the magnitude, abs(X), or real and "
            "imaginary part as two channels."
        )
    if kind not in "fiub":
        raise ValueError(f"{name} takes numbers, and got an array of dtype {X.dtype}.")
    if isinstance(X, Stored):
        return X
    X = whole_samples(X, name)
    return X if X.dtype in FLOATS else X.astype(np.float64)


def all_finite(estimator: Any, out: Any) -> Any:
    """Return `out`, unless NaN or infinity came through.

    Parameters
    ----------
    estimator : BaseEstimator
        For its name.
    out : ndarray or torch.Tensor
        A result in which every entry of X has a part.

    Returns
    -------
    ndarray or torch.Tensor
        `out`.

    Raises
    ------
    ValueError
        When it is not finite.
    """
    finite = out.isfinite().all() if is_torch(out) else np.isfinite(out).all()
    if not finite:
        raise ValueError(
            f"X given to {type(estimator).__name__} contains NaN or infinity, or values that "
            f"overflow its dtype: find the samples with numpy.isfinite and leave them out, or "
            "scale X down."
        )
    return out


def refuse_tables(estimator: Any, ndim: int) -> None:
    """Refuse the setting that outputs be data frames, where they have more than two axes.

    Parameters
    ----------
    estimator : BaseEstimator
        For its name.
    ndim : int
        Axes of the output.

    Raises
    ------
    ValueError
        When ``sklearn.set_config(transform_output=...)`` asks for one.
    """
    kind = get_config()["transform_output"]
    if ndim > 2 and kind != "default":
        raise ValueError(
            f"{type(estimator).__name__} gives arrays of {ndim} axes, which no {kind} table "
            "holds. Use sklearn.set_config(transform_output='default'), and set_output on the "
            "stages that give rows, such as MPCA(vectorize=True)."
        )
