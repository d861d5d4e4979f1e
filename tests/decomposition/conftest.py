"""What the tests of MPCA share."""

import pytest

from tests.decomposition.tensors import tensors


@pytest.fixture
def x():
    return tensors()
