"""CochleogramTransformer against its published formula, and its inverse on recordings."""

import numpy as np
import pytest

from skstrf import CochleogramTransformer
from skstrf.transforms.filterbanks import half_cosine_bank


def published_bank(n_filters, low, high, hz):
    """The bank as pycochleagram's paper and manual define it (make_erb_cos_filters)."""
    q = 9.265

    def erb(f):
        return q * np.log(1 + f / (24.7 * q))

    cutoffs = 24.7 * q * (np.exp(np.linspace(erb(low), erb(high), n_filters + 2) / q) - 1)
    bank = np.zeros((n_filters + 2, len(hz)))
    for i in range(n_filters):
        lower, upper = cutoffs[i], cutoffs[i + 2]
        inside = (hz > lower) & (hz < upper)
        middle, width = (erb(lower) + erb(upper)) / 2, erb(upper) - erb(lower)
        bank[i + 1, inside] = np.cos((erb(hz[inside]) - middle) / width * np.pi)
    below, above = hz < cutoffs[1], hz > cutoffs[-2]
    bank[0, below] = np.sqrt(1 - bank[1, below] ** 2)
    bank[-1, above] = np.sqrt(1 - bank[-2, above] ** 2)
    return bank


HZ = np.linspace(0, 8000, 4001)


def gains(bank):
    return np.array([bank.response(i, HZ) for i in range(len(bank.frequencies))])


@pytest.mark.parametrize(("n_filters", "low", "high"), [(32, 50.0, 8000.0), (30, 52.0, 7500.0)])
def test_bank_is_the_published_one(n_filters, low, high):
    bank = half_cosine_bank(n_filters, low, high, 16000)
    np.testing.assert_allclose(gains(bank), published_bank(n_filters, low, high, HZ), atol=2e-3)
    np.testing.assert_allclose((gains(bank) ** 2).sum(axis=0), 1, atol=1e-12)
    for gain, first, last in zip(gains(bank), bank.low, bank.high, strict=True):
        assert (gain[(first > HZ) | (last < HZ)] < 1e-12).all()


def test_without_edges_the_same_bands(recordings):
    x = recordings[:1].astype(float)
    whole = CochleogramTransformer().fit(x)
    bands = CochleogramTransformer(include_edges=False).fit(x)
    np.testing.assert_array_equal(bands.axes_[0].values, whole.axes_[0].values[1:-1])
    np.testing.assert_allclose(bands.transform(x), whole.transform(x)[:, 1:-1], atol=1e-6)


def test_is_the_published_cochleogram(recordings):
    # Subbands by the whole spectrum, their Hilbert envelopes, root mean square of each frame,
    # to the power of 0.3: with silence around the sound, as filters ring.
    x = recordings[3, :16384].astype(float)
    size = 65536
    bank = published_bank(32, 50.0, 8000.0, np.arange(size // 2 + 1) * 16000 / size)
    spectrum = np.zeros((34, size), dtype=complex)
    spectrum[:, : size // 2 + 1] = 2 * bank * np.fft.rfft(x, size)
    spectrum[:, [0, size // 2]] /= 2
    envelopes = np.abs(np.fft.ifft(spectrum))[:, : len(x)]
    expected = np.sqrt((envelopes.reshape(34, -1, 256) ** 2).mean(axis=2)) ** 0.3
    actual = CochleogramTransformer().fit_transform(x[None])[0]
    np.testing.assert_allclose(actual, expected, atol=0.02 * expected.max())
    assert np.linalg.norm(actual - expected) < 3e-3 * np.linalg.norm(expected)


def test_energy_is_kept(recordings):
    # The squares of the gains add up to 1; an analytic band has twice the power of the band.
    X = recordings.astype(float) * np.hanning(recordings.shape[1])
    power = CochleogramTransformer(output="power", compression=None).fit_transform(X)
    np.testing.assert_allclose(power.sum(axis=(1, 2)) * 256 / 2, (X**2).sum(axis=1), rtol=0.01)


def test_subbands_of_recordings_give_them_back(recordings, snr):
    X = recordings[:, :8000]
    for frame_rate, bound in ((16000, 100), (1600, 90)):
        cochleogram = CochleogramTransformer(output="complex", frame_rate=frame_rate).fit(X)
        assert snr(cochleogram.inverse_transform(cochleogram.transform(X)), X).min() > bound


def test_compressed_envelopes_of_recordings_are_found_again(recordings, convergence):
    # Measured over 28 clips, of the envelopes: median .024, worst .077.
    cochleogram = CochleogramTransformer(random_state=0).fit(recordings)
    plain = CochleogramTransformer(compression=None).fit(recordings)
    tensor = cochleogram.transform(recordings)
    found = cochleogram.inverse_transform(tensor)
    error = convergence(plain.transform(found), plain.transform(recordings))
    assert np.median(error) < 0.035
    assert error.max() < 0.11
    # Compression makes much of what is faint.
    assert np.median(convergence(cochleogram.transform(found), tensor)) < 0.12


def test_true_sounds_as_hints(recordings, snr):
    cochleogram = CochleogramTransformer(max_iter=0).fit(recordings)
    tensor = cochleogram.transform(recordings)
    assert np.median(snr(cochleogram.inverse_transform(tensor, phase=recordings), recordings)) > 30


def test_more_iterations_come_closer(recordings, convergence):
    error = {}
    X = recordings[:, :8000]
    for max_iter in (0, 4, 32):
        cochleogram = CochleogramTransformer(max_iter=max_iter, random_state=0).fit(X)
        tensor = cochleogram.transform(X)
        found = cochleogram.transform(cochleogram.inverse_transform(tensor))
        error[max_iter] = np.median(convergence(found, tensor))
    assert error[32] < error[4] < error[0]
