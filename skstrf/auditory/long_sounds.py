"""Cortical model for spectrograms that are too long for memory: blocks of the tensor.

The rate filters are as long as the spectrogram, because their mean over all frames is removed and
the lowest and highest rates are low- and high-pass. Near zero and near half the frame rate the
filters therefore depend on the whole spectrogram. These two edge bands are filtered at a coarse
rate over the whole length, and stored in files. In the middle the responses decay within seconds,
and overlapping blocks of the spectrogram are sufficient.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from skstrf.auditory.cortex import (
    DEFAULT_RATES,
    DEFAULT_SCALES,
    CorticalSettings,
    analyze,
    check_settings,
    cortical_plan,
    filtered_frames,
    output_of,
)
from skstrf.auditory.modulation_filters import check_rate, filter_kinds, power_of_two, two_sided
from skstrf.utils.validation import check_overflow, checked_whole

__all__ = [
    "FrameFile",
    "WholeFileFilter",
    "cortical_transform_blocks",
]

# Number of frames up to which the whole is computed at once (33 s at 125 frames per second).
_SHORT = 4096
# Size in bytes of a block of output by default.
_BLOCK_BYTES = 64_000_000
# Length of the Fourier transform of a block, or more if a block of output needs it.
_N_FFT = 8192
# Coarse rate of the edge bands in Hz, rounded down to the frame rate over a power of two.
_COARSE_RATE = 2.0
# Limits of the edge bands in units of the coarse rate: complete up to the first, empty from the
# second.
_PASS, _STOP = 0.05, 0.33
# Stop-band attenuation of the low-pass filter and of the interpolation in dB.
_DECIBELS = 120.0
# Time in s after which the responses outside of the edge bands have decayed.
_MARGIN = 8.0
# Number of coarse values of the edge bands computed at a time.
_COARSE_CHUNK = 128
# Number of bins evaluated at a time to find the peak of a filter.
_BINS = 1 << 16
# Number of frames written to a file at a time.
_FRAMES = 1024


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
    """Responses of a bank of receptive fields to a long spectrogram, in constant memory.

    Parameters
    ----------
    v : array-like of shape (n_freqs, n_frames)
        Auditory spectrogram. Only slices ``v[:, first:last]`` are read, so that it may be a
        memory map or a zarr array.
    rates, scales, frame_rate, channels_per_octave, bandpass, frame_step, channel_step, output, \
