"""The cochlea against the NSL toolbox, its own laws, and bad input."""

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import lfilter

from skstrf.auditory import auditory_spectrogram, center_frequencies, cochlear_filters
from skstrf.auditory.cochlea import frames_per_second, resample, resampled_length

SIGNALS = ("a_tones", "b_noise", "c_harm", "d_ripple")
MODES = {
    "aud_lin": {},
    "aud_bool": {"nonlinearity": "hard"},
    "aud_half": {"nonlinearity": "half-wave"},
    "aud_sig": {"nonlinearity": 0.1},
    "aud_avg": {"time_constant": 0},
    "aud_tc64f16": {"hop_duration": 16, "time_constant": 64},
    "aud_sh1": {"octave_shift": -1, "sample_rate": 8000},
}
TOLERANCE = 1e-5  # of the array's maximum


def relative(actual, expected):
    return np.abs(actual - expected).max() / np.abs(expected).max()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("signal", SIGNALS)
def test_equals_the_toolbox(nsl, signal, mode, dtype):
    x = nsl("signals")[signal].astype(dtype)
    expected = nsl(f"{signal}_aud")[mode].T
    v = auditory_spectrogram(x[::2] if mode == "aud_sh1" else x, **MODES[mode])
    assert v.shape == expected.shape
    assert v.dtype == dtype
    frames = slice(None, -1)  # the toolbox zeroes the last sample of the last frame
    if signal == "a_tones" and mode == "aud_bool":
        # Before and after the tones the limiter shows the signs of rounding noise.
        frames = slice(26, 99)
    assert relative(v[:, frames], expected[:, frames]) < TOLERANCE


@pytest.mark.parametrize("signal", SIGNALS)
def test_equals_the_toolbox_without_its_zeroed_sample(nsl, signal):
    v = auditory_spectrogram(nsl("signals")[signal])
    assert relative(v, nsl(f"{signal}_aud")["aud_lin_keep"].T) < TOLERANCE


@pytest.mark.parametrize("signal", ("b_noise", "d_ripple"))
@pytest.mark.parametrize("mode", ["aud_lin", "aud_half", "aud_sig", "aud_avg"])
def test_last_frame_equals_the_toolbox_once_the_sample_is_zeroed(nsl, signal, mode):
    x = nsl("signals")[signal].copy()
    x[-1] = 0
    v = auditory_spectrogram(x, **MODES[mode])
    assert relative(v, nsl(f"{signal}_aud")[mode].T) < TOLERANCE


def test_impulse_responses_equal_the_toolbox(nsl):
    table, reference = cochlear_filters(), nsl("filters")
    impulse = np.zeros(1024)
    impulse[0] = 1
    for expected, channel in zip(
        reference["coch_ir"].T, reference["coch_ir_idx"].ravel(), strict=True
    ):
        m = int(channel) - 1
        response = lfilter(table.b[m], table.a[m], impulse)
        assert np.abs(response - expected).max() < 1e-6 * np.abs(expected).max()


@pytest.mark.parametrize("frequency", [250.0, 440.0, 1000.0, 3000.0])
def test_tone_peaks_just_below_its_channel(frequency):
    x = np.sin(2 * np.pi * frequency * np.arange(8000) / 16000)
    peak = center_frequencies()[auditory_spectrogram(x).mean(axis=1).argmax()]
    assert -3 / 24 < np.log2(peak / frequency) <= 0


def test_batch_equals_one_by_one_for_any_number_of_threads():
    x = np.random.default_rng(0).standard_normal((2, 3, 3000)).astype(np.float32)
    expected = np.stack([[auditory_spectrogram(s, n_jobs=1) for s in row] for row in x])
    for n_jobs in (None, 1, 2, 3, 16, -1):
        np.testing.assert_array_equal(auditory_spectrogram(x, n_jobs=n_jobs), expected)


def test_may_be_called_from_several_threads_at_once():
    x = np.random.default_rng(0).standard_normal((8, 4000))
    results = [None] * 8

    def work(i):
        results[i] = auditory_spectrogram(x[i])

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_array_equal(np.stack(results), auditory_spectrogram(x))


