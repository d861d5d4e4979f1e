"""Cortical statistics against their definitions, and on sounds whose answers are known."""

import numpy as np
import pytest
import torch
from scipy import stats

from skstrf.auditory import auditory_spectrogram, cortical_transform, moving_ripple
from skstrf.texture import CorticalStatistics
from skstrf.texture.cortical import GROUPS, add_moments, field_snr, statistics_snr


def noise(seed, n_times=12000):
    return torch.randn(n_times, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def model():
    return CorticalStatistics(n_frames=128)


def test_groups_against_numpy(model):
    x = noise(0, 16384)
    statistics = model(x)
    assert tuple(statistics) == GROUPS
    v = auditory_spectrogram(x.numpy().astype(float)) + 1e-3
    v = v**0.3 - 1e-3**0.3
    c = cortical_transform(v - v.mean(1, keepdims=True), frame_step=4, channel_step=2)
    expected = {
        "mean": v.mean(1),
        "variation": v.std(1) / v.mean(1),
        "skewness": stats.skew(v, axis=1),
        "correlation": np.corrcoef(v[::4]),
        "power": np.sqrt((abs(c) ** 2).mean(-1)),
        "sparsity": abs(c).std(-1) / abs(c).mean(-1),
        "gram": np.einsum("srft,abft->srab", abs(c), abs(c)).reshape(60, 60) / c.shape[-1],
    }
    few = c[:, :, ::2]
    rms = np.sqrt((abs(few) ** 2).mean(-1))
    cross = np.einsum("srft,srgt->srfg", few, few.conj()).real / c.shape[-1]
    expected["coherence"] = cross / (rms[..., :, None] * rms[..., None, :])
    for name in GROUPS:
        scale = np.abs(expected[name]).max()
        np.testing.assert_allclose(
            statistics[name], expected[name], rtol=0, atol=2e-3 * scale, err_msg=name
        )


def test_content_is_the_envelope_of_the_responses(model):
    x = noise(0)
    responses = model.responses(model.spectrogram(x))
    torch.testing.assert_close(model.content(x), responses.abs(), rtol=1e-3, atol=1e-4)


def test_two_noises_share_statistics_and_a_ripple_does_not(model):
    ripple = moving_ripple(8, 1, 0.75, sample_rate=16000, random_state=0)
    ripple = torch.tensor(ripple / ripple.std(), dtype=torch.float32)
    target = model(noise(0))
    alike, other = (statistics_snr(model(x), target) for x in (noise(1), ripple))
    for name in ("mean", "variation", "power", "gram"):
        assert alike[name] > other[name] + 3, name
    assert np.median(field_snr(model(noise(1)), target)) > np.median(
        field_snr(model(ripple), target)
    )


def test_ripple_has_most_power_at_its_own_rate_and_scale(model):
    ripple = moving_ripple(8, 1, 1.0, sample_rate=16000, random_state=0)
    power = model(torch.tensor(ripple / ripple.std(), dtype=torch.float32))["power"]
    inner = power.square().mean(-1)[1:-1, 1:-1]
    scale, rate = np.unravel_index(int(inner.argmax()), inner.shape)
    assert (model.scales[1 + scale], model.rates[1 + rate]) == (1.0, 8.0)


def test_moments_of_blocks_add_up(model):
    """Two equal blocks are as one; shares weigh."""
    a, b = model.moments(noise(0)), model.moments(noise(1))
    total = add_moments(add_moments(None, a, 0.25), b, 0.75)
    torch.testing.assert_close(total["second"], 0.25 * a["second"] + 0.75 * b["second"])
    same = model.statistics(add_moments(add_moments(None, a, 0.5), a, 0.5))
    for name, value in model(noise(0)).items():
        torch.testing.assert_close(same[name], value, rtol=1e-3, atol=1e-4)


def test_a_shorter_sound_meets_the_same_filters():
    x = noise(0, 16384)
    short = CorticalStatistics(n_frames=256)(x)["power"]
    long = CorticalStatistics(n_frames=256)(torch.cat([x, noise(1, 16384)]))["power"]
    assert float((short - long).norm() / long.norm()) < 0.25


def test_gradients_are_finite_for_silence_and_lead_down(model):
    target = model(noise(0))
    x = (0 * noise(1)).requires_grad_()
    sum(value.sum() for value in model(x).values()).backward()
    assert x.grad.isfinite().all()
    x = noise(1).requires_grad_()

    def loss(x):
        found = model(x)
        return sum(
            (found[name] - target[name]).square().sum() / target[name].square().sum()
            for name in GROUPS
        )

    before = loss(x)
    before.backward()
    step = x.detach() - 0.2 * x.grad / x.grad.norm()
    assert loss(step) < before


def test_snr_of_known_errors():
    target = {name: torch.ones((2, 4, 3)) for name in ("power", "sparsity", "gram", "coherence")}
    target["gram"] = torch.ones((8, 8))
    worse = {name: value.clone() for name, value in target.items()}
    for value in worse.values():
        value.view(8, -1)[0] *= 1.1
    assert statistics_snr(target, target)["power"] == np.inf
    assert statistics_snr(worse, target)["power"] == pytest.approx(20 + 10 * np.log10(8), abs=1e-4)
    snr = field_snr(worse, target)
    assert snr[0, 0] == pytest.approx(20, abs=1e-4)
    assert np.isposinf(snr.ravel()[1:]).all()


def test_too_long_a_sound_and_uneven_steps_are_refused(model):
    with pytest.raises(ValueError, match="made for 128"):
        model(noise(0, 20000))
    with pytest.raises(ValueError, match="multiple of channel_step"):
        CorticalStatistics(10, channel_step=3)
