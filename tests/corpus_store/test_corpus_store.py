"""A store of tensors: what goes in comes out, and nothing half-written is ever trusted."""

import errno
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile
import zarr
from filelock import FileLock

from skstrf import AudioLoader, ChromaTransformer, MFCCTransformer, STRFTransformer
from skstrf import corpus_store as layout
from skstrf.corpus_store import open_tensors, store_tensors

RATE = 16000
STRF = STRFTransformer(rates=[4, 8], scales=[1.0], channel_step=8)


@pytest.fixture
def files(tmp_path):
    rng = np.random.default_rng(0)
    names = []
    for index in range(7):
        names.append(str(tmp_path / f"{index}.wav"))
        soundfile.write(names[-1], 0.1 * rng.standard_normal(RATE).astype(np.float32), RATE)
    return names


@pytest.fixture
def small_files(monkeypatch):
    """Two recordings a file of the store."""
    monkeypatch.setattr(layout, "FILE_BYTES", 2 * 4 * 16 * 4)


def store(files, path, transformer=STRF, **settings):
    return store_tensors(files, path, transformer, **{"duration": 1.0, **settings})


def test_what_is_stored_is_what_loader_and_transformer_give(files, tmp_path, small_files):
    labels = list("aabbccd")
    stored = store(files, tmp_path / "a.zarr", y=labels, folder=tmp_path)
    sounds = AudioLoader(duration=1.0).fit_transform(files)
    expected = STRF.fit_transform(sounds)
    np.testing.assert_allclose(stored.X[:], expected, rtol=1e-5)
    assert stored.X.shards[0] == 2
    assert stored.mask.all()
    assert list(stored.y) == labels
    assert list(stored.paths) == [f"{i}.wav" for i in range(7)]
    assert stored.settings["algorithm"] == "STRFTransformer"
    for axis, other in zip(stored.axes, STRF.fit(sounds).axes_, strict=True):
        assert axis[:2] == other[:2]
        np.testing.assert_array_equal(axis.values, other.values)


def test_a_bad_file_costs_only_its_row_and_is_tried_again(files, tmp_path, small_files):
    good = (tmp_path / "3.wav").read_bytes()
    (tmp_path / "3.wav").write_bytes(good[:1000])
    stored = store(files, tmp_path / "a.zarr", folder=tmp_path)
    assert list(stored.mask) == [i != 3 for i in range(7)]
    assert "cut short" in stored.errors["3.wav"]
    assert np.isnan(stored.X[3]).all()
    assert np.isfinite(stored.X[2]).all()
    (tmp_path / "3.wav").write_bytes(good)
    again = store(files, tmp_path / "a.zarr", folder=tmp_path)
    assert again.mask.all()
    assert not again.errors
    assert np.isfinite(again.X[:]).all()
    (tmp_path / "3.wav").unlink()
    with pytest.raises(ValueError, match=r"3\.wav"):
        store(files, tmp_path / "b.zarr", on_error="raise")


def test_a_changed_file_is_computed_anew(files, tmp_path):
    before = store(files, tmp_path / "a.zarr").X[:]
    soundfile.write(files[2], np.sin(np.arange(RATE)).astype(np.float32), RATE)
    after = store(files, tmp_path / "a.zarr").X[:]
    changed = [not np.array_equal(a, b) for a, b in zip(before, after, strict=True)]
    assert changed == [i == 2 for i in range(7)]


KILLED = """
import sys
from skstrf import STRFTransformer, corpus_store
corpus_store.FILE_BYTES = 2 * 4 * 16 * 4
strf = STRFTransformer(rates=[4, 8], scales=[1.0], channel_step=8)
plain = STRFTransformer.transform
def slowly(self, X):
    import time
    print("row", flush=True)
    time.sleep(0.05)
    return plain(self, X)
STRFTransformer.transform = slowly
corpus_store.store_tensors(sys.argv[2:], sys.argv[1], strf, duration=1.0)
"""


