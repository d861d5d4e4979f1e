"""Checks of parameters, arrays and batches, whose errors name what to change."""

from __future__ import annotations

import math
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

from skstrf.utils.arrays import is_torch
from skstrf.utils.lazy import Stored, is_dask, stored, whole_samples

__all__ = [
    "FLOATS",
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
    "check_overflow",
    "checked_number",
    "checked_reals",
    "checked_whole",
    "fit_context",
    "check_lazy_array",
    "numpy_dtype",
    "reject_dataframe_output",
    "shape_proxy",
    "validate_params",
    "validate_tensors",
]


def checked_number(
    value: Any,
    name: str,
    *,
    low: float = -math.inf,
    high: float = math.inf,
    open_low: bool = False,
    unit: str = "",
) -> float:
    """Return a parameter as a float, or raise an error that names the allowed values."""
    number = math.nan
    if isinstance(value, Real):
        try:
            number = float(value)
        except OverflowError:  # an integer beyond all floats
            number = math.inf
    if math.isfinite(number) and low <= number <= high and not (open_low and number == low):
        return number
    parts = [f"above {low:g}" if open_low else f"at least {low:g}"] if low > -math.inf else []
    parts += [f"at most {high:g}"] if high < math.inf else []
    wanted = " ".join(["a finite number", f"of {unit}" if unit else "", " and ".join(parts)])
    raise ValueError(f"{name} must be {' '.join(wanted.split())}; got {value!r}.")


def checked_whole(value: Any, name: str, *, low: int = 1, high: int = 2**31 - 1) -> int:
    """Return a parameter as an int, or raise an error that names the allowed values."""
    plain = isinstance(value, Real) and not isinstance(value, bool)
    whole = plain and (isinstance(value, Integral) or float(value).is_integer())
    if whole and low <= value <= high:
        return int(value)
    limits = f"at least {low}" + (f" and at most {high}" if high < 2**31 - 1 else "")
    raise ValueError(f"{name} must be a whole number, {limits}; got {value!r}.")


def checked_reals(x: Any, name: str, *, ndim: int = 1, n_points: int = 1) -> np.ndarray:
    """Return an array of real, finite numbers as floats, or raise an error that names it."""
    array = np.asarray(x)
    if array.dtype.kind not in "fiub":
        raise ValueError(f"{name} must hold real numbers; got an array of dtype {array.dtype}.")
    short = array.ndim < ndim or min(array.shape[array.ndim - ndim :], default=0) < n_points
    if short or array.size == 0:
        raise ValueError(
            f"{name} must have at least {ndim} axes, and {n_points} entries along each of the "
            f"last {ndim}; got the shape {array.shape}."
        )
    if array.dtype not in (np.float32, np.float64):
        array = array.astype(np.float32 if array.dtype == np.float16 else np.float64)
    if not np.isfinite(array).all():
        raise ValueError(f"{name} contains NaN or infinity: find them with numpy.isfinite.")
    return array


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
    in fit; this holds every trailing axis to it. float16 becomes float32.
    """
    if getattr(X, "dtype", None) == np.float16:
        X = np.asarray(X).astype(np.float32)
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
        _check_same_shape(estimator, array.shape[1:])
    return checked


def _check_same_shape(estimator: Any, shape: tuple[int, ...]) -> None:
    """Raise a ValueError when `shape` is not the one `estimator` was fitted on."""
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
    """Check the shape and dtype of a batch of tensors of any kind, but not its values."""
    # Reading hundreds of megabytes to find NaN takes as long as projecting them, and NaN
    # survives every sum: the estimator looks for it in its result instead.
    options: dict[str, Any] = {"reset": reset, "ensure_min_samples": ensure_min_samples}
    with config_context(assume_finite=True):
        if type(X) is np.ndarray:  # a memory map is a subclass
            return validate_tensors(estimator, X, **options)
        if keep_lazy:
            X = stored(X)
            if isinstance(X, Stored) or is_dask(X):
                X = check_lazy_array(estimator, X)
                validate_tensors(estimator, shape_proxy(X), **options)
                return X
        if not is_torch(X):
            return validate_tensors(estimator, X, **options)
        import torch

        if X.device.type == "meta":
            raise ValueError("X is a tensor on the device 'meta', which holds no values.")
        if X.is_complex():
            raise ValueError(
                f"Complex data not supported by {type(estimator).__name__}: give the magnitude, "
                "X.abs(), or real and imaginary part as two channels, torch.view_as_real(X)."
            )
        if X.dtype in (torch.float16, torch.bfloat16):
            X = X.float()
        elif X.dtype not in (torch.float32, torch.float64):
            X = X.double()
        validate_tensors(estimator, shape_proxy(X), **options)
        return X


def numpy_dtype(x: Any) -> np.dtype:
    """Return the dtype of an array or torch tensor as one of numpy."""
    return np.dtype(str(x.dtype).removeprefix("torch."))


def shape_proxy(X: Any) -> np.ndarray:
    """Return a numpy array of the shape and dtype of `X` that holds a single number in memory."""
    return np.broadcast_to(np.zeros((), numpy_dtype(X)), X.shape)


def check_lazy_array(estimator: Any, X: Any) -> Any:
    """Refuse arrays that are not real; cut dask arrays along samples only, in floating point."""
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
    if X.dtype in FLOATS:
        return X
    return X.astype(np.float32 if X.dtype == np.float16 else np.float64)


def all_finite(estimator: Any, out: Any) -> Any:
    """Return `out`, or raise an error if it contains NaN or infinity."""
    finite = out.isfinite().all() if is_torch(out) else np.isfinite(out).all()
    if not finite:
        raise ValueError(
            f"X given to {type(estimator).__name__} contains NaN or infinity, or values that "
            f"overflow its dtype: find the samples with numpy.isfinite and leave them out, or "
            "scale X down."
        )
    return out


def check_overflow(result: np.ndarray, function: str) -> np.ndarray:
    """Return the result of a function of arrays, or raise an error if it is not finite."""
    with np.errstate(over="ignore", invalid="ignore"):
        # A sum is quick, and NaN or infinity survives it; but it can overflow on its own.
        if not np.isfinite(result.sum()) and not np.isfinite(result).all():
            raise ValueError(
                f"The result of {function} overflows {result.dtype}. Scale the input down to "
                "about 1, or leave out what is larger."
            )
    return result


def reject_dataframe_output(estimator: Any, ndim: int) -> None:
    """Raise an error if data frames are configured as output, which has more than two axes."""
    kind = get_config()["transform_output"]
    if ndim > 2 and kind != "default":
        raise ValueError(
            f"{type(estimator).__name__} returns arrays of {ndim} axes, which no {kind} table "
            "holds. Use sklearn.set_config(transform_output='default'), and set_output on the "
            "steps that return rows, such as MPCA(vectorize=True)."
        )
