"""From sound files to one array of tensors, a few files at a time, in memory or on disk."""

from __future__ import annotations

import logging
import os
import time
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.pipeline import Pipeline
from sklearn.utils import column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import has_fit_parameter

from skstrf.datasets import AudioLoader, AudioReadError
from skstrf.experiments._base import (
    ClassificationResults,
    chance_level,
    changed_settings,
    fold_scores,
    plain,
    score_set,
    settings,
    spread,
)
from skstrf.experiments._splits import Fold, Plan, check_names, plan_folds, plan_split
from skstrf.pipeline import is_stateless
from skstrf.utils.arrays import resolve_device
from skstrf.utils.cluster import WorkerDied, current_client, run_on_cluster

__all__ = [
    "Evaluation",
    "FittedTail",
    "Flatten",
    "Sounds",
    "Stopwatch",
    "check_parameters",
    "chunks",
    "compute_tensors",
    "describe_model",
    "divide_pipeline",
    "evaluate",
    "fit_baseline",
    "fit_reduction",
    "fit_tail",
    "linear_classifier",
    "summarize",
    "transform_rows",
    "warn_of_skipped",
]

logger = logging.getLogger("skstrf")


# Sounds in hand at a time.
CHUNK = 16
# Tensors of one data set in memory; larger ones go to a file.
MAX_BYTES = 2**30


def divide_pipeline(pipeline: Pipeline) -> tuple[Pipeline, Pipeline]:
    """Divide a pipeline after its last stage that learns nothing from the data."""
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
    return Pipeline(fresh[:n_head]), Pipeline(fresh[n_head:])


def check_parameters(pipeline: Pipeline) -> None:
    """Check the parameters of every stage, before hours are spent on the first of them."""
    for _, step in pipeline.steps:
        if hasattr(step, "_parameter_constraints"):
            step._validate_params()
        if isinstance(getattr(step, "device", None), str):
            resolve_device(step.device)


def compute_tensors(
    head: Pipeline,
    filenames: Sequence[str],
    *,
    folder: str | os.PathLike[str],
    max_bytes: int = MAX_BYTES,
    verbose: bool = False,
) -> tuple[np.ndarray, dict[int, str]]:
    """Read sounds and transform them; fits `head`."""
    loader = head[0].fit(list(filenames))
    _fit_to_silence(loader, head.steps[1:])
    errors: dict[int, str] = {}
    tensors, n_good = np.empty(0), 0
    for rows, (block, bad) in _with_progress(_blocks(head, filenames), len(filenames), verbose):
        errors |= {int(rows[index]): reason for index, reason in bad.items()}
        if block is None:
            continue
        if not n_good:
            tensors = _allocate((len(filenames), *block.shape[1:]), block.dtype, folder, max_bytes)
        tensors[n_good : n_good + len(block)] = block
        n_good += len(block)
    if not n_good:
        raise ValueError(f"None of the {len(filenames)} sound files can be used.")
    return tensors[:n_good], errors


def fit_reduction(reduction: Pipeline | None, X: np.ndarray, rows: np.ndarray, y: Any) -> Any:
    """Fit the stages between the tensors and the classifier, and transform what they learn from.

    Tensors on disk stay there: stages that go over their data in chunks, as `TensorScaler` and
    `MPCA` do, then never have more than one chunk in memory.
    """
    if reduction is None:
        return X[rows]
    if not isinstance(X, np.memmap):
        return reduction.fit_transform(X[rows], y[rows])
    part = _copy_to_disk(X, rows)
    for _, step in reduction.steps:
        part = _transform_in_place(step.fit(part, y[rows]), part)
    return np.array(part)


