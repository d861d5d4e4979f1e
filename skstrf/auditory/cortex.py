"""Cortical model: auditory spectrogram to the tensor scale x rate x frequency x time.

The spectrogram is Fourier transformed once along frequency and time. Each signed rate filters that
spectrum, and its inverse transform in time is computed at the kept frames only (for every k-th
frame, the spectrum is folded k times and the inverse transform is k times shorter). The scale
filter and the inverse transform along frequency are one matrix product with a small matrix per
scale, limited to the bins where the scale filter is not zero. The product is written to the output
in its final layout, frame axis last, so that no other array of its size exists.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from skstrf.auditory.modulation_filters import (
    check_ascending,
    filter_kinds,
    power_of_two,
    rate_filter,
    scale_filter,
    two_sided,
)
from skstrf.utils.arrays import is_torch
from skstrf.utils.devices import HOST_KINDS, stays_on_device, work_bytes
from skstrf.utils.threads import sleep_while_waiting
from skstrf.utils.validation import check_overflow, checked_number, checked_whole

if TYPE_CHECKING:
    import torch

__all__ = [
    "DEFAULT_RATES",
    "DEFAULT_SCALES",
    "CorticalPlan",
    "CorticalSettings",
    "FilterBank",
    "analyze",
    "check_settings",
    "check_spectrogram",
    "cortical_plan",
    "cortical_transform",
    "differentiable_responses",
    "filter_bank",
    "filtered_frames",
    "invert_scale_transform",
    "output_of",
    "scale_transform",
    "signed_rates",
]


DEFAULT_RATES = (2.0, 4.0, 8.0, 16.0, 32.0)
DEFAULT_SCALES = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
_OUTPUTS = ("complex", "magnitude", "real")
_POOLINGS = ("sample", "mean")
# Gain below which bins of a scale filter are omitted, far below the resolution of float32.
_NEGLIGIBLE = 1e-9
# Number of arrays of the size of a sound's spectrum, and of a channel's responses, at a time.
_COPIES = 4


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
    r"""Responses of a bank of spectro-temporal receptive fields to a spectrogram.

    Parameters
    ----------
    v : array-like or torch.Tensor of shape (..., n_freqs, n_frames)
        Auditory spectrograms, lowest frequency first. torch tensors stay on their device and
        keep their gradients.
    rates : sequence of float, default=(2, 4, 8, 16, 32)
        Rates in Hz, ascending, at most half the frame rate. Each is used for both directions.
    scales : sequence of float, default=(0.25, 0.5, 1, 2, 4, 8)
        Scales in cycles/octave, ascending, at most half of `channels_per_octave`.
    frame_rate : float, default=125
        Frame rate of the spectrograms in Hz.
    channels_per_octave : float, default=24
        Number of frequency channels per octave.
    bandpass : bool, default=False
        Whether all filters are band-pass. If False, the lowest rate and scale are low-pass and
        the highest ones high-pass, so that no part of the spectrogram is lost.
    frame_step : int, default=1
        Step between the frames that are kept. The result equals a slice of the full result, at a
        fraction of the cost if a power of two divides `frame_step`.
    channel_step : int, default=1
        Step between the frequency channels that are kept.
    full_time, full_frequency : float in [0, 1], default=0.0
        Share of the padding that is kept (FULLT and FULLX of the NSL toolbox): frames after the
        end, and channels on both sides.
    output : {"complex", "magnitude", "real"}, default="complex"
        Part of the complex response that is returned.
    pooling : {"sample", "mean"}, default="sample"
        "sample" keeps the first of every `frame_step` frames, "mean" averages `output` over them.
        A last, shorter window is averaged over the frames that it contains.
    max_memory : float or None, default=None
        Maximum size in bytes of the work arrays on a GPU, in addition to the input and the
        result. None is a quarter of the free memory, and 2 GB at most. On a CPU sounds are
        processed one by one.

    Returns
    -------
    ndarray or torch.Tensor of shape (..., n_scales, 2 * n_rates, n_freqs, n_kept_frames)
        Responses, complex64 / complex128 or float32 / float64 in the precision of `v`. Rates
        range from ``-rates[-1]`` (upward-moving) to ``rates[-1]`` (downward-moving).

    Raises
    ------
    ValueError
        If `v` has fewer than two axes or contains NaN or infinity, rates exceed half the frame
        rate, scales exceed half the channel density, or either is not ascending.

    See Also
    --------
    cortical_transform_blocks : Computation block by block, for long spectrograms.
    invert_cortical_transform : Inverse transform.
    skstrf.STRFTransformer : Both stages of the model as an estimator.

    Notes
    -----
    The numbers equal those of the NSL toolbox (``aud2cor``). As defined there, the rate filters
    depend on the number of frames, rounded up to a power of two, so that only clips of the same
    length should be compared. The memory is that of the output and a workspace of about 100 MB.

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
    settings = check_settings(
        rates, scales, frame_rate, channels_per_octave, bandpass, frame_step, channel_step,
        full_time, full_frequency, output, pooling,
    )  # fmt: skip
    spectrogram, from_numpy = check_spectrogram(v)
    plan = cortical_plan(spectrogram.shape[-2:], settings)
    flat = spectrogram.reshape(-1, *spectrogram.shape[-2:])
    result = analyze(flat, plan, settings.output, settings.window, max_memory)
    result = result.reshape(*spectrogram.shape[:-2], *result.shape[1:])
    return check_overflow(result.numpy(), "cortical_transform") if from_numpy else result


