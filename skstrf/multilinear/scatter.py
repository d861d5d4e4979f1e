"""Mode scatter matrices, summed over chunks of samples."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from skstrf.multilinear.products import Bases, around, projector
from skstrf.multilinear.streaming import (
    Scratch,
    chunk_slices,
    double,
    map_chunks,
    single_threaded_blas,
    subtract,
)
from skstrf.utils.arrays import is_torch, to_numpy

__all__ = ["energy", "mode_scatter", "partial_scatter"]

# Measured with OpenBLAS on an AVX-512 machine: up to this size of a mode small products are
# faster than symmetric ones, in blocks of this many columns, if there are this many at least.
NARROW, NARROW_BLOCK, NARROW_LEAST = 40, 1024, 128


def mode_scatter(x: Any) -> tuple[np.ndarray, list[np.ndarray]]:
    """Mean and the total scatter matrix of every mode, in one pass over the data.

    Parameters
    ----------
    x : ndarray or torch.Tensor of shape (n_samples, I_1, ..., I_N)
        A batch of tensors; not changed, never copied as a whole.

    Returns
    -------
    mean : ndarray of shape (I_1, ..., I_N)
        Mean of the samples, float64.
    scatters : list of N ndarray of shape (I_n, I_n)
        Sum over samples of ``D_n @ D_n.T``, `D_n` the mode-n unfolding of the centred sample
        ([1]_, equation 8 with identities for the projections), float64.

    Notes
    -----
    A rough mean (that of the first chunk) is taken off before anything is multiplied, and what
    it missed is corrected at the end: without it a float32 product has no correct digit once the
    mean is a thousand times the spread. Constant data give exact zeros.

    References
    ----------
    .. [1] H. Lu, K. N. Plataniotis and A. N. Venetsanopoulos, "MPCA: Multilinear principal
       component analysis of tensor objects", IEEE Trans. Neural Networks 19(1), 18-39, 2008.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf.multilinear import mode_scatter
    >>> mean, (rows, columns) = mode_scatter(np.arange(12.0).reshape(2, 3, 2))
    >>> mean.shape, rows.shape, float(columns.trace())
    ((3, 2), (3, 3), 108.0)
    """
    axes = range(1, x.ndim)
    shift, scratch = _rough_mean(x[chunk_slices(x)[0]]), Scratch()

    def task(rows: slice) -> tuple[Any, list[Any]]:
        centred = subtract(x[rows], shift, scratch)
        return centred.sum(0), [_gram(centred, axis, scratch) for axis in axes]

    total, *grams = _sum_in_double([total, *grams] for total, grams in map_chunks(task, x))
    missed = total / x.shape[0]
    with single_threaded_blas():
        scatters = [
            to_numpy(gram - x.shape[0] * _gram(missed[None], axis, scratch))
            for axis, gram in zip(axes, grams, strict=True)
        ]
    return to_numpy(double(shift) + missed), scatters


def partial_scatter(y: Any, mean: Any, bases: Bases, axis: int) -> np.ndarray:
    """Scatter matrix along `axis` of data projected on the other axes ([1]_, equation 8).

    Parameters
    ----------
    y : ndarray or torch.Tensor of shape (n_samples, I_1, ..., I_N)
        The tensors.
    mean : ndarray of shape (I_1, ..., I_N) or None
        Taken off first; None when `y` is centred already.
    bases : sequence of N (array of shape (P_n, I_n), or None)
        Projections; None, as for `axis` itself, leaves an axis whole.
    axis : int
        The axis of `y` whose scatter is wanted.

    Returns
    -------
    ndarray of shape (I_axis, I_axis)
        The sum over samples, float64.

    References
    ----------
    .. [1] H. Lu, K. N. Plataniotis and A. N. Venetsanopoulos, "MPCA: Multilinear principal
       component analysis of tensor objects", IEEE Trans. Neural Networks 19(1), 18-39, 2008.
    """
    scratch, projected = Scratch(), projector(y, mean, bases)
    grams = map_chunks(lambda rows: [_gram(projected(rows), axis, scratch)], y)
    return to_numpy(_sum_in_double(grams)[0])


def energy(y: Any, mean: Any, bases: Bases) -> np.ndarray:
    """Sum of squares over samples of every entry of projected tensors.

    Parameters
    ----------
    y : ndarray or torch.Tensor of shape (n_samples, I_1, ..., I_N)
        The tensors.
    mean : ndarray of shape (I_1, ..., I_N) or None
        Taken off first; None when `y` is centred already.
    bases : sequence of N (array of shape (P_n, I_n), or None)
        Projections; None leaves an axis whole.

    Returns
    -------
    ndarray of shape (P_1, ..., P_N)
        The sums, float64.
    """
    projected = projector(y, mean, bases)
    sums = map_chunks(lambda rows: [(double(projected(rows)) ** 2).sum(0)], y)
    return to_numpy(_sum_in_double(sums)[0])


def _sum_in_double(terms: Iterable[list[Any]]) -> list[Any]:
    """Add up lists of arrays entry by entry; in place, the first list's arrays being ours."""
    totals: list[Any] = []
    for arrays in terms:
        if not totals:
            totals = [double(array) for array in arrays]
            continue
        for total, array in zip(totals, arrays, strict=True):
            total += array
    return totals


def _rough_mean(chunk: Any) -> Any:
    """Mean of a chunk, exactly its first sample when all are equal."""
    with np.errstate(all="ignore"):
        return chunk[0] + (chunk - chunk[0]).mean(0)


def _gram(x: Any, axis: int, scratch: Scratch) -> Any:
    """Sum of the products of all pairs of slices along `axis`: of shape (I, I)."""
    before, size, after = around(x.shape, axis)
    view = x.reshape(before, size, after)
    narrow = size <= NARROW and not is_torch(x)
    if after == 1:
        view = view.reshape(1, before, size).swapaxes(1, 2)
    elif before > 1 and after < (NARROW_LEAST if narrow else 4 * size):
        view = _unfold(view, scratch)  # one long product instead of a great many short ones
    if not narrow:
        return (view @ view.swapaxes(1, 2)).sum(0)
    whole = view.shape[2] // NARROW_BLOCK * NARROW_BLOCK
    blocks = view[:, :, :whole].reshape(len(view), size, -1, NARROW_BLOCK).swapaxes(1, 2)
    gram = _narrow_gram(blocks)
    return gram if whole == view.shape[2] else gram + _narrow_gram(view[:, :, whole:])


def _unfold(view: Any, scratch: Scratch) -> Any:
    """Bring the middle axis of three to the front: (before, I, after) to (1, I, the rest)."""
    before, size, after = view.shape
    if is_torch(view):
        return view.swapaxes(0, 1).reshape(1, size, -1)
    wide = scratch.get("unfolded", (1, size, before * after), view.dtype)
    np.copyto(wide.reshape(size, before, after), view.swapaxes(0, 1))
    return wide


def _narrow_gram(blocks: np.ndarray) -> np.ndarray:
    """Sum of ``b @ b.T`` over blocks (..., I, K), as two products of half the rows each.

    numpy gives a product of an array with itself to the symmetric BLAS routine, which for few
    rows spends its time on repacking. Half against whole it does not see through, and the
    general product of small matrices is three times as fast.
    """
    half, over = (blocks.shape[-2] + 1) // 2, tuple(range(blocks.ndim - 2))
    turned = blocks.swapaxes(-1, -2)
    upper, lower = blocks[..., :half, :] @ turned, blocks[..., half:, :] @ turned
    return np.concatenate([upper.sum(over), lower.sum(over)])
