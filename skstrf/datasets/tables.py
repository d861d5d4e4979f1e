"""Which sounds a folder holds, of which class: by sub-folders, or by a CSV file."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["AUDIO_EXTENSIONS", "Entry", "find_audio_files", "from_csv", "from_subfolders"]

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
    """List the sound files in a folder and all its sub-folders.

    Parameters
    ----------
    path : str or Path
        The folder. Hidden files and folders are passed over, links are followed.

    Returns
    -------
    list of str
        Paths that start with `path`, sorted. By extension: the files are not opened.

    Raises
    ------
    ValueError
        When `path` is not a folder.

    Examples
    --------
    >>> from skstrf.datasets import find_audio_files, load_instruments
    >>> folder = load_instruments(load_content=False).path
    >>> len(find_audio_files(folder)) > 100
    True
    """
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
    """List a folder with one sub-folder per class.

    Parameters
    ----------
    root : Path
        The folder. Sounds may lie deeper inside each class.

    Returns
    -------
    entries : list of Entry
        In the order of their paths.
    skipped : list of (str, str)
        Sounds outside every class, with the reason.
    """
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
    """List the sounds named by a CSV file.

    Parameters
    ----------
    root : Path
        The folder that the file names are relative to.
    table : Path
        UTF-8, with a header: file, class, and if wanted split and group; other columns are kept.

    Returns
    -------
    list of Entry
        In the order of their paths, whether or not the files are there.

    Raises
    ------
    ValueError
        Naming the line, for lacking columns, empty cells, a file that lies outside the folder
        or is listed twice.
    """
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
