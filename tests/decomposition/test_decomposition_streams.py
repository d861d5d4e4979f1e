"""MPCA of streams."""

import pickle
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone

from skstrf import MPCA
from skstrf.multilinear import products as streaming
from tests.decomposition.tensors import FITTED, assert_same_fit, tensors

few = settings(max_examples=15, deadline=None)


@few
@given(
    cuts=st.lists(st.integers(1, 29), max_size=6, unique=True),
    seed=st.integers(0, 99),
    options=st.sampled_from([{}, {"n_components": (2, None, 3)}, {"vectorize": True}]),
    kind=st.sampled_from(["numpy", "dask", "torch"]),
)
def test_batches_of_any_size_and_order_equal_fit_without_sweeps(cuts, seed, options, kind):
    x = tensors(30)
    order = np.random.default_rng(seed).permutation(30)
    mpca = MPCA(**options)
    for batch in np.split(x[order], sorted(cuts)):
        if kind == "dask":
            batch = pytest.importorskip("dask.array").from_array(batch, chunks=(4, -1, -1, -1))
        elif kind == "torch":
            batch = pytest.importorskip("torch").tensor(batch)
        assert mpca.partial_fit(batch) is mpca
    expected = MPCA(**options, max_iter=0).fit(x)
    assert_same_fit(mpca, expected, names=FITTED[:2])
    assert mpca.n_samples_seen_ == expected.n_samples_seen_ == 30
    assert mpca.n_iter_ == expected.n_iter_ == 0
    y, z = mpca.transform(x), expected.transform(x)
    if mpca.vectorize:  # the order of features is an estimate in one pass
        y, z = np.sort(y, axis=1), np.sort(z, axis=1)
    np.testing.assert_allclose(y, z, atol=1e-8)
    np.testing.assert_allclose(
        mpca.inverse_transform(mpca.transform(x)),
        expected.inverse_transform(expected.transform(x)),
        atol=1e-8,
    )


def test_no_sweep_keeps_the_initial_bases(x):
    mpca = MPCA(3, max_iter=0).fit(x)
    centered = x - x.mean(0)
    for axis, component in enumerate(mpca.components_, start=1):
        unfolded = np.moveaxis(centered, axis, 0).reshape(x.shape[axis], -1)
        left = np.linalg.svd(unfolded)[0][:, :3]
        np.testing.assert_allclose(component.T @ component, left @ left.T, atol=1e-9)
    kept = (mpca.transform(x) ** 2).sum()
    np.testing.assert_allclose(mpca.scatter_, [kept])
    np.testing.assert_allclose(mpca.explained_variance_ratio_, kept / (centered**2).sum())
    np.testing.assert_allclose(MPCA(3).fit(x).scatter_[0], kept)


def test_samples_are_added_to_a_fit(x):
    grown = MPCA(3).fit(x[:25]).partial_fit(x[25:])
    assert_same_fit(grown, MPCA(3, max_iter=0).fit(x), names=FITTED[:2])
    for name in ("scatter_", "explained_variance_", "explained_variance_ratio_"):
        assert not hasattr(grown, name)
    assert_same_fit(grown.fit(x), MPCA(3).fit(x))


def test_a_total_share_is_kept_in_one_pass_too(x):
    for share in (0.7, 0.9, 0.99):
        mpca = MPCA(share, criterion="total").partial_fit(x[:13]).partial_fit(x[13:])
        lost = ((x - mpca.inverse_transform(mpca.transform(x))) ** 2).sum()
        assert lost <= (1 - share) * ((x - x.mean(0)) ** 2).sum()


