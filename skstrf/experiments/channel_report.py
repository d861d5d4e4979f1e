"""The report on channels, as one HTML page."""

from __future__ import annotations

import os
from collections.abc import Sequence

from skstrf.experiments.channel_results import ChannelResults
from skstrf.experiments.results import format_score
from skstrf.inspection import ChannelScoreDisplay, Report

__all__ = ["write_channel_report"]

N_BEST = 10


def write_channel_report(
    results: ChannelResults,
    path: str | os.PathLike[str],
    *,
    title: str = "What single channels tell",
    notes: Sequence[str] = (),
) -> None:
    """Write the report on channels: one HTML file that needs nothing else.

    Parameters
    ----------
    results : ChannelResults
        From `run_channels`.
    path : str or Path
        The file, ``report.html`` by custom.
    title : str
        Heading of the page.
    notes : sequence of str
        Paragraphs to put at the end of the first section.
    """
    first = results.rows[0]
    subtitle = f"{results.n_sounds} sounds, {len(results.classes)} classes; {results.evaluation}"
    report = Report(title, subtitle)
    _add_scores(report, results, notes)
    _add_comparison(report, results)
    report.add_text(
        "Comparison",
        f"All channels, {first['dimension']:.0f} numbers a sound, give an accuracy of "
        f"{format_score(first['accuracy'], first)}; guessing gives {results.chance:.3f}.",
    )
    if results.skipped:
        report.add_table("Files left out", ["file", "reason"], results.skipped)
    else:
        report.add_text("Files left out", "None.")
    _add_settings(report, results)
    report.write(path)


def _add_scores(report: Report, results: ChannelResults, notes: Sequence[str]) -> None:
    where = "of the training part" if results.is_held_out else "of the evaluation"
    text = [
        f"Every channel (scale, signed rate) alone, cross-validated on folds {where}. "
        "The best of many looks better than it is: "
        "the comparison below chooses channels inside each training part, and is honest.",
        *notes,
    ]
    report.add_text("Channels", text)
    display = ChannelScoreDisplay.from_scores(
        results.scores, scales=results.scales, rates=results.rates, n_best=N_BEST
    )
    report.add_figure(
        "Channels",
        display.figure_,
        alt="map of accuracy by scale and rate, and all channels in the order of their accuracy",
        caption="Accuracy of each channel alone; the best are numbered.",
    )
    keys = ("scale", "rate", "mean", "standard_error", "chosen")
    rows = [
        [str(number), *(row[key] for key in keys)]
        for number, row in enumerate(results.best_channels(N_BEST), start=1)
    ]
    columns = ["place", "scale", "rate", "accuracy", "standard error", "chosen"]
    note = (
        "Scale in cycles/octave, rate in Hz: negative moves upward in frequency. Standard error: "
        "corrected for folds that share training sounds (Nadeau and Bengio). Chosen: share of "
        f"training parts that rank the channel among their best {len(rows)}."
    )
    report.add_table("Channels", columns, rows, caption="Best channels", note=note)


def _add_comparison(report: Report, results: ChannelResults) -> None:
    extra = list(results.rows[0]["extra"])
    rows = []
    for row in results.rows:
        seconds = row["seconds"]
        fit = seconds.get("reduction", 0.0) + seconds["network"]
        rows.append(
            [
                row["name"],
                "\u00a0x\u00a0".join(map(str, row["shape"])),  # on one line
                round(row["dimension"]),
                row["accuracy"]["mean"],
                row["accuracy"]["std"],
                *row["interval"],
                *(row["extra"][name]["mean"] for name in extra),
                seconds["selection"],
                fit,
            ]
        )
    columns = ["way", "shape", "numbers", "accuracy", "std", "from", "to", *extra]
    note = (
        "Shape and numbers: what the classifier gets of one sound (shape in the first fold, "
        "numbers in the mean). Std: over folds and seeds. From, to: 95 % "
        "interval (Wilson), taking the sounds for independent. Seconds of one fold: choosing the "
        "channels, which takes none where scores were kept from before, and learning."
    )
    report.add_table("Comparison", [*columns, "s choosing", "s learning"], rows, note=note)


def _add_settings(report: Report, results: ChannelResults) -> None:
    report.add_settings("Settings", {"seed": results.random_state, "seeds": results.n_seeds})
    for stage, values in results.settings.items():
        report.add_text("Settings", f"{stage}:")
        report.add_settings("Settings", values)
    report.add_settings("Seconds", {k: round(v, 2) for k, v in results.seconds.items()})
    report.add_settings("Versions", results.versions)
