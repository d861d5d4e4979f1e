"""Differentiable statistics of textures: Gram matrices, random networks, cortical statistics.

The science of style transfer, in torch: functions of spectrograms and sounds, which know neither
estimators nor files.
"""

from skstrf.texture.cortical import GROUPS, CorticalStatistics, add_moments
from skstrf.texture.gram import (
    InfiniteRandomNetwork,
    RandomNetwork,
    arc_cosine_kernel,
    content_loss,
    finite_gram,
    gram_loss,
    gram_matrix,
    relative_distance,
    style_loss,
)
from skstrf.texture.measures import field_snr, onset_correlation, statistics_snr

__all__ = [
    "GROUPS",
    "CorticalStatistics",
    "InfiniteRandomNetwork",
    "RandomNetwork",
    "add_moments",
    "arc_cosine_kernel",
    "content_loss",
    "field_snr",
    "finite_gram",
    "gram_loss",
    "gram_matrix",
    "onset_correlation",
    "relative_distance",
    "statistics_snr",
    "style_loss",
]
