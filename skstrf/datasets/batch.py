"""Reading many sound files, in parallel, without one bad file costing the others."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from joblib import Parallel, delayed

from skstrf.datasets.audio import MAX_DURATION, check_wanted, read_audio
from skstrf.datasets.headers import AudioInfo, AudioReadError, audio_info

__all__ = [
    "as_paths",
    "common_channels",
    "read_many",
    "scan_headers",
    "summarise_errors",
    "warn_of_errors",
    "with_progress",
]

N_NAMED = 5


def as_paths(X: Any) -> list[str] | None:
    """Take `X` for paths if it holds paths: a list of them, or one column.

    Parameters
    ----------
    X : list, tuple, ndarray, Series or DataFrame
        Anything that an estimator may be given.

    Returns
    -------
    list of str or None
        None when `X` does not hold paths (numbers, presumably).

    Raises
    ------
    ValueError
        For a single path, paths mixed with other things, or several columns of text.

    Examples
    --------
    >>> from pathlib import Path
    >>> from skstrf.datasets.batch import as_paths
    >>> as_paths([Path("a.wav"), "b.wav"])
    ['a.wav', 'b.wav']
    >>> as_paths([["a.wav"], ["b.wav"]])
    ['a.wav', 'b.wav']
    >>> as_paths([[0.0, 1.0]]) is None
    True
    """
    if isinstance(X, (str, bytes, os.PathLike)):
        raise ValueError(f"X must be a list of paths, got the single path {X!r}. Write [path].")
    if not isinstance(X, (list, tuple)):
        # Objects without a dtype of text or things (numeric arrays, sparse matrices) are sounds.
        array = np.asarray(X) if hasattr(X, "__array__") else X
        if getattr(getattr(array, "dtype", None), "kind", "") not in ("O", "U", "S", "T"):
            return None
        if array.ndim == 0:
            return as_paths(array.item())
        X = list(array)
    items = [_only(item) for item in X]
    are_paths = [isinstance(item, (str, bytes, os.PathLike)) for item in items]
    if not any(are_paths):
        if any(_is_row_of_text(item) for item in items):
            raise ValueError(
                "X has rows of several texts where one column of paths is expected. "
                "Pass the column of paths alone."
            )
        return None
    if not all(are_paths):
        index = are_paths.index(False)
        raise ValueError(f"X holds paths, but element {index} is {items[index]!r}. Leave it out.")
    return [os.fsdecode(item) for item in items]


def _only(item: Any) -> Any:
    is_row = isinstance(item, (list, tuple)) or (isinstance(item, np.ndarray) and item.ndim == 1)
    return item[0] if is_row and len(item) == 1 else item


def _is_row_of_text(item: Any) -> bool:
    is_row = isinstance(item, (list, tuple, np.ndarray)) and np.ndim(item) == 1 and len(item) > 1
    return is_row and all(isinstance(part, (str, os.PathLike)) for part in item)


def scan_headers(
    paths: Sequence[str],
    *,
    sample_rate: int,
    duration: float | None,
    offset: float,
    max_duration: float = MAX_DURATION,
    n_jobs: int | None = None,
) -> list[AudioInfo | AudioReadError]:
    """Read the headers of many files: for each its `AudioInfo`, or what is wrong with it."""

    def scan(path: str) -> AudioInfo | AudioReadError:
        try:
            info = audio_info(path)
            check_wanted(info, sample_rate, offset, duration, max_duration)
        except AudioReadError as error:
            return error
        return info

    return list(_in_threads(scan, paths, n_jobs))


def read_many(
    paths: Sequence[str],
    *,
    n_times: int,
    sample_rate: int,
    offset: float = 0.0,
    n_channels: int | None = None,
    raise_errors: bool = True,
    n_jobs: int | None = None,
    verbose: bool = False,
) -> tuple[np.ndarray, dict[int, AudioReadError]]:
    """Read many files to one array, all cropped or padded to one length.

    Parameters
    ----------
    paths : sequence of str
        The files.
    n_times : int
        Samples of each sound.
    sample_rate : int
        In Hz.
    offset : float
        Seconds to leave out at the start of each.
    n_channels : int or None
        None: average the channels. A number: keep them apart; other files are errors.
    raise_errors : bool
        Raise the error of the first bad file (first in `paths`); otherwise leave its row zero.
    n_jobs : int or None
        Threads, as joblib counts them. The result does not depend on it.
    verbose : bool
        Show a progress bar.

    Returns
    -------
    sounds : ndarray of shape (n_sounds, n_times) or (n_sounds, n_channels, n_times), float32
        Rows of bad files are zero.
    errors : dict of int to AudioReadError
        What was wrong, by row.

    Examples
    --------
    >>> from skstrf.datasets.batch import read_many
    >>> sounds, errors = read_many(
    ...     ["missing.wav"], n_times=4, sample_rate=16000, raise_errors=False
    ... )
    >>> sounds.shape, list(errors)
    ((1, 4), [0])
    """
    shape = (n_times,) if n_channels is None else (n_channels, n_times)
    # Zeros take no memory before they are written to, so a wild n_times costs nothing yet.
    sounds = np.zeros((len(paths), *shape), dtype=np.float32)
    duration = n_times / sample_rate
    limit = max(duration, MAX_DURATION)
    errors: dict[int, AudioReadError] = {}

    def read(row: int) -> None:
        # Once one fails the rest need not be read, but those before it must be: which error
        # is raised is not to depend on the threads.
        if raise_errors and row > min(list(errors), default=row):
            return
        try:
            sound = read_audio(
                paths[row],
                sample_rate=sample_rate,
                duration=duration,
                offset=offset,
                mono=n_channels is None,
                max_duration=limit,
            )
            if sound.shape != shape:
                raise AudioReadError(
                    paths[row],
                    f"has {len(sound)} channels where {n_channels} are expected. "
                    "Use mono=True, or convert it.",
                )
            sounds[row] = sound
        except AudioReadError as error:
            errors[row] = error

    outcomes = _in_threads(read, range(len(paths)), n_jobs)
    for _ in with_progress(outcomes, len(paths), verbose):
        pass
    if errors and raise_errors:
        error = errors[min(errors)]
        error.add_note("With on_error='warn' the other files are read all the same.")
        raise error
    return sounds, dict(sorted(errors.items()))


def common_channels(infos: Iterable[AudioInfo]) -> int:
    """Return the number of channels that most files have, so that one odd file is the bad one."""
    return Counter(info.n_channels for info in infos).most_common(1)[0][0]


def summarise_errors(errors: Sequence[AudioReadError], n_files: int, fate: str) -> str:
    """Put the errors of many files into one message that names the first few."""
    named = "\n".join(f"  {error}" for error in errors[:N_NAMED])
    more = f"\n  and {len(errors) - N_NAMED} more" if len(errors) > N_NAMED else ""
    return f"{len(errors)} of {n_files} sound files cannot be used and {fate}:\n{named}{more}"


def warn_of_errors(message: str) -> None:
    """Warn at the line that called the public function (4: scikit-learn wraps it once)."""
    warnings.warn(message, UserWarning, stacklevel=4)


def _in_threads(function: Callable[[Any], Any], items: Iterable[Any], n_jobs: int | None) -> Any:
    """Yield ``function(item)`` in order; libsndfile and soxr let threads run side by side."""
    parallel = Parallel(n_jobs=n_jobs, require="sharedmem", return_as="generator")
    return parallel(delayed(function)(item) for item in items)


def with_progress(outcomes: Iterable[Any], total: int, verbose: bool) -> Iterable[Any]:
    """Show a progress bar while `outcomes` come in, if `verbose`."""
    if not verbose:
        return outcomes
    from tqdm import tqdm

    return tqdm(outcomes, total=total, desc="Reading sounds", unit="file")
