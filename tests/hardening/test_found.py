"""Inputs that once broke a property, found by many random examples; tried in every run."""

import numpy as np
import pytest

import skstrf
import skstrf.neural
import skstrf.texture
from skstrf.auditory import (
    cortical_transform,
    invert_auditory_spectrogram,
    invert_cortical_transform,
)
from skstrf.augmentation import augment_sounds
from skstrf.style.metrics import onset_correlation
from skstrf.surrogates import iaaft_surrogates

NOISE = np.random.default_rng(0).standard_normal((2, 4000))


@pytest.mark.parametrize(
    ("name", "value"),
    [("pitch", 1e300), ("room", 1e300), ("equalizer", 1e4), ("noise_snr_db", -1e300),
     ("noise_snr_db", -np.inf), ("noise_snr_db", np.nan), ("sample_rate", 1e-300),
     ("sample_rate", np.inf)],
)  # fmt: skip
def test_changes_that_no_sound_survives(name, value):
    with pytest.raises(ValueError, match=name):
        augment_sounds(NOISE, random_state=0, **{name: value})


@pytest.mark.parametrize("noise", [np.inf, -200.0])
def test_extremes_of_noise(noise):
    assert np.isfinite(augment_sounds(NOISE, noise_snr_db=noise, random_state=0)).all()


def test_surrogates_of_loud_lines():
    steps = [4, -3, 3, -2, 1, -3, -3, -3, 0, -4]
    x = np.array(steps, np.float32) * np.float32(5e7)
    copies = iaaft_surrogates(x, 1, np.random.default_rng(198073), max_iter=20)
    np.testing.assert_array_equal(np.sort(copies[0]), np.sort(x))


@pytest.mark.parametrize("lifter", [1e-77, 0.5, -1, 1e300, np.nan])
def test_lifters_that_make_no_sense(lifter):
    with pytest.raises(ValueError, match="lifter"):
        skstrf.MFCCTransformer(lifter=lifter).fit(NOISE)


def test_a_lowest_frequency_that_rounds_to_nil():
    with pytest.raises(ValueError, match="fmin"):
        skstrf.GammatoneTransformer(fmin=5e-324).fit(NOISE)


def test_scattering_of_averages_of_one_sample():
    transformer = skstrf.ScatteringTransformer(J=1, Q=1, T=1, frame_rate=16000, compression=None)
    coefficients = transformer.fit_transform(NOISE)
    assert coefficients.shape[-1] == NOISE.shape[-1]
    assert np.isfinite(coefficients).all()


def test_louder_than_a_hair_cell_that_saturates():
    v = np.full((128, 1), 1.2573022e7, np.float32)
    x = invert_auditory_spectrogram(v, nonlinearity=0.1, max_iter=2, random_state=0)
    assert np.isfinite(x).all()
    with pytest.raises(ValueError, match="float64"):
        invert_auditory_spectrogram(np.float32(1e20) * np.ones_like(v), max_iter=2)


def test_a_transfer_that_starts_from_a_style_whose_beginning_is_silent():
    style = np.zeros((1, 4000))
    style[0, 2500:] = NOISE[0, 2500:]
    stft = skstrf.STFTTransformer(frame_rate=500, n_fft=64)
    transfer = skstrf.StyleTransfer(stft, kernel_size=1, init="style", max_iter=2, random_state=0)
    assert np.isfinite(transfer.fit(style).transform(NOISE[:, :1000])).all()


@pytest.mark.parametrize("rate", [0, -1.0, np.inf, np.nan])
def test_onsets_at_rates_that_are_none(rate):
    with pytest.raises(ValueError, match="sample_rate"):
        onset_correlation(NOISE[0], NOISE[1], sample_rate=rate)


@pytest.mark.parametrize("sizes", [(0, 3, 2), (2, 0, 2), (2, 3, 0), (2, 3, np.nan)])
def test_random_networks_of_nothing(sizes):
    with pytest.raises(ValueError, match=r"n_channels|n_filters|kernel_size"):
        skstrf.texture.RandomNetwork(*sizes)


@pytest.mark.parametrize(
    ("name", "value"),
    [("lr", -1), ("lr", 1e300), ("batch_size", 0), ("batch_size", 2.5), ("max_epochs", 0)],
)
def test_pretraining_that_makes_no_sense(name, value):
    tensors = NOISE.reshape(10, 2, 20, 20)
    with pytest.raises(ValueError, match=name):
        skstrf.neural.pretrain_masked(skstrf.CNNClassifier(), tensors, **{name: value})


def test_kernels_of_infinite_size():
    with pytest.raises(ValueError, match="kernel_sizes"):
        network = skstrf.neural.ConvolutionalNetwork(kernel_sizes=(np.inf,))
        skstrf.CNNClassifier(network).fit(NOISE.reshape(4, 1, 40, 50), [0, 1, 0, 1])


def test_a_step_that_no_weight_holds():
    with pytest.raises(ValueError, match="lr"):
        skstrf.CNNClassifier(lr=1e300).fit(NOISE.reshape(4, 1, 40, 50), [0, 1, 0, 1])


@pytest.mark.parametrize("length", [np.inf, np.nan, 0, 2.5])
def test_blocks_of_no_length(length):
    with pytest.raises(ValueError, match="block_length"):
        next(skstrf.auditory.cortical_transform_blocks(np.ones((128, 9)), block_length=length))


@pytest.mark.parametrize(
    ("rates", "scales", "bandpass"),
    [([4, 8, 16], [0.5, 1, 2], True), ([8], [1], False), ([8], [1], True), ([4], [0.43], False)],
)
@pytest.mark.parametrize("n_freqs", [2, 128])
def test_phases_of_filters_that_leave_a_modulation_out(rates, scales, bandpass, n_freqs):
    v = np.abs(NOISE.flat[: 20 * n_freqs]).reshape(n_freqs, 20).astype(np.float32)
    bank = {"rates": rates, "scales": scales, "bandpass": bandpass}
    m = cortical_transform(v, output="magnitude", **bank)
    w = invert_cortical_transform(m, content="magnitude", n_freqs=n_freqs, max_iter=60, **bank)
    again = cortical_transform(w, output="magnitude", **bank)
    assert w.max() < 100
    assert np.linalg.norm(again - m) <= 0.3 * np.linalg.norm(m) + 1e-12


def test_sounds_of_bandpass_magnitudes():
    strf = skstrf.STRFTransformer(
        bandpass=True, output="magnitude", contrast=False, frame_step=1, max_iter=60
    )
    v = strf.inverse_spectrogram(strf.fit_transform(NOISE))
    expected = skstrf.auditory.auditory_spectrogram(NOISE)
    assert np.linalg.norm(v - expected) < np.linalg.norm(expected)


def test_filters_that_pass_next_to_nothing():
    v = np.ones((2, 5), np.float32)
    c = cortical_transform(v, rates=[4], scales=[0.43])
    for method in ("least-squares", "normalized"):
        w = invert_cortical_transform(c, rates=[4], scales=[0.43], n_freqs=2, method=method)
        assert np.isfinite(w).all()


@pytest.mark.parametrize(("n_freqs", "scale", "norm"), [(5, 1.0, 1.0), (2, 0.3125, 0)])
def test_scales_that_a_short_spectrum_cannot_hold(n_freqs, scale, norm):
    v = np.linspace(-1, 1, n_freqs, dtype=np.float32)[:, None]
    c = skstrf.auditory.scale_transform(v, scales=[scale])
    w = skstrf.auditory.invert_scale_transform(c, scales=[scale], norm=norm)
    assert np.abs(w).max() < 100
