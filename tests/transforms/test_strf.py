"""STRFTransformer: what it promises beyond the functions under it."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from skstrf import STRFTransformer
from skstrf.auditory import auditory_spectrogram, cortical_transform, moving_ripple


@pytest.fixture(scope="module")
def sounds():
    rng = np.random.default_rng(0)
    return rng.standard_normal((3, 12000)).astype(np.float32)


def test_is_the_two_functions_in_a_row(sounds):
    plain = STRFTransformer(
        normalize=False, compression=None, contrast=False, pooling="sample", frame_step=8
    )
    expected = cortical_transform(auditory_spectrogram(sounds), frame_step=8)
    np.testing.assert_allclose(plain.fit_transform(sounds), np.abs(expected), rtol=1e-5, atol=1e-6)
    for output, part in (("complex", np.asarray), ("real", np.real)):
        actual = plain.set_params(output=output).fit_transform(sounds)
        np.testing.assert_allclose(actual, part(expected), rtol=1e-4, atol=1e-5)


def test_axes_say_what_the_output_holds(sounds):
    strf = STRFTransformer(frame_step=16, channel_step=2).fit(sounds)
    tensor = strf.transform(sounds)
    assert tensor.shape[1:] == tuple(len(axis.values) for axis in strf.axes_)
    scale, rate, frequency, time = strf.axes_
    assert (scale.unit, rate.unit, frequency.unit, time.unit) == (
        "cycles/octave", "Hz", "Hz", "s",
    )  # fmt: skip
    np.testing.assert_array_equal(rate.values, [-32, -16, -8, -4, -2, 2, 4, 8, 16, 32])
    np.testing.assert_array_equal(rate.values, strf.rates_)
    np.testing.assert_allclose(frequency.values[31 // 2 + 1], 440 * 2 ** (1 / 24))
    np.testing.assert_allclose(np.diff(time.values), 16 * 0.008)


def test_report_preset_has_198_channels(sounds):
    strf = STRFTransformer(rates="eremeeva2017", scales="eremeeva2017").fit(sounds)
    assert strf.transform(sounds[:1]).shape[1:3] == (11, 18)
    np.testing.assert_allclose(strf.scales_[[0, -1]], [0.25, 8])
    np.testing.assert_allclose(strf.rates_[[0, 8, 9, -1]], [-32, -2, 2, 32])


@pytest.mark.parametrize("rate", [-8, 8])
def test_sign_of_the_rate_is_the_direction(rate):
    x = moving_ripple(rate, 1, 2.0, random_state=0)[None]
    strf = STRFTransformer(bandpass=True, compression=None, contrast=False).fit(x)
    profile = strf.transform(x).mean(axis=(0, 1, 3, 4))
    assert strf.rates_[profile.argmax()] == rate


@pytest.mark.parametrize("level", [1e-3, 20.0])
def test_level_is_no_feature_unless_asked_for(sounds, level):
    expected = STRFTransformer().fit_transform(sounds)
    np.testing.assert_allclose(
        STRFTransformer().fit_transform(level * sounds), expected, atol=2e-3
    )
    raw = STRFTransformer(normalize=False, contrast=False)
    assert np.abs(raw.fit_transform(level * sounds) - raw.fit_transform(sounds)).max() > 0.1


@pytest.mark.parametrize("compression", ["log", "cbrt", None])
@pytest.mark.parametrize("output", ["magnitude", "complex", "real"])
def test_silence_and_constants_give_finite_numbers(compression, output):
    X = np.stack([np.zeros(4000), np.full(4000, 0.3), np.eye(1, 4000)[0]])
    strf = STRFTransformer(compression=compression, output=output)
    tensor = strf.fit_transform(X)
    assert np.isfinite(tensor).all()
    np.testing.assert_array_equal(tensor[0], tensor[1])


@pytest.mark.parametrize("output", ["complex", "real"])
def test_compression_keeps_the_sign_and_phase(sounds, output):
    options = {"output": output, "contrast": False}
    plain = STRFTransformer(compression=None, **options).fit_transform(sounds)
    cube = STRFTransformer(compression="cbrt", **options).fit_transform(sounds)
    np.testing.assert_allclose(np.abs(cube), np.cbrt(np.abs(plain)), rtol=1e-4)
    large = np.abs(plain) > 1e-3
    np.testing.assert_allclose(np.angle(cube[large]), np.angle(plain[large]), atol=1e-3)


def test_contrast_removes_the_mean_over_channels(sounds):
    tensor = STRFTransformer(contrast=True).fit_transform(sounds)
    np.testing.assert_allclose(tensor.mean(axis=(1, 2)), 0, atol=1e-5)


def test_contrast_needs_a_logarithm(sounds):
    with pytest.raises(ValueError, match="contrast"):
        STRFTransformer(contrast=True, compression="cbrt").fit(sounds)
    auto = STRFTransformer(compression="cbrt").fit(sounds)  # "auto" simply leaves it out
    assert (auto.transform(sounds) >= 0).all()


def test_contrast_makes_a_recording_gain_vanish():
    # A gain that varies slowly over frequency (microphone, room) divides out.
    x = moving_ripple(4, 2, 2.0, random_state=0)
    spectrum = np.fft.rfft(x)
    octaves = np.log2(np.fft.rfftfreq(len(x), 1 / 16000)[1:] / 1000)
    spectrum[1:] *= 10 ** (-6 * octaves / 20)  # 6 dB per octave
    X = np.stack([x, np.fft.irfft(spectrum, len(x))])
    with_contrast = STRFTransformer(contrast=True).fit_transform(X)
    without = STRFTransformer(contrast=False).fit_transform(X)

    def change(tensor):
        return np.abs(tensor[0] - tensor[1]).mean() / tensor.std()

    assert change(with_contrast) < 0.6 * change(without)


def test_torch_in_torch_out(sounds):
    strf = STRFTransformer().fit(sounds)
    tensor = strf.transform(torch.from_numpy(sounds))
    assert isinstance(tensor, torch.Tensor)
    np.testing.assert_array_equal(tensor.numpy(), strf.transform(sounds))


def test_dtype_can_be_chosen(sounds):
    assert STRFTransformer(dtype="float64").fit_transform(sounds).dtype == np.float64
    low = STRFTransformer(dtype="float32").fit_transform(sounds.astype(float))
    assert low.dtype == np.float32
    high = STRFTransformer().fit_transform(sounds.astype(float))
    assert np.abs(low - high).max() < 1e-2  # logarithms of values near the floor


def test_n_jobs_changes_nothing(sounds):
    expected = STRFTransformer(n_jobs=1).fit_transform(sounds)
    np.testing.assert_array_equal(STRFTransformer(n_jobs=2).fit_transform(sounds), expected)


@pytest.mark.parametrize("rate", [8000, 22050, 44100])
def test_axes_hold_for_any_sample_rate_and_length(rate):
    for n_times in (1, 127, 2049, 9999):
        X = np.random.default_rng(0).standard_normal((1, n_times))
        strf = STRFTransformer(sample_rate=rate, frame_step=4).fit(X)
        assert strf.transform(X).shape[1:] == tuple(len(a.values) for a in strf.axes_)


MEMORY = r"""
import re, numpy as np
from skstrf import STRFTransformer

