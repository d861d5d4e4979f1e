import numpy as np
import pytest
from matplotlib.figure import Figure

from skstrf import STRFTransformer
from skstrf.auditory import receptive_field
from skstrf.auditory.modulation_filters import ReceptiveField
from skstrf.inspection import ReceptiveFieldDisplay


@pytest.fixture
def fields():
    return [[receptive_field(rate, scale) for rate in (-8, 8)] for scale in (1, 2, 4)]


def slope(image):
    """Positive where the pattern of an image rises to the right."""
    weights = np.asarray(image.get_array())
    rows, columns = np.gradient(weights)
    return -(rows * columns).sum()


def test_upward_fields_rise_and_downward_ones_fall():
    display = ReceptiveFieldDisplay.from_rates_scales([-16, -4, 4, 16], [0.5, 2])
    assert display.axes_.shape == display.im_.shape == (2, 4)
    for row in display.im_:
        assert [np.sign(slope(image)) for image in row] == [1, 1, -1, -1]
    assert display.axes_[1, 0].get_title() == "2 cyc/oct, 16 Hz upward"


def test_the_picture_holds_the_weights(fields):
    display = ReceptiveFieldDisplay(fields, [-8, 8], [1, 2, 4]).plot()
    for (scale, rate), image in np.ndenumerate(display.im_):
        weights, times, octaves = fields[scale][rate]
        np.testing.assert_allclose(image.get_array(), weights / np.abs(weights).max())
        assert image.get_clim() == (-1, 1)
        left, right, bottom, top = image.get_extent()
        np.testing.assert_allclose([left, right], times[[0, -1]] + [-4, 4])
        np.testing.assert_allclose([bottom, top], octaves[[0, -1]] + np.array([-1, 1]) / 48)
        assert image.origin == "lower"
    assert display.im_[0, 0].get_cmap().name == "RdBu_r"
    red, blue = (display.im_[0, 0].cmap(display.im_[0, 0].norm(value)) for value in (1, -1))
    assert red[0] > red[2] and blue[2] > blue[0]
    texts = [label.get_text() for label in display.colorbar_.ax.get_yticklabels()]
    assert texts == ["inhibits", "0", "excites"]


def test_scales_go_up_and_rates_to_the_right():
    display = ReceptiveFieldDisplay.from_rates_scales([-4, 4], [1, 2, 4])
    display.figure_.draw_without_rendering()
    heights = [ax.get_position().y0 for ax in display.axes_[:, 0]]
    assert heights == sorted(heights)
    assert display.axes_[0, 0].get_position().x0 < display.axes_[0, 1].get_position().x0


def test_a_large_grid_names_rows_and_columns():
    display = ReceptiveFieldDisplay.from_rates_scales(title="a bank")
    assert display.axes_.shape == (6, 10)
    assert display.axes_[-1, 0].get_title() == "32 Hz\nupward"
    assert display.axes_[0, 0].get_ylabel() == "0.25 cyc/oct"
    assert display.figure_.get_suptitle() == "a bank"
    assert display.figure_.get_supylabel() == "frequency (octaves)"


def test_what_is_shown_is_almost_all_of_a_field():
    display = ReceptiveFieldDisplay.from_rates_scales([8], [2])
    shown = display.fields[0][0]
    whole = receptive_field(8, 2)
    step = (whole.times[1] - whole.times[0]) / (shown.times[1] - shown.times[0])
    fine = (whole.octaves[1] - whole.octaves[0]) / (shown.octaves[1] - shown.octaves[0])
    share = (shown.field**2).sum() / (step * fine) / (whole.field**2).sum()
    assert 0.97 < share < 1.001


def test_frequencies_may_be_in_hz():
    display = ReceptiveFieldDisplay.from_rates_scales([8], [1], best_frequency=440)
    ax = display.axes_[0, 0]
    display.figure_.draw_without_rendering()
    labels = {
        tick: text.get_text()
        for tick, text in zip(ax.get_yticks(), ax.get_yticklabels(), strict=True)
    }
    assert labels[1.0] == "880" and labels[0.0] == "440"
    assert ax.get_ylabel() == "frequency (Hz)"
    assert ax.get_xlabel() == "time (ms)"


