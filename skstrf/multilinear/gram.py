"""Products of all pairs of slices of tensors along one axis."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from skstrf.multilinear.products import around
from skstrf.multilinear.streaming import SMALL_BYTES, Scratch, single_threaded_blas
from skstrf.utils.arrays import is_torch

__all__ = ["gram", "grams"]

# Measured with OpenBLAS on an AVX-512 machine: up to this size of a mode small products are
# faster than symmetric ones, in blocks of this many columns, if there are this many at least.
NARROW, NARROW_BLOCK, NARROW_LEAST = 40, 1024, 128


def gram(x: Any, axis: int, scratch: Scratch) -> Any:
    """Sum the products of all pairs of slices along an axis.

    Parameters
    ----------
    x : ndarray or torch.Tensor of shape (n_samples, I_1, ..., I_N)
        A chunk of tensors.
    axis : int
        The axis, from 1 on.
    scratch : Scratch
        Where an unfolded copy of `x` lives if one is needed.

    Returns
    -------
    ndarray or torch.Tensor of shape (I, I)
        The sum over samples of the mode's unfolding times its transpose, in the dtype of `x`.
    """
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
    found = _narrow_gram(blocks)
    return found if whole == view.shape[2] else found + _narrow_gram(view[:, :, whole:])


def grams(x: Any) -> list[Any]:
    """`gram` along every axis, the axes shared among threads where they are worth it.

    Parameters
    ----------
    x : ndarray or torch.Tensor of shape (n_samples, I_1, ..., I_N)
        Tensors, few enough to be looked at as a whole.

    Returns
    -------
    list of N arrays of shape (I_n, I_n)
        The Gram matrices.
    """
    scratch = Scratch()
    axes = sorted(range(1, x.ndim), key=lambda axis: -x.shape[axis])  # the longest work first
    with single_threaded_blas() as n_threads:
        if is_torch(x) or x.nbytes <= SMALL_BYTES or n_threads == 1:
            found = [gram(x, axis, scratch) for axis in axes]
        else:
            with ThreadPoolExecutor(n_threads) as pool:
                found = list(pool.map(lambda axis: gram(x, axis, scratch), axes))
    return [found[axes.index(axis)] for axis in range(1, x.ndim)]


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