def transform_rows(reduction: Pipeline | None, X: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Transform some rows chunk by chunk."""
    if reduction is None:
        return X[rows]
    return np.concatenate([reduction.transform(X[part]) for part in chunks(rows)])


def chunks(rows: np.ndarray, size: int = CHUNK) -> Iterator[np.ndarray]:
    """Yield `rows` in pieces of at most `size`."""
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


Part = tuple[np.ndarray | None, dict[int, str]]


def _fit_to_silence(loader: AudioLoader, rest: Sequence[tuple[str, Any]]) -> None:
    """Fit stages that learn nothing but the shape of the sounds."""
    n_channels = () if loader.mono else (loader.n_channels_,)
    block = np.zeros((1, *n_channels, loader.n_times_), np.float32)
    for _, step in rest[:-1]:
        block = step.fit(block).transform(block)
    for _, step in rest[-1:]:
        step.fit(block)


def _blocks(head: Pipeline, filenames: Sequence[str]) -> Iterator[tuple[np.ndarray, Part]]:
    """Yield rows, and their tensors with what is wrong with the others, here or on a cluster."""
    parts = chunks(np.arange(len(filenames)))
    if current_client() is None:
        yield from ((rows, _part(rows, head, filenames)) for rows in parts)
        return
    paths = [os.path.abspath(name) for name in filenames]
    for rows, outcome in run_on_cluster(_part, parts, head, paths):
        yield rows, _one_by_one(rows, head, paths) if isinstance(outcome, WorkerDied) else outcome


def _part(rows: np.ndarray, head: Pipeline, filenames: Sequence[str]) -> Part:
    """Compute some tensors; None where no file can be used."""
    # A copy: threads of one worker share the loader, which notes its errors in itself.
    sounds, bad = _load(copy(head[0]), [filenames[row] for row in rows])
    if len(bad) == len(rows):
        return None, bad
    block = np.delete(sounds, list(bad), axis=0)
    for _, step in head.steps[1:]:
        block = step.transform(block)
    return block, bad


def _one_by_one(rows: np.ndarray, head: Pipeline, paths: Sequence[str]) -> Part:
    """Find the files among some that end the process which reads them."""
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


def _load(loader: AudioLoader, paths: list[str]) -> tuple[np.ndarray, dict[int, str]]:
    with warnings.catch_warnings():
        # The loader warns at every chunk; run_classification does it once, for all.
        warnings.filterwarnings("ignore", message=".*cannot be used and became rows of silence")
        sounds = loader.transform(paths)
    bad = {row: loader.errors_[path] for row, path in enumerate(paths) if path in loader.errors_}
    return sounds, bad


def _allocate(shape: tuple[int, ...], dtype: Any, folder: Any, max_bytes: int) -> np.ndarray:
    if np.prod(shape, dtype=float) * np.dtype(dtype).itemsize <= max_bytes:
        return np.empty(shape, dtype)
    path = os.path.join(folder, "tensors.npy")
    return np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)


def _copy_to_disk(X: np.memmap, rows: np.ndarray) -> np.ndarray:
    """Copy some rows to a file of their own: picking them from `X` would fill the memory."""
    path = os.path.join(os.path.dirname(str(X.filename)), "part.npy")
    part = np.lib.format.open_memmap(
        path, mode="w+", dtype=X.dtype, shape=(len(rows), *X.shape[1:])
    )
    for piece in chunks(np.arange(len(rows))):
        part[piece] = X[rows[piece]]
    return part


def _transform_in_place(step: Any, part: np.ndarray) -> np.ndarray:
    """Transform tensors on disk chunk by chunk, and put the result where they were if it fits."""
    pieces = [slice(start, start + CHUNK) for start in range(0, len(part), CHUNK)]
    first = step.transform(part[pieces[0]])
    if first.shape[1:] != part.shape[1:] or first.dtype != part.dtype:
        return np.concatenate([first, *(step.transform(part[piece]) for piece in pieces[1:])])
    part[pieces[0]] = first
    for piece in pieces[1:]:
        part[piece] = step.transform(part[piece])
    return part


def _with_progress(
    parts: Iterator[tuple[np.ndarray, Part]], n_sounds: int, verbose: bool
) -> Iterator[tuple[np.ndarray, Part]]:
    if not verbose:
        yield from parts
        return
    from tqdm import tqdm

    with tqdm(total=n_sounds, desc="Sounds to tensors", unit="file") as bar:
        for rows, part in parts:
            yield rows, part
            bar.update(len(rows))


class Sounds(NamedTuple):
    """Files with what is known of each."""

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
    """Warn, for the caller of an experiment, of files that it left out."""
    named = "\n".join(f"  {path}: {reason}" for path, reason in skipped[:5])
    more = f"\n  and {len(skipped) - 5} more" if len(skipped) > 5 else ""
    warnings.warn(
        f"{len(skipped)} of {n_files} sound files cannot be used and were left out:\n"
        f"{named}{more}",
        UserWarning,
        stacklevel=3,
    )


class Stopwatch(dict[str, float]):
    """Seconds by name of the stage, added up over its runs."""

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Time a block."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self[name] = self.get(name, 0.0) + time.perf_counter() - start


class Flatten(TransformerMixin, BaseEstimator):
    """Features of any order as rows: (n_sounds, n_features)."""

    def fit(self, X: np.ndarray, y: Any = None) -> Flatten:
        """Learn nothing."""
        return self

    def transform(self, X: np.ndarray) -> np.ndarray:
        """Give each sample as a row."""
        return np.asarray(X).reshape(len(X), -1)

    def __sklearn_is_fitted__(self) -> bool:
        return True


class FittedTail(NamedTuple):
    """The stages that learn, fitted on one fold, with the features they learned from."""

    reduction: Pipeline | None
    classifier: Any
    features: np.ndarray
    name: str

    @property
    def steps(self) -> list[tuple[str, Any]]:
        """Names and fitted stages, as a pipeline takes them."""
        before = [] if self.reduction is None else self.reduction.steps
        return [*before, (self.name, self.classifier)]


class Evaluation(NamedTuple):
    """What the folds gave.

    ``folds`` has sizes, scores and histories. ``predicted`` has by test set ("test" and the
    further ones) and by row the predicted class, its probability and the number of the fold.
    ``baselines`` has the accuracy of logistic regression on the further test sets, and ``final``
    the stages fitted for use.
    """

    folds: list[dict[str, Any]]
    predicted: dict[str, dict[int, Any]]
    baselines: dict[str, float]
    final: FittedTail


def evaluate(
    tail: Pipeline,
    X: np.ndarray,
    y: np.ndarray,
    plan: Plan,
    *,
    baseline: bool,
    watch: Stopwatch,
    verbose: bool,
) -> Evaluation:
    """Fit and test on every fold, then fit for use."""
    found = Evaluation([], {"test": {}}, {}, None)  # type: ignore[arg-type]
    fitted: FittedTail | None = None
    options = (tail, X, y, plan.is_held_out, baseline, verbose)
    tasks = [*enumerate(plan.folds), *([] if plan.is_held_out else [(None, plan.final)])]
    for (number, fold), done in _with_progress_evaluation(_done(tasks, *options), plan, verbose):
        fitted = done.fitted
        for name, seconds in done.seconds.items():
            watch[name] = watch.get(name, 0.0) + seconds
        if number is None:
            continue
        found.predicted["test"].update(done.rows)
        sizes = {"n_train": len(fold.train), "n_valid": len(fold.valid), "n_test": len(fold.test)}
        found.folds.append(sizes | done.scores)
        accuracy = done.scores["accuracy"]
        logger.info("fold %d of %d: accuracy %.3f", number + 1, len(plan.folds), accuracy)
    assert fitted is not None
    for name, test in plan.extra.items():
        rows, by_baseline = _test(fitted, X, y, plan.final.train, test, None, baseline, watch)
        found.predicted[name] = rows
        if baseline:
            found.baselines[name] = by_baseline
    return found._replace(final=fitted)


Task = tuple[int | None, Fold]


class _Done(NamedTuple):
    """What one division gave: without a number only the fitted stages, for use."""

    fitted: FittedTail | None
    rows: dict[int, Any]
    scores: dict[str, Any]
    seconds: Stopwatch


def _done(tasks: list[Task], *options: Any) -> Iterator[tuple[Task, _Done]]:
    """Do one division after the other here, or all of them on a cluster."""
    X = options[1]
    # Tensors too large for the memory of this machine are for no worker's either.
    if current_client() is None or isinstance(X, np.memmap):
        yield from ((task, _do(task, *options)) for task in tasks)
        return
    for task, outcome in run_on_cluster(_do, tasks, *options):
        if isinstance(outcome, WorkerDied):
            raise OSError(f"Fitting on {len(task[1].train)} sounds {outcome.reason}.")
        yield task, outcome


def _do(
    task: Task,
    tail: Pipeline,
    X: np.ndarray,
    y: np.ndarray,
    is_held_out: bool,
    baseline: bool,
    verbose: bool,
) -> _Done:
    """Fit on a division of the sounds and test on it."""
    number, fold = task
    watch = Stopwatch()
    fitted = fit_tail(tail, X, y, fold, watch, verbose)
    if number is None:
        return _Done(fitted, {}, {}, watch)
    rows, by_baseline = _test(fitted, X, y, fold.train, fold.test, number, baseline, watch)
    guessed = np.array([rows[row][0] for row in fold.test])
    scores = fold_scores(y[fold.test], guessed, y[fold.train])
    scores |= describe_training(fitted.classifier)
    if baseline:
        scores["baseline_accuracy"] = by_baseline
    # Only the last of all is asked for; the others would wait in memory.
    return _Done(fitted if is_held_out else None, rows, scores, watch)


def fit_tail(
    tail: Pipeline, X: np.ndarray, y: np.ndarray, fold: Fold, watch: Stopwatch, verbose: bool
) -> FittedTail:
    """Fit a clone of the stages that learn on the training part of a fold."""
    steps = clone(tail).steps
    reduction = Pipeline(steps[:-1]) if len(steps) > 1 else None
    name, classifier = steps[-1]
    with watch("reduction"):
        features = fit_reduction(reduction, X, fold.train, y)
        validation = {}
        if len(fold.valid) and has_fit_parameter(classifier, "validation_data"):
            valid = transform_rows(reduction, X, fold.valid)
            validation = {"validation_data": (valid, y[fold.valid])}
    quiet = getattr(classifier, "verbose", None) is False
    if verbose and quiet:
        classifier.set_params(verbose=True)
    with watch("network"):
        classifier.fit(features, y[fold.train], **validation)
    if verbose and quiet:
        classifier.set_params(verbose=False)
    return FittedTail(reduction, classifier, features, name)


def fit_baseline(features: np.ndarray, y: np.ndarray) -> Pipeline:
    """Fit logistic regression on features of any order."""
    return linear_classifier().fit(features, y)


def linear_classifier() -> Pipeline:
    """Make the logistic regression of `fit_baseline`, not fitted."""
    from sklearn.decomposition import KernelPCA
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(
        Flatten(),
        StandardScaler(),
        KernelPCA(kernel="linear", eigen_solver="dense", remove_zero_eig=True),
        LogisticRegression(max_iter=2000),
    )


def describe_training(classifier: Any) -> dict[str, Any]:
    """Give what a classifier tells of its training."""
    names = {"history": "history_", "n_epochs_to_best": "n_epochs_to_best_", "device": "device_"}
    return {key: getattr(classifier, n) for key, n in names.items() if hasattr(classifier, n)}


def _test(
    fitted: FittedTail,
    X: np.ndarray,
    y: np.ndarray,
    train: np.ndarray,
    test: np.ndarray,
    number: int | None,
    baseline: bool,
    watch: Stopwatch,
) -> tuple[dict[int, Any], float]:
    """Predict the rows of a test set; also give the accuracy of the baseline on it."""
    with watch("prediction"):
        features = transform_rows(fitted.reduction, X, test)
        proba = fitted.classifier.predict_proba(features)
    best = proba.argmax(axis=1)
    rows = {
        int(row): (fitted.classifier.classes_[column], float(proba[index, column]), number)
        for index, (row, column) in enumerate(zip(test, best, strict=True))
    }
    if not baseline:
        return rows, float("nan")
    with watch("baseline"):
        model = fit_baseline(fitted.features, y[train])
        return rows, float(model.score(features, y[test]))


def _with_progress_evaluation(
    outcomes: Iterator[tuple[Task, _Done]], plan: Plan, verbose: bool
) -> Iterator[tuple[Task, _Done]]:
    if not verbose or len(plan.folds) == 1:
        yield from outcomes
        return
    from tqdm import tqdm

    yield from tqdm(outcomes, desc="Folds", unit="fold", total=len(plan.folds) + 1)


def summarize(
    model: Pipeline,
    files: list[str],
    y: np.ndarray,
    plan: Plan,
    evaluation: Evaluation,
    more: dict[str, Any],
) -> ClassificationResults:
    """Put the results of an experiment together."""
    folds, predicted = evaluation.folds, evaluation.predicted
    classes = np.unique(y)
    counts = Counter(y.tolist())
    guess = float(np.mean([fold["chance"] for fold in folds]))
    extra = {
        name: _scores(y, rows, classes, chance_level(y[plan.final.train], y[list(rows)]))
        for name, rows in predicted.items()
        if name != "test"
    }
    for name, accuracy in evaluation.baselines.items():
        extra[name]["baseline_accuracy"] = accuracy
    baselines = [fold["baseline_accuracy"] for fold in folds if "baseline_accuracy" in fold]
    means = {
        name: spread([fold[name] for fold in folds])
        for name in ("accuracy", "balanced_accuracy", "chance")
    }
    return ClassificationResults(
        model=model,
        evaluation=plan.description,
        is_held_out=plan.is_held_out,
        classes=classes.tolist(),
        class_counts=[counts[name] for name in classes.tolist()],
        accuracy=means["accuracy"],
        balanced_accuracy=means["balanced_accuracy"],
        chance=means["chance"],
        scores=_scores(y, predicted["test"], classes, guess),
        baseline=spread(baselines) if baselines else None,
        extra=extra,
        folds=folds,
        predictions=_list_predictions(files, y, predicted),
        settings=settings(model),
        changed_settings=changed_settings(model),
        **more,
    )


def describe_model(model: Pipeline, plan: Plan, shape: tuple[int, ...]) -> dict[str, Any]:
    """Describe the model that was fitted for use."""
    found: dict[str, Any] = {
        "n_train": len(plan.final.train),
        "n_valid": len(plan.final.valid),
    }
    found |= {"tensor_shape": list(shape)} | describe_training(model[-1])
    for _, step in model.steps:
        if hasattr(step, "axes_"):
            found["axes"] = [
                {"name": axis.name, "unit": axis.unit, "values": plain(axis.values)}
                for axis in step.axes_
            ]
        if hasattr(step, "mode_explained_variance_ratio_"):
            found["reduction"] = {
                "output_shape": plain(step.output_shape_),
                "mode_explained_variance_ratio": plain(step.mode_explained_variance_ratio_),
                "explained_variance_ratio": plain(step.explained_variance_ratio_),
            }
    return found


def _scores(y: np.ndarray, rows: dict[int, Any], classes: np.ndarray, guess: float) -> Any:
    guessed = np.array([prediction for prediction, _, _ in rows.values()])
    return score_set(y[list(rows)], guessed, classes, guess)


def _list_predictions(
    files: list[str], y: np.ndarray, predicted: dict[str, dict[int, Any]]
) -> list[dict[str, Any]]:
    return [
        {
            "file": files[row],
            "class": plain(y[row]),
            "predicted": plain(label),
            "probability": probability,
            "set": name,
            "fold": number,
        }
        for name, rows in predicted.items()
        for row, (label, probability, number) in sorted(rows.items())
    ]
