"""load_million_song_genres, on synthetic files of the genuine layout."""

import pickle
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline

from skstrf import AudioLoader, load_million_song_genres
from skstrf.datasets import AudioReadError
from skstrf.datasets.msd_labels import read_genre_labels
from skstrf.datasets.msd_songs import segments_to_grid

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


@pytest.fixture
def tree(tmp_path):
    """Twelve songs at hand, twenty labelled."""
    write_tree(tmp_path / "songs" / "data", range(12))
    return tmp_path / "songs", write_labels(tmp_path / "cd2c.cls", range(20))


# ---------------------------------------------------------------------- genuine layout


@pytest.mark.parametrize("name", ["cd1", "cd2c"])
def test_the_fixtures_load(name):
    path = FIXTURES / f"msd_tagtraum_{name}_fixture.cls"
    bunch = load_million_song_genres(path, SUBSET)
    assert bunch.data.shape == (2, 24, 240) and bunch.data.dtype == np.float32
    assert [bunch.target_names[code] for code in bunch.target] == ["Rock", "Jazz"]
    assert list(bunch.metadata["artist_name"]) == ["Fixture Artist"] * 2
    assert list(bunch.groups) == ["ARFIXTURE000000001"] * 2  # one artist
    assert list(bunch.metadata["minority"]) == (["Metal", ""] if name == "cd1" else ["", ""])
    confidence = [2 / 3, 1] if name == "cd1" else [1, 1]
    np.testing.assert_allclose(bunch.metadata["confidence"], confidence)
    assert bunch.format == f"tagtraum-{name}" and len(bunch.feature_names) == 24


def test_the_matrix_is_the_mean_over_every_frame():
    label = FIXTURES / "msd_tagtraum_cd2c_fixture.cls"
    bunch = load_million_song_genres(label, SUBSET, offset=3.0)
    path = SUBSET / "A" / "X" / "L" / "TRAXLFIX0000000001.h5"
    with h5py.File(path) as file:
        starts = file["analysis/segments_start"][:]
        values = np.hstack([file["analysis/segments_timbre"], file["analysis/segments_pitches"]])
    fine = 3.0 + (np.arange(30 * 8 * 400) + 0.5) / 3200  # sample and hold, finely
    held = values[np.searchsorted(starts, fine, side="right") - 1]
    expected = held.reshape(240, 400, 24).mean(axis=1).T
    np.testing.assert_allclose(bunch.data[0], expected, atol=0.01 * np.abs(values).max())


def test_grid_against_integrals_by_hand():
    starts, values = np.array([0.0, 1.0, 1.5]), np.array([[2.0], [6.0], [-2.0]])
    grid = segments_to_grid(starts, values, 3.0, times=np.arange(0.0, 5.0))
    np.testing.assert_allclose(grid, [[2, 2, -2, 0]])
    whole = segments_to_grid(starts, values, 3.0, times=np.array([0.0, 3.0]))
    np.testing.assert_allclose(whole, [[(2 * 1 + 6 * 0.5 - 2 * 1.5) / 3]], rtol=1e-6)
    late = segments_to_grid(starts + 0.5, values, 3.5, times=np.array([0.0, 1.0]))
    np.testing.assert_allclose(late, [[2]])  # mean over the part that there is sound in


# ---------------------------------------------------------------------- formats

LABROSA = (
    "# comment\n%genre,track_id,artist_name,title,loudness\n"
    f"classic pop and rock,{track(0)},A,One,-3.1\njazz and blues,{track(1)},B,Two, more,-4\n"
)
MSDI = (
    "msd_track_id\tgenre\talbum_index\tset\timage_url\n"
    f"{track(0)}\tRock\t4\ttrain\thttp://x\n{track(1)}\tJazz\t5\ttest\thttp://y\n"
)


