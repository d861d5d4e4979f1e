"""``skstrf search``: search for the best settings for a folder of sounds."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from skstrf.cli.labeled import run_labeled
from skstrf.cli.options import (
    DATA,
    FOLDER,
    MACHINE,
    add_options,
    add_subparser,
    positive_float,
    positive_int,
)
from skstrf.cli.outputs import check_cache, check_output_file

__all__ = ["add_command", "run"]

DESCRIPTION = """Search for the settings that classify the sounds of a folder best.

Optuna draws candidates, which are scored by cross-validation (if there are splits: on the valid
split, and the best of them once on the test split). Unpromising candidates are stopped early.
Recordings, and stages that candidates share, are computed once and kept in the cache."""
EPILOG = f"""the folder DIR:
{FOLDER}

written to OUT, all files at once at the end:
  report.html   report; a single file
  results.json  all numbers, with every candidate
  model.skops   best model for skstrf predict, trained on all sounds (or on train and valid)
kept in OUT from the start:
  study.journal the study, with which the same command resumes after an interruption
  cache/        recordings and stages; can be deleted

Several processes that use the same storage and cache share the work; on several machines, give a
database or a journal on a shared disk. --n-trials counts the trials of all of them.

examples:
  skstrf search sounds/ -o search/ --n-trials 50
  skstrf search sounds/ -o search/ --timeout 3600 --seed 1
  skstrf search sounds/ -o b/ --storage mysql://user@host/studies --cache /shared/cache"""


def add_command(commands: Any) -> argparse.ArgumentParser:
    """Add the parser of the command."""
    summary = "search for the best settings for a folder of sounds"
    parser = add_subparser(commands, "search", summary, DESCRIPTION, EPILOG)
    add = parser.add_argument
    add("directory", metavar="DIR", help="folder of sounds")
    add("-o", "--output", metavar="OUT", required=True, help="folder for report, results, model")
    add_options(parser.add_argument_group("data"), *DATA)
    group = parser.add_argument_group("search")
    add = group.add_argument
    add(
        "--n-trials",
        metavar="N",
        type=positive_int,
        default=30,
        help="number of candidates, including those of earlier runs and other processes "
        "(default: %(default)s)",
    )
    add(
        "--timeout",
        metavar="S",
        type=positive_float,
        help="time in seconds after which no new candidate starts",
    )
    add(
        "--search",
        metavar="NAME=V,V",
        nargs="+",
        help="parameters and values, such as cnn__lr=0.002,0.005 (default: a choice of useful "
        "ones)",
    )
    add("--no-prune", action="store_true", help="train every candidate to the end")
    add(
        "--sampler",
        choices=["tpe", "random"],
        default="tpe",
        help="sampler of Optuna that draws the candidates (default: %(default)s)",
    )
    add(
        "--scoring",
        metavar="NAME",
        default="accuracy",
        help="name of a score of scikit-learn (default: %(default)s)",
    )
    add(
        "--storage",
        metavar="FILE|URL",
        help="journal or database of the study (default: OUT/study.journal)",
    )
    add(
        "--study",
        metavar="NAME",
        default="skstrf",
        help="name of the study in the storage (default: %(default)s)",
    )
    add_options(group, "--cache", help="folder for recordings and stages (default: OUT/cache)")
    group = parser.add_argument_group("model")
    add_options(group, "--rates", "--scales", "--max-epochs", *MACHINE, "--cluster")
    return parser


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from skstrf.experiments import run_search

    search_space = _search_space(args.search)
    storage = args.storage or Path(args.output) / "study.journal"
    memory = Path(args.cache or Path(args.output) / "cache")
    check_cache(memory)
    if "://" not in str(storage):
        check_output_file(storage)

    # The search keeps all tensors in the cache and needs no temporary folder.
    def search(*sounds: Any, folder: Path, **options: Any) -> Any:
        return run_search(*sounds, **options)

    return run_labeled(
        args,
        search,
        "Search for settings for",
        cv=3,
        search_space=search_space,
        n_trials=args.n_trials,
        timeout=args.timeout,
        prune=not args.no_prune,
        sampler=args.sampler,
        scoring=args.scoring,
        storage=storage,
        study_name=args.study,
        memory=memory,
    )


def _search_space(texts: list[str] | None) -> dict[str, list[Any]] | None:
    """Parse the search space: numbers, true, false, none, and words."""
    if texts is None:
        return None
    space = {}
    for text in texts:
        name, is_given, values = text.partition("=")
        if not (name and is_given and values):
            raise ValueError(f"--search takes NAME=VALUE,VALUE ..., got {text!r}.")
        space[name] = [_value(value) for value in values.split(",")]
    return space


def _value(text: str) -> Any:
    words = {"true": True, "false": False, "none": None}
    if text.lower() in words:
        return words[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
