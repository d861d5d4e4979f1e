"""A real dask cluster of two processes: the numbers of one, and nothing lost but time."""

import json
import os
import signal
import sys
import threading
import time

import joblib
import numpy as np
import pytest
import soundfile
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline

import skstrf
from skstrf import MPCA, AudioLoader, STRFTransformer, TensorScaler, channel_scores
from skstrf.__main__ import main
from skstrf.corpus_store import open_tensors, store_tensors
from skstrf.datasets import AudioReadError
from skstrf.experiments import make_classification_pipeline, run_classification, run_search
from skstrf.experiments._evaluation import Flatten
from skstrf.utils import cluster as cluster_module
from skstrf.utils.cluster import WorkerDied, current_client, on_cluster, run_on_cluster
from tests.cluster_jobs import double_or_die, version_of_old

distributed = pytest.importorskip("distributed")
dask = pytest.importorskip("dask")
da = pytest.importorskip("dask.array")

STRF = STRFTransformer(rates=[4, 8], scales=[1.0], channel_step=8)
SETTINGS = {
    "distributed.scheduler.allowed-failures": 1,
    "distributed.nanny.environ": {"OMP_NUM_THREADS": "1"},
    "distributed.deploy.lost-worker-timeout": "1h",
}


@pytest.fixture(scope="module")
def address():
    with (
        dask.config.set(SETTINGS),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster,
    ):
        yield cluster.scheduler_address


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Twelve sounds of two classes that are told apart by their modulation."""
    folder = tmp_path_factory.mktemp("sounds")
    rng = np.random.default_rng(0)
    times = np.arange(8000) / 16000
    names = []
    for i in range(12):
        sound = rng.standard_normal(8000) * (1 + np.sin(2 * np.pi * (4 + 4 * (i % 2)) * times))
        (folder / "ab"[i % 2]).mkdir(exist_ok=True)
        names.append(str(folder / "ab"[i % 2] / f"{i}.wav"))
        soundfile.write(names[-1], 0.1 * sound, 16000, subtype="FLOAT")
    return names


def small_pipeline():
    pipeline = make_classification_pipeline(duration=0.5, rates=[4, 8], scales=[1.0], max_epochs=2)
    return pipeline.set_params(
        cnn__network__n_filters=4, cnn__network__n_hidden=8, cnn__device="cpu"
    )


def wait_until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


# ---------------------------------------------------------------- connecting


def test_without_an_address_nothing_happens():
    with on_cluster(None) as client:
        assert client is None
        assert current_client() is None


def test_what_is_missing_is_said(monkeypatch, tmp_path, capsys, files):
    with pytest.raises(
        ValueError, match=r"No dask scheduler answers at tcp://127.0.0.1:9 .*10\.0"
    ):
        on_cluster("tcp://127.0.0.1:9", timeout=0.3).__enter__()
    with pytest.raises(ValueError, match="No dask scheduler answers at nonsense"):
        on_cluster("nonsense", timeout=0.3).__enter__()
    monkeypatch.setitem(sys.modules, "distributed", None)
    folder = os.path.dirname(os.path.dirname(files[0]))
    for command in ("transform", "classify", "channels", "search"):
        options = [command, folder, "-o", str(tmp_path / "out"), "--cluster", "tcp://127.0.0.1:9"]
        assert main(options) == 2
        assert 'pip install "skstrf[dask]"' in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_small_cluster(address, monkeypatch):
    with on_cluster(address) as client:
        assert current_client() is client
        pairs = list(run_on_cluster(double_or_die, range(20), set()))
        assert pairs == [(i, 2 * i) for i in range(20)]
        with pytest.raises(TypeError):
            list(run_on_cluster(double_or_die, ["a"], 3))
    assert current_client() is None
    monkeypatch.setattr(cluster_module, "_version", version_of_old)
    with pytest.raises(ValueError, match=f"has skstrf 0.0.1, here it is {skstrf.__version__}"):
        on_cluster(address).__enter__()


# ---------------------------------------------------------------- the numbers of one process


@pytest.mark.slow
def test_a_lazy_pipeline_and_cross_validation(address, files):
    y = np.arange(12) % 2
    steps = [AudioLoader(duration=0.5), STRF, TensorScaler(), MPCA((1, 2, 3, 1))]
    alone = make_pipeline(*steps).fit(files)
    tensors = alone.transform(files)
    model = make_pipeline(*steps, Flatten(), LogisticRegression())
    guessed = cross_val_predict(model, files, y, cv=3, method="predict_proba")
    with on_cluster(address) as client:
        lazy = da.from_array(np.array(files), chunks=3)
        there = make_pipeline(*steps).fit(lazy)
        wait_until(lambda: not client.who_has())  # nothing is left on the workers
        for ours, theirs in zip(there[-1].components_, alone[-1].components_, strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-5)
        found = there.transform(lazy)
        assert isinstance(found, da.Array)
        np.testing.assert_allclose(found.compute(), tensors, atol=1e-4 * np.abs(tensors).max())
        with joblib.parallel_config(backend="dask"):
            again = cross_val_predict(model, files, y, cv=3, method="predict_proba", n_jobs=-1)
    np.testing.assert_allclose(again, guessed, atol=1e-6)


@pytest.mark.slow
def test_classification_channels_and_search(address, files, tmp_path):
    y = np.array(["a", "b"])[np.arange(12) % 2]
    X = STRF.fit_transform(AudioLoader(duration=0.5).fit_transform(files))
    pipeline = small_pipeline()
    space = {"cnn__network__n_filters": [2, 4], "mpca__n_components": [0.8, 0.9]}
    options = {"search_space": space, "pipeline": pipeline, "cv": 2, "n_trials": 3}
    options |= {"sampler": "random", "prune": False}
    one = run_classification(files, y, cv=3, pipeline=pipeline)
    scores = channel_scores(None, X, y, cv=3)
    study = run_search(files, y, **options, storage=tmp_path / "a")
    with on_cluster(address):
        many = run_classification(files, y, cv=3, pipeline=pipeline)
        np.testing.assert_array_equal(channel_scores(None, X, y, cv=3).folds, scores.folds)
        shared = run_search(files, y, **options, storage=tmp_path / "b", memory=tmp_path / "cache")
        with pytest.raises(ValueError, match="needs a storage that its workers share"):
            run_search(files, y, **options)
    for ours, theirs in zip(many.folds, one.folds, strict=True):
        assert ours["accuracy"] == theirs["accuracy"]
        assert ours["baseline_accuracy"] == theirs["baseline_accuracy"]
        assert [row["train_loss"] for row in ours["history"]] == [
            row["train_loss"] for row in theirs["history"]
        ]
    np.testing.assert_array_equal(many.model.predict_proba(files), one.model.predict_proba(files))
    assert sorted(str(t["params"]) for t in shared.trials) == sorted(
        str(t["params"]) for t in study.trials
    )
    assert shared.best_number in range(3)


@pytest.mark.slow
def test_transform_from_the_command_line(address, files, tmp_path, capsys, monkeypatch):
    bad = tmp_path / "sounds" / "bad.wav"
    bad.parent.mkdir()
    for name in files[:5]:
        (bad.parent / os.path.basename(name)).symlink_to(name)
    bad.write_bytes(b"RIFF")
    options = ["--rates", "4", "8", "--scales", "1", "--set", "channel_step=8"]
    command = ["transform", str(bad.parent), *options, "-o"]
    assert main([*command, str(tmp_path / "one.zarr")]) == 1
    monkeypatch.chdir(tmp_path)
    assert main([*command, "many.zarr", "--cluster", address]) == 1
    assert "bad.wav: is not sound" in capsys.readouterr().err.splitlines()[-1]
    one, many = (open_tensors(tmp_path / name) for name in ("one.zarr", "many.zarr"))
    np.testing.assert_array_equal(one.X[:], many.X[:])
    assert list(one.mask) == list(many.mask)
    assert many.X.shards[0] < one.X.shards[0]
    assert main([*command, "many.zarr"]) == 1  # goes on with the store that the cluster made


@pytest.mark.slow
def test_other_commands(address, files, tmp_path, capsys):
    folder = os.path.dirname(os.path.dirname(files[0]))
    options = ["--rates", "4", "8", "--scales", "1", "--folds", "2", "--max-epochs", "1"]
    accuracies = []
    for name, more in {"one": [], "many": ["--cluster", address]}.items():
        out = tmp_path / name
        assert main(["classify", folder, "-o", str(out), *options, *more]) == 0
        accuracies.append(json.loads((out / "results.json").read_text())["accuracy"])
        assert main(["channels", folder, "-o", str(out / "c"), *options[:-2], *more]) == 0
    assert accuracies[0] == accuracies[1]
    trials = ["--search", "cnn__network__n_filters=2,4", "--n-trials", "2", "--cluster", address]
    assert main(["search", folder, "-o", str(tmp_path / "s"), *options, *trials]) == 0
    assert (tmp_path / "s" / "model.skops").exists()


# ---------------------------------------------------------------- workers that die


class Poison(distributed.WorkerPlugin):
    """Makes one file end the process that reads it, and reading slow."""

    name = "poison"

    def __init__(self, fatal, seconds=0.0):
        self.fatal, self.seconds = fatal, seconds

    def setup(self, worker):
        from skstrf.datasets import loader as batch

        self.batch, self.read = batch, batch.read_audio

        def read(path, **options):
            if self.fatal and str(path).endswith(self.fatal):
                os._exit(1)
            time.sleep(self.seconds)
            return self.read(path, **options)

        batch.read_audio = read

    def teardown(self, worker):
        self.batch.read_audio = self.read


def kill_a_worker(client, after):
    """Kill the process of a worker while others work, as a lack of memory would."""
    wait_until(lambda: len(client.nthreads()) == 2, 60)
    pid = next(iter(client.run(os.getpid).values()))

    def kill():
        time.sleep(after)
        os.kill(pid, signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    return thread, pid


@pytest.mark.slow
def test_a_task_that_kills_its_process_is_told_apart(address):
    with on_cluster(address):
        pairs = list(run_on_cluster(double_or_die, range(20), {7}))
    assert [item for item, _ in pairs] == list(range(20))
    assert [i for i, outcome in pairs if isinstance(outcome, WorkerDied)] == [7]
    assert all(isinstance(o, WorkerDied) or o == 2 * i for i, o in pairs)


@pytest.mark.slow
def test_a_file_that_kills_its_reader_is_named(address, files, tmp_path):
    files = files[:6]
    with on_cluster(address) as client:
        client.register_plugin(Poison("5.wav"))
        try:
            stored = store_tensors(files, tmp_path / "a.zarr", STRF, duration=0.5)
            with pytest.raises(AudioReadError, match=r"5\.wav: ended every worker process"):
                run_classification(files, np.arange(6) % 2, cv=2, pipeline=small_pipeline())
        finally:
            client.unregister_worker_plugin("poison")
    assert list(np.flatnonzero(~stored.mask)) == [5]
    assert list(stored.errors) == [files[5]]
    whole = store_tensors(files, tmp_path / "a.zarr", STRF, duration=0.5)
    expected = store_tensors(files, tmp_path / "c.zarr", STRF, duration=0.5)
    np.testing.assert_array_equal(whole.X[:], expected.X[:])


@pytest.mark.slow
def test_a_killed_worker_costs_nothing_but_time(address, files, tmp_path):
    expected = store_tensors(files, tmp_path / "a.zarr", STRF, duration=0.5)
    tensors = STRF.fit_transform(AudioLoader(duration=0.5).fit_transform(files))
    alone = MPCA(0.9).fit(tensors)
    one = run_classification(files, np.arange(12) % 2, cv=3, pipeline=small_pipeline())
    with on_cluster(address) as client:
        client.register_plugin(Poison(None, 0.2))
        try:
            thread, first = kill_a_worker(client, 0.5)
            stored = store_tensors(files, tmp_path / "b.zarr", STRF, duration=0.5)
            thread.join()
            thread, second = kill_a_worker(client, 0.8)
            lazy = da.from_array(np.array(files), chunks=2)
            loaded = make_pipeline(AudioLoader(duration=0.5), STRF).fit_transform(lazy)
            mpca = MPCA(0.9).fit(loaded)
            thread.join()
            thread, third = kill_a_worker(client, 1.0)
            many = run_classification(files, np.arange(12) % 2, cv=3, pipeline=small_pipeline())
            thread.join()
            wait_until(lambda: len(client.nthreads()) == 2, 60)
            assert not {first, second, third} & set(client.run(os.getpid).values())
        finally:
            client.unregister_worker_plugin("poison")
    np.testing.assert_array_equal(stored.X[:], expected.X[:])
    for ours, theirs in zip(mpca.components_, alone.components_, strict=True):
        np.testing.assert_allclose(ours.T @ ours, theirs.T @ theirs, atol=1e-5)
    for ours, theirs in zip(many.folds, one.folds, strict=True):
        assert ours["accuracy"] == theirs["accuracy"]
