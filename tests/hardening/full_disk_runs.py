"""Runs of the command line on a disk that is full at some moment, then finished with room.

Run as a program, which loads everything once and forks a process for each run::

    python tests/hardening/full_disk_runs.py KIND SOUNDS FOLDER SEED N_MOMENTS

KIND is transform, classify or search, and FOLDER lies on a small disk of its own. Prints one line
of JSON: the bytes that were free in each run, how the runs ended, and what was wrong.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np

import skstrf.cli.outputs
from skstrf.experiments import _evaluation
from tests.hardening.killed_runs import command, forked, left, wrong

# Parts of the names of temporary files, which no run may leave.
TEMPORARY = (".tmp", ".partial", ".skstrf-", "tensors.npy", "part.npy")


def fill(ballast: Path, room: int) -> None:
    """Write a file that leaves only `room` bytes on its disk."""
    size = max(0, shutil.disk_usage(ballast.parent).free - room)
    with open(ballast, "wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(1, size))


def attempt(kind: str, sounds: Path, out: Path, messages: Path) -> int:
    """Run a command whose messages go to a file."""
    tempfile.tempdir = str(out)
    descriptor = os.open(messages, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(descriptor, 2)
    sys.stderr = os.fdopen(2, "w", closefd=False)
    # The moments to be tested are those at work; tensors are written to the disk.
    skstrf.cli.outputs.LEAST_SPACE = 0
    allocate = _evaluation._allocate
    _evaluation._allocate = lambda shape, dtype, folder, _: allocate(shape, dtype, folder, 0)
    status = command(kind, sounds, out)
    sys.stderr.flush()
    return status


def problem_of(status: int | None, messages: str, out: Path) -> str | None:
    """Return what is wrong with a run that may have met a full disk, if anything."""
    if status is None:
        return "killed by a signal"
    if status not in (0, 2) or isinstance(status, dict):
        return f"{status}: {messages[-500:]}"
    if status == 2 and messages.count(": error: ") != 1:
        return f"no clear message: {messages[-500:]}"
    found = [p for p in out.rglob("*") if any(part in p.name for part in TEMPORARY)]
    return f"left behind: {found}" if found else None


def run(kind: str, sounds: Path, folder: Path, seed: int, n_moments: int) -> dict:
    """Let a run meet a full disk `n_moments` times, each in a new folder, and then finish it."""
    rng = np.random.default_rng(seed)
    messages = sounds.parent / f"messages-{kind}.txt"
    first, ballast = folder / "first", folder / "ballast"
    first.mkdir()
    before = shutil.disk_usage(folder).free
    status = forked(attempt, kind, sounds, first, messages)
    used = before - shutil.disk_usage(folder).free
    whole = forked(left, kind, first)
    bad = [] if status == 0 and whole else [f"undisturbed: {status}, {messages.read_text()}"]
    shutil.rmtree(first)
    rooms, ends = [], []
    for number in range(n_moments):
        out = folder / f"moment-{number}"
        out.mkdir()
        rooms.append(int(rng.uniform(0, 1.2 * used)) // 4096 * 4096)
        fill(ballast, rooms[-1])
        ends.append(forked(attempt, kind, sounds, out, messages))
        problem = problem_of(ends[-1], messages.read_text(errors="replace"), out)
        problem = problem or wrong(forked(left, kind, out), whole, finished=ends[-1] == 0)
        ballast.unlink()
        status = forked(attempt, kind, sounds, out, messages)
        later = problem_of(status, messages.read_text(errors="replace"), out)
        later = later or wrong(forked(left, kind, out), whole, finished=True)
        bad += [f"{rooms[-1]} bytes free: {p}" for p in (problem, later) if p]
        bad += [f"{rooms[-1]} bytes free: {status} with room"] * (status != 0)
        shutil.rmtree(out)
    return {"bad": bad, "used": used, "rooms": rooms, "n_refused": sum(e != 0 for e in ends)}


if __name__ == "__main__":
    kind, sounds, folder, seed, n_moments = sys.argv[1:]
    print(json.dumps(run(kind, Path(sounds), Path(folder), int(seed), int(n_moments))))
