"""Genres of the Million Song Dataset: labels joined with songs, artists kept together."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.utils import Bunch

from skstrf.datasets.audio import DURATION, OFFSET, SAMPLE_RATE
from skstrf.datasets.batch import N_NAMED, warn_of_errors
from skstrf.datasets.folder import load_entries
from skstrf.datasets.headers import AudioReadError
from skstrf.datasets.msd_audio import find_previews, read_id_map
from skstrf.datasets.msd_join import draw_songs, join_songs, say_leak, without_duplicates
from skstrf.datasets.msd_labels import FORMATS, SongLabel, read_genre_labels
from skstrf.datasets.msd_songs import FEATURE_NAMES, Song
from skstrf.datasets.msd_tree import locate_songs, read_songs, read_unique_tracks
from skstrf.datasets.tables import Entry, check_folder
from skstrf.utils.validation import Integral, Interval, Real, StrOptions, validate_params

__all__ = ["load_million_song_genres"]

MAX_FRAMES = 100_000


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
        "duration": [DURATION],
        "offset": [OFFSET],
        "sample_rate": [SAMPLE_RATE],
        "load_content": ["boolean"],
        "return_X_y": ["boolean"],
        "on_error": [StrOptions({"raise", "warn"})],
        "random_state": ["random_state"],
        "n_jobs": [None, Integral],
        "verbose": ["boolean"],
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

    The songs that the labels name are looked for among those at hand, so labels of the whole
    set serve for its subset of 10 000 songs too. With `audio_home` the sounds are the user's
    own audio previews; without it, the timbre and pitches that the data set has for every
    segment (three or four in a second), as a matrix on a uniform grid.

    Parameters
    ----------
    labels : str or Path
        A file of genres, see `format`. Labels are published apart from the songs.
    data_home : str, Path or None
        The folder ``MillionSongSubset``, ``millionsong`` or ``data`` (songs lie in it as
        ``A/X/L/TRAXL....h5``), or one aggregate .h5 file. None: there is only audio.
    format : str
        "tagtraum-cd1", "tagtraum-cd2", "tagtraum-cd2c" [2]_, "top-magd", "magd", "masd" [3]_,
        "labrosa" (``msd_genre_dataset.txt``), "msd-i" [4]_, or "auto": by the header inside,
        then by the file's name.
    audio_home : str, Path or None
        A folder of sounds: ``7dig/8/9/8947470.clip.mp3`` by 7digital id, with or without the
        folders, or ``A/X/L/TRAXL....mp3`` by track id; any known extension.
    audio_ids : str, Path or None
        Which 7digital id (or path inside `audio_home`) belongs to a track: a text file of two
        columns, or ``MSD_id_to_7D_id.pkl``. None: what the .h5 files say.
    unique_tracks : str, Path or None
        ``unique_tracks.txt``, for songs and artists when there is no `data_home`.
    categories : list of str or None
        The genres to load; None: all.
    ambiguous : {"keep", "drop"}
        Tracks with two genres (tagtraum CD1 and CD2): keep with the first, or leave out.
    duplicates : {"keep", "drop"}
        Several tracks of one song (of one song id): keep all, in one group, or take the first
        by track id alone.
    max_per_class : int or None
        Songs of each genre at most, drawn by chance.
    frame_rate : float
        Frames per second of the segment matrices, in Hz.
    duration : float
        Seconds of each song; shorter ones are padded with zeros.
    offset : float
        Seconds to leave out at the start.
    sample_rate : int
        Of the sounds, in Hz.
    load_content : bool
        Whether to read matrices or sounds, or give paths only: with `audio_home`, paths for
        pipelines that begin with an `AudioLoader`.
    return_X_y : bool
        Return ``(data, target)``, or ``(filenames, target)`` without content, not a Bunch.
    on_error : {"raise", "warn"}
        What to do about a bad line of the labels, a damaged .h5 file or sound: raise, or leave
        it out and warn once.
    random_state : int, RandomState instance or None
        Of `max_per_class`.
    n_jobs : int or None
        Processes that read .h5 files, threads that read sounds.
    verbose : bool
        Show a progress bar.

    Returns
    -------
    Bunch or (ndarray, ndarray)
        Songs are in the order of their track ids.

        data : ndarray of shape (n_songs, 24, n_frames) or (n_songs, n_times), float32
            Mean timbre (12) and pitches (12) of every frame, unscaled; or sounds. Only with
            ``load_content=True``.
        filenames : ndarray of shape (n_songs,), str
            The .h5 files, or the sounds.
        target : ndarray of shape (n_songs,), int
            Index of each song's genre in `target_names`.
        target_names : list of str
            All genres of the labels (or of `categories`), sorted.
        groups : ndarray of shape (n_songs,), str
            Songs that must stay on one side of a split: those of an artist, and of artists who
            share a song.
        split : ndarray of shape (n_songs,), str, or None
            The part that the labels themselves name (MSD-I).
        metadata : dict of str to ndarray of shape (n_songs,)
            track_id, song_id, artist_id, artist_name, title; ``minority``, the second genre;
            ``confidence`` of the first (tagtraum CD1: 2/3 if there are two, CD2: 1/2; else 1).
        feature_names : list of str, frame_rate : float
            Of the matrices; ``sample_rate`` of sounds instead.
        duplicates : list of (str, str)
            Tracks left out, with the track of the same song that stays.
        skipped : list of (str, str)
            Files and lines that could not be used, with the reason.
        path, format, DESCR : str
            Where from, what the labels were read as, and a summary.

    Raises
    ------
    ValueError
        When labels or folder are not what they should be, or have no song in common (the
        message says what was found and expected), or fewer than two genres are left.
    AudioReadError
        With ``on_error="raise"``, for the first song that cannot be used.

    Notes
    -----
    ``genre`` inside the .h5 files is empty in the whole data set and never used. Two recordings
    of a song that have different song ids are not recognised as duplicates, but those of one
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
    chosen, names, skipped, format = _labels(Path(labels), format, categories, ambiguous, on_error)
    times = _frame_borders(offset, duration, frame_rate)
    settings: dict[str, Any] = {"on_error": on_error, "n_jobs": n_jobs, "verbose": verbose}
    if data_home is not None:
        songs, files = _read_songs(
            Path(data_home),
            chosen,
            skipped,
            times=times if load_content and audio_home is None else None,
            # Which songs have audio is known only once they were opened.
            draw=None if audio_home else (max_per_class, random_state),
            **settings,
        )
    elif audio_home is not None and unique_tracks is not None:
        songs, files = read_unique_tracks(Path(unique_tracks), chosen), {}
    else:
        raise ValueError(
            "Name data_home, the folder of the songs; or audio_home and unique_tracks, if you "
            "have sounds but no .h5 files."
        )
    if audio_home is not None:
        files = _previews(songs, check_folder(audio_home), audio_ids)
        tracks = draw_songs(list(files), chosen, max_per_class, random_state)
        songs = [song for song in songs if song.track_id in set(tracks)]
    songs, dropped = without_duplicates(songs, duplicates)
    entries = join_songs(songs, files, chosen, skipped)
    if audio_home is None:
        bunch, message = _matrices(songs, entries, names, frame_rate, load_content), ""
    else:
        bunch, message = load_entries(
            Path(audio_home),
            entries,
            names,
            [],
            sample_rate=int(sample_rate),
            duration=duration,
            offset=offset,
            load_content=load_content,
            **settings,
        )
        bunch.metadata["confidence"] = bunch.metadata["confidence"].astype(float)
    bunch.skipped = skipped + bunch.skipped
    bunch.duplicates, bunch.format = dropped, format
    bunch.path = str(audio_home or data_home)
    bunch.DESCR = _describe(bunch, len(chosen))
    if messages := [*filter(None, (_say_skipped(skipped), message, say_leak(bunch)))]:
        warn_of_errors("\n".join(messages))
    if return_X_y:
        return (bunch.data if load_content else bunch.filenames), bunch.target
    return bunch


def _labels(
    path: Path, format: str, categories: Any, ambiguous: str, on_error: str
) -> tuple[dict[str, SongLabel], list[str], list[tuple[str, str]], str]:
    """Read the labels and choose among them; also the genres, the bad lines, the format."""
    labels, bad, format = read_genre_labels(path, format)
    if bad and on_error == "raise":
        raise AudioReadError(bad[0][0], f"{bad[0][1]} With on_error='warn' the others are read.")
    if ambiguous == "drop":
        labels = {track: label for track, label in labels.items() if not label.minority}
    names = sorted({label.genre for label in labels.values()})
    if categories is not None:
        unknown = [str(name) for name in categories if name not in names]
        if unknown:
            raise ValueError(
                f"categories names {', '.join(unknown)}, but the genres are {', '.join(names)}."
            )
        names = [name for name in names if name in list(categories)]
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


def _read_songs(
    home: Path,
    chosen: dict[str, SongLabel],
    skipped: list[tuple[str, str]],
    *,
    times: np.ndarray | None,
    draw: tuple[int | None, Any] | None,
    **settings: Any,
) -> tuple[list[Song], dict[str, str]]:
    """Read the labelled songs that are at hand; also the file of each."""
    places = locate_songs(home, list(chosen))
    if draw is not None:
        places = {track: places[track] for track in draw_songs(list(places), chosen, *draw)}
    songs, errors = read_songs(places, times=times, **settings)
    skipped += [(str(error.path), error.reason) for error in errors]
    return songs, {track: file for track, (file, _) in places.items()}


def _previews(songs: list[Song], root: Path, audio_ids: Any) -> dict[str, str]:
    """Return the sounds of the songs that have one, relative to `root`, by track id."""
    ids = {} if audio_ids is None else read_id_map(Path(audio_ids))
    files = find_previews(
        root, {song.track_id: ids.get(song.track_id, song.preview_id) for song in songs}
    )
    if files:
        return files
    raise ValueError(
        f"{root} has no audio for any of the {len(songs)} labelled songs. Expected "
        "7dig/8/9/8947470.clip.mp3 (by 7digital id; audio_ids maps them) or TR....mp3 (by "
        f"track id); found: {', '.join(sorted(os.listdir(root))[:N_NAMED]) or 'nothing'}."
    )


def _matrices(
    songs: list[Song], entries: list[Entry], names: list[str], frame_rate: float, content: bool
) -> Bunch:
    splits = [entry.split for entry in entries]
    columns = {
        name: np.array([entry.extra[name] for entry in entries], dtype=str)
        for name in entries[0].extra
    }
    columns["confidence"] = columns["confidence"].astype(float)
    bunch = Bunch(
        filenames=np.array([entry.file for entry in entries], dtype=str),
        target=np.array([names.index(entry.label) for entry in entries], dtype=int),
        target_names=names,
        groups=np.array([entry.group for entry in entries], dtype=str),
        split=None if None in splits else np.array(splits, dtype=str),
        metadata=columns,
        feature_names=list(FEATURE_NAMES),
        frame_rate=float(frame_rate),
        skipped=[],
    )
    if content:
        bunch.data = np.stack([song.matrix for song in songs if song.matrix is not None])
    return bunch


def _say_skipped(skipped: list[tuple[str, str]]) -> str:
    if not skipped:
        return ""
    named = "\n".join(f"  {name}: {reason}" for name, reason in skipped[:N_NAMED])
    more = f"\n  and {len(skipped) - N_NAMED} more" if len(skipped) > N_NAMED else ""
    return f"{len(skipped)} songs or labels cannot be used and were left out:\n{named}{more}"


def _describe(bunch: Bunch, n_labels: int) -> str:
    counts = Counter(bunch.target.tolist())
    lines = [
        f"Million Song Dataset, labels {bunch.format}: {len(bunch.target)} songs of "
        f"{len(set(bunch.groups))} artists at hand, {n_labels} labelled",
        "",
    ]
    lines += [f"{name}: {counts[code]}" for code, name in enumerate(bunch.target_names)]
    if bunch.duplicates:
        lines += ["", f"Tracks of a song that is there already, left out: {len(bunch.duplicates)}"]
    return "\n".join(lines)
