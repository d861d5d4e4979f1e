"""A dask array computed once, a few blocks at a time, to be read many times in any order."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from skstrf.utils.blocks import on_block
from skstrf.utils.stored import Stored, stored

__all__ = ["spool"]

# Bytes of blocks that are computed together, and up to which an array stays in memory.
TOGETHER_BYTES = 64 * 2**20
HELD_BYTES = 64 * 2**20


def spool(x: Any, check: Callable[[np.ndarray, int], Any]) -> np.ndarray | Stored:
    """Compute a dask array once, into memory or, if it is large, a temporary file.

    The file has no name, lies in the folder that :func:`tempfile.gettempdir` gives (the
    environment variable TMPDIR) and is gone with the array. All of it is reserved before the
    first block is computed, so that a disk too small is found at once.

    Parameters
    ----------
    x : dask array of shape (n_samples, ...)
        Cut along its first axis only; of known shape.
    check : callable
        Takes a block and the position of its first sample, and may raise.

    Returns
    -------
    ndarray or Stored
        The same values.

    Raises
    ------
    ValueError
        When blocks have other shapes than announced, or from `check`; the block is named.
    OSError
        When the disk has no room for the file.
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
    """Take all room on the disk at once, or say how much it lacks."""
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
    """Compute blocks, some together: where each starts, and its values."""
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
