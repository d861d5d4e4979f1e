"""The bundled recordings: complete, licensed, small, and learnable."""

import csv
import itertools
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skstrf.datasets import audio_info, find_audio_files, load_instruments

CLIPS = load_instruments(load_content=False)
LICENCES = {"CC0-1.0", "CC-BY-3.0"}


def test_what_is_there():
    assert CLIPS.filenames.shape == (127,)
    counts = {
        split: np.bincount(CLIPS.target[CLIPS.split == split], minlength=7).tolist()
        for split in np.unique(CLIPS.split)
    }
    assert counts == {
        "train": [10] * 7,
        "valid": [2] * 7,
        "test": [4] * 7,
        "new_library": [0, 5, 5, 5, 0, 0, 0],
    }


def test_table_and_files_agree():
    assert sorted(CLIPS.filenames) == find_audio_files(CLIPS.path)
    for path, label in zip(CLIPS.filenames, CLIPS.target, strict=True):
        assert Path(path).parent.name == CLIPS.target_names[label]
        info = audio_info(path)
        assert (info.format, info.sample_rate, info.n_channels) == ("OGG", 22050, 1)
        assert info.n_frames == 5 * 22050 and info.is_complete


def test_small_enough_for_a_package():
    assert sum(path.stat().st_size for path in Path(CLIPS.path).rglob("*")) < 4.5e6


def test_every_source_is_attributed():
    with open(Path(CLIPS.path) / "metadata.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["license"] for row in rows} <= LICENCES
    for row in rows:
        assert row["attribution"] and row["source"].startswith("https://")
        assert row["source"] in CLIPS.DESCR
        assert row["attribution"].split(" (")[0] in CLIPS.DESCR


def test_no_clip_is_there_twice():
    sounds = load_instruments(sample_rate=8000).data
    assert sounds.shape == (127, 40000)
    spectra = np.abs(np.fft.rfft(sounds, axis=1))
    spectra /= np.linalg.norm(spectra, axis=1, keepdims=True)
    likeness = spectra @ spectra.T
    assert max(likeness[i, j] for i, j in itertools.combinations(range(127), 2)) < 0.99


def test_forms_of_the_result():
    X, y = load_instruments(split="valid", duration=0.5, return_X_y=True)
    assert X.shape == (14, 8000) and X.dtype == np.float32 and y.shape == (14,)
    names, y = load_instruments(split="valid", load_content=False, return_X_y=True)
    assert names.shape == y.shape == (14,)
    part = load_instruments(split=["test", "valid"], duration=0.5, offset=1.0, sample_rate=8000)
    assert part.data.shape == (42, 4000) and set(part.split) == {"test", "valid"}
    assert part.target_names == CLIPS.target_names
    assert set(part.metadata) == {"source", "license", "attribution", "duration_s"}
    with pytest.raises(ValueError, match="the splits are new_library, test, train, valid"):
        load_instruments(split="holdout")


def spectral_shape(sounds):
    """Mean and spread over time of the log spectrum in a few bands: a plain baseline."""
    frames = sounds[:, : sounds.shape[1] // 512 * 512].reshape(len(sounds), -1, 512)
    power = np.abs(np.fft.rfft(frames * np.hanning(512), axis=2)) ** 2
    edges = np.unique(np.geomspace(1, 257, 25).astype(int))
    bands = np.log(np.add.reduceat(power, edges[:-1], axis=2) + 1e-8)
    return np.concatenate([bands.mean(axis=1), bands.std(axis=1)], axis=1)


def test_classes_can_be_told_apart_on_unseen_notes():
    features = spectral_shape(load_instruments().data)
    train = CLIPS.split == "train"
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.3, max_iter=500))
    model.fit(features[train], CLIPS.target[train])
    test = CLIPS.split == "test"
    assert model.score(features[test], CLIPS.target[test]) > 0.7  # chance .14
