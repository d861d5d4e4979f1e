"""What the experiment on channels found."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from skstrf.channels import ChannelScores
from skstrf.experiments.results import WrittenResults, format_score

__all__ = ["ChannelResults"]


@dataclass
class ChannelResults(WrittenResults):
    """Scores of channels, and the comparison of ways to make tensors small.

    Parameters
    ----------
    scores : ChannelScores
        Of every channel alone, on the folds of the evaluation; of a held-out one on the folds
        of its training part.
    rankings : list of ndarray of shape (n_channels, 2), int
        For every fold the channels by (scale, rate) index, best first, as its training part
        ranks them.
    rows : list of dict
        One a way: ``name``, ``k``, ``ratio``, ``shape`` and ``dimension`` of what the classifier
        got, ``accuracy`` (``mean``, ``std`` and ``values`` over folds and seeds), its 95 %
        ``interval`` by Wilson's method, ``extra`` (accuracy on further test sets) and
        ``seconds`` of one fit by stage.
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
        Trainings on each fold.
    random_state : int
        The first seed.
    seconds : dict of str to float
        Of the whole, by stage.
    versions : dict of str to str
        Of the packages.
    scales, rates : list of float or None
        Of the channels, in cycles/octave and Hz (signed).
    skipped : list of (str, str)
        Files left out, with the reason.
    settings : dict
        Parameters of each stage.
    """

    scores: ChannelScores
    rankings: list[np.ndarray]
    rows: list[dict[str, Any]]
    evaluation: str
    is_held_out: bool
    classes: list[Any]
    n_sounds: int
    tensor_shape: list[int]
    chance: float
    n_seeds: int
    random_state: int
    seconds: dict[str, float]
    versions: dict[str, str]
    scales: list[float] | None = None
    rates: list[float] | None = None
    skipped: list[tuple[str, str]] = field(default_factory=list)
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)

    def best_channels(self, n: int = 10) -> list[dict[str, Any]]:
        """List the best channels.

        Parameters
        ----------
        n : int
            How many, at most all.

        Returns
        -------
        list of dict
            Best first: ``scale``, ``rate`` (numbers from 0 where the values are not known),
            ``mean``, ``standard_error`` and ``chosen``, the share of folds whose training part
            has the channel among its best `n`.
        """
        errors, mean = self.scores.standard_error, self.scores.mean
        rows = []
        for place in map(tuple, self.scores.best(n).tolist()):
            in_fold = [place in map(tuple, ranking[:n].tolist()) for ranking in self.rankings]
            rows.append(
                {
                    "scale": place[0] if self.scales is None else self.scales[place[0]],
                    "rate": place[1] if self.rates is None else self.rates[place[1]],
                    "mean": float(mean[place]),
                    "standard_error": float(errors[place]),
                    "chosen": float(np.mean(in_fold)),
                }
            )
        return rows

    def table(self) -> list[dict[str, Any]]:
        """Flatten the comparison: one row of numbers for each way.

        Returns
        -------
        list of dict
            ``way``, ``dimension``, ``accuracy``, ``std``, ``low``, ``high``, accuracy on further
            test sets by name, and ``seconds`` of one selection, fit and prediction.
        """
        return [
            {
                "way": row["name"],
                "dimension": round(row["dimension"]),
                "accuracy": row["accuracy"]["mean"],
                "std": row["accuracy"]["std"],
                "low": row["interval"][0],
                "high": row["interval"][1],
                **{name: extra["mean"] for name, extra in row["extra"].items()},
                "seconds": sum(row["seconds"].values()),
            }
            for row in self.rows
        ]

    def summary(self) -> str:
        """Say the best channel and the accuracy of every way, beside chance.

        Returns
        -------
        str
            Some lines.
        """
        best = self.best_channels(1)[0]
        unit = "scale {:g} cycles/octave, rate {:+g} Hz" if self.rates else "scale {}, rate {}"
        lines = [
            f"best channel alone: {unit.format(best['scale'], best['rate'])}: {best['mean']:.3f}",
            f"{self.evaluation}, {self.n_sounds} sounds, {len(self.classes)} classes; "
            f"chance {self.chance:.3f}",
        ]
        width = max(len(row["name"]) for row in self.rows)
        lines += [
            f"{row['name']:{width}}  accuracy {format_score(row['accuracy'], row)}, "
            f"{row['dimension']:.0f} numbers a sound, {sum(row['seconds'].values()):.2g} s"
            for row in self.rows
        ]
        return "\n".join(lines)

    def _plain_fields(self) -> dict[str, Any]:
        scores = {
            "folds": self.scores.folds,
            "mean": self.scores.mean,
            "standard_error": self.scores.standard_error,
            "chance": self.scores.chance,
        }
        return super()._plain_fields() | {
            "scores": scores,
            "best_channels": self.best_channels(self.scores.mean.size),
        }
