"""What the comparison of representations found, and how to write it down."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from skstrf.experiments.paired import compare_pairs, mean_interval
from skstrf.experiments.results import plain
from skstrf.persistence import replacing

__all__ = ["StationarityResults"]


@dataclass
class StationarityResults:
    """Measures of stationarity of several representations of the same sounds.

    Parameters
    ----------
    measures : dict of str to dict
        By representation, axis ("time", "frequency", ..., "plane") and measure ("rate", "effect",
        ...): an array with an entry for each sound.
    files : list of str
        The sounds.
    skipped : list of (str, str)
        Files left out, with the reason.
    seconds : dict of str to float
        Spent on each representation, its computation included.
    settings : dict
        What was measured how.
    random_state : int
        The seed.
    versions : dict of str to str
        Of the packages.
    """

    measures: dict[str, dict[str, dict[str, np.ndarray]]]
    files: list[str]
    skipped: list[tuple[str, str]]
    seconds: dict[str, float]
    settings: dict[str, Any]
    random_state: int = 0
    versions: dict[str, str] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """Names of the representations."""
        return list(self.measures)

    def axes(self, name: str) -> list[str]:
        """Give the axes of a representation.

        Parameters
        ----------
        name : str
            Of the representation.

        Returns
        -------
        list of str
            "plane" last.
        """
        return list(self.measures[name])

    def values(self, axis: str, measure: str = "rate") -> dict[str, np.ndarray]:
        """Give one measure of all representations that have it.

        Parameters
        ----------
        axis : str
            Such as "time" or "plane".
        measure : str
            "rate" (of the plane: its score), "effect", "p_value"; for axes also "raw_rate", "pi0".

        Returns
        -------
        dict of str to ndarray of shape (n_sounds,)
            By representation.
        """
        return {
            name: axes[axis][measure]
            for name, axes in self.measures.items()
            if measure in axes.get(axis, {})
        }

    def table(self) -> list[dict[str, Any]]:
        """Summarise: a row for each representation and axis.

        Returns
        -------
        list of dict
            Mean rate, pi0 and effect with 95 % bootstrap intervals over sounds, and the share of
            sounds whose stationarity along the axis is rejected at 5 %.
        """
        rows = []
        for name, axes in self.measures.items():
            for axis, found in axes.items():
                row: dict[str, Any] = {"representation": name, "axis": axis}
                for measure in ("rate", "pi0", "effect"):
                    values = found.get(measure)
                    interval: tuple[float | None, ...] = (None, None, None)
                    if values is not None:
                        interval = mean_interval(values, random_state=self.random_state)
                    keys = (measure, f"{measure}_low", f"{measure}_high")
                    row |= dict(zip(keys, interval, strict=True))
                row["rejected"] = float(np.mean(found["p_value"] <= 0.05))
                rows.append(row)
        return rows

    def comparisons(self, axis: str, measure: str = "rate") -> list[dict[str, Any]]:
        """Compare all pairs of representations along one axis, over the same sounds.

        Parameters
        ----------
        axis, measure : str
            See `values`.

        Returns
        -------
        list of dict
            See :func:`skstrf.experiments.paired.compare_pairs`.
        """
        return compare_pairs(self.values(axis, measure))

    def to_dict(self) -> dict[str, Any]:
        """Give everything as plain numbers, texts, lists and dicts.

        Returns
        -------
        dict
            With the table and the comparisons in time, frequency and plane.
        """
        names = ("measures", "files", "skipped", "seconds", "settings", "random_state", "versions")
        compared = {
            f"{axis}, {measure}": self.comparisons(axis, measure)
            for axis in ("time", "frequency", "plane")
            for measure in ("rate", "effect")
            if len(self.values(axis, measure)) > 1
        }
        everything = {name: getattr(self, name) for name in names}
        return plain({"table": self.table(), "comparisons": compared} | everything)

    def write_json(self, path: str | os.PathLike[str]) -> None:
        """Write everything to a JSON file, whole or not at all.

        Parameters
        ----------
        path : str or Path
            The file, ``results.json`` by custom.
        """
        text = json.dumps(self.to_dict(), indent=1, ensure_ascii=False, allow_nan=False)
        with replacing(path) as temporary:
            temporary.write_text(text + "\n", encoding="utf-8")

    def summary(self) -> str:
        """Say the mean rates in time and frequency of every representation.

        Returns
        -------
        str
            A line for each.
        """
        width = max(map(len, self.names))
        lines = []
        for name, axes in self.measures.items():
            cells = [f"{axis} {np.mean(found['rate']):.3f}" for axis, found in axes.items()]
            lines.append(f"{name:{width}}  " + "  ".join(cells))
        return "\n".join(lines)
