"""Losses of band envelopes: their units, what they leave free, and what they reach."""

import numpy as np
import pytest
import torch
from scipy.signal import lfilter

from skstrf import StyleTransfer
from skstrf.style import log_stft
from skstrf.style.controls import equalize, mix
from skstrf.style.judges import JUDGES, content_correlation
from skstrf.style.objectives import EnvelopeObjective, _Bank
from skstrf.style.sounds import at_level

RATE = 8000  # of the sounds in conftest.py
GROUPS = ("gram", "levels", "mean", "variation", "skewness", "correlation", "modulation")


def objective(styles, n_times, weights=None):
    tensors = [torch.from_numpy(at_level(style)) for style in styles]
    return EnvelopeObjective(tensors, RATE, n_times, 11, weights or dict.fromkeys(GROUPS, 1.0))


def as_tensor(sound):
    return torch.from_numpy(at_level(sound))


def test_losses_are_0_and_1_at_the_untouched_sounds(clicks, hiss):
    loss = objective([hiss], RATE)
    loss.begin(as_tensor(clicks), as_tensor(hiss))
    assert [float(value) for value in loss(as_tensor(clicks))] == pytest.approx([0, 1])
    assert [float(value) for value in loss(as_tensor(hiss))] == pytest.approx([1, 0], abs=1e-6)


@pytest.mark.parametrize("group", GROUPS)
def test_every_group_goes_down_on_the_way_to_the_style(clicks, hiss, group):
    loss = objective([hiss], RATE, {group: 1.0})
    loss.begin(as_tensor(clicks), as_tensor(hiss))
    values = [float(loss(as_tensor(mix(clicks, hiss, level)))[1]) for level in (0.0, 10.0, 40.0)]
    assert values[0] > values[1] > values[2] > 0
    assert values[2] < 0.05


def test_content_is_free_of_filters(hiss):
    rng = np.random.default_rng(0)
    content = rng.standard_normal(RATE) * (1 + np.sin(2 * np.pi * 3 * np.arange(RATE) / RATE))
    loss = objective([hiss], RATE)
    loss.begin(as_tensor(content), as_tensor(hiss))
    filtered = lfilter([1], [1, -0.7], content)
    assert float(loss(as_tensor(filtered))[0]) < 0.15
    assert float(loss(as_tensor(content[::-1].copy()))[0]) > 0.5


@pytest.mark.parametrize("n_times", [800, 8000, 12345])
def test_bands_keep_the_power_between_their_ends(n_times):
    # Squared half cosines that overlap by half add up to 1 between the outer centers.
    times = np.arange(n_times) / RATE
    bank = _Bank(n_times, RATE, torch.device("cpu"))
    for frequency in (200.0, 440.0, 1000.0, 3000.0):
        power = bank(torch.from_numpy(np.sin(2 * np.pi * frequency * times).astype(np.float32)))
        assert torch.isfinite(power).all()
        assert float(power.mean(-1).sum()) == pytest.approx(1, rel=0.1)  # envelope 1


def test_bands_follow_fast_modulation():
    times = np.arange(RATE) / RATE
    tone = np.sin(2 * np.pi * 2000 * times) * (1 + np.sin(2 * np.pi * 50 * times))
    bank = _Bank(RATE, RATE, torch.device("cpu"))
    power = bank(torch.from_numpy(tone.astype(np.float32)))
    envelope = power[int(power.mean(-1).argmax())].sqrt().numpy()
    spectrum = np.abs(np.fft.rfft(envelope - envelope.mean()))
    assert np.fft.rfftfreq(len(envelope), 1 / bank.frame_rate)[spectrum.argmax()] == 50


@pytest.mark.parametrize("wanted", [0.5, 0.8])
def test_correlation_with_the_content_is_the_wanted_one(wanted, clicks, hiss):
    content = clicks + 0.01 * np.random.default_rng(1).standard_normal(RATE)
    transfer = StyleTransfer(
        log_stft(RATE), "envelopes", content_correlation=wanted, max_iter=24, random_state=0
    ).fit(hiss[None])
    (result,) = transfer.transform(content[None])
    assert content_correlation(content, result, sample_rate=RATE) == pytest.approx(
        wanted, abs=0.05
    )


