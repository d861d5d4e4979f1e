"""StationarityScorer: invariances, shapes, special values, bad input."""

import numpy as np
import pytest

from benchmarks.stationary_fields import make_field
from skstrf import MelTransformer, STRFTransformer
from skstrf.stationarity import StationarityScorer, resolve_axes
from skstrf.surrogates import lines_test
from skstrf.surrogates.tensors import block_grid
from skstrf.transforms import Axis

SHAPE = (32, 128)


def fields(*names, shape=SHAPE):
    rng = np.random.default_rng(5)
    return np.stack([make_field(name, shape, rng) for name in names])


def quick(**params):
    return StationarityScorer(**{"n_surrogates": 79, "random_state": 0} | params)


# What comes out


def test_tells_stationary_from_changing_sounds():
    # Few random walks are hardly more persistent than the most persistent stationary lines.
    X = fields("AR .5", "deviation doubled", "random walk", shape=(128, 128))
    scorer = quick(n_surrogates=199).fit(X)
    time = scorer.axis_names_.index("time")
    assert scorer.p_value_[0, time] > 0.05
    assert scorer.p_value_[1:, time].max() <= 0.05
    assert scorer.rate_[0, time] > 0.9 > scorer.rate_[2, time] > 0.7 > scorer.rate_[1, time]
    assert scorer.stationarity_[0, time] > 0.98 > 0.95 > scorer.stationarity_[1:, time].max()
    assert scorer.plane_score_[1] < scorer.plane_score_[0]


STEPS = (0, 0.5, 1, 2, 3, 4, 6, 10, 20)


def changes(kind):
    """Changes of one plane of noise by an amount that grows."""
    noise, t = fields("white")[0], np.arange(128) / 128
    if kind == "trend":
        return np.stack([noise + size * t for size in STEPS])
    if kind == "deviation":
        return np.stack([noise * np.where(t < 0.5, 1, 1 + size) for size in STEPS])
    where = 0.25 if kind == "early step" else 0.5
    return np.stack([noise + size * (t >= where) for size in STEPS])


@pytest.mark.parametrize("kind", ["step", "early step", "trend", "deviation"])
def test_stationarity_falls_as_the_change_grows(kind):
    scorer = quick(n_surrogates=199).fit(changes(kind))
    time = scorer.stationarity_[:, 1]
    assert (np.diff(time) < 0.02).all()
    assert time[0] > 0.98
    assert time[-1] < (0.45 if kind == "deviation" else 0.12)
    assert (scorer.p_value_[3:, 1] <= 0.05).all()
    assert (scorer.rate_[4:, 1] < 0.1).all()


@pytest.mark.parametrize("decibels", [10, 60])
def test_noise_that_becomes_louder_is_not_stationary(decibels):
    noise = 0.01 * np.random.default_rng(3).standard_normal((2, 40960))
    noise[1] *= 10 ** (decibels * np.arange(40960) / 40960 / 20)
    mel = MelTransformer(sample_rate=16000, frame_rate=50).fit(noise)
    scorer = quick(axes=mel.axes_, n_surrogates=99).fit(mel.transform(noise))
    assert scorer.p_value_[0, 1] > 0.05 >= scorer.p_value_[1, 1]
    assert scorer.rate_[0, 1] > 0.85 > 0.2 > scorer.rate_[1, 1]


@pytest.mark.parametrize("height", [0, 3, 10])
def test_a_beat_hides_no_crescendo(height):
    t, rng = np.arange(128), np.random.default_rng(4)
    noise = rng.standard_normal((1, 32, 128)) + height * np.exp(-(t % 13) / 3)
    p = [quick(n_surrogates=99).fit(x).p_value_[0, 1] for x in (noise, noise + 2 * t / 128)]
    assert p[0] > 0.05 >= p[1]


def test_p_values_effects_and_rates_never_contradict_each_other():
    names = ("white", "AR .9", "1/f", "mean step", "random walk", "GARCH", "amplitude modulation")
    for size in (0.0, 0.3, 0.6):
        X = fields(*names, shape=(12, 64)) + size * np.linspace(-1, 1, 64)
        for surrogates in (19, 99):
            scorer = quick(n_surrogates=surrogates).fit(X)
            rejected = scorer.p_value_ <= scorer.alpha
            np.testing.assert_array_equal(rejected, scorer.effect_interval_[..., 0] > 0)
            np.testing.assert_array_equal(rejected, scorer.rate_interval_[..., 1] < 1)
            assert (scorer.rate_[rejected] < 1).all()
            assert (scorer.stationarity_[rejected] < 1).all()
            for name in ("effect", "rate"):
                value = getattr(scorer, f"{name}_")
                low, high = np.moveaxis(getattr(scorer, f"{name}_interval_"), -1, 0)
                assert ((low >= 0) & (low <= value) & (value <= high) & (high <= 1)).all()
            np.testing.assert_array_equal(scorer.stationarity_, 1 - scorer.effect_)


