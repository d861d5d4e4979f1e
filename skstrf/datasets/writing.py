"""Writing of sound files: never clipped, and completely or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import soundfile

from skstrf.caching.files import atomic_write
from skstrf.utils.messages import warn_user

__all__ = ["FORMATS", "check_sound_format", "write_sound"]

# Container and encoding of libsndfile by the extension of the file.
FORMATS = {".wav": ("WAV", "PCM_16"), ".flac": ("FLAC", "PCM_16"), ".ogg": ("OGG", "VORBIS")}
# Largest sampling rate and number of channels. libsndfile crashes beyond those of OGG.
LIMITS = {"WAV": (2**31 - 1, 1024), "FLAC": (655_350, 8), "OGG": (200_000, 255)}
# Largest number of bytes of the samples in a WAV file, whose sizes have 32 bits.
WAV_BYTES = 2**32 - 1024
# Frames that are encoded at a time: libsndfile crashes if it gets some minutes of OGG at once.
BLOCK = 1 << 16


def check_sound_format(
    path: str | os.PathLike[str], sample_rate: float, n_channels: int, n_times: int
) -> None:
    """Raise an error if a sound cannot be written in the format of a file name."""
    suffix = Path(path).suffix.lower()
    if suffix not in FORMATS:
        raise ValueError(f"{path} must end with one of {', '.join(FORMATS)}.")
    container = FORMATS[suffix][0]
    highest, most = LIMITS[container]
    if sample_rate != int(sample_rate) or not 1 <= sample_rate <= highest:
        raise ValueError(
            f"{path}: the sampling rate of {container} must be a whole number of at most {highest}"
            f" Hz, got {sample_rate:g}. Choose another sampling rate or format."
        )
    if not 1 <= n_channels <= most:
        raise ValueError(
            f"{path}: {container} holds 1 to {most} channels, got {n_channels}. Choose another "
            "format."
        )
    if container == "WAV" and 2 * n_channels * n_times > WAV_BYTES:
        raise ValueError(f"{path} would exceed 4 GiB, the limit of WAV. Write a .flac file.")


def write_sound(path: str | os.PathLike[str], sound: np.ndarray, sample_rate: float) -> None:
    """Write a sound of shape (n_times,) or (n_channels, n_times), completely or not at all.

    A sound beyond full scale is turned down by one gain for all channels, with a warning.
    """
    frames = np.atleast_2d(sound).T
    check_sound_format(path, sample_rate, frames.shape[1], len(frames))
    peak = float(np.abs(frames).max(initial=0))
    if not np.isfinite(peak):
        raise ValueError(f"{path}: the sound is not finite, and nothing was written.")
    if peak > 1:
        decibels = 20 * np.log10(peak)
        warn_user(f"{path}: The sound was turned down by {decibels:.1f} dB to prevent clipping.")
        frames = frames / peak
    with atomic_write(path) as temporary:
        if not _encode(temporary, frames, int(sample_rate), *FORMATS[Path(path).suffix.lower()]):
            raise OSError(
                errno.EIO,
                "The sound could not be written completely. Make room on the disk, or check the "
                "permissions of the folder",
                os.fspath(path),
            )


def _encode(path: Path, frames: np.ndarray, rate: int, container: str, encoding: str) -> bool:
    """Write a sound block by block; return whether all of it is in the file."""
    # Bytes, since soundfile cannot encode a name that is not UTF-8.
    name = os.fspath(path) if os.name == "nt" else os.fsencode(path)
    channels = frames.shape[1]
    try:
        with soundfile.SoundFile(name, "w", rate, channels, encoding, format=container) as file:
            for start in range(0, len(frames), BLOCK):
                file.write(frames[start : start + BLOCK])
        # A full disk is no error to all of the encoders.
        return soundfile.info(name).frames == len(frames)
    except (soundfile.SoundFileError, AssertionError):  # soundfile asserts what was written
        return False
