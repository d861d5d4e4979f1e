"""The candidates of a search: made, scored fold by fold, and fitted for use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.metrics import get_scorer
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import has_fit_parameter

from skstrf.experiments.folds import Fold, Plan, held_back_share, plan_folds
from skstrf.experiments.sounds import Sounds
from skstrf.experiments.study import describe_choice
from skstrf.pipeline import CachedPipeline

__all__ = ["FOLD", "Candidates"]

# Reports are placed in thousandths of a fold's training, whatever its number of epochs.
FOLD = 1000


class Candidates:
    """Scores settings of a pipeline on the folds of a search.

    Parameters
    ----------
    sounds : Sounds
        To learn from.
    pipeline : Pipeline
        From an `AudioLoader` to a classifier.
    space, distributions : mapping
        What is searched, as it was given and as Optuna draws from it.
    cv : int or splitter
        Folds.
    scoring : str
        Name of the score.
    random_state : int
        Seed of the folds.
    memory : object
        Of :class:`skstrf.CachedPipeline`.
    """

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
