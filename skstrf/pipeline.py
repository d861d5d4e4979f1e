"""Pipelines that compute nothing twice."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import logging
import os
import pickle
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from sklearn import get_config
from sklearn.base import TransformerMixin, clone
from sklearn.pipeline import Pipeline
from sklearn.utils.metadata_routing import process_routing
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from skstrf.caching.fingerprints import fingerprint
from skstrf.caching.recordings import open_store, read_row, write_row
from skstrf.datasets import AudioLoader
from skstrf.datasets.loader import as_filenames
from skstrf.transforms.base import SoundTransformer
from skstrf.utils.optional import import_optional

__all__ = [
    "CachedPipeline",
    "Entries",
    "Stages",
    "digest",
    "is_stateless",
    "open_entries",
    "row_keys",
    "stage_settings",
]

logger = logging.getLogger("skstrf")


# Parameters of any estimator that change where and how fast, not what.
_WITHOUT_EFFECT = frozenset({"memory", "n_jobs", "verbose"})


def digest(*parts: str) -> str:
    """Make one short text of many."""
    found = hashlib.blake2b(digest_size=16)
    for part in parts:
        data = part.encode()
        found.update(len(data).to_bytes(8, "little") + data)
    return found.hexdigest()


def is_stateless(step: Any) -> bool:
    """Say whether a stage makes of a sound what does not depend on the others."""
    return isinstance(step, AudioLoader | SoundTransformer)


def stage_settings(step: Any) -> str:
    """Tell what a stage computes: its class, its version and its parameters."""
    kind = type(step)
    name = f"{kind.__module__}.{kind.__qualname__}"
    if isinstance(step, SoundTransformer):
        return f"{name} {fingerprint(step._cache_key())}"
    package = sys.modules.get(kind.__module__.partition(".")[0])
    params = {k: v for k, v in step.get_params(deep=False).items() if k not in _WITHOUT_EFFECT}
    return f"{name} {getattr(package, '__version__', '')} {fingerprint(params)}"


def row_keys(X: Any) -> list[str] | None:
    """Tell the samples apart: files and arrays by their content."""
    if not isinstance(X, list | tuple | np.ndarray) or not len(X):
        return None
    paths = as_filenames(X)
    if paths is not None:
        return [_file_key(path) for path in paths]
    rows = np.asarray(X)
    if rows.dtype.hasobject:
        return None
    return [_array_key(row) for row in rows]


def _array_key(row: np.ndarray) -> str:
    found = hashlib.blake2b(repr((row.dtype.str, row.shape)).encode(), digest_size=16)
    found.update(np.ascontiguousarray(row).data)
    return found.hexdigest()


def _file_key(path: str) -> str:
    try:
        status = os.stat(path)
        # Decoders go by the ending too.
        return _content_key(path, status.st_size, status.st_mtime_ns, status.st_ino)
    except OSError as error:  # the loader says what is wrong, or makes a row of silence
        return digest("not read", path, str(error.errno))


@functools.lru_cache(maxsize=100_000)
def _content_key(path: str, *unchanged: int) -> str:
    with open(path, "rb") as file:
        content = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16))
    return digest(os.path.splitext(path)[1].lower(), content.hexdigest())


# Recordings in hand at a time: what a killed run loses at most.
_CHUNK = 8
# Locks of recordings; two that share one only wait for each other.
_N_LOCKS = 4096


class Entries:
    """Arrays and fitted stages by key, on disk, and a lock for each."""

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

    def lock(self, key: str) -> Any:
        """Give the lock of what is computed for a key; a process that is killed lets it go."""
        filelock = import_optional("filelock", extra="search")
        return filelock.FileLock(os.path.join(self.folder, key))

    def row_locks(self, keys: Sequence[str]) -> list[Any]:
        """Give the locks of some recordings, each once."""
        names = sorted({f"rows-{int(key, 16) % _N_LOCKS:03x}" for key in keys})
        return [self.lock(name) for name in names]


def open_entries(memory: Any) -> Entries | None:
    """Open a cache for stages."""
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
    """

    def __init__(self, steps: Sequence[tuple[str, Any]], entries: Entries):
        self.steps = [(n, s) for n, s in steps if s is not None and s != "passthrough"]
        self.entries = entries
        is_row_wise = [is_stateless(step) for _, step in self.steps]
        self.n_head = [*is_row_wise, False].index(False)

    def fit(self, X: Any, y: Any) -> tuple[np.ndarray, dict[str, Any], list[str]] | None:
        """Fit clones of the stages on samples, and transform these."""
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
        """Transform samples by fitted stages."""
        keys = row_keys(X)
        if keys is None:
            return None
        data = self._head_data([s for _, s in self.steps[: self.n_head]], fit_keys[0], X, keys)
        for (_, step), key in zip(self.steps[self.n_head :], fit_keys[1:], strict=True):
            data = self._through(step, key, data)
        return data.get()

    def _fit_head(self, head: list[Any], X: Any) -> tuple[list[Any], str]:
        """Fit what learns no more than shapes; a single sound is read for that, once."""
        state = "paths" if as_filenames(X) is not None else repr(_shape(X))
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
        block: Any = part if as_filenames(part) is not None else np.stack(part)
        with warnings.catch_warnings():
            # The loader warns at every chunk; here that is done once, for all.
            warnings.filterwarnings("ignore", message=".*cannot be used and became rows of")
            for step in head:
                block = step.transform(block)
        bad = dict(getattr(head[0], "errors_", {}))
        errors |= bad
        for sound, key, row in zip(part, keys, block, strict=True):
            rows[key] = row
            if not bad or as_filenames([sound])[0] not in bad:  # type: ignore[index]
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


