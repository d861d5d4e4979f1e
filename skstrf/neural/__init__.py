"""Convolutional networks that classify tensors; torch loads when first fitted."""

from __future__ import annotations

from typing import Any

from skstrf.neural.architecture import ConvolutionalNetwork, SeparableNetwork, TensorAugmentation
from skstrf.neural.classifier import CNNClassifier, make_eremeeva2017_classifier
from skstrf.neural.exceptions import TrainingDivergedError

__all__ = [
    "CNNClassifier",
    "ConvolutionalNetwork",
    "SeparableNetwork",
    "TensorAugmentation",
    "TrainingDivergedError",
    "make_eremeeva2017_classifier",
    "pretrain_masked",
]


def __getattr__(name: str) -> Any:
    # The function needs torch's classes, which are not to be loaded with the package.
    if name == "pretrain_masked":
        from skstrf.neural.pretraining import pretrain_masked

        return pretrain_masked
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
