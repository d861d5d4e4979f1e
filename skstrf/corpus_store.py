"""Tensors of a whole corpus on disk, in one zarr store that is written part by part."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import json
import os
import shutil
import stat
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
from skstrf.utils.disk import check_free_space
from skstrf.utils.messages import escape
from skstrf.utils.optional import import_optional

if TYPE_CHECKING:
    import zarr
    from zarr.codecs import Crc32cCodec
    from zarr.storage import LocalStore
else:
    zarr = import_optional("zarr", extra="store")
    Crc32cCodec, LocalStore = zarr.codecs.Crc32cCodec, zarr.storage.LocalStore

__all__ = ["StoredTensors", "open_tensors", "store_tensors"]

FORMAT = 2
PENDING, OK, FAILED = 0, 1, 2
# Files of a store beside its arrays: what does not change, and why sounds could not be used.
DESCRIPTION, ERRORS = "skstrf.json", "errors.json"
# A description is read only up to this size, far above that of a million sounds.
DESCRIPTION_BYTES = 2**30
# What the arrays of a store may consist of. None of it runs code or needs more memory than data.
DTYPES = {"X": {"float32", "float64", "complex64", "complex128"}, "status": {"uint8"}}
DTYPES["stamps"] = {"int64"}
CODECS = {"bytes", "crc32c", "sharding_indexed"}
# Bytes of a checksum, and of the entry of a chunk in the index of a shard.
CHECKSUM_BYTES, INDEX_BYTES = 4, 16
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
    store = _open(Path(path), read_only=True)
    about = store.description
    if transformer is not None:
        now = _to_json(transformer._cache_key())
        _check_same(Path(path), {name: about["settings"].get(name) for name in now}, now)
    if not allow_old:
        _check_age(Path(path), about["settings"])
    status, errors = store.progress()
    n_pending = int(np.sum(status == PENDING))
    if n_pending and not allow_partial:
        raise ValueError(
            f"{path} is not complete: {n_pending} of {len(status)} sounds are still to be "
            "transformed. Run again what has made it, or open it with allow_partial=True."
        )
    paths, y = about["paths"], about["y"]
    return StoredTensors(
        X=store.X,
        axes=[Axis(a["name"], a["unit"], np.asarray(a["values"])) for a in about["axes"]],
        paths=np.array(paths, dtype=object),
        y=None if y is None else np.array(y, dtype=object),
        mask=status == OK,
        errors={paths[row]: text for row, text in sorted(errors.items())},
        folder=about["folder"],
        settings=about["settings"],
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
        If there are no files, the disk has too little room for a new store, or the store is of
        other sounds or settings, or in use.
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
    if not Path(path).exists():
        shape = [len(axis.values) for axis in work.axes]
        check_free_space(path, len(names) * np.prod(shape, dtype=float) * work.dtype.itemsize)
    make_if_absent(Path(path), plan)
    with _alone(Path(path)):
        _fill(_resume(Path(path), plan), work, verbose)
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
    # Times after the year 2262 do not fit into 64 bits.
    return status.st_size, max(-(2**63), min(status.st_mtime_ns, 2**63 - 1))


# Layout of the store


class DurableStore(LocalStore):
    """LocalStore of zarr that writes every value atomically and durably."""

    async def set(self, key: str, value: Any) -> None:
        """Write a value; it is on the disk when this returns."""
        await asyncio.to_thread(self.set_sync, key, value)

    def set_sync(self, key: str, value: Any) -> None:
        """Write a value; it is on the disk when this returns."""
        _write(Path(self.root) / key, memoryview(value.as_numpy_array()))


def _write(path: Path, content: Any) -> None:
    """Write a file atomically and durably."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as temporary:
            temporary.write_bytes(content)
        sync_folder(path.parent)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        text = (
            f"{error.strerror}. What was finished before is complete; make room and run the "
            "same again to go on from there"
        )
        raise OSError(error.errno, text, str(path)) from error


def _write_json(path: Path, content: Any) -> None:
    """Write JSON with a checksum of its content."""
    text = json.dumps({"checksum": _checksum(content), "content": content})
    _write(path, text.encode("ascii"))


def _read_json(path: Path) -> Any:
    """Read JSON that `_write_json` has written; anything else is a ValueError."""
    try:
        found = json.loads(_read_regular(path))
        if found["checksum"] == _checksum(found["content"]):
            return found["content"]
    except (ValueError, KeyError, TypeError, RecursionError, MemoryError) as error:
        raise ValueError(f"{escape(path)} is damaged: {error}. {_REMEDY}") from error
    raise ValueError(f"{escape(path)} is damaged: its checksum is wrong. {_REMEDY}")


def _checksum(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode("ascii")).hexdigest()


