"""Putting planes on one grid, so that tests on them have the same power."""

from __future__ import annotations

import numpy as np

from skstrf.utils.settings import checked_reals, checked_whole

__all__ = ["resample_axis", "resample_plane"]


def resample_axis(x: np.ndarray, n_points: int, axis: int = -1) -> np.ndarray:
    """Bring an axis to another length: averages over shares of it, or straight lines between.

    Parameters
    ----------
    x : ndarray
        Any shape.
    n_points : int
        New length of the axis. Shorter: every new point is the mean of its share of the axis,
        points on a border counting in part. Longer: linear interpolation between the centres.
    axis : int, default=-1
        Which.

    Returns
    -------
    ndarray
        Of the dtype of `x`.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf.surrogates import resample_axis
    >>> resample_axis(np.array([1.0, 2.0, 3.0]), 2), resample_axis(np.array([1.0, 2.0]), 4)
    (array([1.33, 2.67]), array([1.  , 1.25, 1.75, 2.  ]))
    """
    x = checked_reals(x, "x")
    n_points = checked_whole(n_points, "n_points")
    if not -x.ndim <= axis < x.ndim:
        raise ValueError(f"axis must be one of the {x.ndim} of x; got {axis!r}.")
    n = x.shape[axis]
    if n == n_points:
        return x
    weights = _averaging(n, n_points) if n_points < n else _interpolation(n, n_points)
    return np.moveaxis(np.moveaxis(x, axis, -1) @ weights.astype(x.dtype), -1, axis)


def resample_plane(x: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Bring the last two axes to the lengths `shape` with `resample_axis`.

    Parameters
    ----------
    x : ndarray of shape (..., n_rows, n_columns)
        Planes.
    shape : (int, int)
        Wanted.

    Returns
    -------
    ndarray of shape (..., n_rows, n_columns)
        Of the dtype of `x`.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf.surrogates import resample_plane
    >>> resample_plane(np.ones((3, 513, 157)), (64, 128)).shape
    (3, 64, 128)
    """
    x = checked_reals(x, "x", ndim=2)
    return resample_axis(resample_axis(x, shape[0], -2), shape[1], -1)


def _averaging(n: int, n_points: int) -> np.ndarray:
    """Share of every old point in every new one."""
    edges = np.linspace(0, n, n_points + 1)
    low = np.maximum(np.arange(n)[:, None], edges[:-1])
    high = np.minimum(np.arange(1, n + 1)[:, None], edges[1:])
    return np.maximum(high - low, 0) / (n / n_points)


def _interpolation(n: int, n_points: int) -> np.ndarray:
    centres = (np.arange(n_points) + 0.5) * n / n_points - 0.5
    distance = np.abs(np.arange(n)[:, None] - np.clip(centres, 0, n - 1))
    return np.maximum(1 - distance, 0)
