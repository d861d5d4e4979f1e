"""StationarityScorer: invariances, shapes, special values, bad input."""

import numpy as np
import pytest

from benchmarks.stationary_fields import make_field
from skstrf import STRFTransformer
from skstrf.stationarity import StationarityScorer, resolve_axes
from skstrf.surrogates.tensors import block_grid
from skstrf.transforms import Axis

SHAPE = (32, 128)


def fields(*names, shape=SHAPE):
    rng = np.random.default_rng(5)
    return np.stack([make_field(name, shape, rng) for name in names])


def quick(**params):
    return StationarityScorer(**{"n_surrogates": 39, "random_state": 0} | params)


# What comes out


def test_tells_stationary_from_changing_sounds():
    scorer = quick(n_surrogates=199).fit(fields("AR .5", "deviation doubled", "random walk"))
    time = scorer.axis_names_.index("time")
    assert scorer.p_value_[0, time] > 0.05
    assert scorer.p_value_[1:, time].max() <= 0.05
    assert scorer.rate_[0, time] > 0.9 > 0.7 > scorer.rate_[1, time]
    assert scorer.pi0_[0, time] > 0.8 > scorer.pi0_[2, time]
    assert scorer.effect_[0, time] == pytest.approx(1, abs=0.25)
    assert scorer.effect_[1:, time].min() > 1.3
    assert scorer.plane_score_[1] < scorer.plane_score_[0]


def test_rate_falls_with_the_slope_of_a_trend():
    noise = fields("white")[0]
    X = np.stack([noise + slope * np.linspace(-1, 1, 128) for slope in (0, 0.5, 1, 2, 4)])
    scorer = quick(n_surrogates=199).fit(X)
    time = scorer.rate_[:, 1]
    assert (np.diff(time) <= 0).all()
    assert time[0] > 0.95 and time[-1] < 0.1
    # The effect grows too, until the trend is all there is.
    assert (np.diff(scorer.effect_[:4, 1]) > 0).all()


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
    np.testing.assert_array_equal(table[:, :2], scorer.rate_)
    np.testing.assert_array_equal(table[:, 2], scorer.plane_score_)
    np.testing.assert_array_equal(quick().fit_transform(X), table)
    assert list(scorer.get_feature_names_out()) == ["frequency", "time", "plane"]
    assert scorer.score(X) == pytest.approx(scorer.rate_.mean())
    assert 0 <= scorer.score(X) <= 1


# Laws


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_unit_and_offset_of_the_data_do_not_matter(dtype):
    X = fields("mean step", "AR .9").astype(dtype)
    first, second = quick().fit(X), quick().fit(8 * X - 32)
    np.testing.assert_allclose(first.p_value_, second.p_value_, atol=0.03)
    np.testing.assert_allclose(first.effect_, second.effect_, rtol=1e-2)
    np.testing.assert_allclose(first.plane_effect_, second.plane_effect_, rtol=1e-2)


def test_transposing_swaps_the_axes():
    X = fields("mean step", "harmonic comb", shape=(64, 64))
    first = quick().fit(X)
    second = quick(axes=["time", "frequency"]).fit(X.transpose(0, 2, 1))
    for name in ("rate_", "raw_rate_", "pi0_", "p_value_", "effect_"):
        np.testing.assert_array_equal(getattr(second, name), getattr(first, name)[:, ::-1])


def test_reversal_of_time_changes_little():
    X = fields("white", "mean step", "deviation doubled", "AR .9")
    first, second = quick(n_surrogates=99).fit(X), quick(n_surrogates=99).fit(X[..., ::-1])
    np.testing.assert_array_equal(first.p_value_ <= 0.05, second.p_value_ <= 0.05)
    np.testing.assert_allclose(first.raw_rate_, second.raw_rate_, atol=0.16)
    np.testing.assert_allclose(first.effect_, second.effect_, rtol=0.15)


def test_same_for_every_number_of_processes():
    X = fields("white", "random walk", "1/f")
    np.testing.assert_array_equal(quick(n_jobs=2).fit_transform(X), quick().fit_transform(X))


def test_other_seed_other_surrogates():
    X = fields("AR .9")
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
    assert scorer.rate_[0, 0] == 1  # two points do not speak against anything


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
    for name in ("rate_", "raw_rate_", "pi0_", "p_value_", "effect_"):
        np.testing.assert_array_equal(getattr(scorer, name), np.ones((1, 2)))
    assert scorer.plane_score_ == scorer.plane_p_value_ == 1


def test_silent_channels_count_as_stationary_and_disturb_no_other():
    X = fields("random walk", "white")
    X[:, ::2] = 0
    scorer = quick().fit(X)
    assert scorer.rate_[0, 1] >= 0.5
    assert scorer.p_value_[0, 1] <= 0.05 < scorer.p_value_[1, 1]
    assert np.isfinite(scorer.effect_).all()


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
