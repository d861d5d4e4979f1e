"""Reading one sound file, whole or in blocks, at any sample rate."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import soundfile
import soxr

from skstrf.datasets.headers import (
    MAX_SAMPLE_RATE,
    MIN_SAMPLE_RATE,
    AudioInfo,
    AudioReadError,
    open_sound,
    read_header,
)
from skstrf.datasets.lengths import MP3_SLACK
from skstrf.utils.messages import escape
from skstrf.utils.validation import Integral, Interval, Real, StrOptions, validate_params

__all__ = [
    "AudioBlocks",
    "DURATION",
    "LOADING",
    "MAX_DURATION",
    "READING",
    "audio_blocks",
    "check_header",
    "count_samples",
    "fix_length",
    "read_audio",
]

logger = logging.getLogger("skstrf")

MAX_DURATION = 3600.0
# The largest sample of any integer format, for files of floats that hold integers. Powers of such
# samples do not overflow in single precision.
LARGEST = 2.0**31
# Share of a channel's energy below which their average is nearly silent (-60 dB), and the step
# between the samples whose energy is compared.
CANCELED, ENERGY_STEP = 1e-6, 16
# One frame of the auditory spectrogram: a shorter sound has no spectrogram.
MIN_DURATION = 0.008
# A header can declare any length: memory grows by one such block at a time, as samples arrive.
BLOCK_SAMPLES = 1 << 17
# A decoder that fails loses the current block, so blocks are short where that can happen.
CODEC_BLOCKS = {"FLAC": 4096, "MP3": 1152}
# The resampling filter settles within about 100 samples of the slower clock.
MARGIN = 512
# Codings in which seeking is exact. Seeking in Vorbis and MP3 can land on wrong samples
# (libsndfile issue 885), so those are decoded from their start.
EXACT_SEEK = ("PCM_", "FLOAT", "DOUBLE", "ULAW", "ALAW")
# libsndfile invents samples for a block or MP3 frame that is cut, and longer blocks are unknown:
# samples this close to the end of a truncated file are not used.
BLOCK_GUARD = 4096

DURATION = Interval(Real, 0, np.inf, closed="neither")
# Constraints of the parameters of all functions that read sounds, and of those that read many.
READING: dict[str, Any] = {
    "sample_rate": [Interval(Integral, MIN_SAMPLE_RATE, MAX_SAMPLE_RATE, closed="both")],
    "duration": [DURATION, None],
    "offset": [Interval(Real, 0, np.inf, closed="left")],
}
LOADING: dict[str, Any] = {
    **READING,
    "load_content": ["boolean"],
    "return_X_y": ["boolean"],
    "on_error": [StrOptions({"raise", "warn"})],
    "n_jobs": [None, Integral],
    "verbose": ["boolean"],
}


@validate_params(
    {
        "path": [str, bytes, os.PathLike],
        **READING,
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
    """Read a sound file, or a part of it, at a given sample rate.

    libsndfile decodes the file and soxr resamples it (quality "VHQ"). The result is finite and
    has the requested length; otherwise an error names the file and the reason.

    Parameters
    ----------
    path : str or Path
        A wav, flac, ogg (Vorbis, Opus), mp3, au or aiff file.
    sample_rate : int, default=16000
        Sampling rate of the result in Hz, from 1000 to 1000000.
    duration : float or None, default=None
        Duration of the result in seconds, exactly ``round(duration * sample_rate)`` samples. A
        shorter file is padded with zeros at the end, which is logged. None reads to the end.
    offset : float, default=0.0
        Time in seconds at which reading starts.
    mono : bool, default=True
        Whether to average the channels. Otherwise they are kept apart. Channels that cancel each
        other in the average are named by a warning of the logger "skstrf".
    max_duration : float, default=3600.0
        Longest result in seconds. It prevents that a wrong header or a missing `duration` fills
        the memory.

    Returns
    -------
    ndarray of shape (n_times,) or (n_channels, n_times), dtype float32
        The samples. Full scale is -1 to 1; a file of floats can exceed it. With ``mono=False`` a
        mono file has shape (1, n_times).

    Raises
    ------
    AudioReadError
        If the file is missing, a folder, unreadable, empty, not sound or without samples; if it
        has NaN or infinite samples or such above 2**31; if it has less than 8 ms (one frame of
        the auditory spectrogram) after `offset`, even though `duration` would allow padding (a
        `duration` below 8 ms must be available in full); if it is cut short (fewer samples than
        its header declares, or an Ogg stream without its end) or holds more sound than its header
        declares (a wrong size, or several files joined to one), and the requested samples are not
        all before that end; or if it is longer than `max_duration` and no `duration` is given.
    ValueError
        If another argument is out of range.

    See Also
    --------
    audio_blocks : Reads a file of any length in blocks.
    AudioLoader : Reads many files.

    Notes
    -----
    Only the requested part is decoded where seeking is exact (wav, flac, au, aiff); ogg and mp3
    files are decoded from their start. A part is read on the sample grid of the whole file: it
    equals the same slice of the whole resampled file up to 1e-6, except in its last 6 ms when a
    truncated file ends there.

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
        info = read_header(handle, path, _needed(offset, duration))
        check_header(info, offset, duration, max_duration)
        part = _plan(info, sample_rate, offset, n_wanted)
        mixer = _Mixer() if mono else None
        sound, is_broken = _read_part(handle, part, mixer)
    end = part.first + len(sound)
    _check_complete(info, part, end, is_broken)
    _check_long_enough(info, end, offset, duration)
    _check_values(info, sound)
    if mixer is not None:
        mixer.check(info)
    n_times = _resampled_frames(info, len(sound), sample_rate) - part.skip
    if info.sample_rate != sample_rate:
        sound = soxr.resample(sound, info.sample_rate, sample_rate, quality="VHQ")
    sound = np.ascontiguousarray(sound[part.skip :].T)
    if n_wanted is None:
        return fix_length(sound, n_times)
    if sound.shape[-1] < n_wanted:
        logger.info("%s ends before %g s: padded with zeros", info.path, offset + (duration or 0))
    return fix_length(sound, n_wanted)


