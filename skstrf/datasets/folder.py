"""Folders of labeled sounds: one sub-folder per class, or a CSV table."""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from sklearn.utils import Bunch

from skstrf.datasets.audio import LOADING, MAX_DURATION, count_samples
from skstrf.datasets.headers import AudioReadError
from skstrf.datasets.loader import AudioLoader, read_headers, skipped_files
from skstrf.utils.messages import N_NAMED, describe_skipped, escape, warn_user
from skstrf.utils.validation import Integral, Interval, Options, validate_params

__all__ = [
    "AUDIO_EXTENSIONS",
    "Entry",
    "METADATA",
    "SPLIT_ROLES",
    "check_folder",
    "check_names",
    "choose_categories",
    "describe_contents",
    "find_audio_files",
    "finish",
    "from_csv",
    "linked_groups",
    "list_sounds",
    "load_audio_folder",
    "load_entries",
    "make_bunch",
]

METADATA = "metadata.csv"
REQUIRED = ("file", "class")
OPTIONAL = ("split", "group")
PLAIN = {".wav", ".wave", ".rf64", ".w64", ".au", ".snd", ".aif", ".aiff", ".aifc", ".caf"}
COMPRESSED = {".flac", ".ogg", ".oga", ".opus", ".mp3"}
# libsndfile cannot decode these. They are listed all the same, so that they are reported with a
# remedy instead of being ignored silently.
NOT_DECODED = {".m4a", ".aac", ".wma", ".ape", ".wv"}
AUDIO_EXTENSIONS = frozenset(PLAIN | COMPRESSED | NOT_DECODED)
# Usual names of splits, in lower case.
SPLIT_ROLES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("valid", "val", "validation", "dev"), "valid"),
    **dict.fromkeys(("test", "testing"), "test"),
}
OUTSIDE = "lies outside every class. Move it into a sub-folder."


@dataclass(frozen=True)
class Entry:
    """One sound of a folder; `file` is relative to the folder, with forward slashes."""

    file: str
    label: str
    split: str | None = None
    group: str | None = None
    extra: dict[str, str] = field(default_factory=dict)


def find_audio_files(path: str | os.PathLike[str]) -> list[str]:
    """Find the sound files in a folder and all its sub-folders, sorted, except hidden ones.

    A file to which several names lead, by links, is listed once.
    """
    root = check_folder(path)
    return [str(root / file) for file in sorted(_walk(root)[0])]


