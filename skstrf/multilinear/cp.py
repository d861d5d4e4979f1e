"""Sums of few outer products (CP models) of tensors, fitted by tensorly.

A component is the outer product of one vector for every axis of the samples, for example a
profile over scales, one over rates and one over frequencies. This file adds what tensorly does
not have: scores of new samples.
"""

from __future__ import annotations

import string
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import nnls

from skstrf.multilinear.products import chunk_slices, empty_like, like

__all__ = [
    "NonNegativeCPResult",
    "TensorPLSResult",
    "cp_products",
    "cp_reconstruct",
    "non_negative_cp",
    "non_negative_scores",
    "tensor_pls",
]


class TensorPLSResult(NamedTuple):
    """Result of :func:`tensor_pls`.

    Attributes
    ----------
    components : list of ndarray of shape (R, I_n)
        Unit vectors of each axis, one row for each component.
    y_components : ndarray of shape (R, n_targets)
        Unit vectors of the targets.
    coef : ndarray of shape (R, R)
        The scores of the targets are the scores of the samples times this matrix.
    mean : ndarray of shape (I_1, ..., I_N)
        Mean of the samples.
    y_mean : ndarray of shape (n_targets,)
        Mean of the targets.
    """

    components: list[np.ndarray]
    y_components: np.ndarray
    coef: np.ndarray
    mean: np.ndarray
    y_mean: np.ndarray


class NonNegativeCPResult(NamedTuple):
    """Result of :func:`non_negative_cp`.

    Attributes
    ----------
    components : list of ndarray of shape (R, I_n)
        Non-negative unit vectors of each axis, one row for each component, the components with
        the largest scores first.
    scores : ndarray of shape (n_samples, R)
        Scores of the samples.
    errors : ndarray of shape (n_iter,)
        Error of the model relative to the norm of the data, after each iteration.
    """

    components: list[np.ndarray]
    scores: np.ndarray
    errors: np.ndarray


def tensor_pls(
    x: np.ndarray, y: np.ndarray, n_components: int, *, max_iter: int = 100, tol: float = 1e-9
) -> TensorPLSResult:
    """Fit multilinear partial least squares with :class:`tensorly.regression.CP_PLSR`.

    Parameters
    ----------
    x : ndarray of shape (n_samples, I_1, ..., I_N)
        Samples.
    y : ndarray of shape (n_samples, n_targets)
        Targets; classes as one column of zeros and ones each.
    n_components : int
        Number of components. Fewer are returned if they explain x or y completely.
    max_iter : int, default=100
        Maximum number of iterations for each component.
    tol : float, default=1e-9
        Iterations stop when the scores of y change by less.

    Returns
    -------
    TensorPLSResult
        Components in the order in which they are found.

    Raises
    ------
    ValueError
        If x or y is constant.

    References
    ----------
    .. [1] R. Bro, "Multiway calibration. Multilinear PLS", Journal of Chemometrics 10, 47-61,
       1996.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf.multilinear import tensor_pls
    >>> x = np.random.default_rng(0).standard_normal((20, 3, 4))
    >>> result = tensor_pls(x, x[:, :1, 0], 2)
    >>> [c.shape for c in result.components], result.coef.shape
    ([(2, 3), (2, 4)], (2, 2))
    """
    from tensorly.regression import CP_PLSR

    scale = np.linalg.norm(x - x.mean(0))
    if not scale > 0 or not np.ptp(y, axis=0).max() > 0:
        raise ValueError("X or y is constant: partial least squares needs variation in both.")
    model = CP_PLSR(n_components, tol=tol, n_iter_max=max_iter)
    try:
        with np.errstate(all="ignore"):
            model.fit(x, y)
    except np.linalg.LinAlgError:
        pass  # nothing was left of x or y; the components before that are complete
    scores = np.linalg.norm(model.X_factors[0], axis=0)
    usable = np.isfinite(scores) & (scores > 1e-10 * scale)
    usable &= np.all([np.isfinite(f).all(0) for f in [*model.X_factors, *model.Y_factors]], axis=0)
    n_usable = int(np.argmin(usable)) if not usable.all() else n_components
    rows = [f[:, :n_usable].T.copy() for f in model.X_factors[1:]]
    targets = model.Y_factors[1][:, :n_usable].T.copy()
    coef = model.coef_[:n_usable, :n_usable].copy()
    return TensorPLSResult(rows, targets, coef, x.mean(0), y.mean(0))


