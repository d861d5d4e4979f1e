"""Both style transfers, and the networks and measures under them, on any sound."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from skstrf import FastStyleTransfer, STFTTransformer, StyleTransfer, texture
from skstrf.style.metrics import onset_correlation
from skstrf.style.sounds import block_starts, join_blocks
from skstrf.texture.gram import mean_gram, relative_distance
from tests.hardening.laws import arrays, examples, numbers, result_of

STFT = STFTTransformer(frame_rate=8000, n_fft=4)
SOUNDS = arrays(1, 2, longest=3, lengths=st.sampled_from([60, 200, 333, 3, 1]))
CLEAN = arrays(1, lengths=st.sampled_from([120, 200, 333]), dtypes=("f4", "f8"), any=False)
WEIGHTS = st.sampled_from([0, 0.05, 0.3, 1.0, -1, np.nan])


def rows(x):
    return x[None] if x.ndim == 1 else x


@pytest.mark.filterwarnings("ignore:the loss became NaN:RuntimeWarning")
@examples(15)
@given(
    style=SOUNDS, content=SOUNDS, content_weight=WEIGHTS, style_weight=WEIGHTS,
    kernel_size=numbers(1, 3, whole=True), n_filters=st.sampled_from([None, 8]),
    init=st.sampled_from(["auto", "content", "mix", "noise", "style"]),
    domain=st.sampled_from(["auto", "spectrogram"]),
    optimizer=st.sampled_from(["lbfgs", "adam"]),
    block=st.sampled_from([10.0, 0.01]),
)  # fmt: skip
def test_transfer(
    style, content, content_weight, style_weight, kernel_size, n_filters, init, domain,
    optimizer, block,
):  # fmt: skip
    content = rows(content)
    transfer = StyleTransfer(
        STFT, content_weight=content_weight, style_weight=style_weight, kernel_size=kernel_size,
        n_filters=n_filters, init=init, domain=domain, optimizer=optimizer, block_duration=block,
        max_iter=2, random_state=0,
    )  # fmt: skip
    if result_of(transfer.fit, rows(style)) is None:
        return
    y = result_of(transfer.transform, content)
    if y is None:
        return
    assert y.shape == content.shape
    assert y.dtype == (np.float32 if content.dtype == np.float32 else np.float64)
    assert np.isfinite(y).all()
    level = np.sqrt(np.mean(np.square(y, dtype=float), axis=-1))
    wanted = np.sqrt(np.mean(np.square(content, dtype=float), axis=-1))
    assert (level > 0).all()  # never silent
    assert (level <= wanted * (1 + 1e-3)).all()
    peak = np.abs(y).max(axis=-1)
    assert (peak <= np.maximum(1, np.abs(content.astype(float)).max(axis=-1)) * (1 + 1e-3)).all()
    np.testing.assert_array_equal(transfer.transform(content), y)


@examples(10)
@given(content=CLEAN, gain=st.sampled_from([1e-6, 1e-3, 0.5, 7.0]))
def test_the_level_of_a_content_is_that_of_its_result(content, gain):
    if not content.any():
        return
    content = 1e-3 * content / np.abs(content).max()
    style = np.random.default_rng(0).standard_normal((1, 200))
    transfer = StyleTransfer(STFT, kernel_size=1, n_filters=8, max_iter=2, random_state=0)
    transfer.fit(style)
    y = result_of(transfer.transform, content[None])
    if y is None:
        return
    louder = transfer.transform(gain * content[None])
    np.testing.assert_allclose(louder, gain * y, rtol=2e-2, atol=2e-3 * gain * np.abs(y).max())


@examples(8)
@given(
    style=SOUNDS, content=SOUNDS, weights=st.sampled_from([0, 1, {0: 0.5, 1: 0.5}, {1: -1}, 7]),
    lr=numbers(1e-4, 1e-2), crop=numbers(0.002, 3.0),
)  # fmt: skip
def test_one_pass(style, content, weights, lr, crop):
    styles = np.stack([rows(style)[0], rows(style)[0][::-1]])
    network = FastStyleTransfer(
        STFT, kernel_size=1, n_hidden=4, n_blocks=1, max_iter=2, batch_size=2, lr=lr,
        crop_duration=crop, random_state=0,
    )  # fmt: skip
    if result_of(network.fit, styles) is None:
        return
    y = result_of(network.set_params(style=weights).transform, rows(content))
    if y is not None:
        assert y.shape == rows(content).shape
        assert y.dtype == (np.float32 if content.dtype == np.float32 else np.float64)
        assert np.isfinite(y).all()
        np.testing.assert_array_equal(network.transform(rows(content)), y)


@examples(40)
@given(
    n=st.integers(1, 500), longest=st.integers(4, 200), overlap=st.floats(0.01, 1 / 3),
    seed=st.integers(0, 99),
)  # fmt: skip
def test_blocks_of_one_sound_join_to_that_sound(n, longest, overlap, seed):
    x = np.random.default_rng(seed).standard_normal(n)
    starts, length = block_starts(n, longest, overlap)
    assert length <= longest or n <= longest
    assert starts[-1] + length == n
    joined = join_blocks([x[i : i + length] for i in starts], starts, n)
    np.testing.assert_allclose(joined, x, rtol=1e-6, atol=1e-9)


@examples(30)
@given(
    n_channels=st.integers(1, 6), n_filters=numbers(1, 9, whole=True),
    width=numbers(1, 4, whole=True), cut=st.integers(4, 12), seed=st.integers(0, 99),
)  # fmt: skip
def test_gram_matrices_add_up_over_pieces(n_channels, n_filters, width, cut, seed):
    make = (n_channels, n_filters, width, seed)
    network = result_of(texture.RandomNetwork, *make)
    if network is None:
        return
    x = torch.randn(n_channels, 24, generator=torch.Generator().manual_seed(seed)).abs()
    activations = network(x)
    torch.testing.assert_close(texture.RandomNetwork(*make)(x), activations, rtol=0, atol=0)
    whole = mean_gram([activations])
    torch.testing.assert_close(whole, texture.gram_matrix(activations))
    # Two sounds count by their frames.
    parts = [x[:, :cut], x[:, cut:]]
    both = result_of(lambda: mean_gram(network(part) for part in parts))
    if both is not None:
        total = sum(texture.gram_matrix(network(part), mean=False) for part in parts)
        frames = sum(network(part).shape[-1] for part in parts)
        torch.testing.assert_close(both, total / frames)
    if whole.any():  # infinite from a target of zeros
        assert relative_distance(whole, whole) < 1e-9
        from_nothing = relative_distance(torch.zeros_like(whole), whole)
        assert abs(from_nothing - 1) < 1e-5


@examples(12)
@given(x=SOUNDS, y=SOUNDS, rate=numbers(8000, 48000), gain=st.sampled_from([1e-3, 1.0, 9.0]))
def test_onsets(x, y, rate, gain):
    x, y = rows(x)[0], rows(y)[0]
    found = result_of(onset_correlation, x, y, sample_rate=rate)
    if found is not None and not np.isnan(found):  # NaN where a sound has no onsets
        assert -1 - 1e-6 <= found <= 1 + 1e-6
    own = result_of(onset_correlation, x, x, sample_rate=rate)
    if own is not None and not np.isnan(own):
        assert abs(own - 1) < 1e-6
        both = onset_correlation(gain * x.astype(float), x, sample_rate=rate)
        assert np.isnan(both) or both <= 1 + 1e-6
