"""Linear models of tensors as transformers: MPCA, multilinear LDA, tensor PLS, non-negative CP."""

from __future__ import annotations

from copy import copy
from functools import reduce
from math import prod
from typing import ClassVar

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_array, check_random_state, column_or_1d
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets, type_of_target

from skstrf.multilinear import (
    Moments,
    fisher_scores,
    merge_moments,
    moments,
    mpca,
    mpca_from_moments,
    multilinear_lda,
    non_negative_cp,
    non_negative_scores,
    project,
    reconstruct,
    tensor_pls,
)
from skstrf.multilinear.cp import cp_gram, cp_products, cp_reconstruct
from skstrf.multilinear.products import like
from skstrf.utils.arrays import is_torch, to_numpy
from skstrf.utils.lazy import Stored, apply_samplewise, is_dask, whole_samples
from skstrf.utils.validation import (
    Integral,
    Interval,
    Real,
    StrOptions,
    all_finite,
    check_batch,
    check_is_fitted,
    fit_context,
    numpy_dtype,
    reject_dataframe_output,
)

__all__ = ["MPCA", "MultilinearLDA", "NonNegativeCP", "TensorPLS"]


def _is_vectorized(estimator):
    return estimator.vectorize


def _supports_partial_fit(estimator):
    if estimator.whiten:
        raise AttributeError(
            "MPCA(whiten=True) has no partial_fit: the variance of the outputs requires a second "
            "pass over the data. Use fit, or whiten=False."
        )
    if estimator.feature_order == "fisher":
        raise AttributeError(
            'MPCA(feature_order="fisher") has no partial_fit: the scatter of the outputs within '
            'classes requires a second pass over the data. Use fit, or feature_order="variance".'
        )
    return True


class _MultilinearProjection(TransformerMixin, BaseEstimator):
    """Transformer that projects samples on one basis for each axis."""

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
        scales = self._output_scales()
        if scales is not None:
            out = out / like(scales, out)
        if self.vectorize:
            out = out.reshape(out.shape[0], -1)[:, self._columns()]
        return out

    def inverse_transform(self, X):
        """Map projections back to tensors of the shape seen in fit.

        The result lacks what the bases do not span; ``MPCA.explained_variance_ratio_`` is the
        share of the variance that they keep. It equals the data up to rounding if all components
        and features are kept.

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
            X = whole_samples(X, f"{type(self).__name__}.inverse_transform")
        elif not is_torch(X):
            X = check_array(X, allow_nd=True, dtype=[np.float64, np.float32])
        if tuple(X.shape[1:]) != self.output_shape_:
            raise ValueError(
                f"{type(self).__name__}.inverse_transform takes samples of shape "
                f"{self.output_shape_}, as transform returns them, and got samples of shape "
                f"{tuple(X.shape[1:])}."
            )
        reconstruct = copy(self)._reconstruct
        return apply_samplewise(reconstruct, X, shape=self.input_shape_, dtype=X.dtype)

    def _reconstruct(self, X):
        X = all_finite(self, X)
        if self.vectorize:
            kept = [len(c) for c in self.components_]
            X = _scatter_columns(X, self._columns(), prod(kept)).reshape(X.shape[0], *kept)
        scales = self._output_scales()
        if scales is not None:
            X = X * like(scales, X)
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
            Name of the class in lower case and number, such as ``mpca0``, in the order of the
            columns.
        """
        check_is_fitted(self)
        return np.array(
            [f"{type(self).__name__.lower()}{i}" for i in range(self.output_shape_[0])],
            dtype=object,
        )

    def _bases(self):
        """Components to multiply with; None for an axis that stays unchanged."""
        return [None if np.array_equal(c, np.eye(c.shape[1])) else c for c in self.components_]

    def _columns(self):
        """Positions of the columns of the output among the entries of a projected tensor."""
        return self.feature_order_[: self.n_features]

    def _output_scales(self):
        """Divisors of the projected entries, or None."""
        return None

    def _set_output_shape(self):
        kept = tuple(len(c) for c in self.components_)
        if self.n_features is not None and not self.vectorize:
            raise ValueError(
                f"n_features={self.n_features} selects columns: it requires vectorize=True."
            )
        if self.n_features is not None and self.n_features > prod(kept):
            raise ValueError(
                f"n_features={self.n_features}, but the projected tensors have {prod(kept)} "
                "entries: give less, or increase n_components."
            )
        self.output_shape_ = (self.n_features or prod(kept),) if self.vectorize else kept

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


