"""Surrogate data, and tests of stationarity against them: arrays in, arrays out."""

from .autoregression import colour, fit_autoregression, whiten
from .fields import make_field
from .generators import (
    automatic_block_length,
    gaussianized,
    iaaft_surrogates,
    phase_surrogates,
    stationary_bootstrap,
)
from .grids import resample_axis, resample_plane
from .lines import LineTest, kpss_statistic, lines_test, sieve_surrogates
from .planes import PlaneTest, local_spectra, median_polish, plane_test
from .rates import null_share, stationarity_rate

__all__ = [
    "LineTest",
    "PlaneTest",
    "automatic_block_length",
    "colour",
    "fit_autoregression",
    "gaussianized",
    "iaaft_surrogates",
    "kpss_statistic",
    "lines_test",
    "local_spectra",
    "make_field",
    "median_polish",
    "null_share",
    "phase_surrogates",
    "plane_test",
    "resample_axis",
    "resample_plane",
    "sieve_surrogates",
    "stationarity_rate",
    "stationary_bootstrap",
    "whiten",
]
