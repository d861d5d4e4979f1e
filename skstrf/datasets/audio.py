"""Reading one sound file: a path in, a float32 array of the wanted part or a clear error out."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import soundfile
import soxr

from skstrf.datasets.headers import (
    MAX_SAMPLE_RATE,
    MIN_SAMPLE_RATE,
    MP3_SLACK,
    AudioInfo,
    AudioReadError,
    describe,
    open_sound,
)
from skstrf.utils.validation import Integral, Interval, Real, validate_params

__all__ = ["MAX_DURATION", "check_wanted", "fix_length", "read_audio"]

logger = logging.getLogger("skstrf")

MAX_DURATION = 3600.0
# One frame of the auditory spectrogram: a sound shorter than that has no spectrogram.
MIN_DURATION = 0.008
# A header may declare any length: memory grows by one such block at a time, as sound arrives.
BLOCK_SAMPLES = 1 << 17
# When a decoder fails, the block it was at is lost: short ones, then, where that can happen.
CODEC_BLOCKS = {"FLAC": 4096, "MP3": 1152}
# The resampling filter settles within about 100 samples of the slower clock.
MARGIN = 512
# Codings whose seek is exact. Seeking in Vorbis and MP3 can land on wrong samples
# (libsndfile issue 885), so those are decoded from their start.
EXACT_SEEK = ("PCM_", "FLOAT", "DOUBLE", "ULAW", "ALAW")
# Of a block or MP3 frame that is cut, libsndfile makes samples up, and longer blocks are unknown:
# what lies this close to the end of a file that is cut short is not believed.
BLOCK_GUARD = 4096

SAMPLE_RATE = Interval(Integral, MIN_SAMPLE_RATE, MAX_SAMPLE_RATE, closed="both")
OFFSET = Interval(Real, 0, np.inf, closed="left")
DURATION = Interval(Real, 0, np.inf, closed="neither")


@validate_params(
    {
        "path": [str, bytes, os.PathLike],
        "sample_rate": [SAMPLE_RATE],
        "duration": [DURATION, None],
        "offset": [OFFSET],
        "mono": ["boolean"],
        "max_duration": [Interval(Real, 0, None, closed="neither")],
    },
    prefer_skip_nested_validation=True,
)
def read_audio(
    path: str | os.PathLike[str],
    *,
    sample_rate: int = 16000,
    duration: float | None = None,
    offset: float = 0.0,
    mono: bool = True,
    max_duration: float = MAX_DURATION,
) -> np.ndarray:
    """Read a sound file, or part of it, at the sample rate you ask for.

    Decoded by libsndfile and resampled by soxr (its "VHQ" quality). Whatever happens, the
    result is finite and has the length asked for, or there is an error that names the file.

    Parameters
    ----------
    path : str or Path
        A wav, flac, ogg (Vorbis, Opus), mp3, au or aiff file.
    sample_rate : int
        Sample rate of the result in Hz, 1000 to 1000000.
    duration : float or None
        Seconds to return, exactly ``round(duration * sample_rate)`` samples. A file that ends
        before is padded with zeros at the end (the log says so). None: up to the end.
    offset : float
        Seconds to leave out at the start.
    mono : bool
        Average the channels; otherwise they stay apart.
    max_duration : float
        The longest result in seconds, so that a wrong header or a forgotten `duration` cannot
        fill the memory.

    Returns
    -------
    ndarray of shape (n_times,) or (n_channels, n_times), float32
        Full scale is -1 to 1; a file of floats may go beyond. With ``mono=False`` a mono file
        has shape (1, n_times).

    Raises
    ------
    AudioReadError
        When the file is missing, a folder, unreadable, empty, not sound, without any sample,
        has NaN or infinite samples, or holds less than 8 ms (one frame of the auditory
        spectrogram) from `offset` on, even if `duration` would allow to pad it (a `duration`
        under 8 ms must be there in full); when it is cut short (fewer samples than its header
        declares, or an Ogg stream without its end) and the wanted part is not all there; or
        when it lasts longer than `max_duration` and no `duration` is given.
    ValueError
        When another argument is out of range.

    Notes
    -----
    Only what is needed is decoded where seeking is exact (wav, flac, au, aiff); ogg and mp3 are
    decoded from their start. A part is read on the sample grid of the whole: it equals the same
    slice of the whole resampled file to 1e-6, except in its last 6 ms when a truncated file
    ends right there.

    Examples
    --------
    >>> from skstrf.datasets import load_instruments, read_audio
    >>> path = load_instruments(load_content=False).filenames[0]
    >>> read_audio(path).shape
    (80000,)
    >>> read_audio(path, sample_rate=22050, offset=1.0, duration=2.5, mono=False).shape
    (1, 55125)
    """
    sample_rate = int(sample_rate)  # a numpy integer would overflow in the products below
    n_wanted = count_samples(duration, sample_rate, max_duration)
    with open_sound(path) as handle:
        info = describe(handle, path)
        check_wanted(info, sample_rate, offset, duration, max_duration)
        part = _plan(info, sample_rate, offset, n_wanted)
        sound, is_broken = _read_part(handle, part, mono)
    end = part.first + len(sound)
    _check_complete(info, part, end, is_broken)
    _check_long_enough(info, end, offset, duration)
    _check_finite(info, sound)
    if info.sample_rate != sample_rate:
        sound = soxr.resample(sound, info.sample_rate, sample_rate, quality="VHQ")
        _check_finite(info, sound)  # samples near the largest float can overflow in the filter
    sound = np.ascontiguousarray(sound[part.skip :].T)
    if n_wanted is None:
        return sound
    if sound.shape[-1] < n_wanted:
        logger.info("%s ends before %g s: padded with zeros", info.path, offset + (duration or 0))
    return fix_length(sound, n_wanted)


def count_samples(
    duration: float | None, sample_rate: int, max_duration: float = MAX_DURATION
) -> int | None:
    """Turn seconds into samples, ``round(duration * sample_rate)``; None stays None."""
    if duration is None:
        return None
    if duration > max_duration:
        raise ValueError(
            f"duration={duration:g} s is more than max_duration={max_duration:g} s. Lower "
            "duration, or raise max_duration."
        )
    n_times = round(duration * sample_rate)
    if n_times < 1:
        raise ValueError(
            f"duration={duration:g} s holds no sample at sample_rate={sample_rate} Hz. Raise it."
        )
    return n_times


def fix_length(sounds: np.ndarray, n_times: int) -> np.ndarray:
    """Crop the last axis to `n_times`, or pad it with zeros at the end.

    Parameters
    ----------
    sounds : ndarray of shape (..., n)
        Any number of leading axes, any dtype.
    n_times : int
        The length wanted.

    Returns
    -------
    ndarray of shape (..., n_times)
        Of the same dtype; a view when nothing is added.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf.datasets.audio import fix_length
    >>> fix_length(np.array([1.0, 2.0, 3.0]), 5)
    array([1., 2., 3., 0., 0.])
    """
    if sounds.shape[-1] >= n_times:
        return sounds[..., :n_times]
    padded = np.zeros((*sounds.shape[:-1], n_times), dtype=sounds.dtype)
    padded[..., : sounds.shape[-1]] = sounds
    return padded


def check_wanted(
    info: AudioInfo,
    sample_rate: int,
    offset: float,
    duration: float | None,
    max_duration: float = MAX_DURATION,
) -> None:
    """Raise what the header alone can tell: no sound, too little, too much, or cut short."""
    if not info.is_complete and (duration is None or info.n_frames == 0):
        raise _cut_short(info, info.n_frames)
    _check_long_enough(info, info.n_frames, offset, duration)
    if duration is None and info.duration - offset > max_duration:
        raise AudioReadError(
            info.path,
            f"declares {info.duration:.6g} s of sound, more than max_duration={max_duration:g} s. "
            "Give a duration, raise max_duration of read_audio, or check its header.",
        )


@dataclass(frozen=True)
class _Part:
    """What to read: the first frame, frames needed, and how much to drop once resampled."""

    first: int
    n_needed: int
    n_extra: int
    skip: int


def _plan(info: AudioInfo, sample_rate: int, offset: float, n_wanted: int | None) -> _Part:
    """Choose frames such that the part falls on the sample grid of the whole resampled file."""
    divisor = math.gcd(info.sample_rate, sample_rate)
    frames, samples = info.sample_rate // divisor, sample_rate // divisor
    start = round(offset * sample_rate)
    margin = 0
    if info.sample_rate != sample_rate:
        margin = MARGIN * max(1, math.ceil(info.sample_rate / sample_rate))
    n_extra = max(margin, _guard(info))
    # Only every `frames`-th frame falls on a sample of the result.
    steps = max(0, start * frames // samples - margin) // frames
    first = steps * frames
    if n_wanted is None:
        return _Part(first, max(0, info.n_frames - first), 0, start - steps * samples)
    end = -(-(start + n_wanted) * frames // samples)
    return _Part(first, end - first, n_extra, start - steps * samples)


def _guard(info: AudioInfo) -> int:
    """Frames that must follow what is read, if the file ought to go on, for it to be whole."""
    if info.format == "MP3":
        return MP3_SLACK
    is_checked = info.format in ("FLAC", "OGG")  # by checksums of its own
    return 0 if is_checked or info.subtype.startswith(EXACT_SEEK) else BLOCK_GUARD


def _read_part(handle: Any, part: _Part, mono: bool) -> tuple[np.ndarray, bool]:
    """Read the frames of `part`; also say whether the decoder failed before they were all there.

    Returns an array (n_frames,) if `mono`, else (n_frames, n_channels).
    """
    blocks: list[np.ndarray] = []
    is_broken = False
    try:
        _skip_to(handle, part.first)
        for block in _blocks(handle, part.n_needed):
            blocks.append(_mixed(block) if mono else block)
    except soundfile.LibsndfileError:
        is_broken = True
    n_read = sum(len(block) for block in blocks)
    # The margin only serves the filter: when it cannot be had, the part itself still stands.
    if part.n_extra and not is_broken and n_read == part.n_needed:
        try:
            for block in _blocks(handle, part.n_extra):
                blocks.append(_mixed(block) if mono else block)
        except soundfile.LibsndfileError:
            logger.debug("%s: damaged after the wanted part", handle.name)
    if not blocks:
        return np.zeros(0 if mono else (0, handle.channels), dtype=np.float32), is_broken
    return np.concatenate(blocks), is_broken


def _skip_to(handle: Any, first: int) -> None:
    """Go to a frame: by seeking where that is exact, else by decoding what lies before."""
    if handle.format == "FLAC" or handle.subtype.startswith(EXACT_SEEK):
        handle.seek(min(first, handle.frames))
    else:
        for _ in _blocks(handle, first):
            pass


def _blocks(handle: Any, n_frames: int) -> Iterator[np.ndarray]:
    size = CODEC_BLOCKS.get(handle.format, max(1, BLOCK_SAMPLES // handle.channels))
    while n_frames > 0:
        block = handle.read(min(size, n_frames), dtype="float32", always_2d=True)
        if len(block) == 0:
            return
        n_frames -= len(block)
        yield block


def _mixed(block: np.ndarray) -> np.ndarray:
    """Average the channels; adding columns is several times faster than ``mean(axis=1)``."""
    mixed = block[:, 0].copy()
    with np.errstate(over="ignore", invalid="ignore"):  # infinite samples are refused later
        for channel in range(1, block.shape[1]):
            mixed += block[:, channel]
    return mixed / block.shape[1] if block.shape[1] > 1 else mixed


def _check_finite(info: AudioInfo, sound: np.ndarray) -> None:
    if not np.isfinite(sound).all():
        raise AudioReadError(
            info.path, "has NaN or infinite samples. Write it again from sound, or leave it out."
        )


def _check_complete(info: AudioInfo, part: _Part, end: int, is_broken: bool) -> None:
    """Refuse a file that stops before the wanted part does, unless it really ends there."""
    wanted_end = part.first + part.n_needed
    if part.n_extra:
        wanted_end += _guard(info)
    if end >= wanted_end:
        return
    slack = MP3_SLACK if info.format == "MP3" else 0
    if is_broken or not info.is_complete or end < min(wanted_end, info.n_frames - slack):
        raise _cut_short(info, end)


def _check_long_enough(info: AudioInfo, end: int, offset: float, duration: float | None) -> None:
    lasts = end / info.sample_rate
    least = MIN_DURATION if duration is None else min(MIN_DURATION, duration)
    # Half a frame of tolerance: offset and duration are decimal, frames are not.
    if lasts - offset >= least - 0.5 / info.sample_rate:
        return
    if end == 0:
        reason = "holds no sound (0 samples). Record or export it again, or leave it out."
    elif lasts < least:
        reason = (
            f"is too short: {end} samples, {1000 * lasts:.3g} ms; at least {1000 * least:g} ms "
            "are needed. Leave it out."
        )
    else:
        reason = (
            f"lasts {lasts:.6g} s, which leaves too little after offset={offset:g} s. "
            "Lower the offset or leave the file out."
        )
    raise AudioReadError(info.path, reason)


def _cut_short(info: AudioInfo, end: int) -> AudioReadError:
    n_declared = max(info.n_declared, info.n_frames)
    declared = f" of {n_declared / info.sample_rate:.6g} s" if n_declared > end + 1 else ""
    return AudioReadError(
        info.path,
        f"is cut short or damaged: about {end / info.sample_rate:.6g} s{declared} can be read. "
        "Copy or download it again, or give a duration that ends before that.",
    )