def test_callback_counts_and_ends_all_rounds(clicks, hiss):
    seen = []

    def stop(values):
        seen.append(values["iteration"])
        if seen[-1] == 7:
            raise StopIteration

    transfer = StyleTransfer(log_stft(RATE), "envelopes", max_iter=12, tol=0, callback=stop)
    transfer.fit(hiss[None]).transform(clicks[None])
    assert seen == list(range(8))
    assert transfer.n_iter_ == 7
    transfer.set_params(callback=None).transform(clicks[None])
    assert transfer.n_iter_ == 12


def test_auto_is_envelopes_without_a_representation_and_random_with_one(clicks, hiss, stft):
    contents = clicks[None]
    for chosen, representation in (("envelopes", None), ("random", stft)):
        results = [
            StyleTransfer(representation, network, max_iter=3, random_state=0)
            .fit(hiss[None])
            .transform(contents)
            for network in ("auto", chosen)
        ]
        np.testing.assert_array_equal(*results)
    default = StyleTransfer(stft, max_iter=3).fit(hiss[None]).transform(contents)
    given = StyleTransfer(stft, content_weight=0.05, max_iter=3).fit(hiss[None])
    np.testing.assert_array_equal(given.transform(contents), default)


def test_judges_place_the_result_before_a_mix_of_the_same_correlation(clicks, hiss):
    content = clicks + 0.01 * np.random.default_rng(1).standard_normal(RATE)
    transfer = StyleTransfer(log_stft(RATE), "envelopes", max_iter=60).fit(hiss[None])
    table = transfer.score_table(content[None])
    correlation = table["local_correlation"]["result"][0]
    assert correlation > 0.5
    mixes = [
        transfer.score_table(content[None], mix(content, hiss, level)[None])
        for level in (-24.0, -18.0, -12.0, -6.0, 0.0)
    ]
    kept = [m for m in mixes if m["local_correlation"]["result"][0] >= correlation]
    assert kept
    for name in JUDGES:
        assert table[name]["result"][0] < min(m[name]["result"][0] for m in kept)


def test_mix_as_start_has_both_sounds_and_the_level_of_the_content(clicks, hiss):
    transfer = StyleTransfer(log_stft(RATE), "envelopes").fit(hiss[None])
    content = 0.3 * at_level(clicks)
    start = transfer._initial_sound(content, np.random.default_rng(0))
    assert np.linalg.norm(start) == pytest.approx(np.linalg.norm(content), rel=1e-5)
    parts = np.stack([equalize(at_level(content), at_level(hiss)), at_level(hiss)], axis=1)
    gains, residue, *_ = np.linalg.lstsq(parts.astype(float), start, rcond=None)
    assert 20 * np.log10(gains[1] / gains[0]) == pytest.approx(-6, abs=0.01)
    assert residue < 1e-6 * np.square(start).sum()
    silence = np.zeros(RATE, dtype=np.float32)
    assert not transfer._initial_sound(silence, np.random.default_rng(0)).any()


def test_unknown_group(hiss):
    with pytest.raises(ValueError, match=r"style_layers contains \['power'\].*envelopes"):
        StyleTransfer(style_layers=["power"]).fit(hiss[None])


@pytest.mark.parametrize("n_times", [3000, 4001, 7999])
def test_short_contents(n_times, clicks, hiss):
    transfer = StyleTransfer(log_stft(RATE), "envelopes", max_iter=2).fit(hiss[None])
    result = transfer.transform(clicks[None, :n_times])
    assert result.shape == (1, n_times)
    assert np.isfinite(result).all()
    with pytest.raises(ValueError, match="smaller kernel_size"):
        transfer.transform(clicks[None, :1500])