def test_a_stream_that_drifts_far_in_single_precision():
    x = tensors(90)
    x += np.repeat(1e4 * np.arange(3), 30).reshape(-1, 1, 1, 1) * np.linspace(1, 2, 4)
    exact = MPCA(2, max_iter=0).fit(x)
    mpca = MPCA(2)
    for batch in np.split(x.astype(np.float32), 9):
        mpca.partial_fit(batch)
    for ours, theirs in zip(mpca.mode_eigenvalues_, exact.mode_eigenvalues_, strict=True):
        np.testing.assert_allclose(ours[0], theirs[0], rtol=1e-6)
    still = MPCA(3)
    for _ in range(4):
        still.partial_fit((tensors(20, seed=1) + 1000).astype(np.float32))
    wanted = MPCA(3, max_iter=0).fit(tensors(20, seed=1)).mode_eigenvalues_
    for ours, theirs in zip(still.mode_eigenvalues_, wanted, strict=True):
        np.testing.assert_allclose(ours / 4, theirs, rtol=1e-3, atol=1e-5 * theirs[0])


def test_pickle_and_clone_in_the_middle_of_a_stream(x):
    mpca = MPCA(3).partial_fit(x[:9])
    pickled = pickle.loads(pickle.dumps(mpca))
    assert not hasattr(clone(mpca), "components_")
    for model in (mpca, pickled):
        model.partial_fit(x[9:])
    for ours, theirs in zip(mpca.components_, pickled.components_, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_refused_batch_leaves_the_stream_as_it_was(x):
    mpca = MPCA(3).partial_fit(x[:20])
    before = pickle.dumps(mpca)
    with pytest.raises(ValueError, match=r"samples of shape \(6, 5, 4\).*shape \(6, 5, 3\)"):
        mpca.partial_fit(x[..., :3])
    bad = x[20:].copy()
    bad[4, 0, 0, 0] = np.nan
    with pytest.raises(ValueError, match="in sample 4"):
        mpca.partial_fit(bad)
    assert pickle.dumps(mpca) == before


def test_whitening_needs_a_second_pass(x):
    assert hasattr(MPCA(), "partial_fit")
    assert not hasattr(MPCA(whiten=True), "partial_fit")
    with pytest.raises(AttributeError) as error:
        MPCA(whiten=True).partial_fit
    assert "second pass" in str(error.value.__cause__)
    mpca = MPCA(3).partial_fit(x).set_params(whiten=True)
    with pytest.raises(ValueError, match="whiten=True needs the variance"):
        mpca.transform(x)


def test_one_constant_sample_at_a_time():
    mpca = MPCA()
    for _ in range(3):
        mpca.partial_fit(np.full((1, 3, 4), 1 / 3))
    np.testing.assert_array_equal(mpca.mean_, np.full((3, 4), 1 / 3))
    assert mpca.output_shape_ == (1, 1)
    np.testing.assert_array_equal(mpca.transform(np.full((2, 3, 4), 1 / 3)), 0)


def test_memory_does_not_grow_with_the_batches():
    batch = np.random.default_rng(0).standard_normal((50, 4, 8, 16))
    mpca = MPCA(2).partial_fit(batch)
    tracemalloc.start()
    try:
        for _ in range(30):
            mpca.partial_fit(batch)
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < batch.nbytes / 2
    assert peak < 5 * batch.nbytes


def test_many_chunks_are_added_up_in_spans(monkeypatch):
    x = tensors(203).astype(np.float32) + 100
    exact = MPCA(3).fit(x.astype(np.float64))
    monkeypatch.setitem(streaming.CHUNK_BYTES, "cpu", x[0].nbytes)
    spans = streaming.chunk_slices(x, together=4)
    assert [s.stop - s.start for s in spans] == [4] * 50 + [3]
    assert streaming.chunk_slices(x, spans[-1])[-1] == slice(202, 203)
    found = MPCA(3).fit(x)
    for ours, theirs in zip(found.mode_eigenvalues_, exact.mode_eigenvalues_, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5 * theirs[0])
    np.testing.assert_allclose(found.mean_, exact.mean_, rtol=1e-6)
    x[102, 0, 1, 2] = np.nan  # not the first of its span
    with pytest.raises(ValueError, match="NaN or infinity in sample 102"):
        MPCA(3).fit(x)
