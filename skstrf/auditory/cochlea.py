"""Cochlear model: sound to auditory spectrogram, as a whole or block by block.

The model of Yang, Wang & Shamma (1992), with the numbers of the NSL toolbox: cochlear filters,
hair cells, lateral inhibition and leaky integration. Filters, membranes and integration have
states. For long sounds the states are carried from block to block, so that the joined
blocks equal the spectrogram of the whole sound bit for bit.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from itertools import pairwise
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
from joblib import effective_n_jobs

from skstrf.auditory.filterbanks import N_CHANNELS
from skstrf.utils.validation import check_overflow, checked_number

__all__ = [
    "HAIR_CELLS",
    "FrameSettings",
    "auditory_spectrogram",
    "auditory_spectrogram_blocks",
    "frame_settings",
    "frames_per_second",
    "model_sample_rate",
    "resample",
    "resampled_length",
    "run_kernel",
]

# Time constant of the membrane low-pass in ms.
_MEMBRANE_MS = 0.5
# Limits of the settings: models from 62.5 Hz to 4 MHz, frames of up to an hour.
_MAX_OCTAVES = 8
_MAX_HOP_MS = 3.6e6
_MAX_RESAMPLING = 256
# Kinds of the hair-cell nonlinearity; a number is the slope of a sigmoid.
HAIR_CELLS = {"linear": 0, "half-wave": 1, "hard": 2, "sigmoid": 3}
# Number of samples passed to the kernel at a time in blocks: work arrays of about 16 MB.
_BLOCK_SAMPLES = 1 << 18


class FrameSettings(NamedTuple):
    """Parameters of the kernel besides the sound and the filters."""

    n_samples: int  # per frame
    weights: np.ndarray  # of the samples of a frame in the integration
    decay: float  # of the integration from frame to frame
    kind: int  # of the hair cell, see HAIR_CELLS
    slope: float  # of the sigmoid
    beta: float  # of the membrane low-pass


def auditory_spectrogram(
    x: Any,
    *,
    sample_rate: float = 16000,
    hop_duration: float = 8.0,
    time_constant: float = 8.0,
    nonlinearity: str | float = "linear",
    octave_shift: float = 0,
    n_jobs: int | None = None,
) -> np.ndarray:
    r"""Auditory spectrogram of one or many sounds.

    The sound passes 129 cochlear filters :math:`y_1`, a hair-cell nonlinearity with membrane
    low-pass :math:`y_2`, the difference from the next higher channel
    :math:`y_3 = y_{2,m} - y_{2,m+1}`, half-wave rectification :math:`y_4` and leaky integration

    .. math:: y_5[n] = y_4[n] + e^{-1/(\tau f_s)} \, y_5[n-1],

    which is sampled at the last sample of every frame.

    Parameters
    ----------
    x : array-like of shape (..., n_times)
        Sounds. The model was made for sounds of zero mean and unit variance; levels are not
        changed.
    sample_rate : float, default=16000
        Sampling rate of the sounds in Hz. Sounds at another rate than that of the model,
        ``16000 * 2**octave_shift``, are resampled (soxr, high quality).
    hop_duration : float, default=8.0
        Time between successive frames in ms.
    time_constant : float, default=8.0
        Time constant of the leaky integration in ms. 0 is the plain mean over each frame (values
        are then about 128 times smaller).
    nonlinearity : {"linear", "half-wave", "hard"} or float, default="linear"
        Hair-cell nonlinearity. A float > 0 is the slope of a sigmoid :math:`1/(1+e^{-u/c})`.
        All but "linear" are followed by the membrane low-pass (0.5 ms).
    octave_shift : float, default=0
        Shift, from -8 to 8 octaves, of all center frequencies and of the model's sampling rate,
        ``16000 * 2**octave_shift`` Hz.
    n_jobs : int or None, default=None
        Number of threads. None means 1 unless in a :func:`joblib.parallel_config` context, -1 all
        processors. The result does not depend on it.

    Returns
    -------
    ndarray of shape (..., 128, n_frames)
        Non-negative spectrogram in arbitrary units, lowest frequency first; float32 for float32
        input, float64 otherwise. ``n_frames = ceil(n_times / samples per frame)``: the end is
        padded with silence to a whole frame.

    Raises
    ------
    ValueError
        If `x` is empty or contains NaN or infinity, or a setting is out of range.

    See Also
    --------
    auditory_spectrogram_blocks : Computation block by block, for long sounds.
    cortical_transform : The next stage of the model.
    Cochlea : The same model as a torch module.

    Notes
    -----
    The numbers equal those of the NSL toolbox (``wav2aud``) except in the last frame: the toolbox
    overwrites the last sample by zero if the sound is a whole number of frames. The filters are
    computed in float64 for any input, because direct-form filters of order 24 are unstable in
    float32.

    References
    ----------
    .. [1] X. Yang, K. Wang and S. A. Shamma, "Auditory representations of acoustic
       signals", IEEE Transactions on Information Theory 38(2), 824-839, 1992.
    .. [2] T. Chi, P. Ru and S. A. Shamma, "Multiresolution spectrotemporal analysis of
       complex sounds", J. Acoust. Soc. Am. 118(2), 887-906, 2005, section II.A.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf.auditory import auditory_spectrogram
    >>> tone = np.sin(2 * np.pi * 1000 * np.arange(16000) / 16000)
    >>> v = auditory_spectrogram(tone, sample_rate=16000)
    >>> v.shape
    (128, 125)
    >>> int(v.mean(axis=1).argmax())  # just below 1 kHz, which is channel 59
    58
    """
    sounds = _check_sounds(x)
    rate = model_sample_rate(octave_shift)
    settings = frame_settings(rate, hop_duration, time_constant, nonlinearity)
    dtype = sounds.dtype
    sounds = resample(sounds, sample_rate, rate)
    flat = sounds.reshape(-1, sounds.shape[-1])
    frames = check_overflow(run_kernel(flat, settings, n_jobs, dtype), "auditory_spectrogram")
    return frames.reshape(*sounds.shape[:-1], *frames.shape[1:])


def auditory_spectrogram_blocks(
    blocks: Iterable[Any],
    *,
    sample_rate: float = 16000,
    hop_duration: float = 8.0,
    time_constant: float = 8.0,
    nonlinearity: str | float = "linear",
    octave_shift: float = 0,
    n_jobs: int | None = None,
) -> Iterator[np.ndarray]:
    """Auditory spectrogram of one sound that arrives in blocks, in constant memory.

    Parameters
    ----------
    blocks : iterable of array-like of shape (n_times,)
        Consecutive blocks of the sound, of any length.
    sample_rate, hop_duration, time_constant, nonlinearity, octave_shift, n_jobs
        Same as in :func:`auditory_spectrogram`.

    Yields
    ------
    ndarray of shape (128, n_frames)
        Blocks of the spectrogram. Joined along the last axis they equal
        :func:`auditory_spectrogram` of the joined sound exactly, resampling included. float32 if
        the first block is float32, float64 otherwise.

    Raises
    ------
    ValueError
        If a block is not one-dimensional, or :func:`auditory_spectrogram` would raise one.

    See Also
    --------
    cortical_transform_blocks : The next stage of the model.

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
    settings = frame_settings(rate, hop_duration, time_constant, nonlinearity)
    sound = _resample_blocks(_check_blocks(blocks), sample_rate, rate)
    memories: dict = {}
    for part in _join_frames(sound, settings.n_samples):
        frames = run_kernel(part[np.newaxis], settings, n_jobs, part.dtype, memories)
        yield check_overflow(frames[0], "auditory_spectrogram_blocks")


