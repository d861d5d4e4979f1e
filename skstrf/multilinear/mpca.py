"""How many components of each mode to keep."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from math import prod
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np

from skstrf.multilinear.moments import Moments, add_arrays, moments, reduce_blocks
from skstrf.multilinear.products import (
    Bases,
    Scratch,
    double,
    gram,
    map_chunks,
    numpy_view,
    project,
    projector,
    single_threaded_blas,
    sum_in_double,
)
from skstrf.utils.arrays import is_torch, to_numpy
from skstrf.utils.lazy import is_dask
from skstrf.utils.validation import checked_number, checked_reals

__all__ = [
    "MPCAResult",
    "Ranks",
    "energy",
    "mpca",
    "mpca_from_moments",
    "partial_scatter",
    "rank_for_share",
    "ranks_for",
    "safe_ranks",
    "smallest_ranks",
    "total_share",
]


Ranks = list["int | None"]


def rank_for_share(
    eigenvalues: np.ndarray, share: float, eps: float = float(np.finfo(float).eps)
) -> int:
    """Fewest leading eigenvalues that hold a share of their sum."""
    eigenvalues = checked_reals(eigenvalues, "eigenvalues")
    share = checked_number(share, "share", low=0, high=1, open_low=True)
    if share >= 1:
        rounding = eigenvalues[0] * eigenvalues.size * eps
        return max(1, int(np.sum(eigenvalues > rounding)))
    kept = np.cumsum(eigenvalues)
    return min(int(np.searchsorted(kept, share * kept[-1])) + 1, eigenvalues.size)


def ranks_for(n_components: Any, eigenvalues: Sequence[np.ndarray], eps: float) -> Ranks:
    """Find the rank of every mode."""
    order = len(eigenvalues)
    if not isinstance(n_components, tuple | list | np.ndarray):
        n_components = [n_components] * order
    if len(n_components) != order:
        raise ValueError(
            f"n_components={n_components!r} has {len(n_components)} entries, but the samples of X "
            f"have {order} axes: give one entry for each axis, or a single number."
        )
    return [_rank(wanted, n, eigenvalues[n], eps) for n, wanted in enumerate(n_components)]


def _rank(wanted: Any, n: int, eigenvalues: np.ndarray, eps: float) -> int | None:
    if wanted is None:
        return None
    if isinstance(wanted, Integral):
        if not 1 <= int(wanted) <= eigenvalues.size:
            raise ValueError(
                f"n_components={wanted} for axis {n + 1} of X, which has {eigenvalues.size} "
                f"entries: an int must lie between 1 and {eigenvalues.size}. None leaves the "
                "axis whole, a float keeps a share of its variation."
            )
        return int(wanted)
    if not (isinstance(wanted, Real) and 0 < float(wanted) <= 1):
        raise ValueError(
            f"n_components={wanted!r} for axis {n + 1} of X: give an int (a rank), a float in "
            "(0, 1] (a share of variation) or None (leave the axis whole)."
        )
    return rank_for_share(eigenvalues, float(wanted), eps)


def total_share(n_components: Any, criterion: str) -> float | None:
    """Find the share of total scatter asked for."""
    if criterion == "per-mode" or isinstance(n_components, Integral):
        return None
    if isinstance(n_components, Real):
        return float(n_components)
    if any(isinstance(p, Real) and not isinstance(p, Integral) for p in n_components):
        raise ValueError(
            f"criterion='total' needs n_components to be one float, got {n_components!r}: shares "
            "for single modes go with criterion='per-mode'."
        )
    return None


def safe_ranks(share: float, eigenvalues: Sequence[np.ndarray], eps: float) -> Ranks:
    """Ranks that keep a share of the total, whatever the data."""
    return ranks_for(1 - (1 - share) / len(eigenvalues), eigenvalues, eps)


def smallest_ranks(kept: np.ndarray, goal: float) -> tuple[Ranks, float]:
    """Ranks of smallest product, among them of most scatter, that keep enough."""
    sizes = np.ones(())
    for length in kept.shape:
        sizes = np.multiply.outer(sizes, np.arange(1, length + 1))
    enough = np.flatnonzero(kept >= goal)
    if enough.size == 0:
        return list(kept.shape), float(kept.flat[-1])
    best = enough[np.lexsort((-kept.flat[enough], sizes.flat[enough]))[0]]
    ranks: Ranks = [int(i) + 1 for i in np.unravel_index(best, kept.shape)]
    return ranks, float(kept.flat[best])


def partial_scatter(y: Any, mean: Any, bases: Bases, axis: int) -> np.ndarray:
    """Scatter matrix along `axis` of data projected on the other axes ([1]_, equation 8)."""
    if is_dask(y):
        return reduce_blocks(y, partial_scatter, add_arrays, mean, bases, axis)
    scratch, projected = Scratch(), projector(y, mean, bases)
    grams = map_chunks(lambda rows: [gram(projected(rows), axis, scratch)], y)
    return to_numpy(sum_in_double(grams)[0])


def energy(y: Any, mean: Any, bases: Bases) -> np.ndarray:
    """Sum of squares over samples of every entry of projected tensors."""
    if is_dask(y):
        return reduce_blocks(y, energy, add_arrays, mean, bases)
    projected = projector(y, mean, bases)
    sums = map_chunks(lambda rows: [(double(projected(rows)) ** 2).sum(0)], y)
    return to_numpy(sum_in_double(sums)[0])


# Projections held between the updates of one part: at most a quarter of the data, unless that is
# little; never more than the second figure. Beyond it every mode takes a pass of its own.
HELD_BYTES = (16 * 2**20, 512 * 2**20)

Spectra = list[tuple[np.ndarray, np.ndarray]]


class MPCAResult(NamedTuple):
    """What `mpca` found."""

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
        """Sum of squares of the centered data."""
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
        float32 or float64; not changed. Order 1 (two axes) is ordinary PCA.
    n_components : float, int or tuple of N (float, int or None), default 0.95
        float in (0, 1]: a share of variation to keep (see `criterion`). int: the rank of every
        mode. In a tuple, each mode its own; None leaves that axis as it is.
    criterion : {"per-mode", "total"}, default "per-mode"
        What a float is a share of: each mode's own total scatter, or the scatter of the tensors.
    max_iter : int, default 1
        Most sweeps over the modes; with 0 the initial bases stay.
    tol : float, default 0.0
        Stop when a sweep adds less than this share of the total scatter; 0 never stops early.

    Returns
    -------
    MPCAResult
        Components, mean, eigenvalues and scatter.

    Raises
    ------
    ValueError
        When `n_components` does not fit the shape of `x`, or `x` is not finite.

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
    x = numpy_view(x.detach() if is_torch(x) else x)
    found = moments(x)
    spectra = [_eigen(scatter) for scatter in found.scatters]
    eigenvalues = [values for values, _ in spectra]
    share = total_share(n_components, criterion)
    if share is None:
        ranks = ranks_for(n_components, eigenvalues, _eps(x))
        swept = _sweeps(x, found, spectra, ranks, max_iter, tol)
    else:
        swept = _fit_total(x, found, spectra, share, max_iter, tol)
    components, scatter, features = swept
    return MPCAResult(components, eigenvalues, scatter, features, found)


def mpca_from_moments(
    known: Moments, n_components: Any = 0.95, *, criterion: str = "per-mode", eps: float
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Initial bases of MPCA: all that can be found without seeing the data again."""
    spectra = [_eigen(scatter) for scatter in known.scatters]
    eigenvalues = [values for values, _ in spectra]
    share = total_share(n_components, criterion)
    if share is None:
        ranks = ranks_for(n_components, eigenvalues, eps)
    else:
        ranks = safe_ranks(share, eigenvalues, eps)
    bases = [None if p is None else u[:p] for p, (_, u) in zip(ranks, spectra, strict=True)]
    return _whole(bases, known), eigenvalues


