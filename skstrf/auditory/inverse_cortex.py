r"""Inverse of the cortical model: tensor to auditory spectrogram, by least squares.

With :math:`B_j` the filter of scale :math:`j` along frequency and :math:`T_r` that of rate
:math:`r` along time, the tensor of a real spectrogram :math:`V` has the channels
:math:`B_j V T_r` (downward) and :math:`B_j V \bar T_r` (upward). Both together have the normal
operator

.. math:: A^H A = 2\,\mathrm{Re}\Big(\sum_j B_j^H B_j\Big) \otimes
                  \sum_r \mathrm{Re}(T_r^H T_r),

a small real matrix along frequency times sums of Fourier products along time. An iteration of
conjugate gradients therefore never computes the tensor, and half of the rates are sufficient. (The
bin at half the frame rate, which the toolbox fills in upward filters only, adds a separate term.)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from skstrf.auditory.cortex import (
    DEFAULT_RATES,
    DEFAULT_SCALES,
    CorticalPlan,
    CorticalSettings,
    analyze,
    check_settings,
    cortical_plan,
    filtered_frames,
)
from skstrf.utils.arrays import is_torch
from skstrf.utils.validation import check_overflow, checked_number, checked_whole

if TYPE_CHECKING:
    import torch

__all__ = [
    "CorticalOperator",
    "cortical_adjoint",
    "invert_cortical_transform",
]


# Shares of the largest power: below the first, power counts as zero; a damped operator divides by
# at least the second. The power of the default filters is nowhere below a seventh.
_NEGLIGIBLE = 1e-6
_DAMPING = 0.1
# Power whose inverse overflows single precision.
_NOTHING = 1e-30
_POWER_ITERATIONS = 12
_METHODS = ("least-squares", "normalized")
_CONTENTS = ("complex", "real", "magnitude")
_MAX_ITER = {"complex": 60, "real": 60, "magnitude": 200}
# Momentum of the accelerated projections; 0.99, usual for spectrograms, overshoots here.
_MOMENTUM = 0.9


def invert_cortical_transform(
    c: Any,
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
    n_freqs: int = 128,
    n_frames: int | None = None,
    content: str = "complex",
    method: str = "least-squares",
    norm: float = 0.9,
    max_iter: int | None = None,
    tol: float = 1e-4,
) -> Any:
    r"""Auditory spectrogram from the responses of a bank of spectro-temporal receptive fields.

    Parameters
    ----------
    c : array-like or torch.Tensor of shape (..., n_scales, 2 * n_rates, n_rows, n_kept)
        Responses from :func:`cortical_transform`. torch tensors stay on their device.
    rates, scales, frame_rate, channels_per_octave, bandpass, frame_step, channel_step
        Same as in :func:`cortical_transform`.
    full_time, full_frequency : float, default=0.0
        Same as in :func:`cortical_transform`.
    n_freqs : int, default=128
        Number of frequency channels of the spectrogram.
    n_frames : int or None, default=None
        Number of frames of the spectrogram. None is the largest number for which
        :func:`cortical_transform` returns a tensor of this shape.
    content : {"complex", "real", "magnitude"}, default="complex"
        Content of `c`, that is the `output` of :func:`cortical_transform`.
    method : {"least-squares", "normalized"}, default="least-squares"
        Algorithm. "least-squares" finds the spectrogram whose tensor is closest to `c`, with
        preconditioned conjugate gradients, or for magnitudes with accelerated projections [3]_.
        "normalized" is the single pass of inverse filtering of the NSL toolbox (``cor2aud``). It
        requires all frames and channels of a complex tensor.
    norm : float, default=0.9
        Degree of normalization of "normalized", from 0 (none) to 1 (division by the summed power
        of the filters).
    max_iter : int or None, default=None
        Maximum number of iterations of "least-squares". None is 60, or 200 for magnitudes.
    tol : float, default=1e-4
        Tolerance of "least-squares": it stops when the residual of the normal equations relative
        to the initial one (for magnitudes, the relative change of the spectrogram) is below
        `tol`.

    Returns
    -------
    ndarray or torch.Tensor of shape (..., n_freqs, n_frames)
        Real spectrogram. It is non-negative if computed from magnitudes; otherwise small negative
        values may occur where the spectrogram is zero.

    Raises
    ------
    ValueError
        If the shape of `c` does not match the settings, `c` contains NaN or infinity, or `method`
        does not support `content`.

    See Also
    --------
    cortical_transform : Forward transform.
    invert_auditory_spectrogram : Inverse of the previous stage, to sound.

    Notes
    -----
    The relative L2 error of the default tensor, cut to the frames and channels of the
    spectrogram, is below 1 percent after about 15 iterations, and the tolerance is reached after
    about 20. ``cor2aud`` has an error of 37 to 60 percent (:doc:`/results/inversion`).

    References
    ----------
    .. [1] T. Chi, P. Ru and S. A. Shamma, "Multiresolution spectrotemporal analysis of
       complex sounds", J. Acoust. Soc. Am. 118(2), 887-906, 2005, section III.
    .. [2] M. R. Hestenes and E. Stiefel, "Methods of conjugate gradients for solving linear
       systems", J. Res. Nat. Bur. Standards 49(6), 409-436, 1952.
    .. [3] N. Perraudin, P. Balazs and P. L. Sondergaard, "A fast Griffin-Lim algorithm",
       IEEE WASPAA, 2013.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf.auditory import cortical_transform, invert_cortical_transform
    >>> v = np.random.default_rng(0).random((128, 60))
    >>> w = invert_cortical_transform(cortical_transform(v))
    >>> w.shape
    (128, 60)
    >>> bool(np.linalg.norm(v - w) < 0.01 * np.linalg.norm(v))
    True
    """
    import torch

    settings = check_settings(
        rates, scales, frame_rate, channels_per_octave, bandpass, frame_step, channel_step,
        full_time, full_frequency,
    )  # fmt: skip
    _check_options(method, content, norm, max_iter, tol, settings)
    max_iter = _MAX_ITER[content] if max_iter is None else int(max_iter)
    tensor, from_numpy = _check_tensor(c, content)
    if n_frames is None:
        n_frames = _implied_frames(tensor.shape[-1], settings)
    n_freqs, n_frames = checked_whole(n_freqs, "n_freqs"), checked_whole(n_frames, "n_frames")
    plan = cortical_plan((n_freqs, n_frames), settings)
    _check_shape(tuple(tensor.shape[-4:]), plan)
    flat = tensor.reshape(-1, *tensor.shape[-4:])
    system = CorticalOperator(
        plan, torch.float64 if _is_double(flat) else torch.float32, flat.device,
        damped=content == "magnitude",
    )  # fmt: skip
    result = torch.stack([_invert_one(one, system, content, method, norm, max_iter, tol)
                          for one in flat])  # fmt: skip
    result = result.reshape(*tensor.shape[:-4], n_freqs, n_frames)
    return check_overflow(result.numpy(), "invert_cortical_transform") if from_numpy else result


class _Options(NamedTuple):
    max_iter: int
    tol: float


def _invert_one(c, system: CorticalOperator, content, method, norm, max_iter, tol) -> torch.Tensor:
    if method == "normalized":
        return _finite(_normalized(c, system, norm))
    options = _Options(max_iter, tol)
    b = _finite(system.adjoint(c))
    if content == "magnitude":
        return _from_magnitudes(c.to(system.dtype), system, options)
    if content == "real":
        return _conjugate_gradients(
            lambda v: system.adjoint(system.forward(v).real), b, system.precondition, options
        )
    return _conjugate_gradients(system.normal, b, system.precondition, options)


def _finite(sums: torch.Tensor) -> torch.Tensor:
    """Raise unless sums to which every entry of the tensor contributes are finite."""
    if not sums.isfinite().all():
        raise ValueError(
            "The cortical tensor contains NaN or infinite values, or overflows its dtype."
        )
    return sums


def _normalized(c: torch.Tensor, system: CorticalOperator, norm: float) -> torch.Tensor:
    """Inverse filtering with the summed power of the filters, as in ``cor2aud``."""
    import torch

    plan = system.plan
    power = np.outer(_scale_power(plan), (np.abs(plan.rates) ** 2).sum(axis=0))
    power[0] *= 2  # the other columns represent their mirror images too
    divisor = norm * power + (1 - norm) * power.max()
    divisor *= power.sum() / max(divisor.sum(), np.finfo(float).tiny)
    # The tensor is zero too in bins without power.
    inverse = np.divide(2.0, divisor, out=np.zeros_like(divisor), where=divisor > _NOTHING)
    weights = torch.as_tensor(inverse).to(system.dtype).to(c.device)
    return system.from_spectrum(system.spectrum(c) * weights)


def _conjugate_gradients(
    operator: Callable, b: torch.Tensor, precondition: Callable, options: _Options
) -> torch.Tensor:
    """Solve ``operator(x) = b`` for a symmetric non-negative operator, from zero."""
    x = b * 0
    residual = b
    start = float(b.norm())
    direction = z = precondition(residual)
    product = (residual * z).sum()
    for _ in range(options.max_iter):
        if float(residual.norm()) <= options.tol * start:
            break
        image = operator(direction)
        curvature = (direction * image).sum()
        if not curvature > 0:  # the rest of the residual is out of reach
            break
        step = product / curvature
        x = x + step * direction
        residual = residual - step * image
        z = precondition(residual)
        previous, product = product, (residual * z).sum()
        direction = z + product / previous * direction
    return x


def _from_magnitudes(m: torch.Tensor, system: CorticalOperator, options: _Options) -> torch.Tensor:
    """Phase retrieval of a non-negative spectrogram, by accelerated projections."""
    # A damped inverse that ignores the cut in time is accurate enough for a step, which is
    # shortened where it overshoots.
    v = _rough_spectrogram(m, system)
    ahead, length = v, system.safe_step(v)
    for _ in range(options.max_iter):
        response = system.forward(ahead)
        wanted = m * response.sgn()
        step = length * system.precondition(system.adjoint(wanted - response))
        previous, v = v, (ahead + step).clamp(min=0)
        ahead = v + _MOMENTUM * (v - previous)
        if float((v - previous).norm()) <= options.tol * float(v.norm()):
            break
    return v


def _rough_spectrogram(m: torch.Tensor, system: CorticalOperator) -> torch.Tensor:
    """Sum of the magnitudes of the slowest channels, a smooth and non-negative first guess."""
    plan = system.plan
    slowest = len(system.rates) // 2
    rows = m[:, slowest - 1 : slowest + 1].sum(dim=(0, 1))
    n_freqs, n_frames = plan.shape
    margin = (plan.n_rows - n_freqs) // 2
    rows = rows.repeat_interleave(plan.channel_step, 0)[margin : margin + n_freqs]
    v = rows.repeat_interleave(plan.fold * plan.thin, 1)[:, :n_frames].contiguous()
    response = system.forward(v).abs()
    power = (response * response).sum()
    return v * ((response * m).sum() / power if power > 0 else 0.0)


def _scale_power(plan: CorticalPlan) -> np.ndarray:
    """Sum of the squared gains of all scale filters at every bin."""
    power = np.zeros(plan.n_fft_channels // 2)
    for matrix in plan.synthesis:
        # The magnitude of every column is its gain divided by n_fft_channels.
        gain = np.abs(matrix[0]) * plan.n_fft_channels
        power[: len(gain)] += gain**2
    return power


def _check_options(method, content, norm, max_iter, tol, settings: CorticalSettings) -> None:
    if method not in _METHODS:
        raise ValueError(f"method must be one of {_METHODS}, got {method!r}.")
    if content not in _CONTENTS:
        raise ValueError(f"content must be one of {_CONTENTS}, got {content!r}.")
    checked_number(norm, "norm", low=0, high=1)
    checked_number(tol, "tol", low=0)
    if max_iter is not None:
        checked_whole(max_iter, "max_iter")
    frame_step, channel_step = settings.frame_step, settings.channel_step
    if method == "normalized" and (content, frame_step, channel_step) != ("complex", 1, 1):
        raise ValueError(
            "method='normalized' needs every frame and channel of a complex tensor; this one has "
            f"content={content!r}, frame_step={frame_step}, channel_step={channel_step}. "
            "Use method='least-squares'."
        )


def _check_tensor(c: Any, content: str) -> tuple[torch.Tensor, bool]:
    import torch

    from_numpy = not is_torch(c)
    if from_numpy:
        c = np.asarray(c)
        if c.dtype.kind not in "fiuc" or c.dtype.itemsize > 16:
            raise ValueError(f"A cortical tensor must hold numbers, got dtype {c.dtype}.")
        c = torch.from_numpy(np.ascontiguousarray(c))
    if c.ndim < 4 or c.numel() == 0:
        raise ValueError(
            "A cortical tensor needs the axes (..., scale, rate, frequency, time), none of them "
            f"empty; got shape {tuple(c.shape)}."
        )
    if c.is_complex() != (content == "complex"):
        raise ValueError(
            f"content={content!r} needs a {'complex' if content == 'complex' else 'real'} tensor, "
            f"got dtype {c.dtype}. Set content to the output of the transform that it holds."
        )
    if content == "magnitude" and (c < 0).any():
        raise ValueError("content='magnitude' cannot be negative; is it content='real'?")
    return c, from_numpy


def _implied_frames(n_kept: int, settings: CorticalSettings) -> int:
    """Largest number of frames of a spectrogram whose tensor has `n_kept` frames."""
    longest = n_kept * settings.frame_step
    n_frames = longest
    while n_frames > 1 and n_frames + 2 * int(n_frames / 2 * settings.full_time) > longest:
        n_frames -= 1
    return n_frames


def _check_shape(shape: tuple[int, ...], plan: CorticalPlan) -> None:
    n_kept = -(-plan.n_frames // (plan.fold * plan.thin))
    expected = (len(plan.synthesis), len(plan.rates), len(plan.synthesis[0]), n_kept)
    if shape == expected:
        return
    hint = (
        "Time and frequency look swapped: this package has frequency before time."
        if shape[2] != expected[2] and shape[3] == expected[2]
        else "Use the settings that the tensor was made with."
    )
    raise ValueError(
        f"The settings make tensors of (scale, rate, frequency, time) = {expected}, but this one "
        f"has {shape}. {hint}"
    )


def _is_double(c: torch.Tensor) -> bool:
    import torch

    return c.dtype in (torch.float64, torch.complex128)


# ---------------------------------------------------------------- the operator


class CorticalOperator:
    """Cortical transform of one spectrogram as an operator, with adjoint and preconditioner."""

    # The preconditioner of a damped operator divides by no less than a tenth of the largest power.
    # Steps of a fixed length need that, because modulations that the filters hardly pass would be
    # amplified too much.

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
        # Gains of the upward filters at half the frame rate, slowest first as the downward ones.
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
        """Complex tensor of a spectrogram."""
        return analyze(v[None], self.plan)[0]

    def adjoint(self, c: torch.Tensor) -> torch.Tensor:
        """Adjoint of `forward`, from tensor to spectrogram."""
        return self.from_spectrum(self.spectrum(c))

    def spectrum(self, c: torch.Tensor) -> torch.Tensor:
        """Filter every channel with its conjugate filter and add the channels, (n_bins, n_fft)."""
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
        """One period of the Fourier transform of kept frames, with zeros between them."""
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
        """``adjoint(forward(v))``, without computing the tensor."""
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
        # The part of the upward channels at half the frame rate, for all filters and for itself.
        wave = (self.nyquist_gains[:, None] * self.rates[n_rates:, :half].conj()).sum(0)
        wave = wave * self.unfold(self.spread(kept[None]))[0]
        total += torch.outer(self.gram.conj() @ at_nyquist, wave)
        result = self.real_half(total)[:, : plan.shape[1]]
        echo = torch.outer(upward.real / plan.n_fft, self.nyquist_wave(plan.shape[1]))
        return result + echo

    def by_real_gram(self, frames: torch.Tensor) -> torch.Tensor:
        """Multiply complex frames by a real matrix, at half the cost of a complex one."""
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
        """Real part of the inverse transform of a spectrum that is zero at negative bins."""
        import torch

        weights = torch.full((self.half,), 0.5, dtype=self.dtype, device=spectrum.device)
        weights[0] = 1.0
        return torch.fft.irfft(spectrum * weights, self.plan.n_fft)

    def nyquist_wave(self, n: int) -> torch.Tensor:
        """Sequence that alternates between 1 and -1."""
        import torch

        wave = torch.ones(n, dtype=self.dtype, device=self.device)
        wave[1::2] = -1
        return wave

    def precondition(self, v: torch.Tensor) -> torch.Tensor:
        """Solve the normal equations of a tensor that is not cut in time."""
        import torch

        spectrum = torch.fft.rfft(v, self.plan.n_fft) * self.inverse_symbol
        return self.inverse_gram @ torch.fft.irfft(spectrum, self.plan.n_fft)[:, : v.shape[1]]

    def safe_step(self, v: torch.Tensor) -> float:
        """Step at which preconditioned gradients do not grow: 1 over their largest gain, or 1."""
        # An impulse contains all modulations equally.
        wave = v * 0
        wave[v.shape[0] // 2, v.shape[1] // 2] = 1
        gain = 0.0
        for _ in range(_POWER_ITERATIONS):
            wave = self.precondition(self.normal(wave))
            gain = float(wave.norm())
            if gain == 0:  # the filters pass nothing
                break
            wave = wave / gain
        return 1 / max(1.0, gain)


def cortical_adjoint(c: Any, plan: CorticalPlan) -> torch.Tensor:
    """Apply the adjoint of the cortical transform of real spectrograms."""
    import torch

    dtype = torch.float64 if _is_double(c) else torch.float32
    return CorticalOperator(plan, dtype, c.device).adjoint(c)


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
    if power[-1] < _NOTHING:
        return np.zeros_like(gram)
    least = power[-1] * (_DAMPING if damped else _NEGLIGIBLE)
    inverse = 1 / np.maximum(power, least)
    if not damped:  # zero remains zero
        inverse[power <= least] = 0
    return (waves * inverse) @ waves.T


def _inverse_symbol(plan: CorticalPlan, least: float) -> np.ndarray:
    """Inverse of the spectrum of the sum of Re(T^H T) without cuts, on the bins of rfft."""
    half = plan.n_fft // 2
    downward = plan.rates[len(plan.rates) // 2 :, :half]
    power = (np.abs(downward) ** 2).sum(axis=0)
    symbol = np.append(power, power[-1]) / 2
    symbol[0] *= 2
    floor = least * symbol.max()
    return np.divide(1.0, np.maximum(symbol, floor), out=np.zeros(half + 1), where=floor > 0)
