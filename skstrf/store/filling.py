"""Filling a store with tensors, here or on a cluster: what is done is on the disk."""

from __future__ import annotations

import os
from collections.abc import Iterator
from copy import copy
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from sklearn.base import clone

from skstrf.datasets import AudioReadError, audio_blocks
from skstrf.datasets.batch import read_many
from skstrf.store.durable import DurableStore
from skstrf.store.tensors import FAILED, OK, plain_settings
from skstrf.transforms.axes import Axis
from skstrf.transforms.long import long_axes, transform_blocks
from skstrf.transforms.strf import STRFTransformer
from skstrf.utils.cluster import Died, current_client, run_on_cluster

__all__ = ["Work", "fill", "rows_for_all"]

# Longer sounds, in seconds, go through STRFTransformer block by block.
LONG = 120.0
# Parts of the work for each thread of a cluster, so that none is left without for long.
PARTS = 4


class Work:
    """What is to be computed of which sounds.

    Parameters
    ----------
    transformer : SoundTransformer
        Not fitted.
    names : list of str
        The sound files.
    n_times, sample_rate, offset : int, int, float
        Length of the sounds in samples, Hz, and seconds to leave out at their start.
    strict : bool
        Raise the error of a file that cannot be used.
    n_jobs : int or None
        Threads that read and transform.
    """

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
    """Say how many recordings a file of the store may have for all of a cluster to have work.

    Parameters
    ----------
    n_sounds : int
        In the store.

    Returns
    -------
    int or None
        None without a cluster: a file is computed by one task, whatever its size.
    """
    client = current_client()
    if client is None:
        return None
    return max(1, -(-n_sounds // (PARTS * sum(client.nthreads().values()))))


def fill(group: Any, path: Path, work: Work, verbose: bool) -> None:
    """Compute what is not done yet, one file of the store after the other.

    Parameters
    ----------
    group : zarr.Group
        From `resume`.
    path : Path
        Where it is.
    work : Work
        What to compute.
    verbose : bool
        Show a progress bar.
    """
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
        if isinstance(errors, Died):
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
    died = [(rows, Died())]  # a sound that is long was alone already
    alone = died if work.is_long else run_on_cluster(_compute, ([row] for row in rows), work)
    for index, (_, outcome) in enumerate(alone):
        row = int(rows[index])
        if not isinstance(outcome, Died):
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
