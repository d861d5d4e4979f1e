"""What the tests of the commands share."""

import contextlib
import io

import pytest

from skstrf.__main__ import main
from tests.cli.sounds import FAST, write_folder
from tests.figures import blank_png, undrawn
from tests.threads import one_thread

__all__ = ["blank_png", "one_thread", "undrawn"]


@pytest.fixture(autouse=True)
def figures(undrawn):
    """No test here draws its figures, but for `classified` and those that undo this."""
    return undrawn


@pytest.fixture(scope="session")
def sounds(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("data") / "sounds")


@pytest.fixture(scope="session")
def classification(sounds, tmp_path_factory):
    """The output folder of a classification, with what it printed and its messages."""
    out = tmp_path_factory.mktemp("classified") / "deep" / "out"
    printed, messages = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(messages):
        assert main(["classify", str(sounds), "-o", str(out), *FAST, "--seed", "3"]) == 0
    return out, printed.getvalue(), messages.getvalue()


@pytest.fixture(scope="session")
def classified(classification):
    """The output folder of a classification."""
    return classification[0]


@pytest.fixture
def model(classified):
    return str(classified / "model.skops")
