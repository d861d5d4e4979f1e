"""Long sound block by block equals the whole, and what that costs."""

import tracemalloc

import numpy as np
import pytest

from skstrf.auditory import (
    auditory_spectrogram,
    auditory_spectrogram_blocks,
    cortical_transform,
    cortical_transform_blocks,
    moving_ripple,
    rate_filter,
)
from skstrf.auditory.long_sounds import FrameFile, WholeFileFilter

SMALL = {"rates": [2, 8, 32], "scales": [0.5, 4], "channel_step": 4}


def joined(blocks):
    return np.concatenate(list(blocks), axis=-1)


def relative_error(actual, expected):
    return np.abs(actual - expected).max() / np.abs(expected).max()


@pytest.fixture(scope="module")
def spectrogram():
    """Two minutes, 32 channels: a large mean, silence, a jump in level, energy at every rate."""
    rng = np.random.default_rng(0)
    n = 16800
    slow = np.cumsum(rng.standard_normal((32, n)), axis=1)
    slow = 1 + slow / np.abs(slow).max()
    v = slow * (1 + 0.5 * np.sin(2 * np.pi * 4 * np.arange(n) / 125)) + rng.random((32, n)) / 4
    v[:, 6000:7500] = 0
    v[:, 12000:] *= 3
    return v


@pytest.mark.parametrize(
    ("nonlinearity", "sample_rate"),
    [
        ("linear", 22050),
        ("half-wave", 16000),
        ("hard", 16000),
        (0.1, 16000),
        pytest.param("linear", 16000, marks=pytest.mark.slow),
        pytest.param("half-wave", 22050, marks=pytest.mark.slow),
        pytest.param("hard", 22050, marks=pytest.mark.slow),
        pytest.param(0.1, 22050, marks=pytest.mark.slow),
    ],
)
def test_blocks_of_the_cochlea_are_the_whole_bit_for_bit(nonlinearity, sample_rate):
    rng = np.random.default_rng(1)
    x = rng.standard_normal(400_000).astype(np.float32)
    x[100_000:300_000] = 0  # the hard limiter hears what filters remember for long
    settings = {"nonlinearity": nonlinearity, "sample_rate": sample_rate}
    cuts = np.sort(rng.integers(0, x.size, 30))
    parts = auditory_spectrogram_blocks(np.split(x, [*cuts, cuts[-1]]), **settings)
    np.testing.assert_array_equal(joined(parts), auditory_spectrogram(x, **settings))


@pytest.mark.parametrize("time_constant", [0, 8, 5000])
@pytest.mark.parametrize("octave_shift", [0, -1])
def test_integration_goes_on_over_the_borders(time_constant, octave_shift):
    x = np.random.default_rng(2).standard_normal(300_001)
    settings = {"time_constant": time_constant, "octave_shift": octave_shift, "hop_duration": 7}
    parts = auditory_spectrogram_blocks(np.array_split(x, 3), **settings)
    np.testing.assert_array_equal(joined(parts), auditory_spectrogram(x, **settings))


def test_blocks_of_one_sample_and_their_reused_memory():
    x = np.random.default_rng(3).standard_normal(5000)

    def samples():
        buffer = np.empty(1)
        for value in x:
            buffer[0] = value
            yield buffer

    parts = auditory_spectrogram_blocks(samples())
    np.testing.assert_array_equal(joined(parts), auditory_spectrogram(x))


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        ([np.zeros((2, 100))], "one-dimensional"),
        ([], "no samples"),
        ([np.zeros(0)], "no samples"),
        ([np.zeros(10), np.array([np.nan])], "NaN"),
    ],
)
def test_bad_blocks_are_refused(blocks, message):
    with pytest.raises(ValueError, match=message):
        list(auditory_spectrogram_blocks(blocks))


