"""Arrays on disk, read in chunks: memory maps and zarr, without importing zarr."""

from __future__ import annotations

import mmap
import sys
import threading
from contextlib import suppress
from math import prod
from typing import Any

import numpy as np

__all__ = ["Stored", "stored"]


def stored(x: Any) -> Any:
    """Wrap an array that lies on disk, so that slices of samples are read only when asked for.

    Parameters
    ----------
    x : object
        A `numpy.memmap`, a `zarr.Array`, or anything else.

    Returns
    -------
    Stored or object
        `x` itself where it is neither of the two.

    Examples
    --------
    >>> from skstrf.utils.stored import stored
    >>> stored([1.0, 2.0])
    [1.0, 2.0]
    """
    zarr = sys.modules.get("zarr")
    if zarr is not None and isinstance(x, zarr.Array) and x.ndim:
        # A chunk, or a shard of chunks, is read and decoded as a whole or not at all.
        return Stored(x, (getattr(x, "shards", None) or x.chunks)[0])
    if isinstance(x, np.memmap) and isinstance(getattr(x, "_mmap", None), mmap.mmap) and x.ndim:
        return _Mapped(x)
    return x


class Stored:
    """Slices of samples of an array on disk, in float32 or float64.

    Parameters
    ----------
    array : zarr.Array or numpy.memmap
        What to read from.
    rows_together : int
        Samples that are read at once anyway: slices should start and stop at multiples of it.
    """

    def __init__(self, array: Any, rows_together: int = 1) -> None:
        self.array, self.rows_together = array, rows_together
        self.shape = tuple(array.shape)
        self.ndim = len(self.shape)
        self.stored_dtype = np.dtype(array.dtype)
        kept = self.stored_dtype.newbyteorder("=") in (np.float32, np.float64)
        self.dtype = self.stored_dtype.newbyteorder("=") if kept else np.dtype(np.float64)
        self.itemsize = self.dtype.itemsize
        self.nbytes = prod(self.shape) * self.itemsize

    def __len__(self) -> int:
        """Count the samples."""
        return self.shape[0]

    def __getitem__(self, rows: slice) -> np.ndarray:
        """Read a slice of samples; several threads may do so at once."""
        return np.asarray(self.array[rows]).astype(self.dtype, copy=False)

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Read samples from anywhere.

        Parameters
        ----------
        rows : ndarray of int of shape (n_rows,)
            Which ones, in any order.

        Returns
        -------
        ndarray of shape (n_rows, ...)
            A copy in memory.
        """
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
        """View a slice of samples; the one viewed before in the same thread is let go."""
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
        """Read samples from anywhere, and let go of their pages; see `Stored.take`."""
        taken = np.asarray(self.array[rows]).astype(self.dtype, copy=False)
        if self._advises and taken.size:
            touched = self.array[int(rows.min()) : int(rows.max()) + 1]
            self._map.madvise(mmap.MADV_DONTNEED, *self._pages(touched))
        return taken

    def __del__(self) -> None:
        """Let go of what the last threads have viewed: batches of a stream would add up."""
        with suppress(AttributeError, ValueError, OSError):  # half made, or closed by the user
            if self._advises and self.array.size:
                self._map.madvise(mmap.MADV_DONTNEED, *self._pages(self.array))

    def _pages(self, view: np.ndarray) -> tuple[int, int]:
        """Start and length of the pages that `view` touches, in bytes from the map's start."""
        low, high = np.lib.array_utils.byte_bounds(view)
        start = (low - self._first) // mmap.PAGESIZE * mmap.PAGESIZE
        return start, high - self._first - start
