"""Networks that learn from files and dask arrays: the same numbers, in little memory."""

import errno
import os
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from sklearn.metrics import accuracy_score
from sklearn.pipeline import make_pipeline

from skstrf import MPCA, AudioLoader, STRFTransformer, TensorScaler
from skstrf.utils import lazy as spool_module
from skstrf.utils.lazy import stored
from tests.neural.small_networks import REPORT, classifier

FAST = {
    "network__n_filters": 4,
    "network__kernel_sizes": (3,),
    "network__strides": 1,
    "network__n_hidden": 8,
    "max_epochs": 2,
    "batch_size": 8,
    "device": "cpu",
    "random_state": 0,
}
KINDS = ["r", "c", "view", "integer", "big-endian", "zarr", "shards", "dask", "spooled"]


@pytest.fixture
def data():
    y = np.array(["bass", "flute", "ümlaut"])[np.arange(40) % 3]
    X = np.random.default_rng(0).normal(size=(40, 2, 6, 7)).astype(np.float32)
    return X + (y == "flute")[:, None, None, None], y


def mapped(X, folder, mode="r"):
    np.save(folder / "x.npy", X)
    return np.load(folder / "x.npy", mmap_mode=mode)


def zarred(X, folder, **options):
    zarr = pytest.importorskip("zarr")
    array = zarr.create_array(folder / "x.zarr", shape=X.shape, dtype=X.dtype, **options)
    array[:] = X
    return array


def cut(X, rows=7):
    da = pytest.importorskip("dask.array")
    return da.from_array(X, chunks=(rows, *X.shape[1:]))


def made(kind, X, folder, monkeypatch):
    """The samples in another kind of array, and as numpy has them."""
    if kind == "integer":
        X = np.round(10 * X).astype(np.int16)
        return mapped(X, folder), X
    if kind == "big-endian":
        return mapped(X.astype(">f8"), folder), X.astype(np.float64)
    if kind == "view":
        return mapped(np.repeat(X, 2, axis=0), folder)[1::2], X
    if kind == "zarr":
        return zarred(X, folder, chunks=(7, 2, 6, 4)), X
    if kind == "shards":
        return zarred(X, folder, chunks=(1, *X.shape[1:]), shards=(16, *X.shape[1:])), X
    if kind in ("dask", "spooled"):
        if kind == "spooled":
            monkeypatch.setattr(spool_module, "HELD_BYTES", 0)
            monkeypatch.setattr(spool_module, "TOGETHER_BYTES", 15 * X[0].nbytes)
        return cut(X), X
    return mapped(X, folder, kind), X


@pytest.mark.parametrize("kind", KINDS)
def test_the_numbers_are_those_of_the_array_in_memory(data, kind, tmp_path, monkeypatch):
    lazy, X = made(kind, data[0], tmp_path, monkeypatch)
    labels = cut(data[1]) if kind == "dask" else data[1]
    for options in ({"early_stopping": True}, {"input_scaling": "cell", **REPORT}):
        expected = classifier(**FAST, **options).fit(X, data[1])
        found = classifier(**FAST, **options).fit(lazy, labels)
        assert found.n_features_in_ == 2
        assert found.input_shape_ == (2, 6, 7)
        for ours, theirs in zip(found.history_, expected.history_, strict=True):
            assert ours["train_loss"] == theirs["train_loss"]
            assert ours.get("valid_loss") == theirs.get("valid_loss")
        wanted = expected.predict_proba(X)
        proba, answer = found.predict_proba(lazy), found.predict(lazy)
        assert proba.dtype == wanted.dtype
        assert proba.shape == wanted.shape
        np.testing.assert_array_equal(np.asarray(proba), wanted)
        np.testing.assert_array_equal(np.asarray(answer), expected.predict(X))
        assert found.score(lazy, data[1]) == accuracy_score(data[1], expected.predict(X))


