"""How long an MP3 file is when its header does not say so.

libsndfile then reckons from the size of the file and the bit rate of the first frame
(libsndfile issue 1001), and reads no further than that: with a variable bit rate, most of the
sound can be lost without a word. Counting the frames is cheap and exact.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import soundfile

__all__ = [
    "AudioInfo",
    "AudioReadError",
    "Mp3Length",
    "audio_info",
    "count_mp3_frames",
    "describe",
    "open_sound",
]


# kbit/s by the index in the frame header, layer III (ISO/IEC 11172-3 and 13818-3).
BIT_RATES_1 = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
BIT_RATES_2 = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
SAMPLE_RATES = (44100, 48000, 32000)
SEARCH = 1 << 16


@dataclass(frozen=True)
class Mp3Length:
    """Samples per channel in the frames of a file, and whether they go on to its end."""

    n_samples: int
    is_complete: bool


def count_mp3_frames(path: str | os.PathLike[str]) -> Mp3Length | None:
    """Count the samples of an MP3 file whose header does not give their number."""
    with open(path, "rb") as file:
        start = _skip_tags(file.read(SEARCH))
        file.seek(start)
        if _declares_length(file.read(SEARCH)):
            return None
        file.seek(0)
        data = file.read()
    first = _first_frame(data, start)
    return None if first is None else _walk(data, first, _end_of_sound(data))


def _walk(data: bytes, position: int, end: int) -> Mp3Length:
    n_samples = 0
    while position < end:
        frame = _frame(data, position)
        if frame is None or position + frame[0] > end:
            return Mp3Length(n_samples, False)
        position += frame[0]
        n_samples += frame[1]
    return Mp3Length(n_samples, True)


def _frame(data: bytes, position: int) -> tuple[int, int] | None:
    """Bytes and samples of the frame that starts here; None when none does."""
    header = int.from_bytes(data[position : position + 4], "big")
    version, layer = header >> 19 & 3, header >> 17 & 3
    bit_rate, sample_rate = header >> 12 & 15, header >> 10 & 3
    if header >> 21 != 0x7FF or version == 1 or layer != 1:
        return None
    if bit_rate in (0, 15) or sample_rate == 3:
        return None
    is_first = version == 3
    bits = 1000 * (BIT_RATES_1 if is_first else BIT_RATES_2)[bit_rate - 1]
    rate = SAMPLE_RATES[sample_rate] // {3: 1, 2: 2, 0: 4}[version]
    samples = 1152 if is_first else 576
    return samples // 8 * bits // rate + (header >> 9 & 1), samples


def _first_frame(data: bytes, start: int) -> int | None:
    """Where the first frame starts: one that another follows."""
    for position in range(start, min(start + SEARCH, len(data) - 4)):
        frame = _frame(data, position)
        if frame is not None and _frame(data, position + frame[0]) is not None:
            return position
    return None


def _declares_length(data: bytes) -> bool:
    """Whether the first frame bears a Xing (VBR) or Info (CBR) tag with a number of frames."""
    first = _first_frame(data, 0)
    head = data[first : first + 64] if first is not None else b""
    for name in (b"Xing", b"Info"):
        place = head.find(name)
        if place > 0:
            return bool(head[place + 7] & 1)
    return False


def _skip_tags(data: bytes) -> int:
    """Length of the ID3v2 tags at the start."""
    position = 0
    while data[position : position + 3] == b"ID3" and len(data) >= position + 10:
        size = 0
        for byte in data[position + 6 : position + 10]:
            size = size << 7 | byte & 127
        position += 10 + size
    return position


def _end_of_sound(data: bytes) -> int:
    """Where the ID3v1 and APE tags at the end begin."""
    end = len(data)
    while True:
        if data[end - 128 : end - 125] == b"TAG":
            end -= 128
        elif data[end - 32 : end - 24] == b"APETAGEX":
            size = int.from_bytes(data[end - 20 : end - 16], "little")
            has_header = data[end - 9] & 128  # the highest bit of the flags
            if not 32 <= size <= end:
                return end
            end = max(0, end - size - (32 if has_header else 0))
        else:
            return end


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
    """A sound file that cannot be used, with its name, the reason and a remedy."""

    def __init__(self, path: str | os.PathLike[str], reason: str) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


@dataclass(frozen=True)
class AudioInfo:
    """What the header of a sound file says."""

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
        """Samples that are left after `offset` seconds, at another sample rate."""
        # The resampler rounds half up; integers keep long files exact.
        sample_rate = int(sample_rate)
        total = (2 * self.n_frames * sample_rate + self.sample_rate) // (2 * self.sample_rate)
        return max(0, total - round(offset * sample_rate))


def audio_info(path: str | os.PathLike[str]) -> AudioInfo:
    """Read the header of a sound file."""
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
