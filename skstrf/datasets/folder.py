"""What must stay on one side of a split: names linked by pairs, as groups."""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from sklearn.utils import Bunch

from skstrf.datasets.audio import DURATION, MAX_DURATION, OFFSET, SAMPLE_RATE, count_samples
from skstrf.datasets.headers import AudioReadError
from skstrf.datasets.loader import read_many, scan_headers, summarize_errors, warn_of_errors
from skstrf.utils.validation import Integral, Interval, Options, StrOptions, validate_params

__all__ = [
    "AUDIO_EXTENSIONS",
    "Entry",
    "find_audio_files",
    "from_csv",
    "from_subfolders",
    "linked_groups",
    "load_audio_folder",
]


def linked_groups(names: Sequence[str], pairs: Iterable[tuple[str, str]]) -> list[str]:
    """Put names into one group that are linked, directly or over others."""
    rows = {name: row for row, name in enumerate(names)}
    links = np.array([[rows[one], rows[other]] for one, other in pairs], dtype=int).reshape(-1, 2)
    graph = coo_array((np.ones(len(links)), (links[:, 0], links[:, 1])), shape=(len(rows),) * 2)
    _, labels = connected_components(graph, directed=False)
    _, first = np.unique(labels, return_index=True)
    return [names[first[label]] for label in labels]


PLAIN = {".wav", ".wave", ".rf64", ".w64", ".au", ".snd", ".aif", ".aiff", ".aifc", ".caf"}
COMPRESSED = {".flac", ".ogg", ".oga", ".opus", ".mp3"}
# These cannot be decoded here. They are listed all the same, so that they are reported with a
# remedy instead of being passed over in silence.
NOT_DECODED = {".m4a", ".aac", ".wma", ".ape", ".wv"}
AUDIO_EXTENSIONS = frozenset(PLAIN | COMPRESSED | NOT_DECODED)
REQUIRED = ("file", "class")
OPTIONAL = ("split", "group")


@dataclass(frozen=True)
class Entry:
    """One sound of a folder; `file` is relative to the folder, with forward slashes."""

    file: str
    label: str
    split: str | None = None
    group: str | None = None
    extra: dict[str, str] = field(default_factory=dict)


def find_audio_files(path: str | os.PathLike[str]) -> list[str]:
    """List the sound files in a folder and all its sub-folders."""
    root = check_folder(path)
    return [str(root / file) for file in sorted(_walk(root))]


def check_folder(path: str | os.PathLike[str]) -> Path:
    """Return `path` as a Path, or raise when it is not a folder."""
    root = Path(path)
    if root.is_dir():
        return root
    if root.exists():
        raise ValueError(f"{root} is a file, not a folder. Pass the folder that holds it.")
    raise ValueError(
        f"The folder {root} does not exist. Check the spelling; a relative path starts from the "
        "current folder."
    )


def from_subfolders(root: Path) -> tuple[list[Entry], list[tuple[str, str]]]:
    """List a folder with one sub-folder per class."""
    folders = [item for item in root.iterdir() if item.is_dir() and not _is_hidden(item.name)]
    entries = [
        Entry(f"{folder.name}/{file}", folder.name) for folder in folders for file in _walk(folder)
    ]
    loose = sorted(
        item.name for item in root.iterdir() if _is_audio(item.name) and not item.is_dir()
    )
    if not entries:
        hint = (
            f"{len(loose)} lie in the folder itself: put them into one sub-folder per class, or "
            "list them in a CSV file with the columns file and class."
            if loose
            else f"Known extensions: {' '.join(sorted(PLAIN | COMPRESSED))}."
        )
        raise ValueError(f"No sound files in the sub-folders of {root}. {hint}")
    skipped = [
        (str(root / name), "lies outside every class. Move it into a sub-folder.")
        for name in loose
    ]
    return sorted(entries, key=lambda entry: entry.file), skipped


