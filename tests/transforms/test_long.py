"""STRFTransformer block by block is STRFTransformer."""

import numpy as np
import pytest

from skstrf import STRFTransformer
from skstrf.transforms import long_axes, transform_blocks

SMALL = {"rates": [4, 16], "scales": [1.0], "channel_step": 8}


@pytest.fixture(scope="module")
def sound():
    rng = np.random.default_rng(0)
    swell = 1.2 + np.sin(np.arange(50 * 16000) / 16000)
    return (3 + swell * rng.standard_normal(50 * 16000)).astype(np.float32)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        pytest.param(
            {"output": "complex", "compression": None, "frame_step": 16}, marks=pytest.mark.slow
        ),
        {"output": "real", "compression": "cbrt", "pooling": "sample", "frame_step": 50},
        {"nonlinearity": "half-wave", "normalize": False, "contrast": False},
        pytest.param(
            {"sample_rate": 22050, "dtype": "float64", "hop_duration": 4}, marks=pytest.mark.slow
        ),
    ],
)
def test_blocks_joined_are_the_transform(sound, settings):
    strf = STRFTransformer(**SMALL, **settings)
    blocks = list(transform_blocks(strf, np.array_split(sound, 23), block_length=13))
    joined = np.concatenate(blocks, axis=-1)
    expected = strf.fit_transform(sound[np.newaxis])[0]
    assert {block.shape[-1] for block in blocks[:-1]} == {13}
    assert joined.dtype == expected.dtype
    # Compression magnifies what is far below the largest.
    np.testing.assert_allclose(joined, expected, atol=2e-3 * np.abs(expected).max())
    for axis, other in zip(long_axes(strf, sound.size), strf.axes_, strict=True):
        assert axis[:2] == other[:2]
        np.testing.assert_array_equal(axis.values, other.values)


def test_transformer_is_left_as_it_was(sound):
    strf = STRFTransformer(**SMALL).fit(sound[np.newaxis, :32000])
    next(transform_blocks(strf, [sound]))
    assert strf.n_features_in_ == 32000


@pytest.mark.parametrize("value", [0.1, pytest.param(0.0, marks=pytest.mark.slow)])
def test_silence_stays_silence(value):
    strf = STRFTransformer(**SMALL)
    for block in transform_blocks(strf, [np.full(16000, value, np.float32)] * 40):
        assert not block.any()


def test_a_generator_is_refused_where_two_passes_are_needed(sound):
    parts = np.array_split(sound, 5)
    with pytest.raises(ValueError, match="once only"):
        transform_blocks(STRFTransformer(), iter(parts))
    strf = STRFTransformer(**SMALL, normalize=False)
    assert sum(block.shape[-1] for block in transform_blocks(strf, iter(parts))) == 50


def test_bad_sounds_and_settings_are_refused(sound):
    with pytest.raises(ValueError, match="NaN"):
        list(transform_blocks(STRFTransformer(), [sound, np.full(10, np.nan, np.float32)]))
    with pytest.raises(ValueError, match="no samples"):
        list(transform_blocks(STRFTransformer(), []))
    with pytest.raises(ValueError, match="half the frame rate"):
        transform_blocks(STRFTransformer(rates=[100]), [sound])
