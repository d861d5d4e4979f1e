"""Warnings that point at the user's code, and file names that are safe to print."""

from __future__ import annotations

import os
import sys
import unicodedata
import warnings
from collections.abc import Sequence

__all__ = ["describe_skipped", "escape", "warn_user"]

# Files that are named one by one in a message; of the others only the number is given.
N_NAMED = 5


def warn_user(message: str, category: type[Warning] = UserWarning) -> None:
    """Issue a warning, with names escaped, at the first line outside skstrf and scikit-learn."""
    frame, level = sys._getframe(), 1
    while frame.f_back is not None and str(frame.f_globals.get("__name__")).partition(".")[0] in (
        "skstrf",
        "sklearn",
    ):
        frame, level = frame.f_back, level + 1
    warnings.warn(escape(message, keep="\n"), category, stacklevel=level)


def escape(text: str | os.PathLike[str], keep: str = "") -> str:
    """Replace bytes that are not UTF-8 and control characters by backslash escapes."""
    text = os.fspath(text)
    if text.isprintable():
        return text
    return "".join(c if c in keep else _escape_character(c) for c in text)


def _escape_character(character: str) -> str:
    if character.isprintable() or unicodedata.category(character) == "Zs":
        return character
    # A byte of a file name that is not UTF-8 is one of these surrogates in Python.
    if "\udc80" <= character <= "\udcff":
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")


def describe_skipped(skipped: Sequence[tuple[str, str]], headline: str) -> str:
    """Write a headline, then the first few of the skipped files with the reason for each."""
    lines = [f"  {escape(name)}: {reason}" for name, reason in skipped[:N_NAMED]]
    if len(skipped) > N_NAMED:
        lines.append(f"  and {len(skipped) - N_NAMED} more")
    return "\n".join([f"{headline}:", *lines])
