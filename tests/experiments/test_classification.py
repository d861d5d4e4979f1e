"""Whole experiments on small folders of noises."""

import json
import os
import shutil

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from skstrf import AudioLoader
from skstrf.experiments import (
    classification_search_space,
    make_classification_pipeline,
    make_separable_pipeline,
    run_classification,
)
from skstrf.experiments.classification import choose_duration
from skstrf.model_io import load_model, save_model

SEEN: list[dict] = []


class Recorder(ClassifierMixin, BaseEstimator):
    """Notes which sounds it is given; guesses the first class."""

    def __init__(self, early_stopping=True, validation_fraction=0.25, random_state=None):
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.random_state = random_state

    def fit(self, X, y, validation_data=None):
        self.classes_ = np.unique(y)
        valid = np.empty((0, X.shape[1])) if validation_data is None else validation_data[0]
        SEEN.append({"fit": _names(X), "valid": _names(valid), "seed": self.random_state})
        return self

    def predict_proba(self, X):
        SEEN[-1].setdefault("predict", []).append(_names(X))
        return np.tile(np.eye(len(self.classes_))[0], (len(X), 1))


def _names(X):
    return {round(float(sound.std()), 9) for sound in X}


@pytest.fixture
def recorder():
    SEEN.clear()
    return Pipeline([("loader", AudioLoader(duration=0.1)), ("recorder", Recorder())])


@pytest.fixture(scope="session")
def results(noises, make_small_pipeline):
    return run_classification(*noises, cv=3, pipeline=make_small_pipeline())


def test_noises_are_told_apart(results):
    assert results.accuracy["mean"] >= 0.8
    assert results.chance["mean"] == pytest.approx(1 / 3)
    assert results.baseline["mean"] >= 0.8


def test_the_results_fit_together(results, noises):
    files, y = noises
    assert results.evaluation == "stratified 3-fold cross-validation"
    assert results.classes == ["high", "low", "mid"]
    assert results.class_counts == [6, 6, 6]
    assert len(results.folds) == 3
    rows = {row["file"]: row for row in results.predictions}
    assert sorted(rows) == files
    right = [rows[file]["predicted"] == label for file, label in zip(files, y, strict=True)]
    assert [rows[file]["class"] for file in files] == y.tolist()
    assert results.scores["accuracy"] == np.mean(right)
    by_fold = [
        np.mean([r["class"] == r["predicted"] for r in results.predictions if r["fold"] == i])
        for i in range(3)
    ]
    assert results.accuracy["values"] == pytest.approx(by_fold)
    assert np.trace(results.scores["confusion_matrix"]) == sum(right)
    for fold in results.folds:
        assert fold["n_train"] + fold["n_test"] == 18
        assert 1 <= fold["n_epochs_to_best"] <= len(fold["history"]) <= 20
    assert len(results.final["reduction"]["mode_explained_variance_ratio"]) == 4
    assert [axis["name"] for axis in results.final["axes"]][:2] == ["scale", "rate"]
    assert {"tensors", "reduction", "network", "prediction", "baseline"} == set(results.seconds)
    assert results.changed_settings["loader"] == {"duration": 0.4}
    assert results.settings["strf"]["rates"] == [4]
    assert {"skstrf", "torch", "numpy"} <= set(results.versions)


def test_the_json_file_holds_all_but_the_model(results, tmp_path):
    path = tmp_path / "results.json"
    results.write_json(path)
    found = json.loads(path.read_text(encoding="utf-8"))
    assert found == results.to_dict()
    assert "model" not in found
    assert set(found) >= {"accuracy", "folds", "predictions", "skipped", "seconds", "versions"}


def test_the_model_takes_paths_and_survives_a_file(results, noises, tmp_path):
    files, y = noises
    assert np.mean(results.model.predict(files) == y) >= 0.8
    save_model(results.model, tmp_path / "m.skops")
    np.testing.assert_array_equal(
        load_model(tmp_path / "m.skops").predict_proba(files), results.model.predict_proba(files)
    )


def _without_times(results):
    found = results.to_dict()
    del found["seconds"]
    for part in [*found["folds"], found["final"]]:
        for epoch in part["history"]:
            del epoch["seconds"]
    return found


def test_the_same_seed_gives_the_same_bits(results, noises, small_pipeline):
    again = run_classification(*noises, cv=3, pipeline=small_pipeline)
    assert _without_times(again) == _without_times(results)


