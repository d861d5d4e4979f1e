"""The Million Song Dataset with genres: label files, songs in HDF5, and audio previews."""

from __future__ import annotations

import csv
import os
import pickle
import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from sklearn.utils import Bunch, check_random_state

from skstrf.datasets.audio import DURATION, LOADING
from skstrf.datasets.folder import (
    AUDIO_EXTENSIONS,
    Entry,
    check_folder,
    choose_categories,
    describe_contents,
    finish,
    linked_groups,
    load_entries,
    make_bunch,
)
from skstrf.datasets.headers import AudioReadError
from skstrf.datasets.loader import AudioLoader, skipped_files, with_progress
from skstrf.utils.messages import describe_skipped
from skstrf.utils.optional import import_optional
from skstrf.utils.validation import Integral, Interval, Real, StrOptions, validate_params

__all__ = ["load_million_song_genres"]

# Label formats with the largest number of genres that a file can have: a file with more of them
# is in another format.
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
# Weight of the first genre of a line with two genres, by the number of sources that voted.
CONFIDENCE = {"tagtraum-cd1": 2 / 3, "tagtraum-cd2": 1 / 2}
# A track id is safe as a part of a path.
TRACK_ID = re.compile(r"TR[A-Z]{3}[A-Z0-9]{13}", re.ASCII)
FEATURE_NAMES = (
    *(f"timbre {number}" for number in range(1, 13)),
    *(
        f"pitch {name}"
        for name in ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
    ),
)
FACTS = ("track_id", "song_id", "artist_id", "artist_name", "title")
SEPARATOR = "<SEP>"
DAMAGED = "Unpack or copy the data set again, or leave the song out."
# Limits for files that are damaged or hostile. A genuine song has 200 to 700 kB and about 1000
# segments; an aggregate file has one row per song.
MAX_BYTES, MAX_LINE = 500_000_000, 20_000
MAX_SONGS, MAX_SEGMENTS, MAX_FRAMES = 1_100_000, 100_000, 100_000
MAX_FIELD_BYTES = 4096
# The file of a song, and its row in an aggregate file.
Place = tuple[str, int | None]
# The number of a line of a label file, and its label or the reason why it has none.
Row = tuple[int, "SongLabel | str"]


@dataclass(frozen=True)
class SongLabel:
    """The genre of one track."""

    track_id: str
    genre: str
    minority: str = ""
    confidence: float = 1.0
    split: str | None = None


@dataclass(frozen=True)
class Song:
    """The identifiers of one song, and its segments on a uniform grid if requested."""

    track_id: str
    song_id: str
    artist_id: str
    artist_name: str
    title: str
    preview_id: int | None
    matrix: np.ndarray | None = None


