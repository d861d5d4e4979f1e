"""MPCA of data that are not in memory: dask arrays, memory maps, zarr."""

import subprocess
import sys
from importlib import import_module

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skstrf import MPCA
from skstrf.multilinear import products as streaming
from tests.decomposition.tensors import assert_same_fit, tensors

# The package has a function of the same name.
algorithm = import_module("skstrf.multilinear.mpca")
few = settings(max_examples=8, deadline=None)


@pytest.fixture
def da():
    return pytest.importorskip("dask.array")


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
@pytest.mark.parametrize(
    "kind",
    [
        "memmap",
        pytest.param("zarr", marks=pytest.mark.slow),
        pytest.param("stream", marks=pytest.mark.slow),
    ],
)
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


def test_half_precision_becomes_float32_in_memory_and_lazily():
    dask = pytest.importorskip("dask.array")
    X = np.random.default_rng(0).standard_normal((6, 3, 4)).astype("float16")
    in_memory = MPCA(0.9).fit_transform(X)
    lazy = MPCA(0.9).fit(X).transform(dask.from_array(X, chunks=(2, 3, 4)))
    assert in_memory.dtype == np.asarray(lazy).dtype == np.float32
    np.testing.assert_allclose(lazy, in_memory, atol=1e-6)
