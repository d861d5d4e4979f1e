"""The MPCA algorithm of Lu, Plataniotis and Venetsanopoulos (2008), as functions."""

from __future__ import annotations

from contextlib import nullcontext
from math import prod
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np

from skstrf.multilinear.products import Bases, project
from skstrf.multilinear.scatter import energy, mode_scatter, partial_scatter
from skstrf.multilinear.streaming import numpy_view, single_threaded_blas
from skstrf.utils.arrays import is_torch

__all__ = ["MPCAResult", "mpca", "rank_for_share"]

# Projections held between the updates of one part: at most a quarter of the data, unless that is
# little; never more than the second figure. Beyond it every mode takes a pass of its own.
HELD_BYTES = (16 * 2**20, 512 * 2**20)

Ranks = list["int | None"]
Spectra = list[tuple[np.ndarray, np.ndarray]]


class MPCAResult(NamedTuple):
    """What `mpca` found.

    Attributes
    ----------
    components : list of ndarray of shape (P_n, I_n)
        Orthonormal rows, one matrix a mode; each row's entry of largest magnitude is positive.
    mean : ndarray of shape (I_1, ..., I_N)
        Mean of the samples, float64.
    eigenvalues : list of ndarray of shape (I_n,)
        Descending eigenvalues of each mode's total scatter matrix (sums, not divided by n).
    total_scatter : float
        Sum of squares of the centred data.
    scatter : ndarray of shape (n_sweeps + 1,)
        Sum of squares of the projected data: for the initial projection, then after each sweep.
    feature_scatter : ndarray of shape (P_1, ..., P_N)
        Sum of squares over samples of each entry of the projected tensors.
    """

    components: list[np.ndarray]
    mean: np.ndarray
    eigenvalues: list[np.ndarray]
    total_scatter: float
    scatter: np.ndarray
    feature_scatter: np.ndarray


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
    x : ndarray or torch.Tensor of shape (n_samples, I_1, ..., I_N)
        float32 or float64; not changed. Order 1 (two axes) is ordinary PCA.
    n_components : float, int or tuple of N (float, int or None), default 0.95
        float in (0, 1]: a share of variation to keep (see `criterion`). int: the rank of every
        mode. In a tuple, each mode its own; None leaves that axis as it is.
    criterion : {"per-mode", "total"}, default "per-mode"
        What a float is a share of: each mode's own total scatter, or the scatter of the tensors.
    max_iter : int, default 1
        Most sweeps over the modes.
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
    mean, scatters = mode_scatter(x)
    total = float(np.trace(scatters[-1]))
    if not np.isfinite(total):
        raise ValueError(
            "X contains NaN or infinity, or values whose squares overflow its dtype: find the "
            "samples with numpy.isfinite and leave them out, or scale X down."
        )
    spectra = [_eigen(scatter) for scatter in scatters]
    share = _total_share(n_components, criterion)
    if share is None:
        ranks = _ranks(n_components, spectra, _eps(x))
        found = _sweeps(x, mean, spectra, ranks, max_iter, tol, total)
    else:
        found = _fit_total(x, mean, spectra, share, max_iter, tol, total)
    components, scatter, features = found
    return MPCAResult(components, mean, [v for v, _ in spectra], total, scatter, features)


def rank_for_share(
    eigenvalues: np.ndarray, share: float, eps: float = float(np.finfo(float).eps)
) -> int:
    """Fewest leading eigenvalues that hold a share of their sum.

    Parameters
    ----------
    eigenvalues : ndarray of shape (n,)
        Descending, not negative.
    share : float
        In (0, 1].
    eps : float
        Precision the eigenvalues were computed in: a share of 1 keeps those above rounding.

    Returns
    -------
    int
        The first rank whose cumulated share is at least `share`; 1 when all are zero.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf.multilinear import rank_for_share
    >>> rank_for_share(np.array([6.0, 3.0, 1.0, 0.0]), 0.9)
    2
    >>> rank_for_share(np.array([6.0, 3.0, 1.0, 0.0]), 1.0)
    3
    """
    if share >= 1:
        rounding = eigenvalues[0] * eigenvalues.size * eps
        return max(1, int(np.sum(eigenvalues > rounding)))
    kept = np.cumsum(eigenvalues)
    return min(int(np.searchsorted(kept, share * kept[-1])) + 1, eigenvalues.size)


# ---------------------------------------------------------------- sweeps


class _Source(NamedTuple):
    """Data to sum a scatter from, and the modes in which they are not projected yet."""

    data: Any
    mean: Any
    modes: list[int]