@pytest.mark.parametrize(
    ("name", "text", "format", "genres"),
    [
        ("msd_genre_dataset.txt", LABROSA, "labrosa", ["classic pop and rock", "jazz and blues"]),
        ("MSD-I_dataset.tsv", MSDI, "msd-i", ["Rock", "Jazz"]),
        ("MSD-I_dataset.csv", MSDI.replace("\t", ","), "msd-i", ["Rock", "Jazz"]),
        (
            "msd-topMAGD-genreAssignment.cls",
            f"{track(0)}\tPop/Rock\n{track(1)}\tNew Age\n",
            "top-magd",
            ["Pop/Rock", "New Age"],
        ),
        (
            "msd_tagtraum_cd2.cls",
            f"\ufeff# c\r\n{track(0)}\tRock\tMetal\r\n{track(1)}\tJazz\r\n",
            "tagtraum-cd2",
            ["Rock", "Jazz"],
        ),
    ],
)
def test_formats(tmp_path, name, text, format, genres):
    (tmp_path / name).write_text(text, newline="")
    labels, bad, found = read_genre_labels(tmp_path / name)
    assert (found, bad) == (format, [])
    assert [label.genre for label in labels.values()] == genres
    write_tree(tmp_path / "songs", range(2))
    bunch = load_million_song_genres(tmp_path / name, tmp_path / "songs")
    assert bunch.target_names == sorted(genres) and len(bunch.data) == 2
    assert (bunch.split is None) == (format != "msd-i")
    if format == "tagtraum-cd2":
        assert list(bunch.metadata["confidence"]) == [0.5, 1]


def test_ambiguous_tracks_can_be_dropped(tmp_path):
    lines = [f"{track(n)}\t{GENRES[n % 3]}" + "\tMetal" * (n == 4) for n in range(6)]
    (tmp_path / "cd1.cls").write_text("\n".join(lines))
    write_tree(tmp_path / "songs", range(6))
    kept = load_million_song_genres(tmp_path / "cd1.cls", tmp_path / "songs")
    dropped = load_million_song_genres(tmp_path / "cd1.cls", tmp_path / "songs", ambiguous="drop")
    assert set(kept.metadata["track_id"]) - set(dropped.metadata["track_id"]) == {track(4)}


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "holds no labels"),
        (f"{track(0)}\n{track(1)}\n", "has no usable line.*line 1: has 1 cells"),
        ("../../etc/passwd\tRock\n", "no usable line.*is no track id"),
        ("".join(f"{track(n)}\tgenre {n}\n" for n in range(30)), "has 30 genres.*15 at most"),
        (f"{track(0)}\tRock\n", "one genre only"),
        (b"\xff\xfe\x00\x01" * 9, "not a text file"),
    ],
)
def test_label_files_that_are_none(tmp_path, text, match):
    path = tmp_path / "cd2c.cls"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError, match=match):
        load_million_song_genres(path, SUBSET)


def test_a_format_that_cannot_be_told(tmp_path):
    path = write_labels(tmp_path / "labels.txt", range(6))
    with pytest.raises(ValueError, match=r"format of .* is not known.*Give format, one of tagtr"):
        load_million_song_genres(path, SUBSET)
    write_tree(tmp_path / "songs", range(6))
    bunch = load_million_song_genres(path, tmp_path / "songs", format="magd")
    assert bunch.format == "magd"
    with pytest.raises(ValueError, match="lacks the column msd_track_id and genre"):
        load_million_song_genres(path, tmp_path / "songs", format="msd-i")
    with pytest.raises(ValueError, match=r"does not exist. Labels do not come with"):
        load_million_song_genres(tmp_path / "no.cls", SUBSET)


def test_a_bad_line_is_named_or_left_out(tree):
    home, labels = tree
    with labels.open("a") as file:
        file.write(f"garbage\n{track(0)}\tJazz\n{track(1)}\t{GENRES[1]}\n")
    with pytest.raises(ValueError, match=r"cd2c.cls, line 22: has 1 cells"):
        load_million_song_genres(labels, home)
    with pytest.warns(UserWarning, match=r"(?s)2 songs or labels.*line 23: .*before with genre R"):
        bunch = load_million_song_genres(labels, home, on_error="warn")
    assert len(bunch.data) == 12 and len(bunch.skipped) == 2


# ---------------------------------------------------------------------- trees


