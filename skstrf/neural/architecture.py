"""Networks and their augmentation as parameters, and layouts that fit an image, without torch."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sklearn.base import BaseEstimator

from skstrf.utils.validation import Integral, Interval, Real

__all__ = [
    "ConvolutionalNetwork",
    "LayerSpec",
    "SeparableNetwork",
    "TensorAugmentation",
    "design_network",
    "plan_layers",
]

logger = logging.getLogger("skstrf")

# The constraints that both networks share.
_CONSTRAINTS: dict[str, list[Any]] = {
    "n_filters": [Interval(Integral, 1, None, closed="left"), "array-like"],
    "kernel_sizes": ["array-like"],
    "strides": [Interval(Integral, 1, None, closed="left"), "array-like"],
    "pool_size": [Interval(Integral, 1, None, closed="left"), "array-like"],
    "pool_stride": [Interval(Integral, 1, None, closed="left"), "array-like"],
    "n_hidden": [Interval(Integral, 0, None, closed="left")],
    "batch_norm": ["boolean"],
    "dropout": [Interval(Real, 0, 1, closed="left")],
}


class ConvolutionalNetwork(BaseEstimator):
    """Layout of a convolutional network, for the parameter `network` of `CNNClassifier`.

    By default the network has the layers of [1]_, section 7: four convolutional
    layers of 64 filters with kernels of 11, 11, 5 and 5 and strides of 1, 2, 2
    and 2, each followed by a ReLU and max-pooling over 3 x 3, then 300 hidden
    units. Batch normalization and dropout are added.

    The network adapts to its input: where an axis of the image is too short for
    a kernel, stride or pool, the latter is reduced along that axis, and a
    message is logged at level INFO.

    Parameters
    ----------
    n_filters : int or sequence of int, default=64
        Number of filters of all convolutional layers, or of each one.
    kernel_sizes : sequence of int or of pairs of int, default=(11, 11, 5, 5)
        Kernel size of each layer; the length of the sequence is the number of
        layers. A pair holds the sizes along the first image axis (frequency)
        and the last one (time). Even sizes are rounded up to odd ones.
    strides : int, or sequence of int or of pairs of int, default=(1, 2, 2, 2)
        Stride of all layers, or of each one.
    pool_size : int, or sequence of int or of pairs of int, default=3
        Size of the max-pooling window of all layers, or of each one; 1 disables
        pooling.
    pool_stride : int, or sequence of int or of pairs of int, default=2
        Step between pooling windows, which overlap where it is smaller than
        `pool_size`.
    n_hidden : int, default=300
        Number of hidden units before the output layer; 0 for no hidden layer.
    batch_norm : bool, default=True
        Whether to apply batch normalization after every convolution.
    dropout : float, default=0.3
        Dropout rate before each dense layer.
    separable_kernels : bool, default=False
        Whether to replace a k x k kernel by a k x 1 filter along the first image
        axis, with half the number of filters, followed by a 1 x k filter along
        the last axis, in layers where this takes fewer multiplications. Both
        computation and weights of an 11 x 11 kernel decrease to about a tenth.

    See Also
    --------
    SeparableNetwork : Depthwise separable filters with channel attention.
    CNNClassifier : Trains the network.

    References
    ----------
    .. [1] E. Eremeeva, "Transform analysis and music style transfer with deep
       neural networks", ATIAM report, IRCAM, 2017.

    Examples
    --------
    >>> from skstrf.neural import CNNClassifier, ConvolutionalNetwork
    >>> network = ConvolutionalNetwork(n_filters=16, kernel_sizes=(5, 3), strides=1)
    >>> CNNClassifier(network).set_params(network__dropout=0.1).network.dropout
    0.1
    """

    _parameter_constraints: dict = {**_CONSTRAINTS, "separable_kernels": ["boolean"]}

    def __init__(
        self,
        n_filters=64,
        kernel_sizes=(11, 11, 5, 5),
        strides=(1, 2, 2, 2),
        pool_size=3,
        pool_stride=2,
        n_hidden=300,
        batch_norm=True,
        dropout=0.3,
        separable_kernels=False,
    ):
        self.n_filters = n_filters
        self.kernel_sizes = kernel_sizes
        self.strides = strides
        self.pool_size = pool_size
        self.pool_stride = pool_stride
        self.n_hidden = n_hidden
        self.batch_norm = batch_norm
        self.dropout = dropout
        self.separable_kernels = separable_kernels


class SeparableNetwork(BaseEstimator):
    """Layout of a network of separable filters, for the parameter `network` of `CNNClassifier`.

    Each layer weights its input channels by squeeze-and-excitation attention
    [1]_, separately along each axis that was folded into the channels (scale and
    rate of an STRF tensor). A 1 x 1 convolution then mixes the channels, and a
    depthwise convolution filters each mixture, as in a blueprint separable
    convolution [2]_. The mean and the standard deviation over time of the last
    layer enter the dense layers. The filters have far fewer weights than those
    of `ConvolutionalNetwork`, and the output depends less on when a sound begins.

    Parameters
    ----------
    n_filters : int or sequence of int, default=64
        Number of filters of all convolutional layers, or of each one.
    kernel_sizes : sequence of int or of pairs of int, default=(11, 11, 5, 5)
        Kernel size of each layer; the length of the sequence is the number of
        layers. A pair holds the sizes along the first image axis (frequency)
        and the last one (time). Even sizes are rounded up to odd ones.
    strides : int, or sequence of int or of pairs of int, default=(1, 2, 2, 2)
        Stride of all layers, or of each one.
    pool_size : int, or sequence of int or of pairs of int, default=3
        Size of the max-pooling window of all layers, or of each one; 1 disables
        pooling.
    pool_stride : int, or sequence of int or of pairs of int, default=2
        Step between pooling windows, which overlap where it is smaller than
        `pool_size`.
    n_hidden : int, default=300
        Number of hidden units before the output layer; 0 for no hidden layer.
    batch_norm : bool, default=True
        Whether to apply batch normalization after every convolution.
    dropout : float, default=0.3
        Dropout rate before each dense layer.

    See Also
    --------
    ConvolutionalNetwork : Ordinary convolutional layers.
    CNNClassifier : Trains the network.

    References
    ----------
    .. [1] J. Hu, L. Shen and G. Sun, "Squeeze-and-excitation networks", CVPR 2018.
    .. [2] D. Haase and M. Amthor, "Rethinking depthwise separable convolutions:
       how intra-kernel correlations lead to improved MobileNets", CVPR 2020.

    Examples
    --------
    >>> from skstrf.neural import CNNClassifier, SeparableNetwork
    >>> CNNClassifier(SeparableNetwork(kernel_sizes=(3, 3), strides=1), max_epochs=12)
    CNNClassifier(max_epochs=12,
                  network=SeparableNetwork(kernel_sizes=(3, 3), strides=1))
    """

    _parameter_constraints: dict = {**_CONSTRAINTS}

    def __init__(
        self,
        n_filters=64,
        kernel_sizes=(11, 11, 5, 5),
        strides=(1, 2, 2, 2),
        pool_size=3,
        pool_stride=2,
        n_hidden=300,
        batch_norm=True,
        dropout=0.3,
    ):
        self.n_filters = n_filters
        self.kernel_sizes = kernel_sizes
        self.strides = strides
        self.pool_size = pool_size
        self.pool_stride = pool_stride
        self.n_hidden = n_hidden
        self.batch_norm = batch_norm
        self.dropout = dropout


class TensorAugmentation(BaseEstimator):
    """Random changes of training samples, for the parameter `augmentation` of `CNNClassifier`.

    All changes apply to the standardized input of the network, in training only;
    0 disables a change.

    Parameters
    ----------
    mixup : float, default=0.3
        Parameter of the distribution Beta(`mixup`, `mixup`) of the weights with
        which training samples are blended in pairs [1]_.
    mask : float, default=0.0
        Maximum width of the band that is masked along each image axis, as a
        fraction of its length [2]_.
    mask_channels : float, default=0.0
        Maximum width of the band that is masked along each axis that was folded
        into the channels (scale and rate of an STRF tensor), as a fraction of
        its length.
    shift : float, default=0.0
        Maximum shift along each image axis, as a fraction of its length.
    noise : float, default=0.0
        Standard deviation of additive Gaussian noise.
    gain : float, default=0.0
        Standard deviation of a constant that is added to each sample. On
        log-compressed tensors this is a change of level.
    tilt : float, default=0.0
        Standard deviation of the slope of a ramp along the first image axis that
        is added to each sample. On log-compressed tensors this is a change of
        spectral slope.

    See Also
    --------
    CNNClassifier : Trains the network.
    skstrf.AugmentedClassifier : Changes the sounds rather than the tensors.

    References
    ----------
    .. [1] H. Zhang, M. Cisse, Y. N. Dauphin and D. Lopez-Paz, "mixup: beyond
       empirical risk minimization", ICLR 2018.
    .. [2] D. S. Park et al., "SpecAugment: a simple data augmentation method
       for automatic speech recognition", Interspeech 2019.

    Examples
    --------
    >>> from skstrf.neural import CNNClassifier, TensorAugmentation
    >>> CNNClassifier(augmentation=TensorAugmentation(mask=0.2, shift=0.1))
    CNNClassifier(augmentation=TensorAugmentation(mask=0.2, shift=0.1))
    """

    _parameter_constraints: dict = {
        "mixup": [Interval(Real, 0, None, closed="left")],
        "mask": [Interval(Real, 0, 1, closed="left")],
        "mask_channels": [Interval(Real, 0, 1, closed="left")],
        "shift": [Interval(Real, 0, 1, closed="left")],
        "noise": [Interval(Real, 0, None, closed="left")],
        "gain": [Interval(Real, 0, None, closed="left")],
        "tilt": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(
        self, mixup=0.3, mask=0.0, mask_channels=0.0, shift=0.0, noise=0.0, gain=0.0, tilt=0.0
    ):
        self.mixup = mixup
        self.mask = mask
        self.mask_channels = mask_channels
        self.shift = shift
        self.noise = noise
        self.gain = gain
        self.tilt = tilt


class LayerSpec(NamedTuple):
    """One convolutional layer as it is built; pairs are (first, second image axis).

    `image` is the shape of the image after the pool. Where `between` is not 0 the kernel
    is a column filter with that number of outputs, followed by a row filter.
    """

    in_channels: int
    out_channels: int
    kernel: tuple[int, int]
    stride: tuple[int, int]
    pool: tuple[int, int]
    pool_stride: tuple[int, int]
    between: int
    image: tuple[int, int]


def plan_layers(
    image_shape: tuple[int, int],
    n_channels: int = 1,
    *,
    n_filters: int | Sequence[int] = 64,
    kernel_sizes: Sequence[Any] = (11, 11, 5, 5),
    strides: int | Sequence[Any] = (1, 2, 2, 2),
    pool_size: int | Sequence[Any] = 3,
    pool_stride: int | Sequence[Any] = 2,
    separable_kernels: bool = False,
) -> list[LayerSpec]:
    """Reduce kernels, strides and pools, axis by axis, until they fit an image of any size."""
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
    for n_maps, kernel, stride, pool, step in layers:
        if int(n_maps) != n_maps or n_maps < 1:
            raise ValueError(f"n_filters holds {n_maps!r}: give integers of at least 1.")
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
        spec = LayerSpec(n_channels, int(n_maps), k, s, p, q, 0, left)
        if separable_kernels:
            spec = spec._replace(between=_maps_between(spec, size))
        plan.append(spec)
        size, n_channels = left, int(n_maps)
    return plan


def _per_layer(value: Any, n_layers: int, name: str) -> list[Any]:
    """Expand one value for all layers; a sequence must have one entry per layer."""
    if not isinstance(value, Sequence):
        return [value] * n_layers
    if len(value) != n_layers:
        raise ValueError(
            f"{name} has {len(value)} entries for {n_layers} kernel_sizes: give one for each "
            "layer, or a single number for all."
        )
    return list(value)


def _pair(value: Any, name: str) -> tuple[int, int]:
    """Expand an int to a pair, one value for each image axis."""
    pair = (value, value) if not isinstance(value, Sequence) else tuple(value)
    # The test for infinity comes first, since int(inf) raises an OverflowError.
    if len(pair) != 2 or not all(1 <= p < math.inf and int(p) == p for p in pair):
        raise ValueError(
            f"{name} holds {value!r}: each layer takes an integer of at least 1, or a pair of "
            "them (first image axis, last image axis)."
        )
    return int(pair[0]), int(pair[1])


def _fit_axis(size: int, kernel: int, stride: int, pool: int, step: int) -> tuple[int, ...]:
    """Reduce kernel, stride, pool and its step to an axis of `size`; also the size after them."""
    # Convolutions are zero-padded, so the outer taps of a kernel longer than the axis would
    # mostly meet zeros. Strides and pools that would leave one cell are dropped, since a small
    # image has no resolution to give away.
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
    """Count the outputs of the column filter; 0 where the full kernel is no more expensive."""
    (k0, k1), (s0, s1) = spec.kernel, spec.stride
    height, width = -(-size[0] // s0), -(-size[1] // s1)
    between = max(1, spec.out_channels // 2)
    full = spec.in_channels * k0 * k1 * spec.out_channels * height * width
    columns = spec.in_channels * k0 * between * height * size[1]
    rows = between * k1 * spec.out_channels * height * width
    return between if columns + rows < full else 0


def design_network(
    network: ConvolutionalNetwork | SeparableNetwork,
    shape: tuple[int, int, int],
    n_classes: int,
    *,
    channel_axes: Sequence[int] = (),
    input_scaling: str = "all",
    augmentation: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    """Describe the network for images of a shape in plain values, and log what was reduced."""
    layout = network.get_params(deep=False)
    dense = {key: layout.pop(key) for key in ("n_hidden", "batch_norm", "dropout")}
    plan = plan_layers(shape[1:], shape[0], **layout)
    _log_reductions(plan, layout)
    axes = [int(n) for n in channel_axes] or [int(shape[0])]
    changes: dict[str, Any] = {key: float(value) for key, value in (augmentation or {}).items()}
    if changes.get("mask_channels"):
        changes["channel_axes"] = axes
    separable = isinstance(network, SeparableNetwork)
    return {
        "network": "separable" if separable else "convolutional",
        **({"channel_axes": axes} if separable else {}),
        "plan": [spec._asdict() for spec in plan],
        "n_classes": int(n_classes),
        "n_hidden": int(dense["n_hidden"]),
        "batch_norm": bool(dense["batch_norm"]),
        "dropout": float(dense["dropout"]),
        "augmentation": changes,
        # The shape of the mean and the standard deviation of the input.
        "statistics": [int(n) for n in shape]
        if input_scaling == "cell"
        else [int(shape[0]), 1, 1],
    }


def _log_reductions(plan: list[LayerSpec], layout: Mapping[str, Any]) -> None:
    """Log each kernel, stride and pool that is smaller than requested."""
    for key, argument in (
        ("kernel", "kernel_sizes"),
        ("stride", "strides"),
        ("pool", "pool_size"),
    ):
        values = _per_layer(layout[argument], len(plan), argument)
        for number, (spec, value) in enumerate(zip(plan, values, strict=True), start=1):
            asked, given = _pair(value, argument), getattr(spec, key)
            if any(g < a for g, a in zip(given, asked, strict=True)):
                logger.info(
                    "conv%d: %s %s instead of %s, to fit the image", number, key, given, asked
                )
