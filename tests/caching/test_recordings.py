"""The cache: what is a hit, what a miss, and what happens to entries that are damaged."""

import datetime
import logging
import os
import signal
import subprocess
import sys
import textwrap
import warnings

import joblib
import numpy as np
import pytest

from skstrf.caching.backend import ArrayStore
from skstrf.caching.recordings import cached_rows

KEY = {"algorithm": "cube", "version": 1, "floor": 0.5}


class Counting:
    """Cubes sounds and remembers how many it was given at a time."""

    def __init__(self, dtype=None):
        self.dtype = dtype
        self.calls = []

    def __call__(self, X):
        self.calls.append(len(X))
        result = np.stack([X**3, X + 1], axis=1)
        return result if self.dtype is None else result.astype(self.dtype)


@pytest.fixture
def sounds():
    return np.random.default_rng(0).standard_normal((11, 50))


def entries(folder):
    return sorted(folder.rglob("output.pkl"))


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
def test_a_hit_is_what_was_computed_bit_for_bit(tmp_path, sounds, dtype):
    compute = Counting(dtype)
    first = cached_rows(compute, sounds, memory=tmp_path, key=KEY)
    again = cached_rows(compute, sounds, memory=tmp_path, key=KEY)
    assert compute.calls == [8, 3]  # the second time there is nothing to do
    for rows in (first, again):
        assert rows.dtype == dtype and type(rows) is np.ndarray and rows.flags.writeable
        np.testing.assert_array_equal(rows, Counting(dtype)(sounds))
    assert len(entries(tmp_path)) == len(sounds)


def test_only_what_is_missing_is_computed(tmp_path, sounds):
    compute = Counting()
    cached_rows(compute, sounds[3:6], memory=tmp_path, key=KEY)
    rows = cached_rows(compute, sounds[::-1], memory=tmp_path, key=KEY)
    assert compute.calls == [3, 8]
    np.testing.assert_array_equal(rows, Counting()(sounds[::-1]))
    twice = np.repeat(sounds[:2] + 7, 3, axis=0)
    rows = cached_rows(compute, twice, memory=tmp_path, key=KEY)
    assert compute.calls == [3, 8, 2]  # a sound that is there three times is computed once
    np.testing.assert_array_equal(rows, Counting()(twice))


def changed_sample(X):
    X = X.copy()
    X[0, 17] = np.nextafter(X[0, 17], 10)
    return X


@pytest.mark.parametrize(
    "change_sound, change_key",
    [
        (changed_sample, {}),
        (lambda X: X.astype(np.float32), {}),
        (lambda X: X[:, :-1], {}),
        (np.negative, {}),
        (np.copy, {"floor": np.nextafter(0.5, 1)}),
        (np.copy, {"version": 2}),
        (np.copy, {"algorithm": "square"}),
        (np.copy, {"more": None}),
        (np.copy, {"floor": np.array([0.5, 1])}),
    ],
)
def test_whatever_decides_on_the_numbers_is_a_miss(tmp_path, sounds, change_sound, change_key):
    compute = Counting()
    cached_rows(compute, sounds[:1], memory=tmp_path, key=KEY)
    cached_rows(compute, change_sound(sounds[:1]), memory=tmp_path, key=KEY | change_key)
    assert compute.calls == [1, 1]


@pytest.mark.parametrize(
    "same",
    [np.asfortranarray, lambda X: np.repeat(X, 2, axis=1)[:, ::2], np.ndarray.tolist],
)
def test_how_a_sound_lies_in_memory_is_no_matter(tmp_path, sounds, same):
    compute = Counting()
    cached_rows(compute, sounds, memory=tmp_path, key=KEY)
    cached_rows(compute, np.asanyarray(same(sounds)), memory=tmp_path, key=KEY)
    assert compute.calls == [8, 3]


