"""Files that a command writes, all of them or none, and texts that it prints."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from skstrf.caching.files import atomic_write, sweep, temporary_name
from skstrf.utils.disk import check_free_space
from skstrf.utils.messages import escape

__all__ = ["check_cache", "check_output_file", "output_folder", "print_results", "write_results"]

REPORT, RESULTS, MODEL = "report.html", "results.json", "model.skops"
# Bytes that must be free for a report with its results and model.
LEAST_SPACE = 4_000_000


class _Writable(Exception):
    """A file can be written: ends an attempt before it changes anything."""


def check_output_file(
    path: str | Path, *, sources: Iterable[str | Path] = (), n_bytes: int = LEAST_SPACE
) -> None:
    """Check before any work is done that a file can be written; `sources` are not replaced."""
    path = Path(path)
    if path.resolve() in {Path(source).resolve() for source in sources}:
        raise ValueError(f"{path} would be overwritten by the result: name another file.")
    if path.is_dir():
        raise ValueError(f"{path} is a folder: name a file to write.")
    if path.exists() and not path.is_file():
        raise ValueError(f"{path} is a pipe or device: name a file to write.")
    made = _make(path.parent)
    try:
        check_free_space(path, n_bytes)
        with suppress(FileNotFoundError):
            os.lstat(path)  # raises for a name that is too long
        with suppress(_Writable), atomic_write(path) as temporary:
            temporary.touch()
            raise _Writable
    except OSError as error:
        raise ValueError(f"Cannot write {path}: {error.strerror}. Name another file.") from error
    finally:
        _remove_empty(made)


def check_cache(folder: Path) -> None:
    """Check before any work is done that files can be written to the folder of a cache."""
    made = _make(folder)
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise _not_writable(folder, error) from error
    finally:
        _remove_empty(made)


@contextmanager
def output_folder(path: str, cache: Path | None = None) -> Iterator[Path]:
    """Yield a folder whose files move to `path` at the end of the block if there is no error.

    A new `cache` stays after an interruption, so that the same command can resume, but not after
    a ValueError, such as that of a wrong option.
    """
    target = Path(path)
    for name in (REPORT, RESULTS, MODEL):
        if (target / name).is_dir():
            raise ValueError(
                f"{target / name} is a folder, where a file is to be written. Remove it, or name "
                "another folder."
            )
    if cache is not None:
        check_cache(cache)
    check_free_space(target, LEAST_SPACE)
    made = _make(target)
    sweep(target)
    is_new = cache is not None and not cache.exists()
    # Named before it is made, so that an interrupt at any moment finds it to be removed.
    staging = target / temporary_name()
    try:
        try:
            staging.mkdir(mode=0o700)
        except OSError as error:
            raise _not_writable(target, error) from error
        yield staging
        with _uninterrupted():
            for file in sorted(staging.iterdir()):
                file.replace(target / file.name)
    except ValueError:
        if cache is not None and is_new:
            shutil.rmtree(cache, ignore_errors=True)
        raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        _remove_empty(made)


def write_results(
    results: Any, folder: Path, output: str, *, title: str, notes: Sequence[str]
) -> None:
    """Write results and report of an experiment, and its model if it has one."""
    options = {}
    if hasattr(results, "model"):
        from skstrf.model_io import save_model

        loader = results.settings["loader"]
        score = getattr(results, "accuracy", None) or results.score
        metadata: dict[str, Any] = {
            "kind": "classification",
            "classes": results.classes,
            "sample_rate": loader["sample_rate"],
            "duration": loader["duration"],
            "evaluation": results.evaluation,
            "accuracy": score["mean"],
            "settings": results.settings,
            "random_state": results.random_state,
        }
        if hasattr(results, "chance"):
            metadata["chance"] = results.chance["mean"]
        save_model(results.model, folder / MODEL, metadata=metadata)
        options["model_file"] = str(Path(output) / MODEL)
    results.write_json(folder / RESULTS, separate_times=True)
    results.to_report(folder / REPORT, title=title, notes=notes, **options)


def print_results(results: Any, output: str) -> None:
    """Print the summary of an experiment and the paths of its files."""
    print(escape(results.summary(), keep="\n"))
    for name, scores in getattr(results, "extra", {}).items():
        print(
            f"{escape(name)}: accuracy {scores['accuracy']:.3f} ({scores['n_sounds']} sounds; "
            f"chance {scores['chance']:.3f})"
        )
    names = [REPORT, RESULTS, *([MODEL] if hasattr(results, "model") else [])]
    for name in names:
        print(f"{name.split('.')[0] + ':':9}{escape(Path(output) / name)}")


def _make(target: Path) -> list[Path]:
    """Make a folder; return it and its parents that did not exist, deepest first."""
    missing: list[Path] = []
    try:
        missing = [p for p in [target, *target.parents] if not p.exists()]
        if target.exists() and not target.is_dir():
            raise ValueError(f"{target} is a file. Name a folder to write to.")
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        _remove_empty(missing)
        raise _not_writable(target, error) from error
    return missing


def _remove_empty(folders: list[Path]) -> None:
    for folder in folders:
        with suppress(OSError):  # the folder is not empty
            folder.rmdir()


def _not_writable(target: Path, error: OSError) -> ValueError:
    return ValueError(f"Cannot write to {target}: {error.strerror}. Name another folder.")


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Ignore signals while the files are moved, which takes no time."""
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
