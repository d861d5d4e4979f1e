"""The cortex against the NSL toolbox, its own laws, and bad input."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from skstrf.auditory import (
    auditory_spectrogram,
    cortical_transform,
    moving_ripple,
    rate_filter,
    scale_filter,
)
from skstrf.auditory.cortex import (
    _sounds_at_a_time,
    check_settings,
    cortical_plan,
    signed_rates,
)

SIGNALS = ("a_tones", "b_noise", "c_harm", "d_ripple")
BANK = {"rates": (4, 8, 16, 32), "scales": (0.25, 0.5, 1, 2, 4, 8)}
TOLERANCE = 1e-5  # of the array's maximum


def ours(array):
    """Reorder the toolbox's rates (4 8 16 32 upward, then downward) to ascending signed order."""
    return np.concatenate([array[:, 3::-1], array[:, 4:]], axis=1)


def relative(actual, expected):
    return np.abs(actual - expected).max() / np.abs(expected).max()


@pytest.fixture(scope="module", params=SIGNALS)
def case(request, nsl):
    return nsl(f"{request.param}_aud")["aud_lin"].T, nsl(f"{request.param}_cor")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_tensor_equals_the_toolbox(case, dtype):
    v, reference = case
    tensor = cortical_transform(v.astype(dtype), **BANK)
    assert tensor.dtype == np.result_type(dtype, np.complex64)
    expected = ours(reference["cor"]).swapaxes(2, 3)
    assert relative(tensor[..., ::5], expected) < TOLERANCE
    magnitude = np.abs(tensor)
    for key, mean in (("cor_rs", (2, 3)), ("cor_rsf", 3), ("cor_rst", 2)):
        assert relative(magnitude.mean(axis=mean), ours(reference[key])) < TOLERANCE
    energy = (magnitude.astype(float) ** 2).sum(axis=(2, 3))
    assert relative(energy, ours(reference["cor_e2"])) < TOLERANCE


def test_bandpass_tensor_equals_the_toolbox(case):
    v, reference = case
    tensor = cortical_transform(v, **BANK, bandpass=True)
    assert relative(tensor[..., ::25], ours(reference["corbp"]).swapaxes(2, 3)) < TOLERANCE
    assert relative(np.abs(tensor).mean(axis=(2, 3)), ours(reference["corbp_rs"])) < TOLERANCE


def test_padded_tensors_equal_the_toolbox(case):
    v, reference = case
    full = cortical_transform(v, **BANK, full_time=1, full_frequency=1)
    half = cortical_transform(v, **BANK, full_time=0.5, full_frequency=0.25)
    assert half.shape == tuple(reference["corhalf_shape"].ravel().astype(int)[[0, 1, 3, 2]])
    half_mean = np.abs(half).mean(axis=(2, 3))
    assert relative(half_mean, ours(reference["corhalf_rs"])) < TOLERANCE
    full_mean = np.abs(full).mean(axis=(2, 3))
    assert relative(full_mean, ours(reference["corfull11_rs"])) < TOLERANCE
    if "corfull11" in reference:
        expected = ours(reference["corfull11"]).swapaxes(2, 3)
        assert relative(full[..., ::25], expected) < TOLERANCE


def test_every_frame_of_the_tones_equals_the_toolbox(nsl):
    v = nsl("a_tones_aud")["aud_lin"].T
    expected = ours(nsl("a_tones_corfull")["cor"]).swapaxes(2, 3)
    assert relative(cortical_transform(v, **BANK), expected) < TOLERANCE


@pytest.mark.parametrize("length", [64, 128, 256])
@pytest.mark.parametrize("rate", [1, 2, 4, 8, 16, 32])
@pytest.mark.parametrize(("number", "kind"), [(1, "low"), (2, "band"), (3, "high")])
def test_rate_filters_equal_the_toolbox(nsl, length, rate, number, kind):
    expected = nsl("filters")[f"cort__L{length}_r{rate}_p{number}"].ravel()
    actual = rate_filter(rate, length, kind=kind)
    # The toolbox's phase at zero frequency is that of rounding noise.
    assert np.abs(actual - expected)[1:].max() < 1e-6
    assert abs(abs(actual[0]) - abs(expected[0])) < 1e-6


