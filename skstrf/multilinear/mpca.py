"""Multilinear principal component analysis.

From top to bottom: the moments of the data (one pass), the ranks that the eigenvalues of the mode
scatter matrices ask for, and the sweeps that improve the bases (two passes each).

References
----------
.. [1] H. Lu, K. N. Plataniotis and A. N. Venetsanopoulos, "MPCA: Multilinear principal
   component analysis of tensor objects", IEEE Trans. Neural Networks 19(1), 18-39, 2008.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from math import prod
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np

from skstrf.multilinear.products import (
    NUMPY,
    Bases,
    Scratch,
    chunk_slices,
    double,
    gram,
    grams,
    like,
    map_chunks,
    numpy_view,
    project,
    projector,
    single_threaded_blas,
    subtract,
    sum_in_double,
    to_host,
)
from skstrf.utils.arrays import to_numpy
from skstrf.utils.lazy import is_dask, reduce_blocks
from skstrf.utils.validation import checked_number, checked_reals, numpy_dtype

__all__ = [
    "MPCAResult",
    "Moments",
    "merge_moments",
    "moments",
    "mpca",
    "mpca_from_moments",
    "rank_for_share",
]

# ---------------------------------------------------------------- moments

# Number of chunks whose sums are added in the precision of the data before they are in float64:
# for large samples the additions in float64, by one thread, would take as long as the products.
TOGETHER = 4


class Moments(NamedTuple):
    """Number of samples, their mean and their total scatter matrix along every mode."""

    n_samples: int
    mean: np.ndarray
    scatters: list[np.ndarray]

    @property
    def total_scatter(self) -> float:
        """Sum of squares of the centered samples."""
        return float(np.trace(self.scatters[-1]))


def moments(x: Any, first: int = 0) -> Moments:
    """Moments of a batch, in one pass; `first` is the number of its first sample in errors."""
    if not isinstance(x, NUMPY):
        if is_dask(x):
            return reduce_blocks(x, moments, merge_moments, needs_start=True)
        x = x.detach()
    axes, scratch = range(1, x.ndim), Scratch()
    waits = isinstance(x, NUMPY)
    # A rough mean, subtracted beforehand, keeps the digits of data far from zero. It equals the
    # first sample exactly when all samples are equal.
    chunk = x[chunk_slices(x)[0]]
    with np.errstate(all="ignore"):
        shift = chunk[0] + (chunk - chunk[0]).mean(0)

    def task(span: slice) -> list[Any]:
        totals: list[Any] = []
        for rows in chunk_slices(x, span):
            chunk = x[rows]
            centered = subtract(chunk, shift, scratch)
            found = [gram(centered, axis, scratch) for axis in axes]
            # The square of every entry is part of this diagonal. On a GPU the sum of all chunks
            # is looked at instead, because every look would wait for the GPU.
            if waits and not np.isfinite(float(found[-1].diagonal().sum())):
                raise ValueError(_describe_not_finite(to_numpy(chunk), first + rows.start))
            column = centered[0] if len(centered) == 1 else centered.sum(0)
            if not totals:  # the next chunk overwrites `centered`
                totals = [1 * column, *found]
                continue
            for total, array in zip(totals, [column, *found], strict=True):
                total += array
        return totals

    total, *sums = sum_in_double(map_chunks(task, x, together=TOGETHER))
    if not np.isfinite(np.trace(sums[-1])):
        for rows in chunk_slices(x):
            centered = x[rows] - shift
            if not np.isfinite(float((centered * centered).sum())):
                raise ValueError(_describe_not_finite(to_numpy(x[rows]), first + rows.start))
    missed = total / x.shape[0]
    # The correction is computed in the precision of the sums that it corrects.
    corrections = grams(like(missed, x)[None])
    if not isinstance(x, NUMPY):
        corrections = to_host(corrections)
    scatters = [a - x.shape[0] * like(b, a) for a, b in zip(sums, corrections, strict=True)]
    return Moments(x.shape[0], like(shift, missed) + missed, scatters)


def merge_moments(parts: Sequence[Moments]) -> Moments:
    """Moments of several batches together."""
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


def _describe_not_finite(chunk: np.ndarray, first: int) -> str:
    """Error message that names the sample by its number in the whole data."""
    bad = np.flatnonzero(~np.isfinite(chunk.reshape(len(chunk), -1)).all(1))
    if bad.size:
        return (
            f"X contains NaN or infinity in sample {first + bad[0]}: remove it, and all others "
            "that numpy.isfinite finds."
        )
    last = first + len(chunk) - 1
    return (
        "X contains NaN or infinity, or values whose squares overflow its dtype, in samples "
        f"{first} to {last}: scale X down, or convert it to float64."
    )


# ---------------------------------------------------------------- ranks

# One rank per mode; None leaves that axis unchanged.
Ranks = list["int | None"]
Spectra = list[tuple[np.ndarray, np.ndarray]]


def eigen(scatter: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues, descending and non-negative, and eigenvectors as rows with a fixed sign."""
    # On small matrices, threads mostly wait for each other, on a busy machine for long.
    with single_threaded_blas() if len(scatter) < 512 else nullcontext():
        values, vectors = np.linalg.eigh(scatter)
    rows = vectors.T[::-1]
    largest = np.take_along_axis(rows, np.abs(rows).argmax(1)[:, None], axis=1)
    return np.maximum(values[::-1], 0.0), rows * np.where(largest < 0, -1.0, 1.0)


