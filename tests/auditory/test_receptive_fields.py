"""The receptive fields are those of the transform, and point the right way."""

import numpy as np
import pytest
from scipy.signal import correlate

from skstrf.auditory import (
    auditory_spectrogram,
    cortical_transform,
    moving_ripple,
    receptive_field,
    scale_filter,
)
from skstrf.auditory.cortex import signed_rates
from skstrf.auditory.modulation_filters import filter_kinds

RATES, SCALES = (2.0, 8.0, 32.0), (0.25, 1.0, 8.0)


@pytest.mark.parametrize(("sample_rate", "highest"), [(16000, 7040), (8000, 3906)])
def test_ripples_have_twenty_carriers_in_each_octave(sample_rate, highest):
    x = moving_ripple(0, 0, 1.0, sample_rate=sample_rate, depth=0, random_state=0)
    carriers = 220 * 2 ** (np.arange(101) / 20)
    carriers = carriers[carriers < sample_rate / 2]
    assert round(carriers[-1]) == highest
    times = np.arange(sample_rate) / sample_rate
    tones = np.concatenate([f(2 * np.pi * carriers[:, None] * times) for f in (np.sin, np.cos)]).T
    rest = x - tones @ np.linalg.lstsq(tones, x)[0]
    assert np.abs(rest).max() < 0.01
    power = np.abs(np.fft.rfft(x)) ** 2
    assert power[round(0.98 * carriers[-1]) :].sum() > 0.3 * power.sum() / len(carriers)


def test_few_channels_in_an_octave_allow_low_scales_only():
    assert scale_filter(0.2, channels_per_octave=0.5).shape == scale_filter(1.0).shape
    with pytest.raises(ValueError, match=r"half the channel density, 0\.25"):
        scale_filter(0.3, channels_per_octave=0.5)


@pytest.mark.parametrize("bandpass", [False, True])
@pytest.mark.parametrize("shape", [(128, 50), (100, 65)])
def test_correlation_with_the_field_is_the_real_part_of_the_channel(bandpass, shape):
    v = np.random.default_rng(0).standard_normal(shape)
    tensor = cortical_transform(v, rates=RATES, scales=SCALES, bandpass=bandpass)
    kinds = filter_kinds(3, bandpass)
    n_freqs, n_frames = shape
    for (i, scale), (j, rate) in (
        (a, b) for a in enumerate(SCALES) for b in enumerate(signed_rates(RATES))
    ):
        field, times, octaves = receptive_field(
            rate,
            scale,
            rate_kind=kinds[RATES.index(abs(rate))],
            scale_kind=kinds[i],
            n_freqs=n_freqs,
            n_frames=n_frames,
        )
        assert field.shape == (2 * n_freqs - 1, 2 * n_frames - 1)
        assert times[n_frames - 1] == octaves[n_freqs - 1] == 0
        # scipy's lag 0 is where the last samples of both meet.
        full = correlate(v, field, mode="full", method="fft")
        expected = full[n_freqs - 1 : 2 * n_freqs - 1, n_frames - 1 : 2 * n_frames - 1]
        channel = tensor[i, j].real
        np.testing.assert_allclose(channel, expected, atol=1e-9 * np.abs(channel).max())


def test_the_sum_over_offsets_is_the_definition():
    v = np.random.default_rng(1).standard_normal((16, 20))
    channel = cortical_transform(v, rates=(2, 8, 32), scales=(1, 2, 4), output="real")[1, 4]
    field = receptive_field(8, 2, n_freqs=16, n_frames=20).field
    for y, s in ((0, 0), (7, 11), (15, 19)):
        total = sum(v[x, t] * field[x - y + 15, t - s + 19] for x in range(16) for t in range(20))
        np.testing.assert_allclose(channel[y, s], total, rtol=1e-10)


def test_reversed_it_is_the_response_to_one_frame_in_one_channel():
    v = np.zeros((64, 128))
    v[30, 0] = 1
    response = cortical_transform(v, rates=(4, 8, 16), scales=(1, 2, 4), output="real")[1, 4]
    reversed_field = receptive_field(8, 2, n_freqs=64, n_frames=128).field[::-1, ::-1]
    np.testing.assert_allclose(response, reversed_field[63 - 30 : 127 - 30, 127:], atol=1e-12)