@pytest.mark.parametrize("n_seen", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_a_killed_run_goes_on_where_it_was(files, tmp_path, small_files, n_seen, dead_name):
    path = tmp_path / "a.zarr"
    run = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(path), *files], stdout=subprocess.PIPE
    )
    for _ in range(n_seen):
        run.stdout.readline()
    time.sleep(0.02 * n_seen)
    run.send_signal(signal.SIGKILL)
    run.wait()
    run.stdout.close()
    with pytest.raises(ValueError, match="still to be transformed"):
        open_tensors(path)
    partial = open_tensors(path, allow_partial=True)
    done = partial.X[:][partial.mask]
    own = path / "X" / "own.partial"
    for unfinished in (path / "X" / dead_name(), own):
        unfinished.write_bytes(b"half")
    stored = store(files, path)
    whole = store(files, tmp_path / "b.zarr")
    np.testing.assert_array_equal(stored.X[:], whole.X[:])
    np.testing.assert_array_equal(done, whole.X[:][partial.mask])
    assert not list(path.rglob(".skstrf-*"))
    assert own.exists()


def test_what_kills_have_left_beside_is_removed(files, tmp_path, dead_name):
    old, new = (tmp_path / dead_name() for _ in range(2))
    other = tmp_path / ".a.zarr.1.partial"
    for folder in (old, new, other):
        (folder / "X").mkdir(parents=True)
    for folder in (old, other):
        os.utime(folder, (time.time() - 7200,) * 2)
    store(files, tmp_path / "a.zarr")
    assert [folder.exists() for folder in (old, new, other)] == [False, True, True]


def test_a_store_that_another_process_made_first_is_used(files, tmp_path, monkeypatch):
    path, real = tmp_path / "a.zarr", layout._make

    def late(group, plan):
        monkeypatch.setattr(layout, "_make", real)
        layout.make_if_absent(path, plan)
        real(group, plan)

    monkeypatch.setattr(layout, "_make", late)
    assert store(files, path).mask.all()
    assert not list(tmp_path.glob(".skstrf-*"))


def test_a_full_disk_is_told_and_leaves_nothing_to_trust(
    files, tmp_path, small_files, monkeypatch
):
    path = tmp_path / "a.zarr"
    real, calls = os.fsync, []

    def full(descriptor):
        name = os.readlink(f"/proc/self/fd/{descriptor}")
        if "/X/c/" in name and "/.skstrf-" in name:
            calls.append(name)
            if len(calls) > 2:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(descriptor)

    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("needs /proc to know files by their descriptors")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="make room"):
        store(files, path)
    monkeypatch.setattr(os, "fsync", real)
    partial = open_tensors(path, allow_partial=True)
    assert partial.mask.sum() == 4
    assert np.isnan(partial.X[4:]).all()
    assert store(files, path).mask.all()


@pytest.mark.parametrize(
    "full_after",
    [0, pytest.param(6, marks=pytest.mark.slow), 12, 18, pytest.param(24, marks=pytest.mark.slow)],
)
def test_a_disk_that_is_full_at_any_time(files, tmp_path, small_files, monkeypatch, full_after):
    """Whichever write fails: no store, or one that knows what it lacks, and goes on later."""
    path = tmp_path / "a.zarr"
    real, calls = os.fsync, []

    def full(descriptor):
        calls.append(descriptor)
        if len(calls) > full_after:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        store(files, path)
    monkeypatch.setattr(os, "fsync", real)
    assert not list(tmp_path.glob(".skstrf-*"))
    whole = store(files, tmp_path / "b.zarr").X[:]
    if path.exists():
        partial = open_tensors(path, allow_partial=True)
        assert not partial.mask.all()
        np.testing.assert_array_equal(partial.X[:][partial.mask], whole[partial.mask])
        with pytest.raises(ValueError, match="not complete"):
            open_tensors(path)
    np.testing.assert_array_equal(store(files, path).X[:], whole)


def test_damage_is_found_when_it_is_read_and_mended_by_another_run(files, tmp_path, small_files):
    path = tmp_path / "a.zarr"
    whole = store(files, path).X[:]
    data = path / "X/c/1/0/0/0/0"
    content = bytearray(data.read_bytes())
    content[100] ^= 1
    data.write_bytes(bytes(content))
    for read in (lambda X: X[2:4], lambda X: X.oindex[np.array([0, 2])]):
        with pytest.raises(ValueError, match=r"a\.zarr is damaged: its checksum .*Run again"):
            read(open_tensors(path).X)
    np.testing.assert_array_equal(open_tensors(path).X[4:], whole[4:])
    np.testing.assert_array_equal(store(files, path).X[:], whole)