def test_tensors_on_disk_give_the_same_result_and_leave_nothing(
    results, noises, small_pipeline, tmp_path
):
    again = run_classification(
        *noises, cv=3, pipeline=small_pipeline, folder=tmp_path, max_bytes=0, baseline=False
    )
    assert again.scores["confusion_matrix"] == results.scores["confusion_matrix"]
    assert again.baseline is None
    assert list(tmp_path.iterdir()) == []


def test_nothing_tested_is_learned_from(noises, recorder):
    run_classification(*noises, cv=3, pipeline=recorder, random_state=7, baseline=False)
    *folds, final = SEEN
    assert len(folds) == 3
    everything = set.union(*(seen["fit"] | seen["predict"][0] for seen in folds))
    assert len(everything) == 18  # every sound has a name of its own
    for seen in folds:
        assert not seen["fit"] & seen["predict"][0]
        assert seen["seed"] == 7
    assert set.union(*(seen["predict"][0] for seen in folds)) == everything
    assert final["fit"] == everything


def test_groups_have_a_validation_part_of_their_own(noises, recorder):
    files, y = noises
    groups = [os.path.basename(file) for file in files]  # the same six numbers in each class
    results = run_classification(files, y, groups=groups, cv=3, pipeline=recorder, baseline=False)
    assert results.evaluation == "stratified, grouped 3-fold cross-validation"
    for seen, fold in zip(SEEN, [*results.folds, results.final], strict=True):
        assert len(seen["valid"]) == fold["n_valid"] > 0
        assert not seen["valid"] & seen["fit"]


def test_a_given_split_is_held_out_and_other_sets_are_scored_apart(noises, recorder):
    files, y = noises
    names = ["train", "train", "train", "valid", "test", "studio"]
    split = [names[int(os.path.basename(file)[:2])] for file in files]
    results = run_classification(files, y, split=split, pipeline=recorder, baseline=False)
    assert results.is_held_out
    (seen,) = SEEN  # fitted once: the model is that which was tested
    assert [len(seen["fit"]), len(seen["valid"])] == [9, 3]
    test, studio = seen["predict"]
    assert len(test | studio | seen["fit"] | seen["valid"]) == 18
    assert results.accuracy["std"] is None
    assert results.accuracy["mean"] == pytest.approx(1 / 3)
    assert results.extra["studio"]["accuracy"] == pytest.approx(1 / 3)
    assert results.extra["studio"]["n_sounds"] == 3
    assert {row["set"] for row in results.predictions} == {"test", "studio"}
    assert "95 % interval" in results.summary()


def test_a_classifier_that_takes_no_validation_part_is_not_given_one(noises):
    files, y = noises
    split = ["train", "train", "train", "valid", "test", "test"] * 3
    steps = [("loader", AudioLoader(duration=0.1)), ("lr", LogisticRegression())]
    results = run_classification(files, y, split=split, pipeline=Pipeline(steps), baseline=False)
    assert results.final["n_train"] == 9
    assert "history" not in results.final


def test_the_last_step_may_be_an_ensemble_or_a_pipeline(noises, tmp_path):
    files, y = noises
    linear = make_pipeline(StandardScaler(), LogisticRegression())
    models = {
        "steps": Pipeline([("loader", AudioLoader(duration=0.05)), ("model", linear)]),
        "estimators": Pipeline(
            [
                ("loader", AudioLoader(duration=0.4)),
                *make_separable_pipeline(n_networks=2, max_epochs=1, network__n_filters=2).steps,
            ]
        ).set_params(strf__rates=(4,), strf__scales=(1,), strf__channel_step=8),
    }
    for name, model in models.items():
        results = run_classification(files, y, cv=2, pipeline=model, baseline=False)
        changed = results.changed_settings
        assert changed["loader"] == {"duration": model["loader"].duration}
        assert name in changed[model.steps[-1][0]]
        results.to_report(tmp_path / f"{name}.html", n_clips=1)
        results.write_json(tmp_path / f"{name}.json")


def test_labels_may_be_numbers(noises, recorder):
    files, y = noises
    results = run_classification(files, np.unique(y, return_inverse=True)[1], pipeline=recorder)
    assert results.classes == [0, 1, 2]
    json.dumps(results.to_dict(), allow_nan=False)