pooling
        Same as in :func:`cortical_transform`.
    block_length : int or None, default=None
        Number of kept frames in every block but the last. None makes blocks of about 64 MB.
    folder : str or Path or None, default=None
        Folder for temporary files, of 70 MB per hour for the default rates. None is the
        temporary folder of the system.
    device : str, default="cpu"
        Device of the computation.

    Returns
    -------
    iterator of ndarray of shape (n_scales, 2 * n_rates, n_freqs, block_length)
        Blocks of the tensor. Joined along the last axis they equal :func:`cortical_transform` of
        the whole spectrogram to 1e-4 of its largest magnitude at every frame, the ends included.
        The error measured on 10 minutes is 7e-6 on music, 2e-5 on modulated noise and 4e-5 with a
        lowest rate of 0.5 Hz. Spectrograms of up to 4096 frames are exactly equal.

    Raises
    ------
    ValueError
        If `v` is not a single finite spectrogram, or a setting is invalid.

    See Also
    --------
    auditory_spectrogram_blocks : The previous stage of the model.

    Notes
    -----
    The memory grows by a few copies of 2 values per second and channel, 50 MB per hour; the rest
    is constant.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf.auditory import cortical_transform_blocks
    >>> v = np.random.default_rng(0).random((128, 10000), dtype=np.float32)
    >>> blocks = cortical_transform_blocks(v, frame_step=16, block_length=250)
    >>> [block.shape[-1] for block in blocks]
    [250, 250, 125]
    """
    settings = check_settings(
        rates, scales, frame_rate, channels_per_octave, bandpass, frame_step, channel_step,
        output=output, pooling=pooling,
    )  # fmt: skip
    v = v if hasattr(v, "shape") else np.asarray(v)
    if len(v.shape) != 2 or 0 in v.shape or np.dtype(v.dtype).kind not in "fiu":
        raise ValueError(
            "v must be one real spectrogram (n_freqs, n_frames) without empty axes; got shape "
            f"{tuple(v.shape)} and dtype {v.dtype}."
        )
    for rate in settings.rates:
        check_rate(rate, frame_rate)
    if block_length is None:
        n_rows = -(-v.shape[0] // settings.channel_step)
        n_values = 2 * len(settings.rates) * len(settings.scales) * n_rows
        block_length = max(1, _BLOCK_BYTES // (n_values * 4 * (1 + (output == "complex"))))
    block_length = checked_whole(block_length, "block_length")
    if v.shape[1] <= _SHORT:
        return _cut_whole(v, settings, block_length, device)
    return _blocks(v, settings, block_length, folder, device)


def _cut_whole(
    v: Any, settings: CorticalSettings, block_length: int, device: str
) -> Iterator[np.ndarray]:
    frames = _torch_frames(v, 0, v.shape[1], device)
    plan = cortical_plan(v.shape, settings)
    whole = analyze(frames, plan, settings.output, settings.window)[0]
    for first in range(0, whole.shape[-1], block_length):
        block = whole[..., first : first + block_length].cpu().numpy()
        yield check_overflow(block, "cortical_transform_blocks")


class _Edges(NamedTuple):
    """Filtered edge bands of a whole spectrogram, at the coarse rate."""

    factor: int  # frames per coarse value
    n_before: int  # coarse values before the first frame
    low_pass: np.ndarray
    interpolation: np.ndarray
    filters: list[WholeFileFilter]
    bands: list[list[FrameFile]]  # near zero and near half the frame rate; by signed rate


def _make_edges(v, settings: CorticalSettings, folder) -> _Edges:
    rates, frame_rate = settings.rates, settings.frame_rate
    factor = max(2, 1 << int(np.log2(max(1.0, frame_rate / _COARSE_RATE))))
    low_pass = _low_pass((_PASS + _STOP) / 2, _STOP - _PASS, factor)
    # Images of the band begin one coarse rate above it.
    interpolation = factor * _low_pass(0.5, 1 - 2 * _STOP, factor)
    n_before = len(interpolation) // factor
    n_bins = power_of_two(v.shape[1])
    n_coarse = 2 * n_bins // factor
    filters = [
        WholeFileFilter(rate, n_bins, frame_rate, kind)
        for rate, kind in zip(rates, filter_kinds(len(rates), settings.bandpass), strict=True)
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
    """Spectrum in frequency and time of an edge band, shifted to zero, (n_bins, n_coarse)."""
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
        if near_half:  # the slice begins at an even frame
            frames[:, 1::2] *= -1
        coarse = upfirdn(low_pass, frames, down=factor, axis=1)[:, 2 * side // factor :]
        band[:, np.arange(start, stop) % n_coarse] = coarse[:, : stop - start]
    n_bins = power_of_two(n_channels)
    spectrum = np.empty((n_bins, n_coarse), dtype=np.result_type(band.dtype, np.complex64))
    for start in range(0, n_coarse, _COARSE_CHUNK):
        part = slice(start, start + _COARSE_CHUNK)
        spectrum[:, part] = rfft(band[:, part], 2 * n_bins, axis=0)[:n_bins]
    for row in spectrum:
        row[:] = fft(row)
    return spectrum


def _stretch(v: Any, first: int, last: int) -> np.ndarray:
    """``v[:, first:last]``, zero outside of the spectrogram."""
    inside = np.asarray(v[:, max(first, 0) : max(last, 0)], dtype=_float_type(v))
    if not np.isfinite(inside).all():
        raise ValueError("The spectrogram contains NaN or infinite values.")
    n_before = min(max(-first, 0), last - first)
    return np.pad(inside, ((0, 0), (n_before, last - first - n_before - inside.shape[1])))


def _edge_responses(
    whole: WholeFileFilter, n_coarse: int, near_half: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Upward and downward filter on the bins of an edge band."""
    half = n_coarse // 2
    if not near_half:
        response = whole.at(np.arange(half))
        return two_sided(response, "up"), two_sided(response, "down")
    # Downward filters end below half the frame rate, upward filters begin there.
    response = whole.at(np.arange(whole.n_bins - half, whole.n_bins))
    down, up = np.zeros(n_coarse, dtype=complex), np.zeros(n_coarse, dtype=complex)
    down[half:] = response
    up[0] = np.abs(response[-1])
    up[1:half] = np.conj(response[:0:-1])
    return up, down


