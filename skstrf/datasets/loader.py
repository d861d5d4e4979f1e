"""Reading many sound files, in parallel, without one bad file costing the others."""

from __future__ import annotations

import logging
import os
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from copy import copy
from itertools import chain
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import validate_data

from skstrf.datasets.audio import (
    DURATION,
    MAX_DURATION,
    OFFSET,
    SAMPLE_RATE,
    check_wanted,
    count_samples,
    fix_length,
    read_audio,
)
from skstrf.datasets.headers import AudioInfo, AudioReadError, audio_info
from skstrf.multilinear.moments import reduce_blocks
from skstrf.utils.lazy import is_dask, map_samples, whole_samples
from skstrf.utils.validation import (
    Integral,
    StrOptions,
    check_is_fitted,
    check_lazy_array,
    fit_context,
    shape_proxy,
)

__all__ = [
    "AudioLoader",
    "as_paths",
    "common_channels",
    "read_many",
    "scan_headers",
    "summarize_errors",
    "warn_of_errors",
    "with_progress",
]

logger = logging.getLogger("skstrf")


N_NAMED = 5


def as_paths(X: Any) -> list[str] | None:
    """Take `X` for paths if it holds paths: a list of them, or one column."""
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
    """Read many files to one array, all cropped or padded to one length."""
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


def summarize_errors(errors: Sequence[AudioReadError], n_files: int, fate: str) -> str:
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