@validate_params(
    {
        "labels": [str, os.PathLike],
        "data_home": [str, os.PathLike, None],
        "format": [StrOptions({"auto", *FORMATS})],
        "audio_home": [str, os.PathLike, None],
        "audio_ids": [str, os.PathLike, None],
        "unique_tracks": [str, os.PathLike, None],
        "categories": ["array-like", None],
        "ambiguous": [StrOptions({"keep", "drop"})],
        "duplicates": [StrOptions({"drop", "keep"})],
        "max_per_class": [Interval(Integral, 1, None, closed="left"), None],
        "frame_rate": [Interval(Real, 0, 1000, closed="right")],
        **LOADING,
        "duration": [DURATION],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def load_million_song_genres(
    labels: str | os.PathLike[str],
    data_home: str | os.PathLike[str] | None = None,
    *,
    format: str = "auto",
    audio_home: str | os.PathLike[str] | None = None,
    audio_ids: str | os.PathLike[str] | None = None,
    unique_tracks: str | os.PathLike[str] | None = None,
    categories: Sequence[str] | None = None,
    ambiguous: str = "keep",
    duplicates: str = "keep",
    max_per_class: int | None = None,
    frame_rate: float = 8.0,
    duration: float = 30.0,
    offset: float = 0.0,
    sample_rate: int = 16000,
    load_content: bool = True,
    return_X_y: bool = False,
    on_error: str = "raise",
    random_state: Any = 0,
    n_jobs: int | None = None,
    verbose: bool = False,
) -> Bunch | tuple[np.ndarray, np.ndarray]:
    """Load songs of the Million Song Dataset [1]_ with their genres.

    The labeled songs are searched among the available ones, so labels of the whole data set also
    serve for its subset of 10 000 songs. With `audio_home` the sounds are the audio previews of
    the user; without it, the timbre and pitches that the data set stores for every segment
    (three or four per second) are returned as a matrix on a uniform time grid.

    Parameters
    ----------
    labels : str or Path
        File of genres, see `format`. Labels are published separately from the songs.
    data_home : str, Path or None, default=None
        The folder ``MillionSongSubset``, ``millionsong`` or ``data`` (with songs at
        ``A/X/L/TRAXL....h5``), or one aggregate .h5 file. None uses audio alone.
    format : str, default="auto"
        Format of `labels`: "tagtraum-cd1", "tagtraum-cd2", "tagtraum-cd2c" [2]_, "top-magd",
        "magd", "masd" [3]_, "labrosa" (``msd_genre_dataset.txt``), "msd-i" [4]_, or "auto" to
        determine it from the header inside, then from the name of the file.
    audio_home : str, Path or None, default=None
        Folder of sounds: ``7dig/8/9/8947470.clip.mp3`` by 7digital id, with or without the
        folders, or ``A/X/L/TRAXL....mp3`` by track id; with any known extension.
    audio_ids : str, Path or None, default=None
        Table of the 7digital id (or path inside `audio_home`) of each track: a text file with
        two columns, or ``MSD_id_to_7D_id.pkl``. None uses the ids in the .h5 files.
    unique_tracks : str, Path or None, default=None
        The file ``unique_tracks.txt``, for songs and artists when there is no `data_home`.
    categories : list of str or None, default=None
        Genres to load; None loads all.
    ambiguous : {"keep", "drop"}, default="keep"
        Handling of tracks with two genres (tagtraum CD1 and CD2): "keep" uses the first genre,
        "drop" leaves them out.
    duplicates : {"keep", "drop"}, default="keep"
        Handling of several tracks of one song id: "keep" loads all of them as one group, "drop"
        only the first by track id.
    max_per_class : int or None, default=None
        Largest number of songs per genre, drawn at random; None loads all.
    frame_rate : float, default=8.0
        Frame rate of the segment matrices in Hz.
    duration : float, default=30.0
        Duration of each song in seconds; shorter songs are padded with zeros.
    offset : float, default=0.0
        Time in seconds at which each song starts.
    sample_rate : int, default=16000
        Sampling rate of the sounds in Hz.
    load_content : bool, default=True
        Whether to read matrices or sounds. Otherwise only paths are returned: with `audio_home`,
        paths for pipelines that begin with an `AudioLoader`.
    return_X_y : bool, default=False
        Whether to return ``(data, target)``, or ``(filenames, target)`` without content, instead
        of a Bunch.
    on_error : {"raise", "warn"}, default="raise"
        Handling of a bad line of the labels and of a damaged .h5 file or sound: "raise" raises
        an error, "warn" leaves it out and issues one warning.
    random_state : int, RandomState instance or None, default=0
        Random seed for `max_per_class`.
    n_jobs : int or None, default=None
        Number of processes that read .h5 files, or threads that read sounds, as in joblib.
    verbose : bool, default=False
        Whether to show a progress bar.

    Returns
    -------
    Bunch or (ndarray, ndarray)
        An object whose songs are in the order of their track ids, with the attributes

        data : ndarray of shape (n_songs, 24, n_frames) or (n_songs, n_times), dtype float32
            Mean timbre (12) and pitches (12) of every frame, unscaled; or sounds. Only with
            ``load_content=True``.
        filenames : ndarray of shape (n_songs,), dtype str
            The .h5 files, or the sounds.
        target : ndarray of shape (n_songs,), dtype int
            Index of the genre of each song in `target_names`.
        target_names : list of str
            All genres of the labels (or of `categories`), sorted.
        groups : ndarray of shape (n_songs,), dtype str
            Songs that must stay on one side of a split: those of an artist, and of artists who
            share a song.
        split : ndarray of shape (n_songs,), dtype str, or None
            The part that the labels themselves name (MSD-I).
        metadata : dict of str to ndarray of shape (n_songs,)
            track_id, song_id, artist_id, artist_name, title; ``minority``, the second genre;
            ``confidence`` of the first (tagtraum CD1: 2/3 if there are two, CD2: 1/2; else 1).
        feature_names : list of str, frame_rate : float
            Rows and frame rate of the matrices; ``sample_rate`` of sounds instead.
        duplicates : list of (str, str)
            Tracks that were left out, with the track of the same song that was kept.
        skipped : list of (str, str)
            Files and lines that could not be used, with the reason.
        path, format, DESCR : str
            The source, the format of the labels, and a summary.

    Raises
    ------
    ValueError
        If labels or folder are not what they should be, or have no song in common (the message
        lists what was found and what is expected), or fewer than two genres are left.
    AudioReadError
        With ``on_error="raise"``, for the first song that cannot be used.

    Warns
    -----
    UserWarning
        For songs and lines that are left out, and for a split that has artists on both sides.

    Notes
    -----
    ``genre`` inside the .h5 files is empty in the whole data set and never used. Two recordings
    of a song that have different song ids are not recognized as duplicates, but those of one
    artist are in one group.

    References
    ----------
    .. [1] T. Bertin-Mahieux, D. P. W. Ellis, B. Whitman and P. Lamere, "The Million Song
       Dataset", ISMIR, 2011.
    .. [2] H. Schreiber, "Improving genre annotations for the Million Song Dataset", ISMIR, 2015.
    .. [3] A. Schindler, R. Mayer and A. Rauber, "Facilitating comprehensive benchmarking
       experiments on the Million Song Dataset", ISMIR, 2012.
    .. [4] S. Oramas, F. Barbieri, O. Nieto and X. Serra, "Multimodal deep learning for music
       genre classification", Trans. ISMIR 1(1), 2018.

    Examples
    --------
    >>> from skstrf import load_million_song_genres
    >>> songs = load_million_song_genres(
    ...     "msd_tagtraum_cd2c.cls", "MillionSongSubset"
    ... )  # doctest: +SKIP
    >>> songs.data.shape  # doctest: +SKIP
    (1838, 24, 240)
    """
    chosen, names, skipped, format = _choose_labels(
        Path(labels), format, categories, ambiguous, on_error
    )
    times = _frame_borders(offset, duration, frame_rate)
    settings: dict[str, Any] = {"on_error": on_error, "n_jobs": n_jobs, "verbose": verbose}
    if data_home is not None:
        songs, files = _read_labeled_songs(
            Path(data_home),
            chosen,
            skipped,
            times=times if load_content and audio_home is None else None,
            # The songs that have audio are known only after they were opened.
            draw=None if audio_home else (max_per_class, random_state),
            **settings,
        )
    elif audio_home is not None and unique_tracks is not None:
        songs, files = _read_unique_tracks(Path(unique_tracks), chosen), {}
    else:
        raise ValueError(
            "Name data_home, the folder of the songs; or audio_home and unique_tracks, if you "
            "have sounds but no .h5 files."
        )
    if audio_home is not None:
        files = _previews(songs, check_folder(audio_home), audio_ids)
        tracks = _draw_songs(list(files), chosen, max_per_class, random_state)
        songs = [song for song in songs if song.track_id in set(tracks)]
    songs, dropped = _without_duplicates(songs, duplicates)
    entries = _join_songs(songs, files, chosen, skipped)
    if audio_home is None:
        bunch, message = make_bunch(Path(), entries, names, []), ""
        bunch.feature_names, bunch.frame_rate = list(FEATURE_NAMES), float(frame_rate)
        if load_content:
            bunch.data = np.stack([song.matrix for song in songs if song.matrix is not None])
    else:
        loader = AudioLoader(int(sample_rate), duration, offset, **settings)
        home = Path(audio_home)
        bunch, message = load_entries(home, entries, names, [], loader, load_content)
    bunch.metadata["confidence"] = bunch.metadata["confidence"].astype(float)
    bunch.skipped = skipped + bunch.skipped
    bunch.duplicates, bunch.format = dropped, format
    bunch.path = str(audio_home or data_home)
    bunch.DESCR = _describe(bunch, len(chosen))
    messages: list[str | None] = [message, _describe_leak(bunch)]
    if skipped:
        headline = f"{len(skipped)} songs or labels cannot be used and were left out"
        messages.insert(0, describe_skipped(skipped, headline))
    return finish(bunch, messages, return_X_y)


def _choose_labels(
    path: Path, format: str, categories: Any, ambiguous: str, on_error: str
) -> tuple[dict[str, SongLabel], list[str], list[tuple[str, str]], str]:
    """Read the requested labels; also return the genres, the bad lines and the format."""
    labels, bad, format = read_genre_labels(path, format)
    if bad and on_error == "raise":
        raise AudioReadError(bad[0][0], f"{bad[0][1]} With on_error='warn' the others are read.")
    if ambiguous == "drop":
        labels = {track: label for track, label in labels.items() if not label.minority}
    genres = sorted({label.genre for label in labels.values()})
    names = choose_categories(genres, categories, "genres")
    if len(names) < 2:
        raise ValueError(f"{path} has one genre only ({', '.join(names)}); two are needed.")
    wanted = {track: label for track, label in labels.items() if label.genre in names}
    return dict(sorted(wanted.items())), names, bad, format


def _frame_borders(offset: float, duration: float, frame_rate: float) -> np.ndarray:
    n_frames = round(duration * frame_rate)
    if not 1 <= n_frames <= MAX_FRAMES:
        raise ValueError(
            f"duration={duration:g} s at frame_rate={frame_rate:g} Hz makes {n_frames} frames; "
            f"1 to {MAX_FRAMES} are possible."
        )
    return offset + np.arange(n_frames + 1) / frame_rate


def _read_labeled_songs(
    home: Path,
    chosen: dict[str, SongLabel],
    skipped: list[tuple[str, str]],
    *,
    times: np.ndarray | None,
    draw: tuple[int | None, Any] | None,
    **settings: Any,
) -> tuple[list[Song], dict[str, str]]:
    """Read the available labeled songs; also return the file of each track."""
    places = _locate_songs(home, list(chosen))
    if draw is not None:
        places = {track: places[track] for track in _draw_songs(list(places), chosen, *draw)}
    songs, errors = _read_songs(places, times=times, **settings)
    skipped += skipped_files(errors)
    return songs, {track: file for track, (file, _) in places.items()}


def _previews(songs: list[Song], root: Path, audio_ids: Any) -> dict[str, str]:
    """Find the sound of each song that has one, relative to `root`, by track id."""
    ids = {} if audio_ids is None else _read_id_map(Path(audio_ids))
    files = _find_previews(
        root, {song.track_id: ids.get(song.track_id, song.preview_id) for song in songs}
    )
    if files:
        return files
    raise ValueError(
        f"{root} has no audio for any of the {len(songs)} labeled songs. Expected "
        "7dig/8/9/8947470.clip.mp3 (by 7digital id; audio_ids maps them) or TR....mp3 (by "
        f"track id); found: {describe_contents(root)}."
    )


def _draw_songs(
    tracks: list[str], chosen: dict[str, SongLabel], most: int | None, random_state: Any
) -> list[str]:
    """Draw at most `most` tracks of every genre at random, in their order."""
    if most is None:
        return tracks
    random = check_random_state(random_state)
    genres = np.array([chosen[track].genre for track in tracks])
    rows = [np.flatnonzero(genres == genre) for genre in sorted(set(genres.tolist()))]
    drawn = np.concatenate([random.permutation(some)[:most] for some in rows])
    return [tracks[row] for row in np.sort(drawn)]


def _without_duplicates(songs: list[Song], how: str) -> tuple[list[Song], list[tuple[str, str]]]:
    """Keep the first of several tracks of a song; also return the others with that first."""
    if how == "keep":
        return songs, []
    kept: dict[str, Song] = {}
    dropped = []
    for song in songs:
        first = kept.setdefault(song.song_id or song.track_id, song)
        if first is not song:
            dropped.append((song.track_id, first.track_id))
    return list(kept.values()), dropped


def _join_songs(
    songs: list[Song],
    files: dict[str, str],
    chosen: dict[str, SongLabel],
    skipped: list[tuple[str, str]],
) -> list[Entry]:
    """Combine songs, files, labels and groups to entries; raise for fewer than two genres."""
    n_genres = len({chosen[song.track_id].genre for song in songs})
    if n_genres < 2:
        headline = (
            f"{len(songs)} songs of {n_genres} genres are left of the {len(chosen)} labeled "
            "ones that are available; two genres are needed"
        )
        raise ValueError(describe_skipped(skipped, headline) if skipped else f"{headline}.")
    entries = []
    for song, group in zip(songs, _groups(songs), strict=True):
        label = chosen[song.track_id]
        facts = {name: getattr(song, name) for name in FACTS}
        facts |= {"minority": label.minority, "confidence": repr(label.confidence)}
        entries.append(Entry(files[song.track_id], label.genre, label.split, group, facts))
    return entries


def _groups(songs: list[Song]) -> list[str]:
    """Group songs by artist, and artists by the songs they share."""
    artists = [song.artist_id or song.artist_name or song.track_id for song in songs]
    first: dict[str, str] = {}
    pairs = [
        (artist, first.setdefault(song.song_id or song.track_id, artist))
        for song, artist in zip(songs, artists, strict=True)
    ]
    names = list(dict.fromkeys(artists))
    groups = dict(zip(names, linked_groups(names, pairs), strict=True))
    return [groups[artist] for artist in artists]


def _describe_leak(bunch: Bunch) -> str:
    """Describe artists on both sides of the split of the labels; empty if there are none."""
    if bunch.split is None:
        return ""
    sides: dict[str, set[str]] = {}
    for group, part in zip(bunch.groups, bunch.split, strict=True):
        sides.setdefault(group, set()).add(part)
    shared = [group for group, parts in sides.items() if len(parts) > 1]
    if not shared:
        return ""
    return (
        f"{len(shared)} artists are in several parts of the split that the labels name, such as "
        f"{', '.join(shared[:3])}: it leaks. Divide by groups instead."
    )


def _describe(bunch: Bunch, n_labels: int) -> str:
    counts = Counter(bunch.target.tolist())
    lines = [
        f"Million Song Dataset, labels {bunch.format}: {len(bunch.target)} songs of "
        f"{len(set(bunch.groups))} artists available, {n_labels} labeled",
        "",
    ]
    lines += [f"{name}: {counts[code]}" for code, name in enumerate(bunch.target_names)]
    if bunch.duplicates:
        lines += ["", f"Tracks of a song that is there already, left out: {len(bunch.duplicates)}"]
    return "\n".join(lines)


# Label files


def read_genre_labels(
    path: Path, format: str = "auto"
) -> tuple[dict[str, SongLabel], list[tuple[str, str]], str]:
    """Read a file of genre labels: labels by track, bad lines with the reason, and the format."""
    _check_file(path)
    try:
        with path.open(encoding="utf-8", newline="") as file:
            lines = _numbered(file)
            first = next(lines, None)
            if first is None:
                raise ValueError(f"{path} holds no labels. Download it again.")
            found = _find_format(path, first[1], format)
            if found in ("labrosa", "msd-i"):
                rows = _table_rows(path, first[1], lines, found)
            else:
                rows = _cls_rows(chain([first], lines), found)
            labels, bad = _collect(path, rows)
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
    """Number the lines that are neither empty nor comments; cut very long ones."""
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


def _cls_rows(lines: Iterator[tuple[int, str]], format: str) -> Iterator[Row]:
    """Parse lines with an id, a genre and in some formats a second genre."""
    most = 3 if format in CONFIDENCE else 2
    expected = "2" if most == 2 else "2 or 3"
    for number, line in lines:
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
    path: Path, first: str, lines: Iterator[tuple[int, str]], format: str
) -> Iterator[Row]:
    """Parse the rows of a table whose first line is the header."""
    delimiter = "\t" if "\t" in first else ","
    names = next(csv.reader([first], delimiter=delimiter))
    header = [name.strip().lstrip("%") for name in names]
    id_name = "track_id" if format == "labrosa" else "msd_track_id"
    missing = [name for name in (id_name, "genre") if name not in header]
    if missing:
        raise ValueError(
            f"{path} lacks the column {' and '.join(missing)} of format {format!r}; it has: "
            f"{', '.join(header)}."
        )
    for number, line in lines:
        try:
            cells = next(csv.reader([line], delimiter=delimiter, strict=True))
        except csv.Error as error:
            yield number, f"is not a row of a table ({error})."
            continue
        # LabROSA's file has no quotes around titles with commas, so only the first two cells,
        # genre and id, are reliable there.
        if len(cells) < len(header) or (len(cells) > len(header) and format != "labrosa"):
            yield number, f"has {len(cells)} cells, the header {len(header)}."
            continue
        row = dict(zip(header, (cell.strip() for cell in cells), strict=False))
        yield number, SongLabel(row[id_name], row["genre"], split=row.get("set"))


def _collect(
    path: Path, rows: Iterator[Row]
) -> tuple[dict[str, SongLabel], list[tuple[str, str]]]:
    """Keep the good lines; a track with two different labels keeps the first."""
    labels: dict[str, SongLabel] = {}
    bad: list[tuple[str, str]] = []
    for number, row in rows:
        if isinstance(row, str):
            reason = row
        elif not TRACK_ID.fullmatch(row.track_id):
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


# Songs in HDF5 files


def _locate_songs(home: Path, tracks: list[str]) -> dict[str, Place]:
    """Find the places of the tracks that are available."""
    if home.is_file():
        rows = {track: row for row, track in enumerate(_list_songs(str(home)))}
        places: dict[str, Place] = {t: (str(home), rows[t]) for t in tracks if t in rows}
        found = f"{len(rows)} songs, none of them with a label"
    else:
        check_folder(home)
        roots = [home / "data", home]
        places = {}
        for track in tracks:
            paths = (song_path(root, track) for root in roots)
            if path := next((path for path in paths if path.is_file()), None):
                places[track] = (str(path), None)
        found = "" if places else _what_lies_there(home)
    if not places:
        raise ValueError(
            f"{home} has none of the {len(tracks)} labeled songs. Expected: A/X/L/TRAXL....h5, "
            f"such as {song_path(Path(), tracks[0]).as_posix()}, in it or in its sub-folder data; "
            f"found: {found}. Name the folder MillionSongSubset or millionsong, and labels that "
            "go with it."
        )
    return places


def _what_lies_there(home: Path) -> str:
    example = next(home.glob("[A-Z]/[A-Z]/[A-Z]/TR*.h5"), None)
    example = example or next(home.glob("data/[A-Z]/[A-Z]/[A-Z]/TR*.h5"), None)
    if example is not None:
        return f"songs such as {example.name}, none of them with a label"
    return describe_contents(home)


def _read_songs(
    places: dict[str, Place],
    *,
    times: np.ndarray | None,
    on_error: str,
    n_jobs: int | None,
    verbose: bool,
) -> tuple[list[Song], list[AudioReadError]]:
    """Read many songs in processes; also return the errors of unusable files."""
    parallel = Parallel(n_jobs=n_jobs, return_as="generator", batch_size="auto")
    outcomes = parallel(
        delayed(_read_or_error)(path, track, row, times) for track, (path, row) in places.items()
    )
    songs: list[Song] = []
    errors: list[AudioReadError] = []
    for item in with_progress(outcomes, len(places), verbose):
        if isinstance(item, Song):
            songs.append(item)
        elif on_error == "raise":
            item.add_note("With on_error='warn' the other songs are read all the same.")
            raise item
        else:
            errors.append(item)
    return songs, errors


def _read_or_error(
    path: str, track: str, row: int | None, times: np.ndarray | None
) -> Song | AudioReadError:
    try:
        return _read_song(path, track, row=row, times=times)
    except AudioReadError as error:
        return error


def _read_unique_tracks(path: Path, tracks: Collection[str]) -> list[Song]:
    """Read songs and artists from ``unique_tracks.txt``."""
    if not path.is_file():
        raise ValueError(f"{path} does not exist. unique_tracks.txt comes with the data set.")
    songs = {}
    n_lines = 0
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            cells = line[:MAX_LINE].rstrip("\n").split(SEPARATOR)
            if len(cells) != 4 or not TRACK_ID.fullmatch(cells[0]):
                continue
            n_lines += 1
            if cells[0] in tracks:
                track, song, artist, title = cells
                songs[track] = Song(track, song, "", artist, title, None)
    if not songs:
        raise ValueError(
            f"{path} names none of the {len(tracks)} labeled tracks; it has {n_lines} lines of "
            "track id<SEP>song id<SEP>artist<SEP>title."
        )
    return [songs[track] for track in sorted(songs)]


def song_path(root: Path, track_id: str) -> Path:
    """Return the path of a track: its folders are the third to fifth letters of its id."""
    return root / track_id[2] / track_id[3] / track_id[4] / f"{track_id}.h5"


def segments_to_grid(
    starts: np.ndarray, values: np.ndarray, end: float, *, times: np.ndarray
) -> np.ndarray:
    """Average values of segments of any length over the frames of a uniform grid.

    Frames after the last segment are zero.
    """
    # The mean over a frame loses no short segment and causes no aliasing.
    borders = np.append(starts, max(end, starts[-1]))
    areas = np.diff(borders)[:, np.newaxis] * values
    sums = np.vstack([np.zeros(values.shape[1]), np.cumsum(areas, axis=0)])
    integrals = np.stack([np.interp(times, borders, column) for column in sums.T])
    # A frame that is only partly filled by the sound is the mean over the filled part.
    covered = np.diff(np.clip(times, borders[0], borders[-1]))
    frames = np.diff(integrals, axis=1)
    filled = np.divide(frames, covered, out=np.zeros_like(frames), where=covered > 1e-9)
    return filled.astype(np.float32)


def _list_songs(path: str) -> list[str]:
    """Return the track ids in a single or an aggregate file, in the order of its rows."""
    with _opened(path) as file:
        table = _table(path, file, "analysis")
        if len(table) > MAX_SONGS or "track_id" not in table.dtype.names:
            raise AudioReadError(path, f"has no list of track ids. {DAMAGED}")
        return [bytes(name).decode("ascii", errors="replace") for name in table["track_id"]]


def _read_song(
    path: str, track_id: str, *, row: int | None = None, times: np.ndarray | None = None
) -> Song:
    """Read one song of a single or an aggregate file."""
    with _opened(path) as file:
        analysis, metadata = _table(path, file, "analysis"), _table(path, file, "metadata")
        if len(metadata) != len(analysis) or (row is None and len(analysis) != 1):
            counts = f"{len(analysis)} and {len(metadata)}"
            raise AudioReadError(path, f"holds {counts} songs where 1 is expected. {DAMAGED}")
        facts, about = analysis[row or 0], metadata[row or 0]
        found = _text(path, facts, "track_id")
        if found != track_id:
            raise AudioReadError(path, f"holds {found!r}, not {track_id}. {DAMAGED}")
        duration = _number(path, facts, "duration")
        matrix = None
        if times is not None:
            matrix = _read_matrix(path, file, analysis, row or 0, duration, times)
        return Song(
            track_id=track_id,
            song_id=_text(path, about, "song_id"),
            artist_id=_text(path, about, "artist_id"),
            artist_name=_text(path, about, "artist_name"),
            title=_text(path, about, "title"),
            preview_id=int(_number(path, about, "track_7digitalid")),
            matrix=matrix,
        )


@contextmanager
def _opened(path: str) -> Iterator[Any]:
    """Open an HDF5 file; every failure becomes an `AudioReadError`."""
    h5py = import_optional("h5py", extra="millionsong")
    try:
        with h5py.File(path, "r") as file:
            yield file
    except AudioReadError:
        raise
    except FileNotFoundError:
        raise AudioReadError(path, f"does not exist. {DAMAGED}") from None
    # h5py raises these for everything that can be wrong inside a file.
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, MemoryError) as error:
        reason = " ".join(str(error).split())[:200]
        raise AudioReadError(path, f"is no readable HDF5 file ({reason}). {DAMAGED}") from error


