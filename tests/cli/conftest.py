"""What the tests of the commands share."""

import pytest
import torch

from skstrf.__main__ import main
from tests.cli.sounds import FAST, write_folder


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Threads cost more than they gain where everything is small."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def sounds(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("data") / "sounds")


@pytest.fixture(scope="session")
def classified(sounds, tmp_path_factory):
    """The output folder of a classification."""
    out = tmp_path_factory.mktemp("classified") / "deep" / "out"
    assert main(["classify", str(sounds), "-o", str(out), *FAST, "--seed", "3"]) == 0
    return out


@pytest.fixture
def model(classified):
    return str(classified / "model.skops")
