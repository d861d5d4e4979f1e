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
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from sklearn.utils import check_random_state

from skstrf.auditory.cochlea import model_sample_rate
from skstrf.neural.networks import ConvolutionalNet
from skstrf.neural.training import raw_module
from skstrf.style.controls import equalize, mix
from skstrf.style.domains import fitted_for, hop_length, log_stft
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
from skstrf.transforms.modules import differentiable_resample, torch_module
from skstrf.utils.validation import check_is_fitted

__all__ = [
    "EnvelopeObjective",
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
# Envelopes: weights of the style groups, number of bands, exponent of the compression of their
# power, the power below which it is constant, and the least squared relative distance of a unit.
_ENVELOPE_GROUPS = {
    "gram": 2,
    "levels": 4,
    "mean": 1,
    "variation": 1,
    "skewness": 1,
    "correlation": 1,
    "modulation": 1,
}
_N_BANDS, _EXPONENT, _LEAST_POWER, _LEAST_UNIT = 32, 0.15, 1e-8, 1e-3
_TINY_VARIANCE = 1e-6
# Standard deviation of an envelope, relative to the mean of all, that is constant.
_CONSTANT = 1e-2
# Duration in seconds of the frames of levels, and the least share of a level in all power.
_LEVEL_FRAME, _LEAST_SHARE = 0.012, 1e-6
# What is added to the wanted correlation at first, and the shortest sound in seconds.
_MARGIN, _SHORTEST = 0.03, 0.1
# Least rate of the envelopes in Hz, edges in Hz of the modulation bands, and the longest part of
# a style in seconds.
_ENVELOPE_RATE, _MODULATIONS, _LONGEST = 400, 0.5 * 2 ** (np.arange(18) / 2), 60.0
# Levels of the style in dB between which the loudest mix is searched, and number of steps.
_MIX_LEVELS, _N_BISECTIONS = (-60.0, 30.0), 8


# Choice of the objective from the parameters of a transfer


def check_network(transfer: Any, representation: Any) -> None:
    """Refuse layers that the network does not have, and networks of another representation."""
    network = transfer._network_name()
    if network != "classifier":
        names = {"cortical": GROUPS, "envelopes": tuple(_ENVELOPE_GROUPS)}.get(
            network, ("random",)
        )
        weights = _layer_weights(transfer.style_layers, names)
        unknown = sorted(set(weights) - set(names))
        if unknown:
            raise ValueError(
                f"style_layers contains {unknown}, but network={network!r} has {list(names)}."
            )
        return
    classifier = transfer.network
    check_is_fitted(classifier)
    shape = tuple(len(axis.values) for axis in representation.axes_)
    if shape[:-1] != tuple(classifier.input_shape_[:-1]):
        raise ValueError(
            f"the classifier was fitted on tensors of shape {tuple(classifier.input_shape_)}, but "
            f"{type(representation).__name__} gives {shape}: only the last axis, time, may "
            "differ. Use the representation on which the classifier was fitted."
        )
    module = raw_module(classifier.net_)
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
    network = transfer._network_name()
    if network == "classifier":
        module = raw_module(transfer.network.net_)
        style, content = _classifier_layers(transfer, module)
        # A copy, since the classifier of the user keeps its device and its mode.
        frozen: Any = copy.deepcopy(module).to(device).eval().requires_grad_(False)
        return ClassifierObjective(styles, frozen, style, content)
    if network == "cortical":
        model = cortical_model(transfer.representation_, n_times).to(device)
        weights = _layer_weights(transfer.style_layers, GROUPS)
        return CorticalObjective(styles, model, transfer.representation_.sample_rate, weights)
    if network == "envelopes":
        weights = _layer_weights(transfer.style_layers, _ENVELOPE_GROUPS)
        rate = transfer.representation_.sample_rate
        goal = 1.0
        if transfer.content_correlation is not None:
            goal = min(transfer.content_correlation + _MARGIN, 1.0)
        return EnvelopeObjective(styles, rate, n_times, transfer.kernel_size, weights, goal)
    if transfer.n_filters is None:
        return InfiniteObjective(styles, transfer.kernel_size)
    n_channels = int(np.prod(styles[0].shape[:-1]))
    seed = check_random_state(transfer.random_state).randint(2**31 - 1)
    random = RandomNetwork(n_channels, transfer.n_filters, transfer.kernel_size, seed)
    return FiniteObjective(styles, random.to(device))


def shortest_sound(transfer: Any, representation: Any) -> int:
    """Smallest number of samples of a style or content."""
    network = transfer._network_name()
    if network == "cortical":
        return int(np.ceil(16 * _FRAME * representation.sample_rate))
    if network == "envelopes":
        least = (transfer.kernel_size - 1) * hop_length(representation.sample_rate) + 1
        return max(least, int(np.ceil(_SHORTEST * representation.sample_rate)))
    width = transfer.kernel_size if network == "random" else 1
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


def _layer_weights(layers: Any, default: Sequence[str] | Mapping[str, float]) -> dict[str, float]:
    """Weights by name of layers given as names, as weights by name, or as None."""
    if layers is None:
        layers = default
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


class EnvelopeObjective(Objective):
    """Levels of auditory bands: their course is the content, their statistics the style.

    Random filters compare whole patches, so that content and style contend for the same levels.
    Here the content is the correlation of the levels without their mean over the surrounding
    second, which leaves the statistics of the style free. The content loss is 0 where this
    correlation reaches `goal`. The Gram matrix of random filters adds the fine structure.
    """

    def __init__(
        self,
        styles: Sequence[torch.Tensor],
        sample_rate: float,
        n_times: int,
        kernel_size: int,
        weights: Mapping[str, float],
        goal: float = 1.0,
    ):
        device = styles[0].device
        self.goal = goal
        self._weights = dict(weights)
        self._bank = _Bank(n_times, sample_rate, device)
        joined = torch.cat(list(styles))
        length = len(joined) // -(-len(joined) // max(1, round(_LONGEST * sample_rate)))
        bank = _Bank(length, sample_rate, device)
        with torch.no_grad():
            power = torch.cat(
                [bank(part) for part in joined.split(length)[: len(joined) // length]], -1
            )
            self._target = self._statistics(power, bank.frame_rate)
        if "gram" in self._weights:
            self._module = torch_module(fitted_for(log_stft(sample_rate), n_times)).to(device)
            with torch.no_grad():
                spectrograms = [self._module(style) for style in styles]
            self._network = InfiniteRandomNetwork(_thinned(spectrograms, kernel_size), kernel_size)

    def begin(self, content: torch.Tensor, style: torch.Tensor) -> None:
        """Set the content, and its distance in every group as the unit of the group."""
        self._units = dict.fromkeys(self._weights, 1.0)
        with torch.no_grad():
            found = self._style_distances(content, self._bank(content))
        self._units = {name: max(float(value), _LEAST_UNIT) for name, value in found.items()}
        super().begin(content, style)
        # A style that resembles the content is no unit.
        self._scales = (max(self._scales[0], 0.1 * self.goal**2), self._scales[1])

    def set_content(self, content: torch.Tensor) -> None:
        """Set the content."""
        self._content = self._course(self._bank(content))

    def loudest_mix(self, content: np.ndarray, style: np.ndarray) -> np.ndarray:
        """Mix that keeps the wanted correlation, of the content or its equalized copy.

        The style is as loud as the correlation permits. Of the two mixes, that with the lower
        style loss is chosen.
        """
        found: list[tuple[float, np.ndarray]] = []
        device = self._content.device
        for base in (content, equalize(content, style)):
            low, high = _MIX_LEVELS
            with torch.no_grad():
                for _ in range(_N_BISECTIONS):
                    level = (low + high) / 2
                    sound = torch.from_numpy(mix(base, style, level)).to(device)
                    kept = float(self._correlation(self._bank(sound))) >= self.goal
                    low, high = (level, high) if kept else (low, level)
                sound = torch.from_numpy(mix(base, style, low)).to(device)
                found.append((float(self(sound)[1]), sound.cpu().numpy()))
        return min(found, key=lambda pair: pair[0])[1]

    def _distances(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        power = self._bank(x)
        content = (self.goal - self._correlation(power)).clamp(min=0).square()
        style = self._style_distances(x, power)
        relative = {name: value / self._units[name] for name, value in style.items()}
        return content, _weighted_mean(relative, self._weights)

    def _style_distances(self, x: torch.Tensor, power: torch.Tensor) -> dict[str, torch.Tensor]:
        found = self._statistics(power, self._bank.frame_rate)
        distances = {}
        for name in self._weights:
            if name == "gram":
                distances[name] = self._network.gram_distance(self._module(x), squared=True)
                continue
            target = self._target[name]
            # A skewness near 0 is no unit: that of standardized values is 1.
            least = float(len(target)) if name == "skewness" else _TINY
            size = target.square().sum().clamp(min=least)
            distances[name] = (found[name] - target).square().sum() / size
        return distances

    def _correlation(self, power: torch.Tensor) -> torch.Tensor:
        """Correlation with the content over all bands and frames."""
        return (self._course(power) * self._content).sum()

    def _course(self, power: torch.Tensor) -> torch.Tensor:
        """Levels without their mean over the surrounding second, with unit norm."""
        levels = _band_levels(power, self._bank.frame_rate)
        width = min(round(1 / _LEVEL_FRAME), levels.shape[-1])
        width -= 1 - width % 2
        padded = torch.nn.functional.pad(levels[None], (width // 2, width // 2), mode="reflect")
        local = levels - torch.nn.functional.avg_pool1d(padded, width, 1)[0]
        return local / local.square().sum().clamp(min=_TINY).sqrt()

    @staticmethod
    def _statistics(power: torch.Tensor, frame_rate: float) -> dict[str, torch.Tensor]:
        envelopes = (power + _LEAST_POWER) ** _EXPONENT
        n_frames = envelopes.shape[-1]
        mean = envelopes.mean(-1)
        centered = envelopes - mean[:, None]
        variance = centered.square().mean(-1)
        constant = (_CONSTANT * mean.mean()).square()
        standard = centered / (variance + constant).sqrt()[:, None]
        spectrum = torch.view_as_real(torch.fft.rfft(standard, dim=-1))
        modulation = 2 * spectrum.square().sum(-1) / n_frames**2
        edges = np.searchsorted(np.fft.rfftfreq(n_frames, 1 / frame_rate), _MODULATIONS).tolist()
        sums = [modulation[:, a:b].sum(-1) for a, b in itertools.pairwise(edges)]
        levels = _band_levels(power, frame_rate) - np.log(_LEAST_SHARE)
        return {
            "levels": levels @ levels.mT / levels.shape[-1],
            "mean": mean,
            # The derivative of a root is infinite at 0.
            "variation": (variance + _TINY_VARIANCE).sqrt() / mean,
            "skewness": standard.pow(3).mean(-1),
            "correlation": standard @ standard.mT / n_frames,
            "modulation": (torch.stack(sums) + _TINY_VARIANCE).sqrt(),
        }


class _Bank:
    """Power of 32 bands between 50 Hz and at most 16 kHz, with the resolution in time of each.

    The filters are half cosines at equal distances on the scale of equivalent rectangular
    bandwidths. Only the bins of a band are transformed back, to one number of frames for all.
    """

    def __init__(self, n_times: int, sample_rate: float, device: torch.device):
        from scipy.fft import next_fast_len

        ends = np.array([min(50.0, sample_rate / 100), min(sample_rate / 2, 16000.0)])
        first, last = _erb_number(ends)
        centers, step = np.linspace(first, last, _N_BANDS + 2, retstep=True)
        places = _erb_number(np.fft.rfftfreq(n_times, 1 / sample_rate))
        distances = (places - centers[1:-1, None]) / step
        gains = np.where(np.abs(distances) < 1, np.cos(np.pi / 2 * distances), 0.0)
        gains = gains[gains.any(axis=1)]  # bands between two bins of a short sound hold nothing
        starts = (gains > 0).argmax(axis=1)
        widest = int((gains > 0).sum(axis=1).max())
        # Frames are averaged to the rate of the envelopes.
        self._n_averaged = max(1, int(widest / n_times * sample_rate / _ENVELOPE_RATE))
        size = self._n_averaged * next_fast_len(-(-widest // self._n_averaged))
        bins = (starts[:, None] + np.arange(size)).clip(max=gains.shape[1] - 1)
        weights = np.take_along_axis(gains, bins, axis=1)
        weights[starts[:, None] + np.arange(size) >= gains.shape[1]] = 0
        self._bins = torch.from_numpy(bins).to(device)
        self._weights = torch.from_numpy((2 * size / n_times * weights).astype(np.float32))
        self._weights = self._weights.to(device)
        self.frame_rate = size / self._n_averaged * sample_rate / n_times

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Power (n_bands, n_frames) of a sound."""
        bands = torch.fft.ifft(torch.fft.rfft(x)[self._bins] * self._weights)
        power = torch.view_as_real(bands).square().sum(-1)
        return power.reshape(len(power), -1, self._n_averaged).mean(-1)


def _erb_number(frequency: np.ndarray) -> np.ndarray:
    """Number of equivalent rectangular bandwidths below a frequency (Glasberg and Moore 1990)."""
    return 21.4 * np.log10(1 + 0.00437 * frequency)


def _band_levels(power: torch.Tensor, frame_rate: float) -> torch.Tensor:
    """Logarithmic power of frames of 12 ms relative to that of all bands, above -60 dB."""
    width = min(max(1, round(frame_rate * _LEVEL_FRAME)), power.shape[-1])
    n_frames = power.shape[-1] // width
    frames = power[:, : n_frames * width].reshape(len(power), n_frames, width).mean(-1)
    total = frames.mean().detach() * len(frames) + _TINY
    return (frames / total + _LEAST_SHARE).log()


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
