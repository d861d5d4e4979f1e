"""The candidates of a search: made, scored fold by fold, and fitted for use."""

from __future__ import annotations

import logging
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.metrics import get_scorer
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import has_fit_parameter

from skstrf.caching.fingerprints import fingerprint
from skstrf.experiments._base import (
    WrittenResults,
    chance_level,
    format_mean,
    format_score,
    plain,
    score_set,
    settings,
    spread,
    versions,
)
from skstrf.experiments._evaluation import (
    CHUNK,
    Sounds,
    Stopwatch,
    check_parameters,
    chunks,
    divide_pipeline,
    warn_of_skipped,
)
from skstrf.experiments._splits import Fold, Plan, held_back_share, plan_folds
from skstrf.experiments._study import SharedStudy, check_search_space, describe_choice, suggest
from skstrf.experiments.classification import (
    choose_duration,
    classification_search_space,
    make_classification_pipeline,
)
from skstrf.inspection import Report, StudyDisplay
from skstrf.pipeline import CachedPipeline, digest
from skstrf.utils.cluster import WorkerDied, current_client, run_on_cluster

__all__ = [
    "TrialEvaluator",
    "FOLD",
    "SearchResults",
    "run_search",
    "write_search_report",
]

logger = logging.getLogger("skstrf")


# Reports are placed in thousandths of a fold's training, whatever its number of epochs.
FOLD = 1000


class TrialEvaluator:
    """Scores settings of a pipeline on the folds of a search."""

    def __init__(
        self,
        sounds: Sounds,
        pipeline: Pipeline,
        space: Mapping[str, Any],
        distributions: Mapping[str, Any],
        cv: Any,
        scoring: str,
        random_state: int,
        memory: Any,
    ):
        self.sounds, self.pipeline = sounds, pipeline
        self.space, self.distributions = space, distributions
        self.cv, self.scoring, self.random_state = cv, scoring, random_state
        self.memory = memory
        self.scorer = get_scorer(scoring)
        self.plans: dict[float, Plan] = {}
        self.plan(held_back_share(pipeline[-1]))  # raises where sounds cannot be divided

    def plan(self, share: float) -> Plan:
        """Divide the sounds for the search; what is held back for early stopping may differ."""
        if share not in self.plans:
            self.plans[share] = self._divide(share)
        return self.plans[share]

    def _divide(self, share: float) -> Plan:
        plan = self.sounds.plan(self.cv, self.random_state, share)
        if not plan.is_held_out:
            return plan
        (fold,) = plan.folds
        final = Fold(np.sort(np.concatenate([fold.train, fold.valid])), fold.test)
        extra = {"test": fold.test, **plan.extra}
        if len(fold.valid):
            folds, text = [Fold(fold.train, fold.valid)], "the validation split"
        else:
            groups = None if self.sounds.groups is None else self.sounds.groups[fold.train]
            inner = plan_folds(
                self.sounds.y[fold.train], groups, self.cv, self.random_state, held_back=share
            )
            folds = [Fold(*(fold.train[rows] for rows in (f.train, f.test, f.valid)))
                     for f in inner.folds]  # fmt: skip
            text = f"{inner.description} of the train split"
        return Plan(folds, text, final, extra, is_held_out=True)

    def value(self, name: str, choice: Any) -> Any:
        """Give what a choice of the study stands for."""
        values = self.space[name]
        if values is self.distributions[name]:
            return choice
        return next(value for value in values if describe_choice(value) == choice)

    def make(self, params: Mapping[str, Any]) -> tuple[CachedPipeline, Any]:
        """Make the stages and the classifier of a candidate."""
        chosen = {name: self.value(name, choice) for name, choice in params.items()}
        pipeline = clone(self.pipeline).set_params(**chosen)
        return CachedPipeline(pipeline.steps[:-1], memory=self.memory), pipeline[-1]

    def score(
        self, params: Mapping[str, Any], report: Callable[[int, float], None] | None = None
    ) -> list[float]:
        """Score a candidate on every fold; `report` gets the score so far, and may raise."""
        y = self.sounds.y
        scores: list[float] = []
        stages, last = self.make(params)
        plan = self.plan(held_back_share(last))
        for number, fold in enumerate(plan.folds):
            classifier = clone(last)
            features = stages.fit_transform(self._files(fold.train), y[fold.train])
            tested = stages.transform(self._files(fold.test))
            options = self._watching(classifier, fold, tested, stages)
            if report is not None and has_fit_parameter(classifier, "callback"):
                options["callback"] = _reporter(report, number, scores, classifier)
            classifier.fit(features, y[fold.train], **options)
            scores.append(float(self.scorer(classifier, tested, y[fold.test])))
            if report is not None:
                report((number + 1) * FOLD, float(np.mean(scores)))
        return scores

    def _watching(self, classifier: Any, fold: Fold, tested: Any, stages: Any) -> dict[str, Any]:
        """What tells of each epoch: the part that is tested, unless early stopping looks at it."""
        if not has_fit_parameter(classifier, "validation_data"):
            return {}
        if not getattr(classifier, "early_stopping", False):
            return {"validation_data": (tested, self.sounds.y[fold.test])}
        if not len(fold.valid):
            return {}
        valid = stages.transform(self._files(fold.valid))
        return {"validation_data": (valid, self.sounds.y[fold.valid])}

    def _files(self, rows: np.ndarray) -> list[str]:
        return [self.sounds.files[row] for row in rows]

    def fit(self, params: Mapping[str, Any]) -> tuple[Pipeline, Plan]:
        """Fit a candidate for use."""
        stages, last = self.make(params)
        plan = self.plan(held_back_share(last))
        rows = plan.final.train
        features = stages.fit_transform(self._files(rows), self.sounds.y[rows])
        options = {}
        if len(plan.final.valid) and has_fit_parameter(last, "validation_data"):
            valid = stages.transform(self._files(plan.final.valid))
            options["validation_data"] = (valid, self.sounds.y[plan.final.valid])
        last.fit(features, self.sounds.y[rows], **options)
        # A plain pipeline: the model goes where the cache is not.
        steps = [(n, step) for n, step in stages.steps if step not in (None, "passthrough")]
        return Pipeline([*steps, (self.pipeline.steps[-1][0], last)]), plan