class AudioLoader(TransformerMixin, BaseEstimator):
    """Read sound files to an array of sounds of one length and sample rate.

    Parameters
    ----------
    sample_rate : int
        Sample rate of the sounds in Hz.
    duration : float or None
        Length of the sounds in seconds: longer files are cropped, shorter ones padded with zeros
        at the end. None: the longest sound seen in `fit`, by the headers.
    offset : float
        Seconds to leave out at the start of each file.
    mono : bool
        Average the channels. Otherwise all files must have the same number of channels.
    on_error : {"raise", "warn"}
        What to do about a file that cannot be used: raise its error, or go on with a row of
        silence in its place and warn once, at the end.
    n_jobs : int or None
        Threads that read files, as joblib counts them. The result does not depend on it.
    verbose : bool
        Show a progress bar.

    Attributes
    ----------
    n_times_ : int
        Samples of each sound.
    n_channels_ : int
        1 if `mono`; otherwise the number of channels that most files seen in `fit` have.
    errors_ : dict of str to str
        What was wrong, by path, with the files that could not be used in the latest `fit` or
        `transform`.
    n_features_in_ : int
        Length of axis 1 of the arrays seen in `fit`; absent after paths.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Only when `fit` saw a DataFrame of numbers.

    See Also
    --------
    read_audio : Reads one file; says what counts as an error.
    load_audio_folder : Reads a folder, with labels.

    Notes
    -----
    Sounds that are already loaded, as an array (n_sounds, n_times) at `sample_rate`, pass
    through: cropped or padded to `n_times_`, but without `offset`, which belongs to files.
    So ``transform`` of its own output changes nothing. Floats keep their dtype, integers
    become float64.

    With a `duration` and ``mono=True`` there is nothing to learn, and `fit` opens no file.

    A dask array of paths gives a lazy dask array of sounds: files are read block by block, where
    the blocks are computed, so workers must find them by these paths. What was wrong with files
    is then in the warnings of the workers, not in ``errors_``. Without a `duration`, `fit` has
    the workers read the headers.

    Examples
    --------
    >>> from skstrf.datasets import AudioLoader, load_instruments
    >>> paths = load_instruments(load_content=False).filenames[:3]
    >>> AudioLoader(duration=2.0).fit_transform(paths).shape
    (3, 32000)
    """

    _parameter_constraints: dict[str, list[Any]] = {
        "sample_rate": [SAMPLE_RATE],
        "duration": [DURATION, None],
        "offset": [OFFSET],
        "mono": ["boolean"],
        "on_error": [StrOptions({"raise", "warn"})],
        "n_jobs": [None, Integral],
        "verbose": ["boolean"],
    }

    def __init__(
        self,
        sample_rate=16000,
        duration=None,
        offset=0.0,
        mono=True,
        on_error="raise",
        n_jobs=None,
        verbose=False,
    ):
        self.sample_rate = sample_rate
        self.duration = duration
        self.offset = offset
        self.mono = mono
        self.on_error = on_error
        self.n_jobs = n_jobs
        self.verbose = verbose

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Learn the length of the sounds, from headers alone.

        Parameters
        ----------
        X : list, array or dask array of str or Path, (n_sounds,) or (n_sounds, 1); or of numbers
            Paths, or sounds that are already loaded: (n_sounds, n_times), and with
            ``mono=False`` also (n_sounds, n_channels, n_times).
        y : None
            Ignored.

        Returns
        -------
        AudioLoader
            The fitted loader.

        Raises
        ------
        ValueError
            When `X` holds neither paths nor finite numbers, or no file can be used.
        AudioReadError
            With ``on_error="raise"``, for a file whose header tells that it cannot be used.
        """
        paths = _paths(X)
        self.errors_: dict[str, str] = {}
        if paths is None:
            sounds = self._loaded(X, reset=True)
            n_longest, self.n_channels_ = sounds.shape[-1], 1 if self.mono else sounds.shape[1]
        else:
            for name in {"n_features_in_", "feature_names_in_"} & set(vars(self)):
                delattr(self, name)
            n_longest, self.n_channels_ = self._scan(paths)
        self.n_times_ = self._n_samples(n_longest)
        return self

    def transform(self, X):
        """Read the files.

        Parameters
        ----------
        X : list, array or dask array of str or Path, (n_sounds,) or (n_sounds, 1); or of numbers
            As in `fit`.

        Returns
        -------
        ndarray or dask array of shape (n_sounds, n_times) or (n_sounds, n_channels, n_times)
            The latter with ``mono=False``. float32 from files. Lazy for a dask array, with the
            same blocks.

        Raises
        ------
        AudioReadError
            With ``on_error="raise"``, for the first file that cannot be used.
        ValueError
            When `X` holds neither paths nor finite numbers.
        """
        check_is_fitted(self)
        paths = _paths(X)
        if is_dask(X):
            return self._lazy(X, paths)
        if paths is None:
            self.errors_ = {}
            return self._fixed(X)
        sounds, self.errors_, message = self._read(paths)
        if message:
            warn_of_errors(message)
        return sounds

    def _lazy(self, X: Any, paths: Any) -> Any:
        """Read, or crop and pad, every block when it is computed."""
        self.errors_ = {}
        shape = (self.n_times_,) if self.mono else (self.n_channels_, self.n_times_)
        # A copy: fitting again must not change what is still to be computed.
        if paths is not None:
            return map_samples(paths, copy(self)._read_block, shape, np.float32)
        sounds = self._loaded(X, reset=False)
        return map_samples(sounds, copy(self)._fixed, shape, sounds.dtype)

    def _fixed(self, sounds: Any) -> np.ndarray:
        return fix_length(self._loaded(sounds, reset=False), self.n_times_)

    def _read_block(self, block: np.ndarray) -> np.ndarray:
        sounds, _, message = self._read(as_paths(block) or [])
        if message:
            warnings.warn(message, UserWarning, stacklevel=2)
        return sounds

    def _read(self, paths: list[str]) -> tuple[np.ndarray, dict[str, str], str]:
        """Read files; also what was wrong with which, by path and in one message."""
        sounds, errors = read_many(
            paths,
            n_times=self.n_times_,
            sample_rate=self.sample_rate,
            offset=self.offset,
            n_channels=None if self.mono else self.n_channels_,
            raise_errors=self.on_error == "raise",
            n_jobs=self.n_jobs,
            verbose=self.verbose,
        )
        reasons = {paths[row]: error.reason for row, error in errors.items()}
        message = ""
        if errors:
            found = list(errors.values())
            message = summarize_errors(found, len(paths), "became rows of silence")
        return sounds, reasons, message

    def _n_samples(self, n_longest: int) -> int:
        wanted = count_samples(self.duration, self.sample_rate, max_duration=np.inf)
        return n_longest if wanted is None else wanted

    def _scan(self, paths: Any) -> tuple[int, int]:
        """Longest sound and usual number of channels, of the files whose headers are good."""
        if self.duration is not None and self.mono:
            return 0, 1
        if is_dask(paths):
            found = reduce_blocks(paths, copy(self)._headers, _joined)
        else:
            found = self._headers(paths)
        errors = [item for item in found if isinstance(item, AudioReadError)]
        infos = [item for item in found if isinstance(item, AudioInfo)]
        if errors and self.on_error == "raise":
            raise errors[0]
        if not infos:
            raise ValueError(summarize_errors(errors, len(paths), "there is nothing to fit on"))
        if errors:
            # Only logged: transform of the same files is to be the one that warns.
            logger.warning(summarize_errors(errors, len(paths), "were left out of fit"))
            self.errors_ = {str(error.path): error.reason for error in errors}
        n_longest = max(info.n_times(self.sample_rate, self.offset) for info in infos)
        return n_longest, 1 if self.mono else common_channels(infos)

    def _headers(self, paths: Any) -> list[AudioInfo | AudioReadError]:
        return scan_headers(
            as_paths(paths) or [],
            sample_rate=self.sample_rate,
            duration=self.duration,
            offset=self.offset,
            n_jobs=self.n_jobs,
        )

    def _loaded(self, X: Any, *, reset: bool) -> Any:
        """Check sounds that are already loaded; (n_sounds, n_channels, n_times) if not mono."""
        if is_dask(X):
            X = check_lazy_array(self, X)
            self._loaded(shape_proxy(X), reset=reset)
            return X[:, np.newaxis] if not self.mono and X.ndim == 2 else X
        sounds = validate_data(
            self, X, reset=reset, dtype=(np.float64, np.float32), allow_nd=not self.mono
        )
        if not self.mono and sounds.ndim == 2:
            sounds = sounds[:, np.newaxis]
        if sounds.ndim != (2 if self.mono else 3) or sounds.size == 0:
            raise ValueError(
                f"AudioLoader got an array of shape {np.shape(X)}: expected (n_sounds, n_times), "
                "or with mono=False (n_sounds, n_channels, n_times), no axis empty."
            )
        if not reset and not self.mono and sounds.shape[1] != self.n_channels_:
            raise ValueError(
                f"AudioLoader was fitted on sounds of {self.n_channels_} channels and now gets "
                f"{sounds.shape[1]}. Use mono=True, or sounds with the same channels."
            )
        return sounds

    def __sklearn_tags__(self):
        """Say that arrays of channels may come in with ``mono=False``, and floats stay."""
        tags = super().__sklearn_tags__()
        # `string` stays False although paths go in: with it scikit-learn would demand that
        # an array of numbers with something else among them is accepted.
        tags.input_tags.three_d_array = not self.mono
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _paths(X: Any) -> Any:
    """Give paths as a list, or as a dask array in blocks of whole ones; None for sounds."""
    if not is_dask(X):
        return as_paths(X)
    if X.dtype.kind not in "OUST":
        return None
    paths = whole_samples(X, "AudioLoader")
    if paths.ndim > 2 or (paths.ndim == 2 and paths.shape[1] != 1):
        raise ValueError(
            f"AudioLoader got a dask array of paths of shape {paths.shape}: expected (n_sounds,) "
            "or (n_sounds, 1). Pass the column of paths alone."
        )
    return paths


def _joined(parts: Sequence[list[Any]]) -> list[Any]:
    return list(chain.from_iterable(parts))
