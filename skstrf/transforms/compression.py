"""Compression of magnitudes and powers, and its inverse."""

from __future__ import annotations

import numpy as np

from skstrf.utils.validation import Interval, Real, StrOptions

__all__ = ["COMPRESSION", "compress", "expand"]

# Parameter constraints of those who compress.
COMPRESSION: dict = {
    "compression": [
        StrOptions({"db", "log", "cbrt"}),
        Interval(Real, 0, 1, closed="right"),
        None,
    ],
    "compression_floor": [Interval(Real, 0, None, closed="neither")],
}


def compress(
    x: np.ndarray, kind: str | float | None, floor: float, *, power: bool = False
) -> np.ndarray:
    """Compress a non-negative array, every number for itself."""
    if kind == "db":
        return (10 if power else 20) * np.log10(np.maximum(x, x.dtype.type(floor)))
    if kind == "log":
        return np.log1p(x / x.dtype.type(floor))
    if kind == "cbrt":
        return np.cbrt(x)
    return x if kind is None else x ** x.dtype.type(kind)


def expand(
    y: np.ndarray, kind: str | float | None, floor: float, *, power: bool = False
) -> np.ndarray:
    """Undo `compress`; what lay under the floor of "db" comes back as the floor."""
    with np.errstate(over="ignore"):
        if kind == "db":
            x = 10 ** (y / (10 if power else 20))
        else:
            y = np.maximum(y, 0)
            exponent = 3 if kind == "cbrt" else 1 if kind in (None, "log") else 1 / float(kind)
            x = floor * np.expm1(y) if kind == "log" else y**exponent
    if not np.isfinite(x).all():
        raise ValueError(
            f"X holds {float(np.max(y)):.4g}, which compression={kind!r} cannot have made: "
            "inverse_transform expects the numbers that transform gives."
        )
    return x.astype(y.dtype, copy=False)
