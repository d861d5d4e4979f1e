import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from skstrf import STRFTransformer
from skstrf.auditory import moving_ripple
from skstrf.inspection import STRFDisplay
from skstrf.transforms import Axis


def make_axes(n_scales=3, n_rates=2, n_freqs=12, n_frames=5):
    rates = 2.0 ** np.arange(1, n_rates + 1)
    return [
        Axis("scale", "cycles/octave", 2.0 ** np.arange(n_scales)),
        Axis("rate", "Hz", np.concatenate([-rates[::-1], rates])),
        Axis("frequency", "Hz", 200 * 2.0 ** (np.arange(n_freqs) / 3)),
        Axis("time", "s", 0.064 + 0.128 * np.arange(n_frames)),
    ]


def make_tensor(axes, seed=0):
    return np.random.default_rng(seed).random([len(axis.values) for axis in axes])


@pytest.mark.parametrize("rate, scale", [(8, 1), (-4, 2), (-16, 0.5)])
def test_brightest_cell_of_the_map_is_the_ripple(rate, scale):
    x = moving_ripple(rate, scale, 1.0, random_state=0)
    strf = STRFTransformer(bandpass=True, compression=None)
    display = STRFDisplay.from_estimator(strf, x, channels=[(scale, rate), (scale, -rate)])
    grid = display.axes_[1]
    row, column = np.unravel_index(display.im_[1].get_array().argmax(), (6, 10))
    assert grid.get_yticklabels()[row].get_text() == f"{scale:g}"
    assert grid.get_xticklabels()[column].get_text() == f"{rate:g}"
    ticks = grid.get_xticks()[column], grid.get_yticks()[row]
    assert ticks == (column, row)  # the label stands at the middle of that very cell
    # The channel tuned to the ripple answers far more than the one of the other direction.
    assert display.im_[2].get_array().mean() > 4 * display.im_[3].get_array().mean()
    words = "upward" if rate < 0 else "downward"
    assert display.axes_[2].get_title() == f"{scale:g} cyc/oct, {abs(rate):g} Hz {words}"


def test_panels_show_the_means_and_the_chosen_channels():
    axes = make_axes()
    tensor = make_tensor(axes)
    display = STRFDisplay(tensor, axes, channels=[(4, -2), (1, 4)]).plot()
    shown = [np.asarray(image.get_array()) for image in display.im_]
    expected = [tensor.mean((0, 1)), tensor.mean((2, 3)), tensor[2, 1], tensor[0, 3]]
    for image, values in zip(shown, expected, strict=True):
        np.testing.assert_allclose(image.reshape(values.shape), values)
    assert display.im_[2].get_clim() == display.im_[3].get_clim()
    np.testing.assert_allclose(
        display.im_[2].get_clim(), [np.min(expected[2:]), np.max(expected[2:])]
    )


def test_a_tone_stands_at_its_frequency_and_time():
    axes = make_axes(n_freqs=72, n_frames=20)
    tensor = np.zeros([len(axis.values) for axis in axes])
    tensor[:, :, 40, 7] = 1
    mean = STRFDisplay(tensor, axes).plot().axes_[0]
    mesh = mean.collections[0]
    corners = mesh.get_coordinates()[40:42, 7:9]
    assert corners[0, 0, 1] < axes[2].values[40] < corners[1, 0, 1]
    assert corners[0, 0, 0] < axes[3].values[7] < corners[0, 1, 0]
    assert np.isclose(mesh.get_coordinates()[0, 0, 0], 0)  # the first frame begins at 0 s


def test_axes_are_labeled_with_units():
    display = STRFDisplay(np.ones((3, 4, 12, 5)), make_axes(), quantity="response").plot()
    mean, grid = display.axes_[:2]
    assert mean.get_xlabel() == "time (s)"
    assert mean.get_ylabel() == "frequency (Hz)"
    assert mean.get_yscale() == "log"
    assert [t.get_text() for t in mean.get_yticklabels()] == ["250", "500", "1000", "2000"]
    assert grid.get_ylabel() == "scale (cycles/octave)"
    assert "rate (Hz)" in grid.get_xlabel()
    assert grid.get_xlabel().index("upward") < grid.get_xlabel().index("downward")
    assert {bar.ax.get_ylabel() for bar in display.colorbars_} == {"response"}


@pytest.mark.parametrize(
    "settings, words",
    [
        ({"compression_floor": 0.02}, "log(1 + response / 0.02)"),
        ({"compression": "cbrt"}, "cube root of response"),
        ({"compression": None}, "response"),
    ],
)
def test_color_bar_names_the_compression(settings, words):
    x = moving_ripple(4, 1, 0.2, random_state=0)
    display = STRFDisplay.from_estimator(STRFTransformer(**settings), x, channels=[(1, 4)])
    assert display.colorbars_[0].ax.get_ylabel() == words


