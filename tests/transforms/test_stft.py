"""STFTTransformer against librosa, and its inverse on recordings."""

import librosa
import numpy as np
import pytest

from skstrf import STFTTransformer


def on_the_grid(x, n_fft, hop):
    """The sound as librosa must get it so that its frames are centered half a hop later."""
    count = -(-len(x) // hop)
    before = n_fft // 2 - hop // 2
    padded = np.zeros((count - 1) * hop + n_fft)
    padded[before : before + len(x)] = x
    return padded


@pytest.mark.parametrize(
    ("n_fft", "win_length", "window"), [(1024, None, "hann"), (512, 400, "hamming")]
)
def test_is_librosas(recordings, n_fft, win_length, window):
    x = recordings[0].astype(float)
    options = {"n_fft": n_fft, "win_length": win_length, "window": window}
    padded = on_the_grid(x, n_fft, 256)
    expected = librosa.stft(padded, hop_length=256, center=False, **options)
    for output, part in (
        ("complex", expected),
        ("magnitude", librosa.amplitude_to_db(np.abs(expected), top_db=None)),
        ("power", librosa.power_to_db(np.abs(expected) ** 2, top_db=None)),
    ):
        floor = 1e-10 if output == "power" else 1e-5
        stft = STFTTransformer(output=output, compression_floor=floor, **options)
        np.testing.assert_allclose(stft.fit_transform(x[None])[0], part, atol=1e-10)


def test_is_librosas_centered_frames_half_a_hop_later(recordings):
    # With half a hop of silence in front, librosa's usual frames are ours.
    x = recordings[1].astype(float)
    expected = librosa.stft(np.concatenate([np.zeros(128), x]), n_fft=1024, hop_length=256)
    actual = STFTTransformer(output="complex").fit_transform(x[None])[0]
    np.testing.assert_allclose(actual, expected[:, 1 : 1 + actual.shape[1]], atol=1e-10)


def test_frequencies_are_those_of_librosa():
    stft = STFTTransformer(sample_rate=22050).fit(np.zeros((1, 22050)))
    assert stft.n_fft_ == 2048  # as librosa has it by default
    np.testing.assert_allclose(stft.axes_[0].values, librosa.fft_frequencies(sr=22050, n_fft=2048))


@pytest.mark.parametrize(
    ("options", "n_fft"),
    [
        ({}, 1024),
        ({"frame_rate": 125 / 8}, 2048),
        ({"sample_rate": 44100}, 4096),
        ({"n_fft": 600}, 600),
    ],
)
def test_length_of_frames(options, n_fft):
    assert STFTTransformer(**options).fit(np.zeros((1, 5000))).n_fft_ == n_fft


@pytest.mark.parametrize("frame_rate", [16000 / 97, 62.5, 125 / 8])
@pytest.mark.parametrize("n_times", [1, 500, 10007])
def test_complex_inverse_is_exact(frame_rate, n_times):
    X = np.random.default_rng(0).standard_normal((2, n_times))
    for dtype, bound in ((np.float32, 1e-6), (np.float64, 1e-13)):
        stft = STFTTransformer(output="complex", frame_rate=frame_rate).fit(X.astype(dtype))
        back = stft.inverse_transform(stft.transform(X.astype(dtype)))
        assert np.linalg.norm(back - X) < bound * np.linalg.norm(X)


def test_magnitudes_of_recordings_are_found_again(recordings, convergence):
    # Measured over 28 clips of 2 s: median .035, worst .067. Of these four one is cut off in the
    # middle of a loud note: .105.
    stft = STFTTransformer(compression=None, random_state=0).fit(recordings)
    tensor = stft.transform(recordings)
    error = convergence(stft.transform(stft.inverse_transform(tensor)), tensor)
    assert np.median(error) < 0.05
    assert error.max() < 0.13


def test_is_as_good_as_librosas_griffin_lim(recordings, convergence):
    stft = STFTTransformer(compression=None, random_state=0).fit(recordings)
    tensor = stft.transform(recordings)
    ours = convergence(stft.transform(stft.inverse_transform(tensor)), tensor)
    options = {"n_fft": 1024, "hop_length": 256}
    target = np.abs(librosa.stft(recordings, **options))
    sound = librosa.griffinlim(target, n_iter=64, random_state=0, **options)
    theirs = convergence(np.abs(librosa.stft(sound, **options)), target[..., : sound.shape[-1]])
    assert np.median(ours) < 1.1 * np.median(theirs)


@pytest.mark.parametrize("output", ["magnitude", "power"])
@pytest.mark.parametrize("compression", ["db", "log", 0.3])
def test_true_phases_give_the_recordings(recordings, snr, output, compression):
    options = {"compression": compression, "output": output, "compression_floor": 1e-10}
    stft = STFTTransformer(max_iter=0, **options).fit(recordings)
    tensor = stft.transform(recordings)
    phases = STFTTransformer(output="complex").fit_transform(recordings)
    for hint in (recordings, phases, np.angle(phases)):
        assert snr(stft.inverse_transform(tensor, phase=hint), recordings).min() > 60


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"n_fft": 513}, "odd"),
        ({"n_fft": 512, "win_length": 1024}, "longer than n_fft=512"),
        ({"n_fft": 512, "frame_rate": 125 / 8}, "Raise frame_rate or n_fft"),
        ({"win_length": 100}, "Raise frame_rate or win_length"),
        ({"output": "phase"}, "output"),
        ({"max_iter": -1}, "max_iter"),
    ],
)
def test_bad_settings_are_named(options, words):
    with pytest.raises(ValueError, match=words):
        STFTTransformer(**options).fit(np.zeros((1, 5000)))


def test_samples_under_no_window_are_not_made_up():
    X = np.random.default_rng(0).standard_normal((1, 5000))
    stft = STFTTransformer(output="complex", n_fft=1024, frame_rate=125 / 8).fit(X)
    with pytest.raises(ValueError, match="under no window"):
        stft.inverse_transform(stft.transform(X))