def test_the_interval_of_the_effect_covers_the_share_of_a_step():
    rng, covered = np.random.default_rng(6), 0
    step = 0.8 * (np.arange(128) >= 64)
    for seed in range(20):
        plane = rng.standard_normal((24, 128)) + step
        result = lines_test(plane, 199, seed)
        share = step.var() / (step.var() + 1)
        covered += result.effect_interval[0] <= share <= result.effect_interval[1]
    assert covered >= 16


def test_linear_detrending_accepts_a_trend_but_not_a_step():
    noise = fields("white")[0]
    trend = noise + 3 * np.linspace(-1, 1, 128)
    bump = noise + 3 * (np.abs(np.arange(128) - 64) < 32)
    p = quick(detrend="linear").fit(np.stack([trend, bump])).p_value_[:, 1]
    assert p[0] > 0.05 >= p[1]


def test_polish_takes_the_spectral_profile_off():
    X = fields("white")[0][None] + np.linspace(0, 8, 32)[:, None]
    assert quick().fit(X).p_value_[0, 0] <= 0.05
    assert quick(detrend="polish").fit(X).p_value_[0, 0] > 0.05


def test_table_score_and_names_agree():
    X = fields("white", "mean step")
    scorer = quick().fit(X)
    table = scorer.transform(X)
    np.testing.assert_array_equal(table[:, :2], scorer.stationarity_)
    np.testing.assert_array_equal(table[:, 2], scorer.plane_score_)
    np.testing.assert_array_equal(quick().fit_transform(X), table)
    assert list(scorer.get_feature_names_out()) == ["frequency", "time", "plane"]
    assert scorer.score(X) == pytest.approx(scorer.stationarity_.mean())
    assert 0 <= scorer.score(X) <= 1


# Laws


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_unit_and_offset_of_the_data_do_not_matter(dtype):
    X = fields("mean step", "AR .9").astype(dtype)
    first, second = quick().fit(X), quick().fit(8 * X - 32)
    np.testing.assert_allclose(first.p_value_, second.p_value_, atol=0.03)
    np.testing.assert_allclose(first.effect_, second.effect_, atol=1e-2)
    np.testing.assert_allclose(first.plane_effect_, second.plane_effect_, rtol=1e-2)


def test_transposing_swaps_the_axes():
    X = fields("mean step", "harmonic comb", shape=(64, 64))
    first = quick().fit(X)
    second = quick(axes=["time", "frequency"]).fit(X.transpose(0, 2, 1))
    for name in ("rate_", "raw_rate_", "p_value_", "effect_"):
        np.testing.assert_array_equal(getattr(second, name), getattr(first, name)[:, ::-1])


def test_reversal_of_time_changes_little():
    X = fields("white", "mean step", "deviation doubled", "AR .9")
    first, second = quick(n_surrogates=99).fit(X), quick(n_surrogates=99).fit(X[..., ::-1])
    np.testing.assert_array_equal(first.p_value_ <= 0.05, second.p_value_ <= 0.05)
    np.testing.assert_allclose(first.raw_rate_, second.raw_rate_, atol=0.16)
    np.testing.assert_allclose(first.effect_, second.effect_, atol=0.05)


def test_same_for_every_number_of_processes():
    X = fields("white", "random walk", "1/f")
    np.testing.assert_array_equal(quick(n_jobs=2).fit_transform(X), quick().fit_transform(X))


def test_other_seed_other_surrogates():
    X = fields("random walk")
    effects = [quick(random_state=seed).fit(X).effect_ for seed in (0, 0, 1)]
    assert (effects[0] == effects[1]).all() and (effects[0] != effects[2]).any()


# Tensors


def test_strf_tensors_have_four_axes_and_planes():
    sounds = np.random.default_rng(0).standard_normal((1, 16000)).astype(np.float32)
    strf = STRFTransformer(rates=(4, 16), scales=(0.5, 2), frame_step=4, channel_step=4)
    X = strf.fit_transform(sounds)
    scorer = quick(axes=strf.axes_, n_surrogates=19, max_lines=128).fit(X)
    assert scorer.axis_names_ == ["scale", "rate", "frequency", "time"]
    assert scorer.rate_.shape == (1, 4) and scorer.plane_score_.shape == (1,)
    assert np.isfinite(scorer.effect_).all()
    assert scorer.stationarity_[0, 0] == 1  # two points do not speak against anything


def test_change_in_one_channel_of_a_tensor_is_seen_in_its_axis():
    X = np.random.default_rng(0).standard_normal((1, 2, 3, 16, 128))
    X[..., 64:] += 1
    scorer = quick().fit(X)
    assert scorer.p_value_[0, 3] <= 0.05 < scorer.p_value_[0, 2]


