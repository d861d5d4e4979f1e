"""Banks of band-pass filters, applied and inverted in the frequency domain."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import scipy.fft
from scipy.sparse.linalg import LinearOperator, gmres

from .grid import n_frames

__all__ = ["Bank", "Subbands"]

# Filter values kept from one sound to the next; longer banks are computed again for each.
_KEPT = 8_000_000
# Part of the largest coverage below which a frequency is left out of the inverse.
_COVERAGE = 1e-6
# How far the search for envelopes goes beyond each step; .9 halves the error of 0, .99 is worse.
_MOMENTUM = 0.9


class Bank(NamedTuple):
    """Filters on positive frequencies.

    Attributes
    ----------
    frequencies : ndarray of shape (n_filters,)
        Centres in Hz, ascending.
    low, high : ndarray of shape (n_filters,)
        Edges in Hz, outside which the gain is taken for 0.
    response : callable
        ``response(filter, hz)`` gives the gain, real or complex, at frequencies in Hz.
    ringing : float
        Seconds of silence after which the sound's end does not reach its beginning.
    """

    frequencies: np.ndarray
    low: np.ndarray
    high: np.ndarray
    response: Callable[[int, np.ndarray], np.ndarray]
    ringing: float


# Samples that filters may ring at most: hours.
_LONGEST = 2**28


class Subbands:
    """A bank made ready for sounds of one length, on the shared grid of frames.

    Every subband is analytic: its magnitude is the envelope (1 for a sine of amplitude 1 at the
    filter's centre), its real part what the filter gives. It is computed at the few samples that
    its bandwidth needs, so that all bands together cost about as much as the sound.

    Parameters
    ----------
    bank : Bank
        The filters.
    n_times : int
        Samples of a sound.
    hop : int
        Samples from one frame to the next.
    sample_rate : float
        In Hz.
    dtype : dtype
        float32 or float64.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf.transforms.erb import half_cosine_bank
    >>> from skstrf.transforms.subbands import Subbands
    >>> x = np.sin(2 * np.pi * 2560 / 16000 * np.arange(16000))
    >>> bands = Subbands(half_cosine_bank(2, 50.0, 8000.0, 16000), 16000, 256, 16000, x.dtype)
    >>> bands.power(x)[:, 30].round(2) + 0.0
    array([0., 0., 1., 0.])
    """

    def __init__(self, bank: Bank, n_times: int, hop: int, sample_rate: float, dtype: Any):
        self.bank, self.n_times, self.hop, self.sample_rate = bank, n_times, hop, sample_rate
        self.dtype = np.dtype(dtype)
        self.complex_dtype = np.result_type(dtype, np.complex64)
        self.n_frames = n_frames(n_times, hop)
        if not bank.ringing * sample_rate < _LONGEST:
            raise ValueError(
                f"The lowest filter rings for {bank.ringing:.3g} s, which no memory holds: raise "
                "fmin."
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
        """Mean square of every subband's envelope over every frame.

        Parameters
        ----------
        x : ndarray of shape (n_times,)
            A sound.

        Returns
        -------
        ndarray of shape (n_filters, n_frames)
            1 for a sine of amplitude 1 at a filter's centre.
        """
        spectra = self._spectra(x)
        result = np.empty((len(self.width), self.n_frames), dtype=self.dtype)
        for channel, gain in enumerate(self._gains()):
            band = self._band(spectra, channel, gain)
            result[channel] = _mean_square(band)[: self.n_frames]
        return result

    def complex(self, x: np.ndarray) -> np.ndarray:
        """Every analytic subband at the middle sample of every frame.

        Parameters
        ----------
        x : ndarray of shape (n_times,)
            A sound.

        Returns
        -------
        ndarray of shape (n_filters, n_frames)
            Complex.
        """
        spectrum = scipy.fft.rfft(x, self.size) * self._ramp(self.hop // 2)
        result = np.empty((len(self.width), self.n_frames), dtype=self.complex_dtype)
        for channel, gain in enumerate(self._gains()):
            part = _fold(
                spectrum[self._support(channel)] * gain, self.start[channel], self.n_cycle
            )
            result[channel] = scipy.fft.ifft(part)[: self.n_frames] / self.hop
        return result

    def from_complex(self, tensor: np.ndarray, *, n_iter: int = 0) -> np.ndarray:
        """Find the sound whose subbands these are.

        Parameters
        ----------
        tensor : ndarray of shape (n_filters, n_frames)
            As `complex` gives it.
        n_iter : int
            Iterations of GMRES at most. 0 applies the dual frame of the bank, which is exact for
            ``hop`` 1 but for what the subbands hold outside the sound's duration.

        Returns
        -------
        ndarray of shape (n_times,)
            The sound.
        """
        beginning = self._dual(tensor)
        if not n_iter:
            return beginning
        operator = LinearOperator(
            (self.n_times, self.n_times),
            matvec=lambda x: self._dual(self.complex(x.ravel())),
            dtype=self.dtype,
        )
        tolerance = 10 * np.finfo(self.dtype).eps
        return gmres(operator, beginning, rtol=tolerance, restart=n_iter, maxiter=1)[0]

    def from_envelopes(self, envelopes: np.ndarray, x: np.ndarray, *, n_iter: int) -> np.ndarray:
        """Change a sound until its subbands have these envelopes.

        In every iteration each subband is multiplied so that the root mean square of each frame
        is right, the sound nearest to the new subbands is taken, and gone on a little beyond it.

        Parameters
        ----------
        envelopes : ndarray of shape (n_filters, n_frames)
            Square roots of what `power` gives.
        x : ndarray of shape (n_times,)
            The sound to begin with.
        n_iter : int
            Iterations after the first.

        Returns
        -------
        ndarray of shape (n_times,)
            A sound.
        """
        goal = np.zeros((len(envelopes), self.n_cycle), dtype=self.dtype)
        goal[:, : self.n_frames] = envelopes
        tiny = np.sqrt(np.finfo(self.dtype).tiny)
        previous = None
        for _ in range(n_iter + 1):
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
        """Spectrum of a sound, and of the sound earlier by half a frame."""
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
        """Gain on the filter's support, doubled where a negative frequency mirrors it."""
        bins = np.arange(self.start[channel], self.start[channel] + self.width[channel])
        gain = 2 * self.bank.response(channel, bins * (self.sample_rate / self.size))
        gain[(bins == 0) | (2 * bins == self.size)] /= 2
        return gain.astype(self.complex_dtype if np.iscomplexobj(gain) else self.dtype)

    @cached_property
    def _coverage(self) -> np.ndarray:
        """Sum of squared gains at every frequency; infinite where there is next to none."""
        total = np.zeros(self.size // 2 + 1, dtype=self.dtype)
        for channel, gain in enumerate(self._gains()):
            total[self._support(channel)] += np.abs(gain) ** 2
        # The gains at frequency 0 and half the sample rate are halved, as their mirrors are.
        return np.where(total > _COVERAGE * total.max(), total, np.inf).astype(self.dtype)

    def _band(self, spectra: np.ndarray, channel: int, gain: np.ndarray) -> np.ndarray:
        """One subband as (frame, sample of the frame), spread evenly about the frame's middle."""
        count = int(self.per_frame[channel])
        size = self.n_cycle * count
        spectrum = spectra[int(count < self.hop), self._support(channel)]
        samples = scipy.fft.ifft(_fold(spectrum * gain, self.start[channel], size))
        samples *= self.dtype.type(count / self.hop)
        if count < self.hop:
            samples = np.roll(samples, count // 2)
        return samples.reshape(self.n_cycle, count)

    def _add(self, totals: np.ndarray, channel: int, gain: np.ndarray, band: np.ndarray) -> None:
        """Add the part of a subband, as `_band` gives it, in the spectra of the sound."""
        count = band.shape[1]
        samples = np.roll(band.ravel(), -(count // 2)) if count < self.hop else band.ravel()
        spectrum = _unfold(scipy.fft.fft(samples), self.start[channel], self.width[channel])
        spectrum *= self.dtype.type(self.hop / count)
        totals[int(count < self.hop), self._support(channel)] += gain.conj() * spectrum

    def _dual(self, tensor: np.ndarray) -> np.ndarray:
        """Sound from what `complex` gives, by the dual frame of the bank without decimation."""
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
    """Add up bins whose frequencies are the same after sampling: `size` of a longer spectrum."""
    offset = start % size
    rows = -(-(offset + len(part)) // size)
    whole = np.zeros(rows * size, dtype=part.dtype)
    whole[offset : offset + len(part)] = part
    return whole if rows == 1 else whole.reshape(rows, size).sum(axis=0)


def _unfold(spectrum: np.ndarray, start: int, width: int) -> np.ndarray:
    """Bins from `start` of the periodic continuation; the adjoint of `_fold`."""
    return spectrum.take(np.arange(start, start + width), mode="wrap")
