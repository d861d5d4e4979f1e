"""Stores of tensors that were damaged, or made by somebody who means harm."""

import json
import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from skstrf import STRFTransformer
from skstrf import corpus_store as layout
from skstrf.corpus_store import open_tensors, store_tensors

RATE = 16000
STRF = STRFTransformer(rates=[4], scales=[1.0], channel_step=8)


def contents(path):
    """Everything that a store gives; tensors that are not in the mask do not count."""
    stored = open_tensors(path)
    X = stored.X[:]
    axes = [(axis.name, axis.unit, axis.values.tolist()) for axis in stored.axes]
    labels = None if stored.y is None else stored.y.tolist()
    rest = (stored.paths.tolist(), labels, stored.errors, stored.folder)
    return X[stored.mask].tobytes(), stored.mask.tolist(), axes, *rest, stored.settings


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A store of five sounds in three files, one of them unusable, and how to make it again."""
    folder = tmp_path_factory.mktemp("hostile")
    rng = np.random.default_rng(0)
    names = [str(folder / f"{index}.wav") for index in range(5)]
    for name in names:
        soundfile.write(name, 0.1 * rng.standard_normal(2000).astype(np.float32), RATE)
    Path(names[3]).write_bytes(b"RIFF")

    def make(path):
        return store_tensors(names, path, STRF, duration=0.125, y=list("aabbc"), folder=folder)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layout, "FILE_BYTES", 2 * 4 * 16 * 2)
        make(folder / "a.zarr")
    return folder / "a.zarr", make


def files_of(path):
    return sorted(file for file in path.rglob("*") if file.is_file() and file.stat().st_size)


def flipped(made, folder, n_flips, every):
    """Flip one bit at a time anywhere in a store; return how many flips were found."""
    path, make = made
    whole, rng, found = contents(path), np.random.default_rng(0), 0
    trial = folder / "trial.zarr"
    for number in range(n_flips):
        shutil.copytree(path, trial)
        files = files_of(trial)
        file = files[rng.integers(len(files))]
        data = bytearray(file.read_bytes())
        bit = int(rng.integers(8 * len(data)))
        data[bit // 8] ^= 1 << bit % 8
        file.write_bytes(data)
        where = f"bit {bit} of {file.relative_to(trial)}"
        try:
            assert contents(trial) == whole, where
        except ValueError as error:
            assert str(trial) in str(error), where
            found += 1
        if number % every == 0:
            try:
                make(trial)
                assert contents(trial) == whole, where
            except ValueError as error:
                assert "trial.zarr" in str(error), where
        shutil.rmtree(trial)
    return found


def test_flipped_bits_are_found_or_harmless(made, tmp_path):
    assert flipped(made, tmp_path, 60, 20) > 40


@pytest.mark.slow
def test_two_thousand_flipped_bits_are_found_or_harmless(made, tmp_path):
    print(flipped(made, tmp_path, 2000, 50), "of 2000 flips raised an error")


class Writer:
    """Unpickling this writes a file."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return (open, (self.path, "w"))


