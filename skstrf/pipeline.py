"""Pipelines that cache the results of their steps, in training and in prediction."""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
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

from skstrf.caching.files import open_to_others
from skstrf.caching.fingerprints import (
    array_key,
    file_key,
    fingerprint,
    hash_strings,
    is_stateless,
    stage_settings,
)
from skstrf.caching.recordings import open_store, read_row, row_path, write_row
from skstrf.caching.stages import NotPlainError, dump_fitted, load_fitted
from skstrf.datasets import AudioLoader
from skstrf.datasets.loader import as_filenames
from skstrf.feature_selection import ChannelScores
from skstrf.transforms.base import Axis
from skstrf.utils.messages import describe_skipped, escape, warn_user
from skstrf.utils.optional import import_optional

__all__ = [
    "CachedPipeline",
    "Entries",
    "Stages",
    "open_entries",
    "row_keys",
]

logger = logging.getLogger("skstrf")


def row_keys(X: Any) -> list[str] | None:
    """Return a key for every sample, of the content of its file or array; None for other data."""
    if not isinstance(X, list | tuple | np.ndarray) or not len(X):
        return None
    paths = as_filenames(X)
    if paths is not None:
        return [file_key(path) for path in paths]
    rows = np.asarray(X)
    if rows.dtype.hasobject:
        return None
    return [array_key(row) for row in rows]


# Recordings computed before they are stored: the most that a killed run loses.
_CHUNK = 8
# Locks of recordings; two that share one only wait for each other.
_N_LOCKS = 4096
# Part of every key, to be raised when entries of earlier versions must not be used any more.
# Those of version 0.1.0 may hold tensors of recordings that learned stages have transformed.
_ENTRIES_VERSION = "stage 3"


# Types of plain fields that fitted stages may hold.
_RECORDS = (Axis, ChannelScores)
# Parameters that may differ between the stage that was stored and the one that reads it.
_OWN = ("n_jobs", "verbose")


def _pickle_key(key: str) -> str:
    return hash_strings("pickle", key)


class Entries:
    """Arrays and fitted stages on disk by their keys, with a lock for each."""

    def __init__(self, store: Any, folder: str):
        self.store: Any = store
        self.folder = os.path.join(folder, "skstrf-locks")
        os.makedirs(self.folder, exist_ok=True)
        self.can_write = True

    def read(self, key: str) -> np.ndarray | None:
        """Read an array as a memory map; return None if there is none."""
        return read_row(self.store, key, _ENTRIES_VERSION)

    def write(self, key: str, array: Any) -> None:
        """Store an array; a full disk is logged and costs only time."""
        plain = isinstance(array, np.ndarray) and not array.dtype.hasobject
        if plain and self.can_write:
            self.can_write = write_row(self.store, key, _ENTRIES_VERSION, array)

    def read_stage(self, key: str, step: Any) -> Any:
        """Return a copy of a stage, fitted as stored; return None if it is not stored."""
        content = self.read(key)
        pickled = _pickle_key(key)
        try:
            if content is not None:
                return load_fitted(content.tobytes(), step, _RECORDS)
            content = self.read(pickled)
            if content is None or not self._trusts(
                row_path(self.store, pickled, _ENTRIES_VERSION), step
            ):
                return None
            fitted = pickle.loads(content.tobytes())
            own = {k: v for k, v in step.get_params(deep=False).items() if k in _OWN}
            return fitted.set_params(**own)
        except Exception as error:  # an entry that was not written here may raise anything
            logger.warning(
                "memory: a fitted %s is damaged and is fitted again: %s",
                type(step).__name__,
                error,
            )
            return None

    def write_stage(self, key: str, step: Any) -> None:
        """Store a fitted stage: as plain values and arrays, or else as a pickle."""
        try:
            content = dump_fitted(step, _RECORDS)
        except NotPlainError:
            if not self._trusts(self.store.store_backend.location, step):
                return
            key = _pickle_key(key)
            try:
                content = pickle.dumps(step)
            except Exception as error:  # pickling runs the object's own code
                name = type(step).__name__
                logger.warning("memory: %s cannot be pickled, thus not stored: %s", name, error)
                return
        self.write(key, np.frombuffer(content, dtype=np.uint8))

    def _trusts(self, path: str, step: Any) -> bool:
        """Say whether only this user can have written a pickle; warn if others can, too."""
        place = open_to_others(path)
        if place is not None:
            warn_user(
                f"{type(step).__name__} has to be stored as a pickle, which can run code. "
                f"Since other users can write to {escape(place)}, it is fitted again each time. "
                "Give a folder of your own, or remove their permission (chmod go-w)."
            )
        return place is None

    def lock(self, key: str) -> Any:
        """Return the lock of a computation, which a process that is killed releases."""
        filelock = import_optional("filelock", extra="search")
        return filelock.FileLock(os.path.join(self.folder, key))


