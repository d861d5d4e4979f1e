"""load_million_song_genres with sounds."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from skstrf import AudioLoader, load_million_song_genres
from skstrf.datasets import AudioReadError
from tests.datasets.songs import (
    GENRES,
    track,
)


def pitch_of(number):
    return 300.0 + 300.0 * (number % 3)


@pytest.fixture
def previews(tree, write):
    """Sounds of songs 0 to 8, in the layout of 7digital; song 2 by track id."""
    for number in range(9):
        name = f"previews/8/9/{8900000 + number}.clip.wav"
        if number == 2:
            name = f"previews/{track(2)}.flac"
        write(name, sample_rate=16000, seconds=0.3)
    return (*tree, tree[0].parent / "previews")


def test_previews_feed_a_pipeline_that_begins_with_the_loader(previews, write):
    home, labels, audio = previews
    for number in range(9):  # tones that tell the genres apart
        if number != 2:
            time = np.arange(4800) / 16000
            sound = np.sin(2 * np.pi * pitch_of(number) * time)
            write(f"previews/8/9/{8900000 + number}.clip.wav", sound, 16000)
    bunch = load_million_song_genres(
        labels, home, audio_home=audio, load_content=False, duration=0.2
    )
    assert len(bunch.filenames) == 9 and "data" not in bunch
    for name, path, code in zip(
        bunch.metadata["track_id"], bunch.filenames, bunch.target, strict=True
    ):
        number = int(name[5:])
        assert Path(path).is_file()
        assert str(8900000 + number) in path or name in path
        assert bunch.target_names[code] == GENRES[number % 3]
    model = make_pipeline(AudioLoader(duration=0.2), LogisticRegression(C=1e3, max_iter=999))
    assert model.fit(bunch.filenames, bunch.target).score(bunch.filenames, bunch.target) > 0.8
    loaded = load_million_song_genres(labels, home, audio_home=audio, duration=0.2)
    np.testing.assert_array_equal(
        loaded.data, AudioLoader(duration=0.2).fit_transform(bunch.filenames)
    )
    assert list(loaded.groups) == list(bunch.groups) and loaded.sample_rate == 16000


@pytest.mark.parametrize("kind", ["pkl", "tsv", "csv"])
def test_previews_by_a_map_without_songs(previews, tmp_path, kind):
    _, labels, audio = previews
    ids = {track(n): str(8900000 + 8 - n) for n in range(9)}
    path = tmp_path / f"map.{kind}"
    if kind == "pkl":
        path.write_bytes(pickle.dumps(ids, protocol=2))
    else:
        mark = "\t" if kind == "tsv" else ","
        path.write_text("".join(f"{name}{mark}{number}\n" for name, number in ids.items()))
    lines = [f"{track(n)}<SEP>SO{n}<SEP>Artist {n % 4}<SEP>Title\n" for n in range(20)]
    tracks = tmp_path / "unique_tracks.txt"
    tracks.write_text("".join(lines))
    bunch = load_million_song_genres(
        labels, audio_home=audio, audio_ids=path, unique_tracks=tracks, load_content=False
    )
    numbers = [int(name[5:]) for name in bunch.metadata["track_id"]]
    assert sorted(numbers) == [n for n in range(9) if n != 6]  # song 2 has no file of that id
    for number, file in zip(numbers, bunch.filenames, strict=True):
        assert str(8900000 + 8 - number) in file or track(number) in file
    assert set(bunch.groups) == {f"Artist {n}" for n in range(4)}


def test_a_pickle_that_runs_programs_is_refused(previews, tmp_path):
    home, labels, audio = previews

    class Evil:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "touched",))

    path = tmp_path / "map.pkl"
    path.write_bytes(pickle.dumps({track(0): Evil()}))
    with pytest.raises(ValueError, match="not a pickle of plain texts"):
        load_million_song_genres(labels, home, audio_home=audio, audio_ids=path)
    assert not (tmp_path / "touched").exists()


def test_maps_do_not_lead_out_of_the_folder(previews, tmp_path, write):
    home, labels, audio = previews
    write("secret.wav")
    path = tmp_path / "map.tsv"
    path.write_text("".join(f"{track(n)}\t../secret.wav\n" for n in range(12)))
    with pytest.raises(ValueError, match="1 songs of 1 genres are left"):
        load_million_song_genres(labels, home, audio_home=audio, audio_ids=path)


def test_no_previews_and_a_bad_one(previews, tmp_path):
    home, labels, audio = previews
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"no audio for any of the 12 labeled songs.*nothing"):
        load_million_song_genres(labels, home, audio_home=tmp_path / "empty")
    (audio / "8" / "9" / "8900004.clip.wav").write_text("no sound")
    with pytest.raises(AudioReadError, match=r"8900004.clip.wav"):
        load_million_song_genres(labels, home, audio_home=audio, duration=0.2)
    with pytest.warns(UserWarning, match="1 of 9 sound files"):
        bunch = load_million_song_genres(
            labels, home, audio_home=audio, duration=0.2, on_error="warn"
        )
    assert bunch.data.shape == (8, 3200) and len(bunch.groups) == 8
