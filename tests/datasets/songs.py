"""Synthetic files of the Million Song Dataset's layout."""

from pathlib import Path

import h5py
import numpy as np

FIXTURES = Path(__file__).parent / "data" / "msd"
SUBSET = FIXTURES / "MillionSongSubset_like"
GENRES = ("Rock", "Jazz", "Folk")


def track(number):
    letters = "ABCDEFGH"
    return f"TR{letters[number % 2]}{letters[number // 2 % 3]}Q{number:013d}"


def write_songs(path, numbers, facts=None, n_segments=40, seconds=10.0, change=None):
    """One file of these songs, with the tables and arrays that the loader reads."""
    path.parent.mkdir(parents=True, exist_ok=True)
    analysis = np.zeros(
        len(numbers),
        [("duration", "f8"), ("track_id", "S32")]
        + [(f"idx_segments_{name}", "i4") for name in ("start", "timbre", "pitches")],
    )
    fields = [(name, "S32") for name in ("song_id", "artist_id", "genre")]
    fields += [("artist_name", "S1024"), ("title", "S1024"), ("track_7digitalid", "i4")]
    metadata = np.zeros(len(numbers), fields)
    for row, number in enumerate(numbers):
        song = {"song_id": f"SO{number}", "artist_id": f"AR{number}", "preview": 8900000 + number}
        song |= (facts or {}).get(number, {})
        analysis[row] = (seconds, track(number).encode(), *[row * n_segments] * 3)
        name = f"Artist {number}".encode()
        ids = song["song_id"].encode(), song["artist_id"].encode()
        metadata[row] = (*ids, b"", name, "Tüte".encode(), song["preview"])
    starts = np.sort(np.random.default_rng(0).uniform(0, seconds, n_segments - 1))
    starts = np.concatenate([[0.0], starts])
    arrays = {
        "segments_start": np.tile(starts, len(numbers)),
        "segments_timbre": np.concatenate([np.full((n_segments, 12), float(n)) for n in numbers]),
        "segments_pitches": np.concatenate(
            [np.tile(np.linspace(0, 1, 12), (n_segments, 1)) for _ in numbers]
        ),
    }
    if change:
        change(arrays, analysis)
    with h5py.File(path, "w") as file:
        file["analysis/songs"], file["metadata/songs"] = analysis, metadata
        for name, values in arrays.items():
            file[f"analysis/{name}"] = values
    return path


def write_tree(root, numbers, facts=None, **settings):
    for number in numbers:
        name = track(number)
        write_songs(root / name[2] / name[3] / name[4] / f"{name}.h5", [number], facts, **settings)
    return root


def write_labels(path, numbers, header="# synthetic\n"):
    lines = [f"{track(n)}\t{GENRES[n % 3]}\n" for n in numbers]
    path.write_text(header + "".join(lines))
    return path
