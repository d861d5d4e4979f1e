"""What the commands share: how their parsers are made, and values that arguments may have."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

__all__ = [
    "FOLDER",
    "add_cluster_option",
    "add_data_options",
    "add_machine_options",
    "add_strf_options",
    "add_subparser",
    "clip_length",
    "folds",
    "load_folder",
    "load_sounds",
    "n_threads",
    "numbers",
    "pipeline_of",
    "positive_float",
    "positive_int",
    "seed",
    "share",
]


def add_subparser(
    commands: Any, name: str, summary: str, description: str, epilog: str
) -> argparse.ArgumentParser:
    """Add the parser of a command, whose texts keep their line breaks."""
    return commands.add_parser(
        name,
        help=summary,
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def add_cluster_option(group: Any) -> None:
    """Add the address of a cluster that is to do the work."""
    group.add_argument(
        "--cluster",
        metavar="ADDRESS",
        help="work on the workers of this dask scheduler, such as tcp://10.0.0.1:8786; they need "
        "the sounds (and OUT) under the same paths",
    )


def numbers(texts: list[str] | None, option: str) -> list[float] | str | None:
    """Read the values of an option that takes numbers or the name "eremeeva2017"."""
    if texts is None:
        return None
    if texts == ["eremeeva2017"]:
        return "eremeeva2017"
    try:
        return [float(text) for text in texts]
    except ValueError:
        raise ValueError(
            f"{option} takes numbers or the name eremeeva2017, got: {' '.join(texts)}."
        ) from None


def positive_float(text: str) -> float:
    """Read a positive number, for argparse."""
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return value


def positive_int(text: str) -> int:
    """Read a positive whole number, for argparse."""
    if int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive whole number")
    return int(text)


def folds(text: str) -> int:
    """Read a number of folds, for argparse."""
    if int(text) < 2:
        raise argparse.ArgumentTypeError(f"{text} folds are too few, 2 is the least")
    return int(text)


def share(text: str) -> float:
    """Read a share, for argparse."""
    value = float(text)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not in (0, 1]")
    return value


def seed(text: str) -> int:
    """Read a seed, for argparse."""
    if not 0 <= int(text) < 2**32:
        raise argparse.ArgumentTypeError(f"{text} is not in 0 ... 2**32 - 1")
    return int(text)


# What a folder of labeled sounds is, for the text below the options.
FOLDER = """  one sub-folder for each class, or DIR/metadata.csv (or --metadata) with the columns
    file    path of the sound, relative to DIR
    class   its class
    split   if wanted: train, valid, test; all other names are further test sets
    group   if wanted: sounds of one group (artist, recording) are never on both sides of a fold
  wav, flac, ogg, mp3, au, aiff; any sample rate; several channels are averaged."""


def add_data_options(group: Any) -> None:
    """Add what decides on the sounds."""
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


def add_strf_options(group: Any) -> None:
    """Add what decides on the tensors."""
    group.add_argument(
        "--rates",
        metavar="HZ",
        nargs="+",
        help="temporal modulations, ascending, or 'eremeeva2017' for 9 of them from 2 to 32 Hz",
    )
    group.add_argument(
        "--scales",
        metavar="C/OCT",
        nargs="+",
        help="spectral modulations, ascending, or 'eremeeva2017' for 11 of them from 0.25 to 8",
    )


def add_machine_options(group: Any) -> None:
    """Add seed, device and number of threads."""
    group.add_argument(
        "--seed", metavar="N", type=seed, default=0, help="of all chance (default: %(default)s)"
    )
    group.add_argument(
        "--device", metavar="D", default="auto", help="auto, cpu or cuda (default: %(default)s)"
    )
    group.add_argument(
        "--n-jobs",
        metavar="N",
        type=int,
        help="threads that read and transform (default: all cores)",
    )


def n_threads(n_jobs: int | None) -> int:
    """Give the number of threads of a command; all cores unless --n-jobs says otherwise."""
    return -1 if n_jobs is None else n_jobs


def load_sounds(args: argparse.Namespace, notes: list[str]) -> Any:
    """List the sounds of the folder, with splits and groups as they are to be used."""
    from skstrf.experiments._splits import split_roles

    sounds = load_folder(args, args.directory, metadata=args.metadata)
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


def load_folder(args: argparse.Namespace, directory: str, metadata: str | None = None) -> Any:
    """List the sounds of a folder."""
    from skstrf.datasets import load_audio_folder

    return load_audio_folder(
        directory,
        metadata=metadata,
        sample_rate=args.sample_rate,
        load_content=False,
        on_error=args.on_error,
        n_jobs=n_threads(args.n_jobs),
        min_per_class=1,  # the experiments raise where there are too few
    )


def clip_length(args: argparse.Namespace, filenames: Any, notes: list[str]) -> float:
    """Say how long clips are to be."""
    from skstrf.experiments.classification import choose_duration

    duration = args.duration or choose_duration(filenames)
    how = "as asked for" if args.duration else "the median length of the files, at most 30 s"
    notes.append(f"Sounds were cropped or padded to {duration:g} s ({how}).")
    return duration


def pipeline_of(args: argparse.Namespace, duration: float) -> Any:
    """Make the classification pipeline that the options describe."""
    from skstrf.experiments import make_classification_pipeline

    return make_classification_pipeline(
        sample_rate=args.sample_rate,
        duration=duration,
        rates=numbers(args.rates, "--rates"),
        scales=numbers(args.scales, "--scales"),
        n_components=getattr(args, "mpca", 0.95),
        max_epochs=args.max_epochs,
        device=args.device,
        n_jobs=n_threads(args.n_jobs),
        on_error=args.on_error,
        random_state=args.seed,
    )
