"""Where the reference arrays and the larger, optional data are."""

import os
import subprocess
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pytest

from skstrf.caching.files import temporary_name
from tests import accessibility

matplotlib.use("Agg")
REFERENCE = Path(__file__).parent / "reference"


def shared_folder():
    """The optional data: folder named by SKSTRF_SHARED, else `shared` beside the checkout."""
    beside = Path(__file__).resolve().parents[2] / "shared"
    return Path(os.environ.get("SKSTRF_SHARED", beside))


@pytest.fixture(scope="session")
def shared():
    """Path of the optional data; skips the test where it is absent."""
    folder = shared_folder()
    if not folder.is_dir():
        pytest.skip("the larger reference data is not here (set SKSTRF_SHARED to its folder)")
    return folder


@pytest.fixture(scope="session")
def dead_name():
    """Make a name that a process of this computer gave to a temporary file before it ended."""
    ended = subprocess.Popen([sys.executable, "-S", "-c", ""])
    ended.wait()
    own = f"-{os.getpid()}-"
    return lambda: temporary_name().replace(own, f"-{ended.pid}-")


@pytest.fixture(scope="session")
def page_faults():
    """Say what keeps someone from reading a page of HTML: a list, empty if nothing does."""
    return accessibility.faults


@pytest.fixture(scope="session")
def page_tree():
    """Parse a page of HTML to elements with their attributes, ancestors and text."""
    return accessibility.Tree


@pytest.fixture(scope="session")
def nsl():
    """Load an array file of the NSL reference set: ``nsl("a_tones_aud")``."""

    def load(name):
        path = REFERENCE / "nsl" / f"{name}.npz"
        if not path.exists():
            path = shared_folder() / "reference" / "nsl" / f"{name}.npz"
        if not path.exists():
            pytest.skip(f"{name} is only in the larger reference data, which is not here")
        with np.load(path) as arrays:
            return {key: arrays[key] for key in arrays.files}

    return load
