import numpy as np
import pytest

from skstrf.neural import CNNClassifier
from tests.neural.small_networks import FAST, patterns


@pytest.fixture(autouse=True, scope="package")
def one_thread():
    """Nets this small only lose by threads, a great deal so on a busy machine."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def data():
    return patterns()


@pytest.fixture(scope="module")
def fitted(data):
    X, y = data
    return CNNClassifier(**FAST).fit(X, np.array(["bass", "flute", "ümlaut"])[y])