def _dataset(path: str, file: Any, name: str) -> Any:
    """Return a dataset that is stored in the file itself: links can lead to any other file."""
    h5py = import_optional("h5py", extra="millionsong")
    node = file
    for part in name.split("/"):
        link = node.get(part, getlink=True) if isinstance(node, h5py.Group) else None
        if link is None or (node := node.get(part)) is None:
            raise AudioReadError(path, f"lacks /{name}: not a file of the Million Song Dataset.")
        if not isinstance(link, h5py.HardLink):
            raise AudioReadError(path, f"has a link to elsewhere at /{name}. {DAMAGED}")
    if not isinstance(node, h5py.Dataset) or node.external or node.is_virtual:
        raise AudioReadError(path, f"has no plain data at /{name}. {DAMAGED}")
    return node


def _table(path: str, file: Any, group: str) -> Any:
    table = _dataset(path, file, f"{group}/songs")
    if table.ndim != 1 or table.dtype.names is None or table.dtype.itemsize > 10 * MAX_FIELD_BYTES:
        raise AudioReadError(path, f"has no table of songs at /{group}/songs. {DAMAGED}")
    return table


def _text(path: str, row: Any, name: str) -> str:
    if name not in row.dtype.names or row.dtype[name].kind != "S":
        raise AudioReadError(path, f"lacks the text {name}. {DAMAGED}")
    return bytes(row[name]).decode("utf-8", errors="replace").strip()


