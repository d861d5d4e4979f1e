"""The science: arrays in, arrays out. Knows no estimator, no file and no plot.

>>> from skstrf.auditory import auditory_spectrogram, cortical_transform
"""

from .cochlea import auditory_spectrogram, frames_per_second, model_sample_rate, resample
from .cortex import DEFAULT_RATES, DEFAULT_SCALES, cortical_transform, signed_rates
from .filterbanks import centre_frequencies, cochlear_filters
from .modulation_filters import rate_filter, scale_filter
from .ripples import moving_ripple

__all__ = [
    "DEFAULT_RATES",
    "DEFAULT_SCALES",
    "auditory_spectrogram",
    "centre_frequencies",
    "cochlear_filters",
    "cortical_transform",
    "frames_per_second",
    "model_sample_rate",
    "moving_ripple",
    "rate_filter",
    "resample",
    "scale_filter",
    "signed_rates",
]