def rank_for_share(
    eigenvalues: np.ndarray, share: float, eps: float = float(np.finfo(float).eps)
) -> int:
    """Smallest number of leading eigenvalues that hold a share of their sum."""
    eigenvalues = checked_reals(eigenvalues, "eigenvalues")
    share = checked_number(share, "share", low=0, high=1, open_low=True)
    if share >= 1:
        rounding = eigenvalues[0] * eigenvalues.size * eps
        return max(1, int(np.sum(eigenvalues > rounding)))
    kept = np.cumsum(eigenvalues)
    return min(int(np.searchsorted(kept, share * kept[-1])) + 1, eigenvalues.size)


def choose_ranks(n_components: Any, spectra: Spectra, eps: float) -> Ranks:
    """Rank of every mode that `n_components` asks for."""
    order = len(spectra)
    if not isinstance(n_components, tuple | list | np.ndarray):
        n_components = [n_components] * order
    if len(n_components) != order:
        raise ValueError(
            f"n_components={n_components!r} has {len(n_components)} entries, but the samples of X "
            f"have {order} axes: give one entry for each axis, or a single number."
        )
    ranks: Ranks = []
    for axis, (wanted, (values, _)) in enumerate(zip(n_components, spectra, strict=True), start=1):
        if wanted is None:
            ranks.append(None)
        elif isinstance(wanted, Integral):
            if not 1 <= int(wanted) <= values.size:
                raise ValueError(
                    f"n_components={wanted} for axis {axis} of X, which has {values.size} "
                    f"entries: an int must be between 1 and {values.size}. None leaves the axis "
                    "unchanged, a float keeps a share of its variation."
                )
            ranks.append(int(wanted))
        elif isinstance(wanted, Real) and 0 < float(wanted) <= 1:
            ranks.append(rank_for_share(values, float(wanted), eps))
        else:
            raise ValueError(
                f"n_components={wanted!r} for axis {axis} of X: give an int (a rank), a float in "
                "(0, 1] (a share of variation) or None (leave the axis unchanged)."
            )
    return ranks


def _total_share(n_components: Any, criterion: str) -> float | None:
    """Share of the total scatter to keep, or None if ranks are chosen mode by mode."""
    if criterion == "per-mode" or isinstance(n_components, Integral):
        return None
    if isinstance(n_components, Real):
        return float(n_components)
    if any(isinstance(p, Real) and not isinstance(p, Integral) for p in n_components):
        raise ValueError(
            f"criterion='total' requires n_components to be one float, got {n_components!r}: "
            "shares of single modes require criterion='per-mode'."
        )
    return None


