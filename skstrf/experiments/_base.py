"""Results of experiments: scores, JSON-serializable values, JSON files and HTML reports."""

from __future__ import annotations

import inspect
import json
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

import numpy as np
from sklearn.pipeline import Pipeline

from skstrf.caching.files import atomic_write
from skstrf.caching.results import to_jsonable, versions
from skstrf.inspection import Report

__all__ = [
    "Results",
    "accuracy_interval",
    "add_scores",
    "add_usage",
    "chance_level",
    "changed_settings",
    "fold_scores",
    "format_mean",
    "format_score",
    "mean_std",
    "score_set",
    "settings",
]

logger = logging.getLogger("skstrf")

# Entries of results that differ between two runs with the same seed.
TIMES = ("seconds", "memory")


def settings(pipeline: Pipeline) -> dict[str, dict[str, Any]]:
    """Return all parameters of each stage of a pipeline."""
    return {
        name: {"class": type(step).__name__} | to_jsonable(step.get_params(deep=False))
        for name, step in pipeline.steps
        if step not in (None, "passthrough")
    }


def changed_settings(pipeline: Pipeline) -> dict[str, dict[str, Any]]:
    """Return the parameters of each stage that differ from the defaults of its class."""
    changed = {}
    for name, step in pipeline.steps:
        # Not from an instance: some classes, such as Pipeline, have parameters without default.
        signature = inspect.signature(type(step).__init__).parameters
        changed[name] = {
            key: to_jsonable(value)
            for key, value in step.get_params(deep=False).items()
            if key not in signature
            or signature[key].default is inspect.Parameter.empty
            or to_jsonable(value) != to_jsonable(signature[key].default)
        }
    return {name: values for name, values in changed.items() if values}


# Scores


def score_set(
    y: np.ndarray, predicted: np.ndarray, classes: Sequence[Any] | np.ndarray, chance: float
) -> dict[str, Any]:
    """Return the classification metrics of one set of sounds."""
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    labels = list(classes)
    table = precision_recall_fscore_support(y, predicted, labels=labels, zero_division=0.0)
    names = ("class", "precision", "recall", "f1", "support")
    # The support of absent classes makes all of them floats.
    per_class = [
        dict(zip(names, (to_jsonable(label), *map(float, shares), int(support)), strict=True))
        for label, *shares, support in zip(labels, *table, strict=True)
    ]
    n_right = int(np.sum(y == predicted))
    return {
        "n_sounds": len(y),
        "accuracy": n_right / len(y),
        "interval": accuracy_interval(n_right, len(y)),
        "balanced_accuracy": float(np.mean([c["recall"] for c in per_class if c["support"]])),
        "chance": chance,
        "per_class": per_class,
        "confusion_matrix": confusion_matrix(y, predicted, labels=labels).tolist(),
    }


def fold_scores(y: np.ndarray, predicted: np.ndarray, train_y: np.ndarray) -> dict[str, float]:
    """Return accuracy, balanced accuracy and chance level of one fold."""
    classes = np.unique(np.concatenate([y, predicted]))
    scores = score_set(y, predicted, classes, chance_level(train_y, y))
    return {name: scores[name] for name in ("accuracy", "balanced_accuracy", "chance")}


def chance_level(train_y: np.ndarray, y: np.ndarray) -> float:
    """Return the accuracy of always predicting the most frequent class of the training part."""
    names, counts = np.unique(train_y, return_counts=True)
    commonest = names[counts == counts.max()]
    return float(np.mean([np.mean(y == name) for name in commonest]))


def accuracy_interval(n_right: int, n_sounds: int) -> list[float]:
    """Return the 95 % confidence interval of an accuracy by Wilson's method."""
    from scipy.stats import binomtest

    interval = binomtest(n_right, n_sounds).proportion_ci(0.95, method="wilson")
    return [float(interval.low), float(interval.high)]


def mean_std(values: Sequence[float]) -> dict[str, Any]:
    """Return mean, standard deviation (None for a single value) and values of a score."""
    std = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return {"mean": float(np.mean(values)), "std": std, "values": [float(v) for v in values]}


def format_mean(mean: float, std: float | None) -> str:
    """Format a mean with its standard deviation if there is one."""
    return f"{mean:.3f}" + ("" if std is None else f" ± {std:.3f}")


def format_score(score: Mapping[str, Any], scores: Mapping[str, Any]) -> str:
    """Format a mean with its standard deviation over folds or else with its interval."""
    text = format_mean(score["mean"], score["std"])
    if score["std"] is not None:
        return text
    low, high = scores["interval"]
    return f"{text} (95 % interval {low:.2f} to {high:.2f})"


# Reports and results