@pytest.mark.parametrize("kind", ["band", "low", "high"])
@pytest.mark.parametrize("rate", [0.5, 2, 32])
@pytest.mark.parametrize("n_bins", [1024, 65536])
def test_filters_by_formula_equal_their_fourier_transform(kind, rate, n_bins):
    whole = WholeFileFilter(rate, n_bins, 125.0, kind).at(np.arange(n_bins))
    # Where the response is 1e-9 of its peak, rounding of the Fourier transform shows in the phase.
    np.testing.assert_allclose(whole, rate_filter(rate, n_bins, kind=kind), atol=1e-7)


@pytest.mark.parametrize(
    ("bandpass", "frame_step"),
    [
        (False, 10),
        (True, 10),
        (False, 1),
        pytest.param(True, 1, marks=pytest.mark.slow),
    ],
)
def test_cortical_blocks_equal_the_whole_even_at_the_ends(spectrogram, bandpass, frame_step):
    settings = {**SMALL, "bandpass": bandpass, "frame_step": frame_step}
    whole = cortical_transform(spectrogram, **settings)
    blocks = joined(cortical_transform_blocks(spectrogram, **settings))
    assert blocks.shape == whole.shape
    assert blocks.dtype == whole.dtype
    assert relative_error(blocks, whole) < 1e-4


@pytest.mark.parametrize(
    "n_frames",
    [4097, 8192, *(pytest.param(n, marks=pytest.mark.slow) for n in (16384, 16385))],
)
def test_length_beside_a_power_of_two(spectrogram, n_frames):
    v = spectrogram[:, :n_frames].astype(np.float32)
    whole = cortical_transform(v, **SMALL, frame_step=4)
    assert (
        relative_error(joined(cortical_transform_blocks(v, **SMALL, frame_step=4)), whole) < 1e-4
    )


def test_margins_alone_would_not_do(spectrogram):
    """The error that the two edge bands are there for is at least a thousand times as large."""
    whole = cortical_transform(spectrogram, **SMALL, frame_step=8)
    part = cortical_transform(spectrogram[:, 5000:13192], **SMALL, frame_step=8)
    naive = relative_error(part[..., 250:-250], whole[..., 875:1399])
    blocks = joined(cortical_transform_blocks(spectrogram, **SMALL, frame_step=8))
    assert naive > 1e-2
    assert relative_error(blocks, whole) < naive / 1000


@pytest.mark.parametrize(
    ("output", "pooling", "frame_step"),
    [
        ("complex", "mean", 16),
        ("magnitude", "mean", 125),
        ("real", "sample", 125),
        pytest.param("complex", "mean", 125, marks=pytest.mark.slow),
        pytest.param("complex", "sample", 125, marks=pytest.mark.slow),
        pytest.param("magnitude", "mean", 16, marks=pytest.mark.slow),
        pytest.param("magnitude", "sample", 125, marks=pytest.mark.slow),
        pytest.param("real", "mean", 125, marks=pytest.mark.slow),
        pytest.param("real", "mean", 16, marks=pytest.mark.slow),
    ],
)
def test_output_kinds_and_pooling(spectrogram, output, pooling, frame_step):
    v = spectrogram[:, :12345].astype(np.float32)
    settings = {**SMALL, "output": output, "pooling": pooling, "frame_step": frame_step}
    whole = cortical_transform(v, **settings)
    parts = list(cortical_transform_blocks(v, **settings, block_length=17))
    assert {part.shape[-1] for part in parts[:-1]} == {17}
    assert joined(parts).dtype == whole.dtype
    assert relative_error(joined(parts), whole) < 1e-4


def test_steps_longer_than_a_usual_block(spectrogram):
    settings = {**SMALL, "frame_step": 5000, "pooling": "mean", "output": "magnitude"}
    whole = cortical_transform(spectrogram, **settings)
    assert relative_error(joined(cortical_transform_blocks(spectrogram, **settings)), whole) < 1e-4


