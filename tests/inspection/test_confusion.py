import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from sklearn.dummy import DummyClassifier

from skstrf.inspection import ConfusionDisplay

TRUE = ["oboe"] * 4 + ["tuba"] * 3 + ["viola"]
PREDICTED = ["oboe", "oboe", "oboe", "tuba", "tuba", "tuba", "tuba", "oboe"]


def test_shares_and_counts():
    display = ConfusionDisplay.from_predictions(TRUE, PREDICTED)
    np.testing.assert_array_equal(display.confusion_matrix, [[3, 1, 0], [0, 3, 0], [1, 0, 0]])
    np.testing.assert_allclose(display.shares_, [[0.75, 0.25, 0], [0, 1, 0], [1, 0, 0]])
    texts = [[text.get_text() for text in row] for row in display.text_]
    assert texts == [["75 %\n3", "25 %\n1", ""], ["", "100 %\n3", ""], ["100 %\n1", "", ""]]
    assert display.im_.get_clim() == (0, 1)
    assert display.ax_.get_xlabel() == "predicted class"
    assert display.ax_.get_ylabel() == "true class"


def test_a_class_without_sounds_has_an_empty_row():
    display = ConfusionDisplay.from_predictions(TRUE, PREDICTED, labels=["tuba", "flute", "oboe"])
    np.testing.assert_array_equal(display.shares_[1], 0)
    assert [t.get_text() for t in display.ax_.get_yticklabels()] == ["tuba", "flute", "oboe"]


def luminance(color):
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in color]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("cmap", ["Blues", "magma"])
def test_text_stands_out_of_its_cell(cmap):
    true = np.repeat(np.arange(20), 20)
    predicted = np.concatenate([[(c + 1) % 20] * c + [c] * (20 - c) for c in range(20)])
    display = ConfusionDisplay.from_predictions(true, predicted, cmap=cmap)
    for (row, column), text in np.ndenumerate(display.text_):
        cell = display.im_.cmap(display.im_.norm(display.shares_[row, column]))[:3]
        pair = sorted((luminance(cell), luminance(to_rgb(text.get_color()))))
        assert (pair[1] + 0.05) / (pair[0] + 0.05) >= 4.5


@pytest.mark.parametrize("n", [2, 14, 20])
def test_no_text_overlaps_another_or_leaves_the_figure(n):
    names = [f"instrument class {i:02d}" for i in range(n)]
    true = np.repeat(names, n)
    display = ConfusionDisplay.from_predictions(true, np.tile(names, n))
    figure = display.figure_
    figure.draw_without_rendering()
    width, height = figure.canvas.get_width_height()
    labels = [*display.ax_.get_xticklabels(), *display.ax_.get_yticklabels()]
    for label in [*labels, display.ax_.xaxis.label, display.ax_.yaxis.label]:
        box = label.get_window_extent()
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height
    cell = np.diff(display.ax_.transData.transform([(0, 0), (1, -1)]), axis=0).ravel()
    for text in display.text_.ravel():
        box = text.get_window_extent()
        assert box.width < cell[0] and box.height < cell[1]


def test_more_than_twenty_classes_have_no_text():
    display = ConfusionDisplay.from_predictions(np.arange(21), np.arange(21))
    assert display.text_ is None


def test_odd_names_are_shown_as_they_are():
    names = [r"$\frac$", "x" * 60]
    display = ConfusionDisplay.from_predictions(names, names)
    display.figure_.draw_without_rendering()
    shown = [label.get_text() for label in display.ax_.get_xticklabels()]
    assert shown == [r"$\frac$", "x" * 23 + "…"]


def test_draws_in_axes_that_are_given():
    ax = Figure().subplots()
    assert ConfusionDisplay.from_predictions([0, 1], [1, 1], ax=ax).ax_ is ax


def test_from_estimator_predicts():
    X = np.eye(3)
    classifier = DummyClassifier(strategy="most_frequent").fit(X, ["oboe", "tuba", "tuba"])
    display = ConfusionDisplay.from_estimator(classifier, X, ["oboe", "oboe", "tuba"])
    np.testing.assert_array_equal(display.confusion_matrix, [[0, 2], [0, 1]])


def test_classes_without_names_are_numbered_and_shapes_are_checked():
    display = ConfusionDisplay([[1, 0], [2, 3]]).plot()
    assert [label.get_text() for label in display.ax_.get_xticklabels()] == ["0", "1"]
    with pytest.raises(ValueError, match=r"square.*shape \(1, 2\) and 1 labels"):
        ConfusionDisplay([[1, 2]]).plot()
    with pytest.raises(ValueError, match=r"2, 2.* and 1 labels"):
        ConfusionDisplay([[1, 0], [2, 3]], display_labels=["oboe"]).plot()
