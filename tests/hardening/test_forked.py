"""Forked processes compute what their parent computes, and do not wait for its threads."""

import multiprocessing
import os

import numpy as np
import pytest
import torch

import skstrf
from skstrf.auditory import auditory_spectrogram, invert_auditory_spectrogram

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="forks processes"),
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]


def sounds():
    return np.random.default_rng(0).standard_normal((2, 8000))


def strf():
    return skstrf.STRFTransformer().fit_transform(sounds())


def network():
    X = np.random.default_rng(0).standard_normal((12, 8, 16, 16)).astype(np.float32)
    y = np.arange(12) % 2
    return (
        skstrf.CNNClassifier(max_epochs=1, random_state=0, device="cpu").fit(X, y).predict_proba(X)
    )


def scattering():
    return skstrf.ScatteringTransformer().fit_transform(sounds())


def style():
    content, style = sounds()
    transfer = skstrf.StyleTransfer(max_iter=3, random_state=0, device="cpu")
    return transfer.fit(style[None]).transform(content[None])


def inverse():
    spectrogram = auditory_spectrogram(sounds()[0])
    return invert_auditory_spectrogram(spectrogram, max_iter=2, random_state=0)


def mpca():
    return skstrf.MPCA().fit_transform(np.random.default_rng(0).standard_normal((50, 30, 20, 10)))


@pytest.mark.parametrize(
    "compute",
    [
        strf,
        network,
        *(pytest.param(f, marks=pytest.mark.slow) for f in (scattering, style, inverse, mpca)),
    ],
)
def test_a_forked_process_computes_the_same(compute):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        expected = compute()
        with multiprocessing.get_context("fork").Pool(1) as pool:
            found = pool.apply_async(compute).get(timeout=120)
    finally:
        torch.set_num_threads(before)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
