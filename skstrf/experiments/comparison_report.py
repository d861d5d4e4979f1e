"""The report on a comparison of ways, as one HTML page."""

from __future__ import annotations

import os
from collections.abc import Sequence

from skstrf.experiments.comparison_results import ComparisonResults
from skstrf.experiments.results import format_mean
from skstrf.inspection import ComparisonDisplay, Report

__all__ = ["write_comparison_report"]


def write_comparison_report(
    results: ComparisonResults,
    path: str | os.PathLike[str],
    *,
    title: str = "Comparison",
    notes: Sequence[str] = (),
) -> None:
    """Write the report on a comparison: one HTML file that needs nothing else.

    Parameters
    ----------
    results : ComparisonResults
        From `run_comparison`.
    path : str or Path
        The file, ``report.html`` by custom.
    title : str
        Heading of the page.
    notes : sequence of str
        Paragraphs to put at the end of the first section.
    """
    subtitle = f"{results.n_sounds} sounds, {len(results.classes)} classes; {results.evaluation}"
    report = Report(title, subtitle)
    shape = " x ".join(map(str, results.tensor_shape))
    text = [
        f"All ways learn from the same tensors of {shape}, with the same folds and seeds. What "
        "learns from data never saw the sounds it is tested on. Guessing the commonest class "
        f"gives {results.chance:.3f}.",
        *notes,
    ]
    report.add_text("Result", text)
    display = ComparisonDisplay.from_results(results)
    report.add_figure(
        "Result",
        display.figure_,
        alt="accuracy of every way with its spread, as tabulated below, and the level of chance",
        caption="Accuracy on the test part: mean, and standard deviation over folds and seeds.",
    )
    _add_table(report, results)
    if results.skipped:
        report.add_table("Files left out", ["file", "reason"], results.skipped)
    else:
        report.add_text("Files left out", "None.")
    report.add_settings("Settings", {"seed": results.random_state, "seeds": results.n_seeds})
    for stage, values in results.settings.items():
        report.add_text("Settings", f"{stage}:")
        report.add_settings("Settings", values)
    report.add_settings("Seconds", {k: round(v, 2) for k, v in results.seconds.items()})
    report.add_settings("Versions", results.versions)
    report.write(path)


def _add_table(report: Report, results: ComparisonResults) -> None:
    extra = list(results.rows[0]["extra"])
    rows = [
        [
            row["name"],
            "\u00a0x\u00a0".join(map(str, row["shape"])),  # on one line
            round(row["dimension"]),
            row["kept"],
            format_mean(row["accuracy"]["mean"], row["accuracy"]["std"]),
            "{:.3f} to {:.3f}".format(*row["interval"]),
            *(format_mean(row["extra"][n]["mean"], row["extra"][n]["std"]) for n in extra),
            row["seconds"].get("reduction", 0.0),
            row["seconds"]["network"],
        ]
        for row in results.rows
    ]
    columns = ["way", "shape", "numbers", "kept", "accuracy", "95 %", *extra]
    note = (
        "Shape and numbers: what the classifier gets of one sound. Kept: share of the variance of "
        "the training part. 95 %: interval (Wilson) of the mean, taking the sounds for "
        "independent. Seconds of one fit, reduction and classifier."
    )
    if results.rows[0]["accuracy"]["std"] is not None:
        note += f" ±: standard deviation over folds and {results.n_seeds} seeds."
    report.add_table("Result", [*columns, "s reducing", "s learning"], rows, note=note)