def model_sample_rate(octave_shift: float = 0) -> float:
    """Sampling rate of the cochlear model in Hz."""
    shift = checked_number(
        octave_shift, "octave_shift", low=-_MAX_OCTAVES, high=_MAX_OCTAVES, unit="octaves"
    )
    return 16000.0 * 2.0**shift


def frames_per_second(hop_duration: float = 8.0, octave_shift: float = 0) -> float:
    """Exact frame rate of the auditory spectrogram in Hz, with whole samples per frame."""
    rate = model_sample_rate(octave_shift)
    return rate / _samples_per_frame(rate, hop_duration)


def resample(x: np.ndarray, from_rate: float, to_rate: float) -> np.ndarray:
    """Resample sounds along the last axis, with the high-quality setting of soxr."""
    from_rate = checked_number(from_rate, "sample_rate", low=0, open_low=True, unit="Hz")
    if from_rate == to_rate:
        return x
    if not 1 / _MAX_RESAMPLING <= to_rate / from_rate <= _MAX_RESAMPLING:
        raise ValueError(
            f"Sounds of {from_rate:g} Hz cannot be resampled to {to_rate:g} Hz: the rates may "
            f"differ {_MAX_RESAMPLING}-fold at most. Is sample_rate given in Hz?"
        )
    import soxr

    flat = x.reshape(-1, x.shape[-1])
    n_times = resampled_length(x.shape[-1], from_rate, to_rate)
    rows = np.zeros((len(flat), n_times), x.dtype)
    for row, sound in zip(rows, flat, strict=True):
        # soxr can be one sample short where the exact length ends in one half.
        resampled = soxr.resample(sound, from_rate, to_rate, quality="HQ")[:n_times]
        row[: len(resampled)] = resampled
    return rows.reshape(*x.shape[:-1], n_times)


