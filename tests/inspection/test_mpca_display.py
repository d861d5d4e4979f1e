import numpy as np
import pytest

from skstrf.inspection import MPCADisplay
from skstrf.multilinear import mpca


@pytest.fixture
def found():
    x = np.random.default_rng(0).standard_normal((30, 3, 5, 24))
    return mpca(x, 0.8)


def test_curves_are_the_cumulated_eigenvalues(found):
    ranks = [len(components) for components in found.components]
    display = MPCADisplay(found.eigenvalues, ranks, share=0.8).plot()
    for line, values in zip(display.lines_, found.eigenvalues, strict=True):
        np.testing.assert_array_equal(line.get_xdata(), range(len(values) + 1))
        expected = 100 * np.cumsum(values) / found.total_scatter
        np.testing.assert_allclose(line.get_ydata()[1:], expected)
    for cut, rank in zip(display.cuts_, ranks, strict=True):
        assert cut.get_xdata() == [rank]
        assert cut.get_ydata()[0] >= 80


def test_titles_say_what_is_kept():
    display = MPCADisplay([[6, 3, 1], [9, 1]], (2, 1), mode_names=["scale", "rate"]).plot()
    titles = [ax.get_title() for ax in display.axes_]
    assert titles == ["scale: 2 of 3 keep 90.0 %", "rate: 1 of 2 keep 90.0 %"]
    assert display.axes_[0].get_xlabel() == "components"
    assert "variance (%)" in display.axes_[0].get_ylabel()


def test_data_that_do_not_vary_can_be_drawn():
    display = MPCADisplay([[0, 0]], [1]).plot()
    assert display.axes_[0].get_title() == "mode 1: 1 of 2 keep 100.0 %"


@pytest.mark.parametrize("n_modes", [1, 4, 5])
def test_every_mode_has_a_panel(n_modes):
    display = MPCADisplay([[3, 1]] * n_modes, [1] * n_modes).plot()
    assert len(display.figure_.axes) == len(display.axes_) == n_modes


@pytest.mark.parametrize(
    "arguments, message",
    [
        (([[1, 1]], [1, 1]), "one entry for each mode"),
        (([[1, 1]], [3]), "keeps 3 of 2"),
        (([[1, np.nan]], [1]), "finite"),
        (([[1, -1]], [1]), "not negative"),
        (([], []), "one entry for each mode"),
    ],
)
def test_what_does_not_fit_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        MPCADisplay(*arguments).plot()


def test_from_estimator_reads_a_fitted_mpca():
    from skstrf import MPCA

    X = np.random.default_rng(0).standard_normal((20, 4, 6))
    fitted = MPCA(0.7).fit(X)
    display = MPCADisplay.from_estimator(fitted, mode_names=["scale", "rate"])
    assert [cut.get_xdata()[0] for cut in display.cuts_] == list(fitted.output_shape_)
    assert [ax.get_title().split(":")[0] for ax in display.axes_] == ["scale", "rate"]
    assert any("70 % requested" in text.get_text() for text in display.axes_[0].texts)
    chosen = MPCADisplay.from_estimator(MPCA((2, 3)).fit(X))
    assert [cut.get_xdata()[0] for cut in chosen.cuts_] == [2, 3]
    assert not chosen.axes_[0].texts
