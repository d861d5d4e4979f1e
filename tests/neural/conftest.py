import pytest


@pytest.fixture(autouse=True, scope="package")
def one_thread():
    """Nets this small only lose by threads, a great deal so on a busy machine."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
