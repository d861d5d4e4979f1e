"""Streams give the numbers of causal transformers, however a sound is divided."""

import copy
import pickle
import tracemalloc

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from skstrf import MPCA, StreamingSTRF, STRFTransformer
from skstrf.datasets import make_ripple_genres
from skstrf.transforms import transform_blocks
from skstrf.transforms.modules import torch_module

SMALL = {"rates": [4, 8], "scales": [1, 2]}


@pytest.fixture(scope="module")
def sound():
    return np.random.default_rng(0).standard_normal(12011)


def joined(stream, blocks):
    return np.concatenate([*(stream.push(block) for block in blocks), stream.flush()], axis=-1)


@pytest.mark.parametrize("method", ["recursive", "fir"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"sample_rate": 44100, "frame_step": 3},
        {"sample_rate": 8000, "frame_step": 4, "pooling": "sample", "compression": "cbrt"},
        {"output": "real", "compression": None, "normalize": False},
        {"output": "complex", "frame_step": 2, "nonlinearity": "half-wave", "channel_step": 8},
    ],
)
def test_any_division_gives_the_offline_result(sound, method, options):
    strf = STRFTransformer(causal=method, **{"frame_step": 1, **SMALL, **options})
    expected = strf.fit_transform(sound[None])[0]
    assert expected.shape == tuple(len(axis.values) for axis in strf.axes_)
    rng = np.random.default_rng(1)
    for n_cuts in (0, 30):
        cuts = np.sort(rng.integers(0, len(sound), n_cuts))
        actual = joined(StreamingSTRF.from_transformer(strf), np.split(sound, cuts))
        np.testing.assert_allclose(actual, expected, atol=1e-6 * np.abs(expected).max())


def test_single_samples_and_empty_blocks(sound):
    expected = joined(StreamingSTRF(**SMALL), [sound[:700]])
    blocks = [sound[:0], *sound[:700, None], sound[:0]]
    np.testing.assert_allclose(joined(StreamingSTRF(**SMALL), blocks), expected, atol=1e-12)


def test_frames_come_as_soon_as_their_samples(sound):
    stream = StreamingSTRF(**SMALL)
    assert stream.push(sound[:127]).shape == (2, 4, 128, 0)
    assert stream.push(sound[127:128]).shape == (2, 4, 128, 1)
    assert stream.push(sound[128 : 128 * 4 + 5]).shape == (2, 4, 128, 3)
    waiting = StreamingSTRF(**SMALL, method="fir", look_ahead=2)
    assert waiting.push(sound[: 128 * 3]).shape == (2, 4, 128, 1)


def test_latency_is_that_of_the_peak():
    stream = StreamingSTRF(rates=[2, 4, 8], scales=[1], compression=None, normalize=False)
    np.testing.assert_array_equal(stream.rates_, [-8, -4, -2, 2, 4, 8])
    assert stream.latency_.shape == (1, 6)
    noise = np.random.default_rng(0).standard_normal(48000)
    burst = noise * (np.abs(np.arange(48000) - 16000) < 160)
    frames = joined(stream, [burst])
    for place, latency in zip((3, 4, 5), stream.latency_[0, 3:], strict=True):
        peak = frames[0, place].mean(axis=0).argmax() / 125
        assert abs(peak - 1.0 - latency) < 0.03


@pytest.mark.parametrize("method", ["recursive", "fir"])
def test_state_can_be_pickled_and_copied(sound, method):
    stream = StreamingSTRF(**SMALL, sample_rate=44100, method=method, frame_step=3)
    stream.push(sound[:5003])
    twins = [pickle.loads(pickle.dumps(stream)), copy.deepcopy(stream)]
    expected = joined(stream, [sound[5003:]])
    for twin in twins:
        np.testing.assert_array_equal(joined(twin, [sound[5003:]]), expected)


def test_reset_forgets(sound):
    stream = StreamingSTRF(**SMALL)
    expected = joined(stream, [sound[:4000]])
    stream.push(sound)
    stream.reset()
    np.testing.assert_array_equal(joined(stream, [sound[:4000]]), expected)


def test_channels_are_independent(sound):
    both = np.stack([sound[:5000], 3 * sound[5000:10000]])
    frames = joined(StreamingSTRF(**SMALL), np.array_split(both, 7, axis=1))
    assert frames.shape == (2, 2, 4, 128, 40)
    for channel, expected in zip(both, frames, strict=True):
        actual = joined(StreamingSTRF(**SMALL), [channel])
        np.testing.assert_allclose(actual, expected, atol=1e-12)


def test_level_does_not_matter_but_for_the_start(sound):
    loud, soft = (joined(StreamingSTRF(**SMALL), [gain * sound]) for gain in (10, 0.01))
    np.testing.assert_allclose(loud, soft, atol=1e-3)
    silence = joined(StreamingSTRF(**SMALL), [np.zeros(4000)])
    assert np.abs(silence).max() < 1e-12


def test_dtypes(sound):
    assert joined(StreamingSTRF(**SMALL), [sound.astype(np.float32)]).dtype == np.float32
    assert joined(StreamingSTRF(**SMALL, dtype="float64"), [sound.astype("f4")]).dtype == float
    integers = (1000 * sound).astype(np.int16)
    np.testing.assert_array_equal(
        joined(StreamingSTRF(**SMALL), [integers]),
        joined(StreamingSTRF(**SMALL), [integers.astype(float)]),
    )


