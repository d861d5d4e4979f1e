"""Checks of the arguments of functions: numbers within limits, arrays, named in the error."""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import Any

import numpy as np

__all__ = ["checked_number", "checked_reals", "checked_whole"]


def checked_number(
    value: Any,
    name: str,
    *,
    low: float = -math.inf,
    high: float = math.inf,
    open_low: bool = False,
    unit: str = "",
) -> float:
    """Give the setting back as a float, or say what it should have been.

    Parameters
    ----------
    value : float
        What a user gave.
    name : str
        The argument's name, for the error.
    low, high : float
        Limits, included.
    open_low : bool, default=False
        Whether `low` itself is refused.
    unit : str, default=""
        Named in the error.

    Returns
    -------
    float
        The setting.

    Raises
    ------
    ValueError
        If it is no finite number within the limits.

    Examples
    --------
    >>> from skstrf.utils.settings import checked_number
    >>> checked_number(3, "frame_length", low=0, open_low=True, unit="ms")
    3.0
    """
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
    """Give the setting back as an int, or say what it should have been.

    Parameters
    ----------
    value : int
        What a user gave; a float without a fraction will do, a bool will not.
    name : str
        The argument's name, for the error.
    low, high : int
        Limits, included.

    Returns
    -------
    int
        The setting.

    Raises
    ------
    ValueError
        If it is no whole number within the limits.

    Examples
    --------
    >>> from skstrf.utils.settings import checked_whole
    >>> checked_whole(4.0, "frame_step")
    4
    """
    plain = isinstance(value, Real) and not isinstance(value, bool)
    whole = plain and (isinstance(value, Integral) or float(value).is_integer())
    if whole and low <= value <= high:
        return int(value)
    limits = f"at least {low}" + (f" and at most {high}" if high < 2**31 - 1 else "")
    raise ValueError(f"{name} must be a whole number, {limits}; got {value!r}.")


def checked_reals(x: Any, name: str, *, ndim: int = 1, n_points: int = 1) -> np.ndarray:
    """Give an array of real, finite numbers as floats, or say what it should have been.

    Parameters
    ----------
    x : array-like
        What a user gave.
    name : str
        The argument's name, for the error.
    ndim : int, default=1
        Axes at least.
    n_points : int, default=1
        Entries along every one of the last `ndim` axes at least.

    Returns
    -------
    ndarray
        float32 if it was, else float64; the very array where nothing had to change.

    Raises
    ------
    ValueError
        On other numbers, too few axes, empty ones, NaN or infinity.

    Examples
    --------
    >>> from skstrf.utils.settings import checked_reals
    >>> checked_reals([[1, 2]], "x", ndim=2)
    array([[1., 2.]])
    """
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
