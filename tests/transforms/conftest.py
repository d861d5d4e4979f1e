"""Sounds for the transformers."""

import numpy as np
import pytest

from skstrf.datasets import load_instruments


@pytest.fixture(scope="session")
def recordings():
    """Four bundled recordings, 1.1 s at 16 kHz, float32: saxophone, guitar, drum and tuba."""
    clips = load_instruments(split="test", duration=1.1)
    wanted = ("alto_sax", "electric_guitar", "hand_drum", "tuba")
    names = [clips.target_names[label] for label in clips.target]
    return clips.data[[names.index(name) for name in wanted]]


@pytest.fixture(scope="session")
def convergence():
    """Spectral convergence: relative error of every sound's tensor."""

    def measure(actual, expected):
        axes = tuple(range(1, actual.ndim))
        error = np.sqrt((np.abs(actual - expected) ** 2).sum(axis=axes))
        return error / np.sqrt((np.abs(expected) ** 2).sum(axis=axes))

    return measure


@pytest.fixture(scope="session")
def snr():
    """Signal-to-noise ratio of every sound in dB."""

    def measure(actual, expected):
        expected = np.asarray(expected, dtype=float)
        return 10 * np.log10((expected**2).sum(axis=1) / ((actual - expected) ** 2).sum(axis=1))

    return measure
