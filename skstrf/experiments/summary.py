"""From what the folds gave to the results of an experiment."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline

from skstrf.experiments.evaluation import Evaluation, describe_training
from skstrf.experiments.folds import Plan
from skstrf.experiments.results import ClassificationResults, changed_settings, plain, settings
from skstrf.experiments.scores import chance_level, score_set, spread

__all__ = ["describe_model", "summarise"]


def summarise(
    model: Pipeline,
    files: list[str],
    y: np.ndarray,
    plan: Plan,
    evaluation: Evaluation,
    more: dict[str, Any],
) -> ClassificationResults:
    """Put the results of an experiment together.

    Parameters
    ----------
    model : Pipeline
        Fitted for use.
    files : list of str
        The sounds.
    y : ndarray of shape (n_sounds,)
        Their classes.
    plan : Plan
        How they were divided.
    evaluation : Evaluation
        From `evaluate`.
    more : dict
        The fields of `ClassificationResults` that are known already.

    Returns
    -------
    ClassificationResults
        Complete.
    """
    folds, predicted = evaluation.folds, evaluation.predicted
    classes = np.unique(y)
    counts = Counter(y.tolist())
    guess = float(np.mean([fold["chance"] for fold in folds]))
    extra = {
        name: _scores(y, rows, classes, chance_level(y[plan.final.train], y[list(rows)]))
        for name, rows in predicted.items()
        if name != "test"
    }
    for name, accuracy in evaluation.baselines.items():
        extra[name]["baseline_accuracy"] = accuracy
    baselines = [fold["baseline_accuracy"] for fold in folds if "baseline_accuracy" in fold]
    means = {
        name: spread([fold[name] for fold in folds])
        for name in ("accuracy", "balanced_accuracy", "chance")
    }
    return ClassificationResults(
        model=model,
        evaluation=plan.description,
        is_held_out=plan.is_held_out,
        classes=classes.tolist(),
        class_counts=[counts[name] for name in classes.tolist()],
        accuracy=means["accuracy"],
        balanced_accuracy=means["balanced_accuracy"],
        chance=means["chance"],
        scores=_scores(y, predicted["test"], classes, guess),
        baseline=spread(baselines) if baselines else None,
        extra=extra,
        folds=folds,
        predictions=_list_predictions(files, y, predicted),
        settings=settings(model),
        changed_settings=changed_settings(model),
        **more,
    )


def describe_model(model: Pipeline, plan: Plan, shape: tuple[int, ...]) -> dict[str, Any]:
    """Describe the model that was fitted for use.

    Parameters
    ----------
    model : Pipeline
        Fitted.
    plan : Plan
        Tells the number of sounds it was fitted on.
    shape : tuple of int
        Of the tensor of one sound.

    Returns
    -------
    dict
        ``n_train``, ``n_valid``, ``tensor_shape``, ``axes``, the training history and, with an
        MPCA among the stages, ``reduction``.
    """
    found: dict[str, Any] = {
        "n_train": len(plan.final.train),
        "n_valid": len(plan.final.valid),
    }
    found |= {"tensor_shape": list(shape)} | describe_training(model[-1])
    for _, step in model.steps:
        if hasattr(step, "axes_"):
            found["axes"] = [
                {"name": axis.name, "unit": axis.unit, "values": plain(axis.values)}
                for axis in step.axes_
            ]
        if hasattr(step, "mode_explained_variance_ratio_"):
            found["reduction"] = {
                "output_shape": plain(step.output_shape_),
                "mode_explained_variance_ratio": plain(step.mode_explained_variance_ratio_),
                "explained_variance_ratio": plain(step.explained_variance_ratio_),
            }
    return found


def _scores(y: np.ndarray, rows: dict[int, Any], classes: np.ndarray, guess: float) -> Any:
    guessed = np.array([prediction for prediction, _, _ in rows.values()])
    return score_set(y[list(rows)], guessed, classes, guess)


def _list_predictions(
    files: list[str], y: np.ndarray, predicted: dict[str, dict[int, Any]]
) -> list[dict[str, Any]]:
    return [
        {
            "file": files[row],
            "class": plain(y[row]),
            "predicted": plain(label),
            "probability": probability,
            "set": name,
            "fold": number,
        }
        for name, rows in predicted.items()
        for row, (label, probability, number) in sorted(rows.items())
    ]
