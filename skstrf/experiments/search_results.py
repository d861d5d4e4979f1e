"""What a search over the settings of a pipeline found."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from skstrf.experiments.results import WrittenResults, format_mean, format_score

__all__ = ["SearchResults"]


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
