"""What the experiment on transfer found."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from skstrf.experiments.results import WrittenResults, format_mean
from skstrf.experiments.scores import spread

__all__ = ["TransferResults"]


@dataclass
class TransferResults(WrittenResults):
    """Accuracy on the target by method, share of labels and seed.

    Parameters
    ----------
    runs : list of dict
        One a training: ``method``, ``fraction``, ``seed``, ``n_labels``, ``accuracy``, accuracy
        on further test sets in ``extra``, and ``seconds``.
    methods : dict of str to dict
        What each method changes in the network.
    baseline : str
        The method that others are compared with.
    source, target : dict
        ``n_sounds``, ``classes`` and ``tensor_shape``; of the source ``seconds`` of pre-training.
    chance : float
        Accuracy on the target of guessing the commonest class.
    evaluation : str
        How the target was divided.
    random_state : int
        The first seed.
    settings : dict
        Of the network and the reduction.
    versions : dict of str to str
        Of the packages.
    skipped : list of (str, str)
        Files left out, with the reason.
    """

    runs: list[dict[str, Any]]
    methods: dict[str, dict[str, Any]]
    baseline: str
    source: dict[str, Any]
    target: dict[str, Any]
    chance: float
    evaluation: str
    random_state: int
    settings: dict[str, Any]
    versions: dict[str, str] = field(default_factory=dict)
    skipped: list[tuple[str, str]] = field(default_factory=list)

    @property
    def fractions(self) -> list[float]:
        """Shares of labels, ascending."""
        return sorted({run["fraction"] for run in self.runs})

    def values(self, method: str, fraction: float, test: str = "accuracy") -> np.ndarray:
        """Give the accuracies of one method at one share, in the order of the seeds.

        Parameters
        ----------
        method : str
            Its name.
        fraction : float
            The share of labels.
        test : str
            "accuracy", or the name of a further test set.

        Returns
        -------
        ndarray of shape (n_seeds,)
            Empty where the share leaves nothing to learn from.
        """
        chosen = [
            run for run in self.runs if (run["method"], run["fraction"]) == (method, fraction)
        ]
        by_seed = sorted(chosen, key=lambda run: run["seed"])
        return np.array([run["accuracy"] if test == "accuracy" else run["extra"][test]
                         for run in by_seed])  # fmt: skip

    def table(self) -> list[dict[str, Any]]:
        """Summarise: a row for each method and share.

        Returns
        -------
        list of dict
            ``method``, ``fraction``, ``n_labels``, ``accuracy`` and its ``std`` over seeds (None
            for one), ``gain`` over the baseline on the same labels, the gain's ``gain_std`` over
            seeds, mean accuracy on further test sets by name, and ``seconds`` of a training.
        """
        rows = []
        for method in self.methods:
            for fraction in self.fractions:
                runs = [
                    run for run in self.runs
                    if (run["method"], run["fraction"]) == (method, fraction)
                ]  # fmt: skip
                values = self.values(method, fraction)
                score = spread(list(values))
                # Equal differences of shares differ in their last digit: that is no spread.
                gain = spread(list((values - self.values(self.baseline, fraction)).round(12)))
                rows.append(
                    {
                        "method": method,
                        "fraction": fraction,
                        "n_labels": runs[0]["n_labels"],
                        "accuracy": score["mean"],
                        "std": score["std"],
                        "gain": gain["mean"],
                        "gain_std": gain["std"],
                        **{
                            name: float(self.values(method, fraction, name).mean())
                            for name in runs[0]["extra"]
                        },
                        "seconds": float(np.mean([run["seconds"] for run in runs])),
                    }
                )
        return rows

    def summary(self) -> str:
        """Tabulate accuracy by method and share of labels.

        Returns
        -------
        str
            Some lines.
        """
        width = max(map(len, self.methods))
        lines = [f"{'share of labels':{width}}" + "".join(f"{f:>14g}" for f in self.fractions)]
        for method in self.methods:
            cells = [row for row in self.table() if row["method"] == method]
            texts = [format_mean(row["accuracy"], row["std"]) for row in cells]
            lines.append(f"{method:{width}}" + "".join(f"{text:>14}" for text in texts))
        return "\n".join([*lines, f"chance {self.chance:.3f}; {self.evaluation}"])

    def _plain_fields(self) -> dict[str, Any]:
        return super()._plain_fields() | {"table": self.table()}
