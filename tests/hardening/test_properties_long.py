"""Long sounds block by block, and cochlea and cortex as modules, against the whole at once."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from skstrf.auditory import (
    Cochlea,
    Cortex,
    auditory_spectrogram,
    auditory_spectrogram_blocks,
    cortical_transform,
    cortical_transform_blocks,
)
from tests.hardening.laws import arrays, ascending, examples, numbers, result_of

SOUNDS = arrays(1, lengths=st.sampled_from([1, 7, 400, 3001]))
SPECTROGRAMS = arrays(2, lengths=st.sampled_from([1, 9, 150, 400]))
MODES = st.sampled_from(["linear", "half-wave", "hard", 0.1, -1, "cubic"])


def joined(blocks):
    return np.concatenate(list(blocks), axis=-1)


@examples(40)
@given(
    x=SOUNDS, cuts=st.lists(st.integers(0, 3001), max_size=4), nonlinearity=MODES,
    hop_duration=numbers(1, 20), time_constant=numbers(0, 100),
    sample_rate=st.sampled_from([16000, 16000, 22050, 0]),
)  # fmt: skip
def test_cochlea_in_blocks(x, cuts, nonlinearity, hop_duration, time_constant, sample_rate):
    options = {
        "nonlinearity": nonlinearity, "hop_duration": hop_duration,
        "time_constant": time_constant, "sample_rate": sample_rate,
    }  # fmt: skip
    pieces = np.split(x, sorted(min(cut, len(x)) for cut in cuts))
    whole = result_of(auditory_spectrogram, x, **options)
    parts = result_of(lambda: joined(auditory_spectrogram_blocks(pieces, **options)))
    if whole is not None and parts is not None:
        np.testing.assert_array_equal(parts, whole)
    else:
        assert parts is None or not len(x)  # what the whole refuses, blocks refuse as well


@examples(25)
@given(
    v=SPECTROGRAMS, rates=ascending(1, 40), scales=ascending(0.25, 4),
    frame_step=numbers(1, 20, whole=True), channel_step=numbers(1, 5, whole=True),
    block_length=st.none() | numbers(64, 300, whole=True), bandpass=st.booleans(),
    output=st.sampled_from(["complex", "magnitude"]), pooling=st.sampled_from(["sample", "mean"]),
)  # fmt: skip
def test_cortex_in_blocks(
    v, rates, scales, frame_step, channel_step, block_length, bandpass, output, pooling
):
    options = {
        "rates": rates, "scales": scales, "frame_step": frame_step, "channel_step": channel_step,
        "bandpass": bandpass, "output": output, "pooling": pooling,
    }  # fmt: skip
    whole = result_of(cortical_transform, v, **options)
    parts = result_of(
        lambda: joined(cortical_transform_blocks(v, block_length=block_length, **options))
    )
    if whole is None or parts is None:
        return
    assert parts.shape == whole.shape
    assert parts.dtype == whole.dtype
    scale = np.abs(whole).max()
    assert np.abs(parts - whole).max() <= 2e-4 * scale + 1e-30


@examples(25)
@given(
    x=SOUNDS, nonlinearity=st.sampled_from(["linear", "half-wave", 0.1, -1, "cubic"]),
    hop_duration=numbers(1, 20), time_constant=numbers(0, 100),
)  # fmt: skip
def test_cochlea_as_a_module(x, nonlinearity, hop_duration, time_constant):
    module = result_of(Cochlea, hop_duration, time_constant, nonlinearity)
    if module is None or x.dtype not in (np.float32, np.float64) or not np.isfinite(x).all():
        return  # NaN goes through modules, as through any of torch
    tensor = torch.from_numpy(x.copy()).requires_grad_()
    v = result_of(module, tensor)
    if v is None:
        return
    options = {"hop_duration": hop_duration, "time_constant": time_constant}
    expected = result_of(auditory_spectrogram, x, nonlinearity=nonlinearity, **options)
    if expected is not None:
        found = v.detach().numpy()
        assert found.shape == expected.shape
        # A sigmoid is .5 where nothing is heard, and sums of hundreds of those are subtracted.
        rest = 1e-5 if nonlinearity == 0.1 else 1e-30
        assert np.abs(found - expected).max() <= 2e-5 * np.abs(expected).max() + rest
    (gradient,) = torch.autograd.grad(v.sum(), tensor)
    assert gradient.isfinite().all()


@examples(25)
@given(
    v=SPECTROGRAMS, rates=ascending(1, 40), scales=ascending(0.25, 4),
    frame_step=numbers(1, 20, whole=True), bandpass=st.booleans(),
    pooling=st.sampled_from(["sample", "mean"]),
)  # fmt: skip
def test_cortex_as_a_module(v, rates, scales, frame_step, bandpass, pooling):
    options = {"frame_step": frame_step, "bandpass": bandpass, "pooling": pooling}
    module = result_of(Cortex, rates, scales, **options)
    if module is None or v.dtype not in (np.float32, np.float64) or not np.isfinite(v).all():
        return  # NaN goes through modules, as through any of torch
    tensor = torch.from_numpy(v.copy()).requires_grad_()
    c = result_of(module, tensor)
    if c is None:
        return
    expected = result_of(
        cortical_transform, v, rates=rates, scales=scales, output="magnitude", **options
    )
    if expected is not None:
        found = c.detach().numpy()
        assert found.shape == expected.shape
        assert np.abs(found - expected).max() <= 2e-5 * np.abs(expected).max() + 1e-30
    (gradient,) = torch.autograd.grad(c.sum(), tensor)
    assert gradient.isfinite().all()
