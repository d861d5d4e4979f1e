import threading
import tracemalloc
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import tensorly as tl
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorly.tenalg import multi_mode_dot
from threadpoolctl import threadpool_info

from skstrf.multilinear import (
    algorithm,
    mode_product,
    mode_scatter,
    mpca,
    multi_mode_product,
    project,
    rank_for_share,
    reconstruct,
    streaming,
)

gram_module = import_module("skstrf.multilinear.gram")
REFERENCE = Path(__file__).parent / "reference" / "mpca"
RESULTS = sorted(REFERENCE.glob("*_K*.npz"))
shapes = st.lists(st.integers(1, 5), min_size=1, max_size=3).map(tuple)
few = settings(max_examples=25, deadline=None)


def tensors(n, shape, seed=0, decay=0.5):
    """Random tensors whose modes hold ever less, with a mean."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, *shape))
    for axis, size in enumerate(shape, start=1):
        mixing = np.linalg.qr(rng.standard_normal((size, size)))[0] * np.exp(
            -decay * np.arange(size)
        )
        x = np.moveaxis(np.tensordot(mixing, x, (1, axis)), 0, axis)
    return np.ascontiguousarray(x + rng.standard_normal(shape))


def unfolded_scatter(x, axis):
    unfolded = np.moveaxis(x - x.mean(0), axis, 0).reshape(x.shape[axis], -1)
    return np.einsum("ik,jk->ij", unfolded, unfolded)


@pytest.fixture
def tiny_chunks(monkeypatch):
    """Two samples a chunk for the data of the test, so that chunks and threads come into play."""

    def set_bytes(x):
        monkeypatch.setitem(streaming.CHUNK_BYTES, "cpu", 2 * x[0].nbytes)

    return set_bytes


# ---------------------------------------------------------------- Lu's own program


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_equals_the_original_program(path, dtype):
    expected = np.load(path)
    x = np.load(path.parent / f"{path.stem.split('_Q')[0]}_input.npz")["X"]
    found = mpca(x.astype(dtype), float(expected["Q"]), max_iter=int(expected["max_iter"]))
    exact = dtype is np.float64
    atol, rtol = (1e-9, 1e-10) if exact else (2e-3, 1e-5)
    assert [c.shape[0] for c in found.components] == list(expected["P"])
    for n, component in enumerate(found.components, start=1):
        np.testing.assert_allclose(component, expected[f"U{n}"], rtol=0, atol=atol)
        full = expected[f"eigvals_full{n}"]
        np.testing.assert_allclose(found.eigenvalues[n - 1], full, rtol=0, atol=rtol * full[0])
    np.testing.assert_allclose(found.scatter, expected["scatter_per_iter"], rtol=rtol)
    np.testing.assert_allclose(found.total_scatter, expected["total_scatter"], rtol=rtol)
    np.testing.assert_allclose(found.mean, expected["mean"], rtol=0, atol=1e-12 if exact else 1e-6)
    y = project(x.astype(dtype), found.mean, found.components)
    np.testing.assert_allclose(y, expected["projected"], rtol=0, atol=5 * atol)
    z = reconstruct(y, found.mean, found.components)
    np.testing.assert_allclose(z, expected["reconstruction"], rtol=0, atol=5 * atol)
    energy = expected["var_per_feature"]
    np.testing.assert_allclose(found.feature_scatter, energy, rtol=0, atol=atol * energy.max())


def test_the_whole_reference_set_is_here():
    assert len(RESULTS) == 16


# ---------------------------------------------------------------- products


@few
@given(shape=shapes, rows=st.integers(1, 5), data=st.data())
def test_mode_product_equals_tensorly(shape, rows, data):
    axis = data.draw(st.integers(0, len(shape) - 1))
    rng = np.random.default_rng(0)
    x, matrix = rng.standard_normal(shape), rng.standard_normal((rows, shape[axis]))
    np.testing.assert_allclose(
        mode_product(x, matrix, axis), tl.tenalg.mode_dot(x, matrix, axis), atol=1e-12
    )


@pytest.mark.parametrize("shape", [(2, 5, 9, 40, 50), (3, 7, 16), (2, 5, 17000), (2, 6, 3, 5, 2)])
@pytest.mark.parametrize("kind", ["numpy", "pytorch"])
def test_multi_mode_product_equals_tensorly(shape, kind):
    rng = np.random.default_rng(1)
    x = rng.standard_normal(shape)
    matrices = [rng.standard_normal((min(3, size), size)) for size in shape[1:]]
    matrices[-1] = None
    with tl.backend_context(kind, local_threadsafe=True):
        expected = multi_mode_dot(
            tl.tensor(x), [tl.tensor(m) for m in matrices[:-1]], modes=range(1, x.ndim - 1)
        )
        found = multi_mode_product(tl.tensor(x), matrices)
        assert type(found) is type(expected)
        np.testing.assert_allclose(tl.to_numpy(found), tl.to_numpy(expected), atol=1e-10)


@few
@given(shape=shapes, n=st.integers(1, 4))
def test_all_components_lose_nothing(shape, n):
    x = tensors(n, shape)
    rotations = [np.linalg.qr(np.random.default_rng(2).standard_normal((i, i)))[0] for i in shape]
    y = project(x, x.mean(0), rotations)
    np.testing.assert_allclose((y**2).sum(), ((x - x.mean(0)) ** 2).sum(), atol=1e-10)
    np.testing.assert_allclose(reconstruct(y, x.mean(0), rotations), x, atol=1e-10)


def test_projections_differentiate_in_torch():
    torch = pytest.importorskip("torch")
    x = torch.randn(3, 4, 5, dtype=torch.float64, requires_grad=True)
    components = [np.eye(4)[:2], None]
    project(x, np.ones((4, 5)), components).sum().backward()
    expected = np.zeros((3, 4, 5))
    expected[:, :2] = 1
    np.testing.assert_array_equal(x.grad, expected)


# ---------------------------------------------------------------- scatter


@few
@given(shape=shapes, n=st.integers(1, 5), long=st.sampled_from([1, 2, 51, 128]))
def test_mode_scatter_equals_unfolding(shape, n, long):
    x = tensors(n, (*shape, long))
    mean, scatters = mode_scatter(x)
    np.testing.assert_allclose(mean, x.mean(0), atol=1e-12)
    for axis, scatter in enumerate(scatters, start=1):
        np.testing.assert_allclose(scatter, unfolded_scatter(x, axis), atol=1e-10)


@pytest.mark.parametrize("change", ["fortran", "strided", "read-only", "torch", "gradient"])
def test_mode_scatter_takes_any_layout(change):
    x = tensors(9, (4, 5, 96))
    expected = mode_scatter(x)[1]
    if change == "fortran":
        x = np.asfortranarray(x)
    elif change == "strided":
        x = np.repeat(x, 2, axis=2)[:, :, ::2]
    elif change == "read-only":
        x.flags.writeable = False
    else:
        torch = pytest.importorskip("torch")
        x = torch.tensor(x, requires_grad=change == "gradient")
    for scatter, wanted in zip(mode_scatter(x)[1], expected, strict=True):
        assert isinstance(scatter, np.ndarray)
        np.testing.assert_allclose(scatter, wanted, atol=1e-10)


def test_float32_survives_a_mean_a_thousand_times_the_spread(tiny_chunks):
    rng = np.random.default_rng(3)
    exact = tensors(60, (5, 6, 7), decay=0.3)
    exact = (exact - exact.mean(0)) / exact.std() + 1000 + 10 * rng.standard_normal((5, 6, 7))
    x = exact.astype(np.float32)
    tiny_chunks(x)
    for axis, scatter in enumerate(mode_scatter(x)[1], start=1):
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


# ---------------------------------------------------------------- the algorithm


@few
@given(shape=shapes, seed=st.integers(0, 99), share=st.floats(0.3, 1.0))
def test_laws_of_the_sweeps(shape, seed, share):
    x = tensors(8, shape, seed)
    found = mpca(x, share, max_iter=3)
    slack = 1e-12 * found.total_scatter
    assert np.all(np.diff(found.scatter) >= -slack)
    assert found.scatter[-1] <= found.total_scatter + slack
    for component, eigenvalues in zip(found.components, found.eigenvalues, strict=True):
        rank = len(component)
        np.testing.assert_allclose(component @ component.T, np.eye(rank), atol=1e-10)
        assert np.all(component[np.arange(rank), np.abs(component).argmax(1)] > 0)
        np.testing.assert_allclose(eigenvalues.sum(), found.total_scatter, rtol=1e-10)
        assert eigenvalues[:rank].sum() >= share * eigenvalues.sum() * (1 - 1e-12)
        assert rank == 1 or eigenvalues[: rank - 1].sum() < share * eigenvalues.sum()
    y = project(x, found.mean, found.components)
    np.testing.assert_allclose((y**2).sum(), found.scatter[-1], rtol=1e-9)
    np.testing.assert_allclose((y**2).sum(0), found.feature_scatter, atol=1e-9 * (y**2).sum())


def test_the_order_of_samples_does_not_matter():
    x = tensors(15, (4, 5, 6))
    found, shuffled = mpca(x, 0.8), mpca(x[np.random.default_rng(0).permutation(15)], 0.8)
    for ours, theirs in zip(found.components, shuffled.components, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-10)


def test_none_leaves_an_axis_as_it_is():
    x = tensors(12, (4, 5, 6))
    found = mpca(x, (2, None, 3), max_iter=2)
    np.testing.assert_array_equal(found.components[1], np.eye(5))
    alike = mpca(x, (2, 5, 3), max_iter=2)
    np.testing.assert_allclose(found.scatter, alike.scatter, rtol=1e-12)
    np.testing.assert_allclose(found.components[2], alike.components[2], atol=1e-10)
    one = mpca(x, (None, 2, None), max_iter=2)
    np.testing.assert_allclose(one.scatter, one.eigenvalues[1][:2].sum(), rtol=1e-12)
    np.testing.assert_allclose(one.feature_scatter.sum(), one.scatter[-1], rtol=1e-12)
    none = mpca(x, (None, None, None))
    np.testing.assert_allclose(none.scatter, none.total_scatter, rtol=1e-12)


def test_tol_stops_early():
    x = tensors(30, (6, 7, 8), decay=0.1)
    assert mpca(x, 3, max_iter=50).scatter.size == 51
    stopped = mpca(x, 3, max_iter=50, tol=1e-4)
    assert 2 <= stopped.scatter.size < 51
    gains = np.diff(stopped.scatter) / stopped.total_scatter
    assert gains[-1] < 1e-4
    assert np.all(gains[:-1] >= 1e-4)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("criterion", ["per-mode", "total"])
def test_rank_deficient_data_at_share_one(dtype, criterion):
    rng = np.random.default_rng(5)
    factors = [rng.standard_normal((size, rank)) for size, rank in ((9, 2), (8, 3), (7, 7))]
    x = multi_mode_product(rng.standard_normal((30, 2, 3, 7)), factors).astype(dtype)
    found = mpca(x, 1.0, criterion=criterion)
    assert [c.shape for c in found.components] == [(2, 9), (3, 8), (7, 7)]
    rtol = 1e-12 if dtype is np.float64 else 1e-5
    np.testing.assert_allclose(found.scatter[-1], found.total_scatter, rtol=rtol)


@pytest.mark.parametrize("value", [0.0, 1 / 3, 1e6])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("criterion", ["per-mode", "total"])
def test_constant_data_keep_one_component(value, dtype, criterion, tiny_chunks):
    x = np.full((7, 3, 4, 5), value, dtype=dtype)
    tiny_chunks(x)
    for share in (0.5, 1.0):
        found = mpca(x, share, criterion=criterion)
        assert [c.shape for c in found.components] == [(1, 3), (1, 4), (1, 5)]
        assert found.total_scatter == 0
        np.testing.assert_array_equal(found.mean, x[0])
        np.testing.assert_array_equal(project(x, found.mean, found.components), 0)


@few
@given(seed=st.integers(0, 99), share=st.floats(0.2, 0.999), decay=st.floats(0.1, 1))
def test_total_share_is_reached_with_the_smallest_output(seed, share, decay):
    x = tensors(20, (4, 3, 5), seed, decay)
    found = mpca(x, share, criterion="total", max_iter=2)
    assert found.scatter[-1] >= share * found.total_scatter
    assert found.scatter[0] >= share * found.total_scatter * (1 - 1e-12)
    full = mpca(x, (4, 3, 5), max_iter=1)
    bases = [np.linalg.eigh(unfolded_scatter(x, axis))[1][:, ::-1].T for axis in (1, 2, 3)]
    kept = (project(x, full.mean, bases) ** 2).sum(0)
    product = np.prod([len(c) for c in found.components])
    safe = mpca(x, 1 - (1 - share) / 3)
    for ranks in np.ndindex(*[len(c) for c in safe.components]):
        a, b, c = (r + 1 for r in ranks)
        if a * b * c < product:
            assert kept[:a, :b, :c].sum() < share * full.total_scatter


def test_total_share_moves_on_when_rounding_misses_it(monkeypatch):
    x = tensors(20, (4, 3, 5))
    easy = mpca(x, 0.8, criterion="total")
    genuine = algorithm._sweeps
    calls = []

    def short_at_first(*args):
        components, scatter, features = genuine(*args)
        calls.append(args[3])
        return components, scatter * (0.5 if len(calls) == 1 else 1), features

    monkeypatch.setattr(algorithm, "_sweeps", short_at_first)
    found = mpca(x, 0.8, criterion="total")
    assert calls[0] == [len(c) for c in easy.components]
    assert calls[1] != calls[0]
    assert found.scatter[-1] >= easy.scatter[-1]


@few
@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=9), st.floats(0.01, 0.999))
def test_rank_for_share_is_the_first_that_reaches_it(values, share):
    eigenvalues = np.sort(values)[::-1]
    rank = rank_for_share(eigenvalues, share)
    kept = np.cumsum(eigenvalues)
    assert kept[rank - 1] >= share * kept[-1]
    assert rank == 1 or kept[rank - 2] < share * kept[-1]


@pytest.mark.parametrize(
    ("n_components", "criterion", "message"),
    [
        (6, "per-mode", "n_components=6 for axis 2 of X, which has 5"),
        ((2, 2), "per-mode", "2 entries, but the samples of X have 3 axes"),
        ((2, 0, 2), "per-mode", "n_components=0 for axis 2"),
        ((2, 1.5, 2), "per-mode", "n_components=1.5 for axis 2"),
        ((2, "all", 2), "total", "n_components='all' for axis 2"),
        ((2, 0.9, 2), "total", "needs n_components to be one float"),
    ],
)
def test_components_that_do_not_fit(n_components, criterion, message):
    with pytest.raises(ValueError, match=message):
        mpca(tensors(5, (6, 5, 7)), n_components, criterion=criterion)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30])
def test_values_that_are_not_finite_or_overflow(value):
    x = tensors(5, (3, 4)).astype(np.float32)
    x[2, 1, 1] = value
    with pytest.raises(ValueError, match="NaN or infinity"):
        mpca(x)


@pytest.mark.cuda
def test_cuda_equals_cpu():
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    x = tensors(20, (5, 6, 7))
    expected, found = mpca(x, 0.9), mpca(torch.tensor(x, device="cuda"), 0.9)
    for ours, theirs in zip(found.components, expected.components, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-9)
    y = project(torch.tensor(x, device="cuda"), found.mean, found.components)
    assert y.device.type == "cuda"
    np.testing.assert_allclose(y.cpu(), project(x, expected.mean, expected.components), atol=1e-9)


def test_grams_of_all_axes_in_threads_equal_einsum(monkeypatch):
    x = np.random.default_rng(0).standard_normal((3, 5, 4, 45, 6))
    monkeypatch.setattr(gram_module, "SMALL_BYTES", 0)
    for axis, found in enumerate(gram_module.grams(x), start=1):
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