def _last_has(*names: str) -> Callable[[Any], bool]:
    def check(pipeline: Any) -> bool:
        last = pipeline.steps[-1][1]
        return last in (None, "passthrough") or any(hasattr(last, name) for name in names)

    return check


class CachedPipeline(Pipeline):
    """Pipeline that finds in its cache what was computed before, in training and in prediction.

    A drop-in for :class:`sklearn.pipeline.Pipeline` in searches and cross-validation. The last
    step is never cached; of those before it

    * the leading ones that learn nothing (`AudioLoader` and the transformers of sounds) make one
      entry a recording, by the content of its file or samples, so that neither another fold nor
      another candidate reads or transforms it again;
    * every other one (scaling, MPCA, a selection of channels) is fitted once for each set of its
      parameters, samples and labels, and transforms any set of samples once, the test part of a
      fold too. ``Pipeline(memory=...)`` keeps the training part alone, and hashes the tensors
      anew for every candidate; here samples are told apart once, before the first stage.

    Any number of processes may share the cache: they wait for what another is at work on, so with
    ``n_jobs=2`` too nothing is computed twice.

    Parameters
    ----------
    steps : list of (str, estimator)
        As of scikit-learn's Pipeline.
    transform_input : list of str or None, default=None
        As there; with it nothing is cached.
    memory : str, PathLike, joblib.Memory or None, default=None
        Folder of the cache; None caches nothing.
    verbose : bool, default=False
        Say how long steps took, where nothing is cached.

    Attributes
    ----------
    named_steps : Bunch
        The steps by name, fitted after `fit`.
    stage_keys_ : list of str
        What the fitted stages are filed under; empty where nothing is cached.

    See Also
    --------
    skstrf.experiments.run_search : Studies with pruning that use it.

    Notes
    -----
    Stages are told apart by class, the version of their package and parameters but for `n_jobs`,
    `verbose` and `memory`; one with ``random_state=None`` is the same each time once it is in the
    cache. The code of your own classes is not looked at: clear the cache when you change it.
    Parameters that go to ``fit`` of a stage before the last (such as ``mpca__...``) switch the
    cache off for that fit. Files with errors are never cached; dask arrays and torch tensors
    pass by the cache.

    Entries are checked as those of the transformers' `memory` are, and managed the same way:
    ``joblib.Memory(folder).reduce_size(...)`` and ``.clear()``.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.model_selection import GridSearchCV
    >>> from skstrf import MPCA, CachedPipeline
    >>> X = np.random.default_rng(0).standard_normal((30, 4, 5, 6))
    >>> y = np.arange(30) % 2
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     steps = [("mpca", MPCA(vectorize=True)), ("last", LogisticRegression())]
    ...     pipeline = CachedPipeline(steps, memory=folder)
    ...     grid = {"mpca__n_components": [2, 3], "last__C": [0.1, 1.0, 10.0]}
    ...     search = GridSearchCV(pipeline, grid, cv=3).fit(X, y)  # MPCA is fitted 2 x 3 + 1 times
    >>> len(search.cv_results_["params"])
    6
    """

    steps: list[tuple[str, Any]]

    def __init__(self, steps, *, transform_input=None, memory=None, verbose=False):
        super().__init__(steps, transform_input=transform_input, memory=memory, verbose=verbose)

    def fit(self, X, y=None, **params):
        """Fit the stages, or find them fitted, and fit the last step.

        Parameters
        ----------
        X : list of paths or ndarray
            Samples.
        y : array-like or None
            Labels.
        **params : dict
            As of scikit-learn's Pipeline.

        Returns
        -------
        CachedPipeline
            This object.
        """
        features = self._fit_stages(X, y, "fit", params, n_stages=len(self.steps) - 1)
        if features is None:
            with _WithoutCache(self):
                return super().fit(X, y, **params)
        Pipeline(self.steps[-1:]).fit(features, y, **params)
        return self

    @available_if(_last_has("transform", "fit_transform"))
    def fit_transform(self, X, y=None, **params):
        """Fit all steps, or find them fitted, and transform what they learned from.

        Parameters
        ----------
        X : list of paths or ndarray
            Samples.
        y : array-like or None
            Labels.
        **params : dict
            As of scikit-learn's Pipeline.

        Returns
        -------
        ndarray
            What comes out of the last step.
        """
        features = self._fit_stages(X, y, "fit_transform", params, n_stages=len(self.steps))
        if features is None:
            with _WithoutCache(self):
                return super().fit_transform(X, y, **params)
        return features

    @available_if(_last_has("transform"))
    def transform(self, X, **params):
        """Transform by all steps.

        Parameters
        ----------
        X : list of paths or ndarray
            Samples.
        **params : dict
            As of scikit-learn's Pipeline.

        Returns
        -------
        ndarray
            What comes out of the last step.
        """
        return self._finish("transform", X, (), params)

    @available_if(_last_has("predict"))
    def predict(self, X, **params):
        """Predict by the last step.

        Parameters
        ----------
        X : list of paths or ndarray
            Samples.
        **params : dict
            As of scikit-learn's Pipeline.

        Returns
        -------
        ndarray
            Predictions.
        """
        return self._finish("predict", X, (), params)

    @available_if(_last_has("predict_proba"))
    def predict_proba(self, X, **params):
        """Give the probability of every class by the last step.

        Parameters
        ----------
        X : list of paths or ndarray
            Samples.
        **params : dict
            As of scikit-learn's Pipeline.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Probabilities.
        """
        return self._finish("predict_proba", X, (), params)

    @available_if(_last_has("predict_log_proba"))
    def predict_log_proba(self, X, **params):
        """Give the logarithm of the probability of every class by the last step.

        Parameters
        ----------
        X : list of paths or ndarray
            Samples.
        **params : dict
            As of scikit-learn's Pipeline.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Logarithms.
        """
        return self._finish("predict_log_proba", X, (), params)

    @available_if(_last_has("decision_function"))
    def decision_function(self, X, **params):
        """Give the decisions of the last step.

        Parameters
        ----------
        X : list of paths or ndarray
            Samples.
        **params : dict
            As of scikit-learn's Pipeline.

        Returns
        -------
        ndarray
            Decisions.
        """
        return self._finish("decision_function", X, (), params)

    @available_if(_last_has("score"))
    def score(self, X, y=None, sample_weight=None, **params):
        """Score by the last step.

        Parameters
        ----------
        X : list of paths or ndarray
            Samples.
        y : array-like or None
            Labels.
        sample_weight : array-like or None
            Weights.
        **params : dict
            As of scikit-learn's Pipeline.

        Returns
        -------
        float
            The score.
        """
        weights = {} if sample_weight is None else {"sample_weight": sample_weight}
        return self._finish("score", X, (y,), weights | params)

    def _fit_stages(
        self, X: Any, y: Any, method: str, params: Mapping[str, Any], *, n_stages: int
    ) -> np.ndarray | None:
        """Fit the first so many steps in the cache and give what comes out; None without one."""
        self.stage_keys_: list[str] = []
        if self.memory is None or self.transform_input is not None or not n_stages:
            return None
        self._validate_steps()
        if self._has_params_for_stages(method, params, n_stages):
            return None
        entries = open_entries(self.memory)
        found = entries and Stages(self.steps[:n_stages], entries).fit(X, y)
        if not found:
            return None
        features, fitted, self.stage_keys_ = found
        self.steps = [(name, fitted.get(name, step)) for name, step in self.steps]
        return features

    def _has_params_for_stages(
        self, method: str, params: Mapping[str, Any], n_stages: int
    ) -> bool:
        if not params:
            return False
        stages = [name for name, _ in self.steps[:n_stages]]
        if not get_config()["enable_metadata_routing"]:
            return any(key.partition("__")[0] in stages for key in params)
        routed = process_routing(self, method, **params)
        return any(any(routed[name].values()) for name in stages if name in routed)

    def _finish(self, method: str, X: Any, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        """Call a method of the last step on what the stages make of samples."""
        check_is_fitted(self)
        keys = getattr(self, "stage_keys_", [])
        entries = open_entries(self.memory) if keys else None
        n_stages = len(self.steps) - (method != "transform")
        if entries is None or self._has_params_for_stages(method, params, n_stages):
            return getattr(super(), method)(X, *args, **params)
        stages = Stages(self.steps[:n_stages], entries)
        if len(keys) != 1 + len(stages.steps) - stages.n_head:  # fitted with another last step
            return getattr(super(), method)(X, *args, **params)
        features = stages.transform(X, keys)
        if features is None:
            return getattr(super(), method)(X, *args, **params)
        if method == "transform":
            return features
        return getattr(Pipeline(self.steps[-1:]), method)(features, *args, **params)


class _WithoutCache:
    """Keeps scikit-learn from caching by itself, as it would from a Pipeline's memory."""

    def __init__(self, pipeline: CachedPipeline):
        self.pipeline = pipeline
        self.memory = pipeline.memory

    def __enter__(self) -> None:
        self.pipeline.memory = None

    def __exit__(self, *_: Any) -> None:
        self.pipeline.memory = self.memory
