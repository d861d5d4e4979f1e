"""Multilinear principal component analysis as a scikit-learn estimator."""

from __future__ import annotations

from copy import copy
from functools import reduce
from math import prod
from typing import ClassVar

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import check_array
from sklearn.utils.metaestimators import available_if

from skstrf.multilinear import (
    Moments,
    merge_moments,
    moments,
    mpca,
    mpca_from_moments,
    project,
    reconstruct,
)
from skstrf.multilinear.products import like
from skstrf.utils.arrays import is_torch
from skstrf.utils.lazy import apply_samplewise, is_dask, whole_samples
from skstrf.utils.validation import (
    Integral,
    Interval,
    Real,
    StrOptions,
    all_finite,
    check_batch,
    check_is_fitted,
    fit_context,
    reject_dataframe_output,
)

__all__ = ["MPCA"]


def _is_vectorized(estimator):
    return estimator.vectorize


def _supports_partial_fit(estimator):
    if estimator.whiten:
        raise AttributeError(
            "MPCA(whiten=True) has no partial_fit: the variance of the outputs requires a second "
            "pass over the data. Use fit, or whiten=False."
        )
    return True


class MPCA(TransformerMixin, BaseEstimator):
    """Multilinear principal component analysis of tensors.

    MPCA finds an orthonormal basis for every axis of the samples such that the samples, projected
    on all bases at once, keep as much of their variation as tensors of that size can [1]_. An
    STRF tensor of scale x rate x frequency x time remains such a tensor, only smaller. Ordinary
    PCA of the flattened tensors would need a covariance matrix of their whole size squared.

    Parameters
    ----------
    n_components : float, int or tuple, default=0.95
        Amount to keep of each axis. A float in (0, 1] is a share of variation, by default (see
        `criterion`) a share **per mode**: with 0.95 every axis loses up to 5 %, and the tensors
        as a whole lose more, about 5.5 to 9 % of their total variance in practice (see
        ``explained_variance_ratio_``). An int is the number of components of every axis. A tuple
        holds a float, an int or None for every axis; None leaves that axis unchanged, time for
        instance. A share of 1.0 removes only components that are rounding noise.
    criterion : {"per-mode", "total"}, default="per-mode"
        Quantity that a float `n_components` is a share of. "per-mode" is the variation along
        each axis, whatever the other axes keep; this is the rule of the paper. "total" is the
        total variance of the tensors, so that ``explained_variance_ratio_`` reaches the share.
        The ranks are then those of smallest product (fewest entries in the output) that keep the
        share with the initial bases. They are searched below the ranks at which each of N modes
        loses a share ``(1 - n_components) / N``, which are sufficient for any data.
    max_iter : int, default=1
        Maximum number of sweeps over the modes. With 0 every axis keeps its initial basis. On
        the data of the tests, 20 sweeps keep at most 0.0002 of the total variance more than one.
    tol : float, default=0.0
        Sweeps stop when one adds less than this share of the total variation. With 0 all
        `max_iter` sweeps are made.
    vectorize : bool, default=False
        Whether transform returns vectors, ordered by descending variance in the training data,
        instead of tensors.
    whiten : bool, default=False
        Whether transform scales every output entry to unit variance over the training data.

    Attributes
    ----------
    components_ : list of ndarray of shape (P_n, I_n)
        Orthonormal rows of each axis, by descending variance. The entry of largest magnitude in
        a row is positive. The identity where `n_components` is None.
    mean_ : ndarray of shape (I_1, ..., I_N)
        Mean of the training samples.
    mode_explained_variance_ratio_ : ndarray of shape (N,)
        Share of each axis's variation that its initial basis keeps, which is compared with a
        float `n_components` if ``criterion="per-mode"``. 1 for constant data.
    explained_variance_ratio_ : float
        Share of the total variance that the projected tensors keep. 1 for constant data.
    explained_variance_ : ndarray of shape (P_1, ..., P_N)
        Variance (dividing by n - 1) of every entry of the projected training tensors.
    mode_eigenvalues_ : list of ndarray of shape (I_n,)
        Eigenvalues of each axis's total scatter matrix (sums over samples), descending.
    scatter_ : ndarray of shape (n_sweeps + 1,)
        Sum of squares of the projected training tensors with the initial bases, then after each
        sweep. Never decreases except for rounding.
    feature_order_ : ndarray of shape (prod(P_n),)
        Positions, in C order, of the entries of a projected tensor by descending variance.
    input_shape_ : tuple of int
        Shape of one sample, (I_1, ..., I_N).
    output_shape_ : tuple of int
        Shape of one transformed sample: (P_1, ..., P_N), or (prod(P_n),) with `vectorize`.
    n_iter_ : int
        Number of sweeps made.
    n_samples_seen_ : int
        Number of samples in `fit` and all calls of `partial_fit` since.
    n_features_in_ : int
        Length of axis 1 of X.

    See Also
    --------
    skstrf.multilinear.mpca : The same analysis as a function.
    skstrf.TensorScaler : The usual step before MPCA, which depends on the scale of X.
    sklearn.decomposition.PCA : Equivalent to MPCA of two-dimensional X.

    Notes
    -----
    X is read in chunks of samples, three times for one sweep, and is neither changed nor copied.
    The additional memory is a few chunks and at most a quarter of X or 512 MB, whichever is
    less. torch tensors stay on their device and transform to torch tensors; the fitted
    attributes are numpy arrays in the dtype of X (statistics in float64). Constant data keep one
    component per mode and transform to zeros.

    X may be larger than memory. A `numpy.memmap` or zarr array is read from the disk in chunks. A
    dask array must be cut into blocks of whole samples: every block is reduced where it is
    computed, and the results are combined in a tree. transform and inverse_transform of a dask
    array are lazy. dask computes X anew in each pass, so persist or store an array that is
    expensive to compute. For data that can be read only once there is `partial_fit`, which ends
    at the bases of ``max_iter=0``. Mode scatter matrices do not determine which entries of the
    projected tensors vary together. After `partial_fit` there are therefore no ``scatter_``,
    ``explained_variance_`` and ``explained_variance_ratio_`` (the last is at least one minus the
    sum of what the modes lose), ``feature_order_`` follows the products of the modes'
    eigenvalues, and ``criterion="total"`` keeps the ranks that are sufficient for any data.

    References
    ----------
    .. [1] H. Lu, K. N. Plataniotis and A. N. Venetsanopoulos, "MPCA: Multilinear principal
       component analysis of tensor objects", IEEE Trans. Neural Networks 19(1), 18-39, 2008.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf import MPCA
    >>> X = np.random.default_rng(0).standard_normal((30, 6, 8, 10))
    >>> mpca = MPCA(n_components=(2, 0.9, None)).fit(X)
    >>> mpca.transform(X).shape
    (30, 2, 8, 10)
    >>> [c.shape for c in mpca.components_]
    [(2, 6), (8, 8), (10, 10)]
    >>> MPCA(n_components=3, vectorize=True).fit_transform(X).shape
    (30, 27)
    """

    _parameter_constraints: ClassVar[dict] = {
        "n_components": [
            Interval(Real, 0, 1, closed="right"),
            Interval(Integral, 1, None, closed="left"),
            tuple,
            list,
            np.ndarray,
        ],
        "criterion": [StrOptions({"per-mode", "total"})],
        "max_iter": [Interval(Integral, 0, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "vectorize": ["boolean"],
        "whiten": ["boolean"],
    }

    def __init__(
        self,
        n_components=0.95,
        *,
        criterion="per-mode",
        max_iter=1,
        tol=0.0,
        vectorize=False,
        whiten=False,
    ):
        self.n_components = n_components
        self.criterion = criterion
        self.max_iter = max_iter
        self.tol = tol
        self.vectorize = vectorize
        self.whiten = whiten

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Compute the bases from all samples of X.

        Parameters
        ----------
        X : array-like, torch.Tensor, zarr.Array or dask array of shape (n_samples, I_1, ..., I_N)
            Two or more samples. float32 and float64 keep their dtype, the rest becomes float64.
        y : None
            Ignored.

        Returns
        -------
        MPCA
            This object.

        Raises
        ------
        ValueError
            If X has a single sample, contains NaN or infinity (the message names the sample),
            is a dask array with chunks of unknown size or blocks of different shapes, or if
            `n_components` does not fit its axes.
        """
        X = check_batch(self, X, reset=True, ensure_min_samples=2, keep_lazy=True)
        found = mpca(
            X,
            self.n_components,
            criterion=self.criterion,
            max_iter=self.max_iter,
            tol=self.tol,
        )
        self._store_bases(found.components, found.eigenvalues, found.moments, _dtype(X))
        self.scatter_ = found.scatter
        self.n_iter_ = found.scatter.size - 1
        self.explained_variance_ratio_ = _share(found.scatter[-1], found.total_scatter)
        self.explained_variance_ = found.feature_scatter / (X.shape[0] - 1)
        self.feature_order_ = np.argsort(-found.feature_scatter, axis=None, kind="stable")
        return self

    @available_if(_supports_partial_fit)
    @fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y=None):
        """Update the bases with further samples; not available with ``whiten=True``.

        The samples are read once: their number, mean and mode scatter matrices are combined with
        those of earlier calls, or of `fit`. The bases are those of ``fit`` with ``max_iter=0`` on
        all samples together, whatever the sizes and the order of the batches.

        Parameters
        ----------
        X : array-like, torch.Tensor, zarr.Array or dask array of shape (n_samples, I_1, ..., I_N)
            One or more samples.
        y : None
            Ignored.

        Returns
        -------
        MPCA
            This object, without the attributes that require a second pass over the data:
            ``scatter_``, ``explained_variance_`` and ``explained_variance_ratio_``.

        Raises
        ------
        ValueError
            If X contains NaN or infinity, or samples of another shape than before. The fitted
            state is then unchanged.
        """
        first = not hasattr(self, "n_samples_seen_")
        X = check_batch(self, X, reset=first, keep_lazy=True)
        known, dtype = moments(X), _dtype(X)
        if not first:
            seen = Moments(self.n_samples_seen_, self._mean, self._mode_scatters)
            known = merge_moments([seen, known])
            dtype = np.promote_types(dtype, self.mean_.dtype)
        components, eigenvalues = mpca_from_moments(
            known, self.n_components, criterion=self.criterion, eps=np.finfo(dtype).eps
        )
        self._store_bases(components, eigenvalues, known, dtype)
        for name in ("scatter_", "explained_variance_", "explained_variance_ratio_"):
            self.__dict__.pop(name, None)
        self.n_iter_ = 0
        likely = reduce(np.multiply.outer, self._kept_eigenvalues())
        self.feature_order_ = np.argsort(-likely, axis=None, kind="stable")
        return self

    def _store_bases(self, components, eigenvalues, known, dtype):
        self.n_samples_seen_, self._mean, self._mode_scatters = known
        self.components_ = [c.astype(dtype) for c in components]
        self.mean_ = known.mean.astype(dtype)
        self.mode_eigenvalues_ = eigenvalues
        self.mode_explained_variance_ratio_ = np.array(
            [
                _share(part.sum(), whole.sum())
                for part, whole in zip(self._kept_eigenvalues(), eigenvalues, strict=True)
            ]
        )
        kept = tuple(len(c) for c in components)
        self.output_shape_ = (prod(kept),) if self.vectorize else kept

    def _kept_eigenvalues(self):
        pairs = zip(self.mode_eigenvalues_, self.components_, strict=True)
        return [values[: len(c)] for values, c in pairs]

    def transform(self, X):
        """Project X on the bases.

        Parameters
        ----------
        X : array-like, torch.Tensor, zarr.Array or dask array of shape (n_samples, I_1, ..., I_N)
            Samples of the shape seen in fit.

        Returns
        -------
        ndarray, torch.Tensor or dask array of shape (n_samples, P_1, ..., P_N)
            Projections, float32 for float32; vectors of shape (prod(P_n),) with `vectorize`.
            Lazy for a dask array, block by block.

        Raises
        ------
        ValueError
            If the shape differs from that seen in fit, or X contains NaN or infinity.
        """
        check_is_fitted(self)
        X = check_batch(self, X, reset=False, keep_lazy=True)
        reject_dataframe_output(self, 1 + len(self.output_shape_))
        project = copy(self)._project  # not changed by another fit before dask computes
        return apply_samplewise(project, X, shape=self.output_shape_, dtype=X.dtype)

    def _project(self, X):
        out = all_finite(self, project(X, self.mean_, self._bases()))
        if self.whiten:
            out = out / like(self._deviations(), out)
        if self.vectorize:
            out = out.reshape(out.shape[0], -1)[:, self.feature_order_]
        return out

    def inverse_transform(self, X):
        """Map projections back to tensors of the shape seen in fit.

        The result lacks what the bases do not span, over the training data a share
        ``1 - explained_variance_ratio_`` of the variance. It equals the data up to rounding if
        all components are kept.

        Parameters
        ----------
        X : array-like, torch.Tensor or dask array of shape (n_samples, P_1, ..., P_N)
            Samples as returned by transform.

        Returns
        -------
        ndarray, torch.Tensor or dask array of shape (n_samples, I_1, ..., I_N)
            Points of the projected subspace; lazy for a dask array.

        Raises
        ------
        ValueError
            If the samples of X do not have the shape ``output_shape_``.
        """
        check_is_fitted(self)
        if is_dask(X):
            X = whole_samples(X, "MPCA.inverse_transform")
        elif not is_torch(X):
            X = check_array(X, allow_nd=True, dtype=[np.float64, np.float32])
        if tuple(X.shape[1:]) != self.output_shape_:
            raise ValueError(
                f"MPCA.inverse_transform takes samples of shape {self.output_shape_}, as "
                f"transform returns them, and got samples of shape {tuple(X.shape[1:])}."
            )
        reconstruct = copy(self)._reconstruct
        return apply_samplewise(reconstruct, X, shape=self.input_shape_, dtype=X.dtype)

    def _reconstruct(self, X):
        X = all_finite(self, X)
        if self.vectorize:
            X = X[:, np.argsort(self.feature_order_)]
            X = X.reshape(X.shape[0], *[len(c) for c in self.components_])
        if self.whiten:
            X = X * like(self._deviations(), X)
        return reconstruct(X, self.mean_, self._bases())

    @available_if(_is_vectorized)
    def get_feature_names_out(self, input_features=None):
        """Names of the columns of the output; available only with ``vectorize=True``.

        Parameters
        ----------
        input_features : None
            Ignored.

        Returns
        -------
        ndarray of str
            ``mpca0``, ``mpca1``, ... by descending variance.
        """
        check_is_fitted(self)
        return np.array([f"mpca{i}" for i in range(self.output_shape_[0])], dtype=object)

    def _bases(self):
        """Components to multiply with; None for an axis that stays unchanged."""
        return [None if np.array_equal(c, np.eye(c.shape[1])) else c for c in self.components_]

    def _deviations(self):
        """Standard deviation of every output entry; 1 where it is only rounding noise."""
        if not hasattr(self, "explained_variance_"):
            raise ValueError(
                "whiten=True needs the variance of every output entry, which partial_fit cannot "
                "compute in one pass: use MPCA(whiten=True).fit."
            )
        std = np.sqrt(self.explained_variance_)
        return np.where(std > 10 * np.finfo(self.mean_.dtype).eps * std.max(), std, 1.0)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _share(part, whole):
    """Ratio of `part` to `whole`; 1 if both are zero."""
    return float(part / whole) if whole > 0 else 1.0


def _dtype(X):
    return np.dtype(str(X.dtype).removeprefix("torch."))
