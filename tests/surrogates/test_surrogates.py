"""Surrogates and the tests against them: references, invariants, calibration and power."""

import numpy as np
import pytest
import scipy.fft
from scipy.signal import lfilter

from benchmarks.stationary_fields import (
    CHANGING,
    HETEROGENEOUS,
    STATIONARY,
    STATIONARY_ROWS,
    make_field,
)
from skstrf.surrogates import (
    iaaft_surrogates,
    lines_test,
    phase_surrogates,
    plane_test,
    stationary_bootstrap,
)
from skstrf.surrogates.generators import automatic_block_length, gaussianized
from skstrf.surrogates.lines import _steps, rank_p_values
from skstrf.surrogates.periodic import without_periodic
from skstrf.surrogates.planes import local_spectra, median_polish, resample_plane
from skstrf.surrogates.spectra import band_of, draw_spectra, fit_spectra, mode_groups
from skstrf.surrogates.tensors import _some_groups, _without_gradients

SHAPE = (64, 128)


def rng(seed=0):
    return np.random.default_rng(seed)


# Outside references


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9])
def test_block_length_is_that_of_arch(correlation):
    bootstrap = pytest.importorskip("arch.bootstrap")
    x = lfilter([1], [1, -correlation], rng().standard_normal((8, 500)))
    expected = [bootstrap.optimal_block_length(line)["stationary"].iloc[0] for line in x]
    # arch counts the first negligible lag to the window, the paper the last one before it, which
    # matters little.
    np.testing.assert_allclose(automatic_block_length(x), np.maximum(expected, 1), rtol=0.3)


# Spectra


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9])
def test_slow_power_is_predicted_from_the_band(correlation):
    band = band_of(128)
    edges, n_rows = np.array([0, 1, 64]), 64
    x = lfilter([1], [1, -correlation], rng().standard_normal((n_rows, 400)))[:, -128:]
    c = scipy.fft.dct(x, axis=1, norm="ortho")[:, 1 : band.last + 1]
    power = np.stack([(c[:1] ** 2).mean(axis=0), (c[1:] ** 2).mean(axis=0)])[:, band.n_slow :]
    fitted = fit_spectra(power, np.diff(edges), band)
    draws = draw_spectra(power, np.diff(edges), band, fitted, 400, rng(1))
    frequencies = np.pi * np.arange(1, band.n_slow + 1) / 128
    true = 1 / (1 - 2 * correlation * np.cos(frequencies) + correlation**2)
    assert np.median(draws[:, 1].sum(axis=1)) == pytest.approx(true.sum(), rel=0.3)
    low, high = np.quantile(draws[:, 1].sum(axis=1), [0.01, 0.99])
    assert low < true.sum() < high


def test_isolated_peaks_do_not_raise_the_spectrum():
    band = band_of(128)
    power = rng().standard_gamma(16, (1, band.last - band.n_slow)) / 16
    expected = fit_spectra(power, np.array([32]), band)
    power[0, 7::15] = 8
    assert fit_spectra(power, np.array([32]), band).max() < 1.5 * expected.max()


def test_groups_are_octaves_of_modes():
    assert mode_groups(1).tolist() == [0, 1]
    assert mode_groups(11).tolist() == [0, 1, 2, 4, 8, 11]


def test_transforms_of_steps_are_exact():
    step = (np.arange(50) >= 13).astype(float)
    expected = scipy.fft.dct(step, norm="ortho")[1:]
    np.testing.assert_allclose(_steps(np.array([13]), 50)[0], expected, atol=1e-12)


def test_periodic_components_are_subtracted_and_slow_ones_are_not():
    t = np.arange(200)
    noise = 0.1 * rng().standard_normal((8, 200))
    slow = np.outer(np.linspace(0, 1, 8), t / 200)
    waves = np.cos(2 * np.pi * t / 7.3) + 0.5 * np.sin(2 * np.pi * t / 16.1)
    left = without_periodic(noise + slow + np.linspace(1, 2, 8)[:, None] * waves)
    np.testing.assert_allclose(left, noise + slow, atol=0.1)
    np.testing.assert_array_equal(without_periodic(slow + noise), slow + noise)


# Generators


