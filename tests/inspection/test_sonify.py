import logging

import numpy as np
import pytest
import soundfile
import torch
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError

from skstrf import auditory
from skstrf.auditory.measures import spectrogram_correlation
from skstrf.inspection import sonify
from skstrf.transforms.stft import STFTTransformer


@pytest.fixture
def inverted(monkeypatch):
    """The inversion, replaced by one whose answer and arguments are known."""
    calls = []

    def invert(v, **settings):
        calls.append(settings)
        return np.repeat(np.asarray(v).sum(axis=-2), 4, axis=-1)

    monkeypatch.setattr(auditory, "invert_auditory_spectrogram", invert, raising=False)
    return calls


@pytest.fixture
def spectrogram():
    return np.random.default_rng(0).standard_normal((128, 50))


class Cortex(BaseEstimator):
    """Stands in for a transformer whose tensors have a way to sound."""

    sample_rate = 22050

    def fit(self):
        self.axes_ = [None] * 4
        return self

    def inverse_transform(self, X):
        return X.reshape(len(X), -1)


def test_a_spectrogram_is_inverted_with_its_settings(spectrogram, inverted):
    y = sonify(spectrogram, sample_rate=8000, hop_duration=4.0, nonlinearity="half-wave")
    assert y.shape == (200,)
    assert inverted == [
        {
            "sample_rate": 8000, "hop_duration": 4.0, "time_constant": 8.0,
            "nonlinearity": "half-wave", "method": "gradient",
            "max_iter": None,
        }
    ]  # fmt: skip
    sonify(spectrogram, method="projection", max_iter=3)
    assert inverted[1]["method"] == "projection" and inverted[1]["max_iter"] == 3
    assert inverted[1]["sample_rate"] == 16000


def test_what_is_heard_has_the_spectrogram():
    x = auditory.moving_ripple(8, 1, 0.25, random_state=0)
    v = auditory.auditory_spectrogram(x)
    y = sonify(v, max_iter=20)
    assert y.shape == (32 * 128,)  # all of the frames, the last of which was padded
    heard = auditory.auditory_spectrogram(y)
    assert spectrogram_correlation(v, heard) > 0.98


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("gain", [1e-20, 0.3, 1e20])
@pytest.mark.parametrize("peak", [0.9, 0.1, 1.0])
def test_the_largest_sample_is_the_peak(spectrogram, inverted, gain, peak, dtype):
    y = sonify((gain * spectrogram).astype(dtype), peak=peak)
    assert y.dtype == dtype
    assert np.abs(y).max() == pytest.approx(peak, rel=1e-6)
    assert np.abs(y).max() <= dtype(peak)
    shape = spectrogram.sum(axis=0).repeat(4)
    assert np.corrcoef(y, shape)[0, 1] > 1 - 1e-9


def test_without_a_peak_the_level_stays_unless_it_would_clip(inverted, caplog):
    quiet = np.full((1, 3), 0.25)
    np.testing.assert_array_equal(sonify(quiet, peak=None), np.full(12, 0.25))
    assert caplog.records == []
    with caplog.at_level(logging.WARNING, "skstrf"):
        np.testing.assert_array_equal(sonify(40 * quiet, peak=None), np.ones(12))
    assert "reduced by 20.0 dB" in caplog.text


def test_a_batch_keeps_its_levels(spectrogram, inverted):
    y = sonify(np.stack([spectrogram, spectrogram / 4, 0 * spectrogram]))
    assert y.shape == (3, 200)
    np.testing.assert_allclose(y[0], 4 * y[1])
    assert not y[2].any()
    assert np.abs(y).max() == pytest.approx(0.9)


def test_silence_stays_silence(inverted):
    np.testing.assert_array_equal(sonify(np.zeros((128, 5))), np.zeros(20))


def test_tensors_go_through_their_transformer():
    tensor = np.random.default_rng(0).standard_normal((2, 3, 4, 5))
    cortex = Cortex().fit()
    y = sonify(tensor, transformer=cortex)
    np.testing.assert_allclose(y, tensor.ravel() * 0.9 / np.abs(tensor).max())
    batch = sonify(torch.from_numpy(np.stack([tensor, tensor])), transformer=cortex)
    np.testing.assert_allclose(batch, [y, y])


def test_other_transformers_that_invert_do_too():
    X = np.random.default_rng(0).uniform(-0.3, 0.3, (1, 4000)).astype("f4")
    stft = STFTTransformer(output="complex").fit(X)
    y = sonify(stft.transform(X)[0], transformer=stft, peak=None)
    np.testing.assert_allclose(y, X[0], atol=1e-5)


def test_a_wav_file_is_what_is_returned(tmp_path, spectrogram, inverted):
    path = tmp_path / "a.wav"
    path.write_text("what was there")
    y = sonify(spectrogram, path=str(path), peak=1.0, sample_rate=22050)
    read, rate = soundfile.read(path)
    assert rate == 22050
    np.testing.assert_allclose(read, y, atol=2**-15)
    assert [p.name for p in tmp_path.iterdir()] == ["a.wav"]


def test_a_wav_file_is_written_whole_or_not_at_all(tmp_path, spectrogram, inverted, monkeypatch):
    path = tmp_path / "a.wav"
    path.write_text("what was there")

    write = soundfile.SoundFile.write

    def fail(file, frames):
        write(file, frames[:10])
        raise soundfile.LibsndfileError(2)

    monkeypatch.setattr(soundfile.SoundFile, "write", fail)
    with pytest.raises(OSError, match="Make room on the disk"):
        sonify(spectrogram, path=path)
    assert path.read_text() == "what was there"
    assert [p.name for p in tmp_path.iterdir()] == ["a.wav"]


@pytest.mark.parametrize(
    "change, message",
    [
        ({"v": np.ones(5)}, "v has 1 axes; an auditory spectrogram has 2"),
        ({"v": np.ones((2, 3, 4, 5))}, "need the transformer"),
        ({"peak": 0}, "peak"),
        ({"peak": 1.5}, "peak"),
        ({"peak": np.nan}, "peak"),
        ({"path": "a.mp3"}, ".wav"),
        ({"path": "no/such/folder/a.wav"}, "folder .* does not exist"),
        ({"path": "a.wav", "sample_rate": 22050.5}, "whole"),
        ({"path": "a.wav", "v": np.ones((2, 128, 5))}, "one by one"),
        ({"v": np.full((128, 5), np.inf)}, "not finite"),
        ({"transformer": Cortex().fit()}, "v has 2 axes; a tensor of the transformer has 4"),
        ({"transformer": object()}, "no inverse_transform"),
        (
            {"transformer": Cortex().fit(), "v": np.ones((1, 1, 1, 5)), "sample_rate": 16000},
            "sample_rate=16000, but the transformer's sounds have 22050 Hz",
        ),
    ],
)
def test_what_makes_no_sound_is_named(change, message, inverted):
    with pytest.raises(ValueError, match=message):
        sonify(**({"v": np.ones((128, 5))} | change))


def test_a_transformer_must_be_fitted():
    with pytest.raises(NotFittedError):
        sonify(np.ones((1, 1, 1, 5)), transformer=STFTTransformer())
