"""``skstrf style``: transfer the texture of one sound to another."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from skstrf.cli.labeled import cache_folder
from skstrf.cli.options import add_options, add_subparser, check_report, number, positive_int
from skstrf.cli.outputs import (
    LEAST_SPACE,
    check_output_file,
    output_folder,
    print_results,
    write_results,
)
from skstrf.utils.messages import escape

__all__ = ["add_command", "run"]

DESCRIPTION = """Give a sound the texture of other sounds.

The content sound is optimized until a network has the same texture statistics as for the style
sounds: by default the levels of frequency bands, or random filters on the spectrogram, or a
model of auditory cortex. Level,
length, sampling rate and channels of the content are kept.

With folders instead of files, up to six pairs of a content and a style are transferred by all
networks, and their measures are compared; without a folder of styles, the sounds of the folder
are each other's styles."""
EPILOG = """written for files:
  OUT           the result: wav, flac or ogg, by its file extension
  OUT's .html   a page with players, measures and figures (--report names another file)
Ctrl-C writes the best result so far.

written for folders, all files at once at the end:
  OUT/report.html and OUT/results.json
kept in OUT/cache (or --cache):
  finished transfers, from which the same command resumes after an interruption; can be deleted

examples:
  skstrf style speech.wav choir.ogg -o out.wav
  skstrf style beat.wav rain1.wav rain2.wav -o out.flac --network cortical --duration 5
  skstrf style song.mp3 rain.wav -o rain.wav --content-weight 0 --init noise
  skstrf style speech/ rain/ -o comparison/ --duration 5"""
WEIGHT = number(float, lambda value: 0 <= value < float("inf"), "a weight of 0 or more")
CORRELATION = number(float, lambda value: 0 < value <= 1, "a number above 0 and at most 1")


def add_command(commands: Any) -> argparse.ArgumentParser:
    """Add the parser of the command."""
    summary = "give a sound the texture of other sounds"
    parser = add_subparser(commands, "style", summary, DESCRIPTION, EPILOG)
    add = parser.add_argument
    add("content", metavar="CONTENT", help="sound file, or folder of sounds, for the content")
    add("styles", metavar="STYLE", nargs="*", help="sound files, or one folder, for the style")
    add("-o", "--output", metavar="OUT", required=True, help="sound file, or folder, to write")
    add("--report", metavar="HTML", help="page to write (default: OUT with the extension .html)")
    add("--no-report", action="store_true", help="write no page")
    add(
        "--network",
        choices=["envelopes", "random", "cortical"],
        help="network that measures the texture (default: envelopes; for folders all)",
    )
    add(
        "--content-weight",
        metavar="W",
        type=WEIGHT,
        help="weight of the content (default: 16 for envelopes, else 0.05)",
    )
    add(
        "--content-correlation",
        metavar="R",
        type=CORRELATION,
        help="correlation with the content that envelopes keep, above 0 and at most 1 "
        "(default: 0.7)",
    )
    add("--style-weight", metavar="W", type=WEIGHT, help="weight of the style (default: 1)")
    add(
        "--init",
        choices=["content", "mix", "noise", "style"],
        default="auto",
        help="sound from which the optimization starts (default: mix for envelopes, else content)",
    )
    add(
        "--max-iter",
        metavar="N",
        type=positive_int,
        help="largest number of iterations per block (default: 300)",
    )
    cropped = "use the first S seconds of each sound (default: all; for folders 5)"
    add_options(parser, "--duration", help=cropped)
    add_options(
        parser,
        "--sample-rate",
        default=None,
        help="sampling rate of computation and result in Hz (default: that of CONTENT; for "
        "folders 16000)",
    )
    add_options(
        parser,
        "--on-error",
        help="for folders: stop at a pair that cannot be used, or leave it out (default: "
        "%(default)s)",
    )
    add_options(parser, "--cache", "--seed", "--device")
    return parser


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    names = ("content_weight", "content_correlation", "style_weight", "max_iter")
    settings = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    settings |= {"init": args.init, "device": args.device, "random_state": args.seed}
    if Path(args.content).is_dir():
        return _run_folders(args, settings)
    return _run_files(args, settings)


