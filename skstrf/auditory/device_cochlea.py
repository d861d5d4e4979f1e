"""Auditory spectrograms of torch tensors on their device, in blocks of overlap-save.

The numbers are those of the kernel for the CPU in `_kernel.py`. The filters are products with
frequency responses that are computed in float64, because recursions would run sample after sample.
Blocks of time follow each other with the states of what rings for longer than a block.
"""

from __future__ import annotations

import logging
import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch

from skstrf.auditory.cochlea import (
    HAIR_CELLS,
    FrameSettings,
    frame_settings,
    model_sample_rate,
    resample,
)
from skstrf.auditory.filterbanks import N_CHANNELS
from skstrf.auditory.modules import RINGING, without_slow_pairs
from skstrf.utils.arrays import to_numpy
from skstrf.utils.devices import halve_on_full_device, widest_float, work_bytes

__all__ = ["auditory_spectrogram_on_device"]

logger = logging.getLogger("skstrf")

# Length of the Fourier transforms, of which the first RINGING samples are overlap.
_N_FFT = 32768
# Number of samples that one matrix product of the membrane low-pass covers.
_MEMBRANE = 128
# Share of its start below which a decaying sequence is omitted.
_CUT = 1e-18
# Bytes per sample and channel of a block: complex spectrum, products, real response.
_BYTES_PER_VALUE = 24


