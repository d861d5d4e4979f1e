"""Tensors of a whole corpus on disk: one zarr store, written piece by piece."""

from __future__ import annotations

import asyncio
import errno
import glob
import json
import os
import shutil
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import clone

from skstrf import transforms
from skstrf._version import __version__
from skstrf.caching.files import atomic_write, sync_folder
from skstrf.datasets import AudioReadError, audio_blocks
from skstrf.datasets.audio import count_samples
from skstrf.datasets.loader import as_filenames, read_many
from skstrf.transforms.base import Axis
from skstrf.transforms.strf import STRFTransformer, long_axes, transform_blocks
from skstrf.utils.cluster import WorkerDied, current_client, run_on_cluster
from skstrf.utils.optional import import_optional

if TYPE_CHECKING:
    import zarr
    from zarr.codecs import Crc32cCodec
    from zarr.storage import LocalStore
else:
    zarr = import_optional("zarr", extra="store")
    Crc32cCodec, LocalStore = zarr.codecs.Crc32cCodec, zarr.storage.LocalStore

__all__ = [
    "DurableStore",
    "FAILED",
    "OK",
    "PENDING",
    "Plan",
    "StoredTensors",
    "Work",
    "fill",
    "make_if_absent",
    "open_tensors",
    "resume",
    "rows_for_all",
    "store_tensors",
]


class DurableStore(LocalStore):
    """zarr's LocalStore, with every value on the disk before `set` returns.

    A value is written beside its place, forced to the disk, and moved there in one step, so that
    a reader finds the old or the new one and never half of it.
    """

    async def set(self, key: str, value: Any) -> None:
        """Write a value, durably."""
        await asyncio.to_thread(self.set_sync, key, value)

    def set_sync(self, key: str, value: Any) -> None:
        """Write a value, durably."""
        _write(Path(self.root) / key, memoryview(value.as_numpy_array()))


def _write(path: Path, data: memoryview) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path, suffix=".partial") as temporary:
            temporary.write_bytes(data)
        sync_folder(path.parent)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise OSError(
                error.errno,
                f"{error.strerror}. What was finished before is complete; make room and run the "
                "same again to go on from there",
                str(path),
            ) from error
        raise


FORMAT = 1
PENDING, OK, FAILED = 0, 1, 2
ENTRY = "skstrf"
# Recordings share a file of up to this size; a larger recording is cut along time instead.
FILE_BYTES = 64_000_000
# Seconds after which a store that was being made, a matter of less than one, is not any more.
ABANDONED = 3600
_REMEDY = "Write to another folder, or remove this one first."


@dataclass(frozen=True)
class StoredTensors:
    """The tensors of a corpus on disk, with what they mean.

    Attributes
    ----------
    X : zarr.Array of shape (n_sounds, ...)
        Read as it is sliced; ``dask.array.from_zarr`` takes it as it is. Rows that are not in
        `mask` are NaN.
    axes : list of Axis
        Name, unit and values of every axis after the first.
    paths : ndarray of str, (n_sounds,)
        The sound files, relative to `folder`.
    y : ndarray of str, (n_sounds,), or None
        Their labels.
    mask : ndarray of bool, (n_sounds,)
        The rows that hold a tensor.
    errors : dict of str to str
        What was wrong, by path, with files that could not be used.
    folder : str
        Where the files lay.
    settings : dict
        Transformer, version of its algorithm, all its parameters, and how the files were read.
    """

    X: zarr.Array
    axes: list[Axis]
    paths: np.ndarray
    y: np.ndarray | None
    mask: np.ndarray
    errors: dict[str, str]
    folder: str
    settings: dict[str, Any]


