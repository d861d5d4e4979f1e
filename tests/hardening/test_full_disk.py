"""Where nothing more can be written, what was there stays; nothing half-written is believed."""

import json
import logging
import os
import subprocess
import sys
import warnings
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile
from sklearn.preprocessing import StandardScaler

from skstrf.__main__ import main
from skstrf.caching.recordings import cached_rows
from skstrf.experiments._study import SharedStudy, open_storage
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


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 16 MB, which only some users may mount."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(place)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("a small disk cannot be mounted here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "n_moments"), [("classify", 16), ("transform", 18), ("search", 16)]
)
def test_a_disk_that_is_full_at_some_moment(folder, small_disk, kind, n_moments):
    program = Path(__file__).with_name("full_disk_runs.py")
    process = subprocess.run(
        [sys.executable, str(program), kind, str(folder), str(small_disk), "1", str(n_moments)],
        capture_output=True, text=True, timeout=1800,
        env=os.environ | {"PYTHONPATH": str(program.parents[2])},
    )  # fmt: skip
    assert process.returncode == 0, process.stderr[-3000:]
    found = json.loads(process.stdout)
    assert found["bad"] == []
    assert found["n_refused"] >= n_moments / 3


def test_a_full_disk_leaves_no_incomplete_line_in_a_journal(tmp_path):
    optuna = pytest.importorskip("optuna")
    path = tmp_path / "study.journal"
    storage, _ = open_storage(path)
    study = optuna.create_study(storage=storage, study_name="a")
    before = path.read_bytes()
    with no_file_larger_than(len(before) + 20), pytest.raises(OSError, match="make room"):
        study.set_user_attr("a", "b" * 100)
    assert path.read_bytes() == before
    study.set_user_attr("a", "c")
    assert optuna.load_study(storage=open_storage(path)[0], study_name="a").user_attrs["a"] == "c"


@pytest.mark.parametrize("room", [0, 40, 700, 1500])
def test_a_search_that_cannot_be_noted_goes_on_later(tmp_path, room):
    optuna = pytest.importorskip("optuna")
    path = tmp_path / "study.journal"

    def make():
        return SharedStudy(
            path, "a", {}, names={"x"}, sampler="random", pruner=optuna.pruners.NopPruner(),
            random_state=0,
        )  # fmt: skip

    def run(study):
        study.run(
            lambda trial: trial.suggest_float("x", 0, 1), 4, is_over=lambda: False, done=bool
        )

    study = make()
    with (
        no_file_larger_than(path.stat().st_size + room),
        pytest.raises(OSError, match="make room"),
    ):
        run(study)
    study = make()
    run(study)
    found = [t.params["x"] for t in study.study.get_trials() if t.state.name == "COMPLETE"]
    other = SharedStudy(
        None, "a", {}, names={"x"}, sampler="random", pruner=optuna.pruners.NopPruner(),
        random_state=0,
    )  # fmt: skip
    run(other)
    assert found == [trial.params["x"] for trial in other.study.get_trials()]
    assert sorted(p.name for p in path.with_name("study.journal.workers").iterdir()) == ["turn"]
