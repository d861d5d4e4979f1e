"""ScatteringTransformer against kymatio itself."""

import kymatio.scattering1d.frontend.numpy_frontend
import numpy as np
import pytest
from scipy import optimize

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
    x = recordings[0, :12288].astype(float)
    expected, meta = by_kymatio(x, J, Q, T or 2**J, oversampling=20)
    scattering = ScatteringTransformer(J=J, T=T, Q=Q, compression=None, orders=(0, 1, 2))
    actual = scattering.fit_transform(x[None])[0]
    assert actual.shape == (len(expected), 48)
    # kymatio averages over what it mirrors: frames within four standard deviations of the window
    # from the ends are left out here, and compared below.
    inside = slice(13, 35)
    read = expected[:, np.arange(48) * 256 + 128][:, inside]
    for order in (0, 1, 2):
        kept = scattering.orders_ == order
        np.testing.assert_array_equal(kept, meta["order"] == order)
        error = np.linalg.norm((actual[:, inside] - read)[kept]) / np.linalg.norm(read[kept])
        assert error < 1e-3
    np.testing.assert_allclose(scattering.paths_, meta["xi"] * 16000)


def test_frames_at_the_ends_are_averages_of_kymatios_envelopes(recordings):
    x = recordings[0, :6000].astype(float)
    frontend = kymatio.scattering1d.frontend.numpy_frontend.ScatteringNumPy1D(
        J=8, shape=len(x), Q=(4, 2), T=0, oversampling=20, out_type="list"
    )
    envelopes = np.stack([path["coef"] for path in frontend(x) if path["n"]])
    scattering = ScatteringTransformer(J=8, Q=(4, 2), compression=None)
    actual = scattering.fit_transform(x[None])[0]
    # The definition: windows that are truncated at the ends, and widened until their largest
    # weight is that of a window inside. The last frame reaches beyond the end.
    deviation, times = 256 / (2 * np.pi * 0.1), np.arange(len(x))
    for frame, middle in enumerate(np.minimum(np.arange(24) * 256 + 128, 5999)):

        def weights(width, middle=middle):
            return np.exp(-(((times - middle) / width) ** 2) / 2)

        def excess(width, weights=weights):
            return weights(width).sum() - np.sqrt(2 * np.pi) * deviation

        width = optimize.brentq(excess, 0.9 * deviation, 10 * deviation)
        expected = envelopes @ weights(width) / weights(width).sum()
        error = np.linalg.norm(actual[:, frame] - expected) / np.linalg.norm(expected)
        assert error < 1e-2, frame


@pytest.fixture(scope="module")
def uncompressed():
    return ScatteringTransformer(J=8, Q=(4, 1), T=4096, compression=None)


@pytest.mark.parametrize("frame", [0, 2, 6])
def test_a_click_near_an_end_is_loudest_in_its_frame(uncompressed, frame):
    # Its response is that to a click inside, up to the windows at the ends, which see more of it.
    X = np.zeros((3, 128 * 256))
    X[0, frame * 256 + 128] = X[1, 64 * 256 + 128] = X[2, -1 - (frame * 256 + 128)] = 1
    start, inside, end = uncompressed.fit_transform(X)[:, uncompressed.orders_ == 1].sum(axis=1)
    assert start[frame] > 0.998 * start.max()  # windows are 25 frames wide: the top is flat
    expected = inside[64 - frame :][: frame + 40]
    error = np.linalg.norm(start[: frame + 40] - expected) / np.linalg.norm(expected)
    assert error < 0.2
    np.testing.assert_allclose(start.max(), inside.max(), rtol=0.12)
    np.testing.assert_allclose(end[::-1], start, rtol=0.02, atol=1e-3 * start.max())


def test_steady_noise_keeps_its_level_up_to_the_ends(uncompressed):
    X = np.random.default_rng(0).standard_normal((8, 128 * 256))
    levels = uncompressed.fit_transform(X).mean(axis=0)
    for order in (1, 2):
        course = levels[uncompressed.orders_ == order].sum(axis=0)
        assert np.abs(20 * np.log10(course / course[40:88].mean())).max() < 0.5


def test_a_reversed_sound_has_the_reversed_tensor(uncompressed, recordings):
    X = recordings[:2, : 40 * 256].astype(float)
    forward = uncompressed.fit_transform(X)
    backward = uncompressed.transform(X[:, ::-1])[..., ::-1]
    for frame in range(40):
        difference = np.linalg.norm((forward - backward)[..., frame])
        assert difference < 5e-3 * np.linalg.norm(forward[..., frame])


@pytest.mark.parametrize("n_times", [1, 2, 3, 255, 257])
def test_sounds_shorter_than_the_windows(uncompressed, n_times):
    X = np.random.default_rng(0).standard_normal((1, n_times))
    tensor = uncompressed.fit_transform(X)
    assert np.isfinite(tensor).all()
    np.testing.assert_allclose(tensor, uncompressed.transform(-X), rtol=1e-12)


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
