import numpy as np
import pytest

from skstrf.feature_selection import ChannelScores
from skstrf.inspection import ChannelScoreDisplay

SCALES, RATES = [0.5, 1, 2], [-8, -4, 4, 8]


@pytest.fixture
def scores():
    folds = np.full((3, 4, 5), 0.5) + np.linspace(-0.02, 0.02, 5)
    folds[2, 1] += 0.4
    folds[0, 3] += 0.3
    return ChannelScores(folds, chance=0.5, test_share=0.25)


def test_the_map_holds_the_means_and_marks_the_best(scores):
    display = ChannelScoreDisplay.from_scores(scores, scales=SCALES, rates=RATES, n_best=2)
    np.testing.assert_allclose(np.asarray(display.mesh_.get_array()), scores.mean)
    assert display.best_.tolist() == [[2, 1], [0, 3]]
    corners = [mark.get_xy() for mark in display.marks_]
    assert corners == [(0.5, 1.5), (2.5, -0.5)]
    grid = display.axes_[0]
    assert [label.get_text() for label in grid.get_xticklabels()] == ["-8", "-4", "4", "8"]
    assert [label.get_text() for label in grid.get_yticklabels()] == ["0.5", "1", "2"]
    assert [text.get_text() for text in grid.texts] == ["1", "2"]


def test_dots_are_at_the_channels_that_may_be_chance(scores):
    display = ChannelScoreDisplay.from_scores(scores, scales=SCALES, rates=RATES)
    dotted = {(int(scale), int(rate)) for rate, scale in display.dots_.get_offsets()}
    assert dotted == set(np.ndindex(3, 4)) - {(2, 1), (0, 3)}
    unknown = ChannelScoreDisplay(scores.mean, scores.std).plot()
    assert len(unknown.dots_.get_offsets()) == 0


def test_the_order_shows_chance_and_errors(scores):
    display = ChannelScoreDisplay.from_scores(scores, n_best=2)
    ax = display.axes_[1]
    assert [text.get_text() for text in ax.texts] == ["chance 0.5"]
    best, others = ax.containers
    np.testing.assert_allclose(best.lines[0].get_ydata(), [0.9, 0.8])
    assert len(others.lines[0].get_ydata()) == 10
    low, high = best.lines[2][0].get_segments()[0][:, 1]
    np.testing.assert_allclose(high - low, 2 * 1.96 * scores.standard_error[2, 1])
    assert "channels, best first" in ax.get_xlabel()


def test_a_single_fold_has_no_error_bars_but_is_drawn(scores):
    one = ChannelScores(scores.folds[..., :1], 0.5, 1.0)
    display = ChannelScoreDisplay.from_scores(one, n_best=0)
    assert display.marks_ == [] and len(display.dots_.get_offsets()) == 0


def test_only_one_channel_can_be_drawn():
    assert ChannelScoreDisplay([[0.5]], [[0.1]], chance=0.5).plot().best_.tolist() == [[0, 0]]


@pytest.mark.parametrize(
    ("arguments", "settings", "match"),
    [
        (([0.5], [0.1]), {}, "one shape"),
        (([[0.5]], [[0.1, 0.1]]), {}, "one shape"),
        (([[np.nan]], [[0.1]]), {}, "finite"),
        (([[0.5]], [[-0.1]]), {}, "not negative"),
        (([[0.5]], [[0.1]]), {"rates": [1, 2]}, r"rates has shape \(2,\), but mean has 1"),
        (([[0.5]], [[0.1]]), {"scales": [1, 2]}, "scales has shape"),
    ],
)
def test_what_does_not_fit_is_refused(arguments, settings, match):
    with pytest.raises(ValueError, match=match):
        ChannelScoreDisplay(*arguments, **settings).plot()