def _safe_ranks(share: float, spectra: Spectra, eps: float) -> Ranks:
    """Ranks that keep a share of the total scatter, whatever the data."""
    return choose_ranks(1 - (1 - share) / len(spectra), spectra, eps)


def _smallest_ranks(kept: np.ndarray, goal: float) -> tuple[Ranks, float]:
    """Ranks of smallest product, among them those of most scatter, that keep `goal`."""
    sizes = np.ones(())
    for length in kept.shape:
        sizes = np.multiply.outer(sizes, np.arange(1, length + 1))
    enough = np.flatnonzero(kept >= goal)
    if enough.size == 0:
        return list(kept.shape), float(kept.flat[-1])
    best = enough[np.lexsort((-kept.flat[enough], sizes.flat[enough]))[0]]
    ranks: Ranks = [int(i) + 1 for i in np.unravel_index(best, kept.shape)]
    return ranks, float(kept.flat[best])


# ---------------------------------------------------------------- sums over projected data


def partial_scatter(y: Any, mean: Any, bases: Bases, axis: int) -> np.ndarray:
    """Scatter matrix along `axis` of data projected on the other axes ([1]_, equation 8)."""
    if not isinstance(y, NUMPY) and is_dask(y):
        return reduce_blocks(y, partial_scatter, add_arrays, mean, bases, axis)
    scratch, projected = Scratch(), projector(y, mean, bases)
    return sum_in_double(map_chunks(lambda rows: [gram(projected(rows), axis, scratch)], y))[0]


def sum_of_squares(y: Any, mean: Any, bases: Bases) -> np.ndarray:
    """Sum over the samples of the square of every entry of the projected tensors."""
    if not isinstance(y, NUMPY) and is_dask(y):
        return reduce_blocks(y, sum_of_squares, add_arrays, mean, bases)
    projected = projector(y, mean, bases)
    return sum_in_double(map_chunks(lambda rows: [(double(projected(rows)) ** 2).sum(0)], y))[0]


def add_arrays(arrays: Sequence[np.ndarray]) -> np.ndarray:
    return np.sum(arrays, axis=0)


# ---------------------------------------------------------------- sweeps

# Size of the projections kept between the updates of one part: at most a quarter of the data, or
# the first figure if that is more, but never more than the second. Data with larger projections
# are read once for every mode.
HELD_BYTES = (16 * 2**20, 512 * 2**20)


class _Source(NamedTuple):
    """Data that a scatter is summed from, and the modes in which they are not yet projected."""

    data: Any
    mean: Any
    modes: list[int]


def _sweeps(
    x: Any, known: Moments, spectra: Spectra, ranks: Ranks, max_iter: int, tol: float
) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """Components, scatter after each sweep and feature scatter, from the initial subspaces."""
    bases: list[Any] = initial_bases(spectra, ranks)
    active = [n for n, p in enumerate(ranks) if p is not None]
    mean, total = known.mean, known.total_scatter
    source = everything = _Source(x, mean, list(range(len(ranks))))
    scatter: list[float] = []
    if len(active) < 2:  # nothing to alternate between: the initial subspace is optimal
        kept = sum((spectra[n][0][: ranks[n]].sum() for n in active), 0.0) if active else total
        scatter = [kept] * (max_iter + 1)
    parts = two_parts(active, x.shape[1:], ranks)
    while max_iter and len(scatter) <= max_iter:
        for part in parts:
            source = everything  # releases the projection on the other part
            source = partial_source(x, mean, bases, part)
            for n in part:
                others = reducing_bases(bases, [m for m in source.modes if m != n])
                found = partial_scatter(source.data, source.mean, others, n + 1)
                if not scatter:
                    scatter.append(float(np.vdot(bases[n] @ found, bases[n])))
                values, vectors = eigen(found)
                bases[n] = vectors[: ranks[n]]
        # The last update was computed from the final bases of all other modes.
        scatter.append(float(values[: ranks[n]].sum()))
        if tol > 0 and scatter[-1] - scatter[-2] < tol * total:
            break
    # The bases that the source has not been projected on, square ones included.
    done = reducing_bases(bases, [n for n in range(len(bases)) if n not in source.modes])
    left = [b if d is None else None for b, d in zip(bases, done, strict=True)]
    features = sum_of_squares(source.data, source.mean, left)
    return whole_bases(bases, known), np.array(scatter or [features.sum()]), features


