"""Differentiable statistics of textures: Gram matrices, random networks, cortical statistics.

The science of style transfer, in torch: functions of spectrograms and sounds, which know neither
estimators nor files.
"""

from .arc_cosine import arc_cosine_kernel
from .cortical import GROUPS, CorticalStatistics, add_moments
from .gram import content_loss, gram_loss, gram_matrix, relative_distance, style_loss
from .measures import field_snr, onset_correlation, statistics_snr
from .random_network import InfiniteRandomNetwork, RandomNetwork, finite_gram

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