def test_labels_of_more_songs_than_are_at_hand(tree):
    home, labels = tree
    bunch = load_million_song_genres(labels, home, duration=4.0, frame_rate=5.0)
    assert bunch.data.shape == (12, 24, 20)
    assert list(bunch.metadata["track_id"]) == sorted(track(n) for n in range(12))
    for values, name, code in zip(
        bunch.data, bunch.metadata["track_id"], bunch.target, strict=True
    ):
        number = int(name[5:])
        np.testing.assert_allclose(values[:12], number, rtol=1e-6)
        np.testing.assert_allclose(values[12:, 0], np.linspace(0, 1, 12), atol=1e-6)
        assert bunch.target_names[code] == GENRES[number % 3]
    assert "12 songs of 12 artists at hand, 20 labelled" in bunch.DESCR
    for inner in (home / "data",):
        again = load_million_song_genres(labels, inner, duration=4.0, frame_rate=5.0, n_jobs=2)
        np.testing.assert_array_equal(again.data, bunch.data)


def test_a_short_song_is_padded(tree):
    home, labels = tree
    data = load_million_song_genres(labels, home, duration=12.0, frame_rate=1.0).data
    assert data[3, 0, 9] != 0 and not data[:, :, 10:].any()


def test_an_aggregate_file_equals_the_single_ones(tree, tmp_path):
    home, labels = tree
    path = write_songs(tmp_path / "all.h5", [5, 3, 1, 0, 2, 4])
    single = load_million_song_genres(write_labels(tmp_path / "cd2.cls", range(6)), home)
    whole = load_million_song_genres(labels, path)
    np.testing.assert_array_equal(whole.data, single.data)
    for name in ("track_id", "song_id", "artist_name"):
        np.testing.assert_array_equal(whole.metadata[name], single.metadata[name])


def test_wrong_folders_are_explained(tree, tmp_path):
    _, labels = tree
    other = tmp_path / "other"
    other.mkdir()
    with pytest.raises(ValueError, match=r"none of the 20 labelled.*Expected: A/X/L.*nothing"):
        load_million_song_genres(labels, other)
    (other / "pictures").mkdir()
    with pytest.raises(ValueError, match="found: pictures"):
        load_million_song_genres(labels, other)
    with pytest.raises(ValueError, match=r"found: songs such as TRAXLFIX\d+.h5, none of them"):
        load_million_song_genres(labels, SUBSET)
    with pytest.raises(ValueError, match="Name data_home"):
        load_million_song_genres(labels)
    with pytest.raises(ValueError, match="does not exist"):
        load_million_song_genres(labels, tmp_path / "no")


def test_max_per_class_categories_and_seed(tree):
    home, labels = tree
    few = load_million_song_genres(labels, home, max_per_class=2)
    assert list(np.bincount(few.target)) == [2, 2, 2]
    again = load_million_song_genres(labels, home, max_per_class=2)
    np.testing.assert_array_equal(few.filenames, again.filenames)
    other = load_million_song_genres(labels, home, max_per_class=2, random_state=1)
    assert set(other.filenames) != set(few.filenames)
    two = load_million_song_genres(labels, home, categories=["Rock", "Folk"])
    assert two.target_names == ["Folk", "Rock"] and len(two.data) == 8
    with pytest.raises(ValueError, match="categories names Polka"):
        load_million_song_genres(labels, home, categories=["Polka", "Rock"])


# ---------------------------------------------------------------------- groups


