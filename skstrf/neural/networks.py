"""The network as torch modules, built from a plan of its layers."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from skstrf.neural.layers import BatchNorm, Dropout, LayeredNet, Standardise
from skstrf.neural.plan import LayerSpec
from skstrf.neural.separable import SeparableNet

__all__ = [
    "BatchNorm",
    "ConvolutionalNet",
    "Dropout",
    "LayeredNet",
    "SeparableNet",
    "allocate",
    "build_network",
    "copy_layers",
    "initialise",
]


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
    """Standardisation, convolutional layers, one hidden layer, class scores.

    Its layers are named ``conv1``, ``conv2``, ..., ``hidden`` (when there are
    hidden units) and ``output``. Usually made by :func:`build_network`.

    Parameters
    ----------
    plan : list of LayerSpec
        From :func:`plan_layers`.
    n_classes : int
        Scores that come out.
    n_hidden : int
        Hidden units; 0 leaves their layer out.
    batch_norm : bool
        Normalise the maps of every convolutional layer.
    dropout : float
        Share of the values dropped before each dense layer, in training.
    augmentation : dict, optional
        Arguments of :class:`~skstrf.neural.augment.Augmentation`.
    statistics : (int, int, int), optional
        Shape of the mean and deviation that standardise the input; one of each
        for every channel when not given.
    frozen : sequence of str
        Layers that training leaves alone.

    Examples
    --------
    >>> import torch
    >>> from skstrf.neural.networks import ConvolutionalNet
    >>> from skstrf.neural.plan import plan_layers
    >>> net = ConvolutionalNet(plan_layers((16, 9), 2), n_classes=3)
    >>> net(torch.zeros(5, 2, 16, 9)).shape
    torch.Size([5, 3])
    >>> net.layer_names
    ('conv1', 'conv2', 'conv3', 'conv4', 'hidden', 'output')
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


NETWORKS: dict[str, Any] = {"report": ConvolutionalNet, "separable": SeparableNet}


def initialise(net: nn.Module, generator: torch.Generator) -> None:
    """Draw first weights: after He et al. (2015), or smaller with batch normalisation.

    Filters without normalisation must keep the variance through the layers.
    Normalised filters have no size of their own, but the smaller they start the
    faster they turn; and dense weights as large as He's let the network start
    out too sure of itself. Both together were worth three to five points of
    accuracy on some hundred clips.

    Parameters
    ----------
    net : Module
        Changed in place.
    generator : torch.Generator
        On the CPU, as the network must still be; torch's own initialisation
        would draw from the global one.
    """
    normalised = any(isinstance(module, BatchNorm) for module in net.modules())
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            small = normalised or isinstance(module, nn.Linear)
            slope = math.sqrt(5) if small else 0.0
            nn.init.kaiming_uniform_(module.weight, a=slope, generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            module.reset_parameters()
        elif isinstance(module, Standardise):
            nn.init.zeros_(module.mean)
            nn.init.ones_(module.scale)


def build_network(architecture: Mapping[str, Any]) -> LayeredNet:
    """Build a network that has no memory yet, and drew no random number.

    Parameters
    ----------
    architecture : dict
        ``plan`` (list of dicts, the fields of :class:`~skstrf.neural.plan.LayerSpec`)
        and the other arguments of :class:`ConvolutionalNet`, all plain Python values. Where
        ``network`` is "separable" they are those of
        :class:`~skstrf.neural.separable.SeparableNet`.

    Returns
    -------
    LayeredNet
        On torch's "meta" device; :func:`allocate` is the next step.
    """
    arguments = dict(architecture)
    plan = []
    for layer in arguments.pop("plan"):
        pairs = {
            key: tuple(layer[key]) for key in ("kernel", "stride", "pool", "pool_stride", "image")
        }
        plan.append(LayerSpec(**{**layer, **pairs}))
    kind = NETWORKS[arguments.pop("network", "report")]
    with torch.device("meta"):
        return kind(plan, **arguments)


def allocate(net: LayeredNet) -> LayeredNet:
    """Give a network of :func:`build_network` memory on the CPU, with any values in it.

    Parameters
    ----------
    net : LayeredNet
        On the "meta" device.

    Returns
    -------
    LayeredNet
        To be filled by :func:`initialise` or ``load_state_dict``.
    """
    return net.to_empty(device="cpu").to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def _shapes(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in state.items()}


def copy_layers(source: LayeredNet, target: LayeredNet) -> list[str]:
    """Copy every layer but the output whose tensors have the same shapes in both.

    The first layer is copied only together with the standardisation it was
    trained behind. Networks of two kinds have nothing in common.

    Parameters
    ----------
    source : LayeredNet
        Trained.
    target : LayeredNet
        Changed in place.

    Returns
    -------
    list of str
        Names of the layers that were copied.
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
            parts.append((target.standardise, source.standardise.state_dict()))
        if all(_shapes(part.state_dict()) == _shapes(given) for part, given in parts):
            for part, given in parts:
                part.load_state_dict(given)
            copied.append(name)
    return copied
