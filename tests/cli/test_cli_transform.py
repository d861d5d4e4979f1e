"""``skstrf transform`` as its users meet it."""

import errno
import os
import shutil

import numpy as np
import pytest
import soundfile

from skstrf.__main__ import main
from skstrf.cli.transform import representations
from skstrf.corpus_store import open_tensors

RATE = 16000
FAST = ["--rates", "4", "8", "--scales", "1"]


@pytest.fixture
def sounds(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("bow/a.wav", "bow/deep/b.wav", "pluck/c.wav"):
        path = tmp_path / "sounds" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, 0.1 * rng.standard_normal(RATE).astype(np.float32), RATE)
    return tmp_path / "sounds"


def transform(folder, out, *options):
    return main(["transform", str(folder), "-o", str(out), *options])


def test_a_folder_becomes_a_store(sounds, tmp_path, capsys):
    options = [*FAST, "--frame-step", "16", "--pooling", "sample"]
    assert transform(sounds, tmp_path / "out.zarr", *options) == 0
    assert "3 of 3 sounds of 1 s" in capsys.readouterr().out
    stored = open_tensors(tmp_path / "out.zarr")
    assert stored.X.shape == (3, 1, 4, 128, 8)
    assert list(stored.y) == ["bow", "bow", "pluck"]
    assert list(stored.paths) == ["bow/a.wav", "bow/deep/b.wav", "pluck/c.wav"]
    # The folder may be named another way, and nothing is computed twice.
    assert transform(sounds / "." / "bow" / "..", tmp_path / "out.zarr", *options) == 0
    assert transform(sounds, tmp_path / "out.zarr", *FAST) == 2
    assert "frame_step=16, now 125" in capsys.readouterr().err


def test_a_table_gives_files_and_labels(sounds, tmp_path):
    (sounds / "metadata.csv").write_text("file,class\npluck/c.wav,x\nbow/a.wav,y\n")
    assert transform(sounds, tmp_path / "out.zarr", *FAST) == 0
    stored = open_tensors(tmp_path / "out.zarr")
    assert list(zip(stored.paths, stored.y, strict=True)) == [
        ("bow/a.wav", "y"), ("pluck/c.wav", "x"),
    ]  # fmt: skip


def test_a_bad_file_is_reported_and_the_rest_is_there(sounds, tmp_path, capsys):
    (sounds / "bow" / "loose.wav").write_bytes(b"RIFF")
    assert transform(sounds, tmp_path / "out.zarr", *FAST) == 1
    assert "loose.wav: is not sound" in capsys.readouterr().err
    stored = open_tensors(tmp_path / "out.zarr")
    assert stored.mask.sum() == 3
    assert list(stored.y) == ["bow", "bow", "bow", "pluck"]
    assert transform(sounds, tmp_path / "b.zarr", *FAST, "--on-error", "raise") == 2


def test_a_full_disk_is_an_error_of_one_line(sounds, tmp_path, capsys, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    real = os.fsync
    monkeypatch.setattr(os, "fsync", full)
    assert transform(sounds, tmp_path / "out.zarr", *FAST) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "No space left" in line
    assert "make room and run the same again" in line
    monkeypatch.setattr(os, "fsync", real)
    assert transform(sounds, tmp_path / "out.zarr", *FAST) == 0


def test_any_transformer_and_any_parameter(sounds, tmp_path):
    out = tmp_path / "out.zarr"
    settings = ["--set", "output=real", "--set", "compression=null", "--set", "normalize=false"]
    assert transform(sounds, out, *FAST, *settings) == 0
    used = open_tensors(out).settings
    assert (used["output"], used["compression"], used["normalize"]) == ("real", None, False)
    assert "strf" in representations()
    others = sorted(set(representations()) - {"strf"})
    for name in others[:1]:
        assert transform(sounds, tmp_path / name, "--representation", name) == 0
        assert np.isfinite(open_tensors(tmp_path / name).X[:]).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--representation", "nose"], "--representation nose is none of: "),
        (["--set", "nose=1"], "has no parameter nose; it has: "),
        (["--set", "nose"], "--set takes NAME=VALUE"),
        (["--set", "sample_rate=8000"], "the command itself sets it"),
        (["--rates", "fast"], "--rates takes numbers"),
        (["--metadata", "none.csv"], "none.csv does not exist"),
    ],
)
def test_what_cannot_be_is_said(sounds, tmp_path, capsys, options, message):
    assert transform(sounds, tmp_path / "out.zarr", *options) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out.zarr").exists()


def test_a_folder_without_sounds(tmp_path, capsys):
    assert transform(tmp_path, tmp_path / "out.zarr") == 2
    assert "holds no sound files" in capsys.readouterr().err


def test_sounds_beside_the_classes_leave_the_labels(sounds, tmp_path, capsys):
    shutil.copy(next(sounds.rglob("*.wav")), sounds / "stray.wav")
    assert transform(sounds, tmp_path / "a.zarr", *FAST) == 0
    assert "stray.wav" in capsys.readouterr().err
    stored = open_tensors(tmp_path / "a.zarr")
    assert sorted(set(stored.y)) == ["bow", "pluck"]
    assert "stray.wav" not in stored.paths


def test_more_sounds_outside_than_in_sub_folders_have_no_labels(sounds, tmp_path, capsys):
    for path in list(sounds.rglob("*.wav"))[1:]:
        path.rename(sounds / f"{path.parent.name}-{path.name}")
    assert transform(sounds, tmp_path / "a.zarr", *FAST) == 0
    assert "The sounds have no labels" in capsys.readouterr().err
    assert open_tensors(tmp_path / "a.zarr").y is None


def test_sounds_of_splits_are_labeled_by_their_classes(sounds, tmp_path, capsys):
    for split in ("train", "test"):
        shutil.copytree(sounds, tmp_path / "divided" / split)
    assert transform(tmp_path / "divided", tmp_path / "a.zarr", *FAST) == 0
    stored = open_tensors(tmp_path / "a.zarr")
    assert [path.split("/")[1] for path in stored.paths] == list(stored.y)
