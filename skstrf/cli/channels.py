"""``skstrf channels``: which channels of a folder of sounds tell most."""

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
from skstrf.cli.outputs import REPORT, RESULTS, output_folder

__all__ = ["add_command", "run"]

DESCRIPTION = """Score what every channel (one scale and one rate) tells alone of the classes.

The tensors are computed once. Then all channels, the best k, multilinear PCA at several ratios
and both together are compared: accuracy, numbers a sound, and time. Channels are chosen inside
the training part of every fold, never with a sound that is tested."""
EPILOG = f"""the folder DIR:
{FOLDER}

written to OUT, all at once at the end:
  report.html   to read; needs no other file
  results.json  the same in numbers, with every fold of every channel

With --cache, a run that was stopped goes on where it was when the command is given again.

examples:
  skstrf channels sounds/ -o channels/
  skstrf channels gtzan/ -o channels/ --rates eremeeva2017 --scales eremeeva2017 --cache cache/
  skstrf channels sounds/ -o channels/ --best 5 20 --mpca 0.9 --learner network --seeds 3"""


def add_command(commands: Any) -> argparse.ArgumentParser:
    """Add the command to the program's."""
    summary = "score every channel of a folder of sounds, and compare ways to choose"
    parser = add_subparser(commands, "channels", summary, DESCRIPTION, EPILOG)
    add = parser.add_argument
    add("directory", metavar="DIR", help="folder of sounds")
    add("-o", "--output", metavar="OUT", required=True, help="folder for report and results")
    add_data_options(parser.add_argument_group("data"))
    group = parser.add_argument_group("experiment")
    add_strf_options(group)
    _add_options(group)
    add_machine_options(group)
    add_cluster_option(group)
    return parser


def _add_options(group: Any) -> None:
    group.add_argument(
        "--best",
        metavar="K",
        nargs="+",
        type=positive_int,
        help="numbers of channels to keep (default: 1, 5, 10 and 20, as far as there are more)",
    )
    group.add_argument(
        "--mpca",
        dest="ratios",
        metavar="SHARE",
        nargs="+",
        type=share,
        help="shares of the variation to keep in each mode (default: 0.8 0.9 0.95 0.98)",
    )
    group.add_argument(
        "--learner",
        choices=["linear", "network"],
        default="linear",
        help="what the ways are compared with (default: %(default)s, logistic regression)",
    )
    group.add_argument("--max-epochs", metavar="N", type=positive_int, help="of the network")
    group.add_argument(
        "--seeds",
        metavar="N",
        type=positive_int,
        default=1,
        help="trainings of the network on each fold (default: %(default)s)",
    )
    group.add_argument("--cache", metavar="FOLDER", help="keeps tensors and scores between runs")


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from skstrf.experiments import run_channels
    from skstrf.experiments._evaluation import linear_classifier

    notes: list[str] = []
    sounds = load_sounds(args, notes)
    with output_folder(args.output) as folder:
        pipeline = pipeline_of(args, clip_length(args, sounds.filenames, notes))
        if args.learner == "linear":
            pipeline.set_params(cnn=linear_classifier())
        ratios = {} if args.ratios is None else {"ratios": args.ratios}
        results = run_channels(
            sounds.filenames,
            np.array(sounds.target_names)[sounds.target],
            groups=sounds.groups,
            split=sounds.split,
            cv=args.folds or 5,
            pipeline=pipeline,
            k=args.best,
            n_seeds=args.seeds,
            memory=args.cache,
            n_jobs=args.n_jobs,
            random_state=args.seed,
            folder=folder,
            verbose=sys.stderr.isatty(),
            **ratios,
        )
        results.skipped = [*sounds.skipped, *results.skipped]
        results.write_json(folder / RESULTS)
        title = f"Channels of {Path(args.directory).resolve().name}"
        results.to_report(folder / REPORT, title=title, notes=notes)
    print(results.summary())
    for name in (REPORT, RESULTS):
        print(f"{name.split('.')[0] + ':':9}{Path(args.output) / name}")
    return 0
