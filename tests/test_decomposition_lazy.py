"""MPCA of data that are not in memory: dask arrays, memory maps, zarr, streams."""

import pickle
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone

from skstrf import MPCA
from skstrf.multilinear import algorithm, streaming

few = settings(max_examples=15, deadline=None)
FITTED = ("mean_", "mode_explained_variance_ratio_", "scatter_", "explained_variance_")


def tensors(n=40, shape=(6, 5, 4), seed=0, dtype=np.float64):
    """Tensors whose modes hold ever less, with a mean."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, *shape))
    for axis, size in enumerate(shape, start=1):
        decay = np.exp(-0.4 * np.arange(size))
        x *= decay.reshape([-1 if a == axis else 1 for a in range(x.ndim)])
    return (x + rng.standard_normal(shape)).astype(dtype)


@pytest.fixture
def x():
    return tensors()


@pytest.fixture
def da():
    return pytest.importorskip("dask.array")


def assert_same_fit(found, expected, atol=1e-9, names=FITTED):
    for ours, theirs in zip(found.components_, expected.components_, strict=True):
        assert ours.dtype == theirs.dtype
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=atol)
    for ours, theirs in zip(found.mode_eigenvalues_, expected.mode_eigenvalues_, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=atol * theirs[0])
    for name in names:
        theirs = getattr(expected, name)
        scale = np.abs(theirs).max()
        np.testing.assert_allclose(getattr(found, name), theirs, rtol=0, atol=atol * scale)
    assert found.output_shape_ == expected.output_shape_


# ---------------------------------------------------------------- dask


@few
@given(
    chunks=st.lists(st.integers(1, 12), min_size=1, max_size=12),
    options=st.sampled_from(
        [
            {},
            {"n_components": (2, None, 3), "max_iter": 3},
            {"n_components": 0.9, "criterion": "total", "max_iter": 2},
            {"n_components": 3, "max_iter": 0},
            {"n_components": 3, "vectorize": True, "whiten": True},
        ]
    ),
)
def test_dask_equals_numpy_however_it_is_cut(chunks, options):
    da = pytest.importorskip("dask.array")
    x = tensors(sum(chunks) + 2)
    lazy = da.from_array(x, chunks=((*chunks, 2), -1, -1, -1))
    found, expected = MPCA(**options).fit(lazy), MPCA(**options).fit(x)
    assert_same_fit(found, expected)
    y = found.transform(lazy)
    assert isinstance(y, da.Array)
    assert y.chunks[0] == lazy.chunks[0]
    assert y.shape == (len(x), *expected.output_shape_)
    wanted = expected.transform(x)
    assert y.dtype == wanted.dtype
    np.testing.assert_allclose(y.compute(), wanted, atol=1e-9 * np.abs(wanted).max())
    z = found.inverse_transform(y)
    assert isinstance(z, da.Array)
    assert z.shape == x.shape
    np.testing.assert_allclose(z.compute(), expected.inverse_transform(wanted), atol=1e-9)
    np.testing.assert_allclose(MPCA(**options).fit_transform(lazy), wanted, atol=1e-8)


def test_dask_in_single_precision_around_a_large_mean(da):
    x = (tensors(60) + 1000).astype(np.float32)
    lazy = da.from_array(x, chunks=(7, -1, -1, -1))
    found, exact = MPCA(3).fit(lazy), MPCA(3).fit(x.astype(np.float64))
    assert {c.dtype for c in found.components_} == {np.dtype(np.float32)}
    for ours, theirs in zip(found.components_, exact.components_, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-5)
    assert found.transform(lazy).dtype == np.float32
    assert found.transform(lazy).compute().dtype == np.float32


def test_transform_of_dask_computes_nothing_and_keeps_the_bases_it_had(x, da):
    computed = []

    def watch(block):
        computed.append(len(block))
        return block

    lazy = da.from_array(x, chunks=(10, -1, -1, -1))
    mpca = MPCA(2).fit(x)
    expected = mpca.transform(x)
    y = mpca.transform(lazy.map_blocks(watch, dtype=x.dtype, meta=np.empty((0, 0, 0, 0))))
    restored = mpca.inverse_transform(y)
    assert computed == []
    assert isinstance(y._meta, np.ndarray)
    assert y._meta.dtype == y.dtype
    assert restored._meta.dtype == x.dtype
    wanted = mpca.inverse_transform(expected)
    mpca.fit(x[::-2] ** 3)
    np.testing.assert_allclose(y.compute(), expected, atol=1e-12)
    np.testing.assert_allclose(restored.compute(), wanted, atol=1e-12)


def test_dask_projections_too_large_to_hold(da, monkeypatch):
    x = tensors(20, (5, 6, 7, 4))
    lazy = da.from_array(x, chunks=(3, -1, -1, -1, -1))
    expected = MPCA((2, 3, 2, 4), max_iter=2).fit(x)
    monkeypatch.setattr(algorithm, "HELD_BYTES", (0, 0))
    assert_same_fit(MPCA((2, 3, 2, 4), max_iter=2).fit(lazy), expected)


def test_dask_cut_along_other_axes_and_in_integers(da):
    x = np.round(10 * tensors()).astype(np.int16)
    lazy = da.from_array(x, chunks=(11, 3, 2, 4))
    expected = MPCA(2).fit(x)
    found = MPCA(2).fit(lazy)
    assert_same_fit(found, expected)
    np.testing.assert_allclose(found.transform(lazy), expected.transform(x), atol=1e-9)
    y = da.from_array(expected.transform(x), chunks=(9, 1, 2, 1))
    np.testing.assert_allclose(
        found.inverse_transform(y), expected.inverse_transform(expected.transform(x)), atol=1e-9
    )


def test_dask_with_unknown_chunks(x, da):
    lazy = da.from_array(x, chunks=(10, -1, -1, -1))
    unknown = lazy[lazy[:, 0, 0, 0] > 0]
    mpca = MPCA().fit(x)
    for method in (MPCA().fit, mpca.transform, mpca.inverse_transform):
        with pytest.raises(ValueError, match=r"unknown sizes.*compute_chunk_sizes"):
            method(unknown)
    MPCA().fit(unknown.compute_chunk_sizes())


def test_dask_blocks_of_another_shape_than_announced(x, da):
    def shorten(block, block_info=None):
        return block[..., :3] if block_info[0]["chunk-location"][0] == 2 else block

    lazy = da.from_array(x, chunks=(10, -1, -1, -1)).map_blocks(shorten, dtype=x.dtype)
    with pytest.raises(ValueError, match=r"Block 2 .*\(10, 6, 5, 3\).*\(10, 6, 5, 4\)"):
        MPCA().fit(lazy)
    with pytest.raises(ValueError, match=r"Block 2 .*\(10, 6, 5, 3\).*\(10, 6, 5, 4\)"):
        MPCA().fit(x).transform(lazy).compute()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_named(x, da, tmp_path, value):
    mpca = MPCA(2).fit(x)
    x[33, 1, 2, 3] = value
    lazy = da.from_array(x, chunks=(10, -1, -1, -1))
    for method in (MPCA().fit, MPCA().partial_fit):
        with pytest.raises(ValueError, match=r"Block 3 .*NaN or infinity in sample 33"):
            method(lazy)
        with pytest.raises(ValueError, match="NaN or infinity in sample 33"):
            method(x)
        with pytest.raises(ValueError, match="NaN or infinity in sample 33"):
            method(mapped(x, tmp_path))
    y = mpca.transform(lazy)
    with pytest.raises(ValueError, match=r"Block 3 of X \(samples 30 to 39\).*NaN"):
        y.compute()
    projected = np.ones((40, 2, 2, 2))
    projected[33] = value
    z = mpca.inverse_transform(da.from_array(projected, chunks=(10, -1, -1, -1)))
    with pytest.raises(ValueError, match=r"Block 3 .*NaN"):
        z.compute()


def test_dask_of_another_shape_or_kind(x, da):
    mpca = MPCA().fit(x)
    lazy = da.from_array(x, chunks=(10, -1, -1, -1))
    with pytest.raises(ValueError, match=r"samples of shape \(6, 5, 4\).*shape \(6, 5, 3\)"):
        mpca.transform(lazy[..., :3])
    with pytest.raises(ValueError, match=r"takes samples of shape"):
        mpca.inverse_transform(lazy)
    with pytest.raises(ValueError, match="Complex data not supported"):
        MPCA().fit(lazy + 1j)
    with pytest.raises(ValueError, match="takes numbers"):
        MPCA().fit(lazy.astype(str))
    with pytest.raises(ValueError, match=r"1 sample.*minimum of 2"):
        MPCA().fit(lazy[:1])


# ---------------------------------------------------------------- on disk


def mapped(x, folder, mode="r"):
    np.save(folder / "x.npy", x)
    return np.load(folder / "x.npy", mmap_mode=mode)


def zarred(x, folder, **options):
    zarr = pytest.importorskip("zarr")
    array = zarr.create_array(folder / "x.zarr", shape=x.shape, dtype=x.dtype, **options)
    array[:] = x
    return array


@pytest.mark.parametrize(
    "kind", ["r", "r+", "c", "integer", "big-endian", "fortran", "view", "zarr", "shards"]
)
def test_arrays_on_disk_equal_numpy(x, tmp_path, monkeypatch, kind):
    monkeypatch.setitem(streaming.CHUNK_BYTES, "cpu", 3 * x[0].nbytes)
    if kind == "zarr":
        on_disk = zarred(x, tmp_path, chunks=(7, 6, 5, 4))
    elif kind == "shards":
        on_disk = zarred(x, tmp_path, chunks=(2, 6, 5, 4), shards=(14, 6, 5, 4))
    elif kind == "integer":
        x = np.round(10 * x).astype(np.int32)
        on_disk = mapped(x, tmp_path)
    elif kind == "big-endian":
        on_disk = mapped(x.astype(">f8"), tmp_path)
    elif kind == "fortran":
        on_disk = mapped(np.asfortranarray(x), tmp_path)
    elif kind == "view":
        on_disk = mapped(np.repeat(x, 2, axis=0), tmp_path)[1::2]
    else:
        on_disk = mapped(x, tmp_path, mode=kind)
        if kind != "r":
            x[5] = on_disk[5] = 0.5  # only in memory with "c", not yet on disk with "r+"
    for options in ({}, {"criterion": "total", "max_iter": 2, "vectorize": True}):
        found, expected = MPCA(**options).fit(on_disk), MPCA(**options).fit(x)
        assert_same_fit(found, expected)
        np.testing.assert_allclose(found.transform(on_disk), expected.transform(x), atol=1e-9)
    np.testing.assert_allclose(MPCA(2).partial_fit(on_disk).mean_, x.mean(0), rtol=0, atol=1e-12)
    np.testing.assert_array_equal(on_disk[:], x)


PEAK = """
import sys
import numpy as np
from skstrf import MPCA

