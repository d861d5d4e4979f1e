"""``skstrf transfer``: what learning from one folder does for learning from another."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from skstrf.cli.options import (
    FOLDER,
    add_machine_options,
    add_strf_options,
    add_subparser,
    clip_length,
    load_folder,
    pipeline_of,
    positive_float,
    positive_int,
    share,
)
from skstrf.cli.outputs import REPORT, RESULTS, output_folder

__all__ = [
    "add_command",
    "run",
]


DESCRIPTION = """Learn from the sounds of SOURCE, then from few labels of TARGET.

The network and the multilinear PCA of the source are carried over, with a new output layer; its
layers learn on, learn slowly, or stay as they are. That is compared with learning the target
from scratch, from the same labels, by accuracy on sounds of the target that were not learned
from. The classes of the two may be others."""
EPILOG = f"""the folders SOURCE and TARGET:
{FOLDER.replace("DIR", "FOLDER").replace(" (or --metadata)", "")}
The split column of SOURCE is not used: all its sounds are learned from.

written to OUT, all at once at the end:
  report.html   to read; needs no other file
  results.json  the same in numbers, for every training

examples:
  skstrf transfer instruments/ loops/ -o transfer/
  skstrf transfer msd/ gtzan/ -o transfer/ --rates eremeeva2017 --scales eremeeva2017 --seeds 5
  skstrf transfer a/ b/ -o quick/ --duration 1 --shares 0.1 1 --seeds 1 --max-epochs 5"""


def add_command(commands: Any) -> argparse.ArgumentParser:
    """Add the command to the program's."""
    summary = "start from a network for other sounds, with few labels"
    parser = add_subparser(commands, "transfer", summary, DESCRIPTION, EPILOG)
    add = parser.add_argument
    add("source", metavar="SOURCE", help="folder of sounds to learn from first")
    add("target", metavar="TARGET", help="folder of sounds to learn with few labels")
    add("-o", "--output", metavar="OUT", required=True, help="folder for report and results")
    add(
        "--shares", metavar="S", nargs="+", type=share, help="shares of labels (default: .05 to 1)"
    )
    add(
        "--seeds",
        metavar="N",
        type=positive_int,
        default=3,
        help="divisions and trainings, for the spread (default: %(default)s)",
    )
    add(
        "--duration",
        metavar="S",
        type=positive_float,
        help="crop and pad all sounds to S seconds (default: median of the target, at most 30)",
    )
    add("--sample-rate", metavar="HZ", type=positive_int, default=16000, help="resample to HZ")
    add("--mpca", metavar="SHARE", type=share, default=0.95, help="to keep of each mode")
    add("--max-epochs", metavar="N", type=positive_int, help="of each training")
    add("--on-error", choices=["raise", "warn"], default="raise", help="at files without use")
    add("--cache", metavar="FOLDER", help="keeps tensors between runs")
    add_strf_options(parser)
    add_machine_options(parser)
    return parser


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from skstrf.experiments import run_transfer

    notes: list[str] = []
    source, target = (load_folder(args, directory) for directory in (args.source, args.target))
    with output_folder(args.output) as folder:
        pipeline = pipeline_of(args, clip_length(args, target.filenames, notes))
        shares = {} if args.shares is None else {"fractions": args.shares}
        results = run_transfer(
            source,
            target,
            pipeline=pipeline.set_params(strf__memory=args.cache),
            n_seeds=args.seeds,
            random_state=args.seed,
            folder=folder,
            verbose=sys.stderr.isatty(),
            **shares,
        )
        results.skipped = [*source.skipped, *target.skipped, *results.skipped]
        results.write_json(folder / RESULTS)
        names = [Path(directory).resolve().name for directory in (args.source, args.target)]
        results.to_report(
            folder / REPORT,
            title=f"From {names[0]} to {names[1]}",
            notes=notes,
        )
    print(results.summary())
    for name in (REPORT, RESULTS):
        print(f"{name.split('.')[0] + ':':9}{Path(args.output) / name}")
    return 0
