"""From the settings of a style transfer to the objective they mean."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from sklearn.utils import check_random_state

from ..neural import CNNClassifier
from ..neural.fitting import raw_module
from ..texture import GROUPS, CorticalStatistics, RandomNetwork
from ..transforms import STRFTransformer
from ..utils.validation import check_is_fitted
from .objectives import (
    ClassifierObjective,
    CorticalObjective,
    FiniteObjective,
    InfiniteObjective,
    Objective,
)

__all__ = ["check_network", "cortical_model", "make_objective", "shortest_style"]

_FRAME = 8e-3  # seconds of the auditory spectrogram


def check_network(transfer: Any, representation: Any) -> None:
    """Refuse networks and layers that do not go with the representation.

    Parameters
    ----------
    transfer : StyleTransfer
        Its settings.
    representation : transformer
        Fitted, on sounds of any length.

    Raises
    ------
    ValueError
        When the classifier has seen tensors of other axes, or layers are unknown.
    sklearn.exceptions.NotFittedError
        When it is not fitted.
    """
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
    if module.standardise.mean.shape[-1] > 1:
        raise ValueError(
            "the classifier standardises every cell of its images, so that sounds of other "
            "lengths have no place: fit one with standardise='channel' or 'all'."
        )


def make_objective(
    transfer: Any, styles: Sequence[torch.Tensor], n_times: int, device: str
) -> Objective:
    """Make the objective for styles.

    Parameters
    ----------
    transfer : StyleTransfer
        Its settings.
    styles : sequence of torch.Tensor
        What the domain makes of each style: tensors, or sounds for the cortical statistics.
    n_times : int
        Samples of the contents to come.
    device : str
        Where to compute.

    Returns
    -------
    Objective
        That waits for a content.
    """
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
    """Make the texture statistics for sounds of a length.

    Parameters
    ----------
    representation : transformer
        An STRFTransformer gives its rates and scales, any other one its sample rate alone.
    n_times : int
        Samples of the longest sound, at the rate of `representation`.

    Returns
    -------
    CorticalStatistics
        On the CPU.
    """
    seconds = n_times / representation.sample_rate
    n_frames = int(np.ceil(seconds / _FRAME)) + 1
    if isinstance(representation, STRFTransformer):
        bank = representation._bank()
        return CorticalStatistics(n_frames, bank["rates"], bank["scales"])
    return CorticalStatistics(n_frames)


def shortest_style(transfer: Any, representation: Any) -> int:
    """Count the samples that a style must have at least.

    Parameters
    ----------
    transfer : StyleTransfer
        Its settings.
    representation : transformer
        Fitted.

    Returns
    -------
    int
        For a filter to see it once, or for statistics to mean something.
    """
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