def open_tensors(
    path: str | os.PathLike[str],
    *,
    allow_partial: bool = False,
    allow_old: bool = False,
    transformer: Any = None,
) -> StoredTensors:
    """Open the tensors that `store_tensors` or ``skstrf transform`` has written, lazily.

    Parameters
    ----------
    path : str or Path
        The store.
    allow_partial : bool
        Also open a store whose run was stopped; rows still to be computed are not in the mask.
    allow_old : bool
        Also open a store made by another version of a transformer's algorithm than this one has,
        whose numbers do not fit those of today.
    transformer : SoundTransformer, optional
        What the tensors should have been made with, such as a stage of a fitted pipeline that is
        to learn from them or to be applied to them.

    Returns
    -------
    StoredTensors
        Tensors, axes, labels, paths and settings. Only the tensors are left on the disk.

    Raises
    ------
    ValueError
        When there is no such store, it is not complete, or it is of another version of the
        algorithm or of other parameters, which are named.

    Examples
    --------
    >>> import tempfile
    >>> from skstrf import STRFTransformer
    >>> from skstrf.datasets import load_instruments
    >>> from skstrf.corpus_store import open_tensors, store_tensors
    >>> paths = load_instruments(load_content=False).filenames[:2]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = store_tensors(paths, f"{folder}/a.zarr", STRFTransformer(), duration=1.0)
    ...     stored = open_tensors(f"{folder}/a.zarr")
    ...     stored.X.shape, stored.mask, stored.axes[0].name
    ((2, 6, 10, 128, 1), array([ True,  True]), 'scale')
    """
    group, entry = _open(Path(path), read_only=True)
    if transformer is not None:
        now = plain_settings(transformer._cache_key())
        _check_same(Path(path), {name: entry["settings"].get(name) for name in now}, now)
    if not allow_old:
        _check_age(Path(path), entry["settings"])
    status = np.asarray(group["status"][:])
    n_pending = int(np.sum(status == PENDING))
    if n_pending and not allow_partial:
        raise ValueError(
            f"{path} is not complete: {n_pending} of {len(status)} sounds are still to be "
            "transformed. Run again what has made it, or open it with allow_partial=True."
        )
    paths = np.asarray(group["paths"][:]).astype(object)
    texts = np.asarray(group["errors"][:]).astype(object)
    return StoredTensors(
        X=group["X"],
        axes=[Axis(a["name"], a["unit"], np.asarray(a["values"])) for a in entry["axes"]],
        paths=paths,
        y=np.asarray(group["y"][:]).astype(object) if "y" in group else None,
        mask=status == OK,
        errors={paths[i]: texts[i] for i in np.flatnonzero(status == FAILED)},
        folder=entry["folder"],
        settings=entry["settings"],
    )


@dataclass(frozen=True)
class Plan:
    """What a store is to hold."""

    axes: Sequence[Axis]
    dtype: Any
    paths: Sequence[str]
    y: Sequence[str] | None
    folder: str
    settings: dict[str, Any]
    stamps: np.ndarray
    most_rows: int | None = None


def resume(path: Path, plan: Plan) -> Any:
    """Open a store to go on with, if it is of the same sounds and settings.

    Rows whose file has changed become pending. No other process may be writing.
    """
    group, entry = _open(path, read_only=False)
    _check_same(path, entry["settings"], plan.settings)
    _check_sounds(path, list(group["paths"][:]), list(plan.paths))
    if plan.y is not None and list(plan.y) != list(group["y"][:] if "y" in group else []):
        raise ValueError(f"{path} was made with other labels. {_REMEDY}")
    for unfinished in path.rglob("*.partial"):  # what a kill has left; nothing refers to it
        unfinished.unlink()
    changed = (np.asarray(group["stamps"][:]) != plan.stamps).any(axis=1)
    if changed.any():
        status = np.asarray(group["status"][:])
        status[changed] = PENDING
        group["status"][:] = status
        group["stamps"][:] = plan.stamps
    return group


def make_if_absent(path: Path, plan: Plan) -> None:
    """Make an empty store, whole or not at all, unless something lies at `path` already."""
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        _open(path, read_only=True)  # raises on anything but a store
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{uuid.uuid4().hex}.partial")
    try:
        _make(zarr.create_group(DurableStore(beside)), plan)
        beside.replace(path)
        sync_folder(path.parent)
    except BaseException as error:
        _remove(beside)
        if not (isinstance(error, OSError) and path.is_dir() and any(path.iterdir())):
            raise
        _open(path, read_only=True)  # another process was quicker
    _sweep(path)


def _sweep(path: Path) -> None:
    """Remove what processes killed while making this store have left beside it."""
    for folder in path.parent.glob(f".{glob.escape(path.name)}.*.partial"):
        with suppress(OSError):  # gone already
            if time.time() - folder.stat().st_mtime > ABANDONED:
                _remove(folder)


