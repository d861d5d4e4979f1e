r"""Sound to auditory spectrogram: cochlear filters, hair cells, lateral inhibition, integration.

The model of Yang, Wang & Shamma (1992) as the NSL toolbox computes it.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
from joblib import effective_n_jobs

from skstrf.auditory.filterbanks import N_CHANNELS
from skstrf.utils.validation import checked_number

__all__ = ["auditory_spectrogram", "frames_per_second", "model_sample_rate", "resample"]

_MEMBRANE_MS = 0.5
# From 62.5 Hz to 4 MHz; filters and frames beyond make no sense, and no memory holds the sounds.
_MOST_OCTAVES = 8
_LONGEST_FRAME_MS = 3.6e6  # an hour
_MOST_RESAMPLING = 256
_KINDS = {"linear": 0, "half-wave": 1, "hard": 2}


class _FrameSettings(NamedTuple):
    """What the kernel needs besides the sound and the filters."""

    n_samples: int
    weights: np.ndarray
    decay: float
    kind: int
    slope: float
    beta: float


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

    129 cochlear filters :math:`y_1`, a hair-cell nonlinearity with membrane low-pass
    :math:`y_2`, the difference to the neighbor above :math:`y_3 = y_{2,m} - y_{2,m+1}`,
    half-wave rectification :math:`y_4` and leaky integration

    .. math:: y_5[n] = y_4[n] + e^{-1/(\tau f_s)} \, y_5[n-1],

    read at the last sample of every frame.

    Parameters
    ----------
    x : array-like of shape (..., n_times)
        Sounds. Levels are kept; the model was made for sounds of zero mean and unit variance.
    sample_rate : float, default=16000
        Hz. Sounds at another rate than the model's, ``16000 * 2**octave_shift``,
        are resampled (soxr, high quality).
    hop_duration : float, default=8.0
        Step between frames in ms.
    time_constant : float, default=8.0
        Of the leaky integration, in ms. 0 takes the plain mean over each frame
        (values are then about 128 times smaller).
    nonlinearity : {"linear", "half-wave", "hard"} or float, default="linear"
        The hair cell. A float > 0 is the slope of a sigmoid :math:`1/(1+e^{-u/c})`.
        All but "linear" are followed by the membrane low-pass (0.5 ms).
    octave_shift : float, default=0
        The model runs at ``16000 * 2**octave_shift`` Hz and all center frequencies move along.
        From -8 to 8.
    n_jobs : int, optional
        Number of threads; None means 1 and -1 all cores. The result does not depend on it.

    Returns
    -------
    ndarray of shape (..., 128, n_frames)
        float32 for float32 input, else float64; non-negative, arbitrary units, lowest
        frequency first. ``n_frames = ceil(n_times / samples per frame)``: the end is padded
        with silence to a whole frame.

    Raises
    ------
    ValueError
        On NaN or infinite samples, no samples, or a setting that makes no sense.

    See Also
    --------
    skstrf.auditory.cortical_transform : The next stage.

    Notes
    -----
    Numbers equal the NSL toolbox's (``wav2aud``), but for the last frame: the toolbox
    overwrites the last sample by zero when the sound is a whole number of frames. Filters run
    in float64 whatever the input, as direct-form filters of order 24 blow up in float32.

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
    settings = _frame_settings(rate, hop_duration, time_constant, nonlinearity)
    dtype = sounds.dtype
    sounds = resample(sounds, sample_rate, rate)
    flat = sounds.reshape(-1, sounds.shape[-1])
    frames = _run_kernel(flat, settings, n_jobs, dtype)
    return frames.reshape(*sounds.shape[:-1], *frames.shape[1:])


def model_sample_rate(octave_shift: float = 0) -> float:
    """Rate the cochlear model runs at."""
    shift = checked_number(
        octave_shift, "octave_shift", low=-_MOST_OCTAVES, high=_MOST_OCTAVES, unit="octaves"
    )
    return 16000.0 * 2.0**shift


def frames_per_second(hop_duration: float = 8.0, octave_shift: float = 0) -> float:
    """Exact frame rate of the auditory spectrogram, whole samples taken into account."""
    rate = model_sample_rate(octave_shift)
    return rate / _samples_per_frame(rate, hop_duration)


def resample(x: np.ndarray, from_rate: float, to_rate: float) -> np.ndarray:
    """Resample sounds along the last axis, with soxr's high-quality setting."""
    from_rate = checked_number(from_rate, "sample_rate", low=0, open_low=True, unit="Hz")
    if from_rate == to_rate:
        return x
    if not 1 / _MOST_RESAMPLING <= to_rate / from_rate <= _MOST_RESAMPLING:
        raise ValueError(
            f"Sounds of {from_rate:g} Hz cannot be resampled to {to_rate:g} Hz: the rates may "
            f"differ {_MOST_RESAMPLING}-fold at most. Is sample_rate given in Hz?"
        )
    import soxr

    flat = x.reshape(-1, x.shape[-1])
    rows = [soxr.resample(row, from_rate, to_rate, quality="HQ") for row in flat]
    shortest = min(len(row) for row in rows)
    if shortest == 0:  # a sound of one or two samples can vanish
        rows, shortest = [np.zeros(1, x.dtype) for _ in rows], 1
    return np.stack([row[:shortest] for row in rows]).reshape(*x.shape[:-1], shortest)


