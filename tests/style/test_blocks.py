"""Blocks cover a sound, and joins keep what they join."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skstrf.style.sounds import block_starts, join_blocks


@settings(max_examples=200, deadline=None)
@given(
    n_times=st.integers(1, 5000),
    longest=st.integers(4, 900),
    overlap=st.floats(0.001, 1 / 3),
)
def test_blocks_cover_the_sound_and_no_sample_is_in_three(n_times, longest, overlap):
    starts, length = block_starts(n_times, longest, overlap)
    counts = np.zeros(n_times, dtype=int)
    for start in starts:
        assert start + length <= n_times
        counts[start : start + length] += 1
    assert counts.min() >= 1
    assert counts.max() <= 2
    assert length <= longest
    x = np.random.default_rng(0).standard_normal(n_times)
    joined = join_blocks([x[i : i + length] for i in starts], starts, n_times)
    np.testing.assert_allclose(joined, x, atol=1e-12)


def test_join_of_unrelated_blocks_has_equal_power():
    rng = np.random.default_rng(0)
    starts, length = block_starts(40_000, 24_000, 0.2)
    power = np.zeros(40_000)
    for _ in range(60):
        blocks = [rng.standard_normal(length) for _ in starts]
        power += join_blocks(blocks, starts, 40_000) ** 2 / 60
    smooth = power.reshape(-1, 400).mean(axis=1)
    assert smooth.min() > 0.9
    assert smooth.max() < 1.1


@pytest.mark.parametrize("sign", [1, -1])
def test_join_of_silence_and_of_opposites_is_finite(sign):
    blocks = [np.zeros(10), sign * np.ones(10)]
    assert np.isfinite(join_blocks(blocks, [0, 5], 15)).all()
    assert np.isfinite(join_blocks([np.ones(10), -np.ones(10)], [0, 5], 15)).all()