def _reporter(report: Any, number: int, scores: list[float], classifier: Any) -> Any:
    n_epochs = getattr(classifier, "max_epochs", 1)

    def callback(row: Mapping[str, float]) -> None:
        if "valid_accuracy" in row and row["epoch"] < n_epochs:
            step = round(FOLD * (number + row["epoch"] / n_epochs))
            report(step, float(np.mean([*scores, row["valid_accuracy"]])))

    return callback


@dataclass
class SearchResults(WrittenResults):
    """Candidates with their scores, and the best of them fitted for use.

    Parameters
    ----------
    model : Pipeline
        The best candidate, fitted on all that it may learn from.
    best : dict of str to object
        Its parameters, as far as they were searched.
    best_number : int
        Of its trial.
    score : dict
        Of the best: ``mean``, ``std`` over folds and ``values``. The best of many looks a little
        better than it is.
    trials : list of dict
        One a candidate: ``number``, ``state`` ("COMPLETE", "PRUNED", "FAIL"), ``score``, ``std``
        and ``folds``, ``params``, ``curve`` (the reports by which trials are pruned: share of the
        training in thousandths of a fold, score), ``same_as`` (an earlier trial with the same
        parameters, which was not run again), ``retry_of`` (one that was left behind), ``error``
        and ``seconds``.
    importances : dict of str to float
        Share of the scores' variation that each parameter explains.
    evaluation : str
        How candidates were scored.
    tests : dict of str to dict
        Scores of the model on sounds that no candidate saw, by name of the split.
    classes : list
        The classes.
    n_sounds : int
        How many.
    search_space : dict of str to list or str
        What was searched.
    scoring : str
        Name of the score.
    skipped : list of (str, str)
        Files left out, with the reason.
    settings : dict of str to dict
        Parameters of each stage of the model.
    random_state : int
        Seed.
    seconds : dict of str to float
        Of this run: "search" and "model".
    versions : dict of str to str
        Of the packages.
    """

    model: Any
    best: dict[str, Any]
    best_number: int
    score: dict[str, Any]
    trials: list[dict[str, Any]]
    importances: dict[str, float]
    evaluation: str
    tests: dict[str, dict[str, Any]]
    classes: list[Any]
    n_sounds: int
    search_space: dict[str, Any]
    scoring: str
    skipped: list[tuple[str, str]]
    settings: dict[str, dict[str, Any]]
    random_state: int
    seconds: dict[str, float]
    versions: dict[str, str] = field(default_factory=dict)

    def count(self, state: str) -> int:
        """Count the trials that ended in a state.

        Parameters
        ----------
        state : str
            Such as "PRUNED".

        Returns
        -------
        int
            How many.
        """
        return sum(trial["state"] == state for trial in self.trials)

    def summary(self) -> str:
        """Say what is best, how good it is, and what was tried.

        Returns
        -------
        str
            Some lines.
        """
        score = format_mean(self.score["mean"], self.score["std"])
        lines = [
            f"best of {len(self.trials)} trials ({self.count('PRUNED')} pruned): {self.scoring} "
            f"{score} ({self.evaluation}), the best of many",
            *(f"  {name} = {value}" for name, value in self.best.items()),
        ]
        for name, scores in self.tests.items():
            one = {"mean": scores["accuracy"], "std": None}
            lines.append(
                f"{name}: accuracy {format_score(one, scores)}, {scores['n_sounds']} sounds that "
                f"no candidate was chosen by; chance {scores['chance']:.3f}"
            )
        return "\n".join(lines)


