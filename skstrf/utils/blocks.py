"""Blocks of dask arrays; dask is imported only where such an array is given."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["is_dask", "map_samples", "on_block", "whole_samples"]


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
    x: Any, function: Callable[..., Any], shape: tuple[int, ...], dtype: Any, *args: Any
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

    Returns
    -------
    dask array of shape (n_samples, *shape)
        Nothing is computed yet.
    """
    import dask.array as da
    from dask import delayed

    ndim = len(shape) + 1
    return da.map_blocks(
        _mapped_block,
        x,
        shared=delayed((function, args), pure=True, traverse=False),
        chunks=(x.chunks[0], *[(size,) for size in shape]),
        dtype=dtype,
        drop_axis=list(range(ndim, x.ndim)),
        new_axis=list(range(x.ndim, ndim)),
        meta=np.empty((0,) * ndim, dtype),
    )


def _mapped_block(block: Any, shared: Any, block_info: Any = None) -> Any:
    function, args = shared
    location, number = block_info[0]["array-location"], block_info[0]["chunk-location"][0]
    shape = tuple(stop - start for start, stop in location)
    return on_block(function, block, args, number=number, shape=shape, start=location[0][0])


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
        When the shape is another one, or from the function, with the block named.
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
        raise ValueError(
            f"Block {number} of X (samples {start} to {start + shape[0] - 1}): {error}"
        ) from error


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