def test_a_mapped_sound_is_the_sound(tmp_path, sounds):
    compute = Counting()
    np.save(tmp_path / "X.npy", sounds)
    for mode in (None, "r"):
        X = np.load(tmp_path / "X.npy", mmap_mode=mode)
        cached_rows(compute, X, memory=joblib.Memory(tmp_path, verbose=0), key=KEY)
    assert compute.calls == [8, 3]


@pytest.mark.parametrize("memory", [None, joblib.Memory(None)])
def test_without_a_place_all_is_computed_at_once(sounds, memory):
    compute = Counting()
    for _ in range(2):
        cached_rows(compute, sounds, memory=memory, key=KEY)
    assert compute.calls == [11, 11]


@pytest.mark.parametrize("options", [{}, {"mmap_mode": "r+"}, {"mmap_mode": "c"}, {"compress": 1}])
def test_a_users_memory_keeps_its_options(tmp_path, sounds, options, capsys):
    memory = joblib.Memory(tmp_path, **options)
    compute = Counting()
    for _ in range(2):
        rows = cached_rows(compute, sounds, memory=memory, key=KEY)
        np.testing.assert_array_equal(rows, Counting()(sounds))
    assert compute.calls == [8, 3]
    assert capsys.readouterr().out == ""
    rows += 1  # changes nothing on disk
    np.testing.assert_array_equal(
        cached_rows(compute, sounds, memory=memory, key=KEY), Counting()(sounds)
    )


def test_a_path_is_read_by_mapping(tmp_path, sounds, monkeypatch):
    modes = set()
    load = ArrayStore.load_item

    def spy(self, *args, **kwargs):
        modes.add(self.mmap_mode)
        item = load(self, *args, **kwargs)
        modes.add(type(item))
        return item

    monkeypatch.setattr(ArrayStore, "load_item", spy)
    for folder in (tmp_path, str(tmp_path)):
        cached_rows(Counting(), sounds, memory=folder, key=KEY)
    assert modes == {"r", np.memmap}


def flip(data, place):
    return data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :]


