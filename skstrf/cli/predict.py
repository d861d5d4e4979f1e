"""``skstrf predict``: predict the classes of sounds with a trained model."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from skstrf.cli.options import add_options, add_subparser, n_threads, positive_int
from skstrf.utils.messages import escape

__all__ = ["add_command", "run"]

DESCRIPTION = "Predict the classes of sounds with a model of skstrf classify or skstrf search."
EPILOG = """output:
  one line per file with path, class and probability, separated by tabs
  (--top K: the K most probable classes with their probabilities; --json: one JSON list).
  Bytes of a path that are not UTF-8, and control characters, are printed as escapes.
  A file that cannot be used is reported on stderr, and the exit status is 1.

examples:
  skstrf predict report/model.skops new/*.wav
  skstrf predict report/model.skops recordings/ --top 3
  skstrf predict report/model.skops recordings/ --json > classes.json"""
# Number of sounds in memory at a time.
CHUNK = 16


def add_command(commands: Any) -> argparse.ArgumentParser:
    """Add the parser of the command."""
    summary = "predict the classes of sounds with a trained model"
    parser = add_subparser(commands, "predict", summary, DESCRIPTION, EPILOG)
    add = parser.add_argument
    add("model", metavar="MODEL", help="model.skops of skstrf classify or skstrf search")
    add("files", metavar="FILES", nargs="+", help="sounds, and folders to search for sounds")
    add("--json", action="store_true", help="print JSON")
    add(
        "--top",
        metavar="K",
        type=positive_int,
        default=1,
        help="number of most probable classes to print (default: %(default)s)",
    )
    add_options(parser, "--n-jobs")
    return parser


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    model = _load(args.model, n_threads(args.n_jobs))
    rows = []
    for row in _predictions(model, args.model, args.files, args.top):
        rows.append(row)
        name = escape(row["file"])
        if "error" in row:
            print(f"{name}: {row['error']}", file=sys.stderr, flush=True)
        elif not args.json:
            cells = [f"{escape(str(c['class']))}\t{c['probability']:.4f}" for c in row["classes"]]
            print("\t".join([name, *cells]), flush=True)
    if args.json:
        # JSON itself escapes control characters; other escapes keep the bytes of a path.
        text = json.dumps(rows, indent=1, ensure_ascii=False)
        print(text.encode("utf-8", "backslashreplace").decode("utf-8"))
    return 1 if any("error" in row for row in rows) else 0


def _load(path: str, n_jobs: int) -> Any:
    """Load the model, and make it leave out unusable files and use the present machine."""
    from sklearn.pipeline import Pipeline

    from skstrf.datasets import AudioLoader
    from skstrf.model_io import load_model

    model = load_model(path)
    try:
        is_usable = (
            isinstance(model, Pipeline)
            and isinstance(model[0], AudioLoader)
            and hasattr(model, "predict_proba")
        )
    except Exception:  # steps of a crafted file can be anything
        is_usable = False
    if not is_usable:
        raise ValueError(
            f"{escape(path)} holds a model of another kind ({type(model).__name__}), which does "
            "not predict the classes of sound files. Use the model.skops of skstrf classify."
        )
    model[0].set_params(on_error="warn", n_jobs=n_jobs, verbose=False)
    for _, step in model.steps[1:]:
        # The machine of the training can have had a GPU or another number of cores.
        known = step.get_params(deep=False)
        here = {"device": "auto", "n_jobs": n_jobs}
        step.set_params(**{name: value for name, value in here.items() if name in known})
    return model


def _predictions(model: Any, path: str, files: list[str], top: int) -> Iterator[dict[str, Any]]:
    """Yield the most probable classes of each file, or its error."""
    from skstrf.datasets import find_audio_files

    filenames: list[str] = []
    for name in files:
        found = find_audio_files(name) if Path(name).is_dir() else [name]
        if not found:
            yield {"file": name, "error": "is a folder without sound files."}
        filenames += found
    for start in range(0, len(filenames), CHUNK):
        chunk = filenames[start : start + CHUNK]
        with _errors_name_model(path):
            sounds, errors = model[0].read(chunk)
            good = [row for row in range(len(chunk)) if row not in errors]
            proba = iter(_probabilities(model, sounds[good]) if good else ())
        for row, filename in enumerate(chunk):
            if row in errors:
                yield {"file": filename, "error": errors[row].reason}
                continue
            shares = next(proba)
            best = np.argsort(-shares, kind="stable")[:top]
            classes = [
                {"class": model.classes_[i : i + 1].tolist()[0], "probability": float(shares[i])}
                for i in best
            ]
            yield {"file": filename, **classes[0], "classes": classes}


def _probabilities(model: Any, sounds: np.ndarray) -> np.ndarray:
    """Return the probabilities of the classes of sounds."""
    from sklearn.pipeline import Pipeline

    proba = np.asarray(Pipeline(model.steps[1:]).predict_proba(sounds))
    n_classes = np.ndarray.__len__(model.classes_)
    if proba.shape != (len(sounds), n_classes):
        raise TypeError(f"it gives an array of shape {proba.shape} for {n_classes} classes")
    return proba


@contextmanager
def _errors_name_model(path: str) -> Iterator[None]:
    """Turn errors of a damaged or crafted model into one that names its file."""
    try:
        yield
    except (ValueError, OSError):
        raise
    except Exception as error:
        raise ValueError(
            f"{escape(path)} cannot predict the classes of these sounds: "
            f"{type(error).__name__}: {error}. Copy the model again from where it came, or train "
            "it again."
        ) from error
