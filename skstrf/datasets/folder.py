"""A folder of sounds with their classes, as one labelled data set."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.utils import Bunch

from skstrf.datasets.audio import DURATION, MAX_DURATION, OFFSET, SAMPLE_RATE, count_samples
from skstrf.datasets.batch import read_many, scan_headers, summarise_errors, warn_of_errors
from skstrf.datasets.headers import AudioReadError
from skstrf.datasets.tables import Entry, check_folder, from_csv, from_subfolders
from skstrf.utils.validation import Integral, Interval, Options, StrOptions, validate_params

__all__ = ["load_audio_folder"]

METADATA = "metadata.csv"


@validate_params(
    {
        "path": [str, os.PathLike],
        "metadata": [None, Options(bool, {False}), str, os.PathLike],
        "sample_rate": [SAMPLE_RATE],
        "duration": [DURATION, None],
        "offset": [OFFSET],
        "load_content": ["boolean"],
        "on_error": [StrOptions({"raise", "warn"})],
        "n_jobs": [None, Integral],
        "verbose": ["boolean"],
        "categories": ["array-like", None],
        "split": [str, "array-like", None],
        "min_per_class": [Interval(Integral, 1, None, closed="left")],
    },
    prefer_skip_nested_validation=True,
)
def load_audio_folder(
    path: str | os.PathLike[str],
    *,
    metadata: str | os.PathLike[str] | bool | None = None,
    sample_rate: int = 16000,
    duration: float | None = None,
    offset: float = 0.0,
    load_content: bool = True,
    on_error: str = "raise",
    n_jobs: int | None = None,
    verbose: bool = False,
    categories: Sequence[str] | None = None,
    split: str | Sequence[str] | None = None,
    min_per_class: int = 2,
) -> Bunch:
    """Load a folder of sounds with their classes.

    The classes are the sub-folders (sounds may lie deeper inside them), or the `class` column
    of a CSV file.

    Parameters
    ----------
    path : str or Path
        The folder. Hidden files, and files without an audio extension, are passed over.
    metadata : str, Path, False or None
        A CSV file (UTF-8, commas) with the columns ``file`` (relative to `path`) and ``class``,
        and if wanted ``split`` and ``group``; other columns are kept. None: ``metadata.csv`` in
        the folder if there is one, sub-folders otherwise. False: sub-folders in any case.
    sample_rate : int
        Sample rate of the sounds in Hz.
    duration : float or None
        Length of the sounds in seconds, reached by cropping or padding with zeros. None: the
        longest sound that is loaded.
    offset : float
        Seconds to leave out at the start of each file.
    load_content : bool
        Whether to read the sounds. Without it only the headers are read and checked, for
        pipelines that begin with an `AudioLoader`.
    on_error : {"raise", "warn"}
        What to do about a file that is missing or cannot be used: raise its error, or leave it
        out, along with its label, and warn once.
    n_jobs : int or None
        Threads that read files, as joblib counts them. The result does not depend on it.
    verbose : bool
        Show a progress bar.
    categories : list of str or None
        The classes to load; None: all.
    split : str, list of str or None
        The splits to load, as the CSV file names them; None: all.
    min_per_class : int
        Warn of classes with fewer sounds than this, which cross-validation will refuse.

    Returns
    -------
    Bunch
        With the attributes

        data : ndarray of shape (n_sounds, n_times), float32
            Only with ``load_content=True``.
        filenames : ndarray of shape (n_sounds,), str
            Sorted; each starts with `path`.
        target : ndarray of shape (n_sounds,), int
            Index of each sound's class in `target_names`.
        target_names : list of str
            All classes of the folder (or of `categories`), sorted; the same for every `split`.
        split, groups : ndarray of shape (n_sounds,), str, or None
            The columns ``split`` and ``group`` of the CSV file.
        metadata : dict of str to ndarray of shape (n_sounds,)
            The other columns of the CSV file.
        sample_rate : int
            In Hz.
        skipped : list of (str, str)
            Files that were left out, with the reason.
        path : str
            The folder.
        DESCR : str
            A summary.

    Raises
    ------
    ValueError
        When the folder does not exist or holds no sounds or one class only, or the CSV file
        lacks a column, has an incomplete line, names a file twice or one outside the folder.
    AudioReadError
        With ``on_error="raise"``, for the first file that cannot be used.

    See Also
    --------
    sklearn.datasets.load_files : The same for text files.

    Examples
    --------
    >>> from skstrf.datasets import load_audio_folder, load_instruments
    >>> folder = load_instruments(load_content=False).path
    >>> sounds = load_audio_folder(folder, split="valid", duration=0.5)
    >>> sounds.data.shape, len(sounds.target_names)
    ((14, 8000), 7)
    """
    root = check_folder(path)
    entries, skipped = _list(root, metadata)
    entries, target_names = _choose(entries, categories, split)
    bunch, message = load_entries(
        root,
        entries,
        target_names,
        skipped,
        sample_rate=int(sample_rate),
        duration=duration,
        offset=offset,
        load_content=load_content,
        on_error=on_error,
        n_jobs=n_jobs,
        verbose=verbose,
        min_per_class=min_per_class,
        whole=split is None,
    )
    if message:
        warn_of_errors(message)
    return bunch


def load_entries(
    root: Path,
    entries: list[Entry],
    target_names: list[str],
    skipped: list[tuple[str, str]],
    *,
    sample_rate: int = 16000,
    duration: float | None = None,
    offset: float = 0.0,
    load_content: bool = True,
    on_error: str = "raise",
    n_jobs: int | None = None,
    verbose: bool = False,
    min_per_class: int = 2,
    whole: bool = True,
) -> tuple[Bunch, str]:
    """Read the sounds that are listed, or their headers alone.

    Parameters
    ----------
    root : Path
        The folder.
    entries : list of Entry
        Its sounds, in the order of the result; at least one.
    target_names : list of str
        Its classes, in the order of their numbers.
    skipped : list of (str, str)
        What was left out before, with the reason.
    sample_rate, duration, offset, load_content, on_error, n_jobs, verbose, min_per_class
        As in `load_audio_folder`.
    whole : bool
        Whether these are all sounds of the folder: then two classes have to be left.

    Returns
    -------
    bunch : Bunch
        As from `load_audio_folder`.
    message : str
        What to warn of; empty when all is well.

    Raises
    ------
    AudioReadError
        With ``on_error="raise"``, for the first file that cannot be used.
    ValueError
        When no sound is left, or one class only.
    """
    data, errors = _read(
        [str(root / entry.file) for entry in entries],
        duration=duration,
        load_content=load_content,
        raise_errors=on_error == "raise",
        verbose=verbose,
        scan_settings={"sample_rate": sample_rate, "offset": offset, "n_jobs": n_jobs},
    )
    ordered = [errors[row] for row in sorted(errors)]
    skipped = skipped + [(str(error.path), error.reason) for error in ordered]
    kept = [entry for row, entry in enumerate(entries) if row not in errors]
    n_left = len({entry.label for entry in kept})
    if n_left == 0 or (n_left == 1 and whole):
        fate = "nothing is left" if n_left == 0 else "one class is left, but two are needed"
        raise ValueError(summarise_errors(ordered, len(entries), fate))
    bunch = _bunch(root, kept, target_names, skipped, sample_rate)
    if load_content:
        bunch.data = data
    return bunch, _complaints(bunch, ordered, len(entries), min_per_class, whole)


def _list(
    root: Path, metadata: str | os.PathLike[str] | bool | None
) -> tuple[list[Entry], list[tuple[str, str]]]:
    if metadata is None and (root / METADATA).is_file():
        metadata = root / METADATA
    if metadata is None or isinstance(metadata, bool):
        return from_subfolders(root)
    return from_csv(root, Path(metadata)), []


def _choose(entries: list[Entry], categories: Any, split: Any) -> tuple[list[Entry], list[str]]:
    """Keep the entries of the classes and splits asked for; also return the class names."""
    names = sorted({entry.label for entry in entries})
    if categories is not None:
        unknown = [str(name) for name in categories if name not in names]
        if unknown:
            raise ValueError(
                f"categories names {', '.join(unknown)}, but the classes are {', '.join(names)}."
            )
        names = [name for name in names if name in list(categories)]
        entries = [entry for entry in entries if entry.label in names]
    if len(names) < 2:
        raise ValueError(
            f"Only one class: {', '.join(names) or 'none'}. A classifier needs two: add a "
            "sub-folder (or class in the CSV file), or widen categories. find_audio_files lists "
            "sounds without classes."
        )
    if split is not None:
        wanted = [split] if isinstance(split, str) else list(split)
        known = sorted({entry.split for entry in entries if entry.split is not None})
        unknown = [str(name) for name in wanted if name not in known]
        if unknown or not wanted:
            raise ValueError(
                f"split names {', '.join(unknown) or 'nothing'}, but the splits are "
                f"{', '.join(known) or 'none: there is no CSV file with a split column'}."
            )
        entries = [entry for entry in entries if entry.split in wanted]
    return entries, names


def _read(
    files: list[str],
    *,
    duration: float | None,
    load_content: bool,
    raise_errors: bool,
    verbose: bool,
    scan_settings: dict[str, Any],
) -> tuple[np.ndarray | None, dict[int, AudioReadError]]:
    """Read the good files (or only their headers); also return the errors, by row."""
    sample_rate, offset = scan_settings["sample_rate"], scan_settings["offset"]
    errors: dict[int, AudioReadError] = {}
    lengths: dict[int, int] = {}
    n_times = count_samples(duration, sample_rate, max_duration=np.inf)
    if n_times is None or not load_content:
        # How much is too much is for whoever reads the sounds to say.
        limit = MAX_DURATION if load_content else np.inf
        found_headers = scan_headers(files, duration=duration, max_duration=limit, **scan_settings)
        for row, item in enumerate(found_headers):
            if isinstance(item, AudioReadError):
                errors[row] = item
            else:
                lengths[row] = item.n_times(sample_rate, offset)
    if errors and raise_errors:
        raise errors[min(errors)]
    rows = [row for row in range(len(files)) if row not in errors]
    if not load_content or not rows:
        return None, errors
    data, found = read_many(
        [files[row] for row in rows],
        n_times=n_times or max(lengths.values()),
        raise_errors=raise_errors,
        verbose=verbose,
        **scan_settings,
    )
    if found:
        errors |= {rows[index]: error for index, error in found.items()}
        data = np.delete(data, list(found), axis=0)
        if n_times is None:
            # A header that promised too much may have set the length.
            data = data[
                :, : max((n for row, n in lengths.items() if row not in errors), default=0)
            ]
    return data, errors


def _bunch(
    root: Path,
    entries: list[Entry],
    target_names: list[str],
    skipped: list[tuple[str, str]],
    sample_rate: int,
) -> Bunch:
    def column(values: list[Any]) -> np.ndarray | None:
        return None if None in values else np.array(values, dtype=str)

    codes = {name: code for code, name in enumerate(target_names)}
    target = np.array([codes[entry.label] for entry in entries], dtype=int)
    counts = Counter(entry.label for entry in entries)
    lines = [f"{len(entries)} sounds of {len(target_names)} classes in {root}", ""]
    lines += [f"{name}: {counts[name]}" for name in target_names]
    if skipped:
        lines += ["", f"Left out: {len(skipped)}"]
    return Bunch(
        filenames=np.array([str(root / entry.file) for entry in entries], dtype=str),
        target=target,
        target_names=target_names,
        split=column([entry.split for entry in entries]),
        groups=column([entry.group for entry in entries]),
        metadata={
            name: np.array([entry.extra[name] for entry in entries], dtype=str)
            for name in entries[0].extra
        },
        sample_rate=sample_rate,
        skipped=skipped,
        path=str(root),
        DESCR="\n".join(lines),
    )


def _complaints(
    bunch: Bunch, errors: list[AudioReadError], n_files: int, min_per_class: int, whole: bool
) -> str:
    """Everything the user is to be warned of, in one message; empty when all is well."""
    messages = []
    if errors:
        messages.append(summarise_errors(errors, n_files, "were left out"))
    n_outside = len(bunch.skipped) - len(errors)
    if n_outside:
        messages.append(f"{n_outside} sound files lie outside every class and were left out.")
    counts = np.bincount(bunch.target, minlength=len(bunch.target_names))
    # A split may well lack a class; what is left of the whole folder may not.
    few = {
        name: int(count)
        for name, count in zip(bunch.target_names, counts, strict=True)
        if count < min_per_class and (whole or errors)
    }
    if few:
        listed = ", ".join(f"{name} ({count})" for name, count in few.items())
        messages.append(
            f"Classes with fewer than {min_per_class} sounds: {listed}. Cross-validation needs "
            "more: add sounds, or leave these classes out with categories."
        )
    return "\n".join(messages)
