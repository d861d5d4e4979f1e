"""Variables of the optimization: the waveform itself, or its representation."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from sklearn import config_context
from sklearn.base import clone
from torch import nn

from skstrf.transforms import STFTTransformer
from skstrf.transforms.base import FramedTransformer
from skstrf.transforms.modules import is_differentiable, torch_module

__all__ = [
    "SOUND_NETWORKS",
    "Domain",
    "WaveformDomain",
    "choose_domain",
    "fitted_for",
    "hop_length",
    "log_stft",
    "tensor_of",
]


# Networks that take the sound itself; they use nothing but the sampling rate of a representation.
SOUND_NETWORKS = ("cortical", "envelopes")


def hop_length(sample_rate: float) -> int:
    """Hop of the default representation in samples, about 23 ms."""
    from scipy.fft import next_fast_len

    return next_fast_len(max(1, round(sample_rate * 512 / 22050)), real=True)


def log_stft(sample_rate: float = 16000) -> STFTTransformer:
    r"""Transformer of :math:`\log(1 + |STFT|)` with windows of about 93 ms, the default."""
    hop = hop_length(sample_rate)
    return STFTTransformer(
        sample_rate, sample_rate / hop, n_fft=4 * hop, compression="log", compression_floor=1.0
    )


def fitted_for(representation: Any, n_times: int) -> Any:
    """Fit a copy of a transformer to sounds of one length; fit depends on nothing else."""
    representation = clone(representation)
    if getattr(representation, "random_state", 0) is None:
        # The noise from which an inversion starts is the same in every transfer.
        representation.set_params(random_state=0)
    return representation.fit(np.zeros((1, n_times), dtype=np.float32))


def tensor_of(transformer: Any, sound: np.ndarray) -> np.ndarray:
    """Tensor of one sound as an array, whatever output scikit-learn is configured to return."""
    with config_context(transform_output="default"):
        return transformer.fit_transform(sound[None])[0]


class Domain:
    """Base class of the conversions between sound, variable and representation."""

    def __init__(self, representation: Any, device: str):
        self._representation, self._device = representation, device

    def variable(self, sound: np.ndarray) -> torch.Tensor:
        """Convert a sound to the variable of the optimization."""
        raise NotImplementedError

    def tensor(self, variable: torch.Tensor) -> torch.Tensor:
        """Convert the variable to the representation that enters the losses."""
        raise NotImplementedError

    def sound(self, variable: torch.Tensor, content: np.ndarray) -> np.ndarray:
        """Convert the variable to a sound; the content may provide the phase."""
        raise NotImplementedError


class WaveformDomain(Domain):
    """The waveform is optimized through a differentiable representation (None: itself)."""

    def __init__(self, representation: Any, device: str):
        super().__init__(representation, device)
        module = nn.Identity() if representation is None else torch_module(representation)
        self._module = module.to(device)

    def variable(self, sound: np.ndarray) -> torch.Tensor:
        """Return the sound as a tensor."""
        return torch.from_numpy(np.ascontiguousarray(sound, dtype=np.float32)).to(self._device)

    def tensor(self, variable: torch.Tensor) -> torch.Tensor:
        """Compute the representation."""
        return self._module(variable)

    def sound(self, variable: torch.Tensor, content: np.ndarray) -> np.ndarray:
        """Return the variable as an array."""
        return variable.cpu().numpy()


class SpectrogramDomain(Domain):
    """The representation is optimized and inverted at the end, with the phase of the content."""

    def variable(self, sound: np.ndarray) -> torch.Tensor:
        with config_context(transform_output="default"):
            tensor = self._representation.transform(sound[None].astype(np.float32))[0]
        return torch.from_numpy(np.ascontiguousarray(tensor)).to(self._device)

    def tensor(self, variable: torch.Tensor) -> torch.Tensor:
        return variable

    def sound(self, variable: torch.Tensor, content: np.ndarray) -> np.ndarray:
        tensor = variable.cpu().numpy()[None]
        invert = self._representation.inverse_transform
        if isinstance(self._representation, FramedTransformer):
            return invert(tensor, phase=content[None].astype(np.float32))[0]
        return invert(tensor)[0]


def choose_domain(domain: str, representation: Any, network: str) -> type[Domain]:
    """Choose the class for a value of the parameter `domain`, or raise an error."""
    name = type(representation).__name__
    if getattr(representation, "output", None) == "complex":
        raise ValueError(f"the output of {name} is complex: set output='magnitude'.")
    takes_sound = network in SOUND_NETWORKS
    if takes_sound and domain == "spectrogram":
        raise ValueError(f"network={network!r} requires domain='auto' or 'waveform'.")
    if takes_sound or (domain != "spectrogram" and is_differentiable(representation)):
        return WaveformDomain
    if domain == "waveform":
        raise ValueError(
            f"domain='waveform' requires a differentiable representation, which {name} is not: "
            "set domain='spectrogram', or use an STFT-, Mel-, MFCC- or STRFTransformer."
        )
    if not hasattr(representation, "inverse_transform"):
        raise ValueError(
            f"{name} has no inverse_transform, which is required to get a sound from the result."
        )
    return SpectrogramDomain
