import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from skstrf import TensorScaler
from skstrf.multilinear import products as streaming
from skstrf.preprocessing import _axis_statistics

shapes = st.lists(st.integers(1, 5), min_size=1, max_size=3).map(tuple)


@pytest.fixture
def x():
    rng = np.random.default_rng(0)
    return rng.standard_normal((12, 3, 4, 5)) * rng.uniform(1, 9, (3, 4, 1)) + 5


@parametrize_with_checks(
    [
        TensorScaler(),
        TensorScaler(axis=None),
        TensorScaler(axis=(0, 1), with_mean=False),
        TensorScaler(axis=None, with_std=False),
    ]
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@settings(max_examples=25, deadline=None)
@given(shape=shapes, n=st.integers(1, 6), data=st.data())
def test_equals_standard_scaler_on_folded_data(shape, n, data):
    x = 3 + np.random.default_rng(0).standard_normal((n, *shape))
    axes = data.draw(st.sets(st.integers(0, len(shape))))
    kept = [axis for axis in range(1, x.ndim) if axis not in axes]
    shared = [axis for axis in range(x.ndim) if axis not in kept]
    folded = x.transpose(*shared, *kept).reshape(-1, int(np.prod([x.shape[k] for k in kept])))
    expected = StandardScaler().fit(folded)
    scaler = TensorScaler(axis=tuple(axes)).fit(x)
    assert scaler.mean_.shape == tuple(
        1 if axis in shared else x.shape[axis] for axis in range(1, x.ndim)
    )
    np.testing.assert_allclose(scaler.mean_.ravel(), expected.mean_, rtol=1e-12)
    np.testing.assert_allclose(scaler.var_.ravel(), expected.var_, atol=1e-12)
    np.testing.assert_allclose(scaler.scale_.ravel(), expected.scale_, rtol=1e-9)
    y = scaler.transform(x)
    refolded = y.transpose(*shared, *kept).reshape(folded.shape)
    np.testing.assert_allclose(refolded, expected.transform(folded), atol=1e-9)
    np.testing.assert_allclose(scaler.inverse_transform(y), x, atol=1e-12)


def test_the_default_shares_samples_and_the_last_axis(x):
    scaler = TensorScaler().fit(x)
    assert scaler.mean_.shape == scaler.var_.shape == scaler.scale_.shape == (3, 4, 1)
    y = scaler.transform(x)
    np.testing.assert_allclose(y.mean(axis=(0, 3)), 0, atol=1e-12)
    np.testing.assert_allclose(y.std(axis=(0, 3)), 1)
    np.testing.assert_array_equal(TensorScaler(axis=3).fit_transform(x), y)
    np.testing.assert_array_equal(TensorScaler(axis=(0, -1)).fit_transform(x), y)


@pytest.mark.parametrize(("with_mean", "with_std"), [(True, False), (False, True), (False, False)])
def test_switches(x, with_mean, with_std):
    scaler = TensorScaler(with_mean=with_mean, with_std=with_std).fit(x)
    expected = (x - scaler.mean_ * with_mean) / (scaler.scale_ if with_std else 1)
    y = scaler.transform(x)
    np.testing.assert_allclose(y, expected)
    assert not np.shares_memory(y, x)
    np.testing.assert_allclose(scaler.inverse_transform(y), x)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("value", [0.0, 1 / 3, 1e6])
def test_constant_features_are_divided_by_one(x, dtype, value, monkeypatch):
    monkeypatch.setitem(streaming.CHUNK_BYTES, "cpu", x[0].nbytes)
    x = x.astype(dtype)
    x[:, 1] = value
    scaler = TensorScaler().fit(x)
    np.testing.assert_array_equal(scaler.var_[1], 0)
    np.testing.assert_array_equal(scaler.scale_[1], 1)
    np.testing.assert_array_equal(scaler.transform(x)[:, 1], 0)
    assert np.all(scaler.var_[[0, 2]] > 0)


@pytest.mark.parametrize("rows", [1, 3, 1000])
def test_float32_survives_a_mean_a_thousand_times_the_deviation(rows, monkeypatch):
    rng = np.random.default_rng(1)
    means = rng.uniform(900, 1100, (3, 4, 1))
    x = (rng.standard_normal((400, 3, 4, 5)) + means).astype(np.float32)
    monkeypatch.setitem(streaming.CHUNK_BYTES, "cpu", rows * x[0].nbytes)
    scaler = TensorScaler().fit(x)
    double = x.astype(np.float64)
    np.testing.assert_allclose(scaler.mean_, double.mean(axis=(0, 3), keepdims=True)[0])
    np.testing.assert_allclose(scaler.var_, double.var(axis=(0, 3), keepdims=True)[0], rtol=1e-6)
    y = scaler.transform(x)
    assert y.dtype == np.float32
    np.testing.assert_allclose(y.mean(axis=(0, 3)), 0, atol=1e-4)
    np.testing.assert_allclose(y.std(axis=(0, 3)), 1, atol=1e-4)


def test_samples_one_by_one_and_in_any_order(x):
    scaler = TensorScaler().fit(x)
    single = np.concatenate([scaler.transform(sample[None]) for sample in x])
    np.testing.assert_array_equal(single, scaler.transform(x))
    np.testing.assert_allclose(TensorScaler().fit(x[::-1]).scale_, scaler.scale_, rtol=1e-12)


def test_x_is_not_changed(x):
    before = x.copy()
    x.flags.writeable = False
    scaler = TensorScaler().fit(x)
    scaler.inverse_transform(scaler.transform(x))
    np.testing.assert_array_equal(x, before)


def test_torch_in_torch_out(x):
    torch = pytest.importorskip("torch")
    expected = TensorScaler().fit(x)
    tensor = torch.tensor(x)
    scaler = TensorScaler().fit(tensor)
    np.testing.assert_allclose(scaler.scale_, expected.scale_, rtol=1e-12)
    y = scaler.transform(tensor)
    assert isinstance(y, torch.Tensor)
    np.testing.assert_allclose(y, expected.transform(x), atol=1e-12)
    torch.testing.assert_close(scaler.inverse_transform(y), tensor)
    assert scaler.transform(tensor.float()).dtype == torch.float32
    with pytest.raises(ValueError, match="NaN or infinity"):
        scaler.transform(tensor * torch.nan)
    with pytest.raises(ValueError, match="Complex data not supported"):
        scaler.fit(tensor.to(torch.complex64))


def test_pickle_and_clone(x):
    scaler = TensorScaler(axis=(1, -1)).fit(x)
    again = pickle.loads(pickle.dumps(scaler))
    np.testing.assert_array_equal(again.transform(x), scaler.transform(x))
    assert clone(scaler).get_params() == scaler.get_params()


@pytest.mark.parametrize("axis", [4, -5, (1, 7), (1.5,), ("time",)])
def test_axes_that_are_not_there(x, axis):
    with pytest.raises(ValueError, match=r"axis=.* of TensorScaler, but X has 4 axes"):
        TensorScaler(axis=axis).fit(x)


def test_bad_data(x):
    scaler = TensorScaler().fit(x)
    with pytest.raises(ValueError, match=r"shape \(3, 4, 5\).*shape \(3, 4, 4\)"):
        scaler.transform(x[..., :4])
    with pytest.raises(ValueError, match="axis"):
        TensorScaler(axis="time").fit(x)
    x[0, 0, 0, 0] = np.inf
    with pytest.raises(ValueError, match="TensorScaler contains NaN or infinity"):
        scaler.transform(x)
    with pytest.raises(ValueError, match="TensorScaler contains NaN or infinity"):
        TensorScaler().fit(x)


def test_axis_statistics_match_numpy(x):
    mean, var = _axis_statistics(x, (0, 2))
    np.testing.assert_allclose(mean, x.mean(axis=(0, 2), keepdims=True)[0])
    np.testing.assert_allclose(var, x.var(axis=(0, 2), keepdims=True)[0])