def test_bad_files_are_left_out_with_one_warning(noises, recorder, tmp_path):
    files, y = noises
    (tmp_path / "bad.wav").write_bytes(b"no sound")
    files, y = [*files, str(tmp_path / "bad.wav")], [*y, "low"]
    recorder.set_params(loader__on_error="warn")
    with pytest.warns(UserWarning, match=r"1 of 19 sound files .*left out") as caught:
        results = run_classification(files, y, cv=2, pipeline=recorder, baseline=False)
    assert len(caught) == 1
    assert caught[0].filename == __file__  # the code of the user, not of the package
    assert results.skipped[0][0] == files[-1]
    assert results.class_counts == [6, 6, 6]
    recorder.set_params(loader__on_error="raise")
    with pytest.raises(ValueError, match=r"bad\.wav"):
        run_classification(files, y, cv=2, pipeline=recorder)


def test_a_class_that_bad_files_leave_with_one_sound_is_refused(noises, recorder, tmp_path):
    files, y = noises
    shutil.copy(files[0], tmp_path / "good.wav")
    (tmp_path / "bad.wav").write_bytes(b"no sound")
    files = [*files, str(tmp_path / "good.wav"), str(tmp_path / "bad.wav")]
    recorder.set_params(loader__on_error="warn")
    with pytest.raises(ValueError, match="single sound: rare"):
        run_classification(files, [*y, "rare", "rare"], cv=2, pipeline=recorder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"filenames": []}, "but y has 18 classes"),
        ({"filenames": [], "y": []}, "filenames is empty"),
        ({"filenames": "a.wav"}, "must be a list of paths"),
        ({"y": ["a"] * 18}, "Only one class: a"),
        ({"y": [*"a" * 17, "b"]}, "single sound: b"),
        ({"y": np.linspace(0, 1, 18)}, "continuous"),
        ({"cv": 1}, "2 folds or more"),
        ({"split": ["train"] * 18}, "no test"),
        ({"groups": ["g"] * 18}, "all of one group"),
        ({"folder": "no/such/folder"}, "no/such/folder"),
    ],
)
def test_what_cannot_be_run_is_refused(noises, recorder, change, message):
    files, y = noises
    arguments = {"filenames": files, "y": y, "pipeline": recorder} | change
    with pytest.raises((ValueError, OSError), match=message):
        run_classification(**arguments)
    assert SEEN == []


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("strf__rates", (4, 100), "rates"),
        ("strf__scales", (1, 100), "scales"),
        ("mpca__n_components", 7, "n_components"),
    ],
)
def test_settings_that_the_data_do_not_allow_are_refused(
    noises, small_pipeline, name, value, message
):
    with pytest.raises(ValueError, match=message):
        run_classification(*noises, cv=2, pipeline=small_pipeline.set_params(**{name: value}))


def test_duration_is_the_median_and_at_most_the_longest(noises, tmp_path):
    files, _ = noises
    assert choose_duration(files) == 0.4
    assert choose_duration(files, longest=0.25) == 0.25
    (tmp_path / "bad.wav").write_bytes(b"no sound")
    assert choose_duration([*files, str(tmp_path / "bad.wav")]) == 0.4
    with pytest.raises(ValueError, match="None of the 1 sound files"):
        choose_duration([str(tmp_path / "bad.wav")])


def test_the_pipeline_passes_its_arguments_on():
    pipeline = make_classification_pipeline(
        sample_rate=8000,
        rates="eremeeva2017",
        n_components=0.5,
        max_epochs=3,
        device="cpu",
        n_jobs=2,
    )
    parameters = pipeline.get_params()
    assert parameters["loader__sample_rate"] == parameters["strf__sample_rate"] == 8000
    assert parameters["strf__rates"] == "eremeeva2017"
    assert parameters["mpca__n_components"] == 0.5
    assert parameters["cnn__max_epochs"] == 3
    assert parameters["strf__device"] == parameters["cnn__device"] == "cpu"
    assert parameters["loader__n_jobs"] == parameters["strf__n_jobs"] == 2


def test_every_value_of_the_search_space_is_valid():
    for name, values in classification_search_space().items():
        for value in values:
            pipeline = make_classification_pipeline().set_params(**{name: value})
            for _, step in pipeline.steps:
                if step != "passthrough":
                    step._validate_params()
