"""Checks of parameters and arrays.

The only module that imports what scikit-learn keeps private (the declarative
parameter constraints): should a name move there, this file alone has to follow.
"""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.base import _fit_context as fit_context
from sklearn.utils._param_validation import (
    HasMethods,
    Interval,
    InvalidParameterError,
    Options,
    StrOptions,
    validate_params,
)
from sklearn.utils.validation import check_is_fitted, validate_data

__all__ = [
    "HasMethods",
    "Integral",
    "Interval",
    "InvalidParameterError",
    "Options",
    "Real",
    "StrOptions",
    "check_is_fitted",
    "check_same_shape",
    "fit_context",
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
