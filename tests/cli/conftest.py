"""What the tests of the commands share."""

import pytest

from skstrf.__main__ import main
from tests.cli.sounds import FAST, write_folder
from tests.threads import one_thread

__all__ = ["one_thread"]  # a fixture of every test here


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
