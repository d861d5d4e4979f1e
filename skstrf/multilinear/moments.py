"""Sums over the blocks of a dask array, in a tree."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from skstrf.multilinear.products import (
    Scratch,
    chunk_slices,
    double,
    gram,
    grams,
    like,
    map_chunks,
    subtract,
    sum_in_double,
)
from skstrf.utils.arrays import is_torch, to_numpy
from skstrf.utils.lazy import is_dask, on_block

__all__ = [
    "Moments",
    "add_arrays",
    "merge_moments",
    "mode_scatter",
    "moments",
    "reduce_blocks",
]


# Results put together by one task: fewer make a deeper tree, more hold more memory.
FAN_IN = 8


def reduce_blocks(
    x: Any,
    function: Callable[..., Any],
    combine: Callable[[Sequence[Any]], Any],
    *args: Any,
    needs_start: bool = False,
) -> Any:
    """Apply `function` to every block of samples and put the results together, in a tree."""
    from dask import delayed

    starts = np.cumsum([0, *x.chunks[0]])
    shared = delayed((function, args), pure=True, traverse=False)
    level = [
        delayed(_on_block)(block, k, (rows, *x.shape[1:]), shared, int(start), needs_start)
        for k, (block, rows, start) in enumerate(
            zip(x.to_delayed().ravel(), x.chunks[0], starts[:-1], strict=True)
        )
        if rows
    ]
    while len(level) > 1:
        level = [
            delayed(combine)(level[i : i + FAN_IN]) if level[i + 1 : i + 2] else level[i]
            for i in range(0, len(level), FAN_IN)
        ]
    return level[0].compute()


def _on_block(
    block: Any, number: int, shape: tuple[int, ...], shared: Any, start: int, needs_start: bool
) -> Any:
    function, args = shared
    args = (*args, start) if needs_start else args
    return on_block(function, block, args, number=number, shape=shape, start=start)


def add_arrays(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """Add up arrays of one shape; a `combine` for `reduce_blocks`."""
    return np.sum(arrays, axis=0)


# Sums of this many chunks are added in the data's own precision before they are in float64: for
# large samples the additions in float64, by one thread, would take as long as the products.
TOGETHER = 4


class Moments(NamedTuple):
    """What MPCA has to know of a batch before it looks at it again."""

    n_samples: int
    mean: np.ndarray
    scatters: list[np.ndarray]

    @property
    def total_scatter(self) -> float:
        """Sum of squares of the centered samples."""
        return float(np.trace(self.scatters[-1]))


def mode_scatter(x: Any) -> tuple[np.ndarray, list[np.ndarray]]:
    """Mean and the total scatter matrix of every mode, in one pass over the data."""
    found = moments(x)
    return found.mean, found.scatters


def moments(x: Any, first: int = 0) -> Moments:
    """Number, mean and mode scatter of a batch, in one pass."""
    if is_dask(x):
        return reduce_blocks(x, moments, merge_moments, needs_start=True)
    if is_torch(x):
        x = x.detach()
    axes = range(1, x.ndim)
    shift, scratch = _rough_mean(x[chunk_slices(x)[0]]), Scratch()

    def task(span: slice) -> list[Any]:
        totals: list[Any] = []
        for rows in chunk_slices(x, span):
            chunk = x[rows]
            centered = subtract(chunk, shift, scratch)
            found = [gram(centered, axis, scratch) for axis in axes]
            # Every entry has its square on this diagonal.
            if not np.isfinite(float(found[-1].diagonal().sum())):
                raise ValueError(_what_is_not_finite(to_numpy(chunk), first + rows.start))
            column = centered[0] if len(centered) == 1 else centered.sum(0)
            if not totals:  # the next chunk overwrites `centered`
                totals = [1 * column, *found]
                continue
            for total, array in zip(totals, [column, *found], strict=True):
                total += array
        return totals

    total, *sums = sum_in_double(map_chunks(task, x, together=TOGETHER))
    missed = total / x.shape[0]
    # In the precision of the sums that it corrects.
    corrections = [x.shape[0] * double(found) for found in grams(like(missed, x)[None])]
    scatters = [to_numpy(a - b) for a, b in zip(sums, corrections, strict=True)]
    return Moments(x.shape[0], to_numpy(double(shift) + missed), scatters)


def merge_moments(parts: Sequence[Moments]) -> Moments:
    """Number, mean and mode scatter of several batches together."""
    n, mean = parts[0].n_samples, np.array(parts[0].mean)
    scatters = [np.array(scatter) for scatter in parts[0].scatters]
    for part in parts[1:]:
        apart = part.mean - mean
        weight = n * part.n_samples / (n + part.n_samples)
        for scatter, more, between in zip(
            scatters, part.scatters, grams(apart[None]), strict=True
        ):
            scatter += more + weight * between
        n += part.n_samples
        mean += part.n_samples / n * apart
    return Moments(n, mean, scatters)


def _rough_mean(chunk: Any) -> Any:
    """Mean of a chunk, exactly its first sample when all are equal."""
    with np.errstate(all="ignore"):
        return chunk[0] + (chunk - chunk[0]).mean(0)


def _what_is_not_finite(chunk: np.ndarray, first: int) -> str:
    """Say which sample of the whole data it is."""
    bad = np.flatnonzero(~np.isfinite(chunk.reshape(len(chunk), -1)).all(1))
    if bad.size:
        return (
            f"X contains NaN or infinity in sample {first + bad[0]}: leave it out, and others "
            "that numpy.isfinite finds."
        )
    last = first + len(chunk) - 1
    return (
        "X contains NaN or infinity, or rather values whose squares overflow its dtype, in "
        f"samples {first} to {last}: scale X down, or give it in float64."
    )
