"""The report on transfer, as one HTML page."""

from __future__ import annotations

import os
from collections.abc import Sequence

from skstrf.experiments.transfer_results import TransferResults
from skstrf.inspection import Report, TransferDisplay

__all__ = ["write_transfer_report"]


def write_transfer_report(
    results: TransferResults,
    path: str | os.PathLike[str],
    *,
    title: str = "Transfer",
    notes: Sequence[str] = (),
) -> None:
    """Write the report on transfer: one HTML file that needs nothing else.

    Parameters
    ----------
    results : TransferResults
        From `run_transfer`.
    path : str or Path
        The file, ``report.html`` by custom.
    title : str
        Heading of the page.
    notes : sequence of str
        Paragraphs to put at the end of the first section.
    """
    a, b = results.source, results.target
    text = [
        f"Source: {a['n_sounds']} sounds of {len(a['classes'])} classes. Target: {b['n_sounds']} "
        f"sounds of {len(b['classes'])} classes; {results.evaluation}. Guessing the commonest "
        f"class of the target gives {results.chance:.3f}.",
        "All methods learn from the same labels and are tested on the same sounds, which neither "
        "network nor MPCA has met. The output layer is always new.",
        *notes,
    ]
    report = Report(title, f"{a['n_sounds']} sounds, then {b['n_sounds']} others")
    report.add_text("Result", text)
    display = TransferDisplay.from_results(results)
    report.add_figure(
        "Result",
        display.figure_,
        alt="accuracy against the share of known labels, a line for each method, tabulated below",
        caption="Accuracy on the target by the share of its labels that is known.",
    )
    _add_table(report, results)
    changes = {
        name: ", ".join(f"{key}={value}" for key, value in method.items())
        for name, method in results.methods.items()
    }
    report.add_settings("Methods", changes)
    if results.skipped:
        report.add_table("Files left out", ["file", "reason"], results.skipped)
    else:
        report.add_text("Files left out", "None.")
    report.add_settings("Settings", {"seed": results.random_state})
    for stage, values in results.settings.items():
        report.add_text("Settings", f"{stage}:")
        report.add_settings("Settings", values)
    report.add_settings("Versions", results.versions)
    report.write(path)


def _add_table(report: Report, results: TransferResults) -> None:
    table = results.table()
    extra = list(results.runs[0]["extra"])
    keys = ("n_labels", "accuracy", "std", "gain", "gain_std", *extra, "seconds")
    rows = [
        [row["method"], f"{row['fraction']:.0%}", *(row[key] for key in keys)] for row in table
    ]
    columns = ["method", "share", "labels", "accuracy", "std", "gain", "std of gain", *extra]
    n_seeds = len({run["seed"] for run in results.runs})
    note = (
        f"Mean and standard deviation over seeds (there are {n_seeds}). Gain: over "
        f"{results.baseline} with the same labels and test sounds; where it is not well above its "
        "standard deviation, the transfer has not been shown to help. Seconds "
        "of one training, without the "
        f"{results.source['seconds']:.1f} s of pre-training."
    )
    report.add_table("Result", [*columns, "seconds"], rows, note=note)
