"""What cannot be written is found before any work is done, by every command."""

import os
from collections import namedtuple

import numpy as np
import pytest
import soundfile

import skstrf.style.transfer
from skstrf.__main__ import main
from skstrf.cli.outputs import check_output_file, output_folder

COMMANDS = ["classify", "search", "compare", "channels", "stationarity"]


@pytest.fixture
def no_work(monkeypatch):
    """Any transfer and any reading of sounds is an error."""

    def fail(*args, **kwargs):
        raise RuntimeError("work has begun")

    monkeypatch.setattr(skstrf.style.transfer.StyleTransfer, "fit", fail)
    monkeypatch.setattr("skstrf.datasets.AudioLoader.read", fail)


def refused(capsys, arguments):
    assert main([str(argument) for argument in arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    return printed.err


@pytest.fixture
def sound(tmp_path):
    path = tmp_path / "data" / "a.wav"
    path.parent.mkdir()
    soundfile.write(path, 0.1 * np.random.default_rng(0).standard_normal(4000), 16000)
    return path


@pytest.mark.parametrize(
    ("output", "options", "message"),
    [
        ("o.wav", ["--report", "o.wav"], "o.wav would be overwritten by the result"),
        ("o.wav", ["--report", "folder"], "folder is a folder"),
        ("o.wav", ["--report", "file/a.html"], "file is a file"),
        ("folder.wav", [], "folder.wav is a folder"),
        ("o.wav", ["--report", "pipe"], "pipe is a pipe or device"),
        ("o.ogg", ["--sample-rate", "200001"], "OGG must be a whole number of at most 200000"),
        ("o.flac", ["--sample-rate", "700000"], "FLAC must be"),
        ("n" * 251 + ".wav", [], "File name too long"),
        ("n" * 300 + ".wav", [], "File name too long"),
        ("d" * 300 + "/o.wav", [], "File name too long"),
        ("d/" * 2500 + "o.wav", [], "File name too long"),
        ("/proc/none/o.wav", [], "Cannot write"),
    ],
)
def test_style_finds_it_before_the_work(
    sound, tmp_path, monkeypatch, capsys, no_work, output, options, message
):
    (tmp_path / "out").mkdir()
    monkeypatch.chdir(tmp_path / "out")
    os.mkdir("folder"), os.mkdir("folder.wav"), os.mkfifo("pipe")
    (tmp_path / "out" / "file").write_text("")
    before = sorted(os.listdir())
    error = refused(capsys, ["style", sound, sound.parent / ".." / "data" / "a.wav",
                             "-o", output, *options])  # fmt: skip
    assert message in error
    assert sorted(os.listdir()) == before


@pytest.fixture
def full(monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage(10**9, 10**9, 1000))


@pytest.mark.parametrize("command", COMMANDS)
def test_a_full_disk_is_found_before_the_work(sounds, tmp_path, capsys, no_work, full, command):
    out = tmp_path / "new" / "out"
    error = refused(capsys, [command, sounds, "-o", out])
    assert "MB of free space. Make room" in error
    assert not (tmp_path / "new").exists()


def test_a_store_that_does_not_fit_is_refused_before_the_work(sounds, tmp_path, capsys, full):
    error = refused(capsys, ["transform", sounds, "-o", tmp_path / "new" / "a.zarr"])
    assert "a.zarr needs about" in error and "Make room" in error
    assert not (tmp_path / "new").exists()


def test_style_needs_room_for_the_sound(sound, tmp_path, capsys, no_work, full):
    out = tmp_path / "new" / "o.wav"
    assert "MB of free space" in refused(capsys, ["style", sound, sound, "-o", out])
    assert not out.parent.exists()


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("name", ["report.html", "results.json"])
def test_folders_in_the_place_of_files(sounds, tmp_path, capsys, no_work, command, name):
    (tmp_path / "out" / name).mkdir(parents=True)
    error = refused(capsys, [command, sounds, "-o", tmp_path / "out"])
    assert f"{name} is a folder, where a file is to be written" in error
    assert os.listdir(tmp_path / "out") == [name]


@pytest.mark.parametrize("command", ["search", "compare", "channels"])
def test_a_cache_that_cannot_be_written(sounds, tmp_path, capsys, no_work, command):
    (tmp_path / "file").write_text("")
    arguments = [command, sounds, "-o", tmp_path / "out", "--cache", tmp_path / "file" / "c"]
    assert "file" in refused(capsys, arguments)
    assert os.listdir(tmp_path) == ["file"]


def test_a_storage_that_cannot_be_written(sounds, tmp_path, capsys, no_work):
    arguments = ["search", sounds, "-o", tmp_path / "out", "--storage", tmp_path]
    assert "is a folder" in refused(capsys, arguments)
    assert os.listdir(tmp_path) == []


def test_checking_changes_nothing(tmp_path):
    path = tmp_path / "a.wav"
    path.write_text("old")
    check_output_file(path)
    check_output_file(tmp_path / "new" / "b.wav")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.wav"]
    with output_folder(str(tmp_path / "out"), tmp_path / "out" / "cache"):
        pass
    assert os.listdir(tmp_path) == ["a.wav"]
