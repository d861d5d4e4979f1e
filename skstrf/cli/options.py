"""Command-line options that several commands share."""

from __future__ import annotations

import argparse
from typing import Any

__all__ = [
    "FOLDER",
    "add_cache_option",
    "add_cluster_option",
    "add_data_options",
    "add_machine_options",
    "add_representation_options",
    "add_seeds_option",
    "add_subparser",
    "check_report",
    "n_threads",
    "parse_filters",
    "positive_float",
    "positive_int",
    "share",
]

# Format of a folder of labeled sounds, for the text below the options of a command.
FOLDER = """  one sub-folder for each class, or DIR/metadata.csv (or --metadata) with the columns
    file    path of the sound, relative to DIR
    class   class of the sound
    split   optional: train, valid or test; other names are further test sets
    group   optional: sounds of one group (artist, recording) are never on both sides of a fold
  GTZAN and folders with labels of the Million Song Dataset are recognized (see --corpus).
  wav, flac, ogg, mp3, au, aiff; any sampling rate; several channels are averaged."""


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


# Groups of options


def add_data_options(
    parser: Any, *, labeled: bool = True, table: bool = True, on_error: str = "raise"
) -> None:
    """Add the options that select, crop and resample the sounds."""
    group = parser.add_argument_group("data")
    add = group.add_argument
    if labeled:
        add(
            "--corpus",
            choices=["auto", "folder", "gtzan", "million-song"],
            default="auto",
            help="kind of the folder of sounds; auto recognizes it (default: %(default)s)",
        )
    if table:
        add("--metadata", metavar="CSV", help="table of the sounds (see below)")
    add(
        "--duration",
        metavar="S",
        type=positive_float,
        help="crop and pad all sounds to S seconds (default: their median, at most 30)",
    )
    add(
        "--sample-rate",
        metavar="HZ",
        type=positive_int,
        default=16000,
        help="resample all sounds to HZ (default: %(default)s)",
    )
    if labeled and table:
        add(
            "--folds",
            metavar="K",
            type=_folds,
            help="cross-validate with K folds and ignore the split column (default: use the "
            "split column if there is one, otherwise 5 folds; 3 folds for search)",
        )
    add(
        "--on-error",
        choices=["raise", "warn"],
        default=on_error,
        help="stop at a file that cannot be used, or leave it out (default: %(default)s)",
    )


def add_representation_options(group: Any) -> None:
    """Add the options of the cortical filters."""
    group.add_argument(
        "--rates",
        metavar="HZ",
        nargs="+",
        help="temporal modulation rates in Hz, ascending, or eremeeva2017 for 9 rates from 2 to "
        "32 Hz",
    )
    group.add_argument(
        "--scales",
        metavar="C/OCT",
        nargs="+",
        help="spectral modulation scales in cycles/octave, ascending, or eremeeva2017 for 11 "
        "scales from 0.25 to 8",
    )


def add_machine_options(
    group: Any, *, seed: bool = True, device: bool = True, n_jobs: bool = True
) -> None:
    """Add the random seed, the device and the number of threads."""
    if seed:
        group.add_argument(
            "--seed", metavar="N", type=_seed, default=0, help="random seed (default: %(default)s)"
        )
    if device:
        group.add_argument(
            "--device",
            metavar="D",
            default="auto",
            help="device of torch: auto, cpu or cuda (default: %(default)s)",
        )
    if n_jobs:
        group.add_argument(
            "--n-jobs",
            metavar="N",
            type=int,
            help="number of threads that read and transform (default: all cores)",
        )


def add_cluster_option(group: Any) -> None:
    """Add the address of a dask scheduler."""
    group.add_argument(
        "--cluster",
        metavar="ADDRESS",
        help="compute on the workers of this dask scheduler, such as tcp://10.0.0.1:8786; they "
        "need the sounds (and OUT) under the same paths",
    )


def add_seeds_option(group: Any, default: int, what: str) -> None:
    """Add the number of seeds."""
    group.add_argument(
        "--seeds",
        metavar="N",
        type=positive_int,
        default=default,
        help=f"number of seeds, counted from --seed: {what} (default: %(default)s)",
    )


def add_cache_option(group: Any) -> None:
    """Add the folder that an interrupted run resumes from."""
    group.add_argument(
        "--cache",
        metavar="FOLDER",
        help="folder for tensors and finished parts, from which the same command resumes "
        "(default: OUT/cache)",
    )


def n_threads(n_jobs: int | None) -> int:
    """Return the number of threads of a command: all cores unless --n-jobs is given."""
    return -1 if n_jobs is None else n_jobs


def check_report() -> None:
    """Check, before any work is done, that the packages for a report are installed."""
    from skstrf.utils.optional import import_optional

    for name in ("jinja2", "matplotlib"):
        import_optional(name, extra="report")


# Values of options


def parse_filters(texts: list[str] | None, option: str) -> list[float] | str | None:
    """Parse the values of --rates and --scales: numbers or the name "eremeeva2017"."""
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
    """Parse a positive number."""
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return value


def positive_int(text: str) -> int:
    """Parse a positive integer."""
    if int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive whole number")
    return int(text)


def share(text: str) -> float:
    """Parse a share between 0 and 1."""
    value = float(text)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not in (0, 1]")
    return value


def _folds(text: str) -> int:
    if int(text) < 2:
        raise argparse.ArgumentTypeError(f"{text} folds are too few, 2 is the least")
    return int(text)


def _seed(text: str) -> int:
    if not 0 <= int(text) < 2**32:
        raise argparse.ArgumentTypeError(f"{text} is not in 0 ... 2**32 - 1")
    return int(text)