def test_artists_and_duplicates_stay_on_one_side(tmp_path):
    facts = {
        0: {"artist_id": "ARX"},
        3: {"artist_id": "ARX"},
        # One song by two artists: a duplicate, which links them.
        6: {"artist_id": "ARY", "song_id": "SOSAME"},
        7: {"artist_id": "ARZ", "song_id": "SOSAME"},
        9: {"artist_id": "ARZ"},
    }
    home = write_tree(tmp_path / "songs", range(12), facts)
    labels = write_labels(tmp_path / "cd2c.cls", range(12))
    kept = load_million_song_genres(labels, home)
    groups = dict(zip(kept.metadata["track_id"], kept.groups, strict=True))
    assert groups[track(0)] == groups[track(3)] == "ARX"
    assert groups[track(6)] == groups[track(7)] == groups[track(9)]
    assert len(set(kept.groups)) == 12 - 3
    for train, test in GroupKFold(3).split(kept.data, groups=kept.groups):
        for name in ("song_id", "artist_id"):
            assert not set(kept.metadata[name][train]) & set(kept.metadata[name][test])
    assert kept.duplicates == []
    dropped = load_million_song_genres(labels, home, duplicates="drop")
    (lost, stays) = dropped.duplicates[0]
    assert {lost, stays} == {track(6), track(7)} and lost not in dropped.metadata["track_id"]
    assert len(dropped.data) == len(set(dropped.metadata["song_id"])) == 11


def test_a_published_split_that_leaks_warns(tmp_path):
    write_tree(tmp_path / "songs", range(2), {1: {"artist_id": "AR0"}})
    (tmp_path / "MSD-I.tsv").write_text(MSDI)
    with pytest.warns(UserWarning, match=r"1 artists are in several parts.*AR0: it leaks"):
        bunch = load_million_song_genres(tmp_path / "MSD-I.tsv", tmp_path / "songs")
    assert list(bunch.split) == ["train", "test"]


# ---------------------------------------------------------------------- damaged songs


def spoil_nan(arrays, _):
    arrays["segments_timbre"][3, 3] = np.nan


def spoil_order(arrays, _):
    arrays["segments_start"] = arrays["segments_start"][::-1].copy()


def spoil_lengths(arrays, _):
    arrays["segments_pitches"] = arrays["segments_pitches"][:-1]


def spoil_width(arrays, _):
    arrays["segments_timbre"] = arrays["segments_timbre"][:, :11]


def spoil_missing(arrays, _):
    del arrays["segments_start"]


def spoil_empty(arrays, _):
    for name in arrays:
        arrays[name] = arrays[name][:0]


def spoil_id(_, table):
    table["track_id"] = b"TRBAQ0000000000099"


def spoil_duration(_, table):
    table["duration"] = np.inf


def spoil_kind(arrays, _):
    arrays["segments_start"] = np.array([b"x"] * 40)


SPOILT = [
    (spoil_nan, "NaN or infinite segments_timbre"),
    (spoil_order, "do not ascend"),
    (spoil_lengths, "40 segments, 40 of timbre and 39 of pitches"),
    (spoil_width, r"segments_timbre of shape \(40, 11\)"),
    (spoil_missing, "lacks /analysis/segments_start"),
    (spoil_empty, "has 0 segments.*summary"),
    (spoil_id, "holds 'TRBAQ0000000000099', not"),
    (spoil_duration, "duration = inf"),
    (spoil_kind, "has segments_start of shape"),
]


@pytest.mark.parametrize(("change", "match"), SPOILT, ids=lambda v: getattr(v, "__name__", ""))
def test_a_damaged_song_is_named_or_left_out(tree, change, match):
    home, labels = tree
    write_tree(home / "data", [4], change=change)
    with pytest.raises(AudioReadError, match=rf"{track(4)}.h5: .*{match}"):
        load_million_song_genres(labels, home)
    with pytest.warns(UserWarning, match=match) as caught:
        bunch = load_million_song_genres(labels, home, on_error="warn")
    assert len(caught) == 1 and caught[0].filename == __file__
    assert len(bunch.data) == len(bunch.target) == 11
    assert track(4) not in bunch.metadata["track_id"]


