"""AudioLoader: many files to one array."""

import logging
import pickle
import warnings
from pathlib import Path

import joblib
import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from skstrf.datasets import AudioLoader, AudioReadError, read_audio


@parametrize_with_checks(
    [AudioLoader(), AudioLoader(duration=0.0005), AudioLoader(mono=False, on_error="warn")]
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.fixture
def twenty(write):
    """Twenty files of every format and some lengths, number 7 of which is not sound."""
    extensions = ["wav", "flac", "ogg", "mp3", "aiff", "au"]
    paths = []
    for i in range(20):
        seconds = 0.2 + 0.02 * (i % 5)
        paths.append(write(f"{i:02}.{extensions[i % 6]}", sample_rate=22050, seconds=seconds))
    paths[7].write_text("not sound at all " * 100)
    return paths


def good(paths):
    return [path for i, path in enumerate(paths) if i != 7]


def test_rows_are_what_read_audio_gives(twenty):
    paths = good(twenty)
    sounds = AudioLoader(duration=0.25, offset=0.05).fit_transform(paths)
    assert sounds.shape == (19, 4000) and sounds.dtype == np.float32
    for row, path in zip(sounds, paths, strict=True):
        np.testing.assert_array_equal(row, read_audio(path, duration=0.25, offset=0.05))


def test_length_is_that_of_the_longest_seen_in_fit(twenty):
    loader = AudioLoader(offset=0.1).fit(good(twenty))
    assert loader.n_times_ == round(0.18 * 16000)
    assert loader.transform(good(twenty)[:2]).shape == (2, loader.n_times_)
    short = AudioLoader().fit(twenty[:1])
    sounds = short.transform(twenty[:5])
    assert sounds.shape == (5, 3200)
    np.testing.assert_allclose(sounds[4], read_audio(twenty[4])[:3200], atol=1e-6)


def test_fit_decodes_no_sound(twenty, monkeypatch):
    monkeypatch.setattr(soundfile.SoundFile, "read", lambda *a, **k: pytest.fail("decoded"))
    assert AudioLoader().fit(good(twenty)).n_times_ == round(0.28 * 16000)


@pytest.mark.parametrize("duration", [None, 0.25])
def test_one_bad_file_never_loses_the_others(twenty, duration):
    loader = AudioLoader(on_error="warn", duration=duration)
    with pytest.warns(UserWarning, match=r"1 of 20 sound files.*rows of silence") as caught:
        sounds = loader.fit_transform(twenty)
    assert len(caught) == 1
    assert str(twenty[7]) in str(caught[0].message)
    assert (sounds[7] == 0).all()
    expected = AudioLoader(duration=duration).fit_transform(good(twenty))
    np.testing.assert_array_equal(np.delete(sounds, 7, axis=0), expected)
    assert list(loader.errors_) == [str(twenty[7])]
    assert "not sound" in loader.errors_[str(twenty[7])]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loader.transform(good(twenty))
    assert loader.errors_ == {}


@pytest.mark.parametrize("duration", [None, 0.25])
def test_a_bad_file_raises_by_default(twenty, duration):
    with pytest.raises(AudioReadError, match="not sound") as caught:
        AudioLoader(duration=duration).fit_transform(twenty)
    assert str(twenty[7]) in str(caught.value)


@pytest.mark.parametrize("n_jobs", [1, 2, -1])
def test_the_first_bad_file_is_named_whatever_n_jobs(twenty, n_jobs, tmp_path):
    paths = [*twenty[8:], tmp_path / "b.wav", tmp_path / "a.wav"] * 3
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(3):
            with pytest.raises(AudioReadError, match=r"b.wav: does not exist") as caught:
                AudioLoader(duration=0.1, n_jobs=n_jobs).fit_transform(paths)
    assert any("on_error='warn'" in note for note in caught.value.__notes__)


def test_many_bad_files_make_one_warning_that_names_a_few(tmp_path):
    paths = [tmp_path / f"{i}.wav" for i in range(30)]
    loader = AudioLoader(on_error="warn", duration=0.1).fit(paths)
    with pytest.warns(UserWarning, match="30 of 30") as caught:
        sounds = loader.transform(paths)
    assert len(caught) == 1 and "and 25 more" in str(caught[0].message)
    assert (sounds == 0).all() and len(loader.errors_) == 30


def test_fit_leaves_bad_headers_out_and_logs_them(twenty, caplog):
    with caplog.at_level(logging.WARNING, logger="skstrf"):
        loader = AudioLoader(on_error="warn").fit(twenty)
    assert loader.n_times_ == round(0.28 * 16000)
    assert list(loader.errors_) == [str(twenty[7])]
    assert str(twenty[7]) in caplog.text


def test_nothing_to_fit_on(tmp_path):
    with pytest.raises(ValueError, match=r"(?s)2 of 2.*nothing to fit on.*a.wav"):
        AudioLoader(on_error="warn").fit([tmp_path / "a.wav", tmp_path / "b.wav"])


def test_a_truncated_file_is_not_taken_for_a_short_one(write, halve):
    path = halve(write("a.wav"))
    with pytest.raises(AudioReadError, match="cut short"):
        AudioLoader().fit([path])
    long = write("b.wav", seconds=0.3)
    assert AudioLoader().fit([long]).transform([path]).shape == (1, 4800)


def test_same_result_for_any_n_jobs(twenty):
    expected = AudioLoader(duration=0.25).fit_transform(good(twenty))
    for n_jobs in (1, 2, 4, -1):
        got = AudioLoader(duration=0.25, n_jobs=n_jobs).fit_transform(good(twenty))
        np.testing.assert_array_equal(got, expected)
    with joblib.parallel_config(backend="loky", n_jobs=2):
        np.testing.assert_array_equal(
            AudioLoader(duration=0.25).fit_transform(good(twenty)), expected
        )


@pytest.mark.parametrize(
    "arrange",
    [
        list,
        lambda paths: [str(path) for path in paths],
        lambda paths: np.array([str(path) for path in paths]),
        lambda paths: np.array([str(path) for path in paths])[:, np.newaxis],
        lambda paths: np.array(paths, dtype=object),
        lambda paths: np.array(paths, dtype=object)[:, np.newaxis],
        lambda paths: [[path] for path in paths],
        tuple,
    ],
)
def test_every_way_to_pass_paths(twenty, arrange):
    expected = AudioLoader(duration=0.1).fit_transform(twenty[:3])
    np.testing.assert_array_equal(
        AudioLoader(duration=0.1).fit_transform(arrange(twenty[:3])), expected
    )


def test_paths_in_a_column_of_a_data_frame(twenty):
    class Column:
        """As much of a Series, or of a DataFrame of one column, as numpy asks of it."""

        def __init__(self, values):
            self.values = values

        def __array__(self, dtype=None, copy=None):
            return self.values

    names = np.array([str(path) for path in twenty[:3]], dtype=object)
    expected = AudioLoader(duration=0.1).fit_transform(twenty[:3])
    for values in (names, names[:, np.newaxis]):
        got = AudioLoader(duration=0.1).fit_transform(Column(values))
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize(
    ("X", "match"),
    [
        ("a.wav", r"single path 'a.wav'. Write \[path\]"),
        (Path("a.wav"), "single path"),
        (np.array("a.wav"), "single path"),
        (["a.wav", 3.0], "element 1 is 3.0"),
        ([None, "a.wav"], "element 0 is None"),
        ([["a.wav", "b.wav"], ["c.wav", "d.wav"]], "one column of paths"),
        (np.array([["a.wav", "b.wav"]]), "one column of paths"),
        ([], "minimum of 1 is required|Expected 2D"),
        ([1.0, 2.0], "Expected 2D array, got 1D"),
        (np.zeros((2, 2, 2)), "dim 3|expected <= 2"),
        (np.zeros((2, 0)), "minimum of 1 is required"),
        ([[np.nan, 1.0]], "NaN"),
        ([[np.inf, 1.0]], "infinity"),
    ],
)
def test_what_is_neither_paths_nor_sounds(X, match):
    for fitted in (AudioLoader(), AudioLoader().fit([[0.0, 1.0]])):
        with pytest.raises(ValueError, match=match):
            fitted.fit_transform(X)
    with pytest.raises(ValueError, match=match):
        AudioLoader(duration=0.1).fit(np.ones((1, 2))).transform(X)


@given(
    n=st.integers(1, 50),
    n_wanted=st.integers(1, 60),
    dtype=st.sampled_from([np.float32, np.float64, np.int16]),
)
def test_loaded_sounds_are_cropped_or_padded(n, n_wanted, dtype):
    X = np.arange(1, 3 * n + 1, dtype=dtype).reshape(3, n)
    loader = AudioLoader(duration=n_wanted / 16000, offset=1.0)
    got = loader.fit_transform(X)
    assert got.shape == (3, n_wanted) and loader.n_times_ == n_wanted
    assert got.dtype == (np.float32 if dtype == np.float32 else np.float64)
    shared = min(n, n_wanted)
    np.testing.assert_array_equal(got[:, :shared], X[:, :shared])
    assert (got[:, shared:] == 0).all()


def test_transform_of_its_own_output_changes_nothing(twenty):
    loader = AudioLoader(duration=0.25, offset=0.05)
    sounds = loader.fit_transform(good(twenty))
    np.testing.assert_array_equal(loader.transform(sounds), sounds)
    np.testing.assert_array_equal(clone(loader).fit_transform(sounds), sounds)


def test_paths_and_arrays_may_follow_each_other(twenty):
    loader = AudioLoader().fit(np.zeros((2, 100)))
    assert loader.n_features_in_ == 100
    assert loader.transform(twenty[:2]).shape == (2, 100)
    loader.fit(twenty[:2])
    assert not hasattr(loader, "n_features_in_")
    assert loader.transform(np.zeros((2, 100), dtype=np.float32)).shape == (2, 3520)


def test_channels_apart(write, tone):
    stereo = np.stack([tone(16000), tone(16000, frequency=300.0)], axis=1)
    paths = [write(f"{i}.wav", stereo, 16000) for i in range(3)]
    loader = AudioLoader(mono=False).fit(paths)
    sounds = loader.transform(paths)
    assert sounds.shape == (3, 2, 16000) and loader.n_channels_ == 2
    np.testing.assert_allclose(sounds[0], stereo.T, atol=1 / 2**15)
    np.testing.assert_array_equal(loader.transform(sounds), sounds)
    odd = [write("mono.wav"), *paths]
    with pytest.raises(AudioReadError, match=r"has 1 channels where 2 are expected. Use mono"):
        AudioLoader(mono=False).fit_transform(odd)
    with pytest.warns(UserWarning, match="has 1 channels"):
        sounds = AudioLoader(mono=False, on_error="warn").fit_transform(odd)
    assert (sounds[0] == 0).all() and sounds[1:].any(axis=(1, 2)).all()
    with pytest.raises(ValueError, match="fitted on sounds of 2 channels and now gets 1"):
        loader.transform(np.zeros((2, 100)))


@pytest.mark.parametrize(("n_frames", "seconds"), [(2**36 - 1, 1.0), (44100 * 60, 60.0)])
def test_a_header_that_promises_too_much(write, n_frames, seconds):
    path, fine = write("a.flac"), write("b.wav")
    content = bytearray(path.read_bytes())
    field = int.from_bytes(content[18:26], "big") >> 36 << 36 | n_frames
    content[18:26] = field.to_bytes(8, "big")
    path.write_bytes(content)
    loader = AudioLoader(on_error="warn").fit([path, fine])
    assert loader.n_times_ == seconds * 16000
    if seconds == 1.0:  # refused by its header in fit, but its first second can be read
        assert loader.transform([path, fine]).any(axis=1).all()
        return
    with pytest.warns(UserWarning, match="cut short"):
        sounds = loader.transform([path, fine])
    assert not sounds[0].any() and sounds[1].any()


def test_pickle_clone_and_repr(twenty):
    loader = AudioLoader(duration=0.1, n_jobs=2).fit(twenty)
    copy = pickle.loads(pickle.dumps(loader))
    np.testing.assert_array_equal(copy.transform(twenty[:3]), loader.transform(twenty[:3]))
    assert clone(loader).get_params() == loader.get_params()
    assert "duration=0.1" in repr(loader)


def test_in_a_pipeline_and_a_search(write):
    random = np.random.default_rng(0)
    paths, y = [], []
    for i in range(12):
        rough = random.standard_normal(1600) * (0.3 if i % 2 else 0.01)
        paths.append(write(f"{i}.wav", rough, 16000))
        y.append(["soft", "loud"][i % 2])
    pipe = make_pipeline(AudioLoader(duration=0.1), LogisticRegression())
    assert cross_val_score(pipe, paths, y, cv=2).shape == (2,)
    search = GridSearchCV(pipe, {"audioloader__duration": [0.05, 0.1]}, cv=2).fit(paths, y)
    assert search.best_estimator_[0].n_times_ in (800, 1600)
    assert set(search.predict(paths)) <= {"soft", "loud"}


def test_progress_is_shown_when_verbose(twenty, capsys):
    AudioLoader(duration=0.1).fit_transform(twenty[:3])
    assert capsys.readouterr().err == ""
    AudioLoader(duration=0.1, verbose=True).fit_transform(twenty[:3])
    assert "3/3" in capsys.readouterr().err


@pytest.mark.parametrize(
    "settings",
    [
        {"sample_rate": 10},
        {"duration": 0},
        {"offset": -1},
        {"on_error": "ignore"},
        {"mono": "both"},
        {"n_jobs": 1.5},
    ],
)
def test_bad_parameters(settings):
    name = next(iter(settings))
    with pytest.raises(ValueError, match=f"'{name}' parameter of AudioLoader"):
        AudioLoader(**settings).fit(np.zeros((2, 10)))


def test_duration_without_a_sample():
    with pytest.raises(ValueError, match="holds no sample"):
        AudioLoader(duration=1e-9).fit(np.zeros((2, 10)))
