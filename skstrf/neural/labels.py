"""Labels as indices, and the weight of every sample in the loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.utils import check_array, check_consistent_length
from sklearn.utils.class_weight import compute_class_weight

__all__ = ["check_sample_weight", "class_weights", "encode_labels"]


def encode_labels(y: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Index every label in the classes.

    Parameters
    ----------
    y : ndarray of shape (n_samples,)
        Labels of any type that can be sorted.
    classes : ndarray of shape (n_classes,)
        The known ones, ascending.

    Returns
    -------
    ndarray of int of shape (n_samples,)
        ``classes[codes]`` equals `y`.

    Raises
    ------
    ValueError
        That lists the labels which are not among the classes.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf.neural.labels import encode_labels
    >>> encode_labels(np.array(["rock", "jazz"]), np.array(["jazz", "rock"]))
    array([1, 0])
    """
    labels, inverse = np.unique(y, return_inverse=True)
    position = {label: i for i, label in enumerate(classes.tolist())}
    unseen = [label for label in labels.tolist() if label not in position]
    if unseen:
        raise ValueError(
            f"y has labels that were not seen before: {unseen}; the classes are "
            f"{classes.tolist()}. Name them all in `classes` at the first partial_fit, or fit "
            "again on data that has them all."
        )
    return np.array([position[label] for label in labels.tolist()], dtype=np.intp)[inverse]


def check_sample_weight(sample_weight: Any, n_samples: int) -> np.ndarray:
    """Check the weights of samples; ones where there are none.

    Parameters
    ----------
    sample_weight : array-like of shape (n_samples,) or None
        Not negative, not all zero.
    n_samples : int
        How many there must be.

    Returns
    -------
    ndarray of float64 of shape (n_samples,)
        The weights.

    Raises
    ------
    ValueError
        For a wrong shape, and negative, infinite or vanishing weights.

    Examples
    --------
    >>> from skstrf.neural.labels import check_sample_weight
    >>> check_sample_weight(None, 2)
    array([1., 1.])
    """
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
    """Weight of each sample by its class alone.

    Parameters
    ----------
    class_weight : "balanced", mapping of label to weight, or None
        Classes a mapping lacks have a weight of 1.
    classes : ndarray of shape (n_classes,)
        The labels.
    codes : ndarray of int of shape (n_samples,)
        Index of each sample's class.

    Returns
    -------
    ndarray of float64 of shape (n_samples,)
        The weights.

    Raises
    ------
    ValueError
        For labels that are no class, and weights that are negative or no number.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf.neural.labels import class_weights
    >>> class_weights({"b": 3.0}, np.array(["a", "b"]), np.array([0, 0, 1]))
    array([1., 1., 3.])
    """
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
        raise ValueError(f"class_weight names {unknown}, which are none of the classes {labels}.")
    table = np.array([float(class_weight.get(label, 1.0)) for label in labels])
    if not (np.isfinite(table).all() and (table >= 0).all()):
        raise ValueError("class_weight holds weights that are negative or not finite.")
    return table[codes]