class CorticalSettings(NamedTuple):
    """Checked parameters of the cortical transform."""

    rates: np.ndarray  # positive, ascending
    scales: np.ndarray
    frame_rate: float
    channels_per_octave: float
    bandpass: bool
    frame_step: int  # between the frames that the rate filters return
    channel_step: int
    full_time: float
    full_frequency: float
    output: str
    window: int  # number of these frames that are averaged


def check_settings(
    rates: Any,
    scales: Any,
    frame_rate: float,
    channels_per_octave: float,
    bandpass: bool,
    frame_step: int,
    channel_step: int,
    full_time: float = 0.0,
    full_frequency: float = 0.0,
    output: str = "complex",
    pooling: str = "sample",
) -> CorticalSettings:
    """Check the parameters of the cortical transform that do not depend on the spectrogram."""
    if output not in _OUTPUTS:
        raise ValueError(f"output must be one of {_OUTPUTS}, got {output!r}.")
    if pooling not in _POOLINGS:
        raise ValueError(f"pooling must be one of {_POOLINGS}, got {pooling!r}.")
    frame_step = checked_whole(frame_step, "frame_step")
    channel_step = checked_whole(channel_step, "channel_step")
    for name, share in (("full_time", full_time), ("full_frequency", full_frequency)):
        checked_number(share, name, low=0, high=1)
    step, window = (1, frame_step) if pooling == "mean" else (frame_step, 1)
    return CorticalSettings(
        check_ascending(rates, "rates"), check_ascending(scales, "scales"), frame_rate,
        channels_per_octave, bool(bandpass), step, channel_step, full_time, full_frequency, output,
        window,
    )  # fmt: skip


def check_spectrogram(v: Any) -> tuple[torch.Tensor, bool]:
    """Check spectrograms; return a torch tensor and whether it was made from numpy."""
    import torch

    sleep_while_waiting()
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


class CorticalPlan(NamedTuple):
    """Everything that depends on the shape and the settings but not on the data."""

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


def cortical_plan(shape: Any, settings: CorticalSettings) -> CorticalPlan:
    """Filters and sizes for spectrograms of one shape."""
    n_channels, n_times = int(shape[0]), int(shape[1])
    half = power_of_two(n_times)
    half_channels = power_of_two(n_channels)
    kinds = filter_kinds(len(settings.rates), settings.bandpass)
    responses = [
        rate_filter(rate, half, frame_rate=settings.frame_rate, kind=kind)
        for rate, kind in zip(settings.rates, kinds, strict=True)
    ]
    up = [two_sided(response, "up") for response in responses[::-1]]
    down = [two_sided(response, "down") for response in responses]
    margin = int(n_channels / 2 * settings.full_frequency)
    rows = np.arange(-margin, n_channels + margin, settings.channel_step)
    wave = 2j * np.pi / (2 * half_channels) * np.outer(rows, np.arange(half_channels))
    inverse = np.exp(wave) / (2 * half_channels)
    synthesis = []
    for gain in _scale_gains(
        half_channels, settings.scales, settings.channels_per_octave, settings.bandpass
    ):
        n_bins = int(np.flatnonzero(gain > _NEGLIGIBLE).max(initial=0)) + 1
        synthesis.append(inverse[:, :n_bins] * gain[:n_bins])
    frame_step = settings.frame_step
    fold = min(frame_step & -frame_step, half)  # the largest power of two in frame_step
    return CorticalPlan(
        shape=(n_channels, n_times),
        channel_step=settings.channel_step,
        n_rows=n_channels + 2 * margin,
        n_frames=n_times + 2 * int(n_times / 2 * settings.full_time),
        n_fft=2 * half,
        n_fft_channels=2 * half_channels,
        fold=fold,
        thin=frame_step // fold,
        rates=np.stack(up + down),
        synthesis=synthesis,
    )


def _scale_gains(
    n_bins: int, scales: np.ndarray, channels_per_octave: float, bandpass: bool
) -> np.ndarray:
    """Transfer functions of a bank of scale filters, (n_scales, n_bins)."""
    kinds = filter_kinds(len(scales), bandpass)
    return np.stack(
        [
            scale_filter(scale, n_bins, channels_per_octave=channels_per_octave, kind=kind)
            for scale, kind in zip(scales, kinds, strict=True)
        ]
    )