def _filtered(spectrum, response, n_before, n_kept, folder) -> FrameFile:
    """Edge band after one filter, from `n_before` values before the first frame on."""
    from scipy.fft import ifft

    band = spectrum * response.astype(spectrum.dtype)
    for row in band:  # row by row, to keep the work space small
        row[:] = ifft(row)
    file = FrameFile(band.dtype, len(band), folder)
    file.append(band[:, band.shape[1] - n_before :])
    file.append(band[:, : n_kept + 1])
    return file


def _blocks(
    v: Any, settings: CorticalSettings, block_length: int, folder: Any, device: str
) -> Iterator[np.ndarray]:
    """Arrange the parts in blocks of the requested length."""
    edges = _make_edges(v, settings, folder)
    n_left = -(-v.shape[1] // (settings.frame_step * settings.window))
    block, n_filled = None, 0
    try:
        for part in _parts(v, edges, settings, block_length, device):
            while part.shape[-1]:
                if block is None:
                    shape = (*part.shape[:-1], min(block_length, n_left))
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


def _parts(
    v: Any, edges: _Edges, settings: CorticalSettings, block_length: int, device: str
) -> Iterator[np.ndarray]:
    """Output in parts of the length of the Fourier transforms, or of one block at most."""
    import torch

    step, window, n_freqs = settings.frame_step, settings.window, v.shape[0]
    margin = -(-int(_MARGIN * settings.frame_rate) // step) * step
    n_fft = power_of_two(max(_N_FFT, 2 * margin + step * window))
    advance = (n_fft - 2 * margin) // (step * window) * step * window
    plan = cortical_plan((n_freqs, n_fft // 2), settings)._replace(n_frames=n_fft)
    dtype = torch.complex64 if _float_type(v) == np.float32 else torch.complex128
    middle = [torch.from_numpy(r).to(device, dtype) for r in _middle(edges, n_fft)]
    synthesis = [torch.as_tensor(m).to(device, dtype) for m in plan.synthesis]
    longest = block_length * window
    for start in range(0, v.shape[1], advance):
        frames = _torch_frames(v, start - margin, start - margin + n_fft, device)
        spectrum = torch.fft.rfft(frames, plan.n_fft_channels, dim=-2)
        spectrum = torch.fft.fft(spectrum[:, : plan.n_fft_channels // 2], dim=-1)
        kept = np.arange(start, min(start + advance, v.shape[1]), step)
        table, coarse = _interpolation(edges, kept)
        weights = torch.from_numpy(table).to(device, dtype)
        responses = []
        for index, response in enumerate(middle):
            fast = filtered_frames(spectrum, response, index < len(settings.rates), plan)[0]
            values = np.concatenate([band[index][:, coarse] for band in edges.bands], axis=1)
            slow = torch.from_numpy(values).to(device) @ weights
            responses.append(fast[:, margin // step :][:, : len(kept)] + slow)
        for first in range(0, len(kept), longest):
            block = torch.stack([
                torch.stack([
                    output_of(matrix @ r[: matrix.shape[1], first : first + longest],
                            settings.output, window)
                    for matrix in synthesis
                ])
                for r in responses
            ], dim=1).cpu().numpy()  # fmt: skip
            yield check_overflow(block, "cortical_transform_blocks")


def _torch_frames(v: Any, first: int, last: int, device: str) -> Any:
    """Frames of a spectrogram as a batch of one, zero outside of the spectrogram."""
    import torch

    return torch.from_numpy(_stretch(v, first, last))[None].to(device)


def _float_type(v: Any) -> np.dtype:
    return np.dtype(np.float32 if np.dtype(v.dtype) == np.float32 else np.float64)


def _middle(edges: _Edges, n_fft: int) -> list[np.ndarray]:
    """Filters without the edge bands, on the Fourier grid of a block, by signed rate."""
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
    """Weights that interpolate both edge bands at frames, and the coarse values they multiply."""
    factor, side = edges.factor, len(edges.interpolation) // 2
    coarse = np.arange((kept[0] - side) // factor, (kept[-1] + side) // factor + 1)
    lags = kept - factor * coarse[:, np.newaxis] + side
    inside = (lags >= 0) & (lags <= 2 * side)
    weights = np.where(inside, edges.interpolation[np.clip(lags, 0, 2 * side)], 0.0)
    # The band near half the frame rate is shifted back.
    weights = np.concatenate([weights, weights * (1.0 - 2 * (kept % 2))])
    return weights, slice(int(coarse[0]) + edges.n_before, int(coarse[-1]) + edges.n_before + 1)


class WholeFileFilter:
    """Transfer function of `rate_filter` at any bins, without a Fourier transform."""

    # Before its mean is removed, the impulse response is a difference of two terms k^2 r^k, whose
    # sum over k has a closed form. The mean over the first half of the Fourier grid contributes to
    # the odd bins only (and to bin 0, which becomes zero).

    def __init__(self, rate: float, n_bins: int, frame_rate: float, kind: str) -> None:
        self.rate, self.n_bins, self.frame_rate, self.kind = rate, n_bins, frame_rate, kind

    def at(self, bins: np.ndarray) -> np.ndarray:
        """Transfer function at integer bins."""
        odd = bins % 2 == 1
        return np.where(odd, self._response(bins, True), self._response(bins, False))

    def between(self, bins: np.ndarray) -> np.ndarray:
        """Mean of the curves through the even and through the odd bins."""
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
        """Bin of the highest gain, and that gain."""
        best, top = 0, 0.0
        for first in range(0, self.n_bins, _BINS):
            bins = np.arange(first, min(first + _BINS, self.n_bins))
            odd = bins % 2 == 1
            gain = np.abs(np.where(odd, self._spectrum(bins, True), self._spectrum(bins, False)))
            if gain.max() > top:
                best, top = first + int(gain.argmax()), float(gain.max())
        return best, top

    def _spectrum(self, bins: np.ndarray, odd: bool) -> np.ndarray:
        """Fourier transform of the impulse response minus its mean, for odd or for even bins."""
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
    """Sum of ``k**2 * ratio**k`` over k < n, where ``ratio**n`` is `last`."""
    rest = 1 - ratio
    series = ratio * (1 + ratio) / rest**3
    return series - last * (n**2 / rest + 2 * n * ratio / rest**2 + series)


class FrameFile:
    """Spectrogram in a temporary file; slices ``frames[:, first:last]`` are read on access."""

    # A memory map would count every page that it has touched as memory in use.

    ndim = 2

    def __init__(self, dtype: Any, n_freqs: int, folder: Any = None) -> None:
        self.dtype = np.dtype(dtype)
        self.shape = (n_freqs, 0)
        self._place = str(folder or tempfile.gettempdir())
        self._file = tempfile.TemporaryFile(prefix="skstrf-", dir=folder)  # noqa: SIM115

    def append(self, frames: np.ndarray) -> None:
        """Append frames, (n_freqs, n); if the disk is full, the OSError names the folder."""
        try:
            # Frame after frame, so that a slice along time is contiguous in the file.
            for first in range(0, frames.shape[1], _FRAMES):
                part = frames[:, first : first + _FRAMES].T
                self._file.write(np.ascontiguousarray(part, dtype=self.dtype).data)
            self._file.flush()
        except OSError as error:
            raise OSError(
                error.errno,
                f"{error.strerror} while a spectrogram is written. Free disk space, or set the "
                "environment variable TMPDIR to another folder for temporary files",
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
        """Release the disk space."""
        self._file.close()
