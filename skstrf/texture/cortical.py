r"""Texture statistics of auditory cortex.

Following McDermott and Simoncelli [1]_, a texture is described by time averages of the envelopes
of a cochlea and of their modulations. Here the envelopes are the compressed auditory spectrogram
:math:`v(f, t)`, and the modulations are the complex responses :math:`C(s, r, f, t)` of
spectro-temporal receptive fields to the spectrogram without its mean over time. The groups are

===========  ==============================================================================
mean         mean of every channel :math:`v(f)`
variation    ratio of standard deviation to mean of every channel
skewness     skewness of every channel
correlation  correlation matrix of the channels
power        root mean square of every response
sparsity     ratio of standard deviation to mean of the magnitude of every response
gram         Gram matrix of the magnitudes: maps are (scale, rate), positions all other axes
coherence    real part of the correlation of a response at two frequencies
===========  ==============================================================================

They are functions of means over time (moments), so that sounds of any length, and several sounds,
can be accumulated block by block.

.. [1] J. H. McDermott and E. P. Simoncelli, "Sound texture perception via statistics of the
   auditory periphery: evidence from sound synthesis", Neuron 71, 926-940, 2011.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from skstrf.auditory.cortex import DEFAULT_RATES, DEFAULT_SCALES
from skstrf.auditory.modules import Cochlea, Cortex
from skstrf.utils.arrays import to_numpy

__all__ = ["GROUPS", "CorticalStatistics", "add_moments", "field_snr", "statistics_snr"]

GROUPS = (
    "mean",
    "variation",
    "skewness",
    "correlation",
    "power",
    "sparsity",
    "gram",
    "coherence",
)
# Groups with a value for every scale and rate.
_BY_FIELD = ("power", "sparsity", "gram", "coherence")
# Level below which the compression of the spectrogram is linear, for sounds of unit variance.
_LINEAR_BELOW = 1e-3
_TINY = 1e-12


class CorticalStatistics(nn.Module):
    """Texture statistics and content of sounds, differentiable.

    The groups of statistics are ``mean``, ``variation`` and ``skewness`` of the channels of a
    compressed auditory spectrogram and their ``correlation``, as in [1]_, and ``power``,
    ``sparsity``, ``gram`` matrix and ``coherence`` of the responses of spectro-temporal receptive
    fields.

    Parameters
    ----------
    n_frames : int
        Number of frames (of 8 ms) of the longest sound. The filters are made for this length and
        used for all shorter sounds.
    rates, scales : sequence of float
        Rates in Hz and scales in cycles/octave of the receptive fields.
    frame_step : int, default=4
        Number of frames of the auditory spectrogram per frame of the responses.
    channel_step : int, default=2
        Number of channels of the auditory spectrogram per channel of the responses.
    correlation_step : int, default=4
        Number of channels of the auditory spectrogram per channel of the groups ``correlation``
        and ``coherence``; a multiple of `channel_step`.
    exponent : float, default=0.3
        Exponent of the compression of the auditory spectrogram.

    Attributes
    ----------
    sample_rate : float
        Sampling rate of the sounds, 16000 Hz.
    rates, scales : ndarray
        Signed rates in Hz, and scales in cycles/octave.

    References
    ----------
    .. [1] J. H. McDermott and E. P. Simoncelli, "Sound texture perception via statistics of the
       auditory periphery: evidence from sound synthesis", Neuron 71, 926-940, 2011.

    Examples
    --------
    >>> import torch
    >>> from skstrf.texture import CorticalStatistics
    >>> model = CorticalStatistics(n_frames=125)
    >>> x = torch.randn(16000, generator=torch.Generator().manual_seed(0))
    >>> statistics = model(x)
    >>> statistics["power"].shape
    torch.Size([6, 10, 64])
    >>> model.content(x).shape
    torch.Size([6, 10, 64, 32])
    """

    def __init__(
        self,
        n_frames: int,
        rates: Any = DEFAULT_RATES,
        scales: Any = DEFAULT_SCALES,
        *,
        frame_step: int = 4,
        channel_step: int = 2,
        correlation_step: int = 4,
        exponent: float = 0.3,
    ):
        super().__init__()
        if correlation_step % channel_step:
            raise ValueError(
                f"correlation_step={correlation_step} must be a multiple of "
                f"channel_step={channel_step}."
            )
        self.n_frames, self.frame_step, self.exponent = n_frames, frame_step, exponent
        self._channels = slice(None, None, correlation_step)
        self._frequencies = slice(None, None, correlation_step // channel_step)
        self.cochlea = Cochlea()
        self.cortex = Cortex(
            rates, scales, frame_step=frame_step, channel_step=channel_step, output="complex"
        )
        self.sample_rate = self.cochlea.sample_rate
        self.rates, self.scales = self.cortex.rates, self.cortex.scales

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """Compute the statistics of a sound.

        Parameters
        ----------
        x : torch.Tensor of shape (n_times,)
            Sound at 16 kHz, of about unit variance and at most `n_frames` frames.

        Returns
        -------
        dict of str to torch.Tensor
            One tensor for each group, as from :meth:`statistics`.
        """
        return self.statistics(self.moments(x))

    def spectrogram(self, x: torch.Tensor) -> torch.Tensor:
        """Compressed auditory spectrogram, (128, n_frames), of a sound (n_times,) at 16 kHz."""
        v = self.cochlea(x) + _LINEAR_BELOW
        return v**self.exponent - _LINEAR_BELOW**self.exponent

    def responses(self, v: torch.Tensor) -> torch.Tensor:
        """Complex responses to a compressed spectrogram without its mean over time."""
        n_frames = v.shape[-1]
        if n_frames > self.n_frames:
            raise ValueError(
                f"the sound has {n_frames} frames, but this model was made for {self.n_frames}: "
                "process it in blocks, or set a larger n_frames."
            )
        centered = v - v.mean(-1, keepdim=True)
        padded = nn.functional.pad(centered, (0, self.n_frames - n_frames))
        return self.cortex(padded)[..., : -(-n_frames // self.frame_step)]

    def content(self, x: torch.Tensor) -> torch.Tensor:
        """Magnitudes of the responses, (n_scales, 2 * n_rates, n_freqs, n_kept), of a sound."""
        return _magnitude(self.responses(self.spectrogram(x)))

    def moments(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """Compute the means over time on which the statistics depend.

        Parameters
        ----------
        x : torch.Tensor of shape (n_times,)
            Sound at 16 kHz.

        Returns
        -------
        dict of str to torch.Tensor
            Moments. Means over several sounds, weighted by their durations, are the moments of
            all of them.
        """
        v = self.spectrogram(x)
        return self.moments_of_responses(v, self.responses(v))

    def moments_of_responses(
        self, v: torch.Tensor, responses: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """Compute the moments of a compressed spectrogram and the responses to it."""
        n_kept = responses.shape[-1]
        # The deviation of a channel is small beside its mean: float32 would lose the third moment.
        v = v.double()
        channels = v[self._channels]
        magnitude = _magnitude(responses)
        maps = magnitude.flatten(0, 1).flatten(1)
        # The real part of a complex product is one real product of twice the length.
        few = responses[:, :, self._frequencies]
        pairs = torch.view_as_real(few.resolve_conj()).flatten(-2)
        return {
            "first": v.mean(-1),
            "second": v.square().mean(-1),
            "third": v.pow(3).mean(-1),
            "products": channels @ channels.mT / v.shape[-1],
            "magnitude": magnitude.mean(-1),
            "power": magnitude.square().mean(-1),
            "gram": maps @ maps.mT / n_kept,
            "cross": pairs @ pairs.mT / n_kept,
        }

    def statistics(self, moments: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Compute the groups of statistics from moments.

        Parameters
        ----------
        moments : dict of str to torch.Tensor
            Moments of a sound, or their weighted means over several sounds.

        Returns
        -------
        dict of str to torch.Tensor
            ``mean``, ``variation`` and ``skewness`` of shape (128,), ``correlation`` (n, n),
            ``power`` and ``sparsity`` (n_scales, 2 * n_rates, n_freqs), ``gram`` (n_fields,
            n_fields) and ``coherence`` (n_scales, 2 * n_rates, n, n).
        """
        mean, second = moments["first"], moments["second"]
        variance = (second - mean.square()).clamp(min=_TINY)
        deviation = variance.sqrt()
        third = moments["third"] - 3 * mean * second + 2 * mean.pow(3)
        covariance = moments["products"] - _outer(mean[self._channels])
        power = moments["power"].clamp(min=_TINY)
        spread = (power - moments["magnitude"].square()).clamp(min=_TINY)
        rms = power.sqrt()
        groups = {
            "mean": mean,
            "variation": deviation / (mean + _TINY**0.5),
            "skewness": third / (variance * deviation),
            "correlation": covariance / _outer(deviation[self._channels]),
            "power": rms,
            "sparsity": spread.sqrt() / (moments["magnitude"] + _TINY**0.5),
            "gram": moments["gram"],
            "coherence": moments["cross"] / _outer(rms[:, :, self._frequencies]),
        }
        return {name: group.to(power.dtype) for name, group in groups.items()}