def assert_is_part_of(shown, rate, scale, rate_kind, scale_kind, n_frames):
    step = round(8 / (shown.times[1] - shown.times[0]))
    whole = receptive_field(
        rate, scale, rate_kind=rate_kind, scale_kind=scale_kind, n_frames=n_frames,
        oversampling=step,
    )  # fmt: skip
    row = np.abs(whole.octaves - shown.octaves[0]).argmin()
    column = np.abs(whole.times - shown.times[0]).argmin()
    n_rows, n_columns = shown.field.shape
    part = whole.field[row : row + n_rows, column : column + n_columns]
    np.testing.assert_allclose(shown.field, part, atol=1e-12)


def test_channels_of_a_transformer_are_those_of_its_bank():
    strf = STRFTransformer(rates=(2, 4, 8), scales=(1, 2, 4)).fit(np.zeros((1, 16000)))
    display = ReceptiveFieldDisplay.from_estimator(strf, channels=([1, 4], [-2, 8]))
    assert display.axes_.shape == (2, 2)
    assert_is_part_of(display.fields[0][0], -2, 1, "low", "low", 125)
    assert_is_part_of(display.fields[1][1], 8, 4, "high", "high", 125)
    assert ReceptiveFieldDisplay.from_estimator(strf).axes_.shape == (3, 6)
    with pytest.raises(ValueError, match=r"no rate 3, there are -8, -4, -2, 2, 4, 8"):
        ReceptiveFieldDisplay.from_estimator(strf, channels=([1], [3]))


def test_bandpass_false_is_the_bank_of_the_default_transform():
    low = ReceptiveFieldDisplay.from_rates_scales([-8, 2, 8], [1, 2, 4], bandpass=False)
    band = ReceptiveFieldDisplay.from_rates_scales([-8, 2, 8], [1, 2, 4])
    for place, kinds in ((0, ("high", "low")), (1, ("low", "low")), (2, ("high", "low"))):
        assert_is_part_of(low.fields[0][place], (-8, 2, 8)[place], 1, *kinds, 256)
    assert_is_part_of(low.fields[1][1], 2, 2, "low", "band", 256)
    assert_is_part_of(band.fields[1][1], 2, 2, "band", "band", 256)


def test_draws_in_axes_that_are_given(fields):
    figure = Figure()
    given = figure.subplots(3, 2)
    display = ReceptiveFieldDisplay(fields, [-8, 8], [1, 2, 4]).plot(given)
    assert display.figure_ is figure
    assert display.axes_.tolist() == given.tolist()
    with pytest.raises(ValueError, match=r"must hold 6 axes"):
        display.plot(given[:2])


def test_a_field_of_nil_can_be_drawn():
    nil = ReceptiveField(np.zeros((1, 1)), np.zeros(1), np.zeros(1))
    display = ReceptiveFieldDisplay([[nil]], [4], [1]).plot()
    display.figure_.draw_without_rendering()
    assert display.im_[0, 0].get_array().max() == 0


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda c: c.from_rates_scales([0, 4]), "not 0"),
        (lambda c: c.from_rates_scales([4, -4]), "ascending"),
        (lambda c: c.from_rates_scales([]), "rates"),
        (lambda c: c.from_rates_scales([4], [2, 1]), "scales"),
        (lambda c: c.from_rates_scales([100]), "half the frame rate"),
        (lambda c: c([[receptive_field(4, 1)]], [4, 8], [1]).plot(), "one field for each of 2"),
        (lambda c: c([], [], []).plot(), "fields"),
        (lambda c: c([[(np.ones((2, 3)), np.ones(2), np.ones(2))]], [4], [1]).plot(), "shape"),
        (lambda c: c.from_rates_scales([4], [1], best_frequency=-1), "best_frequency"),
    ],
)
def test_what_does_not_fit_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(ReceptiveFieldDisplay)
