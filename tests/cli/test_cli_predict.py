"""``skstrf predict`` as its users meet it."""

import json
import os

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline

from skstrf import AudioLoader
from skstrf.__main__ import main
from skstrf.model_io import load_model, save_model
from tests.cli.sounds import error_of


def test_predict_prints_a_line_a_file(sounds, model, capsys):
    files = [str(sounds / "low" / "1.wav"), str(sounds / "high" / "0.wav")]
    assert main(["predict", model, *files]) == 0
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    expected = load_model(model).predict_proba(files)
    classes = load_model(model).classes_
    assert [row[0] for row in rows] == files
    assert [row[1] for row in rows] == classes[expected.argmax(axis=1)].tolist()
    np.testing.assert_allclose([float(row[2]) for row in rows], expected.max(axis=1), atol=5.1e-5)


def test_predict_searches_folders_and_gives_the_top_classes_as_json(sounds, model, capsys):
    assert main(["predict", model, str(sounds), "--json", "--top", "2"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["file"] for row in rows] == sorted(map(str, sounds.rglob("*.wav")))
    for row in rows:
        assert {item["class"] for item in row["classes"]} == {"high", "low"}
        first, second = (item["probability"] for item in row["classes"])
        assert first >= second
        assert first + second == pytest.approx(1, abs=1e-6)
        assert row["class"] == row["classes"][0]["class"]
        assert row["probability"] == first
    assert main(["predict", model, str(sounds / "low"), "--top", "9"]) == 0
    assert all(len(line.split("\t")) == 5 for line in capsys.readouterr().out.splitlines())


def test_predict_goes_on_after_bad_files(sounds, model, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.wav").write_text("no sound")
    good = str(sounds / "low" / "1.wav")
    bad = [str(tmp_path / name) for name in ("missing.wav", "text.wav", "empty")]
    assert main(["predict", model, bad[0], bad[1], good, bad[2]]) == 1
    printed = capsys.readouterr()
    assert [line.split("\t")[0] for line in printed.out.splitlines()] == [good]
    for name in bad:
        assert f"{name}: " in printed.err
    assert len(printed.err.splitlines()) == 3
    assert main(["predict", model, *bad]) == 1
    assert capsys.readouterr().out == ""
    assert main(["predict", model, good, bad[0], "--json"]) == 1
    rows = json.loads(capsys.readouterr().out)
    assert ["error" in row for row in rows] == [False, True]


def test_predict_of_one_file_does_not_depend_on_the_others(sounds, model, capsys):
    file = str(sounds / "low" / "1.wav")
    assert main(["predict", model, file]) == 0
    alone = capsys.readouterr().out
    assert main(["predict", model, str(sounds)]) == 0
    assert alone in capsys.readouterr().out


def test_models_that_cannot_be_used_are_refused(sounds, tmp_path, capsys):
    import pickle

    file = sounds / "low" / "1.wav"
    text, pickled = tmp_path / "text.skops", tmp_path / "pickle.skops"
    text.write_text("no model")
    pickled.write_bytes(pickle.dumps(LogisticRegression()))
    other, half, unfitted = (tmp_path / f"{name}.skops" for name in ("other", "half", "unfitted"))
    save_model(LogisticRegression(), other)
    save_model(make_pipeline(AudioLoader(), LogisticRegression()), unfitted)
    crafted = tmp_path / "crafted.skops"
    save_model(Pipeline([]), crafted)
    save_model(make_pipeline(AudioLoader(duration=1.0)).fit([str(file)]), half)
    for path, message in [
        (tmp_path / "missing.skops", "There is no model file"),
        (tmp_path, "is a folder"),
        (text, "text.skops is not a model file"),
        (pickled, "pickle.skops is not a model file"),
        (other, "other.skops holds a model of another kind (LogisticRegression)"),
        (crafted, "crafted.skops holds a model of another kind (Pipeline)"),
        (half, "half.skops holds a model of another kind"),
        (unfitted, "not fitted"),
    ]:
        assert message in error_of(capsys, ["predict", path, file])
    assert "--top" in error_of(capsys, ["predict", other, file, "--top", "0"])


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_pipes_and_devices_are_refused_as_models(sounds, tmp_path, capsys):
    os.mkfifo(tmp_path / "pipe.skops")
    for path in (tmp_path / "pipe.skops", "/dev/zero"):
        message = error_of(capsys, ["predict", path, sounds / "low" / "1.wav"])
        assert f"{path} is a pipe or a device, not a model file" in message


def test_a_model_that_cannot_predict_is_named(sounds, model, tmp_path, capsys):
    loaded = load_model(model)
    loaded[0].n_times_ = {}
    save_model(loaded, tmp_path / "odd.skops")
    message = error_of(capsys, ["predict", tmp_path / "odd.skops", sounds / "low" / "1.wav"])
    assert f"{tmp_path}/odd.skops cannot predict the classes of these sounds: TypeError" in message
