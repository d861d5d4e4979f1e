"""load_corpus: known data sets are recognized, all other folders are folders of classes."""

import numpy as np
import pytest
import soundfile

from skstrf.datasets.corpora import load_corpus
from skstrf.datasets.gtzan import GENRES


def test_gtzan_is_known_by_its_names(tmp_path):
    for genre in GENRES:
        (tmp_path / "genres" / genre).mkdir(parents=True)
        for i in range(100):
            path = tmp_path / "genres" / genre / f"{genre}.{i:05}.wav"
            soundfile.write(path, np.full(900, 0.1), 22050)
    sounds, kind = load_corpus(str(tmp_path))
    assert kind == "GTZAN, fault-filtered split"
    assert set(sounds.split) == {"train", "valid", "test"}
    sounds, kind = load_corpus(tmp_path / "genres", kind="folder")
    assert (kind, len(sounds.filenames), sounds.split) == ("folder", 1000, None)


def test_empty_columns_are_left_out(tmp_path):
    rows = ["file,class,split,group"]
    for name in ("a", "b"):
        soundfile.write(tmp_path / f"{name}.wav", np.full(900, 0.1), 22050)
        rows.append(f"{name}.wav,{name},,g{name}")
    (tmp_path / "metadata.csv").write_text("\n".join(rows) + "\n")
    sounds, kind = load_corpus(str(tmp_path))
    assert kind == "folder"
    assert sounds.split is None
    assert list(sounds.groups) == ["ga", "gb"]


def test_a_folder_without_labels_is_not_the_million_song_dataset(tmp_path):
    with pytest.raises(ValueError, match="has no labels of the Million Song Dataset"):
        load_corpus(tmp_path, kind="million-song")
