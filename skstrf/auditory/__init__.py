"""Auditory model: sounds to spectrograms to cortical tensors, and back, as functions of arrays.

>>> from skstrf.auditory import auditory_spectrogram, cortical_transform
"""

from __future__ import annotations

from typing import Any

from skstrf.auditory.causal import causal_cortical_transform
from skstrf.auditory.cochlea import auditory_spectrogram, auditory_spectrogram_blocks
from skstrf.auditory.cortex import cortical_transform, invert_scale_transform, scale_transform
from skstrf.auditory.filterbanks import center_frequencies, cochlear_filters
from skstrf.auditory.inverse_cochlea import invert_auditory_spectrogram
from skstrf.auditory.inverse_cortex import invert_cortical_transform
from skstrf.auditory.long_sounds import cortical_transform_blocks
from skstrf.auditory.modulation_filters import rate_filter, receptive_field, scale_filter
from skstrf.auditory.ripples import moving_ripple

__all__ = [
    "Cochlea",
    "Cortex",
    "auditory_spectrogram",
    "auditory_spectrogram_blocks",
    "causal_cortical_transform",
    "center_frequencies",
    "cochlear_filters",
    "cortical_transform",
    "cortical_transform_blocks",
    "invert_auditory_spectrogram",
    "invert_cortical_transform",
    "invert_scale_transform",
    "moving_ripple",
    "rate_filter",
    "receptive_field",
    "scale_filter",
    "scale_transform",
]


def __getattr__(name: str) -> Any:
    if name in ("Cochlea", "Cortex"):  # torch is imported only when these are used
        from skstrf.auditory import modules

        return getattr(modules, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
