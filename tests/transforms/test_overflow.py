"""Sounds of any size give finite tensors, or an error that names the sound."""

import warnings

import dask.array as da
import numpy as np
import pytest
import torch

import skstrf
from skstrf.datasets.audio import LARGEST

NAMES = {
    "ChromaTransformer": {},
    "CochleogramTransformer": {},
    "GammatoneTransformer": {"n_filters": 16},
    "MFCCTransformer": {"n_mels": 40},
    "MelTransformer": {"n_mels": 40},
    "STFTTransformer": {},
    "STRFTransformer": {"scales": [1], "rates": [4], "frame_step": 8},
    "ScatteringTransformer": {"J": 6},
    "WaveletTransformer": {"bins_per_octave": 4},
}
every = pytest.mark.parametrize("name", NAMES)


def noise(scale=1.0, dtype=np.float32):
    return (scale * np.random.default_rng(0).standard_normal((3, 4000)).clip(-1, 1)).astype(dtype)


def make(name, **options):
    return getattr(skstrf, name)(**{**NAMES[name], **options})


@every
def test_samples_that_files_can_hold_never_overflow(name):
    X = noise(LARGEST)
    options = [{}]
    if name not in ("ChromaTransformer", "MFCCTransformer"):
        options.append({"compression": None})
    if name == "STRFTransformer":
        options.append({"normalize": False})
    for choice in options:
        tensor = make(name, **choice).fit_transform(X)
        assert tensor.dtype == np.float32 and np.isfinite(tensor).all()


@every
@pytest.mark.parametrize("size", [1e-44, 2e37, 3e38, "spike"])
def test_samples_of_any_size_are_never_silently_wrong(name, size):
    X = noise()
    if size == "spike":  # one flipped bit
        X[1, 2000] = -2e37
    else:
        X[1] *= np.float32(size)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for choice in ({}, {"n_jobs": 2}):
            transformer = make(name, **choice).fit(X)
            try:
                tensor = transformer.transform(X)
            except ValueError as error:
                assert "sound 1 (of 3)" in str(error) and "scale it" in str(error)
            else:
                assert np.isfinite(tensor).all()


def test_every_kind_of_array_is_checked(tmp_path):
    X = noise()
    X[2, 7] = 3e38
    mel = make("MelTransformer").fit(X)
    file = np.memmap(tmp_path / "x", np.float32, "w+", shape=X.shape)
    file[:] = X
    for sounds in (X, torch.from_numpy(X), file):
        with pytest.raises(ValueError, match=r"sound 2 \(of 3\) is not finite.*overflow in Mel"):
            mel.transform(sounds)
    lazy = mel.transform(da.from_array(X, (2, 4000)))
    with pytest.raises(ValueError, match=r"samples 2 to 2.*sound 0 \(of 1\) is not finite"):
        lazy.compute()
    cached = make("MelTransformer", memory=str(tmp_path / "cache")).fit(X)
    for _ in range(2):
        with pytest.raises(ValueError, match="sound 2 "):
            cached.transform(X)


def test_large_finite_tensors_are_no_overflow():
    X = noise(1e19)
    stft = make("STFTTransformer", output="power", compression=None)
    tensor = stft.fit_transform(X[:, :600] / 30)
    assert np.isfinite(tensor).all()
    with np.errstate(over="ignore"):
        assert not np.isfinite(tensor.sum())
