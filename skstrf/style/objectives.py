r"""What a style and a content are to a network: squared distances, relative to those at the start.

Every objective gives, for a tensor, the squared relative distance of its activations to those of
the content, and of its Gram matrices (or statistics) to those of the style, after [1]_. Both are
divided by what they are between content and style when untouched, so that 1 means "as far as the
two are apart", for any pair of sounds, network and length.

.. [1] L. A. Gatys, A. S. Ecker and M. Bethge, "Image style transfer using convolutional neural
   networks", CVPR, 2414-2423, 2016.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from ..auditory import model_sample_rate
from ..neural.networks import ConvolutionalNet
from ..texture import (
    CorticalStatistics,
    InfiniteRandomNetwork,
    RandomNetwork,
    add_moments,
    finite_gram,
    gram_matrix,
)
from ..transforms.differentiable import differentiable_resample

__all__ = [
    "ClassifierObjective",
    "CorticalObjective",
    "FiniteObjective",
    "InfiniteObjective",
    "Objective",
    "as_spectrogram",
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
        """Take a content.

        Parameters
        ----------
        content : torch.Tensor
            As the losses will get it.
        style : torch.Tensor of the shape of `content`
            The untouched style in its place, which says how far away a style is.
        """
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
    """A random layer of infinitely many filters, in closed form.

    Parameters
    ----------
    styles : sequence of torch.Tensor of shape (..., n_frames)
        Tensors of the style. Beyond 2048 frames, stretches evenly spread over them are kept.
    width : int
        Frames that a filter sees.
    """

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
    """A random layer of so many filters.

    Parameters
    ----------
    styles : sequence of torch.Tensor of shape (..., n_frames)
        Tensors of the style, of any length.
    network : RandomNetwork
        On their device.
    """

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
    """Layers of a trained network.

    Parameters
    ----------
    styles : sequence of torch.Tensor of shape (..., height, width)
        Tensors as the classifier takes them, of any length in time.
    module : ConvolutionalNet
        In evaluation mode.
    style_layers : dict of str to float
        Weights of the layers whose Gram matrices are compared.
    content_layers : sequence of str
        Layers whose activations are compared.
    """

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
    """Texture statistics of auditory cortex, straight from the sound.

    Parameters
    ----------
    styles : sequence of torch.Tensor of shape (n_times,)
        Sounds; longer ones than the model takes are looked at block by block.
    model : CorticalStatistics
        On their device.
    sample_rate : float
        Of all sounds, in Hz.
    weights : dict of str to float
        Of the groups of statistics that count.
    """

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
    """Fold all axes but time into the channels of an image of one row.

    Parameters
    ----------
    tensor : torch.Tensor of shape (..., n_frames)
        Of one sound.

    Returns
    -------
    torch.Tensor of shape (n_channels, n_frames)
        A view where possible.

    Examples
    --------
    >>> import torch
    >>> from skstrf.style.objectives import as_spectrogram
    >>> as_spectrogram(torch.zeros(6, 10, 128, 20)).shape
    torch.Size([7680, 20])
    """
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
