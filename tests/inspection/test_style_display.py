"""StyleTransferDisplay draws what is there."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from skstrf import StyleTransfer
from skstrf.inspection import StyleTransferDisplay
from skstrf.style import log_stft


@pytest.fixture
def sounds():
    times = np.arange(8000) / 8000
    rng = np.random.default_rng(0)
    tone = np.sin(2 * np.pi * 440 * times)
    return tone, 0.1 * rng.standard_normal(8000)


def test_from_estimator(sounds):
    content, style = sounds
    transfer = StyleTransfer(log_stft(8000), max_iter=4, random_state=0).fit(style[None])
    display = StyleTransferDisplay.from_estimator(transfer, content, title="a tone in noise")
    assert len(display.axes_) == 7
    assert display.figure_.get_suptitle() == "a tone in noise"
    content_line, style_line = display.lines_
    np.testing.assert_allclose(style_line.get_ydata(), transfer.loss_curve_[:, 2])
    assert len(content_line.get_ydata()) == transfer.n_iter_ + 1
    # The map of the style has its maximum at 0 dB, and the three share one scale of colors.
    assert display.maps_[2].max() == 0
    assert len({image.get_clim() for image in display.im_[3:]}) == 1


def test_level_does_not_count(sounds):
    content, style = sounds
    displays = [
        StyleTransferDisplay(content, g * content, style, sample_rate=8000).plot() for g in (1, 9)
    ]
    np.testing.assert_allclose(displays[0].maps_, displays[1].maps_, atol=1e-3)


def test_bad_input(sounds):
    content, style = sounds
    with pytest.raises(ValueError, match="result is silent"):
        StyleTransferDisplay(content, 0 * content, style).plot()
    with pytest.raises(ValueError, match="one mono sound"):
        StyleTransferDisplay(np.stack(sounds), content, style).plot()
    ax = plt.figure().subplots()
    with pytest.raises(ValueError, match="must hold 6 axes"):
        StyleTransferDisplay(content, content, style).plot(ax=ax)
