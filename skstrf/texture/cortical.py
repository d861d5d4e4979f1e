r"""Statistics of a texture as auditory cortex may take them, and its envelopes as content.

In the spirit of McDermott and Simoncelli [1]_: a texture is what shares the time-averaged
statistics of the cochlea's envelopes and of their modulations. Here the envelopes are the auditory
spectrogram :math:`v(f, t)`, compressed, and the modulations the complex responses
:math:`C(s, r, f, t)` of spectro-temporal receptive fields, to it less its mean over time. The
groups are

===========  =======================================================================
mean         of every channel :math:`v(f)`
variation    standard deviation over mean of every channel
skewness     of every channel
correlation  of channels with each other
power        root mean square of every response
sparsity     standard deviation over mean of the magnitude of every response
gram         Gram matrix of the magnitudes: maps are (scale, rate), positions all else
coherence    real part of the correlation of a response at two frequencies
===========  =======================================================================

They are functions of means over time (moments), so that sounds of any length, and several of
them, are accumulated block by block.

.. [1] J. H. McDermott and E. P. Simoncelli, "Sound texture perception via statistics of the
   auditory periphery: evidence from sound synthesis", Neuron 71, 926-940, 2011.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from skstrf.auditory.cortex import DEFAULT_RATES, DEFAULT_SCALES
from skstrf.auditory.modules import Cochlea, Cortex

__all__ = ["GROUPS", "CorticalStatistics", "add_moments"]

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
# Those with a value of their own at every scale and rate.
_BY_FIELD = ("power", "sparsity", "gram", "coherence")
# Where the compression of the spectrogram turns linear, for sounds of unit variance.
_LINEAR_BELOW = 1e-3
_TINY = 1e-12


class CorticalStatistics(nn.Module):
    """Texture statistics and content of sounds, differentiable.

    Parameters
    ----------
    n_frames : int
        Frames (of 8 ms) of the longest sound that will come. The filters are made for that length
        and used for every shorter one, as those of the model depend on it.
    rates, scales : sequence of float
        Of the receptive fields, in Hz and cycles/octave.
    frame_step : int, default=4
        Frames of the auditory spectrogram per frame of the responses.
    channel_step : int, default=2
        Channels of the auditory spectrogram per channel of the responses.
    correlated : int, default=4
        Channels of the auditory spectrogram per channel that is correlated with others; a
        multiple of `channel_step`.
    exponent : float, default=0.3
        Of the compression of the auditory spectrogram.

    Attributes
    ----------
    sample_rate : float
        Of the sounds, 16000 Hz.
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
        correlated: int = 4,
        exponent: float = 0.3,
    ):
        super().__init__()
        if correlated % channel_step:
            raise ValueError(
                f"correlated={correlated} must be a multiple of channel_step={channel_step}."
            )
        self.n_frames, self.frame_step, self.exponent = n_frames, frame_step, exponent
        self._correlated, self._every = correlated, correlated // channel_step
        self.cochlea = Cochlea()
        self.cortex = Cortex(
            rates, scales, frame_step=frame_step, channel_step=channel_step, output="complex"
        )
        self.sample_rate = self.cochlea.sample_rate
        self.rates, self.scales = self.cortex.rates, self.cortex.scales

    def spectrogram(self, x: torch.Tensor) -> torch.Tensor:
        """Compressed auditory spectrogram, (128, n_frames), of a sound (n_times,) at 16 kHz."""
        v = self.cochlea(x) + _LINEAR_BELOW
        return v**self.exponent - _LINEAR_BELOW**self.exponent

    def responses(self, v: torch.Tensor) -> torch.Tensor:
        """Complex responses to what :meth:`spectrogram` gives, less its mean over time."""
        n_frames = v.shape[-1]
        if n_frames > self.n_frames:
            raise ValueError(
                f"the sound has {n_frames} frames, but this was made for {self.n_frames}: give "
                "blocks of it, or a larger n_frames."
            )
        centered = v - v.mean(-1, keepdim=True)
        padded = nn.functional.pad(centered, (0, self.n_frames - n_frames))
        return self.cortex(padded)[..., : -(-n_frames // self.frame_step)]

    def content(self, x: torch.Tensor) -> torch.Tensor:
        """Envelopes of the responses, (n_scales, 2 * n_rates, n_freqs, n_kept)."""
        return _magnitude(self.responses(self.spectrogram(x)))

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """Statistics of one sound.

        Parameters
        ----------
        x : torch.Tensor of shape (n_times,)
            At 16 kHz, of about unit variance; at most `n_frames` long.

        Returns
        -------
        dict of str to torch.Tensor
            One tensor for each of the groups.
        """
        return self.statistics(self.moments(x))

    def moments(
        self, x: torch.Tensor, responses: torch.Tensor | None = None
    ) -> dict[str, torch.Tensor]:
        """Means over time of which the statistics are functions.

        Parameters
        ----------
        x : torch.Tensor of shape (n_times,)
            A sound.
        responses : torch.Tensor or None, default=None
            From :meth:`responses`, when they are there already.

        Returns
        -------
        dict of str to torch.Tensor
            :func:`add_moments` adds up those of several sounds.
        """
        v = self.spectrogram(x)
        return self.moments_of(v, self.responses(v) if responses is None else responses)

    def moments_of(self, v: torch.Tensor, responses: torch.Tensor) -> dict[str, torch.Tensor]:
        """As :meth:`moments`, of a spectrogram and the responses to it."""
        n_kept = responses.shape[-1]
        # The spread of a channel is small beside its mean: float32 would lose the third moment.
        v = v.double()
        some = v[:: self._correlated]
        magnitude = _magnitude(responses)
        maps = magnitude.flatten(0, 1).flatten(1)
        few = responses[:, :, :: self._every]
        # The real part of a complex product, as one real product of twice the length.
        pairs = torch.view_as_real(few.resolve_conj()).flatten(-2)
        return {
            "first": v.mean(-1),
            "second": v.square().mean(-1),
            "third": v.pow(3).mean(-1),
            "products": some @ some.mT / v.shape[-1],
            "magnitude": magnitude.mean(-1),
            "power": magnitude.square().mean(-1),
            "gram": maps @ maps.mT / n_kept,
            "cross": pairs @ pairs.mT / n_kept,
        }

    def statistics(self, moments: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Turn means over time into the groups of statistics.

        Parameters
        ----------
        moments : dict of str to torch.Tensor
            From :meth:`moments`, or :func:`add_moments`.

        Returns
        -------
        dict of str to torch.Tensor
            ``mean``, ``variation``, ``skewness`` (128,), ``correlation`` (n, n), ``power`` and
            ``sparsity`` (n_scales, 2 * n_rates, n_freqs), ``gram`` (n_fields, n_fields),
            ``coherence`` (n_scales, 2 * n_rates, n, n).
        """
        mean, second = moments["first"], moments["second"]
        variance = (second - mean.square()).clamp(min=_TINY)
        deviation = variance.sqrt()
        third = moments["third"] - 3 * mean * second + 2 * mean.pow(3)
        some = mean[:: self._correlated]
        covariance = moments["products"] - some[:, None] * some
        power = moments["power"].clamp(min=_TINY)
        spread = (power - moments["magnitude"].square()).clamp(min=_TINY)
        rms = power.sqrt()
        few = rms[:, :, :: self._every]
        groups = {
            "mean": mean,
            "variation": deviation / (mean + _TINY**0.5),
            "skewness": third / (variance * deviation),
            "correlation": covariance / _outer(deviation[:: self._correlated]),
            "power": rms,
            "sparsity": spread.sqrt() / (moments["magnitude"] + _TINY**0.5),
            "gram": moments["gram"],
            "coherence": moments["cross"] / _outer(few),
        }
        return {name: group.to(power.dtype) for name, group in groups.items()}


def add_moments(
    total: dict[str, torch.Tensor] | None, moments: dict[str, torch.Tensor], weight: float
) -> dict[str, torch.Tensor]:
    """Add weighted moments of one more sound to those of others."""
    if total is None:
        return {name: weight * value for name, value in moments.items()}
    return {name: total[name] + weight * value for name, value in moments.items()}


def _magnitude(responses: torch.Tensor) -> torch.Tensor:
    """Magnitudes whose derivative is finite where they are 0."""
    return (torch.view_as_real(responses.resolve_conj()).square().sum(-1) + _TINY).sqrt()


def _outer(x: torch.Tensor) -> torch.Tensor:
    return x[..., :, None] * x[..., None, :]
