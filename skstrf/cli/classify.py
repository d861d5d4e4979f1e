"""``skstrf classify``: a folder of sounds in, a classifier and a report out."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np

from skstrf.cli.options import (
    FOLDER,
    add_cluster_option,
    add_data_options,
    add_machine_options,
    add_strf_options,
    add_subparser,
    clip_length,
    load_sounds,
    pipeline_of,
    positive_int,
    share,
)
from skstrf.cli.outputs import output_folder, print_results, write_results

__all__ = ["add_command", "run"]

DESCRIPTION = """Learn to tell the sounds of a folder apart, and measure how well that works.

Every sound becomes a tensor of spectro-temporal responses (scale x rate x frequency x time),
multilinear PCA makes it small, and a convolutional network learns from it. Accuracy is measured
on sounds that were not learned from: by cross-validation, or on the test split if the metadata
name one."""
EPILOG = f"""the folder DIR:
{FOLDER}

written to OUT, all at once at the end:
  report.html   to read; needs no other file
  results.json  the same in numbers, with every prediction
  model.skops   for skstrf predict; learned from all sounds (or from the train split)

examples:
  skstrf classify sounds/ -o report/
  skstrf classify gtzan/ -o report/ --duration 30 --folds 10 --on-error warn
  skstrf classify sounds/ -o report/ --rates eremeeva2017 --scales eremeeva2017 --device cuda
  skstrf classify sounds/ -o quick/ --duration 2 --folds 2 --max-epochs 5"""


def add_command(commands: Any) -> argparse.ArgumentParser:
    """Add the command to the program's."""
    parser = add_subparser(
        commands,
        "classify",
        "learn from a folder of sounds, and report how well it works",
        DESCRIPTION,
        EPILOG,
    )
    parser.add_argument("directory", metavar="DIR", help="folder of sounds")
    parser.add_argument(
        "-o", "--output", metavar="OUT", required=True, help="folder for report, results, model"
    )
    add_data_options(parser.add_argument_group("data"))
    _add_model_options(parser.add_argument_group("model"))
    return parser


def _add_model_options(group: Any) -> None:
    add_strf_options(group)
    group.add_argument(
        "--mpca",
        metavar="SHARE",
        type=share,
        default=0.95,
        help="share of the variation to keep in each mode (default: %(default)s)",
    )
    group.add_argument(
        "--max-epochs", metavar="N", type=positive_int, help="train for at most N epochs"
    )
    add_machine_options(group)
    add_cluster_option(group)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from skstrf.experiments import run_classification

    notes: list[str] = []
    sounds = load_sounds(args, notes)
    with output_folder(args.output) as folder:
        pipeline = pipeline_of(args, clip_length(args, sounds.filenames, notes))
        results = run_classification(
            sounds.filenames,
            np.array(sounds.target_names)[sounds.target],
            groups=sounds.groups,
            split=sounds.split,
            cv=args.folds or 5,
            pipeline=pipeline,
            random_state=args.seed,
            folder=folder,
            verbose=sys.stderr.isatty(),
        )
        results.skipped = [*sounds.skipped, *results.skipped]
        title = f"Classification of {Path(args.directory).resolve().name}"
        write_results(results, folder, args.output, title=title, notes=notes)
    print_results(results, args.output)
    return 0
