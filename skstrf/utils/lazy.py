"""Samples in dask arrays, zarr arrays and memory maps.

dask and zarr are imported only by those who give such arrays.
"""

from __future__ import annotations

import errno
import mmap
import os
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from math import prod
from typing import Any

import numpy as np

__all__ = [
    "Stored",
    "apply_samplewise",
    "is_dask",
    "map_samples",
    "materialize",
    "on_block",
    "reduce_blocks",
    "stored",
    "whole_samples",
]


def is_dask(x: Any) -> bool:
    """Return whether `x` is a dask array, without importing dask."""
    da = sys.modules.get("dask.array")
    return da is not None and isinstance(x, da.Array)


# Bytes of an array on disk that are read at a time.
PART_BYTES = 64 * 2**20


def apply_samplewise(
    function: Callable[..., Any],
    X: Any,
    other: Any = None,
    *,
    shape: tuple[int, ...],
    dtype: Any,
    needs_start: bool = False,
) -> Any:
    """Apply a function of samples to samples of any kind: at once, from disk in parts, or lazily.

    Parameters
    ----------
    function : callable
        Called with some samples and, where `other` is given, what belongs to them; with
        `needs_start` also with ``start=``, the index of the first of them. For dask arrays it is
        kept until they are computed, so it must belong to a copy of the estimator, which fitting
        the estimator again does not change.
    X : ndarray, torch.Tensor, Stored or dask array of shape (n_samples, ...)
        Checked samples.
    other : array or dask array of shape (n_samples, ...), optional
        Second argument of the function, cut into the same samples as `X`.
    shape : tuple of int
        Shape of one sample of the result.
    dtype : dtype
        Dtype of the result of samples on disk or in dask arrays.
    needs_start : bool, default=False
        Whether the function takes ``start=``.

    Returns
    -------
    ndarray, torch.Tensor or dask array of shape (n_samples, *shape)
        A dask array for a dask array, with the same chunks along the first axis.
    """
    if is_dask(X):
        if other is None:
            return map_samples(X, function, shape, dtype, needs_start=needs_start)
        return _map_pairs(X, other, function, shape, dtype, needs_start)
    if not isinstance(X, Stored):
        rest = () if other is None else (other,)
        return function(X, *rest, **({"start": 0} if needs_start else {}))
    out = np.empty((len(X), *shape), dtype)
    sample_bytes = max(1, X.nbytes // len(X))
    n_rows = max(1, PART_BYTES // (sample_bytes * X.rows_together)) * X.rows_together
    for start in range(0, len(X), n_rows):
        rows = slice(start, start + n_rows)
        rest = () if other is None else (other[rows],)
        block = X[rows]
        out[rows] = on_block(
            partial(function, start=start) if needs_start else function,
            block,
            rest,
            number=start // n_rows,
            shape=block.shape,
            start=start,
        )
    return out


def map_samples(
    x: Any,
    function: Callable[..., Any],
    shape: tuple[int, ...],
    dtype: Any,
    *args: Any,
    needs_start: bool = False,
) -> Any:
    """Apply `function` to every block of samples, lazily."""
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
    if needs_start:
        function = partial(function, start=start)
    return on_block(function, block, args, number=number, shape=shape, start=start)


def _map_pairs(
    x: Any,
    other: Any,
    function: Callable[..., Any],
    shape: tuple[int, ...],
    dtype: Any,
    needs_start: bool,
) -> Any:
    """Apply `function` to every block of samples and what belongs to them, lazily."""
    import dask.array as da
    from dask import delayed

    cuts = (x.chunks[0], *[(size,) for size in other.shape[1:]])
    other = other.rechunk(cuts) if is_dask(other) else da.from_array(np.asarray(other), cuts)
    shared = delayed(function, pure=True, traverse=False)
    starts = np.cumsum([0, *x.chunks[0]])
    pairs = zip(x.to_delayed().ravel(), other.to_delayed().ravel(), strict=True)
    parts = []
    for k, (block, own) in enumerate(pairs):
        rows, start = x.chunks[0][k], int(starts[k])
        if rows:
            part = delayed(_paired_block)(
                block, own, shared, needs_start, k, (rows, *x.shape[1:]), start
            )
            parts.append(da.from_delayed(part, (rows, *shape), dtype=dtype))
    return da.concatenate(parts)


def _paired_block(
    block: Any,
    other: Any,
    function: Any,
    needs_start: bool,
    number: int,
    shape: tuple[int, ...],
    start: int,
) -> Any:
    if needs_start:
        function = partial(function, start=start)
    return on_block(function, block, (other,), number=number, shape=shape, start=start)


# Number of results that one task combines: fewer make a deeper tree, more hold more memory.
_FAN_IN = 8


def reduce_blocks(
    x: Any,
    function: Callable[..., Any],
    combine: Callable[[Sequence[Any]], Any],
    *args: Any,
    needs_start: bool = False,
) -> Any:
    """Apply `function` to every block of samples and combine the results in a tree."""
    from dask import delayed

    starts = np.cumsum([0, *x.chunks[0]])
    shared = delayed((function, args), pure=True, traverse=False)
    level = [
        delayed(_reduced_block)(block, k, (rows, *x.shape[1:]), shared, int(start), needs_start)
        for k, (block, rows, start) in enumerate(
            zip(x.to_delayed().ravel(), x.chunks[0], starts[:-1], strict=True)
        )
        if rows
    ]
    while len(level) > 1:
        level = [
            delayed(combine)(level[i : i + _FAN_IN]) if level[i + 1 : i + 2] else level[i]
            for i in range(0, len(level), _FAN_IN)
        ]
    return level[0].compute()


def _reduced_block(
    block: Any, number: int, shape: tuple[int, ...], shared: Any, start: int, needs_start: bool
) -> Any:
    function, args = shared
    args = (*args, start) if needs_start else args
    return on_block(function, block, args, number=number, shape=shape, start=start)


def on_block(
    function: Callable[..., Any],
    block: Any,
    args: tuple[Any, ...],
    *,
    number: int,
    shape: tuple[int, ...],
    start: int,
) -> Any:
    """Apply a function to a block of samples; its errors name the block."""
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
    """Check the chunks of a dask array of samples; cut it along the first axis only."""
    if any(np.isnan(size) for size in x.shape):
        raise ValueError(
            f"{name} got a dask array whose chunks have unknown sizes, shape {x.shape}: call "
            "X.compute_chunk_sizes() first (it computes X once), or give the sizes where X is "
            "made."
        )
    if any(len(sizes) > 1 for sizes in x.chunks[1:]):
        return x.rechunk(dict.fromkeys(range(1, x.ndim), -1))
    return x


def stored(x: Any) -> Any:
    """Wrap a zarr array or memory map, of which samples are then read on demand."""
    zarr = sys.modules.get("zarr")
    if zarr is not None and isinstance(x, zarr.Array) and x.ndim:
        # A chunk, or a shard of chunks, is read and decoded as a whole or not at all.
        return Stored(x, (getattr(x, "shards", None) or x.chunks)[0])
    if isinstance(x, np.memmap) and isinstance(getattr(x, "_mmap", None), mmap.mmap) and x.ndim:
        return _Mapped(x)
    return x


class Stored:
    """Slices of samples of an array on disk, in single or double precision."""

    def __init__(self, array: Any, rows_together: int = 1) -> None:
        self.array, self.rows_together = array, rows_together
        self.shape = tuple(array.shape)
        self.ndim = len(self.shape)
        self.stored_dtype = np.dtype(array.dtype)
        native = self.stored_dtype.newbyteorder("=")
        self.dtype = native if native.char in "fdFD" else np.dtype(np.float64)
        self.itemsize = self.dtype.itemsize
        self.nbytes = prod(self.shape) * self.itemsize

    def __len__(self) -> int:
        """Return the number of samples."""
        return self.shape[0]

    def __getitem__(self, rows: slice) -> np.ndarray:
        """Read a slice of samples; several threads may do so at once."""
        return np.asarray(self.array[rows]).astype(self.dtype, copy=False)

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Read samples at any positions."""
        return np.asarray(self.array.oindex[rows]).astype(self.dtype, copy=False)


class _Mapped(Stored):
    """A memory map, of which only the slices being worked on stay in memory.

    Pages of a file count as the process's memory until they are let go. Letting go of pages of
    a mapping that is shared with the file loses nothing, written ones included; the pages of a
    private one (mode "c") may hold what the file does not, so they stay.
    """

    def __init__(self, array: np.memmap) -> None:
        super().__init__(array)
        self._map = array._mmap  # type: ignore[attr-defined]
        self._first = np.frombuffer(self._map, np.uint8).ctypes.data
        self._advises = array.mode != "c" and hasattr(mmap, "MADV_DONTNEED")
        self._local = threading.local()

    def __getitem__(self, rows: slice) -> np.ndarray:
        """Return a slice of samples, and release the previous one of the same thread."""
        view = self.array[rows]
        if self._advises and view.size:
            before = getattr(self._local, "before", None)
            if before is not None:
                self._map.madvise(mmap.MADV_DONTNEED, *before)
            self._local.before = self._pages(view)
            # The disk reads on while this slice is worked on.
            ahead = self.array[rows.start : rows.stop + 2 * (rows.stop - rows.start)]
            self._map.madvise(mmap.MADV_WILLNEED, *self._pages(ahead))
        return np.asarray(view).astype(self.dtype, copy=False)

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Read samples at any positions, and release their pages."""
        taken = np.asarray(self.array[rows]).astype(self.dtype, copy=False)
        if self._advises and taken.size:
            touched = self.array[int(rows.min()) : int(rows.max()) + 1]
            self._map.madvise(mmap.MADV_DONTNEED, *self._pages(touched))
        return taken

    def __del__(self) -> None:
        """Release the pages of all threads, which would add up over the batches of a stream."""
        with suppress(AttributeError, ValueError, OSError):  # half made, or closed by the user
            if self._advises and self.array.size:
                self._map.madvise(mmap.MADV_DONTNEED, *self._pages(self.array))

    def _pages(self, view: np.ndarray) -> tuple[int, int]:
        """Start and length of the pages that `view` touches, in bytes from the map's start."""
        low, high = np.lib.array_utils.byte_bounds(view)
        start = (low - self._first) // mmap.PAGESIZE * mmap.PAGESIZE
        return start, high - self._first - start


# Bytes of blocks that are computed together, and up to which an array stays in memory.
TOGETHER_BYTES = 64 * 2**20
HELD_BYTES = 64 * 2**20


def materialize(x: Any, check: Callable[[np.ndarray, int], Any]) -> np.ndarray | Stored:
    """Compute a dask array once, into memory or, if it is large, into a temporary file.

    The file has no name, lies in the folder of :func:`tempfile.gettempdir` (environment variable
    TMPDIR) and is removed with the array. Its room is reserved before the first block is
    computed, so that a full disk is noticed at once.
    """
    if x.nbytes <= HELD_BYTES:
        held = np.empty(x.shape, x.dtype)
        for start, block in _computed(x, check):
            held[start : start + len(block)] = block
        return held
    with tempfile.TemporaryFile(prefix="skstrf") as file:
        _reserve(file.fileno(), x.nbytes)
        for start, block in _computed(x, check):
            file.seek(start * (x.nbytes // len(x)))
            file.write(np.ascontiguousarray(block).data)
        file.flush()
        return stored(np.memmap(file, x.dtype, "r", shape=x.shape))


def _reserve(descriptor: int, n_bytes: int) -> None:
    """Reserve room on the disk, or raise an error that says how much is needed."""
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(descriptor, 0, n_bytes)
        else:
            os.truncate(descriptor, n_bytes)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        raise OSError(
            error.errno,
            f"{error.strerror}: the samples of a dask array are kept in a temporary file of "
            f"{n_bytes / 1e9:.2g} GB while a network learns from them. Make room, set TMPDIR to a "
            "folder on a larger disk, or give a zarr array, which is read where it is",
            tempfile.gettempdir(),
        ) from error


def _computed(x: Any, check: Callable[[np.ndarray, int], Any]) -> Iterator[tuple[int, np.ndarray]]:
    """Compute blocks, several at a time; yield the first sample and the values of each."""
    import dask

    blocks, sizes = x.to_delayed().ravel(), x.chunks[0]
    starts = np.cumsum([0, *sizes])
    row_bytes = max(1, x.nbytes // len(x))

    def checked(block: np.ndarray, start: int) -> np.ndarray:
        check(block, start)
        return block

    first = 0
    while first < len(blocks):
        last = first + 1
        while last < len(blocks) and (starts[last + 1] - starts[first]) * row_bytes <= (
            TOGETHER_BYTES
        ):
            last += 1
        values = list(dask.compute(*blocks[first:last]))
        for k in range(first, last):
            value, values[k - first] = values[k - first], None  # let go of, one by one
            shape, start = (sizes[k], *x.shape[1:]), int(starts[k])
            yield start, on_block(checked, value, (start,), number=k, shape=shape, start=start)
        first = last
