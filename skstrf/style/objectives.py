"""What a style and a content are to a network: squared distances, relative to those at the start.

Every objective gives, for a tensor, the squared relative distance of its activations to those of
the content, and of its Gram matrices (or statistics) to those of the style, after [1]_. Both are
divided by what they are between content and style when untouched, so that 1 means "as far as the
two are apart", for any pair of sounds, network and length.

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

from skstrf.auditory import model_sample_rate
from skstrf.neural import CNNClassifier
from skstrf.neural.networks import ConvolutionalNet
from skstrf.neural.training import raw_module
from skstrf.texture import (
    GROUPS,
    CorticalStatistics,
    InfiniteRandomNetwork,
    RandomNetwork,
    add_moments,
    finite_gram,
    gram_matrix,
)
from skstrf.transforms import STRFTransformer
from skstrf.transforms.modules import differentiable_resample
from skstrf.utils.validation import check_is_fitted

__all__ = [
    "ClassifierObjective",
    "CorticalObjective",
    "FiniteObjective",
    "InfiniteObjective",
    "Objective",
    "as_spectrogram",
    "check_network",
    "cortical_model",
    "make_objective",
    "shortest_style",
]


# Squared relative distance under which two untouched sounds are one.
_ALIKE = 1e-6
_TINY = 1e-30
# Frames of style that the network of infinitely many filters compares with.
_MOST_FRAMES = 2048
# The statistics are made for sounds of unit variance.
_GAIN = 10.0


class Objective:
    """Base: a subclass knows the style, and writes ``set_content`` and ``_distances``."""

    _scales: tuple[float, float]

    def begin(self, content: torch.Tensor, style: torch.Tensor) -> None:
        """Take a content."""
        with torch.no_grad():
            self.set_content(content)
            far_from_content, _ = self._distances(style)
            _, far_from_style = self._distances(content)
        self._scales = max(float(far_from_content), _ALIKE), max(float(far_from_style), _ALIKE)

    def __call__(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Content and style loss, each 1 where it is as large as between the untouched two."""
        content, style = self._distances(x)
        return content / self._scales[0], style / self._scales[1]

    def relative(self, x: torch.Tensor) -> tuple[float, float]:
        """Relative distances, not divided: to the content, and to the style."""
        with torch.no_grad():
            content, style = self._distances(x)
        return float(content.clamp(min=0).sqrt()), float(style.clamp(min=0).sqrt())

    def set_content(self, content: torch.Tensor) -> None:
        """Take a content without asking how far away the style is."""
        raise NotImplementedError

    def _distances(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        raise NotImplementedError


class InfiniteObjective(Objective):
    """A random layer of infinitely many filters, in closed form."""

    def __init__(self, styles: Sequence[torch.Tensor], width: int):
        self._network = InfiniteRandomNetwork(_thinned(styles, width), width)

    def set_content(self, content: torch.Tensor) -> None:
        """Keep the content's spectrogram."""
        self._content = as_spectrogram(content)

    def _distances(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = as_spectrogram(x)
        content = self._network.content_distance(x, self._content, squared=True)
        return content, self._network.gram_distance(x, squared=True)


class FiniteObjective(Objective):
    """A random layer of so many filters."""

    def __init__(self, styles: Sequence[torch.Tensor], network: RandomNetwork):
        self._network = network
        with torch.no_grad():
            self._gram = finite_gram(network, [as_spectrogram(style) for style in styles])

    def set_content(self, content: torch.Tensor) -> None:
        """Keep the content's activations."""
        self._content = self._network(as_spectrogram(content))

    def _distances(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        activations = self._network(as_spectrogram(x))
        content = _squared_relative(activations, self._content)
        return content, _squared_relative(gram_matrix(activations), self._gram)


class ClassifierObjective(Objective):
    """Layers of a trained network."""

    def __init__(
        self,
        styles: Sequence[torch.Tensor],
        module: ConvolutionalNet,
        style_layers: Mapping[str, float],
        content_layers: Sequence[str],
    ):
        self._module = module
        self._weights, self._content_layers = dict(style_layers), list(content_layers)
        total: dict[str, torch.Tensor] = {}
        counts = dict.fromkeys(self._weights, 0)
        with torch.no_grad():
            for style in styles:
                for name, found in self._activations(style).items():
                    if name in counts:
                        total[name] = total.get(name, 0) + gram_matrix(found, mean=False)
                        counts[name] += found.shape[-1]
        self._grams = {name: total[name] / counts[name] for name in counts}

    def _activations(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        names = {*self._weights, *self._content_layers}
        image = x.reshape(1, -1, *x.shape[-2:])
        found = self._module.activations(image, names)
        return {name: value[0].reshape(value.shape[1], -1) for name, value in found.items()}

    def set_content(self, content: torch.Tensor) -> None:
        """Keep the content's activations."""
        self._content = self._activations(content)

    def _distances(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        found = self._activations(x)
        near = [
            _squared_relative(found[name], self._content[name]) for name in self._content_layers
        ]
        style = {
            name: _squared_relative(gram_matrix(found[name]), gram)
            for name, gram in self._grams.items()
        }
        return torch.stack(near).mean(), _weighted(style, self._weights)


class CorticalObjective(Objective):
    """Texture statistics of auditory cortex, straight from the sound."""

    def __init__(
        self,
        styles: Sequence[torch.Tensor],
        model: CorticalStatistics,
        sample_rate: float,
        weights: Mapping[str, float],
    ):
        self._model, self._sample_rate, self._weights = model, sample_rate, dict(weights)
        parts = [part for style in styles for part in self._parts(style)]
        n_times = sum(len(part) for part in parts)
        moments = None
        with torch.no_grad():
            for part in parts:
                moments = add_moments(moments, model.moments(part), len(part) / n_times)
        assert moments is not None
        self.target = model.statistics(moments)

    def _parts(self, style: torch.Tensor) -> list[torch.Tensor]:
        """Cut a style into parts of one length, none longer than the model takes."""
        sound = self.at_model_rate(style)
        longest = int(self._model.n_frames * model_sample_rate() * 8e-3)
        count = -(-len(sound) // longest)
        return list(sound.tensor_split(count))

    def at_model_rate(self, x: torch.Tensor) -> torch.Tensor:
        """Sound at the rate and the level of the model."""
        return differentiable_resample(_GAIN * x, self._sample_rate, model_sample_rate())

    def set_content(self, content: torch.Tensor) -> None:
        """Keep the content's activations."""
        self._content = self._model.content(self.at_model_rate(content))

    def _distances(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        v = self._model.spectrogram(self.at_model_rate(x))
        responses = self._model.responses(v)
        envelopes = torch.view_as_real(responses.resolve_conj()).square().sum(-1)
        content = _squared_relative((envelopes + 1e-12).sqrt(), self._content)
        found = self._model.statistics(self._model.moments_of(v, responses))
        style = {name: _squared_relative(found[name], self.target[name]) for name in self._weights}
        return content, _weighted(style, self._weights)


def as_spectrogram(tensor: torch.Tensor) -> torch.Tensor:
    """Fold all axes but time into the channels of an image of one row."""
    return tensor.reshape(-1, tensor.shape[-1])


def _thinned(styles: Sequence[torch.Tensor], width: int) -> list[torch.Tensor]:
    """Spectrograms, or stretches of them that together have no more frames than allowed."""
    spectrograms = [as_spectrogram(style) for style in styles]
    total = sum(s.shape[-1] for s in spectrograms)
    if total <= _MOST_FRAMES:
        return spectrograms
    length = 8 * width
    stretches = [
        part
        for s in spectrograms
        for part in s.tensor_split(max(1, s.shape[-1] // length), dim=-1)
    ]
    count = max(1, _MOST_FRAMES // length)
    chosen = torch.linspace(0, len(stretches) - 1, min(count, len(stretches))).round().int()
    return [stretches[i] for i in chosen.tolist()]


def _squared_relative(x: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return (x - target).square().sum() / target.square().sum().clamp(min=_TINY)


def _weighted(losses: Mapping[str, torch.Tensor], weights: Mapping[str, float]) -> torch.Tensor:
    total = torch.stack([weights[name] * losses[name] for name in weights]).sum()
    return total / sum(weights.values())


_FRAME = 8e-3  # seconds of the auditory spectrogram


def check_network(transfer: Any, representation: Any) -> None:
    """Refuse networks and layers that do not go with the representation."""
    network = transfer.network
    if not isinstance(network, CNNClassifier):
        names = GROUPS if network == "cortical" else ("random",)
        weights = _weights(transfer.layers, names)
        unknown = sorted(set(weights) - set(names))
        if unknown:
            raise ValueError(f"no layers {unknown}: network={network!r} has {list(names)}.")
        return
    check_is_fitted(network)
    shape = tuple(len(axis.values) for axis in representation.axes_)
    if shape[:-1] != tuple(network.input_shape_[:-1]):
        raise ValueError(
            f"the classifier was fitted on tensors of shape {tuple(network.input_shape_)}, but "
            f"{type(representation).__name__} gives {shape}: only the last, time, may differ. "
            "Give the representation that the classifier was fitted on."
        )
    module = raw_module(network.net_)
    style, content = _classifier_layers(transfer, module)
    module.check_names([*style, *content])
    dense = [name for name in (*style, *content) if not name.startswith("conv")]
    if dense:
        raise ValueError(
            f"layers {dense} take images of one length: choose among the convolutional ones, "
            f"{[name for name in module.layer_names if name.startswith('conv')]}."
        )
    if module.standardize.mean.shape[-1] > 1:
        raise ValueError(
            "the classifier standardizes every cell of its images, so that sounds of other "
            "lengths have no place: fit one with input_scaling='channel' or 'all'."
        )


def make_objective(
    transfer: Any, styles: Sequence[torch.Tensor], n_times: int, device: str
) -> Objective:
    """Make the objective for styles."""
    network = transfer.network
    if isinstance(network, CNNClassifier):
        module = raw_module(network.net_)
        style, content = _classifier_layers(transfer, module)
        twin = _frozen_twin(module, device)
        return ClassifierObjective(styles, twin, style, content)
    if network == "cortical":
        model = cortical_model(transfer.representation_, n_times).to(device)
        weights = _weights(transfer.layers, GROUPS)
        return CorticalObjective(styles, model, transfer.representation_.sample_rate, weights)
    if transfer.n_filters is None:
        return InfiniteObjective(styles, transfer.kernel_size)
    n_channels = int(np.prod(styles[0].shape[:-1]))
    seed = check_random_state(transfer.random_state).randint(2**31 - 1)
    random = RandomNetwork(n_channels, transfer.n_filters, transfer.kernel_size, seed)
    return FiniteObjective(styles, random.to(device))


def cortical_model(representation: Any, n_times: int) -> CorticalStatistics:
    """Make the texture statistics for sounds of a length."""
    seconds = n_times / representation.sample_rate
    n_frames = int(np.ceil(seconds / _FRAME)) + 1
    if isinstance(representation, STRFTransformer):
        bank = representation._bank()
        return CorticalStatistics(n_frames, bank["rates"], bank["scales"])
    return CorticalStatistics(n_frames)


def shortest_style(transfer: Any, representation: Any) -> int:
    """Count the samples that a style must have at least."""
    if not isinstance(transfer.network, CNNClassifier) and transfer.network == "cortical":
        return int(np.ceil(16 * _FRAME * representation.sample_rate))
    width = transfer.kernel_size if transfer.network == "random" else 1
    frames = len(representation.axes_[-1].values)
    hop = getattr(representation, "hop_length_", None)
    hop = hop or -(-representation.input_shape_[0] // frames)
    return int((width - 1) * hop + 1)


def _classifier_layers(transfer: Any, module: Any) -> tuple[dict[str, float], list[str]]:
    convolutional = [name for name in module.layer_names if name.startswith("conv")]
    style = _weights(transfer.layers, convolutional)
    content = transfer.content_layers
    return style, list(content) if content is not None else convolutional[-2:][:1]


def _weights(layers: Any, default: Sequence[str]) -> dict[str, float]:
    """Weights by name, of what a user gives as names, weights by name, or nothing."""
    if layers is None:
        return dict.fromkeys(default, 1.0)
    weights = dict(layers) if isinstance(layers, Mapping) else dict.fromkeys(layers, 1.0)
    if not all(value >= 0 for value in weights.values()) or not any(weights.values()):
        raise ValueError(
            f"layers={layers!r}: weights must not be negative, and at least one be above 0."
        )
    return {str(name): float(value) for name, value in weights.items() if value > 0}


def _frozen_twin(module: Any, device: str) -> Any:
    """Copy a network for reading: what the user holds keeps its device and its mode."""
    twin = copy.deepcopy(module).to(device).eval()
    return twin.requires_grad_(False)
