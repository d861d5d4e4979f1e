"""``skstrf compare``: compare representations, reductions or classifiers."""

from __future__ import annotations

import argparse
from typing import Any

from skstrf.cli.labeled import run_labeled
from skstrf.cli.options import CACHE, DATA, FOLDER, MACHINE, add_options, add_subparser

__all__ = ["add_command", "run"]

DESCRIPTION = """Compare representations, reductions or classifiers on the same sounds.

All of them are evaluated with the same folds and seeds. What is compared, with --what:
  representations  nine time-frequency representations in front of one classifier
  reductions       multilinear PCA with several ratios, none, selected channels and PCA
  classifiers      the network of Eremeeva (2017), that of this package, a network of separable
                   filters, and logistic regression"""
EPILOG = f"""the folder DIR:
{FOLDER}

written to OUT, all files at once at the end:
  report.html   report; a single file
  results.json  all numbers; equal for equal seeds, except for the entry "times"
{CACHE}

examples:
  skstrf compare sounds/ -o representations/
  skstrf compare sounds/ -o reductions/ --what reductions --learner linear --seeds 5
  skstrf compare gtzan/ -o genres/ --what classifiers --duration 30 --on-error warn"""
FACTORIES = {
    "representations": "make_representation_comparison",
    "reductions": "make_reduction_comparison",
    "classifiers": "make_genre_comparison",
}


def add_command(commands: Any) -> argparse.ArgumentParser:
    """Add the parser of the command."""
    summary = "compare representations, reductions or classifiers"
    parser = add_subparser(commands, "compare", summary, DESCRIPTION, EPILOG)
    add = parser.add_argument
    add("directory", metavar="DIR", help="folder of sounds")
    add("-o", "--output", metavar="OUT", required=True, help="folder for report and results")
    add_options(parser.add_argument_group("data"), *DATA)
    group = parser.add_argument_group("experiment")
    group.add_argument(
        "--what",
        choices=list(FACTORIES),
        default="representations",
        help="stage of the pipeline to compare (default: %(default)s)",
    )
    group.add_argument(
        "--learner",
        choices=["network", "linear"],
        help="classifier for representations and reductions: the network (default) or logistic "
        "regression",
    )
    add_options(group, "--rates", "--scales", "--max-epochs")
    repetitions = "number of repetitions with other folds and trainings, seeded from --seed on"
    add_options(group, "--seeds", default=3, help=f"{repetitions} (default: %(default)s)")
    add_options(group, "--cache", *MACHINE, "--cluster")
    return parser


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from skstrf import experiments

    if args.what == "classifiers" and args.learner is not None:
        raise ValueError("--learner is not for --what classifiers, which compares them.")

    def make(**options: Any) -> dict[str, Any]:
        made = getattr(experiments, FACTORIES[args.what])(**options)
        return dict(zip(("pipeline", "search_space"), made, strict=True))

    return run_labeled(
        args,
        experiments.run_comparison,
        f"Comparison of {args.what} on",
        make,
        resumes=True,
        n_seeds=args.seeds,
    )
