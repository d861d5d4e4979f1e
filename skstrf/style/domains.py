"""What is varied: the sound itself, or its spectrogram, of which a sound is made at the end."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import torch
from sklearn.base import clone
from torch import nn

from ..transforms.differentiable import is_differentiable, torch_module

__all__ = ["Domain", "SoundDomain", "SpectrogramDomain", "choose_domain", "fitted_for"]


def fitted_for(representation: Any, n_times: int) -> Any:
    """Fit a copy of a transformer for sounds of a length, about which it learns nothing else."""
    return clone(representation).fit(np.zeros((1, n_times), dtype=np.float32))


class Domain:
    """From what is varied to a tensor that losses look at, and to a sound.

    Parameters
    ----------
    representation : transformer or None
        Fitted for the length. None: the losses look at the sound.
    device : str
        Where to compute.
    """

    def __init__(self, representation: Any, device: str):
        self._representation, self._device = representation, device

    def start(self, sound: np.ndarray) -> torch.Tensor:
        """Turn a sound into the variable."""
        raise NotImplementedError

    def tensor(self, variable: torch.Tensor) -> torch.Tensor:
        """Turn the variable into the tensor that losses look at."""
        raise NotImplementedError

    def sound(self, variable: torch.Tensor, content: np.ndarray) -> np.ndarray:
        """Turn the variable into a sound."""
        raise NotImplementedError


class SoundDomain(Domain):
    """The variable is the sound: no phase is ever guessed."""

    def __init__(self, representation: Any, device: str):
        super().__init__(representation, device)
        whole = nn.Identity() if representation is None else torch_module(representation)
        self._module = whole.to(device)

    def start(self, sound: np.ndarray) -> torch.Tensor:
        """Give the sound as a tensor of torch."""
        return torch.from_numpy(np.ascontiguousarray(sound, dtype=np.float32)).to(self._device)

    def tensor(self, variable: torch.Tensor) -> torch.Tensor:
        """Transform the sound."""
        return self._module(variable)

    def sound(self, variable: torch.Tensor, content: np.ndarray) -> np.ndarray:
        """Give it as an array."""
        return variable.cpu().numpy()


class SpectrogramDomain(Domain):
    """The variable is the spectrogram; its inversion starts from the content's phase."""

    def start(self, sound: np.ndarray) -> torch.Tensor:
        """Transform the sound."""
        tensor = self._representation.transform(sound[None].astype(np.float32))[0]
        return torch.from_numpy(np.ascontiguousarray(tensor)).to(self._device)

    def tensor(self, variable: torch.Tensor) -> torch.Tensor:
        """Give it as it is."""
        return variable

    def sound(self, variable: torch.Tensor, content: np.ndarray) -> np.ndarray:
        """Invert it."""
        tensor = variable.cpu().numpy()[None]
        invert = self._representation.inverse_transform
        if "phase" in inspect.signature(invert).parameters:
            return invert(tensor, phase=content[None].astype(np.float32))[0]
        return invert(tensor)[0]


def choose_domain(domain: str, representation: Any, network: Any) -> type[Domain]:
    """Find the class for a setting, and refuse what cannot be.

    Parameters
    ----------
    domain : {"auto", "sound", "spectrogram"}
        "auto" is the sound wherever gradients reach it.
    representation : transformer
        Not necessarily fitted.
    network : object
        As StyleTransfer has it.

    Returns
    -------
    type
        One of the two.

    Raises
    ------
    ValueError
        When gradients do not reach the sound, or no sound can be made.
    """
    name = type(representation).__name__
    if getattr(representation, "output", None) == "complex":
        raise ValueError(f"the {name} gives complex numbers: set its output to 'magnitude'.")
    cortical = isinstance(network, str) and network == "cortical"
    if cortical and domain == "spectrogram":
        raise ValueError(
            "network='cortical' hears sounds: domain='spectrogram' cannot be. Use 'sound'."
        )
    if cortical or (domain != "spectrogram" and is_differentiable(representation)):
        return SoundDomain
    if domain == "sound":
        raise ValueError(
            f"domain='sound' needs a transformer that gradients pass; {name} is none. Use "
            "domain='spectrogram', or an STFT-, Mel-, MFCC- or STRFTransformer."
        )
    if not hasattr(representation, "inverse_transform"):
        raise ValueError(f"{name} cannot be inverted: no sound can be made of its tensors.")
    return SpectrogramDomain
