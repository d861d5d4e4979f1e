"""Parts that every network is made of, and what all networks of named layers can do."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from skstrf.neural.architecture import LayerSpec
from skstrf.neural.augmentation import Augmentation

__all__ = [
    "AxisAttention",
    "BatchNorm",
    "ConvolutionalNet",
    "Dropout",
    "LayeredNet",
    "SeparableNet",
    "Standardize",
    "allocate",
    "build_network",
    "channels_last",
    "copy_layers",
    "dense",
    "initialize",
]


class Standardize(nn.Module):
    """Subtract a mean and divide by a standard deviation, both fixed.

    The two are kept in float64 and used in the type of the input, so that
    float64 data with a large mean is not rounded before the mean is gone.
    """

    def __init__(self, shape: Sequence[int]):
        super().__init__()
        self.mean: torch.Tensor
        self.scale: torch.Tensor
        self.register_buffer("mean", torch.zeros(*shape, dtype=torch.float64))
        self.register_buffer("scale", torch.ones(*shape, dtype=torch.float64))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Standardize (n_samples, n_channels, height, width); float32 comes out."""
        return ((x - self.mean.to(x.dtype)) / self.scale.to(x.dtype)).float()


class Dropout(nn.Dropout):
    """Dropout that draws from its own generator when it is given one."""

    generator: torch.Generator | None = None

    @torch.compiler.disable
    def _drop(self, x: torch.Tensor) -> torch.Tensor:
        keep = torch.empty_like(x).bernoulli_(1 - self.p, generator=self.generator)
        return x * keep / (1 - self.p)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Zero a share `p` of the values in training mode and enlarge the rest."""
        return self._drop(x) if self.training and self.p > 0 else x


class BatchNorm(nn.BatchNorm2d):
    """Batch normalization that takes a batch of one value a channel as it comes.

    One value has no spread to divide by: the running statistics stand in.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalize (n_samples, n_channels, height, width)."""
        if self.training and x.numel() == x.shape[1]:
            return nn.functional.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        return super().forward(x)


def dense(
    width: int, n_out: int, dropout: float, relu: bool, pool: nn.Module | None = None
) -> nn.Sequential:
    """Make a dense layer of everything that comes in, of its `pool` where there is one."""
    parts: dict[str, nn.Module] = {} if pool is None else {"pool": pool}
    parts |= {"flatten": nn.Flatten(), "dropout": Dropout(dropout)}
    parts["dense"] = nn.Linear(width, n_out)
    if relu:
        parts["relu"] = nn.ReLU()
    return nn.Sequential(OrderedDict(parts))


def channels_last(x: torch.Tensor) -> torch.Tensor:
    """Store the channels of a pixel side by side: layers run up to twice as fast so."""
    return x.contiguous(memory_format=torch.channels_last)


class LayeredNet(nn.Module):
    """A standardization, random changes in training, and named layers one after the other."""

    def __init__(self, statistics: Sequence[int], augmentation: dict[str, Any] | None = None):
        super().__init__()
        self.frozen: tuple[str, ...] = ()
        self.layer_names: tuple[str, ...] = ()
        self.standardize = Standardize(statistics)
        self.augmentation = Augmentation(**(augmentation or {}))

    def add_head(
        self,
        names: Sequence[str],
        width: int,
        n_hidden: int,
        n_classes: int,
        dropout: float,
        pool: nn.Module | None = None,
    ) -> None:
        """Put the dense layers after the layers of these names, and set `layer_names`."""
        names = list(names)
        if n_hidden:
            names.append("hidden")
            self.hidden = dense(width, n_hidden, dropout, relu=True, pool=pool)
            width, pool = n_hidden, None
        self.output = dense(width, n_classes, dropout, relu=False, pool=pool)
        self.layer_names = (*names, "output")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Score (n_samples, n_channels, height, width): logits (n_samples, n_classes)."""
        x = channels_last(self.augmentation(self.standardize(x)))
        for name in self.layer_names:
            x = self.get_submodule(name)(x)
        return x

    def activations(self, x: torch.Tensor, names: Iterable[str]) -> dict[str, torch.Tensor]:
        """Give what leaves the named layers, differentiable in `x`."""
        wanted = set(names)
        self.check_names(wanted)
        found = {}
        x = channels_last(self.standardize(x))
        for name in self.layer_names:
            x = self.get_submodule(name)(x)
            if name in wanted:
                found[name] = x
            if len(found) == len(wanted):
                break
        return found

    def check_names(self, names: Iterable[str]) -> None:
        """Raise a ValueError that lists the layers when one of `names` is none of them."""
        unknown = sorted(set(names) - set(self.layer_names))
        if unknown:
            raise ValueError(f"no layers {unknown}: the network has {list(self.layer_names)}.")

    def freeze(self, names: Iterable[str]) -> None:
        """Keep the named layers as they are: neither weights nor statistics move."""
        self.frozen = tuple(names)
        self.check_names(self.frozen)
        for name in self.frozen:
            self.get_submodule(name).requires_grad_(False)

    def train(self, mode: bool = True) -> LayeredNet:
        """Switch to training mode, frozen layers excepted."""
        super().train(mode)
        for name in self.frozen:
            self.get_submodule(name).eval()
        return self

    def use_generator(self, generator: torch.Generator | None) -> None:
        """Draw dropout and augmentation from `generator` (None: torch's global one)."""
        for module in self.modules():
            if isinstance(module, Dropout | Augmentation):
                module.generator = generator


