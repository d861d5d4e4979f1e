"""Causal receptive fields: cortical responses of a spectrogram that arrives frame by frame.

The rate filters of the NSL model select a direction by a Hilbert transform, which looks ahead.
Here each is replaced by the causal filter that is closest to it for input whose power falls with
the square of the modulation frequency, as that of sounds does. Without this weighting the
response to the mean of the spectrogram would be the largest error.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from scipy.linalg import solve_toeplitz
from scipy.signal import oaconvolve

from skstrf.auditory.cortex import DEFAULT_RATES, DEFAULT_SCALES, check_settings, cortical_plan
from skstrf.auditory.filterbanks import N_CHANNELS
from skstrf.auditory.modulation_filters import power_of_two, rate_filter, two_sided
from skstrf.utils.validation import checked_number, checked_reals, checked_whole

__all__ = [
    "METHODS",
    "CausalCortex",
    "CausalSettings",
    "causal_cortical_transform",
    "causal_settings",
    "rate_latencies",
]

METHODS = ("recursive", "fir")
# Frames that "fir" looks ahead unless told otherwise: its tensor is then within 5 percent.
_LOOK_AHEAD = 12
# Power spectrum of the input that the filters are fitted for: 1 / (f^2 + corner^2) + floor.
_CORNER, _FLOOR = 0.3, 1e-4
# Number of bins of the NSL filters that are approximated, and their decay in units of the rate.
_N_BINS, _DECAY = 1024, 3.5
# Length of the FIR filters in periods of the rate; the impulse response is 3e-4 of its peak there.
_PERIODS = 4.0
# Frames up to which a convolution is a sum of products instead of Fourier transforms.
_FEW = 16
_MAX_LOOK_AHEAD = 1000


class CausalSettings(NamedTuple):
    """Filters of a causal bank; negative rates use the complex conjugates."""

    method: str
    rates: np.ndarray  # positive, ascending
    scales: np.ndarray
    look_ahead: int  # frames
    synthesis: np.ndarray  # (2, n_scales * n_rows, N_CHANNELS): real and imaginary part
    poles: np.ndarray  # (n_rates,)
    gains: np.ndarray  # (n_rates, 4) of the input and of the three one-pole filters
    taps: list[np.ndarray]  # per rate, oldest frame last


def causal_settings(
    rates: Any = DEFAULT_RATES,
    scales: Any = DEFAULT_SCALES,
    *,
    frame_rate: float = 125.0,
    bandpass: bool = False,
    channel_step: int = 1,
    method: str = "recursive",
    look_ahead: int | None = None,
) -> CausalSettings:
    """Check the parameters of a causal bank and design its filters."""
    if method not in METHODS:
        raise ValueError(f"method must be one of {METHODS}, got {method!r}.")
    if look_ahead is None:
        look_ahead = _LOOK_AHEAD if method == "fir" else 0
    look_ahead = checked_whole(look_ahead, "look_ahead", low=0, high=_MAX_LOOK_AHEAD)
    if look_ahead and method == "recursive":
        raise ValueError(
            f"look_ahead={look_ahead} needs method='fir': recursive filters cannot look ahead."
        )
    settings = check_settings(rates, scales, frame_rate, 24, bandpass, 1, channel_step)
    plan = cortical_plan((N_CHANNELS, 1), settings)
    # The scale filters as matrices of the spectrum: Fourier transform and synthesis in one.
    bins = np.arange(plan.n_fft_channels // 2)
    analysis = np.exp(-2j * np.pi / plan.n_fft_channels * np.outer(bins, np.arange(N_CHANNELS)))
    matrix = np.concatenate([m @ analysis[: m.shape[1]] for m in plan.synthesis])
    synthesis = np.stack([matrix.real, matrix.imag])
    poles = np.exp((-_DECAY + 2j * np.pi) * settings.rates / frame_rate)
    gains = np.zeros((len(poles), 4), dtype=complex)
    taps: list[np.ndarray] = []
    for index, rate in enumerate(settings.rates):
        if method == "fir":
            taps.append(_fir(float(rate), frame_rate, look_ahead))
        else:
            gains[index] = _recursive(float(rate), frame_rate)
    return CausalSettings(
        method, settings.rates, settings.scales, look_ahead, synthesis, poles, gains, taps
    )


def _target(rate: float, frame_rate: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return frequencies in Hz, the downward NSL filter at them, and the weights of the fit."""
    n_bins = max(_N_BINS, power_of_two(int(8 * frame_rate / rate)))
    frequencies = np.fft.fftfreq(2 * n_bins, 1 / frame_rate)
    response = two_sided(rate_filter(rate, n_bins, frame_rate=frame_rate), "down")
    return frequencies, response, 1 / (frequencies**2 + _CORNER**2) + _FLOOR


