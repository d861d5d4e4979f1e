"""Multilinear principal component analysis as an estimator."""

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
from skstrf.utils.lazy import is_dask, map_samples, stored, whole_samples
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


def _gives_features(estimator):
    return estimator.vectorize


def _learns_in_one_pass(estimator):
    if estimator.whiten:
        raise AttributeError(
            "MPCA(whiten=True) has no partial_fit: the variance of the outputs takes a second "
            "pass over the data. Use fit, or leave whitening out."
        )
    return True


class MPCA(TransformerMixin, BaseEstimator):
    """Multilinear principal component analysis of tensors.

    Finds for every axis of the samples an orthonormal basis such that the samples, projected on
    all of them at once, keep as much of their variation as tensors that small can [1]_. An STRF
    tensor of scale x rate x frequency x time stays one, only smaller; flattening it for ordinary
    PCA would need a covariance of its whole size squared.

    Parameters
    ----------
    n_components : float, int or tuple, default 0.95
        How much to keep of each axis. A float in (0, 1] is a share of variation and, unless
        `criterion` says otherwise, a share **per mode**: every axis loses up to 5 % at 0.95, so
        the tensors as a whole lose more, about 5.5 to 9 % of their total variance in practice
        (see ``explained_variance_ratio_``). An int is a number of components, the same for every
        axis. A tuple has a float, an int or None for every axis; None leaves an axis as it is,
        time for instance. A share of 1.0 drops only what is nothing but rounding.
    criterion : {"per-mode", "total"}, default "per-mode"
        What a float `n_components` is a share of. "per-mode": of the variation along each axis,
        whatever the other axes keep; the rule of the paper. "total": of the total variance of
        the tensors, which ``explained_variance_ratio_`` then reaches. The ranks are those of
        smallest product (fewest entries in the output) that keep the share with the initial
        bases, looked for below the ranks at which each of N modes loses a share
        ``(1 - n_components) / N``, which are always enough.
    max_iter : int, default 1
        Most sweeps over the modes; with 0 every axis keeps its initial basis. On the data of the
        tests, twenty keep at most 0.0002 of the total variance more than one.
    tol : float, default 0.0
        Stop when a sweep adds less than this share of the total variation. With 0 all `max_iter`
        sweeps are made.
    vectorize : bool, default False
        Whether transform gives vectors, ordered by descending variance in the training data,
        instead of tensors.
    whiten : bool, default False
        Whether transform gives every output entry unit variance over the training data.

    Attributes
    ----------
    components_ : list of ndarray of shape (P_n, I_n)
        The orthonormal rows of each axis, by descending variance; the entry of largest magnitude
        in a row is positive. The identity where `n_components` has None.
    mean_ : ndarray of shape (I_1, ..., I_N)
        Mean of the training samples.
    mode_explained_variance_ratio_ : ndarray of shape (N,)
        Share of each axis's variation that its initial basis keeps: what a float `n_components`
        with ``criterion="per-mode"`` is compared with. 1 for constant data.
    explained_variance_ratio_ : float
        Share of the total variance that the projected tensors keep. 1 for constant data.
    explained_variance_ : ndarray of shape (P_1, ..., P_N)
        Variance (dividing by n - 1) of every entry of the projected training tensors.
    mode_eigenvalues_ : list of ndarray of shape (I_n,)
        Descending eigenvalues of each axis's total scatter matrix (sums over samples).
    scatter_ : ndarray of shape (n_sweeps + 1,)
        Sum of squares of the projected training tensors: with the initial bases, then after each
        sweep. Never decreases but for rounding.
    feature_order_ : ndarray of shape (prod(P_n),)
        Positions, in C order, of the entries of a projected tensor by descending variance.
    input_shape_ : tuple of int
        Shape of one sample, (I_1, ..., I_N).
    output_shape_ : tuple of int
        Shape of one transformed sample: (P_1, ..., P_N), or (prod(P_n),) with `vectorize`.
    n_iter_ : int
        Sweeps made.
    n_samples_seen_ : int
        Samples the bases were found on, over all calls of `partial_fit` since the last `fit`.
    n_features_in_ : int
        Length of axis 1 of X.

    See Also
    --------
    skstrf.multilinear.mpca : The same as a function.
    skstrf.preprocessing.TensorScaler : MPCA depends on the scale of X; this is the usual step
        before it.
    sklearn.decomposition.PCA : What MPCA amounts to on two-dimensional X.

    Notes
    -----
    X is read in chunks of samples, three times for one sweep, and neither changed nor copied; the
    extra memory is some chunks and at most a quarter of X or 512 MB, whichever is less. torch
    tensors are worked on where they are and transform to torch tensors; the fitted attributes are
    numpy arrays in the dtype of X (statistics in float64). Data that do not vary keep one
    component a mode and transform to zeros.

    X may be larger than memory. A `numpy.memmap` or zarr array is read in chunks from the disk. Of
    a dask array, cut into blocks of whole samples, every block is reduced where it is computed
    and the results are put together in a tree; transform and inverse_transform are lazy. dask
    computes X anew in each pass, so persist or store one that was dear to make. For data that can
    be seen only once there is `partial_fit`, which ends at the bases of ``max_iter=0``. Mode
    scatter does not tell which entries of the core vary most together, so after it there are no
    ``scatter_``, ``explained_variance_`` and ``explained_variance_ratio_`` (the last is at least
    one minus what the modes lose, added up), ``feature_order_`` follows products of the modes'
    eigenvalues, and ``criterion="total"`` keeps the ranks that are always enough.

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
        """Find the bases.

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
            On one sample, NaN or infinity in X (the sample is named), chunks of unknown size or
            blocks of differing shapes, or an `n_components` that does not fit its axes.
        """
        X = self._checked(X, reset=True, ensure_min_samples=2)
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

    @available_if(_learns_in_one_pass)
    @fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y=None):
        """Add samples to those that the bases were found on; there unless ``whiten=True``.

        The samples are seen once: their number, mean and mode scatter are added to what earlier
        calls, or `fit`, have seen, and the bases are those of ``fit`` with ``max_iter=0`` on
        all of them together, whatever the sizes and the order of the batches. Sweeps need the
        data again.

        Parameters
        ----------
        X : array-like, torch.Tensor, zarr.Array or dask array of shape (n_samples, I_1, ..., I_N)
            One or more samples.
        y : None
            Ignored.

        Returns
        -------
        MPCA
            This object, without the attributes that take a second pass: ``scatter_``,
            ``explained_variance_`` and ``explained_variance_ratio_``.

        Raises
        ------
        ValueError
            On NaN or infinity in X, or samples of another shape than before. What was learned
            before stays.
        """
        first = not hasattr(self, "n_samples_seen_")
        X = self._checked(X, reset=first)
        known, dtype = moments(X), np.dtype(_dtype(X))
        if not first:
            known = merge_moments([self._moments(), known])
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

    def _checked(self, X, **options):
        return check_batch(self, stored(X), keep_lazy=True, **options)

    def _moments(self):
        return Moments(self.n_samples_seen_, self._mean, self._mode_scatters)

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
            The projections, float32 for float32; vectors of shape (prod(P_n),) with `vectorize`.
            Lazy for a dask array, block by block.

        Raises
        ------
        ValueError
            When the shape differs from that seen in fit, or X is not finite.
        """
        check_is_fitted(self)
        X = self._checked(X, reset=False)
        reject_dataframe_output(self, 1 + len(self.output_shape_))
        if is_dask(X):
            # A copy: fitting again must not change what is still to be computed.
            return map_samples(X, copy(self)._transform, self.output_shape_, X.dtype)
        return self._transform(X)

    def _transform(self, X):
        out = all_finite(self, project(X, self.mean_, self._bases()))
        if self.whiten:
            out = out / like(self._deviations(), out)
        if self.vectorize:
            out = out.reshape(out.shape[0], -1)[:, self.feature_order_]
        return out

    def inverse_transform(self, X):
        """Bring projections back to tensors of the shape seen in fit.

        What the bases leave out is lost: over the training data a share
        ``1 - explained_variance_ratio_`` of the variance. With all components kept the result
        equals the data up to rounding.

        Parameters
        ----------
        X : array-like, torch.Tensor or dask array of shape (n_samples, P_1, ..., P_N)
            As transform gives them.

        Returns
        -------
        ndarray, torch.Tensor or dask array of shape (n_samples, I_1, ..., I_N)
            The points of the projected subspace that X stands for; lazy for a dask array.

        Raises
        ------
        ValueError
            When the samples of X do not have the shape ``output_shape_``.
        """
        check_is_fitted(self)
        if is_dask(X):
            X = whole_samples(X, "MPCA.inverse_transform")
        elif not is_torch(X):
            X = check_array(X, allow_nd=True, dtype=[np.float64, np.float32])
        if tuple(X.shape[1:]) != self.output_shape_:
            raise ValueError(
                f"MPCA.inverse_transform takes samples of shape {self.output_shape_}, as "
                f"transform gives them, and got samples of shape {tuple(X.shape[1:])}."
            )
        if is_dask(X):
            return map_samples(X, copy(self)._checked_inverse, self.input_shape_, X.dtype)
        return self._inverse(X)

    def _checked_inverse(self, X):
        return self._inverse(all_finite(self, X))

    def _inverse(self, X):
        if self.vectorize:
            X = X[:, np.argsort(self.feature_order_)]
            X = X.reshape(X.shape[0], *[len(c) for c in self.components_])
        if self.whiten:
            X = X * like(self._deviations(), X)
        return reconstruct(X, self.mean_, self._bases())

    @available_if(_gives_features)
    def get_feature_names_out(self, input_features=None):
        """Name the output's columns; there only with ``vectorize=True``.

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
        """Components to multiply with: none for an axis left as it is."""
        return [None if np.array_equal(c, np.eye(c.shape[1])) else c for c in self.components_]

    def _deviations(self):
        """Standard deviation of every output entry; 1 where it is nothing but rounding."""
        if not hasattr(self, "explained_variance_"):
            raise ValueError(
                "whiten=True needs the variance of every output entry, which partial_fit does "
                "not find in one pass: use MPCA(whiten=True).fit."
            )
        std = np.sqrt(self.explained_variance_)
        return np.where(std > 10 * np.finfo(self.mean_.dtype).eps * std.max(), std, 1.0)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _dtype(X):
    return str(X.dtype).removeprefix("torch.")


def _share(part, whole):
    """`part` of `whole`, all of it where there is nothing."""
    return float(part / whole) if whole > 0 else 1.0
