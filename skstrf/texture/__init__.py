"""Differentiable texture statistics: Gram matrices, random networks and cortical statistics.

Functions and torch modules of spectrograms and sounds, on which style transfer is built.
"""

from skstrf.texture.cortical import CorticalStatistics
from skstrf.texture.gram import (
    InfiniteRandomNetwork,
    RandomNetwork,
    content_loss,
    gram_loss,
    gram_matrix,
)

__all__ = [
    "CorticalStatistics",
    "InfiniteRandomNetwork",
    "RandomNetwork",
    "content_loss",
    "gram_loss",
    "gram_matrix",
]
