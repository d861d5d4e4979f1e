"""Finished parts of long computations as JSON files, keyed by everything that decides them."""

from __future__ import annotations

import json
import logging
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from skstrf._version import __version__
from skstrf.caching.files import atomic_write
from skstrf.caching.fingerprints import hash_strings

__all__ = ["ResultCache", "to_jsonable", "versions"]

logger = logging.getLogger("skstrf")

# Packages whose version can change the results.
PACKAGES = ("numpy", "scipy", "scikit-learn", "torch", "skorch", "soundfile", "soxr", "skops")


def to_jsonable(value: Any) -> Any:
    """Convert a value to JSON types: NaN and infinity to None, other objects to their text."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): to_jsonable(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return to_jsonable(value.tolist())
    if isinstance(value, Sequence | set | frozenset):
        return [to_jsonable(item) for item in value]
    return str(value)


def versions() -> dict[str, str]:
    """Return the versions of the packages, of Python and of the platform."""
    found = {"skstrf": __version__, "python": platform.python_version()}
    found["platform"] = f"{platform.system()} {platform.machine()}"
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "unknown"
    return found


class ResultCache:
    """Stores the finished parts of an experiment as JSON files.

    The key of a part is its name, the versions of the packages, and what `about` returns: all
    contents and settings that decide the result. Without a folder nothing is stored.
    """

    def __init__(
        self, folder: str | os.PathLike[str] | None, about: Callable[[], Mapping[str, Any]]
    ):
        self.folder = None if folder is None else Path(folder)
        if self.folder is not None:
            decisive = {**about(), "versions": versions()}
            self.about = json.dumps(to_jsonable(decisive), sort_keys=True)

    def get(self, name: str, compute: Callable[[], Any]) -> Any:
        """Return a part as JSON types, from its file or computed and then stored."""
        if self.folder is None:
            return to_jsonable(compute())
        path = self.folder / f"{hash_strings(self.about, name)}.json"
        kept = self._read(path, name)
        if kept is not None:
            logger.info("%s: finished before", name)
            return kept["found"]
        found = to_jsonable(compute())
        self.folder.mkdir(parents=True, exist_ok=True)
        part = {"name": name, "found": found, "checksum": _checksum(name, found)}
        with atomic_write(path) as temporary:
            temporary.write_text(json.dumps(part), encoding="utf-8")
        return found

    def _read(self, path: Path, name: str) -> dict[str, Any] | None:
        if not path.is_file():
            return None
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
            if kept["name"] == name and kept["checksum"] == _checksum(name, kept["found"]):
                return kept
            reason = "its checksum is wrong"
        except Exception as error:  # a damaged file may raise anything
            reason = str(error) or type(error).__name__
        logger.warning("%s: the stored result is damaged and is computed again: %s", name, reason)
        return None


def _checksum(name: str, found: Any) -> str:
    return hash_strings(name, json.dumps(found))