def _read_regular(path: Path) -> bytes:
    """Read a regular file, for a pipe or a device would never end."""
    if not _has_bytes(path, 1, DESCRIPTION_BYTES):
        raise ValueError("it is missing, empty, or no regular file")
    return path.read_bytes()


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
        _make(beside, plan)
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


def _make(folder: Path, plan: _Plan) -> None:
    group = zarr.create_group(DurableStore(folder))
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
    _whole(group, "status", (n_sounds,), np.uint8)
    _whole(group, "stamps", plan.stamps.shape, np.int64)[:] = plan.stamps
    _write_json(
        folder / DESCRIPTION,
        {
            "format": FORMAT,
            "made_by": f"skstrf {__version__}",
            "folder": plan.folder,
            "settings": plan.settings,
            "axes": [{**axis._asdict(), "values": axis.values.tolist()} for axis in plan.axes],
            "paths": list(plan.paths),
            "y": plan.y,
            "arrays": {name: _array_checksum(folder / name) for name in DTYPES},
        },
    )


def _whole(group: zarr.Group, name: str, shape: tuple[int, ...], dtype: Any) -> zarr.Array:
    """Create an array in a single file, which changes in one step."""
    return group.create_array(
        name, shape=shape, chunks=shape, dtype=dtype, compressors=[Crc32cCodec()]
    )


def _array_checksum(folder: Path) -> str:
    """Return the checksum of the description that zarr has written of an array."""
    return hashlib.sha256(_read_regular(folder / "zarr.json")).hexdigest()


