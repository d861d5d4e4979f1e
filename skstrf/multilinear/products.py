"""Products of tensors with a matrix for every mode.

They agree with ``tensorly.tenalg.multi_mode_dot``, the oracle of the tests, which unfolds a copy
of the tensor for every mode and so takes three to six times as long on large data.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from skstrf.multilinear.streaming import (
    Scratch,
    chunk_slices,
    empty_like,
    like,
    map_chunks,
    numpy_view,
    single_threaded_blas,
    subtract,
)
from skstrf.utils.arrays import is_torch
from skstrf.utils.blocks import is_dask, map_samples

__all__ = [
    "Bases",
    "around",
    "mode_product",
    "multi_mode_product",
    "project",
    "projector",
    "reconstruct",
]

# One matrix a mode; None leaves that axis as it is.
Bases = Sequence[np.ndarray | None]


def mode_product(x: Any, matrix: Any, axis: int) -> Any:
    """Multiply every fibre of `x` along `axis` by `matrix`.

    Parameters
    ----------
    x : ndarray or torch.Tensor of shape (..., I, ...)
        The tensor, `I` entries along `axis`.
    matrix : ndarray or torch.Tensor of shape (J, I)
        Of the same kind, dtype and device as `x`.
    axis : int
        Which axis of `x` is multiplied; not negative.

    Returns
    -------
    ndarray or torch.Tensor of shape (..., J, ...)
        The mode product [1]_, its axes in the order of `x`.

    References
    ----------
    .. [1] L. De Lathauwer, B. De Moor and J. Vandewalle, "A multilinear singular value
       decomposition", SIAM J. Matrix Anal. Appl. 21(4), 2000, definition 8.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf.multilinear import mode_product
    >>> mode_product(np.ones((2, 3, 4)), np.ones((5, 3)), axis=1).shape
    (2, 5, 4)
    """
    before, size, after = around(x.shape, axis)
    view = x.reshape(before, size, after)
    if after < 16:  # one long product instead of a great many tiny ones
        rows = view.swapaxes(1, 2).reshape(before * after, size)
        out = (rows @ matrix.T).reshape(before, after, matrix.shape[0]).swapaxes(1, 2)
    elif is_torch(x):
        out = matrix @ view
    else:
        out = _blocked_product(matrix, view)
    return out.reshape(*x.shape[:axis], matrix.shape[0], *x.shape[axis + 1 :])


def _blocked_product(matrix: np.ndarray, view: np.ndarray) -> np.ndarray:
    """``matrix @ view`` in blocks of columns.

    Below about a million multiplications OpenBLAS works straight on the operands instead of
    repacking them first, which for few rows makes a product up to four times as fast.
    """
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
    """Multiply the trailing axes of `x` by one matrix each, cheapest order first.

    Parameters
    ----------
    x : ndarray or torch.Tensor of shape (n_samples, I_1, ..., I_N)
        A batch of tensors.
    matrices : sequence of N (array of shape (J_n, I_n), or None)
        None leaves that axis as it is. Cast to the kind, dtype and device of `x`.

    Returns
    -------
    ndarray or torch.Tensor of shape (n_samples, J_1, ..., J_N)
        The product, in the dtype of `x`.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf.multilinear import multi_mode_product
    >>> multi_mode_product(np.ones((2, 3, 4)), [None, np.ones((1, 4))]).shape
    (2, 3, 1)
    """
    given = [(axis, m) for axis, m in enumerate(matrices, start=1) if m is not None]
    # Comparing the work of two neighbours in either order shows that this key sorts any chain
    # of products by total work.
    given.sort(key=lambda item: 1 / item[1].shape[1] - 1 / item[1].shape[0])
    for axis, matrix in given:
        x = mode_product(x, like(matrix, x), axis)
    return x


def project(x: Any, mean: Any, components: Bases) -> Any:
    """Centre `x` and project it, chunk by chunk.

    Parameters
    ----------
    x : ndarray, torch.Tensor or dask array of shape (n_samples, I_1, ..., I_N)
        A batch of tensors; not changed.
    mean : ndarray of shape (I_1, ..., I_N)
        What is taken off.
    components : sequence of N (ndarray of shape (P_n, I_n), or None)
        None leaves that axis whole.

    Returns
    -------
    ndarray, torch.Tensor or dask array of shape (n_samples, P_1, ..., P_N)
        The projections, of the kind, dtype and device of `x`; lazy for a dask array.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf.multilinear import project
    >>> project(np.ones((2, 3, 4)), np.zeros((3, 4)), [None, np.eye(4)[:1]])[0, :, 0]
    array([1., 1., 1.])
    """
    if numpy_view(x) is not x:
        return like(project(numpy_view(x), mean, components), x)
    sizes = [i if c is None else c.shape[0] for i, c in zip(x.shape[1:], components, strict=True)]
    if is_dask(x):
        return map_samples(x, project, tuple(sizes), x.dtype, mean, components)
    out, projected = empty_like(x, (x.shape[0], *sizes)), projector(x, mean, components)

    def task(rows: slice) -> None:
        out[rows] = projected(rows)

    deque(map_chunks(task, x), maxlen=0)
    return out


def reconstruct(y: Any, mean: Any, components: Bases) -> Any:
    """Bring projections back to the space of the data: the transpose of `project`.

    Parameters
    ----------
    y : ndarray, torch.Tensor or dask array of shape (n_samples, P_1, ..., P_N)
        Projections.
    mean : ndarray of shape (I_1, ..., I_N)
        Added at the end.
    components : sequence of N (ndarray of shape (P_n, I_n), or None)
        As given to `project`.

    Returns
    -------
    ndarray, torch.Tensor or dask array of shape (n_samples, I_1, ..., I_N)
        The points of the projected subspace that `y` stands for; lazy for a dask array.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf.multilinear import reconstruct
    >>> reconstruct(np.ones((1, 1)), np.zeros(2), [np.array([[0.6, 0.8]])])
    array([[0.6, 0.8]])
    """
    if numpy_view(y) is not y:
        return like(reconstruct(numpy_view(y), mean, components), y)
    if is_dask(y):
        return map_samples(y, reconstruct, mean.shape, y.dtype, mean, components)
    mean = like(mean, y)
    bases = [None if c is None else like(c, y).T for c in components]
    out = empty_like(y, (y.shape[0], *mean.shape))

    def task(rows: slice) -> None:
        out[rows] = multi_mode_product(y[rows], bases) + mean

    deque(map_chunks(task, out), maxlen=0)
    return out


def projector(x: Any, mean: Any, components: Bases) -> Callable[[slice], Any]:
    """Prepare the projection of chunks of `x`.

    Parameters
    ----------
    x : ndarray or torch.Tensor of shape (n_samples, I_1, ..., I_N)
        A batch of tensors.
    mean : ndarray of shape (I_1, ..., I_N) or None
        Taken off first, unless None.
    components : sequence of N (ndarray of shape (P_n, I_n), or None)
        None leaves that axis whole.

    Returns
    -------
    callable
        Takes a slice of samples; what it returns may be overwritten by the next call in the
        same thread.
    """
    bases = [None if c is None else like(c, x) for c in components]
    if mean is None:
        return lambda rows: multi_mode_product(x[rows], bases)
    mean, scratch = like(mean, x), Scratch()
    if _mean_is_harmless(x, mean):
        with single_threaded_blas():
            offset = multi_mode_product(mean[None], bases)
        return lambda rows: multi_mode_product(x[rows], bases) - offset
    return lambda rows: multi_mode_product(subtract(x[rows], mean, scratch), bases)


def _mean_is_harmless(x: Any, mean: Any) -> bool:
    """Whether the mean may be taken off after the product, with far fewer entries to change.

    That costs the digits the mean has more than the deviation from it: up to one is let go.
    """
    first = x[chunk_slices(x)[0]]
    with np.errstate(all="ignore"):
        spread = first - mean
        return bool((spread**2).sum() * 100 >= (mean**2).sum() * len(first))


def around(shape: tuple[int, ...], axis: int) -> tuple[int, int, int]:
    """Fold a shape to three axes: what lies before `axis`, `axis` itself, and what lies after.

    Parameters
    ----------
    shape : tuple of int
        Of the tensor.
    axis : int
        The axis kept.

    Returns
    -------
    tuple of 3 int
        Their sizes.
    """
    return prod(shape[:axis]), shape[axis], prod(shape[axis + 1 :])
