"""Runs killed at random moments lose nothing, and end as if nothing had happened."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

PROGRAM = Path(__file__).with_name("killed_runs.py")
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="forks processes")


@pytest.fixture
def sounds(tmp_path):
    rng = np.random.default_rng(0)
    times = np.arange(6400) / 16000
    for name, tone in {"low": 300, "high": 2500}.items():
        (tmp_path / "sounds" / name).mkdir(parents=True)
        for i in range(4):
            sound = 0.2 * np.sin(2 * np.pi * tone * times) + 0.01 * rng.standard_normal(6400)
            soundfile.write(tmp_path / "sounds" / name / f"{i}.wav", sound, 16000)
    return tmp_path / "sounds"


def killed(kinds, sounds, seed, n_rounds, n_kills):
    command = [sys.executable, str(PROGRAM), kinds, str(sounds), str(sounds.parent / "out")]
    process = subprocess.run(
        [*command, str(seed), str(n_rounds), str(n_kills)],
        capture_output=True, text=True, timeout=900,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr[-3000:]
    every = [json.loads(line) for line in process.stdout.splitlines()]
    for found in every:
        assert found["bad"] == [], process.stderr[-3000:]
        assert len(found["moments"]) == n_rounds * n_kills
    return every


def test_killed_once(sounds):
    killed("transform", sounds, 0, 1, 1)


@pytest.mark.slow
def test_killed_three_times(sounds):
    killed("transform", sounds, 0, 1, 3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "n_rounds"),
    [("transform", 9), ("search", 8), ("report", 8), ("classify", 13), ("style", 12)],
)
def test_killed_fifty_times(kind, n_rounds, sounds):
    (found,) = killed(kind, sounds, 1, n_rounds, 2)
    # Most of them in the midst of the work, some as soon as the rest of it was done.
    assert found["n_at_work"] >= 0.5 * len(found["moments"])
