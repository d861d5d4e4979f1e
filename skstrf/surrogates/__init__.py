"""Surrogate data, and tests of stationarity against them: arrays in, arrays out."""

from skstrf.surrogates.fields import make_field
from skstrf.surrogates.generators import (
    automatic_block_length,
    gaussianized,
    iaaft_surrogates,
    phase_surrogates,
    stationary_bootstrap,
)
from skstrf.surrogates.lines import (
    LineTest,
    color,
    fit_autoregression,
    kpss_statistic,
    lines_test,
    null_share,
    sieve_surrogates,
    stationarity_rate,
    whiten,
)
from skstrf.surrogates.planes import (
    PlaneTest,
    local_spectra,
    median_polish,
    plane_test,
    resample_axis,
    resample_plane,
)

__all__ = [
    "LineTest",
    "PlaneTest",
    "automatic_block_length",
    "color",
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
