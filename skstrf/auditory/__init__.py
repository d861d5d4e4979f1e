"""The science: arrays in, arrays out. Knows no estimator, no file and no plot.

>>> from skstrf.auditory import auditory_spectrogram, cortical_transform
"""

from __future__ import annotations

from typing import Any

from .cochlea import auditory_spectrogram, frames_per_second, model_sample_rate, resample
from .cortex import DEFAULT_RATES, DEFAULT_SCALES, cortical_transform, signed_rates
from .filterbanks import centre_frequencies, cochlear_filters
from .inverse_cochlea import invert_auditory_spectrogram
from .inverse_cortex import invert_cortical_transform
from .long import auditory_spectrogram_blocks
from .long_cortex import cortical_transform_blocks
from .measures import log_spectral_distance, spectrogram_correlation
from .modulation_filters import rate_filter, scale_filter
from .receptive_fields import ReceptiveField, receptive_field
from .ripples import moving_ripple
from .scale import invert_scale_transform, scale_transform

__all__ = [
    "Cochlea",
    "Cortex",
    "DEFAULT_RATES",
    "DEFAULT_SCALES",
    "ReceptiveField",
    "auditory_spectrogram",
    "auditory_spectrogram_blocks",
    "centre_frequencies",
    "cochlear_filters",
    "cortical_transform",
    "cortical_transform_blocks",
    "frames_per_second",
    "invert_auditory_spectrogram",
    "invert_cortical_transform",
    "invert_scale_transform",
    "log_spectral_distance",
    "model_sample_rate",
    "moving_ripple",
    "rate_filter",
    "receptive_field",
    "resample",
    "scale_filter",
    "scale_transform",
    "signed_rates",
    "spectrogram_correlation",
]


def __getattr__(name: str) -> Any:
    if name in ("Cochlea", "Cortex"):  # torch modules: torch is loaded when they are asked for
        from . import differentiable

        return getattr(differentiable, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
