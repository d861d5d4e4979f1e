"""The report of transfers of style, as one HTML page with players."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from skstrf.experiments.style_results import StylePair, StyleResults
from skstrf.inspection import Report, StyleTransferDisplay
from skstrf.style import MEASURES

__all__ = ["write_style_report"]


def write_style_report(
    results: StyleResults,
    path: str | os.PathLike[str],
    *,
    title: str = "Style transfer",
    notes: Sequence[str] = (),
) -> None:
    """Write the report: for every transfer three players, the measures and a picture.

    Parameters
    ----------
    results : StyleResults
        From `run_style`.
    path : str or Path
        The file, ``report.html`` by custom.
    title : str
        Heading of the page.
    notes : sequence of str
        Paragraphs to put at the end of the first section.
    """
    count = len(results.pairs)
    report = Report(title, f"{count} transfer{'s' if count > 1 else ''}")
    report.add_text(
        "Measures",
        [
            "Each measure stands beside what it is for the untouched content and for the "
            "untouched style in its place: a result lies between the two.",
            *notes,
        ],
    )
    report.add_table(
        "Measures", ["measure", "says"], [[_words(k), v] for k, v in MEASURES.items()]
    )
    if count > 1:
        names = ["content", "style", "network", *map(_words, MEASURES)]
        report.add_table("Results", names, results.rows())
    for pair in results.pairs:
        _add_pair(report, pair)
    if results.skipped:
        report.add_table("Pairs left out", ["pair", "reason"], results.skipped)
    report.add_settings("Settings", {"seed": results.random_state} | results.settings)
    report.add_settings("Versions", results.versions)
    report.write(path)


def _add_pair(report: Report, pair: StylePair) -> None:
    heading = pair.name
    rate = pair.sample_rate
    for kind, words in (
        ("content", f"Content: {pair.content}"),
        ("style", f"Style: {pair.style}"),
        ("result", "Result"),
    ):
        report.add_sound(heading, _mono(pair.sounds[kind]), rate, caption=words)
    rows = [
        [_words(name), *(_number(row[kind]) for kind in ("result", "content", "style"))]
        for name, row in pair.table.items()
    ]
    note = f"{len(pair.curve) - 1} iterations of the last block."
    if pair.interrupted:
        note += " Interrupted: the best so far."
    report.add_table(
        heading, ["measure", "result", "untouched content", "untouched style"], rows, note=note
    )
    drawn = [_mono(pair.sounds[kind]) for kind in ("content", "result", "style")]
    display = StyleTransferDisplay(*drawn, sample_rate=rate, curve=pair.curve).plot()
    report.add_figure(
        heading,
        display.figure_,
        alt=f"Spectrograms and receptive fields of content, result and style, and the loss by "
        f"iteration, of {heading}",
        caption="Above: auditory spectrograms. Middle: mean magnitudes of receptive fields. "
        "Below: the loss, 1 where it is as large as between the untouched two.",
    )


def _words(name: str) -> str:
    return name.replace("_", " ").replace("snr", "SNR").replace("gram ", "Gram ")


def _number(value: float | None) -> Any:
    """A figure for a table: nothing for infinity, and 0 for what only rounding keeps from it."""
    return None if value is None or value in (float("inf"), float("-inf")) else round(value, 6)


def _mono(sound: Any) -> Any:
    return sound.mean(axis=0) if sound.ndim > 1 else sound