@pytest.mark.parametrize("content", [b"", b"\x89HDF\r\n\x1a\n", b"text " * 99, "cut", "noise"])
def test_a_file_that_is_no_hdf5(tree, content):
    home, labels = tree
    path = next((home / "data").rglob(f"{track(4)}.h5"))
    whole = path.read_bytes()
    if content == "cut":
        content = whole[: len(whole) // 2]
    elif content == "noise":
        noise = np.random.default_rng(0).integers(0, 256, len(whole) - 512, dtype=np.uint8)
        content = whole[:512] + noise.tobytes()
    path.write_bytes(content)
    with pytest.raises(AudioReadError, match=rf"{track(4)}.h5: "):
        load_million_song_genres(labels, home)
    with pytest.warns(UserWarning, match="1 songs or labels cannot be used"):
        assert len(load_million_song_genres(labels, home, on_error="warn").data) == 11


def test_damage_anywhere_in_a_file_is_an_error_or_nothing(tree):
    home, labels = tree
    path = next((home / "data").rglob(f"{track(4)}.h5"))
    whole, random = path.read_bytes(), np.random.default_rng(1)
    for _ in range(30):
        content = bytearray(whole)
        for place in random.integers(0, len(whole), 40):
            content[place] = random.integers(0, 256)
        path.write_bytes(content)
        try:
            bunch = load_million_song_genres(labels, home, categories=["Jazz", "Rock"])
        except AudioReadError as error:
            assert track(4) in str(error)
        else:
            assert np.isfinite(bunch.data).all()


def test_links_to_other_files_are_not_followed(tree, tmp_path):
    home, labels = tree
    path = next((home / "data").rglob(f"{track(4)}.h5"))
    other = shutil.copy(path, tmp_path / "other.h5")
    with h5py.File(path, "r+") as file:
        del file["analysis/segments_timbre"]
        file["analysis/segments_timbre"] = h5py.ExternalLink(other, "analysis/segments_timbre")
    with pytest.raises(AudioReadError, match="link to elsewhere"):
        load_million_song_genres(labels, home)
    layout = h5py.VirtualLayout((40, 12), "f8")
    layout[:] = h5py.VirtualSource(other, "analysis/segments_timbre", shape=(40, 12))
    with h5py.File(path, "r+") as file:
        del file["analysis/segments_timbre"]
        file.create_virtual_dataset("analysis/segments_timbre", layout)
    with pytest.raises(AudioReadError, match="no plain data"):
        load_million_song_genres(labels, home)


def test_a_file_that_promises_too_much_is_refused_unread(tree):
    home, labels = tree
    path = next((home / "data").rglob(f"{track(4)}.h5"))
    with h5py.File(path, "r+") as file:  # 0.8 TB of zeros in a few bytes
        for name, shape in (("start", (10**10,)), ("timbre", (10**10, 12))):
            del file[f"analysis/segments_{name}"]
            file.create_dataset(f"analysis/segments_{name}", shape, "f8", chunks=True)
    with pytest.raises(AudioReadError, match="has segments_start from 0 to 10000000000"):
        load_million_song_genres(labels, home)


def test_nothing_left_is_told(tree):
    home, labels = tree
    for path in home.rglob("*.h5"):
        path.write_bytes(b"")
    with pytest.raises(ValueError, match=r"0 songs of 0 genres are left.*two genres"):
        load_million_song_genres(labels, home, on_error="warn")


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"frame_rate": 0}, "frame_rate"),
        ({"duration": 1e6}, "makes 8000000 frames"),
        ({"offset": 10.0}, "leaves nothing after 10 s"),
        ({"format": "cd9"}, "format"),
        ({"max_per_class": 0}, "max_per_class"),
    ],
)
def test_bad_arguments(tree, settings, match):
    with pytest.raises(ValueError, match=match):
        load_million_song_genres(tree[1], tree[0], **settings)


# ---------------------------------------------------------------------- audio


def pitch_of(number):
    return 300.0 + 300.0 * (number % 3)


@pytest.fixture
def previews(tree, write):
    """Sounds of songs 0 to 8, in the layout of 7digital; song 2 by track id."""
    for number in range(9):
        name = f"previews/8/9/{8900000 + number}.clip.wav"
        if number == 2:
            name = f"previews/{track(2)}.flac"
        write(name, sample_rate=16000, seconds=0.3)
    return (*tree, tree[0].parent / "previews")


