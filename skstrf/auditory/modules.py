"""Torch modules of the cochlear and the cortical model, through which gradients pass."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from skstrf.auditory.cochlea import (
    HAIR_CELLS,
    frame_settings,
    frames_per_second,
    model_sample_rate,
)
from skstrf.auditory.cortex import (
    DEFAULT_RATES,
    DEFAULT_SCALES,
    check_settings,
    cortical_plan,
    differentiable_responses,
    filter_bank,
    signed_rates,
)
from skstrf.auditory.filterbanks import N_CHANNELS, cochlear_filters

__all__ = [
    "RINGING",
    "Cochlea",
    "Cortex",
    "without_slow_pairs",
]


# Number of samples after which all impulse responses have less than 1e-12 of their energy left.
RINGING = 8192
# Share of its start below which a geometric sequence is cut.
_CUT = 1e-18
# Largest distance from 1 of the poles in without_slow_pairs; the next ones are at 0.002.
_SLOW = 1e-5
# Number of values processed at a time: those that fit the cache of a CPU or the memory of a GPU.
_PART = {"cpu": 500_000, "cuda": 100_000_000}


class Cochlea(nn.Module):
    r"""Differentiable cochlear model, from sound to auditory spectrogram.

    The result equals that of :func:`skstrf.auditory.auditory_spectrogram` to 1e-5 of the maximum
    in float32.

    Parameters
    ----------
    hop_duration : float, default=8.0
        Time between successive frames in ms.
    time_constant : float, default=8.0
        Time constant of the leaky integration in ms, see
        :func:`~skstrf.auditory.auditory_spectrogram`.
    nonlinearity : {"linear", "half-wave", "hard"} or float, default="linear"
        Hair-cell nonlinearity; a float is the slope of a sigmoid. "hard" has no gradient.
    octave_shift : float, default=0
        Shift of all center frequencies in octaves. Sounds must have the sampling rate
        ``16000 * 2**octave_shift`` Hz.

    Attributes
    ----------
    sample_rate : float
        Sampling rate of the sounds in Hz.
    frame_rate : float
        Frame rate of the spectrogram in Hz.
    nonlinearity : str or float
        Hair-cell nonlinearity.

    See Also
    --------
    Cortex : The next stage.

    References
    ----------
    .. [1] X. Yang, K. Wang and S. A. Shamma, "Auditory representations of acoustic
       signals", IEEE Transactions on Information Theory 38(2), 824-839, 1992.

    Examples
    --------
    >>> import torch
    >>> from skstrf.auditory.modules import Cochlea, Cortex
    >>> x = torch.randn(2, 4000, requires_grad=True)
    >>> v = Cochlea()(x)
    >>> v.shape
    torch.Size([2, 128, 32])
    >>> Cortex(output="magnitude")(v).mean().backward()
    >>> x.grad.shape
    torch.Size([2, 4000])
    """

    numerator: torch.Tensor
    denominator: torch.Tensor
    slow_rows: torch.Tensor
    slow_gains: torch.Tensor

    def __init__(
        self,
        hop_duration: float = 8.0,
        time_constant: float = 8.0,
        nonlinearity: str | float = "linear",
        octave_shift: float = 0,
    ):
        super().__init__()
        self.sample_rate = model_sample_rate(octave_shift)
        self.frame_rate = frames_per_second(hop_duration, octave_shift)
        self.nonlinearity = nonlinearity
        self._settings = frame_settings(
            self.sample_rate, hop_duration, time_constant, nonlinearity
        )
        # The filters are not learned, and so not part of a state dict.
        for name, array in without_slow_pairs()._asdict().items():
            self.register_buffer(name, torch.tensor(array), persistent=False)
        self._slow = list(zip(self.slow_rows.tolist(), self.slow_gains.tolist(), strict=True))
        self._cache: dict[tuple, torch.Tensor] = {}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute the auditory spectrogram.

        Parameters
        ----------
        x : torch.Tensor of shape (..., n_times)
            Real sounds at `sample_rate`.

        Returns
        -------
        torch.Tensor of shape (..., 128, n_frames)
            Spectrograms in the dtype and on the device of `x`.
        """
        if not x.is_floating_point() or x.ndim == 0 or x.shape[-1] == 0:
            raise ValueError(
                "Cochlea needs real sounds of shape (..., n_times) with at least one sample; "
                f"got shape {tuple(x.shape)} of {x.dtype}."
            )
        flat = x.reshape(-1, x.shape[-1])
        if self._settings.kind == HAIR_CELLS["linear"]:
            frames = _LinearFrames.apply(flat, self._linear_settings(flat))
            frames = _geometric(frames, self._settings.decay)
        else:
            frames = self.integrate(self.lateral_difference(flat))
        return frames.reshape(*x.shape[:-1], *frames.shape[1:])

    def _linear_settings(self, x: torch.Tensor) -> _LinearSettings:
        n_samples = self.samples_per_frame
        n_fft = _fast_length(-(-x.shape[-1] // n_samples) * n_samples + RINGING)
        weights = self._constant("weights", x, lambda: self._settings.weights)
        return _LinearSettings(n_fft, self._responses(n_fft, x), weights, self._slow)

    @property
    def samples_per_frame(self) -> int:
        """Number of samples between successive frames."""
        return self._settings.n_samples

    @property
    def is_homogeneous(self) -> bool:
        """Whether the spectrogram is proportional to the level of the sound."""
        return self._settings.kind not in (HAIR_CELLS["hard"], HAIR_CELLS["sigmoid"])

    def lateral_difference(self, x: torch.Tensor) -> torch.Tensor:
        """Differences of adjacent channels after the hair cell, (n_sounds, 128, n_samples)."""
        n_times = -(-x.shape[-1] // self.samples_per_frame) * self.samples_per_frame
        n_fft = _fast_length(n_times + RINGING)
        spectrum = torch.fft.rfft(x, n_fft)[:, None]
        y = torch.fft.irfft(spectrum * self._responses(n_fft, x), n_fft)[..., :n_times]
        kind, slope = self._settings.kind, self._settings.slope
        if kind == HAIR_CELLS["linear"]:
            return self._differences_with_tails(y)
        y = y.index_add(1, self.slow_rows, self._tails(y[:, self.slow_rows]))
        if kind == HAIR_CELLS["hard"]:
            y = (y > 0).to(y.dtype)
        elif kind == HAIR_CELLS["sigmoid"]:
            y = torch.sigmoid(y / slope)
        else:
            y = y.relu()
        return self._membrane(y[:, :-1] - y[:, 1:])

    def _tails(self, y: torch.Tensor) -> torch.Tensor:
        """Contribution of the slow pairs of a pole and a zero to their channels."""
        past = y.cumsum(-1) - y
        return past * self.slow_gains.to(y.dtype)[:, None]

    def _differences_with_tails(self, y: torch.Tensor) -> torch.Tensor:
        """Add the tails to lateral differences, which the slow channels themselves follow."""
        tails = self._tails(y[:, N_CHANNELS:])
        y = y[:, :N_CHANNELS].index_add(1, self.slow_rows, tails)
        return y.index_add(1, self.slow_rows - 1, -tails)

    def _membrane(self, y: torch.Tensor) -> torch.Tensor:
        """First-order recursion ``out[n] = y[n] + beta * out[n-1]``."""
        n_samples, beta = self._settings.n_samples, self._settings.beta
        frames = y.unflatten(-1, (-1, n_samples))
        inside = frames @ self._constant("membrane", y, _triangular, n_samples, beta)
        last = _geometric(inside[..., -1], beta**n_samples)
        carry = torch.nn.functional.pad(last[..., :-1], (1, 0))
        powers = self._constant("powers", y, _powers, n_samples, beta)
        return (inside + carry[..., None] * powers).flatten(-2)

    def integrate(self, difference: torch.Tensor) -> torch.Tensor:
        """Spectrogram (n_sounds, 128, n_frames) from lateral differences."""
        frames = difference.relu().unflatten(-1, (-1, self.samples_per_frame))
        weights = self._constant("weights", frames, lambda: self._settings.weights)
        return _geometric(frames @ weights, self._settings.decay)

    def plain_responses(self, n_times: int, like: torch.Tensor) -> tuple[int, torch.Tensor]:
        """Transform length for sounds of `n_times` samples, and responses of the 129 filters."""
        n_fft = _fast_length(n_times + RINGING)
        kind = torch.complex128 if like.dtype == torch.float64 else torch.complex64
        return n_fft, self._exact_responses(n_fft).to(kind).to(like.device)

    def _exact_responses(self, n_fft: int) -> torch.Tensor:
        b, a = self.numerator.double(), self.denominator.double()
        return torch.fft.rfft(b, n_fft) / torch.fft.rfft(a, n_fft)

    def _responses(self, n_fft: int, like: torch.Tensor) -> torch.Tensor:
        """Frequency responses of the filters (of their differences, where all is linear)."""
        key = ("responses", n_fft, like.dtype, like.device)
        if key not in self._cache:
            response = self._exact_responses(n_fft)
            if self._settings.kind == HAIR_CELLS["linear"]:
                slow = response[self.slow_rows]
                response = torch.cat([response[:-1] - response[1:], slow])
            kind = torch.complex128 if like.dtype == torch.float64 else torch.complex64
            self._cache = {k: v for k, v in self._cache.items() if k[0] != "responses"}
            self._cache[key] = response.to(kind).to(like.device)
        return self._cache[key]

    def _constant(self, name: str, like: torch.Tensor, make: Any, *arguments: Any) -> torch.Tensor:
        key = (name, like.dtype, like.device)
        if key not in self._cache:
            self._cache[key] = torch.as_tensor(make(*arguments)).to(like)
        return self._cache[key]

    def __getstate__(self) -> dict:
        return self.__dict__ | {"_cache": {}}


class Cortex(nn.Module):
    """Differentiable cortical model, from spectrogram to scale x rate x frequency x time.

    The result equals that of :func:`skstrf.auditory.cortical_transform`. The filters are kept
    between calls.

    Parameters
    ----------
    rates, scales, frame_rate, channels_per_octave, bandpass, frame_step, channel_step
        Same as in :func:`~skstrf.auditory.cortical_transform`.
    output : {"complex", "magnitude", "real"}, default="magnitude"
        Part of the complex response that is returned.
    pooling : {"sample", "mean"}, default="sample"
        "sample" keeps the first of every `frame_step` frames, "mean" averages them.

    Attributes
    ----------
    rates : ndarray of shape (2 * n_rates,)
        Signed rates in Hz, ascending.
    scales : ndarray of shape (n_scales,)
        Scales in cycles/octave.

    See Also
    --------
    Cochlea : The previous stage of the model.

    References
    ----------
    .. [1] T. Chi, P. Ru and S. A. Shamma, "Multiresolution spectrotemporal analysis of
       complex sounds", J. Acoust. Soc. Am. 118(2), 887-906, 2005.

    Examples
    --------
    >>> import torch
    >>> from skstrf.auditory.modules import Cortex
    >>> Cortex(rates=(4, 8), scales=(1, 2, 4), frame_step=8)(torch.rand(3, 128, 50)).shape
    torch.Size([3, 3, 4, 128, 7])
    """

    def __init__(
        self,
        rates: Any = DEFAULT_RATES,
        scales: Any = DEFAULT_SCALES,
        frame_rate: float = 125,
        channels_per_octave: float = 24,
        bandpass: bool = False,
        frame_step: int = 1,
        channel_step: int = 1,
        output: str = "magnitude",
        pooling: str = "sample",
    ):
        super().__init__()
        self._settings = check_settings(
            rates, scales, frame_rate, channels_per_octave, bandpass, frame_step, channel_step,
            output=output, pooling=pooling,
        )  # fmt: skip
        self.rates = signed_rates(self._settings.rates)
        self.scales = self._settings.scales
        self._cache: dict[tuple, Any] = {}

    def forward(self, v: torch.Tensor) -> torch.Tensor:
        """Compute the responses of the receptive fields.

        Parameters
        ----------
        v : torch.Tensor of shape (..., n_freqs, n_frames)
            Real spectrograms, lowest frequency first.

        Returns
        -------
        torch.Tensor of shape (..., n_scales, 2 * n_rates, n_freqs, n_kept)
            Responses; complex with ``output="complex"``, real otherwise.
        """
        if not v.is_floating_point() or v.ndim < 2 or v.numel() == 0:
            raise ValueError(
                "Cortex needs real spectrograms of shape (..., n_freqs, n_frames), none empty; "
                f"got shape {tuple(v.shape)} of {v.dtype}."
            )
        plan, bank = self._filters(v)
        flat = v.reshape(-1, *v.shape[-2:])
        result = differentiable_responses(
            flat, bank, plan, self._settings.output, self._settings.window
        )
        return result.reshape(*v.shape[:-2], *result.shape[1:])

    def _filters(self, v: torch.Tensor) -> Any:
        key = (v.shape[-2], v.shape[-1], v.dtype, v.device)
        if key not in self._cache:
            self._make_filters(v, key)
        return self._cache[key]

    @torch.compiler.disable
    def _make_filters(self, v: torch.Tensor, key: tuple) -> None:
        plan = cortical_plan(v.shape[-2:], self._settings)
        self._cache = {key: (plan, filter_bank(plan, v.dtype, v.device))}

    def __getstate__(self) -> dict:
        return self.__dict__ | {"_cache": {}}


class _LinearSettings(NamedTuple):
    """Parameters of :class:`_LinearFrames`."""

    n_fft: int
    responses: torch.Tensor
    weights: torch.Tensor
    slow: list[tuple[int, float]]


class _LinearFrames(torch.autograd.Function):
    """Sounds (n_sounds, n_times) to weighted sums of rectified lateral differences by frame."""

    # The linear cochlea as one differentiable step, in parts of the channels. autograd would store
    # a dozen arrays of all channels by all samples; here only the signs are stored. Value and
    # gradient take half the time, and a fraction of the memory.

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, settings: _LinearSettings) -> torch.Tensor:
        """Frames (n_sounds, n_channels, n_frames), not yet integrated across."""
        size = len(settings.weights)
        n_frames = -(-x.shape[-1] // size)
        n_channels = len(settings.responses) - len(settings.slow)
        spectrum = torch.fft.rfft(x, settings.n_fft)[:, None]
        tails = _tails(spectrum, settings, n_frames * size)
        frames = x.new_empty((len(x), n_channels, n_frames))
        positive = []
        for part in _parts(n_channels, x, settings.n_fft):
            product = spectrum * settings.responses[part]
            y = torch.fft.irfft(product, settings.n_fft)[..., : n_frames * size]
            for k, (row, _) in enumerate(settings.slow):
                # The tail is added to its channel, and subtracted from the one below.
                for channel, sign in ((row, 1), (row - 1, -1)):
                    if part.start <= channel < part.stop:
                        y[:, channel - part.start].add_(tails[:, k], alpha=sign)
            if ctx.needs_input_grad[0]:
                positive.append(y > 0)
            frames[:, part] = y.clamp_(min=0).unflatten(-1, (-1, size)) @ settings.weights
        ctx.settings, ctx.n_times = settings, x.shape[-1]
        ctx.save_for_backward(*positive)
        return frames

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        """Gradient with respect to the sounds: the adjoints of all steps in reverse order."""
        settings = ctx.settings
        n_channels, n_frames = gradient.shape[1:]
        size, n_fft = len(settings.weights), settings.n_fft
        total: Any = 0
        tails = gradient.new_zeros((len(gradient), len(settings.slow), n_frames * size))
        parts = _parts(n_channels, gradient, n_fft)
        for part, positive in zip(parts, ctx.saved_tensors, strict=True):
            y = (gradient[:, part, :, None] * settings.weights).flatten(-2) * positive
            for k, (row, _) in enumerate(settings.slow):
                for channel, sign in ((row, 1), (row - 1, -1)):
                    if part.start <= channel < part.stop:
                        tails[:, k].add_(y[:, channel - part.start], alpha=sign)
            total = total + _correlated(y, settings.responses[part], n_fft)
        future = tails.flip(-1).cumsum(-1).flip(-1) - tails
        future = future * _gains(settings, future)
        total = total + _correlated(future, settings.responses[n_channels:], n_fft)
        return torch.fft.irfft(total, n_fft)[..., : ctx.n_times], None


def _tails(spectrum: torch.Tensor, settings: _LinearSettings, n_times: int) -> torch.Tensor:
    """Contribution of the slow pairs of a pole and a zero: sums over the past."""
    slow = settings.responses[len(settings.responses) - len(settings.slow) :]
    y = torch.fft.irfft(spectrum * slow, settings.n_fft)[..., :n_times]
    return (y.cumsum(-1) - y) * _gains(settings, y)


def _gains(settings: _LinearSettings, like: torch.Tensor) -> torch.Tensor:
    return torch.tensor([gain for _, gain in settings.slow]).to(like)[:, None]


def _correlated(y: torch.Tensor, responses: torch.Tensor, n_fft: int) -> torch.Tensor:
    """Spectrum of the adjoint of filtering, summed over channels."""
    return (torch.fft.rfft(y, n_fft) * responses.conj()).sum(1)


def _parts(n_channels: int, x: torch.Tensor, n_fft: int) -> list[slice]:
    step = max(1, _PART.get(x.device.type, _PART["cpu"]) // (len(x) * n_fft))
    return [slice(i, min(n_channels, i + step)) for i in range(0, n_channels, step)]


class _Filters(NamedTuple):
    numerator: np.ndarray
    denominator: np.ndarray
    slow_rows: np.ndarray
    slow_gains: np.ndarray
    slow_poles: np.ndarray


@lru_cache(maxsize=1)
def without_slow_pairs() -> _Filters:
    """Coefficients of the filters, without poles at zero frequency that a zero almost cancels."""
    # Channels 75 and 76 have a pole p and a zero q within 3e-7 of each other and of 1. In a
    # Fourier product, which is periodic, they would ring forever. As a recursion they add to their
    # channel p - q times the sum of its past (powers of p are 1 for the first minutes).
    filters = cochlear_filters()
    b, a = filters.b.copy(), filters.a.copy()
    rows, gains, poles = [], [], []
    for row, order in enumerate(filters.order):
        pole, zero = (_take_slow_root(table[row, : order + 1]) for table in (a, b))
        if pole is not None and zero is not None:
            rows.append(row)
            gains.append(pole - zero)
            poles.append(pole)
    return _Filters(b, a, np.array(rows), np.array(gains), np.array(poles))


def _take_slow_root(polynomial: np.ndarray) -> float | None:
    """Divide a polynomial in place by its root close to 1, if it has one; return the root."""
    roots = np.roots(polynomial)
    slow = roots[(np.abs(roots - 1) < _SLOW) & (roots.imag == 0)].real
    if len(slow) == 0:
        return None
    polynomial[:-1] = np.polydiv(polynomial, [1.0, -slow[0]])[0]
    polynomial[-1] = 0.0
    return float(slow[0])


def _fast_length(n: int) -> int:
    """Shortest even length of at least `n` with few prime factors above 2."""
    # scipy.fft.next_fast_len would break the graph of torch.compile.
    lengths = []
    for odd in (1, 3, 5, 9, 15):
        length = 2 * odd
        while length < n:
            length *= 2
        lengths.append(length)
    return min(lengths)


def _geometric(x: torch.Tensor, ratio: float) -> torch.Tensor:
    """Recursion ``out[n] = x[n] + ratio * out[n-1]`` along the last axis."""
    n = x.shape[-1]
    if ratio == 0 or n == 1:
        return x
    n_taps = min(n, int(np.ceil(np.log(_CUT) / np.log(ratio))) if ratio < 1 else n)
    taps = torch.as_tensor(ratio ** np.arange(n_taps - 1, -1, -1.0)).to(x)
    flat = torch.nn.functional.pad(x.reshape(-1, 1, n), (n_taps - 1, 0))
    return torch.nn.functional.conv1d(flat, taps[None, None]).reshape(x.shape)


def _triangular(n: int, beta: float) -> np.ndarray:
    """Matrix that applies the recursion to a row of `n` samples from rest."""
    lag = np.arange(n)[None, :] - np.arange(n)[:, None]
    return np.where(lag >= 0, beta ** np.maximum(lag, 0.0), 0.0)


def _powers(n: int, beta: float) -> np.ndarray:
    return beta ** np.arange(1.0, n + 1)