STATES = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "no score", "RUNNING": "running"}


def write_search_report(
    results: SearchResults,
    path: str | os.PathLike[str],
    *,
    title: str = "Search for settings",
    notes: Sequence[str] = (),
    model_file: str = "model.skops",
) -> None:
    """Write the report on a search: one HTML file that needs nothing else."""
    subtitle = f"{len(results.trials)} candidates, {results.n_sounds} sounds"
    report = Report(title, subtitle)
    _add_best(report, results, notes)
    _add_candidates(report, results)
    if results.skipped:
        report.add_table("Files left out", ["file", "reason"], results.skipped)
    else:
        report.add_text("Files left out", "None.")
    report.add_text(
        "Using the model",
        ["On the command line, for files and folders:", f"skstrf predict {model_file} FILE..."],
    )
    report.add_settings("Settings", {"seed": results.random_state, "score": results.scoring})
    for stage, values in results.settings.items():
        report.add_text("Settings", f"{stage}, of the best:")
        report.add_settings("Settings", values)
    report.add_settings("Seconds", {k: round(v, 2) for k, v in results.seconds.items()})
    report.add_settings("Versions", results.versions)
    report.write(path)


def _add_best(report: Report, results: SearchResults, notes: Sequence[str]) -> None:
    std = "" if results.score["std"] is None else f" ± {results.score['std']:.3f} over folds"
    text = [
        f"The best candidate, number {results.best_number}, has a {results.scoring} of "
        f"{results.score['mean']:.3f}{std} ({results.evaluation}). It was chosen by that score, "
        "so that new sounds will be a little harder for it.",
        *notes,
    ]
    report.add_text("Best", text)
    report.add_settings("Best", results.best)
    if not results.tests:
        return
    rows = [
        [name, s["n_sounds"], s["accuracy"], *s["interval"], s["balanced_accuracy"], s["chance"]]
        for name, s in results.tests.items()
    ]
    columns = ["set", "sounds", "accuracy", "from", "to", "balanced accuracy", "chance"]
    note = (
        "No candidate was scored on these sounds. From, to: 95 % interval (Wilson), taking the "
        "sounds for independent of each other."
    )
    report.add_table("Best", columns, rows, caption="The best, tested once", note=note)


