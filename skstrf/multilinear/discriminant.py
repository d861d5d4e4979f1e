"""Separation of classes in tensors: scores of features and multilinear discriminant analysis.

The scatter between classes needs only the class means, one pass over the data. The scatter within
classes is the total scatter, which multilinear PCA computes as well, less that between classes.

References
----------
.. [1] H. Lu, K. N. Plataniotis and A. N. Venetsanopoulos, "MPCA: Multilinear principal
   component analysis of tensor objects", IEEE Trans. Neural Networks 19(1), 18-39, 2008,
   section IV.
.. [2] A.-H. Phan and A. Cichocki, "Tensor decompositions for feature extraction and
   classification of high dimensional datasets", Nonlinear Theory and Its Applications 1(1),
   37-68, 2010.
"""

from __future__ import annotations

from math import prod
from typing import Any, NamedTuple

import numpy as np

from skstrf.multilinear.mpca import (
    Moments,
    add_arrays,
    choose_ranks,
    eigen,
    initial_bases,
    moments,
    partial_scatter,
    partial_source,
    reducing_bases,
    sum_of_squares,
    two_parts,
    whole_bases,
)
from skstrf.multilinear.products import (
    NUMPY,
    Bases,
    Scratch,
    gram,
    grams,
    like,
    map_chunks,
    multi_mode_product,
    numpy_view,
    projector,
    sum_in_double,
)
from skstrf.utils.lazy import is_dask, reduce_blocks
from skstrf.utils.validation import checked_number, checked_whole, numpy_dtype

__all__ = ["MultilinearLDAResult", "fisher_scores", "multilinear_lda"]

# Steps of the trace-ratio iteration, which converges quadratically and rarely needs ten.
_MAX_STEPS = 50


class MultilinearLDAResult(NamedTuple):
    """Result of :func:`multilinear_lda`.

    Attributes
    ----------
    components : list of ndarray of shape (P_n, I_n)
        Orthonormal rows of each axis.
    criterion : ndarray of shape (n_sweeps + 1,)
        Ratio of scatter between to scatter within classes: with the initial bases, then after
        each sweep.
    scores : ndarray of shape (P_1, ..., P_N)
        Same ratio for every entry of the projected samples.
    moments : Moments
        Number of samples, mean and total scatter matrices.
    """

    components: list[np.ndarray]
    criterion: np.ndarray
    scores: np.ndarray
    moments: Moments


