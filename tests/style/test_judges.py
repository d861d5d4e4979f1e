"""Judges of texture and content: identities, known values, extremes and bad input."""

import numpy as np
import pytest
from scipy.signal import lfilter
from sklearn import config_context
from sklearn.base import clone

from skstrf import StyleTransfer
from skstrf.style.controls import equalize, mix
from skstrf.style.judges import (
    JUDGES,
    StyleJudges,
    content_correlation,
    envelope_statistics,
    log_mel,
    patch_gram,
    remaining_share,
)
from skstrf.style.metrics import CONTROLS, METRICS
from skstrf.style.sounds import at_level

RATE = 8000  # of the sounds in conftest.py


def noise(seed, n_times=2 * RATE):
    return np.random.default_rng(seed).standard_normal(n_times)


def shares(content, sound, style):
    judges = StyleJudges([style], RATE)
    untouched, found = judges.distances(content), judges.distances(sound)
    return {name: remaining_share(found[name], untouched[name]) for name in JUDGES}


def test_untouched_content_is_1_style_0_and_another_part_of_it_near_0(clicks, hiss):
    assert shares(clicks, clicks, hiss) == dict.fromkeys(JUDGES, 1.0)
    assert shares(clicks, hiss, hiss) == dict.fromkeys(JUDGES, 0.0)
    style, other = noise(0).reshape(2, RATE)
    assert max(shares(clicks, other, style).values()) < 0.2


@pytest.mark.parametrize("gain", [1e-4, 300.0])
def test_level_does_not_count(clicks, hiss, gain):
    one, other = shares(clicks, clicks + hiss, hiss), shares(clicks, gain * (clicks + hiss), hiss)
    assert one == pytest.approx(other, rel=1e-6)
    assert content_correlation(clicks, gain * clicks, sample_rate=RATE) == pytest.approx(1)


def test_mixes_lie_between_and_fall_with_the_level(clicks, hiss):
    found = [shares(clicks, mix(clicks, hiss, level), hiss) for level in (-20.0, 0.0, 20.0)]
    for name in JUDGES:
        values = [share[name] for share in found]
        assert 1.05 > values[0] > values[1] > values[2] > 0


def test_an_effect_twenty_times_too_large_is_farther_than_no_effect():
    # Noise through filters whose poles move from the content's past the style's.
    content, style, beyond = (
        lfilter([1], [1, -pole], noise(seed)) for seed, pole in ((0, 0.0), (1, 0.4), (2, 0.999))
    )
    found = shares(content, beyond, style)
    assert min(found["mel_gram_share"], found["mel_patch_share"]) > 2
    # Modulation of noise, none, 5 % and 100 %.
    times = np.arange(2 * RATE) / RATE
    flutter = 1 + np.sin(2 * np.pi * 8 * times)
    changed = shares(noise(0), noise(2) * flutter, noise(1) * (1 + 0.05 * (flutter - 1)))
    assert changed["statistics_share"] > 2