@validate_params(
    {
        "path": [str, os.PathLike],
        "metadata": [None, Options(bool, {False}), str, os.PathLike],
        **LOADING,
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

    The classes are the sub-folders (sounds can lie deeper inside them), or the ``class`` column
    of a CSV file. If all sub-folders have names of splits (train, valid, test and their usual
    spellings), they are the splits, and the folders inside them are the classes. A file to which
    several names lead, by links, is used once.

    Parameters
    ----------
    path : str or Path
        The folder. Hidden files, and files without an audio extension, are ignored.
    metadata : str, Path, False or None, default=None
        A CSV file (UTF-8, commas) with the columns ``file`` (relative to `path`) and ``class``,
        and optionally ``split`` and ``group``; other columns are kept. None uses
        ``metadata.csv`` in the folder if it exists, and the sub-folders otherwise. False always
        uses the sub-folders.
    sample_rate : int, default=16000
        Sampling rate of the sounds in Hz.
    duration : float or None, default=None
        Duration of the sounds in seconds, reached by cropping or padding with zeros. None uses
        the duration of the longest sound that is loaded.
    offset : float, default=0.0
        Time in seconds at which reading starts in each file.
    load_content : bool, default=True
        Whether to read the sounds. Otherwise only the headers are read and checked, for
        pipelines that begin with an `AudioLoader`.
    on_error : {"raise", "warn"}, default="raise"
        Handling of files that are missing or cannot be used: "raise" raises the first error,
        "warn" leaves the files and their labels out and issues one warning.
    n_jobs : int or None, default=None
        Number of threads that read files, as in joblib. The result does not depend on it.
    verbose : bool, default=False
        Whether to show a progress bar.
    categories : list of str or None, default=None
        Classes to load; None loads all.
    split : str, list of str or None, default=None
        Splits to load, as the CSV file or the sub-folders name them; None loads all.
    min_per_class : int, default=2
        Number of sounds below which a class causes a warning, since cross-validation will refuse
        it.

    Returns
    -------
    Bunch
        An object with the attributes

        data : ndarray of shape (n_sounds, n_times), dtype float32
            The sounds; only with ``load_content=True``.
        filenames : ndarray of shape (n_sounds,), dtype str
            The sorted paths, which start with `path`.
        target : ndarray of shape (n_sounds,), dtype int
            Index of the class of each sound in `target_names`.
        target_names : list of str
            All classes of the folder (or of `categories`), sorted; the same for every `split`.
        split, groups : ndarray of shape (n_sounds,), dtype str, or None
            The columns ``split`` and ``group`` of the CSV file, or the splits that the sub-folders
            name.
        metadata : dict of str to ndarray of shape (n_sounds,)
            The other columns of the CSV file.
        sample_rate : int
            Sampling rate of the sounds in Hz.
        skipped : list of (str, str)
            Files that were left out, with the reason.
        path : str
            The folder.
        DESCR : str
            A summary.

    Raises
    ------
    ValueError
        If the folder does not exist or has no sounds or only one class, or the CSV file lacks a
        column, has an incomplete line, or names a file twice or outside the folder, also by links
        with different classes or splits.
    AudioReadError
        With ``on_error="raise"``, for the first file that cannot be used.

    Warns
    -----
    UserWarning
        For files that are left out, for classes with less than `min_per_class` sounds, and for
        classes with names of splits.

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
    if metadata is None and (root / METADATA).is_file():
        metadata = root / METADATA
    skipped: list[tuple[str, str]] = []
    if metadata is None or isinstance(metadata, bool):
        entries, skipped = _from_subfolders(root)
    else:
        entries = from_csv(root, Path(metadata))
    entries, target_names = _choose(entries, categories, split)
    loader = AudioLoader(
        int(sample_rate), duration, offset, on_error=on_error, n_jobs=n_jobs, verbose=verbose
    )
    bunch, message = load_entries(
        root, entries, target_names, skipped, loader, load_content, min_per_class, split is None
    )
    return finish(bunch, [message], False)


def load_entries(
    root: Path,
    entries: list[Entry],
    target_names: list[str],
    skipped: list[tuple[str, str]],
    loader: AudioLoader,
    load_content: bool,
    min_per_class: int = 2,
    whole: bool = True,
) -> tuple[Bunch, str]:
    """Read the listed sounds, or only their headers; also return a text to warn with."""
    sample_rate, offset = loader.sample_rate, loader.offset
    filenames = [str(root / entry.file) for entry in entries]
    n_times = count_samples(loader.duration, sample_rate, max_duration=np.inf)
    data, errors = None, {}
    lengths: dict[int, int] = {}
    if n_times is None or not load_content:
        # Without content the reader of the sounds decides which durations are too long.
        limit = MAX_DURATION if load_content else np.inf
        headers = read_headers(
            filenames,
            duration=loader.duration,
            offset=offset,
            max_duration=limit,
            n_jobs=loader.n_jobs,
        )
        errors = {
            row: item for row, item in enumerate(headers) if isinstance(item, AudioReadError)
        }
        if errors and loader.on_error == "raise":
            raise errors[min(errors)]
        lengths = {
            row: item.n_times(sample_rate, offset)
            for row, item in enumerate(headers)
            if not isinstance(item, AudioReadError)
        }
    rows = [row for row in range(len(filenames)) if row not in errors]
    if load_content and rows:
        loader.n_times_ = n_times or max(lengths.values())
        data, found = loader.read([filenames[row] for row in rows])
        if found:
            errors |= {rows[index]: error for index, error in found.items()}
            data = np.delete(data, list(found), axis=0)
            if n_times is None:
                # A header that declares too much can have set the length.
                kept_lengths = [n for row, n in lengths.items() if row not in errors]
                data = data[:, : max(kept_lengths, default=0)]
    left_out = skipped_files(errors[row] for row in sorted(errors))
    kept = [entry for row, entry in enumerate(entries) if row not in errors]
    n_left = len({entry.label for entry in kept})
    if n_left == 0 or (n_left == 1 and whole):
        fate = "nothing is left" if n_left == 0 else "one class is left, but two are needed"
        raise ValueError(
            describe_skipped(
                left_out,
                f"{len(left_out)} of {len(entries)} sound files cannot be used and {fate}",
            )
        )
    bunch = make_bunch(root, kept, target_names, skipped + left_out)
    bunch.sample_rate, bunch.path = sample_rate, str(root)
    if load_content:
        bunch.data = data
    return bunch, _complaints(bunch, left_out, len(entries), min_per_class, whole)


def make_bunch(
    root: Path, entries: list[Entry], target_names: list[str], skipped: list[tuple[str, str]]
) -> Bunch:
    """Make the Bunch of a data set without its data."""

    def column(values: list[Any]) -> np.ndarray | None:
        return None if None in values else np.array(values, dtype=str)

    codes = {name: code for code, name in enumerate(target_names)}
    counts = Counter(entry.label for entry in entries)
    lines = [f"{len(entries)} sounds of {len(target_names)} classes in {root}", ""]
    lines += [f"{name}: {counts[name]}" for name in target_names]
    if skipped:
        lines += ["", f"Left out: {len(skipped)}"]
    return Bunch(
        filenames=np.array([str(root / entry.file) for entry in entries], dtype=str),
        target=np.array([codes[entry.label] for entry in entries], dtype=int),
        target_names=target_names,
        split=column([entry.split for entry in entries]),
        groups=column([entry.group for entry in entries]),
        metadata={
            name: np.array([entry.extra[name] for entry in entries], dtype=str)
            for name in entries[0].extra
        },
        skipped=skipped,
        DESCR="\n".join(lines),
    )


def finish(bunch: Bunch, messages: list[str | None], return_X_y: bool) -> Any:
    """Issue all messages as one warning; return the Bunch or (data or filenames, target)."""
    text = "\n".join(filter(None, messages))
    if text:
        warn_user(text)
    return (bunch.get("data", bunch.filenames), bunch.target) if return_X_y else bunch


def _complaints(
    bunch: Bunch,
    left_out: list[tuple[str, str]],
    n_files: int,
    min_per_class: int,
    whole: bool,
) -> str:
    """Write all warnings as one message, which is empty if there are none."""
    messages = []
    if left_out:
        headline = f"{len(left_out)} of {n_files} sound files cannot be used and were left out"
        messages.append(describe_skipped(left_out, headline))
    outside = [item for item in bunch.skipped if item[1] == OUTSIDE]
    if outside:
        headline = f"{len(outside)} sound files lie outside every class and were left out"
        messages.append(describe_skipped(outside, headline))
    links = sorted(set(bunch.skipped) - set(left_out) - set(outside))
    if links:
        headline = f"{len(links)} links lead to sounds that have another name, which was used"
        messages.append(describe_skipped(links, headline))
    if _are_splits(bunch.target_names):
        messages.append(
            f"The classes are called {', '.join(bunch.target_names)}, like splits. If they are "
            "splits, put the sounds of each class into a sub-folder of each of them, or list "
            "class and split in a CSV file."
        )
    counts = np.bincount(bunch.target, minlength=len(bunch.target_names))
    # A split can lack a class; the whole folder cannot.
    few = {
        name: int(count)
        for name, count in zip(bunch.target_names, counts, strict=True)
        if count < min_per_class and (whole or left_out)
    }
    if few:
        listed = ", ".join(f"{name} ({count})" for name, count in few.items())
        messages.append(
            f"Classes with fewer than {min_per_class} sounds: {listed}. Cross-validation needs "
            "more: add sounds, or leave these classes out with categories."
        )
    return "\n".join(messages)


def check_names(parameter: str, wanted: Any, known: Sequence[str], kind: str) -> list[str]:
    """Return the requested names as a list, or raise for names that are not known."""
    names = [wanted] if isinstance(wanted, str) else list(wanted)
    unknown = [str(name) for name in names if name not in known]
    if unknown or not names:
        raise ValueError(
            f"{parameter} names {', '.join(unknown) or 'nothing'}, but the {kind} are "
            f"{', '.join(known) or 'none: there is no CSV file with a split column'}."
        )
    return names


def choose_categories(names: list[str], categories: Any, kind: str = "classes") -> list[str]:
    """Choose among the sorted class names; None chooses all."""
    wanted = names if categories is None else check_names("categories", categories, names, kind)
    return [name for name in names if name in wanted]


def _choose(entries: list[Entry], categories: Any, split: Any) -> tuple[list[Entry], list[str]]:
    """Keep the entries of the requested classes and splits; also return the class names."""
    names = choose_categories(sorted({entry.label for entry in entries}), categories)
    entries = [entry for entry in entries if entry.label in names]
    if len(names) < 2:
        raise ValueError(
            f"Only one class: {', '.join(names) or 'none'}. A classifier needs two: add a "
            "sub-folder (or class in the CSV file), or widen categories. find_audio_files lists "
            "sounds without classes."
        )
    if split is not None:
        known = sorted({entry.split for entry in entries if entry.split is not None})
        wanted = check_names("split", split, known, "splits")
        entries = [entry for entry in entries if entry.split in wanted]
    return entries, names


def describe_contents(folder: Path) -> str:
    """Return the names of the first files and folders in a folder."""
    names = sorted(item.name for item in folder.iterdir())
    return ", ".join(names[:N_NAMED]) + (", ..." if len(names) > N_NAMED else "") or "nothing"


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


def list_sounds(root: Path) -> tuple[list[Entry], list[str], list[tuple[str, str]]]:
    """List the sounds of sub-folders with their classes, other sounds, and links to any of them.

    The class is the first sub-folder, or the second if the first ones are splits.
    """
    files, links = _walk(root)
    parts = {file: file.split("/") for file in sorted(files)}
    has_splits = _are_splits(folders[0] for folders in parts.values() if len(folders) > 1)
    has_splits &= any(len(folders) > 2 for folders in parts.values())
    depth = 2 if has_splits else 1
    # Class names are printed and drawn, so bytes that are not UTF-8 are escaped in them.
    entries = [
        Entry(file, escape(folders[depth - 1]), folders[0] if has_splits else None)
        for file, folders in parts.items()
        if len(folders) > depth
    ]
    outside = [file for file, folders in parts.items() if len(folders) <= depth]
    return entries, outside, links


def _are_splits(names: Iterable[str]) -> bool:
    """Whether all names are those of splits, such as train and test, and there are two or more."""
    roles = {SPLIT_ROLES.get(name.strip().lower()) for name in names}
    return None not in roles and len(roles) > 1


def _from_subfolders(root: Path) -> tuple[list[Entry], list[tuple[str, str]]]:
    """List a folder with one sub-folder per class; also return the files that are left out."""
    entries, outside, links = list_sounds(root)
    if not entries:
        hint = (
            f"{len(outside)} lie in the folder itself: put them into one sub-folder per class, or "
            "list them in a CSV file with the columns file and class."
            if outside
            else f"Known extensions: {' '.join(sorted(PLAIN | COMPRESSED))}."
        )
        raise ValueError(f"No sound files in the sub-folders of {root}. {hint}")
    skipped = [*((name, OUTSIDE) for name in outside), *links]
    return entries, [(str(root / name), reason) for name, reason in skipped]


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
    _check_links(root, entries, lines, table)
    if not entries:
        raise ValueError(f"{table} names no sound: it has a header but no rows. Add some.")
    return [entries[file] for file in sorted(entries)]


def _check_links(
    root: Path, entries: dict[str, Entry], lines: dict[str, int], table: Path
) -> None:
    """Refuse two names of one file, by links, with different classes or splits."""
    known: dict[tuple[int, int], Entry] = {}
    for entry in entries.values():
        try:
            status = os.stat(root / entry.file)
        except OSError:
            continue  # reported when it is read
        if not status.st_ino:
            continue  # the file system does not number its files
        first = known.setdefault((status.st_dev, status.st_ino), entry)
        if (entry.label, entry.split) != (first.label, first.split):
            raise ValueError(
                f"{table}, line {lines[entry.file]}: {entry.file} is the same file as "
                f"{first.file} in line {lines[first.file]}, with another class or split. Keep "
                "one of the two."
            )


def _read_rows(table: Path) -> list[tuple[int, dict[str, str]]]:
    if not table.is_file():
        raise ValueError(f"The CSV file {table} does not exist. Check the spelling of metadata.")
    try:
        # The names of files need not be UTF-8, unlike the other columns.
        with table.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as file:
            reader = csv.DictReader(file, strict=True)
            columns = reader.fieldnames or []
            if not _is_utf8(columns):
                raise ValueError(f"{table} is not in UTF-8. Save it in UTF-8.")
            missing = [name for name in REQUIRED if name not in columns]
            if missing:
                raise ValueError(
                    f"{table} lacks the column{'s' * (len(missing) > 1)} {' and '.join(missing)}; "
                    f"it has: {', '.join(columns) or 'nothing'}. Name them so, with commas "
                    "between columns; metadata=False takes the classes from the sub-folders."
                )
            if len(set(columns)) < len(columns):
                raise ValueError(f"{table} has two columns of the same name. Rename one.")
            rows = [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise ValueError(f"{table} is not a CSV file ({error}). Save it again.") from error
    for line, row in rows:
        if not all(map(_is_utf8, (text for name, text in row.items() if name != "file"))):
            raise ValueError(f"{table}, line {line}, is not in UTF-8. Save it in UTF-8.")
    return rows


def _is_utf8(cells: str | Sequence[str] | None) -> bool:
    """Whether the bytes of some cells were UTF-8; other bytes were read as surrogates."""
    return not any("\udc80" <= character <= "\udcff" for character in "".join(cells or ""))


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
        label=escape(cells["class"]),
        split=cells.get("split"),
        group=cells.get("group"),
        # A column without a name is an index that a data frame left there.
        extra={k: v for k, v in cells.items() if k and k not in (*REQUIRED, *OPTIONAL)},
    )


def _walk(root: Path) -> tuple[list[str], list[tuple[str, str]]]:
    """Find all sound files below `root`, each once, and the links that lead to them again.

    Links are followed last, so that each file has its own name rather than that of a link.
    """
    known: dict[tuple[int, int] | str, str] = {}
    files: list[str] = []
    again: list[tuple[str, str]] = []

    def is_new(path: str) -> bool:
        try:
            status = os.stat(path)
        except OSError:
            return True  # a broken link, which is reported when it is read
        # Some file systems do not number their files.
        number = (status.st_dev, status.st_ino) if status.st_ino else os.path.realpath(path)
        first = known.setdefault(number, path)
        if first != path:
            again.append((path, first))
        return first == path

    places = [os.fspath(root)]
    for place in places:  # grows by the links that are found
        if not os.path.isdir(place):
            files += [place] * is_new(place)
            continue
        for folder, folders, names in os.walk(place, onerror=_refuse):
            if not is_new(folder):
                folders.clear()
                continue
            folders[:] = sorted(name for name in folders if not _is_hidden(name))
            paths = [os.path.join(folder, name) for name in sorted(filter(_is_audio, names))]
            below = [os.path.join(folder, name) for name in folders]
            links = set(filter(os.path.islink, [*below, *paths]))
            places += sorted(links)
            files += [path for path in paths if path not in links and is_new(path)]

    n_root = len(os.path.join(root, ""))

    def name_of(path: str) -> str:
        return path[n_root:].replace(os.sep, "/") or os.curdir

    found = [name_of(path) for path in files]
    # The links to folders without sounds do not matter.
    used = set(found)
    if again:
        used |= {str(folder) for file in found for folder in PurePosixPath(file).parents}
    return found, [
        (name_of(path), f"leads to {escape(first)}, which is used. Remove the link.")
        for path, first in again
        if name_of(first) in used
    ]


def _refuse(error: OSError) -> None:
    raise ValueError(f"The folder {error.filename} cannot be listed: {error.strerror}.") from error


def _is_hidden(name: str) -> bool:
    return name.startswith(".")


def _is_audio(name: str) -> bool:
    return not _is_hidden(name) and os.path.splitext(name)[1].lower() in AUDIO_EXTENSIONS


def linked_groups(names: Sequence[str], pairs: Iterable[tuple[str, str]]) -> list[str]:
    """Assign linked names, directly or through others, to one group named after its first name."""
    rows = {name: row for row, name in enumerate(names)}
    links = np.array([[rows[one], rows[other]] for one, other in pairs], dtype=int).reshape(-1, 2)
    graph = coo_array((np.ones(len(links)), (links[:, 0], links[:, 1])), shape=(len(rows),) * 2)
    _, labels = connected_components(graph, directed=False)
    _, first = np.unique(labels, return_index=True)
    return [names[first[label]] for label in labels]
