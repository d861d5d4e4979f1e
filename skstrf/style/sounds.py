"""Validation, levels and overlapping blocks of the sounds of a style transfer."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from skstrf.utils.arrays import is_torch, to_numpy
from skstrf.utils.lazy import is_dask
from skstrf.utils.validation import check_array

__all__ = [
    "LEVEL",
    "at_level",
    "block_starts",
    "check_not_silent",
    "check_sounds",
    "fill_silence",
    "join_blocks",
    "keep_level",
    "list_sounds",
    "shaped_noise",
]

_logger = logging.getLogger("skstrf")

# Root mean square of all sounds during a transfer. At this level log(1 + |STFT|) is linear and
# logarithmic in the same ranges as for typical recordings.
LEVEL = 0.1
# Level, relative to LEVEL, below which a block gets noise: a magnitude of 0 has no gradient.
_QUIET = 1e-3
# Number of samples of the spectra that shape noise.
_SPECTRUM_LENGTH = 1024


# Validation


def check_sounds(X: Any, name: str) -> np.ndarray:
    """Check sounds of shape (n_sounds, n_times) or (n_sounds, n_channels, n_times)."""
    array = check_array(
        to_numpy(X) if is_torch(X) else X,
        dtype=(np.float64, np.float32),
        allow_nd=True,
        ensure_all_finite=False,
        input_name=f"of the {name}",
    )
    if array.ndim > 3 or array.size == 0:
        raise ValueError(
            f"the {name} must have the shape (n_sounds, n_times) or (n_sounds, n_channels, "
            f"n_times) without empty axes; got {array.shape}."
        )
    if not np.isfinite(array).all():
        bad = np.flatnonzero(~np.isfinite(array).reshape(len(array), -1).all(axis=1))
        raise ValueError(f"the {name} contains NaN or infinity, in sound {bad[0]}: remove it.")
    return array


def check_not_silent(sounds: Sequence[np.ndarray] | np.ndarray, name: str) -> None:
    """Refuse silent sounds, which have neither content nor style."""
    for i, sound in enumerate(sounds):
        if not sound.any():
            raise ValueError(f"sound {i} of the {name} is silent: remove it.")


def list_sounds(X: Any, name: str, *, mono: bool = False) -> list[np.ndarray]:
    """Check sounds of one or several lengths and list all channels that are not silent."""
    if is_dask(X):
        X = X.compute()
    if isinstance(X, list | tuple) and len({np.shape(x) for x in X}) > 1:
        if not all(np.ndim(x) == 1 for x in X):
            raise ValueError(f"sounds of the {name} in a list must be mono, (n_times,) each.")
        sounds = [check_sounds(np.asarray(x)[None], name)[0] for x in X]
        check_not_silent(sounds, name)
        return sounds
    array = check_sounds(X, name)
    if mono and array.ndim > 2:
        raise ValueError(f"the {name} must be mono, of shape (n_sounds, n_times): {array.shape}.")
    check_not_silent(array, name)
    return [sound for sound in array.reshape(-1, array.shape[-1]) if sound.any()]


# Levels


def _rms(x: np.ndarray) -> np.floating:
    return np.sqrt(np.square(x, dtype=np.float64).mean())


def at_level(sound: np.ndarray) -> np.ndarray:
    """Scale a sound to the level that all sounds have during a transfer."""
    return np.ascontiguousarray(sound * (LEVEL / _rms(sound)), dtype=np.float32)


def keep_level(content: np.ndarray, change: Callable[[int, np.ndarray], np.ndarray]) -> np.ndarray:
    """Change all channels of a content, scaled to LEVEL together, and restore its level.

    The result is attenuated further where it would be clipped, with a logged warning: its peak
    exceeds neither full scale nor the peak of the content, whichever is larger.
    """
    channels = np.atleast_2d(content).astype(np.float64)
    gain = LEVEL / _rms(channels)
    result = np.empty_like(channels)
    for k, channel in enumerate(channels):
        result[k] = change(k, np.ascontiguousarray(gain * channel, dtype=np.float32))
    level = _rms(result)
    if level == 0:
        return content.copy()
    scaled = result * (_rms(channels) / level)
    ceiling, peak = max(1.0, np.abs(channels).max()), np.abs(scaled).max()
    if peak > ceiling:
        _logger.warning(
            "style transfer: level reduced by %.1f dB to prevent clipping",
            20 * np.log10(peak / ceiling),
        )
        scaled *= ceiling / peak
    return scaled.reshape(content.shape)


def fill_silence(block: np.ndarray) -> np.ndarray:
    """Add faint noise, always the same, to a nearly silent block."""
    if _rms(block) >= _QUIET * LEVEL:
        return block
    noise = np.random.default_rng(0).standard_normal(len(block))
    return (block + _QUIET * LEVEL * noise).astype(np.float32)


def shaped_noise(sound: np.ndarray, n_times: int, rng: np.random.Generator) -> np.ndarray:
    """Gaussian noise with the long-term spectrum and the level of a sound."""
    from scipy.signal import welch

    size = min(_SPECTRUM_LENGTH, len(sound))
    _, power = welch(sound.astype(np.float64), nperseg=size, detrend=False)
    white = np.fft.rfft(rng.standard_normal(n_times))
    places = np.linspace(0, len(power) - 1, len(white))
    gain = np.sqrt(np.interp(places, np.arange(len(power)), power))
    colored = np.fft.irfft(white * gain, n_times)
    level = _rms(colored)
    return (colored * (_rms(sound) / level if level else 0.0)).astype(sound.dtype)


# Blocks


def block_starts(n_times: int, longest: int, overlap: float) -> tuple[list[int], int]:
    """Starts and length of overlapping blocks of equal length that cover a sound."""
    if n_times <= longest:
        return [0], n_times
    common = max(1, int(overlap * longest))
    count = -(-(n_times - common) // (longest - common))
    length = -(-(n_times + (count - 1) * common) // count)
    last = n_times - length
    return [round(i * last / (count - 1)) for i in range(count)], length


def join_blocks(blocks: Sequence[np.ndarray], starts: Sequence[int], n_times: int) -> np.ndarray:
    r"""Crossfade overlapping blocks with constant power and without phase jumps.

    The gains :math:`a = \cos`, :math:`b = \sin` keep the power of uncorrelated blocks, but raise
    that of equal blocks by 3 dB. They are therefore divided by
    :math:`\sqrt{a^2 + b^2 + 2 \rho a b}` with the correlation :math:`\rho` of the common part.
    """
    result = np.zeros(n_times, dtype=np.result_type(*blocks))
    result[: len(blocks[0])] = blocks[0]
    end = len(blocks[0])
    for block, start in zip(blocks[1:], starts[1:], strict=True):
        common = end - start
        old, new = result[start:end], block[:common]
        angle = (np.arange(common) + 0.5) / common * (np.pi / 2)
        a, b = np.cos(angle), np.sin(angle)
        gain = np.sqrt(a * a + b * b + 2 * _correlation(old, new) * a * b)
        result[start:end] = (a * old + b * new) / gain
        result[end : start + len(block)] = block[common:]
        end = start + len(block)
    return result


def _correlation(x: np.ndarray, y: np.ndarray) -> float:
    """Correlation of two stretches, 0 if negative: opposite stretches cannot be joined."""
    norm = float(np.linalg.norm(x)) * float(np.linalg.norm(y))
    return max(0.0, float(x @ y) / norm) if norm else 1.0
