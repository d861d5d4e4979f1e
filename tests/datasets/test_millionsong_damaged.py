"""Songs and files that are damaged: named, or left out."""

import shutil

import h5py
import numpy as np
import pytest

from skstrf import load_million_song_genres
from skstrf.datasets import AudioReadError
from tests.datasets.songs import track, write_tree


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
