"""``skstrf stationarity``: measure the stationarity of representations of sounds."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from skstrf.cli.labeled import describe_duration
from skstrf.cli.options import add_options, add_subparser, check_report, n_threads, positive_int
from skstrf.cli.outputs import output_folder, print_results, write_results

__all__ = ["add_command", "run"]

DESCRIPTION = """Measure how stationary nine representations of the sounds of a folder are.

STFT, Mel, MFCC, Chroma, Wavelet, Scattering, Gammatone, Cochleogram and STRF are computed,
resampled to one grid, and tested line by line along every axis and plane by plane. Stationarity
lies between 0 and 1 (no slow change beyond chance); all pairs of representations are compared
over the same sounds."""
EPILOG = """the folder DIR:
  sounds at any depth: wav, flac, ogg, mp3, au, aiff; any sampling rate.

written to OUT, all files at once at the end:
  report.html   report; a single file
  results.json  all numbers, for every sound

Files that cannot be used are listed in the report, and the exit status is 1.

examples:
  skstrf stationarity sounds/ -o report/
  skstrf stationarity sounds/ -o report/ --duration 5 --detrend polish --n-jobs 2
  skstrf stationarity sounds/ -o report/ --only STFT STRF --surrogates 499"""


def add_command(commands: Any) -> argparse.ArgumentParser:
    """Add the parser of the command."""
    summary = "measure the stationarity of representations of sounds"
    parser = add_subparser(commands, "stationarity", summary, DESCRIPTION, EPILOG)
    add = parser.add_argument
    add("directory", metavar="DIR", help="folder of sounds")
    add("-o", "--output", metavar="OUT", required=True, help="folder for report and results")
    data = parser.add_argument_group("data")
    add_options(data, "--duration", "--sample-rate")
    add_options(data, "--on-error", default="warn")
    group = parser.add_argument_group("experiment")
    add = group.add_argument
    add("--only", metavar="NAME", nargs="+", help="representations to test (default: all nine)")
    add(
        "--surrogates",
        metavar="N",
        type=positive_int,
        default=199,
        help="number of surrogates of each test (default: %(default)s)",
    )
    add(
        "--max-lines",
        metavar="N",
        type=positive_int,
        default=1024,
        help="largest number of lines tested along an axis (default: %(default)s)",
    )
    add(
        "--detrend",
        choices=["linear", "polish"],
        help="remove a linear trend, or row and column profiles, before the tests",
    )
    add_options(group, "--seed", "--n-jobs")
    return parser


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from skstrf.datasets import find_audio_files
    from skstrf.experiments import run_stationarity
    from skstrf.experiments.classification import choose_duration
    from skstrf.stationarity import StationarityScorer

    check_report()
    filenames = find_audio_files(args.directory)
    if not filenames:
        raise ValueError(f"{args.directory} holds no sound files, nor do its sub-folders.")
    with output_folder(args.output) as folder:
        duration = args.duration or choose_duration(filenames)
        results = run_stationarity(
            filenames,
            representations=_choose_representations(args.only, duration, args.sample_rate),
            duration=duration,
            sample_rate=args.sample_rate,
            scorer=StationarityScorer(
                n_surrogates=args.surrogates,
                max_lines=args.max_lines,
                detrend=args.detrend,
                random_state=args.seed,
            ),
            on_error=args.on_error,
            n_jobs=n_threads(args.n_jobs),
            random_state=args.seed,
            verbose=sys.stderr.isatty(),
        )
        title = f"Stationarity of {Path(args.directory).resolve().name}"
        notes = [describe_duration(args, duration)]
        write_results(results, folder, args.output, title=title, notes=notes)
    print_results(results, args.output)
    return 1 if results.skipped else 0


def _choose_representations(
    only: list[str] | None, duration: float, sample_rate: int
) -> dict[str, Any]:
    from skstrf.experiments import make_representations

    every = make_representations(duration, sample_rate)
    by_name = {name.lower(): name for name in every}
    wrong = [name for name in only or [] if name.lower() not in by_name]
    if wrong:
        raise ValueError(f"--only {' '.join(wrong)}: the names are {', '.join(every)}.")
    return every if only is None else {n: every[n] for n in (by_name[o.lower()] for o in only)}
