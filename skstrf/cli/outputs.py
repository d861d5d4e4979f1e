"""The files that a command writes: all of them, or none."""

from __future__ import annotations

import secrets
import shutil
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from skstrf.experiments import ClassificationResults

__all__ = ["output_folder", "print_results", "write_results"]

REPORT, RESULTS, MODEL = "report.html", "results.json", "model.skops"


@contextmanager
def output_folder(path: str) -> Iterator[Path]:
    """Give a folder to write to, whose files move to `path` once the block has ended well."""
    target = Path(path)
    made = _make(target)
    # Named before it is made, so that an interrupt at any moment finds it to be cleared away.
    staging = target / f".skstrf-{secrets.token_hex(8)}"
    try:
        try:
            staging.mkdir(mode=0o700)
        except OSError as error:
            raise _not_writable(target, error) from error
        yield staging
        with _uninterrupted():
            for file in sorted(staging.iterdir()):
                file.replace(target / file.name)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        _remove_empty(made)


def write_results(
    results: ClassificationResults, folder: Path, output: str, *, title: str, notes: list[str]
) -> None:
    """Write report, results and model of an experiment."""
    from skstrf.model_io import save_model

    loader = results.settings["loader"]
    metadata: dict[str, Any] = {
        "kind": "classification",
        "classes": results.classes,
        "sample_rate": loader["sample_rate"],
        "duration": loader["duration"],
        "evaluation": results.evaluation,
        "accuracy": results.accuracy["mean"],
        "chance": results.chance["mean"],
        "settings": results.settings,
        "random_state": results.random_state,
    }
    save_model(results.model, folder / MODEL, metadata=metadata)
    results.write_json(folder / RESULTS)
    model_file = str(Path(output) / MODEL)
    results.to_report(folder / REPORT, title=title, notes=notes, model_file=model_file)


def print_results(results: ClassificationResults, output: str) -> None:
    """Print the accuracy against chance, and where the files are."""
    print(results.summary())
    for name, scores in results.extra.items():
        print(
            f"{name}: accuracy {scores['accuracy']:.3f} ({scores['n_sounds']} sounds; "
            f"chance {scores['chance']:.3f})"
        )
    for name in (REPORT, RESULTS, MODEL):
        print(f"{name.split('.')[0] + ':':9}{Path(output) / name}")


def _make(target: Path) -> list[Path]:
    """Make a folder; return it and its parents as far as they were missing, deepest first."""
    missing = [p for p in [target, *target.parents] if not p.exists()]
    if target.exists() and not target.is_dir():
        raise ValueError(f"{target} is a file. Name a folder to write to.")
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        _remove_empty(missing)
        raise _not_writable(target, error) from error
    return missing


def _remove_empty(folders: list[Path]) -> None:
    for folder in folders:
        with suppress(OSError):  # something lies in it
            folder.rmdir()


def _not_writable(target: Path, error: OSError) -> ValueError:
    return ValueError(f"Cannot write to {target}: {error.strerror}. Name another folder.")


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Let nothing come between the moves of the files; they take no time."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, signal.SIG_IGN) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