@pytest.mark.parametrize("rate", [4, 32])
@pytest.mark.parametrize(("number", "kind"), [(1, "low"), (2, "band"), (3, "high")])
def test_rate_filters_at_another_frame_rate_equal_the_toolbox(nsl, rate, number, kind):
    expected = nsl("filters")[f"cort250__L256_r{rate}_p{number}"].ravel()
    actual = rate_filter(rate, 256, frame_rate=250, kind=kind)
    assert np.abs(actual - expected)[1:].max() < 1e-6


@pytest.mark.parametrize(("index", "scale"), list(enumerate([0.25, 0.5, 1, 2, 4, 8], start=1)))
@pytest.mark.parametrize(("number", "kind"), [(1, "low"), (2, "band"), (3, "high")])
def test_scale_filters_equal_the_toolbox(nsl, index, scale, number, kind):
    expected = nsl("filters")[f"corf__L128_s{index}_p{number}"].ravel()
    assert np.abs(scale_filter(scale, kind=kind) - expected).max() < 1e-6


@settings(max_examples=30, deadline=None)
@given(
    n_frames=st.integers(1, 90),
    step=st.integers(1, 40),
    channel_step=st.integers(1, 5),
    full=st.sampled_from([0.0, 0.5, 1.0]),
)
def test_frame_step_equals_every_kth_frame(n_frames, step, channel_step, full):
    v = np.random.default_rng(n_frames).random((128, n_frames)).astype(np.float32)
    whole = cortical_transform(v, rates=(4, 16), scales=(0.5, 2), full_time=full)
    part = cortical_transform(
        v, rates=(4, 16), scales=(0.5, 2), full_time=full, frame_step=step,
        channel_step=channel_step,
    )  # fmt: skip
    expected = whole[:, :, ::channel_step, ::step]
    assert part.shape == expected.shape
    assert np.abs(part - expected).max() < TOLERANCE * np.abs(whole).max()


@pytest.mark.parametrize("step", [1, 3, 8, 100])
@pytest.mark.parametrize("output", ["magnitude", "real", "complex"])
def test_mean_pooling_averages_windows(step, output):
    v = np.random.default_rng(0).random((128, 50))
    tensor = cortical_transform(v, rates=(4, 16), scales=(1, 2))
    values = {"magnitude": np.abs, "real": np.real, "complex": np.asarray}[output](tensor)
    expected = [values[..., i : i + step].mean(axis=-1) for i in range(0, 50, step)]
    pooled = cortical_transform(
        v, rates=(4, 16), scales=(1, 2), frame_step=step, output=output, pooling="mean"
    )
    np.testing.assert_allclose(pooled, np.stack(expected, axis=-1), atol=1e-12)


def test_is_linear_and_batched():
    rng = np.random.default_rng(0)
    a, b = rng.random((2, 128, 40))
    both = cortical_transform(np.stack([a, b, 2 * a - 3 * b]).reshape(3, 1, 128, 40))
    assert both.shape == (3, 1, 6, 10, 128, 40)
    np.testing.assert_allclose(both[2], 2 * both[0] - 3 * both[1], atol=1e-12)
    np.testing.assert_allclose(both[1, 0], cortical_transform(b), atol=1e-14)


@pytest.mark.parametrize("step", [1, 2, 3, 5])
@pytest.mark.parametrize("options", [{}, {"output": "magnitude", "pooling": "mean"}])
def test_batches_worked_in_parts_are_the_same(monkeypatch, step, options):
    v = np.random.default_rng(0).random((5, 128, 20))
    whole = np.stack([cortical_transform(one, frame_step=4, **options) for one in v])
    monkeypatch.setattr("skstrf.auditory.cortex._sounds_at_a_time", lambda *_: step)
    actual = cortical_transform(v, frame_step=4, **options)
    np.testing.assert_allclose(actual, whole, atol=1e-13)


def test_parts_fit_the_memory_given():
    class OnGPU:
        device = torch.device("cuda")

        def __len__(self):
            return 100

        def element_size(self):
            return 4

    plan = cortical_plan((128, 1000), check_settings([4.0], [1.0], 125, 24, False, 1, 1))
    sounds = [_sounds_at_a_time(plan, 1000, OnGPU(), memory) for memory in (1e6, 1e8, 1e9, 1e12)]
    assert sounds[0] == 1  # less than one sound there cannot be
    assert sounds[1] < sounds[2] < sounds[3] == 100
    assert sounds[2] * 4 * 8 * (128 * 2048 + 128 * 1000) <= 1e9