def open_entries(memory: Any) -> Entries | None:
    """Open a cache for stages; return None if it cannot be used."""
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
    """Input of a stage: its key, and a function that computes it."""

    key: str
    get: Callable[[], np.ndarray]


class Stages:
    """Fits and applies stages one after the other, with results from the cache where it has them.

    The leading stateless stages (loader and transformers of sounds) have one entry for each
    recording. Every other stage has one entry for itself, fitted on the same samples, labels and
    settings, and one for each set of samples that it transformed. Results are read only when
    they are needed: with the last stage's result in the cache, files are only hashed.
    """

    def __init__(self, steps: Sequence[tuple[str, Any]], entries: Entries):
        self.steps = [(n, s) for n, s in steps if s is not None and s != "passthrough"]
        self.entries = entries
        self.n_head = [*(is_stateless(step) for _, step in self.steps), False].index(False)

    def fit(self, X: Any, y: Any) -> tuple[np.ndarray, dict[str, Any], list[str]] | None:
        """Fit clones of the stages on samples, and transform these."""
        keys = row_keys(X)
        if keys is None:
            return None
        head, head_key = self._fit_head([clone(s) for _, s in self.steps[: self.n_head]], X)
        data = self._head_data(head, head_key, X, keys)
        labels = hash_strings(fingerprint(None if y is None else np.asarray(y)))
        fitted, fit_keys = list(head), [head_key]
        for _, step in self.steps[self.n_head :]:
            key = hash_strings("fit", stage_settings(step), data.key, labels)
            stage, data = self._fit_stage(step, key, data, y)
            fitted.append(stage)
            fit_keys.append(key)
        names = [name for name, _ in self.steps]
        return data.get(), dict(zip(names, fitted, strict=True)), fit_keys

    def transform(self, X: Any, fit_keys: Sequence[str]) -> np.ndarray | None:
        """Transform samples by fitted stages."""
        keys = row_keys(X)
        if keys is None:
            return None
        head = tuple(step for _, step in self.steps[: self.n_head])
        data = self._head_data(head, fit_keys[0], X, keys)
        for (_, step), key in zip(self.steps[self.n_head :], fit_keys[1:], strict=True):
            data = self._through(step, key, data)
        return data.get()

    def _fit_head(self, head: list[Any], X: Any) -> tuple[tuple[Any, ...], str]:
        """Fit stages that learn no more than shapes, on one sound, which is read once."""
        state = "paths"
        if as_filenames(X) is None:
            rows = np.asarray(X)
            state = repr((rows.dtype.str, *rows.shape[1:]))
        loaders: list[Any] = []
        if head and isinstance(head[0], AudioLoader):
            loaders = [head[0].fit(X)]
            state = f"{head[0].n_times_} {head[0].n_channels_}"
        rest = head[len(loaders) :]
        key = hash_strings("head", state, *map(stage_settings, head))
        if not rest:
            return tuple(head), key
        with self.entries.lock(key):
            keys = [hash_strings(key, str(place)) for place in range(len(rest))]
            stored = [self.entries.read_stage(k, s) for k, s in zip(keys, rest, strict=True)]
            if None not in stored:
                return (*loaders, *stored), key
            sound = _first_sound(loaders[0], X) if loaders else X[:1]
            for step, following in zip(rest, [*rest[1:], None], strict=True):
                step.fit(sound)
                sound = sound if following is None else step.transform(sound)
            for step_key, step in zip(keys, rest, strict=True):
                self.entries.write_stage(step_key, step)
        return (*loaders, *rest), key

    # The head is a tuple: what is computed later must not see the stages fitted meanwhile.
    def _head_data(self, head: tuple[Any, ...], key: str, X: Any, keys: list[str]) -> _Data:
        if not head:
            return _Data(hash_strings("rows", *keys), lambda: np.asarray(X))
        return _Data(hash_strings("rows", key, *keys), lambda: self._rows(head, key, X, keys))

    def _rows(self, head: tuple[Any, ...], head_key: str, X: Any, keys: list[str]) -> np.ndarray:
        """Tensors of recordings; whichever process is first computes those that are missing."""
        places: dict[str, list[int]] = {}
        for index, key in enumerate(keys):
            places.setdefault(hash_strings(head_key, key), []).append(index)
        rows: dict[str, np.ndarray] = {}
        errors: dict[str, str] = {}
        missing = self._read_rows(places, rows)
        while missing:
            chunk, rest = missing[:_CHUNK], missing[_CHUNK:]
            with self._held(chunk, wait=False) as mine:
                to_compute = self._read_rows(mine, rows)
                if to_compute:
                    samples = [X[places[key][0]] for key in to_compute]
                    errors |= self._compute_rows(head, samples, to_compute, rows)
            if not mine:  # other processes are at work on these
                with self._held(chunk[:1], wait=True):
                    pass
            # Those that others hold come last.
            missing = [*rest, *(key for key in chunk if key not in rows)]
        if errors:
            head[0].errors_ = errors
            headline = (
                f"{len(errors)} of {len(keys)} sound files cannot be used and became rows of "
                "silence"
            )
            warn_user(describe_skipped(list(errors.items()), headline))
        first = next(iter(rows.values()))
        out = np.empty((len(keys), *first.shape), dtype=first.dtype)
        for key, indices in places.items():
            out[indices] = rows[key]
        return out

    def _read_rows(self, keys: Any, rows: dict[str, np.ndarray]) -> list[str]:
        """Add what the cache has to `rows`; return the keys that it has not."""
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
        head: tuple[Any, ...],
        samples: list[Any],
        keys: list[str],
        rows: dict[str, np.ndarray],
    ) -> dict[str, str]:
        """Compute and store some recordings; return the reasons of those that cannot be used."""
        paths = as_filenames(samples)
        if isinstance(head[0], AudioLoader):
            block = _loaded(head[0], samples if paths is not None else np.stack(samples))
            rest = head[1:]
        else:
            block, rest = np.stack(samples), head
        for step in rest:
            block = step.transform(block)
        errors = dict(getattr(head[0], "errors_", {}))
        for index, (key, row) in enumerate(zip(keys, block, strict=True)):
            rows[key] = row
            # What stands for a bad file may change once the file is mended.
            if paths is None or paths[index] not in errors:
                self.entries.write(key, row)
        logger.info("memory: %d recordings computed", len(keys))
        return errors

    @contextlib.contextmanager
    def _held(self, keys: Sequence[str], *, wait: bool) -> Iterator[list[str]]:
        """Hold the locks of recordings; yield those of them whose lock was free."""
        with contextlib.ExitStack() as stack:
            held: list[str] = []
            for key in keys:
                lock = self.entries.lock(f"rows-{int(key, 16) % _N_LOCKS:03x}")
                with contextlib.suppress(TimeoutError):
                    lock.acquire(timeout=-1 if wait else 0)
                    stack.callback(lock.release)
                    held.append(key)
            yield held

    def _fit_stage(self, step: Any, key: str, data: _Data, y: Any) -> tuple[Any, _Data]:
        """Fit a stage, or find it fitted; also return its output for its training samples."""
        stored = self.entries.read_stage(key, step)
        if stored is None:
            X = data.get()  # before the lock, because no lock is taken while another is held
            with self.entries.lock(key):
                stored = self.entries.read_stage(key, step)  # another process may have been faster
                if stored is None:
                    stored = self._learn(clone(step), key, data.key, X, y)
        if not _has_own_fit_transform(step):
            return stored, self._through(stored, key, data)
        # Its output for the training samples may differ from that of transform.
        own = hash_strings("learned from", key)

        def get() -> np.ndarray:
            found = self.entries.read(own)
            return clone(step).fit_transform(data.get(), y) if found is None else np.array(found)

        return stored, _Data(own, get)

    def _learn(self, step: Any, key: str, data_key: str, X: np.ndarray, y: Any) -> Any:
        logger.info("memory: %s is fitted", type(step).__name__)
        if _has_own_fit_transform(step):
            out, result = step.fit_transform(X, y), hash_strings("learned from", key)
        else:
            out, result = step.fit(X, y).transform(X), _result_key(key, data_key)
        self.entries.write_stage(key, step)
        self.entries.write(result, out)
        return step

    def _through(self, step: Any, fit_key: str, data: _Data) -> _Data:
        """Describe the output of a fitted stage for some data."""
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
    return hash_strings("result", fit_key, data_key)


