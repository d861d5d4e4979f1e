"""One thread for parts of the tests in which everything is small."""

import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Threads cost more than they gain there, a great deal so on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
