"""A network that gives sounds one of several styles in one pass, or a mixture of them."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
from torch import nn
from torch.nn.utils import skip_init

__all__ = ["StyleNetwork"]

_TINY = 1e-8


class StyleNetwork(nn.Module):
    r"""Change the magnitudes of a sound's spectrogram; its phases stay.

    Convolutions over time with all frequencies as channels, and residual blocks that see ever
    longer stretches [1]_. All styles share the filters; each has its own gain and offset after
    every normalisation, and weights mix those [2]_. Freshly made, it changes nothing.

    Parameters
    ----------
    n_fft : int
        Samples of a frame; a quarter of it is the hop.
    n_styles : int
        How many.
    n_hidden : int, default=192
        Channels inside.
    n_blocks : int, default=4
        Residual blocks.

    References
    ----------
    .. [1] D. Ulyanov, V. Lebedev, A. Vedaldi and V. Lempitsky, "Texture networks: feed-forward
       synthesis of textures and stylized images", ICML, 1349-1357, 2016.
    .. [2] V. Dumoulin, J. Shlens and M. Kudlur, "A learned representation for artistic style",
       ICLR, 2017, equation 5.

    Examples
    --------
    >>> import torch
    >>> from skstrf.style.fast_network import StyleNetwork
    >>> network = StyleNetwork(64, n_styles=2, n_hidden=8).initialise(torch.Generator())
    >>> x = torch.randn(1, 500)
    >>> bool(torch.allclose(network(x, torch.tensor([[0.3, 0.7]])), x, atol=1e-5))
    True
    """

    mean: torch.Tensor
    scale: torch.Tensor
    window: torch.Tensor

    def __init__(self, n_fft: int, n_styles: int, n_hidden: int = 192, n_blocks: int = 4):
        super().__init__()
        self.n_fft = n_fft
        n_bins = n_fft // 2 + 1
        self.register_buffer("mean", torch.zeros(n_bins, 1))
        self.register_buffer("scale", torch.ones(n_bins, 1))
        self.register_buffer("window", torch.hann_window(n_fft))
        self.enter = _convolution(n_bins, n_hidden, 5, padding=2)
        self.blocks = nn.ModuleList(
            _convolution(n_hidden, n_hidden, 3, padding=2**i, dilation=2**i)
            for i in range(n_blocks)
        )
        self.leave = _convolution(n_hidden, n_bins, 1)
        # Gain (as its difference to 1) and offset after each normalisation, by style.
        self.gains = nn.Parameter(torch.zeros(n_styles, n_blocks + 1, n_hidden))
        self.offsets = nn.Parameter(torch.zeros(n_styles, n_blocks + 1, n_hidden))

    def initialise(self, generator: torch.Generator) -> StyleNetwork:
        """Draw first weights from a generator of one's own; the last layer's are 0.

        Parameters
        ----------
        generator : torch.Generator
            On the CPU.

        Returns
        -------
        StyleNetwork
            Itself.
        """
        with torch.no_grad():
            for parameter in (*self.enter.parameters(), *self.blocks.parameters()):
                if parameter.ndim == 1:
                    parameter.zero_()
                    continue
                fan_in = parameter[0].numel()
                parameter.normal_(0, math.sqrt(2 / fan_in), generator=generator)
            for parameter in self.leave.parameters():
                parameter.zero_()
        return self

    def spectrum(self, x: torch.Tensor) -> torch.Tensor:
        """Complex spectrogram of sounds (n, n_times), of shape (n, n_bins, n_frames)."""
        return torch.stft(
            x,
            self.n_fft,
            self.n_fft // 4,
            window=self.window,
            center=True,
            pad_mode="constant",
            return_complex=True,
        )

    def arrays(self) -> dict[str, np.ndarray]:
        """Copy everything that makes the network to numpy, by its names in torch."""
        return {k: v.detach().cpu().numpy().copy() for k, v in self.state_dict().items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> StyleNetwork:
        """Build a network of what :meth:`arrays` gave; their shapes say how large it is."""
        n_styles, n_layers, n_hidden = arrays["gains"].shape
        network = cls(len(arrays["window"]), n_styles, n_hidden, n_layers - 1)
        network.load_state_dict({k: torch.tensor(v) for k, v in arrays.items()})
        return network.eval().requires_grad_(False)

    def forward(self, x: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """Stylise.

        Parameters
        ----------
        x : torch.Tensor of shape (n, n_times)
            Sounds.
        weights : torch.Tensor of shape (n, n_styles)
            Of the styles, for every sound.

        Returns
        -------
        torch.Tensor of shape (n, n_times)
            Sounds.
        """
        spectrum = self.spectrum(x)
        magnitude = spectrum.abs()
        changed = torch.expm1(self._levels(torch.log1p(magnitude), weights))
        return torch.istft(
            spectrum * (changed / (magnitude + _TINY)),
            self.n_fft,
            self.n_fft // 4,
            window=self.window,
            center=True,
            length=x.shape[-1],
        )

    def _levels(self, levels: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """Change log magnitudes (n, n_bins, n_frames); none falls below that of silence."""
        gains = torch.einsum("ns,slc->lnc", weights, 1 + self.gains)[..., None]
        offsets = torch.einsum("ns,slc->lnc", weights, self.offsets)[..., None]
        h = self.enter((levels - self.mean) / self.scale)
        h = torch.relu(gains[0] * _normalised(h) + offsets[0])
        for i, layer in enumerate(self.blocks, 1):
            h = h + torch.relu(gains[i] * _normalised(layer(h)) + offsets[i])
        # The logarithm of magnitudes a thousand times full scale is 15.
        return (levels + self.scale * self.leave(h)).clamp(0, 15)


def _convolution(n_in: int, n_out: int, width: int, **settings: int) -> nn.Module:
    """Make filters without values: torch would draw them from its global generator."""
    return skip_init(nn.Conv1d, n_in, n_out, width, padding_mode="replicate", **settings)


def _normalised(h: torch.Tensor) -> torch.Tensor:
    """Channels of every sound to zero mean and unit variance over time."""
    mean = h.mean(-1, keepdim=True)
    variance = (h - mean).square().mean(-1, keepdim=True)
    return (h - mean) * torch.rsqrt(variance + 1e-5)
