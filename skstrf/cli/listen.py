"""``skstrf listen``: classify sound live."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from skstrf.cli.options import add_subparser, positive_float, positive_int
from skstrf.utils.messages import escape

__all__ = ["add_command", "run"]

DESCRIPTION = """Classify sound live with a model that learned from files with
STRFTransformer(causal=True), as skstrf classify --causal trains it. The sound comes from a
microphone, a file, or a pipe of raw samples."""
EPILOG = """output:
  one line per frame of the model with time, class and probability of the --top most probable
  classes, separated by tabs (--json: a JSON object per line). --map draws the mean over frequency
  of the tensor, scales by rates, upward left and downward right, in place on a terminal.
  A microphone cannot wait: sound that is more than --max-delay behind is dropped, and the number
  of seconds is printed on stderr. Ctrl-C stops with exit status 0.

examples:
  skstrf listen report/model.skops
  skstrf listen report/model.skops recording.wav --map
  arecord -f S16_LE -r 16000 -t raw | skstrf listen report/model.skops - --live"""
_SHADES = " .:-=+*#%@"


def add_command(commands: Any) -> argparse.ArgumentParser:
    """Add the parser of the command."""
    parser = add_subparser(commands, "listen", "classify sound live", DESCRIPTION, EPILOG)
    add = parser.add_argument
    add("model", metavar="MODEL", help="model.skops of skstrf classify --causal")
    add("source", metavar="FILE", nargs="?", help="sound file, or - for raw samples on stdin "
        "(default: the microphone)")  # fmt: skip
    add("--sample-rate", metavar="HZ", type=positive_int,
        help="sampling rate of the live sound (default: that of the model)")  # fmt: skip
    add("--format", choices=["s16le", "f32le"], default="s16le",
        help="format of raw samples (default: %(default)s)")  # fmt: skip
    add("--channels", metavar="N", type=positive_int, default=1,
        help="number of channels of raw samples, which are averaged (default: 1)")  # fmt: skip
    add("--microphone", metavar="NAME", help="name or number of the microphone")
    add("--live", action="store_true", help="drop raw samples that are too late, too")
    add("--max-delay", metavar="S", type=positive_float, default=1.0,
        help="largest delay of a live source in seconds (default: %(default)s)")  # fmt: skip
    add("--duration", metavar="S", type=positive_float, help="stop after S seconds of sound")
    add("--top", metavar="K", type=positive_int, default=1,
        help="number of most probable classes to print (default: %(default)s)")  # fmt: skip
    add("--map", action="store_true", help="draw a map of scales and rates")
    add("--json", action="store_true", help="print JSON")
    return parser


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from skstrf.live import Backlog, LiveClassifier
    from skstrf.model_io import load_model

    model = load_model(args.model)
    is_file = args.source not in (None, "-")
    try:
        # Files are read at the rate of the model.
        live = LiveClassifier(model, None if is_file else args.sample_rate)
    except ValueError as error:
        raise ValueError(f"{escape(args.model)}: {error}") from error
    except Exception as error:  # steps of a crafted file can be anything
        raise ValueError(
            f"{escape(args.model)} cannot run live: {type(error).__name__}: {error}."
        ) from error
    rate = live.stream_.sample_rate
    is_live = args.source is None or (args.live and not is_file)
    length = max(1, round(rate / 50))
    backlog = Backlog(_source(args, rate, length), rate, args.max_delay, is_live)
    heard = reported = 0
    try:
        for block in backlog:
            heard += len(block)
            for prediction in live.push(block):
                _show(args, live, prediction)
            if backlog.n_dropped > reported + rate:
                reported = backlog.n_dropped
                _say(f"dropped {reported / rate:.1f} s of sound: the computer is too slow")
            if args.duration and heard >= args.duration * rate:
                break
    except KeyboardInterrupt:
        _say("stopped")
    finally:
        backlog.stop()
    dropped = f", {backlog.n_dropped / rate:.1f} s dropped" if backlog.n_dropped else ""
    _say(f"heard {heard / rate:.1f} s{dropped}")
    return 0


def _say(text: str) -> None:
    print(f"skstrf listen: {text}", file=sys.stderr, flush=True)


def _source(args: argparse.Namespace, rate: float, length: int) -> Iterator[np.ndarray]:
    from skstrf.live import raw_blocks

    if args.source is None:
        return _microphone(args.microphone, rate, length)
    if args.source == "-":
        stdin = sys.stdin.buffer
        read = getattr(stdin, "read1", stdin.read)  # what is there, not a whole block
        return raw_blocks(read, args.format, args.channels, length)
    return _file(args.source, rate, length)


def _file(path: str, rate: float, length: int) -> Iterator[np.ndarray]:
    """Yield short blocks of a sound file."""
    from skstrf.datasets import audio_blocks

    for block in audio_blocks(path, sample_rate=int(rate)):
        for start in range(0, len(block), length):
            yield block[start : start + length]


def _microphone(name: str | None, rate: float, length: int) -> Iterator[np.ndarray]:
    """Yield blocks of a microphone until it fails."""
    import queue

    from skstrf.utils.optional import import_optional

    sounddevice = import_optional("sounddevice", extra="live")
    blocks: queue.SimpleQueue = queue.SimpleQueue()

    def hear(data, n_frames, when, status):
        blocks.put(data[:, 0].copy())

    device = int(name) if name is not None and name.isdecimal() else name
    try:
        stream = sounddevice.InputStream(
            samplerate=rate, blocksize=length, device=device, channels=1, dtype="float32",
            callback=hear,
        )  # fmt: skip
        with stream:
            silent = time.monotonic()
            while True:
                try:
                    yield blocks.get(timeout=0.5)
                    silent = time.monotonic()
                except queue.Empty:
                    if not stream.active or time.monotonic() - silent > 3:
                        raise OSError("the microphone has vanished or sends nothing") from None
    except sounddevice.PortAudioError as error:
        raise OSError(f"the microphone cannot be used: {error}") from error


def _show(args: argparse.Namespace, live: Any, prediction: Any) -> None:
    best = np.argsort(-prediction.probabilities, kind="stable")[: args.top]
    classes = [(str(live.classes_[i]), float(prediction.probabilities[i])) for i in best]
    if args.json:
        row = {
            "time": round(prediction.time, 3),
            "classes": [{"class": name, "probability": share} for name, share in classes],
        }
        print(json.dumps(row), flush=True)
        return
    cells = [f"{escape(name)}\t{share:.4f}" for name, share in classes]
    lines = ["\t".join([f"{prediction.time:.2f}", *cells])]
    if args.map:
        lines += _map(live, prediction.tensor)
        if sys.stdout.isatty():
            # Clears the screen from the top left, so that the map stays in place.
            lines[0] = "\x1b[H\x1b[J" + lines[0]
    print("\n".join(lines), flush=True)


def _map(live: Any, tensor: np.ndarray) -> list[str]:
    """Draw the mean over frequency and time as characters, one line per scale."""
    image = np.abs(tensor).mean(axis=(2, 3)) if np.iscomplexobj(tensor) else tensor.mean((2, 3))
    low, high = image.min(), image.max()
    levels = (image - low) / (high - low if high > low else 1)
    lines = []
    for scale, row in zip(live.stream_.scales_[::-1], levels[::-1], strict=True):
        cells = "".join(2 * _SHADES[int(level * (len(_SHADES) - 1))] for level in row)
        lines.append(f"{scale:6g} c/o |{cells}|")
    rates = live.stream_.rates_
    lines.append(f"           {rates[0]:g} ... {rates[-1]:g} Hz")
    return lines
