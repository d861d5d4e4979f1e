"""``skstrf classify``: train and evaluate a classifier on a folder of sounds."""

from __future__ import annotations

import argparse
from typing import Any

from skstrf.cli.labeled import run_labeled
from skstrf.cli.options import DATA, FOLDER, MACHINE, add_options, add_subparser

__all__ = ["add_command", "run"]

DESCRIPTION = """Train a classifier on the sounds of a folder and evaluate it.

Each sound becomes a tensor of spectro-temporal responses (scale x rate x frequency x time),
multilinear PCA reduces it, and a convolutional network classifies it. Accuracy is measured on
sounds that were not used for training: by cross-validation, or on the test split if the metadata
name one."""
EPILOG = f"""the folder DIR:
{FOLDER}

written to OUT, all files at once at the end:
  report.html   report; a single file
  results.json  all numbers, with every prediction
  model.skops   model for skstrf predict, trained on all sounds (or on the train split)

examples:
  skstrf classify sounds/ -o report/
  skstrf classify gtzan/ -o report/ --duration 30 --folds 10 --on-error warn
  skstrf classify sounds/ -o report/ --rates eremeeva2017 --scales eremeeva2017 --device cuda
  skstrf classify sounds/ -o quick/ --duration 2 --folds 2 --max-epochs 5"""


def add_command(commands: Any) -> argparse.ArgumentParser:
    """Add the parser of the command."""
    summary = "train a classifier on a folder of sounds and evaluate it"
    parser = add_subparser(commands, "classify", summary, DESCRIPTION, EPILOG)
    add = parser.add_argument
    add("directory", metavar="DIR", help="folder of sounds")
    add("-o", "--output", metavar="OUT", required=True, help="folder for report, results, model")
    add_options(parser.add_argument_group("data"), *DATA)
    group = parser.add_argument_group("model")
    add_options(group, "--rates", "--scales", "--mpca", "--max-epochs", *MACHINE, "--cluster")
    group.add_argument(
        "--causal",
        action="store_true",
        help="let tensors depend on earlier sound only, for skstrf listen",
    )
    return parser


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from skstrf.experiments import run_classification

    return run_labeled(args, run_classification, "Classification of")
