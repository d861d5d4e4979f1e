"""Products of tensors with matrices, over batches that are worked on in chunks of samples.

A batch is a numpy array, a torch tensor on any device, an array on disk (`Stored`) or a dask
array. Chunks are numpy arrays or torch tensors, the blocks of a dask array are numpy arrays.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from math import prod
from typing import Any, TypeVar

import numpy as np
from threadpoolctl import ThreadpoolController

from skstrf.utils.arrays import to_numpy
from skstrf.utils.devices import stays_on_device, widest_float
from skstrf.utils.lazy import Stored, is_dask, map_samples

__all__ = [
    "NUMPY",
    "Bases",
    "Scratch",
    "chunk_slices",
    "double",
    "empty_like",
    "gram",
    "grams",
    "like",
    "map_chunks",
    "mode_product",
    "multi_mode_product",
    "numpy_view",
    "project",
    "projector",
    "reconstruct",
    "single_threaded_blas",
    "subtract",
    "sum_in_double",
    "to_host",
]


T = TypeVar("T")

# ---------------------------------------------------------------- numpy or torch

# Batches whose chunks are numpy arrays; those of torch tensors are torch tensors.
NUMPY = (np.ndarray, Stored)


def numpy_view(x: Any) -> Any:
    """View a torch tensor on the CPU as numpy, which is faster here thanks to threads."""
    return x if stays_on_device(x) or x.requires_grad else x.numpy()


def like(array: Any, x: Any) -> Any:
    """Cast `array` to the kind, dtype and device of `x`."""
    if isinstance(x, NUMPY):
        array = array if isinstance(array, np.ndarray) else to_numpy(array)
        return array.astype(x.dtype, copy=False)
    import torch

    return torch.as_tensor(array, dtype=x.dtype, device=x.device)


def empty_like(x: Any, shape: tuple[int, ...]) -> Any:
    """Make an empty array of the kind, dtype and device of `x`."""
    return np.empty(shape, x.dtype) if isinstance(x, NUMPY) else x.new_empty(shape)


def double(x: Any) -> Any:
    """Cast to float64."""
    if isinstance(x, np.ndarray):
        return x.astype(np.float64, copy=False)
    return x.to(widest_float(x.device))


# ---------------------------------------------------------------- chunks and threads

# A chunk should stay in the last-level cache while every mode's scatter is summed from it; a GPU
# wants fewer and larger ones. The bound on rows keeps float32 sums over a chunk accurate.
CHUNK_BYTES = {"cpu": 4 * 2**20, "cuda": 256 * 2**20}
CHUNK_ROWS = 4096
# Slices of several chunks are made only where there are at least this many.
MANY_SLICES = 16
# Up to this size, BLAS threads mostly wait for each other, on a busy machine for long.
SMALL_BYTES = 2**20

# The number of BLAS threads is a setting of the whole process: with two callers that change it
# at a time, the last to leave would restore what the first had set.
_BLAS_LOCK = threading.Lock()


def chunk_slices(x: Any, span: slice | None = None, together: int = 1) -> list[slice]:
    """Cut the first axis of `x` into slices of a size that suits the device."""
    device, item = (
        ("cpu", x.itemsize) if isinstance(x, NUMPY) else (x.device.type, x.element_size())
    )
    limit = CHUNK_BYTES.get(device, CHUNK_BYTES["cpu"])
    rows = min(max(1, limit // max(1, prod(x.shape[1:]) * item)), CHUNK_ROWS)
    on_disk = getattr(x, "rows_together", 1)
    rows = max(rows // on_disk, 1) * on_disk
    start, stop = (0, x.shape[0]) if span is None else (span.start, span.stop)
    rows *= max(1, min(together, (stop - start) // (rows * MANY_SLICES)))
    return [slice(i, min(i + rows, stop)) for i in range(start, stop, rows)]


def map_chunks(task: Callable[[slice], T], x: Any, together: int = 1) -> Iterator[T]:
    """Run `task` on every chunk of `x` and yield the results in order."""

    def quiet(rows: slice) -> T:
        # The caller looks for NaN and infinity in the sums, where they always show.
        with np.errstate(all="ignore"):
            return task(rows)

    slices = chunk_slices(x, together=together)
    if not isinstance(x, NUMPY) or (len(slices) == 1 and x.nbytes > SMALL_BYTES):
        yield from map(quiet, slices)
        return
    # Several chunks at once, each with single-threaded BLAS, are faster than one chunk with
    # threaded BLAS: the products are many and narrow, and the additions between them count too.
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
    """Limit BLAS to one thread, and yield the number of threads that it had."""
    # Small products that come before threaded chunks need this too: for some milliseconds after
    # a threaded product, the threads of OpenBLAS spin on the cores that the chunks need.
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
    """Work arrays that live as long as one pass over the data, one set per thread."""

    # Allocating several megabytes anew for every chunk costs more in page faults than the
    # subtraction that fills them.

    def __init__(self) -> None:
        self.arrays: dict[str, np.ndarray] = {}

    def get(self, name: str, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        """Return the work array called `name`, enlarged if necessary."""
        size = prod(shape)
        held = self.arrays.get(name)
        if held is None or held.size < size or held.dtype != dtype:
            held = self.arrays[name] = np.empty(size, dtype)
        return held[:size].reshape(shape)


def subtract(x: Any, offset: Any, scratch: Scratch) -> Any:
    """``x - offset`` in a work array that the next call in the same thread overwrites."""
    if not isinstance(x, np.ndarray):
        return x - offset
    return np.subtract(x, offset, out=scratch.get("centered", x.shape, x.dtype))


def sum_in_double(terms: Iterable[list[Any]]) -> list[np.ndarray]:
    """Add up lists of arrays entry by entry, in float64."""
    totals: list[Any] = []
    for arrays in terms:
        if not totals:
            totals = [double(array) for array in arrays]
            continue
        for total, array in zip(totals, arrays, strict=True):
            total += array
    return totals if isinstance(totals[0], np.ndarray) else to_host(totals)


def to_host(arrays: list[Any]) -> list[np.ndarray]:
    """Convert tensors of a device to numpy arrays, in one transfer for all of them."""
    import torch

    flat = to_numpy(torch.cat([array.reshape(-1) for array in arrays])).astype(np.float64)
    cuts = np.cumsum([array.numel() for array in arrays])[:-1]
    parts = np.split(flat, cuts)
    return [part.reshape(array.shape) for part, array in zip(parts, arrays, strict=True)]


# ---------------------------------------------------------------- Gram matrices

# Measured with OpenBLAS on an AVX-512 machine: for modes of at most NARROW entries, small
# products are faster than symmetric ones, in blocks of NARROW_BLOCK columns, if there are at
# least NARROW_LEAST columns.
NARROW, NARROW_BLOCK, NARROW_LEAST = 40, 1024, 128


def gram(x: Any, axis: int, scratch: Scratch) -> Any:
    """Sum the products of all pairs of slices along an axis, (I_axis, I_axis)."""
    before, size, after = prod(x.shape[:axis]), x.shape[axis], prod(x.shape[axis + 1 :])
    view = x.reshape(before, size, after)
    narrow = size <= NARROW and isinstance(x, np.ndarray)
    if after == 1:
        view = view.reshape(1, before, size).swapaxes(1, 2)
    elif before > 1 and after < (NARROW_LEAST if narrow else 4 * size):
        # One long product instead of a great many short ones: bring `axis` to the front.
        if isinstance(view, np.ndarray):
            wide = scratch.get("unfolded", (1, size, before * after), view.dtype)
            np.copyto(wide.reshape(size, before, after), view.swapaxes(0, 1))
            view = wide
        else:
            view = view.swapaxes(0, 1).reshape(1, size, -1)
    if not narrow:
        return (view @ view.swapaxes(1, 2)).sum(0)
    whole = view.shape[2] // NARROW_BLOCK * NARROW_BLOCK
    blocks = view[:, :, :whole].reshape(len(view), size, -1, NARROW_BLOCK).swapaxes(1, 2)
    found = _narrow_gram(blocks)
    return found if whole == view.shape[2] else found + _narrow_gram(view[:, :, whole:])


def _narrow_gram(blocks: np.ndarray) -> np.ndarray:
    """Sum of ``b @ b.T`` over blocks (..., I, K), as two products of half the rows each."""
    # numpy passes a product of an array with itself to the symmetric BLAS routine, which spends
    # its time on repacking when there are few rows. numpy does not recognize half times whole,
    # and the general product of small matrices is three times as fast.
    half, over = (blocks.shape[-2] + 1) // 2, tuple(range(blocks.ndim - 2))
    turned = blocks.swapaxes(-1, -2)
    upper, lower = blocks[..., :half, :] @ turned, blocks[..., half:, :] @ turned
    return np.concatenate([upper.sum(over), lower.sum(over)])


def grams(x: Any) -> list[Any]:
    """`gram` along every axis but the first; threads share the axes of large arrays."""
    scratch = Scratch()
    axes = sorted(range(1, x.ndim), key=lambda axis: -x.shape[axis])  # the longest work first
    with single_threaded_blas() as n_threads:
        if not isinstance(x, np.ndarray) or x.nbytes <= SMALL_BYTES or n_threads == 1:
            found = [gram(x, axis, scratch) for axis in axes]
        else:
            with ThreadPoolExecutor(n_threads) as pool:
                found = list(pool.map(lambda axis: gram(x, axis, scratch), axes))
    return [found[axes.index(axis)] for axis in range(1, x.ndim)]


# ---------------------------------------------------------------- mode products

# One matrix per mode; None leaves that axis unchanged.
Bases = Sequence[np.ndarray | None]


def mode_product(x: Any, matrix: Any, axis: int) -> Any:
    """Multiply every fiber of `x` along `axis` by `matrix`."""
    before, size, after = prod(x.shape[:axis]), x.shape[axis], prod(x.shape[axis + 1 :])
    view = x.reshape(before, size, after)
    if after < 16:  # one long product instead of a great many tiny ones
        rows = view.swapaxes(1, 2).reshape(before * after, size)
        out = (rows @ matrix.T).reshape(before, after, matrix.shape[0]).swapaxes(1, 2)
    elif isinstance(x, np.ndarray):
        out = _blocked_product(matrix, view)
    else:
        out = matrix @ view
    return out.reshape(*x.shape[:axis], matrix.shape[0], *x.shape[axis + 1 :])


def _blocked_product(matrix: np.ndarray, view: np.ndarray) -> np.ndarray:
    """``matrix @ view`` in blocks of columns."""
    # Below about a million multiplications OpenBLAS works directly on the operands instead of
    # repacking them first, which makes a product of few rows up to four times as fast.
    (rows, size), (before, _, after) = matrix.shape, view.shape
    out = np.empty((before, rows, after), view.dtype)
    width = min(4096, 10**6 // (rows * size) // 64 * 64)
    whole = after // width * width if width >= 256 else 0
    if whole:
        # Cutting the last axis in two is a change of strides, never a copy.
        cut = [a[:, :, :whole].reshape(before, a.shape[1], -1, width) for a in (view, out)]
        np.matmul(matrix, cut[0].swapaxes(1, 2), out=cut[1].swapaxes(1, 2))
    if whole < after:
        np.matmul(matrix, view[:, :, whole:], out=out[:, :, whole:])
    return out


def multi_mode_product(x: Any, matrices: Bases) -> Any:
    """Multiply the trailing axes of `x` by one matrix each, in the cheapest order."""
    given = [(axis, m) for axis, m in enumerate(matrices, start=1) if m is not None]
    # Comparing the work of two neighbors in either order shows that this key sorts any chain
    # of products by total work.
    given.sort(key=lambda item: 1 / item[1].shape[1] - 1 / item[1].shape[0])
    for axis, matrix in given:
        x = mode_product(x, like(matrix, x), axis)
    return x


# ---------------------------------------------------------------- projection and back


def project(x: Any, mean: Any, components: Bases) -> Any:
    """Center a batch and project it on the components, chunk by chunk."""
    sizes = [i if c is None else c.shape[0] for i, c in zip(x.shape[1:], components, strict=True)]
    if not isinstance(x, NUMPY):
        if is_dask(x):
            return map_samples(x, project, tuple(sizes), x.dtype, mean, components)
        if numpy_view(x) is not x:
            return like(project(numpy_view(x), mean, components), x)
    out, projected = empty_like(x, (x.shape[0], *sizes)), projector(x, mean, components)

    def task(rows: slice) -> None:
        out[rows] = projected(rows)

    deque(map_chunks(task, x), maxlen=0)
    return out


def reconstruct(y: Any, mean: Any, components: Bases) -> Any:
    """Map projections back to the space of the data: the transpose of `project`."""
    if not isinstance(y, NUMPY):
        if is_dask(y):
            return map_samples(y, reconstruct, mean.shape, y.dtype, mean, components)
        if numpy_view(y) is not y:
            return like(reconstruct(numpy_view(y), mean, components), y)
    mean = like(mean, y)
    bases = [None if c is None else like(c, y).T for c in components]
    out = empty_like(y, (y.shape[0], *mean.shape))

    def task(rows: slice) -> None:
        out[rows] = multi_mode_product(y[rows], bases) + mean

    deque(map_chunks(task, out), maxlen=0)
    return out


def projector(x: Any, mean: Any, components: Bases) -> Callable[[slice], Any]:
    """Return a function that centers and projects a slice of samples of `x`."""
    bases = [None if c is None else like(c, x) for c in components]
    if mean is None:
        return lambda rows: multi_mode_product(x[rows], bases)
    mean, scratch = like(mean, x), Scratch()
    # Subtracting the mean after the product changes far fewer entries. It costs the digits by
    # which the mean exceeds the deviations from it: at most one is accepted.
    first = x[chunk_slices(x)[0]]
    with np.errstate(all="ignore"):  # a transfer of one number, where `x` is on a GPU
        harmless = bool(((first - mean) ** 2).sum() * 100 >= (mean**2).sum() * len(first))
    if harmless:
        with single_threaded_blas():
            offset = multi_mode_product(mean[None], bases)
        return lambda rows: multi_mode_product(x[rows], bases) - offset
    return lambda rows: multi_mode_product(subtract(x[rows], mean, scratch), bases)
