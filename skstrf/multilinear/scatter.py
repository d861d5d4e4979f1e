"""Scatter and energy of projected tensors, summed over chunks of samples."""

from __future__ import annotations

from typing import Any

import numpy as np

from skstrf.multilinear.blocks import add_arrays, reduce_blocks
from skstrf.multilinear.gram import gram
from skstrf.multilinear.products import Bases, projector
from skstrf.multilinear.streaming import Scratch, double, map_chunks, sum_in_double
from skstrf.utils.arrays import to_numpy
from skstrf.utils.blocks import is_dask

__all__ = ["energy", "partial_scatter"]


def partial_scatter(y: Any, mean: Any, bases: Bases, axis: int) -> np.ndarray:
    """Scatter matrix along `axis` of data projected on the other axes ([1]_, equation 8).

    Parameters
    ----------
    y : ndarray, torch.Tensor or dask array of shape (n_samples, I_1, ..., I_N)
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
    if is_dask(y):
        return reduce_blocks(y, partial_scatter, add_arrays, mean, bases, axis)
    scratch, projected = Scratch(), projector(y, mean, bases)
    grams = map_chunks(lambda rows: [gram(projected(rows), axis, scratch)], y)
    return to_numpy(sum_in_double(grams)[0])


def energy(y: Any, mean: Any, bases: Bases) -> np.ndarray:
    """Sum of squares over samples of every entry of projected tensors.

    Parameters
    ----------
    y : ndarray, torch.Tensor or dask array of shape (n_samples, I_1, ..., I_N)
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
    if is_dask(y):
        return reduce_blocks(y, energy, add_arrays, mean, bases)
    projected = projector(y, mean, bases)
    sums = map_chunks(lambda rows: [(double(projected(rows)) ** 2).sum(0)], y)
    return to_numpy(sum_in_double(sums)[0])
