"""From sound files to one array of tensors, a few files at a time, in memory or on disk."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from copy import copy
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from skstrf.datasets import AudioLoader, AudioReadError
from skstrf.pipeline import learns_nothing
from skstrf.utils.cluster import Died, current_client, run_on_cluster
from skstrf.utils.devices import resolve_device

__all__ = [
    "check_parameters",
    "chunks",
    "compute_tensors",
    "divide_pipeline",
    "fit_reduction",
    "transform_rows",
]

# Sounds in hand at a time.
CHUNK = 16
# Tensors of one data set in memory; larger ones go to a file.
MAX_BYTES = 2**30


def divide_pipeline(pipeline: Pipeline) -> tuple[Pipeline, Pipeline]:
    """Divide a pipeline after its last stage that learns nothing from the data.

    Parameters
    ----------
    pipeline : Pipeline
        An `AudioLoader` first, a classifier last.

    Returns
    -------
    head, tail : Pipeline
        Clones. The head is computed once for all folds; the tail is fitted on each.

    Raises
    ------
    ValueError
        When the pipeline has another shape.

    Examples
    --------
    >>> from skstrf.experiments import make_classification_pipeline
    >>> from skstrf.experiments.tensors import divide_pipeline
    >>> head, tail = divide_pipeline(make_classification_pipeline())
    >>> list(head.named_steps), list(tail.named_steps)
    (['loader', 'strf'], ['mpca', 'cnn'])
    """
    steps = [(name, step) for name, step in pipeline.steps if step not in (None, "passthrough")]
    if len(steps) < 2 or not isinstance(steps[0][1], AudioLoader):
        raise ValueError(
            "pipeline must begin with an AudioLoader and end with a classifier; its steps are "
            f"{', '.join(name for name, _ in pipeline.steps)}."
        )
    if not hasattr(steps[-1][1], "predict_proba"):
        raise ValueError(f"The last step of pipeline, {steps[-1][0]}, has no predict_proba.")
    stateless = [learns_nothing(step) for _, step in steps[:-1]]
    n_head = 1 + max(index for index, is_so in enumerate(stateless) if is_so)
    fresh = [(name, clone(step)) for name, step in steps]
    return Pipeline(fresh[:n_head]), Pipeline(fresh[n_head:])


def check_parameters(pipeline: Pipeline) -> None:
    """Check the parameters of every stage, before hours are spent on the first of them.

    Parameters
    ----------
    pipeline : Pipeline
        Not fitted.

    Raises
    ------
    ValueError
        For a parameter that its stage would refuse in fit, as far as can be told without data.
    """
    for _, step in pipeline.steps:
        if hasattr(step, "_parameter_constraints"):
            step._validate_params()
        if isinstance(getattr(step, "device", None), str):
            resolve_device(step.device)


def compute_tensors(
    head: Pipeline,
    filenames: Sequence[str],
    *,
    folder: str | os.PathLike[str],
    max_bytes: int = MAX_BYTES,
    verbose: bool = False,
) -> tuple[np.ndarray, dict[int, str]]:
    """Read sounds and transform them; fits `head`.

    Parameters
    ----------
    head : Pipeline
        From `divide_pipeline`.
    filenames : sequence of str
        The sound files.
    folder : str or Path
        Where the tensors go when they are large.
    max_bytes : int
        What counts as large.
    verbose : bool
        Show a progress bar.

    Returns
    -------
    tensors : ndarray or memmap of shape (n_good_sounds, ...)
        Without the files that the loader passed over (``on_error="warn"``).
    errors : dict of int to str
        What was wrong with those, by row of `filenames`.

    Raises
    ------
    AudioReadError
        With ``on_error="raise"`` in the loader, for the first file that cannot be used.
    ValueError
        When no file can be used, or a setting of `head` is wrong.
    """
    loader = head[0].fit(list(filenames))
    _fit_to_silence(loader, head.steps[1:])
    errors: dict[int, str] = {}
    tensors, n_good = np.empty(0), 0
    for rows, (block, bad) in _with_progress(_blocks(head, filenames), len(filenames), verbose):
        errors |= {int(rows[index]): reason for index, reason in bad.items()}
        if block is None:
            continue
        if not n_good:
            tensors = _allocate((len(filenames), *block.shape[1:]), block.dtype, folder, max_bytes)
        tensors[n_good : n_good + len(block)] = block
        n_good += len(block)
    if not n_good:
        raise ValueError(f"None of the {len(filenames)} sound files can be used.")
    return tensors[:n_good], errors


def fit_reduction(reduction: Pipeline | None, X: np.ndarray, rows: np.ndarray, y: Any) -> Any:
    """Fit the stages between the tensors and the classifier, and transform what they learn from.

    Tensors on disk stay there: stages that go over their data in chunks, as `TensorScaler` and
    `MPCA` do, then never have more than one chunk in memory.

    Parameters
    ----------
    reduction : Pipeline or None
        All of the tail but its classifier.
    X : ndarray or memmap of shape (n_sounds, ...)
        Tensors.
    rows : ndarray of int
        Those to learn from.
    y : ndarray of shape (n_sounds,)
        Classes of all.

    Returns
    -------
    ndarray of shape (len(rows), ...)
        The features of these rows.
    """
    if reduction is None:
        return X[rows]
    if not isinstance(X, np.memmap):
        return reduction.fit_transform(X[rows], y[rows])
    part = _copy_to_disk(X, rows)
    for _, step in reduction.steps:
        part = _transform_in_place(step.fit(part, y[rows]), part)
    return np.array(part)


def transform_rows(reduction: Pipeline | None, X: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Transform some rows chunk by chunk.

    Parameters
    ----------
    reduction : Pipeline or None
        Fitted.
    X : ndarray or memmap of shape (n_sounds, ...)
        Tensors.
    rows : ndarray of int
        At least one.

    Returns
    -------
    ndarray of shape (len(rows), ...)
        Their features.
    """
    if reduction is None:
        return X[rows]
    return np.concatenate([reduction.transform(X[part]) for part in chunks(rows)])