@pytest.mark.parametrize("frame_rate", [20.0, pytest.param(100.0, marks=pytest.mark.slow), 400.0])
def test_other_frame_rates(spectrogram, frame_rate):
    settings = {"rates": [1, 8], "scales": [1.0], "frame_rate": frame_rate, "frame_step": 4}
    whole = cortical_transform(spectrogram, **settings)
    assert relative_error(joined(cortical_transform_blocks(spectrogram, **settings)), whole) < 1e-4


def test_from_a_file_and_from_integers(spectrogram):
    v = spectrogram[:, :6000]
    with_file = FrameFile(np.float32, 32)
    for first in range(0, 6000, 999):
        with_file.append(v[:, first : first + 999])
    np.testing.assert_array_equal(with_file[:, 990:2010], v[:, 990:2010].astype(np.float32))
    expected = joined(cortical_transform_blocks(v.astype(np.float32), **SMALL))
    np.testing.assert_array_equal(joined(cortical_transform_blocks(with_file, **SMALL)), expected)
    counts = (100 * v).astype(int)
    whole = cortical_transform(counts, **SMALL)
    assert relative_error(joined(cortical_transform_blocks(counts, **SMALL)), whole) < 1e-4


def test_memory_does_not_follow_the_length(spectrogram):
    """What numpy holds at most while an hour passes, against 5 minutes; torch holds no more."""

    class Looped:
        dtype = np.dtype(np.float32)

        def __init__(self, n_frames):
            self.shape = (32, n_frames)

        def __getitem__(self, key):
            frames = np.arange(*key[1].indices(self.shape[1])) % 16800
            return spectrogram[key[0], frames].astype(np.float32)

    def peak(n_frames):
        tracemalloc.start()
        for _ in cortical_transform_blocks(
            Looped(n_frames), rates=[4.0], scales=[1.0], frame_step=125, channel_step=8
        ):
            pass
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    assert peak(300_000) < peak(37_500) + 20e6  # the spectrogram alone would add 34 MB


@pytest.mark.parametrize(
    ("v", "settings", "message"),
    [
        (np.zeros((2, 128, 50)), {}, "one real spectrogram"),
        (np.zeros((128, 0)), {}, "one real spectrogram"),
        (np.zeros((128, 50), complex), {}, "one real spectrogram"),
        (np.zeros((128, 5000)), {"block_length": 0}, "block_length"),
        (np.zeros((128, 5000)), {"rates": [70]}, "half the frame rate"),
        (np.zeros((128, 5000)), {"frame_step": 0}, "frame_step"),
        (np.full((128, 5000), np.nan), {}, "NaN"),
        (np.full((128, 50), np.nan), {}, "NaN"),
    ],
)
def test_bad_spectrograms_and_settings_are_refused(v, settings, message):
    with pytest.raises(ValueError, match=message):
        list(cortical_transform_blocks(v, **settings))


@pytest.mark.slow
def test_ten_minutes_of_music(shared):
    from skstrf.datasets import read_audio

    files = sorted((shared / "data" / "cc_music_excerpts").glob("*.ogg"))
    music = np.concatenate([read_audio(file) for file in files])
    music = np.resize(music / music.std(), 600 * 16000)
    v = auditory_spectrogram(music)
    settings = {"rates": [0.5, 2, 8, 32], "scales": [0.5, 2, 8], "frame_step": 4}
    whole = cortical_transform(v, **settings)
    assert relative_error(joined(cortical_transform_blocks(v, **settings)), whole) < 1e-4


@pytest.mark.slow
def test_a_minute_of_ripple():
    ripple = np.tile(moving_ripple(4, 1, 4, random_state=0), 15)
    v = joined(auditory_spectrogram_blocks(np.array_split(ripple, 9)))
    settings = {"rates": [2, 4, 8], "scales": [1.0], "frame_step": 8}
    whole = cortical_transform(v, **settings)
    assert relative_error(joined(cortical_transform_blocks(v, **settings)), whole) < 1e-4
