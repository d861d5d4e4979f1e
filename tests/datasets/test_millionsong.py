"""load_million_song_genres, on synthetic files of the genuine layout."""

import h5py
import numpy as np
import pytest
from sklearn.model_selection import GroupKFold

from skstrf import load_million_song_genres
from skstrf.datasets.millionsong import read_genre_labels, segments_to_grid
from tests.datasets.songs import (
    FIXTURES,
    GENRES,
    SUBSET,
    track,
    write_labels,
    write_songs,
    write_tree,
)

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
    assert "12 songs of 12 artists available, 20 labeled" in bunch.DESCR
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
    with pytest.raises(ValueError, match=r"none of the 20 labeled.*Expected: A/X/L.*nothing"):
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