@pytest.mark.parametrize("harm", ["missing", "empty", "cut"])
def test_missing_and_cut_tensor_files_are_pending(files, tmp_path, small_files, harm):
    path = tmp_path / "a.zarr"
    whole = store(files, path).X[:]
    data = path / "X/c/1/0/0/0/0"
    if harm == "missing":
        data.unlink()
    else:
        os.truncate(data, 0 if harm == "empty" else data.stat().st_size - 1)
    with pytest.raises(ValueError, match="not complete: 2 of 7 sounds"):
        open_tensors(path)
    partial = open_tensors(path, allow_partial=True)
    assert list(np.flatnonzero(~partial.mask)) == [2, 3]
    np.testing.assert_array_equal(store(files, path).X[:], whole)


def test_reasons_of_failures_are_never_lost(files, tmp_path):
    path = tmp_path / "a.zarr"
    (tmp_path / "3.wav").write_bytes(b"RIFF")
    errors = store(files, path).errors
    (path / "errors.json").write_text("{}")
    with pytest.raises(ValueError, match="not complete: 1 of 7 sounds"):
        open_tensors(path)
    assert store(files, path).errors == errors


def test_stores_without_checksums_are_refused(files, tmp_path):
    path = tmp_path / "a.zarr"
    store(files, path)
    (path / "skstrf.json").unlink()
    with pytest.raises(ValueError, match=r"a\.zarr is not a store"):
        open_tensors(path)
    (path / "paths").mkdir()  # as in the first format
    with pytest.raises(ValueError, match=r"a\.zarr was made by an older version.*Make it again"):
        open_tensors(path)


def test_nothing_is_written_through_links(files, tmp_path):
    path, elsewhere = tmp_path / "a.zarr", tmp_path / "mine"
    store(files, path)
    (path / "X" / "c").rename(elsewhere)
    (path / "X" / "c").symlink_to(elsewhere)
    with pytest.raises(ValueError, match="X/c is a link"):
        store(files, path)


def test_other_settings_sounds_or_versions_are_refused_by_name(files, tmp_path, monkeypatch):
    path = tmp_path / "a.zarr"
    store(files, path, y=list("aabbccd"))
    other = STRFTransformer(rates=[4, 16], scales=[1.0], channel_step=8)
    with pytest.raises(ValueError, match=r"rates=\[4, 8\], now \[4, 16\]"):
        store(files, path, other)
    with pytest.raises(ValueError, match="n_times=16000, now 8000"):
        store(files, path, duration=0.5)
    with pytest.raises(ValueError, match=r"1 gone, such as .*6\.wav"):
        store(files[:-1], path)
    with pytest.raises(ValueError, match="another order"):
        store(files[::-1], path)
    with pytest.raises(ValueError, match="other labels"):
        store(files, path, y=list("abcdefg"))
    monkeypatch.setattr(STRFTransformer, "_algorithm_version", 99)
    with pytest.raises(ValueError, match=r"version 1 of the algorithm.*version 99.*remove"):
        store(files, path)


def test_tensors_of_other_parameters_or_an_older_algorithm_are_not_opened(
    files, tmp_path, monkeypatch
):
    path = tmp_path / "a.zarr"
    store(files, path)
    assert open_tensors(path, transformer=STRF).mask.all()
    assert open_tensors(path, transformer=STRF.__class__(**STRF.get_params())).mask.all()
    other = STRFTransformer(rates=[4, 16], scales=[1.0], channel_step=8)
    with pytest.raises(
        ValueError, match=r"a\.zarr .*other settings: rates=\[4, 8\], now \[4, 16\]"
    ):
        open_tensors(path, transformer=other)
    with pytest.raises(ValueError, match=r"algorithm='STRFTransformer', now 'MFCCTransformer'"):
        open_tensors(path, transformer=MFCCTransformer())
    monkeypatch.setattr(STRFTransformer, "_algorithm_version", 99)
    for options in ({}, {"transformer": STRF}):
        with pytest.raises(ValueError, match=r"version 1 of the algorithm.*version 99"):
            open_tensors(path, **options)
    assert open_tensors(path, allow_old=True).mask.all()