def test_torch_stays_torch_and_carries_gradients():
    v = torch.rand(2, 128, 12, dtype=torch.float64)
    tensor = cortical_transform(v, rates=(4, 8), scales=(1, 2))
    assert isinstance(tensor, torch.Tensor)
    np.testing.assert_array_equal(
        tensor.numpy(), cortical_transform(v.numpy(), rates=(4, 8), scales=(1, 2))
    )
    small = torch.rand(8, 4, dtype=torch.float64, requires_grad=True)

    def forward(x):
        return torch.view_as_real(cortical_transform(x, rates=(4, 16), scales=(1, 2)))

    assert torch.autograd.gradcheck(forward, small, fast_mode=True)


@pytest.mark.parametrize("rate", [-16, -8, -4, 4, 8, 16])
@pytest.mark.parametrize("scale", [0.5, 1, 2, 4])
def test_ripples_excite_the_channel_they_were_made_for(rate, scale):
    ripple = moving_ripple(rate, scale, 1.5, random_state=1)
    v = auditory_spectrogram(ripple)
    v = v - v.mean(axis=1, keepdims=True)
    rates, scales = (2, 4, 8, 16, 32), (0.25, 0.5, 1, 2, 4, 8)
    tensor = cortical_transform(v, rates=rates, scales=scales, bandpass=True)
    tensor = tensor[:, :, 20:110, 30:-30]
    best = np.unravel_index((np.abs(tensor) ** 2).mean(axis=(2, 3)).argmax(), (6, 10))
    assert (scales[best[0]], signed_rates(rates)[best[1]]) == (scale, rate)


def test_ripple_is_standardized_and_reproducible():
    ripple = moving_ripple(4, 1, 0.5, sample_rate=22050, random_state=3)
    assert ripple.shape == (11025,)
    assert abs(ripple.mean()) < 1e-12
    assert abs(ripple.std() - 1) < 1e-12
    np.testing.assert_array_equal(
        ripple, moving_ripple(4, 1, 0.5, sample_rate=22050, random_state=3)
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"scale": -1}, "scale"),
        ({"depth": 2}, "depth"),
        ({"duration": 0}, "duration"),
        ({"sample_rate": 300}, "sample_rate"),
        ({"rate": np.nan}, "rate"),
    ],
)
def test_bad_ripples_are_named(options, words):
    with pytest.raises(ValueError, match=words):
        moving_ripple(**{"rate": 4, "scale": 1, "duration": 1, **options})


def test_one_frame_is_finite():
    tensor = cortical_transform(np.ones((128, 1)))
    assert np.isfinite(tensor).all()
    assert np.abs(tensor).max() > 0


@pytest.mark.parametrize(
    ("v", "options", "words"),
    [
        (np.zeros(128), {}, "n_freqs, n_frames"),
        (np.zeros((128, 0)), {}, "none of them empty"),
        (np.full((128, 4), np.nan), {}, "NaN or infinite"),
        (np.zeros((128, 4), complex), {}, "must be real"),
        (np.zeros((128, 4)), {"rates": (4, 70)}, "half the frame rate"),
        (np.zeros((128, 4)), {"rates": (8, 4)}, "ascending"),
        (np.zeros((128, 4)), {"rates": (-4, 4)}, "positive"),
        (np.zeros((128, 4)), {"rates": ()}, "rates"),
        (np.zeros((128, 4)), {"scales": (1, 13)}, "channel density"),
        (np.zeros((128, 4)), {"scales": (1, np.inf)}, "scales"),
        (np.zeros((128, 4)), {"frame_step": 0}, "frame_step"),
        (np.zeros((128, 4)), {"channel_step": 1.5}, "channel_step"),
        (np.zeros((128, 4)), {"full_time": 2}, "full_time"),
        (np.zeros((128, 4)), {"output": "phase"}, "output"),
        (np.zeros((128, 4)), {"pooling": "max"}, "pooling"),
    ],
)
def test_bad_input_is_named(v, options, words):
    with pytest.raises(ValueError, match=words):
        cortical_transform(v, **options)


def test_the_fastest_rate_is_half_the_frame_rate():
    assert np.isfinite(rate_filter(62.5, 64)).all()
    with pytest.raises(ValueError, match="rate"):
        rate_filter(62.6, 64)
