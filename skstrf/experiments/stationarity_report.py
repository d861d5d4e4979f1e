"""The report of a comparison of stationarity, as one HTML page."""

from __future__ import annotations

import os
from collections.abc import Sequence

from skstrf.experiments.stationarity_results import StationarityResults
from skstrf.inspection import Report, StationarityDisplay

__all__ = ["write_stationarity_report"]

_WHAT = {
    "time": "along time: whether levels and variability of rows stay the same",
    "frequency": "along frequency, or what stands for it: whether those of columns are the same",
    "plane": "over the plane: whether the local spectra of all its parts are alike",
}


def write_stationarity_report(
    results: StationarityResults,
    path: str | os.PathLike[str],
    *,
    title: str = "Stationarity of representations",
    notes: Sequence[str] = (),
) -> None:
    """Write the report of an experiment: one HTML file that needs nothing else.

    Parameters
    ----------
    results : StationarityResults
        From `run_stationarity`.
    path : str or Path
        The file, ``report.html`` by custom.
    title : str
        Heading of the page.
    notes : sequence of str
        Paragraphs to put at the end of the first section.
    """
    n_sounds = len(results.files)
    report = Report(title, f"{len(results.names)} representations of {n_sounds} sounds")
    rows, columns = results.settings["grid"]
    text = [
        "The rate is the share of lines whose stationarity is not rejected (false discovery rate "
        "5 %): 1 is stationary throughout. In the column plane it is the score of the plane, the "
        "inverse of how much more its local spectra vary than those of a homogeneous field.",
        f"All planes were brought to {rows} channels by {columns} frames.",
        *notes,
    ]
    report.add_text("Result", text)
    measures = {"rate": "Rates of stationarity", "effect": "Effects: 1 where stationary"}
    for measure, caption in measures.items():
        display = StationarityDisplay.from_results(results, measure=measure)
        alt = f"{caption} of every representation along each axis, as tabulated below"
        note = "Means over sounds, with 95 % bootstrap intervals."
        report.add_figure("Result", display.figure_, alt=alt, caption=f"{caption}. {note}")
    _add_table(report, results)
    for axis, what in _WHAT.items():
        for measure in measures:
            _add_comparison(report, results, axis, measure, f"{measure} {what}")
    if results.skipped:
        report.add_table("Files left out", ["file", "reason"], results.skipped)
    else:
        report.add_text("Files left out", "None.")
    report.add_settings("Settings", {"seed": results.random_state} | results.settings)
    report.add_settings("Seconds", {k: round(v, 1) for k, v in results.seconds.items()})
    report.add_settings("Versions", results.versions)
    report.write(path)


def _add_table(report: Report, results: StationarityResults) -> None:
    keys = ("rate", "rate_low", "rate_high", "pi0", "effect", "rejected")
    rows = [
        [row["representation"], row["axis"], *(row[key] for key in keys)]
        for row in results.table()
    ]
    names = ["representation", "axis", "rate", "from", "to", "share", "effect", "rejected"]
    note = (
        "From, to: 95 % bootstrap interval of the mean rate over sounds. Share: of stationary "
        "lines, estimated from all p-values. Effect: how far lines wander, or local spectra vary, "
        "in units of stationary surrogates. Rejected: share of sounds where stationarity along "
        "the whole axis is rejected at 5 %, one test for each sound."
    )
    report.add_table("Table", names, rows, note=note)


def _add_comparison(
    report: Report, results: StationarityResults, axis: str, measure: str, caption: str
) -> None:
    if len(results.values(axis, measure)) < 2 or len(results.files) < 2:
        return
    keys = ("difference", "rank_biserial", "p_value", "p_holm")
    rows = [
        [pair["first"], pair["second"], *(pair[key] for key in keys)]
        for pair in results.comparisons(axis, measure)
    ]
    names = ["first", "second", "difference", "rank correlation", "p", "p (Holm)"]
    note = (
        "Difference: mean of the first less that of the second. Rank correlation: matched "
        "pairs, from -1 to 1. p: Wilcoxon's signed-rank test over sounds; Holm's correction is "
        "for all pairs of this table."
    )
    report.add_table(f"Pairs: {axis}", names, rows, caption=caption.capitalize(), note=note)
