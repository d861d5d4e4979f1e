"""The stages before the last of a pipeline, each computed once for the same data and settings."""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from filelock import FileLock
from sklearn.base import TransformerMixin, clone

from skstrf.datasets import AudioLoader
from skstrf.datasets.batch import as_paths
from skstrf.pipeline.keys import digest, learns_nothing, row_keys, stage_settings
from skstrf.transforms.cache import open_store, read_row, write_row
from skstrf.transforms.fingerprint import fingerprint

__all__ = ["Entries", "Stages", "open_entries"]

logger = logging.getLogger("skstrf")
# Recordings in hand at a time: what a killed run loses at most.
_CHUNK = 8
# Locks of recordings; two that share one only wait for each other.
_N_LOCKS = 4096


class Entries:
    """Arrays and fitted stages by key, on disk, and a lock for each.

    Parameters
    ----------
    store : object
        From :func:`skstrf.transforms.cache.open_store`.
    folder : str
        Where the locks go.
    """

    def __init__(self, store: Any, folder: str):
        self.store: Any = store
        self.folder = os.path.join(folder, "skstrf-locks")
        os.makedirs(self.folder, exist_ok=True)
        self.can_write = True

    def read(self, key: str) -> np.ndarray | None:
        """Read an array, as a memory map; None where there is none."""
        return read_row(self.store, key, "stage")

    def write(self, key: str, array: Any) -> None:
        """Store an array; a disk that is full is logged, and costs time only."""
        plain = isinstance(array, np.ndarray) and not array.dtype.hasobject
        if plain and self.can_write:
            self.can_write = write_row(self.store, key, "stage", array)

    def read_stage(self, key: str) -> Any:
        """Read a fitted stage; None where there is none."""
        content = self.read(key)
        return None if content is None else pickle.loads(content.tobytes())

    def write_stage(self, key: str, step: Any) -> None:
        """Store a fitted stage."""
        self.write(key, np.frombuffer(pickle.dumps(step), dtype=np.uint8))

    def lock(self, key: str) -> FileLock:
        """Give the lock of what is computed for a key; a process that is killed lets it go."""
        return FileLock(os.path.join(self.folder, key))

    def row_locks(self, keys: Sequence[str]) -> list[FileLock]:
        """Give the locks of some recordings, each once."""
        names = sorted({f"rows-{int(key, 16) % _N_LOCKS:03x}" for key in keys})
        return [self.lock(name) for name in names]


def open_entries(memory: Any) -> Entries | None:
    """Open a cache for stages.

    Parameters
    ----------
    memory : str, PathLike, joblib.Memory or None
        As everywhere in skstrf.

    Returns
    -------
    Entries or None
        None without a folder that can be written.
    """
    store = open_store(memory)
    if store is None:
        return None
    folder = store.store_backend.location
    try:
        return Entries(store, folder)
    except OSError as error:
        logger.warning("memory=%s cannot be written, all is computed: %s", folder, error)
        return None


class _Data(NamedTuple):
    """What goes into a stage: how to get it, and what it is called."""

    key: str
    get: Callable[[], np.ndarray]


