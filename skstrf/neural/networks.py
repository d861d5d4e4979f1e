"""Torch modules of the networks: shared parts, the two kinds of layers, and their construction."""

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
    "BatchNorm",
    "ConvolutionalNet",
    "LayeredNet",
    "allocate",
    "build_network",
    "copy_layers",
    "initialize",
]


class Standardize(nn.Module):
    """Subtracts a fixed mean and divides by a fixed standard deviation."""

    # Both are kept in float64 and used in the dtype of the input, so that float64 data with a
    # large mean is not rounded before the mean is subtracted.

    def __init__(self, shape: Sequence[int]):
        super().__init__()
        self.mean: torch.Tensor
        self.scale: torch.Tensor
        self.register_buffer("mean", torch.zeros(*shape, dtype=torch.float64))
        self.register_buffer("scale", torch.ones(*shape, dtype=torch.float64))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Standardize (n_samples, n_channels, height, width) and convert it to float32."""
        return ((x - self.mean.to(x.dtype)) / self.scale.to(x.dtype)).float()


class Dropout(nn.Dropout):
    """Dropout with a random generator of its own."""

    generator: torch.Generator | None = None

    @torch.compiler.disable
    def _drop(self, x: torch.Tensor) -> torch.Tensor:
        keep = torch.empty_like(x).bernoulli_(1 - self.p, generator=self.generator)
        return x * keep / (1 - self.p)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Zero a fraction `p` of the values and scale up the others, in training mode only."""
        return self._drop(x) if self.training and self.p > 0 else x


class BatchNorm(nn.BatchNorm2d):
    """Batch normalization that accepts a batch with a single value per channel."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalize (n_samples, n_channels, height, width)."""
        # A single value has no variance: the running statistics are used instead.
        if self.training and x.numel() == x.shape[1]:
            return nn.functional.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        return super().forward(x)


def dense(
    width: int, n_out: int, dropout: float, relu: bool, pool: nn.Module | None = None
) -> nn.Sequential:
    """Make a dense layer of the flattened input, after an optional `pool`."""
    parts: dict[str, nn.Module] = {} if pool is None else {"pool": pool}
    parts |= {"flatten": nn.Flatten(), "dropout": Dropout(dropout)}
    parts["dense"] = nn.Linear(width, n_out)
    if relu:
        parts["relu"] = nn.ReLU()
    return nn.Sequential(OrderedDict(parts))


def channels_last(x: torch.Tensor) -> torch.Tensor:
    """Convert to the memory format in which convolutions run up to twice as fast."""
    return x.contiguous(memory_format=torch.channels_last)


class LayeredNet(nn.Module):
    """A network of standardization, augmentation in training, and a sequence of named layers."""

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
        """Append the dense layers to the named layers, and set `layer_names`."""
        names = list(names)
        if n_hidden:
            names.append("hidden")
            self.hidden = dense(width, n_hidden, dropout, relu=True, pool=pool)
            width, pool = n_hidden, None
        self.output = dense(width, n_classes, dropout, relu=False, pool=pool)
        self.layer_names = (*names, "output")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute logits (n_samples, n_classes) of (n_samples, n_channels, height, width)."""
        x = channels_last(self.augmentation(self.standardize(x)))
        for name in self.layer_names:
            x = self.get_submodule(name)(x)
        return x

    def activations(self, x: torch.Tensor, names: Iterable[str]) -> dict[str, torch.Tensor]:
        """Compute the outputs of the named layers, differentiable in `x`."""
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
        """Raise a ValueError if any of `names` is not the name of a layer."""
        unknown = sorted(set(names) - set(self.layer_names))
        if unknown:
            raise ValueError(f"no layers {unknown}: the network has {list(self.layer_names)}.")

    def freeze(self, names: Iterable[str]) -> None:
        """Exclude the weights and the running statistics of the named layers from training."""
        self.frozen = tuple(names)
        self.check_names(self.frozen)
        for name in self.frozen:
            self.get_submodule(name).requires_grad_(False)

    def train(self, mode: bool = True) -> LayeredNet:
        """Set the training mode of all layers that are not frozen."""
        super().train(mode)
        for name in self.frozen:
            self.get_submodule(name).eval()
        return self

    def use_generator(self, generator: torch.Generator | None) -> None:
        """Set the generator of dropout and augmentation; None is torch's global one."""
        for module in self.modules():
            if isinstance(module, Dropout | Augmentation):
                module.generator = generator


class AxisAttention(nn.Module):
    """Squeeze-and-excitation attention along each axis that was folded into the channels."""

    # Each axis, such as scale or rate, has weights of its own: the mean of the sample over all
    # other axes passes two small dense layers, whose outputs between 0 and 2 are the weights.

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
        """Compute the weights of the channels of (n_samples, n_channels, height, width)."""
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
    """Attention, a 1 x 1 convolution, a depthwise convolution, a residual connection, a pool."""

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
        # The residual connection needs equal shapes.
        return self.pool(x + y if x.shape == y.shape else y)


class TimePool(nn.Module):
    """Mean and standard deviation over the last axis, time."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Reduce (n_samples, n_channels, height, width) to (n_samples, 2 n_channels, height)."""
        mean = x.mean(3, keepdim=True)
        # The square root has an infinite slope at zero.
        deviation = ((x - mean).square().mean(3, keepdim=True) + 1e-5).sqrt()
        return torch.cat([mean, deviation], 1).squeeze(3)


class SeparableNet(LayeredNet):
    """The network that `SeparableNetwork` describes."""

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
    """Make the filters of one layer: a full kernel, or a column and a row filter."""
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
    """The network that `ConvolutionalNetwork` describes."""

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
    """Draw the initial weights after He et al. (2015), smaller ones with batch normalization."""
    # Filters without normalization must keep the variance through the layers. The scale of
    # normalized filters has no effect, but small ones change direction faster, and dense weights
    # of He's size make the first predictions too confident. Both together gained three to five
    # points of accuracy on a few hundred clips.
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
    """Build a network on the meta device, without memory and without random numbers."""
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
    """Allocate uninitialized memory on the CPU for a network of `build_network`."""
    return net.to_empty(device="cpu").to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def _shapes(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in state.items()}


def copy_layers(source: LayeredNet, target: LayeredNet) -> list[str]:
    """Copy all layers but the output whose tensors have equal shapes, and name them."""
    # The first layer is copied only together with the standardization that it was trained with.
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
