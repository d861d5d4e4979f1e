"""Convolutional networks that classify tensors; torch loads when first fitted."""

from skstrf.neural.classifier import CNNClassifier

__all__ = ["CNNClassifier"]
