"""ScatteringTransformer against kymatio itself."""

import kymatio.scattering1d.frontend.numpy_frontend
import numpy as np
import pytest

from skstrf import ScatteringTransformer


def by_kymatio(x, J, Q, T, oversampling):
    frontend = kymatio.scattering1d.frontend.numpy_frontend.ScatteringNumPy1D(
        J=J, shape=len(x), Q=Q, T=T, oversampling=oversampling
    )
    return frontend(x), frontend.meta()


@pytest.mark.parametrize(
    ("J", "T", "Q"), [pytest.param(9, None, (8, 1), marks=pytest.mark.slow), (8, 512, (4, 2))]
)
def test_is_kymatios(recordings, J, T, Q):
    # kymatio at every sample, which needs no filter to be subsampled, read at the middles of the
    # frames.
    x = recordings[0, 4000 : 4000 + 8192].astype(float)
    padded = np.concatenate([x, np.zeros(4096)])
    expected, meta = by_kymatio(padded, J, Q, T or 2**J, oversampling=20)
    scattering = ScatteringTransformer(J=J, T=T, Q=Q, compression=None, orders=(0, 1, 2))
    actual = scattering.fit_transform(x[None])[0]
    assert actual.shape == (len(expected), 32)
    # kymatio mirrors the sound at its ends, and ours ends sooner: the outer frames are left out.
    inside = slice(4, 20)
    read = expected[:, np.arange(32) * 256 + 128][:, inside]
    for order in (0, 1, 2):
        kept = scattering.orders_ == order
        np.testing.assert_array_equal(kept, meta["order"] == order)
        error = np.linalg.norm((actual[:, inside] - read)[kept]) / np.linalg.norm(read[kept])
        assert error < 1e-3
    np.testing.assert_allclose(scattering.paths_, meta["xi"] * 16000)


def test_paths_have_one_scale():
    # A steady tone at a wavelet's center has the same envelope (in kymatio half its amplitude),
    # however far that is subsampled.
    times = np.arange(16000) / 16000
    scattering = ScatteringTransformer(J=9, compression=None, orders=(1,), frame_rate=125 / 8)
    paths = scattering.fit(times[None]).paths_[::8, 0]
    tones = np.sin(2 * np.pi * paths[:, None] * times)
    loudest = np.diagonal(scattering.transform(tones)[:, ::8, 7])
    np.testing.assert_allclose(loudest, 0.5, rtol=1e-3)


def test_single_precision_takes_the_other_frontend_to_the_same_numbers(recordings):
    X = recordings[:2, 4000:12000]
    scattering = ScatteringTransformer(J=9, compression=None)
    double = scattering.fit_transform(X.astype(float))
    single = scattering.fit_transform(X)
    np.testing.assert_allclose(single, double, atol=1e-5 * double.max())


def test_orders_and_names():
    X = np.zeros((1, 4000))
    both = ScatteringTransformer(J=7).fit(X)
    first = ScatteringTransformer(J=7, orders=(1,)).fit(X)
    second = ScatteringTransformer(J=7, orders=[2]).fit(X)
    all_three = ScatteringTransformer(J=7, orders=(0, 1, 2), compression=None).fit(X)
    names = both.axes_[0].values.tolist()
    assert names == [*first.axes_[0].values, *second.axes_[0].values]
    assert all_three.axes_[0].values.tolist() == ["0 Hz", *names]
    assert len(set(names)) == len(names)
    assert np.isnan(first.paths_[:, 1]).all()
    assert not np.isnan(second.paths_).any()
    np.testing.assert_array_equal(
        both.orders_, [1] * len(first.orders_) + [2] * len(second.orders_)
    )
    for name, (carrier, modulation) in zip(second.axes_[0].values, second.paths_, strict=True):
        assert name == f"{carrier:g} Hz, {modulation:g} Hz"


def test_a_modulated_tone_is_loudest_on_its_path():
    times = np.arange(32000) / 16000
    x = (1 + np.sin(2 * np.pi * 20 * times)) * np.sin(2 * np.pi * 1000 * times)
    scattering = ScatteringTransformer(compression=None, frame_rate=125 / 8).fit(x[None])
    profile = scattering.transform(x[None])[0, :, 8:-8].mean(axis=1)
    first = np.where(scattering.orders_ == 1, profile, 0).argmax()
    second = np.where(scattering.orders_ == 2, profile, 0).argmax()
    np.testing.assert_allclose(scattering.paths_[first, 0], 1000, rtol=0.06)
    np.testing.assert_allclose(scattering.paths_[second, 0], 1000, rtol=0.2)
    np.testing.assert_allclose(scattering.paths_[second, 1], 20, rtol=0.5)


@pytest.mark.parametrize("frame_rate", [pytest.param(100, marks=pytest.mark.slow), 62.5, 4])
def test_frames_that_are_not_powers_of_two(recordings, frame_rate):
    # A smooth function of time, whatever the grid it is read on.
    x = recordings[1].astype(float)
    T = 4096
    dense = ScatteringTransformer(J=8, T=T, frame_rate=500, compression=None).fit(x[None])
    coarse = ScatteringTransformer(J=8, T=T, frame_rate=frame_rate, compression=None).fit(x[None])
    times = dense.axes_[1].values
    expected = [
        np.interp(coarse.axes_[1].values, times, row) for row in dense.transform(x[None])[0]
    ]
    actual = coarse.transform(x[None])[0]
    inside = coarse.axes_[1].values < times[-1] - 0.3
    error = np.linalg.norm((actual - expected)[:, inside]) / np.linalg.norm(actual[:, inside])
    assert error < 2e-3


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"orders": ()}, "orders"),
        ({"orders": (3,)}, "orders"),
        ({"orders": (0, 1)}, "both signs"),
        ({"Q": (8, 1, 1)}, "Q="),
        ({"Q": (0, 1)}, "Q="),
        ({"T": 1000}, "power of two"),
        ({"T": 128}, "at least the hop of 256"),
        ({"J": 0}, "J"),
    ],
)
def test_bad_settings_are_named(options, words):
    with pytest.raises(ValueError, match=words):
        ScatteringTransformer(**options).fit(np.zeros((1, 1000)))
