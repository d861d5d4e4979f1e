"""The sounds of an experiment: files, classes, and what keeps them apart or together."""

from __future__ import annotations

import os
import warnings
from typing import Any, NamedTuple

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.utils import column_or_1d
from sklearn.utils.multiclass import check_classification_targets

from skstrf.experiments.folds import Plan, check_names, plan_folds, plan_split
from skstrf.experiments.tensors import compute_tensors

__all__ = ["Sounds", "warn_of_skipped"]


class Sounds(NamedTuple):
    """Files with what is known of each.

    Attributes
    ----------
    files : list of str
        Paths.
    y : ndarray of shape (n_sounds,)
        Classes.
    groups, split : ndarray of shape (n_sounds,), str, or None
        Columns that may be there.
    """

    files: list[str]
    y: np.ndarray
    groups: np.ndarray | None
    split: np.ndarray | None

    @classmethod
    def checked(cls, filenames: Any, y: Any, groups: Any, split: Any) -> Sounds:
        """Check that the columns fit each other; raises a ValueError that names the bad one."""
        if isinstance(filenames, (str, os.PathLike)):
            raise ValueError(f"filenames must be a list of paths, got {filenames!r}.")
        files, y = [os.fspath(name) for name in filenames], column_or_1d(y)
        check_classification_targets(y)
        if len(files) != len(y):
            raise ValueError(f"There are {len(files)} filenames, but y has {len(y)} classes.")
        if not files:
            raise ValueError("filenames is empty: there is nothing to learn from.")
        more = {"groups": groups, "split": split}
        checked = {name: check_names(v, len(y), name) for name, v in more.items()}
        return cls(files, y, **checked)

    def plan(self, cv: Any, random_state: int, held_back: float) -> Plan:
        """Divide the sounds; raises where they cannot be divided."""
        if self.split is not None:
            return plan_split(self.y, self.split, self.groups)
        return plan_folds(self.y, self.groups, cv, random_state, held_back=held_back)

    def tensors(
        self, head: Pipeline, folder: str, max_bytes: int, verbose: bool
    ) -> tuple[np.ndarray, Sounds, list[tuple[str, str]]]:
        """Compute the tensors; also give the sounds that are left, and the others with reasons."""
        X, errors = compute_tensors(
            head, self.files, folder=folder, max_bytes=max_bytes, verbose=verbose
        )
        if not errors:
            return X, self, []
        skipped = [(self.files[row], reason) for row, reason in errors.items()]
        return X, self.without(set(errors)), skipped

    def without(self, rows: set[int]) -> Sounds:
        """Leave some sounds out."""
        kept = [row for row in range(len(self.files)) if row not in rows]
        groups, split = (None if v is None else v[kept] for v in (self.groups, self.split))
        return Sounds([self.files[row] for row in kept], self.y[kept], groups, split)


def warn_of_skipped(skipped: list[tuple[str, str]], n_files: int, *, stacklevel: int = 3) -> None:
    """Warn, for the caller of an experiment, of files that it left out.

    Parameters
    ----------
    skipped : list of (str, str)
        The files with the reason.
    n_files : int
        Out of how many.
    """
    named = "\n".join(f"  {path}: {reason}" for path, reason in skipped[:5])
    more = f"\n  and {len(skipped) - 5} more" if len(skipped) > 5 else ""
    warnings.warn(
        f"{len(skipped)} of {n_files} sound files cannot be used and were left out:\n"
        f"{named}{more}",
        UserWarning,
        stacklevel=3,
    )
