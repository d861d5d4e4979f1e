"""Banks of band-pass filters, applied and inverted in the frequency domain."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import numpy as np
import scipy.fft
from scipy.sparse.linalg import LinearOperator, gmres

from skstrf.transforms.base import Axis, FramedTransformer, InvertibleTransformer, n_frames
from skstrf.transforms.compression import COMPRESSION, compress, expand
from skstrf.utils.validation import Interval, Real, StrOptions

__all__ = [
    "Bank",
    "BankTransformer",
    "Subbands",
    "erb_number",
    "erb_to_hz",
    "gammatone_bank",
    "half_cosine_bank",
]


# Number of filter values that are kept between sounds; longer banks are computed for each.
_KEPT = 8_000_000
# Fraction of the largest coverage below which a frequency is left out of the inverse.
_COVERAGE = 1e-6
# Momentum of the search for envelopes; .9 halves the error of 0, and .99 is worse.
_MOMENTUM = 0.9


class Bank(NamedTuple):
    """Filters on positive frequencies: centers, edges in Hz, responses and decay time in s."""

    frequencies: np.ndarray
    low: np.ndarray
    high: np.ndarray
    response: Callable[[int, np.ndarray], np.ndarray]
    ringing: float


# Maximum decay time of the filters in samples, which is hours.
_LONGEST = 2**28


class Subbands:
    """A filter bank for sounds of one length, on the shared grid of frames.

    Every subband is analytic: its magnitude is the envelope (1 for a sine of amplitude 1 at the
    filter's center), its real part the output of the filter. It is sampled as its bandwidth
    requires, so that all subbands together cost about as much as the sound.
    """

    def __init__(self, bank: Bank, n_times: int, hop: int, sample_rate: float, dtype: Any):
        self.bank, self.n_times, self.hop, self.sample_rate = bank, n_times, hop, sample_rate
        self.dtype = np.dtype(dtype)
        self.complex_dtype = np.result_type(dtype, np.complex64)
        self.n_frames = n_frames(n_times, hop)
        if not bank.ringing * sample_rate < _LONGEST:
            raise ValueError(
                f"The lowest filter rings for {bank.ringing:.3g} s, which does not fit into "
                "memory: raise fmin."
            )
        padded = n_frames(n_times + int(np.ceil(bank.ringing * sample_rate)), hop)
        self.n_cycle = scipy.fft.next_fast_len(padded)  # frames of the circle computed on
        self.size = self.n_cycle * hop
        bin_width = sample_rate / self.size
        self.start = np.maximum(0, np.ceil(bank.low / bin_width)).astype(int)
        stop = np.minimum(self.size // 2, np.floor(bank.high / bin_width)).astype(int) + 1
        self.width = np.maximum(0, stop - self.start)
        # Samples of a frame at which the square of a subband is not aliased; an odd number has
        # one in the middle of the frame.
        enough = -(-2 * self.width // self.n_cycle) | 1
        self.per_frame = np.minimum(hop, enough)

    def power(self, x: np.ndarray) -> np.ndarray:
        """Compute the mean square of every subband's envelope over every frame."""
        spectra = self._spectra(x)
        result = np.empty((len(self.width), self.n_frames), dtype=self.dtype)
        for channel, gain in enumerate(self._gains()):
            band = self._band(spectra, channel, gain)
            result[channel] = _mean_square(band)[: self.n_frames]
        return result

    def complex(self, x: np.ndarray) -> np.ndarray:
        """Compute every analytic subband at the middle sample of every frame."""
        spectrum = scipy.fft.rfft(x, self.size) * self._ramp(self.hop // 2)
        result = np.empty((len(self.width), self.n_frames), dtype=self.complex_dtype)
        for channel, gain in enumerate(self._gains()):
            part = _fold(
                spectrum[self._support(channel)] * gain, self.start[channel], self.n_cycle
            )
            result[channel] = scipy.fft.ifft(part)[: self.n_frames] / self.hop
        return result

    def from_complex(self, tensor: np.ndarray, *, max_iter: int = 0) -> np.ndarray:
        """Compute the sound with these complex subbands."""
        beginning = self._dual(tensor)
        if not max_iter:
            return beginning
        operator = LinearOperator(
            (self.n_times, self.n_times),
            matvec=lambda x: self._dual(self.complex(x.ravel())),
            dtype=self.dtype,
        )
        tolerance = 10 * np.finfo(self.dtype).eps
        return gmres(operator, beginning, rtol=tolerance, restart=max_iter, maxiter=1)[0]

    def from_envelopes(self, envelopes: np.ndarray, x: np.ndarray, *, max_iter: int) -> np.ndarray:
        """Change a sound until its subbands have these envelopes.

        In every iteration each subband is scaled to the root mean square of each frame, and the
        sound nearest to the new subbands is computed; momentum speeds up the convergence.
        """
        goal = np.zeros((len(envelopes), self.n_cycle), dtype=self.dtype)
        goal[:, : self.n_frames] = envelopes
        tiny = np.sqrt(np.finfo(self.dtype).tiny)
        previous = None
        for _ in range(max_iter + 1):
            spectra = self._spectra(x)
            totals = np.zeros_like(spectra)
            for channel, gain in enumerate(self._gains()):
                band = self._band(spectra, channel, gain)
                present = np.sqrt(_mean_square(band))
                factor = np.zeros_like(present)  # stays where there is nothing to multiply
                np.divide(goal[channel], present, out=factor, where=present > tiny)
                band *= factor[:, None]
                self._add(totals, channel, gain, band)
            total = totals[0] + self._middle.conj() * totals[1]
            found = self._sound(total / self._coverage)
            x = found if previous is None else found + _MOMENTUM * (found - previous)
            previous = found
        return found

    def _spectra(self, x: np.ndarray) -> np.ndarray:
        """Compute the spectra of a sound, and of the sound shifted by half a frame."""
        spectrum = scipy.fft.rfft(x, self.size)
        return np.stack([spectrum, spectrum * self._middle])

    @cached_property
    def _middle(self) -> np.ndarray:
        return self._ramp((self.hop - 1) / 2)

    def _ramp(self, shift: float) -> np.ndarray:
        bins = np.arange(self.size // 2 + 1)
        return np.exp(2j * np.pi * shift / self.size * bins).astype(self.complex_dtype)

    def _support(self, channel: int) -> slice:
        return slice(self.start[channel], self.start[channel] + self.width[channel])

    def _gains(self) -> Iterator[np.ndarray]:
        if self._kept is None:
            return map(self._gain, range(len(self.width)))
        return iter(self._kept)

    @cached_property
    def _kept(self) -> list[np.ndarray] | None:
        if self.width.sum() > _KEPT:
            return None
        return [self._gain(channel) for channel in range(len(self.width))]

    def _gain(self, channel: int) -> np.ndarray:
        """Return the gain on the filter's support, doubled where it has a negative frequency."""
        bins = np.arange(self.start[channel], self.start[channel] + self.width[channel])
        gain = 2 * self.bank.response(channel, bins * (self.sample_rate / self.size))
        gain[(bins == 0) | (2 * bins == self.size)] /= 2
        return gain.astype(self.complex_dtype if np.iscomplexobj(gain) else self.dtype)

    @cached_property
    def _coverage(self) -> np.ndarray:
        """Sum of squared gains at every frequency; infinite where it is negligible."""
        total = np.zeros(self.size // 2 + 1, dtype=self.dtype)
        for channel, gain in enumerate(self._gains()):
            total[self._support(channel)] += np.abs(gain) ** 2
        # The gains at frequency 0 and half the sample rate are halved, as their mirrors are.
        return np.where(total > _COVERAGE * total.max(), total, np.inf).astype(self.dtype)

    def _band(self, spectra: np.ndarray, channel: int, gain: np.ndarray) -> np.ndarray:
        """Compute a subband as (frame, sample of the frame), centered on the frame's middle."""
        count = int(self.per_frame[channel])
        size = self.n_cycle * count
        spectrum = spectra[int(count < self.hop), self._support(channel)]
        samples = scipy.fft.ifft(_fold(spectrum * gain, self.start[channel], size))
        samples *= self.dtype.type(count / self.hop)
        if count < self.hop:
            samples = np.roll(samples, count // 2)
        return samples.reshape(self.n_cycle, count)

    def _add(self, totals: np.ndarray, channel: int, gain: np.ndarray, band: np.ndarray) -> None:
        """Add the contribution of a subband from `_band` to the spectra of the sound."""
        count = band.shape[1]
        samples = np.roll(band.ravel(), -(count // 2)) if count < self.hop else band.ravel()
        spectrum = _unfold(scipy.fft.fft(samples), self.start[channel], self.width[channel])
        spectrum *= self.dtype.type(self.hop / count)
        totals[int(count < self.hop), self._support(channel)] += gain.conj() * spectrum

    def _dual(self, tensor: np.ndarray) -> np.ndarray:
        """Invert `complex` by the dual frame of the bank without decimation."""
        total = np.zeros(self.size // 2 + 1, dtype=self.complex_dtype)
        for channel, gain in enumerate(self._gains()):
            part = scipy.fft.fft(tensor[channel], self.n_cycle)
            spectrum = _unfold(part, self.start[channel], self.width[channel])
            total[self._support(channel)] += gain.conj() * spectrum
        total *= self._ramp(self.hop // 2).conj() * self.dtype.type(self.hop)
        return self._sound(total / self._coverage)

    def _sound(self, spectrum: np.ndarray) -> np.ndarray:
        return scipy.fft.irfft(spectrum, self.size)[: self.n_times]


def _mean_square(band: np.ndarray) -> np.ndarray:
    square = band.real**2
    square += band.imag**2
    return square.mean(axis=1)


def _fold(part: np.ndarray, start: int, size: int) -> np.ndarray:
    """Add up the bins of a spectrum that alias to the same of `size` frequencies."""
    offset = start % size
    rows = -(-(offset + len(part)) // size)
    whole = np.zeros(rows * size, dtype=part.dtype)
    whole[offset : offset + len(part)] = part
    return whole if rows == 1 else whole.reshape(rows, size).sum(axis=0)


def _unfold(spectrum: np.ndarray, start: int, width: int) -> np.ndarray:
    """Return bins from `start` of the periodic continuation, the adjoint of `_fold`."""
    return spectrum.take(np.arange(start, start + width), mode="wrap")


# Glasberg and Moore (1990): bandwidth = frequency / _QUALITY + _LEAST, in Hz.
_QUALITY = 9.26449
_LEAST = 24.7
# Relative gain at which the slopes of gammatone filters are cut.
_FLOOR = 1e-4


def erb_number(hz: Any) -> np.ndarray:
    """Return the number of equivalent rectangular bandwidths below a frequency in Hz."""
    return _QUALITY * np.log1p(np.asarray(hz) / (_QUALITY * _LEAST))


def erb_to_hz(number: Any) -> np.ndarray:
    """Return frequencies in Hz at positions on the ERB scale."""
    return _QUALITY * _LEAST * np.expm1(np.asarray(number) / _QUALITY)


def gammatone_bank(n_filters: int, fmin: float, fmax: float, sample_rate: float) -> Bank:
    """Return gammatone filters of fourth order at equal steps on the ERB scale."""
    from scipy.signal import gammatone

    steps = np.linspace(erb_number(fmin), erb_number(fmax), n_filters + 1)[:-1]
    centers = erb_to_hz(steps)
    if not centers[0] > 0:
        raise ValueError(f"fmin={fmin!r} Hz cannot be told from 0 Hz; give a higher one.")
    designs = [gammatone(f, "iir", fs=sample_rate) for f in centers]
    radius = np.array([a[8] for _, a in designs]) ** (1 / 8)
    poles = radius * np.exp(2j * np.pi * centers / sample_rate)
    gains = np.array([b[0] for b, _ in designs]) / 2
    # |1 + i x|^-4 = _FLOOR at the edges, x in units of the pole's distance from the circle.
    reach = -np.log(radius) * sample_rate / (2 * np.pi) * np.sqrt(_FLOOR**-0.5 - 1)

    def response(channel: int, hz: np.ndarray) -> np.ndarray:
        z = np.exp(-2j * np.pi / sample_rate * hz)
        p = poles[channel]
        terms = [1 / (1 - pole * z) for pole in (p, p.conjugate())]
        return gains[channel] * sum((term * term) ** 2 for term in terms)

    ringing = 20 / (-np.log(radius.max()) * sample_rate)
    return Bank(centers, centers - reach, centers + reach, response, ringing)


def half_cosine_bank(
    n_filters: int, fmin: float, fmax: float, sample_rate: float, include_edges: bool = True
) -> Bank:
    """Return half-cosines on the ERB scale, each extending to its neighbors' centers."""
    edges = np.linspace(erb_number(fmin), erb_number(fmax), n_filters + 2)
    step = edges[1] - edges[0]
    nyquist = sample_rate / 2
    centers = np.concatenate([[0.0], erb_to_hz(edges[1:-1]), [nyquist]])
    low = np.concatenate([[-1.0], erb_to_hz(edges[:-2]), [centers[-2]]])
    high = np.concatenate([[centers[1]], erb_to_hz(edges[2:]), [nyquist]])
    kept = np.arange(n_filters + 2) if include_edges else np.arange(1, n_filters + 1)

    def response(channel: int, hz: np.ndarray) -> np.ndarray:
        index = kept[channel]
        distance = erb_number(hz) - edges[index]
        if index == 0:  # below the first band's center, complement of that band
            distance = np.maximum(distance, 0)
        elif index == n_filters + 1:
            distance = np.minimum(distance, 0)
        inside = np.abs(distance) < step
        return np.where(inside, np.cos(np.pi / 2 * distance / step), 0.0)

    # A half-cosine of width w rings as 1 / (w t)^2.
    ringing = 20 / (high[1] - low[1])
    return Bank(centers[kept], low[kept], high[kept], response, ringing)


class BankTransformer(FramedTransformer, InvertibleTransformer):
    """Base class of the transformers of sounds into the envelopes of their subbands.

    A subclass implements ``_design``, which returns a function for a `Bank` and its arguments.
    """

    _parameter_constraints: dict = {
        **FramedTransformer._parameter_constraints,
        **InvertibleTransformer._parameter_constraints,
        **COMPRESSION,
        "fmin": [Interval(Real, 0, None, closed="neither")],
        "fmax": [Interval(Real, 0, None, closed="neither"), None],
        "output": [StrOptions({"magnitude", "power", "complex"})],
    }

    fmin: float
    fmax: float | None
    output: str
    compression: str | float | None
    compression_floor: float

    def _design(self) -> tuple[Callable[..., Bank], tuple]:
        raise NotImplementedError

    def _channel_axis(self) -> Axis:
        function, arguments = self._design()
        return Axis("frequency", "Hz", function(*arguments).frequencies)

    def _subbands(self, dtype: Any) -> Subbands:
        place = (self.n_features_in_, self.hop_length_, float(self.sample_rate), np.dtype(dtype))
        return _prepared(*self._design(), *place)

    def _tensors(self, X: np.ndarray) -> np.ndarray:
        bands = self._subbands(X.dtype)
        if self.output == "complex":
            return self._map_rows(bands.complex, X)
        return self._map_rows(lambda x: self._compressed(bands.power(x)), X)

    def _compressed(self, power: np.ndarray) -> np.ndarray:
        is_power = self.output == "power"
        envelopes = power if is_power else np.sqrt(power)
        return compress(envelopes, self.compression, self.compression_floor, power=is_power)

    def _invert(self, tensor: np.ndarray, hint: np.ndarray | None, rng: Any) -> np.ndarray:
        bands = self._subbands(tensor.real.dtype)
        if self.output == "complex":
            return bands.from_complex(tensor, max_iter=self.max_iter)
        power = self.output == "power"
        envelopes = expand(tensor, self.compression, self.compression_floor, power=power)
        start = rng.standard_normal(self.n_features_in_)
        if hint is not None and hint.any():
            # A little noise, so that silent parts of the hint can be scaled too.
            start = hint + 1e-5 * np.abs(hint).max() * start
        return bands.from_envelopes(
            np.sqrt(envelopes) if power else envelopes,
            start.astype(bands.dtype),
            max_iter=self.max_iter,
        )


@lru_cache(maxsize=2)
def _prepared(design: Callable[..., Bank], arguments: tuple, *place: Any) -> Subbands:
    return Subbands(design(*arguments), *place)
