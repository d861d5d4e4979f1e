"""What a sound file says of itself, and whether that can be believed."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import soundfile

from skstrf.datasets.mp3 import count_mp3_frames

__all__ = ["AudioInfo", "AudioReadError", "audio_info", "describe", "open_sound"]

# The containers that are tested here. libsndfile guesses at others, some of which have no
# signature at all, so that arbitrary bytes could pass for sound.
FORMATS = frozenset({"WAV", "WAVEX", "RF64", "W64", "FLAC", "OGG", "MP3", "AU", "AIFF", "CAF"})
MIN_SAMPLE_RATE, MAX_SAMPLE_RATE = 1_000, 1_000_000

CONVERT = (
    "Convert it to wav, flac, ogg, mp3, au or aiff (ffmpeg does it), or leave it out if it holds "
    "something else than sound."
)
# How far the length of an MP3 may be off: two frames, for encoder delay and padding.
MP3_SLACK = 2304
# An Ogg page is at most 65307 bytes; twice that lets a tag follow the last one.
OGG_TAIL = 1 << 17
INNER_SIZE = re.compile(r"^ *(?:data|SSND|Data Size) *: (\d+)(?: \(should be (\d+)\))?", re.M)
OUTER_SIZE = re.compile(r"^ *(?:RIFF|riff|FORM|Riff size) *: (\d+) \(should be (\d+)\)", re.M)


class _Forward(soundfile.SoundFile):
    """A sound file whose blocks are read one after another without a seek in between.

    soundfile seeks after every read of a seekable file, to where it is already. In MP3 that
    alone makes the next block start with wrong samples.
    """

    def seekable(self) -> bool:
        return False


class AudioReadError(ValueError):
    """A sound file that cannot be used, with its name, the reason and a remedy.

    Parameters
    ----------
    path : str or Path
        The file.
    reason : str
        What is wrong with it and what to do.

    Examples
    --------
    >>> from skstrf.datasets import AudioReadError
    >>> print(AudioReadError("a.wav", "is empty (0 bytes). Copy it again."))
    a.wav: is empty (0 bytes). Copy it again.
    """

    def __init__(self, path: str | os.PathLike[str], reason: str) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


@dataclass(frozen=True)
class AudioInfo:
    """What the header of a sound file says.

    Parameters
    ----------
    path : str
        The file.
    sample_rate : int
        In Hz.
    n_channels : int
        1 = mono.
    n_frames : int
        Samples per channel; for FLAC, and MP3 if its header declares a length, known to be there
        only once they have been read.
    format : str
        The container, as libsndfile names it.
    subtype : str
        The coding inside it, as libsndfile names it.
    n_declared : int
        More than `n_frames` when the file ends before its header says it should.

    Examples
    --------
    >>> from skstrf.datasets import AudioInfo
    >>> AudioInfo("a.wav", 44100, 2, 88200, "WAV", "PCM_16", 88200).duration
    2.0
    """

    path: str
    sample_rate: int
    n_channels: int
    n_frames: int
    format: str
    subtype: str
    n_declared: int

    @property
    def duration(self) -> float:
        """Seconds of sound in the file."""
        return self.n_frames / self.sample_rate

    @property
    def is_complete(self) -> bool:
        """Whether the file reaches as far as its header says, so far as the header can tell."""
        return self.n_declared <= self.n_frames

    def n_times(self, sample_rate: int, offset: float = 0.0) -> int:
        """Samples that are left after `offset` seconds, at another sample rate.

        Parameters
        ----------
        sample_rate : int
            In Hz.
        offset : float
            In seconds.

        Returns
        -------
        int
            At least 0.

        Examples
        --------
        >>> from skstrf.datasets import AudioInfo
        >>> AudioInfo("a.wav", 44100, 2, 88200, "WAV", "PCM_16", 88200).n_times(16000, 0.5)
        24000
        """
        # The resampler rounds half up; integers keep long files exact.
        sample_rate = int(sample_rate)
        total = (2 * self.n_frames * sample_rate + self.sample_rate) // (2 * self.sample_rate)
        return max(0, total - round(offset * sample_rate))


def audio_info(path: str | os.PathLike[str]) -> AudioInfo:
    """Read the header of a sound file.

    Parameters
    ----------
    path : str or Path
        A wav, flac, ogg, mp3, au or aiff file.

    Returns
    -------
    AudioInfo
        Sample rate, channels, length and format.

    Raises
    ------
    AudioReadError
        When there is no such file, or it is not sound.

    Examples
    --------
    >>> from skstrf.datasets import audio_info, load_instruments
    >>> clips = load_instruments(load_content=False)
    >>> info = audio_info(clips.filenames[0])
    >>> info.sample_rate, info.n_channels, info.duration
    (22050, 1, 5.0)
    """
    with open_sound(path) as handle:
        return describe(handle, path)


def describe(handle: soundfile.SoundFile, path: str | os.PathLike[str]) -> AudioInfo:
    """Gather what an open file says of itself into an `AudioInfo`."""
    name = os.fsdecode(path)
    n_frames, n_declared = _lengths(handle, name)
    return AudioInfo(
        path=name,
        sample_rate=handle.samplerate,
        n_channels=handle.channels,
        n_frames=n_frames,
        format=handle.format,
        subtype=handle.subtype,
        n_declared=n_declared,
    )


@contextmanager
def open_sound(path: str | os.PathLike[str]) -> Iterator[soundfile.SoundFile]:
    """Open a sound file for reading, turning every way to fail into an `AudioReadError`."""
    name = os.fsdecode(path)
    _check_regular_file(name)
    # Bytes, since a name that is not UTF-8 cannot be encoded by soundfile itself.
    system_name = name if os.name == "nt" else os.fsencode(name)
    try:
        handle = _Forward(system_name)
    except (soundfile.SoundFileError, TypeError) as error:  # TypeError: headerless .raw
        raise AudioReadError(
            name, f"is not sound that libsndfile can decode, or is damaged. {CONVERT}"
        ) from error
    with handle:
        if handle.format not in FORMATS:
            raise AudioReadError(name, f"is in the {handle.format} format. {CONVERT}")
        if not MIN_SAMPLE_RATE <= handle.samplerate <= MAX_SAMPLE_RATE:
            raise AudioReadError(
                name,
                f"declares a sample rate of {handle.samplerate} Hz, outside {MIN_SAMPLE_RATE} to "
                f"{MAX_SAMPLE_RATE} Hz: its header is damaged or wrong. Write the file again.",
            )
        yield handle


def _check_regular_file(name: str) -> None:
    """Refuse what must not be opened at all: a pipe, for one, would block for ever."""
    try:
        status = os.stat(name)
        if stat.S_ISDIR(status.st_mode):
            raise AudioReadError(
                name, "is a folder, not a sound file. load_audio_folder reads folders."
            )
        if not stat.S_ISREG(status.st_mode):
            raise AudioReadError(
                name, "is a pipe, socket or device, not a regular file. Save the sound first."
            )
        if status.st_size == 0:
            raise AudioReadError(name, "is empty (0 bytes). Copy or download it again.")
        with open(name, "rb"):
            pass
    except (FileNotFoundError, NotADirectoryError) as error:
        raise AudioReadError(
            name,
            "does not exist. Check the spelling; a relative path starts from the current folder.",
        ) from error
    except PermissionError as error:
        raise AudioReadError(
            name, "may not be read (permission denied). Change its permissions or its owner."
        ) from error
    except OSError as error:
        raise AudioReadError(name, f"cannot be opened: {error.strerror or error}.") from error
    except ValueError as error:
        if isinstance(error, AudioReadError):
            raise
        raise AudioReadError(repr(name), f"is not the name of a file: {error}.") from error


def _lengths(handle: soundfile.SoundFile, name: str) -> tuple[int, int]:
    """Frames that are in the file, and that ought to be: more, when it is cut short.

    libsndfile silently lowers the length of a truncated wav, aiff, au or ogg to what is there.
    For the first three its log tells; an Ogg stream tells by the mark on its last page.
    """
    frames = int(handle.frames)
    if handle.format == "OGG":
        return frames, frames + (not _ogg_is_closed(Path(name)))
    if handle.format == "MP3":
        return _mp3_lengths(frames, name)
    if handle.format == "FLAC":
        return frames, frames
    log = handle.extra_info
    size = INNER_SIZE.search(log)
    if size is None or handle.format in ("RF64", "W64"):
        size = OUTER_SIZE.search(log)
    if size is None or size[2] is None:
        return frames, frames
    declared, present = int(size[1]), int(size[2])
    if declared <= present or _means_unknown(declared):
        return frames, frames
    return frames, max(frames + 1, frames * declared // max(present, 1))


def _mp3_lengths(frames: int, name: str) -> tuple[int, int]:
    length = count_mp3_frames(name)
    if length is None:
        return frames, frames
    if frames + MP3_SLACK < length.n_samples:
        raise AudioReadError(
            name,
            "is mp3 of variable bit rate without its length in the header, so most of it might "
            "be lost. Write the header (ffmpeg -i OLD.mp3 -c copy NEW.mp3 does it).",
        )
    frames = min(frames, length.n_samples)
    return frames, frames + (not length.is_complete)


def _means_unknown(n_bytes: int) -> bool:
    """Whether a size is what programs write when they stream and cannot know the size yet."""
    return any(top - 0x1100 <= n_bytes <= top for top in (0x8000_0000, 0xFFFF_FFFF))


def _ogg_is_closed(path: Path) -> bool:
    """Whether the last Ogg page is all there and bears the end-of-stream mark (RFC 3533)."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - OGG_TAIL))
        tail = file.read()
    start = tail.rfind(b"OggS")
    header = tail[start : start + 27]
    if start < 0 or len(header) < 27:
        return False
    lengths = tail[start + 27 : start + 27 + header[26]]
    is_whole = len(lengths) == header[26] and start + 27 + header[26] + sum(lengths) <= len(tail)
    return is_whole and bool(header[5] & 4)