def _remove(folder: Path) -> None:
    """Remove a folder into which zarr's other threads may still be writing after an error."""
    for _ in range(20):
        shutil.rmtree(folder, ignore_errors=True)
        time.sleep(0.05)
        if not folder.exists():
            return


def _make(group: zarr.Group, plan: Plan) -> None:
    n_sounds = len(plan.paths)
    shape = tuple(len(axis.values) for axis in plan.axes)
    n_rows = min(n_sounds, plan.most_rows or n_sounds)
    chunks, shards = _layout(n_rows, shape, np.dtype(plan.dtype).itemsize)
    group.create_array(
        "X",
        shape=(n_sounds, *shape),
        dtype=plan.dtype,
        chunks=chunks,
        shards=shards,
        fill_value=np.nan,
        # Floating-point noise does not shrink; a checksum finds damage.
        compressors=[Crc32cCodec()],
        dimension_names=["sound", *(axis.name for axis in plan.axes)],
    )
    texts = {"paths": plan.paths, "errors": [""] * n_sounds}
    for name, values in (texts if plan.y is None else {**texts, "y": plan.y}).items():
        _whole(group, name, (n_sounds,), str)[:] = np.array(values, dtype=object)
    _whole(group, "status", (n_sounds,), np.uint8)
    _whole(group, "stamps", plan.stamps.shape, np.int64)[:] = plan.stamps
    group.attrs[ENTRY] = {
        "format": FORMAT,
        "made_by": f"skstrf {__version__}",
        "folder": plan.folder,
        "settings": plan.settings,
        "axes": [{**axis._asdict(), "values": axis.values.tolist()} for axis in plan.axes],
    }


def _whole(group: zarr.Group, name: str, shape: tuple[int, ...], dtype: Any) -> zarr.Array:
    """An array that is one file, and so changes in one step."""
    return group.create_array(name, shape=shape, chunks=shape, dtype=dtype)


