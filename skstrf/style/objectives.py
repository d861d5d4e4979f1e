"""Content and style losses of networks, relative to the distance of content and style.

Every objective computes for a tensor the squared relative distance of its activations to those of
the content, and of its Gram matrices (or statistics) to those of the style, after [1]_. Both are
divided by their values between the untouched content and style. A loss of 1 then means the same
for any pair of sounds, any network and any length.

.. [1] L. A. Gatys, A. S. Ecker and M. Bethge, "Image style transfer using convolutional neural
   networks", CVPR, 2414-2423, 2016.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from sklearn.utils import check_random_state

from skstrf.auditory.cochlea import model_sample_rate
from skstrf.neural import CNNClassifier
from skstrf.neural.networks import ConvolutionalNet
from skstrf.neural.training import raw_module
from skstrf.style.sounds import LEVEL
from skstrf.texture import (
    CorticalStatistics,
    InfiniteRandomNetwork,
    RandomNetwork,
    gram_matrix,
)
from skstrf.texture.cortical import GROUPS, add_moments
from skstrf.texture.gram import mean_gram
from skstrf.transforms import STRFTransformer
from skstrf.transforms.modules import differentiable_resample
from skstrf.utils.validation import check_is_fitted

__all__ = [
    "InfiniteObjective",
    "Objective",
    "check_network",
    "cortical_model",
    "cortical_statistics",
    "make_objective",
    "shortest_sound",
]

# Squared relative distance below which content and style count as equal.
_MIN_DISTANCE = 1e-6
_TINY = 1e-30
# Number of frames of the style with which infinitely many filters are compared, as the cost of a
# comparison is proportional to it.
_MAX_FRAMES = 2048
# Duration of a frame of the auditory spectrogram in seconds.
_FRAME = 8e-3


# Choice of the objective from the parameters of a transfer


def check_network(transfer: Any, representation: Any) -> None:
    """Refuse layers that the network does not have, and networks of another representation."""
    network = transfer.network
    if not isinstance(network, CNNClassifier):
        names = GROUPS if network == "cortical" else ("random",)
        weights = _layer_weights(transfer.style_layers, names)
        unknown = sorted(set(weights) - set(names))
        if unknown:
            raise ValueError(
                f"style_layers contains {unknown}, but network={network!r} has {list(names)}."
            )
        return
    check_is_fitted(network)
    shape = tuple(len(axis.values) for axis in representation.axes_)
    if shape[:-1] != tuple(network.input_shape_[:-1]):
        raise ValueError(
            f"the classifier was fitted on tensors of shape {tuple(network.input_shape_)}, but "
            f"{type(representation).__name__} gives {shape}: only the last axis, time, may "
            "differ. Use the representation on which the classifier was fitted."
        )
    module = raw_module(network.net_)
    style, content = _classifier_layers(transfer, module)
    module.check_names([*style, *content])
    dense = [name for name in (*style, *content) if not name.startswith("conv")]
    if dense:
        raise ValueError(
            f"layers {dense} require inputs of one length: choose among the convolutional layers "
            f"{[name for name in module.layer_names if name.startswith('conv')]}."
        )
    if module.standardize.mean.shape[-1] > 1:
        raise ValueError(
            "the classifier standardizes every point of its inputs separately, which fixes their "
            "length: fit a classifier with input_scaling='channel' or 'all'."
        )


def make_objective(
    transfer: Any, styles: Sequence[torch.Tensor], n_times: int, device: str
) -> Objective:
    """Make the objective for styles and for contents of `n_times` samples."""
    network = transfer.network
    if isinstance(network, CNNClassifier):
        module = raw_module(network.net_)
        style, content = _classifier_layers(transfer, module)
        # A copy, since the classifier of the user keeps its device and its mode.
        frozen: Any = copy.deepcopy(module).to(device).eval().requires_grad_(False)
        return ClassifierObjective(styles, frozen, style, content)
    if network == "cortical":
        model = cortical_model(transfer.representation_, n_times).to(device)
        weights = _layer_weights(transfer.style_layers, GROUPS)
        return CorticalObjective(styles, model, transfer.representation_.sample_rate, weights)
    if transfer.n_filters is None:
        return InfiniteObjective(styles, transfer.kernel_size)
    n_channels = int(np.prod(styles[0].shape[:-1]))
    seed = check_random_state(transfer.random_state).randint(2**31 - 1)
    random = RandomNetwork(n_channels, transfer.n_filters, transfer.kernel_size, seed)
    return FiniteObjective(styles, random.to(device))


def shortest_sound(transfer: Any, representation: Any) -> int:
    """Smallest number of samples of a style or content."""
    if transfer.network == "cortical":
        return int(np.ceil(16 * _FRAME * representation.sample_rate))
    width = transfer.kernel_size if transfer.network == "random" else 1
    frames = len(representation.axes_[-1].values)
    hop = getattr(representation, "hop_length_", None)
    hop = hop or -(-representation.input_shape_[0] // frames)
    return int((width - 1) * hop + 1)


def cortical_model(representation: Any, n_times: int) -> CorticalStatistics:
    """Make the texture statistics for sounds of at most `n_times` samples."""
    seconds = n_times / representation.sample_rate
    n_frames = int(np.ceil(seconds / _FRAME)) + 1
    if isinstance(representation, STRFTransformer):
        bank = representation._bank()
        return CorticalStatistics(n_frames, bank["rates"], bank["scales"])
    return CorticalStatistics(n_frames)


def _classifier_layers(transfer: Any, module: Any) -> tuple[dict[str, float], list[str]]:
    convolutional = [name for name in module.layer_names if name.startswith("conv")]
    style = _layer_weights(transfer.style_layers, convolutional)
    content = transfer.content_layers
    return style, list(content) if content is not None else convolutional[-2:][:1]


def _layer_weights(layers: Any, default: Sequence[str]) -> dict[str, float]:
    """Weights by name of layers given as names, as weights by name, or as None."""
    if layers is None:
        return dict.fromkeys(default, 1.0)
    weights = dict(layers) if isinstance(layers, Mapping) else dict.fromkeys(layers, 1.0)
    if not all(value >= 0 for value in weights.values()) or not any(weights.values()):
        raise ValueError(
            f"style_layers={layers!r}: weights must not be negative, and at least one must be "
            "above 0."
        )
    return {str(name): float(value) for name, value in weights.items() if value > 0}


# Objectives


class Objective:
    """Base class: subclasses know the style and implement `set_content` and `_distances`."""

    _scales: tuple[float, float]

    def begin(self, content: torch.Tensor, style: torch.Tensor) -> None:
        """Set the content, and its distance to the style as the unit of both losses."""
        with torch.no_grad():
            self.set_content(content)
            content_distance, _ = self._distances(style)
            _, style_distance = self._distances(content)
        self._scales = (
            max(float(content_distance), _MIN_DISTANCE),
            max(float(style_distance), _MIN_DISTANCE),
        )

    def __call__(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Content and style loss."""
        content, style = self._distances(x)
        return content / self._scales[0], style / self._scales[1]

    def relative_distances(self, x: torch.Tensor) -> tuple[float, float]:
        """Relative distances to the content and to the style, in no other unit."""
        with torch.no_grad():
            content, style = self._distances(x)
        return float(content.clamp(min=0).sqrt()), float(style.clamp(min=0).sqrt())

    def set_content(self, content: torch.Tensor) -> None:
        """Set the content."""
        raise NotImplementedError

    def _distances(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Squared relative distances to the content and to the style."""
        raise NotImplementedError


class InfiniteObjective(Objective):
    """A random layer of infinitely many filters, in closed form."""

    def __init__(self, styles: Sequence[torch.Tensor], kernel_size: int):
        self._network = InfiniteRandomNetwork(_thinned(styles, kernel_size), kernel_size)

    def set_content(self, content: torch.Tensor) -> None:
        """Set the content."""
        self._content = _as_spectrogram(content)

    def _distances(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = _as_spectrogram(x)
        content = self._network.content_distance(x, self._content, squared=True)
        return content, self._network.gram_distance(x, squared=True)


class FiniteObjective(Objective):
    """A random layer of a finite number of filters."""

    def __init__(self, styles: Sequence[torch.Tensor], network: RandomNetwork):
        self._network = network
        with torch.no_grad():
            self._gram = mean_gram(network(_as_spectrogram(style)) for style in styles)

    def set_content(self, content: torch.Tensor) -> None:
        self._content = self._network(_as_spectrogram(content))

    def _distances(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        activations = self._network(_as_spectrogram(x))
        content = _squared_distance(activations, self._content)
        return content, _squared_distance(gram_matrix(activations), self._gram)


class ClassifierObjective(Objective):
    """Convolutional layers of a trained network."""

    def __init__(
        self,
        styles: Sequence[torch.Tensor],
        module: ConvolutionalNet,
        style_layers: Mapping[str, float],
        content_layers: Sequence[str],
    ):
        self._module = module
        self._weights, self._content_layers = dict(style_layers), list(content_layers)
        with torch.no_grad():
            activations = [self._activations(style, style_layers) for style in styles]
            self._grams = {
                name: mean_gram(one[name] for one in activations) for name in style_layers
            }

    def _activations(self, x: torch.Tensor, names: Any) -> dict[str, torch.Tensor]:
        image = x.reshape(1, -1, *x.shape[-2:])
        found = self._module.activations(image, set(names))
        return {name: value[0].reshape(value.shape[1], -1) for name, value in found.items()}

    def set_content(self, content: torch.Tensor) -> None:
        self._content = self._activations(content, self._content_layers)

    def _distances(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        found = self._activations(x, [*self._weights, *self._content_layers])
        content = [
            _squared_distance(found[name], self._content[name]) for name in self._content_layers
        ]
        style = {
            name: _squared_distance(gram_matrix(found[name]), gram)
            for name, gram in self._grams.items()
        }
        return torch.stack(content).mean(), _weighted_mean(style, self._weights)


class CorticalObjective(Objective):
    """Texture statistics of auditory cortex, computed from the sound."""

    def __init__(
        self,
        styles: Sequence[torch.Tensor],
        model: CorticalStatistics,
        sample_rate: float,
        weights: Mapping[str, float],
    ):
        self._model, self._sample_rate, self._weights = model, sample_rate, dict(weights)
        self._target = cortical_statistics(model, styles, sample_rate)

    def set_content(self, content: torch.Tensor) -> None:
        self._content = self._model.content(_at_model_rate(content, self._sample_rate))

    def _distances(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        v = self._model.spectrogram(_at_model_rate(x, self._sample_rate))
        responses = self._model.responses(v)
        envelopes = torch.view_as_real(responses.resolve_conj()).square().sum(-1)
        content = _squared_distance((envelopes + 1e-12).sqrt(), self._content)
        found = self._model.statistics(self._model.moments_of_responses(v, responses))
        style = {
            name: _squared_distance(found[name], self._target[name]) for name in self._weights
        }
        return content, _weighted_mean(style, self._weights)


def cortical_statistics(
    model: CorticalStatistics, sounds: Sequence[torch.Tensor], sample_rate: float
) -> dict[str, torch.Tensor]:
    """Texture statistics of all sounds together, in parts not longer than the model accepts."""
    longest = int(model.n_frames * model_sample_rate() * _FRAME)
    resampled = [_at_model_rate(sound, sample_rate) for sound in sounds]
    parts = [part for x in resampled for part in x.tensor_split(-(-len(x) // longest))]
    n_times = sum(len(part) for part in parts)
    moments = None
    with torch.no_grad():
        for part in parts:
            moments = add_moments(moments, model.moments(part), len(part) / n_times)
    assert moments is not None
    return model.statistics(moments)


def _at_model_rate(x: torch.Tensor, sample_rate: float) -> torch.Tensor:
    """Sound at the sampling rate of the cortical model, with unit variance."""
    return differentiable_resample((1 / LEVEL) * x, sample_rate, model_sample_rate())


def _as_spectrogram(tensor: torch.Tensor) -> torch.Tensor:
    """Flatten all axes but time to channels."""
    return tensor.reshape(-1, tensor.shape[-1])


def _thinned(styles: Sequence[torch.Tensor], kernel_size: int) -> list[torch.Tensor]:
    """Spectrograms, or evenly spaced stretches of them with at most `_MAX_FRAMES` frames."""
    spectrograms = [_as_spectrogram(style) for style in styles]
    total = sum(s.shape[-1] for s in spectrograms)
    if total <= _MAX_FRAMES:
        return spectrograms
    length = 8 * kernel_size
    stretches = [
        part
        for s in spectrograms
        for part in s.tensor_split(max(1, s.shape[-1] // length), dim=-1)
    ]
    count = max(1, _MAX_FRAMES // length)
    chosen = torch.linspace(0, len(stretches) - 1, min(count, len(stretches))).round().int()
    return [stretches[i] for i in chosen.tolist()]


def _squared_distance(x: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Squared distance relative to the target."""
    return (x - target).square().sum() / target.square().sum().clamp(min=_TINY)


def _weighted_mean(
    losses: Mapping[str, torch.Tensor], weights: Mapping[str, float]
) -> torch.Tensor:
    total = torch.stack([weights[name] * losses[name] for name in weights]).sum()
    return total / sum(weights.values())
