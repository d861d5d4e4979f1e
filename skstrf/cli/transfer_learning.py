"""``skstrf transfer``: transfer learning from one folder of sounds to another."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from skstrf.cli.labeled import cache_folder, describe_duration, pipeline_options
from skstrf.cli.options import (
    CACHE,
    FOLDER,
    MACHINE,
    add_options,
    add_subparser,
    check_report,
    n_threads,
    share,
)
from skstrf.cli.outputs import output_folder, print_results, write_results

__all__ = ["add_command", "run"]

DESCRIPTION = """Train on the sounds of SOURCE, then on few labels of TARGET.

The network and the multilinear PCA of the source are reused with a new output layer; the layers
are trained further, trained with a lower learning rate, or frozen. This is compared with training
on the target from scratch with the same labels, by accuracy on sounds of the target that were
not used for training. The classes of the two folders can differ."""
EPILOG = f"""the folders SOURCE and TARGET:
{FOLDER.replace("DIR", "FOLDER").replace(" (or --metadata)", "")}
All sounds of SOURCE are used for training; its splits are ignored.

written to OUT, all files at once at the end:
  report.html   report; a single file
  results.json  all numbers, for every training; equal for equal seeds, except for "times"
{CACHE}

examples:
  skstrf transfer instruments/ loops/ -o transfer/
  skstrf transfer msd/ gtzan/ -o transfer/ --rates eremeeva2017 --scales eremeeva2017 --seeds 5
  skstrf transfer a/ b/ -o quick/ --duration 1 --shares 0.1 1 --seeds 1 --max-epochs 5"""


def add_command(commands: Any) -> argparse.ArgumentParser:
    """Add the parser of the command."""
    summary = "transfer learning from one folder of sounds to another"
    parser = add_subparser(commands, "transfer", summary, DESCRIPTION, EPILOG)
    add = parser.add_argument
    add("source", metavar="SOURCE", help="folder of sounds to train on first")
    add("target", metavar="TARGET", help="folder of sounds with few labels")
    add("-o", "--output", metavar="OUT", required=True, help="folder for report and results")
    data = parser.add_argument_group("data")
    add_options(data, "--corpus", "--duration", "--sample-rate", "--on-error")
    group = parser.add_argument_group("experiment")
    add_options(group, "--rates", "--scales", "--mpca", "--max-epochs")
    group.add_argument(
        "--shares",
        metavar="S",
        nargs="+",
        type=share,
        help="shares of the labels of TARGET (default: 0.05 to 1)",
    )
    repetitions = "number of repetitions with other divisions and trainings, seeded from --seed on"
    add_options(group, "--seeds", default=3, help=f"{repetitions} (default: %(default)s)")
    add_options(group, "--cache", *MACHINE)
    return parser


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from skstrf.datasets.corpora import load_corpus
    from skstrf.experiments import make_classification_pipeline, run_transfer
    from skstrf.experiments.classification import choose_duration

    check_report()
    (source, source_kind), (target, target_kind) = (
        load_corpus(
            directory,
            kind=args.corpus,
            sample_rate=args.sample_rate,
            on_error=args.on_error,
            n_jobs=n_threads(args.n_jobs),
        )
        for directory in (args.source, args.target)
    )
    cache = cache_folder(args)
    with output_folder(args.output, cache) as folder:
        duration = args.duration or choose_duration(target.filenames)
        fractions = {} if args.shares is None else {"fractions": args.shares}
        results = run_transfer(
            source,
            target,
            pipeline=make_classification_pipeline(**pipeline_options(args, duration)),
            n_seeds=args.seeds,
            memory=cache,
            checkpoint_dir=cache / "parts",
            random_state=args.seed,
            folder=folder,
            verbose=sys.stderr.isatty(),
            **fractions,
        )
        results.skipped = [*source.skipped, *target.skipped, *results.skipped]
        names = [Path(directory).resolve().name for directory in (args.source, args.target)]
        notes = [
            describe_duration(args, duration),
            f"Source: {source_kind}. Target: {target_kind}.",
        ]
        title = f"From {names[0]} to {names[1]}"
        write_results(results, folder, args.output, title=title, notes=notes)
    print_results(results, args.output)
    return 0
