"""How good the predictions are, in plain numbers that JSON can hold."""

from __future__ import annotations

import json
import logging
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline

from skstrf._version import __version__
from skstrf.model_io import replacing
from skstrf.pipeline import digest

__all__ = [
    "ClassificationResults",
    "ResultCache",
    "WrittenResults",
    "chance_level",
    "changed_settings",
    "divide_times",
    "fold_scores",
    "format_mean",
    "format_score",
    "plain",
    "score_set",
    "settings",
    "spread",
    "versions",
]

logger = logging.getLogger("skstrf")


def score_set(
    y: np.ndarray, predicted: np.ndarray, classes: Sequence[Any] | np.ndarray, guess: float
) -> dict[str, Any]:
    """Score the predictions for one set of sounds."""
    from scipy.stats import binomtest
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    labels = list(classes)
    table = precision_recall_fscore_support(y, predicted, labels=labels, zero_division=0.0)
    names = ("precision", "recall", "f1", "support")
    per_class = [
        {"class": _plain(label)}
        | {
            name: (int if name == "support" else float)(v)
            for name, v in zip(names, row, strict=True)
        }
        for label, row in zip(labels, zip(*table, strict=True), strict=True)
    ]
    n_right = int(np.sum(y == predicted))
    interval = binomtest(n_right, len(y)).proportion_ci(0.95, method="wilson")
    return {
        "n_sounds": len(y),
        "accuracy": n_right / len(y),
        "interval": [float(interval.low), float(interval.high)],
        "balanced_accuracy": _mean_recall(per_class),
        "chance": guess,
        "per_class": per_class,
        "confusion_matrix": confusion_matrix(y, predicted, labels=labels).tolist(),
    }


def fold_scores(y: np.ndarray, predicted: np.ndarray, train_y: np.ndarray) -> dict[str, float]:
    """Score one fold: accuracy, balanced accuracy and chance level."""
    guess = chance_level(train_y, y)
    scores = score_set(y, predicted, np.unique(np.concatenate([y, predicted])), guess)
    return {name: scores[name] for name in ("accuracy", "balanced_accuracy", "chance")}


def chance_level(train_y: np.ndarray, y: np.ndarray) -> float:
    """Accuracy of always guessing the class that is commonest in training."""
    names, counts = np.unique(train_y, return_counts=True)
    commonest = names[counts == counts.max()]
    return float(np.mean([np.mean(y == name) for name in commonest]))


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Mean, standard deviation and values of a score over folds."""
    std = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return {"mean": float(np.mean(values)), "std": std, "values": [float(v) for v in values]}


def _mean_recall(per_class: list[dict[str, Any]]) -> float:
    return float(np.mean([row["recall"] for row in per_class if row["support"]]))


def _plain(label: Any) -> Any:
    return label.item() if isinstance(label, np.generic) else label


PACKAGES = ("numpy", "scipy", "scikit-learn", "torch", "skorch", "soundfile", "soxr", "skops")


class WrittenResults:
    """Base of dataclasses that can be written down."""

    def to_dict(self) -> dict[str, Any]:
        """Give everything but models as plain numbers, texts, lists and dicts."""
        return plain(self._plain_fields())

    def write_json(self, path: str | os.PathLike[str]) -> None:
        """Write what `to_dict` gives to a JSON file, whole or not at all."""
        text = json.dumps(self.to_dict(), indent=1, ensure_ascii=False, allow_nan=False)
        with replacing(path) as temporary:
            temporary.write_text(text + "\n", encoding="utf-8")

    def _plain_fields(self) -> dict[str, Any]:
        """Give the fields by name, those that need it in another form."""
        names = [item.name for item in fields(self)]  # type: ignore[arg-type]
        return {name: getattr(self, name) for name in names if name != "model"}


@dataclass
class ClassificationResults(WrittenResults):
    """Everything an experiment found; all but `model` in plain numbers and texts.

    Parameters
    ----------
    model : Pipeline
        Fitted on all sounds, or on the train split of a held-out evaluation: takes paths.
    evaluation : str
        How the sounds were divided.
    is_held_out : bool
        Whether there was one division into train and test, not cross-validation.
    classes : list
        In the order of rows and columns everywhere.
    class_counts : list of int
        Sounds of each.
    accuracy, balanced_accuracy, chance : dict
        ``mean``, ``std`` over folds (None for one fold) and ``values``. Chance is always guessing
        the commonest class of the training part.
    scores : dict
        Of all test sounds together: ``accuracy``, ``interval``, ``per_class``,
        ``confusion_matrix`` ...
    baseline : dict or None
        Accuracy of logistic regression on the features that the network learned from.
    extra : dict of str to dict
        The same scores for further test sets, by name.
    folds : list of dict
        Of each: sizes, scores, training history, seconds.
    final : dict
        Of `model`: sizes, training history and how far the tensors were reduced.
    predictions : list of dict
        For each test sound: file, class, predicted class, its probability, the fold or set.
    settings, changed_settings : dict of str to dict
        Parameters of each stage, all, and those that differ from its defaults.
    skipped : list of (str, str)
        Files left out, with the reason.
    seconds : dict of str to float
        Time spent in each stage.
    random_state : int
        The seed.
    versions : dict of str to str
        Of the packages, Python and the platform.
    """

    model: Any
    evaluation: str
    is_held_out: bool
    classes: list[Any]
    class_counts: list[int]
    accuracy: dict[str, Any]
    balanced_accuracy: dict[str, Any]
    chance: dict[str, Any]
    scores: dict[str, Any]
    baseline: dict[str, Any] | None
    extra: dict[str, dict[str, Any]]
    folds: list[dict[str, Any]]
    final: dict[str, Any]
    predictions: list[dict[str, Any]]
    settings: dict[str, dict[str, Any]]
    changed_settings: dict[str, dict[str, Any]]
    skipped: list[tuple[str, str]]
    seconds: dict[str, float]
    random_state: int
    versions: dict[str, str] = field(default_factory=lambda: versions())

    def summary(self) -> str:
        """Say the accuracy with its spread, beside chance.

        Returns
        -------
        str
            One line.
        """
        return (
            f"accuracy {format_score(self.accuracy, self.scores)} "
            f"({self.evaluation}, {self.scores['n_sounds']} sounds, {len(self.classes)} classes; "
            f"chance {self.chance['mean']:.3f})"
        )


def format_mean(mean: float, std: float | None) -> str:
    """Write a mean, with its standard deviation if there is one."""
    return f"{mean:.3f}" + ("" if std is None else f" ± {std:.3f}")


def format_score(score: Mapping[str, Any], scores: Mapping[str, Any]) -> str:
    """Put a score and its spread into words: over folds, or the interval of a single test."""
    text = format_mean(score["mean"], score["std"])
    if score["std"] is not None:
        return text
    low, high = scores["interval"]
    return f"{text} (95 % interval {low:.2f} to {high:.2f})"


def plain(value: Any) -> Any:
    """Turn a value into what JSON can hold: NaN becomes None, objects their text."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, Sequence | set | frozenset):
        return [plain(item) for item in value]
    return str(value)


