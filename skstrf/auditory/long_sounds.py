"""The cochlear stage for sounds too long to hold: blocks of samples in, blocks of frames out.

The cochlea remembers (states of the filters, membranes, the leaky integration), so its memory is
carried from block to block: joined, the blocks are the whole, bit for bit.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from skstrf.auditory.cochlea import _check_sounds, _frame_settings, _run_kernel, model_sample_rate
from skstrf.auditory.cortex import (
    DEFAULT_RATES,
    DEFAULT_SCALES,
    _check_choices,
    _output,
    _power_of_two,
    cortical_plan,
    cortical_transform,
    filtered_frames,
)
from skstrf.auditory.modulation_filters import (
    _check_rate,
    check_ascending,
    filter_kinds,
    two_sided,
)
from skstrf.utils.validation import checked_whole

__all__ = [
    "FrameFile",
    "WholeFileFilter",
    "auditory_spectrogram_blocks",
    "cortical_transform_blocks",
]


# Samples handed to the kernel at a time: about 16 MB of work arrays, and many frames per call.
_SAMPLES = 1 << 18
# Frames written to a file at a time.
_FRAMES = 1024


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
    """Auditory spectrogram of one sound that comes block by block, in flat memory.

    Parameters
    ----------
    blocks : iterable of array-like of shape (n_times,)
        The sound, cut anywhere; blocks may differ in length and be empty.
    sample_rate, hop_duration, time_constant, nonlinearity, octave_shift, n_jobs
        As in :func:`auditory_spectrogram`.

    Yields
    ------
    ndarray of shape (128, n_frames)
        Joined along the last axis they equal :func:`auditory_spectrogram` of the joined sound
        exactly, resampling included. float32 when the first block is, else float64.

    Raises
    ------
    ValueError
        As :func:`auditory_spectrogram`; also for a block that is not one-dimensional.

    See Also
    --------
    skstrf.auditory.cortical_transform_blocks : The next stage.

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
    settings = _frame_settings(rate, hop_duration, time_constant, nonlinearity)
    sound = _resampled(_checked(blocks), sample_rate, rate)
    memories: dict = {}
    for part in _whole_frames(sound, settings.n_samples):
        yield _run_kernel(part[np.newaxis], settings, n_jobs, part.dtype, memories)[0]


class FrameFile:
    """A spectrogram, real or complex, that lies in a temporary file and not in memory.

    Slices along time, ``frames[:, first:last]``, are read when they are asked for; a memory map
    would count every page it has touched as memory in use.
    """

    ndim = 2

    def __init__(self, dtype: Any, n_freqs: int, folder: Any = None) -> None:
        self.dtype = np.dtype(dtype)
        self.shape = (n_freqs, 0)
        self._place = str(folder or tempfile.gettempdir())
        self._file = tempfile.TemporaryFile(prefix="skstrf-", dir=folder)  # noqa: SIM115

    def append(self, frames: np.ndarray) -> None:
        """Add frames, (n_freqs, n), at the end; a full disk is an OSError that names the place."""
        try:
            # Frame after frame, so that a stretch of time is a stretch of the file.
            for first in range(0, frames.shape[1], _FRAMES):
                part = frames[:, first : first + _FRAMES].T
                self._file.write(np.ascontiguousarray(part, dtype=self.dtype).data)
            self._file.flush()
        except OSError as error:
            raise OSError(
                error.errno,
                f"{error.strerror} while a spectrogram is written. Make room, or name another "
                "folder for temporary files (environment variable TMPDIR)",
                self._place,
            ) from error
        self.shape = (self.shape[0], self.shape[1] + frames.shape[1])

    def __getitem__(self, key: tuple[slice, slice]) -> np.ndarray:
        rows, columns = key
        first, last, step = columns.indices(self.shape[1])
        n_freqs, n_frames = self.shape[0], max(0, last - first)
        self._file.seek(first * n_freqs * self.dtype.itemsize)
        data = np.fromfile(self._file, self.dtype, n_frames * n_freqs)
        return data.reshape(n_frames, n_freqs).T[rows, ::step]

    def close(self) -> None:
        """Give the space on the disk back."""
        self._file.close()


