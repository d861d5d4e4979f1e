"""What a comparison of ways to learn from the same sounds found."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from skstrf.experiments.results import WrittenResults, format_score

__all__ = ["ComparisonResults"]


@dataclass
class ComparisonResults(WrittenResults):
    """Accuracy, size and time of every way.

    Parameters
    ----------
    rows : list of dict
        One a way: ``name``, ``params`` (what it changes in the pipeline), ``shape`` and
        ``dimension`` of what the classifier gets of one sound (shape in the first fold, the mean
        of the numbers), ``kept`` (share of the variance of the training part that an MPCA or PCA
        keeps, or None), ``accuracy`` (``mean``, ``std`` and ``values`` over folds and seeds), its
        95 % ``interval`` by Wilson's method, ``extra`` (accuracy on further test sets, spread
        over seeds) and ``seconds`` of one fit by stage.
    evaluation : str
        How the sounds were divided.
    is_held_out : bool
        Whether there was one division into train and test.
    classes : list
        The classes.
    n_sounds : int
        How many.
    tensor_shape : list of int
        Of one sound.
    chance : float
        Accuracy of guessing the commonest class of the training part.
    n_seeds : int
        Seeds of folds and classifiers, from `random_state` on.
    random_state : int
        The first seed.
    skipped : list of (str, str)
        Files left out, with the reason.
    settings : dict of str to dict
        Parameters of the stages that all ways share.
    seconds : dict of str to float
        Of the whole, by stage.
    versions : dict of str to str
        Of the packages.
    """

    rows: list[dict[str, Any]]
    evaluation: str
    is_held_out: bool
    classes: list[Any]
    n_sounds: int
    tensor_shape: list[int]
    chance: float
    n_seeds: int
    random_state: int
    skipped: list[tuple[str, str]]
    settings: dict[str, dict[str, Any]]
    seconds: dict[str, float]
    versions: dict[str, str] = field(default_factory=dict)

    def summary(self) -> str:
        """Say the accuracy of every way with its spread, beside chance.

        Returns
        -------
        str
            Some lines.
        """
        width = max(len(row["name"]) for row in self.rows)
        lines = [
            f"{self.evaluation}, {self.n_sounds} sounds, {len(self.classes)} classes; "
            f"chance {self.chance:.3f}"
        ]
        lines += [
            f"{row['name']:{width}}  accuracy {format_score(row['accuracy'], row)}, "
            f"{row['dimension']:.0f} numbers a sound, {sum(row['seconds'].values()):.2g} s"
            for row in self.rows
        ]
        return "\n".join(lines)