def two_parts(active: list[int], shape: tuple[int, ...], ranks: Ranks) -> list[list[int]]:
    """Split the modes where the tensors projected on the other part are smallest."""
    # The product with the bases of one part stays the same while the modes of the other are
    # updated in turn. A sweep then takes two products with the whole data instead of one per
    # mode, and the updates keep the order of the paper.

    def size(part: list[int]) -> int:
        rest = set(active) - set(part)
        return prod(ranks[n] if n in rest else i for n, i in enumerate(shape))  # type: ignore[misc]

    cuts = [[active[:k], active[k:]] for k in range(1, len(active))]
    return min(cuts, key=lambda cut: size(cut[0]) + size(cut[1]), default=[])


def partial_source(x: Any, mean: Any, bases: Bases, part: list[int]) -> _Source:
    """Project the data on the modes outside `part`, unless the result is too large to keep."""
    outside = reducing_bases(bases, [n for n in range(len(bases)) if n not in part])
    shape = [i if b is None else b.shape[0] for i, b in zip(x.shape[1:], outside, strict=True)]
    limit = max(HELD_BYTES[0], min(HELD_BYTES[1], x.nbytes // 4))
    if x.shape[0] * prod(shape) * x.dtype.itemsize > limit:
        return _Source(x, mean, list(range(len(bases))))
    projected = project(x, mean, outside)
    if not isinstance(x, NUMPY) and is_dask(x):
        projected = projected.persist()
    return _Source(projected, None, part)


def reducing_bases(bases: Bases, modes: list[int]) -> Bases:
    """The bases of `modes`, without square ones: a rotation changes no other mode's scatter."""
    return [
        b if b is not None and n in modes and b.shape[0] < b.shape[1] else None
        for n, b in enumerate(bases)
    ]


def initial_bases(spectra: Spectra, ranks: Ranks) -> list[np.ndarray | None]:
    """Leading eigenvectors of every mode; None for an axis that stays unchanged."""
    return [None if p is None else u[:p] for p, (_, u) in zip(ranks, spectra, strict=True)]


def whole_bases(bases: Bases, known: Moments) -> list[np.ndarray]:
    """The bases, with the identity for an axis that stays unchanged."""
    return [np.eye(i) if b is None else b for i, b in zip(known.mean.shape, bases, strict=True)]


# ---------------------------------------------------------------- the analysis


class MPCAResult(NamedTuple):
    """Result of :func:`mpca`.

    Attributes
    ----------
    components : list of ndarray of shape (P_n, I_n)
        Orthonormal rows of each axis.
    eigenvalues : list of ndarray of shape (I_n,)
        Eigenvalues of each axis's total scatter matrix, descending.
    scatter : ndarray of shape (n_sweeps + 1,)
        Sum of squares of the projected samples: with the initial bases, then after each sweep.
    feature_scatter : ndarray of shape (P_1, ..., P_N)
        Sum over the samples of the square of every entry of the projected samples.
    moments : Moments
        Number of samples, mean and total scatter matrices.
    """

    components: list[np.ndarray]
    eigenvalues: list[np.ndarray]
    scatter: np.ndarray
    feature_scatter: np.ndarray
    moments: Moments

    @property
    def mean(self) -> np.ndarray:
        """Mean of the samples, float64."""
        return self.moments.mean

    @property
    def total_scatter(self) -> float:
        """Sum of squares of the centered samples."""
        return self.moments.total_scatter


def mpca(
    x: Any,
    n_components: Any = 0.95,
    *,
    criterion: str = "per-mode",
    max_iter: int = 1,
    tol: float = 0.0,
) -> MPCAResult:
    """Multilinear principal component analysis of a batch of tensors.

    Parameters
    ----------
    x : ndarray, torch.Tensor, Stored or dask array of shape (n_samples, I_1, ..., I_N)
        Samples in float32 or float64. With two axes this is ordinary PCA.
    n_components : float, int or tuple of N (float, int or None), default=0.95
        A float in (0, 1] is a share of variation to keep (see `criterion`), an int the rank of
        every mode. A tuple has one entry per mode; None leaves that axis unchanged.
    criterion : {"per-mode", "total"}, default="per-mode"
        Quantity that a float is a share of: the total scatter of each mode, or the scatter of
        the tensors.
    max_iter : int, default=1
        Maximum number of sweeps over the modes. 0 returns the initial bases.
    tol : float, default=0.0
        Sweeps stop when one adds less than this share of the total scatter. 0 never stops early.

    Returns
    -------
    MPCAResult
        Components, eigenvalues, scatter and moments.

    Raises
    ------
    ValueError
        If `n_components` does not fit the shape of `x`, or `x` contains NaN or infinity.

    References
    ----------
    .. [1] H. Lu, K. N. Plataniotis and A. N. Venetsanopoulos, "MPCA: Multilinear principal
       component analysis of tensor objects", IEEE Trans. Neural Networks 19(1), 18-39, 2008,
       figure 3.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf.multilinear import mpca
    >>> x = np.random.default_rng(0).standard_normal((20, 4, 5, 6))
    >>> result = mpca(x, (2, None, 3), max_iter=4)
    >>> [c.shape for c in result.components]
    [(2, 4), (5, 5), (3, 6)]
    >>> bool(np.all(np.diff(result.scatter) >= 0))
    True
    """
    if not isinstance(x, NUMPY) and not is_dask(x):
        x = numpy_view(x.detach())
    known = moments(x)
    spectra = [eigen(scatter) for scatter in known.scatters]
    eps = float(np.finfo(numpy_dtype(x)).eps)
    share = _total_share(n_components, criterion)
    if share is None:
        ranks = choose_ranks(n_components, spectra, eps)
        found = _sweeps(x, known, spectra, ranks, max_iter, tol)
    else:
        found = _fit_total(x, known, spectra, share, eps, max_iter, tol)
    components, scatter, features = found
    return MPCAResult(components, [values for values, _ in spectra], scatter, features, known)


def _fit_total(
    x: Any, known: Moments, spectra: Spectra, share: float, eps: float, max_iter: int, tol: float
) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """Sweeps from the smallest ranks whose initial subspaces keep `share` of the total."""
    # The squared entries of the projection on ranks that are large enough for any data give the
    # scatter that all smaller ranks would keep.
    safe, total = _safe_ranks(share, spectra, eps), known.total_scatter
    kept = sum_of_squares(x, known.mean, initial_bases(spectra, safe))
    for axis in range(kept.ndim):
        kept = kept.cumsum(axis)
    while True:
        ranks, kept_there = _smallest_ranks(kept, share * total)
        found = _sweeps(x, known, spectra, ranks, max_iter, tol)
        if found[1][-1] >= share * total or ranks == safe:
            return found
        # Sweeps never lose scatter, so rounding is to blame: go on to ranks that keep more.
        kept = np.where(kept <= kept_there, -1.0, kept)


def mpca_from_moments(
    known: Moments, n_components: Any = 0.95, *, criterion: str = "per-mode", eps: float
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Initial bases and eigenvalues of MPCA, which the moments alone determine."""
    spectra = [eigen(scatter) for scatter in known.scatters]
    share = _total_share(n_components, criterion)
    if share is None:
        ranks = choose_ranks(n_components, spectra, eps)
    else:
        ranks = _safe_ranks(share, spectra, eps)
    components = whole_bases(initial_bases(spectra, ranks), known)
    return components, [values for values, _ in spectra]