def test_phase_surrogates_keep_spectra_of_lines_and_between_them():
    x = rng().standard_normal((3, 64))
    spectrum = np.fft.rfft(x)
    for copy in np.fft.rfft(phase_surrogates(x, 4, rng(1))):
        np.testing.assert_allclose(np.abs(copy), np.abs(spectrum), atol=1e-9)
        np.testing.assert_allclose(copy[0] * copy[1].conj(), spectrum[0] * spectrum[1].conj())


def test_phase_surrogates_of_planes_keep_the_mean_and_are_real():
    x = rng().standard_normal((15, 32)) + 3
    copies = phase_surrogates(x, 3, rng(1), axes=(-2, -1))
    np.testing.assert_allclose(copies.mean(axis=(1, 2)), x.mean())
    np.testing.assert_allclose(np.abs(np.fft.fft2(copies[2])), np.abs(np.fft.fft2(x)), atol=1e-9)
    assert np.abs(copies[0] - copies[1]).max() > 1


def test_iaaft_keeps_values_exactly_and_the_spectrum_nearly():
    x = np.exp(lfilter([1], [1, -0.8], rng().standard_normal(256)))
    copies = iaaft_surrogates(x, 3, rng(1))
    np.testing.assert_array_equal(np.sort(copies), np.sort(x)[None].repeat(3, axis=0))
    error = np.abs(np.abs(np.fft.rfft(copies)) - np.abs(np.fft.rfft(x)))[:, 1:]
    assert np.sqrt((error**2).mean()) < 0.05 * np.abs(np.fft.rfft(x))[1:].mean()


def test_blocks_of_the_stationary_bootstrap_have_the_expected_length():
    index = stationary_bootstrap(1000, 200, 10.0, rng())
    follows = (np.diff(index) % 1000) == 1
    assert 1 / (1 - follows.mean()) == pytest.approx(10, rel=0.05)
    counts = np.bincount(index.ravel(), minlength=1000)
    assert counts.min() > 100


def test_gaussianized_keeps_order_and_ties():
    x = np.array([[3.0, 1.0], [3.0, -7.0]])
    scores = gaussianized(x)
    assert scores[0, 0] == scores[1, 0] > scores[0, 1] > scores[1, 1]
    assert gaussianized(rng().standard_cauchy(5000)).std() == pytest.approx(1, abs=0.01)


# p-values and rates


def test_p_values_of_exchangeable_statistics_are_uniform():
    statistics = rng().standard_normal((20, 4000))
    np.testing.assert_allclose(rank_p_values(statistics).mean(), 10.5 / 20)


def test_equal_statistics_speak_against_nothing():
    assert rank_p_values(np.zeros(20))[0] == 1


# Grids


def test_averaging_keeps_the_mean_and_lines_stay_lines():
    x = rng().standard_normal((3, 513))
    np.testing.assert_allclose(resample_plane(x, (3, 64)).mean(axis=1), x.mean(axis=1))
    line = np.arange(100.0)[None]
    np.testing.assert_allclose(np.diff(resample_plane(line, (1, 25))), 4)
    np.testing.assert_allclose(np.diff(resample_plane(line.T, (150, 1)), axis=0)[2:-2], 100 / 150)
    np.testing.assert_allclose(resample_plane(x, (3, 171)), x.reshape(3, 171, 3).mean(axis=2))
    assert resample_plane(x.astype(np.float32), (2, 700)).dtype == np.float32


def test_median_polish_takes_profiles_off():
    plane = np.add.outer(rng().standard_normal(20), rng(1).standard_normal(30))
    np.testing.assert_allclose(median_polish(plane), 0, atol=1e-12)


def test_local_spectra_tell_where_a_ripple_is():
    t = np.arange(128)
    plane = np.where(t < 64, np.cos(np.pi / 4 * t), np.cos(np.pi / 1.3 * t)) * np.ones((64, 1))
    spectra = local_spectra(plane).reshape(4, 4, -1)
    np.testing.assert_array_equal(spectra[:, :2].argmax(axis=-1), spectra[0, 0].argmax())
    np.testing.assert_array_equal(spectra[:, 2:].argmax(axis=-1), spectra[0, 3].argmax())
    assert spectra[0, 0].argmax() != spectra[0, 3].argmax()


# Calibration and power on planes with known answers. The full table, with 500 draws for each
# field, is made by benchmarks/stationarity_calibration.py. A test of level 8 % rejects more often
# than the bounds below with a chance of 1 in 2000 for 24 draws and of 7 in 1000 for 16; a test of
# level 40 % does so 8 times in 10.

