"""Checks of samples, labels and weights, and samples read as images; all without torch."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
from sklearn import config_context
from sklearn.model_selection import train_test_split
from sklearn.utils import check_array, check_consistent_length, check_X_y
from sklearn.utils.class_weight import compute_class_weight

from skstrf.utils.arrays import is_torch, to_numpy
from skstrf.utils.devices import stays_on_device, widest_float
from skstrf.utils.lazy import Stored, is_dask, materialize, stored
from skstrf.utils.validation import (
    all_finite,
    check_batch,
    check_lazy_array,
    numpy_dtype,
    shape_proxy,
    validate_tensors,
)

__all__ = [
    "Images",
    "check_labels",
    "check_sample_weight",
    "check_samples",
    "class_weights",
    "encode_labels",
    "fold_channels",
    "input_statistics",
    "parts",
    "readable",
    "split_validation",
]

logger = logging.getLogger("skstrf")


def encode_labels(y: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Encode labels as indices of the classes."""
    labels, inverse = np.unique(y, return_inverse=True)
    position = {label: i for i, label in enumerate(classes.tolist())}
    unseen = [label for label in labels.tolist() if label not in position]
    if unseen:
        raise ValueError(
            f"y has labels that were not seen before: {unseen}; the classes are "
            f"{classes.tolist()}. Give all of them as `classes` to the first partial_fit, or fit "
            "on data that has them all."
        )
    return np.array([position[label] for label in labels.tolist()], dtype=np.intp)[inverse]


def check_sample_weight(sample_weight: Any, n_samples: int) -> np.ndarray:
    """Check the weights of the samples; None gives ones."""
    if sample_weight is None:
        return np.ones(n_samples)
    weights = check_array(
        sample_weight, ensure_2d=False, dtype=np.float64, input_name="sample_weight"
    )
    if weights.ndim != 1:
        raise ValueError(f"sample_weight must be a 1D array of weights, not {weights.ndim}D.")
    check_consistent_length(weights, np.empty(n_samples))
    if (weights < 0).any() or not weights.any():
        raise ValueError("sample_weight must not be negative, and not all zero.")
    return weights


def class_weights(
    class_weight: Mapping[Any, float] | str | None, classes: np.ndarray, codes: np.ndarray
) -> np.ndarray:
    """Compute the weight of each sample by its class."""
    if class_weight is None:
        return np.ones(len(codes))
    if isinstance(class_weight, str):
        present = np.unique(codes)
        table = np.ones(len(classes))
        table[present] = compute_class_weight(class_weight, classes=present, y=codes)
        return table[codes]
    labels = classes.tolist()
    unknown = [label for label in class_weight if label not in labels]
    if unknown:
        raise ValueError(
            f"class_weight names {unknown}, which are not among the classes {labels}."
        )
    table = np.array([float(class_weight.get(label, 1.0)) for label in labels])
    if not (np.isfinite(table).all() and (table >= 0).all()):
        raise ValueError("class_weight must be finite and not negative.")
    return table[codes]


# Number of bytes of samples on disk that are read together.
PART_BYTES = 16 * 2**20


def check_samples(estimator: Any, X: Any, *, reset: bool) -> Any:
    """Check samples; only shape and dtype of those on disk or in dask arrays."""
    if is_torch(X):
        X = all_finite(estimator, check_batch(estimator, X.detach(), reset=reset))
        return X if stays_on_device(X) else X.numpy()
    X = stored(X)
    if not (isinstance(X, Stored) or is_dask(X)):
        return validate_tensors(estimator, X, reset=reset)
    X = check_lazy_array(estimator, X)
    with config_context(assume_finite=True):
        validate_tensors(estimator, shape_proxy(X), reset=reset)
    return X


def readable(estimator: Any, X: Any) -> np.ndarray | Stored:
    """Make checked samples readable in any order, and check that all are finite."""
    # A dask array is computed once. Each epoch takes the samples in another order, which would
    # compute a block again for each of its samples.
    check = partial(_refuse_infinite, type(estimator).__name__)
    if is_dask(X):
        return materialize(X, check)
    if isinstance(X, Stored):
        for rows in parts(X):
            check(X[rows], rows.start)
    return X


def check_labels(estimator: Any, X: Any, y: Any) -> np.ndarray:
    """Check labels as scikit-learn does, without reading the samples."""
    y = to_numpy(y) if is_torch(y) else y.compute() if is_dask(y) else y
    return check_X_y(np.broadcast_to(0.0, (len(X), 1)), y, dtype=None, estimator=estimator)[1]


