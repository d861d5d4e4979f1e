"""Rate filters of a whole file by formula, at any of its bins or between them."""

from __future__ import annotations

from functools import cached_property

import numpy as np

__all__ = ["WholeFileFilter"]

# Bins evaluated at a time in search of the peak.
_BINS = 1 << 16


class WholeFileFilter:
    r"""The transfer function of :func:`skstrf.auditory.rate_filter`, without a Fourier transform.

    Before its mean is taken out, the impulse response is a difference of two terms
    :math:`k^2 r^k`, whose sum over :math:`k` is known. The mean over the first half of the
    Fourier grid touches the odd bins only (and bin 0, which it empties).

    Parameters
    ----------
    rate : float
        Best rate in Hz.
    n_bins : int
        Number of bins; bin ``k`` lies at ``k * frame_rate / (2 * n_bins)`` Hz.
    frame_rate : float
        Frames per second.
    kind : {"band", "low", "high"}
        As in :func:`skstrf.auditory.rate_filter`.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf.auditory import rate_filter
    >>> from skstrf.auditory.long_filters import WholeFileFilter
    >>> bins = np.arange(1, 100)
    >>> whole = WholeFileFilter(8.0, 4096, 125.0, "low").at(bins)
    >>> bool(np.allclose(whole, rate_filter(8.0, 4096, kind="low")[bins], atol=1e-10))
    True
    """

    def __init__(self, rate: float, n_bins: int, frame_rate: float, kind: str) -> None:
        self.rate, self.n_bins, self.frame_rate, self.kind = rate, n_bins, frame_rate, kind

    def at(self, bins: np.ndarray) -> np.ndarray:
        """The transfer function at whole bins.

        Parameters
        ----------
        bins : ndarray of int
            From 0 to ``n_bins - 1``.

        Returns
        -------
        ndarray of complex128
            Of the same shape.
        """
        odd = bins % 2 == 1
        return np.where(odd, self._response(bins, True), self._response(bins, False))

    def between(self, bins: np.ndarray) -> np.ndarray:
        """The mean of the curves through the even and through the odd bins.

        Parameters
        ----------
        bins : ndarray of float
            Above 0 and below `n_bins`.

        Returns
        -------
        ndarray of complex128
            Of the same shape.
        """
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