def test_max_lines_takes_whole_planes():
    X = np.random.default_rng(0).standard_normal((1, 3, 2, 16, 64))
    X[0, 1:] += np.linspace(0, 9, 64)  # not in the first planes, of which one is kept
    every, few = quick(max_lines=None), quick(max_lines=16)
    assert every.fit(X).rate_[0, 3] < 0.6
    assert few.fit(X).rate_[0, 3] == 1


def test_axes_by_position():
    X = fields("mean step")
    scorer = quick(axes=[-1]).fit(X)
    assert scorer.axis_names_ == ["time"] and scorer.rate_.shape == (1, 1)
    np.testing.assert_array_equal(scorer.rate_, quick().fit(X).rate_[:, 1:])
    named = [Axis("path", "Hz", np.arange(32)), Axis("time", "s", np.arange(128))]
    assert quick(axes=named).fit(X).axis_names_ == ["path", "time"]


# Special values and bad input


@pytest.mark.parametrize("value", [0.0, -100.0, 1e6 + 0.1])
def test_constant_planes_are_stationary(value):
    scorer = quick().fit(np.full((1, *SHAPE), value))
    for name in ("rate_", "raw_rate_", "p_value_", "stationarity_"):
        np.testing.assert_array_equal(getattr(scorer, name), np.ones((1, 2)))
    assert (scorer.tested_share_ == 0).all()
    assert scorer.plane_score_ == scorer.plane_p_value_ == 1


def test_silent_channels_count_as_stationary_and_disturb_no_other():
    X = fields("random walk", "white")
    X[:, ::2] = 0
    scorer = quick().fit(X)
    assert scorer.rate_[0, 1] >= 0.5
    assert scorer.p_value_[0, 1] <= 0.05 < scorer.p_value_[1, 1]
    assert scorer.tested_share_[0, 1] == 0.5
    assert np.isfinite(scorer.effect_).all()


def test_lines_of_one_single_value_besides_a_constant_are_flagged():
    X = np.zeros((1, 8, 64))
    X[0, :4, 20] = 5
    X[0, 4:, 20:22] = 5
    scorer = quick(axes=[-1]).fit(X)
    assert scorer.tested_share_ == 0.5
    assert np.isfinite(scorer.effect_).all()


def test_noiseless_steps_and_sinusoids_have_the_extreme_values():
    t = np.arange(128)
    step, wave = np.zeros((2, 16, 128))
    step[:, 70:] = 1
    wave += np.cos(2 * np.pi * t / 9.3) * np.linspace(1, 2, 16)[:, None]
    scorer = quick(axes=[-1]).fit(np.stack([step, wave]))
    assert scorer.stationarity_[0, 0] < 0.05
    assert scorer.stationarity_[1, 0] > 0.95


def test_planes_without_room_for_blocks_have_no_score():
    X = np.random.default_rng(0).standard_normal((3, 12, 14))
    scorer = quick().fit(X)
    assert scorer.plane_score_ is None
    assert scorer.transform(X).shape == (3, 2)
    assert block_grid((16, 8)) == (2, 1) and block_grid((15, 15)) is None


@pytest.mark.parametrize("n_points", [1, 2, 3, 5, 9, 17, 33])
def test_short_lines_never_fail(n_points):
    scorer = quick().fit(np.random.default_rng(0).standard_normal((2, 4, n_points)))
    assert np.isfinite(scorer.rate_).all()
    if n_points < 3:
        assert (scorer.p_value_[:, 1] == 1).all()


def test_a_tensor_whose_axes_have_no_names_is_refused():
    with pytest.raises(ValueError, match="name them with axes="):
        quick().fit(np.zeros((2, 3, 8, 16)))


@pytest.mark.parametrize(
    ("axes", "match"),
    [
        (["time"], "must name the 2 axes"),
        ([0], "positions from 1 to 2"),
        ([3], "positions from 1 to 2"),
        ([1, -2], "different positions"),
        ([1, "time"], "must name"),
        ([], "must name"),
    ],
)
def test_axes_that_do_not_fit_are_refused(axes, match):
    with pytest.raises(ValueError, match=match):
        resolve_axes(axes, 3)


def test_wrong_parameters_are_refused():
    X = fields("white")
    for params in ({"n_surrogates": 5}, {"alpha": 1.5}, {"detrend": "quadratic"}):
        with pytest.raises(ValueError, match=next(iter(params))):
            quick(**params).fit(X)
        with pytest.raises(ValueError, match=next(iter(params))):
            quick(**params).fit_transform(X)


def test_nan_is_refused():
    X = fields("white")
    X[0, 3, 4] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        quick().fit_transform(X)
