"""``skstrf stationarity``: how stationary representations of a folder of sounds are."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from skstrf.cli.options import add_subparser, positive_float, positive_int, seed
from skstrf.cli.outputs import REPORT, RESULTS, output_folder

__all__ = ["add_command", "run"]

DESCRIPTION = """Measure how stationary nine representations of the sounds of a folder are.

STFT, Mel, MFCC, Chroma, Wavelet, Scattering, Gammatone, Cochleogram and STRF are computed, put on
one grid, and tested line by line along every axis and plane by plane. Rates are between 0 (not
stationary) and 1; all pairs of representations are compared over the same sounds."""
EPILOG = """the folder DIR:
  sounds at any depth: wav, flac, ogg, mp3, au, aiff; any sample rate.

written to OUT, all at once at the end:
  report.html   to read; needs no other file
  results.json  the same in numbers, for every sound

Files that cannot be used are named at the end, and the exit status is 1.

examples:
  skstrf stationarity sounds/ -o report/
  skstrf stationarity sounds/ -o report/ --duration 5 --detrend polish --n-jobs 2
  skstrf stationarity sounds/ -o report/ --only STFT STRF --surrogates 499"""


def add_command(commands: Any) -> argparse.ArgumentParser:
    """Add the command to the program's."""
    summary = "measure how stationary representations of a folder of sounds are"
    parser = add_subparser(commands, "stationarity", summary, DESCRIPTION, EPILOG)
    add = parser.add_argument
    add("directory", metavar="DIR", help="folder of sounds")
    add("-o", "--output", metavar="OUT", required=True, help="folder for report and results")
    add(
        "--duration",
        metavar="S",
        type=positive_float,
        help="crop and pad all sounds to S seconds (default: their median length, at most 30)",
    )
    add("--sample-rate", metavar="HZ", type=positive_int, default=16000, help="resample to HZ")
    add("--only", metavar="NAME", nargs="+", help="some of the nine representations")
    add("--surrogates", metavar="N", type=positive_int, default=199, help="for every test")
    add("--max-lines", metavar="N", type=positive_int, default=1024, help="tested along an axis")
    add("--detrend", choices=["linear", "polish"], help="test around a trend, or profiles")
    add(
        "--on-error",
        choices=["raise", "warn"],
        default="warn",
        help="stop at a file that cannot be used, or go on without (default: %(default)s)",
    )
    add("--seed", metavar="N", type=seed, default=0, help="of all chance (default: %(default)s)")
    add("--n-jobs", metavar="N", type=int, help="threads that read, processes that test")
    return parser


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from skstrf.datasets import find_audio_files
    from skstrf.experiments import run_stationarity
    from skstrf.experiments.classification import choose_duration
    from skstrf.stationarity import StationarityScorer

    files = find_audio_files(args.directory)
    if not files:
        raise ValueError(f"{args.directory} holds no sound files, nor do its sub-folders.")
    with output_folder(args.output) as folder:
        duration = args.duration or choose_duration(files)
        results = run_stationarity(
            files,
            representations=_chosen(args.only, duration, args.sample_rate),
            duration=duration,
            sample_rate=args.sample_rate,
            scorer=StationarityScorer(
                n_surrogates=args.surrogates,
                max_lines=args.max_lines,
                detrend=args.detrend,
                random_state=args.seed,
            ),
            on_error=args.on_error,
            n_jobs=args.n_jobs,
            random_state=args.seed,
            verbose=sys.stderr.isatty(),
        )
        results.write_json(folder / RESULTS)
        how = "as asked for" if args.duration else "the median length of the files, at most 30 s"
        results.to_report(
            folder / REPORT,
            title=f"Stationarity of {Path(args.directory).resolve().name}",
            notes=[f"Sounds were cropped or padded to {duration:g} s ({how})."],
        )
    print(results.summary())
    for name in (REPORT, RESULTS):
        print(f"{name.split('.')[0] + ':':9}{Path(args.output) / name}")
    return 1 if results.skipped else 0


def _chosen(only: list[str] | None, duration: float, sample_rate: int) -> dict[str, Any]:
    from skstrf.experiments import make_representations

    every = make_representations(duration, sample_rate)
    by_name = {name.lower(): name for name in every}
    wrong = [name for name in only or [] if name.lower() not in by_name]
    if wrong:
        raise ValueError(f"--only {' '.join(wrong)}: the names are {', '.join(every)}.")
    return every if only is None else {n: every[n] for n in (by_name[o.lower()] for o in only)}