def _number(path: str, row: Any, name: str) -> float:
    if name not in row.dtype.names or row.dtype[name].kind not in "iuf":
        raise AudioReadError(path, f"lacks the number {name}. {DAMAGED}")
    value = float(row[name])
    if not np.isfinite(value):
        raise AudioReadError(path, f"has {name} = {value}. {DAMAGED}")
    return value


def _read_matrix(
    path: str, file: Any, table: Any, row: int, duration: float, times: np.ndarray
) -> np.ndarray:
    """Read and check the segments of one song, and bring them to the time grid."""
    starts, timbre, pitches = (
        _rows_of_song(path, file, table, row, name, width)
        for name, width in (
            ("segments_start", None),
            ("segments_timbre", 12),
            ("segments_pitches", 12),
        )
    )
    if not len(starts) == len(timbre) == len(pitches) or len(starts) == 0:
        raise AudioReadError(
            path,
            f"has {len(starts)} segments, {len(timbre)} of timbre and {len(pitches)} of pitches. "
            "A summary file has none: name the folder of the single files.",
        )
    if np.any(np.diff(starts) < 0) or starts[0] < 0:
        raise AudioReadError(path, f"has segments that do not ascend in time. {DAMAGED}")
    if min(duration, float(times[-1])) <= times[0] or starts[0] >= times[-1]:
        raise AudioReadError(
            path,
            f"lasts {duration:.6g} s, which leaves nothing after {times[0]:g} s. Lower offset.",
        )
    values = np.hstack([timbre, pitches])
    return segments_to_grid(starts, values, duration, times=times)