def _checked(blocks: Iterable[Any]) -> Iterator[np.ndarray]:
    """Check every block; all get the dtype of the first."""
    dtype = None
    for block in blocks:
        array = np.asarray(block)
        if array.ndim != 1:
            raise ValueError(
                "A block must be one-dimensional, a stretch of one sound; got shape "
                f"{array.shape}."
            )
        if array.size == 0:
            continue
        array = _check_sounds(array)
        dtype = dtype or array.dtype
        yield array.astype(dtype, copy=False)
    if dtype is None:
        raise ValueError("The sound has no samples: every block is empty.")


def _resampled(blocks: Iterable[np.ndarray], from_rate: float, to_rate: float) -> Iterator:
    """Resample as :func:`skstrf.auditory.resample` does, across the borders of the blocks."""
    if not (np.isfinite(from_rate) and from_rate > 0):
        raise ValueError(f"sample_rate must be a positive number of Hz, got {from_rate!r}.")
    if from_rate == to_rate:
        yield from blocks
        return
    import soxr

    stream, dtype, n_out = None, np.dtype(np.float64), 0
    for block in blocks:
        if stream is None:
            dtype = block.dtype
            stream = soxr.ResampleStream(from_rate, to_rate, 1, dtype=dtype.name, quality="HQ")
        part = stream.resample_chunk(block)
        n_out += part.size
        yield part
    if stream is not None:
        part = stream.resample_chunk(np.zeros(0, dtype), last=True)
        # A sound of one or two samples can vanish.
        yield part if n_out + part.size else np.zeros(1, dtype)


