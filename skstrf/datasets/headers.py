"""Headers of sound files: format, sample rate, and the length that can really be read."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import soundfile

from skstrf.utils.messages import escape

__all__ = [
    "AudioInfo",
    "AudioReadError",
    "MAX_SAMPLE_RATE",
    "MIN_SAMPLE_RATE",
    "MP3_SLACK",
    "audio_info",
    "open_sound",
    "read_header",
]

# The containers that the tests cover. libsndfile also guesses at formats without a signature,
# for which arbitrary bytes can pass as sound.
FORMATS = frozenset({"WAV", "WAVEX", "RF64", "W64", "FLAC", "OGG", "MP3", "AU", "AIFF", "CAF"})
MIN_SAMPLE_RATE, MAX_SAMPLE_RATE = 1_000, 1_000_000
CONVERT = (
    "Convert it to wav, flac, ogg, mp3, au or aiff (for example with ffmpeg), or leave it out if "
    "it does not contain sound."
)
# Tolerance for the length of an MP3 file: two frames, for encoder delay and padding.
MP3_SLACK = 2304
# An Ogg page has at most 65307 bytes; twice that also covers a tag after the last page.
OGG_TAIL = 1 << 17
INNER_SIZE = re.compile(r"^ *(?:data|SSND|Data Size) *: (\d+)(?: \(should be (\d+)\))?", re.M)
OUTER_SIZE = re.compile(r"^ *(?:RIFF|riff|FORM|Riff size) *: (\d+) \(should be (\d+)\)", re.M)
# kbit/s by the index in the frame header, layer III (ISO/IEC 11172-3 and 13818-3).
MP3_BIT_RATES_1 = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
MP3_BIT_RATES_2 = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
MP3_SAMPLE_RATES = (44100, 48000, 32000)
# Bytes that are searched for the first MP3 frame.
MP3_SEARCH = 1 << 16


class AudioReadError(ValueError):
    """Error for a sound file that cannot be used.

    Parameters
    ----------
    path : str or Path
        The sound file.
    reason : str
        The reason and a remedy, as the end of a sentence that starts with `path`.

    Examples
    --------
    >>> from skstrf.datasets import AudioReadError, read_audio
    >>> try:
    ...     read_audio("missing.wav")
    ... except AudioReadError as error:
    ...     print(error.path, error.reason[:15])
    missing.wav does not exist.
    """

    def __init__(self, path: str | os.PathLike[str], reason: str) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return f"{escape(self.path)}: {self.reason}"


@dataclass(frozen=True)
class AudioInfo:
    """Contents of the header of a sound file; format and subtype are those of libsndfile."""

    path: str
    sample_rate: int
    n_channels: int
    # Samples per channel. Only reading confirms them for FLAC, and for MP3 with a declared length.
    n_frames: int
    format: str
    subtype: str
    # Samples per channel that the header declares: more than there are if the file is cut short.
    n_declared: int

    @property
    def duration(self) -> float:
        """Duration of the sound in seconds."""
        return self.n_frames / self.sample_rate

    @property
    def is_complete(self) -> bool:
        """Whether the file is as long as its header declares, as far as the header can tell."""
        return self.n_declared <= self.n_frames

    def n_times(self, sample_rate: int, offset: float = 0.0) -> int:
        """Count the samples after `offset` seconds at another sampling rate."""
        # The resampler rounds half up; integers keep long files exact.
        sample_rate = int(sample_rate)
        total = (2 * self.n_frames * sample_rate + self.sample_rate) // (2 * self.sample_rate)
        return max(0, total - round(offset * sample_rate))


def audio_info(path: str | os.PathLike[str]) -> AudioInfo:
    """Read the header of a sound file; raise an `AudioReadError` for other files."""
    with open_sound(path) as handle:
        return read_header(handle, path)


@contextmanager
def open_sound(path: str | os.PathLike[str]) -> Iterator[soundfile.SoundFile]:
    """Open a sound file for reading; every failure becomes an `AudioReadError`."""
    name = os.fsdecode(path)
    _check_regular_file(name)
    # Bytes, since soundfile cannot encode a name that is not UTF-8.
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


def read_header(handle: soundfile.SoundFile, path: str | os.PathLike[str]) -> AudioInfo:
    """Read the header of an open sound file."""
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


class _Forward(soundfile.SoundFile):
    """Sound file whose blocks are read in sequence without a seek between them.

    soundfile seeks to the current position after every read of a seekable file. In MP3 that
    alone makes the next block start with wrong samples.
    """

    def seekable(self) -> bool:
        return False


def _check_regular_file(name: str) -> None:
    """Refuse everything that is not a readable regular file: opening a pipe would block."""
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
            name, "cannot be read (permission denied). Change its permissions or its owner."
        ) from error
    except OSError as error:
        raise AudioReadError(name, f"cannot be opened: {error.strerror or error}.") from error
    except ValueError as error:
        if isinstance(error, AudioReadError):
            raise
        raise AudioReadError(repr(name), f"is not the name of a file: {error}.") from error


def _lengths(handle: soundfile.SoundFile, name: str) -> tuple[int, int]:
    """Count the frames in the file, and those it should have: more, when it is cut short.

    libsndfile silently lowers the length of a truncated wav, aiff, au or ogg file to what is
    there. Its log tells for the first three, the mark on the last page for an Ogg stream.
    """
    frames = int(handle.frames)
    if handle.format == "OGG":
        return frames, frames + (not _ogg_is_closed(name))
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


def _means_unknown(n_bytes: int) -> bool:
    """Whether programs that stream write this size because they do not know the length yet."""
    return any(top - 0x1100 <= n_bytes <= top for top in (0x8000_0000, 0xFFFF_FFFF))


def _ogg_is_closed(path: str) -> bool:
    """Whether the last Ogg page is complete and has the end-of-stream mark (RFC 3533)."""
    with open(path, "rb") as file:
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


# libsndfile estimates the length of an MP3 file without a length in its header from the size of
# the file and the bit rate of the first frame (libsndfile issue 1001), and reads no further than
# that: with a variable bit rate most of the sound can be lost silently. Counting the frames is
# cheap and exact.


def _mp3_lengths(frames: int, name: str) -> tuple[int, int]:
    counted = count_mp3_samples(name)
    if counted is None:
        return frames, frames
    n_samples, is_complete = counted
    if frames + MP3_SLACK < n_samples:
        raise AudioReadError(
            name,
            "is mp3 of variable bit rate without its length in the header, so most of it could "
            "be lost. Write the header (for example with ffmpeg -i OLD.mp3 -c copy NEW.mp3).",
        )
    frames = min(frames, n_samples)
    return frames, frames + (not is_complete)


def count_mp3_samples(path: str | os.PathLike[str]) -> tuple[int, bool] | None:
    """Count the samples in the frames, and tell whether the frames reach the end of the file.

    Returns None for a file whose header gives the length, or that has no frames.
    """
    with open(path, "rb") as file:
        start = _skip_tags(file.read(MP3_SEARCH))
        file.seek(start)
        if _declares_length(file.read(MP3_SEARCH)):
            return None
        file.seek(0)
        data = file.read()
    position, end = _first_frame(data, start), _end_of_sound(data)
    if position is None:
        return None
    n_samples = 0
    while position < end:
        frame = _frame(data, position)
        if frame is None or position + frame[0] > end:
            return n_samples, False
        position += frame[0]
        n_samples += frame[1]
    return n_samples, True


def _skip_tags(data: bytes) -> int:
    """Measure the ID3v2 tags at the start, in bytes."""
    position = 0
    while data[position : position + 3] == b"ID3" and len(data) >= position + 10:
        size = 0
        for byte in data[position + 6 : position + 10]:
            size = size << 7 | byte & 127
        position += 10 + size
    return position


def _declares_length(data: bytes) -> bool:
    """Whether the first frame has a Xing (VBR) or Info (CBR) tag with the number of frames."""
    first = _first_frame(data, 0)
    head = data[first : first + 64] if first is not None else b""
    for name in (b"Xing", b"Info"):
        place = head.find(name)
        if place > 0:
            return bool(head[place + 7] & 1)
    return False


def _first_frame(data: bytes, start: int) -> int | None:
    """Find the first frame that is followed by another one."""
    for position in range(start, min(start + MP3_SEARCH, len(data) - 4)):
        frame = _frame(data, position)
        if frame is not None and _frame(data, position + frame[0]) is not None:
            return position
    return None


def _frame(data: bytes, position: int) -> tuple[int, int] | None:
    """Read the size in bytes and samples of the frame that starts here, if one does."""
    header = int.from_bytes(data[position : position + 4], "big")
    version, layer = header >> 19 & 3, header >> 17 & 3
    bit_rate, sample_rate = header >> 12 & 15, header >> 10 & 3
    if header >> 21 != 0x7FF or version == 1 or layer != 1:
        return None
    if bit_rate in (0, 15) or sample_rate == 3:
        return None
    is_first = version == 3
    bits = 1000 * (MP3_BIT_RATES_1 if is_first else MP3_BIT_RATES_2)[bit_rate - 1]
    rate = MP3_SAMPLE_RATES[sample_rate] // {3: 1, 2: 2, 0: 4}[version]
    samples = 1152 if is_first else 576
    return samples // 8 * bits // rate + (header >> 9 & 1), samples


def _end_of_sound(data: bytes) -> int:
    """Find where the ID3v1 and APE tags at the end begin."""
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
