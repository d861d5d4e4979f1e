"""Compiled code that numba keeps on disk stays usable when several processes compile it at once.

Processes that compile a generalized ufunc at the same time leave files on disk that do not fit
together, and every later call ends in a segmentation fault. Simple compiled functions are safe.
"""

import os
import subprocess
import sys

import librosa
import numpy as np
import pytest
from numba.np.ufunc.gufunc import GUFunc

import skstrf
from skstrf.auditory import auditory_spectrogram
from skstrf.style.metrics import onset_correlation

INVERTIBLE = {
    "STFTTransformer": {"max_iter": 1}, "MelTransformer": {"n_mels": 20, "max_iter": 1},
    "MFCCTransformer": {"n_mels": 20, "max_iter": 1}, "WaveletTransformer": {"fmin": 200},
    "GammatoneTransformer": {"n_filters": 8},
}  # fmt: skip


def compute_everything():
    """Call all functions of librosa that the package uses, and the cochlear kernel."""
    sound = np.random.default_rng(0).standard_normal(8000).cumsum()
    for name, options in INVERTIBLE.items():
        transformer = getattr(skstrf, name)(**options)
        transformer.inverse_transform(transformer.fit_transform(sound[None]))
    for tuning in (None, 0.1):
        assert skstrf.ChromaTransformer(tuning=tuning).fit_transform(sound[None]).any()
    assert onset_correlation(sound, sound, sample_rate=16000) > 0.99
    assert auditory_spectrogram(sound).any()


def test_no_generalized_ufunc_of_numba_is_called(monkeypatch):
    def refuse(self, *args, **kwargs):
        raise AssertionError(f"{self.__name__} is a generalized ufunc that numba compiled")

    monkeypatch.setattr(GUFunc, "__call__", refuse)
    with pytest.raises(AssertionError, match="_localmax"):
        librosa.util.localmax(np.arange(3.0))
    compute_everything()


@pytest.mark.slow
def test_processes_may_share_an_empty_cache(tmp_path):
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "OMP_NUM_THREADS": "1"}

    def start():
        return subprocess.Popen([sys.executable, "-m", __spec__.name], env=environment)

    for _ in range(10):
        assert [process.wait(1800) for process in [start() for _ in range(4)]] == [0] * 4
        assert start().wait(600) == 0
        # Each function has files of its own. All are compiled in the first round only, because
        # that takes half a minute a process.
        for name in ("utils._localmax", "pitch._pi_wrapper", "_kernel."):
            files = list(tmp_path.rglob(f"*{name}*.nb[ic]"))
            assert files
            for file in files:
                file.unlink()


if __name__ == "__main__":
    sound = np.random.default_rng(0).standard_normal(8000).cumsum()
    assert skstrf.ChromaTransformer().fit_transform(sound[None]).any()
    assert auditory_spectrogram(sound).any()
