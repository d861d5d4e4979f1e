"""Reading many sound files into one array; one unusable file does not affect the others."""

from __future__ import annotations

import logging
import os
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
    MAX_DURATION,
    READING,
    check_header,
    count_samples,
    fix_length,
    read_audio,
)
from skstrf.datasets.headers import AudioInfo, AudioReadError, audio_info
from skstrf.utils.lazy import is_dask, map_samples, reduce_blocks, whole_samples
from skstrf.utils.messages import describe_skipped, warn_user
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
    "as_filenames",
    "read_headers",
    "read_many",
    "skipped_files",
    "with_progress",
]

logger = logging.getLogger("skstrf")


def as_filenames(X: Any) -> list[str] | None:
    """Return the paths in `X` as a list of str, or None if `X` does not hold paths."""
    if isinstance(X, (str, bytes, os.PathLike)):
        raise ValueError(f"X must be a list of paths, got the single path {X!r}. Write [path].")
    if not isinstance(X, (list, tuple)):
        # Objects without a dtype of text or things (numeric arrays, sparse matrices) are sounds.
        array = np.asarray(X) if hasattr(X, "__array__") else X
        if getattr(getattr(array, "dtype", None), "kind", "") not in ("O", "U", "S", "T"):
            return None
        if array.ndim == 0:
            return as_filenames(array.item())
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


def read_headers(
    filenames: Sequence[str],
    *,
    duration: float | None,
    offset: float,
    max_duration: float = MAX_DURATION,
    n_jobs: int | None = None,
) -> list[AudioInfo | AudioReadError]:
    """Read the headers of many files; the error takes the place of the header of a bad file."""

    def read(filename: str) -> AudioInfo | AudioReadError:
        try:
            info = audio_info(filename)
            check_header(info, offset, duration, max_duration)
        except AudioReadError as error:
            return error
        return info

    return list(_in_threads(read, filenames, n_jobs))


def read_many(
    filenames: Sequence[str],
    *,
    n_times: int,
    sample_rate: int,
    offset: float = 0.0,
    n_channels: int | None = None,
    raise_errors: bool = True,
    n_jobs: int | None = None,
    verbose: bool = False,
) -> tuple[np.ndarray, dict[int, AudioReadError]]:
    """Read many files into one array; also return the errors of unusable files by row.

    The sounds are cropped or padded to `n_times` samples. The row of an unusable file is silent.
    With `raise_errors` the first error is raised instead.
    """
    shape = (n_times,) if n_channels is None else (n_channels, n_times)
    # Zeros take no memory before they are written to, so a huge n_times costs nothing yet.
    sounds = np.zeros((len(filenames), *shape), dtype=np.float32)
    duration = n_times / sample_rate
    limit = max(duration, MAX_DURATION)
    errors: dict[int, AudioReadError] = {}

    def read(row: int) -> None:
        # After a failure the files behind it need not be read, but those before it must be: the
        # error that is raised must not depend on the threads.
        if raise_errors and row > min(list(errors), default=row):
            return
        try:
            sound = read_audio(
                filenames[row],
                sample_rate=sample_rate,
                duration=duration,
                offset=offset,
                mono=n_channels is None,
                max_duration=limit,
            )
            if sound.shape != shape:
                raise AudioReadError(
                    filenames[row],
                    f"has {len(sound)} channels where {n_channels} are expected. "
                    "Use mono=True, or convert it.",
                )
            sounds[row] = sound
        except AudioReadError as error:
            errors[row] = error

    outcomes = _in_threads(read, range(len(filenames)), n_jobs)
    for _ in with_progress(outcomes, len(filenames), verbose):
        pass
    if errors and raise_errors:
        error = errors[min(errors)]
        error.add_note("With on_error='warn' the other files are read all the same.")
        raise error
    return sounds, dict(sorted(errors.items()))


def skipped_files(errors: Iterable[AudioReadError]) -> list[tuple[str, str]]:
    """List errors as pairs of a file and the reason why it cannot be used."""
    return [(str(error.path), error.reason) for error in errors]


def _in_threads(function: Callable[[Any], Any], items: Iterable[Any], n_jobs: int | None) -> Any:
    """Yield ``function(item)`` in order; libsndfile and soxr release the GIL."""
    parallel = Parallel(n_jobs=n_jobs, require="sharedmem", return_as="generator")
    return parallel(delayed(function)(item) for item in items)


