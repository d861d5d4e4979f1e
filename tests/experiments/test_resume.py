"""Finished parts are reused for the same data, settings and versions only."""

import json
import os
import shutil

import numpy as np
import pytest
import soundfile
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline

from skstrf import AudioLoader, CNNClassifier
from skstrf.caching import results as results_module
from skstrf.experiments import (
    comparison,
    make_classification_pipeline,
    run_comparison,
    run_style,
    run_transfer,
    style,
)

SMALL = {"network__n_filters": 2, "network__n_hidden": 2, "network__kernel_sizes": (3,),
         "network__strides": 1, "network__pool_size": 1, "device": "cpu"}  # fmt: skip


@pytest.fixture
def count(monkeypatch):
    """Function that counts the calls of a function of a module or class."""

    def start(owner, name):
        calls, real = [], getattr(owner, name)

        def counting(*args, **kwargs):
            calls.append(args)
            return real(*args, **kwargs)

        monkeypatch.setattr(owner, name, counting)
        return calls

    return start


def test_transfer(tmp_path, count, monkeypatch):
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], 8)
    X = (rng.standard_normal((16, 2, 2, 4, 3)) + y[:, None, None, None, None]).astype(np.float32)
    pipeline = make_classification_pipeline(duration=1.0, max_epochs=1)
    pipeline.set_params(**{f"cnn__{name}": value for name, value in SMALL.items()})
    options = {"pipeline": pipeline, "fractions": [1.0], "checkpoint_dir": tmp_path}
    options["methods"] = {"tuned": {"start": True}}
    fits = count(CNNClassifier, "fit")
    first = run_transfer((X, y), (-X, y), n_seeds=1, **options)
    assert len(fits) == 2
    both = run_transfer((X, y), (-X, y), n_seeds=2, **options)
    assert len(fits) == 4
    assert both.runs[:1] == first.runs and len(both.runs) == 2
    again = run_transfer((X, y), (-X, y), n_seeds=2, **options)
    assert len(fits) == 4
    assert again.to_dict() == both.to_dict()
    other = X.copy()
    other[0, 0, 0, 0, 0] += 1
    run_transfer((other, y), (-X, y), n_seeds=1, **options)
    assert len(fits) == 6
    run_transfer((X, y), (-X, y[::-1]), n_seeds=1, **options)
    assert len(fits) == 8
    monkeypatch.setattr(results_module, "versions", lambda: {"skstrf": "another"})
    run_transfer((X, y), (-X, y), n_seeds=1, **options)
    assert len(fits) == 10


def test_comparison_with_other_contents_of_the_same_files(noises, tmp_path, count):
    files = [shutil.copy(path, tmp_path / f"{i}.wav") for i, path in enumerate(noises[0][::3])]
    y = noises[1][::3]
    pipeline = Pipeline([("loader", AudioLoader(duration=0.05)), ("lr", LogisticRegression())])
    options = {"cv": 2, "n_seeds": 1, "checkpoint_dir": tmp_path / "parts"}
    parts = count(comparison, "evaluate_seed")
    space = {"lr__C": [0.1, 1.0]}
    first = run_comparison(files, y, pipeline, space, **options)
    assert len(parts) == 2
    assert run_comparison(files, y, pipeline, space, **options).rows == first.rows
    assert len(parts) == 2
    soundfile.write(files[0], np.random.default_rng(1).normal(0, 0.1, 6400), 16000)
    run_comparison(files, y, pipeline, space, **options)
    assert len(parts) == 4


def test_style_transfers_of_pairs_in_another_order(tmp_path, count):
    rng = np.random.default_rng(0)
    for name in "abc":
        soundfile.write(tmp_path / f"{name}.wav", rng.normal(0, 0.1, 2400), 8000)
    a, b, c = (str(tmp_path / f"{name}.wav") for name in "abc")
    options = {"networks": ["random"], "sample_rate": 8000, "max_iter": 1, "n_filters": 4}
    options |= {"checkpoint_dir": tmp_path / "parts", "duration": 0.3}
    transfers = count(style, "transfer_file")
    first = run_style([(a, b), (b, c)], **options)
    assert len(transfers) == 2
    again = run_style([(b, c), (a, b)], **options)
    assert len(transfers) == 2
    assert [(p.content, p.style) for p in again.pairs] == [("b.wav", "c.wav"), ("a.wav", "b.wav")]
    assert again.to_dict()["pairs"] == first.to_dict()["pairs"][::-1]
    for kind, sound in first.pairs[0].sounds.items():
        np.testing.assert_array_equal(again.pairs[1].sounds[kind], sound)
        assert again.pairs[1].sounds[kind].dtype == sound.dtype
    os.replace(c, b)
    run_style([(a, b)], **options)
    run_style([(a, b)], **options | {"max_iter": 2})
    assert len(transfers) == 4


def test_files_with_times_apart_repeat_bit_for_bit(noises, tmp_path):
    pipeline = Pipeline([("loader", AudioLoader(duration=0.05)), ("lr", LogisticRegression())])
    for name in "ab":
        results = run_comparison(*noises, pipeline, {"lr__C": [1.0]}, cv=2, n_seeds=1)
        # Bytes that are not UTF-8, as Python reads them from the file system.
        results.skipped = [("odd\udcff.wav", "is damaged")]
        results.write_json(tmp_path / name, separate_times=True)
        results.to_report(tmp_path / f"{name}.html")
    a, b = (json.loads((tmp_path / name).read_text(encoding="utf-8")) for name in "ab")
    assert a.pop("times")["seconds"] and b.pop("times")["seconds"]
    assert json.dumps(a) == json.dumps(b)
    assert "seconds" not in json.dumps(a)
