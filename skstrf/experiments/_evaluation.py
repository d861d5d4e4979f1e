"""Computation of the tensors of sound files, and fitting and testing on folds."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.pipeline import Pipeline
from sklearn.utils import column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import has_fit_parameter

from skstrf.caching.fingerprints import is_stateless, stage_settings
from skstrf.datasets import AudioLoader, AudioReadError
from skstrf.experiments._base import accuracy_interval, mean_std
from skstrf.experiments._splits import Fold, Plan, check_names, plan_folds, plan_split
from skstrf.pipeline import row_keys
from skstrf.utils.arrays import resolve_device
from skstrf.utils.cluster import WorkerDied, current_client, run_on_cluster
from skstrf.utils.disk import create_memmap
from skstrf.utils.messages import describe_skipped, warn_user

__all__ = [
    "CHUNK",
    "MAX_BYTES",
    "FittedTail",
    "Flatten",
    "Sounds",
    "Stopwatch",
    "check_parameters",
    "chunks",
    "compute_tensors",
    "divide_pipeline",
    "evaluate_seed",
    "fit_reduction",
    "fit_tail",
    "linear_classifier",
    "progress",
    "stage_texts",
    "summarize_seeds",
    "transform_rows",
    "warn_of_skipped",
]

# Number of sounds that are read and transformed at a time.
CHUNK = 16
# Tensors of one data set in memory; larger ones are written to a file.
MAX_BYTES = 2**30


# Pipelines


def divide_pipeline(pipeline: Pipeline, memory: Any = None) -> tuple[Pipeline, Pipeline]:
    """Divide a pipeline after its last stateless stage; both parts are clones.

    The transformer gets the `memory`, if it takes one.
    """
    steps = [(name, step) for name, step in pipeline.steps if step not in (None, "passthrough")]
    if len(steps) < 2 or not isinstance(steps[0][1], AudioLoader):
        raise ValueError(
            "pipeline must begin with an AudioLoader and end with a classifier; its steps are "
            f"{', '.join(name for name, _ in pipeline.steps)}."
        )
    if not hasattr(steps[-1][1], "predict_proba"):
        raise ValueError(f"The last step of pipeline, {steps[-1][0]}, has no predict_proba.")
    stateless = [is_stateless(step) for _, step in steps[:-1]]
    n_head = 1 + max(index for index, is_so in enumerate(stateless) if is_so)
    fresh = [(name, clone(step)) for name, step in steps]
    last = fresh[n_head - 1][1]
    if memory is not None and "memory" in last.get_params(deep=False):
        last.set_params(memory=memory)
    return Pipeline(fresh[:n_head]), Pipeline(fresh[n_head:])


def check_parameters(pipeline: Pipeline) -> None:
    """Validate the parameters of all stages before any of them computes for hours."""
    for _, step in pipeline.steps:
        if hasattr(step, "_parameter_constraints"):
            step._validate_params()
        if isinstance(getattr(step, "device", None), str):
            resolve_device(step.device)


def stage_texts(stages: Pipeline) -> list[str]:
    """Return the cache keys of all stages."""
    return [stage_settings(step) for _, step in stages.steps]


class Flatten(TransformerMixin, BaseEstimator):
    """Reshape features of any order to (n_sounds, n_features)."""

    def fit(self, X: np.ndarray, y: Any = None) -> Flatten:
        """Do nothing."""
        return self

    def transform(self, X: np.ndarray) -> np.ndarray:
        """Return each sample as a row."""
        return np.asarray(X).reshape(len(X), -1)

    def __sklearn_is_fitted__(self) -> bool:
        return True


def linear_classifier() -> Pipeline:
    """Return an unfitted logistic regression for features of any order."""
    from sklearn.decomposition import KernelPCA
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    # Linear kernel PCA without loss: the solver then works on n_sounds rather than n_features.
    return make_pipeline(
        Flatten(),
        StandardScaler(),
        KernelPCA(kernel="linear", eigen_solver="dense", remove_zero_eig=True),
        LogisticRegression(max_iter=2000),
    )


class Stopwatch(dict[str, float]):
    """Seconds by name of the stage, summed over its runs."""

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Time a block."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self[name] = self.get(name, 0.0) + time.perf_counter() - start


def progress(items: Iterable[Any] | None, description: str, verbose: bool, **options: Any) -> Any:
    """Show a progress bar over `items` if `verbose`."""
    from tqdm import tqdm

    return tqdm(items, desc=description, disable=not verbose, **options)


# Sound files and their tensors


class Sounds(NamedTuple):
    """Paths of sound files with class, group and split of each."""

    files: list[str]
    y: np.ndarray
    groups: np.ndarray | None
    split: np.ndarray | None

    @classmethod
    def checked(cls, filenames: Any, y: Any, groups: Any, split: Any) -> Sounds:
        """Check that all columns have one valid entry for each file."""
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
        """Divide the sounds by their splits, or else into folds."""
        if self.split is not None:
            return plan_split(self.y, self.split, self.groups)
        return plan_folds(self.y, self.groups, cv, random_state, held_back=held_back)

    def tensors(
        self, head: Pipeline, folder: str, max_bytes: int, verbose: bool
    ) -> tuple[np.ndarray, Sounds, list[tuple[str, str]]]:
        """Compute the tensors; also return the usable sounds, and the others with reasons."""
        X, errors = compute_tensors(
            head, self.files, folder=folder, max_bytes=max_bytes, verbose=verbose
        )
        return X, *self.without(errors)

    def without(self, errors: dict[int, str]) -> tuple[Sounds, list[tuple[str, str]]]:
        """Leave out unusable sounds; also return their files with the reasons."""
        kept = [row for row in range(len(self.files)) if row not in errors]
        groups, split = (None if v is None else v[kept] for v in (self.groups, self.split))
        usable = Sounds([self.files[row] for row in kept], self.y[kept], groups, split)
        return usable, [(self.files[row], reason) for row, reason in errors.items()]

    def key(self, **more: Any) -> dict[str, Any]:
        """Return what a cache must tell apart: contents of files, all columns, and `more`."""
        return self._asdict() | {"files": row_keys(self.files)} | more


def warn_of_skipped(skipped: list[tuple[str, str]], n_files: int) -> None:
    """Warn of files that were left out."""
    headline = f"{len(skipped)} of {n_files} sound files cannot be used and were left out"
    warn_user(describe_skipped(skipped, headline))


def chunks(rows: np.ndarray, size: int = CHUNK) -> Iterator[np.ndarray]:
    """Yield `rows` in pieces of at most `size`."""
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def compute_tensors(
    head: Pipeline,
    filenames: Sequence[str],
    *,
    folder: str | os.PathLike[str],
    max_bytes: int = MAX_BYTES,
    verbose: bool = False,
) -> tuple[np.ndarray, dict[int, str]]:
    """Fit the stateless stages and compute the tensors; warn of errors and return them by row."""
    loader = head[0].fit(list(filenames))
    # The other stages learn the shape of the sounds only, so one silent sound is enough.
    n_channels = () if loader.mono else (loader.n_channels_,)
    block = np.zeros((1, *n_channels, loader.n_times_), np.float32)
    for number, (_, step) in enumerate(head.steps[1:], start=2):
        step.fit(block)
        if number < len(head.steps):
            block = step.transform(block)
    errors: dict[int, str] = {}
    tensors, n_good = np.empty(0), 0
    with progress(None, "Sounds to tensors", verbose, total=len(filenames), unit="file") as bar:
        for rows, (found, bad) in _blocks(head, filenames):
            errors |= {int(rows[index]): reason for index, reason in bad.items()}
            bar.update(len(rows))
            if found is None:
                continue
            if not n_good:
                shape = (len(filenames), *found.shape[1:])
                tensors = _allocate(shape, found.dtype, folder, max_bytes)
            tensors[n_good : n_good + len(found)] = found
            n_good += len(found)
    if not n_good:
        raise ValueError(f"None of the {len(filenames)} sound files can be used.")
    if errors:
        warn_of_skipped([(filenames[row], r) for row, r in errors.items()], len(filenames))
    return tensors[:n_good], errors


# Tensors of some files (None if no file can be used) and errors by row.
Part = tuple[np.ndarray | None, dict[int, str]]


def _blocks(head: Pipeline, filenames: Sequence[str]) -> Iterator[tuple[np.ndarray, Part]]:
    """Yield rows with their tensors and errors, computed here or on a cluster."""
    parts = chunks(np.arange(len(filenames)))
    if current_client() is None:
        yield from ((rows, _part(rows, head, filenames)) for rows in parts)
        return
    paths = [os.path.abspath(name) for name in filenames]
    for rows, outcome in run_on_cluster(_part, parts, head, paths):
        yield rows, _one_by_one(rows, head, paths) if isinstance(outcome, WorkerDied) else outcome


def _part(rows: np.ndarray, head: Pipeline, filenames: Sequence[str]) -> Part:
    """Compute the tensors of some files."""
    sounds, errors = head[0].read([filenames[row] for row in rows])
    bad = {row: error.reason for row, error in errors.items()}
    if len(bad) == len(rows):
        return None, bad
    block = np.delete(sounds, list(bad), axis=0)
    for _, step in head.steps[1:]:
        block = step.transform(block)
    return block, bad


def _one_by_one(rows: np.ndarray, head: Pipeline, paths: Sequence[str]) -> Part:
    """Find the files that end the process which reads them."""
    blocks, bad = [], {}
    alone = ([row] for row in rows)
    for index, (_, outcome) in enumerate(run_on_cluster(_part, alone, head, paths)):
        if isinstance(outcome, WorkerDied):
            if head[0].on_error == "raise":
                raise AudioReadError(paths[rows[index]], f"{outcome.reason}. Leave it out.")
            outcome = None, {0: outcome.reason}
        block, reasons = outcome
        if block is None:
            bad[index] = reasons[0]
        else:
            blocks.append(block)
    return (np.concatenate(blocks) if blocks else None), bad


def _allocate(shape: tuple[int, ...], dtype: Any, folder: Any, max_bytes: int) -> np.ndarray:
    if np.prod(shape, dtype=float) * np.dtype(dtype).itemsize <= max_bytes:
        return np.empty(shape, dtype)
    return create_memmap(os.path.join(folder, "tensors.npy"), dtype, shape)


# Fitting and testing on folds


class FittedTail(NamedTuple):
    """Stages fitted on the training part of a fold, with the features of that part."""

    reduction: Pipeline | None
    classifier: Any
    features: np.ndarray
    name: str

    @property
    def steps(self) -> list[tuple[str, Any]]:
        """Names and fitted stages, as a pipeline takes them."""
        before = [] if self.reduction is None else self.reduction.steps
        return [*before, (self.name, self.classifier)]


def fit_tail(
    tail: Pipeline, X: np.ndarray, y: np.ndarray, fold: Fold, watch: Stopwatch, verbose: bool
) -> FittedTail:
    """Fit clones of reduction and classifier on the training part of a fold."""
    steps = clone(tail).steps
    reduction = Pipeline(steps[:-1]) if len(steps) > 1 else None
    name, classifier = steps[-1]
    with watch("reduction"):
        features = fit_reduction(reduction, X, fold.train, y)
        validation = {}
        if len(fold.valid) and has_fit_parameter(classifier, "validation_data"):
            valid = transform_rows(reduction, X, fold.valid)
            validation = {"validation_data": (valid, y[fold.valid])}
    quiet = verbose and getattr(classifier, "verbose", None) is False
    if quiet:
        classifier.set_params(verbose=True)
    with watch("network"):
        classifier.fit(features, y[fold.train], **validation)
    if quiet:
        classifier.set_params(verbose=False)
    return FittedTail(reduction, classifier, features, name)


def fit_reduction(reduction: Pipeline | None, X: np.ndarray, rows: np.ndarray, y: Any) -> Any:
    """Fit the stages between the tensors and the classifier, and transform their training part.

    Tensors on disk stay there: stages that read their data in chunks, such as `TensorScaler` and
    `MPCA`, have at most one chunk in memory.
    """
    if reduction is None:
        return X[rows]
    if not isinstance(X, np.memmap):
        return reduction.fit_transform(X[rows], y[rows])
    part = _copy_to_disk(X, rows)
    for _, step in reduction.steps:
        part = _transform_in_place(step.fit(part, y[rows]), part)
    return np.array(part)


def _copy_to_disk(X: np.memmap, rows: np.ndarray) -> np.ndarray:
    """Copy some rows to a separate file: indexing `X` with them would fill the memory."""
    path = os.path.join(os.path.dirname(str(X.filename)), "part.npy")
    part = create_memmap(path, X.dtype, (len(rows), *X.shape[1:]))
    for piece in chunks(np.arange(len(rows))):
        part[piece] = X[rows[piece]]
    return part


def _transform_in_place(step: Any, part: np.ndarray) -> np.ndarray:
    """Transform tensors on disk chunk by chunk; overwrite them if the result has their shape."""
    pieces = [slice(start, start + CHUNK) for start in range(0, len(part), CHUNK)]
    first = step.transform(part[pieces[0]])
    if first.shape[1:] != part.shape[1:] or first.dtype != part.dtype:
        return np.concatenate([first, *(step.transform(part[piece]) for piece in pieces[1:])])
    part[pieces[0]] = first
    for piece in pieces[1:]:
        part[piece] = step.transform(part[piece])
    return part


def transform_rows(reduction: Pipeline | None, X: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Transform some rows chunk by chunk."""
    if reduction is None:
        return X[rows]
    return np.concatenate([reduction.transform(X[part]) for part in chunks(rows)])


