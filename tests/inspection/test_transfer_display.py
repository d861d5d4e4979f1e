"""Lines of accuracy against the share of labels."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from skstrf.inspection import TransferDisplay

ROWS = [
    {"method": m, "fraction": f, "accuracy": a, "std": s, "n_labels": n}
    for m, f, a, s, n in [
        ("from scratch", 1.0, 0.8, 0.02, 100),
        ("from scratch", 0.1, 0.4, 0.05, 10),
        ("fine-tuned", 0.1, 0.6, None, 10),
        ("fine-tuned", 1.0, 0.81, None, 100),
    ]
]


def test_every_method_is_a_line_through_its_means_in_order():
    display = TransferDisplay(ROWS, chance=0.25).plot()
    assert list(display.lines_) == ["from scratch", "fine-tuned"]
    line = display.lines_["from scratch"]
    shares, means = line.lines[0].get_xydata().T
    np.testing.assert_allclose(means, [0.4, 0.8])
    np.testing.assert_allclose(shares, [0.1, 1.0], rtol=0.05)
    bars = np.array(line.lines[2][0].get_segments(), dtype=float)
    np.testing.assert_allclose(np.ptp(bars[:, :, 1], axis=1), [0.1, 0.04])
    assert display.chance_.get_ydata()[0] == 0.25
    ticks = [label.get_text() for label in display.ax_.get_xticklabels()]
    assert ticks == ["10 %\n(10)", "100 %\n(100)"]


def test_axes_may_be_given():
    figure, ax = plt.subplots()
    display = TransferDisplay(ROWS).plot(ax=ax)
    assert display.figure_ is figure and display.chance_ is None
    with pytest.raises(ValueError, match="must hold 1 axes"):
        TransferDisplay(ROWS).plot(ax=plt.subplots(1, 2)[1])


def test_rows_that_cannot_be_drawn_are_refused():
    with pytest.raises(ValueError, match="rows is empty"):
        TransferDisplay([]).plot()
    with pytest.raises(ValueError, match=r"no \{'accuracy'\} in"):
        TransferDisplay([{"method": "a", "fraction": 0.5}]).plot()