def test_settings_without_bound_are_found_again(files, tmp_path):
    chroma = ChromaTransformer(norm=np.inf)
    store(files[:2], tmp_path / "a.zarr", chroma)
    assert open_tensors(tmp_path / "a.zarr", transformer=chroma).mask.all()
    with pytest.raises(ValueError, match=r"norm=.Infinity., now 2"):
        open_tensors(tmp_path / "a.zarr", transformer=ChromaTransformer(norm=2.0))


def test_what_does_not_change_numbers_does_not_matter(files, tmp_path):
    path = tmp_path / "a.zarr"
    store(files, path)
    modified = [p.stat().st_mtime_ns for p in sorted((path / "X").rglob("*")) if p.is_file()]
    assert store(files, path, n_jobs=2).mask.all()
    assert modified == [
        p.stat().st_mtime_ns for p in sorted((path / "X").rglob("*")) if p.is_file()
    ]


def test_other_things_are_not_taken_for_a_store(files, tmp_path):
    (tmp_path / "text").write_text("mine")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    zarr.create_group(tmp_path / "foreign.zarr")
    for name in ("text", "full", "foreign.zarr"):
        with pytest.raises(ValueError, match=name):
            store(files, tmp_path / name)
        with pytest.raises(ValueError, match=name):
            open_tensors(tmp_path / name)
    assert os.listdir(tmp_path / "full") == ["mine.txt"]
    with pytest.raises(ValueError, match="does not exist"):
        open_tensors(tmp_path / "missing")
    with pytest.raises(ValueError, match="no sound files"):
        store([], tmp_path / "a.zarr")


def test_two_processes_do_not_write_at_once(files, tmp_path):
    store(files, tmp_path / "a.zarr")
    with (
        FileLock(tmp_path / "a.zarr" / ".lock"),
        pytest.raises(ValueError, match="another process"),
    ):
        store(files, tmp_path / "a.zarr")


def test_long_sounds_go_block_by_block(tmp_path, monkeypatch):
    """Two recordings of 60 s, one shorter (padded), one damaged in the middle."""
    rng = np.random.default_rng(0)
    names = [str(tmp_path / f"{i}.flac") for i in range(3)]
    for name, seconds in zip(names, (65, 45, 65), strict=True):
        soundfile.write(name, 0.1 * rng.standard_normal(seconds * RATE), RATE)
    data = (tmp_path / "2.flac").read_bytes()
    (tmp_path / "2.flac").write_bytes(data[: len(data) * 2 // 3])
    monkeypatch.setattr(layout, "FILE_BYTES", 50 * 4 * 16 * 4)
    strf = STRF.__class__(**{**STRF.get_params(), "compression": None, "contrast": False})
    stored = store(names, tmp_path / "a.zarr", strf, duration=60.0)
    assert list(stored.mask) == [True, True, False]
    assert "cut short" in stored.errors[names[2]]
    assert stored.X.chunks == (1, 1, 4, 16, 50)
    expected = strf.fit_transform(AudioLoader(duration=60.0).fit_transform(names[:2]))
    np.testing.assert_allclose(stored.X[:2], expected, atol=1e-4 * expected.max())
    assert np.isnan(stored.X[2]).all()


@pytest.mark.parametrize("transformer", [STRF, ChromaTransformer(), MFCCTransformer()])
def test_one_flipped_bit_costs_one_sound(files, tmp_path, transformer):
    sound = 0.1 * np.random.default_rng(0).standard_normal(RATE).astype(np.float32)
    sound.view(np.uint32)[500] ^= 1 << 30
    soundfile.write(files[3], sound, RATE, subtype="FLOAT")
    stored = store_tensors(files, tmp_path / "a.zarr", transformer, duration=0.5)
    assert np.flatnonzero(~stored.mask).tolist() == [3]
    assert ["far beyond full scale" in text for text in stored.errors.values()] == [True]
    assert np.isfinite(stored.X[stored.mask.nonzero()[0][-1]]).all()


def test_dates_after_2262_do_not_end_the_folder(files, tmp_path):
    os.utime(files[0], ns=(0, 9_999_999_999 * 10**9))
    if os.stat(files[0]).st_mtime_ns < 2**63:
        pytest.skip("this file system has no such dates")
    stored = store_tensors(files, tmp_path / "a.zarr", STRF, duration=1.0)
    assert stored.mask.all()
