"""Search for the best settings of a pipeline, with candidates drawn by Optuna."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.metrics import get_scorer
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import has_fit_parameter

from skstrf._version import __version__
from skstrf.caching.files import temporary_folder
from skstrf.caching.fingerprints import fingerprint, hash_strings
from skstrf.caching.results import to_jsonable
from skstrf.experiments._base import (
    Results,
    add_scores,
    add_usage,
    chance_level,
    format_mean,
    format_score,
    mean_std,
    score_set,
    settings,
)
from skstrf.experiments._evaluation import (
    Sounds,
    Stopwatch,
    chunks,
    divide_pipeline,
    warn_of_skipped,
)
from skstrf.experiments._splits import Fold, Plan, held_back_share, plan_folds
from skstrf.experiments._study import SharedStudy, check_search_space, describe_choice, suggest
from skstrf.experiments.classification import check_pipeline, classification_search_space
from skstrf.inspection import Report, StudyDisplay
from skstrf.neural import TrainingDivergedError
from skstrf.pipeline import CachedPipeline
from skstrf.utils.cluster import WorkerDied, current_client, run_on_cluster

__all__ = ["SearchResults", "run_search"]


# Steps of the intermediate scores of a trial for one fold, whatever its number of epochs.
FOLD = 1000
# Trials before any is pruned, and the share of the first fold before any trial is pruned.
N_UNPRUNED, WARMUP = 4, 0.25
STATES = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "no score", "RUNNING": "running"}


@dataclass(kw_only=True)
class SearchResults(Results):
    """Candidates of a search with their scores, and the best of them fitted for use."""

    model: Any  # best candidate, fitted on train and valid, or on all sounds
    best: dict[str, Any]  # its values of the searched parameters
    best_number: int
    score: dict[str, Any]  # "mean", "std" over folds and "values" of the best candidate
    # One entry for each candidate. "curve" holds intermediate scores for pruning (step in
    # thousandths of a fold, score), "same_as" the number of an earlier trial whose score is
    # reused, and "retry_of" the number of an interrupted trial.
    trials: list[dict[str, Any]]
    importances: dict[str, float]  # share of the variance that each parameter explains
    evaluation: str  # description of the division on which candidates are scored
    tests: dict[str, dict[str, Any]]  # metrics on sounds that no candidate was scored on
    classes: list[Any]
    n_sounds: int
    search_space: dict[str, Any]
    scoring: str

    _title = "Search for settings"

    def count(self, state: str) -> int:
        """Count the trials with a state."""
        return sum(trial["state"] == state for trial in self.trials)

    def summary(self) -> str:
        """Return the best candidate, its score and the number of trials as text."""
        score = format_mean(self.score["mean"], self.score["std"])
        lines = [
            f"best of {len(self.trials)} trials ({self.count('PRUNED')} pruned): {self.scoring} "
            f"{score} ({self.evaluation}), the best of many",
            *(f"  {name} = {value}" for name, value in self.best.items()),
        ]
        for name, scores in self.tests.items():
            one = {"mean": scores["accuracy"], "std": None}
            lines.append(
                f"{name}: accuracy {format_score(one, scores)}, {scores['n_sounds']} sounds on "
                f"which no candidate was scored; chance {scores['chance']:.3f}"
            )
        return "\n".join(lines)

    def _subtitle(self) -> str:
        return f"{len(self.trials)} candidates, {self.n_sounds} sounds"

    def _add_results(
        self, report: Report, notes: list[str], *, model_file: str = "model.skops"
    ) -> None:
        _add_best(report, self, notes)
        _add_candidates(report, self)
        add_usage(report, model_file)

    def _add_settings(self, report: Report, **more: Any) -> None:
        super()._add_settings(report, score=self.scoring, **more)


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

    Candidates are drawn by Optuna and scored by cross-validation; those with a low score after
    some epochs of their network are pruned. Stages that a candidate shares with an earlier one are
    read from `memory` (see :class:`skstrf.CachedPipeline`), in every fold. If `storage` and
    `memory` are files, the same call continues an interrupted search, even after SIGKILL, and
    several processes, on one machine or many, can make the same call and share the work.

    Parameters
    ----------
    filenames : sequence of str or Path
        Paths of the sound files.
    y : array-like of shape (n_sounds,)
        Classes of the sounds.
    groups : array-like of shape (n_sounds,) or None, default=None
        Groups of the sounds. Sounds of one group are never on both sides of a fold.
    split : array-like of shape (n_sounds,), str, or None, default=None
        Splits of the sounds. Candidates are fitted on "train" and scored on "valid", or by
        cross-validation of "train" if there is no such split. "test" and all other splits have no
        part in the search: the best candidate is tested on them once, at the end.
    cv : int or splitter, default=3
        Number of folds of the cross-validation, or a splitter of scikit-learn.
    pipeline : Pipeline or None, default=None
        Pipeline from an `AudioLoader` to a classifier. None uses `make_classification_pipeline`
        with the median duration of the files, at most 30 s.
    search_space : mapping of str to (list or distribution of Optuna), or None, default=None
        Values for each parameter of the pipeline. None uses `classification_search_space`.
    n_trials : int, default=30
        Number of candidates of the study, including those of earlier calls and other processes.
    timeout : float or None, default=None
        Duration in seconds after which this call starts no further candidate.
    prune : bool, default=True
        Whether to stop a candidate whose score after some epochs is below the median of the other
        scores at that point. Requires a classifier whose ``fit`` takes a ``callback``, such as
        `CNNClassifier`; other classifiers can be stopped after each fold.
    sampler : {"tpe", "random"}, default="tpe"
        Sampler of the candidates.
    scoring : str, default="accuracy"
        Name of a score of scikit-learn, higher is better. Pruning within a fold uses the accuracy.
    storage : str, Path, optuna.storages.BaseStorage or None, default=None
        Storage of the study: a file (journal of Optuna), the URL of a database, a storage of
        Optuna, or None for a study that is not kept.
    study_name : str, default="skstrf"
        Name of the study in the storage.
    memory : str, PathLike, joblib.Memory or None, default=None
        Cache for recordings and stages. None uses a temporary folder.
    random_state : int, default=0
        Seed of folds, candidates and classifiers.
    verbose : bool, default=False
        Whether to show a progress bar.

    Returns
    -------
    SearchResults
        All candidates, and the best one fitted on train and valid, or on all sounds.

    Raises
    ------
    ValueError
        If the arguments do not fit each other or the pipeline, the study in the storage has other
        settings, or no candidate has a score.
    AudioReadError
        If a file cannot be read, unless the loader has ``on_error="warn"``.

    Warns
    -----
    UserWarning
        If files are left out, or fewer folds than `cv` are possible.

    See Also
    --------
    skstrf.inspection.StudyDisplay : Draws the candidates.
    sklearn.model_selection.GridSearchCV : Tries all combinations, also with a `CachedPipeline`.

    Notes
    -----
    In one process the same seed gives the same study, even if it was interrupted. With several
    processes the candidates depend on their relative speed.

    With early stopping in the network, a separate validation part of each fold (whole groups if
    there are any) stops it, never the part on which the candidate is scored.

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
    pipeline = check_pipeline(pipeline, sounds, random_state)
    divide_pipeline(pipeline)  # raises if the pipeline has other stages
    if current_client() is not None and not isinstance(storage, str | os.PathLike):
        raise ValueError(
            "A search on a cluster needs a storage that its workers share: a file on a common "
            "disk, or the URL of a database."
        )
    space = classification_search_space() if search_space is None else dict(search_space)
    if search_space is None:  # a pipeline may have other stages
        space = {name: v for name, v in space.items() if name in pipeline.get_params()}
    if int(n_trials) != n_trials or n_trials < 1:
        raise ValueError(f"n_trials={n_trials!r}: give a whole number of at least 1.")
    if timeout is not None and not timeout > 0:
        raise ValueError(f"timeout={timeout!r}: give a positive number of seconds, or None.")
    if sampler not in ("tpe", "random"):
        raise ValueError(f"sampler={sampler!r}: it is 'tpe' or 'random'.")
    distributions = check_search_space(space, pipeline)
    sounds, skipped = _usable(sounds, clone(pipeline)[0])
    if skipped:
        warn_of_skipped(skipped, len(filenames))
    pipeline = clone(pipeline)
    if getattr(pipeline[-1], "random_state", 0) is None:
        pipeline[-1].set_params(random_state=random_state)
    columns = sounds.key()
    about = {
        "sounds": hash_strings(*columns.pop("files")),
        "classes, groups and split": hash_strings(fingerprint(columns)),
        "pipeline": fingerprint(_without_local(settings(pipeline))),
        "search_space": fingerprint({k: str(v) for k, v in distributions.items()}),
        "cv": fingerprint(cv if isinstance(cv, int) else repr(cv)),
        "prune": str(prune),
        "sampler": sampler,
        "scoring": scoring,
        "random_state": str(random_state),
        "version": __version__,
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
    with temporary_folder() as place:
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
            return _conclude(study, candidates, skipped, watch)


def _without_local(parameters: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Leave out the parameters that may differ between processes which share a study."""
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
    """Leave out files that cannot be read, which the loader would replace by silence."""
    if loader.on_error == "raise":
        return sounds, []
    loader.fit(sounds.files)
    errors: dict[int, str] = {}
    for rows in chunks(np.arange(len(sounds.files))):
        _, bad = loader.read([sounds.files[row] for row in rows])
        errors |= {int(rows[index]): error.reason for index, error in bad.items()}
    if len(errors) == len(sounds.files):
        raise ValueError(f"None of the {len(sounds.files)} sound files can be used.")
    return sounds.without(errors)