class MPCA(_MultilinearProjection):
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
        Whether transform returns vectors, by default ordered by descending variance in the
        training data, instead of tensors.
    whiten : bool, default=False
        Whether transform scales every output entry to unit variance over the training data.
    feature_order : {"variance", "fisher"}, default="variance"
        Order of the entries of the output with `vectorize`: descending variance, or descending
        ratio of the scatter between classes to that within classes, with which [1]_ chooses the
        features for a classifier. The latter requires `y` in fit and a second pass over the data.
    n_features : int or None, default=None
        Number of entries that transform returns with `vectorize`, the first in the order; None
        means all.

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
        Positions, in C order, of the entries of a projected tensor in the order of the output.
    fisher_scores_ : ndarray of shape (P_1, ..., P_N)
        Scatter between classes over that within classes of every entry of the projected training
        tensors. Only with ``feature_order="fisher"``.
    input_shape_ : tuple of int
        Shape of one sample, (I_1, ..., I_N).
    output_shape_ : tuple of int
        Shape of one transformed sample: (P_1, ..., P_N), or (prod(P_n),) with `vectorize`,
        or (n_features,).
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
        "feature_order": [StrOptions({"variance", "fisher"})],
        "n_features": [Interval(Integral, 1, None, closed="left"), None],
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
        feature_order="variance",
        n_features=None,
    ):
        self.n_components = n_components
        self.criterion = criterion
        self.max_iter = max_iter
        self.tol = tol
        self.vectorize = vectorize
        self.whiten = whiten
        self.feature_order = feature_order
        self.n_features = n_features

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Compute the bases from all samples of X.

        Parameters
        ----------
        X : array-like, torch.Tensor, zarr.Array or dask array of shape (n_samples, I_1, ..., I_N)
            Two or more samples. float32 and float64 keep their dtype, the rest becomes float64.
        y : array-like of shape (n_samples,) or None, default=None
            Classes, required with ``feature_order="fisher"`` and otherwise ignored.

        Returns
        -------
        MPCA
            This object.

        Raises
        ------
        ValueError
            If classes are required and missing, X has a single sample, contains NaN or infinity
            (the message names the sample), is a dask array with chunks of unknown size or blocks
            of different shapes, or if `n_components` does not fit its axes.
        """
        X = check_batch(self, X, reset=True, ensure_min_samples=2, keep_lazy=True)
        if self.feature_order == "fisher":
            y = _check_classes(self, y, X.shape[0])
        found = mpca(
            X,
            self.n_components,
            criterion=self.criterion,
            max_iter=self.max_iter,
            tol=self.tol,
        )
        self._store_bases(found.components, found.eigenvalues, found.moments, numpy_dtype(X))
        self.scatter_ = found.scatter
        self.n_iter_ = found.scatter.size - 1
        self.explained_variance_ratio_ = _share(found.scatter[-1], found.total_scatter)
        self.explained_variance_ = found.feature_scatter / (X.shape[0] - 1)
        order = found.feature_scatter
        self.__dict__.pop("fisher_scores_", None)
        if self.feature_order == "fisher":
            order = fisher_scores(X, y, found.moments.mean, self._bases())
            self.fisher_scores_ = order
        self.feature_order_ = np.argsort(-order, axis=None, kind="stable")
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
        known, dtype = moments(X), numpy_dtype(X)
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
        self._set_output_shape()

    def _kept_eigenvalues(self):
        pairs = zip(self.mode_eigenvalues_, self.components_, strict=True)
        return [values[: len(c)] for values, c in pairs]

    def _output_scales(self):
        return self._deviations() if self.whiten else None

    def _deviations(self):
        """Standard deviation of every output entry; 1 where it is only rounding noise."""
        if not hasattr(self, "explained_variance_"):
            raise ValueError(
                "whiten=True needs the variance of every output entry, which partial_fit cannot "
                "compute in one pass: use MPCA(whiten=True).fit."
            )
        std = np.sqrt(self.explained_variance_)
        return np.where(std > 10 * np.finfo(self.mean_.dtype).eps * std.max(), std, 1.0)


class MultilinearLDA(_MultilinearProjection):
    """Multilinear discriminant analysis of tensors.

    As :class:`MPCA`, this finds an orthonormal basis for every axis of the samples. The bases
    maximize the ratio of the scatter between classes to the scatter within classes of the
    projected tensors, instead of their total scatter [1]_. Fewer components therefore suffice
    for a classifier, usually :class:`~sklearn.discriminant_analysis.LinearDiscriminantAnalysis`.

    Parameters
    ----------
    n_components : float, int or tuple, default=0.95
        Amount to keep of each axis. A float in (0, 1] is a share of the scatter between classes
        along every axis. An int is the number of components of every axis. A tuple holds a
        float, an int or None for every axis; None leaves that axis unchanged, time for instance.
    shrinkage : float, default=0.9
        Weight between 0 and 1 of a multiple of the identity in the scatter within classes. It
        keeps directions from being chosen because they vary little in the training samples,
        which share instruments, rooms and microphones. On recordings of sources that are not
        among the training samples, 0.9 was better than 0.5 and 0.1 (see :doc:`/guide/mpca`).
    max_iter : int, default=5
        Maximum number of sweeps over the modes. With 0 every axis keeps its initial basis.
    tol : float, default=1e-6
        Sweeps stop when one increases the ratio by less than this share of it.
    vectorize : bool, default=False
        Whether transform returns vectors, ordered by descending ratio of scatter between classes
        to scatter within classes, instead of tensors.
    n_features : int or None, default=None
        Number of entries that transform returns with `vectorize`, the first in the order; None
        means all.

    Attributes
    ----------
    components_ : list of ndarray of shape (P_n, I_n)
        Orthonormal rows of each axis. The entry of largest magnitude in a row is positive. The
        identity where `n_components` is None.
    classes_ : ndarray of shape (n_classes,)
        Classes.
    mean_ : ndarray of shape (I_1, ..., I_N)
        Mean of the training samples.
    criterion_ : ndarray of shape (n_sweeps + 1,)
        Ratio of scatter between classes to shrunk scatter within classes with the initial bases,
        then after each sweep. Never decreases except for rounding.
    fisher_scores_ : ndarray of shape (P_1, ..., P_N)
        Scatter between classes over that within classes of every entry of the projected training
        tensors.
    feature_order_ : ndarray of shape (prod(P_n),)
        Positions, in C order, of the entries of a projected tensor by descending
        ``fisher_scores_``.
    input_shape_ : tuple of int
        Shape of one sample, (I_1, ..., I_N).
    output_shape_ : tuple of int
        Shape of one transformed sample: (P_1, ..., P_N), or (prod(P_n),) or (n_features,) with
        `vectorize`.
    n_iter_ : int
        Number of sweeps made.
    n_features_in_ : int
        Length of axis 1 of X.

    See Also
    --------
    skstrf.multilinear.multilinear_lda : The same analysis as a function.
    MPCA : Bases of largest total scatter, with ``feature_order="fisher"`` the features in
        discriminative order.

    Notes
    -----
    X is read in chunks of samples, like that of :class:`MPCA`, and may be a numpy array, a torch
    tensor, an array on disk or a dask array.

    References
    ----------
    .. [1] A.-H. Phan and A. Cichocki, "Tensor decompositions for feature extraction and
       classification of high dimensional datasets", Nonlinear Theory and Its Applications 1(1),
       37-68, 2010.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf import MultilinearLDA
    >>> y = np.repeat(["bow", "pluck"], 15)
    >>> X = np.random.default_rng(0).standard_normal((30, 6, 8, 10))
    >>> X[y == "bow", 2, 3] += 1
    >>> lda = MultilinearLDA((1, 1, 2)).fit(X, y)
    >>> lda.transform(X).shape, int(abs(lda.components_[0]).argmax())
    ((30, 1, 1, 2), 2)
    """

    _parameter_constraints: ClassVar[dict] = {
        "n_components": MPCA._parameter_constraints["n_components"],
        "shrinkage": [Interval(Real, 0, 1, closed="both")],
        "max_iter": [Interval(Integral, 0, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "vectorize": ["boolean"],
        "n_features": [Interval(Integral, 1, None, closed="left"), None],
    }

    def __init__(
        self,
        n_components=0.95,
        *,
        shrinkage=0.9,
        max_iter=5,
        tol=1e-6,
        vectorize=False,
        n_features=None,
    ):
        self.n_components = n_components
        self.shrinkage = shrinkage
        self.max_iter = max_iter
        self.tol = tol
        self.vectorize = vectorize
        self.n_features = n_features

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y):
        """Compute the bases from the samples of all classes.

        Parameters
        ----------
        X : array-like, torch.Tensor, zarr.Array or dask array of shape (n_samples, I_1, ..., I_N)
            Two or more samples. float32 and float64 keep their dtype, the rest becomes float64.
        y : array-like of shape (n_samples,)
            Classes, at least two.

        Returns
        -------
        MultilinearLDA
            This object.

        Raises
        ------
        ValueError
            If there is a single sample or class, X contains NaN or infinity, or `n_components`
            or `n_features` does not fit its axes.
        """
        X = check_batch(self, X, reset=True, ensure_min_samples=2, keep_lazy=True)
        y = _check_classes(self, y, X.shape[0])
        found = multilinear_lda(
            X,
            y,
            self.n_components,
            shrinkage=self.shrinkage,
            max_iter=self.max_iter,
            tol=self.tol,
        )
        self.classes_ = np.unique(y)
        self.components_ = [c.astype(numpy_dtype(X)) for c in found.components]
        self.mean_ = found.moments.mean.astype(numpy_dtype(X))
        self.criterion_ = found.criterion
        self.n_iter_ = max(0, found.criterion.size - 1)
        self.fisher_scores_ = found.scores
        self.feature_order_ = np.argsort(-found.scores, axis=None, kind="stable")
        self._set_output_shape()
        return self

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags


class _CPProjection(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Transformer of samples to the scores of components that are outer products of vectors."""

    def _in_memory(self, X):
        """The samples as a float64 array, and their dtype; tensorly works on arrays in memory."""
        X = check_batch(self, X, reset=True, ensure_min_samples=2, keep_lazy=True)
        if is_dask(X):
            X = X.compute()
        dtype = numpy_dtype(X)
        X = X[0 : len(X)] if isinstance(X, Stored) else to_numpy(X)
        return all_finite(self, X.astype(np.float64, copy=False)), dtype

    def transform(self, X):
        """Compute the score of every component in every sample.

        Parameters
        ----------
        X : array-like, torch.Tensor, zarr.Array or dask array of shape (n_samples, I_1, ..., I_N)
            Samples of the shape seen in fit.

        Returns
        -------
        ndarray, torch.Tensor or dask array of shape (n_samples, ``n_components_``)
            Scores, float32 for float32. Lazy for a dask array, block by block.

        Raises
        ------
        ValueError
            If the shape differs from that seen in fit, or X contains NaN or infinity.
        """
        check_is_fitted(self)
        X = check_batch(self, X, reset=False, keep_lazy=True)
        scores = copy(self)._scores  # not changed by another fit before dask computes
        return apply_samplewise(scores, X, shape=(self.n_components_,), dtype=X.dtype)

    def inverse_transform(self, X):
        """Sum the components of every sample, weighted by their scores.

        Parameters
        ----------
        X : array-like, torch.Tensor or dask array of shape (n_samples, ``n_components_``)
            Scores as returned by transform.

        Returns
        -------
        ndarray, torch.Tensor or dask array of shape (n_samples, I_1, ..., I_N)
            Tensors of the shape seen in fit; lazy for a dask array.

        Raises
        ------
        ValueError
            If X does not have `n_components_` columns.
        """
        check_is_fitted(self)
        name = f"{type(self).__name__}.inverse_transform"
        if is_dask(X):
            X = whole_samples(X, name)
        elif not is_torch(X):
            X = check_array(X, dtype=[np.float64, np.float32])
        if tuple(X.shape[1:]) != (self.n_components_,):
            raise ValueError(
                f"{name} takes {self.n_components_} scores for each sample, and got an array of "
                f"shape {tuple(X.shape)}."
            )
        reconstruct = copy(self)._reconstruct
        return apply_samplewise(reconstruct, X, shape=self.input_shape_, dtype=X.dtype)

    def _reconstruct(self, X):
        return cp_reconstruct(all_finite(self, X), getattr(self, "mean_", None), self.components_)

    @property
    def _n_features_out(self):
        return self.n_components_

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


