"""What an experiment found, and how to write it down."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline

from skstrf._version import __version__
from skstrf.persistence import replacing

__all__ = [
    "ClassificationResults",
    "WrittenResults",
    "changed_settings",
    "format_mean",
    "format_score",
    "plain",
    "settings",
    "versions",
]

PACKAGES = ("numpy", "scipy", "scikit-learn", "torch", "skorch", "soundfile", "soxr", "skops")


class WrittenResults:
    """Base of dataclasses that can be written down."""

    def to_dict(self) -> dict[str, Any]:
        """Give everything but models as plain numbers, texts, lists and dicts.

        Returns
        -------
        dict
            What `write_json` writes.
        """
        return plain(self._plain_fields())

    def write_json(self, path: str | os.PathLike[str]) -> None:
        """Write what `to_dict` gives to a JSON file, whole or not at all.

        Parameters
        ----------
        path : str or Path
            The file, ``results.json`` by custom.
        """
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
    """Write a mean, with its standard deviation if there is one.

    Parameters
    ----------
    mean : float
        Of a score.
    std : float or None
        None where there was a single value.

    Returns
    -------
    str
        To three decimals.

    Examples
    --------
    >>> from skstrf.experiments.results import format_mean
    >>> format_mean(0.9, 0.05), format_mean(0.9, None)
    ('0.900 ± 0.050', '0.900')
    """
    return f"{mean:.3f}" + ("" if std is None else f" ± {std:.3f}")


def format_score(score: Mapping[str, Any], scores: Mapping[str, Any]) -> str:
    """Put a score and its spread into words: over folds, or the interval of a single test.

    Parameters
    ----------
    score : mapping
        From `spread`.
    scores : mapping
        From `score_set`.

    Returns
    -------
    str
        Such as ``0.912 ± 0.031``.

    Examples
    --------
    >>> from skstrf.experiments.results import format_score
    >>> format_score({"mean": 0.9, "std": 0.05}, {})
    '0.900 ± 0.050'
    """
    text = format_mean(score["mean"], score["std"])
    if score["std"] is not None:
        return text
    low, high = scores["interval"]
    return f"{text} (95 % interval {low:.2f} to {high:.2f})"


def plain(value: Any) -> Any:
    """Turn a value into what JSON can hold: NaN becomes None, objects their text.

    Parameters
    ----------
    value : object
        Anything.

    Returns
    -------
    object
        Of dicts with text keys, lists, texts, numbers, booleans and None.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf.experiments.results import plain
    >>> plain({"a": np.float32(0.5), "b": (np.arange(2), float("nan"))})
    {'a': 0.5, 'b': [[0, 1], None]}
    """
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
    """Give all parameters of every stage of a pipeline.

    Parameters
    ----------
    pipeline : Pipeline
        Fitted or not.

    Returns
    -------
    dict of str to dict
        Plain values by stage and parameter; places that are empty are left out.
    """
    return {
        name: {"class": type(step).__name__} | plain(step.get_params(deep=False))
        for name, step in pipeline.steps
        if step not in (None, "passthrough")
    }


def changed_settings(pipeline: Pipeline) -> dict[str, dict[str, Any]]:
    """Give the parameters that differ from the defaults of their class.

    Parameters
    ----------
    pipeline : Pipeline
        Fitted or not.

    Returns
    -------
    dict of str to dict
        Plain values by stage and parameter; stages without changes are left out.

    Examples
    --------
    >>> from sklearn.pipeline import Pipeline
    >>> from skstrf import AudioLoader
    >>> from skstrf.experiments.results import changed_settings
    >>> changed_settings(Pipeline([("loader", AudioLoader(duration=2.0))]))
    {'loader': {'duration': 2.0}}
    """
    changed = {}
    for name, step in pipeline.steps:
        defaults = plain(type(step)().get_params(deep=False))
        now = plain(step.get_params(deep=False))
        changed[name] = {key: now[key] for key in now if now[key] != defaults[key]}
    return {name: values for name, values in changed.items() if values}


def versions() -> dict[str, str]:
    """Give the versions that decide the numbers.

    Returns
    -------
    dict of str to str
        Of skstrf, Python, the platform, and the packages underneath.
    """
    found = {"skstrf": __version__, "python": platform.python_version()}
    found["platform"] = f"{platform.system()} {platform.machine()}"
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "unknown"
    return found