@settings(max_examples=25, deadline=None)
@given(n_times=st.integers(1, 2000), gain=st.floats(1e-3, 1e3), seed=st.integers(0, 99))
def test_linear_model_scales_with_level(n_times, gain, seed):
    x = np.random.default_rng(seed).standard_normal(n_times)
    v = auditory_spectrogram(x)
    assert v.shape == (128, -(-n_times // 128))
    assert (v >= 0).all()
    np.testing.assert_allclose(auditory_spectrogram(gain * x), gain * v, rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize("mode", ["linear", "half-wave", 0.1])
def test_delay_by_whole_frames_delays_the_frames(mode):
    x = np.random.default_rng(0).standard_normal(4000)
    v = auditory_spectrogram(x, nonlinearity=mode)
    late = auditory_spectrogram(np.concatenate([np.zeros(5 * 128), x]), nonlinearity=mode)
    np.testing.assert_allclose(late[:, 5:], v, atol=1e-5 * v.max())


@pytest.mark.parametrize("mode", ["linear", "half-wave", "hard", 0.1])
def test_silence_is_legal(mode):
    assert (auditory_spectrogram(np.zeros(1000), nonlinearity=mode) == 0).all()


def test_long_sound_stays_stable_in_float32():
    # Channels 75 and 76 hold a pole at |p| = 0.9999999: direct form in float32 blows up there.
    x = np.random.default_rng(0).standard_normal(16000 * 60).astype(np.float32)
    v = auditory_spectrogram(x)
    assert np.isfinite(v).all()
    halves = v[:, 100:3750].mean(axis=1), v[:, 3750:].mean(axis=1)
    np.testing.assert_allclose(halves[0], halves[1], rtol=0.1)


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000])
def test_other_sample_rates_are_resampled(rate):
    def tone(fs):
        return np.sin(2 * np.pi * 700 * np.arange(fs) / fs)

    expected = auditory_spectrogram(tone(16000))[:, 10:-10]
    v = auditory_spectrogram(tone(rate), sample_rate=rate)[:, 10:-10]
    assert v.shape == expected.shape
    assert relative(v, expected) < 2e-2


def test_a_batch_is_resampled_sound_by_sound():
    x = np.random.default_rng(0).standard_normal((2, 3, 441))
    found = resample(x, 44100, 16000)
    assert found.shape == (2, 3, 160)
    np.testing.assert_array_equal(found[1, 2], resample(x[1, 2], 44100, 16000))


def test_frame_rate():
    assert frames_per_second(8) == 125
    assert frames_per_second(16) == 62.5
    assert frames_per_second(8, octave_shift=-1) == 125


@pytest.mark.parametrize("dtype", [np.int16, np.uint8, bool])
def test_integers_are_taken_as_numbers(dtype):
    x = np.arange(500).astype(dtype)
    v = auditory_spectrogram(x)
    assert v.dtype == np.float64
    np.testing.assert_array_equal(v, auditory_spectrogram(x.astype(float)))


@pytest.mark.parametrize(
    ("x", "options", "words"),
    [
        ([], {}, "at least one sample"),
        (np.zeros((3, 0)), {}, "at least one sample"),
        (3.0, {}, "at least one sample"),
        ([1.0, np.nan], {}, "NaN or infinite"),
        ([1.0, np.inf], {}, "NaN or infinite"),
        ([1j, 2], {}, "real numbers"),
        (["a"], {}, "real numbers"),
        ([1.0], {"sample_rate": 0}, "sample_rate"),
        ([1.0], {"sample_rate": np.nan}, "sample_rate"),
        ([1.0], {"hop_duration": 0}, "hop_duration"),
        ([1.0], {"hop_duration": 0.01}, "hop_duration"),
        ([1.0], {"time_constant": -1}, "time_constant"),
        ([1.0], {"nonlinearity": "soft"}, "nonlinearity"),
        ([1.0], {"nonlinearity": 0.0}, "nonlinearity"),
        ([1.0], {"nonlinearity": True}, "nonlinearity"),
    ],
)
def test_bad_input_is_named(x, options, words):
    with pytest.raises(ValueError, match=words):
        auditory_spectrogram(x, **options)


@pytest.mark.parametrize(("milliseconds", "n_frames"), [(8, 125), (250, 4), (1000, 1), (2.5, 400)])
def test_frames_last_as_long_as_they_say(milliseconds, n_frames):
    x = np.random.default_rng(0).standard_normal(16000)
    assert auditory_spectrogram(x, hop_duration=milliseconds).shape == (128, n_frames)


@pytest.mark.parametrize(
    ("from_rate", "to_rate"), [(48000, 44100), (96000, 22050), (32000, 16000)]
)
def test_resampled_lengths_are_rounded_half_up(from_rate, to_rate):
    for n_times in (1, 2, 239, 240, 241, 560, 1200, 3001):
        expected = max(1, int(n_times * to_rate / from_rate + 0.5))
        assert resampled_length(n_times, from_rate, to_rate) == expected
        for x in (np.ones((2, n_times)), np.ones((1, n_times), np.float32)):
            assert resample(x, from_rate, to_rate).shape == (len(x), expected)