def multilinear_lda(
    x: Any,
    y: Any,
    n_components: Any,
    *,
    shrinkage: float = 0.9,
    max_iter: int = 5,
    tol: float = 1e-6,
) -> MultilinearLDAResult:
    """Find orthonormal bases of every mode that separate classes of tensors.

    Parameters
    ----------
    x : ndarray, torch.Tensor, Stored or dask array of shape (n_samples, I_1, ..., I_N)
        Samples.
    y : array-like of shape (n_samples,)
        Classes of the samples.
    n_components : float, int or tuple of N (float, int or None)
        Ranks of the modes. A float in (0, 1] is a share of the scatter between classes along
        each mode, an int a rank. None leaves that axis unchanged.
    shrinkage : float, default=0.9
        Weight in [0, 1] of a multiple of the identity, of the same trace, in the scatter within
        classes.
    max_iter : int, default=5
        Maximum number of sweeps over the modes. 0 returns the initial bases.
    tol : float, default=1e-6
        Sweeps stop when one increases the ratio by less than this share of it.

    Returns
    -------
    MultilinearLDAResult
        Components, ratios and moments.

    Raises
    ------
    ValueError
        If `n_components` does not fit the shape of `x`, `y` has a single class or another
        length, or `x` contains NaN or infinity.

    References
    ----------
    .. [1] A.-H. Phan and A. Cichocki, "Tensor decompositions for feature extraction and
       classification of high dimensional datasets", Nonlinear Theory and Its Applications 1(1),
       37-68, 2010, algorithm HODA.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf.multilinear import multilinear_lda
    >>> y = np.arange(20) % 2
    >>> x = np.random.default_rng(0).standard_normal((20, 4, 5, 6)) + y[:, None, None, None]
    >>> result = multilinear_lda(x, y, (2, None, 3))
    >>> [c.shape for c in result.components]
    [(2, 4), (5, 5), (3, 6)]
    >>> bool(np.all(np.diff(result.criterion) > -1e-9))
    True
    """
    shrinkage = checked_number(shrinkage, "shrinkage", low=0, high=1)
    max_iter = checked_whole(max_iter, "max_iter", low=0)
    x = _batch(x)
    codes, counts = _codes(y, x.shape[0])
    known, shape = moments(x), tuple(x.shape[1:])
    means = _class_sums(x, codes, len(counts), known.mean, [None] * len(shape))
    means /= np.sqrt(counts).reshape(-1, *[1] * len(shape))  # its grams are scatter matrices
    between = grams(means)
    spectra = [eigen(b) for b in between]
    ranks = choose_ranks(n_components, spectra, float(np.finfo(numpy_dtype(x)).eps))
    active = [n for n, p in enumerate(ranks) if p is not None]
    # A ridge over all entries of the samples. The projection on orthonormal bases of ranks P_n
    # keeps prod(P_n) entries of it, so that every mode improves the same ratio.
    within = known.total_scatter - float(np.trace(between[0]))
    ridge = shrinkage * max(within, 0.0) / prod(shape)

    def shrunk(total: np.ndarray, gap: np.ndarray, others: int) -> np.ndarray:
        return (1 - shrinkage) * (total - gap) + ridge * others * np.eye(len(gap))

    def solve(n: int, total: np.ndarray, gap: np.ndarray, others: int) -> tuple[Any, float]:
        return _trace_ratio(gap, shrunk(total, gap, others), ranks[n])  # type: ignore[arg-type]

    bases: list[Any] = initial_bases(spectra, ranks)
    for n in active:
        others = prod(shape) // shape[n]
        bases[n], ratio = solve(n, known.scatters[n], between[n], others)
    sizes = [i if b is None else len(b) for b, i in zip(bases, shape, strict=True)]
    parts = two_parts(active, shape, ranks)
    criterion: list[float] = []
    if len(active) < 2:  # nothing to alternate between
        parts, max_iter = [active], min(max_iter, 1)
    for _ in range(max_iter if active else 0):
        for part in parts:
            source = partial_source(x, known.mean, bases, part)
            for n in part:
                outside = reducing_bases(bases, [m for m in source.modes if m != n])
                total = partial_scatter(source.data, source.mean, outside, n + 1)
                rest = reducing_bases(bases, [m for m in range(len(bases)) if m != n])
                gap = gram(multi_mode_product(means, rest), n + 1, Scratch())
                others = prod(sizes) // sizes[n]
                if not criterion:
                    criterion.append(_ratio(bases[n], gap, shrunk(total, gap, others)))
                bases[n], ratio = solve(n, total, gap, others)
            del source
        criterion.append(ratio)
        if criterion[-1] - criterion[-2] <= tol * abs(criterion[-1]):
            break
    components = whole_bases(bases, known)
    scores = _feature_ratios(x, codes, counts, known.mean, bases)
    return MultilinearLDAResult(components, np.array(criterion), scores, known)