def _rows_of_song(
    path: str, file: Any, table: Any, row: int, name: str, width: int | None
) -> np.ndarray:
    """Read the part of an array that belongs to one song; its size is checked first."""
    array = _dataset(path, file, f"analysis/{name}")
    shape = array.shape[1:]
    if array.dtype.kind != "f" or array.ndim < 1 or shape != (() if width is None else (width,)):
        raise AudioReadError(path, f"has {name} of shape {array.shape}, {array.dtype}. {DAMAGED}")
    index = f"idx_{name}"
    start, stop = 0, len(array)
    if len(table) > 1:
        if index not in table.dtype.names:
            raise AudioReadError(path, f"lacks {index} in /analysis/songs. {DAMAGED}")
        start = int(table[row][index])
        stop = int(table[row + 1][index]) if row + 1 < len(table) else len(array)
    if not 0 <= start <= stop <= len(array) or stop - start > MAX_SEGMENTS:
        raise AudioReadError(path, f"has {name} from {start} to {stop} of {len(array)}. {DAMAGED}")
    values = array[start:stop].astype(np.float64)
    if not np.isfinite(values).all():
        raise AudioReadError(path, f"has NaN or infinite {name}. {DAMAGED}")
    return values


# Audio previews


def _find_previews(root: Path, ids: dict[str, str | int | None]) -> dict[str, str]:
    """Find the sound of each track that has one, relative to `root`."""
    # One listing serves all songs of a folder: asking for each file would take minutes.
    listed = cache(_sounds_in)
    found = {}
    for track, name in ids.items():
        for place in _places(track, "" if name is None else str(name)):
            file = listed(root / place.parent).get(place.name)
            if file is not None:
                found[track] = (place.parent / file).as_posix()
                break
    return found


