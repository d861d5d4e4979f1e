r"""The cortical transform of one spectrogram as a linear operator.

How least squares are solved with it. With :math:`B_j` the filter of scale :math:`j` along
frequency and :math:`T_r` that of rate :math:`r` along time, the tensor of a real spectrogram
:math:`V` has the channels :math:`B_j V T_r` (downward) and :math:`B_j V \bar T_r` (upward). Both
together give the normal operator

.. math:: A^H A = 2\,\mathrm{Re}\Big(\sum_j B_j^H B_j\Big) \otimes
                  \sum_r \mathrm{Re}(T_r^H T_r),

a small real matrix along frequency times sums of Fourier products along time. An iteration of
conjugate gradients therefore never makes the tensor, and half the rates are enough. (The bin at
half the frame rate, which the toolbox fills in upward filters only, adds a term of its own.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .cortex import CorticalPlan, analyse, filtered_frames

if TYPE_CHECKING:
    import torch

__all__ = ["CorticalOperator"]

# Shares of the largest power: what counts as nil, and the least a damped operator divides by. The
# default filters have no less than a seventh anywhere.
_NEGLIGIBLE = 1e-6
_DAMPING = 0.1
# The inverse of less than this is more than single precision holds.
NOTHING = 1e-30
_POWER_ITERATIONS = 12


class CorticalOperator:
    """The transform of one spectrogram as a linear operator, with its adjoint and what CG needs.

    Everything is held in the precision and on the device of the tensor. A damped one divides by
    no less than a tenth of the largest power when it preconditions: steps of a fixed length need
    that, as filters that pass nearly nothing of some modulation make too much of its rest.
    """

    def __init__(
        self, plan: CorticalPlan, dtype: torch.dtype, device: torch.device, damped: bool = False
    ):
        import torch

        self.plan, self.dtype = plan, dtype
        self.complex = torch.complex128 if dtype == torch.float64 else torch.complex64
        self.half = plan.n_fft // 2
        self.rates = self._put(plan.rates)
        self.device = device
        self.rates = self.rates.to(device)
        n_rates = len(plan.rates) // 2
        # Of the upward filters at half the frame rate, slowest first, as the downward ones come.
        self.nyquist_gains = self.rates[:n_rates, self.half].flip(0)
        self.backward = [self._put(m.conj().T.copy()).to(device) for m in plan.synthesis]
        gram = _gram_along_frequency(plan)
        self.gram = self._put(gram).to(device)
        self.real_gram = self._put(2 * gram.real).real.contiguous().to(device)
        self.inverse_gram = self._put(_inverse_of_gram(2 * gram.real, damped)).real.to(device)
        symbol = _inverse_symbol(plan, _DAMPING if damped else _NEGLIGIBLE)
        self.inverse_symbol = torch.as_tensor(symbol).to(dtype).to(device)

    def _put(self, matrix: np.ndarray) -> torch.Tensor:
        import torch

        return torch.as_tensor(matrix).to(self.complex)

    def forward(self, v: torch.Tensor) -> torch.Tensor:
        """Give the complex tensor of a spectrogram."""
        return analyse(v[None], self.plan)[0]

    def adjoint(self, c: torch.Tensor) -> torch.Tensor:
        """Give the spectrogram that the adjoint makes of a tensor."""
        return self.from_spectrum(self.spectrum(c))

    def spectrum(self, c: torch.Tensor) -> torch.Tensor:
        """Filter every channel with its own conjugate filter and add up, (n_bins, n_fft)."""
        import torch

        plan, half = self.plan, self.half
        n_bins = plan.n_fft_channels // 2
        total = torch.zeros((n_bins, plan.n_fft), dtype=self.complex, device=self.device)
        for r in range(len(self.rates)):
            rows = torch.zeros((n_bins, c.shape[-1]), dtype=self.complex, device=self.device)
            for matrix, channel in zip(self.backward, c[:, r], strict=True):
                into = rows[: len(matrix)]
                torch.addmm(into, matrix, channel.to(self.complex), out=into)
            response, period = self.rates[r].conj(), self.spread(rows)
            if r < len(self.rates) // 2:  # upward: negative frequencies, and zero
                total[:, half:].addcmul_(response[half:], self.unfold(period, upper=True))
                total[:, 0] += response[0] * period[:, 0]
            else:
                total[:, :half].addcmul_(response[:half], self.unfold(period))
        return total

    def spread(self, rows: torch.Tensor) -> torch.Tensor:
        """Fourier transform of frames put back where they were kept; one period of it."""
        import torch

        plan = self.plan
        length = plan.n_fft // plan.fold
        if plan.thin > 1:
            spaced = torch.zeros((len(rows), length), dtype=rows.dtype, device=rows.device)
            spaced[:, : rows.shape[1] * plan.thin : plan.thin] = rows
            rows = spaced
        return torch.fft.fft(rows, length, dim=-1)

    def from_spectrum(self, spectrum: torch.Tensor) -> torch.Tensor:
        """Real part of the sum of all waves, at the channels and frames of the spectrogram."""
        import torch

        n_freqs, n_frames = self.plan.shape
        rows = torch.fft.ifft(spectrum, dim=-1)[:, :n_frames]
        waves = torch.fft.ifft(rows, self.plan.n_fft_channels, dim=0)[:n_freqs]
        return self.plan.n_fft_channels * waves.real

    def normal(self, v: torch.Tensor) -> torch.Tensor:
        """``adjoint(forward(v))`` of the complex tensor, without making it."""
        import torch

        plan, half = self.plan, self.half
        spectrum = torch.fft.rfft(v, plan.n_fft)
        kept = self.nyquist_wave(plan.n_frames)[:: plan.fold * plan.thin].to(self.complex)
        at_nyquist = spectrum[:, half] / plan.n_fft
        leaked = len(kept) * (self.gram @ at_nyquist)
        total = torch.zeros((len(v), half), dtype=self.complex, device=v.device)
        upward = torch.zeros(len(v), dtype=self.complex, device=v.device)
        n_rates = len(self.rates) // 2
        for r, gain in enumerate(self.nyquist_gains):
            response = self.rates[n_rates + r]
            frames = filtered_frames(spectrum, response, False, plan)
            upward += gain * (self.gram @ (frames.conj() @ kept) + gain * leaked)
            both = self.unfold(self.spread(self.by_real_gram(frames)))
            total.addcmul_(response[:half].conj(), both)
        # What upward channels hold at half the frame rate, seen by the filters and by itself.
        wave = (self.nyquist_gains[:, None] * self.rates[n_rates:, :half].conj()).sum(0)
        wave = wave * self.unfold(self.spread(kept[None]))[0]
        total += torch.outer(self.gram.conj() @ at_nyquist, wave)
        result = self.real_half(total)[:, : plan.shape[1]]
        echo = torch.outer(upward.real / plan.n_fft, self.nyquist_wave(plan.shape[1]))
        return result + echo

    def by_real_gram(self, frames: torch.Tensor) -> torch.Tensor:
        """Multiply complex frames by a real matrix, at half the price of a complex one."""
        import torch

        pairs = torch.view_as_real(frames.contiguous()).flatten(1)
        return torch.view_as_complex((self.real_gram @ pairs).unflatten(1, (-1, 2)))

    def unfold(self, period: torch.Tensor, upper: bool = False) -> torch.Tensor:
        """Repeat one period of a spectrum over its non-negative (or its negative) bins."""
        length = period.shape[1]
        if length > self.half:
            return period[:, self.half :] if upper else period[:, : self.half]
        return period.repeat(1, self.half // length)

    def real_half(self, spectrum: torch.Tensor) -> torch.Tensor:
        """Real part of the inverse transform of a spectrum that is nil at negative bins."""
        import torch

        weights = torch.full((self.half,), 0.5, dtype=self.dtype, device=spectrum.device)
        weights[0] = 1.0
        return torch.fft.irfft(spectrum * weights, self.plan.n_fft)

    def nyquist_wave(self, n: int) -> torch.Tensor:
        """Alternate between 1 and -1."""
        import torch

        wave = torch.ones(n, dtype=self.dtype, device=self.device)
        wave[1::2] = -1
        return wave

    def precondition(self, v: torch.Tensor) -> torch.Tensor:
        """Solve the normal equations of a tensor that had not been cut in time."""
        import torch

        spectrum = torch.fft.rfft(v, self.plan.n_fft) * self.inverse_symbol
        return self.inverse_gram @ torch.fft.irfft(spectrum, self.plan.n_fft)[:, : v.shape[1]]

    def safe_step(self, v: torch.Tensor) -> float:
        """Step at which preconditioned gradients do not grow: 1 over their largest gain, or 1."""
        # An impulse holds all modulations alike.
        wave = v * 0
        wave[v.shape[0] // 2, v.shape[1] // 2] = 1
        gain = 0.0
        for _ in range(_POWER_ITERATIONS):
            wave = self.precondition(self.normal(wave))
            gain = float(wave.norm())
            if gain == 0:  # filters that pass nothing
                break
            wave = wave / gain
        return 1 / max(1.0, gain)


def _gram_along_frequency(plan: CorticalPlan) -> np.ndarray:
    """Sum over the scales of :math:`B^H B`, (n_freqs, n_freqs)."""
    n_bins = plan.n_fft_channels // 2
    waves = np.exp(
        -2j * np.pi / plan.n_fft_channels * np.outer(np.arange(n_bins), np.arange(plan.shape[0]))
    )
    filters = [matrix @ waves[: matrix.shape[1]] for matrix in plan.synthesis]
    return sum(filter_.conj().T @ filter_ for filter_ in filters)


def _inverse_of_gram(gram: np.ndarray, damped: bool) -> np.ndarray:
    power, waves = np.linalg.eigh(gram)
    if power[-1] < NOTHING:
        return np.zeros_like(gram)
    least = power[-1] * (_DAMPING if damped else _NEGLIGIBLE)
    inverse = 1 / np.maximum(power, least)
    if not damped:  # what is nil stays so
        inverse[power <= least] = 0
    return (waves * inverse) @ waves.T


def _inverse_symbol(plan: CorticalPlan, least: float) -> np.ndarray:
    """One over the spectrum of the sum of Re(T^H T), on the bins of rfft, had nothing been cut."""
    half = plan.n_fft // 2
    downward = plan.rates[len(plan.rates) // 2 :, :half]
    power = (np.abs(downward) ** 2).sum(axis=0)
    symbol = np.append(power, power[-1]) / 2
    symbol[0] *= 2
    floor = least * symbol.max()
    return np.divide(1.0, np.maximum(symbol, floor), out=np.zeros(half + 1), where=floor > 0)