def settings(pipeline: Pipeline) -> dict[str, dict[str, Any]]:
    """Give all parameters of every stage of a pipeline."""
    return {
        name: {"class": type(step).__name__} | plain(step.get_params(deep=False))
        for name, step in pipeline.steps
        if step not in (None, "passthrough")
    }


def changed_settings(pipeline: Pipeline) -> dict[str, dict[str, Any]]:
    """Give the parameters that differ from the defaults of their class."""
    changed = {}
    for name, step in pipeline.steps:
        defaults = plain(type(step)().get_params(deep=False))
        now = plain(step.get_params(deep=False))
        changed[name] = {key: now[key] for key in now if now[key] != defaults[key]}
    return {name: values for name, values in changed.items() if values}


def versions() -> dict[str, str]:
    """Give the versions that decide the numbers."""
    found = {"skstrf": __version__, "python": platform.python_version()}
    found["platform"] = f"{platform.system()} {platform.machine()}"
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "unknown"
    return found


class ResultCache:
    """Keeps what parts of an experiment gave, one JSON file each, whole or not at all."""

    def __init__(self, folder: str | os.PathLike[str] | None, about: Mapping[str, Any]):
        self.folder = None if folder is None else Path(folder)
        self.about = json.dumps(plain(about), sort_keys=True)

    def get(self, name: str, compute: Callable[[], Any]) -> Any:
        """Give a part: as it was kept, or computed and kept."""
        if self.folder is None:
            return plain(compute())
        path = self.folder / f"{digest(self.about, name)}.json"
        kept = self._read(path, name)
        if kept is not None:
            logger.info("%s: finished before", name)
            return kept["found"]
        found = plain(compute())
        self.folder.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            temporary.write_text(json.dumps({"name": name, "found": found}), encoding="utf-8")
        return found

    def _read(self, path: Path, name: str) -> dict[str, Any] | None:
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            logger.warning("%s: what was kept of it is damaged, it is made anew: %s", name, error)
            return None
        return kept if isinstance(kept, dict) and kept.get("name") == name else None


def divide_times(found: Any, names: tuple[str, ...] = ("seconds",)) -> tuple[Any, Any]:
    """Take what differs from run to run out of results."""
    if isinstance(found, dict):
        rest, times = {}, {}
        for key, value in found.items():
            if key in names:
                times[key] = value
                continue
            rest[key], inner = divide_times(value, names)
            if inner:
                times[key] = inner
        return rest, times
    if isinstance(found, list):
        pairs = [divide_times(value, names) for value in found]
        times_of = [times for _, times in pairs]
        return [rest for rest, _ in pairs], times_of if any(times_of) else []
    return found, {}
