"""Headers of sound files: format, sample rate, and the length that can really be read."""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import soundfile

from skstrf.datasets.lengths import measure_length
from skstrf.utils.messages import escape

__all__ = [
    "AudioInfo",
    "AudioReadError",
    "MAX_SAMPLE_RATE",
    "MIN_SAMPLE_RATE",
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
    # Samples per channel that the file should have: more if it is cut short, or if it holds sound
    # after what its header declares.
    n_declared: int
    # What is wrong with a file that is not complete, with a remedy; empty if it is cut short.
    fault: str = ""

    @property
    def duration(self) -> float:
        """Duration of the sound in seconds."""
        return self.n_frames / self.sample_rate

    @property
    def is_complete(self) -> bool:
        """Whether header and size of the file agree on its length, as far as they can tell."""
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


def read_header(
    handle: soundfile.SoundFile, path: str | os.PathLike[str], needed: float = math.inf
) -> AudioInfo:
    """Read the header of an open sound file, of which the first `needed` seconds are wanted."""
    name = os.fsdecode(path)
    length = measure_length(handle, name, needed)
    return AudioInfo(
        path=name,
        sample_rate=handle.samplerate,
        n_channels=handle.channels,
        n_frames=length.n_frames,
        format=handle.format,
        subtype=handle.subtype,
        n_declared=length.n_declared,
        fault=length.fault,
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