def non_negative_cp(
    x: np.ndarray,
    n_components: int,
    *,
    init: str = "svd",
    max_iter: int = 100,
    tol: float = 1e-6,
    random_state: Any = None,
) -> NonNegativeCPResult:
    """Fit a non-negative CP model with tensorly's hierarchical alternating least squares.

    Parameters
    ----------
    x : ndarray of shape (n_samples, I_1, ..., I_N)
        Non-negative samples.
    n_components : int
        Number of components.
    init : {"svd", "random"}, default="svd"
        Initial factors.
    max_iter : int, default=100
        Maximum number of iterations.
    tol : float, default=1e-6
        Iterations stop when the relative error decreases by less.
    random_state : int, RandomState instance or None, default=None
        Seed of the initial factors.

    Returns
    -------
    NonNegativeCPResult
        Components, scores and errors.

    Raises
    ------
    ValueError
        If x contains negative numbers or only zeros.

    References
    ----------
    .. [1] Y. Panagakis, E. Benetos and C. Kotropoulos, "Music genre classification: a multilinear
       approach", Proc. ISMIR, 583-588, 2008.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf.multilinear import non_negative_cp
    >>> x = np.random.default_rng(0).random((10, 3, 4))
    >>> result = non_negative_cp(x, 2, random_state=0)
    >>> result.scores.shape, [c.shape for c in result.components]
    ((10, 2), [(2, 3), (2, 4)])
    """
    from tensorly.decomposition import non_negative_parafac_hals

    if x.min() < 0 or not x.max() > 0:
        raise ValueError("X must be non-negative and not zero everywhere.")
    model, errors = non_negative_parafac_hals(
        x,
        n_components,
        n_iter_max=max_iter,
        init=init,
        tol=tol,
        random_state=random_state,
        return_errors=True,
    )
    scores = np.array(model.factors[0]) * np.asarray(model.weights)
    components = []
    for factor in model.factors[1:]:
        norms = np.linalg.norm(factor, axis=0)
        components.append((factor / np.where(norms > 0, norms, 1)).T)
        scores = scores * norms
    order = np.argsort(-np.linalg.norm(scores, axis=0), kind="stable")
    components = [np.ascontiguousarray(c[order]) for c in components]
    return NonNegativeCPResult(components, scores[:, order], np.asarray(errors, dtype=float))


def cp_products(x: Any, mean: Any, components: list[np.ndarray]) -> Any:
    """Inner products of centered samples with every component, (n_samples, R)."""
    outer = like(_outer_products(components).T, x)
    mean = None if mean is None else like(mean, x)
    out = empty_like(x, (x.shape[0], outer.shape[1]))
    for rows in chunk_slices(x):  # centered copies of a few samples at a time
        part = x[rows] if mean is None else x[rows] - mean
        out[rows] = part.reshape(part.shape[0], -1) @ outer
    return out


def cp_reconstruct(scores: Any, mean: Any, components: list[np.ndarray]) -> Any:
    """Sum of the components, weighted by the scores of every sample, plus the mean."""
    outer = like(_outer_products(components), scores)
    out = (scores @ outer).reshape(scores.shape[0], *(c.shape[1] for c in components))
    return out if mean is None else out + like(mean, scores)


def _outer_products(components: list[np.ndarray]) -> np.ndarray:
    """Components as vectors of all entries of a sample, (R, prod(I_n))."""
    letters = string.ascii_lowercase[: len(components)]
    terms = ",".join(f"z{letter}" for letter in letters)
    outer = np.einsum(f"{terms}->z{letters}", *components)
    return outer.reshape(len(outer), -1)


def cp_gram(components: list[np.ndarray]) -> np.ndarray:
    """Inner products of all pairs of components."""
    return np.prod([c @ c.T for c in components], axis=0)


def non_negative_scores(x: np.ndarray, components: list[np.ndarray]) -> np.ndarray:
    """Scores of samples by non-negative least squares.

    Parameters
    ----------
    x : ndarray of shape (n_samples, I_1, ..., I_N)
        Samples.
    components : list of ndarray of shape (R, I_n)
        Components, one row each.

    Returns
    -------
    ndarray of shape (n_samples, R)
        Non-negative scores whose sum of components is nearest to each sample.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf.multilinear import non_negative_scores
    >>> components = [np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([[1.0, 0.0], [0.6, 0.8]])]
    >>> x = np.array([[[2.0, 0.0], [1.8, 2.4]]])
    >>> non_negative_scores(x, components)
    array([[2., 3.]])
    """
    products = cp_products(x, None, components).astype(np.float64)
    # min |K a - x| over a >= 0 has the same solution as min |A a - b| with A'A = K'K and
    # A'b = K'x, a problem of R equations instead of one for every entry of a sample.
    values, vectors = np.linalg.eigh(cp_gram([c.astype(np.float64) for c in components]))
    kept = values > 1e-12 * values[-1]
    root = np.sqrt(values[kept])[:, None] * vectors[:, kept].T
    targets = (products @ vectors[:, kept]) / np.sqrt(values[kept])
    return np.stack([nnls(root, b)[0] for b in targets]).astype(x.dtype)
