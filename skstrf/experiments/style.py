"""Style transfer between sound files, with measures of the results."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import clone

from skstrf.caching.fingerprints import stage_settings
from skstrf.caching.results import ResultCache
from skstrf.datasets import AudioReadError, read_audio
from skstrf.datasets.headers import open_sound, read_header
from skstrf.experiments._base import Results
from skstrf.inspection import Report, StyleTransferDisplay
from skstrf.pipeline import row_keys
from skstrf.style import METRICS, StyleTransfer, log_stft
from skstrf.style.metrics import CONTROLS
from skstrf.transforms import STRFTransformer
from skstrf.utils.messages import warn_user

__all__ = [
    "StylePair",
    "StyleResults",
    "make_style_transfer",
    "pair_files",
    "run_style",
    "transfer_file",
]

MOST_PAIRS = 6
OWN_LOSS = "own_loss"
_OWN = {
    OWN_LOSS: "loss that the transfer minimizes, relative to the sum of its weights; by itself it "
    "does not show that the sound is near to the style"
}


@dataclass
class StylePair:
    """Result of one transfer: measures, losses by iteration, and the three sounds."""

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
        """Description of content, style and network."""
        return f"{self.content} in the style of {self.style} ({self.network})"

    @property
    def softer(self) -> float:
        """Level of the content above that of the result in dB, 0 unless clipping was prevented."""
        content, result = (np.square(self.sounds[k], dtype=float).mean()
                           for k in ("content", "result"))  # fmt: skip
        return float(10 * np.log10(content / result)) if result else 0.0


@dataclass(kw_only=True)
class StyleResults(Results):
    """Results of style transfers with their measures."""

    pairs: list[StylePair]

    _title = "Style transfer"

    def rows(self) -> list[list[Any]]:
        """Return one row for the result and for every control of every pair.

        A row holds content, style, the network or the name of the control, all `METRICS`, and the
        own loss, which a control only has at its two ends.
        """
        rows = []
        for p in self.pairs:
            for kind in p.table["local_correlation"]:
                name = p.network if kind == "result" else _words(kind)
                values = (p.table[metric].get(kind) for metric in (*METRICS, OWN_LOSS))
                rows.append([p.content, p.style, name, *map(_number, values)])
        return rows

    def summary(self) -> str:
        """Return the main measures of every transfer, one per line, as text."""
        return "\n".join(
            f"{p.name}: remaining share of the mel Gram distance to the style "
            f"{p.table['mel_gram_share']['result']:.2f} (mix at -6 dB "
            f"{p.table['mel_gram_share']['mix_minus_6_db']:.2f}), of the distance of envelope "
            f"statistics {p.table['statistics_share']['result']:.2f} (mix "
            f"{p.table['statistics_share']['mix_minus_6_db']:.2f}), of the own loss "
            f"{p.table[OWN_LOSS]['result']:.2f}; local correlation with the content "
            f"{p.table['local_correlation']['result']:.2f} (mix "
            f"{p.table['local_correlation']['mix_minus_6_db']:.2f}), {p.seconds:.0f} s"
            for p in self.pairs
        )

    def _fields(self) -> dict[str, Any]:
        names = ("content", "style", "network", "table", "sample_rate", "seconds")
        pairs = [{name: getattr(p, name) for name in names} for p in self.pairs]
        for pair, p in zip(pairs, self.pairs, strict=True):
            pair["iterations"] = len(p.curve) - 1
            pair["loss"] = dict(zip(("total", "content", "style"), p.curve[-1], strict=True))
        return super()._fields() | {"pairs": pairs}

    def _subtitle(self) -> str:
        return f"{len(self.pairs)} transfer{'s' if len(self.pairs) > 1 else ''}"

    def _add_results(self, report: Report, notes: list[str]) -> None:
        text = (
            "Each measure is shown for the result and for controls in its place. The shares and "
            "the local correlation are judges from outside: no transfer minimizes them. A result "
            "is better than a control if it is nearer to the style by all shares and keeps as "
            "much of the content, or keeps more and is as near."
        )
        report.add_text("Measures", [text, *notes])
        measures = [[_words(name), text] for name, text in (METRICS | _OWN).items()]
        report.add_table("Measures", ["measure", "meaning"], measures)
        controls = [[_words(name), text] for name, text in CONTROLS.items()]
        report.add_table("Measures", ["control", "meaning"], controls)
        if len(self.pairs) > 1:
            names = ["content", "style", "network or control", *map(_words, METRICS | _OWN)]
            report.add_table("Results", names, self.rows())
        for pair in self.pairs:
            _add_pair(report, pair)


def _add_pair(report: Report, pair: StylePair) -> None:
    heading = pair.name
    names = {"content": f"Content: {pair.content}", "style": f"Style: {pair.style}"}
    mono = {kind: s.mean(axis=0) if s.ndim > 1 else s for kind, s in pair.sounds.items()}
    for kind in ("content", "style", "result"):
        caption = names.get(kind, "Result")
        report.add_sound(heading, mono[kind], pair.sample_rate, caption=caption)
    kinds = list(pair.table["local_correlation"])
    rows = [
        [_words(name), *(_number(row.get(kind)) for kind in kinds)]
        for name, row in pair.table.items()
    ]
    note = f"{len(pair.curve) - 1} iterations of the last block."
    if pair.interrupted:
        note += " Interrupted: the best so far."
    if pair.softer > 0.05:
        note += f" The result is {pair.softer:.1f} dB softer than the content to prevent clipping."
    report.add_table(heading, ["measure", *map(_words, kinds)], rows, note=note)
    drawn = (mono[kind] for kind in ("content", "result", "style"))
    display = StyleTransferDisplay(*drawn, sample_rate=pair.sample_rate, curve=pair.curve).plot()
    report.add_figure(
        heading,
        display.figure_,
        alt=f"Spectrograms and receptive fields of content, result and style, and the loss by "
        f"iteration, of {heading}",
        caption="Top: auditory spectrograms. Middle: mean magnitudes of receptive fields. "
        "Bottom: the loss, relative to the loss between the two untouched sounds.",
    )


def _words(name: str) -> str:
    words = name.replace("_", " ").replace("snr", "SNR").replace("gram ", "Gram ")
    return words.replace("minus 6 db", "-6 dB").replace("db", "dB")


def _number(value: float | None) -> Any:
    """Return None for infinity and NaN, and 0 for rounding errors."""
    return None if value is None or not np.isfinite(value) else round(value, 6)


def make_style_transfer(
    network: Any = "envelopes", *, sample_rate: int = 16000, **settings: Any
) -> StyleTransfer:
    """Make the style transfer for a network of `StyleTransfer` and a sampling rate."""
    plain = isinstance(network, str) and network != "cortical"
    representation = log_stft(sample_rate) if plain else STRFTransformer(sample_rate)
    return StyleTransfer(representation, network, **settings)


def transfer_file(
    content: str | os.PathLike[str],
    styles: Sequence[str | os.PathLike[str]],
    transfer: StyleTransfer,
    *,
    duration: float | None = None,
    mono: bool = False,
) -> StylePair:
    """Transfer the style of some files to the sound of another, and measure the result."""
    rate = transfer.representation.sample_rate
    sound = _read(content, rate, duration)
    if mono:
        sound = sound.mean(axis=0, keepdims=True)
    channels = [channel for path in styles for channel in _read(path, rate, duration)]
    fitted = clone(transfer).fit([channel for channel in channels if channel.any()] or channels)
    began = time.perf_counter()
    result = fitted.transform(sound[None])
    seconds = time.perf_counter() - began
    other = None if duration is None else _other_part(styles[0], rate, duration)
    table = fitted.score_table(sound[None], result, other_style=other)
    weights = fitted._weights()
    own = {"result": fitted.loss_curve_[:, 0].min(), "content": weights[1], "style": weights[0]}
    return StylePair(
        Path(content).name,
        " + ".join(Path(path).name for path in styles),
        fitted._network_name(),
        {name: {kind: values[0] for kind, values in row.items()} for name, row in table.items()}
        | {OWN_LOSS: {kind: float(value) / sum(weights) for kind, value in own.items()}},
        fitted.loss_curve_,
        seconds,
        int(rate),
        {"content": sound, "result": result[0], "style": fitted.styles_[0]},
        fitted.interrupted_,
    )


def pair_files(contents: Sequence[str], styles: Sequence[str] | None = None) -> list[Any]:
    """Pair contents with styles, or with each other; return at most six pairs."""
    if styles is None:
        pairs = list(zip(contents, [*contents[1:], *contents[:1]], strict=True))
    else:
        pairs = [(a, styles[i % len(styles)]) for i, a in enumerate(contents) if styles]
    pairs = [(a, b) for a, b in pairs if a != b]
    if not pairs:
        raise ValueError("there is no pair of a content and another sound as its style.")
    chosen = np.unique(np.linspace(0, len(pairs) - 1, MOST_PAIRS).round().astype(int))
    return [pairs[i] for i in chosen]


def run_style(
    pairs: Sequence[tuple[str, str]],
    *,
    networks: Sequence[Any] = ("envelopes", "random", "cortical"),
    duration: float = 5.0,
    sample_rate: int = 16000,
    checkpoint_dir: str | os.PathLike[str] | None = None,
    on_error: str = "raise",
    random_state: int = 0,
    **settings: Any,
) -> StyleResults:
    """Transfer the style of every pair of files with every network, and measure the results.

    Parameters
    ----------
    pairs : sequence of (str or Path, str or Path)
        Paths of content and style.
    networks : sequence of str or CNNClassifier, default=("envelopes", "random", "cortical")
        Networks of :class:`~skstrf.StyleTransfer`.
    duration : float, default=5.0
        Largest duration of each sound in seconds.
    sample_rate : int, default=16000
        Sampling rate in Hz to which sounds are resampled.
    checkpoint_dir : str, Path or None, default=None
        Folder for the finished transfers. An interrupted run continues after them. They are
        reused only for the same file contents, settings and versions.
    on_error : {"raise", "warn"}, default="raise"
        Whether to raise an error for pairs that cannot be used or to leave them out with a
        warning.
    random_state : int, default=0
        Seed of all transfers.
    **settings : dict
        Further parameters of `StyleTransfer`.

    Returns
    -------
    StyleResults
        Sounds, measures and losses of all transfers.

    Raises
    ------
    ValueError
        If no pair can be used.

    Warns
    -----
    UserWarning
        If pairs are left out.
    """
    found: list[StylePair] = []
    skipped: list[tuple[str, str]] = []
    for content, style in pairs:
        for network in networks:
            transfer = make_style_transfer(
                network, sample_rate=sample_rate, random_state=random_state, **settings
            )
            try:
                found.append(_kept(content, style, transfer, duration, checkpoint_dir))
            except (AudioReadError, ValueError) as error:
                if on_error == "raise":
                    raise
                warn_user(f"{content} in the style of {style}: {error}")
                skipped.append((f"{content}, {style}", str(error)))
                break
    if not found:
        raise ValueError(f"None of the {len(pairs)} pairs of sounds can be used.")
    about = {"duration": duration, "sample_rate": sample_rate} | settings
    about.pop("device", None)  # it changes the time rather than the result
    return StyleResults(pairs=found, settings=about, random_state=random_state, skipped=skipped)


def _read(path: Any, rate: float, duration: float | None) -> np.ndarray:
    """Read all channels of a file, cropped to `duration` but never padded."""
    if duration is not None:
        with open_sound(path) as handle:
            is_shorter = read_header(handle, path, duration).duration <= duration
        duration = None if is_shorter else duration
    return read_audio(path, sample_rate=int(rate), duration=duration, mono=False)


def _other_part(path: Any, rate: float, duration: float) -> np.ndarray | None:
    """Read the part of a file after its first `duration`, if half of it is left."""
    try:
        part = read_audio(path, sample_rate=int(rate), offset=duration, duration=duration)
    except AudioReadError:
        return None  # nothing is left
    sound = np.trim_zeros(part, "b")  # a shorter part is padded
    return sound if len(sound) >= duration * rate / 2 else None


def _kept(
    content: str,
    style: str,
    transfer: StyleTransfer,
    duration: float,
    checkpoint_dir: str | os.PathLike[str] | None,
) -> StylePair:
    """Transfer one pair, or read the result of an earlier run."""

    def compute() -> StylePair:
        pair = transfer_file(content, [style], transfer, duration=duration, mono=True)
        if pair.interrupted:
            raise KeyboardInterrupt
        return pair

    if checkpoint_dir is None:
        return compute()
    parts = ResultCache(
        checkpoint_dir,
        lambda: {
            "files": row_keys([content, style]),
            "names": [Path(content).name, Path(style).name],
            "transfer": stage_settings(transfer),
            "measures": list(METRICS),
            "duration": duration,
        },
    )

    def as_json() -> dict[str, Any]:
        pair = asdict(compute())
        # As text, because JSON has no infinity (signal-to-noise ratio of an unchanged sound).
        table = {k: {a: str(b) for a, b in row.items()} for k, row in pair["table"].items()}
        return pair | {"table": table}

    kept = parts.get("style transfer", as_json)
    kept["table"] = {k: {a: float(b) for a, b in r.items()} for k, r in kept["table"].items()}
    kept["curve"] = np.array(kept["curve"])
    kept["sounds"] = {k: np.array(v, dtype=np.float32) for k, v in kept["sounds"].items()}
    return StylePair(**kept)