# ---------------------------------------------------------------- sweeps


class _Source(NamedTuple):
    """Data to sum a scatter from, and the modes in which they are not projected yet."""

    data: Any
    mean: Any
    modes: list[int]


def _sweeps(
    x: Any, known: Moments, spectra: Spectra, ranks: Ranks, max_iter: int, tol: float
) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """From the initial subspaces to components, scatter per sweep and feature scatter."""
    bases: list[Any] = [
        None if p is None else u[:p] for p, (_, u) in zip(ranks, spectra, strict=True)
    ]
    active = [n for n, p in enumerate(ranks) if p is not None]
    mean, total = known.mean, known.total_scatter
    source = everything = _Source(x, mean, list(range(len(ranks))))
    scatter: list[float] = []
    if len(active) < 2:  # nothing to alternate between: the initial subspace is the best
        kept = sum((spectra[n][0][: ranks[n]].sum() for n in active), 0.0) if active else total
        scatter = [kept] * (max_iter + 1)
    parts = _two_parts(active, x.shape[1:], ranks)
    while max_iter and len(scatter) <= max_iter:
        for part in parts:
            source = everything  # lets go of the projection on the other part
            source = _partial_source(x, mean, bases, part)
            for n in part:
                gram = _mode_n_scatter(source, bases, n)
                if not scatter:
                    scatter.append(float(np.vdot(bases[n] @ gram, bases[n])))
                values, vectors = _eigen(gram)
                bases[n] = vectors[: ranks[n]]
        # The mode updated last has seen all the others as they are now.
        scatter.append(float(values[: ranks[n]].sum()))
        if tol > 0 and scatter[-1] - scatter[-2] < tol * total:
            break
    # Square bases were passed over in the projection of the source.
    left = [b if n in source.modes or _is_square(b) else None for n, b in enumerate(bases)]
    features = energy(source.data, source.mean, left)
    return _whole(bases, known), np.array(scatter or [features.sum()]), features


