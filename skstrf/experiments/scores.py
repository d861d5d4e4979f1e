"""How good the predictions are, in plain numbers that JSON can hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["chance_level", "fold_scores", "score_set", "spread"]


def score_set(
    y: np.ndarray, predicted: np.ndarray, classes: Sequence[Any] | np.ndarray, guess: float
) -> dict[str, Any]:
    """Score the predictions for one set of sounds.

    Parameters
    ----------
    y, predicted : ndarray of shape (n_sounds,)
        The classes, and what was predicted.
    classes : sequence
        All classes, in the order of the rows and columns to return.
    guess : float
        Chance level, as `chance_level` gives it.

    Returns
    -------
    dict
        ``n_sounds``, ``accuracy``, ``interval`` (of 95 %, by Wilson's method, taking the sounds
        for independent), ``balanced_accuracy`` (mean recall of the classes that occur),
        ``chance``, ``per_class`` and ``confusion_matrix`` (rows: true, columns: predicted).

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf.experiments.scores import score_set
    >>> y, predicted = np.array(["a", "a", "b", "b"]), np.array(["a", "b", "b", "b"])
    >>> scores = score_set(y, predicted, ["a", "b"], guess=0.5)
    >>> scores["accuracy"], scores["confusion_matrix"]
    (0.75, [[1, 1], [0, 2]])
    """
    from scipy.stats import binomtest
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    labels = list(classes)
    table = precision_recall_fscore_support(y, predicted, labels=labels, zero_division=0.0)
    names = ("precision", "recall", "f1", "support")
    per_class = [
        {"class": _plain(label)}
        | {
            name: (int if name == "support" else float)(v)
            for name, v in zip(names, row, strict=True)
        }
        for label, row in zip(labels, zip(*table, strict=True), strict=True)
    ]
    n_right = int(np.sum(y == predicted))
    interval = binomtest(n_right, len(y)).proportion_ci(0.95, method="wilson")
    return {
        "n_sounds": len(y),
        "accuracy": n_right / len(y),
        "interval": [float(interval.low), float(interval.high)],
        "balanced_accuracy": _mean_recall(per_class),
        "chance": guess,
        "per_class": per_class,
        "confusion_matrix": confusion_matrix(y, predicted, labels=labels).tolist(),
    }


def fold_scores(y: np.ndarray, predicted: np.ndarray, train_y: np.ndarray) -> dict[str, float]:
    """Score one fold: accuracy, balanced accuracy and chance level.

    Parameters
    ----------
    y, predicted : ndarray of shape (n_sounds,)
        The classes, and what was predicted.
    train_y : ndarray of shape (n_train,)
        The classes learned from.

    Returns
    -------
    dict of str to float
        ``accuracy``, ``balanced_accuracy``, ``chance``.
    """
    guess = chance_level(train_y, y)
    scores = score_set(y, predicted, np.unique(np.concatenate([y, predicted])), guess)
    return {name: scores[name] for name in ("accuracy", "balanced_accuracy", "chance")}


def chance_level(train_y: np.ndarray, y: np.ndarray) -> float:
    """Accuracy of always guessing the class that is commonest in training.

    Parameters
    ----------
    train_y : ndarray of shape (n_train,)
        The classes learned from.
    y : ndarray of shape (n_sounds,)
        The classes to guess.

    Returns
    -------
    float
        When several classes tie, the mean over them.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf.experiments.scores import chance_level
    >>> chance_level(np.array(["a", "a", "b"]), np.array(["a", "b", "b", "b"]))
    0.25
    """
    names, counts = np.unique(train_y, return_counts=True)
    commonest = names[counts == counts.max()]
    return float(np.mean([np.mean(y == name) for name in commonest]))


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Mean, standard deviation and values of a score over folds.

    Parameters
    ----------
    values : sequence of float
        One a fold.

    Returns
    -------
    dict
        ``mean``, ``std`` (None for a single fold) and ``values``.

    Examples
    --------
    >>> from skstrf.experiments.scores import spread
    >>> spread([0.5, 1.0])["mean"]
    0.75
    """
    std = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return {"mean": float(np.mean(values)), "std": std, "values": [float(v) for v in values]}


def _mean_recall(per_class: list[dict[str, Any]]) -> float:
    return float(np.mean([row["recall"] for row in per_class if row["support"]]))


def _plain(label: Any) -> Any:
    return label.item() if isinstance(label, np.generic) else label