@lru_cache(maxsize=64)
def _fir(rate: float, frame_rate: float, look_ahead: int) -> np.ndarray:
    """Return the weights of the frames from `look_ahead` frames later to the oldest."""
    _, response, power = _target(rate, frame_rate)
    length = min(int(np.ceil(_PERIODS * frame_rate / rate)) + 1 + look_ahead, len(response) // 2)
    correlation = np.fft.ifft(power).real[:length]
    wanted = np.fft.ifft(power * response)[np.arange(length) - look_ahead]
    return solve_toeplitz(correlation, wanted)


@lru_cache(maxsize=64)
def _recursive(rate: float, frame_rate: float) -> np.ndarray:
    """Return the gains of the input and of one to three equal one-pole filters in a cascade."""
    frequencies, response, power = _target(rate, frame_rate)
    pole = np.exp((-_DECAY + 2j * np.pi) * rate / frame_rate)
    one_pole = 1 / (1 - pole * np.exp(-2j * np.pi * frequencies / frame_rate))
    basis = one_pole[:, None] ** np.arange(4)
    size = np.linalg.norm(basis, axis=0)
    # More weight on the opposite direction, whose response is then 30 dB below.
    opposite = (frequencies > -3 * rate) & (frequencies < -0.3 * rate)
    weights = np.sqrt(power * (1 + 2 * opposite))[:, None]
    fit = np.linalg.lstsq(weights * basis / size, weights[:, 0] * response, rcond=None)[0]
    return fit / size


def rate_latencies(settings: CausalSettings, frame_rate: float) -> np.ndarray:
    """Return the time in s from a modulation to the peak of its response, per positive rate."""
    # The envelope (f t)^2 exp(-3.5 f t) of the impulse response peaks at 2 / (3.5 f).
    return 2 / (_DECAY * settings.rates) + settings.look_ahead / frame_rate


class CausalCortex:
    """Bank of causal receptive fields with its state; sounds are independent of each other."""

    def __init__(self, settings: CausalSettings, n_sounds: int) -> None:
        self.settings = settings
        n_scales, n_rates = len(settings.scales), len(settings.rates)
        n_channels = settings.synthesis.shape[1]
        self._n_rows = n_channels // n_scales
        states = (n_sounds, n_scales, 2 * n_rates, self._n_rows, 3)
        self._states = np.zeros(states if settings.method == "recursive" else 0, dtype=complex)
        self._n_past = max((len(taps) for taps in settings.taps), default=1) - 1
        # Room for later frames, so that earlier ones are seldom moved.
        self._buffer = np.zeros((n_sounds, 2, n_channels, 2 * self._n_past))
        self._end = self._n_past
        self._ahead = settings.look_ahead  # frames still to come before the first response

    def push(self, frames: np.ndarray) -> np.ndarray:
        """Return responses (n_sounds, n_scales, 2 * n_rates, n_rows, n) to spectrogram frames.

        The frames have the shape (n_sounds, N_CHANNELS, n). There are as many responses, but
        for the first `look_ahead` frames.
        """
        settings = self.settings
        n_sounds, n_scales, n_rates = len(frames), len(settings.scales), len(settings.rates)
        n_frames = frames.shape[-1]
        scaled = settings.synthesis @ frames[:, None]
        shape = (n_sounds, n_scales, 2 * n_rates, self._n_rows, n_frames)
        result = np.empty(shape, dtype=complex)
        if settings.method == "recursive":
            parts = scaled.reshape(n_sounds, 2, n_scales, self._n_rows, n_frames)
            _one_pole_cascades(parts, settings.poles, settings.gains, self._states, result)
            return result
        recent = self._remembered(scaled)
        for index, taps in enumerate(settings.taps):
            used = recent[..., recent.shape[-1] - n_frames - len(taps) + 1 :]
            # The opposite direction has the complex conjugate filter.
            by_real, by_imag = _convolve(used, taps)
            cosine = by_real[:, 0] + 1j * by_real[:, 1]
            sine = by_imag[:, 0] + 1j * by_imag[:, 1]
            for place, sign in ((n_rates + index, 1j), (n_rates - 1 - index, -1j)):
                response = cosine + sign * sine
                result[:, :, place] = response.reshape(n_sounds, n_scales, self._n_rows, -1)
        skipped = min(self._ahead, n_frames)
        self._ahead -= skipped
        return result[..., skipped:]

    def _remembered(self, scaled: np.ndarray) -> np.ndarray:
        """Append frames to those before and return them together."""
        n_frames, room = scaled.shape[-1], self._buffer.shape[-1]
        if n_frames > self._n_past:
            past = self._buffer[..., self._end - self._n_past : self._end]
            recent = np.concatenate([past, scaled], axis=-1)
            self._buffer[..., : self._n_past] = recent[..., recent.shape[-1] - self._n_past :]
            self._end = self._n_past
            return recent
        if self._end + n_frames > room:
            past = self._buffer[..., self._end - self._n_past : self._end].copy()
            self._buffer[..., : self._n_past] = past
            self._end = self._n_past
        self._buffer[..., self._end : self._end + n_frames] = scaled
        self._end += n_frames
        return self._buffer[..., self._end - n_frames - self._n_past : self._end]

    def flush(self) -> np.ndarray:
        """Return the responses to the last frames, as if silence followed."""
        n_silent = self.settings.look_ahead
        return self.push(np.zeros((len(self._buffer), N_CHANNELS, n_silent)))


def _convolve(x: np.ndarray, taps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Convolve with the real and the imaginary part of taps, where all inputs are there."""
    n_out = x.shape[-1] - len(taps) + 1
    if n_out > _FEW:
        padded = taps[None, None, None]
        return (
            oaconvolve(x, padded.real, mode="valid", axes=-1),
            oaconvolve(x, padded.imag, mode="valid", axes=-1),
        )
    results = np.empty((2, *x.shape[:-1], n_out))
    _dot_products(x, taps.real[::-1].copy(), taps.imag[::-1].copy(), results)
    return results[0], results[1]


@njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract", "nsz", "reassoc"})
def _dot_products(x, real, imag, results):
    n_sounds, n_parts, n_channels, n_out = results.shape[1:]
    for i in range(n_sounds):
        for part in range(n_parts):
            for c in range(n_channels):
                row = x[i, part, c]
                for t in range(n_out):
                    first, second = 0.0, 0.0
                    for k in range(len(real)):
                        first += real[k] * row[t + k]
                        second += imag[k] * row[t + k]
                    results[0, i, part, c, t] = first
                    results[1, i, part, c, t] = second


@njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract", "nsz"})
def _one_pole_cascades(x, poles, gains, states, out):
    n_sounds, _, n_scales, n_rows, n_frames = x.shape
    n_rates = len(poles)
    for i in range(n_sounds):
        for s in range(n_scales):
            for r in range(2 * n_rates):
                upward = r < n_rates
                k = n_rates - 1 - r if upward else r - n_rates
                pole, a, b, c, d = poles[k], gains[k, 0], gains[k, 1], gains[k, 2], gains[k, 3]
                if upward:
                    pole, a, b = np.conj(pole), np.conj(a), np.conj(b)
                    c, d = np.conj(c), np.conj(d)
                for f in range(n_rows):
                    first = states[i, s, r, f, 0]
                    second = states[i, s, r, f, 1]
                    third = states[i, s, r, f, 2]
                    for t in range(n_frames):
                        value = complex(x[i, 0, s, f, t], x[i, 1, s, f, t])
                        first = pole * first + value
                        second = pole * second + first
                        third = pole * third + second
                        out[i, s, r, f, t] = a * value + b * first + c * second + d * third
                    # Arithmetic on denormal numbers is very slow.
                    if abs(first.real) + abs(first.imag) < 1e-200:
                        first = 0j
                    if abs(second.real) + abs(second.imag) < 1e-200:
                        second = 0j
                    if abs(third.real) + abs(third.imag) < 1e-200:
                        third = 0j
                    states[i, s, r, f, 0] = first
                    states[i, s, r, f, 1] = second
                    states[i, s, r, f, 2] = third


def causal_cortical_transform(
    v: Any,
    *,
    rates: Any = DEFAULT_RATES,
    scales: Any = DEFAULT_SCALES,
    frame_rate: float = 125.0,
    bandpass: bool = False,
    channel_step: int = 1,
    method: str = "recursive",
    look_ahead: int | None = None,
) -> np.ndarray:
    r"""Responses of causal receptive fields, which depend on earlier frames only.

    Parameters
    ----------
    v : array-like of shape (..., 128, n_frames)
        Auditory spectrograms, lowest frequency first.
    rates : sequence of float, default=(2, 4, 8, 16, 32)
        Rates in Hz, ascending, at most half the frame rate. All filters are band-pass.
    scales : sequence of float, default=(0.25, 0.5, 1, 2, 4, 8)
        Scales in cycles/octave, ascending, at most 12.
    frame_rate : float, default=125
        Frame rate of the spectrograms in Hz.
    bandpass : bool, default=False
        Whether the lowest and highest scale filters are band-pass filters, too.
    channel_step : int, default=1
        Step between the frequency channels that are kept.
    method : {"recursive", "fir"}, default="recursive"
        "recursive" filters with three complex one-pole filters per channel, "fir" with finite
        impulse responses of four periods of the rate.
    look_ahead : int or None, default=None
        Number of later frames that "fir" uses; None is 12. "recursive" uses none.

    Returns
    -------
    ndarray of shape (..., n_scales, 2 * n_rates, n_freqs, n_frames)
        Complex responses; complex64 for float32 input, complex128 otherwise. The channels are
        ordered as in :func:`cortical_transform`.

    Raises
    ------
    ValueError
        If `v` does not have 128 channels or contains NaN or infinity, or a parameter is invalid.

    See Also
    --------
    cortical_transform : Responses of the model's own filters.
    skstrf.transforms.StreamingSTRF : The whole model for sounds that arrive in blocks.

    Notes
    -----
    The filters are the causal ones that are closest to those of the model for modulations whose
    power falls with the square of their frequency. :doc:`/guide/streaming` compares the tensors.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf.auditory import causal_cortical_transform
    >>> v = np.random.default_rng(0).random((128, 250))
    >>> responses = causal_cortical_transform(v, rates=[4, 8], scales=[1])
    >>> responses.shape
    (1, 4, 128, 250)
    >>> first_second = causal_cortical_transform(v[:, :125], rates=[4, 8], scales=[1])
    >>> bool(np.allclose(responses[..., :125], first_second))
    True
    """
    array = checked_reals(v, "v", ndim=2)
    if array.shape[-2] != N_CHANNELS:
        raise ValueError(
            f"v has {array.shape[-2]} channels; the causal filters take the {N_CHANNELS} channels "
            "of auditory_spectrogram."
        )
    checked_number(frame_rate, "frame_rate", low=0, open_low=True, unit="Hz")
    settings = causal_settings(
        rates, scales, frame_rate=frame_rate, bandpass=bandpass, channel_step=channel_step,
        method=method, look_ahead=look_ahead,
    )  # fmt: skip
    flat = array.reshape(-1, *array.shape[-2:]).astype(float)
    cortex = CausalCortex(settings, len(flat))
    responses = np.concatenate([cortex.push(flat), cortex.flush()], axis=-1)
    responses = responses[..., : array.shape[-1]]
    dtype = np.result_type(array.dtype, np.complex64)
    return responses.reshape(*array.shape[:-2], *responses.shape[1:]).astype(dtype)