def evaluate_seed(
    tail: Pipeline, tensors: Any, y: np.ndarray, plan: Plan, seed: int
) -> dict[str, Any]:
    """Fit and test reduction and classifier on every fold with one seed.

    `tensors` is an array, or a function that returns an array for the number of a fold.
    """
    watch = Stopwatch()
    tail = clone(tail)
    if "random_state" in tail[-1].get_params(deep=False):
        tail[-1].set_params(random_state=seed)
    found: dict[str, Any] = {"shapes": [], "kept": [], "accuracies": {}, "n_test": 0}
    for number, fold in enumerate(plan.folds):
        X = tensors(number) if callable(tensors) else tensors
        fitted = fit_tail(tail, X, y, fold, watch, verbose=False)
        found["shapes"].append(list(fitted.features.shape[1:]))
        found["kept"].append(_share_kept(fitted.steps))
        found["n_test"] += len(fold.test)
        for name, rows in {"test": fold.test, **plan.extra}.items():
            with watch("prediction"):
                predicted = fitted.classifier.predict(transform_rows(fitted.reduction, X, rows))
            found["accuracies"].setdefault(name, []).append(float(np.mean(predicted == y[rows])))
    return found | {"seconds": {k: v / len(plan.folds) for k, v in watch.items()}}


def _share_kept(steps: Sequence[tuple[str, Any]]) -> float | None:
    """Return the share of the variance that the last reduction keeps of its input."""
    kept = None
    for _, step in steps[:-1]:
        inner = step.steps if isinstance(step, Pipeline) else [("", step)]
        for _, one in inner:
            ratio = getattr(one, "explained_variance_ratio_", None)
            kept = kept if ratio is None else float(np.sum(ratio))
    return kept


def summarize_seeds(found: list[dict[str, Any]]) -> dict[str, Any]:
    """Summarize what `evaluate_seed` returned for all seeds."""
    names = list(found[0]["accuracies"])
    scores = {n: mean_std([v for one in found for v in one["accuracies"][n]]) for n in names}
    n_test = found[0]["n_test"]
    kept = [share for one in found for share in one["kept"] if share is not None]
    sizes = [float(np.prod(shape)) for one in found for shape in one["shapes"]]
    stages = list(found[0]["seconds"])
    return {
        "shape": found[0]["shapes"][0],
        "dimension": float(np.mean(sizes)),
        "kept": float(np.mean(kept)) if kept else None,
        "interval": accuracy_interval(round(scores["test"]["mean"] * n_test), n_test),
        "accuracy": scores.pop("test"),
        "extra": scores,
        "seconds": {
            stage: float(np.mean([one["seconds"][stage] for one in found])) for stage in stages
        },
    }