def _whole(bases: Bases, known: Moments) -> list[np.ndarray]:
    """The bases, the identity for an axis left as it is."""
    return [np.eye(i) if b is None else b for i, b in zip(known.mean.shape, bases, strict=True)]


def _two_parts(active: list[int], shape: tuple[int, ...], ranks: Ranks) -> list[list[int]]:
    """Cut the modes in two where the tensors projected on the other part are smallest.

    While the modes of one part are updated in turn, the product with those of the other stays
    the same: two products with the whole data a sweep instead of one a mode, and the updates
    keep the order of the paper.
    """

    def size(part: list[int]) -> int:
        rest = set(active) - set(part)
        return prod(ranks[n] if n in rest else i for n, i in enumerate(shape))  # type: ignore[misc]

    cuts = [[active[:k], active[k:]] for k in range(1, len(active))]
    return min(cuts, key=lambda cut: size(cut[0]) + size(cut[1]), default=[])


def _partial_source(x: Any, mean: Any, bases: Bases, part: list[int]) -> _Source:
    """Project the data on the modes outside `part`, unless that is too large to hold."""
    outside = _reducing(bases, [n for n in range(len(bases)) if n not in part])
    shape = [i if b is None else b.shape[0] for i, b in zip(x.shape[1:], outside, strict=True)]
    item = x.element_size() if is_torch(x) else x.itemsize
    if x.shape[0] * prod(shape) * item > max(HELD_BYTES[0], min(HELD_BYTES[1], x.nbytes // 4)):
        return _Source(x, mean, list(range(len(bases))))
    projected = project(x, mean, outside)
    return _Source(projected.persist() if is_dask(x) else projected, None, part)


def _mode_n_scatter(source: _Source, bases: Bases, n: int) -> np.ndarray:
    others = _reducing(bases, [m for m in source.modes if m != n])
    return partial_scatter(source.data, source.mean, others, n + 1)


def _reducing(bases: Bases, modes: list[int]) -> Bases:
    """The bases of `modes` without the square ones: a rotation changes no other mode's scatter."""
    return [b if n in modes and not _is_square(b) else None for n, b in enumerate(bases)]


def _is_square(basis: np.ndarray | None) -> bool:
    return basis is not None and basis.shape[0] == basis.shape[1]


def _eigen(scatter: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues, descending and not negative, and eigenvectors as rows with a fixed sign."""
    # Several threads on a small matrix mostly wait for each other, on a busy machine for long.
    with single_threaded_blas() if len(scatter) < 512 else nullcontext():
        values, vectors = np.linalg.eigh(scatter)
    rows = vectors.T[::-1]
    largest = np.take_along_axis(rows, np.abs(rows).argmax(1)[:, None], axis=1)
    return np.maximum(values[::-1], 0.0), rows * np.where(largest < 0, -1.0, 1.0)


def _fit_total(
    x: Any, known: Moments, spectra: Spectra, share: float, max_iter: int, tol: float
) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """Sweeps from the smallest ranks whose initial subspaces keep `share` of the total.

    The squared entries of a projection that is safe tell what any smaller ranks would keep.
    """
    safe, total = safe_ranks(share, [v for v, _ in spectra], _eps(x)), known.total_scatter
    bases = [u[:p] for p, (_, u) in zip(safe, spectra, strict=True)]
    kept = energy(x, known.mean, bases)
    for axis in range(kept.ndim):
        kept = kept.cumsum(axis)
    while True:
        ranks, kept_there = smallest_ranks(kept, share * total)
        found = _sweeps(x, known, spectra, ranks, max_iter, tol)
        if found[1][-1] >= share * total or ranks == safe:
            return found
        # Sweeps only gain, so this is rounding: go on to ranks that keep more.
        kept = np.where(kept <= kept_there, -1.0, kept)


def _eps(x: Any) -> float:
    return float(np.finfo(str(x.dtype).removeprefix("torch.")).eps)
