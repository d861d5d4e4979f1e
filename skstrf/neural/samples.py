"""Samples of any kind for a network: checked, and read from where they lie."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from sklearn import config_context
from sklearn.utils import check_X_y

from skstrf.utils.blocks import is_dask
from skstrf.utils.spool import spool
from skstrf.utils.stored import Stored, stored
from skstrf.utils.validation import float_blocks, stand_in, validate_tensors

__all__ = ["check_labels", "check_samples", "parts", "readable"]

# Bytes of samples on disk that are looked at together.
PART_BYTES = 16 * 2**20


def check_samples(estimator: Any, X: Any, *, reset: bool) -> Any:
    """Check samples; of those on disk or still to be computed shape and kind alone.

    Parameters
    ----------
    estimator : BaseEstimator
        Gets ``input_shape_`` when `reset` is true, is compared with it otherwise.
    X : array-like, numpy.memmap, zarr.Array or dask array of shape (n_samples, ...)
        What a user gave.
    reset : bool
        True in fit.

    Returns
    -------
    ndarray, Stored or dask array of shape (n_samples, ...)
        float32 or float64; a dask array in blocks of whole samples.

    Raises
    ------
    ValueError
        On a wrong shape or kind, chunks of unknown size and, of arrays in memory, values that
        are not finite.
    """
    X = stored(X)
    if not (isinstance(X, Stored) or is_dask(X)):
        return validate_tensors(estimator, X, reset=reset)
    X = float_blocks(estimator, X)
    with config_context(assume_finite=True):
        validate_tensors(estimator, stand_in(X), reset=reset)
    return X


def readable(estimator: Any, X: Any) -> np.ndarray | Stored:
    """Have checked samples where they can be read in any order, and all of them finite.

    A dask array is computed once: a network goes through the samples in every epoch in another
    order, and a block would be computed anew for every sample of it.

    Parameters
    ----------
    estimator : BaseEstimator
        For its name.
    X : ndarray, Stored or dask array of shape (n_samples, ...)
        As `check_samples` gives it.

    Returns
    -------
    ndarray or Stored of shape (n_samples, ...)
        The same values.

    Raises
    ------
    ValueError
        For values that are not finite, by the number of their sample, and blocks of a dask array
        that are not of the announced shape.
    OSError
        When the disk has no room for the temporary file of a dask array.
    """
    check = partial(_refuse_infinite, type(estimator).__name__)
    if is_dask(X):
        return spool(X, check)
    if isinstance(X, Stored):
        for rows in parts(X):
            check(X[rows], rows.start)
    return X


def check_labels(estimator: Any, X: Any, y: Any) -> np.ndarray:
    """Check labels as scikit-learn does, without a look at the samples.

    Parameters
    ----------
    estimator : BaseEstimator
        For its name.
    X : array of any kind of shape (n_samples, ...)
        What the labels belong to.
    y : array-like or dask array of shape (n_samples,)
        The labels.

    Returns
    -------
    ndarray of shape (n_samples,)
        In memory.
    """
    y = y.compute() if is_dask(y) else y
    return check_X_y(np.broadcast_to(0.0, (len(X), 1)), y, dtype=None, estimator=estimator)[1]


def parts(X: Stored) -> Iterator[slice]:
    """Cut samples on disk into what is read at a time.

    Parameters
    ----------
    X : Stored of shape (n_samples, ...)
        The samples.

    Yields
    ------
    slice
        Of whole chunks of the file.
    """
    rows = max(1, PART_BYTES // max(1, X.nbytes // len(X)))
    rows = -(-rows // X.rows_together) * X.rows_together
    for start in range(0, len(X), rows):
        yield slice(start, min(start + rows, len(X)))


def _refuse_infinite(name: str, X: np.ndarray, start: int) -> None:
    """Raise for values that are not finite, with the number of the first such sample."""
    with np.errstate(all="ignore"):
        if np.isfinite(X.sum(dtype=np.float64)) or np.isfinite(X).all():
            return
    bad = np.flatnonzero(~np.isfinite(X).all(axis=tuple(range(1, X.ndim))))[0]
    raise ValueError(
        f"X given to {name} contains NaN or infinity in sample {start + bad}: leave such samples "
        "out."
    )
