"""Finished parts of an experiment, kept on disk so that they are not computed again."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from skstrf.experiments.results import plain
from skstrf.persistence import replacing
from skstrf.pipeline.keys import digest

__all__ = ["Parts", "divide_times"]

logger = logging.getLogger("skstrf")


class Parts:
    """Keeps what parts of an experiment gave, one JSON file each, whole or not at all.

    Parameters
    ----------
    folder : str, Path or None
        Where they are kept; None keeps nothing.
    about : mapping of str to object
        What all parts depend on: those of another experiment are not taken for its own.

    Examples
    --------
    >>> import tempfile
    >>> from skstrf.experiments.parts import Parts
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     first = Parts(folder, {"seed": 0}).get("a", lambda: {"accuracy": 0.5})
    ...     again = Parts(folder, {"seed": 0}).get("a", lambda: {"accuracy": 0.9})
    >>> again
    {'accuracy': 0.5}
    """

    def __init__(self, folder: str | os.PathLike[str] | None, about: Mapping[str, Any]):
        self.folder = None if folder is None else Path(folder)
        self.about = json.dumps(plain(about), sort_keys=True)

    def get(self, name: str, compute: Callable[[], Any]) -> Any:
        """Give a part: as it was kept, or computed and kept.

        Parameters
        ----------
        name : str
            Of the part.
        compute : callable
            Gives something that JSON can hold.

        Returns
        -------
        object
            What it gave, now or then, as JSON keeps it.
        """
        if self.folder is None:
            return plain(compute())
        path = self.folder / f"{digest(self.about, name)}.json"
        kept = self._read(path, name)
        if kept is not None:
            logger.info("%s: finished before", name)
            return kept["found"]
        found = plain(compute())
        self.folder.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            temporary.write_text(json.dumps({"name": name, "found": found}), encoding="utf-8")
        return found

    def _read(self, path: Path, name: str) -> dict[str, Any] | None:
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            logger.warning("%s: what was kept of it is damaged, it is made anew: %s", name, error)
            return None
        return kept if isinstance(kept, dict) and kept.get("name") == name else None


def divide_times(found: Any, names: tuple[str, ...] = ("seconds",)) -> tuple[Any, Any]:
    """Take what differs from run to run out of results.

    Parameters
    ----------
    found : object
        Of dicts, lists and plain values.
    names : tuple of str
        Keys of what is to be taken out.

    Returns
    -------
    rest, times : object
        The results without, and what was taken out, in the places where it was.

    Examples
    --------
    >>> from skstrf.experiments.parts import divide_times
    >>> divide_times({"rows": [{"a": 1, "seconds": 2.5}], "b": 2})
    ({'rows': [{'a': 1}], 'b': 2}, {'rows': [{'seconds': 2.5}]})
    """
    if isinstance(found, dict):
        rest, times = {}, {}
        for key, value in found.items():
            if key in names:
                times[key] = value
                continue
            rest[key], inner = divide_times(value, names)
            if inner:
                times[key] = inner
        return rest, times
    if isinstance(found, list):
        pairs = [divide_times(value, names) for value in found]
        times_of = [times for _, times in pairs]
        return [rest for rest, _ in pairs], times_of if any(times_of) else []
    return found, {}
