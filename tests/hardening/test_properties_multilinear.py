"""Multilinear algebra, scaling and changed copies on any batch."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skstrf import MPCA, TensorScaler
from skstrf.augmentation import augment_sounds
from skstrf.multilinear import merge_moments, moments, mpca, multi_mode_product, rank_for_share
from tests.hardening.laws import arrays, examples, numbers, result_of

BATCHES = arrays(2, 3, 4, longest=7)
SHARES = st.sampled_from(
    [0.5, 0.9, 0.99, 1.0, 1, 1, (1, None), (0.5,), (0.9, 1.0), 2, 0, 1.5, np.nan, "all", None]
)


def float_for(x):
    """Tensors in float16 become float32; what is neither becomes float64."""
    return np.float32 if x.dtype in (np.float16, np.float32) else np.float64


@examples(150)
@given(
    x=BATCHES, n_components=SHARES,
    criterion=st.sampled_from(["per-mode"] * 3 + ["total"] * 2 + ["sum"]),
    max_iter=numbers(0, 4, whole=True), tol=numbers(0, 0.1),
)  # fmt: skip
def test_mpca(x, n_components, criterion, max_iter, tol):
    model = MPCA(n_components, criterion=criterion, max_iter=max_iter, tol=tol)
    y = result_of(model.fit_transform, x)
    if y is None:
        return
    assert y.shape[0] == len(x)
    assert y.dtype == float_for(x)
    assert np.isfinite(y).all()
    for basis in model.components_:  # orthonormal rows
        np.testing.assert_allclose(basis @ basis.T, np.eye(len(basis)), atol=1e-4)
    back = model.inverse_transform(y)
    assert back.shape == x.shape
    assert np.isfinite(back).all()
    scale = np.abs(x.astype(float)).max()
    # A projection: a second one changes nothing.
    again = model.transform(back)
    assert np.abs(again - y).max() <= 1e-3 * scale + 1e-30
    np.testing.assert_array_equal(
        MPCA(n_components, criterion=criterion, max_iter=max_iter, tol=tol).fit_transform(x), y
    )


@examples(40)
@given(x=arrays(2, 3, 4, longest=7, dtypes=("f8",), any=False), cut=st.integers(1, 6))
def test_moments_of_parts_are_those_of_the_whole(x, cut):
    whole = moments(x)
    np.testing.assert_allclose(whole.mean, x.mean(axis=0), atol=1e-12)
    for axis, scatter in enumerate(whole.scatters, start=1):
        unfolded = np.moveaxis(x - x.mean(axis=0), axis, 0).reshape(x.shape[axis], -1)
        np.testing.assert_allclose(scatter, unfolded @ unfolded.T, atol=1e-9)
    if cut < len(x):
        merged = merge_moments([moments(x[:cut]), moments(x[cut:])])
        assert merged.n_samples == len(x)
        for a, b in zip(merged.scatters, whole.scatters, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-9)


@examples(40)
@given(x=BATCHES)
def test_functions_refuse_what_is_not_finite(x):
    x = x.astype(float)
    found = result_of(mpca, x, 0.9)
    if found is not None:
        assert all(np.isfinite(values).all() for values in found.eigenvalues)
    else:
        assert x.size == 0 or not np.isfinite(x).all() or np.abs(x).max() > 1e100


@examples(40)
@given(x=arrays(3, longest=6, dtypes=("f4", "f8"), any=False), seed=st.integers(0, 99))
def test_products_along_modes_are_linear_and_have_an_adjoint(x, seed):
    rng = np.random.default_rng(seed)
    a = [rng.standard_normal((rng.integers(1, 5), n)).astype(x.dtype) for n in x.shape[1:]]
    y = multi_mode_product(x, a)
    assert y.dtype == x.dtype
    np.testing.assert_allclose(y, np.einsum("nij,ai,bj->nab", x, *a), rtol=1e-3, atol=1e-3)
    z = rng.standard_normal(y.shape).astype(x.dtype)
    back = multi_mode_product(z, [m.T for m in a])
    assert float((y * z).sum()) == pytest.approx(float((x * back).sum()), rel=1e-3, abs=1e-2)
    np.testing.assert_allclose(multi_mode_product(2 * x, a), 2 * y, rtol=1e-5, atol=1e-5)


@examples(40)
@given(values=st.lists(st.floats(0, 1e6), max_size=8), share=numbers(0, 1))
def test_ranks(values, share):
    values = np.sort(values)[::-1]
    rank = result_of(rank_for_share, values, share)
    if rank is not None:
        assert 1 <= rank <= len(values)
        if share < 1:
            assert values[:rank].sum() >= share * values.sum() * (1 - 1e-12)


@examples(40)
@given(x=BATCHES, axis=st.sampled_from([-1, None, 1, 0, (1, 2), 9]), parts=st.sets(st.booleans()))
def test_scalers(x, axis, parts):
    scaler = TensorScaler(axis=axis, with_mean=True in parts, with_std=False in parts)
    y = result_of(scaler.fit_transform, x)
    if y is None:
        return
    assert y.shape == x.shape
    assert y.dtype == float_for(x)
    assert np.isfinite(y).all()
    back = scaler.inverse_transform(y)
    assert np.abs(back - x).max() <= 1e-3 * np.abs(x.astype(float)).max() + 1e-30


@examples(40)
@given(
    x=arrays(1, 2, longest=4, lengths=st.sampled_from([1, 2, 3, 50, 400])),
    options=st.fixed_dictionaries({}, optional={
        "sample_rate": numbers(4000, 48000) | st.sampled_from([1, 1e9]),
        "pitch": numbers(0, 4) | st.just(96), "equalizer": numbers(0, 6) | st.just(60),
        "room": numbers(0, 1) | st.just(1000), "noise_snr_db": numbers(0, 60) | st.just(-200),
    }),
)  # fmt: skip
def test_changed_copies(x, options):
    y = result_of(augment_sounds, x, random_state=0, **options)
    if y is None:
        return
    assert y.shape == x.shape
    assert y.dtype == (np.float32 if x.dtype == np.float32 else np.float64)
    assert np.isfinite(y).all()
    np.testing.assert_array_equal(augment_sounds(x, random_state=0, **options), y)
    level, was = (np.sqrt(np.mean(a.astype(float) ** 2, axis=-1)) for a in (y, x))
    assert (np.abs(level - was) <= 1e-2 * was + 1e-30).all()