def _layout(
    n_rows: int, shape: tuple[int, ...], itemsize: int
) -> tuple[tuple[int, ...], tuple[int, ...] | None]:
    """Chunks, and the shards (files) they lie in: recordings together, or parts of one."""
    n_bytes = int(np.prod(shape)) * itemsize
    if n_bytes > FILE_BYTES:
        n_steps = max(1, FILE_BYTES * shape[-1] // n_bytes)
        return (1, *shape[:-1], n_steps), None
    return (1, *shape), (min(n_rows, FILE_BYTES // n_bytes), *shape)


def _open(path: Path, *, read_only: bool) -> tuple[Any, dict[str, Any]]:
    # zarr's types leave open whether a member is an array or a group; hence Any here.
    if not path.is_dir():
        found = "is a file, not a store" if path.exists() else "does not exist"
        raise ValueError(f"{path} {found}. Name the folder of a store of tensors.")
    try:
        group: Any = zarr.open_group(
            DurableStore(path, read_only=read_only), mode="r" if read_only else "r+"
        )
        entry = dict(group.attrs[ENTRY])
        entry["settings"] = plain_settings(entry["settings"])  # zarr 3.1 gives infinity itself
        missing = [n for n in ("X", "status", "paths", "errors", "stamps") if n not in group]
    except (FileNotFoundError, KeyError, ValueError, json.JSONDecodeError) as error:
        raise ValueError(
            f"{path} is not a store of tensors that skstrf transform has made. "
            "Name another folder."
        ) from error
    if missing:
        raise ValueError(f"{path} is damaged: it lacks {', '.join(missing)}. {_REMEDY}")
    if entry.get("format") != FORMAT:
        raise ValueError(
            f"{path} has format {entry.get('format')} of stores of tensors; this version of "
            f"skstrf reads format {FORMAT}. Use the version that made it ({entry.get('made_by')})."
        )
    return group, entry


def plain_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """Have settings as they come back from JSON."""
    return json.loads(json.dumps(settings, default=_plain), parse_constant=str)


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else repr(value)


def _check_age(path: Path, settings: dict[str, Any]) -> None:
    """Refuse tensors of another version of one of our algorithms than is installed."""
    known = getattr(transforms, str(settings.get("algorithm")), None)
    version = getattr(known, "_algorithm_version", settings.get("version"))
    if version != settings.get("version"):
        raise ValueError(
            f"{path} was made by version {settings.get('version')} of the algorithm of "
            f"{settings['algorithm']}, this is version {version}: its numbers would not fit. Make "
            "it again, or open it with allow_old=True to read them as they are."
        )


def _check_same(path: Path, before: dict[str, Any], now: dict[str, Any]) -> None:
    if before.get("version") != now.get("version") and before["algorithm"] == now["algorithm"]:
        raise ValueError(
            f"{path} was made by version {before.get('version')} of the algorithm of "
            f"{now['algorithm']}, this is version {now.get('version')}: its numbers would not "
            f"fit. {_REMEDY}"
        )
    names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    if names:
        differences = "; ".join(f"{n}={before.get(n)!r}, now {now.get(n)!r}" for n in names)
        raise ValueError(f"{path} was made with other settings: {differences}. {_REMEDY}")


def _check_sounds(path: Path, before: list[str], now: list[str]) -> None:
    if before == now:
        return
    new, gone = sorted(set(now) - set(before)), sorted(set(before) - set(now))
    named = [f"{len(new)} new, such as {new[0]}"] if new else []
    named += [f"{len(gone)} gone, such as {gone[0]}"] if gone else []
    raise ValueError(
        f"{path} was made from other sounds ({'; '.join(named) or 'in another order'}). {_REMEDY}"
    )


# Longer sounds, in seconds, go through STRFTransformer block by block.
LONG = 120.0
# Parts of the work for each thread of a cluster, so that none is left without for long.
PARTS = 4


class Work:
    """What is to be computed of which sounds."""

    def __init__(
        self,
        transformer: Any,
        names: list[str],
        n_times: int,
        sample_rate: int,
        offset: float,
        strict: bool,
        n_jobs: int | None,
    ) -> None:
        own = transformer.get_params(deep=False)
        given = {"sample_rate": sample_rate, "n_jobs": n_jobs, "memory": None}
        self.transformer = clone(transformer).set_params(
            **{name: value for name, value in given.items() if name in own}
        )
        self.names, self.n_times = names, n_times
        self.sample_rate, self.offset = sample_rate, offset
        self.strict, self.n_jobs = strict, n_jobs
        self.is_long = isinstance(transformer, STRFTransformer) and n_times > LONG * sample_rate
        self.axes: list[Axis]
        if self.is_long:
            self.axes = long_axes(self.transformer, n_times)
            second = [np.zeros(sample_rate, dtype=np.float32)]
            self.dtype = next(transform_blocks(self.transformer, second)).dtype
        else:
            silence = np.zeros((1, n_times), dtype=np.float32)
            self.dtype = self.transformer.fit(silence).transform(silence).dtype
            self.axes = self.transformer.axes_

    def settings(self) -> dict[str, Any]:
        """Everything that decides on the numbers, as it comes back from JSON."""
        everything = self.transformer._cache_key() | {
            "sample_rate": self.sample_rate,
            "n_times": self.n_times,
            "offset": self.offset,
            "dtype_of_tensors": self.dtype.name,
        }
        return plain_settings(everything)


def rows_for_all(n_sounds: int) -> int | None:
    """Say how many recordings a file of the store may have for all of a cluster to have work."""
    client = current_client()
    if client is None:
        return None
    return max(1, -(-n_sounds // (PARTS * sum(client.nthreads().values()))))


def fill(group: Any, path: Path, work: Work, verbose: bool) -> None:
    """Compute what is not done yet, one file of the store after the other."""
    from tqdm import tqdm

    X = group["X"]
    status = np.asarray(group["status"][:])
    n_rows = (X.shards or X.chunks)[0]
    every = [
        np.arange(first, min(first + n_rows, len(status)))
        for first in range(0, len(status), n_rows)
    ]
    parts = [rows for rows in every if not (status[rows] == OK).all()]
    with tqdm(
        total=len(status), desc="Transforming", unit="sound", disable=not verbose,
        initial=int(np.sum(status == OK)),
    ) as progress:  # fmt: skip
        for rows, errors in _written(X, path, work, parts):
            n_before = int(np.sum(status[rows] == OK))
            # The tensors are on the disk; only now do they count as done.
            if errors or (status[rows] == FAILED).any():
                texts = np.asarray(group["errors"][:]).astype(object)
                texts[rows] = [errors.get(row, "") for row in rows]
                group["errors"][:] = texts
            status[rows] = [FAILED if row in errors else OK for row in rows]
            group["status"][:] = status
            progress.update(len(rows) - n_before)


def _written(
    X: zarr.Array, path: Path, work: Work, parts: list[np.ndarray]
) -> Iterator[tuple[np.ndarray, dict[int, str]]]:
    """Yield rows whose tensors are on the disk, with what was wrong with some of them."""
    if current_client() is None:
        yield from ((rows, _fill_part(rows, X, work)) for rows in parts)
        return
    there = copy(work)
    there.names = [os.path.abspath(name) for name in work.names]
    for rows, errors in run_on_cluster(_fill_there, parts, path.resolve(), there):
        if isinstance(errors, WorkerDied):
            errors = _fill_one_by_one(rows, X, there)
        yield rows, errors


def _fill_there(rows: np.ndarray, path: Path, work: Work) -> dict[int, str]:
    X: Any = zarr.open_group(DurableStore(path), mode="r+")["X"]
    return _fill_part(rows, X, work)


def _fill_part(rows: np.ndarray, X: zarr.Array, work: Work) -> dict[int, str]:
    return _fill_long(X, work, rows) if work.is_long else _fill_rows(X, work, rows)


def _fill_rows(X: zarr.Array, work: Work, rows: np.ndarray) -> dict[int, str]:
    """Write the tensors of a few sounds; return what was wrong with those that have none."""
    tensors, errors = _compute(rows, work)
    X[rows[0] : rows[-1] + 1] = tensors
    return errors


def _compute(rows: np.ndarray, work: Work) -> tuple[np.ndarray, dict[int, str]]:
    """Give the tensors of a few sounds, NaN for those that cannot be used."""
    sounds, errors = read_many(
        [work.names[row] for row in rows],
        n_times=work.n_times,
        sample_rate=work.sample_rate,
        offset=work.offset,
        raise_errors=work.strict,
        n_jobs=work.n_jobs,
    )
    good = [i for i in range(len(rows)) if i not in errors]
    shape = [len(axis.values) for axis in work.axes]
    tensors = np.full((len(rows), *shape), np.nan, dtype=work.dtype)
    if good:
        tensors[good] = work.transformer.transform(sounds[good])
    return tensors, {int(rows[i]): error.reason for i, error in errors.items()}


def _fill_one_by_one(rows: np.ndarray, X: zarr.Array, work: Work) -> dict[int, str]:
    """Find the sounds among some that end the process which reads them; write the others."""
    tensors = np.full((len(rows), *X.shape[1:]), np.nan, dtype=X.dtype)
    errors: dict[int, str] = {}
    died = [(rows, WorkerDied())]  # a sound that is long was alone already
    alone = died if work.is_long else run_on_cluster(_compute, ([row] for row in rows), work)
    for index, (_, outcome) in enumerate(alone):
        row = int(rows[index])
        if not isinstance(outcome, WorkerDied):
            tensors[index] = outcome[0][0]
            errors |= outcome[1]
        elif work.strict:
            raise AudioReadError(work.names[row], f"{outcome.reason}. Leave it out.")
        else:
            errors[row] = outcome.reason
    X[rows[0] : rows[-1] + 1] = tensors
    return errors


def _fill_long(X: zarr.Array, work: Work, rows: np.ndarray) -> dict[int, str]:
    """Write the tensor of one sound block by block."""
    (row,) = rows
    start = 0
    try:
        blocks = audio_blocks(
            work.names[row],
            sample_rate=work.sample_rate,
            duration=work.n_times / work.sample_rate,
            offset=work.offset,
        )
        for block in transform_blocks(work.transformer, blocks, block_length=X.chunks[-1]):
            X[row, ..., start : start + block.shape[-1]] = block
            start += block.shape[-1]
    except AudioReadError as error:
        if work.strict:
            raise
        if start:
            X[row] = np.nan
        return {int(row): error.reason}
    if start != X.shape[-1]:
        raise RuntimeError(f"{work.names[row]} gave {start} frames instead of {X.shape[-1]}.")
    return {}


def store_tensors(
    filenames: Sequence[str | os.PathLike[str]],
    path: str | os.PathLike[str],
    transformer: Any,
    *,
    duration: float,
    sample_rate: int = 16000,
    offset: float = 0.0,
    y: Sequence[str] | None = None,
    folder: str | os.PathLike[str] | None = None,
    on_error: str = "warn",
    n_jobs: int | None = None,
    verbose: bool = False,
) -> StoredTensors:
    """Transform sound files, and keep the tensors in one zarr store.

    In a block of :func:`skstrf.utils.cluster.on_cluster` the workers of a cluster read the files
    and write to the store, so both must be on a disk that all of them share.

    A run that is stopped, however rudely, goes on where it was when called again with the same
    arguments: a recording counts as done only once its tensor is safe on the disk.

    Parameters
    ----------
    filenames : sequence of str or Path
        The sound files.
    path : str or Path
        The store: a folder, by custom ``.zarr``. Made if it is not there.
    transformer : SoundTransformer
        Such as STRFTransformer; its sample rate and threads are set here, and it is not fitted.
    duration : float
        Seconds of every sound; longer ones are cropped, shorter ones padded with zeros. Above
        120 s STRFTransformer works block by block, so that an hour takes no more memory than
        a minute (see :func:`skstrf.transforms.transform_blocks`).
    sample_rate : int
        Hz.
    offset : float
        Seconds to leave out at the start of each file.
    y : sequence of str, optional
        Labels of the sounds.
    folder : str or Path, optional
        File names are kept relative to it, so that it may move between two runs.
    on_error : {"warn", "raise"}
        Keep a row of NaN for a file that cannot be used and go on, or raise its error. A later
        run tries such files again.
    n_jobs : int or None
        Threads that read and transform.
    verbose : bool
        Show a progress bar.

    Returns
    -------
    StoredTensors
        As :func:`open_tensors` gives it, complete.

    Raises
    ------
    ValueError
        When there are no files, or the store is of other sounds or settings, or in use.
    OSError
        When the disk is full; what was finished before is complete.

    Examples
    --------
    >>> import tempfile
    >>> from skstrf import STRFTransformer
    >>> from skstrf.datasets import load_instruments
    >>> from skstrf.corpus_store import store_tensors
    >>> paths = load_instruments(load_content=False).filenames[:3]
    >>> with tempfile.TemporaryDirectory() as place:
    ...     stored = store_tensors(
    ...         paths, f"{place}/a.zarr", STRFTransformer(scales=[1.0]), duration=2.0
    ...     )
    ...     stored.X[1].shape
    (1, 10, 128, 2)
    """
    names = as_filenames(list(filenames)) or []
    if not names:
        raise ValueError("There are no sound files to transform.")
    if on_error not in ("warn", "raise"):
        raise ValueError(f"on_error must be 'warn' or 'raise', got {on_error!r}.")
    if y is not None and len(y) != len(names):
        raise ValueError(f"y has {len(y)} labels for {len(names)} files.")
    n_times = count_samples(duration, sample_rate, np.inf) or 1
    work = Work(transformer, names, n_times, sample_rate, offset, on_error == "raise", n_jobs)
    root = Path(folder) if folder is not None else Path()
    plan = Plan(
        axes=work.axes,
        dtype=work.dtype,
        paths=[os.path.relpath(n, root) if folder is not None else n for n in names],
        y=None if y is None else [str(label) for label in y],
        folder="" if folder is None else str(root.resolve()),
        settings=work.settings(),
        stamps=np.array([_stamp(name) for name in names], dtype=np.int64),
        most_rows=rows_for_all(len(names)),
    )
    make_if_absent(Path(path), plan)
    with _alone(Path(path)):
        fill(resume(Path(path), plan), Path(path), work, verbose)
    return open_tensors(path)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Keep other processes from writing; the system lets go when this one dies."""
    lock = import_optional("filelock", extra="store").FileLock(path / ".lock")
    try:
        lock.acquire(timeout=0)
    except TimeoutError:
        raise ValueError(f"{path} is being written by another process. Wait for it.") from None
    try:
        yield
    finally:
        lock.release()


def _stamp(name: str) -> tuple[int, int]:
    """Size and time of change; of a file that is not there, neither."""
    try:
        status = os.stat(name)
    except OSError:
        return -1, -1
    return status.st_size, status.st_mtime_ns
