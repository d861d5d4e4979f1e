import numpy as np
import pytest
from matplotlib.figure import Figure

from skstrf import STRFTransformer
from skstrf.auditory import auditory_spectrogram, moving_ripple
from skstrf.auditory.measures import log_spectral_distance, spectrogram_correlation
from skstrf.inspection import ReconstructionDisplay
from skstrf.transforms import Axis

FREQUENCY = Axis("frequency", "Hz", 200 * 2.0 ** (np.arange(12) / 3))
TIME = Axis("time", "s", (np.arange(20) + 0.5) / 125)
TENSOR_AXES = [
    Axis("scale", "cycles/octave", np.array([1.0, 2.0])),
    Axis("rate", "Hz", np.array([-4.0, 4.0])),
    FREQUENCY,
    Axis("time", "s", np.arange(5) / 31.25),
]


@pytest.fixture
def original():
    return np.random.default_rng(0).random((12, 20)) + 0.05


@pytest.fixture
def tensor():
    return np.random.default_rng(1).random((2, 2, 12, 5))


class Invertible(STRFTransformer):
    """Gives back what it is told, and remembers what it was asked."""

    def inverse_spectrogram(self, X):
        self.asked = X
        return self.answer


def test_panels_show_levels_difference_and_channels(original, tensor):
    reconstruction = original * np.linspace(0.5, 2, 20)
    display = ReconstructionDisplay(
        original, reconstruction, (FREQUENCY, TIME), tensor=tensor, tensor_axes=TENSOR_AXES,
        channels=[(2, -4), (1, 4)],
    ).plot()  # fmt: skip
    shown = [np.asarray(image.get_array()) for image in display.im_]
    assert len(shown) == len(display.axes_) == 5
    levels = 20 * np.log10(original / original.max())
    np.testing.assert_allclose(shown[0].reshape(12, 20), levels)
    change = np.broadcast_to(20 * np.log10(np.linspace(0.5, 2, 20)), (12, 20))
    np.testing.assert_allclose(shown[1].reshape(12, 20), levels + change)
    np.testing.assert_allclose(shown[2].reshape(12, 20), change, atol=1e-12)
    np.testing.assert_array_equal(shown[3].reshape(12, 5), tensor[1, 0])
    np.testing.assert_array_equal(shown[4].reshape(12, 5), tensor[0, 1])
    # One range for what compares, zero in the middle of the difference.
    assert display.im_[0].get_clim() == display.im_[1].get_clim() == (-60, 0)
    low, high = display.im_[2].get_clim()
    assert low == -high and 5 < high <= 6.1
    assert display.im_[3].get_clim() == display.im_[4].get_clim()
    titles = [ax.get_title() for ax in display.axes_]
    assert titles[:3] == ["original", "reconstruction", "reconstruction - original"]
    assert titles[3:] == ["2 cyc/oct, 4 Hz upward", "1 cyc/oct, 4 Hz downward"]


def test_the_title_states_the_measures(original):
    reconstruction = original + 0.1 * np.random.default_rng(2).random((12, 20))
    display = ReconstructionDisplay(original, reconstruction, (FREQUENCY, TIME)).plot(title="$a")
    distance = log_spectral_distance(original, reconstruction)
    correlation = spectrogram_correlation(original, reconstruction)
    assert display.log_spectral_distance_ == distance
    assert display.correlation_ == correlation
    assert display.figure_.get_suptitle() == (
        f"$a\nlog-spectral distance {distance:.1f} dB, correlation {correlation:.3f}"
    )
    display.figure_.draw_without_rendering()
    assert [bar.ax.get_ylabel() for bar in display.colorbars_] == ["level (dB)", "difference (dB)"]


@pytest.mark.parametrize("normalize", [True, False])
def test_the_original_is_what_the_cortical_stage_sees(normalize):
    x = 0.01 * moving_ripple(4, 1, 0.4, random_state=0)
    strf = Invertible(
        output="complex", compression=None, frame_step=4, normalize=normalize, time_constant=4.0
    ).fit(x[None])
    sound = (x - x.mean()) / x.std(ddof=1) if normalize else x
    expected = auditory_spectrogram(sound, time_constant=4.0)
    strf.answer = expected[None]
    display = ReconstructionDisplay.from_estimator(strf, x, channels=[(1, 4)])
    np.testing.assert_allclose(display.original, expected, rtol=1e-9)
    assert display.log_spectral_distance_ == pytest.approx(0, abs=1e-6)
    np.testing.assert_array_equal(strf.asked, strf.transform(x[None]))
    np.testing.assert_array_equal(display.tensor, strf.asked[0])
    np.testing.assert_allclose(display.axes[1].values[:2], [0.004, 0.012])
    assert len(display.axes_) == 4
    assert display.im_[3].get_array().shape == (128, 13)


def test_silence_has_measures_and_a_picture():
    strf = Invertible().fit(np.zeros((1, 3200)))
    strf.answer = np.zeros((1, 128, 25))
    display = ReconstructionDisplay.from_estimator(strf, np.zeros(3200), channels=[(1, 4)])
    display.figure_.draw_without_rendering()
    assert "0.0 dB, correlation undefined" in display.figure_.get_suptitle()
    strf.answer = np.ones((1, 128, 25))
    display = ReconstructionDisplay.from_estimator(strf, np.zeros(3200), channels=[(1, 4)])
    display.figure_.draw_without_rendering()
    assert "inf dB" in display.figure_.get_suptitle()


def test_draws_in_axes_that_are_given(original, tensor):
    figure = Figure()
    given = figure.subplots(1, 4)
    display = ReconstructionDisplay(
        original, original, (FREQUENCY, TIME), tensor=tensor, tensor_axes=TENSOR_AXES,
        channels=[(1, 4)],
    )  # fmt: skip
    assert display.plot(given) is display
    assert display.figure_ is figure and display.axes_.tolist() == given.tolist()
    assert given[1].get_title() == (
        "reconstruction\nlog-spectral distance 0.0 dB, correlation 1.000"
    )
    with pytest.raises(ValueError, match=r"must hold 4 axes .* got 3"):
        display.plot(given[:3])


@pytest.mark.parametrize(
    "change, message",
    [
        ({"original": np.ones((20, 12))}, r"original must be .* \(12, 20\)"),
        ({"reconstruction": np.ones((12, 21))}, r"reconstruction must be .* \(12, 20\)"),
        ({"reconstruction": np.full((12, 20), np.nan)}, "NaN"),
        ({"channels": [(5, 4)]}, "no scale 5"),
        ({"tensor": np.ones((2, 2, 12, 6))}, "shape"),
    ],
)
def test_what_does_not_fit_is_named(original, tensor, change, message):
    arguments = {
        "original": original, "reconstruction": original, "axes": (FREQUENCY, TIME),
        "tensor": tensor, "tensor_axes": TENSOR_AXES,
    }  # fmt: skip
    with pytest.raises(ValueError, match=message):
        ReconstructionDisplay(**(arguments | change)).plot()


def test_several_sounds_are_refused():
    with pytest.raises(ValueError, match="one mono sound"):
        ReconstructionDisplay.from_estimator(STRFTransformer(), np.ones((2, 1000)))
