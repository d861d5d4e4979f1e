"""The properties with many more examples, other ones in every run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

MODULES = sorted(Path(__file__).parent.glob("test_properties_*.py"))


@pytest.mark.slow
@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem.split("_")[-1])
def test_no_example_breaks_a_property(module):
    environment = {**os.environ, "SKSTRF_EXAMPLES": os.environ.get("SKSTRF_EXAMPLES", "20")}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(module)]
    process = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=3000,
        cwd=module.parents[2],
    )  # fmt: skip
    assert process.returncode == 0, process.stdout[-6000:]
