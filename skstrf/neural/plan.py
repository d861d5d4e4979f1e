"""The plan of a network: how layers of any size are fitted to an image of any size."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

__all__ = ["LayerSpec", "design_network", "plan_layers"]

logger = logging.getLogger("skstrf")

CUTS = {"kernel": "kernel_sizes", "stride": "strides", "pool": "pool_size"}
AUGMENTATIONS = ("mask", "shift", "noise", "gain", "tilt")


class LayerSpec(NamedTuple):
    """One convolutional layer as it is built; pairs are (first, second image axis).

    `image` is what leaves the layer, after its pool. Where `between` is not 0
    the kernel is a column filter to so many maps, and a row filter from them.
    """

    in_channels: int
    out_channels: int
    kernel: tuple[int, int]
    stride: tuple[int, int]
    pool: tuple[int, int]
    pool_stride: tuple[int, int]
    between: int
    image: tuple[int, int]


def _pair(value: Any, name: str) -> tuple[int, int]:
    """Read an int, or a pair of them, as one value for each image axis."""
    pair = (value, value) if not isinstance(value, Sequence) else tuple(value)
    # Infinity is no integer: int() would raise something else than what follows.
    if len(pair) != 2 or not all(1 <= p < math.inf and int(p) == p for p in pair):
        raise ValueError(
            f"{name} holds {value!r}: each layer takes an integer of at least 1, or a pair of "
            "them (first image axis, last image axis)."
        )
    return int(pair[0]), int(pair[1])


def _per_layer(value: Any, n_layers: int, name: str) -> list[Any]:
    """Read one value for all layers, or one for each."""
    if not isinstance(value, Sequence):
        return [value] * n_layers
    if len(value) != n_layers:
        raise ValueError(
            f"{name} has {len(value)} entries for {n_layers} kernel_sizes: give one for each "
            "layer, or a single number for all."
        )
    return list(value)


def _fit_axis(size: int, kernel: int, stride: int, pool: int, step: int) -> tuple[int, ...]:
    """Cut kernel, stride, pool and its step for one axis to its `size`; also the size that leaves.

    Zeros are padded so that a stride of 1 keeps the size, so taps further out
    than the image is long would meet mostly zeros: the kernel is held to the
    largest odd number within the image (3 where the image is 2). Strides and
    pools that would leave a single cell of it are not made: a small image has
    no resolution to give away.
    """
    longest = 3 if size == 2 else size - (size + 1) % 2
    kernel = min(kernel, longest)
    if size < 2 * stride:
        stride = 1
    size = -(-size // stride)
    if size < pool or pool == 1:
        return kernel, stride, 1, 1, size
    step = min(step, pool)
    return kernel, stride, pool, step, (size + 2 * ((pool - 1) // 2) - pool) // step + 1


def _maps_between(spec: LayerSpec, size: tuple[int, int]) -> int:
    """Maps between a column and a row filter, 0 where one full kernel costs no more."""
    (k0, k1), (s0, s1) = spec.kernel, spec.stride
    height, width = -(-size[0] // s0), -(-size[1] // s1)
    between = max(1, spec.out_channels // 2)
    full = spec.in_channels * k0 * k1 * spec.out_channels * height * width
    columns = spec.in_channels * k0 * between * height * size[1]
    rows = between * k1 * spec.out_channels * height * width
    return between if columns + rows < full else 0


def plan_layers(
    image_shape: tuple[int, int],
    n_channels: int = 1,
    *,
    n_filters: int | Sequence[int] = 64,
    kernel_sizes: Sequence[Any] = (11, 11, 5, 5),
    strides: int | Sequence[Any] = (1, 2, 2, 2),
    pool_size: int | Sequence[Any] = 3,
    pool_stride: int | Sequence[Any] = 2,
    factorise: bool = False,
) -> list[LayerSpec]:
    """Lay out convolutional layers that fit an image of any size.

    Each layer is a convolution padded with zeros (a stride of 1 keeps the
    size), then a maximum over windows of `pool_size` every `pool_stride` cells.
    What is too large for what is left of the image is cut, one axis at a time:
    kernels to the largest odd number within it, strides to 1 where the image
    has not two of them, pools to 1 where it is smaller than one. Even kernels
    become odd.

    Parameters
    ----------
    image_shape : (int, int)
        Size of the image that comes in.
    n_channels : int
        Its channels.
    n_filters : int or sequence of int
        Maps of all layers, or of each.
    kernel_sizes : sequence of int or of pairs
        One entry a layer: this sets how many layers there are.
    strides, pool_size, pool_stride : int, or sequence of int or of pairs
        For all layers or for each.
    factorise : bool
        Build a k x l kernel as k x 1 to half the maps, followed by 1 x l from
        them, in the layers where that takes fewer multiplications.

    Returns
    -------
    list of LayerSpec
        One a layer.

    Raises
    ------
    ValueError
        For entries below 1, or a number of entries that is not that of `kernel_sizes`.

    Examples
    --------
    >>> from skstrf.neural.plan import plan_layers
    >>> [layer.image for layer in plan_layers((128, 625), 198)]
    [(64, 313), (16, 79), (4, 20), (2, 5)]
    >>> [layer.kernel for layer in plan_layers((4, 3), 12)]
    [(3, 3), (3, 3), (3, 3), (3, 3)]
    """
    n_layers = len(kernel_sizes)
    if n_layers == 0:
        raise ValueError("kernel_sizes is empty: give at least one layer.")
    filters = _per_layer(n_filters, n_layers, "n_filters")
    all_strides = _per_layer(strides, n_layers, "strides")
    pools = _per_layer(pool_size, n_layers, "pool_size")
    steps = _per_layer(pool_stride, n_layers, "pool_stride")
    size = (int(image_shape[0]), int(image_shape[1]))
    plan = []
    layers = zip(filters, kernel_sizes, all_strides, pools, steps, strict=True)
    for maps, kernel, stride, pool, step in layers:
        if int(maps) != maps or maps < 1:
            raise ValueError(f"n_filters holds {maps!r}: give integers of at least 1.")
        asked = zip(
            size,
            (k + (k + 1) % 2 for k in _pair(kernel, "kernel_sizes")),
            _pair(stride, "strides"),
            _pair(pool, "pool_size"),
            _pair(step, "pool_stride"),
            strict=True,
        )
        first, last = (_fit_axis(*axis) for axis in asked)
        k, s, p, q, left = zip(first, last, strict=True)
        spec = LayerSpec(n_channels, int(maps), k, s, p, q, 0, left)
        plan.append(spec._replace(between=_maps_between(spec, size)) if factorise else spec)
        size, n_channels = left, int(maps)
    return plan


def _log_cuts(plan: list[LayerSpec], layout: Mapping[str, Any]) -> None:
    """Tell the log which kernels, strides and pools became smaller than they were asked for."""
    for key, argument in CUTS.items():
        all_asked = _per_layer(layout[argument], len(plan), argument)
        for number, (spec, value) in enumerate(zip(plan, all_asked, strict=True), start=1):
            asked, given = _pair(value, argument), getattr(spec, key)
            if any(g < a for g, a in zip(given, asked, strict=True)):
                logger.info(
                    "conv%d: %s %s instead of %s, to fit the image", number, key, given, asked
                )


def design_network(
    shape: tuple[int, int, int],
    n_classes: int,
    settings: Mapping[str, Any],
    channel_axes: Sequence[int] = (),
) -> dict[str, Any]:
    """Describe the network for images of a size, and log what had to be cut.

    Parameters
    ----------
    shape : (int, int, int)
        Channels, height and width of the input.
    n_classes : int
        Scores that come out.
    settings : mapping
        Arguments of :func:`plan_layers`, :class:`~skstrf.neural.networks.ConvolutionalNet` and
        :class:`~skstrf.neural.augment.Augmentation` by their names, and ``network``.
    channel_axes : sequence of int
        Lengths of the axes that were folded into the channels.

    Returns
    -------
    dict
        As :func:`~skstrf.neural.networks.build_network` takes it.
    """
    layout = {
        key: settings[key]
        for key in ("n_filters", "kernel_sizes", "strides", "pool_size", "pool_stride")
    }
    factorise = settings["factorise"] and settings.get("network") != "separable"
    plan = plan_layers(shape[1:], shape[0], factorise=factorise, **layout)
    _log_cuts(plan, layout)
    augmentation: dict[str, Any] = {key: float(settings[key]) for key in AUGMENTATIONS}
    axes = [int(n) for n in channel_axes] or [int(shape[0])]
    if settings.get("mask_channels"):
        augmentation |= {"mask_channels": float(settings["mask_channels"]), "channel_axes": axes}
    cells = settings["standardise"] == "cell"
    kind = settings.get("network", "report")
    return {
        **({} if kind == "report" else {"network": kind, "channel_axes": axes}),
        "plan": [spec._asdict() for spec in plan],
        "n_classes": int(n_classes),
        "n_hidden": int(settings["n_hidden"]),
        "batch_norm": bool(settings["batch_norm"]),
        "dropout": float(settings["dropout"]),
        "augmentation": augmentation,
        "statistics": [int(n) for n in shape] if cells else [int(shape[0]), 1, 1],
    }
