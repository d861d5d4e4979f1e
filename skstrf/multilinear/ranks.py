"""How many components of each mode to keep."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np

from skstrf.utils.settings import checked_number, checked_reals

__all__ = ["Ranks", "rank_for_share", "ranks_for", "safe_ranks", "smallest_ranks", "total_share"]

Ranks = list["int | None"]


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

    Raises
    ------
    ValueError
        For a share that is not in (0, 1], or eigenvalues that are none.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf.multilinear import rank_for_share
    >>> rank_for_share(np.array([6.0, 3.0, 1.0, 0.0]), 0.9)
    2
    >>> rank_for_share(np.array([6.0, 3.0, 1.0, 0.0]), 1.0)
    3
    """
    eigenvalues = checked_reals(eigenvalues, "eigenvalues")
    share = checked_number(share, "share", low=0, high=1, open_low=True)
    if share >= 1:
        rounding = eigenvalues[0] * eigenvalues.size * eps
        return max(1, int(np.sum(eigenvalues > rounding)))
    kept = np.cumsum(eigenvalues)
    return min(int(np.searchsorted(kept, share * kept[-1])) + 1, eigenvalues.size)


def ranks_for(n_components: Any, eigenvalues: Sequence[np.ndarray], eps: float) -> Ranks:
    """Find the rank of every mode.

    Parameters
    ----------
    n_components : float, int or tuple of N (float, int or None)
        As `mpca` takes it.
    eigenvalues : sequence of N ndarray of shape (I_n,)
        Descending, of each mode's scatter.
    eps : float
        Precision they were computed in.

    Returns
    -------
    list of N (int or None)
        None where the axis is left as it is.

    Raises
    ------
    ValueError
        When `n_components` does not fit.
    """
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
    """Find the share of total scatter asked for.

    Parameters
    ----------
    n_components : float, int or tuple
        As `mpca` takes it.
    criterion : {"per-mode", "total"}
        As `mpca` takes it.

    Returns
    -------
    float or None
        None when ranks are found mode by mode.

    Raises
    ------
    ValueError
        When the total criterion meets shares for single modes.
    """
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
    """Ranks that keep a share of the total, whatever the data.

    Parameters
    ----------
    share : float
        Of the total scatter, in (0, 1].
    eigenvalues : sequence of N ndarray of shape (I_n,)
        Descending, of each mode's scatter.
    eps : float
        Precision they were computed in.

    Returns
    -------
    list of N int
        What all modes cut off, added up, bounds what the projection loses; so every mode may
        lose its N-th of the allowance.
    """
    return ranks_for(1 - (1 - share) / len(eigenvalues), eigenvalues, eps)


def smallest_ranks(kept: np.ndarray, goal: float) -> tuple[Ranks, float]:
    """Ranks of smallest product, among them of most scatter, that keep enough.

    Parameters
    ----------
    kept : ndarray of shape (P_1, ..., P_N)
        Scatter kept by the ranks that the position stands for, each one more than its index.
    goal : float
        The least scatter accepted.

    Returns
    -------
    ranks : list of N int
        The largest ones when none is enough.
    kept_there : float
        The scatter they keep.
    """
    sizes = np.ones(())
    for length in kept.shape:
        sizes = np.multiply.outer(sizes, np.arange(1, length + 1))
    enough = np.flatnonzero(kept >= goal)
    if enough.size == 0:
        return list(kept.shape), float(kept.flat[-1])
    best = enough[np.lexsort((-kept.flat[enough], sizes.flat[enough]))[0]]
    ranks: Ranks = [int(i) + 1 for i in np.unravel_index(best, kept.shape)]
    return ranks, float(kept.flat[best])
