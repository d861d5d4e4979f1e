"""What the commands share: how their parsers are made, and values that arguments may have."""

from __future__ import annotations

import argparse
from typing import Any

__all__ = [
    "add_cluster_option",
    "add_to",
    "folds",
    "numbers",
    "positive_float",
    "positive_int",
    "seed",
    "share",
]


def add_to(
    commands: Any, name: str, summary: str, description: str, epilog: str
) -> argparse.ArgumentParser:
    """Add the parser of a command, whose texts keep their line breaks.

    Parameters
    ----------
    commands : argparse's sub-parsers
        To add to.
    name, summary : str
        Of the command.
    description, epilog : str
        Above and below its arguments.

    Returns
    -------
    argparse.ArgumentParser
        Still without arguments.
    """
    return commands.add_parser(
        name,
        help=summary,
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def add_cluster_option(group: Any) -> None:
    """Add the address of a cluster that is to do the work.

    Parameters
    ----------
    group : argparse's group or parser
        To add to; :mod:`skstrf.cli.program` connects.
    """
    group.add_argument(
        "--cluster",
        metavar="ADDRESS",
        help="work on the workers of this dask scheduler, such as tcp://10.0.0.1:8786; they need "
        "the sounds (and OUT) under the same paths",
    )


def numbers(texts: list[str] | None, option: str) -> list[float] | str | None:
    """Read the values of an option that takes numbers or the word "report".

    Parameters
    ----------
    texts : list of str or None
        What was given.
    option : str
        Its name, for the error.

    Returns
    -------
    list of float, "report" or None
        What the transformer takes.
    """
    if texts is None:
        return None
    if texts == ["report"]:
        return "report"
    try:
        return [float(text) for text in texts]
    except ValueError:
        raise ValueError(
            f"{option} takes numbers or the word report, got: {' '.join(texts)}."
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
