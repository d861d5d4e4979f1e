"""Scatter matrices of every axis, in chunks and threads."""

import threading
import tracemalloc
from importlib import import_module

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from threadpoolctl import threadpool_info

from skstrf.multilinear import moments, mpca, project
from skstrf.multilinear import products as streaming
from tests.multilinear.tensors import few, shapes, tensors, unfolded_scatter

# The package has a function of the same name.
algorithm = import_module("skstrf.multilinear.mpca")


@few
@given(shape=shapes, n=st.integers(1, 5), long=st.sampled_from([1, 2, 51, 128]))
def test_mode_scatter_equals_unfolding(shape, n, long):
    x = tensors(n, (*shape, long))
    _, mean, scatters = moments(x)
    np.testing.assert_allclose(mean, x.mean(0), atol=1e-12)
    for axis, scatter in enumerate(scatters, start=1):
        np.testing.assert_allclose(scatter, unfolded_scatter(x, axis), atol=1e-10)


@pytest.mark.parametrize("change", ["fortran", "strided", "read-only", "torch", "gradient"])
def test_mode_scatter_takes_any_layout(change):
    x = tensors(9, (4, 5, 96))
    expected = moments(x).scatters
    if change == "fortran":
        x = np.asfortranarray(x)
    elif change == "strided":
        x = np.repeat(x, 2, axis=2)[:, :, ::2]
    elif change == "read-only":
        x.flags.writeable = False
    else:
        torch = pytest.importorskip("torch")
        x = torch.tensor(x, requires_grad=change == "gradient")
    for scatter, wanted in zip(moments(x).scatters, expected, strict=True):
        assert isinstance(scatter, np.ndarray)
        np.testing.assert_allclose(scatter, wanted, atol=1e-10)


def test_float32_survives_a_mean_a_thousand_times_the_spread(tiny_chunks):
    rng = np.random.default_rng(3)
    exact = tensors(60, (5, 6, 7), decay=0.3)
    exact = (exact - exact.mean(0)) / exact.std() + 1000 + 10 * rng.standard_normal((5, 6, 7))
    x = exact.astype(np.float32)
    tiny_chunks(x)
    for axis, scatter in enumerate(moments(x).scatters, start=1):
        expected = np.linalg.eigvalsh(unfolded_scatter(x.astype(np.float64), axis))
        found = np.linalg.eigvalsh(scatter)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6 * expected[-1])
    found, wanted = mpca(x, 0.9), mpca(x.astype(np.float64), 0.9)
    for ours, theirs in zip(found.components, wanted.components, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)
    y = project(x, found.mean, found.components)
    assert np.abs(y.mean(0)).max() < 1e-3 * y.std()


def test_chunks_and_threads_change_nothing(tiny_chunks):
    x = tensors(23, (5, 6, 40))
    whole = mpca(x, 0.9, max_iter=3)
    tiny_chunks(x)
    assert len(streaming.chunk_slices(x)) == 12
    cut = mpca(x, 0.9, max_iter=3)
    for ours, theirs in zip(cut.components, whole.components, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-12)
    np.testing.assert_allclose(cut.scatter, whole.scatter, rtol=1e-13)
    again = mpca(x, 0.9, max_iter=3)
    for ours, theirs in zip(cut.components, again.components, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_projections_too_large_to_hold_change_nothing(monkeypatch):
    x = tensors(20, (5, 6, 7, 4))
    held = mpca(x, (2, 3, 2, 4), max_iter=3)
    monkeypatch.setattr(algorithm, "HELD_BYTES", (0, 0))
    passes = mpca(x, (2, 3, 2, 4), max_iter=3)
    np.testing.assert_allclose(passes.scatter, held.scatter, rtol=1e-12)
    np.testing.assert_allclose(passes.feature_scatter, held.feature_scatter, rtol=1e-9)
    for ours, theirs in zip(passes.components, held.components, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-10)


def test_x_is_neither_copied_nor_changed(monkeypatch):
    monkeypatch.setitem(streaming.CHUNK_BYTES, "cpu", 2**18)
    monkeypatch.setattr(algorithm, "HELD_BYTES", (2**20, 2**29))
    x = np.random.default_rng(4).standard_normal((600, 8, 32, 32), dtype=np.float32)
    x.flags.writeable = False
    before = x.copy()
    tracemalloc.start()
    try:
        mpca(x, 0.95)  # white noise: no mode can be cut by much
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    np.testing.assert_array_equal(x, before)
    assert peak < x.nbytes / 2


def test_blas_threads_are_given_back_even_between_threads(tiny_chunks):
    x = tensors(30, (6, 7, 8))
    tiny_chunks(x)
    expected = mpca(x, 0.9).scatter
    before = [library["num_threads"] for library in threadpool_info()]
    found = []
    runs = [threading.Thread(target=lambda: found.append(mpca(x, 0.9).scatter)) for _ in range(4)]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert [library["num_threads"] for library in threadpool_info()] == before
    assert len(found) == 4
    for scatter in found:
        np.testing.assert_array_equal(scatter, expected)


def test_grams_of_all_axes_in_threads_equal_einsum(monkeypatch):
    x = np.random.default_rng(0).standard_normal((3, 5, 4, 45, 6))
    monkeypatch.setattr(streaming, "SMALL_BYTES", 0)
    for axis, found in enumerate(streaming.grams(x), start=1):
        letters = "nabcd"
        other = letters.replace(letters[axis], "z")
        expected = np.einsum(f"{letters},{other}->{letters[axis]}z", x, x)
        np.testing.assert_allclose(found, expected, atol=1e-10)


def test_a_mean_a_thousand_times_the_spread_costs_no_digits():
    rng = np.random.default_rng(0)
    x = (1e3 + rng.standard_normal((50, 8, 9, 10))).astype(np.float32)
    mean = x.mean(axis=0)
    bases = [
        np.linalg.qr(rng.standard_normal((n, 3)))[0].T.astype(np.float32) for n in x.shape[1:]
    ]
    found = project(x, mean, bases)
    expected = np.einsum("nabc,ia,jb,kc->nijk", x.astype(float) - mean, *bases)
    assert np.abs(found - expected).max() < 1e-5 * np.abs(expected).max()
