"""The report on a search, as one HTML page."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from skstrf.experiments.search_results import SearchResults
from skstrf.inspection import Report, StudyDisplay

__all__ = ["write_search_report"]

STATES = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "no score", "RUNNING": "running"}


def write_search_report(
    results: SearchResults,
    path: str | os.PathLike[str],
    *,
    title: str = "Search for settings",
    notes: Sequence[str] = (),
    model_file: str = "model.skops",
) -> None:
    """Write the report on a search: one HTML file that needs nothing else.

    Parameters
    ----------
    results : SearchResults
        From `run_search`.
    path : str or Path
        The file, ``report.html`` by custom.
    title : str
        Heading of the page.
    notes : sequence of str
        Paragraphs to put at the end of the first section.
    model_file : str
        Where the model lies, for the command that predicts with it.
    """
    subtitle = f"{len(results.trials)} candidates, {results.n_sounds} sounds"
    report = Report(title, subtitle)
    _add_best(report, results, notes)
    _add_candidates(report, results)
    if results.skipped:
        report.add_table("Files left out", ["file", "reason"], results.skipped)
    else:
        report.add_text("Files left out", "None.")
    report.add_text(
        "Using the model",
        ["On the command line, for files and folders:", f"skstrf predict {model_file} FILE..."],
    )
    report.add_settings("Settings", {"seed": results.random_state, "score": results.scoring})
    for stage, values in results.settings.items():
        report.add_text("Settings", f"{stage}, of the best:")
        report.add_settings("Settings", values)
    report.add_settings("Seconds", {k: round(v, 2) for k, v in results.seconds.items()})
    report.add_settings("Versions", results.versions)
    report.write(path)


def _add_best(report: Report, results: SearchResults, notes: Sequence[str]) -> None:
    std = "" if results.score["std"] is None else f" ± {results.score['std']:.3f} over folds"
    text = [
        f"The best candidate, number {results.best_number}, has a {results.scoring} of "
        f"{results.score['mean']:.3f}{std} ({results.evaluation}). It was chosen by that score, "
        "so that new sounds will be a little harder for it.",
        *notes,
    ]
    report.add_text("Best", text)
    report.add_settings("Best", results.best)
    if not results.tests:
        return
    rows = [
        [name, s["n_sounds"], s["accuracy"], *s["interval"], s["balanced_accuracy"], s["chance"]]
        for name, s in results.tests.items()
    ]
    columns = ["set", "sounds", "accuracy", "from", "to", "balanced accuracy", "chance"]
    note = (
        "No candidate was scored on these sounds. From, to: 95 % interval (Wilson), taking the "
        "sounds for independent of each other."
    )
    report.add_table("Best", columns, rows, caption="The best, tested once", note=note)


def _add_candidates(report: Report, results: SearchResults) -> None:
    display = StudyDisplay.from_results(results)
    alt = "scores of all candidates in the order of their trials, with the best so far"
    if results.importances:
        alt += ", and the importance of each parameter"
    caption = "Each candidate's score. Importance: share of the variation of scores (fANOVA)."
    report.add_figure("Candidates", display.figure_, alt=alt, caption=caption)
    names = sorted({name for trial in results.trials for name in trial["params"]})
    ordered = sorted(
        results.trials,
        key=lambda t: (t["score"] is None, -(t["score"] or 0.0), t["number"]),
    )
    rows = [
        [
            str(trial["number"]),
            STATES.get(trial["state"], trial["state"].lower()),
            trial["score"],
            trial["std"] if trial["state"] == "COMPLETE" else None,
            *(_text(trial["params"].get(name)) for name in names),
            trial["seconds"],
        ]
        for trial in ordered
    ]
    columns = ["trial", "state", results.scoring, "std", *names, "seconds"]
    n_same = sum(trial["same_as"] is not None for trial in results.trials)
    note = (
        "Std: over folds. Pruned: stopped when its score was below the median of the others' at "
        "that epoch. Seconds do not count what came from the cache."
    )
    if n_same:
        note += f" {n_same} had the parameters of an earlier trial and took its score."
    report.add_table("Candidates", columns, rows, caption="All trials, best first", note=note)
    if failed := [t for t in results.trials if t["error"]]:
        rows = [[str(trial["number"]), trial["error"]] for trial in failed]
        report.add_table("Candidates", ["trial", "why it has no score"], rows)


def _text(value: Any) -> Any:
    """A cell: numbers as they are, so that their column stands on the right."""
    return value if value is None or isinstance(value, int | float | str) else str(value)
