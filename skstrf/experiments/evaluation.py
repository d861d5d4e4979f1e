"""Fitting the learning stages on one division of the sounds after another, and testing them."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import has_fit_parameter

from skstrf.experiments.folds import Fold, Plan
from skstrf.experiments.scores import fold_scores
from skstrf.experiments.tensors import fit_reduction, transform_rows
from skstrf.utils.cluster import Died, current_client, run_on_cluster

__all__ = [
    "Evaluation",
    "FittedTail",
    "Flatten",
    "Stopwatch",
    "evaluate",
    "fit_baseline",
    "fit_tail",
    "linear_classifier",
]

logger = logging.getLogger("skstrf")


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
    """Fit and test on every fold, then fit for use.

    Parameters
    ----------
    tail : Pipeline
        The stages that learn, a classifier last.
    X : ndarray or memmap of shape (n_sounds, ...)
        Tensors.
    y : ndarray of shape (n_sounds,)
        Classes.
    plan : Plan
        The folds.
    baseline : bool
        Also try logistic regression on the same features.
    watch : Stopwatch
        Gets the seconds of each stage.
    verbose : bool
        Show progress bars.

    Returns
    -------
    Evaluation
        Scores, predictions and the stages fitted on ``plan.final``.
    """
    found = Evaluation([], {"test": {}}, {}, None)  # type: ignore[arg-type]
    fitted: FittedTail | None = None
    options = (tail, X, y, plan.is_held_out, baseline, verbose)
    tasks = [*enumerate(plan.folds), *([] if plan.is_held_out else [(None, plan.final)])]
    for (number, fold), done in _with_progress(_done(tasks, *options), plan, verbose):
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
        if isinstance(outcome, Died):
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
    """Fit a clone of the stages that learn on the training part of a fold.

    Parameters
    ----------
    tail : Pipeline
        The stages, a classifier last.
    X : ndarray or memmap of shape (n_sounds, ...)
        Tensors.
    y : ndarray of shape (n_sounds,)
        Classes.
    fold : Fold
        Its validation part goes to classifiers whose fit takes ``validation_data``.
    watch : Stopwatch
        Gets the seconds of "reduction" and "network".
    verbose : bool
        Let the classifier show a progress bar.

    Returns
    -------
    FittedTail
        The fitted stages.
    """
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
    """Fit logistic regression on features of any order.

    Parameters
    ----------
    features : ndarray of shape (n_sounds, ...)
        What the network learned from.
    y : ndarray of shape (n_sounds,)
        Classes.

    Returns
    -------
    Pipeline
        Takes features of any order.

    Notes
    -----
    There are far more features than sounds, so it works in the space that the training sounds
    span, which changes nothing of the result.
    """
    return linear_classifier().fit(features, y)


def linear_classifier() -> Pipeline:
    """Make the logistic regression of `fit_baseline`, not fitted.

    Returns
    -------
    Pipeline
        Takes features of any order.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf.experiments.evaluation import linear_classifier
    >>> X = np.random.default_rng(0).standard_normal((8, 2, 3, 4))
    >>> linear_classifier().fit(X, [0, 1] * 4).predict(X).tolist()
    [0, 1, 0, 1, 0, 1, 0, 1]
    """
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
    """Give what a classifier tells of its training.

    Parameters
    ----------
    classifier : estimator
        Fitted; a `CNNClassifier` tells most.

    Returns
    -------
    dict
        ``history``, ``n_epochs_to_best`` and ``device`` if it has them.
    """
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


def _with_progress(
    outcomes: Iterator[tuple[Task, _Done]], plan: Plan, verbose: bool
) -> Iterator[tuple[Task, _Done]]:
    if not verbose or len(plan.folds) == 1:
        yield from outcomes
        return
    from tqdm import tqdm

    yield from tqdm(outcomes, desc="Folds", unit="fold", total=len(plan.folds) + 1)