def _run_files(args: argparse.Namespace, settings: dict[str, Any]) -> int:
    from skstrf.datasets.writing import write_sound
    from skstrf.experiments import StyleResults, make_style_transfer
    from skstrf.experiments.style import transfer_file

    args.on_error = None  # there are no other pairs to go on with
    output, report, rate = _check_outputs(args)
    transfer = make_style_transfer(
        args.network or "envelopes", sample_rate=rate, verbose=sys.stderr.isatty(), **settings
    )
    pair = transfer_file(args.content, args.styles, transfer, duration=args.duration)
    output.parent.mkdir(parents=True, exist_ok=True)
    write_sound(output, pair.sounds["result"], rate)
    names = (
        "network",
        "init",
        "content_weight",
        "content_correlation",
        "style_weight",
        "max_iter",
    )
    about = {name: getattr(transfer, name) for name in names}
    about |= {"init": transfer._init(), "content_weight": transfer._weights()[0]}
    about["duration"] = args.duration or "all"
    results = StyleResults(pairs=[pair], settings=about, random_state=args.seed)
    print(escape(results.summary(), keep="\n"))
    print(f"sound:   {escape(output)}")
    if report is not None:
        results.to_report(report, title=f"{pair.content} in the style of {pair.style}")
        print(f"report:  {escape(report)}")
    return 130 if pair.interrupted else 0


def _run_folders(args: argparse.Namespace, settings: dict[str, Any]) -> int:
    from skstrf.datasets import find_audio_files
    from skstrf.experiments import run_style
    from skstrf.experiments.style import pair_files

    check_report()
    if args.report or args.no_report:
        raise ValueError(
            "--report and --no-report are for files. For folders the report is OUT/report.html."
        )
    if len(args.styles) > 1:
        raise ValueError("Give one folder of styles, or none, beside a folder of contents.")
    contents = find_audio_files(args.content)
    styles = find_audio_files(args.styles[0]) if args.styles else None
    networks = ("envelopes", "random", "cortical") if args.network is None else (args.network,)
    cache = cache_folder(args)
    with output_folder(args.output, cache) as folder:
        results = run_style(
            pair_files(contents, styles),
            networks=networks,
            duration=args.duration or 5.0,
            sample_rate=args.sample_rate or 16000,
            checkpoint_dir=cache / "parts",
            on_error=args.on_error,
            **settings,
        )
        title = f"Style transfer of {Path(args.content).resolve().name}"
        write_results(results, folder, args.output, title=title, notes=[])
    print_results(results, args.output)
    return 0


def _check_outputs(args: argparse.Namespace) -> tuple[Path, Path | None, int]:
    """Check, before any work is done, the files to write; return them and the sampling rate."""
    from skstrf.datasets.headers import audio_info
    from skstrf.datasets.writing import check_sound_format

    if not args.styles:
        raise ValueError("Give at least one sound file for the style, STYLE.")
    output = Path(args.output)
    report = None if args.no_report else Path(args.report or output.with_suffix(".html"))
    sources = (args.content, *args.styles)
    content = audio_info(args.content)
    rate = args.sample_rate or content.sample_rate
    seconds = min(content.duration, args.duration or content.duration)
    n_times = round(seconds * rate)
    check_sound_format(output, rate, content.n_channels, n_times)
    n_bytes = 2 * n_times * content.n_channels
    check_output_file(output, sources=sources, n_bytes=n_bytes)
    if report is not None:
        check_report()
        # The page holds the content, a style of about its length and the result, in base 64.
        n_bytes += 8 * n_times + LEAST_SPACE
        check_output_file(report, sources=(output, *sources), n_bytes=n_bytes)
    return output, report, rate
