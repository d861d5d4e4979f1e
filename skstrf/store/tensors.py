"""What lies in a store of tensors, and how it is made, gone on with and opened."""

from __future__ import annotations

import glob
import json
import os
import shutil
import time
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.codecs import Crc32cCodec

from skstrf import transforms
from skstrf._version import __version__
from skstrf.store.durable import DurableStore, sync_folder
from skstrf.transforms.axes import Axis

__all__ = [
    "FAILED",
    "OK",
    "PENDING",
    "StoredTensors",
    "open_tensors",
    "Plan",
    "make_if_absent",
    "resume",
]

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
    >>> from skstrf.store import open_tensors, store_tensors
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
    """What a store is to hold.

    Attributes
    ----------
    axes : sequence of Axis
        Of the tensors, without the sounds.
    dtype : dtype
        Of the tensors.
    paths, y : sequence of str
        The files, and their labels if they have any.
    folder : str
        Where they lie.
    settings : dict
        Everything that decides on the numbers, as JSON knows it.
    stamps : ndarray of int64, (n_sounds, 2)
        Size and time of change of the files.
    most_rows : int or None
        Most recordings in one file of the store, where less than its usual size is wanted.
    """

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

    Parameters
    ----------
    path : Path
        The store.
    plan : Plan
        What it is to hold.

    Returns
    -------
    zarr.Group
        With the arrays X, status, errors, stamps, paths and, with labels, y.

    Raises
    ------
    ValueError
        When `path` holds something else, or a store of other sounds, other settings or another
        version of the algorithm, naming what differs.
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
    """Make an empty store, whole or not at all, unless something lies at `path` already.

    Parameters
    ----------
    path : Path
        The store. An empty folder counts as nothing.
    plan : Plan
        What it is to hold.
    """
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
    """Have settings as they come back from JSON.

    Parameters
    ----------
    settings : dict
        Of plain values, arrays and anything with a telling repr.

    Returns
    -------
    dict
        Of lists, finite numbers, texts and None. Infinity and NaN are texts, as JSON has no such
        numbers and versions of zarr differ in what they make of them.

    Examples
    --------
    >>> from skstrf.store.tensors import plain_settings
    >>> plain_settings({"rates": (4, 8), "norm": float("inf")})
    {'rates': [4, 8], 'norm': 'Infinity'}
    """
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
