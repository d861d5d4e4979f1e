"""MPCA: the original program's results, and laws."""

from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skstrf.multilinear import mpca, multi_mode_product, project, rank_for_share, reconstruct
from tests.multilinear.tensors import few, shapes, tensors, unfolded_scatter

# The package has a function of the same name.
algorithm = import_module("skstrf.multilinear.mpca")
REFERENCE = Path(__file__).parents[1] / "reference" / "mpca"
RESULTS = sorted(REFERENCE.glob("*_K*.npz"))

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
        ((2, 0.9, 2), "total", "requires n_components to be one float"),
    ],
)
def test_components_that_do_not_fit(n_components, criterion, message):
    with pytest.raises(ValueError, match=message):
        mpca(tensors(5, (6, 5, 7)), n_components, criterion=criterion)


@pytest.mark.parametrize("share", [0, 1.5])
def test_shares_are_above_0_and_at_most_1(share):
    with pytest.raises(ValueError, match="share must"):
        rank_for_share([3.0, 1.0], share)


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
