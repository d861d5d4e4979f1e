"""Running an experiment by its name, to results that repeat and a report."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from skstrf.caching.files import atomic_write
from skstrf.caching.fingerprints import hash_strings
from skstrf.caching.results import to_jsonable
from skstrf.experiments._base import _divide_times
from skstrf.experiments.registry import EXPERIMENTS, Options

__all__ = ["run_experiment"]

REPORT, RESULTS, ABOUT = "report.html", "results.json", "settings.json"


def run_experiment(name: str, output: str, options: Options) -> dict[str, Any]:
    """Run an experiment, or what is left of it, and write results and report."""
    if name not in EXPERIMENTS:
        raise ValueError(f"no experiment {name!r}. There are {', '.join(EXPERIMENTS)}.")
    experiment, folder = EXPERIMENTS[name], Path(output)
    about = {"experiment": name} | to_jsonable(options.decisive())
    _claim(folder, about)
    done = folder / RESULTS
    if done.exists() and (folder / REPORT).exists():
        return json.loads(done.read_text(encoding="utf-8"))
    began = time.time()
    results, notes = experiment.run(options, folder)
    # The folder of the cache differs as times do.
    found, times = _divide_times(results.to_dict())
    written = {
        "experiment": name,
        "settings": about,
        "summary": _without_times(results.summary()),
        "results": found,
        "times": {
            "began": time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(began)),
            "seconds": time.time() - began,
            "results": times,
        },
    }
    title = f"{name.capitalize()}: {Path(options.data).resolve().name}"
    results.to_report(folder / REPORT, title=title, notes=notes)
    with atomic_write(done) as temporary:
        text = json.dumps(written, indent=1, ensure_ascii=False, allow_nan=False)
        temporary.write_text(text + "\n", encoding="utf-8")
    return written


def _without_times(text: str) -> list[str]:
    """Give the lines of a summary without their times."""
    return [line.rpartition(", ")[0] if line.endswith(" s") else line for line in text.split("\n")]


def _claim(folder: Path, about: dict[str, Any]) -> None:
    """Note what the folder is for, or check that it is for the same."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / ABOUT
        if not path.exists():
            with atomic_write(path) as temporary:
                temporary.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
            return
        known = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is damaged: name another folder, or delete it.") from error
    except OSError as error:
        raise ValueError(f"Cannot write to {folder}: {error.strerror}.") from error
    if hash_strings(json.dumps(known)) == hash_strings(json.dumps(about)):
        return
    keys = sorted(k for k in known.keys() | about.keys() if known.get(k) != about.get(k))
    raise ValueError(
        f"{folder} holds an experiment with other settings: {', '.join(keys)}. Give the same to "
        "go on with it, or name another folder."
    )
