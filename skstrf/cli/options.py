"""Command-line options that several commands share."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

__all__ = [
    "CACHE",
    "DATA",
    "FOLDER",
    "MACHINE",
    "add_options",
    "add_subparser",
    "check_report",
    "n_threads",
    "number",
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
  Sub-folders that are called train, valid or test are splits with one sub-folder for each class.
  GTZAN and folders with labels of the Million Song Dataset are recognized (see --corpus).
  wav, flac, ogg, mp3, au, aiff; any sampling rate; several channels are averaged."""
# Contents of the cache, for the same text.
CACHE = """kept in OUT/cache (or --cache):
  tensors and finished parts, from which the same command resumes after an interruption; can be
  deleted"""


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


def number(kind: type, accepts: Callable[[Any], bool], description: str) -> Callable[[str], Any]:
    """Return a parser of numbers that refuses those which `accepts` does not."""

    def parse(text: str) -> Any:
        value = kind(text)
        if not accepts(value):
            raise argparse.ArgumentTypeError(f"{text} is not {description}")
        return value

    parse.__name__ = kind.__name__  # argparse names it when `text` is no number
    return parse


positive_float = number(float, lambda value: 0 < value < float("inf"), "a positive number")
positive_int = number(int, lambda value: value >= 1, "a positive whole number")
share = number(float, lambda value: 0 < value <= 1, "in (0, 1]")

# Options that several commands share, with the arguments of ``add_argument``.
OPTIONS: dict[str, dict[str, Any]] = {
    "--corpus": {
        "choices": ["auto", "folder", "gtzan", "million-song"],
        "default": "auto",
        "help": "kind of the folder of sounds; auto recognizes it (default: %(default)s)",
    },
    "--metadata": {"metavar": "CSV", "help": "table of the sounds (see below)"},
    "--duration": {
        "metavar": "S",
        "type": positive_float,
        "help": "crop and pad all sounds to S seconds (default: their median, at most 30)",
    },
    "--sample-rate": {
        "metavar": "HZ",
        "type": positive_int,
        "default": 16000,
        "help": "resample all sounds to HZ (default: %(default)s)",
    },
    "--folds": {
        "metavar": "K",
        "type": number(int, lambda value: value >= 2, "a number of folds: 2 is the least"),
        "help": "cross-validate with K folds and ignore the splits (default: use the splits if "
        "there are any, otherwise 5 folds; 3 folds for search)",
    },
    "--on-error": {
        "choices": ["raise", "warn"],
        "default": "raise",
        "help": "stop at a file that cannot be used, or leave it out (default: %(default)s)",
    },
    "--rates": {
        "metavar": "HZ",
        "nargs": "+",
        "help": "temporal modulation rates in Hz, ascending, or eremeeva2017 for 9 rates from 2 "
        "to 32 Hz",
    },
    "--scales": {
        "metavar": "C/OCT",
        "nargs": "+",
        "help": "spectral modulation scales in cycles/octave, ascending, or eremeeva2017 for 11 "
        "scales from 0.25 to 8",
    },
    "--mpca": {
        "metavar": "SHARE",
        "type": share,
        "default": 0.95,
        "help": "share of the variance that multilinear PCA keeps in each mode "
        "(default: %(default)s)",
    },
    "--max-epochs": {
        "metavar": "N",
        "type": positive_int,
        "help": "largest number of training epochs",
    },
    "--seeds": {"metavar": "N", "type": positive_int},
    "--cache": {
        "metavar": "FOLDER",
        "help": "folder for tensors and finished parts, from which the same command resumes "
        "(default: OUT/cache)",
    },
    "--seed": {
        "metavar": "N",
        "type": number(int, lambda value: 0 <= value < 2**32, "in 0 ... 2**32 - 1"),
        "default": 0,
        "help": "random seed (default: %(default)s)",
    },
    "--device": {
        "metavar": "D",
        "default": "auto",
        "help": "device of torch: auto, cpu or cuda (default: %(default)s)",
    },
    "--n-jobs": {
        "metavar": "N",
        "type": int,
        "help": "number of threads that read and transform (default: all cores)",
    },
    "--cluster": {
        "metavar": "ADDRESS",
        "help": "compute on the workers of this dask scheduler, such as tcp://10.0.0.1:8786; "
        "they need the sounds (and OUT) under the same paths",
    },
}
DATA = ("--corpus", "--metadata", "--duration", "--sample-rate", "--folds", "--on-error")
MACHINE = ("--seed", "--device", "--n-jobs")


def add_options(group: Any, *names: str, **changes: Any) -> None:
    """Add some of `OPTIONS`, with changes of their arguments."""
    for name in names:
        group.add_argument(name, **OPTIONS[name] | changes)


def n_threads(n_jobs: int | None) -> int:
    """Return the number of threads of a command: all cores unless --n-jobs is given."""
    return -1 if n_jobs is None else n_jobs


def check_report() -> None:
    """Check, before any work is done, that the packages for a report are installed."""
    from skstrf.utils.optional import import_optional

    for name in ("jinja2", "matplotlib"):
        import_optional(name, extra="report")


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
