"""The transform of many sound files, straight to disk, in flat memory."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from skstrf.datasets.audio import count_samples
from skstrf.datasets.batch import as_paths
from skstrf.store.filling import Work, fill, rows_for_all
from skstrf.store.tensors import Plan, StoredTensors, make_if_absent, open_tensors, resume

__all__ = ["store_tensors"]


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
    lock = FileLock(path / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
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