def add_scores(
    report: Report, heading: str, sets: Mapping[str, Any], *, note: str, caption: str = ""
) -> None:
    """Add a table with the metrics of several sets of sounds."""
    columns = ["set", "sounds", "accuracy", "from", "to", "balanced accuracy", "chance"]
    rows = [
        [name, s["n_sounds"], s["accuracy"], *s["interval"], s["balanced_accuracy"], s["chance"]]
        for name, s in sets.items()
    ]
    if "baseline_accuracy" in next(iter(sets.values())):
        columns.append("logistic regression")
        rows = [[*row, s["baseline_accuracy"]] for row, s in zip(rows, sets.values(), strict=True)]
    note = f"From, to: 95 % Wilson interval, for independent sounds. {note}"
    report.add_table(heading, columns, rows, caption=caption, note=note)


def add_usage(report: Report, model_file: str) -> None:
    """Add the ways to use a saved model."""
    text = [
        "On the command line, for files and folders:",
        f"skstrf predict {model_file} FILE...",
        "In Python, load_model of skstrf.model_io returns a scikit-learn pipeline whose predict "
        "takes a list of paths.",
    ]
    report.add_text("Using the model", text)


@dataclass(kw_only=True)
class Results:
    """Base class of results; subclasses add fields, `_add_results`, `_title` and `_subtitle`."""

    settings: dict[str, Any]  # parameters by stage
    random_state: int = 0  # first seed
    skipped: list[tuple[str, str]] = field(default_factory=list)  # files with reasons
    seconds: dict[str, float] = field(default_factory=dict)  # by stage
    versions: dict[str, str] = field(default_factory=versions)

    _title: ClassVar[str] = "Results"
    # Adds the tables and figures of one kind of experiment to its report.
    _add_results: ClassVar[Callable[..., None]]

    def to_dict(self) -> dict[str, Any]:
        """Return all results except fitted models as JSON-serializable values."""
        return to_jsonable(self._fields())

    def write_json(self, path: str | os.PathLike[str], *, separate_times: bool = False) -> None:
        """Write the values of `to_dict` to a JSON file, completely or not at all.

        With `separate_times`, durations and cache folders are under "times", so that the other
        entries are the same in every run with the same seed.
        """
        found = self.to_dict()
        if separate_times:
            found, times = _divide_times(found)
            found["times"] = times
        text = json.dumps(found, indent=1, ensure_ascii=False, allow_nan=False)
        with atomic_write(path) as temporary:
            # Bytes of file names that are not UTF-8 become JSON escapes.
            temporary.write_text(text + "\n", encoding="utf-8", errors="backslashreplace")

    def to_report(
        self,
        path: str | os.PathLike[str],
        *,
        title: str | None = None,
        notes: Sequence[str] = (),
        **options: Any,
    ) -> None:
        """Write a self-contained HTML report; `notes` are added to its first section.

        The options are `model_file` (path of the saved model that the page names) of
        classification and search, and `n_clips` (number of test sounds to play) of classification.
        """
        report = Report(title or self._title, self._subtitle())
        self._add_results(report, list(notes), **options)
        heading = "Files left out"
        if self.skipped:
            report.add_table(heading, ["file", "reason"], self.skipped)
        else:
            report.add_text(heading, "None.")
        self._add_settings(report)
        if self.seconds:
            report.add_settings("Seconds", {k: round(v, 2) for k, v in self.seconds.items()})
        report.add_settings("Versions", self.versions)
        report.write(path)

    def _fields(self) -> dict[str, Any]:
        """Return the fields by name; subclasses replace those that JSON cannot hold."""
        return {item.name: getattr(self, item.name) for item in fields(self)
                if item.name != "model"}  # fmt: skip

    def _subtitle(self) -> str:
        return ""

    def _add_settings(self, report: Report, **more: Any) -> None:
        """Add the seed, single settings, and a table for each stage of a pipeline."""
        stages = {name: v for name, v in self.settings.items() if isinstance(v, Mapping)}
        single = {name: v for name, v in self.settings.items() if name not in stages}
        report.add_settings("Settings", {"seed": self.random_state} | more | single)
        for stage, values in stages.items():
            report.add_text("Settings", f"{stage}:")
            report.add_settings("Settings", values)


def _divide_times(found: Any) -> tuple[Any, Any]:
    """Divide results into what is the same in every run and what differs from run to run."""
    if isinstance(found, dict):
        rest, times = {}, {}
        for key, value in found.items():
            if key in TIMES:
                times[key] = value
                continue
            rest[key], inner = _divide_times(value)
            if inner:
                times[key] = inner
        return rest, times
    if isinstance(found, list):
        pairs = [_divide_times(value) for value in found]
        times_of = [times for _, times in pairs]
        return [rest for rest, _ in pairs], times_of if any(times_of) else []
    return found, {}
