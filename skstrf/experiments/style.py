"""What transfers of style gave, and how to write it down."""

from __future__ import annotations

import json
import os
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import clone

from skstrf.datasets import AudioReadError, read_audio
from skstrf.experiments._base import WrittenResults, versions
from skstrf.inspection import Report, StyleTransferDisplay
from skstrf.model_io import replacing
from skstrf.style import METRICS, StyleTransfer, log_stft
from skstrf.transforms import STRFTransformer

__all__ = [
    "StylePair",
    "StyleResults",
    "make_style_transfer",
    "pair_files",
    "run_style",
    "transfer_file",
    "write_style_report",
]


@dataclass
class StylePair:
    """One content in one style by one network."""

    content: str
    style: str
    network: str
    table: dict[str, dict[str, float]]
    curve: np.ndarray
    seconds: float
    sample_rate: int
    sounds: dict[str, np.ndarray]
    interrupted: bool = False

    @property
    def name(self) -> str:
        """Content, style and network in words."""
        return f"{self.content} in the style of {self.style} ({self.network})"


@dataclass
class StyleResults(WrittenResults):
    """Everything that transfers gave.

    Parameters
    ----------
    pairs : list of StylePair
        One a content, style and network.
    settings : dict
        Of the transfers.
    random_state : int
        Their seed.
    versions : dict
        Of the packages.
    skipped : list of (str, str)
        Files that could not be used, and why.
    """

    pairs: list[StylePair]
    settings: dict[str, Any]
    random_state: int
    versions: dict[str, str]
    skipped: list[tuple[str, str]] = field(default_factory=list)

    def rows(self) -> list[list[Any]]:
        """Give content, style and network of every pair, and the measures of its result."""
        return [
            [p.content, p.style, p.network, *(p.table[name]["result"] for name in METRICS)]
            for p in self.pairs
        ]

    def summary(self) -> str:
        """Give a line a pair.

        Returns
        -------
        str
            With the closeness to style and content, both untouched ones beside it.
        """
        return "\n".join(
            f"{p.name}: Gram distance to the style {p.table['gram_distance']['result']:.3f} "
            f"(untouched {p.table['gram_distance']['content']:.3f}), distance to the content "
            f"{p.table['content_distance']['result']:.3f} (of the style "
            f"{p.table['content_distance']['style']:.3f}), correlation of onsets "
            f"{p.table['onset_correlation']['result']:.2f}, {p.seconds:.0f} s"
            for p in self.pairs
        )

    def _plain_fields(self) -> dict[str, Any]:
        pairs = [
            {
                "content": p.content,
                "style": p.style,
                "network": p.network,
                "table": {k: {a: _finite(b) for a, b in v.items()} for k, v in p.table.items()},
                "iterations": len(p.curve) - 1,
                "loss": dict(zip(("total", "content", "style"), p.curve[-1], strict=True)),
                "sample_rate": p.sample_rate,
                "seconds": p.seconds,
            }
            for p in self.pairs
        ]
        return super()._plain_fields() | {"pairs": pairs}


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def write_style_report(
    results: StyleResults,
    path: str | os.PathLike[str],
    *,
    title: str = "Style transfer",
    notes: Sequence[str] = (),
) -> None:
    """Write the report: for every transfer three players, the measures and a picture."""
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
    report.add_table("Measures", ["measure", "says"], [[_words(k), v] for k, v in METRICS.items()])
    if count > 1:
        names = ["content", "style", "network", *map(_words, METRICS)]
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


_MOST_PAIRS = 6


def make_style_transfer(
    network: Any = "random", *, sample_rate: int = 16000, **settings: Any
) -> StyleTransfer:
    """Make the transfer for sounds of a sample rate.

    Parameters
    ----------
    network : {"random", "cortical"} or CNNClassifier
        As StyleTransfer takes it. Random filters look at :func:`skstrf.style.log_stft`, the other
        two at an STRFTransformer.
    sample_rate : int, default=16000
        In Hz.
    **settings
        Of StyleTransfer.

    Returns
    -------
    StyleTransfer
        Not fitted.

    Examples
    --------
    >>> from skstrf.experiments import make_style_transfer
    >>> make_style_transfer("cortical", sample_rate=22050).representation.sample_rate
    22050
    """
    plain = isinstance(network, str) and network == "random"
    look = log_stft(sample_rate) if plain else STRFTransformer(sample_rate=sample_rate)
    return StyleTransfer(look, network, **settings)


