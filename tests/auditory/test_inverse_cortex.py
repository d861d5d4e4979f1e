"""The way back from the cortex: the toolbox's numbers, the algebra, the errors, bad input."""

import numpy as np
import pytest
import torch

from skstrf.auditory import (
    auditory_spectrogram,
    cortical_transform,
    invert_cortical_transform,
    invert_scale_transform,
    moving_ripple,
    scale_transform,
)
from skstrf.auditory.cortex import analyze, check_settings, cortical_plan
from skstrf.auditory.inverse_cortex import CorticalOperator, cortical_adjoint

SIGNALS = (
    pytest.param("a_tones", marks=pytest.mark.slow),
    "b_noise",
    pytest.param("c_harm", marks=pytest.mark.slow),
    "d_ripple",
)
BANK = {"rates": (4, 8, 16, 32), "scales": (0.25, 0.5, 1, 2, 4, 8)}
TOLERANCE = 1e-5  # of the array's maximum
# The toolbox's variants: settings of the tensor, norm.
VARIANTS = {
    "rec_def": ({}, 0.9),
    "rec_n1": ({}, 1.0),
    "rec_n0": ({}, 0.0),
    "recbp_n9": ({"bandpass": True}, 0.9),
    "recfull_def": ({"full_time": 1, "full_frequency": 1}, 0.9),
    "recfull_n1": ({"full_time": 1, "full_frequency": 1}, 1.0),
}


def error(actual, expected):
    """Relative L2 error."""
    return np.linalg.norm(actual - expected) / np.linalg.norm(expected)


def relative(actual, expected):
    return np.abs(actual - expected).max() / np.abs(expected).max()


@pytest.fixture(scope="module", params=SIGNALS)
def case(request, nsl):
    return nsl(f"{request.param}_aud")["aud_lin"].T, nsl(f"{request.param}_rec")


@pytest.mark.parametrize("key", VARIANTS)
def test_normalized_equals_the_toolbox(case, key):
    v, reference = case
    options, norm = VARIANTS[key]
    options = BANK | options
    tensor = cortical_transform(v, **options)
    actual = invert_cortical_transform(
        tensor, **options, method="normalized", norm=norm, n_frames=v.shape[1]
    )
    assert relative(actual, reference[key].T.real) < TOLERANCE


def test_normalized_equals_the_toolbox_but_for_what_it_leaves_behind(case):
    # With part of the frequency padding kept, ``corfftc`` moves the columns of the tensor
    # without clearing where they were: 2 * 16 of the 160 count twice. Put them back to compare.
    v, reference = case
    options = BANK | {"full_time": 0.5}
    whole = cortical_transform(v, **options, full_frequency=1)
    part = cortical_transform(v, **options, full_frequency=0.25)
    as_toolbox = np.zeros_like(whole)  # 64 channels below, 128, 64 above
    as_toolbox[:, :, 48:208] = part
    as_toolbox[:, :, 208:224] = part[:, :, 144:]
    settings = options | {"method": "normalized", "norm": 1.0, "n_frames": v.shape[1]}
    actual = invert_cortical_transform(as_toolbox, **settings, full_frequency=1)
    expected = reference["rechalf_n1"].T.real
    assert relative(actual, expected) < TOLERANCE
    ours = invert_cortical_transform(part, **settings, full_frequency=0.25)
    assert relative(ours, expected) > 1e-3


def test_scale_transform_and_back_equal_the_toolbox(case, nsl, request):
    name = request.node.callspec.params["case"]
    v, reference = case
    c = scale_transform(v)
    assert relative(c[..., 59], nsl(f"{name}_cor")["cors60"].T) < TOLERANCE
    back = invert_scale_transform(c)
    assert relative(back[:, 59], reference["recs60"].real) < TOLERANCE


PLANS = [
    {},
    {"frame_step": 8},
    {"frame_step": 6, "channel_step": 3, "full_time": 0.5, "full_frequency": 0.3},
    {"frame_step": 5, "bandpass": True},
    {"full_time": 1, "full_frequency": 1},
    {"frame_step": 64},
]


@pytest.mark.parametrize("options", PLANS, ids=str)
@pytest.mark.parametrize("n_frames", [1, 50, 64])
def test_adjoint_identity_and_normal_operator(options, n_frames):
    rng = np.random.default_rng(0)
    defaults = {
        "frame_step": 1, "channel_step": 1, "full_time": 0.0, "full_frequency": 0.0,
        "bandpass": False,
    } | options  # fmt: skip
    settings = check_settings([4, 8, 16], [0.5, 1, 4], 125, 24, **defaults)
    plan = cortical_plan((128, n_frames), settings)
    v = torch.from_numpy(rng.standard_normal((128, n_frames)))
    response = analyze(v[None], plan)[0]
    c = torch.from_numpy(
        rng.standard_normal(response.shape) + 1j * rng.standard_normal(response.shape)
    )
    forward = float((response.conj() * c).sum().real)
    backward = float((v * cortical_adjoint(c, plan)).sum())
    assert forward == pytest.approx(backward, rel=1e-10, abs=1e-9)
    system = CorticalOperator(plan, torch.float64, v.device)
    expected = cortical_adjoint(response, plan)
    assert float((system.normal(v) - expected).norm()) <= 1e-12 * float(expected.norm())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_least_squares_from_the_truncated_tensor(case, dtype):
    v = case[0].astype(dtype)
    w = invert_cortical_transform(cortical_transform(v))
    assert w.dtype == dtype
    assert error(w, v) < 0.002  # the toolbox leaves .37 to .60
    rough = invert_cortical_transform(cortical_transform(v), max_iter=10, tol=0)
    assert error(rough, v) < 0.05
    better = invert_cortical_transform(cortical_transform(v), max_iter=60, tol=0)
    assert error(better, v) < (1e-5 if dtype == np.float32 else 1e-9)


