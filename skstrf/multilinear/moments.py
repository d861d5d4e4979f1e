"""Number, mean and mode scatter of samples, and how those of several parts are put together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from skstrf.multilinear.blocks import reduce_blocks
from skstrf.multilinear.gram import gram, grams
from skstrf.multilinear.streaming import (
    Scratch,
    chunk_slices,
    double,
    like,
    map_chunks,
    subtract,
    sum_in_double,
)
from skstrf.utils.arrays import is_torch, to_numpy
from skstrf.utils.blocks import is_dask

__all__ = ["Moments", "merge_moments", "mode_scatter", "moments"]

# Sums of this many chunks are added in the data's own precision before they are in float64: for
# large samples the additions in float64, by one thread, would take as long as the products.
TOGETHER = 4


class Moments(NamedTuple):
    """What MPCA has to know of a batch before it looks at it again.

    Attributes
    ----------
    n_samples : int
        How many.
    mean : ndarray of shape (I_1, ..., I_N)
        Their mean, float64.
    scatters : list of N ndarray of shape (I_n, I_n)
        Scatter matrix of every mode about that mean (sums, not divided by n), float64.
    """

    n_samples: int
    mean: np.ndarray
    scatters: list[np.ndarray]

    @property
    def total_scatter(self) -> float:
        """Sum of squares of the centred samples."""
        return float(np.trace(self.scatters[-1]))


def mode_scatter(x: Any) -> tuple[np.ndarray, list[np.ndarray]]:
    """Mean and the total scatter matrix of every mode, in one pass over the data.

    Parameters
    ----------
    x : ndarray, torch.Tensor or dask array of shape (n_samples, I_1, ..., I_N)
        A batch of tensors; not changed, never copied as a whole.

    Returns
    -------
    mean : ndarray of shape (I_1, ..., I_N)
        Mean of the samples, float64.
    scatters : list of N ndarray of shape (I_n, I_n)
        Sum over samples of ``D_n @ D_n.T``, `D_n` the mode-n unfolding of the centred sample
        ([1]_, equation 8 with identities for the projections), float64.

    Raises
    ------
    ValueError
        When `x` is not finite; the sample is named.

    Notes
    -----
    A rough mean (that of the first chunk) is taken off before anything is multiplied, and what
    it missed is corrected at the end: without it a float32 product has no correct digit once the
    mean is a thousand times the spread. Constant data give exact zeros. Of a dask array every
    block has a rough mean of its own, and `merge_moments` puts the blocks together, in a tree.

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
    found = moments(x)
    return found.mean, found.scatters


def moments(x: Any, first: int = 0) -> Moments:
    """Number, mean and mode scatter of a batch, in one pass.

    Parameters
    ----------
    x : ndarray, torch.Tensor, Stored or dask array of shape (n_samples, I_1, ..., I_N)
        A batch of tensors.
    first : int, default 0
        Position of the first sample in the whole of the data, for messages.

    Returns
    -------
    Moments
        See `mode_scatter`.
    """
    if is_dask(x):
        return reduce_blocks(x, moments, merge_moments, needs_start=True)
    if is_torch(x):
        x = x.detach()
    axes = range(1, x.ndim)
    shift, scratch = _rough_mean(x[chunk_slices(x)[0]]), Scratch()

    def task(span: slice) -> list[Any]:
        totals: list[Any] = []
        for rows in chunk_slices(x, span):
            chunk = x[rows]
            centred = subtract(chunk, shift, scratch)
            found = [gram(centred, axis, scratch) for axis in axes]
            # Every entry has its square on this diagonal.
            if not np.isfinite(float(found[-1].diagonal().sum())):
                raise ValueError(_what_is_not_finite(to_numpy(chunk), first + rows.start))
            column = centred[0] if len(centred) == 1 else centred.sum(0)
            if not totals:  # the next chunk overwrites `centred`
                totals = [1 * column, *found]
                continue
            for total, array in zip(totals, [column, *found], strict=True):
                total += array
        return totals

    total, *sums = sum_in_double(map_chunks(task, x, together=TOGETHER))
    missed = total / x.shape[0]
    # In the precision of the sums that it corrects.
    corrections = [x.shape[0] * double(found) for found in grams(like(missed, x)[None])]
    scatters = [to_numpy(a - b) for a, b in zip(sums, corrections, strict=True)]
    return Moments(x.shape[0], to_numpy(double(shift) + missed), scatters)


def merge_moments(parts: Sequence[Moments]) -> Moments:
    """Number, mean and mode scatter of several batches together.

    Parameters
    ----------
    parts : sequence of Moments
        One for every batch.

    Returns
    -------
    Moments
        As if all samples had been in one batch.

    Notes
    -----
    Put together one by one; what two parts' own means leave out is the scatter of these means,
    weighted by numbers of samples [1]_. Nothing of the size of the mean is ever squared.

    References
    ----------
    .. [1] T. F. Chan, G. H. Golub and R. J. LeVeque, "Updating formulae and a pairwise algorithm
       for computing sample variances", COMPSTAT 1982, 30-41.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf.multilinear.moments import merge_moments, moments
    >>> x = np.arange(24.0).reshape(4, 3, 2)
    >>> whole = merge_moments([moments(x[:1]), moments(x[1:])])
    >>> whole.n_samples, bool(np.allclose(whole.scatters[0], moments(x).scatters[0]))
    (4, True)
    """
    n, mean = parts[0].n_samples, np.array(parts[0].mean)
    scatters = [np.array(scatter) for scatter in parts[0].scatters]
    for part in parts[1:]:
        apart = part.mean - mean
        weight = n * part.n_samples / (n + part.n_samples)
        for scatter, more, between in zip(
            scatters, part.scatters, grams(apart[None]), strict=True
        ):
            scatter += more + weight * between
        n += part.n_samples
        mean += part.n_samples / n * apart
    return Moments(n, mean, scatters)


def _rough_mean(chunk: Any) -> Any:
    """Mean of a chunk, exactly its first sample when all are equal."""
    with np.errstate(all="ignore"):
        return chunk[0] + (chunk - chunk[0]).mean(0)


def _what_is_not_finite(chunk: np.ndarray, first: int) -> str:
    """Say which sample of the whole data it is."""
    bad = np.flatnonzero(~np.isfinite(chunk.reshape(len(chunk), -1)).all(1))
    if bad.size:
        return (
            f"X contains NaN or infinity in sample {first + bad[0]}: leave it out, and others "
            "that numpy.isfinite finds."
        )
    last = first + len(chunk) - 1
    return (
        "X contains NaN or infinity, or rather values whose squares overflow its dtype, in "
        f"samples {first} to {last}: scale X down, or give it in float64."
    )