def analyze(
    v: torch.Tensor,
    plan: CorticalPlan,
    output: str = "complex",
    window: int = 1,
    max_memory: float | None = None,
    bank: FilterBank | None = None,
) -> torch.Tensor:
    """Responses of a flat batch (n, n_freqs, n_frames), by the filters of `bank` if given."""
    import torch

    bank = bank or filter_bank(plan, v.dtype, v.device)
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
    """Number of sounds whose work arrays fit; 1 on a CPU, where products are written in place."""
    if v.device.type in HOST_KINDS:
        return 1
    if max_memory is None:
        max_memory = work_bytes(v.device)
    numbers = plan.n_fft_channels // 2 * plan.n_fft + len(plan.synthesis[0]) * n_kept
    per_sound = _COPIES * numbers * 2 * v.element_size()
    return min(len(v), max(1, int(max_memory / per_sound)))


class FilterBank(NamedTuple):
    """Matrices of a plan as tensors of one precision on one device."""

    rates: torch.Tensor
    synthesis: list[torch.Tensor]


def filter_bank(plan: CorticalPlan, dtype: torch.dtype, device: Any = "cpu") -> FilterBank:
    """Convert the matrices of a plan to the precision of spectrograms of `dtype`."""
    import torch

    kind = torch.complex128 if dtype == torch.float64 else torch.complex64
    matrices = [torch.as_tensor(m).to(kind).to(device) for m in (plan.rates, *plan.synthesis)]
    return FilterBank(matrices[0], matrices[1:])


def differentiable_responses(
    v: torch.Tensor, bank: FilterBank, plan: CorticalPlan, output: str, window: int
) -> torch.Tensor:
    """Responses without in-place writes, as autograd and compilers require."""
    import torch

    blocks = [
        torch.stack(
            [output_of(m @ frames[:, : m.shape[1]], output, window) for m in bank.synthesis], dim=1
        )
        for frames in _rate_frames(v, bank, plan)
    ]
    return torch.stack(blocks, dim=2)


def _rate_frames(v, bank: FilterBank, plan: CorticalPlan) -> Iterator[torch.Tensor]:
    """Yield the filtered frames (n, n_bins, n_kept) of each signed rate."""
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
    if output == "magnitude" and window == 1 and stays_on_device(response):
        torch.abs(response, out=target)
    elif output != "magnitude" or stays_on_device(response):
        target.copy_(output_of(response, output, window))
    elif window == 1:  # numpy takes magnitudes five times faster than torch
        np.abs(response.numpy(), out=target.numpy())
    else:
        target.copy_(_pooled(torch.from_numpy(np.abs(response.numpy())), window))


