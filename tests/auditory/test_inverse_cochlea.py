"""Spectrograms back to sound: the toolbox's numbers, the errors reached, bad input."""

import numpy as np
import pytest
import torch

from skstrf.auditory import (
    auditory_spectrogram,
    cortical_transform,
    invert_auditory_spectrogram,
    invert_cortical_transform,
)

SIGNALS = (
    pytest.param("a_tones", marks=pytest.mark.slow),
    "b_noise",
    pytest.param("c_harm", marks=pytest.mark.slow),
    "d_ripple",
)
MODES = {"lin": "linear", "half": "half-wave", "sig": 0.1}
# Iterations before the toolbox's errors grow: from there on rounding decides (noise, ripple).
STEADY = {("b_noise", "half"): 2, ("b_noise", "sig"): 2, ("d_ripple", "half"): 2}


def squared_error(actual, expected):
    return ((actual - expected) ** 2).sum() / (expected**2).sum()


@pytest.fixture(scope="module", params=SIGNALS)
def case(request, nsl):
    name = request.param
    return name, nsl("signals"), nsl(f"{name}_aud"), nsl(f"{name}_inv")


@pytest.mark.parametrize("mode", MODES)
def test_projection_equals_the_toolbox(case, mode):
    name, signals, spectrograms, reference = case
    if f"inv_{mode}_x" not in reference:
        pytest.skip("the toolbox was not run on this signal in this mode")
    # aud_half and aud_sig come from a sound whose last sample was zeroed, as the toolbox does.
    v = spectrograms[f"aud_{mode}"].T.astype(float)
    options = {"nonlinearity": MODES[mode], "method": "projection", "start": signals["x0"]}
    x = invert_auditory_spectrogram(v, **options, rescale=False, max_iter=10)
    expected = reference[f"inv_{mode}_x"]
    assert np.abs(x - expected).max() < 1e-3 * np.abs(expected).max()
    errors = reference[f"inv_{mode}_err"][:, 0]
    for n in (1, 3):
        if n >= STEADY.get((name, mode), 10):
            break
        x = invert_auditory_spectrogram(v, **options, rescale=False, max_iter=n)
        again = auditory_spectrogram(x, nonlinearity=MODES[mode])
        relative = 100 * squared_error(again * (v.mean() / again.mean()), v)
        assert relative == pytest.approx(errors[:n].min(), abs=0.02)


def test_projection_of_the_whole_chain_equals_the_toolbox(case):
    _, signals, spectrograms, reference = case
    v = spectrograms["aud_lin"].T.astype(float)
    bank = {"rates": (4, 8, 16, 32)}
    back = invert_cortical_transform(
        cortical_transform(v, **bank), **bank, method="normalized", n_frames=v.shape[1]
    )
    x = invert_auditory_spectrogram(
        back, method="projection", start=signals["x0"], rescale=False, max_iter=10
    )
    expected = reference["chain_x"]
    assert np.abs(x - expected).max() < 1e-3 * np.abs(expected).max()


# A quarter of a second of each, and with -m slow the whole second.
@pytest.mark.parametrize("n_times", [4000, pytest.param(None, marks=pytest.mark.slow)])
@pytest.mark.parametrize(("mode", "bound"), [("linear", 0.01), ("half-wave", 0.06)])
def test_gradients_reach_the_spectrogram(case, mode, bound, n_times):
    name, signals, _, _ = case
    x = signals[name][:n_times]
    v = auditory_spectrogram(x, nonlinearity=mode)
    y = invert_auditory_spectrogram(v, nonlinearity=mode, n_times=len(x), max_iter=50)
    again = auditory_spectrogram(y, nonlinearity=mode)
    assert y.shape == x.shape
    assert y.dtype == np.float32
    assert squared_error(again, v) < bound
    # At the level it should have, with no gain left to fit.
    assert (again * v).sum() / (again**2).sum() == pytest.approx(1, abs=0.01)


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "bound"), [("linear", 0.01), ("half-wave", 0.06)])
def test_gradients_reach_speech_and_music(shared, mode, bound):
    import soundfile
    import soxr

    for path in sorted((shared / "data" / "cc_music_excerpts").glob("*.ogg"))[::8]:
        sound, rate = soundfile.read(path, always_2d=True, frames=3 * 44100)
        x = soxr.resample(sound.mean(axis=1), rate, 16000)[16000:32000].astype(np.float32)
        v = auditory_spectrogram(x / x.std(), nonlinearity=mode)
        y = invert_auditory_spectrogram(v, nonlinearity=mode)
        assert squared_error(auditory_spectrogram(y, nonlinearity=mode), v) < bound, path.name