@pytest.mark.parametrize("kind", ["r", "zarr", "spooled"])
def test_partial_fit_and_validation_data_too(data, kind, tmp_path, monkeypatch):
    lazy, X = made(kind, data[0], tmp_path, monkeypatch)
    y = data[1]
    one = classifier(**FAST).partial_fit(X, y).partial_fit(X, y)
    two = classifier(**FAST).partial_fit(lazy, y).partial_fit(lazy, y)
    np.testing.assert_array_equal(one.predict_proba(X), two.predict_proba(X))
    one = classifier(**FAST).fit(X, y, validation_data=(X, y))
    two = classifier(**FAST).fit(X, y, validation_data=(lazy, y))
    assert one.history_[-1]["valid_loss"] == two.history_[-1]["valid_loss"]


def test_predictions_of_dask_arrays_are_lazy_and_keep_the_network_they_had(data):
    da = pytest.importorskip("dask.array")
    X, y = data
    computed = []

    def watch(block):
        computed.append(len(block))
        return block

    lazy = cut(X).map_blocks(watch, dtype=X.dtype, meta=np.empty((0,) * 4, X.dtype))
    clf = classifier(**FAST).fit(X, y)
    expected, answer = clf.predict_proba(X), clf.predict(X)
    proba, labels = clf.predict_proba(lazy), clf.predict(lazy)
    assert computed == []
    assert isinstance(proba, da.Array)
    assert (proba.shape, proba.dtype) == ((40, 3), np.float32)
    assert (labels.shape, labels.dtype) == ((40,), answer.dtype)
    assert proba.chunks[0] == labels.chunks[0] == lazy.chunks[0]
    assert proba._meta.dtype == np.float32
    clf.partial_fit(X[::-1], y)
    clf.fit(X[::-1], y)
    np.testing.assert_array_equal(proba.compute(), expected)
    np.testing.assert_array_equal(labels.compute(), answer)


def test_a_block_of_a_dask_array_is_computed_once(data, monkeypatch):
    X, y = data
    computed = []

    def watch(block):
        computed.append(len(block))
        return block

    lazy = cut(X).map_blocks(watch, dtype=X.dtype, meta=np.empty((0,) * 4, X.dtype))
    for held in (0, 10**9):
        monkeypatch.setattr(spool_module, "HELD_BYTES", held)
        computed.clear()
        classifier(**FAST).fit(lazy, y)
        assert sorted(computed) == [5, 7, 7, 7, 7, 7]