def _add_candidates(report: Report, results: SearchResults) -> None:
    display = StudyDisplay.from_results(results)
    alt = "scores of all candidates in the order of their trials, with the best so far"
    if results.importances:
        alt += ", and the importance of each parameter"
    caption = "Each candidate's score. Importance: share of the variation of scores (fANOVA)."
    report.add_figure("TrialEvaluator", display.figure_, alt=alt, caption=caption)
    names = sorted({name for trial in results.trials for name in trial["params"]})
    ordered = sorted(
        results.trials,
        key=lambda t: (t["score"] is None, -(t["score"] or 0.0), t["number"]),
    )
    rows = [
        [
            str(trial["number"]),
            STATES.get(trial["state"], trial["state"].lower()),
            trial["score"],
            trial["std"] if trial["state"] == "COMPLETE" else None,
            *(_text(trial["params"].get(name)) for name in names),
            trial["seconds"],
        ]
        for trial in ordered
    ]
    columns = ["trial", "state", results.scoring, "std", *names, "seconds"]
    n_same = sum(trial["same_as"] is not None for trial in results.trials)
    note = (
        "Std: over folds. Pruned: stopped when its score was below the median of the others' at "
        "that epoch. Seconds do not count what came from the cache."
    )
    if n_same:
        note += f" {n_same} had the parameters of an earlier trial and took its score."
    report.add_table("TrialEvaluator", columns, rows, caption="All trials, best first", note=note)
    if failed := [t for t in results.trials if t["error"]]:
        rows = [[str(trial["number"]), trial["error"]] for trial in failed]
        report.add_table("TrialEvaluator", ["trial", "why it has no score"], rows)


def _text(value: Any) -> Any:
    """A cell: numbers as they are, so that their column stands on the right."""
    return value if value is None or isinstance(value, int | float | str) else str(value)


# Trials before any is pruned, and the share of the first fold's training that each may have.
N_UNPRUNED, WARMUP = 4, 0.25


