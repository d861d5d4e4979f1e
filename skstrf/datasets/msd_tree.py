"""Where the songs of the Million Song Dataset are, and reading many of them."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed

from skstrf.datasets.batch import N_NAMED, with_progress
from skstrf.datasets.headers import AudioReadError
from skstrf.datasets.msd_labels import check_track_id
from skstrf.datasets.msd_songs import Song, list_songs, read_song, song_path
from skstrf.datasets.tables import check_folder

__all__ = ["locate_songs", "read_songs", "read_unique_tracks"]

SEPARATOR = "<SEP>"
MAX_LINE = 20_000
Place = tuple[str, int | None]


def locate_songs(home: Path, tracks: list[str]) -> dict[str, Place]:
    """Find which tracks are at hand.

    Parameters
    ----------
    home : Path
        A folder that has A/X/L/TRAXL....h5 in it or in its sub-folder ``data``, or an aggregate
        file.
    tracks : list of str
        Checked track ids.

    Returns
    -------
    dict of str to (str, int or None)
        File, and row in an aggregate file, by track id, in the order of `tracks`.

    Raises
    ------
    ValueError
        When it is no such folder, or has none of the tracks.
    """
    if home.is_file():
        rows = {track: row for row, track in enumerate(list_songs(str(home)))}
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
            f"{home} has none of the {len(tracks)} labelled songs. Expected: A/X/L/TRAXL....h5, "
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
    names = sorted(item.name for item in home.iterdir())
    return ", ".join(names[:N_NAMED]) + (", ..." if len(names) > N_NAMED else "") or "nothing"


def read_songs(
    places: dict[str, Place],
    *,
    times: np.ndarray | None,
    on_error: str,
    n_jobs: int | None,
    verbose: bool,
) -> tuple[list[Song], list[AudioReadError]]:
    """Read many songs, in processes, without one bad file costing the others.

    Parameters
    ----------
    places : dict of str to (str, int or None)
        From `locate_songs`.
    times : ndarray or None
        As in `read_song`.
    on_error : {"raise", "warn"}
        Raise the first error, or return all.
    n_jobs : int or None
        Processes, as joblib counts them; the HDF5 library does not let threads run side by side.
    verbose : bool
        Show a progress bar.

    Returns
    -------
    songs : list of Song
        In the order of `places`.
    errors : list of AudioReadError
        What was wrong with the others.
    """
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
        return read_song(path, track, row=row, times=times)
    except AudioReadError as error:
        return error


def read_unique_tracks(path: Path, tracks: Collection[str]) -> list[Song]:
    """Read songs and artists from ``unique_tracks.txt``.

    Parameters
    ----------
    path : Path
        Lines of track id, song id, artist and title, with ``<SEP>`` between.
    tracks : collection of str
        The tracks wanted.

    Returns
    -------
    list of Song
        Sorted by track id; the name stands for the artist's id, which the file lacks.

    Raises
    ------
    ValueError
        When the file is missing or another, or has none of the tracks.
    """
    if not path.is_file():
        raise ValueError(f"{path} does not exist. unique_tracks.txt comes with the data set.")
    songs = {}
    n_lines = 0
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            cells = line[:MAX_LINE].rstrip("\n").split(SEPARATOR)
            if len(cells) != 4 or not check_track_id(cells[0]):
                continue
            n_lines += 1
            if cells[0] in tracks:
                track, song, artist, title = cells
                songs[track] = Song(track, song, "", artist, title, None, float("nan"))
    if not songs:
        raise ValueError(
            f"{path} names none of the {len(tracks)} labelled tracks; it has {n_lines} lines of "
            "track id<SEP>song id<SEP>artist<SEP>title."
        )
    return [songs[track] for track in sorted(songs)]
