"""Sums over the blocks of a dask array, in a tree."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from skstrf.utils.blocks import on_block

__all__ = ["add_arrays", "reduce_blocks"]

# Results put together by one task: fewer make a deeper tree, more hold more memory.
FAN_IN = 8


def reduce_blocks(
    x: Any,
    function: Callable[..., Any],
    combine: Callable[[Sequence[Any]], Any],
    *args: Any,
    needs_start: bool = False,
) -> Any:
    """Apply `function` to every block of samples and put the results together, in a tree.

    Parameters
    ----------
    x : dask array of shape (n_samples, ...)
        Cut along its first axis only.
    function : callable
        Takes a block and `args`.
    combine : callable
        Takes a list of results, gives one.
    *args : object
        Sent to the workers once.
    needs_start : bool, default False
        Whether `function` also takes the position of the block's first sample.

    Returns
    -------
    object
        Computed with the scheduler that dask is set to.
    """
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
    """Add up arrays of one shape; a `combine` for `reduce_blocks`.

    Parameters
    ----------
    arrays : sequence of ndarray
        Not changed.

    Returns
    -------
    ndarray
        The sum.
    """
    return np.sum(arrays, axis=0)