def run_search(
    filenames: Sequence[str],
    y: Any,
    *,
    groups: Any = None,
    split: Any = None,
    cv: Any = 3,
    pipeline: Pipeline | None = None,
    search_space: Mapping[str, Any] | None = None,
    n_trials: int = 30,
    timeout: float | None = None,
    prune: bool = True,
    sampler: str = "tpe",
    scoring: str = "accuracy",
    storage: Any = None,
    study_name: str = "skstrf",
    memory: Any = None,
    random_state: int = 0,
    verbose: bool = False,
) -> SearchResults:
    """Search for the best settings of a pipeline, and fit it with them.

    Candidates are drawn by Optuna and scored by cross-validation; hopeless ones are stopped after
    some epochs of their network. Stages that a candidate shares with an earlier one come from
    `memory` (see :class:`skstrf.CachedPipeline`), in every fold. Stopped at any moment, even by
    SIGKILL, the same call goes on where it was, if `storage` and `memory` are files; several
    processes, on one machine or many, may make the same call and share the work.

    Parameters
    ----------
    filenames : sequence of str or Path
        The sound files.
    y : array-like of shape (n_sounds,)
        Their classes.
    groups : array-like of shape (n_sounds,) or None
        Sounds of one group are never on both sides of a fold.
    split : array-like of shape (n_sounds,), str, or None
        Given, candidates learn from "train" and are scored on "valid", or by cross-validation
        of "train" if there is no such part. "test" and all other names have no part in the
        search: the best candidate is tested on them once, at the end.
    cv : int or splitter
        Folds of the cross-validation.
    pipeline : Pipeline or None
        From an `AudioLoader` to a classifier. None: `make_classification_pipeline` with
        `choose_duration`.
    search_space : mapping of str to (list or distribution of Optuna), or None
        Values by parameter of the pipeline. None: `classification_search_space`.
    n_trials : int
        Candidates of the study as a whole, those of earlier calls and other processes included.
    timeout : float or None
        Seconds after which this call starts no further candidate.
    prune : bool
        Stop a candidate whose score after some epochs is below the median of the others' at that
        point. For classifiers whose ``fit`` takes a ``callback``, as `CNNClassifier`; others
        can be stopped after each fold.
    sampler : {"tpe", "random"}
        How candidates are drawn.
    scoring : str
        What makes one the best, by scikit-learn's names, higher is better. Pruning looks at the
        accuracy within a fold.
    storage : str, Path, optuna.storages.BaseStorage or None
        Where the study is kept: a file (a journal of Optuna), the URL of a database, a storage
        of Optuna; None: nowhere.
    study_name : str
        Its name there.
    memory : str, Path, joblib.Memory or None
        Where recordings and stages are kept; None: a temporary folder.
    random_state : int
        Seed of folds, candidates and classifiers.
    verbose : bool
        Show a progress bar.

    Returns
    -------
    SearchResults
        All candidates, and the best fitted for use: on train and valid, or on all sounds.

    Raises
    ------
    ValueError
        When the arguments do not fit each other or the pipeline, the study in the storage is
        about something else, or no candidate has a score.
    AudioReadError
        For a file that cannot be used, unless the loader has ``on_error="warn"``.

    Warns
    -----
    UserWarning
        For files that were left out, and for folds that had to be fewer.

    See Also
    --------
    skstrf.inspection.StudyDisplay : Draws the candidates.
    sklearn.model_selection.GridSearchCV : All combinations; works with `CachedPipeline` too.

    Notes
    -----
    In one process the same seed gives the same study, also when it was stopped in between. With
    several processes candidates depend on which of them is faster.

    With early stopping in the network, a fold's own validation part (whole groups, where there
    are any) stops it, never the part that the candidate is scored on.

    Examples
    --------
    >>> from skstrf.datasets import load_instruments
    >>> from skstrf.experiments import make_classification_pipeline, run_search
    >>> clips = load_instruments(load_content=False)
    >>> few = [i for i, name in enumerate(clips.split) if name != "new_library"][::6]
    >>> pipeline = make_classification_pipeline(duration=0.5, max_epochs=1)
    >>> space = {"mpca__n_components": [0.8, 0.9], "cnn__network__n_filters": [4, 8]}
    >>> results = run_search(
    ...     clips.filenames[few],
    ...     clips.target[few],
    ...     cv=2,
    ...     pipeline=pipeline,
    ...     search_space=space,
    ...     n_trials=3,
    ... )
    >>> len(results.trials), sorted(results.best)
    (3, ['cnn__network__n_filters', 'mpca__n_components'])
    """
    sounds = Sounds.checked(filenames, y, groups, split)
    if pipeline is None:
        pipeline = make_classification_pipeline(
            duration=choose_duration(sounds.files), random_state=random_state
        )
    divide_pipeline(pipeline)  # raises where it has another shape
    check_parameters(pipeline)
    if current_client() is not None and not isinstance(storage, str | os.PathLike):
        raise ValueError(
            "A search on a cluster needs a storage that its workers share: a file on a common "
            "disk, or the URL of a database."
        )
    space = classification_search_space() if search_space is None else dict(search_space)
    if search_space is None:  # of a pipeline with other stages, what it has
        space = {name: v for name, v in space.items() if name in pipeline.get_params()}
    _check(n_trials, timeout, sampler)
    distributions = check_search_space(space, pipeline)
    sounds, skipped = _usable(sounds, clone(pipeline)[0])
    if skipped:
        warn_of_skipped(skipped, len(filenames))
    pipeline = clone(pipeline)
    if getattr(pipeline[-1], "random_state", 0) is None:
        pipeline[-1].set_params(random_state=random_state)
    about = _describe_sounds(sounds) | {
        "pipeline": fingerprint(_without_place(settings(pipeline))),
        "search_space": fingerprint({k: str(v) for k, v in distributions.items()}),
        "cv": fingerprint(cv if isinstance(cv, int) else repr(cv)),
        "prune": str(prune),
        "sampler": sampler,
        "scoring": scoring,
        "random_state": str(random_state),
    }
    make_study = partial(
        SharedStudy,
        _for_workers(storage),
        study_name,
        about,
        names=set(distributions),
        sampler=sampler,
        pruner=_pruner(prune),
        random_state=random_state,
    )
    study = make_study()
    watch = Stopwatch()
    with tempfile.TemporaryDirectory(prefix="skstrf-") as place:
        memory = _for_workers(memory or place)
        candidates = TrialEvaluator(
            sounds, pipeline, space, distributions, cv, scoring, random_state, memory
        )
        with watch("search"):
            if current_client() is None:
                _run(study, candidates, n_trials, timeout, verbose)
            else:
                _run_on_cluster(make_study, candidates, n_trials, timeout)
        with watch("model"):
            return _conclude(study, candidates, space, skipped, watch)