def _sweeps(
    x: Any, mean: Any, spectra: Spectra, ranks: Ranks, max_iter: int, tol: float, total: float
) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """From the initial subspaces to components, scatter per sweep and feature scatter."""
    bases: list[Any] = [
        None if p is None else u[:p] for p, (_, u) in zip(ranks, spectra, strict=True)
    ]
    active = [n for n, p in enumerate(ranks) if p is not None]
    source = _Source(x, mean, list(range(len(ranks))))
    scatter: list[float] = []
    if len(active) < 2:  # nothing to alternate between: the initial subspace is the best
        kept = sum((spectra[n][0][: ranks[n]].sum() for n in active), 0.0) if active else total
        scatter = [kept] * (max_iter + 1)
    parts = _two_parts(active, x.shape[1:], ranks)
    while len(scatter) <= max_iter:
        for part in parts:
            source = _partial_source(x, mean, bases, part)
            for n in part:
                gram = _mode_n_scatter(source, bases, n)
                if not scatter:
                    scatter.append(float(np.trace(bases[n] @ gram @ bases[n].T)))
                values, vectors = _eigen(gram)
                bases[n] = vectors[: ranks[n]]
        # The mode updated last has seen all the others as they are now.
        scatter.append(float(values[: ranks[n]].sum()))
        if tol > 0 and scatter[-1] - scatter[-2] < tol * total:
            break
    # Square bases were passed over in the projection of the source.
    left = [b if n in source.modes or _is_square(b) else None for n, b in enumerate(bases)]
    features = energy(source.data, source.mean, left)
    whole = [np.eye(i) if b is None else b for i, b in zip(x.shape[1:], bases, strict=True)]
    return whole, np.array(scatter), features


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
    return _Source(project(x, mean, outside), None, part)


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


# ---------------------------------------------------------------- ranks


def _ranks(n_components: Any, spectra: Spectra, eps: float) -> Ranks:
    """The rank of every mode, None where the axis is left as it is."""
    order = len(spectra)
    if not isinstance(n_components, tuple | list | np.ndarray):
        n_components = [n_components] * order
    if len(n_components) != order:
        raise ValueError(
            f"n_components={n_components!r} has {len(n_components)} entries, but the samples of X "
            f"have {order} axes: give one entry for each axis, or a single number."
        )
    return [_rank(wanted, n, spectra[n][0], eps) for n, wanted in enumerate(n_components)]


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


def _total_share(n_components: Any, criterion: str) -> float | None:
    """The share of total scatter asked for, None when ranks are found mode by mode."""
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


def _fit_total(
    x: Any, mean: Any, spectra: Spectra, share: float, max_iter: int, tol: float, total: float
) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """Sweeps from the smallest ranks whose initial subspaces keep `share` of the total.

    What all modes cut off, added up, bounds what the projection loses. So the ranks at which
    every mode loses its N-th of the allowance are enough, and the squared entries of that
    projection tell what any smaller ranks would keep.
    """
    safe = _ranks(1 - (1 - share) / len(spectra), spectra, _eps(x))
    bases = [u[:p] for p, (_, u) in zip(safe, spectra, strict=True)]
    kept = energy(x, mean, bases)
    for axis in range(kept.ndim):
        kept = kept.cumsum(axis)
    while True:
        ranks, kept_there = _smallest_ranks(kept, share * total)
        found = _sweeps(x, mean, spectra, ranks, max_iter, tol, total)
        if found[1][-1] >= share * total or ranks == safe:
            return found
        # Sweeps only gain, so this is rounding: go on to ranks that keep more.
        kept = np.where(kept <= kept_there, -1.0, kept)


def _smallest_ranks(kept: np.ndarray, goal: float) -> tuple[Ranks, float]:
    """Ranks of smallest product, among them of most scatter, that keep at least `goal`."""
    sizes = np.ones(())
    for length in kept.shape:
        sizes = np.multiply.outer(sizes, np.arange(1, length + 1))
    enough = np.flatnonzero(kept >= goal)
    if enough.size == 0:
        return list(kept.shape), float(kept.flat[-1])
    best = enough[np.lexsort((-kept.flat[enough], sizes.flat[enough]))[0]]
    ranks: Ranks = [int(i) + 1 for i in np.unravel_index(best, kept.shape)]
    return ranks, float(kept.flat[best])


def _eps(x: Any) -> float:
    return float(np.finfo(str(x.dtype).removeprefix("torch.")).eps)
