"""``skstrf classify``: a folder of sounds in, a classifier and a report out."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np

from skstrf.cli.arguments import (
    add_to,
    folds,
    numbers,
    positive_float,
    positive_int,
    seed,
    share,
)
from skstrf.cli.outputs import output_folder, print_results, write_results

__all__ = ["add_command", "run"]

DESCRIPTION = """Learn to tell the sounds of a folder apart, and measure how well that works.

Every sound becomes a tensor of spectro-temporal responses (scale x rate x frequency x time),
multilinear PCA makes it small, and a convolutional network learns from it. Accuracy is measured
on sounds that were not learned from: by cross-validation, or on the test split if the metadata
name one."""
EPILOG = """the folder DIR:
  one sub-folder for each class, or DIR/metadata.csv (or --metadata) with the columns
    file    path of the sound, relative to DIR
    class   its class
    split   if wanted: train, valid, test; all other names are further test sets
    group   if wanted: sounds of one group (artist, recording) are never on both sides of a fold
  wav, flac, ogg, mp3, au, aiff; any sample rate; several channels are averaged.

written to OUT, all at once at the end:
  report.html   to read; needs no other file
  results.json  the same in numbers, with every prediction
  model.skops   for skstrf predict; learned from all sounds (or from the train split)

examples:
  skstrf classify sounds/ -o report/
  skstrf classify gtzan/ -o report/ --duration 30 --folds 10 --on-error warn
  skstrf classify sounds/ -o report/ --rates report --scales report --mpca 0.9 --device cuda
  skstrf classify sounds/ -o quick/ --duration 2 --folds 2 --max-epochs 5"""


def add_command(commands: Any) -> argparse.ArgumentParser:
    """Add the command to the program's.

    Parameters
    ----------
    commands : argparse's sub-parsers
        To add to.

    Returns
    -------
    argparse.ArgumentParser
        The parser of the command.
    """
    parser = add_to(
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
    _add_data_options(parser.add_argument_group("data"))
    _add_model_options(parser.add_argument_group("model"))
    return parser


def _add_data_options(group: Any) -> None:
    group.add_argument("--metadata", metavar="CSV", help="table of the sounds (see below)")
    group.add_argument(
        "--duration",
        metavar="S",
        type=positive_float,
        help="crop and pad all sounds to S seconds (default: their median length, at most 30)",
    )
    group.add_argument(
        "--sample-rate",
        metavar="HZ",
        type=positive_int,
        default=16000,
        help="resample all sounds to HZ (default: %(default)s)",
    )
    group.add_argument(
        "--folds",
        metavar="K",
        type=folds,
        help="cross-validate in K folds (default: 5); sets aside the split column if there is one",
    )
    group.add_argument(
        "--on-error",
        choices=["raise", "warn"],
        default="raise",
        help="stop at a file that cannot be used, or leave it out (default: %(default)s)",
    )


def _add_model_options(group: Any) -> None:
    group.add_argument(
        "--rates",
        metavar="HZ",
        nargs="+",
        help="temporal modulations, ascending, or 'report' for 9 of them from 2 to 32 Hz",
    )
    group.add_argument(
        "--scales",
        metavar="C/OCT",
        nargs="+",
        help="spectral modulations, ascending, or 'report' for 11 of them from 0.25 to 8",
    )
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
    group.add_argument(
        "--seed", metavar="N", type=seed, default=0, help="of all chance (default: %(default)s)"
    )
    group.add_argument(
        "--device", metavar="D", default="auto", help="auto, cpu or cuda (default: %(default)s)"
    )
    group.add_argument("--n-jobs", metavar="N", type=int, help="threads that read and transform")


def run(args: argparse.Namespace) -> int:
    """Run the command.

    Parameters
    ----------
    args : argparse.Namespace
        The arguments.

    Returns
    -------
    int
        Exit status.
    """
    from skstrf.experiments import (
        choose_duration,
        make_classification_pipeline,
        run_classification,
    )

    notes: list[str] = []
    sounds = _load(args, notes)
    with output_folder(args.output) as folder:
        duration = args.duration or choose_duration(sounds.filenames)
        how = "as asked for" if args.duration else "the median length of the files, at most 30 s"
        notes.append(f"Sounds were cropped or padded to {duration:g} s ({how}).")
        pipeline = make_classification_pipeline(
            sample_rate=args.sample_rate,
            duration=duration,
            rates=numbers(args.rates, "--rates"),
            scales=numbers(args.scales, "--scales"),
            n_components=args.mpca,
            max_epochs=args.max_epochs,
            device=args.device,
            n_jobs=args.n_jobs,
            on_error=args.on_error,
            random_state=args.seed,
        )
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


def _load(args: argparse.Namespace, notes: list[str]) -> Any:
    """List the sounds of the folder, with splits and groups as they are to be used."""
    from skstrf.datasets import load_audio_folder
    from skstrf.experiments.folds import split_roles

    sounds = load_audio_folder(
        args.directory,
        metadata=args.metadata,
        sample_rate=args.sample_rate,
        load_content=False,
        on_error=args.on_error,
        n_jobs=args.n_jobs,
        min_per_class=1,  # the experiment raises where there are too few
    )
    for name in ("split", "groups"):
        if sounds[name] is not None and not any(sounds[name]):
            sounds[name] = None  # a column that nobody filled in
    if args.folds is None or sounds.split is None:
        return sounds
    usual = np.isin(split_roles(sounds.split), ["train", "valid", "test", ""])
    n_aside = int(np.sum(~usual))
    notes.append(
        f"The split column was set aside for cross-validation; {n_aside} sounds of other splits "
        "than train, valid and test were left out."
    )
    for name in ("filenames", "target", "groups"):
        if sounds[name] is not None:
            sounds[name] = sounds[name][usual]
    sounds.split = None
    return sounds
