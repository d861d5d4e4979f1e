"""The transform of many sound files, straight to disk, in flat memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from filelock import FileLock, Timeout
from sklearn.base import clone

from skstrf.datasets import AudioReadError, audio_blocks
from skstrf.datasets.audio import count_samples
from skstrf.datasets.batch import as_paths, read_many
from skstrf.store.tensors import (
    FAILED,
    OK,
    Plan,
    StoredTensors,
    make_if_absent,
    open_tensors,
    plain_settings,
    resume,
)
from skstrf.transforms.axes import Axis
from skstrf.transforms.long import long_axes, transform_blocks
from skstrf.transforms.strf import STRFTransformer

__all__ = ["store_tensors"]

# Longer sounds, in seconds, go through STRFTransformer block by block.
LONG = 120.0


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
    >>> from skstrf.store import store_tensors
    >>> paths = load_instruments(load_content=False).filenames[:3]
    >>> with tempfile.TemporaryDirectory() as place:
    ...     stored = store_tensors(
    ...         paths, f"{place}/a.zarr", STRFTransformer(scales=[1.0]), duration=2.0
    ...     )
    ...     stored.X[1].shape
    (1, 10, 128, 2)
    """
    names = as_paths(list(filenames)) or []
    if not names:
        raise ValueError("There are no sound files to transform.")
    if on_error not in ("warn", "raise"):
        raise ValueError(f"on_error must be 'warn' or 'raise', got {on_error!r}.")
    if y is not None and len(y) != len(names):
        raise ValueError(f"y has {len(y)} labels for {len(names)} files.")
    n_times = count_samples(duration, sample_rate, np.inf) or 1
    work = _Work(transformer, names, n_times, sample_rate, offset, on_error == "raise", n_jobs)
    root = Path(folder) if folder is not None else Path()
    plan = Plan(
        axes=work.axes,
        dtype=work.dtype,
        paths=[os.path.relpath(n, root) if folder is not None else n for n in names],
        y=None if y is None else [str(label) for label in y],
        folder="" if folder is None else str(root.resolve()),
        settings=work.settings(),
        stamps=np.array([_stamp(name) for name in names], dtype=np.int64),
    )
    make_if_absent(Path(path), plan)
    with _alone(Path(path)):
        _fill(resume(Path(path), plan), work, verbose)
    return open_tensors(path)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Keep other processes from writing; the system lets go when this one dies."""
    lock = FileLock(path / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise ValueError(f"{path} is being written by another process. Wait for it.") from None
    try:
        yield
    finally:
        lock.release()


class _Work:
    """What is to be computed of which sounds."""

    def __init__(self, transformer, names, n_times, sample_rate, offset, strict, n_jobs) -> None:
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


def _stamp(name: str) -> tuple[int, int]:
    """Size and time of change; of a file that is not there, neither."""
    try:
        status = os.stat(name)
    except OSError:
        return -1, -1
    return status.st_size, status.st_mtime_ns


def _fill(group: Any, work: _Work, verbose: bool) -> None:
    """Compute what is not done yet, one file of the store after the other."""
    from tqdm import tqdm

    X = group["X"]
    status = np.asarray(group["status"][:])
    n_rows = (X.shards or X.chunks)[0]
    compute: Callable = _fill_long if work.is_long else _fill_rows
    with tqdm(
        total=len(status), desc="Transforming", unit="sound", disable=not verbose,
        initial=int(np.sum(status == OK)),
    ) as progress:  # fmt: skip
        for first in range(0, len(status), n_rows):
            rows = np.arange(first, min(first + n_rows, len(status)))
            if (status[rows] == OK).all():
                continue
            n_before = int(np.sum(status[rows] == OK))
            errors = compute(X, work, rows)
            # The tensors are on the disk; only now do they count as done.
            if errors or (status[rows] == FAILED).any():
                texts = np.asarray(group["errors"][:]).astype(object)
                texts[rows] = [errors.get(row, "") for row in rows]
                group["errors"][:] = texts
            status[rows] = [FAILED if row in errors else OK for row in rows]
            group["status"][:] = status
            progress.update(len(rows) - n_before)


def _fill_rows(X: zarr.Array, work: _Work, rows: np.ndarray) -> dict[int, str]:
    """Write the tensors of a few sounds; return what was wrong with those that have none."""
    sounds, errors = read_many(
        [work.names[row] for row in rows],
        n_times=work.n_times,
        sample_rate=work.sample_rate,
        offset=work.offset,
        raise_errors=work.strict,
        n_jobs=work.n_jobs,
    )
    good = [i for i in range(len(rows)) if i not in errors]
    tensors = np.full((len(rows), *X.shape[1:]), np.nan, dtype=X.dtype)
    if good:
        tensors[good] = work.transformer.transform(sounds[good])
    X[rows[0] : rows[-1] + 1] = tensors
    return {int(rows[i]): error.reason for i, error in errors.items()}


def _fill_long(X: zarr.Array, work: _Work, rows: np.ndarray) -> dict[int, str]:
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
