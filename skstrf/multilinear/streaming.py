"""Going over a batch in chunks of samples, on several threads, with reused work arrays."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from math import prod
from typing import Any, TypeVar

import numpy as np
from threadpoolctl import ThreadpoolController

from skstrf.utils.arrays import is_torch, to_numpy

__all__ = [
    "Scratch",
    "chunk_slices",
    "double",
    "empty_like",
    "like",
    "map_chunks",
    "numpy_view",
    "single_threaded_blas",
    "subtract",
    "sum_in_double",
]

T = TypeVar("T")

# A chunk should stay in the last-level cache while every mode's scatter is summed from it; a GPU
# wants fewer and larger ones. The bound on rows keeps float32 sums over a chunk accurate.
CHUNK_BYTES = {"cpu": 4 * 2**20, "cuda": 256 * 2**20}
CHUNK_ROWS = 4096
# Slices of several chunks are made only where there are at least this many.
MANY_SLICES = 16
# Up to this size, threads in BLAS mostly wait for each other, on a busy machine for long.
SMALL_BYTES = 2**20

# The number of BLAS threads is one for the whole process: only one caller at a time may change
# it, or the last to leave would restore what was not the first's.
_BLAS_LOCK = threading.Lock()


def chunk_slices(x: Any, span: slice | None = None, together: int = 1) -> list[slice]:
    """Cut the first axis of `x` into slices of a size the machine likes.

    Parameters
    ----------
    x : ndarray, torch.Tensor or Stored of shape (n_samples, ...)
        The batch. Of one that is read from disk in chunks, slices are whole chunks.
    span : slice, optional
        The samples to cut, a slice of a coarser cut; all of them by default.
    together : int, default 1
        Chunks in a slice, fewer where that would leave threads without work.

    Returns
    -------
    list of slice
        In order, together all samples. They depend on shape and dtype alone, so that sums do not
        depend on the number of threads.
    """
    device = x.device.type if is_torch(x) else "cpu"
    sample_bytes = prod(x.shape[1:]) * (x.element_size() if is_torch(x) else x.itemsize)
    limit = CHUNK_BYTES.get(device, CHUNK_BYTES["cpu"])
    rows = min(max(1, limit // max(1, sample_bytes)), CHUNK_ROWS)
    on_disk = getattr(x, "rows_together", 1)
    rows = max(rows // on_disk, 1) * on_disk
    start, stop = (0, x.shape[0]) if span is None else (span.start, span.stop)
    rows *= max(1, min(together, (stop - start) // (rows * MANY_SLICES)))
    return [slice(i, min(i + rows, stop)) for i in range(start, stop, rows)]


def map_chunks(task: Callable[[slice], T], x: Any, together: int = 1) -> Iterator[T]:
    """Run `task` on every chunk of `x` and yield what it returns, in order.

    Several chunks at once, each with single-threaded BLAS, is faster than one chunk with
    threaded BLAS: the products are many and narrow, and the additions between them count too.

    Parameters
    ----------
    task : callable
        Takes a slice of samples.
    x : ndarray or torch.Tensor of shape (n_samples, ...)
        Decides the chunks; torch threads its own work, so its chunks run one after another.
    together : int, default 1
        Chunks that one call takes, as `chunk_slices` has it.

    Yields
    ------
    object
        The values of `task`, in the order of the chunks whatever the number of threads.
    """

    def quiet(rows: slice) -> T:
        # NaN and infinity are for the caller to find in the sums, which they never leave.
        with np.errstate(all="ignore"):
            return task(rows)

    slices = chunk_slices(x, together=together)
    if is_torch(x) or (len(slices) == 1 and x.nbytes > SMALL_BYTES):
        yield from map(quiet, slices)
        return
    with single_threaded_blas() as n_threads:
        if min(n_threads, len(slices)) == 1:
            yield from map(quiet, slices)
            return
        with ThreadPoolExecutor(n_threads) as pool:
            waiting: deque[Future[T]] = deque()
            for rows in slices:
                waiting.append(pool.submit(quiet, rows))
                if len(waiting) > 2 * n_threads:  # bounds the results kept in memory
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()


@contextmanager
def single_threaded_blas() -> Iterator[int]:
    """Hold BLAS to one thread for a while.

    Around small products too that come before chunks on several threads: for some milliseconds
    after a threaded product OpenBLAS's threads wait in a loop for the next, on cores that the
    chunks need.

    Yields
    ------
    int
        The number of threads the caller may use instead: what BLAS was allowed (by the user, or
        by joblib for its workers), or 1 when some other thread holds BLAS already.
    """
    if not _BLAS_LOCK.acquire(blocking=False):
        yield 1
        return
    try:
        blas = _blas()
        n_threads = max((lib.num_threads for lib in blas.lib_controllers), default=1)
        with blas.limit(limits=1):
            yield n_threads
    finally:
        _BLAS_LOCK.release()


@lru_cache(maxsize=1)
def _blas() -> ThreadpoolController:
    return ThreadpoolController().select(user_api="blas")


class Scratch(threading.local):
    """Work arrays that live as long as one pass, a set for each thread.

    Allocating several megabytes anew for every chunk costs more in page faults than the
    subtraction that fills them.
    """

    def __init__(self) -> None:
        self.arrays: dict[str, np.ndarray] = {}

    def get(self, name: str, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        """Hand out the work array called `name`, made or made larger if need be.

        Parameters
        ----------
        name : str
            Two calls with one name share memory.
        shape : tuple of int
            The shape wanted.
        dtype : dtype
            The type wanted.

        Returns
        -------
        ndarray
            C-contiguous, its content undefined.
        """
        size = prod(shape)
        held = self.arrays.get(name)
        if held is None or held.size < size or held.dtype != dtype:
            held = self.arrays[name] = np.empty(size, dtype)
        return held[:size].reshape(shape)


def sum_in_double(terms: Iterable[list[Any]]) -> list[Any]:
    """Add up lists of arrays entry by entry, in float64.

    Parameters
    ----------
    terms : iterable of lists of arrays
        Lists of one length; the first one's arrays may be changed.

    Returns
    -------
    list of arrays
        The sums.
    """
    totals: list[Any] = []
    for arrays in terms:
        if not totals:
            totals = [double(array) for array in arrays]
            continue
        for total, array in zip(totals, arrays, strict=True):
            total += array
    return totals


def subtract(x: Any, offset: Any, scratch: Scratch) -> Any:
    """``x - offset`` in a work array that the next call in the same thread overwrites.

    Parameters
    ----------
    x : ndarray or torch.Tensor of shape (n, ...)
        Not changed.
    offset : array of the kind and dtype of `x`, of shape (...)
        What to take off.
    scratch : Scratch
        Where the work array lives.

    Returns
    -------
    ndarray or torch.Tensor of shape (n, ...)
        The difference.
    """
    if is_torch(x):
        return x - offset
    return np.subtract(x, offset, out=scratch.get("centred", x.shape, x.dtype))


def like(array: Any, x: Any) -> Any:
    """Cast `array` to the kind, dtype and device of `x`.

    Parameters
    ----------
    array : ndarray or torch.Tensor
        What to cast.
    x : ndarray or torch.Tensor
        The model.

    Returns
    -------
    ndarray or torch.Tensor
        `array` itself if it is that already.
    """
    if not is_torch(x):
        return to_numpy(array).astype(x.dtype, copy=False)
    import torch

    return torch.as_tensor(array, dtype=x.dtype, device=x.device)


def numpy_view(x: Any) -> Any:
    """See a torch tensor as numpy where that costs nothing.

    On the CPU numpy, with the threads and work arrays of this module, is the faster of the two.

    Parameters
    ----------
    x : ndarray or torch.Tensor
        Any array.

    Returns
    -------
    ndarray or torch.Tensor
        An array on the same memory for a tensor on the CPU that needs no gradient, else `x`.
    """
    if is_torch(x) and x.device.type == "cpu" and not x.requires_grad:
        return x.numpy()
    return x


def empty_like(x: Any, shape: tuple[int, ...]) -> Any:
    """Make an empty array of the kind, dtype and device of `x`.

    Parameters
    ----------
    x : ndarray or torch.Tensor
        The model.
    shape : tuple of int
        The shape wanted.

    Returns
    -------
    ndarray or torch.Tensor
        Its content undefined.
    """
    return x.new_empty(shape) if is_torch(x) else np.empty(shape, x.dtype)


def double(x: Any) -> Any:
    """Cast to float64.

    Parameters
    ----------
    x : ndarray or torch.Tensor
        What to cast.

    Returns
    -------
    ndarray or torch.Tensor
        In float64, `x` itself if it was.
    """
    return x.double() if is_torch(x) else x.astype(np.float64, copy=False)
