"""The command that searches."""

import json

import numpy as np
import pytest
import soundfile

from skstrf.__main__ import main


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    times = np.arange(6000) / 16000
    for name, tone in {"low": 300, "high": 2500}.items():
        (tmp_path / "sounds" / name).mkdir(parents=True)
        for i in range(4):
            sound = 0.2 * np.sin(2 * np.pi * tone * times) + 0.01 * rng.standard_normal(6000)
            soundfile.write(tmp_path / "sounds" / name / f"{i}.wav", sound, 16000)
    return tmp_path / "sounds"


def test_search_writes_report_results_and_a_model_that_predicts(folder, tmp_path, capsys):
    out = tmp_path / "out"
    options = ["--folds", "2", "--rates", "4", "--scales", "1", "--max-epochs", "2"]
    options += ["--search", "cnn__network__n_filters=2,4", "scaler=passthrough", "--n-trials", "2"]
    assert main(["search", str(folder), "-o", str(out), *options]) == 0
    printed = capsys.readouterr().out
    assert "best of 2 trials" in printed
    assert "the best of many" in printed
    results = json.loads((out / "results.json").read_text())
    assert {trial["params"]["cnn__network__n_filters"] for trial in results["trials"]} <= {2, 4}
    assert (out / "study.journal").exists()
    assert (out / "cache").is_dir()
    assert "<h1>Search for settings for sounds</h1>" in (out / "report.html").read_text()
    sound = str(folder / "low" / "0.wav")
    assert main(["predict", str(out / "model.skops"), sound]) == 0
    assert main(["search", str(folder), "-o", str(out), *options, "--seed", "1"]) == 2
    assert "random_state" in capsys.readouterr().err


def test_wrong_search_space_is_named(folder, tmp_path, capsys):
    out = str(tmp_path / "out")
    assert main(["search", str(folder), "-o", out, "--search", "cnn__lr"]) == 2
    assert "NAME=VALUE" in capsys.readouterr().err
    assert main(["search", str(folder), "-o", out, "--search", "cnn__no=1"]) == 2
    assert "cnn__no" in capsys.readouterr().err
