"""A modern network of the report's layout: separable filters, attention over scale and rate."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from skstrf.neural.layers import BatchNorm, LayeredNet
from skstrf.neural.plan import LayerSpec

__all__ = ["AxisAttention", "SeparableNet"]


class AxisAttention(nn.Module):
    """Weigh the entries of every channel axis by what the sample as a whole holds.

    The channels are the cells of one or more axes, such as scale and rate. Each axis is
    weighed for itself: the mean of the sample over everything but this axis goes through two
    small dense layers, whose outputs, between 0 and 2, multiply it.

    Parameters
    ----------
    axes : sequence of int
        Lengths of the axes, whose product is the number of channels.
    reduction : int
        What the hidden units are fewer by than the entries; four at least remain.

    References
    ----------
    .. [1] J. Hu, L. Shen and G. Sun, "Squeeze-and-excitation networks", CVPR 2018: the same
       with one axis and outputs between 0 and 1.

    Examples
    --------
    >>> import torch
    >>> from skstrf.neural.separable import AxisAttention
    >>> AxisAttention((6, 10))(torch.ones(3, 60, 8, 5)).shape
    torch.Size([3, 60, 8, 5])
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


def _normalised(filters: nn.Module, n_maps: int, batch_norm: bool) -> nn.Sequential:
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
        self.mix = _normalised(mix, n_out, batch_norm)
        (k0, k1), padding = spec.kernel, (spec.kernel[0] // 2, spec.kernel[1] // 2)
        spread = nn.Conv2d(
            n_out, n_out, (k0, k1), spec.stride, padding, groups=n_out, bias=not batch_norm
        )
        self.spread = _normalised(spread, n_out, batch_norm)
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

    Parameters
    ----------
    plan : list of LayerSpec
        From :func:`~skstrf.neural.plan.plan_layers`.
    n_classes : int
        Scores that come out.
    n_hidden : int
        Hidden units; 0 leaves their layer out.
    batch_norm : bool
        Normalise after every filter.
    dropout : float
        Share of the values dropped before each dense layer, in training.
    augmentation : dict, optional
        Arguments of :class:`~skstrf.neural.augment.Augmentation`.
    statistics : (int, int, int), optional
        Shape of the mean and deviation that standardise the input; one of each
        for every channel when not given.
    frozen : sequence of str
        Layers that training leaves alone.
    channel_axes : sequence of int, optional
        Lengths of the axes that the channels of the input are made of; one axis when not given.

    References
    ----------
    .. [1] D. Haase and M. Amthor, "Rethinking depthwise separable convolutions: how intra-kernel
       correlations lead to improved MobileNets", CVPR 2020, section 3.

    Examples
    --------
    >>> import torch
    >>> from skstrf.neural.plan import plan_layers
    >>> from skstrf.neural.separable import SeparableNet
    >>> net = SeparableNet(plan_layers((32, 9), 60), n_classes=3, channel_axes=(6, 10))
    >>> net(torch.zeros(5, 60, 32, 9)).shape
    torch.Size([5, 3])
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
