"""StationarityDisplay shows the means and intervals it is given."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from skstrf import StationarityScorer
from skstrf.inspection import StationarityDisplay


def row(name, axis, rate, low=None, high=None):
    bounds = {"stationarity_low": low, "stationarity_high": high}
    return {"representation": name, "axis": axis, "stationarity": rate} | bounds


def test_panels_in_order_and_points_where_the_means_are():
    rows = [
        row("STFT", "frequency", 0.2, 0.1, 0.3),
        row("STFT", "time", 0.7, 0.6, 0.8),
        row("STRF", "scale", 0.4),
        row("STRF", "time", 0.9, float("nan"), float("nan")),
    ]
    display = StationarityDisplay(rows).plot()
    assert [ax.get_title() for ax in display.axes_] == ["time", "frequency", "scale"]
    np.testing.assert_array_equal(display.points_[0].get_data(), [[0.7, 0.9], [0, 1]])
    np.testing.assert_array_equal(display.points_[2].get_data(), [[0.4], [1]])
    # One interval and the points; none is drawn where it is not known.
    assert [len(ax.lines) for ax in display.axes_] == [2, 2, 1]
    np.testing.assert_array_equal(display.axes_[0].lines[0].get_xdata(), [0.6, 0.8])


def test_from_scorers():
    X = np.random.default_rng(0).standard_normal((3, 16, 64))
    scorer = StationarityScorer(n_surrogates=19, random_state=0)
    fitted = {"noise": scorer.fit(X)}
    display = StationarityDisplay.from_estimator(fitted, measure="effect")
    time = fitted["noise"].effect_[:, 1].mean()
    assert display.points_[0].get_xdata()[0] == pytest.approx(time)
    assert [ax.get_title() for ax in display.axes_] == ["time", "frequency", "plane"]


def test_the_interval_of_a_single_sound_is_unknown():
    X = np.random.default_rng(0).standard_normal((1, 16, 64))
    scorer = StationarityScorer(n_surrogates=19, random_state=0).fit(X)
    display = StationarityDisplay.from_estimator(scorer)
    assert [len(ax.lines) for ax in display.axes_] == [1, 1, 1]


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(ValueError, match="measure"):
        StationarityDisplay([row("STFT", "time", 0.3)], measure="rate").plot()
    with pytest.raises(ValueError, match="2 axes"):
        ax = plt.figure().subplots()
        StationarityDisplay([row("a", "time", 0.3), row("a", "plane", 0.4)]).plot(ax)
