"""Searches: pruned by epoch, shared by processes, resumed after a kill, the same each time."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import optuna
import pytest

from skstrf.experiments import run_search
from skstrf.experiments._study import open_storage
from skstrf.inspection import StudyDisplay
from skstrf.model_io import load_model, save_model

SPACE = {
    "mpca__n_components": [0.8, 0.95],
    "cnn__lr": [1e-5, 5e-3, 2e-2],
    "cnn__network__n_filters": [2, 8],
}


def searching(noises, small, memory, **options):
    """Search the noises with the small pipeline, unless told otherwise."""
    files, y = noises
    pipeline = small.set_params(cnn__max_epochs=8, cnn__random_state=None)
    given = {"cv": 2, "pipeline": pipeline, "search_space": SPACE, "n_trials": 7}
    given |= {"memory": memory} | options
    return run_search(given.pop("filenames", files), given.pop("y", y), **given)


@pytest.fixture
def search(noises, make_small_pipeline, tmp_path):
    """Function that searches the noises with a cache of its own."""

    def run(**options):
        options = {"memory": tmp_path / "cache"} | options
        return searching(noises, make_small_pipeline(), **options)

    return run


@pytest.fixture(scope="module")
def whole(noises, make_small_pipeline, tmp_path_factory):
    """The results of a search of seven trials without a stop."""
    return searching(noises, make_small_pipeline(), tmp_path_factory.mktemp("cache"))


def without_times(results):
    """The trials, but for seconds and numbers, which a stop in between moves."""
    skipped = {"seconds", "number", "same_as", "retry_of"}
    return [
        {key: value for key, value in trial.items() if key not in skipped}
        for trial in results.trials
        if trial["state"] != "FAIL"
    ]


def test_the_same_seed_gives_the_same_study(search, whole, noises):
    first = whole
    again = search()
    assert without_times(first) == without_times(again)
    np.testing.assert_array_equal(
        first.model.predict_proba(noises[0]), again.model.predict_proba(noises[0])
    )
    assert len(first.trials) == 7
    assert set(first.seconds) == {"search", "model"}
    assert first.best == next(
        t["params"] for t in first.trials if t["number"] == first.best_number
    )
    assert first.score["mean"] == max(t["score"] for t in first.trials if t["score"] is not None)
    other = search(random_state=1, n_trials=3)
    assert [t["params"] for t in other.trials] != [t["params"] for t in first.trials[:3]]


def test_scores_are_those_of_cross_validation(search, noises, make_small_pipeline):
    from sklearn.base import clone
    from sklearn.model_selection import StratifiedKFold, cross_val_score

    files, y = noises
    results = search(n_trials=1, prune=False)
    (trial,) = results.trials
    pipeline = make_small_pipeline().set_params(cnn__max_epochs=8, **trial["params"])
    folds = StratifiedKFold(2, shuffle=True, random_state=0)
    expected = cross_val_score(clone(pipeline), np.array(files), y, cv=folds)
    np.testing.assert_allclose(trial["folds"], expected)
    assert [step for step, _ in trial["curve"]][:8] == [125 * i for i in range(1, 9)]
    assert trial["curve"][-1] == [2000, trial["score"]]
    assert trial["curve"][7][1] == trial["folds"][0]


def test_hopeless_candidates_are_stopped_by_epoch(search):
    space = {"cnn__lr": [2e-2, 1e-7], "cnn__network__n_filters": [8, 7, 6, 5]}
    options = {"search_space": space, "n_trials": 10, "sampler": "random"}
    results = search(**options)
    pruned = [trial for trial in results.trials if trial["state"] == "PRUNED"]
    assert pruned
    assert any(250 <= trial["curve"][-1][0] < 1000 for trial in pruned)  # within the first fold
    assert all(trial["score"] is None for trial in pruned)
    assert results.best["cnn__lr"] == 2e-2
    assert not search(prune=False, **options | {"n_trials": 4}).count("PRUNED")


def test_the_same_candidate_is_not_run_twice(search):
    results = search(search_space={"cnn__network__n_filters": [2, 8]}, n_trials=5, prune=False)
    same = [trial for trial in results.trials if trial["same_as"] is not None]
    assert len(same) == 3
    for trial in same:
        assert trial["folds"] == results.trials[trial["same_as"]]["folds"]


def test_stages_are_shared_between_candidates(search, caplog):
    caplog.set_level("INFO", logger="skstrf")
    search(search_space={"cnn__network__n_filters": [2, 4, 8]}, n_trials=3)
    text = caplog.text
    assert text.count("MPCA is fitted") == 3  # two folds and the model
    assert sum(int(line.split("memory: ")[1].split()[0]) for line in text.splitlines()
               if "recordings computed" in line) == 18  # fmt: skip


def test_it_goes_on_where_it_was(search, whole, tmp_path):
    storage = tmp_path / "study.journal"
    assert len(search(storage=storage, n_trials=3).trials) == 3
    results = search(storage=storage)
    assert without_times(results) == without_times(whole)
    # A line that a crash cut short is nobody's.
    with storage.open("ab") as file:
        file.write(b'{"op_code": 4, "worker')
    assert without_times(search(storage=storage)) == without_times(whole)
    for change in ({"random_state": 5}, {"cv": 3}, {"search_space": {"cnn__lr": [1e-3]}}):
        with pytest.raises(ValueError, match=next(iter(change))):
            search(storage=storage, **change)
    assert len(search(storage=storage, study_name="b", random_state=5, n_trials=1).trials) == 1


def test_a_split_keeps_the_test_out_of_the_search(search, noises):
    _, y = noises
    split = np.array(["train", "train", "train", "valid", "test", "other"] * 3)
    results = search(split=split, n_trials=2)
    assert results.evaluation == "the validation split"
    assert set(results.tests) == {"test", "other"}
    assert results.tests["test"]["n_sounds"] == 3
    wrong = y.copy()
    wrong[split == "test"] = np.roll(y[split == "test"], 1)
    again = search(y=wrong, split=split, n_trials=2)
    assert without_times(again) == without_times(results)
    assert again.tests["test"]["accuracy"] != results.tests["test"]["accuracy"]
    split = np.where(split == "valid", "train", split)
    results = search(split=split, n_trials=1)
    assert results.evaluation == "stratified 2-fold cross-validation of the train split"


def test_early_stopping_never_sees_what_is_scored(search, noises):
    groups = np.arange(18) % 6
    space = {"cnn__early_stopping": [True], "cnn__validation_fraction": [0.34]}
    results = search(groups=groups, search_space=space, n_trials=1)
    assert results.trials[0]["state"] == "COMPLETE"


def test_other_classifiers_are_stopped_after_folds(search, make_small_pipeline):
    from skstrf.experiments._evaluation import linear_classifier

    pipeline = make_small_pipeline().set_params(cnn=linear_classifier())
    space = {"cnn__logisticregression__C": optuna.distributions.FloatDistribution(0.1, 10.0)}
    results = search(pipeline=pipeline, search_space=space, n_trials=2, scoring="f1_macro")
    assert [step for step, _ in results.trials[0]["curve"]] == [1000, 2000]
    assert len({trial["params"]["cnn__logisticregression__C"] for trial in results.trials}) == 2


def test_choices_may_be_objects(search):
    from skstrf import TensorScaler

    space = {"scaler": ["passthrough", TensorScaler()], "cnn__network__kernel_sizes": [(3,), (5,)]}
    results = search(search_space=space, n_trials=2)
    assert set(results.best) == {"scaler", "cnn__network__kernel_sizes"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_trials": 0}, "n_trials"),
        ({"timeout": -1}, "timeout"),
        ({"sampler": "grid"}, "sampler"),
        ({"search_space": {}}, "search_space is empty"),
        ({"search_space": {"cnn__no": [1]}}, "cnn__no"),
        ({"search_space": {"cnn__lr": 1e-3}}, "list of values"),
        ({"search_space": {"cnn__lr": [1e-3, 1e-3]}}, "different values"),
        ({"timeout": 1e-9}, "time was up"),
    ],
)
def test_wrong_arguments(search, options, message):
    with pytest.raises(ValueError, match=message):
        search(**options)


def test_candidates_that_cannot_be_fitted(search, caplog):
    space = {"mpca__n_components": [0.9, 10_000]}
    results = search(search_space=space, n_trials=6, sampler="random")
    failed = [trial for trial in results.trials if trial["state"] == "FAIL"]
    assert failed
    assert "10000" in failed[0]["error"]
    assert results.best == {"mpca__n_components": 0.9}
    with pytest.raises(ValueError, match="none has a score"):
        search(search_space={"mpca__n_components": [10_000, 20_000]}, n_trials=6)


def test_files_without_use_are_left_out(search, noises, tmp_path, make_small_pipeline):
    files, y = noises
    bad = tmp_path / "bad.wav"
    bad.write_bytes(b"no sound")
    pipeline = make_small_pipeline().set_params(loader__on_error="warn", cnn__max_epochs=1)
    given = {"filenames": [*files, str(bad)], "y": [*y, "low"], "pipeline": pipeline}
    with pytest.warns(UserWarning, match="1 of 19") as caught:
        results = search(n_trials=1, **given)
    assert caught[0].filename == __file__
    assert [path for path, _ in results.skipped] == [str(bad)]
    assert results.n_sounds == 18


def test_storages(tmp_path):
    storage, path = open_storage(f"sqlite:///{tmp_path}/a.db")
    assert path == tmp_path / "a.db"
    assert isinstance(storage, optuna.storages.RDBStorage | optuna.storages._CachedStorage)
    own = optuna.storages.InMemoryStorage()
    assert open_storage(own) == (own, None)
    with pytest.raises(ValueError, match="is a folder"):
        open_storage(tmp_path)
    (tmp_path / "b").write_text("no journal\n")
    with pytest.raises(ValueError, match="no journal"):
        open_storage(tmp_path / "b")


def test_report_model_and_figure(search, noises, tmp_path, page_faults):
    results = search(storage=f"sqlite:///{tmp_path}/study.db", n_trials=4)
    results.write_json(tmp_path / "results.json")
    written = json.loads((tmp_path / "results.json").read_text())
    assert len(written["trials"]) == 4
    assert "model" not in written
    results.to_report(tmp_path / "report.html", title="A <search>")
    text = (tmp_path / "report.html").read_text()
    assert "A &lt;search&gt;" in text
    assert page_faults(text) == []
    assert "cnn__network__n_filters" in text
    save_model(results.model, tmp_path / "model.skops")
    np.testing.assert_array_equal(
        load_model(tmp_path / "model.skops").predict(noises[0]), results.model.predict(noises[0])
    )
    display = StudyDisplay.from_results(results)
    n_complete = sum(trial["state"] == "COMPLETE" for trial in results.trials)
    assert len(display.complete_.get_offsets()) == n_complete
    assert display.best_.get_ydata()[-1] == results.score["mean"]
    if results.importances:
        assert len(display.bars_) == len(results.importances)
    with pytest.raises(ValueError, match="empty"):
        StudyDisplay([]).plot()


def command(folder, output, *options):
    """The command line of a search that takes some seconds."""
    return [
        *(sys.executable, "-m", "skstrf", "search", str(folder), "-o", str(output)),
        *("--rates", "4", "--scales", "1", "--max-epochs", "30", "--folds", "2"),
        *("--search", "cnn__network__n_filters=2,4,6", "cnn__lr=0.001,0.002,0.005,0.01"),
        *("--no-prune", "--device", "cpu", *options),
    ]


def n_begun(journal):
    """Trials that a journal has drawn."""
    return journal.read_text().count('"op_code":4,') if journal.exists() else 0


@pytest.mark.slow
def test_killed_and_resumed_it_is_the_study_it_would_have_been(noises, tmp_path):
    folder = os.path.dirname(os.path.dirname(noises[0][0]))
    options = ("--n-trials", "5")
    assert subprocess.run(command(folder, tmp_path / "whole", *options)).returncode == 0
    out = tmp_path / "killed"
    for n in (2, 4):
        process = subprocess.Popen(command(folder, out, *options))
        while n_begun(out / "study.journal") < n and process.poll() is None:
            time.sleep(0.01)
        time.sleep(0.2)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not (out / "results.json").exists()
    assert subprocess.run(command(folder, out, *options)).returncode == 0
    whole, resumed = (
        json.loads((place / "results.json").read_text()) for place in (tmp_path / "whole", out)
    )
    assert any(trial["state"] == "FAIL" for trial in resumed["trials"])
    kept = ("params", "score", "folds", "curve", "state")
    whole, resumed = (
        [{key: trial[key] for key in kept} for trial in one["trials"] if trial["state"] != "FAIL"]
        for one in (whole, resumed)
    )
    assert resumed == whole


@pytest.mark.slow
def test_two_processes_share_one_study(noises, tmp_path):
    folder = os.path.dirname(os.path.dirname(noises[0][0]))
    shared = ("--storage", str(tmp_path / "study.journal"), "--cache", str(tmp_path / "cache"))
    processes = [
        subprocess.Popen(command(folder, tmp_path / name, "--n-trials", "8", *shared))
        for name in "ab"
    ]
    assert [process.wait() for process in processes] == [0, 0]
    both = [json.loads((tmp_path / name / "results.json").read_text()) for name in "ab"]
    for results in both:
        assert len(results["trials"]) == 8
    storage, _ = open_storage(tmp_path / "study.journal")
    study = optuna.load_study(study_name="skstrf", storage=storage)
    assert len({trial.user_attrs["worker"] for trial in study.trials}) == 2
