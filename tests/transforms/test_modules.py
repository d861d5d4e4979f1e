"""Torch modules against the transformers that they stand for."""

import numpy as np
import pytest
import torch
from sklearn.exceptions import NotFittedError

from skstrf import (
    ChromaTransformer,
    GammatoneTransformer,
    MelTransformer,
    MFCCTransformer,
    STFTTransformer,
    STRFTransformer,
)
from skstrf.transforms.modules import torch_module

CASES = {
    "stft": STFTTransformer(),
    "stft-power-log": STFTTransformer(output="power", compression="log", win_length=700),
    "stft-complex": STFTTransformer(output="complex"),
    "stft-root": STFTTransformer(compression=0.5, window="hamming"),
    "stft-odd-hop": STFTTransformer(22050, compression="cbrt"),
    "mel": MelTransformer(),
    "mel-magnitude": MelTransformer(output="magnitude", compression=None, fmin=50, htk=True),
    "mfcc": MFCCTransformer(lifter=22),
    "strf": STRFTransformer(),
    "strf-8": STRFTransformer(frame_step=8, pooling="sample", contrast=False, compression="cbrt"),
    "strf-real": STRFTransformer(frame_step=16, output="real", pooling="sample"),
    "strf-complex": STRFTransformer(frame_step=16, output="complex", compression=None),
    "strf-hair": STRFTransformer(frame_step=32, nonlinearity=0.1, normalize=False, bandpass=True),
    "strf-22050": STRFTransformer(sample_rate=22050, frame_step=16),
}


@pytest.fixture(scope="module")
def sounds():
    rng = np.random.default_rng(0)
    envelope = 1 + 0.9 * np.sin(np.linspace(0, 60, 9001))
    return 0.2 * envelope * rng.standard_normal((2, 9001)) + 0.01


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", CASES)
def test_the_numbers_are_those_of_the_transformer(name, dtype, sounds):
    X = sounds.astype(dtype)
    transformer = CASES[name].fit(X)
    expected = transformer.transform(X)
    found = torch_module(transformer)(torch.from_numpy(X))
    assert found.numpy().dtype == expected.dtype
    error = np.abs(found.numpy() - expected) / np.abs(expected).max()
    if dtype == np.float64:
        assert error.max() < 1e-5
    else:  # logarithms of rounding errors differ, where a sum all but vanishes
        assert np.quantile(error, 0.995) < 1e-5
        assert error.max() < 1e-3


@pytest.mark.parametrize("name", ["stft", "mel", "mfcc", "strf-8", "strf-22050"])
def test_gradients_are_those_of_finite_differences(name, sounds):
    module = torch_module(CASES[name].fit(sounds))
    x = torch.from_numpy(sounds).requires_grad_()
    generator = torch.Generator().manual_seed(0)
    direction = torch.randn(x.shape, generator=generator, dtype=torch.float64)
    weights = torch.randn(module(x).shape, generator=generator, dtype=torch.float64)

    def value(y):
        return (module(y) * weights).sum()

    value(x).backward()
    size, share = (1e-4, 1e-2) if "22050" in name else (1e-6, 1e-3)  # soxr rounds to 20 bits
    with torch.no_grad():
        step = size * direction
        expected = (value(x + step) - value(x - step)) / (2 * size)
    np.testing.assert_allclose((x.grad * direction).sum(), expected, rtol=share)


@pytest.mark.parametrize("name", ["stft", "stft-root", "mel", "mfcc", "strf", "strf-8"])
def test_silence_has_finite_gradients(name, sounds):
    module = torch_module(CASES[name].fit(sounds.astype(np.float32)))
    x = torch.zeros(1, 9001, requires_grad=True)
    module(x).square().sum().backward()
    assert x.grad.isfinite().all()


ROOTS = [
    *(STFTTransformer(output=o, compression=c) for o in ("magnitude", "power")
      for c in ("cbrt", 0.3, "log", "db", None)),
    *(STRFTransformer(scales=[1], rates=[4], output=o, compression=c)
      for o in ("magnitude", "complex", "real") for c in ("cbrt", "log", None)),
]  # fmt: skip


@pytest.mark.parametrize("transformer", ROOTS, ids=lambda t: f"{t.output}-{t.compression}")
def test_no_compression_has_infinite_gradients(transformer):
    X = np.zeros((2, 2000), dtype=np.float32)
    X[1, 900:] = 1e-3 * np.random.default_rng(0).standard_normal(1100)  # begins with silence
    module = torch_module(transformer.fit(X))
    x = torch.from_numpy(X).requires_grad_()
    tensor = module(x)
    torch.view_as_real(tensor + 0j).square().sum().backward()
    assert tensor.isfinite().all() and x.grad.isfinite().all()
    assert x.grad[1].abs().max() > 0
    expected = transformer.transform(X)
    np.testing.assert_allclose(tensor.detach().numpy(), expected, atol=1e-4 * abs(expected).max())


def test_any_batch_and_length(sounds):
    module = torch_module(STFTTransformer().fit(sounds))
    assert module(torch.zeros(3000)).shape == (513, 12)
    assert module(torch.zeros(2, 5, 700)).shape == (2, 5, 513, 3)
    with pytest.raises(ValueError, match="real sounds"):
        module(torch.zeros(2, 100, dtype=torch.int64))


@pytest.mark.parametrize("transformer", [GammatoneTransformer(), ChromaTransformer()])
def test_others_are_refused_with_the_names_of_those_that_work(transformer, sounds):
    with pytest.raises(ValueError, match="MelTransformer, STFTTransformer, STRFTransformer"):
        torch_module(transformer.fit(sounds))
    with pytest.raises(NotFittedError):
        torch_module(STFTTransformer())