def test_memory_does_not_grow(sound):
    block = sound[:4000].astype(np.float32)
    for method in ("recursive", "fir"):
        stream = StreamingSTRF(rates=[8], scales=[1], method=method, sample_rate=22050)
        for _ in range(5):
            stream.push(block)
        size = len(pickle.dumps(stream))
        tracemalloc.start()
        for _ in range(10):
            stream.push(block)
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(60):
            stream.push(block)
        assert tracemalloc.get_traced_memory()[0] < before + 20_000
        tracemalloc.stop()
        assert abs(len(pickle.dumps(stream)) - size) < 20_000


@pytest.mark.slow
def test_an_hour_of_sound():
    stream = StreamingSTRF(rates=[8], scales=[1], channel_step=8, frame_step=125)
    block = np.random.default_rng(0).standard_normal(16000).astype(np.float32)
    stream.push(block)
    size = len(pickle.dumps(stream))
    n_frames = sum(stream.push(block).shape[-1] for _ in range(3600))
    assert n_frames == 3600
    assert abs(len(pickle.dumps(stream)) - size) < 20_000


@pytest.mark.parametrize(
    ("block", "words"),
    [
        ([0.0, np.nan], "NaN"),
        ([np.inf, 0.0], "NaN, infinity"),
        ([1e20], "above 1e15"),
        (np.zeros((2, 3)), "2 channels"),
        (np.zeros((1, 2, 3)), "shape"),
        (np.zeros((0, 3)), "no channel"),
        (["a"], "real samples"),
        ([1j], "real samples"),
    ],
)
def test_bad_blocks_leave_the_state_unchanged(sound, block, words):
    stream = StreamingSTRF(**SMALL)
    expected = joined(stream, [sound[:3000]])
    stream.push(sound[:1000])
    with pytest.raises(ValueError, match=words):
        stream.push(block)
    with pytest.raises(ValueError, match=r"8000 Hz and the stream 16000 Hz"):
        stream.push(sound[:5], sample_rate=8000)
    actual = joined(stream, [sound[1000:3000]])
    np.testing.assert_allclose(actual, expected[..., 7:], atol=1e-12)


def test_flush_of_nothing():
    stream = StreamingSTRF(**SMALL)
    with pytest.raises(ValueError, match="push samples"):
        stream.flush()
    stream.push(np.zeros(0))
    with pytest.raises(ValueError, match="push samples"):
        stream.flush()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"method": "iir"}, "method"),
        ({"output": "phase"}, "output"),
        ({"pooling": "max"}, "pooling"),
        ({"compression": "db"}, "compression"),
        ({"dtype": "int16"}, "dtype"),
        ({"frame_step": 0}, "frame_step"),
        ({"sample_rate": -1}, "sample_rate"),
        ({"sample_rate": 16000.123}, "whole number of Hz"),
        ({"level_time_constant": 0}, "level_time_constant"),
        ({"contrast": True, "compression": None}, "contrast=True"),
        ({"look_ahead": 2}, "needs method='fir'"),
        ({"rates": [100]}, "half the frame rate"),
    ],
)
def test_bad_settings_are_named(options, words):
    with pytest.raises(ValueError, match=words):
        StreamingSTRF(**options)


def test_what_is_not_causal_is_refused(sound):
    with pytest.raises(ValueError, match=r"STRFTransformer\(causal=True\)"):
        StreamingSTRF.from_transformer(STRFTransformer())
    with pytest.raises(ValueError, match="causal='fir' only"):
        STRFTransformer(causal=True, look_ahead=2).fit(sound[None])
    strf = STRFTransformer(causal=True, **SMALL).fit(sound[None])
    tensor = strf.transform(sound[None])
    for inverse in (strf.inverse_transform, strf.inverse_spectrogram):
        with pytest.raises(ValueError, match="no inverse"):
            inverse(tensor)
    with pytest.raises(ValueError, match="no torch counterpart"):
        torch_module(strf)


def test_long_sounds_and_batches(sound):
    strf = STRFTransformer(causal=True, frame_step=2, n_jobs=2, **SMALL)
    X = np.stack([sound, sound[::-1]])
    expected = strf.fit_transform(X)
    np.testing.assert_array_equal(strf.fit_transform(X[:1]), expected[:1])
    blocks = list(transform_blocks(strf, iter(np.array_split(sound, 5)), block_length=20))
    assert [block.shape[-1] for block in blocks] == [20, 20, 7]
    actual = np.concatenate(blocks, axis=-1)
    np.testing.assert_allclose(actual, expected[0], atol=1e-9)


def test_a_model_of_files_runs_live():
    X, y = make_ripple_genres(n_per_class=6, duration=1.0, random_state=0)
    strf = STRFTransformer(causal=True, frame_step=125, **SMALL)
    model = make_pipeline(strf, MPCA(0.95, vectorize=True), LogisticRegression()).fit(X, y)
    stream = StreamingSTRF.from_transformer(model[0])
    tensors = np.stack([joined(stream, np.array_split(x, 11)) for x in X])
    np.testing.assert_allclose(model[1:].predict_proba(tensors), model.predict_proba(X), atol=1e-6)
