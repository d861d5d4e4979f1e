"""The grid of frames."""

import threading

import numpy as np
import pytest

from skstrf import STFTTransformer
from skstrf.transforms.base import frame_axis, hop_length, n_frames


@pytest.mark.parametrize(
    ("sample_rate", "frame_rate", "hop"),
    [(16000, 125 / 8, 1024), (16000, 16000, 1), (22050, 62.5, 353), (44100, 100, 441)],
)
def test_hop_is_rounded(sample_rate, frame_rate, hop):
    assert hop_length(sample_rate, frame_rate) == hop


def test_time_axis_is_true_where_the_rate_does_not_divide():
    axis = frame_axis(22050 * 30, hop_length(22050, 62.5), 22050)
    np.testing.assert_allclose(np.diff(axis.values), 353 / 22050)
    np.testing.assert_allclose(axis.values[0], 353 / 22050 / 2)
    assert axis.values[-1] < 30 + 353 / 22050


@pytest.mark.parametrize("n_times", [1, 255, 256, 257, 5000])
def test_every_sample_is_in_a_frame(n_times):
    assert (n_frames(n_times, 256) - 1) * 256 < n_times <= n_frames(n_times, 256) * 256


def test_rates_that_cannot_be():
    with pytest.raises(ValueError, match="frame_rate=20000 is above sample_rate"):
        hop_length(16000, 20000)
    with pytest.raises(ValueError, match=r"nearest frame rates are 5333\.33, 8000 and 16000"):
        hop_length(16000, 9000)


def test_sounds_are_computed_side_by_side_in_as_many_threads_as_asked_for():
    both = threading.Barrier(2, timeout=60)  # which a single thread would never pass

    def meet(x):
        both.wait()
        return 2 * x

    found = STFTTransformer(n_jobs=2)._map_rows(meet, np.arange(6.0).reshape(2, 3))
    np.testing.assert_array_equal(found, 2 * np.arange(6.0).reshape(2, 3))
