"""Cochlea and Cortex as torch modules: the same numbers, right gradients, good manners."""

import copy
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from skstrf.auditory import Cochlea, Cortex, auditory_spectrogram, cortical_transform
from skstrf.auditory.modules import _fast_length

MODES = [
    {},
    {"nonlinearity": "half-wave"},
    {"nonlinearity": 0.1},
    {"time_constant": 0},
    {"hop_duration": 16, "time_constant": 64},
    {"hop_duration": 10, "nonlinearity": "half-wave"},
    {"octave_shift": -1},
]
has_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")


@pytest.mark.parametrize("options", MODES, ids=str)
@pytest.mark.parametrize(
    "name",
    [
        "a_tones",
        *(pytest.param(x, marks=pytest.mark.slow) for x in ("b_noise", "c_harm")),
        "d_ripple",
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_cochlea_equals_the_kernel(nsl, options, name, dtype):
    x = torch.from_numpy(nsl("signals")[name]).to(dtype)
    cochlea = Cochlea(**options)
    expected = auditory_spectrogram(x.numpy(), sample_rate=cochlea.sample_rate, **options)
    actual = cochlea(x)
    assert actual.dtype == dtype
    assert np.abs(actual.numpy() - expected).max() < 1e-5 * expected.max()


def test_hard_hair_cell_equals_the_kernel_where_it_is_defined(nsl):
    x = nsl("signals")["d_ripple"]  # never silent: no sign bits of rounding noise
    expected = auditory_spectrogram(x, nonlinearity="hard")
    actual = Cochlea(nonlinearity="hard")(torch.from_numpy(x)).numpy()
    assert np.abs(actual - expected).max() < 1e-5 * expected.max()


@settings(max_examples=15, deadline=None)
@given(
    n_times=st.integers(2, 3000),
    mean=st.sampled_from([0.0, 0.3]),
    hop_duration=st.sampled_from([1.0, 4.0, 8.0, 11.3]),
    time_constant=st.sampled_from([0.0, 2.0, 8.0, 200.0]),
    nonlinearity=st.sampled_from(["linear", "half-wave", 0.05]),
)
def test_cochlea_of_any_length_and_setting(
    n_times, mean, hop_duration, time_constant, nonlinearity
):
    x = np.random.default_rng(n_times).standard_normal((2, 1, n_times))
    x += mean - x.mean(axis=-1, keepdims=True)
    options = {
        "hop_duration": hop_duration,
        "time_constant": time_constant,
        "nonlinearity": nonlinearity,
    }
    expected = auditory_spectrogram(x, **options)
    actual = Cochlea(**options)(torch.from_numpy(x)).numpy()
    assert actual.shape == expected.shape
    assert np.abs(actual - expected).max() <= 1e-5 * expected.max()


@pytest.mark.parametrize(
    "nonlinearity", [pytest.param("linear", marks=pytest.mark.slow), "half-wave", 0.1]
)
def test_gradients_of_the_cochlea(nonlinearity):
    cochlea = Cochlea(hop_duration=1, nonlinearity=nonlinearity)
    x = torch.from_numpy(np.random.default_rng(0).standard_normal((2, 40))).requires_grad_()
    assert torch.autograd.gradcheck(cochlea, (x,), fast_mode=True)
    assert torch.autograd.gradcheck(cochlea, (x[:1, :12],))  # every single derivative


@pytest.mark.parametrize("output", ["magnitude", "real", "complex"])
@pytest.mark.parametrize(
    "options", [{}, {"frame_step": 2}, {"frame_step": 2, "pooling": "mean"}], ids=str
)
def test_gradients_of_the_cortex(output, options):
    cortex = Cortex(rates=(4, 16), scales=(1, 4), channel_step=3, output=output, **options)
    v = torch.from_numpy(np.random.default_rng(0).random((8, 5))).requires_grad_()
    assert torch.autograd.gradcheck(cortex, (v,))


def test_gradients_of_the_chain():
    chain = torch.nn.Sequential(Cochlea(nonlinearity="half-wave"), Cortex((4, 16), (1, 2)))
    x = torch.from_numpy(np.random.default_rng(0).standard_normal(500)).requires_grad_()
    assert torch.autograd.gradcheck(chain, (x,), fast_mode=True)


@pytest.mark.parametrize("output", ["magnitude", "real", "complex"])
@pytest.mark.parametrize("pooling", ["sample", "mean"])
def test_cortex_equals_the_function(output, pooling):
    v = torch.rand(2, 3, 128, 37, generator=torch.Generator().manual_seed(0))
    options = {"frame_step": 4, "output": output, "pooling": pooling}
    expected = cortical_transform(v, **options)
    actual = Cortex(**options)(v)
    assert actual.shape == expected.shape
    assert (actual - expected).abs().max() < 1e-5 * expected.abs().max()


@pytest.mark.parametrize("backend", [pytest.param("eager", marks=pytest.mark.slow), "aot_eager"])
def test_modules_can_be_compiled(backend):
    model = torch.nn.Sequential(Cochlea(), Cortex((4, 8), (1, 2), frame_step=4))
    x = torch.randn(2, 3000, generator=torch.Generator().manual_seed(0))
    expected = model(x)  # makes the filters, which no compiler need look into
    compiled = torch.compile(model, backend=backend, fullgraph=True)
    torch.testing.assert_close(compiled(x), expected)
    torch._dynamo.reset()


def test_modules_are_part_of_a_network():
    net = torch.nn.Sequential(
        Cochlea(), Cortex((4, 8), (1, 2)), torch.nn.Flatten(), torch.nn.Linear(2 * 4 * 128 * 8, 3)
    )
    x = torch.randn(4, 1024, generator=torch.Generator().manual_seed(0))
    net(x).square().mean().backward()
    assert all(p.grad is not None for p in net.parameters())
    assert set(net.state_dict()) == {"3.weight", "3.bias"}  # the model itself is not learned
    for clone in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        torch.testing.assert_close(clone(x), net(x))
    assert net.double()(x.double()).dtype == torch.float64


@pytest.mark.parametrize(
    ("module", "x", "words"),
    [
        (Cochlea, torch.zeros(4, dtype=torch.int64), "real"),
        (Cochlea, torch.zeros(2, 0), "sample"),
        (Cortex, torch.zeros(128), "n_frames"),
        (Cortex, torch.zeros(128, 4, dtype=torch.complex64), "real"),
    ],
)
def test_bad_input_is_named(module, x, words):
    with pytest.raises(ValueError, match=words):
        module()(x)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"rates": (4, 2)}, "ascending"),
        ({"output": "power"}, "output"),
        ({"pooling": "max"}, "pooling"),
        ({"frame_step": 0}, "frame_step"),
    ],
)
def test_bad_settings_are_named(options, words):
    with pytest.raises(ValueError, match=words):
        Cortex(**options)
    with pytest.raises(ValueError, match="nonlinearity"):
        Cochlea(nonlinearity="soft")