def resampled_length(n_times: int, from_rate: float, to_rate: float) -> int:
    """Return the number of samples after resampling: halves are rounded up; at least 1."""
    ratio = Fraction(float(to_rate)) / Fraction(float(from_rate))
    return max(1, math.floor(n_times * ratio + Fraction(1, 2)))


def _check_sounds(x: Any) -> np.ndarray:
    sounds = np.asarray(x)
    if sounds.dtype.kind not in "fiub":
        raise ValueError(f"Sounds must be real numbers, got an array of dtype {sounds.dtype}.")
    if sounds.dtype not in (np.float32, np.float64):
        sounds = sounds.astype(np.float32 if sounds.dtype == np.float16 else np.float64)
    if sounds.ndim == 0 or sounds.size == 0:
        raise ValueError(
            f"Sounds must have at least one sample along the last axis, got shape {sounds.shape}."
        )
    if not np.isfinite(sounds).all():
        raise ValueError(
            "Sounds contain NaN or infinite samples. Remove or repair them first, "
            "for instance with numpy.nan_to_num."
        )
    return sounds


def _check_blocks(blocks: Iterable[Any]) -> Iterator[np.ndarray]:
    """Check every block, and convert it to the dtype of the first."""
    dtype = None
    for block in blocks:
        array = np.asarray(block)
        if array.ndim != 1:
            raise ValueError(
                f"A block must be one-dimensional, a part of one sound; got shape {array.shape}."
            )
        if array.size == 0:
            continue
        array = _check_sounds(array)
        dtype = dtype or array.dtype
        yield array.astype(dtype, copy=False)
    if dtype is None:
        raise ValueError("The sound has no samples: every block is empty.")


def _resample_blocks(blocks: Iterable[np.ndarray], from_rate: float, to_rate: float) -> Iterator:
    """Resample as `resample` does, across the borders of the blocks."""
    from_rate = checked_number(from_rate, "sample_rate", low=0, open_low=True, unit="Hz")
    if from_rate == to_rate:
        yield from blocks
        return
    import soxr

    stream, dtype = None, np.dtype(np.float64)
    n_in = n_out = 0
    for block in blocks:
        if stream is None:
            dtype = block.dtype
            stream = soxr.ResampleStream(from_rate, to_rate, 1, dtype=dtype.name, quality="HQ")
        part = stream.resample_chunk(block)
        n_in, n_out = n_in + block.size, n_out + part.size
        yield part
    if stream is not None:
        last = np.zeros(resampled_length(n_in, from_rate, to_rate) - n_out, dtype)
        part = stream.resample_chunk(np.zeros(0, dtype), last=True)[: last.size]
        last[: part.size] = part
        yield last


