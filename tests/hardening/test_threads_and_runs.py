"""The same numbers, bit for bit, from threads side by side, any number of jobs and any process."""

import hashlib
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from sklearn.base import clone

import skstrf
from skstrf import auditory, multilinear, surrogates
from skstrf.augmentation import augment_sounds

FUNCTIONS = {
    "cochlea": lambda x, n_jobs: auditory.auditory_spectrogram(x, n_jobs=n_jobs),
    "hair cells": lambda x, n_jobs: auditory.auditory_spectrogram(
        x, nonlinearity="half-wave", sample_rate=8000, n_jobs=n_jobs
    ),
    "cortex": lambda x, n_jobs: auditory.cortical_transform(
        auditory.auditory_spectrogram(x, n_jobs=n_jobs), rates=[4, 8], scales=[1], frame_step=4
    ),
    "cortex back": lambda x, n_jobs: auditory.invert_cortical_transform(
        auditory.cortical_transform(np.abs(x.reshape(64, -1)), scales=[1]),
        scales=[1], n_freqs=64, max_iter=3,
    ),
    "cochlea back": lambda x, n_jobs: auditory.invert_auditory_spectrogram(
        auditory.auditory_spectrogram(x[:100], n_jobs=n_jobs), max_iter=1, random_state=0
    ),
    "mpca": lambda x, n_jobs: multilinear.mpca(x.reshape(20, 4, 5, -1), 0.9).components[0],
    "lines": lambda x, n_jobs: surrogates.lines_test(x.reshape(20, -1), 9, 0).p_values,
    "plane": lambda x, n_jobs: np.array(surrogates.plane_test(x.reshape(32, -1), 9, 0)),
    "augmentation": lambda x, n_jobs: augment_sounds(x[None], random_state=0),
}  # fmt: skip
TRANSFORMERS = {
    "STFTTransformer": {}, "MelTransformer": {"n_mels": 20}, "MFCCTransformer": {"n_mels": 40},
    "ChromaTransformer": {}, "WaveletTransformer": {"bins_per_octave": 2, "fmin": 200},
    "ScatteringTransformer": {"J": 4}, "GammatoneTransformer": {"n_filters": 8},
    "CochleogramTransformer": {"n_filters": 8}, "STRFTransformer": {"rates": [4], "scales": [1]},
}  # fmt: skip


def sounds(n=4):
    return [np.random.default_rng(i).standard_normal(3200) for i in range(n)]


def transform(name, x, n_jobs):
    transformer = getattr(skstrf, name)(**TRANSFORMERS[name], n_jobs=n_jobs)
    return transformer.fit_transform(np.stack([x, -x[::-1]]))


def compute(name, x, n_jobs):
    return FUNCTIONS[name](x, n_jobs) if name in FUNCTIONS else transform(name, x, n_jobs)


EVERY = [*FUNCTIONS, *TRANSFORMERS]


@pytest.mark.parametrize("name", EVERY)
def test_threads_give_what_one_after_the_other_gives(name):
    expected = [compute(name, x, 1) for x in sounds()]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda x: compute(name, x, 1), sounds()))
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(compute(name, sounds(1)[0], 3), expected[0])


@pytest.mark.parametrize("name", sorted(TRANSFORMERS))
def test_threads_may_share_a_transformer(name):
    X = np.stack(sounds())
    transformer = getattr(skstrf, name)(**TRANSFORMERS[name]).fit(X[:1])
    expected = clone(transformer).fit(X[:1]).transform(X)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda i: transformer.transform(X[i : i + 1])[0], range(len(X))))
    np.testing.assert_allclose(np.stack(found), expected, rtol=1e-9, atol=1e-12)
    again = [transformer.transform(X[i : i + 1])[0] for i in range(len(X))]
    np.testing.assert_array_equal(np.stack(found), np.stack(again))


def digests():
    """A fingerprint of every result."""
    (x,) = sounds(1)
    every = ((name, np.ascontiguousarray(compute(name, x, 1))) for name in EVERY)
    return {name: hashlib.sha256(result.tobytes()).hexdigest() for name, result in every}


@pytest.mark.slow
def test_another_process_gives_the_same_bits():
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    process = subprocess.run(
        [sys.executable, __file__], env=environment, capture_output=True, text=True, timeout=300
    )
    assert process.returncode == 0, process.stderr[-3000:]
    assert json.loads(process.stdout) == digests()


if __name__ == "__main__":
    print(json.dumps(digests()))
