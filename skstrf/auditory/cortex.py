"""Auditory spectrogram to the tensor scale x rate x frequency x time.

How it is computed. The spectrogram is Fourier transformed once along frequency and time.
Each signed rate filters that spectrum; its inverse transform in time is taken at the kept
frames only (for every k-th frame, the spectrum folded k times and an inverse transform k
times shorter). The scale filter and the inverse transform along frequency are one matrix
product with a small matrix per scale, cut to the bins where the scale filter is not nil. It
writes the output in its final layout, frame axis last, so nothing else of its size exists.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from skstrf.auditory.modulation_filters import (
    check_ascending,
    filter_kinds,
    rate_filter,
    scale_filter,
    two_sided,
)
from skstrf.utils.arrays import is_torch
from skstrf.utils.validation import checked_number, checked_whole

if TYPE_CHECKING:
    import torch

__all__ = [
    "DEFAULT_RATES",
    "DEFAULT_SCALES",
    "cortical_transform",
    "invert_scale_transform",
    "scale_transform",
    "signed_rates",
]


DEFAULT_RATES = (2.0, 4.0, 8.0, 16.0, 32.0)
DEFAULT_SCALES = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
_OUTPUTS = ("complex", "magnitude", "real")
_POOLINGS = ("sample", "mean")
# Scale-filter bins below this gain are left out; far below float32's resolution of the output.
_NEGLIGIBLE = 1e-9
# Share of a GPU's free memory that work arrays may take unless a limit is given.
_GPU_SHARE = 0.25
# Arrays of the size of a sound's spectrum, and of a channel's responses, alive at a time.
_COPIES = 4


class CorticalPlan(NamedTuple):
    """Everything that depends on shapes and parameters but not on the data."""

    shape: tuple[int, int]  # channels and frames of the spectrogram
    channel_step: int
    n_rows: int  # channels kept, before stepping
    n_frames: int  # frames kept before stepping
    n_fft: int  # length of the Fourier transform along time
    n_fft_channels: int
    fold: int  # power of two by which the inverse transform is shortened
    thin: int  # frames skipped after the inverse transform
    rates: np.ndarray  # (n_signed_rates, n_fft) transfer functions, ascending signed rate
    synthesis: list[np.ndarray]  # per scale (n_rows, n_bins_of_that_scale) matrices


def signed_rates(rates: Any) -> np.ndarray:
    """Return the signed rate axis of the cortical tensor, in ascending order."""
    array = np.asarray(rates, dtype=float)
    return np.concatenate([-array[::-1], array])


def cortical_transform(
    v: Any,
    *,
    rates: Any = DEFAULT_RATES,
    scales: Any = DEFAULT_SCALES,
    frame_rate: float = 125,
    channels_per_octave: float = 24,
    bandpass: bool = False,
    frame_step: int = 1,
    channel_step: int = 1,
    full_time: float = 0.0,
    full_frequency: float = 0.0,
    output: str = "complex",
    pooling: str = "sample",
    max_memory: float | None = None,
) -> Any:
    r"""Responses of a bank of spectro-temporal receptive fields.

    Parameters
    ----------
    v : array-like or torch.Tensor of shape (..., n_freqs, n_frames)
        Auditory spectrograms, lowest frequency first. torch tensors stay on their device and
        keep their gradients.
    rates : sequence of float, default=(2, 4, 8, 16, 32)
        Hz, ascending, at most half the frame rate. Each is used in both directions.
    scales : sequence of float, default=(0.25, 0.5, 1, 2, 4, 8)
        Cycles/octave, ascending, at most half of `channels_per_octave`.
    frame_rate : float, default=125
        Frames of `v` per second.
    channels_per_octave : float, default=24
        Density of the channels of `v`.
    bandpass : bool, default=False
        False makes the lowest rate and scale low-pass and the highest ones high-pass, so that
        nothing of the spectrogram is lost; True makes all filters band-pass.
    frame_step : int, default=1
        Keep every `frame_step`-th frame. Equal to slicing the result, at a fraction of the
        work when a power of two divides it.
    channel_step : int, default=1
        Keep every `channel_step`-th frequency channel.
    full_time, full_frequency : float in [0, 1], default=0.0
        How much of the padding to keep, the toolbox's FULLT and FULLX: frames after the end,
        channels on both sides.
    output : {"complex", "magnitude", "real"}, default="complex"
        What to return of the complex response.
    pooling : {"sample", "mean"}, default="sample"
        "mean" averages `output` over each window of `frame_step` frames instead of taking its
        first frame; a last, shorter window is averaged over what it holds.
    max_memory : float, optional
        Bytes that work arrays on a GPU may take beyond input and result; None takes a quarter of
        what is free. On a CPU one sound is worked on at a time.

    Returns
    -------
    ndarray or torch.Tensor of shape (..., n_scales, 2 * n_rates, n_freqs, n_kept_frames)
        complex64 / complex128, or float32 / float64, as `v`. Rates run from
        ``-rates[-1]`` (upward-moving) to ``rates[-1]`` (downward-moving).

    Raises
    ------
    ValueError
        On non-finite or misshapen input, rates above half the frame rate, scales above half
        the channel density, or values that are not ascending.

    See Also
    --------
    skstrf.STRFTransformer : This stage and the one before it, as an estimator.

    Notes
    -----
    Numbers equal the NSL toolbox's (``aud2cor``). As defined there the rate filters depend
    on the number of frames, rounded up to a power of two: compare clips of one length.
    Memory is that of the output and a workspace of about 100 MB.

    References
    ----------
    .. [1] T. Chi, P. Ru and S. A. Shamma, "Multiresolution spectrotemporal analysis of
       complex sounds", J. Acoust. Soc. Am. 118(2), 887-906, 2005, section II.B.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf.auditory import auditory_spectrogram, cortical_transform, moving_ripple
    >>> ripple = moving_ripple(rate=8, scale=1, duration=1.0, sample_rate=16000, random_state=0)
    >>> strf = cortical_transform(auditory_spectrogram(ripple))
    >>> strf.shape
    (6, 10, 128, 125)
    >>> scale, rate = np.unravel_index(abs(strf).mean(axis=(2, 3))[1:-1, 1:-1].argmax(), (4, 8))
    >>> float(scale + 1), float(rate + 1)  # 1 cycle/octave, 8 Hz downward
    (2.0, 7.0)
    """
    import torch

    _check_choices(output, pooling, frame_step, channel_step, full_time, full_frequency)
    spectrogram, from_numpy = _check_spectrogram(v, torch)
    plan = cortical_plan(
        spectrogram.shape[-2:], check_ascending(rates, "rates"), check_ascending(scales, "scales"),
        frame_rate, channels_per_octave, bandpass, 1 if pooling == "mean" else frame_step,
        channel_step, full_time, full_frequency,
    )  # fmt: skip
    flat = spectrogram.reshape(-1, *spectrogram.shape[-2:])
    window = int(frame_step) if pooling == "mean" else 1
    result = analyze(flat, plan, output, window, max_memory)
    result = result.reshape(*spectrogram.shape[:-2], *result.shape[1:])
    return result.numpy() if from_numpy else result


def _check_choices(output, pooling, frame_step, channel_step, full_time, full_frequency) -> None:
    if output not in _OUTPUTS:
        raise ValueError(f"output must be one of {_OUTPUTS}, got {output!r}.")
    if pooling not in _POOLINGS:
        raise ValueError(f"pooling must be one of {_POOLINGS}, got {pooling!r}.")
    for name, step in (("frame_step", frame_step), ("channel_step", channel_step)):
        checked_whole(step, name)
    for name, share in (("full_time", full_time), ("full_frequency", full_frequency)):
        checked_number(share, name, low=0, high=1)


def _check_spectrogram(v: Any, torch: Any) -> tuple[torch.Tensor, bool]:
    from_numpy = not is_torch(v)
    if from_numpy:
        array = np.asarray(v)
        if array.dtype.kind not in "fiu":
            raise ValueError(f"A spectrogram must be real, got dtype {array.dtype}.")
        if array.dtype not in (np.float32, np.float64):
            array = array.astype(np.float64)
        v = torch.from_numpy(np.ascontiguousarray(array))
    elif v.is_complex():
        raise ValueError(f"A spectrogram must be real, got dtype {v.dtype}.")
    elif v.dtype not in (torch.float32, torch.float64):
        v = v.float() if v.is_floating_point() else v.double()
    if v.ndim < 2 or v.numel() == 0:
        raise ValueError(
            "A spectrogram needs the axes (..., n_freqs, n_frames), none of them empty; "
            f"got shape {tuple(v.shape)}."
        )
    if not torch.isfinite(v).all():
        raise ValueError("The spectrogram contains NaN or infinite values.")
    return v, from_numpy


def cortical_plan(
    shape, rates, scales, frame_rate, channels_per_octave, bandpass, frame_step, channel_step,
    full_time, full_frequency,
) -> CorticalPlan:  # fmt: skip
    frame_step, channel_step = int(frame_step), int(channel_step)
    n_channels, n_times = int(shape[0]), int(shape[1])
    half = _power_of_two(n_times)
    half_channels = _power_of_two(n_channels)
    kinds = filter_kinds(len(rates), bandpass)
    responses = [
        rate_filter(rate, half, frame_rate=frame_rate, kind=kind)
        for rate, kind in zip(rates, kinds, strict=True)
    ]
    up = [two_sided(response, "up") for response in responses[::-1]]
    down = [two_sided(response, "down") for response in responses]
    margin = int(n_channels / 2 * full_frequency)
    rows = np.arange(-margin, n_channels + margin, channel_step)
    wave = 2j * np.pi / (2 * half_channels) * np.outer(rows, np.arange(half_channels))
    inverse = np.exp(wave) / (2 * half_channels)
    synthesis = []
    for scale, kind in zip(scales, filter_kinds(len(scales), bandpass), strict=True):
        gain = scale_filter(
            scale, half_channels, channels_per_octave=channels_per_octave, kind=kind
        )
        n_bins = int(np.flatnonzero(gain > _NEGLIGIBLE).max(initial=0)) + 1
        synthesis.append(inverse[:, :n_bins] * gain[:n_bins])
    fold = min(frame_step & -frame_step, half)  # the largest power of two in frame_step
    return CorticalPlan(
        shape=(n_channels, n_times),
        channel_step=channel_step,
        n_rows=n_channels + 2 * margin,
        n_frames=n_times + 2 * int(n_times / 2 * full_time),
        n_fft=2 * half,
        n_fft_channels=2 * half_channels,
        fold=fold,
        thin=frame_step // fold,
        rates=np.stack(up + down),
        synthesis=synthesis,
    )


def _power_of_two(n: int) -> int:
    return 1 << (n - 1).bit_length()


def analyze(
    v: torch.Tensor,
    plan: CorticalPlan,
    output: str = "complex",
    window: int = 1,
    max_memory: float | None = None,
) -> torch.Tensor:
    """Responses of a flat batch (n, n_freqs, n_frames)."""
    import torch

    bank = filter_bank(plan, v.dtype, v.device)
    if torch.is_grad_enabled() and v.requires_grad:
        return differentiable_responses(v, bank, plan, output, window)
    n_kept = -(-plan.n_frames // (plan.fold * plan.thin))
    n_out = -(-n_kept // window)
    n_rows = len(plan.synthesis[0])
    shape = (len(v), len(bank.synthesis), len(bank.rates), n_rows, n_out)
    dtype = bank.rates.dtype if output == "complex" else v.dtype
    result = torch.empty(shape, dtype=dtype, device=v.device)
    step = _sounds_at_a_time(plan, n_kept, v, max_memory)
    scratch = torch.empty((step, n_rows, n_kept), dtype=bank.rates.dtype, device=v.device)
    for i in range(0, len(v), step):
        part = result[i : i + step]
        for r, frames in enumerate(_rate_frames(v[i : i + step], bank, plan)):
            for j, matrix in enumerate(bank.synthesis):
                _write_response(part[:, j, r], matrix, frames, scratch, output, window)
    return result


def _sounds_at_a_time(plan: CorticalPlan, n_kept: int, v, max_memory: float | None) -> int:
    """How many sounds' work arrays fit; on a CPU one, as every product then lands in place."""
    import torch

    if v.device.type != "cuda":
        return 1
    if max_memory is None:
        max_memory = _GPU_SHARE * torch.cuda.mem_get_info(v.device)[0]
    numbers = plan.n_fft_channels // 2 * plan.n_fft + len(plan.synthesis[0]) * n_kept
    per_sound = _COPIES * numbers * 2 * v.element_size()
    return min(len(v), max(1, int(max_memory / per_sound)))


