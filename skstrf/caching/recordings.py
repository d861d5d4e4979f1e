"""Cache of the tensors of recordings, one entry each."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import joblib
import numpy as np

from skstrf.caching.backend import open_memory
from skstrf.caching.fingerprints import fingerprint

__all__ = [
    "cached_rows",
    "open_store",
    "read_row",
    "row_path",
    "write_row",
]


_logger = logging.getLogger("skstrf")
# Sounds computed before they are stored: the most that a killed run loses.
_CHUNK = 8


class _Missing(Exception):
    """Raised where the cache has no entry for a sound."""


# joblib stores entries under the name of this function and drops them all if its source changes,
# so it must stay as it is; everything that decides the numbers is in the key.
def recording(sound, key, row=None):
    """Hand on what is to be stored for a sound."""
    if row is None:
        raise _Missing
    return row


def cached_rows(
    compute: Callable[[np.ndarray], np.ndarray], X: np.ndarray, *, memory: Any, key: dict
) -> np.ndarray:
    """Return ``compute(X)``, with the rows from `memory` that it contains.

    joblib stores one entry for every sound, under the hash of its samples, shape and dtype and of
    `key`. Missing rows are computed eight sounds at a time and stored before the next eight, so
    that an interrupted run continues where it stopped. Every entry has a checksum; damaged entries
    are computed again and replaced, with a warning in the log. Entries are complete files that
    are renamed, so several processes may share a folder; two that need the same sound at the same
    time both compute it.
    """
    store = open_store(memory)
    if store is None or not len(X):
        return compute(X)
    settings = fingerprint(key)
    rows = _Rows(len(X))
    missing: dict[str, list[int]] = {}
    for index, sound in enumerate(X):
        name = joblib.hash(np.asarray(np.ascontiguousarray(sound)))
        row = read_row(store, name, settings)
        if row is None:
            missing.setdefault(name, []).append(index)
        else:
            rows.put([index], row)
    _logger.info("memory: %d of %d sounds are to be computed", len(missing), len(X))
    for start in range(0, len(missing), _CHUNK):
        chunk = list(missing)[start : start + _CHUNK]
        computed = compute(X[[missing[name][0] for name in chunk]])
        for name, row in zip(chunk, computed, strict=True):
            if store is not None and not write_row(store, name, settings, row):
                store = None
            rows.put(missing[name], row)
    return rows.array


class _Rows:
    """An array that is allocated once the first of its rows is known."""

    def __init__(self, n: int):
        self.n = n

    def put(self, indices: list[int], row: np.ndarray) -> None:
        if not hasattr(self, "array"):
            self.array = np.empty((self.n, *row.shape), dtype=row.dtype)
        if row.shape != self.array.shape[1:] or row.dtype != self.array.dtype:
            raise ValueError(
                f"memory holds rows of shape {self.array.shape[1:]} and dtype "
                f"{self.array.dtype} as well as {row.shape} and {row.dtype} for the same "
                "settings: the algorithm has changed without a new version. Clear it with "
                "joblib.Memory(folder).clear()."
            )
        self.array[indices] = row


def open_store(memory: Any) -> Any:
    """Open joblib's store of entries; return None if there is none to be used."""
    memory = open_memory(memory, mmap_mode="r")
    if memory.store_backend is None:
        return None
    try:
        store = memory.cache(recording, ignore=["row"], verbose=0)
        # The first look-up in a folder compares the function's source, and misses if another
        # process has yet to write that source, so it is not one whose result matters.
        store.call_and_shelve("", "")
    except _Missing:
        return store
    except OSError as error:
        _logger.warning(
            "memory=%s cannot be used, so everything is computed: %s", memory.location, error
        )
    return None


def read_row(store: Any, name: str, settings: str) -> np.ndarray | None:
    """Read one entry."""
    try:
        return store.call_and_shelve(name, settings).get()
    except _Missing:
        return None
    except Exception as error:  # a damaged file may raise anything
        reason = error.__cause__ or error  # joblib makes a KeyError of a ValueError
        _logger.warning(
            "memory: the entry of a sound is damaged and is computed again: %s", reason
        )
        return None


def row_path(store: Any, name: str, settings: str) -> str:
    """Return the path of an entry that has been read."""
    entry = store.call_and_shelve(name, settings)
    return store.store_backend.path((entry.func_id, entry.args_id))


def write_row(store: Any, name: str, settings: str, row: np.ndarray) -> bool:
    """Store one entry."""
    reason = "see the warning"
    try:
        # The backend warns of what cannot be written.
        store.call(name, settings, row=row)
        if store.check_call_in_cache(name, settings):
            return True
    except Exception as error:  # of reading back what was to be written
        reason = str(error)
    _logger.warning("memory cannot be written to, so further results are not stored: %s", reason)
    return False
