"""Train, validation and test splits."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sklearn.utils.validation import has_fit_parameter

from skstrf.datasets.folder import SPLIT_ROLES
from skstrf.utils.messages import warn_user

__all__ = [
    "Fold",
    "Plan",
    "check_names",
    "held_back_share",
    "plan_folds",
    "plan_split",
    "split_roles",
]

# Number of shuffles to try for folds with every class in the training part.
N_ATTEMPTS = 20


@dataclass(frozen=True)
class Fold:
    """Rows of one division of the sounds; `valid` may be empty."""

    train: np.ndarray
    test: np.ndarray
    valid: np.ndarray = field(default_factory=lambda: np.array([], dtype=int))


@dataclass(frozen=True)
class Plan:
    """All divisions of an experiment with their description, and further test sets by name."""

    folds: list[Fold]
    description: str
    final: Fold
    extra: dict[str, np.ndarray] = field(default_factory=dict)
    is_held_out: bool = False


def plan_split(y: np.ndarray, split: Any, groups: Any = None) -> Plan:
    """Divide by the names of splits: train, valid, test; all others are further test sets."""
    names = split_roles(check_names(split, len(y), "split"))
    rows = {str(name): np.flatnonzero(names == name) for name in np.unique(names)}
    missing = [name for name in ("train", "test") if name not in rows]
    if missing:
        raise ValueError(
            f"split has no {' and no '.join(missing)}; it names {', '.join(rows)}. A held-out "
            "evaluation needs both: rename the splits, or leave split out to cross-validate."
        )
    fold = Fold(rows.pop("train"), rows.pop("test"), rows.pop("valid", np.array([], dtype=int)))
    unlearned = sorted(set(y.tolist()) - set(y[fold.train].tolist()), key=str)
    if unlearned:
        raise ValueError(
            f"Classes with no sound in the train split: {', '.join(map(str, unlearned))}. Add "
            "some, or leave these classes out."
        )
    if len(set(y[fold.train].tolist())) < 2:
        raise ValueError(f"The train split has one class only: {y[fold.train][0]}. Add another.")
    groups = check_names(groups, len(y), "groups")
    for name, tested in {} if groups is None else {"test": fold.test, **rows}.items():
        if shared := sorted(set(groups[fold.train]) & set(groups[tested])):
            warn_user(
                f"{len(shared)} groups are in train and in {name} ({', '.join(shared[:5])}), "
                "which makes the accuracy too high."
            )
    return Plan([fold], "held-out test split", fold, rows, is_held_out=True)


def split_roles(split: Any) -> np.ndarray:
    """Standardize the usual spellings of the splits train, valid and test."""
    names = (str(name).strip() for name in split)
    return np.array([SPLIT_ROLES.get(name.lower(), name) for name in names], dtype=str)


def plan_folds(
    y: np.ndarray, groups: Any, cv: Any, random_state: int, *, held_back: float = 0.0
) -> Plan:
    """Divide by stratified cross-validation, with whole groups if there are any."""
    if groups is not None:
        groups = check_names(groups, len(y), "groups")
    _check_classes(y, groups)
    if not isinstance(cv, int | np.integer):
        pairs = _given_folds(y, groups, cv)
        description = f"{len(pairs)} folds of {type(cv).__name__}"
    elif groups is None:
        from sklearn.model_selection import StratifiedKFold

        n_folds = _count_folds(y, groups, int(cv))
        splitter = StratifiedKFold(n_folds, shuffle=True, random_state=random_state)
        pairs = list(splitter.split(y, y))
        description = f"stratified {n_folds}-fold cross-validation"
    else:
        pairs = _grouped_folds(y, groups, _count_folds(y, groups, int(cv)), random_state)
        description = f"stratified, grouped {len(pairs)}-fold cross-validation"
    everything = (np.arange(len(y)), np.array([], dtype=int))
    *folds, final = (
        _hold_back(train, test, y, groups, held_back, random_state)
        for train, test in [*pairs, everything]
    )
    return Plan(folds, description, final)


def check_names(values: Any, n_sounds: int, name: str) -> np.ndarray | None:
    """Check a column of names, which has one for each sound and none empty."""
    if values is None:
        return None
    column = [str(value) for value in values]
    if len(column) != n_sounds:
        raise ValueError(f"{name} has {len(column)} entries for {n_sounds} sounds.")
    if empty := sum(not value.strip() for value in column):
        raise ValueError(
            f"{name} is empty for {empty} of {n_sounds} sounds. Fill it in for all, or leave the "
            "column out."
        )
    return np.array(column, dtype=str)


def held_back_share(classifier: Any) -> float:
    """Return the share of the training sounds that a classifier uses for early stopping."""
    wants = getattr(classifier, "early_stopping", False)
    takes = has_fit_parameter(classifier, "validation_data")
    return float(getattr(classifier, "validation_fraction", 0.0)) if wants and takes else 0.0


def _check_classes(y: np.ndarray, groups: np.ndarray | None) -> None:
    counts = Counter(y.tolist())
    if len(counts) < 2:
        raise ValueError(
            f"Only one class: {next(iter(counts), 'none')}. A classifier needs two or more."
        )
    single = sorted((name for name, count in counts.items() if count < 2), key=str)
    if single:
        raise ValueError(
            f"Classes with a single sound: {', '.join(map(str, single))}. It cannot be in "
            "training and test part: add sounds, or leave these classes out."
        )
    if groups is None:
        return
    alone = [str(name) for name in sorted(counts, key=str) if len(set(groups[y == name])) < 2]
    if alone:
        raise ValueError(
            f"Classes whose sounds are all of one group: {', '.join(alone)}. The training part of "
            "a fold that tests the group lacks the class: add another group, or leave out the "
            "groups or these classes."
        )


def _count_folds(y: np.ndarray, groups: np.ndarray | None, cv: int) -> int:
    if cv < 2:
        raise ValueError(f"cv={cv}: cross-validation needs 2 folds or more.")
    if groups is None:
        sizes = Counter(y.tolist())
    else:
        sizes = Counter({name: len(set(groups[y == name])) for name in set(y.tolist())})
    name, least = min(sizes.items(), key=lambda item: (item[1], str(item[0])))
    if least >= cv:
        return cv
    _warn_of_fewer(
        cv, least, f"class {name} has {least} {'groups' if groups is not None else 'sounds'}"
    )
    return least


def _grouped_folds(
    y: np.ndarray, groups: np.ndarray, n_folds: int, seed: int, *, quiet: bool = False
) -> list[Any]:
    """Shuffle until the training part of every fold has every class, or use fewer folds."""
    from sklearn.model_selection import StratifiedGroupKFold

    classes = set(y.tolist())
    for count in range(n_folds, 1, -1):
        for attempt in range(N_ATTEMPTS):
            splitter = StratifiedGroupKFold(count, shuffle=True, random_state=seed + attempt)
            pairs = list(splitter.split(y, y, groups))
            if all(set(y[train].tolist()) == classes and len(test) for train, test in pairs):
                if count < n_folds and not quiet:
                    _warn_of_fewer(n_folds, count, "the groups divide into no more")
                return pairs
    raise ValueError(
        "The groups cannot be divided into two folds that both have every class. Add groups, or "
        "leave the groups out."
    )


def _given_folds(y: np.ndarray, groups: np.ndarray | None, cv: Any) -> list[Any]:
    if not hasattr(cv, "get_n_splits"):
        raise ValueError(f"cv must be a number of folds or a splitter, got {cv!r}.")
    pairs = list(cv.split(y, y, groups))
    for number, (train, _) in enumerate(pairs):
        if lacking := sorted(set(y.tolist()) - set(y[train].tolist()), key=str):
            raise ValueError(
                f"Fold {number} of cv has no training sounds of {', '.join(map(str, lacking))}. "
                "Use a stratified splitter or fewer folds."
            )
    return pairs


def _hold_back(
    train: np.ndarray,
    test: np.ndarray,
    y: np.ndarray,
    groups: np.ndarray | None,
    share: float,
    seed: int,
) -> Fold:
    """Make a fold whose validation part has separate groups, if that is possible."""
    if groups is None or share <= 0:
        return Fold(train, test)
    classes, n_parts = set(y[train].tolist()), max(2, round(1 / share))
    try:
        pairs = _grouped_folds(y[train], groups[train], n_parts, seed, quiet=True)
    except ValueError:
        return Fold(train, test)
    # A part with all classes shows best when to stop.
    kept, held = max(pairs, key=lambda pair: len(classes & set(y[train[pair[1]]].tolist())))
    return Fold(train[kept], test, train[held])


def _warn_of_fewer(asked: int, count: int, reason: str) -> None:
    warn_user(f"{count} folds instead of {asked}: {reason}.")