def _check(n_trials: int, timeout: float | None, sampler: str) -> None:
    if int(n_trials) != n_trials or n_trials < 1:
        raise ValueError(f"n_trials={n_trials!r}: give a whole number of at least 1.")
    if timeout is not None and not timeout > 0:
        raise ValueError(f"timeout={timeout!r}: give a positive number of seconds, or None.")
    if sampler not in ("tpe", "random"):
        raise ValueError(f"sampler={sampler!r}: it is 'tpe' or 'random'.")


def _describe_sounds(sounds: Sounds) -> dict[str, str]:
    """Tell these sounds from others, wherever they lie."""
    columns = {name: getattr(sounds, name) for name in ("y", "groups", "split")}
    names = [os.path.basename(path) for path in sounds.files]
    return {"sounds": digest(*names), "classes, groups and split": digest(fingerprint(columns))}


def _without_place(parameters: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Leave out what processes that share a study may have of their own."""
    own = ("device", "memory", "n_jobs", "verbose")
    return {
        stage: {name: value for name, value in values.items() if name not in own}
        for stage, values in parameters.items()
    }


def _pruner(prune: bool) -> Any:
    from optuna.pruners import MedianPruner, NopPruner

    if not prune:
        return NopPruner()
    return MedianPruner(n_startup_trials=N_UNPRUNED, n_warmup_steps=int(WARMUP * FOLD))


def _usable(sounds: Sounds, loader: Any) -> tuple[Sounds, list[tuple[str, str]]]:
    """Leave out files that cannot be read, where the loader would make them rows of silence."""
    if loader.on_error == "raise":
        return sounds, []
    errors: dict[str, str] = {}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*cannot be used and became rows of silence")
        loader.fit(sounds.files)
        for rows in chunks(np.arange(len(sounds.files)), CHUNK):
            loader.transform([sounds.files[row] for row in rows])
            errors |= loader.errors_
    bad = {row for row, path in enumerate(sounds.files) if path in errors}
    if len(bad) == len(sounds.files):
        raise ValueError(f"None of the {len(sounds.files)} sound files can be used.")
    return sounds.without(bad), [(sounds.files[row], errors[sounds.files[row]]) for row in bad]


def _for_workers(place: Any) -> Any:
    """Name a file so that a worker in another folder finds it."""
    if current_client() is None or not isinstance(place, str | os.PathLike) or "://" in str(place):
        return place
    return os.path.abspath(place)


def _run_on_cluster(
    make_study: Any, candidates: TrialEvaluator, n_trials: int, timeout: float | None
) -> None:
    """Let one process of each worker take candidates until there are enough."""
    sounds = candidates.sounds
    sounds.files[:] = [os.path.abspath(name) for name in sounds.files]
    workers = range(len(current_client().nthreads()))
    for _, outcome in run_on_cluster(
        _run_there, workers, make_study, candidates, n_trials, timeout
    ):
        if isinstance(outcome, WorkerDied):
            raise OSError(f"A candidate of the search {outcome.reason}.")


def _run_there(
    _: int, make_study: Any, candidates: TrialEvaluator, n_trials: int, timeout: float | None
) -> None:
    _run(make_study(), candidates, n_trials, timeout, False)


def _run(
    study: SharedStudy,
    candidates: TrialEvaluator,
    n_trials: int,
    timeout: float | None,
    verbose: bool,
) -> None:
    import optuna
    from tqdm import tqdm

    def objective(trial: optuna.Trial) -> float:
        began = time.perf_counter()
        # In the order of names: what is drawn shall not depend on how the space was written.
        params = {
            name: suggest(trial, name, candidates.distributions[name])
            for name in sorted(candidates.distributions)
        }
        if (score := _known(trial, params)) is not None:
            return score

        def report(step: int, value: float) -> None:
            trial.report(value, step)
            if trial.should_prune():
                raise optuna.TrialPruned

        try:
            scores = candidates.score(params, report)
        except ValueError as error:
            if "training diverged" in str(error):
                raise optuna.TrialPruned from error
            raise
        finally:
            trial.set_user_attr("seconds", time.perf_counter() - began)
        trial.set_user_attr("scores", scores)
        return float(np.mean(scores))

    end = None if timeout is None else time.monotonic() + timeout
    with tqdm(total=n_trials, desc="Search", unit="trial", disable=not verbose) as bar:

        def done(n: int) -> None:
            bar.update(n - bar.n)
            best = [v for v in _scores_of(study.study) if v is not None]
            if best:
                bar.set_postfix(best=f"{max(best):.3f}", refresh=False)

        study.run(
            objective,
            n_trials,
            is_over=lambda: end is not None and time.monotonic() > end,
            done=done,
        )


def _known(trial: Any, params: Mapping[str, Any]) -> float | None:
    """Score of an earlier trial with the same parameters; they would give the same again."""
    import optuna

    for other in trial.study.get_trials(deepcopy=False):
        if other.number == trial.number or other.params != params:
            continue
        if other.state.name == "COMPLETE":
            trial.set_user_attr("same_as", other.number)
            trial.set_user_attr("scores", other.user_attrs["scores"])
            return float(other.value)
        if other.state.name == "PRUNED" and other.intermediate_values:
            trial.set_user_attr("same_as", other.number)
            for step, value in other.intermediate_values.items():
                trial.report(value, step)
            raise optuna.TrialPruned
    return None


def _scores_of(study: Any) -> list[float | None]:
    return [t.value for t in study.get_trials(deepcopy=False) if t.state.name == "COMPLETE"]


def _conclude(
    study: SharedStudy,
    candidates: TrialEvaluator,
    space: Mapping[str, Any],
    skipped: list[tuple[str, str]],
    watch: Stopwatch,
) -> SearchResults:
    """Fit the best for use, test it, and put the results together."""
    rows = [_describe(trial) for trial in study.study.get_trials(deepcopy=False)]
    complete = [row for row in rows if row["state"] == "COMPLETE"]
    if not complete:
        raise ValueError(
            "No candidate has a score: the time was up, or all failed. Give more time, or see "
            "the log for what is wrong with them."
        )
    best = max(complete, key=lambda row: (row["score"], -row["number"]))
    model, plan = candidates.fit(best["params"])
    sounds, tests = candidates.sounds, {}
    for name, tested in plan.extra.items():
        guessed = model.predict([sounds.files[row] for row in tested])
        chance = chance_level(sounds.y[plan.final.train], sounds.y[tested])
        tests[name] = score_set(sounds.y[tested], guessed, np.unique(sounds.y), chance)
    return SearchResults(
        model=model,
        best=best["params"],
        best_number=best["number"],
        score=spread(best["folds"]),
        trials=rows,
        importances=_importances(study.study),
        evaluation=plan.description,
        tests=tests,
        classes=np.unique(sounds.y).tolist(),
        n_sounds=len(sounds.files),
        search_space={
            k: str(v) if v is candidates.distributions[k] else [describe_choice(x) for x in v]
            for k, v in space.items()
        },
        scoring=candidates.scoring,
        skipped=skipped,
        settings=settings(model),
        random_state=candidates.random_state,
        seconds=watch,
        versions=versions(),
    )


def _describe(trial: Any) -> dict[str, Any]:
    attributes = trial.user_attrs
    scores = attributes.get("scores", [])
    reports = trial.intermediate_values
    score = trial.value if trial.state.name == "COMPLETE" else None
    return {
        "number": trial.number,
        "state": trial.state.name,
        "score": score,
        "std": spread(scores)["std"] if scores else None,
        "folds": scores,
        "params": plain(dict(sorted(trial.params.items()))),
        "curve": [[step, value] for step, value in sorted(reports.items())],
        "same_as": attributes.get("same_as"),
        "retry_of": attributes.get("retry_of"),
        "error": attributes.get("error"),
        "seconds": attributes.get("seconds"),
    }


def _importances(study: Any) -> dict[str, float]:
    """Share of the variation that each parameter explains; nothing where there is none."""
    import optuna

    scores = _scores_of(study)
    if len(scores) < 2 or len(set(scores)) < 2:
        return {}
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    found = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return {name: float(value) for name, value in found.items()}
