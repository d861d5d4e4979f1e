"""The cochlear stage for sounds too long to hold: blocks of samples in, blocks of frames out.

The cochlea remembers (states of the filters, membranes, the leaky integration), so its memory is
carried from block to block: joined, the blocks are the whole, bit for bit.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from .cochlea import _check_sounds, _frame_settings, _run_kernel, model_sample_rate

__all__ = ["FrameFile", "auditory_spectrogram_blocks"]

# Samples handed to the kernel at a time: about 16 MB of work arrays, and many frames per call.
_SAMPLES = 1 << 18
# Frames written to a file at a time.
_FRAMES = 1024


def auditory_spectrogram_blocks(
    blocks: Iterable[Any],
    *,
    sample_rate: float = 16000,
    frame_length: float = 8.0,
    time_constant: float = 8.0,
    nonlinearity: str | float = "linear",
    octave_shift: float = 0,
    n_jobs: int | None = None,
) -> Iterator[np.ndarray]:
    """Auditory spectrogram of one sound that comes block by block, in flat memory.

    Parameters
    ----------
    blocks : iterable of array-like of shape (n_times,)
        The sound, cut anywhere; blocks may differ in length and be empty.
    sample_rate, frame_length, time_constant, nonlinearity, octave_shift, n_jobs
        As in :func:`auditory_spectrogram`.

    Yields
    ------
    ndarray of shape (128, n_frames)
        Joined along the last axis they equal :func:`auditory_spectrogram` of the joined sound
        exactly, resampling included. float32 when the first block is, else float64.

    Raises
    ------
    ValueError
        As :func:`auditory_spectrogram`; also for a block that is not one-dimensional.

    See Also
    --------
    skstrf.auditory.cortical_transform_blocks : The next stage.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf.auditory import auditory_spectrogram, auditory_spectrogram_blocks
    >>> sound = np.random.default_rng(0).standard_normal(40000)
    >>> parts = auditory_spectrogram_blocks(np.array_split(sound, 7))
    >>> bool((np.concatenate(list(parts), axis=1) == auditory_spectrogram(sound)).all())
    True
    """
    rate = model_sample_rate(octave_shift)
    settings = _frame_settings(rate, frame_length, time_constant, nonlinearity)
    sound = _resampled(_checked(blocks), sample_rate, rate)
    memories: dict = {}
    for part in _whole_frames(sound, settings.n_samples):
        yield _run_kernel(part[np.newaxis], settings, n_jobs, part.dtype, memories)[0]


class FrameFile:
    """A spectrogram, real or complex, that lies in a temporary file and not in memory.

    Slices along time, ``frames[:, first:last]``, are read when they are asked for; a memory map
    would count every page it has touched as memory in use.

    Parameters
    ----------
    dtype : dtype
        Of the values.
    n_freqs : int
        Rows.
    folder : str or Path, optional
        Where the file is made; None takes the system's folder for temporary files. The file has
        no name and is gone with this object.

    Attributes
    ----------
    shape : tuple of int
        ``(n_freqs, n_frames)`` so far.
    dtype : dtype
        Of the values.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf.auditory.long import FrameFile
    >>> frames = FrameFile(np.float32, 128)
    >>> for _ in range(3):
    ...     frames.append(np.ones((128, 10)))
    >>> frames.shape, frames[:, 5:25].shape
    ((128, 30), (128, 20))
    """

    ndim = 2

    def __init__(self, dtype: Any, n_freqs: int, folder: Any = None) -> None:
        self.dtype = np.dtype(dtype)
        self.shape = (n_freqs, 0)
        self._place = str(folder or tempfile.gettempdir())
        self._file = tempfile.TemporaryFile(prefix="skstrf-", dir=folder)  # noqa: SIM115

    def append(self, frames: np.ndarray) -> None:
        """Add frames, (n_freqs, n), at the end; a full disk is an OSError that names the place."""
        try:
            # Frame after frame, so that a stretch of time is a stretch of the file.
            for first in range(0, frames.shape[1], _FRAMES):
                part = frames[:, first : first + _FRAMES].T
                self._file.write(np.ascontiguousarray(part, dtype=self.dtype).data)
            self._file.flush()
        except OSError as error:
            raise OSError(
                error.errno,
                f"{error.strerror} while a spectrogram is written. Make room, or name another "
                "folder for temporary files (environment variable TMPDIR)",
                self._place,
            ) from error
        self.shape = (self.shape[0], self.shape[1] + frames.shape[1])

    def __getitem__(self, key: tuple[slice, slice]) -> np.ndarray:
        rows, columns = key
        first, last, step = columns.indices(self.shape[1])
        n_freqs, n_frames = self.shape[0], max(0, last - first)
        self._file.seek(first * n_freqs * self.dtype.itemsize)
        data = np.fromfile(self._file, self.dtype, n_frames * n_freqs)
        return data.reshape(n_frames, n_freqs).T[rows, ::step]

    def close(self) -> None:
        """Give the space on the disk back."""
        self._file.close()


def _checked(blocks: Iterable[Any]) -> Iterator[np.ndarray]:
    """Check every block; all get the dtype of the first."""
    dtype = None
    for block in blocks:
        array = np.asarray(block)
        if array.ndim != 1:
            raise ValueError(
                "A block must be one-dimensional, a stretch of one sound; got shape "
                f"{array.shape}."
            )
        if array.size == 0:
            continue
        array = _check_sounds(array)
        dtype = dtype or array.dtype
        yield array.astype(dtype, copy=False)
    if dtype is None:
        raise ValueError("The sound has no samples: every block is empty.")


def _resampled(blocks: Iterable[np.ndarray], from_rate: float, to_rate: float) -> Iterator:
    """Resample as :func:`skstrf.auditory.resample` does, across the borders of the blocks."""
    if not (np.isfinite(from_rate) and from_rate > 0):
        raise ValueError(f"sample_rate must be a positive number of Hz, got {from_rate!r}.")
    if from_rate == to_rate:
        yield from blocks
        return
    import soxr

    stream, dtype, n_out = None, np.dtype(np.float64), 0
    for block in blocks:
        if stream is None:
            dtype = block.dtype
            stream = soxr.ResampleStream(from_rate, to_rate, 1, dtype=dtype.name, quality="HQ")
        part = stream.resample_chunk(block)
        n_out += part.size
        yield part
    if stream is not None:
        part = stream.resample_chunk(np.zeros(0, dtype), last=True)
        # A sound of one or two samples can vanish.
        yield part if n_out + part.size else np.zeros(1, dtype)


def _whole_frames(blocks: Iterable[np.ndarray], n_samples: int) -> Iterator[np.ndarray]:
    """Cut again, into long stretches of whole frames; the last one ends where the sound does."""
    wanted = -(-_SAMPLES // n_samples) * n_samples
    held: list[np.ndarray] = []
    n_held = 0
    for block in blocks:
        for start in range(0, len(block), wanted):
            # A copy, as the caller may reuse the memory of a block.
            held.append(block[start : start + wanted].copy())
            n_held += held[-1].size
            if n_held >= wanted:
                joined = np.concatenate(held)
                yield joined[:wanted]
                held, n_held = [joined[wanted:]], n_held - wanted
    if n_held:
        yield np.concatenate(held)