class Stages:
    """Fit and run stages one after the other, from the cache where it has them.

    The leading stages that learn nothing (loader and transformers of sounds) make one entry a
    recording; every other stage has one entry for itself as fitted on the same samples, labels
    and settings, and one for each set of samples that went through it. What nobody asks for is
    not even read: with the last stage's result in the cache no file is opened but to compare it.

    Parameters
    ----------
    steps : list of (str, estimator)
        In order; "passthrough" and None do nothing.
    entries : Entries
        The cache.
    """

    def __init__(self, steps: Sequence[tuple[str, Any]], entries: Entries):
        self.steps = [(n, s) for n, s in steps if s is not None and s != "passthrough"]
        self.entries = entries
        is_row_wise = [learns_nothing(step) for _, step in self.steps]
        self.n_head = [*is_row_wise, False].index(False)

    def fit(self, X: Any, y: Any) -> tuple[np.ndarray, dict[str, Any], list[str]] | None:
        """Fit clones of the stages on samples, and transform these.

        Returns
        -------
        (ndarray, dict of str to estimator, list of str) or None
            What comes out, the fitted stages by name, and the keys of the fits, for
            `transform`. None for data that cannot be told apart.
        """
        keys = row_keys(X)
        if keys is None:
            return None
        names = [name for name, _ in self.steps]
        fitted, head_key = self._fit_head(
            [clone(step) for _, step in self.steps[: self.n_head]], X
        )
        data = self._head_data(fitted, head_key, X, keys)
        labels = digest(fingerprint(None if y is None else np.asarray(y)))
        fit_keys = [head_key]
        for _, step in self.steps[self.n_head :]:
            key = digest("fit", stage_settings(step), data.key, labels)
            stage, data = self._fit_stage(step, key, data, y)
            fitted.append(stage)
            fit_keys.append(key)
        return data.get(), dict(zip(names, fitted, strict=True)), fit_keys

    def transform(self, X: Any, fit_keys: Sequence[str]) -> np.ndarray | None:
        """Transform samples by fitted stages.

        Returns
        -------
        ndarray or None
            None for data that cannot be told apart.
        """
        keys = row_keys(X)
        if keys is None:
            return None
        data = self._head_data([s for _, s in self.steps[: self.n_head]], fit_keys[0], X, keys)
        for (_, step), key in zip(self.steps[self.n_head :], fit_keys[1:], strict=True):
            data = self._through(step, key, data)
        return data.get()

    def _fit_head(self, head: list[Any], X: Any) -> tuple[list[Any], str]:
        """Fit what learns no more than shapes; a single sound is read for that, once."""
        state = "paths" if as_paths(X) is not None else repr(_shape(X))
        rest = head
        if head and isinstance(head[0], AudioLoader):
            head[0].fit(X)
            state, rest = f"{head[0].n_times_} {head[0].n_channels_}", head[1:]
        key = digest("head", state, *map(stage_settings, head))
        if not rest:
            return head, key
        with self.entries.lock(key):
            stored = self.entries.read_stage(key)
            if stored is None:
                stored, sound = rest, X[:1]
                if rest is not head:
                    sound = _first_sound(head[0], X)
                for step, following in zip(rest, [*rest[1:], None], strict=True):
                    step.fit(sound)
                    sound = sound if following is None else step.transform(sound)
                self.entries.write_stage(key, rest)
        for fresh, old in zip(rest, stored, strict=True):
            old.set_params(**fresh.get_params(deep=False))  # n_jobs and the like
        return [*head[: len(head) - len(rest)], *stored], key

    def _head_data(self, head: list[Any], key: str, X: Any, keys: list[str]) -> _Data:
        if not head:
            return _Data(digest("rows", *keys), lambda: np.asarray(X))
        return _Data(digest("rows", key, *keys), lambda: self._rows(head, key, X, keys))

    def _rows(self, head: list[Any], head_key: str, X: Any, keys: list[str]) -> np.ndarray:
        """Tensors of recordings, those that are missing computed by whichever process is first."""
        places: dict[str, list[int]] = {}
        for index, key in enumerate(keys):
            places.setdefault(digest(head_key, key), []).append(index)
        rows: dict[str, np.ndarray] = {}
        errors: dict[str, str] = {}
        missing = self._read_rows(places, rows)
        while missing:
            chunk, rest = missing[:_CHUNK], missing[_CHUNK:]
            with self._held(chunk, wait=False) as mine:
                self._compute_rows(head, X, places, self._read_rows(mine, rows), rows, errors)
            if not mine:  # other processes are at work on these
                with self._held(chunk[:1], wait=True):
                    pass
            # Those that others hold come last.
            missing = [*rest, *(key for key in chunk if key not in rows)]
        if errors:
            head[0].errors_ = errors
            named = "; ".join(f"{path}: {reason}" for path, reason in list(errors.items())[:5])
            warnings.warn(
                f"{len(errors)} of {len(keys)} sound files cannot be used and became rows of "
                f"silence: {named}",
                UserWarning,
                stacklevel=2,
            )
        first = next(iter(rows.values()))
        out = np.empty((len(keys), *first.shape), dtype=first.dtype)
        for key, indices in places.items():
            out[indices] = rows[key]
        return out

    def _read_rows(self, keys: Any, rows: dict[str, np.ndarray]) -> list[str]:
        """Add what the cache has to `rows`; give the keys that it has not."""
        missing = []
        for key in keys:
            row = self.entries.read(key)
            if row is None:
                missing.append(key)
            else:
                rows[key] = row
        return missing

    def _compute_rows(
        self,
        head: list[Any],
        X: Any,
        places: dict[str, list[int]],
        keys: list[str],
        rows: dict[str, np.ndarray],
        errors: dict[str, str],
    ) -> None:
        if not keys:
            return
        part = [X[places[key][0]] for key in keys]
        block: Any = part if as_paths(part) is not None else np.stack(part)
        with warnings.catch_warnings():
            # The loader warns at every chunk; here that is done once, for all.
            warnings.filterwarnings("ignore", message=".*cannot be used and became rows of")
            for step in head:
                block = step.transform(block)
        bad = dict(getattr(head[0], "errors_", {}))
        errors |= bad
        for sound, key, row in zip(part, keys, block, strict=True):
            rows[key] = row
            if not bad or as_paths([sound])[0] not in bad:  # type: ignore[index]
                self.entries.write(key, row)
        logger.info("memory: %d recordings computed", len(keys))

    @contextlib.contextmanager
    def _held(self, keys: Sequence[str], *, wait: bool) -> Iterator[list[str]]:
        """Hold the locks of recordings; give those of them whose lock was free."""
        with contextlib.ExitStack() as stack:
            held: list[str] = []
            for key in keys:
                (lock,) = self.entries.row_locks([key])
                with contextlib.suppress(TimeoutError):
                    lock.acquire(timeout=-1 if wait else 0)
                    stack.callback(lock.release)
                    held.append(key)
            yield held

    def _fit_stage(self, step: Any, key: str, data: _Data, y: Any) -> tuple[Any, _Data]:
        """Fit a stage, or find it fitted; also give what it makes of what it learned from."""
        stored = self.entries.read_stage(key)
        if stored is None:
            X = data.get()  # before the lock: locks are never held one in another
            with self.entries.lock(key):
                stored = self.entries.read_stage(key)  # another process may have been faster
                if stored is None:
                    stored = self._learn(clone(step), key, data.key, X, y)
        free = {k: v for k, v in step.get_params(deep=False).items() if k in ("n_jobs", "verbose")}
        stored.set_params(**free)
        if not _has_own_fit_transform(step):
            return stored, self._through(stored, key, data)
        # May differ from transform: what it learned from is kept apart.
        own = digest("learned from", key)

        def get() -> np.ndarray:
            found = self.entries.read(own)
            return clone(step).fit_transform(data.get(), y) if found is None else np.array(found)

        return stored, _Data(own, get)

    def _learn(self, step: Any, key: str, data_key: str, X: np.ndarray, y: Any) -> Any:
        logger.info("memory: %s is fitted", type(step).__name__)
        if _has_own_fit_transform(step):
            out, result = step.fit_transform(X, y), digest("learned from", key)
        else:
            out, result = step.fit(X, y).transform(X), _result_key(key, data_key)
        self.entries.write_stage(key, step)
        self.entries.write(result, out)
        return step

    def _through(self, step: Any, fit_key: str, data: _Data) -> _Data:
        """Describe what a fitted stage makes of some data."""
        key = _result_key(fit_key, data.key)

        def get() -> np.ndarray:
            stored = self.entries.read(key)
            if stored is None:
                X = data.get()
                with self.entries.lock(key):
                    stored = self.entries.read(key)
                    if stored is None:
                        stored = step.transform(X)
                        self.entries.write(key, stored)
                        return stored
            return np.array(stored)

        return _Data(key, get)


def _result_key(fit_key: str, data_key: str) -> str:
    return digest("result", fit_key, data_key)


def _shape(X: Any) -> tuple[Any, ...]:
    rows = np.asarray(X)
    return rows.dtype.str, *rows.shape[1:]


def _has_own_fit_transform(step: Any) -> bool:
    owner = next(c for c in type(step).__mro__ if "fit_transform" in vars(c))
    return owner is not TransformerMixin


def _first_sound(loader: AudioLoader, X: Any) -> np.ndarray:
    """Give one sound, of the first file that can be used."""
    for row in range(len(X)):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*cannot be used and became rows of")
            sound = loader.transform(X[row : row + 1])
        if not loader.errors_:
            return sound
    return sound
