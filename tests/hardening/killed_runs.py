"""Runs of the command line that are killed at random moments, then finished.

Run as a program, which loads everything once and forks a process for each run, so that what is
killed is the work and not the start of Python::

    python tests/hardening/killed_runs.py KINDS SOUNDS FOLDER SEED N_ROUNDS KILLS_A_ROUND

KINDS are one or more of transform, search, report, classify and style, joined by "+". Prints a
line of JSON for each: when the runs were killed, and what was wrong with what they left.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np

import skstrf.cli.search
import skstrf.cli.style
import skstrf.cli.transform
import skstrf.experiments.comparison  # noqa: F401
from skstrf.__main__ import main
from skstrf.auditory import auditory_spectrogram
from skstrf.corpus_store import open_tensors

BANK = ("--rates", "4", "--scales", "1")
QUICK = (*BANK, "--duration", "0.4", "--max-epochs", "2", "--folds", "2", "--device", "cpu")
# Of a trial, what a stop does not change: not how long it took, nor which number it got.
KEPT = ("params", "score", "folds", "curve", "state")


def command(kind: str, sounds: Path, out: Path) -> int:
    """Run, or go on with, one piece of work."""
    if kind == "transform":
        return main(["transform", str(sounds), "-o", str(out / "a.zarr"), *BANK])
    if kind == "search":
        space = ("--search", "cnn__network__n_filters=2,4", "cnn__lr=0.001,0.01", "--no-prune")
        return main(["search", str(sounds), "-o", str(out), *QUICK, *space, "--n-trials", "3"])
    if kind == "classify":
        return main(["classify", str(sounds), "-o", str(out), *QUICK])
    if kind == "style":
        quick = ("--duration", "0.4", "--max-iter", "3", "--network", "random", "--device", "cpu")
        return main(["style", str(sounds), "-o", str(out), *quick])
    more = ("--what", "classifiers", "--seeds", "1")
    return main(["compare", str(sounds), "-o", str(out), *QUICK, *more])


def left(kind: str, out: Path) -> dict | None:
    """What a run has left for others to read; None when that is nothing yet."""
    if kind == "transform":
        if not (out / "a.zarr").exists():
            return None
        try:
            store = open_tensors(out / "a.zarr", allow_partial=True)
        except ValueError as error:
            return {"bad": str(error)}
        return {p: store.X[i].tobytes().hex() for i, p in enumerate(store.paths) if store.mask[i]}
    if not (out / "results.json").exists():
        return None
    results = json.loads((out / "results.json").read_text())
    if kind == "search":
        ended = [trial for trial in results["trials"] if trial["state"] != "FAIL"]
        return {"trials": [{key: trial[key] for key in KEPT} for trial in ended]}
    del results["times"]
    return results


def forked(function, *args, after: float | None = None):
    """What `function` gives in a process of its own, or None if it was killed `after` seconds."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.setsid()
        os.close(read)
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        try:
            result = function(*args)
        except BaseException as error:
            result = {"bad": f"{type(error).__name__}: {error}"}
        with os.fdopen(write, "w") as pipe:
            json.dump(result, pipe)
        os._exit(0)
    os.close(write)
    if after is not None:
        time.sleep(after)
        os.killpg(child, signal.SIGKILL)
    with os.fdopen(read) as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    return json.loads(text) if text else None


def wrong(found: dict | None, whole: dict, *, finished: bool) -> str | None:
    """What is wrong with what is left of a run, if anything."""
    if found is None:
        return "nothing is left" if finished else None
    if "bad" in found:
        return found["bad"]
    if finished or "trials" in found or "settings" in found:
        return None if found == whole else "not what an uninterrupted run gives"
    other = [path for path, row in found.items() if whole.get(path) != row]
    return f"other numbers for {other}" if other else None


def run(kind: str, sounds: Path, folder: Path, seed: int, n_rounds: int, n_kills: int) -> dict:
    """Kill `n_kills` runs in each of `n_rounds` folders, then let one go to the end."""
    rng = np.random.default_rng(seed)
    (folder / "first").mkdir(parents=True)
    auditory_spectrogram(np.zeros(100), n_jobs=1)  # loads the compiled kernel
    began = time.perf_counter()
    status = forked(command, kind, sounds, folder / "first")
    seconds = time.perf_counter() - began
    whole = forked(left, kind, folder / "first")
    bad = [] if status == 0 and whole else [f"uninterrupted: {status}, {whole}"]
    moments, n_at_work = [], 0
    for number in range(n_rounds):
        out = folder / f"round-{number}"
        out.mkdir()
        for _ in range(n_kills):
            # What goes on has less left to do; and nothing is killed that has ended.
            moments.append(round(float(rng.uniform(0.02, 0.75 * seconds)), 3))
            n_at_work += forked(command, kind, sounds, out, after=moments[-1]) is None
            problem = wrong(forked(left, kind, out), whole, finished=False)
            if problem:
                bad.append(f"round {number}, killed after {moments[-1]} s: {problem}")
        status = forked(command, kind, sounds, out)
        problem = wrong(forked(left, kind, out), whole, finished=True)
        if status != 0 or problem:
            bad.append(f"round {number}, after {moments[-n_kills:]}: {status}, {problem}")
        # A store that was being made stays beside until a later run finds it ten minutes old.
        bad += [f"left behind: {p}" for p in out.glob("a.zarr/**/.skstrf-*")]
    return {"bad": bad, "seconds": seconds, "moments": moments, "n_at_work": n_at_work}


if __name__ == "__main__":
    kinds, sounds, folder, *numbers = sys.argv[1:]
    for kind in kinds.split("+"):
        result = run(kind, Path(sounds), Path(folder) / kind, *map(int, numbers))
        print(json.dumps(result), flush=True)
