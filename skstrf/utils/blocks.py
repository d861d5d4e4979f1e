"""Blocks of dask arrays; dask is imported only where such an array is given."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["is_dask", "map_pairs", "map_samples", "on_block", "whole_samples"]


def is_dask(x: Any) -> bool:
    """Whether `x` is a dask array; never imports dask for the asking.

    Parameters
    ----------
    x : object
        Anything.

    Returns
    -------
    bool
        True for a ``dask.array.Array``.
    """
    da = sys.modules.get("dask.array")
    return da is not None and isinstance(x, da.Array)


def map_samples(
    x: Any,
    function: Callable[..., Any],
    shape: tuple[int, ...],
    dtype: Any,
    *args: Any,
    needs_start: bool = False,
) -> Any:
    """Apply `function` to every block of samples, lazily.

    Parameters
    ----------
    x : dask array of shape (n_samples, ...)
        Cut along its first axis only.
    function : callable
        Takes a block and `args`; gives as many samples.
    shape : tuple of int
        Of one sample of the result.
    dtype : dtype
        Of the result.
    *args : object
        Sent to the workers once.
    needs_start : bool, default False
        Whether `function` also takes the position of the block's first sample.

    Returns
    -------
    dask array of shape (n_samples, *shape)
        Nothing is computed yet.
    """
    import dask.array as da
    from dask import delayed

    ndim, made = len(shape) + 1, (tuple(shape), np.dtype(dtype))
    return da.map_blocks(
        _mapped_block,
        x,
        shared=delayed((function, args, needs_start, made), pure=True, traverse=False),
        chunks=(x.chunks[0], *[(size,) for size in shape]),
        dtype=dtype,
        drop_axis=list(range(ndim, x.ndim)),
        new_axis=list(range(x.ndim, ndim)),
        meta=np.empty((0,) * ndim, dtype),
    )


def _mapped_block(block: Any, shared: Any, block_info: Any = None) -> Any:
    function, args, needs_start, made = shared
    location, number = block_info[0]["array-location"], block_info[0]["chunk-location"][0]
    shape = tuple(int(stop - start) for start, stop in location)
    if not shape[0]:  # what a selection has left of a block
        return np.empty((0, *made[0]), made[1])
    start = int(location[0][0])
    args = (*args, start) if needs_start else args
    return on_block(function, block, args, number=number, shape=shape, start=start)


def map_pairs(
    x: Any, other: Any, function: Callable[..., Any], shape: tuple[int, ...], dtype: Any
) -> Any:
    """Apply `function` to every block of samples and what belongs to them, lazily.

    Parameters
    ----------
    x : dask array of shape (n_samples, ...)
        Cut along its first axis only.
    other : array-like or dask array of shape (n_samples, ...)
        Cut the same way here.
    function : callable
        Takes a block of each; gives as many samples.
    shape : tuple of int
        Of one sample of the result.
    dtype : dtype
        Of the result.

    Returns
    -------
    dask array of shape (n_samples, *shape)
        Nothing is computed yet.
    """
    import dask.array as da
    from dask import delayed

    cuts = (x.chunks[0], *[(size,) for size in other.shape[1:]])
    other = other.rechunk(cuts) if is_dask(other) else da.from_array(np.asarray(other), cuts)
    shared = delayed(function, pure=True, traverse=False)
    starts = np.cumsum([0, *x.chunks[0]])
    parts = [
        da.from_delayed(
            delayed(_paired_block)(one, two, shared, k, (rows, *x.shape[1:]), int(start)),
            (rows, *shape),
            dtype=dtype,
        )
        for k, (one, two, rows, start) in enumerate(
            zip(
                x.to_delayed().ravel(), other.to_delayed().ravel(), x.chunks[0], starts[:-1],
                strict=True,
            )
        )
        if rows
    ]  # fmt: skip
    return da.concatenate(parts)


def _paired_block(
    block: Any, other: Any, function: Any, number: int, shape: tuple[int, ...], start: int
) -> Any:
    return on_block(function, block, (other,), number=number, shape=shape, start=start)


def on_block(
    function: Callable[..., Any],
    block: Any,
    args: tuple[Any, ...],
    *,
    number: int,
    shape: tuple[int, ...],
    start: int,
) -> Any:
    """Run a function on a block of samples, and say which one when that fails.

    Parameters
    ----------
    function : callable
        Takes the block, as an ndarray, and `args`.
    block : array-like
        What dask computed.
    args : tuple
        More arguments.
    number : int
        Of the block.
    shape : tuple of int
        What the block's shape was said to be.
    start : int
        Position of its first sample.

    Returns
    -------
    object
        What the function returns.

    Raises
    ------
    ValueError
        When the shape is another one, or from the function, with the block named: in the
        message, or for kinds of ValueError with a message of their own in a note.
    """
    block = np.asarray(block)
    if block.shape != shape:
        raise ValueError(
            f"Block {number} of X has shape {block.shape} where {shape} was announced: all blocks "
            "need samples of one shape. Correct the `shape` and `chunks` given to "
            "dask.array.from_delayed or map_blocks."
        )
    try:
        return function(block, *args)
    except ValueError as error:
        place = f"Block {number} of X (samples {start} to {start + shape[0] - 1})"
        if type(error) is not ValueError:
            error.add_note(f"{place}.")
            raise
        raise ValueError(f"{place}: {error}") from error


def whole_samples(x: Any, name: str) -> Any:
    """Check the chunks of a dask array of samples; cut it along the first axis only.

    Parameters
    ----------
    x : dask array of shape (n_samples, ...)
        What a user gave.
    name : str
        Who asks, for the message.

    Returns
    -------
    dask array
        The same values, every block of whole samples.

    Raises
    ------
    ValueError
        When sizes of chunks are unknown.
    """
    if any(np.isnan(size) for size in x.shape):
        raise ValueError(
            f"{name} got a dask array whose chunks have unknown sizes, shape {x.shape}: call "
            "X.compute_chunk_sizes() first (it computes X once), or give the sizes where X is "
            "made."
        )
    if any(len(sizes) > 1 for sizes in x.chunks[1:]):
        return x.rechunk(dict.fromkeys(range(1, x.ndim), -1))
    return x