def _check_sounds(x: Any) -> np.ndarray:
    sounds = np.asarray(x)
    if sounds.dtype.kind == "c" or sounds.dtype.kind not in "fiub":
        raise ValueError(f"Sounds must be real numbers, got an array of dtype {sounds.dtype}.")
    if sounds.dtype not in (np.float32, np.float64):
        sounds = sounds.astype(np.float32 if sounds.dtype == np.float16 else np.float64)
    if sounds.ndim == 0 or sounds.size == 0:
        raise ValueError(
            f"Sounds must have at least one sample along the last axis, got shape {sounds.shape}."
        )
    if not np.isfinite(sounds).all():
        raise ValueError(
            "Sounds contain NaN or infinite samples. Drop or repair them first, "
            "for instance with numpy.nan_to_num."
        )
    return sounds


def _samples_per_frame(rate: float, hop_duration: float) -> int:
    checked_number(
        hop_duration, "hop_duration", low=0, high=_LONGEST_FRAME_MS, open_low=True, unit="ms"
    )
    n_samples = round(hop_duration * rate / 1000.0)
    if n_samples < 1:
        raise ValueError(
            f"hop_duration={hop_duration} ms is shorter than one sample at {rate:g} Hz."
        )
    return n_samples


def _frame_settings(rate, hop_duration, time_constant, nonlinearity) -> _FrameSettings:
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
    return _FrameSettings(n_samples, weights, decay, kind, slope, beta)


def _hair_cell_kind(nonlinearity: str | float) -> tuple[int, float]:
    if isinstance(nonlinearity, str) and nonlinearity in _KINDS:
        return _KINDS[nonlinearity], 1.0
    is_number = isinstance(nonlinearity, Real) and not isinstance(nonlinearity, bool)
    slope = float(nonlinearity) if is_number else 0.0
    if np.isfinite(slope) and slope > 0:
        return 3, slope
    raise ValueError(
        "nonlinearity must be 'linear', 'half-wave', 'hard' or a float > 0 "
        f"(the slope of a sigmoid), got {nonlinearity!r}."
    )


def _run_kernel(
    sounds, settings: _FrameSettings, n_jobs, dtype, memories: dict | None = None
) -> np.ndarray:
    """Frames of every sound; one task per sound and, for few sounds, per range of channels.

    `memories`, where given, holds for every task how the sound before has left the cochlea.
    """
    from skstrf.auditory import _kernel

    n_sounds, n_times = sounds.shape
    n_frames = -(-n_times // settings.n_samples)
    frames = np.empty((n_sounds, N_CHANNELS, n_frames), dtype=dtype)
    n_threads = effective_n_jobs(n_jobs)
    ranges = _channel_ranges(_kernel.ORDERS, -(-n_threads // n_sounds))

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
    """Cut the 16 groups of channels into ranges of about equal work."""
    n_groups = len(orders) - 1  # the last group only feeds the lateral difference
    n_ranges = max(1, min(n_ranges, n_groups))
    work = np.concatenate([[0], np.cumsum(orders[:n_groups])])
    cuts = np.searchsorted(work, work[-1] * np.arange(1, n_ranges) / n_ranges)
    edges = np.unique(np.concatenate([[0], cuts, [n_groups]]))
    return [(int(a), int(b)) for a, b in pairwise(edges)]
