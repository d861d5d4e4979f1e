"""load_gtzan and fetch_gtzan, on trees of the right names made from other sounds."""

import functools
import hashlib
import http.server
import io
import tarfile
import threading
import warnings
from collections import Counter

import numpy as np
import pytest
import soundfile
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import PredefinedSplit
from sklearn.pipeline import make_pipeline

from skstrf import AudioLoader, fetch_gtzan, load_gtzan
from skstrf.datasets import AudioReadError
from skstrf.datasets.gtzan import (
    GENRES,
    all_clips,
    fault_filtered,
    faults,
    repetition_groups,
)

RATE = 22050


def clip_bytes(frequency, extension):
    sound = 0.3 * np.sin(2 * np.pi * frequency * np.arange(round(0.02 * RATE)) / RATE)
    file = io.BytesIO()
    soundfile.write(file, sound, RATE, format=extension.upper(), subtype="PCM_16")
    return file.getvalue()


def make_tree(root, extension="wav", clips=None):
    contents = {g: clip_bytes(200 + 50 * i, extension) for i, g in enumerate(GENRES)}
    for clip in all_clips() if clips is None else clips:
        genre = clip.split(".")[0]
        (root / genre).mkdir(parents=True, exist_ok=True)
        (root / genre / f"{clip}.{extension}").write_bytes(contents[genre])
    return root


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Layout of the .wav copy, all clips readable."""
    home = tmp_path_factory.mktemp("gtzan")
    make_tree(home / "Data" / "genres_original")
    return home


@pytest.fixture
def few(tmp_path):
    """Clips 0 to 9 of every genre only."""
    clips = [clip for clip in all_clips() if clip[-2] == "0"]
    return make_tree(tmp_path / "genres", "au", clips)


# ---------------------------------------------------------------------- the lists

TRAIN = dict(zip(GENRES, (46, 48, 45, 42, 47, 43, 44, 41, 43, 44), strict=True))
VALID = dict(zip(GENRES, (23, 20, 23, 22, 18, 17, 20, 13, 17, 24), strict=True))
TEST = dict(zip(GENRES, (31, 31, 30, 29, 27, 27, 27, 30, 26, 32), strict=True))


def test_the_lists_have_the_published_counts(corpus):
    for part, expected in (("train", TRAIN), ("valid", VALID), ("test", TEST)):
        bunch = load_gtzan(corpus, subset=part, load_content=False)
        assert Counter(bunch.target_names[code] for code in bunch.target) == expected
        assert set(bunch.split) == {part} and bunch.warning is None
    whole = load_gtzan(corpus, load_content=False)
    assert Counter(whole.split) == {"train": 443, "valid": 197, "test": 290}
    assert whole.target_names == list(GENRES)
    assert Counter(kind for kind, _ in faults().values()) == {"repetition": 50, "distortion": 2}


def test_repetitions_share_a_group_and_are_not_spread_over_the_published_parts():
    groups, parts = repetition_groups(), fault_filtered()
    for clip, (_, partners) in faults().items():
        assert all(groups[clip] == groups[partner] for partner in partners)
    assert groups["disco.00051"] == groups["disco.00070"] == groups["disco.00050"]
    assert groups["blues.00000"] == "blues.00000"
    sides = {}
    for clip, part in parts.items():
        sides.setdefault(groups[clip], set()).add(part)
    assert all(len(found) == 1 for found in sides.values())


# ---------------------------------------------------------------------- splits


def test_artist_folds_are_the_three_lists(corpus):
    bunch = load_gtzan(corpus, split="artist-folds", load_content=False)
    np.testing.assert_array_equal(bunch.groups, bunch.split)
    assert list(np.bincount(bunch.test_fold)) == [443, 197, 290]
    clips = bunch.metadata["clip"]
    for train, test in PredefinedSplit(bunch.test_fold).split():
        parts = [{fault_filtered()[clip] for clip in clips[rows]} for rows in (train, test)]
        assert len(parts[1]) == 1 and not parts[0] & parts[1]
    one = load_gtzan(corpus, split="artist-folds", subset="fold-2", load_content=False)
    assert len(one.target) == 197 and set(one.test_fold) == {1}


def test_random_split_takes_all_and_warns_that_it_leaks(corpus):
    with pytest.warns(UserWarning, match=r"random split leaks.*fault-filtered") as caught:
        bunch = load_gtzan(corpus, split="random", load_content=False)
    assert len(caught) == 1 and caught[0].filename == __file__
    assert "leaks" in bunch.warning and "leaks" in bunch.DESCR
    assert Counter(bunch.split) == {"train": 500, "valid": 250, "test": 250}
    for part in set(bunch.split):
        assert len(set(np.bincount(bunch.target[bunch.split == part]))) == 1
    with pytest.warns(UserWarning, match="leaks"):
        again = load_gtzan(corpus, split="random", load_content=False)
    with pytest.warns(UserWarning, match="leaks"):
        other = load_gtzan(corpus, split="random", load_content=False, random_state=1)
    np.testing.assert_array_equal(bunch.split, again.split)
    assert (bunch.split != other.split).any()
    # It does leak: some recording is on both sides, and its group says so.
    train, test = bunch.split == "train", bunch.split == "test"
    assert set(bunch.groups[train]) & set(bunch.groups[test])


def test_honest_splits_do_not_warn(corpus):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_gtzan(corpus, load_content=False)
        load_gtzan(corpus, split="artist-folds", load_content=False)


# ---------------------------------------------------------------------- trees


@pytest.mark.parametrize("extension", [pytest.param("wav", marks=pytest.mark.slow), "au"])
def test_sounds_are_read_from_both_distributions(tmp_path, extension):
    make_tree(tmp_path / "genres", extension, fault_filtered())
    bunch = load_gtzan(tmp_path, subset="valid", sample_rate=16000, duration=0.015)
    assert bunch.data.shape == (197, 240) and bunch.data.dtype == np.float32
    peaks = np.abs(np.fft.rfft(bunch.data, 16000)).argmax(axis=1)
    assert np.all(np.abs(peaks - 200 - 50 * bunch.target) < 60)  # each clip with its own label
    assert all(name.endswith(extension) for name in bunch.filenames)


def test_the_original_is_preferred_where_both_are_there(few):
    make_tree(few.parent / "genres_original", "wav", ["blues.00000"])
    with pytest.warns(UserWarning, match="were left out"):
        bunch = load_gtzan(few.parent, load_content=False, on_error="warn")
    assert bunch.filenames[0].endswith("blues.00000.au")


def test_paths_feed_a_pipeline_that_begins_with_the_loader(corpus):
    paths, y = load_gtzan(corpus, subset="train", load_content=False, return_X_y=True)
    model = make_pipeline(AudioLoader(duration=0.02), LogisticRegression(C=1e3, max_iter=2000))
    assert model.fit(paths, y).score(paths, y) > 0.9


def test_classes_keep_their_numbers_in_a_part_that_lacks_some(tmp_path):
    clips = [c for c in fault_filtered() if c.startswith(("jazz", "rock"))]
    make_tree(tmp_path, "wav", clips)
    with pytest.warns(UserWarning, match=r"left out"):
        bunch = load_gtzan(tmp_path, load_content=False, on_error="warn")
    assert set(bunch.target) == {5, 9} and bunch.target_names == list(GENRES)


def test_clips_of_one_genre_load_too(tmp_path):
    make_tree(tmp_path, "au", [c for c in fault_filtered() if c.startswith("jazz")])
    with pytest.warns(UserWarning, match="left out"):
        assert set(load_gtzan(tmp_path, on_error="warn", duration=0.02).target) == {5}


@pytest.mark.parametrize(
    "content", [b"\0" * 5000, pytest.param(b"", marks=pytest.mark.slow), None]
)
def test_the_known_unreadable_clip_is_skipped_with_a_warning(tmp_path, content):
    make_tree(tmp_path, "wav", fault_filtered())
    path = tmp_path / "jazz" / "jazz.00054.wav"
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.warns(UserWarning, match=r"1 of 443 clips.*\n  jazz.00054: ") as caught:
        bunch = load_gtzan(tmp_path, subset="train", load_content=False)
    assert len(caught) == 1 and len(bunch.target) == 442
    assert bunch.skipped[0][0] == "jazz.00054"
    assert "jazz.00054" not in bunch.metadata["clip"]


def test_another_bad_clip_raises_or_is_left_out(tmp_path):
    make_tree(tmp_path, "wav", fault_filtered())
    parts = fault_filtered().items()
    clip = next(c for c, part in parts if part == "valid" and c.startswith("rock"))
    (tmp_path / "rock" / f"{clip}.wav").write_text("no sound " * 99)
    with pytest.raises(AudioReadError, match=r"rock.*not sound"):
        load_gtzan(tmp_path, subset="valid")
    with pytest.warns(UserWarning, match="1 of 197 sound files"):
        bunch = load_gtzan(tmp_path, subset="valid", on_error="warn")
    assert bunch.data.shape[0] == len(bunch.groups) == len(bunch.metadata["clip"]) == 196
    assert bunch.data.any(axis=1).all()


def test_an_incomplete_corpus_is_told(few):
    with pytest.raises(AudioReadError, match=r"lacks \d+ of the 930 clips.*blues \d+.*on_error"):
        load_gtzan(few)
    with pytest.warns(UserWarning, match=r"left out.*\n.*is missing"):
        bunch = load_gtzan(few, on_error="warn", duration=0.02)
    there = {path.stem for path in few.rglob("*.au")} & set(fault_filtered())
    assert set(bunch.metadata["clip"]) == there and len(there) > 50


def test_a_wrong_folder_is_explained(tmp_path, write):
    with pytest.raises(ValueError, match=r"is not GTZAN. Expected: ten folders.*found: nothing"):
        load_gtzan(tmp_path)
    (tmp_path / "images").mkdir()
    with pytest.raises(ValueError, match="found: no sounds, but images"):
        load_gtzan(tmp_path)
    write("bell/blues.00000.0.wav", seconds=0.1)
    write("bell/blues.00100.wav", seconds=0.1)
    write("bell/.blues.00001.wav", seconds=0.1)
    with pytest.raises(ValueError, match=r"2 sounds of other names, such as bell/blues.00000.0"):
        load_gtzan(tmp_path)
    with pytest.raises(ValueError, match="does not exist"):
        load_gtzan(tmp_path / "no")


def test_a_huge_folder_is_given_up(few, monkeypatch):
    monkeypatch.setattr("skstrf.datasets.gtzan.MAX_ITEMS", 50)
    with pytest.raises(ValueError, match="found: more than 50 files and folders"):
        load_gtzan(few)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"subset": "dev"}, "subset names dev, but the parts of this split are test, train, val"),
        ({"subset": []}, "subset names nothing"),
        ({"subset": "train", "split": "artist-folds"}, "are fold-1, fold-2, fold-3"),
        ({"split": "honest"}, "'split' parameter"),
        ({"on_error": "skip"}, "'on_error' parameter"),
    ],
)
def test_bad_arguments(corpus, settings, match):
    with pytest.raises(ValueError, match=match):
        load_gtzan(corpus, **settings)


# ---------------------------------------------------------------------- fetching


def add(tar, name, content, **changes):
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in changes.items():
        setattr(info, key, value)
    tar.addfile(info, io.BytesIO(content))


@pytest.fixture
def served(tmp_path_factory):
    """A folder that a server on this machine serves: (folder, address)."""
    folder = tmp_path_factory.mktemp("served")

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def pack(path, members):
    with tarfile.open(path, "w:gz") as tar:
        for name, content, changes in members:
            add(tar, name, content, **changes)
    return "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()


CLIPS = [(f"genres/{c.split('.')[0]}/{c}.au", clip_bytes(300, "au"), {}) for c in fault_filtered()]


def test_fetched_clips_load(served, tmp_path):
    folder, address = served
    known = pack(folder / "genres.tar.gz", CLIPS)
    home = fetch_gtzan(tmp_path, url=f"{address}/genres.tar.gz", known_hash=known)
    assert len(load_gtzan(home, load_content=False).target) == 930
    assert not list(tmp_path.rglob("*.gz"))
    (folder / "genres.tar.gz").unlink()  # a second time nothing is fetched
    assert fetch_gtzan(tmp_path, url=f"{address}/genres.tar.gz", known_hash=known) == home


def test_default_folder_is_shared_by_fetch_and_load(served, tmp_path, monkeypatch):
    monkeypatch.setenv("SKSTRF_DATA", str(tmp_path / "data"))
    with pytest.raises(ValueError, match="does not exist"):
        load_gtzan()
    known = pack(served[0] / "g.tar.gz", CLIPS)
    fetch_gtzan(url=f"{served[1]}/g.tar.gz", known_hash=known, keep_archive=True)
    assert len(load_gtzan(load_content=False).target) == 930
    assert (tmp_path / "data" / "gtzan" / "genres.tar.gz").is_file()


def test_a_wrong_checksum_leaves_nothing(served, tmp_path):
    pack(served[0] / "genres.tar.gz", CLIPS[:3])
    with pytest.raises(ValueError, match=r"(?s)could not be fetched.*hash.*by hand"):
        fetch_gtzan(tmp_path, url=f"{served[1]}/genres.tar.gz")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_no_answer_is_explained(served, tmp_path):
    with pytest.raises(ValueError, match=r"(?s)could not be fetched.*404.*by hand"):
        fetch_gtzan(tmp_path, url=f"{served[1]}/none.tar.gz")


def test_hostile_members_are_not_written(served, tmp_path):
    away = {"linkname": "/etc/passwd"}
    hostile = [
        ("../../evil.wav", b"x", {}),
        ("/etc/evil.wav", b"x", {}),
        (
            "genres/blues/blues.00000.wav",
            b"",
            {"type": tarfile.SYMTYPE, **away},
        ),
        (
            "genres/blues/blues.00001.wav",
            b"",
            {"type": tarfile.LNKTYPE, **away},
        ),
        ("genres/jazz/jazz.00002.wav", b"", {"type": tarfile.CHRTYPE}),
        ("genres/pop/readme.txt", b"x", {}),
        ("../../rock.00003.wav", clip_bytes(300, "wav"), {"mode": 0o4777}),
    ]
    known = pack(served[0] / "g.tar.gz", hostile)
    home = fetch_gtzan(tmp_path / "a", url=f"{served[1]}/g.tar.gz", known_hash=known)
    written = [p for p in tmp_path.rglob("*") if not p.is_dir()]
    assert [str(p.relative_to(home)) for p in written] == ["genres/rock/rock.00003.wav"]
    assert not written[0].stat().st_mode & 0o7111


@pytest.mark.parametrize(
    ("content", "match"),
    [(b"no archive at all", "cannot be unpacked"), (None, "too large"), ([], "holds no clips")],
)
def test_archives_that_are_none(served, tmp_path, content, match, monkeypatch):
    path = served[0] / "g.tar.gz"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        monkeypatch.setattr("skstrf.datasets.gtzan.MAX_CLIP_BYTES", 100)
        pack(path, CLIPS[:2] if content is None else content)
    with pytest.raises(ValueError, match=match):
        fetch_gtzan(tmp_path, url=f"{served[1]}/g.tar.gz", known_hash=None)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_truncated_archive_is_told(served, tmp_path):
    path = served[0] / "g.tar.gz"
    pack(path, CLIPS)
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(ValueError, match="cut short"):
        fetch_gtzan(tmp_path, url=f"{served[1]}/g.tar.gz", known_hash=None)
    assert not (tmp_path / "gtzan" / "genres").exists()
