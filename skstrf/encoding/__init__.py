"""Receptive fields from responses, and models that predict responses from sound."""

from skstrf.encoding.neurons import bin_spikes, load_spikes, noise_ceiling, simulate_neuron
from skstrf.encoding.regression import STRFRegressor

__all__ = [
    "STRFRegressor",
    "bin_spikes",
    "load_spikes",
    "noise_ceiling",
    "simulate_neuron",
]