def _for_workers(place: Any) -> Any:
    """Return the absolute path of a file, which a worker finds from another folder."""
    if current_client() is None or not isinstance(place, str | os.PathLike) or "://" in str(place):
        return place
    return os.path.abspath(place)


# Candidates


@dataclass
class TrialEvaluator:
    """Scores settings of a pipeline on the folds of a search."""

    sounds: Sounds
    pipeline: Pipeline
    space: Mapping[str, Any]
    distributions: Mapping[str, Any]
    cv: Any
    scoring: str
    random_state: int
    memory: Any

    def __post_init__(self) -> None:
        self.scorer = get_scorer(self.scoring)
        self.plans: dict[float, Plan] = {}
        self.plan(held_back_share(self.pipeline[-1]))  # raises if sounds cannot be divided

    def plan(self, share: float) -> Plan:
        """Divide the sounds for the search, with a share held back for early stopping."""
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
        """Return the value of a choice of the study."""
        values = self.space[name]
        if values is self.distributions[name]:
            return choice
        return next(value for value in values if describe_choice(value) == choice)

    def make(self, params: Mapping[str, Any]) -> tuple[CachedPipeline, Any]:
        """Return the stages and the classifier of a candidate."""
        chosen = {name: self.value(name, choice) for name, choice in params.items()}
        pipeline = clone(self.pipeline).set_params(**chosen)
        return CachedPipeline(pipeline.steps[:-1], memory=self.memory), pipeline[-1]

    def score(
        self, params: Mapping[str, Any], report: Callable[[int, float], None] | None = None
    ) -> list[float]:
        """Score a candidate on every fold; `report` takes intermediate scores, and may raise."""
        y = self.sounds.y
        scores: list[float] = []
        stages, last = self.make(params)
        plan = self.plan(held_back_share(last))
        for number, fold in enumerate(plan.folds):
            classifier = clone(last)
            features = stages.fit_transform(self._files(fold.train), y[fold.train])
            tested = stages.transform(self._files(fold.test))
            options = self._validation(classifier, fold, stages, tested)
            if report is not None and has_fit_parameter(classifier, "callback"):
                options["callback"] = _reporter(report, number, scores, classifier)
            classifier.fit(features, y[fold.train], **options)
            scores.append(float(self.scorer(classifier, tested, y[fold.test])))
            if report is not None:
                report((number + 1) * FOLD, float(np.mean(scores)))
        return scores

    def _validation(
        self, classifier: Any, fold: Fold, stages: Any, tested: Any = None
    ) -> dict[str, Any]:
        """Return the part for scores of epochs: `tested`, unless early stopping uses it."""
        if not has_fit_parameter(classifier, "validation_data"):
            return {}
        if tested is not None and not getattr(classifier, "early_stopping", False):
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
        last.fit(features, self.sounds.y[rows], **self._validation(last, plan.final, stages))
        # Without the cache, because the model is used in other places.
        steps = [(n, step) for n, step in stages.steps if step not in (None, "passthrough")]
        return Pipeline([*steps, (self.pipeline.steps[-1][0], last)]), plan


