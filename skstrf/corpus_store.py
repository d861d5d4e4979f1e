"""Tensors of a whole corpus on disk, in one zarr store that is written part by part."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import clone

from skstrf import transforms
from skstrf._version import __version__
from skstrf.caching.files import atomic_write, sweep, sync_folder, temporary_name
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

__all__ = ["StoredTensors", "open_tensors", "store_tensors"]

FORMAT = 1
PENDING, OK, FAILED = 0, 1, 2
ENTRY = "skstrf"
# Recordings share a file of up to this size; a larger recording is cut along time instead.
FILE_BYTES = 64_000_000
# Duration in seconds above which STRFTransformer processes sounds in blocks.
LONG = 120.0
# Parts of the work for each thread of a cluster, so that all threads stay busy to the end.
PARTS = 4
_REMEDY = "Write to another folder, or remove this one first."


@dataclass(frozen=True)
class StoredTensors:
    """The tensors of a corpus on disk with their description, see `open_tensors`."""

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
        Folder of the store.
    allow_partial : bool, default=False
        Whether to open a store whose run was interrupted. Its pending rows are not in the mask.
    allow_old : bool, default=False
        Whether to open a store made by another version of the algorithm of a transformer, whose
        values differ from those of the present version.
    transformer : SoundTransformer or None, default=None
        Transformer that the tensors must have been computed with, such as a stage of a fitted
        pipeline. None accepts any.

    Returns
    -------
    StoredTensors
        An object with the tensors ``X``, which are read when they are sliced and of which rows
        that are not in ``mask`` are NaN; ``axes``, with name, unit and values of every axis after
        the first; ``paths`` of the files relative to ``folder``; labels ``y`` or None; ``errors``,
        with the reasons, by path, why files could not be used; and ``settings``: the transformer
        with the version of its algorithm, its parameters, and how files were read.

    Raises
    ------
    ValueError
        If there is no such store, it is incomplete, or it was made with another version of the
        algorithm or other parameters, which are listed.

    See Also
    --------
    store_tensors : Computes and stores the tensors.

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
        now = _to_json(transformer._cache_key())
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

    An interrupted run resumes when it is called again with the same arguments: a recording counts
    as finished only when its tensor is safely on the disk.

    Parameters
    ----------
    filenames : sequence of str or Path
        Paths of the sound files.
    path : str or Path
        Folder of the store, by convention with the extension ``.zarr``. It is created if it does
        not exist.
    transformer : SoundTransformer
        Transformer such as `STRFTransformer`. A clone with `sample_rate` and `n_jobs` is used.
    duration : float
        Duration of every sound in seconds; longer sounds are cropped, shorter ones padded with
        zeros. Above 120 s `STRFTransformer` works block by block, so that an hour takes no more
        memory than a minute (see :func:`skstrf.transforms.transform_blocks`).
    sample_rate : int, default=16000
        Sampling rate of the sounds in Hz.
    offset : float, default=0.0
        Time in seconds at which reading starts in each file.
    y : sequence of str or None, default=None
        Labels of the sounds.
    folder : str, Path or None, default=None
        Folder to which the stored paths are relative, so that it can move between two runs.
    on_error : {"warn", "raise"}, default="warn"
        Handling of a file that cannot be used: "warn" stores a row of NaN, which a later run
        tries again, "raise" raises the error.
    n_jobs : int or None, default=None
        Number of threads that read and transform, as in joblib.
    verbose : bool, default=False
        Whether to show a progress bar.

    Returns
    -------
    StoredTensors
        The complete store as from :func:`open_tensors`.

    Raises
    ------
    ValueError
        If there are no files, or the store is of other sounds or settings, or in use.
    OSError
        If the disk is full; everything that was finished before is complete.

    See Also
    --------
    open_tensors : Opens the store.

    Notes
    -----
    In a block of :func:`skstrf.utils.cluster.on_cluster` the workers of a cluster read the files
    and write to the store, so both must be on a disk that all of them share.

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
    work = _Work(transformer, names, n_times, sample_rate, offset, on_error == "raise", n_jobs)
    root = Path(folder) if folder is not None else Path()
    plan = _Plan(
        axes=work.axes,
        dtype=work.dtype,
        paths=[os.path.relpath(n, root) if folder is not None else n for n in names],
        y=None if y is None else [str(label) for label in y],
        folder="" if folder is None else str(root.resolve()),
        settings=work.settings(),
        stamps=np.array([_stamp(name) for name in names], dtype=np.int64),
        most_rows=_rows_for_all(len(names)),
    )
    make_if_absent(Path(path), plan)
    with _alone(Path(path)):
        _fill(_resume(Path(path), plan), Path(path), work, verbose)
    return open_tensors(path)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Lock the store against other processes; the system unlocks it when this one dies."""
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
    """Return size and modification time of a file, or -1 if it does not exist."""
    try:
        status = os.stat(name)
    except OSError:
        return -1, -1
    return status.st_size, status.st_mtime_ns