class FilterBank(NamedTuple):
    """A plan's matrices as tensors of one precision on one device."""

    rates: torch.Tensor
    synthesis: list[torch.Tensor]


def filter_bank(plan: CorticalPlan, dtype: torch.dtype, device: Any = "cpu") -> FilterBank:
    """Bring the plan's matrices to the precision that goes with spectrograms of `dtype`."""
    import torch

    kind = torch.complex128 if dtype == torch.float64 else torch.complex64
    matrices = [torch.as_tensor(m).to(kind).to(device) for m in (plan.rates, *plan.synthesis)]
    return FilterBank(matrices[0], matrices[1:])


def differentiable_responses(
    v: torch.Tensor, bank: FilterBank, plan: CorticalPlan, output: str, window: int
) -> torch.Tensor:
    """Responses without writing in place, as autograd and compilers want it."""
    import torch

    blocks = [
        torch.stack(
            [_output(m @ frames[:, : m.shape[1]], output, window) for m in bank.synthesis], dim=1
        )
        for frames in _rate_frames(v, bank, plan)
    ]
    return torch.stack(blocks, dim=2)


def _rate_frames(v, bank: FilterBank, plan: CorticalPlan) -> Iterator[torch.Tensor]:
    """For each signed rate the filtered frames (n, n_bins, n_kept)."""
    import torch

    n_bins = plan.n_fft_channels // 2
    spectrum = torch.fft.rfft(v, plan.n_fft_channels, dim=-2)[:, :n_bins]
    spectrum = torch.fft.fft(spectrum, plan.n_fft, dim=-1)
    for index, response in enumerate(bank.rates):
        yield filtered_frames(spectrum, response, index < len(bank.rates) // 2, plan)


def _write_response(target, matrix, frames, scratch, output: str, window: int) -> None:
    import torch

    frames = frames[:, : matrix.shape[1]]
    if output == "complex" and window == 1:
        torch.matmul(matrix, frames, out=target)
        return
    response = torch.matmul(matrix, frames, out=scratch[: len(frames)])
    if output != "magnitude" or response.device.type != "cpu":
        target.copy_(_output(response, output, window))
    elif window == 1:  # numpy takes magnitudes five times faster than torch
        np.abs(response.numpy(), out=target.numpy())
    else:
        target.copy_(_pooled(torch.from_numpy(np.abs(response.numpy())), window))


def filtered_frames(spectrum, response, upward: bool, plan: CorticalPlan) -> torch.Tensor:
    """Rate-filter the spectrum and return to the kept frames, (n, n_bins, n_kept).

    A filter is nil on half of the bins; only the other half is touched. Folding that half
    onto ``n_fft / fold`` bins samples the inverse transform at every ``fold``-th frame.
    """
    import torch

    half = plan.n_fft // 2
    side = slice(half, None) if upward else slice(0, half)
    product = spectrum[..., side] * response[side]
    length = plan.n_fft // plan.fold
    if plan.fold == 1:  # the transform below pads what is missing at the end
        folded = torch.cat([torch.zeros_like(product), product], dim=-1) if upward else product
    else:
        folded = product.unflatten(-1, (plan.fold // 2, length)).sum(-2)
    if upward:  # zero frequency belongs to both directions
        first = folded[..., :1] + spectrum[..., :1] * response[:1]
        folded = torch.cat([first, folded[..., 1:]], dim=-1)
    n_kept = -(-plan.n_frames // plan.fold)
    frames = torch.fft.ifft(folded, length, dim=-1)[..., : n_kept : plan.thin]
    return frames / plan.fold if plan.fold > 1 else frames


def _output(block: torch.Tensor, output: str, window: int) -> torch.Tensor:
    if output == "magnitude":
        block = block.abs()
    elif output == "real":
        block = block.real
    return _pooled(block, window)


def _pooled(block: torch.Tensor, window: int) -> torch.Tensor:
    """Mean of every `window` frames; a last, shorter window is averaged over what it holds."""
    import torch

    if window == 1:
        return block
    n_whole = block.shape[-1] // window * window
    pooled = [block[..., :n_whole].unflatten(-1, (-1, window)).mean(-1)] if n_whole else []
    if n_whole < block.shape[-1]:
        pooled.append(block[..., n_whole:].mean(-1, keepdim=True))
    return torch.cat(pooled, dim=-1) if len(pooled) > 1 else pooled[0]


def scale_transform(
    v: Any,
    *,
    scales: Any = DEFAULT_SCALES,
    channels_per_octave: float = 24,
    bandpass: bool = False,
) -> np.ndarray:
    """Responses of the scale filters to every frame, without any filter along time.

    Parameters
    ----------
    v : array-like of shape (..., n_freqs, n_frames)
        Auditory spectrograms, lowest frequency first.
    scales : sequence of float, default=(0.25, 0.5, 1, 2, 4, 8)
        Cycles/octave, ascending.
    channels_per_octave : float, default=24
        Density of the channels.
    bandpass : bool, default=False
        True makes the lowest and highest filters band-pass too.

    Returns
    -------
    ndarray of shape (..., n_scales, n_freqs, n_frames), complex
        complex64 for float32 input, else complex128.

    Raises
    ------
    ValueError
        On fewer than two axes, NaN or infinity, or scales that cannot be.

    Notes
    -----
    Equals the NSL toolbox's ``aud2cors``. A straight line joins the top of each spectrum to its
    bottom before the Fourier transform, so that it has no step there.

    References
    ----------
    .. [1] K. Wang and S. A. Shamma, "Spectral shape analysis in the central auditory system",
       IEEE Trans. Speech and Audio Processing 3(5), 382-395, 1995.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf.auditory import scale_transform
    >>> scale_transform(np.ones((128, 10))).shape
    (6, 128, 10)
    """
    array = _check(v, "fiu", 2, "A spectrogram", "(..., n_freqs, n_frames)")
    n_freqs = array.shape[-2]
    half = 1 << (n_freqs - 1).bit_length()
    n_pad = 2 * half - n_freqs
    first, last = array[..., :1, :], array[..., -1:, :]
    ramp = last + (np.arange(1, n_pad + 1) / (n_pad + 1))[:, None] * (first - last)
    spectrum = np.fft.fft(np.concatenate([array, ramp], axis=-2), axis=-2)[..., None, :half, :]
    gains = _gains(scales, half, channels_per_octave, bandpass)[..., None]
    response = np.fft.ifft(spectrum * gains, 2 * half, axis=-2)[..., :n_freqs, :]
    return response.astype(np.result_type(array.dtype, np.complex64))


def invert_scale_transform(
    c: Any,
    *,
    scales: Any = DEFAULT_SCALES,
    channels_per_octave: float = 24,
    bandpass: bool = False,
    norm: float = 0.99,
) -> np.ndarray:
    """Spectrogram from its scale responses, by inverse filtering.

    Parameters
    ----------
    c : array-like of shape (..., n_scales, n_freqs, n_frames), complex
        From :func:`scale_transform` with the same settings.
    scales, channels_per_octave, bandpass
        As given to :func:`scale_transform`.
    norm : float, default=0.99
        1 divides by the summed power of the filters, 0 not at all.

    Returns
    -------
    ndarray of shape (..., n_freqs, n_frames)
        Real. The ends of the padding were cut off, so it is not exact: 7 to 20 percent L2 error
        on the reference signals.

    Raises
    ------
    ValueError
        When the number of scales differs from the tensor's, or on NaN or infinity.

    Notes
    -----
    Equals the real part of the NSL toolbox's ``cor2auds``.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf.auditory import invert_scale_transform, scale_transform
    >>> invert_scale_transform(scale_transform(np.ones((128, 10)))).shape
    (128, 10)
    """
    array = _check(c, "c", 3, "Scale responses", "(..., n_scales, n_freqs, n_frames), complex")
    checked_number(norm, "norm", low=0, high=1)
    n_freqs = array.shape[-2]
    half = 1 << (n_freqs - 1).bit_length()
    gains = _gains(scales, half, channels_per_octave, bandpass)
    if len(gains) != array.shape[-3]:
        raise ValueError(
            f"{len(gains)} scales were given for a tensor of {array.shape[-3]}; "
            "give those it was made with."
        )
    power = (gains**2).sum(axis=0)
    # Of bins that every filter holds below rounding nothing is left to bring back.
    passed = power > np.finfo(array.dtype).eps ** 2
    power = norm * power + (1 - norm) * power.max()
    power[0] *= 2  # the other bins stand for their mirror images too
    spectrum = np.fft.fft(array, 2 * half, axis=-2)[..., :half, :]
    total = (spectrum * gains[..., None]).sum(axis=-3)
    total = np.divide(total, power[:, None], out=total * 0, where=passed[:, None])
    v = 2 * np.fft.ifft(total, 2 * half, axis=-2)[..., :n_freqs, :].real
    return v.astype(np.float32 if array.dtype == np.complex64 else np.float64)


def _check(values: Any, kinds: str, n_axes: int, what: str, axes: str) -> np.ndarray:
    array = np.asarray(values)
    if array.dtype.kind not in kinds or array.ndim < n_axes or array.size == 0:
        raise ValueError(
            f"{what} must have the axes {axes}, none empty; "
            f"got shape {array.shape} of dtype {array.dtype}."
        )
    if array.dtype.kind in "iu" or array.dtype == np.float16:
        array = array.astype(np.float64)
    if not np.isfinite(array).all():
        raise ValueError(f"{what} must not contain NaN or infinite values.")
    return array


def _gains(scales, half: int, channels_per_octave: float, bandpass: bool) -> np.ndarray:
    ascending = check_ascending(scales, "scales")
    kinds = filter_kinds(len(ascending), bandpass)
    return np.stack(
        [
            scale_filter(scale, half, channels_per_octave=channels_per_octave, kind=kind)
            for scale, kind in zip(ascending, kinds, strict=True)
        ]
    )