@pytest.mark.parametrize("mode", ["linear", "half-wave", 0.1])
@pytest.mark.parametrize("method", ["gradient", "projection"])
def test_never_diverges(mode, method):
    x = np.random.default_rng(0).standard_normal(1000)
    v = auditory_spectrogram(x, nonlinearity=mode)
    errors = []
    for max_iter in (1, 5, 25):
        y = invert_auditory_spectrogram(v, nonlinearity=mode, method=method, max_iter=max_iter)
        errors.append(squared_error(auditory_spectrogram(y, nonlinearity=mode), v))
    assert errors[2] <= errors[1] * 1.001 <= errors[0] * 1.01
    assert np.isfinite(errors).all()


@pytest.mark.parametrize("level", [1e-3, 100.0])
def test_level_is_carried_over(level):
    x = level * np.sin(2 * np.pi * 700 * np.arange(2000) / 16000)
    y = invert_auditory_spectrogram(auditory_spectrogram(x), n_times=2000, max_iter=30)
    assert y.std() == pytest.approx(x.std(), rel=0.1)


def test_settings_of_the_model_are_used():
    rng = np.random.default_rng(0)
    options = {"hop_duration": 16, "time_constant": 0, "octave_shift": -1}
    v = auditory_spectrogram(rng.standard_normal(1500), sample_rate=8000, **options)
    y = invert_auditory_spectrogram(v, sample_rate=8000, max_iter=40, **options)
    assert squared_error(auditory_spectrogram(y, sample_rate=8000, **options), v) < 0.02


@pytest.mark.parametrize(("rate", "n_times"), [(22050, 5000), (8000, 2001), (44100, None)])
def test_any_sample_rate_and_length(rate, n_times):
    v = auditory_spectrogram(np.random.default_rng(0).standard_normal(4000))
    y = invert_auditory_spectrogram(v, sample_rate=rate, n_times=n_times, max_iter=2)
    expected = round(32 * 128 * rate / 16000) if n_times is None else n_times
    assert y.shape == (expected,)


def test_batches_seeds_torch_and_silence():
    rng = np.random.default_rng(0)
    v = auditory_spectrogram(rng.standard_normal((2, 1, 1000)))
    y = invert_auditory_spectrogram(v, max_iter=3)
    assert y.shape == (2, 1, 8 * 128)
    np.testing.assert_array_equal(invert_auditory_spectrogram(v, max_iter=3), y)
    other = invert_auditory_spectrogram(v, max_iter=3, random_state=1)
    assert np.abs(other - y).max() > 0.1
    from_torch = invert_auditory_spectrogram(torch.from_numpy(v), max_iter=3)
    assert isinstance(from_torch, torch.Tensor)
    np.testing.assert_array_equal(from_torch.numpy(), y)
    for method in ("gradient", "projection"):
        assert not invert_auditory_spectrogram(0 * v, method=method, max_iter=3).any()


@pytest.mark.parametrize(
    ("change", "options", "words"),
    [
        (lambda v: v.T, {}, "swapped"),
        (lambda v: v[:100], {}, "128"),
        (lambda v: v * np.nan, {}, "NaN"),
        (lambda v: v + 1j, {}, "real"),
        (lambda v: v, {"method": "griffin-lim"}, "method"),
        (lambda v: v, {"max_iter": 0}, "max_iter"),
        (lambda v: v, {"tol": -1}, "tol"),
        (lambda v: v, {"n_times": 10**6}, "n_times"),
        (lambda v: v, {"sample_rate": 0}, "sample_rate"),
        (lambda v: v, {"start": np.nan}, "start"),
        (lambda v: v, {"nonlinearity": "soft"}, "nonlinearity"),
        (lambda v: v, {"device": "toaster"}, "device"),
    ],
)
def test_bad_input_is_named(change, options, words):
    v = auditory_spectrogram(np.random.default_rng(0).standard_normal(1000))
    with pytest.raises(ValueError, match=words):
        invert_auditory_spectrogram(change(v), **options)


@pytest.mark.parametrize(("max_iter", "bursts"), [(3, [3]), (25, [10, 10, 5])])
def test_no_more_steps_are_taken_than_asked_for(monkeypatch, max_iter, bursts):
    taken, step = [], torch.optim.LBFGS.step

    def counted(self, closure):
        taken.append(self.param_groups[0]["max_iter"])
        return step(self, closure)

    monkeypatch.setattr(torch.optim.LBFGS, "step", counted)
    v = auditory_spectrogram(np.random.default_rng(0).standard_normal(4000))
    invert_auditory_spectrogram(v, max_iter=max_iter, tol=0)
    assert taken == bursts