def _layout(
    n_rows: int, shape: tuple[int, ...], itemsize: int
) -> tuple[tuple[int, ...], tuple[int, ...] | None]:
    """Choose chunks and shards (files): several recordings together, or parts of one."""
    n_bytes = int(np.prod(shape)) * itemsize
    if n_bytes > FILE_BYTES:
        n_steps = max(1, FILE_BYTES * shape[-1] // n_bytes)
        return (1, *shape[:-1], n_steps), None
    return (1, *shape), (min(n_rows, FILE_BYTES // n_bytes), *shape)


@dataclass(frozen=True)
class _Store:
    """Arrays and description of a store, which have been checked against each other."""

    path: Path
    description: dict[str, Any]
    X: zarr.Array
    status: zarr.Array
    stamps: zarr.Array

    @property
    def parts(self) -> list[np.ndarray]:
        """Rows of each file of tensors, or of each row of files."""
        n_rows, n_sounds = (self.X.shards or self.X.chunks)[0], self.X.shape[0]
        starts = range(0, n_sounds, n_rows)
        return [np.arange(first, min(first + n_rows, n_sounds)) for first in starts]

    def progress(self) -> tuple[np.ndarray, dict[int, str]]:
        """Return the status of all rows, and why sounds could not be used, by row.

        Rows whose files are missing or cut short, and failures without a reason, are pending.
        """
        try:
            status = np.asarray(self.status[:])
        except ValueError as error:
            raise ValueError(f"{escape(self.path)} is damaged: {error}. {_REMEDY}") from error
        if (status > FAILED).any():
            raise ValueError(f"{escape(self.path)} is damaged: its status is wrong. {_REMEDY}")
        for rows in self.parts:
            done = rows[status[rows] == OK]
            if len(done) and not self._is_there(int(rows[0]), len(done)):
                status[done] = PENDING
        errors = self._errors()
        failed = np.flatnonzero(status == FAILED)
        status[[row for row in failed if row not in errors]] = PENDING
        return status, {row: text for row, text in errors.items() if status[row] == FAILED}

    def _errors(self) -> dict[int, str]:
        try:
            found = _read_json(self.path / ERRORS)
            return {int(row): str(text) for row, text in found.items()}
        except (OSError, ValueError, AttributeError):  # the rows are computed again
            return {}

    def files(self, first: int) -> list[Path]:
        """Return the files of tensors that begin at a row: one, or one for each part of time."""
        per_file = self.X.shards or self.X.chunks
        n_files = -(-self.X.shape[-1] // per_file[-1])
        folder = self.path.joinpath("X", "c", str(first // per_file[0]), *"0" * (self.X.ndim - 2))
        return [folder / str(index) for index in range(n_files)]

    def _is_there(self, first: int, n_done: int) -> bool:
        """Whether the files of tensors that begin at a row can hold as many finished ones."""
        least = most = int(np.prod(self.X.chunks)) * self.X.dtype.itemsize + CHECKSUM_BYTES
        if self.X.shards is not None:
            n_rows = self.X.shards[0]
            index = n_rows * INDEX_BYTES + CHECKSUM_BYTES
            least, most = n_done * least + index, n_rows * most + index
        return all(_has_bytes(file, least, most) for file in self.files(first))


def _has_bytes(path: Path, least: int, most: int) -> bool:
    """Whether a path is a regular file, not a link, of a size within limits."""
    try:
        status = path.lstat()
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) and least <= status.st_size <= most


class _Tensors(zarr.Array):
    """Array whose damaged tensors raise an error that names the store and the remedy."""

    def __getitem__(self, selection: Any) -> Any:
        with self._named():
            return super().__getitem__(selection)

    def get_orthogonal_selection(self, *args: Any, **kwargs: Any) -> Any:
        with self._named():
            return super().get_orthogonal_selection(*args, **kwargs)

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except ValueError as error:
            if not str(error).startswith("Stored and computed checksum do not match"):
                raise
            folder = getattr(self.store, "root", self.store)
            raise ValueError(
                f"A tensor in {escape(str(folder))} is damaged: its checksum is wrong. "
                "Run again what has made the store, which computes it again."
            ) from error


def _resume(path: Path, plan: _Plan) -> _Store:
    """Open a store of the same sounds and settings; changed and damaged rows are pending."""
    store = _open(path, read_only=False)
    about = store.description
    _check_same(path, about["settings"], plan.settings)
    _check_sounds(path, about["paths"], list(plan.paths))
    if plan.y is not None and list(plan.y) != about["y"]:
        raise ValueError(f"{path} was made with other labels. {_REMEDY}")
    for folder, folders, files in os.walk(path):
        for name in [*folders, *files]:
            if os.path.islink(link := os.path.join(folder, name)):
                # A run would write wherever it leads.
                raise ValueError(f"{escape(link)} is a link. Replace it by what it links to.")
        sweep(folder, age=0)
    status, _ = store.progress()
    try:
        changed = (np.asarray(store.stamps[:]) != plan.stamps).any(axis=1)
    except ValueError:  # damaged
        changed = np.ones(len(status), dtype=bool)
    status[changed] = PENDING
    for rows in store.parts:
        if (status[rows] == OK).any() and not _is_sound(store.X, rows):
            status[rows] = PENDING
        if (status[rows] != OK).all():
            # zarr would read a damaged file to write a part of it.
            for file in store.files(int(rows[0])):
                file.unlink(missing_ok=True)
    store.status[:] = status
    if changed.any():
        store.stamps[:] = plan.stamps
    return store


def _is_sound(X: zarr.Array, rows: np.ndarray) -> bool:
    """Whether the files of some rows can be read, with right checksums."""
    n_steps = X.chunks[-1]
    try:
        for start in range(0, X.shape[-1], n_steps):
            X[rows[0] : rows[-1] + 1, ..., start : start + n_steps]
    except ValueError:
        return False
    return True


def _open(path: Path, *, read_only: bool) -> _Store:
    if not path.is_dir():
        found = "is a file, not a store" if path.exists() else "does not exist"
        raise ValueError(f"{path} {found}. Name the folder of a store of tensors.")
    if not (path / DESCRIPTION).exists():
        if (path / "paths").is_dir():  # of format 1, which had no checksums
            raise ValueError(
                f"{path} was made by an older version of skstrf, whose stores cannot be checked. "
                "Make it again with the same command in another folder, or read it with the "
                "version that made it."
            )
        raise ValueError(
            f"{path} is not a store of tensors that skstrf transform has made. "
            "Name another folder."
        )
    about = _read_json(path / DESCRIPTION)
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        version = about.get("format") if isinstance(about, dict) else None
        raise ValueError(
            f"{path} has format {version} of stores of tensors; this version of skstrf reads "
            f"format {FORMAT}. Use the version that made it."
        )
    try:
        n_sounds, tensor_shape = _check_description(about)
        shapes = {
            "X": (n_sounds, *tensor_shape),
            "status": (n_sounds,),
            "stamps": (n_sounds, 2),
        }
        for name, shape in shapes.items():
            _check_array(path / name, about["arrays"][name], shape)
        disk = DurableStore(path, read_only=read_only)
        arrays = {
            name: zarr.open_array(disk, path=name, mode="r" if read_only else "r+", zarr_format=3)
            for name in shapes
        }
        if arrays["X"].dtype != about["settings"]["dtype_of_tensors"]:
            raise ValueError("the dtype of X is not that of its settings")
    except Exception as error:  # a damaged description can raise anything
        raise ValueError(f"{escape(path)} is damaged: {error}. {_REMEDY}") from error
    # The public name of this attribute is newer than the oldest zarr that is supported.
    arrays["X"] = _Tensors(arrays["X"]._async_array)
    return _Store(path, about, **arrays)


def _check_description(about: dict[str, Any]) -> tuple[int, tuple[int, ...]]:
    """Check the description of a store; return the number of sounds and the shape of a tensor."""
    kinds = {"folder": str, "settings": dict, "axes": list, "paths": list, "arrays": dict}
    for name, kind in kinds.items():
        if not isinstance(about[name], kind):
            raise ValueError(f"its {name} is no {kind.__name__}")
    paths, labels = about["paths"], about["y"]
    for texts in (paths, [] if labels is None else labels):
        if not all(isinstance(text, str) for text in texts):
            raise ValueError("its paths and labels are not text")
    if not paths or (labels is not None and len(labels) != len(paths)):
        raise ValueError(f"it has {len(labels or [])} labels for {len(paths)} paths")
    if not isinstance(about["settings"].get("algorithm"), str):
        raise ValueError("its settings name no algorithm")
    for axis in about["axes"]:
        if set(axis) != set(Axis._fields) or np.asarray(axis["values"]).dtype.kind not in "if":
            raise ValueError("its axes are not named and numbered")
    return len(paths), tuple(len(axis["values"]) for axis in about["axes"])


def _check_array(folder: Path, checksum: str, shape: tuple[int, ...]) -> None:
    """Check what zarr would do for an array, before zarr does it."""
    name = folder.name
    if _array_checksum(folder) != checksum:
        raise ValueError(f"the checksum of {name}/zarr.json is wrong")
    about = json.loads((folder / "zarr.json").read_bytes())
    grid = about["chunk_grid"]["configuration"]["chunk_shape"]
    inner, used = _codecs(about["codecs"])
    layout = {
        "kind": about["node_type"] == "array" and about["zarr_format"] == 3,
        "shape": about["shape"] == list(shape),
        "data_type": about["data_type"] in DTYPES[name],
        "codecs": used <= CODECS and not about.get("storage_transformers"),
        "chunk_key_encoding": about["chunk_key_encoding"]
        == {"name": "default", "configuration": {"separator": "/"}},
        "chunk_grid": about["chunk_grid"]["name"] == "regular" and _fits(name, grid, inner, shape),
    }
    if name != "X":
        file = folder.joinpath("c", *"0" * len(shape))
        n_bytes = int(np.prod(shape)) * np.dtype(about["data_type"]).itemsize + CHECKSUM_BYTES
        # A missing file means that nothing is finished.
        layout["data"] = not os.path.lexists(file) or _has_bytes(file, n_bytes, n_bytes)
    if wrong := [key for key, right in layout.items() if not right]:
        raise ValueError(f"{name}/zarr.json has a {wrong[0]} that no store of skstrf has")


def _codecs(codecs: list[dict[str, Any]]) -> tuple[list[int] | None, set[str]]:
    """Return the shape of the chunks in a shard, if any, and the names of all codecs."""
    used: set[str] = {codec["name"] for codec in codecs}
    inner = None
    if codecs[0]["name"] == "sharding_indexed":
        shard = codecs[0]["configuration"]
        inner = shard["chunk_shape"]
        within = {codec["name"] for codec in [*shard["codecs"], *shard["index_codecs"]]}
        used |= within | ({"nested"} if "sharding_indexed" in within else set())
    return inner, used


def _fits(name: str, grid: list[int], inner: list[int] | None, shape: tuple[int, ...]) -> bool:
    """Whether an array is divided into files and chunks as `_layout` and `_whole` do."""
    within = all(1 <= size <= length for size, length in zip(grid, shape, strict=True))
    if name != "X":
        return grid == list(shape) and inner is None
    if inner is None:
        return within and grid[:-1] == [1, *shape[1:-1]]
    return within and grid[1:] == list(shape[1:]) and inner == [1, *shape[1:]]


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


def _fill(store: _Store, work: _Work, verbose: bool) -> None:
    """Compute the pending rows, one file of the store after the other."""
    from tqdm import tqdm

    status, reasons = store.progress()
    parts = [rows for rows in store.parts if not (status[rows] == OK).all()]
    with tqdm(
        total=len(status), desc="Transforming", unit="sound", disable=not verbose,
        initial=int(np.sum(status == OK)),
    ) as progress:  # fmt: skip
        for rows, errors in _written(store.X, store.path, work, parts):
            n_before = int(np.sum(status[rows] == OK))
            # The tensors are on the disk: from now on they count as finished.
            if errors or (status[rows] == FAILED).any():
                kept = {row: text for row, text in reasons.items() if row not in rows}
                reasons = {**kept, **errors}
                _write_json(store.path / ERRORS, {str(row): reasons[row] for row in reasons})
            status[rows] = [FAILED if row in errors else OK for row in rows]
            store.status[:] = status
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
    X = zarr.open_array(DurableStore(path), path="X", mode="r+", zarr_format=3)
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