@validate_params(
    {
        "path": [str, bytes, os.PathLike],
        **READING,
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
    """Read a sound file of any length as a sequence of blocks of samples.

    Parameters
    ----------
    path : str or Path
        A wav, flac, ogg (Vorbis, Opus), mp3, au or aiff file. Its channels are averaged.
    sample_rate : int, default=16000
        Sampling rate of the blocks in Hz.
    duration : float or None, default=None
        Total duration of the blocks in seconds; a shorter file is padded with zeros. None reads
        to the end.
    offset : float, default=0.0
        Time in seconds at which reading starts.

    Returns
    -------
    AudioBlocks
        An iterable over float32 arrays of shape (n_times,), which can be iterated several times.
        The concatenated blocks equal ``read_audio(path, ...)`` with the same arguments, sample
        for sample. The attribute ``n_times`` is the total number of samples.

    Raises
    ------
    AudioReadError
        If the header shows that the file cannot be used. Errors that only reading can find (a
        damaged or truncated file, NaN) are raised during the iteration, at the latest after the
        last block: results of a part must not be used before.

    See Also
    --------
    read_audio : Reads the whole file at once.

    Examples
    --------
    >>> from skstrf.datasets import audio_blocks, load_instruments
    >>> path = load_instruments(load_content=False).filenames[0]
    >>> blocks = audio_blocks(path, duration=3.0)
    >>> blocks.n_times, sum(block.size for block in blocks)
    (48000, 48000)
    """
    with open_sound(path) as handle:
        info = read_header(handle, path, _needed(offset, duration))
    check_header(info, offset, duration, np.inf)
    return AudioBlocks(info, int(sample_rate), duration, offset)


class AudioBlocks:
    """Blocks of samples of one sound file, read again in every iteration."""

    def __init__(
        self, info: AudioInfo, sample_rate: int, duration: float | None, offset: float
    ) -> None:
        self.info, self.sample_rate = info, sample_rate
        self.duration, self.offset = duration, offset
        self._n_wanted = wanted = count_samples(duration, sample_rate, np.inf)
        self.n_times = info.n_times(sample_rate, offset) if wanted is None else wanted

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yield float32 arrays of shape (n_times,)."""
        with open_sound(self.info.path) as handle:
            info = read_header(handle, self.info.path, _needed(self.offset, self.duration))
            check_header(info, self.offset, self.duration, np.inf)
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
            yield np.zeros(min(n_left, BLOCK_SAMPLES), dtype=np.float32)
            n_left -= min(n_left, BLOCK_SAMPLES)

    def _resampled(
        self, handle: soundfile.SoundFile, info: AudioInfo, part: _Part
    ) -> Iterator[np.ndarray]:
        if info.sample_rate == self.sample_rate:
            yield from self._decoded(handle, info, part)
            return
        stream = soxr.ResampleStream(info.sample_rate, self.sample_rate, 1, quality="VHQ")
        n_in = n_out = 0
        for block in self._decoded(handle, info, part):
            out = stream.resample_chunk(block)
            n_in, n_out = n_in + block.size, n_out + out.size
            yield out
        n_left = _resampled_frames(info, n_in, self.sample_rate) - n_out
        yield fix_length(stream.resample_chunk(np.zeros(0, dtype=np.float32), last=True), n_left)

    def _decoded(
        self, handle: soundfile.SoundFile, info: AudioInfo, part: _Part
    ) -> Iterator[np.ndarray]:
        """Yield the blocks of the part, then those of the margin for the resampling filter."""
        end, is_broken, mixer = part.first, False, _Mixer()
        try:
            _skip_to(handle, part.first)
            for block in _blocks(handle, part.n_needed + part.n_extra):
                end += len(block)
                mixed = mixer.mix(block)
                _check_values(info, mixed)
                yield mixed
        except soundfile.LibsndfileError:
            is_broken = True
        _check_complete(info, part, end, is_broken)
        end = min(end, part.first + part.n_needed)
        _check_long_enough(info, end, self.offset, self.duration)
        mixer.check(info)


def _needed(offset: float, duration: float | None) -> float:
    """Return the time in seconds at which the wanted part ends."""
    return math.inf if duration is None else offset + duration


def count_samples(
    duration: float | None, sample_rate: int, max_duration: float = MAX_DURATION
) -> int | None:
    """Convert seconds to samples, ``round(duration * sample_rate)``; None stays None."""
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
    """Crop the last axis to `n_times`, or pad it with zeros at the end."""
    if sounds.shape[-1] >= n_times:
        return sounds[..., :n_times]
    padded = np.zeros((*sounds.shape[:-1], n_times), dtype=sounds.dtype)
    padded[..., : sounds.shape[-1]] = sounds
    return padded


def check_header(
    info: AudioInfo, offset: float, duration: float | None, max_duration: float = MAX_DURATION
) -> None:
    """Raise for what the header alone shows: no sound, too short, too long, or cut short."""
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
    """Frames to read: the first, those needed, those after, and the samples to drop at the start.

    `n_extra` frames serve the resampling filter and the check for a truncated file.
    """

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
    # Only every `frames`-th frame falls on a sample of the result.
    steps = max(0, start * frames // samples - margin) // frames
    first = steps * frames
    if n_wanted is None:
        return _Part(first, max(0, info.n_frames - first), 0, start - steps * samples)
    end = -(-(start + n_wanted) * frames // samples)
    return _Part(first, end - first, max(margin, _guard(info)), start - steps * samples)


def _guard(info: AudioInfo) -> int:
    """Count the frames that must follow the part for it to be complete, if the file goes on."""
    if info.format == "MP3":
        return MP3_SLACK
    is_checked = info.format in ("FLAC", "OGG")  # by checksums of its own
    return 0 if is_checked or info.subtype.startswith(EXACT_SEEK) else BLOCK_GUARD


def _read_part(
    handle: soundfile.SoundFile, part: _Part, mixer: _Mixer | None
) -> tuple[np.ndarray, bool]:
    """Read the frames of `part`, and tell whether the decoder failed before their end.

    The array has shape (n_frames,) with a `mixer`, else (n_frames, n_channels).
    """
    blocks: list[np.ndarray] = []
    is_broken = False
    try:
        _skip_to(handle, part.first)
        for block in _blocks(handle, part.n_needed):
            blocks.append(mixer.mix(block) if mixer else block)
    except soundfile.LibsndfileError:
        is_broken = True
    n_read = sum(len(block) for block in blocks)
    # The margin only serves the filter: without it the part itself is still valid.
    if part.n_extra and not is_broken and n_read == part.n_needed:
        try:
            for block in _blocks(handle, part.n_extra):
                blocks.append(mixer.mix(block) if mixer else block)
        except soundfile.LibsndfileError:
            logger.debug("%s: damaged after the wanted part", handle.name)
    if not blocks:
        return np.zeros(0 if mixer else (0, handle.channels), dtype=np.float32), is_broken
    return np.concatenate(blocks), is_broken


def _skip_to(handle: soundfile.SoundFile, first: int) -> None:
    """Go to a frame: by seeking where that is exact, else by decoding the frames before it."""
    if handle.format == "FLAC" or handle.subtype.startswith(EXACT_SEEK):
        handle.seek(min(first, handle.frames))
    else:
        for _ in _blocks(handle, first):
            pass


def _blocks(handle: soundfile.SoundFile, n_frames: int) -> Iterator[np.ndarray]:
    size = CODEC_BLOCKS.get(handle.format, max(1, BLOCK_SAMPLES // handle.channels))
    while n_frames > 0:
        block = handle.read(min(size, n_frames), dtype="float32", always_2d=True)
        if len(block) == 0:
            return
        n_frames -= len(block)
        yield block


class _Mixer:
    """Averages the channels of one sound, and notices when they cancel each other."""

    def __init__(self) -> None:
        self.apart = self.together = 0.0  # energy of a channel and of the average

    def mix(self, block: np.ndarray) -> np.ndarray:
        """Average the channels; adding columns is several times faster than ``mean(axis=1)``."""
        mixed = block[:, 0].copy()
        n_channels = block.shape[1]
        if n_channels == 1:
            return mixed
        with np.errstate(over="ignore", invalid="ignore"):  # such samples are refused later
            for channel in range(1, n_channels):
                mixed += block[:, channel]
            mixed /= n_channels
            few = slice(None, None, ENERGY_STEP)
            self.apart += float(np.square(block[few]).sum()) / n_channels
            self.together += float(np.square(mixed[few]).sum())
        return mixed

    def check(self, info: AudioInfo) -> None:
        """Warn if the average is nearly silent though the channels are not."""
        if self.together < CANCELED * self.apart:
            logger.warning(
                "%s: the channels cancel each other, so that their average is nearly silent. "
                "Write one of them alone (for example with sox OLD NEW remix 1), or read them "
                "apart with mono=False.",
                escape(info.path),
            )


def _resampled_frames(info: AudioInfo, n_frames: int, sample_rate: int) -> int:
    """Count the samples of some frames at another rate, of which soxr may give one less."""
    return replace(info, n_frames=n_frames).n_times(sample_rate)


def _check_values(info: AudioInfo, sound: np.ndarray) -> None:
    # NaN fails every comparison.
    if sound.size and not (sound.max() <= LARGEST and sound.min() >= -LARGEST):
        raise AudioReadError(
            info.path,
            f"has NaN or infinite samples, or samples above {LARGEST:g}, far beyond full scale: "
            "it is damaged. Write it again from sound, or leave it out.",
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
    if info.fault:
        return AudioReadError(info.path, info.fault)
    n_declared = max(info.n_declared, info.n_frames)
    declared = f" of {n_declared / info.sample_rate:.6g} s" if n_declared > end + 1 else ""
    return AudioReadError(
        info.path,
        f"is cut short or damaged: about {end / info.sample_rate:.6g} s{declared} can be read. "
        "Copy or download it again, or give a duration that ends before that.",
    )