def add_moments(
    total: dict[str, torch.Tensor] | None, moments: dict[str, torch.Tensor], weight: float
) -> dict[str, torch.Tensor]:
    """Add the weighted moments of a sound to a total, which is None at the beginning."""
    if total is None:
        return {name: weight * value for name, value in moments.items()}
    return {name: total[name] + weight * value for name, value in moments.items()}


def statistics_snr(
    statistics: dict[str, torch.Tensor], target: dict[str, torch.Tensor]
) -> dict[str, float]:
    """Signal-to-noise ratio in dB of every group of statistics with respect to a target."""
    result = {}
    for name, wanted in target.items():
        noise = float((statistics[name].double() - wanted.double()).square().sum())
        signal = float(wanted.double().square().sum())
        if noise == 0:
            result[name] = float("inf")
        else:
            result[name] = float(10 * np.log10(signal / noise)) if signal > 0 else float("-inf")
    return result


def field_snr(statistics: dict[str, torch.Tensor], target: dict[str, torch.Tensor]) -> np.ndarray:
    """Signal-to-noise ratio in dB by scale and rate: relative errors averaged over groups."""
    shape = target["power"].shape[:2]
    errors = []
    for name in _BY_FIELD:
        rows = [s[name].double().reshape(*shape, -1) for s in (statistics, target)]
        power = rows[1].square().sum(-1)
        error = (rows[0] - rows[1]).square().sum(-1)
        errors.append(error / power.clamp(min=np.finfo(float).tiny))
    mean = to_numpy(torch.stack(errors).mean(0))
    with np.errstate(divide="ignore"):
        return -10 * np.log10(mean)


def _magnitude(responses: torch.Tensor) -> torch.Tensor:
    """Magnitudes whose derivative is finite where they are 0."""
    return (torch.view_as_real(responses.resolve_conj()).square().sum(-1) + _TINY).sqrt()


def _outer(x: torch.Tensor) -> torch.Tensor:
    return x[..., :, None] * x[..., None, :]
