"""The report of a classification experiment, as one HTML page."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.base import clone

from skstrf.experiments.results import ClassificationResults, format_score
from skstrf.inspection import (
    MPCADisplay,
    Report,
    STRFDisplay,
    TrainingDisplay,
    confusion_matrix_display,
)
from skstrf.transforms import STRFTransformer

__all__ = ["write_classification_report"]

PICTURE_STEP = 8
# Seconds of each clip that can be played: they are in the page, uncompressed.
LONGEST_PLAYED = 10.0


def write_classification_report(
    results: ClassificationResults,
    path: str | os.PathLike[str],
    *,
    title: str = "Classification of sounds",
    notes: Sequence[str] = (),
    model_file: str = "model.skops",
    n_clips: int = 4,
) -> None:
    """Write the report of an experiment: one HTML file that needs nothing else.

    Parameters
    ----------
    results : ClassificationResults
        From `run_classification`.
    path : str or Path
        The file, ``report.html`` by custom.
    title : str
        Heading of the page.
    notes : sequence of str
        Paragraphs to put at the end of the first section.
    model_file : str
        Where the model lies, for the command that predicts with it.
    n_clips : int
        Clips to show and to play, of as many classes.
    """
    report = Report(title, results.summary())
    _add_result(report, results, notes)
    _add_confusions(report, results)
    _add_clips(report, results, n_clips)
    _add_reduction(report, results)
    _add_training(report, results)
    _add_skipped(report, results)
    _add_use(report, results, model_file)
    _add_settings(report, results)
    report.write(path)


def _add_result(report: Report, results: ClassificationResults, notes: Sequence[str]) -> None:
    final = results.final
    text = [
        f"Accuracy {format_score(results.accuracy, results.scores)}, where guessing the commonest "
        f"class gives {results.chance['mean']:.3f}. Evaluation: {results.evaluation}. What learns "
        "from data (scaling, MPCA, network) never saw the sounds it is tested on.",
        f"The model that was kept learned from {final['n_train']} sounds.",
        *notes,
    ]
    report.add_text("Result", text)
    sets = {"test": results.scores, **results.extra}
    rows = [
        [name, s["n_sounds"], s["accuracy"], *s["interval"], s["balanced_accuracy"], s["chance"]]
        for name, s in sets.items()
    ]
    columns = ["set", "sounds", "accuracy", "from", "to", "balanced accuracy", "chance"]
    note = "From, to: 95 % interval (Wilson), taking the sounds for independent of each other."
    if results.baseline:
        columns.append("logistic regression")
        rows[0].append(results.baseline["mean"])
        for row, scores in zip(rows[1:], results.extra.values(), strict=True):
            row.append(scores["baseline_accuracy"])
        note += " Logistic regression: its accuracy on the same features as the network's."
    report.add_table("Result", columns, rows, note=note)
    if len(results.folds) > 1:
        keys = ("n_train", "n_test", "accuracy", "balanced_accuracy", "chance")
        rows = [[str(i), *(f[key] for key in keys)] for i, f in enumerate(results.folds, start=1)]
        names = ["fold", "train", "test", "accuracy", "balanced accuracy", "chance"]
        report.add_table("Result", names, rows, caption="Folds")


def _add_confusions(report: Report, results: ClassificationResults) -> None:
    names = [str(name) for name in results.classes]
    for set_name, scores in {"test": results.scores, **results.extra}.items():
        rows = [p for p in results.predictions if p["set"] == set_name]
        display = confusion_matrix_display(
            np.array([str(p["class"]) for p in rows]),
            np.array([str(p["predicted"]) for p in rows]),
            labels=names,
        )
        report.add_figure(
            "Confusions",
            display.figure_,
            alt=f"confusion matrix of the {set_name} sounds, as tabulated below by class",
            caption=f"Which classes are taken for which ({set_name}, {scores['n_sounds']} sounds)",
        )
        columns = ["class", "precision", "recall", "F1", "sounds"]
        table = _by_class(scores)
        report.add_table("Confusions", columns, table, caption=f"By class ({set_name})")


def _by_class(scores: dict[str, Any]) -> list[list[Any]]:
    """Rows of the table; what is a share of nothing, as recall without sounds, is left out."""
    named = np.sum(scores["confusion_matrix"], axis=0)
    return [
        [
            str(row["class"]),
            row["precision"] if times else None,
            row["recall"] if row["support"] else None,
            row["f1"] if row["support"] else None,
            row["support"],
        ]
        for row, times in zip(scores["per_class"], named, strict=True)
    ]


def _add_clips(report: Report, results: ClassificationResults, n_clips: int) -> None:
    """Show and play one test sound of each of some classes."""
    loader = results.model[0]
    strf = next((s for _, s in results.model.steps if isinstance(s, STRFTransformer)), None)
    first: dict[str, dict[str, Any]] = {}
    for prediction in results.predictions:
        first.setdefault(str(prediction["class"]), prediction)
    names = list(first)
    chosen = np.unique(
        np.linspace(0, len(names) - 1, min(n_clips, len(names))).round().astype(int)
    )
    for prediction in (first[names[index]] for index in chosen):
        sound = loader.transform([prediction["file"]])[0]
        caption = (
            f"{os.path.basename(prediction['file'])}: {prediction['class']}, "
            f"predicted {prediction['predicted']} ({prediction['probability']:.2f})"
        )
        played = sound[: int(LONGEST_PLAYED * loader.sample_rate)]
        report.add_sound("Some sounds", played, loader.sample_rate, caption=caption)
        if strf is not None:
            # Frames short enough to see; the classifier's may last a second.
            step = min(strf.frame_step_, PICTURE_STEP)
            fine = clone(strf).set_params(frame_step=step, frame_rate=None)
            display = STRFDisplay.from_estimator(fine, sound)
            alt = f"scale, rate, frequency and time of {caption}"
            report.add_figure("Some sounds", display.figure_, alt=alt, caption=caption)


def _add_reduction(report: Report, results: ClassificationResults) -> None:
    mpca = next((s for _, s in results.model.steps if hasattr(s, "mode_eigenvalues_")), None)
    if mpca is None:
        return
    names = [axis["name"] for axis in results.final.get("axes", [])]
    display = MPCADisplay.from_estimator(
        mpca, names if len(names) == len(mpca.components_) else None
    )
    before = " x ".join(map(str, results.final["tensor_shape"]))
    after = " x ".join(map(str, results.final["reduction"]["output_shape"]))
    report.add_figure(
        "Multilinear PCA",
        display.figure_,
        alt="cumulative explained variance of each mode, with the components that are kept",
        caption=f"Tensors of {before} became tensors of {after}.",
    )


def _add_training(report: Report, results: ClassificationResults) -> None:
    trainings = [fold for fold in results.folds if fold.get("history")]
    if not trainings:
        return
    display = TrainingDisplay.from_histories(
        [fold["history"] for fold in trainings],
        best_epochs=[fold.get("n_epochs_to_best") for fold in trainings],
    )
    report.add_figure(
        "Training of the network",
        display.figure_,
        alt="loss and validation accuracy over the epochs of training",
        caption="One line for each fold. The validation part is never the test part."
        if len(trainings) > 1
        else "The validation part is not the test part.",
    )


def _add_skipped(report: Report, results: ClassificationResults) -> None:
    if results.skipped:
        report.add_table("Files left out", ["file", "reason"], results.skipped)
    else:
        report.add_text("Files left out", "None.")


def _add_use(report: Report, results: ClassificationResults, model_file: str) -> None:
    report.add_text(
        "Using the model",
        [
            "On the command line, for files and folders:",
            f"skstrf predict {model_file} FILE...",
            "In Python, load_model of skstrf.persistence gives a scikit-learn pipeline whose "
            "predict takes a list of paths.",
        ],
    )


def _add_settings(report: Report, results: ClassificationResults) -> None:
    heading = "Settings"
    changed = {
        f"{stage}, {name}": value
        for stage, values in results.changed_settings.items()
        for name, value in values.items()
    }
    report.add_text(heading, f"Seed {results.random_state}. Other than the defaults:")
    report.add_settings(heading, changed or {"nothing": ""})
    for stage, values in results.settings.items():
        rest = {name: value for name, value in values.items() if name != "class"}
        report.add_text(heading, f"All of {values['class']} ({stage}):")
        report.add_settings(heading, rest)
    report.add_settings("Seconds", {k: round(v, 2) for k, v in results.seconds.items()})
    report.add_settings("Versions", results.versions)
