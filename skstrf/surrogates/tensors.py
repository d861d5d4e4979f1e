"""Tests of stationarity along all axes of a tensor, and of its planes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from skstrf.surrogates.lines import LinesTestResult, lines_test
from skstrf.surrogates.planes import PlaneTestResult, median_polish, plane_test

__all__ = ["TensorScore", "block_grid", "score_tensor"]

# Number of blocks along each side of a plane, and the smallest number of points along a block.
_BLOCKS, _BLOCK_POINTS = 4, 8


class TensorScore(NamedTuple):
    """Tests of one tensor: of the lines along each axis, and of its planes."""

    lines: list[LinesTestResult]
    planes: list[PlaneTestResult]


def block_grid(shape: Sequence[int]) -> tuple[int, int] | None:
    """Number of blocks along rows and columns of a plane; None if it holds only one."""
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
    linear = detrend == "linear"
    tests = [
        lines_test(
            _some_groups(_lines(x, axis), max_lines),
            n_surrogates,
            seed,
            detrend=linear,
            alpha=alpha,
        )
        for axis in axes
    ]
    planes: list[PlaneTestResult] = []
    if blocks is not None:
        flat = _some_groups(x.reshape(-1, *x.shape[-2:]), max_lines)
        flat = _without_gradients(flat) if linear else flat
        planes = [plane_test(plane, n_surrogates, seed, n_blocks=blocks) for plane in flat]
    return TensorScore(tests, planes)


def _lines(x: np.ndarray, axis: int) -> np.ndarray:
    """Lines along one axis, grouped by planes of that axis and the last of the others.

    For scale and rate that other axis is frequency, as neighboring frequencies are the most
    dependent.
    """
    if x.ndim == 1:
        return x[None, None]
    others = [other for other in range(x.ndim) if other != axis]
    across = others[-2] if axis < x.ndim - 2 else others[-1]
    rest = [other for other in others if other != across]
    return x.transpose(*rest, across, axis).reshape(-1, x.shape[across], x.shape[axis])


def _some_groups(groups: np.ndarray, max_lines: int | None) -> np.ndarray:
    """Select evenly spaced groups with `max_lines` lines at most, but at least one group."""
    n = len(groups) if max_lines is None else max(1, max_lines // groups.shape[1])
    if n >= len(groups):
        return groups
    return groups[np.linspace(0, len(groups) - 1, n).round().astype(int)]


def _without_gradients(planes: np.ndarray) -> np.ndarray:
    """Subtract from each plane its least-squares fit that is linear in both coordinates."""
    rows, columns = (np.linspace(-1, 1, n) if n > 1 else np.zeros(n) for n in planes.shape[1:])
    basis = np.stack([np.ones(planes.shape[1:]), *np.meshgrid(rows, columns, indexing="ij")])
    basis = basis.reshape(3, -1)
    fit = np.linalg.lstsq(basis.T, planes.reshape(len(planes), -1).T, rcond=None)[0]
    return (planes - (fit.T @ basis).reshape(planes.shape)).astype(planes.dtype)