def transfer_file(
    content: str | os.PathLike[str],
    styles: Sequence[str | os.PathLike[str]],
    transfer: StyleTransfer,
    *,
    duration: float | None = None,
    mono: bool = False,
) -> StylePair:
    """Give a sound file the style of others."""
    rate = transfer.representation.sample_rate
    sound = _read(content, rate, duration)
    if mono:
        sound = sound.mean(axis=0, keepdims=True)
    channels = [channel for path in styles for channel in _read(path, rate, duration)]
    fitted = clone(transfer).fit([channel for channel in channels if channel.any()] or channels)
    began = time.perf_counter()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = fitted.transform(sound[None])
    seconds = time.perf_counter() - began
    for warning in caught:
        warnings.warn(warning.message, stacklevel=2)
    table = fitted.score_table(sound[None], result)
    network = transfer.network
    return StylePair(
        Path(content).name,
        " + ".join(Path(path).name for path in styles),
        network if isinstance(network, str) else "classifier",
        {name: {kind: values[0] for kind, values in row.items()} for name, row in table.items()},
        fitted.loss_curve_,
        seconds,
        int(rate),
        {"content": sound, "result": result[0], "style": fitted.styles_[0]},
        any("interrupted" in str(warning.message) for warning in caught),
    )


def pair_files(contents: Sequence[str], styles: Sequence[str] | None = None) -> list[Any]:
    """Pair contents with styles, six pairs at most."""
    if styles is None:
        pairs = list(zip(contents, [*contents[1:], *contents[:1]], strict=True))
    else:
        pairs = [(a, styles[i % len(styles)]) for i, a in enumerate(contents) if styles]
    pairs = [(a, b) for a, b in pairs if a != b]
    if not pairs:
        raise ValueError("there is no pair of a content and another sound as its style.")
    chosen = np.unique(np.linspace(0, len(pairs) - 1, _MOST_PAIRS).round().astype(int))
    return [pairs[i] for i in chosen]


def run_style(
    pairs: Sequence[tuple[str, str]],
    *,
    networks: Sequence[Any] = ("random", "cortical"),
    duration: float = 5.0,
    sample_rate: int = 16000,
    parts: str | os.PathLike[str] | None = None,
    on_error: str = "raise",
    random_state: int = 0,
    **settings: Any,
) -> StyleResults:
    """Transfer the style of every pair by every network, and measure the results.

    Parameters
    ----------
    pairs : sequence of (content, style)
        Files.
    networks : sequence of {"random", "cortical"} or CNNClassifier
        See :func:`make_style_transfer`.
    duration : float, default=5.0
        Seconds of each sound at most.
    sample_rate : int, default=16000
        Sounds are resampled to it, in Hz.
    parts : path or None
        Folder in which finished transfers are kept, for a run that goes on.
    on_error : {"raise", "warn"}
        What to do about a pair that cannot be used.
    random_state : int
        Seed of all.
    **settings
        Of StyleTransfer.

    Returns
    -------
    StyleResults
        Results, tables and curves.

    Raises
    ------
    ValueError
        When no pair could be used.

    Warns
    -----
    UserWarning
        For pairs that were left out.
    """
    found: list[StylePair] = []
    skipped: list[tuple[str, str]] = []
    for i, (content, style) in enumerate(pairs):
        for j, network in enumerate(networks):
            transfer = make_style_transfer(
                network, sample_rate=sample_rate, random_state=random_state, **settings
            )
            path = None if parts is None else Path(parts) / f"style-{i}-{j}.npz"
            try:
                found.append(_part(path, content, style, transfer, duration))
                if found[-1].interrupted:
                    raise KeyboardInterrupt
            except (AudioReadError, ValueError) as error:
                if on_error == "raise":
                    raise
                warnings.warn(f"{content} in the style of {style}: {error}", stacklevel=2)
                skipped.append((f"{content}, {style}", str(error)))
                break
    if not found:
        raise ValueError(f"None of the {len(pairs)} pairs of sounds can be used.")
    about = {"duration": duration, "sample_rate": sample_rate} | settings
    about.pop("device", None)  # which changes the time, not what is found
    return StyleResults(found, about, random_state, versions(), skipped)


def _read(path: Any, rate: float, duration: float | None) -> np.ndarray:
    """Channels of a file, at most so many seconds of them and never padded."""
    sound = read_audio(path, sample_rate=int(rate), mono=False)
    return sound if duration is None else sound[:, : round(duration * rate)]


def _part(
    path: Path | None, content: str, style: str, transfer: StyleTransfer, duration: float
) -> StylePair:
    """Transfer one pair, or read what an earlier run has made of it."""
    if path is not None and path.exists():
        with np.load(path, allow_pickle=False) as kept:
            about = json.loads(str(kept["about"]))
            sounds = {name: kept[name] for name in ("content", "result", "style")}
            return StylePair(**about, curve=kept["curve"], sounds=sounds)
    pair = transfer_file(content, [style], transfer, duration=duration, mono=True)
    if path is None or pair.interrupted:
        return pair
    names = ("content", "style", "network", "table", "seconds", "sample_rate")
    about = {name: getattr(pair, name) for name in names}
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary, open(temporary, "wb") as file:
        arrays: dict[str, Any] = dict(pair.sounds)
        np.savez(file, about=json.dumps(about), curve=pair.curve, **arrays)
    return pair
