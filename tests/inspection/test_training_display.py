import numpy as np
import pytest
from sklearn.base import BaseEstimator

from skstrf.inspection import TrainingDisplay


def make_history(n=6, best=4, valid=True):
    rows = []
    for epoch in range(1, n + 1):
        row = {"epoch": epoch, "train_loss": 2.0 / epoch, "lr": 0.1}
        if valid:
            row |= {"valid_loss": 0.5 + 0.1 * abs(epoch - best), "valid_accuracy": epoch / n}
        rows.append(row)
    return rows


class Fitted(BaseEstimator):
    def __init__(self, history, best):
        self.history_ = history
        self.n_epochs_to_best_ = best

    def fit(self, X, y=None):
        return self


def test_curves_are_the_history():
    history = make_history()
    display = TrainingDisplay([history]).plot()
    for key, lines in display.lines_.items():
        np.testing.assert_array_equal(lines[0].get_xdata(), range(1, 7))
        np.testing.assert_array_equal(lines[0].get_ydata(), [row[key] for row in history])
    assert set(display.lines_) == {"train_loss", "valid_loss", "valid_accuracy"}


def test_best_epoch_is_marked_on_both_panels():
    display = TrainingDisplay([make_history(best=4)]).plot()
    assert display.best_epochs_ == [4]
    marks = [mark.get_xydata()[0].tolist() for mark in display.best_]
    np.testing.assert_allclose(marks, [[4, 0.5], [4, 4 / 6]])
    texts = [text.get_text() for text in display.axes_[0].get_legend().get_texts()]
    assert texts == ["training", "validation", "best: epoch 4, 0.500"]


def test_an_estimator_says_itself_which_epoch_it_kept():
    display = TrainingDisplay.from_estimator(Fitted(make_history(best=4), 2))
    assert display.best_[0].get_xdata().tolist() == [2]


def test_labels_have_units():
    loss, accuracy = TrainingDisplay([make_history()]).plot().axes_
    assert loss.get_xlabel() == accuracy.get_xlabel() == "epoch"
    assert loss.get_ylabel() == "loss (cross-entropy, nats)"
    assert accuracy.get_ylabel() == "accuracy (share of sounds)"
    assert accuracy.get_ylim()[0] == 0 and accuracy.get_ylim()[1] > 1


def test_folds_are_drawn_together():
    histories = [make_history(n, best) for n, best in ((6, 4), (9, 8), (7, 6))]
    display = TrainingDisplay(histories).plot()
    assert [len(line.get_xdata()) for line in display.lines_["valid_loss"]] == [6, 9, 7]
    assert display.best_[0].get_xdata().tolist() == [4, 8, 6]
    texts = [text.get_text() for text in display.axes_[0].get_legend().get_texts()]
    assert texts == ["training", "validation", "best epochs (median 6)"]


def test_without_a_validation_part_there_is_one_panel_and_no_mark():
    display = TrainingDisplay.from_estimator(Fitted(make_history(valid=False), 6))
    assert len(display.axes_) == 1
    assert display.best_ == []


def test_a_single_epoch_can_be_seen():
    display = TrainingDisplay([make_history(n=1)]).plot()
    assert display.lines_["train_loss"][0].get_marker() == "o"
    assert all(tick == round(tick) for tick in display.axes_[0].get_xticks())


@pytest.mark.parametrize(
    "histories, message",
    [
        ([], "at least one"),
        ([[]], "at least one"),
        (make_history(), "Put a single history in a list"),
        ([[{"epoch": 1}]], "train_loss"),
    ],
)
def test_other_data_are_refused(histories, message):
    with pytest.raises(ValueError, match=message):
        TrainingDisplay(histories).plot()


def test_best_epochs_are_one_for_each_training():
    with pytest.raises(ValueError, match="2 entries for 1 histories"):
        TrainingDisplay([make_history()], best_epochs=[1, 2]).plot()
