"""One song of the Million Song Dataset: an HDF5 file in, its ids and its segments out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from skstrf.datasets.headers import AudioReadError

__all__ = ["FEATURE_NAMES", "Song", "list_songs", "read_song", "segments_to_grid", "song_path"]

FEATURE_NAMES = (
    *(f"timbre {number}" for number in range(1, 13)),
    *(
        f"pitch {name}"
        for name in ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
    ),
)
# A genuine file has 200 to 700 kB and about 1000 segments; an aggregate file has one row a song.
MAX_SONGS, MAX_SEGMENTS = 1_100_000, 100_000
MAX_FIELD_BYTES = 4096
DAMAGED = "Unpack or copy the data set again, or leave the song out."


@dataclass(frozen=True)
class Song:
    """Ids of one song, and its segments on a uniform grid when they were asked for."""

    track_id: str
    song_id: str
    artist_id: str
    artist_name: str
    title: str
    preview_id: int | None
    duration: float
    matrix: np.ndarray | None = None


def song_path(root: Path, track_id: str) -> Path:
    """Return where the file of a track lies: by the third to fifth letter of its id.

    Parameters
    ----------
    root : Path
        The folder with the sub-folders A to Z.
    track_id : str
        A checked one.

    Returns
    -------
    Path
        Whether or not it is there.

    Examples
    --------
    >>> from pathlib import Path
    >>> from skstrf.datasets.msd_songs import song_path
    >>> song_path(Path("data"), "TRAXLFIX0000000001").as_posix()
    'data/A/X/L/TRAXLFIX0000000001.h5'
    """
    return root / track_id[2] / track_id[3] / track_id[4] / f"{track_id}.h5"


def segments_to_grid(
    starts: np.ndarray, values: np.ndarray, end: float, *, times: np.ndarray
) -> np.ndarray:
    """Bring values that hold for segments of any length to a uniform grid.

    Every frame gets the mean over its time of what holds then, so that short segments are not
    lost and nothing is aliased. Frames beyond the last segment are zero.

    Parameters
    ----------
    starts : ndarray of shape (n_segments,)
        Where the segments start, in seconds, ascending.
    values : ndarray of shape (n_segments, n_features)
        One row a segment.
    end : float
        Where the last one ends, in seconds.
    times : ndarray of shape (n_frames + 1,)
        Borders of the frames, in seconds, ascending.

    Returns
    -------
    ndarray of shape (n_features, n_frames)
        float32.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf.datasets.msd_songs import segments_to_grid
    >>> values = np.array([[1.0], [3.0]])
    >>> segments_to_grid(np.array([0.0, 0.5]), values, 2.0, times=np.arange(4.0))
    array([[2., 3., 0.]], dtype=float32)
    """
    borders = np.append(starts, max(end, starts[-1]))
    areas = np.diff(borders)[:, np.newaxis] * values
    sums = np.vstack([np.zeros(values.shape[1]), np.cumsum(areas, axis=0)])
    integrals = np.stack([np.interp(times, borders, column) for column in sums.T])
    # A frame that the sound only partly fills is the mean over the filled part.
    covered = np.diff(np.clip(times, borders[0], borders[-1]))
    frames = np.diff(integrals, axis=1)
    filled = np.divide(frames, covered, out=np.zeros_like(frames), where=covered > 1e-9)
    return filled.astype(np.float32)


def list_songs(path: str) -> list[str]:
    """Return the track ids in a single or an aggregate file, in the order of its rows.

    Parameters
    ----------
    path : str
        The .h5 file.

    Returns
    -------
    list of str
        One a song.

    Raises
    ------
    AudioReadError
        When the file is missing, damaged or of another layout.
    """
    with _opened(path) as file:
        table = _table(path, file, "analysis")
        if len(table) > MAX_SONGS or "track_id" not in table.dtype.names:
            raise AudioReadError(path, f"has no list of track ids. {DAMAGED}")
        return [bytes(name).decode("ascii", errors="replace") for name in table["track_id"]]


def read_song(
    path: str, track_id: str, *, row: int | None = None, times: np.ndarray | None = None
) -> Song:
    """Read one song of a single or an aggregate file.

    Parameters
    ----------
    path : str
        The .h5 file.
    track_id : str
        The song it has to hold.
    row : int or None
        Where in an aggregate file; None: it is the only one.
    times : ndarray of shape (n_frames + 1,) or None
        Borders of the frames to make of the segments, in seconds; None reads the ids alone.

    Returns
    -------
    Song
        With a ``matrix`` of shape (24, n_frames), float32: timbre, then pitches.

    Raises
    ------
    AudioReadError
        When the file is missing, damaged, of another layout, or of another song.
    """
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
            duration=duration,
            matrix=matrix,
        )


@contextmanager
def _opened(path: str) -> Iterator[Any]:
    """Open an HDF5 file; whatever it fails with becomes an error that names it."""
    try:
        with h5py.File(path, "r") as file:
            yield file
    except AudioReadError:
        raise
    except FileNotFoundError:
        raise AudioReadError(path, f"does not exist. {DAMAGED}") from None
    # h5py raises these, and few others, for all that can be wrong inside a file.
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, MemoryError) as error:
        reason = " ".join(str(error).split())[:200]
        raise AudioReadError(path, f"is no readable HDF5 file ({reason}). {DAMAGED}") from error


def _dataset(path: str, file: Any, name: str) -> Any:
    """Return a dataset whose data lie in the file itself: links could lead to any other file."""
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
    """Read start, timbre and pitches of the segments of one song, checked, onto the grid."""
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
    """Read the part of an array that belongs to one song, of a size that is bounded first."""
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
