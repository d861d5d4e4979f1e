"""Songs joined with their labels: which to take, and which belong together."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils import Bunch, check_random_state

from skstrf.datasets.batch import N_NAMED
from skstrf.datasets.groups import linked_groups
from skstrf.datasets.msd_labels import SongLabel
from skstrf.datasets.msd_songs import Song
from skstrf.datasets.tables import Entry

__all__ = ["draw_songs", "join_songs", "say_leak", "without_duplicates"]


def draw_songs(
    tracks: list[str], chosen: dict[str, SongLabel], most: int | None, random_state: Any
) -> list[str]:
    """Take at most so many tracks of every genre, by chance, in the order they were in."""
    if most is None:
        return tracks
    random = check_random_state(random_state)
    genres = np.array([chosen[track].genre for track in tracks])
    rows = [np.flatnonzero(genres == genre) for genre in sorted(set(genres.tolist()))]
    drawn = np.concatenate([random.permutation(some)[:most] for some in rows])
    return [tracks[row] for row in np.sort(drawn)]


def without_duplicates(songs: list[Song], how: str) -> tuple[list[Song], list[tuple[str, str]]]:
    """Take the first of several tracks of a song; also the others, each with that first."""
    if how == "keep":
        return songs, []
    kept: dict[str, Song] = {}
    dropped = []
    for song in songs:
        first = kept.setdefault(song.song_id or song.track_id, song)
        if first is not song:
            dropped.append((song.track_id, first.track_id))
    return list(kept.values()), dropped


def join_songs(
    songs: list[Song],
    files: dict[str, str],
    chosen: dict[str, SongLabel],
    skipped: list[tuple[str, str]],
) -> list[Entry]:
    """Put songs, their files, labels and groups into entries, unless too few genres are left."""
    n_genres = len({chosen[song.track_id].genre for song in songs})
    if n_genres < 2:
        reasons = "".join(f"\n  {name}: {reason}" for name, reason in skipped[:N_NAMED])
        raise ValueError(
            f"{len(songs)} songs of {n_genres} genres are left of the {len(chosen)} labelled "
            f"ones that are at hand; two genres are needed.{reasons}"
        )
    return [
        _entry(song, files[song.track_id], chosen[song.track_id], group)
        for song, group in zip(songs, _groups(songs), strict=True)
    ]


def _entry(song: Song, file: str, label: SongLabel, group: str) -> Entry:
    facts = {
        "track_id": song.track_id,
        "song_id": song.song_id,
        "artist_id": song.artist_id,
        "artist_name": song.artist_name,
        "title": song.title,
        "minority": label.minority,
        "confidence": repr(label.confidence),
    }
    return Entry(file, label.genre, label.split, group, facts)


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


def say_leak(bunch: Bunch) -> str:
    """Say when the split that the labels name has artists on both sides."""
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
