"""Where nothing more can be written, what was there stays; nothing half-written is believed."""

import json
import logging
import os
import warnings
from contextlib import contextmanager

import numpy as np
import pytest
import soundfile
from sklearn.preprocessing import StandardScaler

from skstrf.__main__ import main
from skstrf.caching.recordings import cached_rows
from skstrf.model_io import load_model, save_model

resource = pytest.importorskip("resource")
KEY = {"algorithm": "test", "version": 1}


@contextmanager
def no_file_larger_than(n_bytes):
    """The system itself refuses to write more into any file, whoever writes it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def scaler(n):
    return StandardScaler().fit(np.random.default_rng(0).standard_normal((20, n)))


@pytest.mark.parametrize("n_bytes", [0, 100, 5_000])
def test_a_model_that_does_not_fit_leaves_the_old_one(tmp_path, n_bytes):
    path = tmp_path / "m.skops"
    save_model(scaler(3), path)
    before = path.read_bytes()
    with no_file_larger_than(n_bytes), pytest.raises(OSError):
        save_model(scaler(5000), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
    assert load_model(path).n_features_in_ == 3


@pytest.mark.parametrize("n_bytes", [0, 50, 3_000])
def test_a_cache_that_is_full_is_done_without(tmp_path, n_bytes):
    X = np.random.default_rng(0).standard_normal((5, 1000))

    def compute(x):
        computed.append(len(x))
        return 2 * x

    computed = []
    with no_file_larger_than(n_bytes), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # joblib tells of each file
        rows = cached_rows(compute, X, memory=tmp_path, key=KEY)
    np.testing.assert_array_equal(rows, 2 * X)
    # With room again everything is computed once more, and then kept.
    for _ in range(2):
        np.testing.assert_array_equal(cached_rows(compute, X, memory=tmp_path, key=KEY), 2 * X)
    assert sum(computed) == 10


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    times = np.arange(6400) / 16000
    for name, tone in {"low": 300, "high": 2500}.items():
        (tmp_path / "sounds" / name).mkdir(parents=True)
        for i in range(4):
            sound = 0.2 * np.sin(2 * np.pi * tone * times) + 0.01 * rng.standard_normal(6400)
            soundfile.write(tmp_path / "sounds" / name / f"{i}.wav", sound, 16000)
    return tmp_path / "sounds"


QUICK = ("--rates", "4", "--scales", "1", "--duration", "0.4", "--max-epochs", "2", "--folds", "2")


def test_an_experiment_that_cannot_be_written_goes_on_later(folder, tmp_path, capsys):
    out = tmp_path / "out"
    given = ["compare", str(folder), "-o", str(out), *QUICK, "--what", "classifiers"]
    given += ["--seeds", "1", "--device", "cpu"]
    with no_file_larger_than(8_000):
        assert main(given) == 2
    assert "error" in capsys.readouterr().err
    assert not (out / "results.json").exists()
    assert not (out / "report.html").exists()
    assert not list(out.rglob(".skstrf-*"))
    assert main(given) == 0
    assert json.loads((out / "results.json").read_text())["rows"]


def test_what_a_command_cannot_write_is_an_error_of_one_line(folder, tmp_path, capsys, caplog):
    out = tmp_path / "out"
    with no_file_larger_than(2_000), caplog.at_level(logging.CRITICAL):
        assert main(["classify", str(folder), "-o", str(out), *QUICK, "--device", "cpu"]) != 0
    printed = capsys.readouterr().err
    assert "error" in printed
    assert "Traceback" not in printed
    assert not (out / "model.skops").exists()
    assert not list(out.rglob(".skstrf-*"))
    assert os.path.isdir(folder)