def _has_own_fit_transform(step: Any) -> bool:
    owner = next(c for c in type(step).__mro__ if "fit_transform" in vars(c))
    return owner is not TransformerMixin


def _loaded(loader: AudioLoader, X: Any) -> np.ndarray:
    """Read some sounds without the loader's warning: the caller warns once, for all files."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return loader.transform(X)


def _first_sound(loader: AudioLoader, X: Any) -> np.ndarray:
    """Read one sound, of the first file that can be used."""
    for row in range(len(X)):
        sound = _loaded(loader, X[row : row + 1])
        if not loader.errors_:
            return sound
    return sound


def _last_has(*names: str) -> Callable[[Any], bool]:
    def check(pipeline: Any) -> bool:
        last = pipeline.steps[-1][1]
        return last in (None, "passthrough") or any(hasattr(last, name) for name in names)

    return check


def _by_last_step(name: str, returned: str) -> Any:
    """Make the method of a pipeline that calls the method `name` of the last step."""

    def method(self, X, **params):
        return self._finish(name, X, (), params)

    method.__name__, method.__qualname__ = name, f"CachedPipeline.{name}"
    method.__doc__ = f"""Transform samples by the steps, and call `{name}` of the last one.

        Parameters
        ----------
        X : list of paths or ndarray
            Paths of sound files, or arrays.
        **params : dict
            Parameters or metadata of the steps, as in scikit-learn's Pipeline.

        Returns
        -------
        ndarray
            {returned}
        """
    return available_if(_last_has(name))(method)


@contextlib.contextmanager
def _without_cache(pipeline: Any) -> Iterator[None]:
    """Keep scikit-learn from using `memory` for a cache of its own."""
    memory, pipeline.memory = pipeline.memory, None
    try:
        yield
    finally:
        pipeline.memory = memory


class CachedPipeline(Pipeline):
    """Pipeline that caches the results of its steps, in training and in prediction.

    It replaces :class:`sklearn.pipeline.Pipeline` in searches and cross-validation. The last step
    is never cached. Of the steps before it

    * the leading stateless ones (`AudioLoader` and the transformers of sounds) have one entry for
      every recording, identified by the content of its file or its samples, so that neither
      another fold nor another candidate reads or transforms the recording again;
    * every other one (scaling, MPCA, a selection of channels) is fitted once for each combination
      of parameters, samples and labels, and transforms every set of samples once, including the
      test part of a fold. ``Pipeline(memory=...)`` caches the training part only, and hashes the
      tensors for every candidate; here samples are hashed once, before the first step.

    Several processes may share the cache. They wait for results that another one is computing,
    so that nothing is computed twice with ``n_jobs=2`` either.

    Parameters
    ----------
    steps : list of (str, estimator)
        Names and estimators, as in :class:`sklearn.pipeline.Pipeline`.
    transform_input : list of str or None, default=None
        Metadata to be transformed, as in :class:`sklearn.pipeline.Pipeline`; nothing is cached if
        it is given.
    memory : str, PathLike, joblib.Memory or None, default=None
        Folder of the cache; None caches nothing.
    verbose : bool, default=False
        Whether the time of every step is printed, where nothing is cached.

    Attributes
    ----------
    named_steps : Bunch
        The steps by name, fitted after `fit`.
    stage_keys_ : list of str
        Keys of the fitted steps in the cache; empty where nothing is cached.

    See Also
    --------
    skstrf.experiments.run_search : Hyperparameter search with pruning that uses it.

    Notes
    -----
    Steps are identified by their class, the version of its package, and their parameters except
    `n_jobs`, `verbose` and `memory`; a step with ``random_state=None`` gives the same result every
    time once it is in the cache. The code of your own classes is not looked at: clear the cache
    when you change it. Parameters for ``fit`` of a step before the last (such as ``mpca__...``)
    disable the cache for that fit. Files with errors are never cached; dask arrays and torch
    tensors bypass the cache.

    Entries are verified and managed like those of the transformers' `memory`:
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
        """Fit all steps; those before the last are taken from the cache where possible.

        Parameters
        ----------
        X : list of paths or ndarray
            Paths of sound files, or arrays.
        y : array-like or None
            Labels of the samples.
        **params : dict
            Parameters or metadata of the steps, as in scikit-learn's Pipeline.

        Returns
        -------
        self : CachedPipeline
            Fitted pipeline.
        """
        features = self._fit_stages(X, y, "fit", params, n_stages=len(self.steps) - 1)
        if features is None:
            with _without_cache(self):
                return super().fit(X, y, **params)
        Pipeline(self.steps[-1:]).fit(features, y, **params)
        return self

    @available_if(_last_has("transform", "fit_transform"))
    def fit_transform(self, X, y=None, **params):
        """Fit all steps and transform the training samples.

        Parameters
        ----------
        X : list of paths or ndarray
            Paths of sound files, or arrays.
        y : array-like or None
            Labels of the samples.
        **params : dict
            Parameters or metadata of the steps, as in scikit-learn's Pipeline.

        Returns
        -------
        ndarray
            Output of the last step.
        """
        features = self._fit_stages(X, y, "fit_transform", params, n_stages=len(self.steps))
        if features is None:
            with _without_cache(self):
                return super().fit_transform(X, y, **params)
        return features

    transform = _by_last_step("transform", "Output of the last step.")
    predict = _by_last_step("predict", "Predictions.")
    predict_proba = _by_last_step("predict_proba", "Probabilities of all classes.")
    predict_log_proba = _by_last_step("predict_log_proba", "Logarithms of the probabilities.")
    decision_function = _by_last_step("decision_function", "Values of the decision function.")

    @available_if(_last_has("score"))
    def score(self, X, y=None, sample_weight=None, **params):
        """Compute the score of the last step.

        Parameters
        ----------
        X : list of paths or ndarray
            Paths of sound files, or arrays.
        y : array-like or None
            Labels of the samples.
        sample_weight : array-like or None
            Weights of the samples.
        **params : dict
            Parameters or metadata of the steps, as in scikit-learn's Pipeline.

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
        """Fit the first steps by the cache and return their output; None without a cache."""
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
        """Call a method of the last step on the output of the steps before it."""
        check_is_fitted(self)
        keys = getattr(self, "stage_keys_", [])
        entries = open_entries(self.memory) if keys else None
        n_stages = len(self.steps) - (method != "transform")
        if entries is None or self._has_params_for_stages(method, params, n_stages):
            return getattr(super(), method)(X, *args, **params)
        stages = Stages(self.steps[:n_stages], entries)
        # The number of keys differs if the pipeline was fitted with another last step.
        fits = len(keys) == 1 + len(stages.steps) - stages.n_head
        features = stages.transform(X, keys) if fits else None
        if features is None:
            return getattr(super(), method)(X, *args, **params)
        if method == "transform":
            return features
        return getattr(Pipeline(self.steps[-1:]), method)(features, *args, **params)
