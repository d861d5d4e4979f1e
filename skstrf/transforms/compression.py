"""Compression of magnitudes and powers, and its inverse, for numpy arrays and torch tensors."""

from __future__ import annotations

from typing import Any

import numpy as np

from skstrf.utils.arrays import is_torch
from skstrf.utils.validation import Interval, Real, StrOptions

__all__ = ["COMPRESSION", "compress", "expand"]

# Parameter constraints of the transformers that compress their output.
COMPRESSION: dict = {
    "compression": [
        StrOptions({"db", "log", "cbrt"}),
        Interval(Real, 0, 1, closed="right"),
        None,
    ],
    "compression_floor": [Interval(Real, 0, None, closed="neither")],
}

# Divisor in place of magnitudes of 0, whose compressed value is 0 as well.
_TINY = 1e-30
# Roots are not differentiated below this value, because their slope at 0 is infinite.
_STEEP = 1e-12


def compress(
    x: Any,
    kind: str | float | None,
    floor: float,
    *,
    power: bool = False,
    signed: bool = False,
    overwrite: bool = False,
) -> Any:
    """Compress an array elementwise: decibels, ``log(1 + x / floor)``, a root, or nothing.

    With `signed` the magnitude is compressed and the sign or phase kept; otherwise no element
    may be negative. `power` says that decibels are those of powers. With `overwrite` a torch
    tensor may be changed in place.
    """
    if kind is None:
        return x
    if signed:
        magnitude = abs(x)
        if is_torch(x) and x.requires_grad:
            # The quotient is constant below this value, where its slope would be infinite.
            magnitude = magnitude.clamp(min=_STEEP)
            return x * (compress(magnitude, kind, floor) / magnitude)
        return x * (compress(magnitude, kind, floor) / magnitude.clip(min=_TINY))
    decibels = 10 if power else 20
    if not is_torch(x):
        if kind == "db":
            return decibels * np.log10(np.maximum(x, x.dtype.type(floor)))
        if kind == "log":
            return np.log1p(x / x.dtype.type(floor))
        return np.cbrt(x) if kind == "cbrt" else x ** x.dtype.type(kind)
    if kind == "db":
        return decibels * x.clamp(min=floor).log10()
    if kind == "log":
        return x.div_(floor).log1p_() if overwrite else (x / floor).log1p()
    exponent = 1 / 3 if kind == "cbrt" else float(kind)
    if x.requires_grad:
        return x.clamp(min=_STEEP).pow(exponent).where(x > _STEEP, x)
    return x.pow_(exponent) if overwrite else x.pow(exponent)


def expand(
    y: Any, kind: str | float | None, floor: float, *, power: bool = False, signed: bool = False
) -> Any:
    """Undo `compress`; values that "db" has raised to the floor stay at the floor."""
    if kind is None and signed:
        return y
    if signed:
        magnitude = abs(y)
        return y * (expand(magnitude, kind, floor) / magnitude.clip(min=_TINY))
    with np.errstate(over="ignore"):
        if kind == "db":
            x = 10 ** (y / (10 if power else 20))
        else:
            y = y.clip(min=0)
            exponent = 3 if kind == "cbrt" else 1 if kind in (None, "log") else 1 / float(kind)
            if kind == "log":
                x = floor * (y.expm1() if is_torch(y) else np.expm1(y))
            else:
                x = y**exponent
    if not (x.isfinite() if is_torch(x) else np.isfinite(x)).all():
        raise ValueError(
            f"X holds {float(y.max()):.4g}, which compression={kind!r} cannot have made: "
            "inverse_transform expects the numbers that transform gives."
        )
    return x if is_torch(x) else x.astype(y.dtype, copy=False)