DAMAGES = {
    "empty": lambda data: b"",
    "cut in the values": lambda data: data[: len(data) // 2],
    "cut by a byte": lambda data: data[:-1],
    "a bit flipped in the values": lambda data: flip(data, len(data) // 2),
    "the header flipped": lambda data: flip(data, 2),
    "zeros": lambda data: bytes(len(data)),
    "another pickle": lambda data: b"\x80\x04K\x01.",
    "text": lambda data: b"not found",
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
@pytest.mark.parametrize("mmap_mode", [None, "r"])
def test_damaged_entries_are_computed_again_and_replaced(
    tmp_path, sounds, damage, mmap_mode, caplog
):
    memory = joblib.Memory(tmp_path, mmap_mode=mmap_mode, verbose=0)
    compute = Counting()
    cached_rows(compute, sounds, memory=memory, key=KEY)
    path = entries(tmp_path)[4]
    path.write_bytes(damage(path.read_bytes()))
    for calls in ([8, 3, 1], [8, 3, 1]):  # once damaged, then whole again
        rows = cached_rows(compute, sounds, memory=memory, key=KEY)
        np.testing.assert_array_equal(rows, Counting()(sounds))
        assert compute.calls == calls
    messages = [r.message for r in caplog.records if r.name == "skstrf"]
    assert len(messages) == 1 and "damaged" in messages[0]


@pytest.mark.filterwarnings("ignore:The memmapped array")
def test_every_single_flipped_byte_is_noticed(tmp_path, sounds):
    compute = Counting()
    expected = cached_rows(compute, sounds[:1, :4], memory=tmp_path, key=KEY)
    (path,) = entries(tmp_path)
    whole = path.read_bytes()
    assert len(whole) < 2000
    for place in range(len(whole)):
        path.write_bytes(flip(whole, place))
        rows = cached_rows(Counting(), sounds[:1, :4], memory=tmp_path, key=KEY)
        np.testing.assert_array_equal(rows, expected)
        assert rows.dtype == expected.dtype


def test_an_entry_in_the_place_of_another_is_not_believed(tmp_path, sounds):
    compute = Counting()
    cached_rows(compute, sounds, memory=tmp_path, key=KEY)
    one, other = entries(tmp_path)[:2]
    one.write_bytes(other.read_bytes())
    rows = cached_rows(compute, sounds, memory=tmp_path, key=KEY)
    np.testing.assert_array_equal(rows, Counting()(sounds))
    assert compute.calls == [8, 3, 1]


def test_an_entry_that_vanishes_or_is_half_written_is_missing(tmp_path, sounds):
    compute = Counting()
    cached_rows(compute, sounds[:3], memory=tmp_path, key=KEY)
    first, second, third = entries(tmp_path)
    first.rename(first.with_name("output.pkl.0123-4-5"))  # what a killed writer leaves
    second.unlink()
    (third.parent / "metadata.json").write_text("{")
    rows = cached_rows(compute, sounds[:3], memory=tmp_path, key=KEY)
    np.testing.assert_array_equal(rows, Counting()(sounds[:3]))
    assert compute.calls == [3, 2]


def test_an_edited_function_neither_crashes_nor_gives_wrong_rows(tmp_path):
    in_new_process(tmp_path, "assert run(X) == 11")
    (source,) = tmp_path.rglob("func_code.py")
    text = source.read_text()
    moved = "# first line: 999\n" + text.partition("\n")[2]
    source.write_text(moved)
    in_new_process(tmp_path, "assert run(X) == 0")
    source.write_text(text.replace("return row", "return row + 0"))
    in_new_process(tmp_path, "assert run(X) == 11\nassert run(X) == 0")


SCRIPT = """
import os, signal, sys
import numpy as np
from skstrf.caching.backend import ArrayStore
from skstrf.caching.recordings import cached_rows

folder = sys.argv[1]
X = np.random.default_rng(0).standard_normal((11, 50))
key = {"algorithm": "cube", "version": 1, "floor": 0.5}

def run(X, killed_at=None):
    calls = []
    def compute(X):
        if killed_at == sum(calls):
            os.kill(os.getpid(), signal.SIGKILL)
        calls.append(len(X))
        return np.stack([X**3, X + 1], axis=1)
    rows = cached_rows(compute, X, memory=folder, key=key)
    assert np.array_equal(rows, np.stack([X**3, X + 1], axis=1))
    return sum(calls)
"""


def start(folder, body):
    script = SCRIPT + textwrap.dedent(body)
    command = [sys.executable, "-W", "error::UserWarning", "-c", script, str(folder)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def in_new_process(folder, body):
    process = start(folder, body)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert errors == ""


@pytest.mark.skipif(os.name != "posix", reason="kills by a signal")
def test_a_killed_run_goes_on_where_it_stopped(tmp_path, sounds):
    process = start(tmp_path, "run(X, killed_at=8)")
    process.communicate(timeout=120)
    assert process.returncode == -signal.SIGKILL
    compute = Counting()
    rows = cached_rows(compute, sounds, memory=tmp_path, key=KEY)
    assert compute.calls == [3]
    np.testing.assert_array_equal(rows, Counting()(sounds))


def test_several_processes_share_a_folder(tmp_path):
    body = """
    X = np.random.default_rng(0).standard_normal((160, 50))
    for _ in range(3):
        run(X[np.random.default_rng(os.getpid()).permutation(160)])
    assert run(X) == 0
    """
    processes = [start(tmp_path, body) for _ in range(3)]
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
        assert errors == ""
    assert len(entries(tmp_path)) == 160
    assert not list(tmp_path.rglob("output.pkl.*"))  # nothing half-written is left


def test_another_process_finds_the_entries(tmp_path, sounds):
    # joblib writes a function's text into the first folder of a process only: fill a second.
    for folder in (tmp_path / "first", tmp_path / "second"):
        cached_rows(Counting(), sounds, memory=folder, key=KEY)
    in_new_process(tmp_path / "second", "assert run(X) == 0")


def test_size_and_age_are_limited_by_joblib(tmp_path, sounds):
    memory = joblib.Memory(tmp_path, verbose=0)
    compute = Counting()
    cached_rows(compute, sounds, memory=memory, key=KEY)
    memory.reduce_size(items_limit=4)
    assert len(entries(tmp_path)) == 4
    cached_rows(compute, sounds, memory=memory, key=KEY)
    assert sum(compute.calls) == 11 + 7
    memory.reduce_size(age_limit=datetime.timedelta(seconds=0))
    memory.clear(warn=False)
    assert entries(tmp_path) == []
    cached_rows(compute, sounds, memory=memory, key=KEY)
    assert sum(compute.calls) == 11 + 7 + 11
    cached_rows(compute, sounds, memory=memory, key=KEY)
    assert sum(compute.calls) == 11 + 7 + 11


@pytest.fixture
def read_only(monkeypatch):
    """Folders refuse to be written, even to the superuser."""

    def opening(path, mode="r"):
        if "w" in mode:
            raise PermissionError(13, "Permission denied", str(path))
        return open(path, mode)

    monkeypatch.setattr(ArrayStore, "_open_item", staticmethod(opening))


@pytest.mark.parametrize("mmap_mode", [None, "r"])
def test_a_folder_that_cannot_be_written_is_read(tmp_path, sounds, caplog, request, mmap_mode):
    memory = joblib.Memory(tmp_path, mmap_mode=mmap_mode, verbose=0)
    cached_rows(Counting(), sounds[:4], memory=memory, key=KEY)
    request.getfixturevalue("read_only")
    compute = Counting()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", joblib.memory.CacheWarning)
        rows = cached_rows(compute, sounds, memory=memory, key=KEY)
    np.testing.assert_array_equal(rows, Counting()(sounds))
    assert sum(compute.calls) == 7
    assert [r.message for r in caplog.records if "cannot be written" in r.message] != []
    assert len([r for r in caplog.records if r.levelno >= logging.WARNING]) == 1


def test_a_folder_where_nothing_can_be_made_is_done_without(tmp_path, sounds, caplog):
    (tmp_path / "joblib").mkdir()
    (tmp_path / "joblib" / "skstrf").write_text("a file where a folder is to be")
    compute = Counting()
    rows = cached_rows(compute, sounds, memory=tmp_path, key=KEY)
    np.testing.assert_array_equal(rows, Counting()(sounds))
    assert "cannot be used" in caplog.text


def test_what_is_no_folder_is_refused(tmp_path, sounds):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"memory=.*file.* cannot be created as a folder"):
        cached_rows(Counting(), sounds, memory=tmp_path / "file" / "cache", key=KEY)
    with pytest.raises(ValueError, match=r"a folder or a joblib.Memory, got int"):
        cached_rows(Counting(), sounds, memory=3, key=KEY)


def test_rows_that_differ_in_kind_are_not_mixed(tmp_path, sounds):
    cached_rows(Counting("float32"), sounds[:1], memory=tmp_path, key=KEY)
    with pytest.raises(ValueError, match=r"without a new version.*clear"):
        cached_rows(Counting("float64"), sounds, memory=tmp_path, key=KEY)


def test_a_setting_that_cannot_be_told_from_others_is_refused(tmp_path, sounds):
    with open(os.devnull) as file, pytest.raises(ValueError, match="cannot be pickled"):
        cached_rows(Counting(), sounds, memory=tmp_path, key={"file": file})


def test_fingerprints_are_the_same_in_every_process(tmp_path):
    body = """
    from skstrf.caching.fingerprints import fingerprint
    def f(x, more={"b": 1, "a": {"x", "y", "z"}}):
        return x in {"some", "words", "here"}
    f.__module__ = "m"
    sys.stdout.write(fingerprint([f, np.arange(3), {"k", "l", "m"}, lambda x: x]))
    """
    texts = {start(tmp_path, body).communicate(timeout=120)[0] for _ in range(2)}
    assert len(texts) == 1 and "" not in texts
