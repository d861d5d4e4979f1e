import numpy as np
import pytest

from tests.neural.small_networks import FAST, classifier, patterns
from tests.threads import one_thread

__all__ = ["one_thread"]  # a fixture of every test here


@pytest.fixture(scope="module")
def data():
    return patterns()


@pytest.fixture(scope="module")
def fitted(data):
    X, y = data
    return classifier(**FAST).fit(X, np.array(["bass", "flute", "ümlaut"])[y])
