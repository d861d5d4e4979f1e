"""``skstrf channels``: score the (scale, rate) channels of a folder of sounds."""

from __future__ import annotations

import argparse
from typing import Any

from skstrf.cli.labeled import run_labeled
from skstrf.cli.options import (
    FOLDER,
    add_cache_option,
    add_cluster_option,
    add_data_options,
    add_machine_options,
    add_representation_options,
    add_seeds_option,
    add_subparser,
    positive_int,
    share,
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
kept in OUT/cache (or --cache):
  tensors and finished parts, from which the same command resumes after an interruption; can be
  deleted

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
    add_data_options(parser)
    group = parser.add_argument_group("experiment")
    add_representation_options(group)
    add = group.add_argument
    add(
        "--best",
        metavar="K",
        nargs="+",
        type=positive_int,
        help="numbers of channels to keep (default: 1, 5, 10 and 20, if there are more)",
    )
    add(
        "--mpca",
        dest="ratios",
        metavar="SHARE",
        nargs="+",
        type=share,
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
    add("--max-epochs", metavar="N", type=positive_int, help="largest number of training epochs")
    add_seeds_option(group, 1, "trainings of the network on each fold")
    add_cache_option(group)
    add_machine_options(group)
    add_cluster_option(group)
    return parser


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from skstrf.experiments import make_classification_pipeline, run_channels
    from skstrf.experiments._evaluation import linear_classifier

    def make(**options: Any) -> dict[str, Any]:
        pipeline = make_classification_pipeline(**options)
        if args.learner == "linear":
            pipeline.set_params(cnn=linear_classifier())
        return {"pipeline": pipeline}

    ratios = {} if args.ratios is None else {"ratios": args.ratios}
    return run_labeled(
        args,
        run_channels,
        "Channels of",
        make,
        resumes=True,
        k=args.best,
        n_seeds=args.seeds,
        n_jobs=args.n_jobs,
        **ratios,
    )
