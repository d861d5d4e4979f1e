"""Functions of arrays give finite results, or an error that names what overflows."""

import warnings

import numpy as np
import pytest
import torch

from skstrf.auditory import (
    auditory_spectrogram,
    auditory_spectrogram_blocks,
    cortical_transform,
    cortical_transform_blocks,
    invert_auditory_spectrogram,
    invert_cortical_transform,
    invert_scale_transform,
    scale_transform,
)
from skstrf.augmentation import augment_sounds
from skstrf.transforms.standardization import standardize

BANK = {"rates": [4], "scales": [1]}
SOUND, SPECTROGRAM, TENSOR = (2, 1500), (1, 128, 12), (1, 1, 2, 128, 12)
FUNCTIONS = {
    "spectrogram": (auditory_spectrogram, SOUND),
    "hair cells": (lambda x: auditory_spectrogram(x, nonlinearity="half-wave"), SOUND),
    "resampled": (lambda x: auditory_spectrogram(x, sample_rate=8000), SOUND),
    "blocks": (lambda x: np.hstack(list(auditory_spectrogram_blocks(x))), SOUND),
    "cortex": (lambda v: cortical_transform(v, **BANK), SPECTROGRAM),
    "complex cortex": (lambda v: cortical_transform(v, output="complex", **BANK), SPECTROGRAM),
    "cortex in blocks": (
        lambda v: np.concatenate(list(cortical_transform_blocks(v[0], **BANK)), axis=-1),
        SPECTROGRAM,
    ),
    "inverse cortex": (
        lambda c: invert_cortical_transform(
            abs(c), content="magnitude", n_frames=12, max_iter=3, **BANK
        ),
        TENSOR,
    ),
    "inverse cochlea": (lambda v: invert_auditory_spectrogram(v, max_iter=2), SPECTROGRAM),
    "scales": (scale_transform, SPECTROGRAM),
    "inverse scales": (
        lambda v: invert_scale_transform(scale_transform(v, scales=[1]), scales=[1]),
        SPECTROGRAM,
    ),
    "copies": (lambda x: augment_sounds(x, random_state=0), SOUND),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_strange_arrays(name, dtype):
    function, shape = FUNCTIONS[name]
    noise = np.random.default_rng(0).standard_normal(shape).clip(-1, 1)
    largest, tiny = float(np.finfo(dtype).max), float(np.finfo(dtype).smallest_subnormal)
    arrays = [
        largest * np.sign(noise),
        noise * largest / 9,
        noise * largest**0.5,
        9 * tiny * noise,
    ]
    arrays += [np.full(shape, largest / 2), np.full(shape, -largest / 2), np.abs(noise) * largest]
    arrays.append(np.where(np.arange(noise.size).reshape(shape) == 700, -largest / 17, noise))
    n_finite = 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for array in arrays:
            try:
                result = function(array.astype(dtype))
            except ValueError as error:
                assert any(word in str(error) for word in ("overflow", "scale", "NaN"))
            else:
                assert np.isfinite(result).all()
                n_finite += 1
    assert n_finite


def test_the_faintest_sounds_are_standardized_without_nan():
    x = 7e-45 * torch.sign(torch.randn(1, 1000, generator=torch.Generator().manual_seed(0)))
    assert standardize(x).isfinite().all()
