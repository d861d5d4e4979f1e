"""Genre annotations of the Million Song Dataset: four families of text files, one table out."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

__all__ = ["FORMATS", "SongLabel", "check_track_id", "read_genre_labels"]

# The most genres a file of the format may have: more, and it is something else.
FORMATS = {
    "tagtraum-cd1": 13,
    "tagtraum-cd2": 15,
    "tagtraum-cd2c": 15,
    "top-magd": 13,
    "magd": 21,
    "masd": 25,
    "labrosa": 10,
    "msd-i": 15,
}
# Weight of the first genre where a line has two, by the number of sources that voted.
CONFIDENCE = {"tagtraum-cd1": 2 / 3, "tagtraum-cd2": 1 / 2}
TRACK_ID = re.compile(r"TR[A-Z]{3}[A-Z0-9]{13}", re.ASCII)
MAX_BYTES, MAX_LINE = 500_000_000, 20_000


@dataclass(frozen=True)
class SongLabel:
    """The genre of one track."""

    track_id: str
    genre: str
    minority: str = ""
    confidence: float = 1.0
    split: str | None = None
    extra: dict[str, str] = field(default_factory=dict)


def check_track_id(text: str) -> bool:
    """Whether `text` is a track id, TR and 16 letters and digits, and so safe in a path.

    Parameters
    ----------
    text : str
        What a file says.

    Returns
    -------
    bool
        Whether it is one.

    Examples
    --------
    >>> from skstrf.datasets.msd_labels import check_track_id
    >>> check_track_id("TRAXLFIX0000000001"), check_track_id("../../etc/passwd.h5")
    (True, False)
    """
    return TRACK_ID.fullmatch(text) is not None


def read_genre_labels(
    path: Path, format: str = "auto"
) -> tuple[dict[str, SongLabel], list[tuple[str, str]], str]:
    """Read a file of genre annotations.

    Parameters
    ----------
    path : Path
        A tagtraum or (Top-)MAGD ``.cls``, LabROSA's ``msd_genre_dataset.txt``, or the table of
        MSD-I (commas or tabs).
    format : str
        One of `FORMATS`, or "auto": by the header inside, then by the file's name.

    Returns
    -------
    labels : dict of str to SongLabel
        By track id, in the order of the file.
    bad_lines : list of (str, str)
        Lines that could not be used, as ``"FILE, line N"``, with the reason.
    format : str
        What it was read as.

    Raises
    ------
    ValueError
        When the file is missing, too large, not text, of no known format, without a single
        usable line, or has more genres than its format.
    """
    _check_file(path)
    try:
        with path.open(encoding="utf-8", newline="") as file:
            lines = _numbered(file)
            first = next(lines, None)
            if first is None:
                raise ValueError(f"{path} holds no labels. Download it again.")
            found = _find_format(path, first[1], format)
            rows = _table_rows if found in ("labrosa", "msd-i") else _cls_rows
            labels, bad = _collect(path, rows(path, first, lines, found))
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not a text file in UTF-8 ({error}). Unpack it.") from error
    if not labels:
        example = f" The first: {bad[0][0]}: {bad[0][1]}" if bad else ""
        raise ValueError(f"{path} has no usable line as format {found!r}.{example}")
    genres = {label.genre for label in labels.values()}
    if len(genres) > FORMATS[found]:
        raise ValueError(
            f"{path} has {len(genres)} genres, such as {', '.join(sorted(genres)[:3])}, but "
            f"{found!r} has {FORMATS[found]} at most. Give the right format."
        )
    return labels, bad, found


def _check_file(path: Path) -> None:
    if not path.is_file():
        raise ValueError(
            f"The label file {path} does not exist. Labels do not come with the songs: see "
            "load_million_song_genres for where they are published."
        )
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"{path} has more than {MAX_BYTES} bytes: no file of genre labels does.")


def _numbered(file: Iterator[str]) -> Iterator[tuple[int, str]]:
    """Yield lines with their numbers, without comments and empty ones; cut very long ones."""
    for number, line in enumerate(file, 1):
        line = line[:MAX_LINE].lstrip("\ufeff").rstrip("\r\n")
        if line.strip() and not line.startswith("#"):
            yield number, line


def _find_format(path: Path, first: str, format: str) -> str:
    if format != "auto":
        return format
    name = path.name.lower()
    if first.startswith("%genre"):
        return "labrosa"
    if "msd_track_id" in first:
        return "msd-i"
    for word, found in (
        ("cd2c", "tagtraum-cd2c"),
        ("cd2", "tagtraum-cd2"),
        ("cd1", "tagtraum-cd1"),
        ("topmagd", "top-magd"),
        ("masd", "masd"),
        ("magd", "magd"),
    ):
        if word in name.replace("-", "").replace("_", ""):
            return found
    raise ValueError(
        f"The format of {path} is not known: neither its name nor its first line tells. Give "
        f"format, one of {', '.join(FORMATS)}. The first line is {first[:80]!r}."
    )


Row = tuple[int, SongLabel | str]


def _cls_rows(
    path: Path, first: tuple[int, str], lines: Iterator[tuple[int, str]], format: str
) -> Iterator[Row]:
    """Yield for each line its label, or what is wrong: id, genre and perhaps a second genre."""
    most = 3 if format in CONFIDENCE else 2
    expected = "2" if most == 2 else "2 or 3"
    for number, line in chain([first], lines):
        cells = [cell.strip() for cell in line.split("\t")]
        while len(cells) > 2 and not cells[-1]:
            cells.pop()
        if not 2 <= len(cells) <= most or not all(cells):
            yield number, f"has {len(cells)} cells between tabs, not {expected}."
            continue
        minority = cells[2] if len(cells) == 3 else ""
        confidence = CONFIDENCE[format] if minority else 1.0
        yield number, SongLabel(cells[0], cells[1], minority, confidence)


def _table_rows(
    path: Path, first: tuple[int, str], lines: Iterator[tuple[int, str]], format: str
) -> Iterator[Row]:
    """Yield for each row of a table with a header its label, or what is wrong."""
    delimiter = "\t" if "\t" in first[1] else ","
    names = next(csv.reader([first[1]], delimiter=delimiter))
    header = [name.strip().lstrip("%") for name in names]
    id_name = "track_id" if format == "labrosa" else "msd_track_id"
    missing = [name for name in (id_name, "genre") if name not in header]
    if missing:
        raise ValueError(
            f"{path} lacks the column {' and '.join(missing)} of format {format!r}; it has: "
            f"{', '.join(header)}."
        )
    kept = [n for n in ("artist_name", "title", "msd_artist_id", "album_index") if n in header]
    for number, line in lines:
        try:
            cells = next(csv.reader([line], delimiter=delimiter, strict=True))
        except csv.Error as error:
            yield number, f"is not a row of a table ({error})."
            continue
        # Titles with bare commas: LabROSA's file has no quotes, so only the two first cells,
        # genre and id, can be relied on there.
        if len(cells) < len(header) or (len(cells) > len(header) and format != "labrosa"):
            yield number, f"has {len(cells)} cells, the header {len(header)}."
            continue
        row = dict(zip(header, (cell.strip() for cell in cells), strict=False))
        is_clear = len(cells) == len(header)
        extra: dict[str, str] = {name: row[name] if is_clear else "" for name in kept}
        yield number, SongLabel(row[id_name], row["genre"], split=row.get("set"), extra=extra)


def _collect(
    path: Path, rows: Iterator[Row]
) -> tuple[dict[str, SongLabel], list[tuple[str, str]]]:
    """Keep the good lines; a track with two different labels keeps the first."""
    labels: dict[str, SongLabel] = {}
    bad: list[tuple[str, str]] = []
    for number, row in rows:
        if isinstance(row, str):
            reason = row
        elif not check_track_id(row.track_id):
            reason = f"{row.track_id[:40]!r} is no track id (TR and 16 letters and digits)."
        elif not row.genre:
            reason = "has no genre."
        elif row.track_id in labels:
            if labels[row.track_id].genre == row.genre:
                continue
            reason = f"{row.track_id} is listed before with genre {labels[row.track_id].genre}."
        else:
            labels[row.track_id] = row
            continue
        bad.append((f"{path}, line {number}", reason))
    return labels, bad
