"""The science: arrays in, arrays out. Knows no estimator, no file and no plot.

>>> from skstrf.auditory import auditory_spectrogram, cortical_transform
"""

from __future__ import annotations

from typing import Any

from skstrf.auditory.cochlea import (
    auditory_spectrogram,
    frames_per_second,
    model_sample_rate,
    resample,
)
from skstrf.auditory.cortex import (
    DEFAULT_RATES,
    DEFAULT_SCALES,
    cortical_transform,
    invert_scale_transform,
    scale_transform,
    signed_rates,
)
from skstrf.auditory.filterbanks import center_frequencies, cochlear_filters
from skstrf.auditory.inverse_cochlea import invert_auditory_spectrogram
from skstrf.auditory.inverse_cortex import invert_cortical_transform
from skstrf.auditory.long_sounds import auditory_spectrogram_blocks, cortical_transform_blocks
from skstrf.auditory.measures import log_spectral_distance, spectrogram_correlation
from skstrf.auditory.modulation_filters import (
    ReceptiveField,
    rate_filter,
    receptive_field,
    scale_filter,
)
from skstrf.auditory.ripples import moving_ripple

__all__ = [
    "Cochlea",
    "Cortex",
    "DEFAULT_RATES",
    "DEFAULT_SCALES",
    "ReceptiveField",
    "auditory_spectrogram",
    "auditory_spectrogram_blocks",
    "center_frequencies",
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
        from skstrf.auditory import modules

        return getattr(modules, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