QUICK = ("AR .9", "separable AR .5 x .9", "log spectrogram of noise, overlap 75 %", "1/f",
         "chi-squared")  # fmt: skip


@pytest.mark.parametrize(
    ("name", "n_draws", "most"),
    [(name, 16, 4) for name in QUICK]
    + [pytest.param(name, 24, 7, marks=pytest.mark.slow) for name in sorted(STATIONARY)],
)
def test_stationary_planes_are_seldom_rejected(name, n_draws, most):
    rejected = np.zeros(2)
    for draw in range(n_draws):
        plane = make_field(name, SHAPE, rng([draw, 1]))
        tests = lines_test(plane, 39, draw), plane_test(plane, 39, draw)
        rejected += [test.p_value <= 0.05 for test in tests]
    assert rejected.max() <= most


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(STATIONARY_ROWS))
def test_stationary_rows_are_seldom_rejected(name):
    draws = [make_field(name, SHAPE, rng([draw, 1])) for draw in range(24)]
    assert sum(lines_test(plane, 79, 0).p_value <= 0.05 for plane in draws) <= 7


@pytest.mark.parametrize("name", sorted(CHANGING))
def test_changes_in_time_are_found(name):
    # The null hypothesis includes AR .98, from which only many rows tell random walks.
    shape = (256, 128) if name == "random walk" else SHAPE
    p = [lines_test(make_field(name, shape, rng(seed)), 39, 0).p_value for seed in range(5)]
    assert np.sum(np.array(p) <= 0.05) >= 4


@pytest.mark.parametrize("name", sorted(HETEROGENEOUS))
def test_heterogeneous_planes_are_found(name):
    found = [plane_test(make_field(name, SHAPE, rng(seed)), 39, 0) for seed in range(5)]
    assert sum(test.p_value <= 0.05 for test in found) == 5
    assert max(test.score for test in found) < 0.8


def test_level_and_variability_are_told_apart():
    step = lines_test(make_field("mean step", SHAPE, rng(3)), 99, 0)
    doubled = lines_test(make_field("deviation doubled", SHAPE, rng(3)), 99, 0)
    assert step.level_p_value == 0.01 < 0.05 < step.variance_p_value
    assert doubled.variance_p_value == 0.01 < 0.05 < doubled.level_p_value


def test_harmonic_comb_is_stationary_in_time_only():
    plane = make_field("harmonic comb", SHAPE, rng())
    assert lines_test(plane, 199, 0).effect < 0.02
    assert lines_test(plane.T, 199, 0).effect > 0.2


def test_silence_after_a_sound_has_a_finite_effect():
    plane = make_field("white", SHAPE, rng())
    plane[:, 96:] = -100
    found = plane_test(plane, 39, 0)
    assert found.p_value <= 0.05
    assert 2 < found.effect < 20


def test_unknown_fields_are_refused():
    with pytest.raises(ValueError, match="harmonic comb"):
        make_field("pink", SHAPE, rng())


def test_planes_are_taken_off_one_by_one():
    rows, columns = np.linspace(-1, 1, 5)[:, None], np.linspace(-1, 1, 7)
    planes = np.stack([a + b * rows + c * columns for a, b, c in [(1, 2, 3), (0, -1, 5)]])
    np.testing.assert_allclose(_without_gradients(planes), 0, atol=1e-12)
    noise = np.random.default_rng(0).standard_normal((2, 5, 7))
    np.testing.assert_allclose(
        _without_gradients(planes + noise), _without_gradients(noise), atol=1e-12
    )


def test_a_single_line_is_no_group_of_lines():
    with pytest.raises(ValueError, match="x must"):
        lines_test(np.arange(50.0))


def test_the_length_of_lines_decides_whether_they_are_tested():
    assert (lines_test(np.arange(8.0).reshape(4, 2), 9, 0).p_values == 1).all()  # too short
    trend = np.linspace(0, 5, 64) + rng().standard_normal((2, 64))
    assert lines_test(trend, 39, 0).p_value <= 0.05  # few lines, but long ones


def test_some_groups_are_spread_from_the_first_to_the_last():
    groups = np.arange(50.0).reshape(10, 5, 1)
    found = _some_groups(groups, 15)
    assert found[0, 0, 0] == 0
    assert found[-1, 0, 0] == 45
