"""Tests along all axes of a tensor, and over its planes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from skstrf.surrogates.lines import LineTest, lines_test, null_share, stationarity_rate
from skstrf.surrogates.planes import PlaneTest, median_polish, plane_test

__all__ = ["TensorScore", "block_grid", "score_tensor"]

# Blocks along each side of a plane, and the fewest points of a block that has a spectrum.
_BLOCKS, _BLOCK_POINTS = 4, 8


class TensorScore(NamedTuple):
    """Of one tensor: arrays with an entry for each axis tested, and the tests of its planes."""

    rate: np.ndarray
    raw_rate: np.ndarray
    pi0: np.ndarray
    p_value: np.ndarray
    level_p_value: np.ndarray
    variance_p_value: np.ndarray
    effect: np.ndarray
    planes: list[PlaneTest]


def block_grid(shape: Sequence[int]) -> tuple[int, int] | None:
    """Blocks that a plane is cut into, along rows and columns."""
    rows, columns = (min(_BLOCKS, n // _BLOCK_POINTS) for n in shape)
    return (rows, columns) if rows * columns > 1 else None


def score_tensor(
    x: np.ndarray,
    axes: list[int],
    blocks: tuple[int, int] | None,
    *,
    n_surrogates: int,
    alpha: float,
    detrend: str | None,
    max_lines: int | None,
    seed: int,
) -> TensorScore:
    """Test the lines along some axes of one tensor, and its planes."""
    if detrend == "polish" and x.ndim > 1:
        x = median_polish(x)
    tests: list[LineTest] = []
    for axis in axes:
        groups = _some_groups(_lines(x, axis), max_lines)
        tests.append(lines_test(groups, n_surrogates, seed, detrend=detrend == "linear"))
    planes: list[PlaneTest] = []
    if blocks is not None:
        flat = _some_groups(x.reshape(-1, *x.shape[-2:]), max_lines)
        flat = _without_planes(flat) if detrend == "linear" else flat
        planes = [plane_test(plane, n_surrogates, seed, n_blocks=blocks) for plane in flat]
    p_values = [test.p_values for test in tests]
    return TensorScore(
        np.array([stationarity_rate(p, alpha) for p in p_values]),
        np.array([np.mean(p > alpha) for p in p_values]),
        np.array([null_share(p) for p in p_values]),
        np.array([test.p_value for test in tests]),
        np.array([test.level_p_value for test in tests]),
        np.array([test.variance_p_value for test in tests]),
        np.array([test.effect for test in tests]),
        planes,
    )


def _lines(x: np.ndarray, axis: int) -> np.ndarray:
    """Lines along one axis, grouped by planes of that axis and the last of the others.

    For scale and rate that other axis is frequency, whose neighbors depend on each other most.
    """
    if x.ndim == 1:
        return x[None, None]
    others = [other for other in range(x.ndim) if other != axis]
    across = others[-2] if axis < x.ndim - 2 else others[-1]
    rest = [other for other in others if other != across]
    return x.transpose(*rest, across, axis).reshape(-1, x.shape[across], x.shape[axis])


def _some_groups(groups: np.ndarray, max_lines: int | None) -> np.ndarray:
    """Take evenly spread groups, of at most so many lines in all but at least one."""
    n = len(groups) if max_lines is None else max(1, max_lines // groups.shape[1])
    if n >= len(groups):
        return groups
    return groups[np.linspace(0, len(groups) - 1, n).round().astype(int)]


def _without_planes(planes: np.ndarray) -> np.ndarray:
    """Take the best-fitting plane, linear in both coordinates, off each."""
    rows, columns = (np.linspace(-1, 1, n) if n > 1 else np.zeros(n) for n in planes.shape[1:])
    basis = np.stack([np.ones(planes.shape[1:]), *np.meshgrid(rows, columns, indexing="ij")])
    basis = basis.reshape(3, -1)
    fit = np.linalg.lstsq(basis.T, planes.reshape(len(planes), -1).T, rcond=None)[0]
    return (planes - (fit.T @ basis).reshape(planes.shape)).astype(planes.dtype)