@pytest.mark.parametrize("rate, scale", [(8, 1), (-8, 1), (-4, 2), (16, 0.5)])
def test_it_looks_like_the_ripple_that_excites_it(rate, scale):
    field, times, octaves = receptive_field(rate, scale)
    spectrum = np.abs(np.fft.fft2(field, (2048, 2048)))
    spectral = np.fft.fftfreq(2048, octaves[1] - octaves[0])
    temporal = np.fft.fftfreq(2048, (times[1] - times[0]) / 1000)
    spectrum[spectral < 0] = 0  # the field is real: half of its spectrum says all
    peak = np.unravel_index(spectrum.argmax(), spectrum.shape)
    np.testing.assert_allclose(spectral[peak[0]], scale, rtol=0.03)
    # cos(2 pi (rate t + scale x)) falls where both are positive: downward-moving.
    np.testing.assert_allclose(temporal[peak[1]], rate, rtol=0.05)
    wrong = spectrum[:, np.sign(temporal) == -np.sign(rate)]
    assert wrong.max() < 1e-2 * spectrum.max()


def test_a_ripple_excites_the_field_of_its_direction_most():
    v = auditory_spectrogram(moving_ripple(8, 1, 1.0, random_state=0))
    v = v - v.mean(axis=1, keepdims=True)
    swing = {}
    for rate in (-8, 8):
        field = receptive_field(rate, 1, n_frames=v.shape[1]).field
        full = correlate(v, field, mode="full", method="fft")[127:255, 124:249]
        swing[rate] = full[40:90, 40:].std()
    assert swing[8] > 4 * swing[-8]


def test_most_of_it_lies_before_the_response():
    for rate in (2, -8, 32):
        field, times, _ = receptive_field(rate, 1)
        energy = (field**2).sum(axis=0)
        assert energy[times > 0].sum() < 0.02 * energy.sum()
        assert energy[times < -3000 / abs(rate)].sum() < 0.02 * energy.sum()


def test_up_and_down_are_mirrored():
    up, down = receptive_field(-8, 1), receptive_field(8, 1)
    inner = np.abs(up.octaves) < 4
    # But for the bin at half the frame rate, which only upward filters have.
    np.testing.assert_allclose(
        up.field[inner], down.field[::-1][inner], atol=2e-3 * np.abs(up.field).max()
    )


def test_oversampling_goes_through_the_points():
    coarse = receptive_field(-8, 2, n_frames=64)
    fine = receptive_field(-8, 2, n_frames=64, oversampling=5)
    np.testing.assert_allclose(fine.field[::5, ::5], coarse.field, atol=1e-15)
    np.testing.assert_allclose(fine.times[::5], coarse.times, atol=1e-9)
    np.testing.assert_allclose(fine.octaves[::5], coarse.octaves, atol=1e-12)


def test_limits_cut_a_part_out():
    whole = receptive_field(8, 1)
    part = receptive_field(8, 1, time_limits=(-200, 48), octave_limits=(-1, 0.5))
    assert part.times[[0, -1]].tolist() == [-200, 48]
    assert part.octaves[[0, -1]].tolist() == [-1, 0.5]
    rows = (whole.octaves >= -1) & (whole.octaves <= 0.5)
    columns = (whole.times >= -200) & (whole.times <= 48)
    np.testing.assert_array_equal(part.field, whole.field[rows][:, columns])


@pytest.mark.parametrize(
    "change, message",
    [
        ({"rate": 0}, "direction"),
        ({"rate": 63}, "half the frame rate"),
        ({"rate": np.nan}, "rates"),
        ({"scale": -1}, "scales"),
        ({"n_frames": 0}, "n_frames"),
        ({"n_freqs": 1.5}, "n_freqs"),
        ({"oversampling": 0}, "oversampling"),
        ({"time_limits": (5, -5)}, "time_limits"),
        ({"octave_limits": (40, 50)}, "octave_limits"),
    ],
)
def test_what_does_not_make_a_field_is_named(change, message):
    with pytest.raises(ValueError, match=message):
        receptive_field(**({"rate": 8, "scale": 1} | change))
