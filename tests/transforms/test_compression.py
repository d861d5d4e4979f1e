"""Compression of magnitudes and powers."""

import librosa
import numpy as np
import pytest

from skstrf.transforms.compression import compress, expand

VALUES = np.geomspace(1e-4, 1e3, 50)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("power", [False, True])
@pytest.mark.parametrize("kind", ["db", "log", "cbrt", 0.3, 1, None])
def test_expand_undoes_compress(kind, power, dtype):
    compressed = compress(VALUES.astype(dtype), kind, 1e-5, power=power)
    assert compressed.dtype == dtype
    back = expand(compressed, kind, 1e-5, power=power)
    assert back.dtype == dtype
    np.testing.assert_allclose(back, VALUES, rtol=2e-5 if dtype == np.float32 else 1e-12)


def test_decibels_are_those_of_librosa():
    silent = np.concatenate([[0.0], VALUES])
    expected = librosa.power_to_db(silent, amin=1e-10, top_db=None)
    np.testing.assert_allclose(compress(silent, "db", 1e-10, power=True), expected)
    expected = librosa.amplitude_to_db(silent, amin=1e-5, top_db=None)
    np.testing.assert_allclose(compress(silent, "db", 1e-5), expected)


@pytest.mark.parametrize("kind", ["log", "cbrt", 0.3, None])
def test_negative_is_taken_for_silence(kind):
    np.testing.assert_array_equal(expand(np.array([-1.0, 0.0]), kind, 1e-5), [0, 0])


@pytest.mark.parametrize("kind", ["db", "log"])
def test_what_is_too_large_is_refused(kind):
    with pytest.raises(ValueError, match="compression="):
        expand(np.array([1e5]), kind, 1e-5)