def parts(X: Stored) -> Iterator[slice]:
    """Divide samples on disk into slices that are read together."""
    rows = max(1, PART_BYTES // max(1, X.nbytes // len(X)))
    rows = -(-rows // X.rows_together) * X.rows_together
    for start in range(0, len(X), rows):
        yield slice(start, min(start + rows, len(X)))


def _refuse_infinite(name: str, X: np.ndarray, start: int) -> None:
    """Raise an error that names the first sample with a value that is not finite."""
    with np.errstate(all="ignore"):
        if np.isfinite(X.sum(dtype=np.float64)) or np.isfinite(X).all():
            return
    bad = np.flatnonzero(~np.isfinite(X).all(axis=tuple(range(1, X.ndim))))[0]
    raise ValueError(
        f"X given to {name} contains NaN or infinity in sample {start + bad}: leave such samples "
        "out."
    )


def fold_channels(X: np.ndarray) -> np.ndarray:
    """View samples of any order as images, with all axes but the last two as channels."""
    if X.ndim == 2:
        return X[:, None, None, :]
    return X.reshape(len(X), int(np.prod(X.shape[1:-2])), *X.shape[-2:])


class Images:
    """Samples in memory, on disk or on a GPU as images that are read when they are indexed."""

    def __init__(self, X: Any):
        self.X: Any = X
        self.dtype = numpy_dtype(X)
        self.shape = fold_channels(np.broadcast_to(np.zeros((), self.dtype), X.shape)).shape
        self.nbytes = math.prod(X.shape) * self.dtype.itemsize
        self.channel_axes = tuple(X.shape[1:-2]) or (1,)

    def __getitem__(self, rows: slice | np.ndarray) -> Any:
        """Read the images of a slice or of an array of indices."""
        if is_torch(self.X) and not isinstance(rows, slice):
            import torch

            return fold_channels(self.X[torch.from_numpy(rows).to(self.X.device)])
        if isinstance(self.X, Stored) and not isinstance(rows, slice):
            return fold_channels(self.X.take(rows))
        return fold_channels(self.X[rows])


def input_statistics(
    X: np.ndarray | Images, rows: np.ndarray, weights: np.ndarray, over: str = "channel"
) -> tuple[np.ndarray, np.ndarray]:
    """Compute the weighted mean and standard deviation per channel, per cell or of all values."""
    axes = {"channel": (2, 3), "cell": (), "all": (1, 2, 3)}[over]
    share: Any = weights / weights.sum()
    tensors = is_torch(X.X) if isinstance(X, Images) else False
    if tensors:
        import torch

        wide = widest_float(X.X.device)  # type: ignore[union-attr]
        share = torch.from_numpy(share).to(X.X.device, wide)  # type: ignore[union-attr]

    # Two passes over chunks need float64 copies of about 16 MB only.
    size = max(1, 2**21 // int(np.prod(X.shape[1:])))

    def average(function):
        total: Any = 0.0
        for first in range(0, len(rows), size):
            some = X[rows[first : first + size]]
            values = function(some.to(wide) if tensors else some.astype(np.float64))
            part = values.mean(axes, keepdims=True) if axes else values
            product = torch.tensordot if tensors else np.tensordot
            total = total + product(share[first : first + size], part, 1)
        return total

    with np.errstate(over="ignore", invalid="ignore"):
        mean = average(lambda x: x)
        variance = average(lambda x: (x - mean) ** 2)
        mean, variance = (to_numpy(array).astype(np.float64) for array in (mean, variance))
    if not (np.isfinite(mean).all() and np.isfinite(variance).all()):
        raise ValueError("X holds values whose squares are infinite: divide X by a constant.")
    if over == "cell":
        variance = variance + 0.05**2 * variance.mean()
    scale = np.sqrt(variance)
    scale[scale <= 10 * np.finfo(X.dtype).eps * np.abs(mean)] = 1.0
    shape = X.shape[1:] if over == "cell" else (X.shape[1], 1, 1)
    return np.broadcast_to(mean, shape).copy(), np.broadcast_to(scale, shape).copy()


def split_validation(
    codes: np.ndarray, fraction: float, random_state: int
) -> tuple[np.ndarray, np.ndarray] | None:
    """Split off a stratified validation part; None where there are too few samples."""
    # Classes with one sample stay in training. A part smaller than the number of classes grows
    # to one sample per class, up to a third of all samples.
    counts = np.bincount(codes)
    common = np.flatnonzero(counts >= 2)
    candidates = np.flatnonzero(counts[codes] >= 2)
    asked = int(np.ceil(fraction * len(codes)))
    n_valid = max(asked, len(common))
    if len(common) < 2 or n_valid > max(asked, len(codes) // 3):
        return None
    if len(candidates) - n_valid < len(common):
        return None
    if n_valid > asked or len(candidates) < len(codes):
        logger.info(
            "validation part: %d samples instead of %d, one at least of every class that has "
            "two or more samples",
            n_valid,
            asked,
        )
    _, valid = train_test_split(
        candidates, test_size=n_valid, random_state=random_state, stratify=codes[candidates]
    )
    valid.sort()
    return np.setdiff1d(np.arange(len(codes)), valid), valid