class TensorPLS(_CPProjection):
    """Multilinear partial least squares of tensors.

    Every component is the outer product of one vector for each axis, for STRF tensors a profile
    over scales, one over rates and one over frequencies. The components are chosen one after the
    other such that their scores have the largest covariance with the classes or targets [1]_. A
    classifier often needs only ten to forty scores. The fit is that of
    :class:`tensorly.regression.CP_PLSR`.

    Parameters
    ----------
    n_components : int, default=10
        Number of components. Fewer are kept where they explain X or y completely.
    target : {"auto", "classes", "values"}, default="auto"
        Meaning of y: classes, which become one column of zeros and ones each, or values. "auto"
        takes real numbers as values, and strings, integers and Booleans as classes.
    max_iter : int, default=100
        Maximum number of iterations for each component.
    tol : float, default=1e-9
        Iterations stop when the scores of y change by less.

    Attributes
    ----------
    components_ : list of ndarray of shape (``n_components_``, I_n)
        Unit vectors of each axis, one row for each component.
    y_components_ : ndarray of shape (``n_components_``, n_targets)
        Unit vectors of the targets.
    coef_ : ndarray of shape (``n_components_``, ``n_components_``)
        The scores of the targets are approximately ``transform(X) @ coef_``.
    mean_ : ndarray of shape (I_1, ..., I_N)
        Mean of the training samples.
    y_mean_ : ndarray of shape (n_targets,)
        Mean of the targets. ``transform(X) @ coef_ @ y_components_ + y_mean_`` are the predicted
        targets.
    classes_ : ndarray of shape (n_classes,)
        Classes; None if y holds values.
    n_components_ : int
        Number of components kept.
    input_shape_ : tuple of int
        Shape of one sample, (I_1, ..., I_N).
    n_features_in_ : int
        Length of axis 1 of X.

    See Also
    --------
    skstrf.multilinear.tensor_pls : The same fit as a function.
    skstrf.inspection.ComponentsDisplay : Draws the components.
    sklearn.cross_decomposition.PLSRegression : Partial least squares of vectors.

    Notes
    -----
    Fitting takes place in memory and in float64, and needs about three times the memory of X.
    Scores of new samples need a few samples at a time, of arrays of any kind.

    References
    ----------
    .. [1] R. Bro, "Multiway calibration. Multilinear PLS", Journal of Chemometrics 10, 47-61,
       1996.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf import TensorPLS
    >>> y = np.repeat(["bow", "pluck"], 15)
    >>> X = np.random.default_rng(0).standard_normal((30, 6, 8, 10))
    >>> X[y == "bow", 2, 3] += 1
    >>> pls = TensorPLS(n_components=2).fit(X, y)
    >>> pls.transform(X).shape, int(abs(pls.components_[0][0]).argmax())
    ((30, 2), 2)
    """

    _parameter_constraints: ClassVar[dict] = {
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "target": [StrOptions({"auto", "classes", "values"})],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(self, n_components=10, *, target="auto", max_iter=100, tol=1e-9):
        self.n_components = n_components
        self.target = target
        self.max_iter = max_iter
        self.tol = tol

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y):
        """Fit the components to samples and their classes or targets.

        Parameters
        ----------
        X : array-like, torch.Tensor, zarr.Array or dask array of shape (n_samples, I_1, ..., I_N)
            Two or more samples.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Classes, or one or several targets.

        Returns
        -------
        TensorPLS
            This object.

        Raises
        ------
        ValueError
            If there is a single sample or class, X or y is constant, or either contains NaN or
            infinity.
        """
        if y is None:
            raise ValueError(
                "TensorPLS requires y to be passed, but the target y is None: give classes or "
                "values."
            )
        X, dtype = self._in_memory(X)
        y = np.asarray(to_numpy(y))
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        is_values = self.target == "values"
        if self.target == "auto":
            is_values = y.dtype.kind == "f" and type_of_target(y).startswith("continuous")
        if is_values:
            y = check_array(y, ensure_2d=False, dtype=np.float64)
            self.classes_, targets = None, y.reshape(len(y), -1)
            if len(y) != len(X):
                raise ValueError(f"y has {len(y)} entries and X {len(X)} samples.")
        else:
            y = _check_classes(self, y, len(X))
            self.classes_ = np.unique(y)
            targets = (y[:, None] == self.classes_).astype(np.float64)
        found = tensor_pls(X, targets, self.n_components, max_iter=self.max_iter, tol=self.tol)
        self.components_ = [c.astype(dtype) for c in found.components]
        self.y_components_ = found.y_components.astype(dtype)
        self.coef_ = found.coef.astype(dtype)
        self.mean_, self.y_mean_ = found.mean.astype(dtype), found.y_mean.astype(dtype)
        self.n_components_ = len(found.coef)
        # Each score is computed from what the earlier components leave: the products with the
        # samples depend on the scores by a triangular matrix with a diagonal of ones.
        self._products = np.triu(cp_gram(found.components))
        return self

    def _scores(self, X):
        products = all_finite(self, cp_products(X, self.mean_, self.components_))
        return products @ like(np.linalg.inv(self._products), products)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.target_tags.multi_output = True
        return tags


