"""Reading a sound file of any length block by block, under the same rules as the whole."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import soundfile
import soxr

from skstrf.datasets.audio import (
    DURATION,
    OFFSET,
    SAMPLE_RATE,
    _blocks,
    _check_complete,
    _check_finite,
    _check_long_enough,
    _mixed,
    _plan,
    _skip_to,
    check_wanted,
    count_samples,
)
from skstrf.datasets.headers import AudioInfo, audio_info, describe, open_sound
from skstrf.utils.validation import validate_params

__all__ = ["AudioBlocks", "audio_blocks"]

# Zeros that are made at a time to pad a short file.
_PADDING = 1 << 17


@validate_params(
    {
        "path": [str, bytes, os.PathLike],
        "sample_rate": [SAMPLE_RATE],
        "duration": [DURATION, None],
        "offset": [OFFSET],
    },
    prefer_skip_nested_validation=True,
)
def audio_blocks(
    path: str | os.PathLike[str],
    *,
    sample_rate: int = 16000,
    duration: float | None = None,
    offset: float = 0.0,
) -> AudioBlocks:
    """Read a sound file, however long, as a sequence of blocks of samples.

    Parameters
    ----------
    path : str or Path
        A wav, flac, ogg (Vorbis, Opus), mp3, au or aiff file. Channels are averaged.
    sample_rate : int
        Sample rate of the blocks in Hz.
    duration : float or None
        Seconds to return; a file that ends before is padded with zeros. None: up to the end.
    offset : float
        Seconds to leave out at the start.

    Returns
    -------
    AudioBlocks
        To be gone through as often as wanted. Joined, the blocks are
        ``read_audio(path, ...)`` with the same arguments, sample for sample.

    Raises
    ------
    AudioReadError
        When the header tells that the file cannot be used. What only reading can tell (a
        damaged or shortened file, NaN) is raised as the blocks are gone through, at the latest
        after the last one: results of a part are not to be used before.

    See Also
    --------
    read_audio : The whole at once.

    Examples
    --------
    >>> from skstrf.datasets import audio_blocks, load_instruments
    >>> path = load_instruments(load_content=False).filenames[0]
    >>> blocks = audio_blocks(path, duration=3.0)
    >>> blocks.n_times, sum(block.size for block in blocks)
    (48000, 48000)
    """
    info = audio_info(path)
    check_wanted(info, sample_rate, offset, duration, np.inf)
    return AudioBlocks(info, int(sample_rate), duration, offset)


class AudioBlocks:
    """Blocks of samples of one sound file, read anew each time they are gone through.

    Parameters
    ----------
    info : AudioInfo
        Of the file.
    sample_rate : int
        Of the blocks, in Hz.
    duration : float or None
        In seconds.
    offset : float
        In seconds.

    Attributes
    ----------
    n_times : int
        Samples of all blocks together; for a compressed file without `duration` it is what
        the header says.

    Examples
    --------
    >>> from skstrf.datasets import audio_blocks, load_instruments
    >>> blocks = audio_blocks(load_instruments(load_content=False).filenames[0])
    >>> {block.dtype.name for block in blocks}
    {'float32'}
    """

    def __init__(
        self, info: AudioInfo, sample_rate: int, duration: float | None, offset: float
    ) -> None:
        self.info, self.sample_rate = info, sample_rate
        self.duration, self.offset = duration, offset
        self._n_wanted = count_samples(duration, sample_rate, np.inf)
        wanted = self._n_wanted
        self.n_times = info.n_times(sample_rate, offset) if wanted is None else wanted

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yield float32 arrays (n_times,); errors as `audio_blocks` says."""
        with open_sound(self.info.path) as handle:
            info = describe(handle, self.info.path)
            check_wanted(info, self.sample_rate, self.offset, self.duration, np.inf)
            part = _plan(info, self.sample_rate, self.offset, self._n_wanted)
            n_skip, n_left = part.skip, self._n_wanted
            for block in self._resampled(handle, info, part):
                block, n_skip = block[n_skip:], max(0, n_skip - block.size)
                if n_left is not None:
                    block = block[:n_left]
                    n_left -= block.size
                if block.size:
                    yield block
        while n_left:
            yield np.zeros(min(n_left, _PADDING), dtype=np.float32)
            n_left -= min(n_left, _PADDING)

    def _resampled(self, handle: Any, info: AudioInfo, part: Any) -> Iterator[np.ndarray]:
        if info.sample_rate == self.sample_rate:
            yield from self._decoded(handle, info, part)
            return
        stream = soxr.ResampleStream(info.sample_rate, self.sample_rate, 1, quality="VHQ")
        for block in self._decoded(handle, info, part):
            out = stream.resample_chunk(block)
            _check_finite(info, out)
            yield out
        out = stream.resample_chunk(np.zeros(0, dtype=np.float32), last=True)
        _check_finite(info, out)
        yield out

    def _decoded(self, handle: Any, info: AudioInfo, part: Any) -> Iterator[np.ndarray]:
        """Blocks of the file as they are, then of the margin that the resampling filter needs."""
        end, is_broken = part.first, False
        try:
            _skip_to(handle, part.first)
            for block in _blocks(handle, part.n_needed + part.n_extra):
                end += len(block)
                mixed = _mixed(block)
                _check_finite(info, mixed)
                yield mixed
        except soundfile.LibsndfileError:
            is_broken = True
        _check_complete(info, part, end, is_broken)
        end = min(end, part.first + part.n_needed)
        _check_long_enough(info, end, self.offset, self.duration)