def _places(track: str, name: str) -> list[Path]:
    """List the possible paths of a preview, without extension, relative to the folder."""
    places = [Path(track[2], track[3], track[4], track), Path(track)]
    if name.isascii() and name.isdigit() and int(name) > 0:
        inner = Path(name[0], name[1:2], name)
        return ["7dig" / inner, inner, Path(name), *places]
    inside = os.path.normpath(name)
    if name and not os.path.isabs(inside) and inside.split(os.sep)[0] != os.pardir:
        path = Path(inside)
        path = path.with_name(_stem(path.name))
        return [path, "7dig" / path, *places]
    return places


def _sounds_in(folder: Path) -> dict[str, str]:
    """List the sounds in a folder by stem; of several with one stem, mp3 is used."""
    try:
        names = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    sounds = [n for n in names if os.path.splitext(n)[1].lower() in AUDIO_EXTENSIONS]
    sounds.sort(key=lambda name: (name.lower().endswith(".mp3"), name))
    return {_stem(name): name for name in sounds}


def _stem(name: str) -> str:
    stem, extension = os.path.splitext(name)
    return stem.removesuffix(".clip") if extension.lower() in AUDIO_EXTENSIONS else name


def _read_id_map(path: Path) -> dict[str, str]:
    """Read the table of the preview of each track."""
    if not path.is_file():
        raise ValueError(f"The file of preview ids {path} does not exist. Check audio_ids.")
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"{path} has more than {MAX_BYTES} bytes. Check audio_ids.")
    is_pickle = path.suffix.lower() in (".pkl", ".pickle", ".p", ".cp")
    pairs = _from_pickle(path) if is_pickle else _from_text(path)
    found = {str(track): str(value) for track, value in pairs if TRACK_ID.fullmatch(str(track))}
    if not found:
        raise ValueError(f"{path} maps no track id (TR and 16 letters and digits) to a preview.")
    return found


class _PlainUnpickler(pickle.Unpickler):
    """Unpickler of numbers, texts and their containers, which refuses to import anything."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")


def _from_pickle(path: Path) -> list[tuple[Any, Any]]:
    try:
        with path.open("rb") as file:
            # Written by Python 2, whose texts are bytes.
            found = _PlainUnpickler(file, encoding="latin-1").load()
    except Exception as error:  # a broken pickle can raise nearly anything
        raise ValueError(
            f"{path} is not a pickle of plain texts and numbers ({error}). Write the ids to a "
            "text file instead: track id, tab, 7digital id."
        ) from error
    if not isinstance(found, dict):
        raise ValueError(f"{path} holds a {type(found).__name__}, not a dict. Check audio_ids.")
    return list(found.items())


def _from_text(path: Path) -> list[tuple[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            start = file.read(4096)
            file.seek(0)
            rows = csv.reader(file, delimiter="\t" if "\t" in start else ",")
            return [(row[0].strip(), row[1].strip()) for row in rows if len(row) > 1]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} is not a table in UTF-8 ({error}). Check audio_ids.") from error