def test_previews_feed_a_pipeline_that_begins_with_the_loader(previews, write):
    home, labels, audio = previews
    for number in range(9):  # tones that tell the genres apart
        if number != 2:
            time = np.arange(4800) / 16000
            sound = np.sin(2 * np.pi * pitch_of(number) * time)
            write(f"previews/8/9/{8900000 + number}.clip.wav", sound, 16000)
    bunch = load_million_song_genres(
        labels, home, audio_home=audio, load_content=False, duration=0.2
    )
    assert len(bunch.filenames) == 9 and "data" not in bunch
    for name, path, code in zip(
        bunch.metadata["track_id"], bunch.filenames, bunch.target, strict=True
    ):
        number = int(name[5:])
        assert Path(path).is_file()
        assert str(8900000 + number) in path or name in path
        assert bunch.target_names[code] == GENRES[number % 3]
    model = make_pipeline(AudioLoader(duration=0.2), LogisticRegression(C=1e3, max_iter=999))
    assert model.fit(bunch.filenames, bunch.target).score(bunch.filenames, bunch.target) > 0.8
    loaded = load_million_song_genres(labels, home, audio_home=audio, duration=0.2)
    np.testing.assert_array_equal(
        loaded.data, AudioLoader(duration=0.2).fit_transform(bunch.filenames)
    )
    assert list(loaded.groups) == list(bunch.groups) and loaded.sample_rate == 16000


@pytest.mark.parametrize("kind", ["pkl", "tsv", "csv"])
def test_previews_by_a_map_without_songs(previews, tmp_path, kind):
    _, labels, audio = previews
    ids = {track(n): str(8900000 + 8 - n) for n in range(9)}
    path = tmp_path / f"map.{kind}"
    if kind == "pkl":
        path.write_bytes(pickle.dumps(ids, protocol=2))
    else:
        mark = "\t" if kind == "tsv" else ","
        path.write_text("".join(f"{name}{mark}{number}\n" for name, number in ids.items()))
    lines = [f"{track(n)}<SEP>SO{n}<SEP>Artist {n % 4}<SEP>Title\n" for n in range(20)]
    tracks = tmp_path / "unique_tracks.txt"
    tracks.write_text("".join(lines))
    bunch = load_million_song_genres(
        labels, audio_home=audio, audio_ids=path, unique_tracks=tracks, load_content=False
    )
    numbers = [int(name[5:]) for name in bunch.metadata["track_id"]]
    assert sorted(numbers) == [n for n in range(9) if n != 6]  # song 2 has no file of that id
    for number, file in zip(numbers, bunch.filenames, strict=True):
        assert str(8900000 + 8 - number) in file or track(number) in file
    assert set(bunch.groups) == {f"Artist {n}" for n in range(4)}


def test_a_pickle_that_runs_programs_is_refused(previews, tmp_path):
    home, labels, audio = previews

    class Evil:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "touched",))

    path = tmp_path / "map.pkl"
    path.write_bytes(pickle.dumps({track(0): Evil()}))
    with pytest.raises(ValueError, match="not a pickle of plain texts"):
        load_million_song_genres(labels, home, audio_home=audio, audio_ids=path)
    assert not (tmp_path / "touched").exists()


def test_maps_do_not_lead_out_of_the_folder(previews, tmp_path, write):
    home, labels, audio = previews
    write("secret.wav")
    path = tmp_path / "map.tsv"
    path.write_text("".join(f"{track(n)}\t../secret.wav\n" for n in range(12)))
    with pytest.raises(ValueError, match="1 songs of 1 genres are left"):
        load_million_song_genres(labels, home, audio_home=audio, audio_ids=path)


def test_no_previews_and_a_bad_one(previews, tmp_path):
    home, labels, audio = previews
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"no audio for any of the 12 labelled songs.*nothing"):
        load_million_song_genres(labels, home, audio_home=tmp_path / "empty")
    (audio / "8" / "9" / "8900004.clip.wav").write_text("no sound")
    with pytest.raises(AudioReadError, match=r"8900004.clip.wav"):
        load_million_song_genres(labels, home, audio_home=audio, duration=0.2)
    with pytest.warns(UserWarning, match="1 of 9 sound files"):
        bunch = load_million_song_genres(
            labels, home, audio_home=audio, duration=0.2, on_error="warn"
        )
    assert bunch.data.shape == (8, 3200) and len(bunch.groups) == 8
