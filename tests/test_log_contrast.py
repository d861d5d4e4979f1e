"""LogContrast: the transformer's own contrast, the envelope beside it, any kind of array."""

import dask.array as da
import numpy as np
import pytest
import torch

from skstrf import LogContrast, STRFTransformer
from skstrf.preprocessing import log_contrast


@pytest.fixture
def magnitudes():
    return np.random.default_rng(0).random((3, 4, 6, 8, 5)).astype(np.float32)


def test_frame_by_frame_it_is_the_contrast_of_the_transformer():
    x = np.random.default_rng(0).standard_normal((1, 8000))
    settings = {"frame_step": 5, "pooling": "sample", "rates": [4, 8], "scales": [0.5, 2]}
    own = STRFTransformer(**settings).fit_transform(x)
    raw = STRFTransformer(compression=None, contrast=False, **settings).fit_transform(x)
    np.testing.assert_allclose(LogContrast(envelope=False).fit_transform(raw), own, atol=1e-5)


def test_envelope_is_the_logarithm_and_a_filter_of_the_sound_is_only_in_it(magnitudes):
    filtered = magnitudes * np.linspace(1, 20, 8, dtype=np.float32)[:, None]
    # Far above the floor a gain is a sum.
    plain, other = (
        log_contrast(1e3 * x) for x in (magnitudes + 0.1, filtered + 0.1 * filtered / magnitudes)
    )
    np.testing.assert_allclose(plain[:, :4], other[:, :4], atol=1e-3)
    assert np.abs(plain[:, 4:] - other[:, 4:]).max() > 1
    np.testing.assert_allclose(plain[:, 4:], np.log1p(1e6 * (magnitudes + 0.1)), rtol=1e-5)


def test_torch_and_dask_give_the_same(magnitudes):
    stage = LogContrast().fit(magnitudes)
    expected = stage.transform(magnitudes)
    assert expected.dtype == np.float32
    tensor = stage.transform(torch.from_numpy(magnitudes))
    np.testing.assert_allclose(tensor, expected, rtol=1e-5, atol=1e-5)
    lazy = stage.transform(da.from_array(magnitudes, chunks=(2, -1, -1, -1, -1)))
    assert lazy.shape == expected.shape
    computed = lazy.compute(scheduler="synchronous")
    np.testing.assert_allclose(computed, expected, rtol=1e-5, atol=1e-5)


def test_signs_are_kept_and_floor_is_checked(magnitudes):
    np.testing.assert_allclose(log_contrast(-magnitudes), -log_contrast(magnitudes), atol=1e-6)
    with pytest.raises(ValueError, match="compression_floor"):
        LogContrast(compression_floor=0).fit(magnitudes)