def auditory_spectrogram_on_device(
    x: torch.Tensor,
    *,
    sample_rate: float = 16000,
    hop_duration: float = 8.0,
    time_constant: float = 8.0,
    nonlinearity: str | float = "linear",
    octave_shift: float = 0,
    max_memory: float | None = None,
) -> torch.Tensor:
    """Auditory spectrograms of sounds that are on a device, computed there.

    Parameters
    ----------
    x : torch.Tensor of shape (..., n_times)
        Sounds in float32 or float64. Sounds at another rate than that of the model are resampled
        on the CPU, by the same program as in :func:`~skstrf.auditory.auditory_spectrogram`.
    sample_rate, hop_duration, time_constant, nonlinearity, octave_shift
        Same as in :func:`~skstrf.auditory.auditory_spectrogram`.
    max_memory : float or None, default=None
        Maximum size in bytes of the work arrays. None is a quarter of the free memory of a GPU,
        and 2 GB at most. If the device is full, smaller parts are tried.

    Returns
    -------
    torch.Tensor of shape (..., 128, n_frames)
        Spectrograms in the dtype and on the device of `x`, which differ from those of
        :func:`~skstrf.auditory.auditory_spectrogram` by less than 1e-5 of the maximum in float32.

    Raises
    ------
    ValueError
        If `x` is empty or not real, or a setting is out of range.
    MemoryError
        If the device has no memory for a single block of a single sound.
    """
    if not x.is_floating_point() or x.ndim == 0 or x.numel() == 0:
        raise ValueError(
            "Sounds must be real numbers with at least one sample along the last axis; got shape "
            f"{tuple(x.shape)} of {x.dtype}."
        )
    x = x.detach()
    rate = model_sample_rate(octave_shift)
    settings = frame_settings(rate, hop_duration, time_constant, nonlinearity)
    if sample_rate != rate:
        logger.info("sounds of %g Hz are resampled on the CPU", sample_rate)
        x = torch.from_numpy(resample(to_numpy(x), sample_rate, rate)).to(x.device)
    flat = x.reshape(-1, x.shape[-1])
    # Steps of the hair cells at zero show every rounding error.
    steep = settings.kind == HAIR_CELLS["hard"]
    dtype = widest_float(x.device) if steep else x.dtype
    block = _block_length(settings.n_samples)
    n_frames = -(-flat.shape[1] // settings.n_samples)
    n_blocks = -(-n_frames * settings.n_samples // block)
    per_block = _BYTES_PER_VALUE * (dtype.itemsize // 4) * (N_CHANNELS + 3) * _N_FFT
    limit = work_bytes(x.device) if max_memory is None else max_memory
    frames = flat.new_empty((len(flat), N_CHANNELS, n_frames))
    filters = _filters(block, settings.kind == HAIR_CELLS["linear"], dtype, x.device)

    def run(size: int) -> None:
        # Blocks of many sounds at a time, or several blocks of few sounds.
        n_sounds = min(size, len(flat))
        n_together = min(max(1, size // n_sounds), n_blocks)
        for first in range(0, len(flat), n_sounds):
            rows = slice(first, first + n_sounds)
            sounds = flat[rows].to(dtype)
            _spectrograms(sounds, filters, settings, block, n_together, into=frames[rows])

    largest = max(1, min(int(limit / per_block), len(flat) * n_blocks))
    halve_on_full_device(
        run, largest, f"one block of one sound, {per_block / 1e6:.0f} MB of work arrays", x.device
    )
    return frames.reshape(*x.shape[:-1], *frames.shape[1:])


class _Filters(NamedTuple):
    """Frequency responses, and the pairs of a pole and a zero that are not part of them."""

    responses: torch.Tensor  # (n_responses + n_slow, 1 + _N_FFT / 2)
    slow_rows: list[int]
    slow_gains: list[float]
    slow_poles: list[float]


def _block_length(n_samples: int) -> int:
    """Samples of a block: whole frames where frames are shorter than a block."""
    longest = _N_FFT - RINGING
    if n_samples > longest:
        return longest
    together = math.lcm(n_samples, _MEMBRANE)
    unit = together if together <= longest else n_samples
    return longest // unit * unit


@lru_cache(maxsize=4)
def _filters(block: int, is_linear: bool, dtype: torch.dtype, device: torch.device) -> _Filters:
    """Responses of the filters, of their lateral differences if the hair cells are linear."""
    table = without_slow_pairs()
    response = np.fft.rfft(table.numerator, _N_FFT) / np.fft.rfft(table.denominator, _N_FFT)
    slow = response[table.slow_rows]
    if is_linear:
        response = response[:-1] - response[1:]
    kind = torch.complex128 if dtype == torch.float64 else torch.complex64
    responses = torch.from_numpy(np.concatenate([response, slow])).to(kind).to(device)
    return _Filters(
        responses,
        [int(row) for row in table.slow_rows],
        [float(gain) for gain in table.slow_gains],
        [float(pole) for pole in table.slow_poles],
    )


def _spectrograms(
    x: torch.Tensor,
    filters: _Filters,
    settings: FrameSettings,
    block: int,
    n_together: int,
    into: torch.Tensor,
) -> None:
    """Write the spectrograms of some sounds, `n_together` blocks of time after another."""
    weights = torch.as_tensor(settings.weights).to(x)
    wide = widest_float(x.device)
    sums = x.new_zeros((len(x), N_CHANNELS, into.shape[-1]), dtype=wide)
    slow = x.new_zeros((len(x), len(filters.slow_rows), 1), dtype=wide)
    membrane = x.new_zeros((len(x), N_CHANNELS, 1))
    # The last frame ends in silence.
    n_times, span = into.shape[-1] * settings.n_samples, block * n_together
    for start in range(0, n_times, span):
        n_now = min(span, -(-(n_times - start) // block) * block)
        y = _filtered(x, filters, start, n_now, block)
        n_slow = len(filters.slow_rows)
        tails, slow = _slow_tails(y[:, -n_slow:], slow, filters)
        difference = _lateral(y[:, :-n_slow], tails, filters, settings)
        if settings.kind != HAIR_CELLS["linear"]:
            difference, membrane = _membrane(difference, membrane, settings.beta)
        _add_frames(difference.clamp_(min=0), weights, start, sums)
    into.copy_(_decaying_sum(sums, settings.decay))


def _filtered(
    x: torch.Tensor, filters: _Filters, start: int, n_now: int, block: int
) -> torch.Tensor:
    """Responses (n_sounds, n_responses, n_now) from `start` on, by overlap-save."""
    before = min(start, _N_FFT - block)
    part = x[:, start - before : start + n_now]
    missing = (_N_FFT - block) - before
    part = torch.nn.functional.pad(part, (missing, n_now + before - part.shape[1]))
    blocks = part.unfold(1, _N_FFT, block)  # (n_sounds, n_blocks, n_fft)
    spectrum = torch.fft.rfft(blocks)[:, None]
    y = torch.fft.irfft(spectrum * filters.responses[:, None], _N_FFT)[..., _N_FFT - block :]
    return y.flatten(2)


def _slow_tails(
    y: torch.Tensor, state: torch.Tensor, filters: _Filters
) -> tuple[torch.Tensor, torch.Tensor]:
    """Contributions of the slow pairs, ``s[n] = pole * s[n-1] + y[n-1]``, and their states."""
    # The poles are so close to 1 that their powers neither overflow nor vanish in a block.
    wide = state.dtype
    poles = torch.tensor(filters.slow_poles, dtype=wide, device=y.device)[:, None]
    gains = torch.tensor(filters.slow_gains, dtype=wide, device=y.device)[:, None]
    n = torch.arange(y.shape[-1] + 1, dtype=wide, device=y.device)
    powers = poles**n
    sums = (y.to(wide) / powers[:, 1:]).cumsum(-1) + state
    tails = torch.cat([state, sums[..., :-1]], -1) * powers[:, :-1]
    return (tails * gains).to(y.dtype), sums[..., -1:] * powers[:, -1:]


def _lateral(
    y: torch.Tensor, tails: torch.Tensor, filters: _Filters, settings: FrameSettings
) -> torch.Tensor:
    """Differences of adjacent channels behind the hair cells, without membrane."""
    if settings.kind == HAIR_CELLS["linear"]:
        for k, row in enumerate(filters.slow_rows):
            y[:, row] += tails[:, k]
            y[:, row - 1] -= tails[:, k]
        return y
    for k, row in enumerate(filters.slow_rows):
        y[:, row] += tails[:, k]
    if settings.kind == HAIR_CELLS["hard"]:
        y = (y > 0).to(y.dtype)
    elif settings.kind == HAIR_CELLS["sigmoid"]:
        y = y.div_(settings.slope).sigmoid_()
    else:
        y = y.clamp_(min=0)
    return y[:, :-1] - y[:, 1:]


def _membrane(
    y: torch.Tensor, state: torch.Tensor, beta: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """First-order recursion ``out[n] = y[n] + beta * out[n-1]`` and its last value."""
    n_times = y.shape[-1]
    if n_times % _MEMBRANE:
        y = torch.nn.functional.pad(y, (0, -n_times % _MEMBRANE))
    rows = y.unflatten(-1, (-1, _MEMBRANE))
    lag = np.arange(_MEMBRANE)[None, :] - np.arange(_MEMBRANE)[:, None]
    matrix = torch.as_tensor(np.where(lag >= 0, beta ** np.maximum(lag, 0.0), 0.0)).to(y)
    inside = rows @ matrix
    ends = torch.cat([state, inside[..., -1]], -1)
    carry = _decaying_sum(ends, beta**_MEMBRANE)[..., :-1]
    powers = torch.as_tensor(beta ** np.arange(1.0, _MEMBRANE + 1)).to(y)
    out = inside.addcmul_(carry[..., None], powers).flatten(-2)[..., :n_times]
    return out, out[..., -1:].clone()


def _add_frames(y: torch.Tensor, weights: torch.Tensor, start: int, sums: torch.Tensor) -> None:
    """Add the weighted sums of a block to those of its frames."""
    n_samples = len(weights)
    if y.shape[-1] % n_samples == 0 and start % n_samples == 0:
        found = y.unflatten(-1, (-1, n_samples)) @ weights
        first = start // n_samples
        n_kept = min(found.shape[-1], sums.shape[-1] - first)
        sums[..., first : first + n_kept] = found[..., :n_kept]
        return
    # Frames longer than a block, of which a block meets one or two.
    stop = min(start + y.shape[-1], sums.shape[-1] * n_samples)
    for frame in range(start // n_samples, -(-stop // n_samples)):
        begin, end = max(start, frame * n_samples), min(stop, (frame + 1) * n_samples)
        part = weights[begin - frame * n_samples : end - frame * n_samples]
        sums[..., frame] += y[..., begin - start : end - start] @ part


def _decaying_sum(x: torch.Tensor, ratio: float) -> torch.Tensor:
    """Recursion ``out[n] = x[n] + ratio * out[n-1]`` along the last axis, by doubling."""
    # After k steps every value is the sum of 2**k terms. There are about twelve steps, without
    # convolutions, which CUDA computes in reduced precision (TF32) unless told otherwise.
    step = 1
    while step < x.shape[-1] and ratio**step > _CUT:
        x = torch.cat([x[..., :step], x[..., step:] + ratio**step * x[..., :-step]], -1)
        step *= 2
    return x