def test_the_whole_pipeline_from_a_dask_array_of_paths(tmp_path):
    rng = np.random.default_rng(0)
    names = [str(tmp_path / f"{i}.wav") for i in range(12)]
    for i, name in enumerate(names):
        soundfile.write(name, 0.1 * (1 + i % 2) * rng.standard_normal(8000), 16000)
    y = np.arange(12) % 2
    model = make_pipeline(
        AudioLoader(duration=0.5),
        STRFTransformer(rates=[4, 8], scales=[1.0], channel_step=8),
        TensorScaler(),
        MPCA(0.9),
        classifier(**{**FAST, "network__kernel_sizes": (1,)}),
    )
    expected = model.fit(names, y).predict_proba(names)
    lazy = cut(np.array(names), 5)
    found = model.fit(lazy, y).predict_proba(lazy)
    assert found.shape == (12, 2)
    np.testing.assert_allclose(found.compute(), expected, atol=1e-3)


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize("kind", ["r", "zarr", "dask", "spooled"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_named(data, kind, value, tmp_path, monkeypatch):
    X, y = data
    clf = classifier(**FAST).fit(X, y)
    X = X.copy()
    X[33, 1, 2, 3] = value
    lazy, _ = made(kind, X, tmp_path, monkeypatch)
    with pytest.raises(ValueError, match="CNNClassifier contains NaN or infinity in sample 33"):
        classifier(**FAST).fit(lazy, y)
    with pytest.raises(ValueError, match="CNNClassifier contains NaN or infinity in sample 33"):
        clf.fit(data[0], y, validation_data=(lazy, y))
    with pytest.raises(ValueError, match=r"NaN|infinity"):
        np.asarray(clf.predict_proba(lazy))


def test_chunks_of_unknown_size_and_other_shapes_are_refused(data):
    X, y = data
    clf = classifier(**FAST).fit(X, y)
    lazy = cut(X)
    unknown = lazy[lazy[:, 0, 0, 0] > 0]
    for method in (lambda x: classifier(**FAST).fit(x, y), clf.predict_proba, clf.predict):
        with pytest.raises(ValueError, match=r"unknown sizes.*compute_chunk_sizes"):
            method(unknown)

    def shorten(block, block_info=None):
        return block[..., :3] if block_info[0]["chunk-location"][0] == 2 else block

    odd = lazy.map_blocks(shorten, dtype=X.dtype)
    with pytest.raises(ValueError, match=r"Block 2 .*\(7, 2, 6, 3\).*\(7, 2, 6, 7\)"):
        classifier(**FAST).fit(odd, y)
    with pytest.raises(ValueError, match=r"Block 2 .*\(7, 2, 6, 3\).*\(7, 2, 6, 7\)"):
        clf.predict_proba(odd).compute()
    with pytest.raises(ValueError, match=r"samples of shape \(2, 6, 7\).*shape \(2, 6, 3\)"):
        clf.predict(lazy[..., :3])
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        classifier(**FAST).fit(lazy, y[:-1])
    with pytest.raises(ValueError, match="Complex data not supported"):
        classifier(**FAST).fit(lazy + 1j, y)


def test_a_full_disk_is_told_before_anything_is_computed(data, monkeypatch):
    def full(descriptor, start, length):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def never(block):
        raise AssertionError("computed")

    X, y = data
    monkeypatch.setattr(spool_module, "HELD_BYTES", 0)
    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    lazy = cut(X).map_blocks(never, dtype=X.dtype, meta=np.empty((0,) * 4, X.dtype))
    with pytest.raises(OSError, match=r"No space.*temporary file.*TMPDIR"):
        classifier(**FAST).fit(lazy, y)


def test_rows_from_anywhere(data, tmp_path):
    X = data[0]
    rows = np.array([31, 2, 2, 17])
    for array in (mapped(X, tmp_path), zarred(X, tmp_path, chunks=(7, 2, 6, 7))):
        np.testing.assert_array_equal(stored(array).take(rows), X[rows])


# ---------------------------------------------------------------- memory

PEAK = """
import sys
import numpy as np
from skstrf import CNNClassifier
from skstrf.neural import ConvolutionalNetwork

def peak():
    for line in open("/proc/self/status"):
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024

path, kind = sys.argv[1:]
if kind == "zarr":
    import zarr
    x = zarr.open_array(path, mode="r")
else:
    x = np.load(path, mmap_mode="r")
if kind == "dask":
    import dask.array as da

    def block(block_info=None):
        (start, stop), *_ = block_info[None]["array-location"]
        return np.array(np.load(path, mmap_mode="r")[start:stop])

    x = da.map_blocks(block, chunks=((24,) * (len(x) // 24), *x.shape[1:]), dtype=x.dtype)
network = ConvolutionalNetwork(2, (3,), strides=4, n_hidden=4)
clf = CNNClassifier(network, max_epochs=1, batch_size=24, device="cpu")
y = np.arange(x.shape[0]) % 2
warm = np.random.default_rng(0).random((96, *x.shape[1:]), dtype=np.float32)
clf.fit(warm, y[:96]).predict(warm)
del warm
before = peak()
clf.fit(x, y)
np.asarray(clf.predict_proba(x))
print(peak() - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("kind", ["memmap", "zarr", "dask"])
def test_memory_is_bounded(tmp_path, kind):
    shape = (4800, 8, 32, 64)  # 315 MB
    path = tmp_path / "x"
    if kind == "zarr":
        zarr = pytest.importorskip("zarr")
        x = zarr.create_array(path, shape=shape, dtype="f4", chunks=(1, *shape[1:]))
    else:
        path = tmp_path / "x.npy"
        x = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
    rng = np.random.default_rng(0)
    for i in range(0, shape[0], 100):
        x[i : i + 100] = rng.standard_normal((100, *shape[1:]), dtype=np.float32)
    del x
    result = subprocess.run(
        [sys.executable, "-c", PEAK, str(path), kind], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    # Of dask 64 MB of blocks are held at a time.
    assert int(result.stdout) < (150e6 if kind == "dask" else 100e6)