# Layout of the store


class DurableStore(LocalStore):
    """LocalStore of zarr that writes every value atomically and durably."""

    async def set(self, key: str, value: Any) -> None:
        """Write a value; it is on the disk when this returns."""
        await asyncio.to_thread(self.set_sync, key, value)

    def set_sync(self, key: str, value: Any) -> None:
        """Write a value; it is on the disk when this returns."""
        path = Path(self.root) / key
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(path) as temporary:
                temporary.write_bytes(memoryview(value.as_numpy_array()))
            sync_folder(path.parent)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            text = (
                f"{error.strerror}. What was finished before is complete; make room and run the "
                "same again to go on from there"
            )
            raise OSError(error.errno, text, str(path)) from error


@dataclass(frozen=True)
class _Plan:
    """Description of a store: everything but its tensors."""

    axes: Sequence[Axis]
    dtype: Any
    paths: Sequence[str]
    y: Sequence[str] | None
    folder: str
    settings: dict[str, Any]
    stamps: np.ndarray
    most_rows: int | None = None


def make_if_absent(path: Path, plan: _Plan) -> None:
    """Make an empty store, completely or not at all, unless `path` exists already."""
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        _open(path, read_only=True)  # raises on anything but a store
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(temporary_name())
    try:
        _make(zarr.create_group(DurableStore(beside)), plan)
        beside.replace(path)
        sync_folder(path.parent)
    except BaseException as error:
        _remove(beside)
        if not (isinstance(error, OSError) and path.is_dir() and any(path.iterdir())):
            raise
        _open(path, read_only=True)  # another process has made it meanwhile
    sweep(path.parent)


def _remove(folder: Path) -> None:
    """Remove a folder into which threads of zarr can still be writing after an error."""
    for _ in range(20):
        shutil.rmtree(folder, ignore_errors=True)
        time.sleep(0.05)
        if not folder.exists():
            return


def _make(group: zarr.Group, plan: _Plan) -> None:
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
    """Create an array in a single file, which changes in one step."""
    return group.create_array(name, shape=shape, chunks=shape, dtype=dtype)


