"""``skstrf search``: the best settings for a folder of sounds."""

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
    positive_float,
    positive_int,
)
from skstrf.cli.outputs import MODEL, REPORT, RESULTS, output_folder

__all__ = ["add_command", "run"]

DESCRIPTION = """Search for the settings that tell the sounds of a folder apart best.

Candidates are drawn by Optuna and scored by cross-validation (with a split column: on valid, and
the best of them once on test). Hopeless ones are stopped after some epochs. Recordings, and
stages that candidates share, are computed once and kept in the cache."""
EPILOG = f"""the folder DIR:
{FOLDER}

written to OUT, all at once at the end:
  report.html   to read; needs no other file
  results.json  the same in numbers, with every candidate
  model.skops   the best, for skstrf predict; learned from all sounds (or from train and valid)
kept in OUT from the start:
  study.journal the study; the same command goes on with it, whatever stopped it
  cache/        recordings and stages; may be deleted

Several processes that name the same storage and cache share the work; on several machines, name
a database or a journal on a shared disk. --n-trials counts the trials of all of them.

examples:
  skstrf search sounds/ -o search/ --n-trials 50
  skstrf search sounds/ -o search/ --timeout 3600 --seed 1
  skstrf search sounds/ -o b/ --storage mysql://user@host/studies --cache /shared/cache"""


def add_command(commands: Any) -> argparse.ArgumentParser:
    """Add the command to the program's."""
    summary = "search for the best settings for a folder of sounds"
    parser = add_subparser(commands, "search", summary, DESCRIPTION, EPILOG)
    add = parser.add_argument
    add("directory", metavar="DIR", help="folder of sounds")
    add("-o", "--output", metavar="OUT", required=True, help="folder for report, results, model")
    add_data_options(parser.add_argument_group("data"))
    _add_options(parser.add_argument_group("search"))
    group = parser.add_argument_group("model")
    add_strf_options(group)
    group.add_argument("--max-epochs", metavar="N", type=positive_int, help="of the network")
    add_machine_options(group)
    add_cluster_option(group)
    return parser


def _add_options(group: Any) -> None:
    add = group.add_argument
    add(
        "--n-trials",
        metavar="N",
        type=positive_int,
        default=30,
        help="candidates, with those of earlier runs and other processes (default: %(default)s)",
    )
    add("--timeout", metavar="S", type=positive_float, help="start no candidate after S seconds")
    add(
        "--search",
        metavar="NAME=V,V",
        nargs="+",
        default=None,
        help="parameters and values, such as cnn__lr=0.002,0.005 (default: those worth trying)",
    )
    add("--no-prune", action="store_true", help="train every candidate to the end")
    add(
        "--sampler",
        choices=["tpe", "random"],
        default="tpe",
        help="how candidates are drawn (default: %(default)s)",
    )
    add("--scoring", metavar="NAME", default="accuracy", help="as scikit-learn names scores")
    add(
        "--storage",
        metavar="FILE|URL",
        help="journal or database of the study (default: OUT/study.journal)",
    )
    add("--study", metavar="NAME", default="skstrf", help="name in the storage")
    add("--cache", metavar="FOLDER", help="keeps recordings and stages (default: OUT/cache)")


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from skstrf.experiments import run_search
    from skstrf.model_io import save_model

    notes: list[str] = []
    space = _search_space(args.search)
    sounds = load_sounds(args, notes)
    output = Path(args.output)
    with output_folder(args.output) as folder:
        pipeline = pipeline_of(args, clip_length(args, sounds.filenames, notes))
        results = run_search(
            sounds.filenames,
            np.array(sounds.target_names)[sounds.target],
            groups=sounds.groups,
            split=sounds.split,
            cv=args.folds or 3,
            pipeline=pipeline,
            search_space=space,
            n_trials=args.n_trials,
            timeout=args.timeout,
            prune=not args.no_prune,
            sampler=args.sampler,
            scoring=args.scoring,
            storage=args.storage or output / "study.journal",
            study_name=args.study,
            memory=args.cache or output / "cache",
            random_state=args.seed,
            verbose=sys.stderr.isatty(),
        )
        results.skipped = [*sounds.skipped, *results.skipped]
        loader = results.settings["loader"]
        metadata = {
            "kind": "classification",
            "classes": results.classes,
            "sample_rate": loader["sample_rate"],
            "duration": loader["duration"],
            "evaluation": results.evaluation,
            "accuracy": results.score["mean"],
            "settings": results.settings,
            "random_state": results.random_state,
        }
        save_model(results.model, folder / MODEL, metadata=metadata)
        results.write_json(folder / RESULTS)
        title = f"Search for settings for {Path(args.directory).resolve().name}"
        model_file = str(output / MODEL)
        results.to_report(folder / REPORT, title=title, notes=notes, model_file=model_file)
    print(results.summary())
    for name in (REPORT, RESULTS, MODEL):
        print(f"{name.split('.')[0] + ':':9}{output / name}")
    return 0


def _search_space(texts: list[str] | None) -> dict[str, list[Any]] | None:
    """Read what is to be searched: numbers, true, false, none, and words."""
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