@pytest.mark.parametrize(("step", "bound"), [(2, 0.002), (4, 0.002), (8, 0.1), (16, 0.18)])
def test_least_squares_from_some_frames(case, step, bound):
    v = case[0]
    tensor = cortical_transform(v, frame_step=step)
    w = invert_cortical_transform(
        tensor, frame_step=step, n_frames=v.shape[1], max_iter=60, tol=1e-9
    )
    assert error(w, v) < bound


def test_least_squares_minimizes_the_distance_to_any_tensor():
    rng = np.random.default_rng(0)
    shape = (6, 10, 128, 20)
    c = rng.standard_normal(shape) + 1j * rng.standard_normal(shape)
    w = invert_cortical_transform(c, max_iter=200, tol=1e-12)
    best = np.linalg.norm(cortical_transform(w) - c)
    for _ in range(5):
        other = w + 0.01 * rng.standard_normal(w.shape)
        assert np.linalg.norm(cortical_transform(other) - c) > best


def test_real_part_is_enough(case):
    v = case[0]
    tensor = cortical_transform(v, output="real")
    assert error(invert_cortical_transform(tensor, content="real"), v) < 0.01


# Half of each signal, and with -m slow the whole.
@pytest.mark.parametrize("n_frames", [60, pytest.param(None, marks=pytest.mark.slow)])
def test_phase_retrieval(case, n_frames):
    v = case[0][:, :n_frames]
    magnitude = cortical_transform(v, output="magnitude")
    w = invert_cortical_transform(magnitude, content="magnitude", max_iter=100)
    assert w.min() >= 0
    assert error(w, v) < 0.15
    again = cortical_transform(w, output="magnitude")
    assert error(again, magnitude) < 0.03


def test_batches_torch_and_silence():
    v = auditory_spectrogram(np.stack([moving_ripple(4, 1, 0.5, random_state=i) for i in (0, 1)]))
    tensor = cortical_transform(v)
    w = invert_cortical_transform(tensor)
    assert w.shape == v.shape
    np.testing.assert_allclose(invert_cortical_transform(tensor[0]), w[0], atol=1e-9)
    from_torch = invert_cortical_transform(torch.from_numpy(tensor))
    assert isinstance(from_torch, torch.Tensor)
    np.testing.assert_array_equal(from_torch.numpy(), w)
    for content in ("complex", "real", "magnitude"):
        silence = cortical_transform(0 * v[0], output=content)
        assert not invert_cortical_transform(silence, content=content).any()


@pytest.mark.parametrize(
    ("change", "options", "words"),
    [
        (lambda c: c.transpose(0, 1, 3, 2), {}, "swapped"),
        (lambda c: c[:5], {}, "settings"),
        (lambda c: c[0], {}, "axes"),
        (lambda c: c[:, :, :100], {}, "settings"),
        (lambda c: c * np.nan, {}, "NaN"),
        (lambda c: c.real, {}, "content"),
        (lambda c: c.real, {"content": "magnitude"}, "negative"),
        (lambda c: c, {"content": "power"}, "content"),
        (lambda c: c, {"method": "pinv"}, "method"),
        (lambda c: c, {"norm": 2}, "norm"),
        (lambda c: c, {"max_iter": 0}, "max_iter"),
        (lambda c: c, {"n_frames": 30}, "settings"),
        (lambda c: c, {"rates": (2, 4)}, "settings"),
        (lambda c: c, {"frame_rate": 50}, "frame rate"),
        (lambda c: c, {"method": "normalized", "frame_step": 2}, "least-squares"),
    ],
)
def test_bad_input_is_named(change, options, words):
    tensor = cortical_transform(np.random.default_rng(0).random((128, 40)))
    with pytest.raises(ValueError, match=words):
        invert_cortical_transform(change(tensor), **options)


def test_bad_scale_responses_are_named():
    c = scale_transform(np.ones((128, 3)))
    with pytest.raises(ValueError, match="scales"):
        invert_scale_transform(c[:3])
    with pytest.raises(ValueError, match="complex"):
        invert_scale_transform(c.real)
    with pytest.raises(ValueError, match="NaN"):
        scale_transform(np.full((128, 3), np.nan))
