"""The two collections of an experiment on transfer, as tensors."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.utils import column_or_1d

from skstrf.experiments.folds import check_names, plan_folds, plan_split
from skstrf.experiments.sounds import warn_of_skipped
from skstrf.experiments.tensors import compute_tensors

__all__ = ["Corpus", "divide", "files_of", "make_corpus"]


class Corpus(NamedTuple):
    """Tensors of a collection with what is known of each sound."""

    X: np.ndarray
    y: np.ndarray
    groups: np.ndarray | None
    split: np.ndarray | None
    skipped: list[tuple[str, str]]

    def describe(self) -> dict[str, Any]:
        """Sizes and classes."""
        return {
            "n_sounds": len(self.y),
            "classes": np.unique(self.y).tolist(),
            "tensor_shape": list(self.X.shape[1:]),
        }


def files_of(corpus: Any) -> Any:
    """Give the paths of a collection that has no content.

    Parameters
    ----------
    corpus : Bunch or tuple
        As given to `run_transfer`.

    Returns
    -------
    sequence of path, or None
        None where sounds or tensors themselves are there.
    """
    if isinstance(corpus, Mapping):
        return None if corpus.get("data") is not None else corpus.get("filenames")
    X = corpus[0]
    return X if len(X) and isinstance(X[0], str | os.PathLike) else None


def make_corpus(corpus: Any, name: str, head: Pipeline, folder: str, **options: Any) -> Corpus:
    """Make the tensors of a collection, and check what comes with them.

    Parameters
    ----------
    corpus : Bunch or tuple
        As given to `run_transfer`.
    name : str
        What it is called in errors.
    head : Pipeline
        Loader and transformer.
    folder : str
        Where large tensors of files go; not there yet.
    **options : object
        Of :func:`skstrf.experiments.tensors.compute_tensors`.

    Returns
    -------
    Corpus
        Tensors with what is known of each sound.
    """
    X, y, columns = _read(corpus, name)
    files = files_of(corpus)
    skipped: list[tuple[str, str]] = []
    if files is not None:
        os.mkdir(folder)
        paths = [os.fspath(file) for file in files]
        _check_length(paths, y, name)
        X, errors = compute_tensors(head, paths, folder=folder, **options)
        kept = [row for row in range(len(paths)) if row not in errors]
        skipped = [(paths[row], reason) for row, reason in errors.items()]
        y = y[kept]
        columns = {key: v if v is None else np.asarray(v)[kept] for key, v in columns.items()}
        if skipped:
            warn_of_skipped(skipped, len(paths))
    else:
        X = np.asarray(X)
        _check_length(X, y, name)
        for _, step in head.steps[1:] if X.ndim == 2 else []:
            X = step.fit_transform(X)
    if len(np.unique(y)) < 2:
        raise ValueError(f"The {name} has one class only, {y[0]}: add another.")
    checked = {key: check_names(v, len(y), f"{key} of the {name}") for key, v in columns.items()}
    return Corpus(X, y, **checked, skipped=skipped)


def _check_length(X: Any, y: np.ndarray, name: str) -> None:
    if len(X) != len(y) or not len(y):
        raise ValueError(f"The {name} has {len(X)} sounds and {len(y)} classes.")


def _read(corpus: Any, name: str) -> tuple[Any, np.ndarray, dict[str, Any]]:
    columns: dict[str, Any] = {"groups": None, "split": None}
    if not isinstance(corpus, Mapping):
        if not isinstance(corpus, tuple) or len(corpus) != 2:
            raise ValueError(f"{name} must be a Bunch or a tuple (X, y), got {type(corpus)}.")
        return corpus[0], column_or_1d(corpus[1]), columns
    if "target" not in corpus or not ({"data", "filenames"} & set(corpus)):
        raise ValueError(f"{name} must have target, and data or filenames; it has {list(corpus)}.")
    y = np.asarray(corpus["target"])
    if corpus.get("target_names") is not None:
        y = np.array(corpus["target_names"])[y]
    for key in columns:
        column = corpus.get(key)
        columns[key] = None if column is None or not any(column) else column
    return corpus.get("data"), column_or_1d(y), columns


def divide(
    corpus: Corpus, test_share: float, seed: int
) -> tuple[np.ndarray, dict[str, np.ndarray], str]:
    """Divide a target into what may be learned from and what is tested.

    Parameters
    ----------
    corpus : Corpus
        The target.
    test_share : float
        Share to test on, where there is no split.
    seed : int
        Of the division.

    Returns
    -------
    pool : ndarray of int
        Rows to learn from.
    tests : dict of str to ndarray of int
        Rows of "test" and of further test sets.
    description : str
        How they came about.
    """
    if corpus.split is not None:
        plan = plan_split(corpus.y, corpus.split, corpus.groups)
        fold = plan.folds[0]
        pool = np.sort(np.concatenate([fold.train, fold.valid]))
        return pool, {"test": fold.test, **plan.extra}, plan.description
    if not 0 < test_share < 1:
        raise ValueError(f"test_share={test_share:g}: give a share of the target, in (0, 1).")
    plan = plan_folds(corpus.y, corpus.groups, max(2, round(1 / test_share)), seed)
    kind = "stratified" if corpus.groups is None else "stratified, grouped"
    share = len(plan.folds[0].test) / len(corpus.y)
    description = f"{kind} test part of {share:.0%} of the target, another for each seed"
    return plan.folds[0].train, {"test": plan.folds[0].test}, description
