"""``skstrf style``: the texture of one sound, the content of another."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from skstrf.cli.options import add_subparser, positive_float, positive_int, seed

__all__ = ["add_command", "run"]

DESCRIPTION = """Give a sound the texture of others.

The content's sound is varied until a network hears the style's texture in it: by default random
filters over its spectrogram, or a model of auditory cortex. Level, length, sample rate and
channels of the content are kept."""
EPILOG = """written:
  OUT           the result: wav, flac or ogg, by its ending
  OUT's .html   a page with players, measures and pictures (--report names another file)

Ctrl-C writes the best so far.

examples:
  skstrf style speech.wav choir.ogg -o out.wav
  skstrf style beat.wav rain1.wav rain2.wav -o out.flac --network cortical --duration 5
  skstrf style song.mp3 rain.wav -o rain.wav --content-weight 0 --init noise"""
FORMATS = {".wav": "WAV", ".flac": "FLAC", ".ogg": "OGG"}


def _weight(text: str) -> float:
    value = float(text)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a weight of 0 or more")
    return value


def add_command(commands: Any) -> argparse.ArgumentParser:
    """Add the command to the program's."""
    summary = "give a sound the texture of others"
    parser = add_subparser(commands, "style", summary, DESCRIPTION, EPILOG)
    add = parser.add_argument
    add("content", metavar="CONTENT", help="sound file whose content is kept")
    add("styles", metavar="STYLE", nargs="+", help="sound files that together are the style")
    add("-o", "--output", metavar="OUT", required=True, help="sound file to write")
    add("--report", metavar="HTML", help="page to write (default: OUT with the ending .html)")
    add("--no-report", action="store_true", help="write no page")
    networks = ["random", "cortical"]
    add("--network", choices=networks, default="random", help="what hears (default: %(default)s)")
    add("--content-weight", metavar="W", type=_weight, help="default: 0.05")
    add("--style-weight", metavar="W", type=_weight, help="default: 1")
    add("--init", choices=["content", "noise", "style"], default="content", help="where to start")
    add("--max-iter", metavar="N", type=positive_int, help="iterations a block (default: 300)")
    add("--duration", metavar="S", type=positive_float, help="use the first S seconds of each")
    add(
        "--sample-rate",
        metavar="HZ",
        type=positive_int,
        help="work and write at HZ (default: that of CONTENT)",
    )
    add("--seed", metavar="N", type=seed, default=0, help="of all chance (default: %(default)s)")
    add("--device", metavar="D", default="auto", help="auto, cpu or cuda (default: %(default)s)")
    return parser


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from skstrf.experiments import StyleResults, make_style_transfer
    from skstrf.experiments.style import transfer_file

    output, report = _outputs(args)
    rate = args.sample_rate or _sample_rate(args.content)
    names = ("content_weight", "style_weight", "max_iter")
    chosen = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    transfer = make_style_transfer(
        args.network,
        sample_rate=rate,
        init=args.init,
        device=args.device,
        random_state=args.seed,
        verbose=sys.stderr.isatty(),
        **chosen,
    )
    pair = transfer_file(args.content, args.styles, transfer, duration=args.duration)
    _write_sound(output, pair.sounds["result"], rate)
    about = {name: getattr(transfer, name) for name in ("network", "init", *names)}
    about["duration"] = args.duration or "all"
    results = StyleResults(pairs=[pair], settings=about, random_state=args.seed)
    print(results.summary())
    print(f"sound:   {output}")
    if report is not None:
        results.to_report(report, title=f"{pair.content} in the style of {pair.style}")
        print(f"report:  {report}")
    return 130 if pair.interrupted else 0


def _outputs(args: argparse.Namespace) -> tuple[Path, Path | None]:
    """Check the files to write before any work is done."""
    output = Path(args.output)
    if output.suffix.lower() not in FORMATS:
        raise ValueError(f"{output} must end with one of {', '.join(FORMATS)}.")
    report = None if args.no_report else Path(args.report or output.with_suffix(".html"))
    sources = {Path(path).resolve() for path in (args.content, *args.styles)}
    for path in (output, report):
        if path is None:
            continue
        if path.resolve() in sources:
            raise ValueError(f"{path} would be overwritten by the result: name another file.")
        if path.is_dir():
            raise ValueError(f"{path} is a folder: name a file to write.")
        path.parent.mkdir(parents=True, exist_ok=True)
    return output, report


def _sample_rate(path: str) -> int:
    from skstrf.datasets.headers import open_sound

    with open_sound(path) as handle:
        return int(handle.samplerate)


def _write_sound(path: Path, sound: Any, rate: int) -> None:
    import soundfile

    from skstrf.caching.files import atomic_write

    with atomic_write(path) as temporary:
        soundfile.write(temporary, sound.T, rate, format=FORMATS[path.suffix.lower()])
