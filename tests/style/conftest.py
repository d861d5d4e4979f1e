import numpy as np
import pytest
from scipy.signal import lfilter

from skstrf import STFTTransformer

RATE = 8000


@pytest.fixture(scope="session")
def clicks():
    """A content: one second with a decaying tone four times."""
    times = np.arange(RATE) / RATE
    return 0.5 * np.sin(2 * np.pi * 500 * times) * np.exp(-12 * (times % 0.25))


@pytest.fixture(scope="session")
def hiss():
    """A style: one second of low noise that flutters."""
    noise = lfilter([1], [1, -0.9], np.random.default_rng(0).standard_normal(RATE))
    return 0.02 * noise * (1 + 0.8 * np.sin(2 * np.pi * 11 * np.arange(RATE) / RATE))


@pytest.fixture
def stft():
    """The default representation, quick enough for tests."""
    return STFTTransformer(
        sample_rate=RATE, frame_rate=50, n_fft=512, compression="log", compression_floor=1.0
    )