def _reporter(report: Any, number: int, scores: list[float], classifier: Any) -> Any:
    n_epochs = getattr(classifier, "max_epochs", 1)

    def callback(row: Mapping[str, float]) -> None:
        if "valid_accuracy" in row and row["epoch"] < n_epochs:
            step = round(FOLD * (number + row["epoch"] / n_epochs))
            report(step, float(np.mean([*scores, row["valid_accuracy"]])))

    return callback


def _run_on_cluster(
    make_study: Any, candidates: TrialEvaluator, n_trials: int, timeout: float | None
) -> None:
    """Evaluate candidates in one process of each worker until there are enough."""
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
        # In the order of names, so that draws do not depend on the order of the search space.
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
        except TrainingDivergedError as error:
            raise optuna.TrialPruned from error
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
    """Return the score of an earlier trial with the same parameters, or None."""
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


# Results


def _conclude(
    study: SharedStudy,
    candidates: TrialEvaluator,
    skipped: list[tuple[str, str]],
    watch: Stopwatch,
) -> SearchResults:
    """Fit the best candidate for use, test it, and return the results."""
    rows = [_describe(trial) for trial in study.study.get_trials(deepcopy=False)]
    complete = [row for row in rows if row["state"] == "COMPLETE"]
    if not complete:
        raise ValueError(
            "No candidate has a score: the time was up, or all failed. Increase the timeout, or "
            "see the log for their errors."
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
        score=mean_std(best["folds"]),
        trials=rows,
        importances=_importances(study.study),
        evaluation=plan.description,
        tests=tests,
        classes=np.unique(sounds.y).tolist(),
        n_sounds=len(sounds.files),
        search_space={
            k: str(v) if v is candidates.distributions[k] else [describe_choice(x) for x in v]
            for k, v in candidates.space.items()
        },
        scoring=candidates.scoring,
        skipped=skipped,
        settings=settings(model),
        random_state=candidates.random_state,
        seconds=watch,  # not a copy: the time for the model is added later
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
        "std": mean_std(scores)["std"] if scores else None,
        "folds": scores,
        "params": to_jsonable(dict(sorted(trial.params.items()))),
        "curve": [[step, value] for step, value in sorted(reports.items())],
        **{key: attributes.get(key) for key in ("same_as", "retry_of", "error", "seconds")},
    }