def _layout(
    n_rows: int, shape: tuple[int, ...], itemsize: int
) -> tuple[tuple[int, ...], tuple[int, ...] | None]:
    """Choose chunks and shards (files): several recordings together, or parts of one."""
    n_bytes = int(np.prod(shape)) * itemsize
    if n_bytes > FILE_BYTES:
        n_steps = max(1, FILE_BYTES * shape[-1] // n_bytes)
        return (1, *shape[:-1], n_steps), None
    return (1, *shape), (min(n_rows, FILE_BYTES // n_bytes), *shape)


def _resume(path: Path, plan: _Plan) -> Any:
    """Open a store of the same sounds and settings; rows whose file has changed are pending."""
    group, entry = _open(path, read_only=False)
    _check_same(path, entry["settings"], plan.settings)
    _check_sounds(path, list(group["paths"][:]), list(plan.paths))
    if plan.y is not None and list(plan.y) != list(group["y"][:] if "y" in group else []):
        raise ValueError(f"{path} was made with other labels. {_REMEDY}")
    for folder, _, _ in os.walk(path):
        sweep(folder, age=0)
    changed = (np.asarray(group["stamps"][:]) != plan.stamps).any(axis=1)
    if changed.any():
        status = np.asarray(group["status"][:])
        status[changed] = PENDING
        group["status"][:] = status
        group["stamps"][:] = plan.stamps
    return group


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
        entry["settings"] = _to_json(entry["settings"])  # zarr 3.1 gives infinity itself
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


def _to_json(settings: dict[str, Any]) -> dict[str, Any]:
    """Convert settings to what JSON returns for them."""
    return json.loads(json.dumps(settings, default=_plain), parse_constant=str)


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else repr(value)


def _check_age(path: Path, settings: dict[str, Any]) -> None:
    """Refuse tensors of another version of an algorithm of this package."""
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


# Computation of the tensors


class _Work:
    """Sounds and the transformer that computes their tensors."""

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
        """Return everything that determines the values, as JSON returns it."""
        everything = self.transformer._cache_key() | {
            "sample_rate": self.sample_rate,
            "n_times": self.n_times,
            "offset": self.offset,
            "dtype_of_tensors": self.dtype.name,
        }
        return _to_json(everything)


def _rows_for_all(n_sounds: int) -> int | None:
    """Limit the recordings per file so that all threads of a cluster have work."""
    client = current_client()
    if client is None:
        return None
    return max(1, -(-n_sounds // (PARTS * sum(client.nthreads().values()))))


def _fill(group: Any, path: Path, work: _Work, verbose: bool) -> None:
    """Compute the pending rows, one file of the store after the other."""
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
            # The tensors are on the disk: from now on they count as finished.
            if errors or (status[rows] == FAILED).any():
                texts = np.asarray(group["errors"][:]).astype(object)
                texts[rows] = [errors.get(row, "") for row in rows]
                group["errors"][:] = texts
            status[rows] = [FAILED if row in errors else OK for row in rows]
            group["status"][:] = status
            progress.update(len(rows) - n_before)


def _written(
    X: zarr.Array, path: Path, work: _Work, parts: list[np.ndarray]
) -> Iterator[tuple[np.ndarray, dict[int, str]]]:
    """Yield rows whose tensors are on the disk, with the errors of unusable files by row."""
    if current_client() is None:
        yield from ((rows, _fill_part(rows, X, work)) for rows in parts)
        return
    there = copy(work)
    there.names = [os.path.abspath(name) for name in work.names]
    for rows, errors in run_on_cluster(_fill_there, parts, path.resolve(), there):
        if isinstance(errors, WorkerDied):
            errors = _fill_one_by_one(rows, X, there)
        yield rows, errors


def _fill_there(rows: np.ndarray, path: Path, work: _Work) -> dict[int, str]:
    X: Any = zarr.open_group(DurableStore(path), mode="r+")["X"]
    return _fill_part(rows, X, work)


def _fill_part(rows: np.ndarray, X: zarr.Array, work: _Work) -> dict[int, str]:
    """Write the tensors of a few sounds; return the errors by row."""
    if work.is_long:
        return _fill_long(X, work, rows)
    tensors, errors = _compute(rows, work)
    X[rows[0] : rows[-1] + 1] = tensors
    return errors


def _compute(rows: np.ndarray, work: _Work) -> tuple[np.ndarray, dict[int, str]]:
    """Compute the tensors of a few sounds, NaN for unusable files, and the errors by row."""
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


def _fill_one_by_one(rows: np.ndarray, X: zarr.Array, work: _Work) -> dict[int, str]:
    """Find the sounds that crash the process which reads them; write the others."""
    tensors = np.full((len(rows), *X.shape[1:]), np.nan, dtype=X.dtype)
    errors: dict[int, str] = {}
    died = [(rows, WorkerDied())]  # a long sound was alone already
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


def _fill_long(X: zarr.Array, work: _Work, rows: np.ndarray) -> dict[int, str]:
    """Write the tensor of one long sound block by block."""
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