def _whole_frames(blocks: Iterable[np.ndarray], n_samples: int) -> Iterator[np.ndarray]:
    """Cut again, into long stretches of whole frames; the last one ends where the sound does."""
    wanted = -(-_SAMPLES // n_samples) * n_samples
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


# Bins evaluated at a time in search of the peak.
_BINS = 1 << 16


class WholeFileFilter:
    r"""The transfer function of :func:`skstrf.auditory.rate_filter`, without a Fourier transform.

    Before its mean is taken out, the impulse response is a difference of two terms
    :math:`k^2 r^k`, whose sum over :math:`k` is known. The mean over the first half of the
    Fourier grid touches the odd bins only (and bin 0, which it empties).
    """

    def __init__(self, rate: float, n_bins: int, frame_rate: float, kind: str) -> None:
        self.rate, self.n_bins, self.frame_rate, self.kind = rate, n_bins, frame_rate, kind

    def at(self, bins: np.ndarray) -> np.ndarray:
        """The transfer function at whole bins."""
        odd = bins % 2 == 1
        return np.where(odd, self._response(bins, True), self._response(bins, False))

    def between(self, bins: np.ndarray) -> np.ndarray:
        """The mean of the curves through the even and through the odd bins."""
        return (self._response(bins, True) + self._response(bins, False)) / 2

    def _response(self, bins: np.ndarray, odd: bool) -> np.ndarray:
        spectrum = self._spectrum(bins, odd)
        gain = np.abs(spectrum)
        direction = np.divide(spectrum, gain, out=np.ones_like(spectrum), where=gain > 0)
        peak, top = self._peak
        gain = gain / top
        if self.kind == "low":
            gain = np.where(bins < peak, 1.0, gain)
        elif self.kind == "high":
            gain = np.where(bins > peak, 1.0, gain)
        return gain * direction

    @cached_property
    def _peak(self) -> tuple[int, float]:
        """The bin of the highest gain, and that gain."""
        best, top = 0, 0.0
        for first in range(0, self.n_bins, _BINS):
            bins = np.arange(first, min(first + _BINS, self.n_bins))
            odd = bins % 2 == 1
            gain = np.abs(np.where(odd, self._spectrum(bins, True), self._spectrum(bins, False)))
            if gain.max() > top:
                best, top = first + int(gain.argmax()), float(gain.max())
        return best, top

    def _spectrum(self, bins: np.ndarray, odd: bool) -> np.ndarray:
        """Fourier transform of the impulse response less its mean, as on odd or on even bins."""
        turn = np.pi * np.asarray(bins, dtype=float) / self.n_bins
        spectrum = self._raw_spectrum(turn, odd)
        total = self._raw_spectrum(np.zeros(1), False)[0].real
        if odd:
            denominator = 1 - np.exp(-1j * turn)
            denominator[denominator == 0] = np.inf  # bin 0 is not odd
            return spectrum - 2 * total / self.n_bins / denominator
        return np.where(turn == 0, 0.0, spectrum)

    def _raw_spectrum(self, turn: np.ndarray, odd: bool) -> np.ndarray:
        step = self.rate / self.frame_rate
        sums = []
        for pole in ((2j * np.pi - 3.5) * step, (-2j * np.pi - 3.5) * step):
            last = np.exp(pole * self.n_bins) * (-1 if odd else 1)
            sums.append(_sum_of_squares(np.exp(pole - 1j * turn), last, self.n_bins))
        return self.rate * step**2 * (sums[0] - sums[1]) / 2j


def _sum_of_squares(ratio: np.ndarray, last: complex, n: int) -> np.ndarray:
    """The sum of ``k**2 * ratio**k`` over k < n, where ``ratio**n`` is `last`."""
    rest = 1 - ratio
    series = ratio * (1 + ratio) / rest**3
    return series - last * (n**2 / rest + 2 * n * ratio / rest**2 + series)


# Up to this many frames (33 s at 125 a second) the whole is computed at once.
_SHORT = 4096
# Bytes of a block of output, unless asked otherwise.
_BLOCK_BYTES = 64_000_000
# Of the block's Fourier transform; more is taken where a block of output needs it.
_N_FFT = 8192
# Values a second (rounded down to a power-of-two fraction of the frames) of the edge bands.
_COARSE_RATE = 2.0
# In units of the coarse rate: up to where the edge bands hold everything, from where nothing.
_PASS, _STOP = 0.05, 0.33
# Stop-band attenuation of the low-pass filter and the interpolation.
_DECIBELS = 120.0
# Seconds after which the responses to all but the edge bands have died away.
_MARGIN = 8.0
# Coarse values of the edge bands computed at a time.
_COARSE_CHUNK = 128


def cortical_transform_blocks(
    v: Any,
    *,
    rates: Any = DEFAULT_RATES,
    scales: Any = DEFAULT_SCALES,
    frame_rate: float = 125,
    channels_per_octave: float = 24,
    bandpass: bool = False,
    frame_step: int = 1,
    channel_step: int = 1,
    output: str = "complex",
    pooling: str = "sample",
    block_length: int | None = None,
    folder: Any = None,
    device: str = "cpu",
) -> Iterator[np.ndarray]:
    """Responses of a bank of receptive fields to a spectrogram of any length, in flat memory.

    Parameters
    ----------
    v : array-like of shape (n_freqs, n_frames)
        One auditory spectrogram. Only stretches ``v[:, first:last]`` are ever read, so it may
        be a memory map, a zarr array or a :class:`skstrf.auditory.long_sounds.FrameFile`.
    rates, scales, frame_rate, channels_per_octave, bandpass, frame_step, channel_step, output, \
pooling
        As in :func:`cortical_transform`.
    block_length : int, optional
        Kept frames of every block but the last. None makes blocks of about 64 MB.
    folder : str or Path, optional
        For temporary files, 70 MB an hour for the default rates; None takes the system's.
    device : str, default="cpu"
        Where torch computes.

    Returns
    -------
    iterator of ndarray of shape (n_scales, 2 * n_rates, n_freqs, block_length)
        Joined along the last axis: :func:`cortical_transform` of the whole, to 1e-4 of its
        largest magnitude at every frame, the ends of the file included. Measured on 10
        minutes: 7e-6 on music, 2e-5 on modulated noise, 4e-5 with a lowest rate of 0.5 Hz.
        Spectrograms of up to 4096 frames come out exactly equal.

    Raises
    ------
    ValueError
        As :func:`cortical_transform`; also for a batch, or a block_length below 1.

    See Also
    --------
    skstrf.auditory.auditory_spectrogram_blocks : The stage before.

    Notes
    -----
    Memory grows by a few copies of 2 values a second and channel, 50 MB an hour; the rest is
    flat.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf.auditory import cortical_transform_blocks
    >>> v = np.random.default_rng(0).random((128, 10000), dtype=np.float32)
    >>> blocks = cortical_transform_blocks(v, frame_step=16, block_length=250)
    >>> [block.shape[-1] for block in blocks]
    [250, 250, 125]
    """
    _check_choices(output, pooling, frame_step, channel_step, 0.0, 0.0)
    v = v if hasattr(v, "shape") else np.asarray(v)
    if len(v.shape) != 2 or 0 in v.shape or np.dtype(v.dtype).kind not in "fiu":
        raise ValueError(
            "v must be one real spectrogram (n_freqs, n_frames), none of them 0; got shape "
            f"{tuple(v.shape)} and dtype {v.dtype}."
        )
    rates, scales = check_ascending(rates, "rates"), check_ascending(scales, "scales")
    for rate in rates:
        _check_rate(rate, frame_rate)
    if block_length is None:
        n_values = 2 * len(rates) * len(scales) * -(-v.shape[0] // channel_step)
        block_length = max(1, _BLOCK_BYTES // (n_values * 4 * (1 + (output == "complex"))))
    block_length = checked_whole(block_length, "block_length")
    wanted = _Wanted(
        rates, scales, float(frame_rate), channels_per_octave, bool(bandpass),
        1 if pooling == "mean" else int(frame_step), int(channel_step),
        output, int(frame_step) if pooling == "mean" else 1, block_length, device,
    )  # fmt: skip
    if v.shape[1] <= _SHORT:
        return _cut_whole(v, wanted)
    return _blocks(v, wanted, folder)


class _Wanted(NamedTuple):
    """The arguments, checked."""

    rates: np.ndarray
    scales: np.ndarray
    frame_rate: float
    channels_per_octave: float
    bandpass: bool
    step: int  # of the frames that the rate filters give
    channel_step: int
    output: str
    window: int  # of the mean
    block_length: int
    device: str


def _cut_whole(v: Any, wanted: _Wanted) -> Iterator[np.ndarray]:
    whole = cortical_transform(
        _torch_frames(v, 0, v.shape[1], wanted.device)[0],
        rates=wanted.rates,
        scales=wanted.scales,
        frame_rate=wanted.frame_rate,
        channels_per_octave=wanted.channels_per_octave,
        bandpass=wanted.bandpass,
        frame_step=wanted.step * wanted.window,
        channel_step=wanted.channel_step,
        output=wanted.output,
        pooling="mean" if wanted.window > 1 else "sample",
    )
    for first in range(0, whole.shape[-1], wanted.block_length):
        yield whole[..., first : first + wanted.block_length].cpu().numpy()


class _Edges(NamedTuple):
    """The filtered edge bands of a whole file, at the coarse rate."""

    factor: int  # frames per coarse value
    n_before: int  # coarse values that are kept from before the first frame
    low_pass: np.ndarray
    interpolation: np.ndarray
    filters: list[WholeFileFilter]
    bands: list[list[FrameFile]]  # near zero and near half the frame rate; by signed rate


def _make_edges(v, rates, frame_rate, bandpass, folder) -> _Edges:
    factor = max(2, 1 << int(np.log2(max(1.0, frame_rate / _COARSE_RATE))))
    low_pass = _low_pass((_PASS + _STOP) / 2, _STOP - _PASS, factor)
    # Images of the band begin one coarse rate up.
    interpolation = factor * _low_pass(0.5, 1 - 2 * _STOP, factor)
    n_before = len(interpolation) // factor
    n_bins = _power_of_two(v.shape[1])
    n_coarse = 2 * n_bins // factor
    filters = [
        WholeFileFilter(rate, n_bins, frame_rate, kind)
        for rate, kind in zip(rates, filter_kinds(len(rates), bandpass), strict=True)
    ]
    bands: list[list[FrameFile]] = []
    for near_half in (False, True):
        spectrum = _band_spectrum(v, low_pass, factor, n_coarse, near_half)
        responses = [_edge_responses(filter_, n_coarse, near_half) for filter_ in filters]
        signed = [up for up, _ in responses[::-1]] + [down for _, down in responses]
        n_kept = v.shape[1] // factor + n_before
        bands.append([_filtered(spectrum, r, n_before, n_kept, folder) for r in signed])
    return _Edges(factor, n_before, low_pass, interpolation, filters, bands)


def _low_pass(cutoff: float, width: float, factor: int) -> np.ndarray:
    """Low-pass filter with a whole number of coarse values on each side, in coarse rates."""
    from scipy.signal import firwin, kaiserord

    n_taps, beta = kaiserord(_DECIBELS, 2 * width / factor)
    side = -(-(n_taps // 2) // factor) * factor
    return firwin(2 * side + 1, 2 * cutoff / factor, window=("kaiser", beta))


def _band_spectrum(v, low_pass, factor, n_coarse, near_half) -> np.ndarray:
    """Spectrum in frequency and time of an edge band, (n_bins, n_coarse).

    The band near half the frame rate is moved down to zero first.
    """
    from scipy.fft import fft, rfft
    from scipy.signal import upfirdn

    n_channels, n_frames = v.shape
    side = len(low_pass) // 2
    first, last = -side // factor, (n_frames - 1 + side) // factor + 1
    band = np.zeros((n_channels, n_coarse), dtype=_float_type(v))
    for start in range(first, last, _COARSE_CHUNK):
        stop = min(start + _COARSE_CHUNK, last)
        frames = _stretch(v, start * factor - side, (stop - 1) * factor + side + 1)
        frames = frames.astype(np.float64)
        if near_half:  # the stretch begins at an even frame
            frames[:, 1::2] *= -1
        coarse = upfirdn(low_pass, frames, down=factor, axis=1)[:, 2 * side // factor :]
        band[:, np.arange(start, stop) % n_coarse] = coarse[:, : stop - start]
    n_bins = _power_of_two(n_channels)
    spectrum = np.empty((n_bins, n_coarse), dtype=np.result_type(band.dtype, np.complex64))
    for start in range(0, n_coarse, _COARSE_CHUNK):
        part = slice(start, start + _COARSE_CHUNK)
        spectrum[:, part] = rfft(band[:, part], 2 * n_bins, axis=0)[:n_bins]
    for row in spectrum:
        row[:] = fft(row)
    return spectrum


def _stretch(v: Any, first: int, last: int) -> np.ndarray:
    """``v[:, first:last]``, zero outside of the file."""
    inside = np.asarray(v[:, max(first, 0) : max(last, 0)], dtype=_float_type(v))
    if not np.isfinite(inside).all():
        raise ValueError("The spectrogram contains NaN or infinite values.")
    n_before = min(max(-first, 0), last - first)
    return np.pad(inside, ((0, 0), (n_before, last - first - n_before - inside.shape[1])))


def _edge_responses(
    whole: WholeFileFilter, n_coarse: int, near_half: bool
) -> tuple[np.ndarray, np.ndarray]:
    """The upward and the downward filter on the bins of an edge band."""
    half = n_coarse // 2
    if not near_half:
        response = whole.at(np.arange(half))
        return two_sided(response, "up"), two_sided(response, "down")
    # Downward filters end below half the frame rate, upward ones begin there.
    response = whole.at(np.arange(whole.n_bins - half, whole.n_bins))
    down, up = np.zeros(n_coarse, dtype=complex), np.zeros(n_coarse, dtype=complex)
    down[half:] = response
    up[0] = np.abs(response[-1])
    up[1:half] = np.conj(response[:0:-1])
    return up, down


def _filtered(spectrum, response, n_before, n_kept, folder) -> FrameFile:
    """An edge band through one filter, from `n_before` values before the first frame on."""
    from scipy.fft import ifft

    band = spectrum * response.astype(spectrum.dtype)
    for row in band:  # row by row, for the work space of one
        row[:] = ifft(row)
    file = FrameFile(band.dtype, len(band), folder)
    file.append(band[:, band.shape[1] - n_before :])
    file.append(band[:, : n_kept + 1])
    return file


def _blocks(v: Any, wanted: _Wanted, folder: Any) -> Iterator[np.ndarray]:
    """Blocks of the length wanted, put together from the parts."""
    edges = _make_edges(v, wanted.rates, wanted.frame_rate, wanted.bandpass, folder)
    n_left = -(-v.shape[1] // (wanted.step * wanted.window))
    block, n_filled = None, 0
    try:
        for part in _parts(v, edges, wanted):
            while part.shape[-1]:
                if block is None:
                    shape = (*part.shape[:-1], min(wanted.block_length, n_left))
                    block, n_filled = np.empty(shape, part.dtype), 0
                taken = part[..., : block.shape[-1] - n_filled]
                block[..., n_filled : n_filled + taken.shape[-1]] = taken
                n_filled, part = n_filled + taken.shape[-1], part[..., taken.shape[-1] :]
                if n_filled == block.shape[-1]:
                    n_left -= n_filled
                    yield block
                    block = None
    finally:
        for band in edges.bands:
            for file in band:
                file.close()


def _parts(v: Any, edges: _Edges, wanted: _Wanted) -> Iterator[np.ndarray]:
    """The output in parts as long as the Fourier transforms give them, or a block at most."""
    import torch

    step, window, n_freqs = wanted.step, wanted.window, v.shape[0]
    margin = -(-int(_MARGIN * wanted.frame_rate) // step) * step
    n_fft = _power_of_two(max(_N_FFT, 2 * margin + step * window))
    advance = (n_fft - 2 * margin) // (step * window) * step * window
    plan = cortical_plan(
        (n_freqs, n_fft // 2), wanted.rates, wanted.scales, wanted.frame_rate,
        wanted.channels_per_octave, wanted.bandpass, step, wanted.channel_step, 0.0, 0.0,
    )._replace(n_frames=n_fft)  # fmt: skip
    dtype = torch.complex64 if _float_type(v) == np.float32 else torch.complex128
    middle = [torch.from_numpy(r).to(wanted.device, dtype) for r in _middle(edges, n_fft)]
    synthesis = [torch.as_tensor(m).to(wanted.device, dtype) for m in plan.synthesis]
    longest = wanted.block_length * window
    for start in range(0, v.shape[1], advance):
        frames = _torch_frames(v, start - margin, start - margin + n_fft, wanted.device)
        spectrum = torch.fft.rfft(frames, plan.n_fft_channels, dim=-2)
        spectrum = torch.fft.fft(spectrum[:, : plan.n_fft_channels // 2], dim=-1)
        kept = np.arange(start, min(start + advance, v.shape[1]), step)
        table, coarse = _interpolation(edges, kept)
        weights = torch.from_numpy(table).to(wanted.device, dtype)
        responses = []
        for index, response in enumerate(middle):
            fast = filtered_frames(spectrum, response, index < len(wanted.rates), plan)[0]
            values = np.concatenate([band[index][:, coarse] for band in edges.bands], axis=1)
            slow = torch.from_numpy(values).to(wanted.device) @ weights
            responses.append(fast[:, margin // step :][:, : len(kept)] + slow)
        for first in range(0, len(kept), longest):
            yield torch.stack([
                torch.stack([
                    _output(matrix @ r[: matrix.shape[1], first : first + longest],
                            wanted.output, window)
                    for matrix in synthesis
                ])
                for r in responses
            ], dim=1).cpu().numpy()  # fmt: skip


def _torch_frames(v: Any, first: int, last: int, device: str) -> Any:
    """Frames of a spectrogram as a batch of one, zero outside of the file."""
    import torch

    return torch.from_numpy(_stretch(v, first, last))[None].to(device)


def _float_type(v: Any) -> np.dtype:
    return np.dtype(np.float32 if np.dtype(v.dtype) == np.float32 else np.float64)


def _middle(edges: _Edges, n_fft: int) -> list[np.ndarray]:
    """The filters without the edge bands, on the Fourier grid of a block, by signed rate."""
    bins = np.arange(1, n_fft // 2)
    side = len(edges.low_pass) // 2
    low = np.pad(edges.low_pass, (0, n_fft - len(edges.low_pass)))
    near_zero = np.fft.rfft(np.roll(low, -side)).real
    share = 1 - near_zero - near_zero[::-1]
    up, down = [], []
    for whole in edges.filters:
        response = np.zeros(n_fft // 2, dtype=complex)
        response[1:] = whole.between(bins * (2 * whole.n_bins / n_fft)) * share[1:-1]
        up.append(two_sided(response, "up"))
        down.append(two_sided(response, "down"))
    return up[::-1] + down


def _interpolation(edges: _Edges, kept: np.ndarray) -> tuple[np.ndarray, slice]:
    """Weights that bring both edge bands to frames, and which coarse values they are for."""
    factor, side = edges.factor, len(edges.interpolation) // 2
    coarse = np.arange((kept[0] - side) // factor, (kept[-1] + side) // factor + 1)
    lags = kept - factor * coarse[:, np.newaxis] + side
    inside = (lags >= 0) & (lags <= 2 * side)
    weights = np.where(inside, edges.interpolation[np.clip(lags, 0, 2 * side)], 0.0)
    # The band near half the frame rate returns to its place.
    weights = np.concatenate([weights, weights * (1.0 - 2 * (kept % 2))])
    return weights, slice(int(coarse[0]) + edges.n_before, int(coarse[-1]) + edges.n_before + 1)