def peak():  # ru_maxrss would include the process that this one was forked from
    return int(re.search(r"VmHWM:\s*(\d+)", open("/proc/self/status").read())[1])

X = np.random.default_rng(0).standard_normal((12, 480000)).astype("float32")
strf = STRFTransformer(rates="eremeeva2017", scales="eremeeva2017", frame_step=16).fit(X)
strf.transform(X[:1, :])
before = peak()
tensor = strf.transform(X)
print((peak() - before) * 1024 - tensor.nbytes)
"""


@pytest.mark.slow
def test_memory_is_the_output_and_a_workspace():
    run = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True)
    assert float(run.stdout) < 500e6, run.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"rates": (2, 100)}, "half the frame rate"),
        ({"rates": (4, 2)}, "ascending"),
        ({"rates": "paper"}, "rates"),
        ({"scales": (0.5, 20)}, "channel density"),
        ({"scales": ()}, "scales"),
        ({"sample_rate": -1}, "sample_rate"),
        ({"frame_step": 0}, "frame_step"),
        ({"output": "power"}, "output"),
        ({"compression": "sqrt"}, "compression"),
        ({"device": "cuda:99"}, "CUDA"),
        ({"device": "toaster"}, "device"),
    ],
)
def test_bad_settings_are_named(sounds, options, words):
    if words == "CUDA" and torch.cuda.is_available():
        pytest.skip("there is a CUDA GPU here")
    with pytest.raises(ValueError, match=words):
        STRFTransformer(**options).fit(sounds).transform(sounds)


def test_stereo_is_explained():
    with pytest.raises(ValueError, match="mono"):
        STRFTransformer().fit(np.zeros((2, 2, 1000)))


def _relative(actual, expected):
    return np.linalg.norm(actual - expected) / np.linalg.norm(expected)


@pytest.mark.parametrize(
    ("options", "bound"),
    [
        ({"output": "complex"}, 0.01),
        ({"output": "complex", "compression": None}, 0.01),
        ({"output": "complex", "compression": "cbrt", "frame_step": 4}, 0.02),
        ({"output": "real"}, 0.01),
        ({"output": "magnitude", "contrast": False}, 0.25),
        ({"output": "complex", "frame_step": 8, "channel_step": 2}, 0.5),
    ],
)
def test_inverse_gives_the_spectrogram_back(sounds, options, bound):
    strf = STRFTransformer(**{"pooling": "sample", "frame_step": 1} | options)
    x = sounds[:1, : 5000 if options["output"] == "magnitude" else None]
    back = strf.inverse_spectrogram(strf.fit_transform(x))
    x = x - x.mean()
    expected = auditory_spectrogram(x / x.std())
    assert back.shape == expected.shape
    assert back.dtype == np.float32
    assert back.min() >= 0
    assert _relative(back, expected) < bound


@pytest.mark.parametrize("options", [{"frame_step": 8}, {"frame_step": 4, "contrast": False}])
def test_inverse_of_averages_has_the_same_tensor(sounds, options):
    strf = STRFTransformer(rates=(4, 16), scales=(0.5, 2), max_iter=60, **options)
    tensor = strf.fit_transform(sounds[:1, :4000])
    back = strf.inverse_spectrogram(tensor)
    again = np.empty_like(tensor)
    strf._cortical(back, "cpu", into=again)
    assert _relative(again, tensor) < 0.3


def test_inverse_gives_sound_of_the_right_length(sounds):
    strf = STRFTransformer(
        output="complex", frame_step=1, pooling="sample", sample_rate=22050, random_state=0
    )
    tensor = strf.fit_transform(sounds[:2, :2500])
    y = strf.set_params(max_iter=40).inverse_transform(tensor)
    assert y.shape == (2, 2500)
    assert _relative(strf.transform(y), tensor) < 0.3
    once = strf.set_params(max_iter=2).inverse_transform(tensor)
    from_torch = strf.inverse_transform(torch.from_numpy(tensor))
    np.testing.assert_array_equal(from_torch.numpy(), once)


def test_inverse_starts_from_a_sound_where_one_is_given(sounds):
    strf = STRFTransformer(
        output="complex",
        frame_step=1,
        pooling="sample",
        sample_rate=22050,
        max_iter=10,
        random_state=0,
    )
    X = sounds[:2, :2500]
    tensor = strf.fit_transform(X)

    def error(y):
        return _relative(strf.transform(y), tensor)

    hinted = strf.inverse_transform(tensor, phase=3 * X)
    assert hinted.shape == X.shape
    assert error(hinted) < 0.5 * error(strf.inverse_transform(tensor))
    with pytest.raises(ValueError, match="phase has shape"):
        strf.inverse_transform(tensor, phase=X[:, 1:])
    with pytest.raises(ValueError, match="phase contains NaN"):
        strf.inverse_transform(tensor, phase=np.full_like(X, np.nan))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t[:, :5], "scale, rate, frequency, time"),
        (lambda t: t[..., :-1], "settings"),
        (lambda t: t * 1j, "output"),
        (lambda t: t * np.nan, "NaN"),
        (lambda t: t[:0], "shape"),
    ],
)
def test_bad_tensors_are_named(sounds, change, words):
    strf = STRFTransformer(frame_step=16).fit(sounds)
    with pytest.raises(ValueError, match=words):
        strf.inverse_transform(change(strf.transform(sounds[:1])))


def test_tensor_of_other_parameters_is_refused(sounds):
    tensor = STRFTransformer(rates=(4, 8)).fit_transform(sounds)
    with pytest.raises(ValueError, match="settings"):
        STRFTransformer().fit(sounds).inverse_transform(tensor)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
@pytest.mark.parametrize("options", [{}, {"frame_step": 16, "pooling": "sample"}])
def test_cuda_gives_the_same_numbers(sounds, options):
    on_cpu = STRFTransformer(device="cpu", compression=None, contrast=False, **options)
    on_gpu = STRFTransformer(device="cuda", compression=None, contrast=False, **options)
    expected = on_cpu.fit_transform(sounds)
    actual = on_gpu.fit_transform(sounds)
    assert np.abs(actual - expected).max() < 1e-4 * expected.max()


@pytest.mark.parametrize(("frame_rate", "step"), [(125, 1), (125 / 8, 8), (62.5, 2), (1, 125)])
def test_frame_rate_stands_for_frame_step(sounds, frame_rate, step):
    by_rate = STRFTransformer(frame_rate=frame_rate).fit(sounds)
    by_step = STRFTransformer(frame_step=step).fit(sounds)
    assert by_rate.frame_step_ == step
    np.testing.assert_array_equal(by_rate.transform(sounds), by_step.transform(sounds))
    np.testing.assert_array_equal(by_rate.axes_[3].values, by_step.axes_[3].values)


@pytest.mark.parametrize("frame_rate", [300, 100, 85])
def test_frame_rate_must_divide_that_of_the_spectrogram(sounds, frame_rate):
    with pytest.raises(ValueError, match="frame_rate"):
        STRFTransformer(frame_rate=frame_rate).fit(sounds)


@pytest.mark.parametrize("sample_rate", [32000, 8000, 64000, 22050])
def test_lengths_whose_resampled_length_is_a_half(sample_rate):
    # One sample more or less is one frame more or less.
    for n_times in range(256 * sample_rate // 32000, 260 * sample_rate // 32000 + 3):
        X = np.ones((1, n_times), dtype=np.float32)
        strf = STRFTransformer(sample_rate, rates=[4], scales=[1], frame_step=1, normalize=False)
        assert np.isfinite(strf.fit_transform(X)).all()
