"""Temporary files: written completely or not at all, and swept only if they are ours."""

import os
import subprocess
import sys
import time

import pytest

from skstrf.caching import files
from skstrf.caching.files import atomic_write, sweep, temporary_folder, temporary_name


@pytest.mark.skipif(os.name == "nt", reason="nothing is swept on Windows")
def test_only_old_names_of_ours_of_processes_that_ended_are_swept(tmp_path, dead_name):
    other_computer = dead_name().replace(files._computer(), "0" * 8)
    kept = [
        temporary_name(),  # of this process, which may still use it
        other_computer,
        f"{dead_name()}.wav",
        dead_name()[1:],
        "thesis.partial",
        "notes.tmp",
        ".skstrf-mine",
        "data.csv",
    ]
    gone = [dead_name(), dead_name()]
    for name in [*kept, *gone]:
        (tmp_path / name).write_text("text")
    (tmp_path / gone[1]).unlink()
    (tmp_path / gone[1] / "inner").mkdir(parents=True)
    young = dead_name()
    for path in tmp_path.iterdir():
        os.utime(path, (time.time() - 2 * files.ABANDONED,) * 2)
    (tmp_path / young).touch()
    sweep(tmp_path)
    assert sorted(os.listdir(tmp_path)) == sorted([*kept, young])
    sweep(tmp_path, age=0)
    assert sorted(os.listdir(tmp_path)) == sorted(kept)
    sweep(tmp_path / "absent")


@pytest.mark.skipif(os.name == "nt", reason="nothing is swept on Windows")
def test_a_link_is_removed_but_not_what_it_points_to(tmp_path, dead_name):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").touch()
    (tmp_path / dead_name()).symlink_to(tmp_path / "mine")
    sweep(tmp_path, age=-10)
    assert os.listdir(tmp_path) == ["mine"]
    assert os.listdir(tmp_path / "mine") == ["file"]


def test_a_folder_for_temporary_files_is_private_and_removed(tmp_path):
    with pytest.raises(KeyError), temporary_folder(tmp_path) as place:
        (tmp_path / place / "file").touch()
        assert os.path.dirname(place) == str(tmp_path)
        assert os.name == "nt" or os.stat(place).st_mode & 0o777 == 0o700
        raise KeyError
    assert os.listdir(tmp_path) == []


KILLED = """
import os, signal, sys
from skstrf.caching.files import {name}
with {name}(sys.argv[1]) as place:
    open(os.path.join(place, "file") if os.path.isdir(place) else place, "w").close()
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(os.name == "nt", reason="kills by a signal")
@pytest.mark.parametrize("name", ["atomic_write", "temporary_folder"])
def test_what_a_killed_process_leaves_is_swept_by_the_next(name, tmp_path):
    target = tmp_path if name == "temporary_folder" else tmp_path / "out"
    subprocess.run([sys.executable, "-c", KILLED.format(name=name), target], check=False)
    (left,) = tmp_path.iterdir()
    os.utime(left, (time.time() - 2 * files.ABANDONED,) * 2)
    files._sweep_once.cache_clear()
    with getattr(files, name)(target) as place:
        assert not left.exists()
        if name == "atomic_write":
            place.touch()
    assert os.listdir(tmp_path) == (["out"] if name == "atomic_write" else [])


def test_a_name_as_long_as_the_system_allows_is_written(tmp_path):
    path = tmp_path / ("a" * 255)
    with atomic_write(path) as temporary:
        temporary.write_text("text")
    assert path.read_text() == "text"