def test_statistics_have_their_known_values():
    times = np.arange(4 * RATE) / RATE
    # A sine has a constant envelope in the bands that hear it, and nothing anywhere else.
    tone = envelope_statistics([np.sin(2 * np.pi * 1000 * times)[RATE // 4 :]], sample_rate=RATE)
    assert np.argmax(tone["mean"]) == pytest.approx(16, abs=4)
    # One amplitude modulation is common to all bands, and lies in the band of its rate.
    modulated = noise(0, 4 * RATE) * (1 + 0.9 * np.sin(2 * np.pi * 5 * times))
    plain, found = (envelope_statistics([x], sample_rate=RATE) for x in (noise(0), modulated))
    assert abs(np.median(plain["correlation"])) < 0.05
    assert np.median(found["correlation"]) > 0.4
    assert np.argmax(found["modulation"].mean(axis=0)) == int(2 * np.log2(5 / 0.5))
    assert found["variation"].mean() > 1.5 * plain["variation"].mean()
    for statistics in (tone, plain, found):
        # Standardized values: kurtosis is at least 1 plus squared skewness, where there is sound.
        present = statistics["kurtosis"] > 0.9
        assert (statistics["kurtosis"] >= 1 + statistics["skewness"] ** 2 - 0.05)[present].all()
        # Parseval: amplitudes of all bands hold no more than the variance.
        assert (np.square(statistics["modulation"]).sum(axis=1) <= 1 + 1e-9).all()


def test_several_styles_are_one():
    style = noise(0)
    whole = envelope_statistics([style], sample_rate=RATE)
    halves = envelope_statistics(style.reshape(2, RATE), sample_rate=RATE)
    for name, values in whole.items():
        # Slow modulations are resolved less finely in shorter sounds.
        kept = slice(10, None) if name == "modulation" else slice(None)
        np.testing.assert_allclose(halves[name][..., kept], values[..., kept], rtol=0.1, atol=0.15)


def test_gram_of_patches_is_the_mean_outer_product():
    levels = np.arange(12.0).reshape(2, 6)
    patches = np.stack([levels[:, i : i + 3].ravel() for i in range(4)])
    np.testing.assert_allclose(patch_gram(levels, 3), patches.T @ patches / 4)
    longer = np.concatenate([levels, levels[:, [-1, -1]]], axis=1)
    np.testing.assert_allclose(patch_gram(levels, 8), patch_gram(longer, 8))


def test_local_correlation_sees_events_and_not_filters(clicks):
    assert content_correlation(clicks, clicks, sample_rate=RATE) == pytest.approx(1)
    sound = clicks + 1e-3 * noise(3, RATE)
    dull = lfilter([1], [1, -0.5], sound)
    assert content_correlation(sound, dull, sample_rate=RATE) > 0.9
    assert abs(content_correlation(sound, noise(4, RATE), sample_rate=RATE)) < 0.1
    assert content_correlation(sound, np.roll(sound, RATE // 8), sample_rate=RATE) < 0.3
    ramp = np.linspace(0.5, 1.5, RATE)
    assert content_correlation(sound, ramp * sound, sample_rate=RATE) > 0.95


@pytest.mark.parametrize("rate", [1000, 22050, 192000])
@pytest.mark.parametrize("n_times", [1, 300])
def test_short_sounds_at_any_rate_are_judged(rate, n_times):
    content, style = noise(0, n_times), np.cumsum(noise(1, n_times))
    for sound in (style, np.tile(style, 100)):
        judges = StyleJudges([sound], rate)
        assert all(np.isfinite(value) for value in judges.distances(content).values())
    assert log_mel(content, sample_rate=rate).shape[0] == 64
    assert not content_correlation(content, style, sample_rate=rate) > 1


def test_share_of_no_distance_is_unknown(hiss):
    assert all(np.isnan(value) for value in shares(hiss, hiss, hiss).values())


def test_equalizer_has_the_spectrum_of_the_style_and_the_events_of_the_content(clicks, hiss):
    content = at_level(clicks + 0.02 * noise(5, RATE))
    changed = equalize(content, at_level(hiss))
    powers = [
        np.square(np.abs(np.fft.rfft(x))).reshape(-1)[:4000].reshape(20, 200).sum(axis=1)
        for x in (content, hiss, changed)
    ]
    relative = np.log10([power / power.sum() for power in powers])
    assert np.abs(relative[2] - relative[1]).max() < 0.3
    assert np.abs(relative[0] - relative[1]).max() > 0.8
    np.testing.assert_allclose(equalize(content, content), content, atol=1e-4)


def test_mix_has_its_level(clicks, hiss):
    content, style = at_level(clicks), at_level(hiss)
    sound = mix(content, style, -6.0).astype(float)
    parts, *_ = np.linalg.lstsq(np.stack([content, style], axis=1), sound, rcond=None)
    assert 20 * np.log10(parts[1] / parts[0]) == pytest.approx(-6, abs=0.01)
    np.testing.assert_array_equal(mix(content, 0 * style, 0.0), content)


@pytest.fixture(scope="module")
def fitted(clicks, hiss):
    return StyleTransfer(_stft(), max_iter=3, random_state=0).fit(hiss[None])


def _stft():
    from skstrf import STFTTransformer

    return STFTTransformer(
        sample_rate=RATE, frame_rate=50, n_fft=512, compression="log", compression_floor=1.0
    )


def test_table_holds_all_metrics_of_result_and_controls(fitted, clicks, hiss):
    table = fitted.score_table(clicks[None], clicks[None], other_style=hiss[::-1])
    assert list(table) == list(METRICS)
    for row in table.values():
        assert list(row) == ["result", *CONTROLS]
    for name in (*JUDGES, "local_correlation"):
        assert table[name]["result"] == table[name]["content"] == [pytest.approx(1)]
    for name in JUDGES:
        assert table[name]["style"] == [0]
        assert 0 < table[name]["other_style"][0] < table[name]["equalizer"][0]
    assert "other_style" not in fitted.score_table(clicks[None], clicks[None])["field_snr"]


def test_score_is_the_mean_of_the_judges(fitted, clicks):
    result = fitted.transform(clicks[None])
    table = fitted.score_table(clicks[None], result)
    mean = np.mean([table[name]["result"][0] for name in JUDGES])
    assert fitted.score(clicks[None]) == pytest.approx(1 - mean)


@pytest.mark.parametrize("domain", ["auto", "spectrogram"])
def test_tables_as_output_of_transformers_do_not_matter(clicks, hiss, domain):
    pytest.importorskip("pandas")
    transfer = StyleTransfer(_stft(), domain=domain, max_iter=1).fit(hiss[None])
    expected = transfer.score_table(clicks[None])
    with config_context(transform_output="pandas"):
        found = clone(transfer).fit(hiss[None]).score_table(clicks[None])
    assert found == expected


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (np.ones((1, 100)), "other_style must be one mono sound"),
        (np.zeros(100), "sound 0 of the other style is silent"),
        (np.full(100, np.nan), "the other style contains NaN"),
        ([], "without empty axes|minimum of 1"),
    ],
)
def test_other_parts_that_cannot_be_judged(fitted, clicks, other, message):
    with pytest.raises(ValueError, match=message):
        fitted.score_table(clicks[None], clicks[None], other_style=other)


def test_silent_result(fitted, clicks):
    with pytest.raises(ValueError, match="sound 0 of the result is silent"):
        fitted.score_table(clicks[None], 0 * clicks[None])