# Values of a wrong kind for any part of a description.
WRONG = [None, -1, 1e300, "x", [], [None], [[1]], {}, {"name": 1}]
PARTS = ["folder", "settings", "axes", "paths", "y", "arrays", "format"]
CODECS = [
    [],
    [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "zstd"}],
    [{"name": "bytes"}, {"name": "gzip", "configuration": {"level": 1}}],
    [{"name": "bytes"}, {"name": "blosc"}],
    [{"name": "vlen-utf8"}],
    [{"name": "vlen-bytes"}],
    [{"name": "numcodecs.pickle"}],
    [{"name": "numcodecs.zlib"}],
    [{"name": "transpose", "configuration": {"order": [0]}}, {"name": "bytes"}],
    [{"name": 5}],
    "bytes",
    None,
]
ARRAYS = [
    *[{"codecs": codecs} for codecs in CODECS],
    {"shape": [10**12]},
    {"shape": [5, 1, 4, 16, 10**9]},
    {"shape": None},
    {"data_type": "string"},
    {"data_type": "float16"},
    {"data_type": {"name": "structured", "configuration": {}}},
    {"chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [10**12]}}},
    {"chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [0]}}},
    {"chunk_grid": {"name": "rectilinear", "configuration": {"chunk_shape": [5]}}},
    {"chunk_key_encoding": {"name": "v2", "configuration": {"separator": "."}}},
    {"zarr_format": 2},
    {"node_type": "group"},
    {"fill_value": {"a": []}},
    {"storage_transformers": [{"name": "pickle"}]},
]


def forge(path, part, value):
    """Replace a part of the description, with the right checksum."""
    about = json.loads((path / layout.DESCRIPTION).read_text())["content"]
    about[part] = value
    layout._write_json(path / layout.DESCRIPTION, about)


def forge_array(path, name, changes):
    """Replace what zarr reads about an array, with the right checksums."""
    file = path / name / "zarr.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
    about = json.loads((path / layout.DESCRIPTION).read_text())["content"]
    forge(path, "arrays", about["arrays"] | {name: layout._array_checksum(path / name)})


def pickled(path, name, victim, *, beside):
    """Put an array of zarr 2 that holds a pickle where `name` was."""
    if not beside:
        for file in [path / "zarr.json", *(path / name).rglob("zarr.json")]:
            file.unlink()
    (path / ".zgroup").write_text('{"zarr_format": 2}')
    about = {
        "zarr_format": 2, "shape": [5], "chunks": [5], "dtype": "<f4", "fill_value": 0,
        "order": "C", "compressor": None, "filters": [{"id": "pickle", "protocol": 4}],
    }  # fmt: skip
    (path / name / ".zarray").write_text(json.dumps(about))
    (path / name / "0").write_bytes(pickle.dumps(Writer(victim)))


def crafted(victim):
    """All ways to craft a store, by name."""
    ways = {}
    for part in PARTS:
        for value in WRONG:
            ways[f"{part}={value}"] = lambda path, p=part, v=value: forge(path, p, v)
    for name in ("X", "status", "stamps"):
        for changes in ARRAYS:
            key = f"{name}: {changes}"
            ways[key] = lambda path, n=name, c=changes: forge_array(path, n, c)
        for beside in (False, True):
            key = f"pickle in {name}, beside={beside}"
            ways[key] = lambda path, n=name, b=beside: pickled(path, n, victim, beside=b)
    for file in ("skstrf.json", "errors.json", "X/zarr.json", "status/c/0", "X/c/0/0/0/0/0"):
        ways[f"pipe {file}"] = lambda path, f=file: _replace(path / f, os.mkfifo)
        ways[f"device {file}"] = lambda path, f=file: _replace(path / f, _link_to_zeros)
        ways[f"folder {file}"] = lambda path, f=file: _replace(path / f, os.mkdir)
        ways[f"sparse {file}"] = lambda path, f=file: os.truncate(path / f, 2**40)
        ways[f"empty {file}"] = lambda path, f=file: os.truncate(path / f, 0)
        ways[f"missing {file}"] = lambda path, f=file: (path / f).unlink()
        ways[f"deep {file}"] = lambda path, f=file: (path / f).write_text("[" * 10**6)
    return ways


def _replace(file, make):
    file.unlink()
    make(file)


def _link_to_zeros(file):
    file.symlink_to("/dev/zero")


def attempt(made, folder, names):
    """Open crafted stores; each is refused by name, or gives what belongs together."""
    path, make = made
    victim, trial = folder / "victim", folder / "trial.zarr"
    whole = contents(path)
    for name, way in crafted(victim).items():
        if not name.startswith(names):
            continue
        shutil.copytree(path, trial)
        way(trial)
        try:
            found = contents(trial)
            assert found[:2] == whole[:2], name
        except ValueError as error:
            assert "trial.zarr" in str(error), name
        try:
            make(trial)
            assert contents(trial)[:2] == whole[:2], name
        except (ValueError, OSError) as error:  # a folder stands where a file belongs
            assert "trial.zarr" in str(error), name
        assert not victim.exists(), name
        shutil.rmtree(trial)


def test_crafted_stores_are_refused(made, tmp_path):
    names = ("pickle in X", "X: ", "pipe", "y=", "device", "missing")
    attempt(made, tmp_path, names)


@pytest.mark.slow
def test_more_than_a_hundred_crafted_stores_are_refused(made, tmp_path):
    assert len(crafted(None)) > 100
    attempt(made, tmp_path, "")
