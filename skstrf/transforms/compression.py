"""Compression of magnitudes and powers, and its inverse."""

from __future__ import annotations

import numpy as np

from ..utils.validation import Interval, Real, StrOptions

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
    """Compress a non-negative array, every number for itself.

    Parameters
    ----------
    x : ndarray
        Magnitudes or powers.
    kind : {"db", "log", "cbrt"}, float or None
        "db": decibels re 1, no lower than those of `floor`; "log": ``log(1 + x / floor)``;
        "cbrt": the cube root; a number: that power of `x`; None: `x` itself.
    floor : float
        In units of `x`.
    power : bool
        Whether `x` is a power, which has 10 instead of 20 decibels a decade.

    Returns
    -------
    ndarray of the shape and dtype of `x`
        No number depends on another, so that sounds do not depend on their batch.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf.transforms.compression import compress
    >>> compress(np.array([0.0, 0.1, 10.0]), "db", 1e-5)
    array([-100.,  -20.,   20.])
    """
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
    """Undo `compress`; what lay under the floor of "db" comes back as the floor.

    Parameters
    ----------
    y : ndarray
        What `compress` gave, or nearly: negative numbers, which no magnitude gives except in
        "db", are taken for 0.
    kind : {"db", "log", "cbrt"}, float or None
        As in `compress`.
    floor : float
        As in `compress`.
    power : bool
        As in `compress`.

    Returns
    -------
    ndarray of the shape and dtype of `y`
        Non-negative.

    Raises
    ------
    ValueError
        If a number is too large to expand.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf.transforms.compression import expand
    >>> expand(np.array([-20.0, 20.0]), "db", 1e-5)
    array([ 0.1, 10. ])
    """
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