def from_csv(root: Path, table: Path) -> list[Entry]:
    """List the sounds named by a CSV file."""
    rows = _read_rows(table)
    entries: dict[str, Entry] = {}
    lines: dict[str, int] = {}
    for line, row in rows:
        entry = _entry(root, row, f"{table}, line {line}")
        if entry.file in entries:
            raise ValueError(
                f"{table}, line {line}: {entry.file} is listed before, in line "
                f"{lines[entry.file]}. Keep one of the two."
            )
        entries[entry.file], lines[entry.file] = entry, line
    if not entries:
        raise ValueError(f"{table} names no sound: it has a header but no rows. Add some.")
    return [entries[file] for file in sorted(entries)]


def _read_rows(table: Path) -> list[tuple[int, dict[str, str]]]:
    if not table.is_file():
        raise ValueError(f"The CSV file {table} does not exist. Check the spelling of metadata.")
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True)
            columns = reader.fieldnames or []
            missing = [name for name in REQUIRED if name not in columns]
            if missing:
                raise ValueError(
                    f"{table} lacks the column{'s' * (len(missing) > 1)} {' and '.join(missing)}; "
                    f"it has: {', '.join(columns) or 'nothing'}. Name them so, with commas "
                    "between columns; metadata=False takes the classes from the sub-folders."
                )
            if len(set(columns)) < len(columns):
                raise ValueError(f"{table} has two columns of the same name. Rename one.")
            return [(reader.line_num, row) for row in reader]
    except UnicodeDecodeError as error:
        raise ValueError(f"{table} is not in UTF-8 ({error}). Save it in UTF-8.") from error
    except csv.Error as error:
        raise ValueError(f"{table} is not a CSV file ({error}). Save it again.") from error


def _entry(root: Path, row: dict[str, str], place: str) -> Entry:
    if None in row or None in row.values():
        raise ValueError(
            f"{place}: the number of cells is not that of the header. Put texts with commas in "
            "double quotes."
        )
    cells = {name: text.strip() for name, text in row.items()}
    empty = [name for name in REQUIRED if not cells[name]]
    if empty:
        raise ValueError(f"{place}: {' and '.join(empty)} is empty. Fill it in or drop the line.")
    inside = os.path.relpath(os.path.normpath(root / cells["file"]), os.path.normpath(root))
    if inside.split(os.sep)[0] in (os.pardir, os.curdir):
        raise ValueError(
            f"{place}: {cells['file']} does not lie inside {root}. Move the sound there, and name "
            "it relative to that folder."
        )
    return Entry(
        file=inside.replace(os.sep, "/"),
        label=cells["class"],
        split=cells.get("split"),
        group=cells.get("group"),
        # A column without a name is an index that a data frame left there.
        extra={k: v for k, v in cells.items() if k and k not in (*REQUIRED, *OPTIONAL)},
    )


def _walk(folder: Path) -> Iterator[str]:
    """Yield sound files below `folder`, relative to it; each real folder is entered once.

    Once, because a link to a folder above would otherwise be followed for ever.
    """
    seen = set()
    for place, folders, files in os.walk(folder, followlinks=True, onerror=_refuse):
        status = os.stat(place)
        identity = (status.st_dev, status.st_ino)
        if identity in seen:
            folders.clear()
            continue
        seen.add(identity)
        folders[:] = sorted(name for name in folders if not _is_hidden(name))
        here = os.path.relpath(place, folder).replace(os.sep, "/")
        for name in files:
            if _is_audio(name):
                yield name if here == os.curdir else f"{here}/{name}"


def _refuse(error: OSError) -> None:
    raise ValueError(f"The folder {error.filename} cannot be listed: {error.strerror}.") from error


def _is_hidden(name: str) -> bool:
    return name.startswith(".")


def _is_audio(name: str) -> bool:
    return not _is_hidden(name) and os.path.splitext(name)[1].lower() in AUDIO_EXTENSIONS


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
    """Read the sounds that are listed, or their headers alone."""
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
        raise ValueError(summarize_errors(ordered, len(entries), fate))
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
        messages.append(summarize_errors(errors, n_files, "were left out"))
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