def _importances(study: Any) -> dict[str, float]:
    """Return the share of the variance that each parameter explains, if there is any."""
    import optuna

    scores = _scores_of(study)
    if len(scores) < 2 or len(set(scores)) < 2:
        return {}
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    found = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return {name: float(value) for name, value in found.items()}


def _add_best(report: Report, results: SearchResults, notes: list[str]) -> None:
    std = "" if results.score["std"] is None else f" ± {results.score['std']:.3f} over folds"
    text = [
        f"The best candidate, number {results.best_number}, has a {results.scoring} of "
        f"{results.score['mean']:.3f}{std} ({results.evaluation}). It was selected by this score, "
        "so the score on new sounds is expected to be slightly lower.",
        *notes,
    ]
    report.add_text("Best", text)
    report.add_settings("Best", results.best)
    if results.tests:
        note, caption = "No candidate was scored on them.", "The best candidate, tested once"
        add_scores(report, "Best", results.tests, note=note, caption=caption)


def _add_candidates(report: Report, results: SearchResults) -> None:
    heading = "Candidates"
    display = StudyDisplay.from_results(results)
    alt = "scores of all candidates in the order of their trials, with the best so far"
    if results.importances:
        alt += ", and the importance of each parameter"
    caption = "Scores of the candidates. Importance: share of the variance of scores (fANOVA)."
    report.add_figure(heading, display.figure_, alt=alt, caption=caption)
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
            *(_cell(trial["params"].get(name)) for name in names),
            trial["seconds"],
        ]
        for trial in ordered
    ]
    columns = ["trial", "state", results.scoring, "std", *names, "seconds"]
    n_same = sum(trial["same_as"] is not None for trial in results.trials)
    note = (
        "Std: over folds. Pruned: stopped because its score was below the median of the other "
        "scores at that epoch. Seconds do not include stages that were read from the cache."
    )
    if n_same:
        note += f" {n_same} had the parameters of an earlier trial and reuse its score."
    report.add_table(heading, columns, rows, caption="All trials, best first", note=note)
    if failed := [t for t in results.trials if t["error"]]:
        rows = [[str(trial["number"]), trial["error"]] for trial in failed]
        report.add_table(heading, ["trial", "reason for having no score"], rows)


def _cell(value: Any) -> Any:
    """Keep numbers as they are, so that their column is aligned to the right."""
    return value if value is None or isinstance(value, int | float | str) else str(value)