def filtered_frames(spectrum, response, upward: bool, plan: CorticalPlan) -> torch.Tensor:
    """Apply a rate filter to the spectrum and return the kept frames, (n, n_bins, n_kept)."""
    # A filter is zero on half of the bins, so only the other half is computed. Folding that half
    # onto n_fft / fold bins samples the inverse transform at every fold-th frame.
    import torch

    half = plan.n_fft // 2
    side = slice(half, None) if upward else slice(0, half)
    product = spectrum[..., side] * response[side]
    length = plan.n_fft // plan.fold
    if plan.fold == 1:  # the transform below pads the end with zeros
        folded = torch.cat([torch.zeros_like(product), product], dim=-1) if upward else product
    else:
        folded = product.unflatten(-1, (plan.fold // 2, length)).sum(-2)
    if upward:  # zero frequency belongs to both directions
        first = folded[..., :1] + spectrum[..., :1] * response[:1]
        folded = torch.cat([first, folded[..., 1:]], dim=-1)
    n_kept = -(-plan.n_frames // plan.fold)
    frames = torch.fft.ifft(folded, length, dim=-1)[..., : n_kept : plan.thin]
    return frames / plan.fold if plan.fold > 1 else frames


def output_of(block: torch.Tensor, output: str, window: int) -> torch.Tensor:
    """Complex, real or absolute values of responses, averaged over windows of frames."""
    if output == "magnitude":
        block = block.abs()
    elif output == "real":
        block = block.real
    return _pooled(block, window)


def _pooled(block: torch.Tensor, window: int) -> torch.Tensor:
    """Mean of every `window` frames; the last window may be shorter."""
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
    """Responses of the scale filters to every frame, without rate filters.

    Parameters
    ----------
    v : array-like of shape (..., n_freqs, n_frames)
        Auditory spectrograms, lowest frequency first.
    scales : sequence of float, default=(0.25, 0.5, 1, 2, 4, 8)
        Scales in cycles/octave, ascending.
    channels_per_octave : float, default=24
        Number of frequency channels per octave.
    bandpass : bool, default=False
        Whether the lowest and the highest filter are band-pass too.

    Returns
    -------
    ndarray of shape (..., n_scales, n_freqs, n_frames), complex
        Responses, complex64 for float32 input, complex128 otherwise.

    Raises
    ------
    ValueError
        If `v` has fewer than two axes or contains NaN or infinity, or the scales are invalid.

    See Also
    --------
    invert_scale_transform : Inverse transform.

    Notes
    -----
    The result equals that of the NSL toolbox (``aud2cors``). Before the Fourier transform, each
    spectrum is padded with a straight line from its top to its bottom, so that it is continuous.

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
    array = _check_array(v, "fiu", 2, "A spectrogram", "(..., n_freqs, n_frames)")
    n_freqs = array.shape[-2]
    half = power_of_two(n_freqs)
    n_pad = 2 * half - n_freqs
    gains = _scale_gains(half, check_ascending(scales, "scales"), channels_per_octave, bandpass)[
        ..., None
    ]
    with np.errstate(over="ignore", invalid="ignore"):  # check_overflow looks at the result
        first, last = array[..., :1, :], array[..., -1:, :]
        ramp = last + (np.arange(1, n_pad + 1) / (n_pad + 1))[:, None] * (first - last)
        padded = np.concatenate([array, ramp], axis=-2)
        spectrum = np.fft.fft(padded, axis=-2)[..., None, :half, :]
        response = np.fft.ifft(spectrum * gains, 2 * half, axis=-2)[..., :n_freqs, :]
        response = response.astype(np.result_type(array.dtype, np.complex64))
    return check_overflow(response, "scale_transform")


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
        Responses from :func:`scale_transform`.
    scales, channels_per_octave, bandpass
        Same as in :func:`scale_transform`.
    norm : float, default=0.99
        Degree of normalization, from 0 (none) to 1 (division by the summed power of the filters).

    Returns
    -------
    ndarray of shape (..., n_freqs, n_frames)
        Real spectrogram. It is not exact, because the responses to the padding are missing: the
        relative L2 error is 7 to 20 percent on the reference signals.

    Raises
    ------
    ValueError
        If the number of scales differs from that of `c`, or `c` contains NaN or infinity.

    See Also
    --------
    scale_transform : Forward transform.

    Notes
    -----
    The result equals the real part of that of the NSL toolbox (``cor2auds``).

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf.auditory import invert_scale_transform, scale_transform
    >>> invert_scale_transform(scale_transform(np.ones((128, 10)))).shape
    (128, 10)
    """
    array = _check_array(
        c, "c", 3, "Scale responses", "(..., n_scales, n_freqs, n_frames), complex"
    )
    checked_number(norm, "norm", low=0, high=1)
    n_freqs = array.shape[-2]
    half = power_of_two(n_freqs)
    gains = _scale_gains(half, check_ascending(scales, "scales"), channels_per_octave, bandpass)
    if len(gains) != array.shape[-3]:
        raise ValueError(
            f"{len(gains)} scales were given for a tensor of {array.shape[-3]} scales; "
            "give the scales of scale_transform."
        )
    power = (gains**2).sum(axis=0)
    # Bins that all filters attenuate below rounding noise cannot be restored.
    passed = power > np.finfo(array.dtype).eps ** 2
    power = norm * power + (1 - norm) * power.max()
    power[0] *= 2  # the other bins represent their mirror images too
    with np.errstate(over="ignore", invalid="ignore"):
        spectrum = np.fft.fft(array, 2 * half, axis=-2)[..., :half, :]
        total = (spectrum * gains[..., None]).sum(axis=-3)
        total = np.divide(total, power[:, None], out=total * 0, where=passed[:, None])
        v = 2 * np.fft.ifft(total, 2 * half, axis=-2)[..., :n_freqs, :].real
        v = v.astype(np.float32 if array.dtype == np.complex64 else np.float64)
    return check_overflow(v, "invert_scale_transform")


def _check_array(values: Any, kinds: str, n_axes: int, what: str, axes: str) -> np.ndarray:
    array = np.asarray(values)
    if array.dtype.kind not in kinds or array.ndim < n_axes or array.size == 0:
        raise ValueError(
            f"{what} must have the axes {axes}, none of them empty; "
            f"got shape {array.shape} of dtype {array.dtype}."
        )
    if array.dtype.kind in "iu" or array.dtype == np.float16:
        array = array.astype(np.float64)
    if not np.isfinite(array).all():
        raise ValueError(f"{what} must not contain NaN or infinite values.")
    return array


def signed_rates(rates: Any) -> np.ndarray:
    """Signed rate axis of the cortical tensor, in ascending order."""
    array = np.asarray(rates, dtype=float)
    return np.concatenate([-array[::-1], array])
