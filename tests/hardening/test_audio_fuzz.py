"""Damaged sound files end in a clean error or a right result, in bounded memory and time."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from skstrf.datasets import AudioReadError, read_audio

PROGRAM = Path(__file__).with_name("damaged_sounds.py")
pytestmark = pytest.mark.skipif(os.name != "posix", reason="limits memory as posix systems do")


def fuzz(folder, first, n):
    """Judge `n` cases in a separate process; returns its output, or the case that ended it."""
    command = [sys.executable, str(PROGRAM), str(folder), str(first), str(n)]
    process = subprocess.run(command, capture_output=True, text=True, timeout=60 + n / 2)
    if process.returncode != 0:
        case = folder / f"case-{first}.txt"
        told = case.read_text() if case.exists() else "before the first case"
        pytest.fail(f"ended with {process.returncode} at {told}\n{process.stderr[-2000:]}")
    return json.loads(process.stdout)


def check(found, n):
    assert found["bad"] == []
    assert sum(found["counts"].values()) == n
    assert found["slowest_s"] < 10
    assert found["peak_mib"] < 600
    # Every kind of damage was both refused and, where it did no harm, read.
    kinds = {"flip", "cut", "size", "header", "splice"}
    assert set(found["counts"]) == {
        f"{kind} {end}" for kind in kinds for end in ("refused", "read")
    }


def test_a_hundred_damaged_files(tmp_path):
    check(fuzz(tmp_path, 0, 100), 100)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, 10_000, 1000))
def test_ten_thousand_damaged_files(tmp_path, first):
    check(fuzz(tmp_path, first, 1000), 1000)


@pytest.mark.parametrize(
    ("name", "subtype"), [("a.wav", "IMA_ADPCM"), ("a.wav", "MS_ADPCM"), ("a.mp3", None)]
)
def test_no_sound_is_made_up_where_a_block_is_cut(tmp_path, name, subtype):
    # libsndfile decodes what is left of the last block, and fills it up with other samples.
    rate = 16000
    sound = 0.4 * np.sin(2 * np.pi * 440 * np.arange(rate) / rate)
    path, part = tmp_path / name, tmp_path / f"cut-{name}"
    soundfile.write(path, sound, rate, subtype=subtype)
    content = path.read_bytes()
    whole = read_audio(path)
    n_read = 0
    for share in np.linspace(0.2, 0.99, 40):
        part.write_bytes(content[: int(share * len(content))])
        for duration in (0.1, 0.25, 0.6):
            try:
                got = read_audio(part, duration=duration)
            except AudioReadError:
                continue
            n_read += 1
            np.testing.assert_allclose(got, whole[: got.size], atol=1e-6)
    assert n_read > 20  # what lies well before the cut is read
