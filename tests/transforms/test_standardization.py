"""Sounds of zero mean and unit variance."""

import numpy as np
import pytest
import torch

from skstrf.transforms.standardization import standardize, standardize_blocks


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_arrays_tensors_and_blocks_are_divided_by_the_deviation_of_the_sample(dtype):
    x = 5 + 3 * np.random.default_rng(0).standard_normal((2, 30)).astype(dtype)
    expected = (x - x.mean(axis=1, keepdims=True)) / x.std(axis=1, ddof=1, keepdims=True)
    tensor = standardize(torch.from_numpy(x)).numpy()
    blocks = np.concatenate(list(standardize_blocks([x[1, :13], x[1, 13:]])))
    for found, wanted in ((standardize(x), expected), (tensor, expected), (blocks, expected[1])):
        assert found.dtype == dtype
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)