def resident():
    for line in open("/proc/self/status"):
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024

path, kind = sys.argv[1:]
if kind != "zarr":
    x = np.load(path, mmap_mode="r")
else:
    import zarr
    x = zarr.open_array(path, mode="r")
MPCA(2).fit(np.random.default_rng(0).random((9, 3, 4, 5)))
before = resident()
if kind == "stream":
    mpca = MPCA((1, 2, 2))
    for start in range(0, len(x), 60):
        mpca.partial_fit(x[start : start + 60])
else:
    MPCA((1, 2, 2)).fit(x)
print(resident() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("kind", ["memmap", "zarr", "stream"])
def test_memory_is_flat(tmp_path, kind):
    shape = (2400, 8, 32, 64)  # 157 MB
    if kind != "zarr":
        path = tmp_path / "x.npy"
        x = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
    else:
        path = tmp_path / "x.zarr"
        zarr = pytest.importorskip("zarr")
        x = zarr.create_array(path, shape=shape, dtype="f4", chunks=(10, *shape[1:]))
    rng = np.random.default_rng(0)
    for i in range(0, 2400, 100):
        x[i : i + 100] = rng.standard_normal((100, *shape[1:]), dtype=np.float32)
    del x
    result = subprocess.run(
        [sys.executable, "-c", PEAK, str(path), kind], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert int(result.stdout) < 80e6


# ---------------------------------------------------------------- streams


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
    centred = x - x.mean(0)
    for axis, component in enumerate(mpca.components_, start=1):
        unfolded = np.moveaxis(centred, axis, 0).reshape(x.shape[axis], -1)
        left = np.linalg.svd(unfolded)[0][:, :3]
        np.testing.assert_allclose(component.T @ component, left @ left.T, atol=1e-9)
    kept = (mpca.transform(x) ** 2).sum()
    np.testing.assert_allclose(mpca.scatter_, [kept])
    np.testing.assert_allclose(mpca.explained_variance_ratio_, kept / (centred**2).sum())
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