def chunks(rows: np.ndarray, size: int = CHUNK) -> Iterator[np.ndarray]:
    """Yield `rows` in pieces of at most `size`.

    Parameters
    ----------
    rows : ndarray
        To be cut along its first axis.
    size : int
        Of the pieces.

    Yields
    ------
    ndarray
        A piece.
    """
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


Part = tuple[np.ndarray | None, dict[int, str]]


def _fit_to_silence(loader: AudioLoader, rest: Sequence[tuple[str, Any]]) -> None:
    """Fit stages that learn nothing but the shape of the sounds."""
    n_channels = () if loader.mono else (loader.n_channels_,)
    block = np.zeros((1, *n_channels, loader.n_times_), np.float32)
    for _, step in rest[:-1]:
        block = step.fit(block).transform(block)
    for _, step in rest[-1:]:
        step.fit(block)


def _blocks(head: Pipeline, filenames: Sequence[str]) -> Iterator[tuple[np.ndarray, Part]]:
    """Yield rows, and their tensors with what is wrong with the others, here or on a cluster."""
    parts = chunks(np.arange(len(filenames)))
    if current_client() is None:
        yield from ((rows, _part(rows, head, filenames)) for rows in parts)
        return
    paths = [os.path.abspath(name) for name in filenames]
    for rows, outcome in run_on_cluster(_part, parts, head, paths):
        yield rows, _one_by_one(rows, head, paths) if isinstance(outcome, Died) else outcome


def _part(rows: np.ndarray, head: Pipeline, filenames: Sequence[str]) -> Part:
    """Compute some tensors; None where no file can be used."""
    # A copy: threads of one worker share the loader, which notes its errors in itself.
    sounds, bad = _load(copy(head[0]), [filenames[row] for row in rows])
    if len(bad) == len(rows):
        return None, bad
    block = np.delete(sounds, list(bad), axis=0)
    for _, step in head.steps[1:]:
        block = step.transform(block)
    return block, bad


def _one_by_one(rows: np.ndarray, head: Pipeline, paths: Sequence[str]) -> Part:
    """Find the files among some that end the process which reads them."""
    blocks, bad = [], {}
    alone = ([row] for row in rows)
    for index, (_, outcome) in enumerate(run_on_cluster(_part, alone, head, paths)):
        if isinstance(outcome, Died):
            if head[0].on_error == "raise":
                raise AudioReadError(paths[rows[index]], f"{outcome.reason}. Leave it out.")
            outcome = None, {0: outcome.reason}
        block, reasons = outcome
        if block is None:
            bad[index] = reasons[0]
        else:
            blocks.append(block)
    return (np.concatenate(blocks) if blocks else None), bad


def _load(loader: AudioLoader, paths: list[str]) -> tuple[np.ndarray, dict[int, str]]:
    with warnings.catch_warnings():
        # The loader warns at every chunk; run_classification does it once, for all.
        warnings.filterwarnings("ignore", message=".*cannot be used and became rows of silence")
        sounds = loader.transform(paths)
    bad = {row: loader.errors_[path] for row, path in enumerate(paths) if path in loader.errors_}
    return sounds, bad


def _allocate(shape: tuple[int, ...], dtype: Any, folder: Any, max_bytes: int) -> np.ndarray:
    if np.prod(shape, dtype=float) * np.dtype(dtype).itemsize <= max_bytes:
        return np.empty(shape, dtype)
    path = os.path.join(folder, "tensors.npy")
    return np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)


def _copy_to_disk(X: np.memmap, rows: np.ndarray) -> np.ndarray:
    """Copy some rows to a file of their own: picking them from `X` would fill the memory."""
    path = os.path.join(os.path.dirname(str(X.filename)), "part.npy")
    part = np.lib.format.open_memmap(
        path, mode="w+", dtype=X.dtype, shape=(len(rows), *X.shape[1:])
    )
    for piece in chunks(np.arange(len(rows))):
        part[piece] = X[rows[piece]]
    return part


def _transform_in_place(step: Any, part: np.ndarray) -> np.ndarray:
    """Transform tensors on disk chunk by chunk, and put the result where they were if it fits."""
    pieces = [slice(start, start + CHUNK) for start in range(0, len(part), CHUNK)]
    first = step.transform(part[pieces[0]])
    if first.shape[1:] != part.shape[1:] or first.dtype != part.dtype:
        return np.concatenate([first, *(step.transform(part[piece]) for piece in pieces[1:])])
    part[pieces[0]] = first
    for piece in pieces[1:]:
        part[piece] = step.transform(part[piece])
    return part


def _with_progress(
    parts: Iterator[tuple[np.ndarray, Part]], n_sounds: int, verbose: bool
) -> Iterator[tuple[np.ndarray, Part]]:
    if not verbose:
        yield from parts
        return
    from tqdm import tqdm

    with tqdm(total=n_sounds, desc="Sounds to tensors", unit="file") as bar:
        for rows, part in parts:
            yield rows, part
            bar.update(len(rows))