def test_default_channels_are_a_grid_in_both_directions():
    display = STRFDisplay(*2 * [None])
    display.axes = make_axes(n_scales=11, n_rates=9)
    display.tensor = make_tensor(display.axes)
    titles = [ax.get_title() for ax in display.plot().axes_[2:]]
    assert len(titles) == len(set(titles)) == 12
    assert sum("upward" in title for title in titles) == 6
    # The grid is in the order of the map: high scales above, upward rates left.
    scales = [float(title.split()[0]) for title in titles]
    assert scales == sorted(scales, reverse=True)
    assert ["upward" in title for title in titles[:4]] == [True, True, False, False]


def test_complex_tensors_are_shown_by_magnitude_and_torch_ones_as_they_are():
    axes = make_axes()
    tensor = make_tensor(axes)
    for other in (tensor * np.exp(1j * 2.0), torch.from_numpy(tensor)):
        display = STRFDisplay(other, axes, channels=[(1, 2)]).plot()
        np.testing.assert_allclose(display.im_[1].get_array(), tensor.mean((2, 3)))
        assert display.im_[1].get_cmap().name == "magma"


def test_zero_is_in_the_middle_of_the_colors_of_signed_tensors():
    axes = make_axes()
    tensor = make_tensor(axes)
    tensor -= tensor.mean(axis=(0, 1))
    display = STRFDisplay(tensor, axes, channels=[(1, 2)]).plot()
    for image in display.im_:
        low, high = image.get_clim()
        assert low == -high < 0
        assert image.get_cmap().name == "RdBu_r"
    np.testing.assert_allclose(display.im_[1].get_array(), tensor.mean((2, 3)))
    # What is left of a mean that cancels is rounding, and looks like nothing.
    assert np.abs(display.im_[0].get_array()).max() < 1e-6 * display.im_[0].get_clim()[1]


@pytest.mark.parametrize("settings", [{"output": "complex"}, {"output": "real"}, {}])
def test_magnitudes_are_drawn_whatever_the_output(settings):
    x = moving_ripple(4, 1, 0.3, random_state=0).astype("float32")
    strf = STRFTransformer(frame_step=4, **settings).fit(x[None])
    display = STRFDisplay.from_estimator(strf, x[None], channels=[(1, 4)])
    expected = STRFTransformer(frame_step=4, contrast=False).fit_transform(x[None])[0]
    np.testing.assert_allclose(display.tensor, expected, rtol=1e-5, atol=1e-6)
    assert strf.get_params() == STRFTransformer(frame_step=4, **settings).get_params()


def test_silence_and_a_single_frame_can_be_drawn():
    display = STRFDisplay.from_estimator(
        STRFTransformer(channel_step=128), np.zeros(100), channels=[(1, 4)]
    )
    display.figure_.draw_without_rendering()
    assert display.im_[0].get_array().size == 1


def test_fitted_transformer_is_used_and_an_unfitted_one_left_alone():
    x = moving_ripple(4, 1, 0.2, random_state=0)
    strf = STRFTransformer()
    STRFDisplay.from_estimator(strf, x, channels=[(1, 4)])
    assert not hasattr(strf, "axes_")
    strf.fit(x[None])
    assert STRFDisplay.from_estimator(strf, x, channels=[(1, 4)]).axes is strf.axes_
    with pytest.raises(ValueError, match=r"x has 3199 samples, but .* fitted on sounds of 3200"):
        STRFDisplay.from_estimator(strf, x[:-1])


def test_draws_in_axes_that_are_given():
    axes = make_axes()
    figure = Figure()
    given = figure.subplots(1, 3)
    display = STRFDisplay(make_tensor(axes), axes, channels=[(1, 2)]).plot(given)
    assert display.figure_ is figure
    assert display.axes_.tolist() == given.tolist()
    with pytest.raises(ValueError, match=r"must hold 3 axes .* got 2"):
        display.plot(given[:2])


def test_a_title_is_no_formula():
    display = STRFDisplay(np.ones((3, 4, 12, 5)), make_axes(), channels=[(1, 2)]).plot(
        title=r"$\frac$ a_b.wav"
    )
    display.figure_.draw_without_rendering()
    assert display.figure_.get_suptitle() == r"$\frac$ a_b.wav"


@pytest.mark.parametrize(
    "change, message",
    [
        ({"tensor": np.ones((2, 4, 12, 5))}, "shape"),
        ({"tensor": np.ones((1, 3, 4, 12, 5))}, "one sound"),
        ({"tensor": np.full((3, 4, 12, 5), np.nan)}, "NaN"),
        ({"axes": make_axes()[::-1]}, "in this order"),
        ({"channels": [(3, 2)]}, "no scale 3, there are 1, 2, 4"),
        ({"channels": [(1, -3)]}, "no rate -3"),
        ({"channels": []}, "at least one"),
    ],
)
def test_what_does_not_fit_is_named(change, message):
    arguments = {"tensor": np.ones((3, 4, 12, 5)), "axes": make_axes(), "channels": None}
    with pytest.raises(ValueError, match=message):
        STRFDisplay(**(arguments | change)).plot()


def test_several_sounds_are_refused():
    with pytest.raises(ValueError, match="one mono sound"):
        STRFDisplay.from_estimator(STRFTransformer(), np.ones((2, 1000)))
