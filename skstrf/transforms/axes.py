"""Names, units and values of a tensor's axes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

__all__ = ["Axis"]


class Axis(NamedTuple):
    """One axis of a transformer's output.

    Attributes
    ----------
    name : str
        Such as "scale", "rate", "frequency", "time".
    unit : str
        Such as "cycles/octave", "Hz", "s".
    values : ndarray of shape (n,)
        Position of every index along the axis, in that unit.
    """

    name: str
    unit: str
    values: np.ndarray