class AxisAttention(nn.Module):
    """Weigh the entries of every channel axis by what the sample as a whole holds.

    The channels are the cells of one or more axes, such as scale and rate. Each axis is
    weighed for itself: the mean of the sample over everything but this axis goes through two
    small dense layers, whose outputs, between 0 and 2, multiply it.
    """

    def __init__(self, axes: Sequence[int], reduction: int = 4):
        super().__init__()
        self.axes = tuple(axes)
        gates = []
        for size in self.axes:
            hidden = max(4, size // reduction)
            gates.append(
                nn.Sequential(nn.Linear(size, hidden), nn.ReLU(), nn.Linear(hidden, size))
            )
        self.gates = nn.ModuleList(gates)

    def weights(self, x: torch.Tensor) -> torch.Tensor:
        """Give the weight of every channel of (n_samples, n_channels, height, width)."""
        cells = x.mean((2, 3)).unflatten(1, self.axes)
        result = torch.ones_like(cells)
        for number, gate in enumerate(self.gates, start=1):
            others = [axis for axis in range(1, cells.ndim) if axis != number]
            squeezed = cells.mean(others) if others else cells
            shape = [len(x), *(1 for _ in self.axes)]
            shape[number] = self.axes[number - 1]
            result = result * 2 * torch.sigmoid(gate(squeezed)).view(shape)
        return result.flatten(1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Multiply every channel by its weight."""
        return x * self.weights(x)[:, :, None, None]


def _normalized(filters: nn.Module, n_maps: int, batch_norm: bool) -> nn.Sequential:
    parts: dict[str, nn.Module] = {"filter": filters}
    if batch_norm:
        parts["norm"] = BatchNorm(n_maps)
    parts["relu"] = nn.ReLU()
    return nn.Sequential(OrderedDict(parts))


class SeparableLayer(nn.Module):
    """Attention, a mixture of the channels, a filter for each map, a pool.

    What comes in is added to what the filters give where both have one shape.
    """

    def __init__(self, spec: LayerSpec, axes: Sequence[int], batch_norm: bool):
        super().__init__()
        n_in, n_out = spec.in_channels, spec.out_channels
        self.attention = AxisAttention(axes) if n_in > 1 else nn.Identity()
        mix = nn.Conv2d(n_in, n_out, 1, bias=not batch_norm)
        self.mix = _normalized(mix, n_out, batch_norm)
        (k0, k1), padding = spec.kernel, (spec.kernel[0] // 2, spec.kernel[1] // 2)
        spread = nn.Conv2d(
            n_out, n_out, (k0, k1), spec.stride, padding, groups=n_out, bias=not batch_norm
        )
        self.spread = _normalized(spread, n_out, batch_norm)
        self.pool: nn.Module = nn.Identity()
        if spec.pool != (1, 1):
            around = tuple((size - 1) // 2 for size in spec.pool)
            self.pool = nn.MaxPool2d(spec.pool, spec.pool_stride, around)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Filter (n_samples, n_channels, height, width)."""
        y = self.spread(self.mix(self.attention(x)))
        return self.pool(x + y if x.shape == y.shape else y)


class TimePool(nn.Module):
    """Mean and standard deviation over the last axis: when something happens has no part in it."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Reduce (n_samples, n_channels, height, width) to (n_samples, 2 n_channels, height)."""
        mean = x.mean(3, keepdim=True)
        # A root of zero has an infinite slope.
        deviation = ((x - mean).square().mean(3, keepdim=True) + 1e-5).sqrt()
        return torch.cat([mean, deviation], 1).squeeze(3)


class SeparableNet(LayeredNet):
    """The network of separable filters: its layers have the names of :class:`ConvolutionalNet`.

    Every layer weighs its channels by an :class:`AxisAttention` (in the first layer over the
    axes that were folded into the channels, scale and rate of an STRF tensor), mixes them pixel
    by pixel, and filters every mixture for itself, as a blueprint separable convolution [1]_ does.
    Before the dense layers mean and deviation over time are taken of what is left of the image.
    """

    def __init__(
        self,
        plan: Sequence[LayerSpec],
        n_classes: int,
        n_hidden: int = 300,
        batch_norm: bool = False,
        dropout: float = 0.0,
        augmentation: dict[str, Any] | None = None,
        statistics: Sequence[int] | None = None,
        frozen: Sequence[str] = (),
        channel_axes: Sequence[int] | None = None,
    ):
        super().__init__(statistics or (plan[0].in_channels, 1, 1), augmentation)
        names = []
        for number, spec in enumerate(plan, start=1):
            names.append(f"conv{number}")
            axes: tuple[int, ...] = (spec.in_channels,)
            if number == 1 and channel_axes:
                axes = tuple(int(n) for n in channel_axes)
                if math.prod(axes) != spec.in_channels:
                    raise ValueError(f"channel_axes={axes} are not {spec.in_channels} channels.")
            self.add_module(names[-1], SeparableLayer(spec, axes, batch_norm))
        width = 2 * plan[-1].out_channels * plan[-1].image[0]
        self.add_head(names, width, n_hidden, n_classes, dropout, TimePool())
        self.freeze(frozen)


def _convolution(spec: LayerSpec, bias: bool) -> dict[str, nn.Module]:
    """Make the filters of one layer: one convolution, or columns and then rows."""
    (k0, k1), (s0, s1) = spec.kernel, spec.stride
    n_in, n_out = spec.in_channels, spec.out_channels
    if not spec.between:
        padding = (k0 // 2, k1 // 2)
        return {"filter": nn.Conv2d(n_in, n_out, (k0, k1), (s0, s1), padding, bias=bias)}
    return {
        "columns": nn.Conv2d(n_in, spec.between, (k0, 1), (s0, 1), (k0 // 2, 0), bias=False),
        "rows": nn.Conv2d(spec.between, n_out, (1, k1), (1, s1), (0, k1 // 2), bias=bias),
    }


def _layer(spec: LayerSpec, batch_norm: bool) -> nn.Sequential:
    parts = _convolution(spec, bias=not batch_norm)
    if batch_norm:
        parts["norm"] = BatchNorm(spec.out_channels)
    parts["relu"] = nn.ReLU()
    if spec.pool != (1, 1):
        padding = tuple((size - 1) // 2 for size in spec.pool)
        parts["pool"] = nn.MaxPool2d(spec.pool, spec.pool_stride, padding)
    return nn.Sequential(OrderedDict(parts))


class ConvolutionalNet(LayeredNet):
    """Standardization, convolutional layers, one hidden layer, class scores.

    Its layers are named ``conv1``, ``conv2``, ..., ``hidden`` (when there are
    hidden units) and ``output``. Usually made by :func:`build_network`.
    """

    def __init__(
        self,
        plan: Sequence[LayerSpec],
        n_classes: int,
        n_hidden: int = 300,
        batch_norm: bool = False,
        dropout: float = 0.0,
        augmentation: dict[str, float] | None = None,
        statistics: Sequence[int] | None = None,
        frozen: Sequence[str] = (),
    ):
        super().__init__(statistics or (plan[0].in_channels, 1, 1), augmentation)
        names = []
        for number, spec in enumerate(plan, start=1):
            names.append(f"conv{number}")
            self.add_module(names[-1], _layer(spec, batch_norm))
        width = plan[-1].out_channels * plan[-1].image[0] * plan[-1].image[1]
        self.add_head(names, width, n_hidden, n_classes, dropout)
        self.freeze(frozen)


NETWORKS: dict[str, Any] = {"convolutional": ConvolutionalNet, "separable": SeparableNet}


def initialize(net: nn.Module, generator: torch.Generator) -> None:
    """Draw first weights: after He et al. (2015), or smaller with batch normalization.

    Filters without normalization must keep the variance through the layers.
    Normalized filters have no size of their own, but the smaller they start the
    faster they turn; and dense weights as large as He's let the network start
    out too sure of itself. Both together were worth three to five points of
    accuracy on some hundred clips.
    """
    normalized = any(isinstance(module, BatchNorm) for module in net.modules())
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            small = normalized or isinstance(module, nn.Linear)
            slope = math.sqrt(5) if small else 0.0
            nn.init.kaiming_uniform_(module.weight, a=slope, generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            module.reset_parameters()
        elif isinstance(module, Standardize):
            nn.init.zeros_(module.mean)
            nn.init.ones_(module.scale)


def build_network(architecture: Mapping[str, Any]) -> LayeredNet:
    """Build a network that has no memory yet, and drew no random number."""
    arguments = dict(architecture)
    plan = []
    for layer in arguments.pop("plan"):
        pairs = {
            key: tuple(layer[key]) for key in ("kernel", "stride", "pool", "pool_stride", "image")
        }
        plan.append(LayerSpec(**{**layer, **pairs}))
    kind = NETWORKS[arguments.pop("network")]
    with torch.device("meta"):
        return kind(plan, **arguments)


def allocate(net: LayeredNet) -> LayeredNet:
    """Give a network of :func:`build_network` memory on the CPU, with any values in it."""
    return net.to_empty(device="cpu").to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def _shapes(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in state.items()}


def copy_layers(source: LayeredNet, target: LayeredNet) -> list[str]:
    """Copy every layer but the output whose tensors have the same shapes in both.

    The first layer is copied only together with the standardization it was
    trained behind. Networks of two kinds have nothing in common.
    """
    copied: list[str] = []
    if type(source) is not type(target):
        return copied
    for name in target.layer_names[:-1]:
        if name not in source.layer_names[:-1]:
            continue
        values = source.get_submodule(name).state_dict()
        layer = target.get_submodule(name)
        parts = [(layer, values)]
        if name == "conv1":
            parts.append((target.standardize, source.standardize.state_dict()))
        if all(_shapes(part.state_dict()) == _shapes(given) for part, given in parts):
            for part, given in parts:
                part.load_state_dict(given)
            copied.append(name)
    return copied