@pytest.mark.cuda
@has_cuda
@pytest.mark.parametrize("nonlinearity", ["linear", "half-wave"])
def test_cuda_gives_the_same_numbers(nsl, nonlinearity):
    x = torch.from_numpy(nsl("signals")["c_harm"])[None]
    model = torch.nn.Sequential(Cochlea(nonlinearity=nonlinearity), Cortex(output="complex"))
    expected = model(x)
    actual = model.cuda()(x.cuda()).cpu()
    assert (actual - expected).abs().max() < 1e-4 * expected.abs().max()


def test_the_linear_cochlea_in_one_step_is_that_of_autograd():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn((2, 20000), generator=generator, dtype=torch.float64).requires_grad_()
    cochlea = Cochlea()
    frames = cochlea(x)
    steps = cochlea.integrate(cochlea.lateral_difference(x))
    torch.testing.assert_close(frames, steps, rtol=1e-9, atol=1e-12)
    weights = torch.randn(frames.shape, generator=generator, dtype=torch.float64)
    (gradient,) = torch.autograd.grad((frames * weights).sum(), x)
    (expected,) = torch.autograd.grad((steps * weights).sum(), x)
    torch.testing.assert_close(
        gradient, expected, rtol=1e-9, atol=1e-12 * float(expected.abs().max())
    )


def test_lengths_of_transforms_are_the_shortest_even_ones_with_small_factors():
    allowed = sorted(2**k * odd for k in range(1, 12) for odd in (1, 3, 5, 9, 15))
    for n in range(1, 2000):
        assert _fast_length(n) == min(length for length in allowed if length >= n)