class NonNegativeCP(_CPProjection):
    """Non-negative CP decomposition (non-negative tensor factorization).

    Non-negative tensors are approximated by a non-negative sum of components, each the outer
    product of one non-negative vector for every axis. The fit is tensorly's hierarchical
    alternating least squares (``non_negative_parafac_hals``). The scores of samples, new ones and
    those of fit, are found by non-negative least squares. [1]_ classifies the genre of music by
    the scores of cortical tensors.

    Parameters
    ----------
    n_components : int, default=10
        Number of components.
    init : {"svd", "random"}, default="svd"
        Initial factors: from singular vectors, or random.
    max_iter : int, default=100
        Maximum number of iterations.
    tol : float, default=1e-6
        Iterations stop when the relative error changes by less.
    random_state : int, RandomState instance or None, default=None
        Seed of the initial factors. It also has an effect with ``init="svd"`` if there are more
        components than entries along an axis.

    Attributes
    ----------
    components_ : list of ndarray of shape (``n_components_``, I_n)
        Non-negative unit vectors of each axis, one row for each component, the components with
        the largest scores first.
    reconstruction_err_ : float
        Error of the model relative to the norm of the training samples.
    n_components_ : int
        Number of components.
    n_iter_ : int
        Number of iterations made.
    input_shape_ : tuple of int
        Shape of one sample, (I_1, ..., I_N).
    n_features_in_ : int
        Length of axis 1 of X.

    See Also
    --------
    skstrf.multilinear.non_negative_cp : The same fit as a function.
    skstrf.inspection.ComponentsDisplay : Draws the components.
    sklearn.decomposition.NMF : Non-negative factorization of vectors.

    Notes
    -----
    Fitting takes place in memory and in float64, and needs about three times the memory of X.

    References
    ----------
    .. [1] Y. Panagakis, E. Benetos and C. Kotropoulos, "Music genre classification: a multilinear
       approach", Proc. ISMIR, 583-588, 2008.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf import NonNegativeCP
    >>> X = np.random.default_rng(0).random((20, 4, 5, 6))
    >>> NonNegativeCP(n_components=3, random_state=0).fit_transform(X).shape
    (20, 3)
    """

    _parameter_constraints: ClassVar[dict] = {
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "init": [StrOptions({"svd", "random"})],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "random_state": ["random_state"],
    }

    def __init__(self, n_components=10, *, init="svd", max_iter=100, tol=1e-6, random_state=None):
        self.n_components = n_components
        self.init = init
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Fit the components to samples.

        Parameters
        ----------
        X : array-like, torch.Tensor, zarr.Array or dask array of shape (n_samples, I_1, ..., I_N)
            Two or more non-negative samples.
        y : None
            Ignored.

        Returns
        -------
        NonNegativeCP
            This object.

        Raises
        ------
        ValueError
            If X contains negative numbers, NaN or infinity, is zero everywhere, or has a single
            sample.
        """
        X, dtype = self._in_memory(X)
        _check_non_negative(self, X)
        if not X.max() > 0:
            raise ValueError(
                "X is zero everywhere: NonNegativeCP needs sounds or other variation."
            )
        found = non_negative_cp(
            X,
            self.n_components,
            init=self.init,
            max_iter=self.max_iter,
            tol=max(self.tol, 1e-300),  # tensorly computes no errors with a tolerance of zero
            random_state=check_random_state(self.random_state),
        )
        self.components_ = [c.astype(dtype) for c in found.components]
        self.n_components_ = found.scores.shape[1]
        self.reconstruction_err_ = float(found.errors[-1])
        self.n_iter_ = len(found.errors)
        return self

    def _scores(self, X):
        array = all_finite(self, to_numpy(X))
        _check_non_negative(self, array)
        return like(non_negative_scores(array, self.components_), X)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = True
        return tags


def _check_non_negative(estimator, X):
    if X.min() < 0:
        raise ValueError(
            f"Negative values in data passed to {type(estimator).__name__}: give magnitudes, for "
            "example those of STRFTransformer(contrast=False), or numpy.abs(X)."
        )


def _share(part, whole):
    """Ratio of `part` to `whole`; 1 if both are zero."""
    return float(part / whole) if whole > 0 else 1.0


def _scatter_columns(X, columns, n_columns):
    """Put the columns back to their positions; the positions of absent columns are 0."""
    out = (
        X.new_zeros((len(X), n_columns)) if is_torch(X) else np.zeros((len(X), n_columns), X.dtype)
    )
    out[:, columns] = X
    return out


def _check_classes(estimator, y, n_samples):
    """Check that there is a class for every sample, and at least two classes."""
    if y is None:
        raise ValueError(
            f"{type(estimator).__name__} requires y to be passed, but the target y is None: give "
            "the classes of the samples."
        )
    y = column_or_1d(to_numpy(y), warn=True)
    check_classification_targets(y)
    if len(y) != n_samples:
        raise ValueError(f"y has {len(y)} entries and X {n_samples} samples: give one for each.")
    if len(np.unique(y)) < 2:
        raise ValueError(
            f"{type(estimator).__name__} got y with a single class: at least 2 are required."
        )
    return y
