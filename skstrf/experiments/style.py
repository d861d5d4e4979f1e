"""Style transfer of files: contents in the styles of others, by one network after the other."""

from __future__ import annotations

import json
import os
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import clone

from skstrf.datasets import AudioReadError, read_audio
from skstrf.experiments.results import versions
from skstrf.experiments.style_results import StylePair, StyleResults
from skstrf.persistence import replacing
from skstrf.style import StyleTransfer, log_stft
from skstrf.transforms import STRFTransformer

__all__ = ["make_style_transfer", "pair_files", "run_style", "transfer_file"]

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
    """Give a sound file the style of others.

    Parameters
    ----------
    content : str or Path
        Its channels are kept.
    styles : sequence of str or Path
        Together one style.
    transfer : StyleTransfer
        A copy of it is fitted; the sounds are resampled to the rate of its representation.
    duration : float or None
        Seconds of each at most.
    mono : bool
        Average the channels of the content.

    Returns
    -------
    StylePair
        With the sounds.

    Raises
    ------
    AudioReadError
        When a file cannot be used.
    ValueError
        When one is silent or too short.
    """
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
    """Pair contents with styles, six pairs at most.

    Parameters
    ----------
    contents : sequence of str
        Files.
    styles : sequence of str or None
        Files; None takes the contents, and every one gets the style of the next.

    Returns
    -------
    list of (str, str)
        Content and style, never the same file.

    Examples
    --------
    >>> from skstrf.experiments import pair_files
    >>> pair_files(["a.wav", "b.wav", "c.wav"])
    [('a.wav', 'b.wav'), ('b.wav', 'c.wav'), ('c.wav', 'a.wav')]
    """
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
