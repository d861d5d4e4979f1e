"""Displays of searches and comparisons."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from skstrf.inspection import ComparisonDisplay, StudyDisplay

TRIALS = [
    {"number": 2, "state": "COMPLETE", "score": 0.5},
    {"number": 0, "state": "COMPLETE", "score": 0.6},
    {"number": 1, "state": "PRUNED", "score": None, "curve": [[1, 0.2], [2, 0.3]]},
    {"number": 3, "state": "FAIL", "score": None},
    {"number": 4, "state": "COMPLETE", "score": 0.8},
]
ROWS = [
    {"name": "all", "accuracy": {"mean": 0.9, "std": 0.02}},
    {"name": "MPCA", "accuracy": {"mean": 0.92, "std": None}},
]


def test_trials_are_in_order_and_pruned_ones_at_their_last_score():
    display = StudyDisplay(TRIALS, importances={"lr": 0.7, "dropout": 0.3}).plot()
    np.testing.assert_array_equal(display.best_.get_xdata(), range(5))
    np.testing.assert_array_equal(display.best_.get_ydata(), [0.6, 0.6, 0.6, 0.6, 0.8])
    np.testing.assert_array_equal(display.complete_.get_offsets(), [[0, 0.6], [2, 0.5], [4, 0.8]])
    np.testing.assert_array_equal(display.pruned_.get_offsets(), [[1, 0.3]])
    assert [bar.get_width() for bar in display.bars_] == [0.3, 0.7]
    assert len(display.axes_) == 2


def test_without_importances_there_is_one_panel():
    ax = Figure().subplots()
    display = StudyDisplay(TRIALS, score_name="accuracy").plot(ax)
    assert display.axes_.tolist() == [ax] and display.bars_ is None
    assert ax.get_ylabel() == "accuracy"


@pytest.mark.parametrize(
    "trials, message", [([], "trials is empty"), ([{"number": 0, "state": "FAIL"}], "score")]
)
def test_trials_that_cannot_be_drawn_are_refused(trials, message):
    with pytest.raises(ValueError, match=message):
        StudyDisplay(trials).plot()


def test_comparison_has_a_row_for_each_pipeline():
    display = ComparisonDisplay(ROWS, chance=0.25).plot()
    points, _, (bars,) = display.points_
    np.testing.assert_array_equal(points.get_data(), [[0.9, 0.92], [0, 1]])
    known, unknown = bars.get_segments()
    np.testing.assert_allclose(known[:, 0], [0.88, 0.92])
    assert not np.isfinite(unknown).any()
    assert display.chance_.get_xdata()[0] == 0.25
    with pytest.raises(ValueError, match="rows is empty"):
        ComparisonDisplay([]).plot()