def with_progress(outcomes: Iterable[Any], total: int, verbose: bool) -> Iterable[Any]:
    """Show a progress bar over `outcomes` if `verbose`."""
    if not verbose:
        return outcomes
    from tqdm import tqdm

    return tqdm(outcomes, total=total, desc="Reading sounds", unit="file")


class AudioLoader(TransformerMixin, BaseEstimator):
    """Read sound files into an array of sounds of one length and sampling rate.

    Parameters
    ----------
    sample_rate : int, default=16000
        Sampling rate of the sounds in Hz.
    duration : float or None, default=None
        Duration of the sounds in seconds: longer files are cropped, shorter ones padded with
        zeros at the end. None uses the duration of the longest sound seen in `fit`, according to
        the headers.
    offset : float, default=0.0
        Time in seconds at which reading starts in each file.
    mono : bool, default=True
        Whether to average the channels. Otherwise all files must have the same number of
        channels.
    on_error : {"raise", "warn"}, default="raise"
        Handling of a file that cannot be used: "raise" raises its error, "warn" replaces it by a
        row of silence and issues one warning for all such files.
    n_jobs : int or None, default=None
        Number of threads that read files, as in joblib. The result does not depend on it.
    verbose : bool, default=False
        Whether to show a progress bar.

    Attributes
    ----------
    n_times_ : int
        Number of samples of each sound.
    n_channels_ : int
        Number of channels: 1 if `mono`, otherwise that of most files seen in `fit`.
    errors_ : dict of str to str
        Reasons, by path, why files could not be used in the latest `fit` or `transform`.
    n_features_in_ : int
        Length of axis 1 of the arrays seen in `fit`; not defined after paths.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Column names, defined only when `fit` saw a DataFrame of numbers.

    See Also
    --------
    read_audio : Reads one file and defines what counts as an error.
    load_audio_folder : Reads a folder of sounds with their classes.

    Notes
    -----
    Sounds that are already loaded, as an array of shape (n_sounds, n_times) at `sample_rate`,
    are cropped or padded to `n_times_`, without `offset`, which applies to files. Thus
    ``transform`` of its own output changes nothing. Floats keep their dtype, integers become
    float64.

    With a `duration` and ``mono=True``, `fit` has nothing to learn and opens no file.

    A dask array of paths gives a lazy dask array of sounds: files are read block by block where
    the blocks are computed, so the workers must find them under these paths. Unusable files are
    then reported by the warnings of the workers, not by ``errors_``. Without a `duration`, the
    workers read the headers in `fit`.

    Examples
    --------
    >>> from skstrf.datasets import AudioLoader, load_instruments
    >>> paths = load_instruments(load_content=False).filenames[:3]
    >>> AudioLoader(duration=2.0).fit_transform(paths).shape
    (3, 32000)
    """

    # transform reads every file on its own: pipelines may cache it sound by sound.
    _is_stateless = True
    _parameter_constraints: dict[str, list[Any]] = {
        **READING,
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
        """Determine the length of the sounds from the headers alone.

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
            If `X` holds neither paths nor finite numbers, or no file can be used.
        AudioReadError
            With ``on_error="raise"``, if the header of a file shows that it cannot be used.
        """
        filenames = _lazy_filenames(X)
        self.errors_: dict[str, str] = {}
        if filenames is None:
            sounds = self._loaded(X, reset=True)
            n_longest, self.n_channels_ = sounds.shape[-1], 1 if self.mono else sounds.shape[1]
        else:
            for name in {"n_features_in_", "feature_names_in_"} & set(vars(self)):
                delattr(self, name)
            n_longest, self.n_channels_ = self._scan(filenames)
        wanted = count_samples(self.duration, self.sample_rate, max_duration=np.inf)
        self.n_times_ = n_longest if wanted is None else wanted
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
            The sounds, with channels if ``mono=False``. Their dtype is float32 if they are read
            from files. A dask array gives a lazy dask array with the same blocks.

        Raises
        ------
        AudioReadError
            With ``on_error="raise"``, for the first file that cannot be used.
        ValueError
            If `X` holds neither paths nor finite numbers.

        Warns
        -----
        UserWarning
            With ``on_error="warn"``, for files that cannot be used.
        """
        check_is_fitted(self)
        filenames = _lazy_filenames(X)
        self.errors_ = {}
        if not is_dask(X):
            return self._fixed(X) if filenames is None else self._read_or_warn(filenames)
        shape = (self.n_times_,) if self.mono else (self.n_channels_, self.n_times_)
        # A copy: fitting again must not change what is still to be computed.
        if filenames is not None:
            return map_samples(filenames, copy(self)._read_block, shape, np.float32)
        sounds = self._loaded(X, reset=False)
        return map_samples(sounds, copy(self)._fixed, shape, sounds.dtype)

    def read(self, filenames):
        """Read the files, and return the errors of unusable ones instead of warning.

        Parameters
        ----------
        filenames : sequence of str
            Paths of the sound files.

        Returns
        -------
        sounds : ndarray of shape (n_sounds, n_times) or (n_sounds, n_channels, n_times)
            As from `transform`; the rows of unusable files are silent.
        errors : dict of int to AudioReadError
            The errors of unusable files by row.

        Raises
        ------
        AudioReadError
            With ``on_error="raise"``, for the first file that cannot be used.
        """
        check_is_fitted(self)
        return read_many(
            filenames,
            n_times=self.n_times_,
            sample_rate=self.sample_rate,
            offset=self.offset,
            n_channels=None if self.mono else self.n_channels_,
            raise_errors=self.on_error == "raise",
            n_jobs=self.n_jobs,
            verbose=self.verbose,
        )

    def _read_or_warn(self, filenames: Sequence[str]) -> np.ndarray:
        sounds, errors = self.read(filenames)
        skipped = skipped_files(errors.values())
        self.errors_ = dict(skipped)
        if skipped:
            n_files = len(filenames)
            warn_user(
                describe_skipped(
                    skipped,
                    f"{len(skipped)} of {n_files} sound files cannot be used and became rows of "
                    "silence",
                )
            )
        return sounds

    def _read_block(self, block: np.ndarray) -> np.ndarray:
        return copy(self)._read_or_warn(as_filenames(block) or [])

    def _fixed(self, sounds: Any) -> np.ndarray:
        return fix_length(self._loaded(sounds, reset=False), self.n_times_)

    def _scan(self, filenames: Any) -> tuple[int, int]:
        """Find the longest sound and the usual number of channels from the readable headers."""
        if self.duration is not None and self.mono:
            return 0, 1
        if is_dask(filenames):
            found = reduce_blocks(filenames, copy(self)._headers, _joined)
        else:
            found = self._headers(filenames)
        errors = [item for item in found if isinstance(item, AudioReadError)]
        infos = [item for item in found if isinstance(item, AudioInfo)]
        if errors and self.on_error == "raise":
            raise errors[0]
        if errors:
            skipped = skipped_files(errors)
            count = f"{len(errors)} of {len(filenames)} sound files cannot be used and"
            if not infos:
                raise ValueError(describe_skipped(skipped, f"{count} there is nothing to fit on"))
            # Only logged, because transform of the same files warns.
            logger.warning(describe_skipped(skipped, f"{count} were left out of fit"))
            self.errors_ = dict(skipped)
        n_longest = max(info.n_times(self.sample_rate, self.offset) for info in infos)
        if self.mono:
            return n_longest, 1
        # The number of channels that most files have, so that one odd file is the bad one.
        return n_longest, Counter(info.n_channels for info in infos).most_common(1)[0][0]

    def _headers(self, filenames: Any) -> list[AudioInfo | AudioReadError]:
        return read_headers(
            as_filenames(filenames) or [],
            duration=self.duration,
            offset=self.offset,
            n_jobs=self.n_jobs,
        )

    def _loaded(self, X: Any, *, reset: bool) -> Any:
        """Check sounds that are already loaded; add the axis of channels if not mono."""
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
        """Tell scikit-learn the kinds of input and output."""
        tags = super().__sklearn_tags__()
        # `string` stays False although paths are accepted: with it scikit-learn would demand
        # that an array of numbers with other objects among them is accepted.
        tags.input_tags.three_d_array = not self.mono
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _lazy_filenames(X: Any) -> Any:
    """Return paths as a list, or as a dask array cut along the first axis; None for sounds."""
    if not is_dask(X):
        return as_filenames(X)
    if X.dtype.kind not in "OUST":
        return None
    filenames = whole_samples(X, "AudioLoader")
    if filenames.ndim > 2 or (filenames.ndim == 2 and filenames.shape[1] != 1):
        raise ValueError(
            f"AudioLoader got a dask array of paths of shape {filenames.shape}: expected "
            "(n_sounds,) or (n_sounds, 1). Pass the column of paths alone."
        )
    return filenames


def _joined(parts: Sequence[list[Any]]) -> list[Any]:
    return list(chain.from_iterable(parts))
