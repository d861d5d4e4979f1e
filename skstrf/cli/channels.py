"""``skstrf channels``: score the (scale, rate) channels of a folder of sounds."""

from __future__ import annotations

import argparse
from typing import Any

from skstrf.cli.labeled import run_labeled
from skstrf.cli.options import (
    CACHE,
    DATA,
    FOLDER,
    MACHINE,
    add_options,
    add_subparser,
    positive_int,
)

__all__ = ["add_command", "run"]

DESCRIPTION = """Score how well each channel (one scale and one rate) alone predicts the classes.

The tensors are computed once. Then all channels, the best k channels, multilinear PCA with
several ratios, and combinations of both are compared by accuracy, number of features and time.
Channels are selected inside the training part of each fold, never with test sounds."""
EPILOG = f"""the folder DIR:
{FOLDER}

written to OUT, all files at once at the end:
  report.html   report; a single file
  results.json  all numbers, with every fold of every channel
{CACHE}

examples:
  skstrf channels sounds/ -o channels/
  skstrf channels gtzan/ -o channels/ --rates eremeeva2017 --scales eremeeva2017 --cache cache/
  skstrf channels sounds/ -o channels/ --best 5 20 --mpca 0.9 --learner network --seeds 3"""


def add_command(commands: Any) -> argparse.ArgumentParser:
    """Add the parser of the command."""
    summary = "score every channel of a folder of sounds and compare selections"
    parser = add_subparser(commands, "channels", summary, DESCRIPTION, EPILOG)
    add = parser.add_argument
    add("directory", metavar="DIR", help="folder of sounds")
    add("-o", "--output", metavar="OUT", required=True, help="folder for report and results")
    add_options(parser.add_argument_group("data"), *DATA)
    group = parser.add_argument_group("experiment")
    add_options(group, "--rates", "--scales")
    add = group.add_argument
    add(
        "--best",
        metavar="K",
        nargs="+",
        type=positive_int,
        help="numbers of channels to keep (default: 1, 5, 10 and 20, if there are more)",
    )
    add_options(
        group,
        "--mpca",
        dest="ratios",
        nargs="+",
        default=None,
        help="shares of the variance that multilinear PCA keeps in each mode (default: 0.8 0.9 "
        "0.95 0.98)",
    )
    add(
        "--learner",
        choices=["linear", "network"],
        default="linear",
        help="classifier for the comparison: logistic regression or the network (default: "
        "%(default)s)",
    )
    add_options(group, "--max-epochs")
    trainings = "number of trainings of the network on each fold, seeded from --seed on"
    add_options(group, "--seeds", default=1, help=f"{trainings} (default: %(default)s)")
    add_options(group, "--cache", *MACHINE, "--cluster")
    return parser


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from skstrf.experiments import run_channels

    ratios = {} if args.ratios is None else {"ratios": args.ratios}
    return run_labeled(
        args,
        run_channels,
        "Channels of",
        resumes=True,
        k=args.best,
        n_seeds=args.seeds,
        n_jobs=args.n_jobs,
        **ratios,
    )