def fisher_scores(x: Any, y: Any, mean: Any, components: Bases) -> np.ndarray:
    """Scatter between classes over scatter within classes of every projected entry.

    This is the order in which [1]_ passes the features of MPCA to a classifier.

    Parameters
    ----------
    x : ndarray, torch.Tensor, Stored or dask array of shape (n_samples, I_1, ..., I_N)
        Samples.
    y : array-like of shape (n_samples,)
        Classes of the samples.
    mean : ndarray of shape (I_1, ..., I_N)
        Mean of the samples.
    components : list of (ndarray of shape (P_n, I_n) or None)
        Rows of each axis; None leaves that axis unchanged.

    Returns
    -------
    ndarray of shape (P_1, ..., P_N)
        Ratios. 0 for entries that do not vary.

    Raises
    ------
    ValueError
        If `y` has a single class or another length than `x`.

    References
    ----------
    .. [1] H. Lu, K. N. Plataniotis and A. N. Venetsanopoulos, "MPCA: Multilinear principal
       component analysis of tensor objects", IEEE Trans. Neural Networks 19(1), 18-39, 2008,
       equation 18.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf.multilinear import fisher_scores
    >>> x, y = np.array([[0.0, 1.0], [2.0, 3.0], [10.0, 1.0], [12.0, 3.0]]), [0, 0, 1, 1]
    >>> fisher_scores(x, y, x.mean(0), [None])
    array([25.,  0.])
    """
    x = _batch(x)
    codes, counts = _codes(y, x.shape[0])
    return _feature_ratios(x, codes, counts, mean, components)


def _batch(x: Any) -> Any:
    return x if isinstance(x, NUMPY) or is_dask(x) else numpy_view(x.detach())


def _codes(y: Any, n_samples: int) -> tuple[np.ndarray, np.ndarray]:
    """Number the classes from 0, and count their samples."""
    y = np.asarray(y)
    if y.shape != (n_samples,):
        raise ValueError(f"y has shape {y.shape}: give one class for each of {n_samples} samples.")
    classes, codes, counts = np.unique(y, return_inverse=True, return_counts=True)
    if len(classes) < 2:
        raise ValueError("y has 1 class: at least 2 are required to separate classes.")
    return codes, counts


def _class_sums(
    x: Any, codes: np.ndarray, n_classes: int, mean: Any, bases: Bases, start: int = 0
) -> np.ndarray:
    """Sum of the centered and projected samples of each class."""
    if not isinstance(x, NUMPY) and is_dask(x):
        args = (codes, n_classes, mean, bases)
        return reduce_blocks(x, _class_sums, add_arrays, *args, needs_start=True)
    projected = projector(x, mean, bases)

    def task(rows: slice) -> list[Any]:
        part = projected(rows)
        labels = codes[start + rows.start : start + rows.stop]
        member = like((labels == np.arange(n_classes)[:, None]).astype(np.float64), part)
        return [(member @ part.reshape(len(part), -1)).reshape(n_classes, *part.shape[1:])]

    return sum_in_double(map_chunks(task, x))[0]


def _feature_ratios(
    x: Any, codes: np.ndarray, counts: np.ndarray, mean: Any, bases: Bases
) -> np.ndarray:
    sums = _class_sums(x, codes, len(counts), mean, bases)
    between = np.tensordot(1 / counts, sums**2, axes=1)
    total = sum_of_squares(x, mean, bases)
    # Entries that are rounding noise would have large ratios by chance.
    within = total - between
    least = 10 * np.finfo(numpy_dtype(x)).eps * total.max(initial=0.0)
    return np.where(total > least, between / np.maximum(within, max(least, 1e-300)), 0.0)


def _ratio(basis: np.ndarray, gap: np.ndarray, within: np.ndarray) -> float:
    above = float(np.vdot(basis @ gap, basis))
    below = float(np.vdot(basis @ within, basis))
    # Classes without any variation have the largest ratio that is still a number.
    return above / max(below, 1e-12 * above) if above > 0 else 0.0


def _trace_ratio(gap: np.ndarray, within: np.ndarray, rank: int) -> tuple[np.ndarray, float]:
    """Orthonormal rows with the largest trace of `gap` over trace of `within`."""
    basis = eigen(gap)[1][:rank]
    ratio = _ratio(basis, gap, within)
    for _ in range(_MAX_STEPS):
        basis = eigen(gap - ratio * within)[1][:rank]
        last, ratio = ratio, _ratio(basis, gap, within)
        if ratio - last <= 1e-10 * ratio:
            break
    return basis, ratio
