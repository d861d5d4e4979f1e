"""Surrogate data, and tests of stationarity against them, as functions of arrays."""

from skstrf.surrogates.generators import iaaft_surrogates, phase_surrogates, stationary_bootstrap
from skstrf.surrogates.lines import lines_test
from skstrf.surrogates.planes import plane_test

__all__ = [
    "iaaft_surrogates",
    "lines_test",
    "phase_surrogates",
    "plane_test",
    "stationary_bootstrap",
]