def _join_frames(blocks: Iterable[np.ndarray], n_samples: int) -> Iterator[np.ndarray]:
    """Rearrange blocks into long blocks of whole frames, except for the last one."""
    wanted = -(-_BLOCK_SAMPLES // n_samples) * n_samples
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


def _samples_per_frame(rate: float, hop_duration: float) -> int:
    checked_number(hop_duration, "hop_duration", low=0, high=_MAX_HOP_MS, open_low=True, unit="ms")
    n_samples = round(hop_duration * rate / 1000.0)
    if n_samples < 1:
        raise ValueError(
            f"hop_duration={hop_duration} ms is shorter than one sample at {rate:g} Hz."
        )
    return n_samples


def frame_settings(
    rate: float, hop_duration: float, time_constant: float, nonlinearity: str | float
) -> FrameSettings:
    """Parameters of the kernel for a model at `rate` Hz, checked."""
    n_samples = _samples_per_frame(rate, hop_duration)
    checked_number(time_constant, "time_constant", low=0, unit="ms")
    if time_constant > 0:
        leak = np.exp(-1000.0 / (time_constant * rate))
        weights = leak ** np.arange(n_samples - 1, -1, -1.0)
        decay = float(leak**n_samples)
    else:
        weights, decay = np.full(n_samples, 1.0 / n_samples), 0.0
    kind, slope = _hair_cell_kind(nonlinearity)
    beta = float(np.exp(-1000.0 / (_MEMBRANE_MS * rate)))
    return FrameSettings(n_samples, weights, decay, kind, slope, beta)


def _hair_cell_kind(nonlinearity: str | float) -> tuple[int, float]:
    if isinstance(nonlinearity, str) and nonlinearity in ("linear", "half-wave", "hard"):
        return HAIR_CELLS[nonlinearity], 1.0
    is_number = isinstance(nonlinearity, Real) and not isinstance(nonlinearity, bool)
    slope = float(nonlinearity) if is_number else 0.0
    if np.isfinite(slope) and slope > 0:
        return HAIR_CELLS["sigmoid"], slope
    raise ValueError(
        "nonlinearity must be 'linear', 'half-wave', 'hard' or a float > 0 "
        f"(the slope of a sigmoid), got {nonlinearity!r}."
    )


def run_kernel(
    sounds, settings: FrameSettings, n_jobs, dtype, memories: dict | None = None
) -> np.ndarray:
    """Frames of every sound; one task per sound and, for few sounds, per range of channels."""
    # `memories` holds, for every task, the states of the cochlea after the previous block.
    from skstrf.auditory import _kernel

    n_sounds, n_times = sounds.shape
    n_frames = -(-n_times // settings.n_samples)
    frames = np.empty((n_sounds, N_CHANNELS, n_frames), dtype=dtype)
    n_threads = effective_n_jobs(n_jobs)
    ranges = _channel_ranges(_kernel.ORDERS, -(-n_threads // n_sounds))

    @np.errstate(over="ignore")  # callers look for overflow in the result
    def run(task):
        i, (first, last) = task
        padded = np.zeros(n_frames * settings.n_samples)
        padded[:n_times] = sounds[i]
        out = np.empty((n_frames, N_CHANNELS))
        memory = _kernel.silent_memory(first, last)
        if memories is not None:
            memory = memories.setdefault(task, memory)
        _kernel.cochlear_frames(
            padded, _kernel.COEFFICIENTS, _kernel.ORDERS, first, last, settings.weights,
            settings.decay, settings.kind, settings.slope, settings.beta, memory, out,
        )  # fmt: skip
        channels = slice(first * _kernel.LANES, last * _kernel.LANES)
        frames[i, channels] = out[:, channels].T

    tasks = [(i, channels) for i in range(n_sounds) for channels in ranges]
    if n_threads == 1 or len(tasks) == 1:
        for task in tasks:
            run(task)
    else:
        with ThreadPoolExecutor(min(n_threads, len(tasks))) as pool:
            list(pool.map(run, tasks))
    return frames


def _channel_ranges(orders: np.ndarray, n_ranges: int) -> list[tuple[int, int]]:
    """Split the 16 groups of channels into ranges of about equal work."""
    n_groups = len(orders) - 1  # the last group is only subtracted
    n_ranges = max(1, min(n_ranges, n_groups))
    work = np.concatenate([[0], np.cumsum(orders[:n_groups])])
    cuts = np.searchsorted(work, work[-1] * np.arange(1, n_ranges) / n_ranges)
    edges = np.unique(np.concatenate([[0], cuts, [n_groups]]))
    return [(int(a), int(b)) for a, b in pairwise(edges)]
