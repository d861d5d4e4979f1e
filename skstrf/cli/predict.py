"""``skstrf predict``: say what class sounds are of."""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from skstrf.cli.options import add_subparser, n_threads

__all__ = ["add_command", "run"]

DESCRIPTION = "Say what class sounds are of, with a model that skstrf classify has written."
EPILOG = """output:
  a line for each file: path, class and probability, with tabs between them
  (--top K: the K most probable classes with their probabilities; --json: one JSON list).
  A file that cannot be used is named on stderr, the others go on, and the exit status is 1.

examples:
  skstrf predict report/model.skops new/*.wav
  skstrf predict report/model.skops recordings/ --top 3
  skstrf predict report/model.skops recordings/ --json > classes.json"""
# Sounds in hand at a time.
CHUNK = 16


def add_command(commands: Any) -> argparse.ArgumentParser:
    """Add the command to the program's."""
    parser = add_subparser(
        commands, "predict", "say what class sounds are of", DESCRIPTION, EPILOG
    )
    parser.add_argument("model", metavar="MODEL", help="model.skops of skstrf classify")
    parser.add_argument(
        "files", metavar="FILES", nargs="+", help="sounds, and folders to search for sounds"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--top", metavar="K", type=int, default=1, help="classes to name (default: %(default)s)"
    )
    parser.add_argument(
        "--n-jobs",
        metavar="N",
        type=int,
        help="threads that read and transform (default: all cores)",
    )
    return parser


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    if args.top < 1:
        raise ValueError(f"--top must be 1 or more, got {args.top}.")
    model = _load(args.model, n_threads(args.n_jobs))
    rows = []
    for row in _predictions(model, args.files, args.top):
        rows.append(row)
        if "error" in row:
            print(f"{row['file']}: {row['error']}", file=sys.stderr, flush=True)
        elif not args.json:
            cells = [f"{c['class']}\t{c['probability']:.4f}" for c in row["classes"]]
            print("\t".join([row["file"], *cells]), flush=True)
    if args.json:
        print(json.dumps(rows, indent=1, ensure_ascii=False))
    return 1 if any("error" in row for row in rows) else 0


def _load(path: str, n_jobs: int) -> Any:
    """Load the model and make it go on where a file is bad."""
    from sklearn.pipeline import Pipeline

    from skstrf.datasets import AudioLoader
    from skstrf.model_io import load_model

    model = load_model(path)
    if not (
        isinstance(model, Pipeline)
        and isinstance(model[0], AudioLoader)
        and hasattr(model, "predict_proba")
    ):
        raise ValueError(
            f"{path} holds a model of another kind ({type(model).__name__}), which does not say "
            "the classes of sound files. Use the model.skops of skstrf classify."
        )
    model[0].set_params(on_error="warn", n_jobs=n_jobs, verbose=False)
    for _, step in model.steps[1:]:
        # The machine that learned may have had a GPU or other cores.
        known = step.get_params(deep=False)
        here = {"device": "auto", "n_jobs": n_jobs}
        step.set_params(**{name: value for name, value in here.items() if name in known})
    return model


def _predictions(model: Any, files: list[str], top: int) -> Iterator[dict[str, Any]]:
    """Yield for each file its most probable classes, or what was wrong."""
    paths: list[str] = []
    for name in files:
        found, error = _expand(name)
        if error:
            yield {"file": name, "error": error}
        paths += found
    for start in range(0, len(paths), CHUNK):
        yield from _predict_chunk(model, paths[start : start + CHUNK], top)


def _predict_chunk(model: Any, paths: list[str], top: int) -> Iterator[dict[str, Any]]:
    from sklearn.pipeline import Pipeline

    loader = model[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of bad files, which are reported one by one
        sounds = loader.transform(paths)
    good = [row for row, path in enumerate(paths) if path not in loader.errors_]
    proba = Pipeline(model.steps[1:]).predict_proba(sounds[good]) if good else np.empty((0, 0))
    for row, path in enumerate(paths):
        if row not in good:
            yield {"file": path, "error": loader.errors_[path]}
            continue
        shares = proba[good.index(row)]
        best = np.argsort(-shares, kind="stable")[:top]
        classes = [
            {"class": _plain(model.classes_[i]), "probability": float(shares[i])} for i in best
        ]
        yield {"file": path, **classes[0], "classes": classes}


def _expand(name: str) -> tuple[list[str], str | None]:
    """List the sounds of a folder; a file stands for itself."""
    from skstrf.datasets import find_audio_files

    if not Path(name).is_dir():
        return [name], None
    found = find_audio_files(name)
    return found, None if found else "is a folder without sound files."


def _plain(label: Any) -> Any:
    return label.item() if isinstance(label, np.generic) else label
