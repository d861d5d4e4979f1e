"""Sounds and paths in dask arrays, and sounds on disk: lazy, and the same numbers."""

import pickle
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from sklearn.base import clone
from sklearn.pipeline import make_pipeline

import skstrf
from skstrf import MPCA, AudioLoader, STRFTransformer, TensorScaler
from skstrf.feature_selection import ChannelSelector
from skstrf.utils import lazy as lazy_module

da = pytest.importorskip("dask.array")
cloudpickle = pytest.importorskip("cloudpickle")

SMALL = {
    "STRFTransformer": {"rates": [4, 8], "scales": [1.0], "channel_step": 8},
    "ChromaTransformer": {},
    "CochleogramTransformer": {"max_iter": 1},
    "GammatoneTransformer": {"n_filters": 8, "max_iter": 2},
    "MFCCTransformer": {"n_mels": 40, "max_iter": 2},
    "MelTransformer": {"n_mels": 40, "max_iter": 2},
    "STFTTransformer": {"max_iter": 2},
    "ScatteringTransformer": {"J": 6},
    "WaveletTransformer": {"bins_per_octave": 4, "max_iter": 2},
}
INVERTIBLE = sorted(set(SMALL) - {"ChromaTransformer", "ScatteringTransformer", "STRFTransformer"})
CUTS = (2, 2, 1)


def make(name, **options):
    return getattr(skstrf, name)(**{**SMALL[name], **options})


def cut(x):
    return da.from_array(x, chunks=(CUTS, *[-1] * (x.ndim - 1)))


def never(x):
    """A dask array like `x` that must not be computed."""

    def fail(block):
        raise AssertionError("computed")

    meta = np.empty((0,) * x.ndim, x.dtype)
    return cut(x).map_blocks(fail, dtype=x.dtype, meta=meta)


def assert_lazy(y, expected):
    assert isinstance(y, da.Array)
    assert y.shape == expected.shape
    assert y.dtype == expected.dtype
    assert y.chunks[0] == CUTS
    assert y._meta.dtype == expected.dtype
    assert type(y._meta) is np.ndarray


@pytest.fixture(scope="module")
def sounds():
    return np.random.default_rng(0).standard_normal((5, 1024)).astype(np.float32)


@pytest.fixture(scope="module")
def files(sounds, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sounds")
    names = [str(folder / f"{i}.wav") for i in range(5)]
    for name, sound in zip(names, sounds, strict=True):
        soundfile.write(name, 0.1 * sound, 16000, subtype="FLOAT")
    return np.array(names)


# ---------------------------------------------------------------- transformers


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int16])
@pytest.mark.parametrize("name", SMALL)
def test_transformers_are_lazy_and_equal(name, dtype, sounds):
    x = (100 * sounds).astype(dtype)
    transformer = make(name).fit(never(x))
    expected = make(name).fit_transform(x)
    assert transformer.input_shape_ == (1024,)
    assert [a.name for a in transformer.axes_] == [a.name for a in make(name).fit(x).axes_]
    assert_lazy(transformer.transform(never(x)), expected)
    y = transformer.transform(cut(x))
    scale = np.abs(expected).max()
    eps = np.finfo(expected.dtype).eps
    np.testing.assert_allclose(y.compute(), expected, rtol=0, atol=20 * eps * scale)
    assert y.compute().dtype == expected.dtype


@pytest.mark.parametrize(
    ("output", "inverse"), [("complex", "inverse_transform"), ("real", "inverse_spectrogram")]
)
def test_strf_in_other_kinds_of_numbers(output, inverse, sounds):
    options = {"output": output, "frame_step": 8, "pooling": "sample"}
    strf = make("STRFTransformer", random_state=0, **options)
    expected = strf.fit_transform(sounds)
    assert_lazy(strf.transform(never(sounds)), expected)
    np.testing.assert_allclose(strf.transform(cut(sounds)).compute(), expected, atol=1e-5)
    strf.set_params(max_iter=2)
    invert = getattr(strf, inverse)
    wanted = invert(expected)
    assert_lazy(invert(never(expected)), wanted)
    found = invert(cut(expected)).compute()
    np.testing.assert_allclose(found, wanted, atol=1e-5 * np.abs(wanted).max())
    strf.set_params(max_iter=1, random_state=None)
    any_seed = invert(cut(expected))[4:]
    np.testing.assert_array_equal(any_seed.compute(), any_seed.compute())
    with pytest.raises(ValueError, match="tensors of shape"):
        invert(cut(expected[..., :-1]))
    with pytest.raises(ValueError, match="output="):
        invert(cut(np.abs(expected) if output == "complex" else expected + 0j))


@pytest.mark.parametrize("name", INVERTIBLE)
def test_inverses_are_lazy_and_equal(name, sounds):
    transformer = make(name, random_state=3)
    x = transformer.fit_transform(sounds)
    wanted = transformer.inverse_transform(x)
    assert_lazy(transformer.inverse_transform(never(x)), wanted)
    tolerance = {"rtol": 0, "atol": 1e-4 * np.abs(wanted).max()}
    np.testing.assert_allclose(
        transformer.inverse_transform(cut(x)).compute(), wanted, **tolerance
    )
    hinted = transformer.inverse_transform(x, sounds)
    for phase in (sounds, cut(sounds), da.from_array(sounds, chunks=(3, 1000))):
        y = transformer.inverse_transform(cut(x), phase)
        assert_lazy(y, hinted)
        np.testing.assert_allclose(y.compute(), hinted, **tolerance)
    with pytest.raises(ValueError, match="inverse_transform of this"):
        transformer.inverse_transform(cut(x[:, 1:]))
    with pytest.raises(ValueError, match="phase has shape"):
        transformer.inverse_transform(cut(x), cut(sounds[:, 1:]))


def test_one_seed_for_all_blocks_even_without_one(sounds):
    stft = make("STFTTransformer", random_state=None)
    x = stft.fit_transform(sounds)
    same = stft.inverse_transform(cut(np.repeat(x[:1], 5, axis=0))).compute()
    np.testing.assert_array_equal(same, np.repeat(same[:1], 5, axis=0))


def test_complex_tensors_come_back_without_a_phase(sounds):
    stft = make("STFTTransformer", output="complex")
    x = stft.fit_transform(sounds)
    np.testing.assert_allclose(stft.inverse_transform(cut(x)).compute(), sounds, atol=1e-5)
    for phase in (sounds, cut(sounds)):
        with pytest.raises(ValueError, match="have their own"):
            stft.inverse_transform(cut(x), phase)


def test_what_was_made_lazy_keeps_the_settings_it_had(sounds):
    strf = make("STRFTransformer").fit(sounds)
    expected = strf.transform(sounds)
    y = strf.transform(cut(sounds))
    strf.set_params(rates=[2, 16, 32], channel_step=4).fit(sounds[:, :900])
    np.testing.assert_allclose(y.compute(), expected, rtol=1e-5, atol=1e-6)


def test_the_transformer_goes_into_the_graph_once_and_is_small(sounds):
    x = da.from_array(np.zeros((100, 4)), chunks=(1, -1))
    x = x.map_blocks(lambda block: np.repeat(block, 256, axis=1), chunks=((1,) * 100, (1024,)))
    y = (
        make("STRFTransformer", rates="eremeeva2017", scales="eremeeva2017")
        .fit(sounds)
        .transform(x)
    )
    graph = dict(y.__dask_graph__())
    holds = [k for k, task in graph.items() if b"STRFTransformer" in cloudpickle.dumps(task)]
    assert len(holds) == 1
    assert len(cloudpickle.dumps(graph[holds[0]])) < 20_000
    assert len(pickle.dumps(make("STRFTransformer").fit(sounds))) < 20_000


def test_a_relative_cache_is_that_of_the_process_that_asked(sounds, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    strf = make("STRFTransformer", memory="cache").fit(sounds)
    y = strf.transform(cut(sounds))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    expected = y.compute()
    assert not list((tmp_path / "elsewhere").iterdir())
    monkeypatch.chdir(tmp_path)

    def fail(self, X):
        raise AssertionError("computed again")

    monkeypatch.setattr(STRFTransformer, "_compute", fail)
    np.testing.assert_array_equal(strf.transform(sounds), expected)
    np.testing.assert_array_equal(strf.transform(cut(sounds)).compute(), expected)


# ---------------------------------------------------------------- bad input


def unknown(x):
    lazy = cut(x)
    return lazy[lazy[:, 0] != 7]


def shortened(x):
    def shorten(block, block_info=None):
        return block[..., :-1] if block_info[0]["chunk-location"][0] == 1 else block

    return cut(x).map_blocks(shorten, dtype=x.dtype)


@pytest.mark.parametrize(
    "name", ["STRFTransformer", "MelTransformer", "TensorScaler", "AudioLoader"]
)
def test_bad_blocks(name, sounds):
    kinds = {"TensorScaler": TensorScaler(), "AudioLoader": AudioLoader()}
    estimator = kinds.get(name) or make(name)
    estimator.fit(sounds)
    for method in (clone(estimator).fit, estimator.transform):
        with pytest.raises(ValueError, match=rf"{name} .*unknown sizes.*compute_chunk_sizes"):
            method(unknown(sounds))
        with pytest.raises(ValueError, match="Complex data not supported"):
            method(cut(sounds + 1j))
    with pytest.raises(ValueError, match=r"Block 1 of X .*1023.*1024.*from_delayed"):
        estimator.transform(shortened(sounds)).compute()
    expected = estimator.transform(sounds)
    selected = cut(sounds)[np.array([True, True, False, False, True])].compute_chunk_sizes()
    found = estimator.transform(selected).compute()  # its second block is empty
    np.testing.assert_allclose(found, expected[[0, 1, 4]], rtol=1e-5, atol=1e-6)
    pieces = da.from_array(sounds, chunks=(3, 1000))
    np.testing.assert_allclose(estimator.transform(pieces).compute(), expected, atol=1e-5)
    with pytest.raises(ValueError, match=r"1024|fitted on|expecting"):
        estimator.transform(cut(sounds[:, :-1]))
    bad = sounds.copy()
    bad[3, 5] = np.nan
    with pytest.raises(ValueError, match=r"Block 1 of X \(samples 2 to 3\).*NaN"):
        estimator.transform(cut(bad)).compute()


# ---------------------------------------------------------------- loader


def test_loader_reads_paths_lazily(files, sounds):
    expected = AudioLoader(duration=0.1).fit_transform(files)
    for paths in (files, files[:, None], files.astype(object)):
        loader = AudioLoader(duration=0.1).fit(never(paths))
        y = loader.transform(never(paths))
        assert_lazy(y, expected)
        np.testing.assert_array_equal(loader.transform(cut(paths)).compute(), expected)
    stereo = AudioLoader(duration=0.1, mono=False).fit(cut(files))
    np.testing.assert_array_equal(stereo.transform(cut(files)).compute(), expected[:, None])


def test_loader_finds_the_length_where_the_files_are(files):
    loader = AudioLoader().fit(cut(files))
    assert loader.n_times_ == 1024
    assert loader.transform(never(files)).shape == (5, 1024)
    with pytest.raises(ValueError, match=r"unknown sizes.*compute_chunk_sizes"):
        AudioLoader().fit(cut(files)[cut(files) != "a"])
    with pytest.raises(ValueError, match="column of paths alone"):
        AudioLoader(duration=1.0).fit(cut(np.stack([files, files], axis=1)))
    with pytest.raises(ValueError, match=r"missing\.wav"):
        AudioLoader().fit(cut(np.array([*files[:4], "missing.wav"])))


def test_a_bad_file_is_named(files, tmp_path):
    paths = np.array([*files[:3], str(tmp_path / "gone.wav"), files[4]])
    strict = AudioLoader(duration=0.1).fit_transform(cut(paths))
    with pytest.raises(skstrf.datasets.AudioReadError, match=r"gone\.wav") as caught:
        strict.compute()
    assert any("Block 1 of X" in note for note in caught.value.__notes__)
    restored = pickle.loads(pickle.dumps(caught.value))
    assert "gone.wav" in str(restored)
    lenient = AudioLoader(duration=0.1, on_error="warn").fit_transform(cut(paths))
    with pytest.warns(UserWarning, match=r"gone\.wav"):
        y = lenient.compute()
    assert not y[3].any()
    assert y[4].any()


def test_loader_passes_lazy_sounds_on(sounds):
    for seconds in (0.1, 0.5):
        expected = AudioLoader(duration=seconds).fit_transform(sounds)
        loader = AudioLoader(duration=seconds).fit(never(sounds))
        assert_lazy(loader.transform(never(sounds)), expected)
        np.testing.assert_array_equal(loader.transform(cut(sounds)).compute(), expected)
    several = np.stack([sounds, -sounds], axis=1)
    loader = AudioLoader(mono=False).fit(never(several))
    np.testing.assert_array_equal(loader.transform(cut(several)).compute(), several)
    with pytest.raises(ValueError, match="expecting 2"):
        loader.transform(cut(sounds[:, None]))


# ---------------------------------------------------------------- scaler, channels


@pytest.mark.parametrize("axis", [-1, None, (2, 3)])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_scaler_equals_numpy(axis, dtype):
    rng = np.random.default_rng(0)
    x = (1000 + rng.standard_normal((5, 3, 4, 6)) * rng.uniform(1, 9, (1, 3, 4, 1))).astype(dtype)
    x[:, 1, 2] = 0.1  # no variation
    expected, found = TensorScaler(axis=axis).fit(x), TensorScaler(axis=axis).fit(cut(x))
    np.testing.assert_allclose(found.mean_, expected.mean_, rtol=1e-12)
    # In float32 the numbers are centered in float32, around other means.
    rtol = 1e-6 if dtype == np.float32 else 1e-9
    np.testing.assert_allclose(found.var_, expected.var_, rtol=rtol, atol=1e-30)
    np.testing.assert_array_equal(found.scale_ == 1, expected.scale_ == 1)
    y = expected.transform(x)
    assert_lazy(found.transform(never(x)), y)
    assert_lazy(found.inverse_transform(never(y)), x)
    lazy = found.transform(cut(x))
    found.fit(cut(x) * 3)
    np.testing.assert_allclose(lazy.compute(), y, atol=1e-4 if dtype == np.float32 else 1e-9)
    found.fit(cut(x))
    back = found.inverse_transform(cut(y)).compute()
    np.testing.assert_allclose(back, expected.inverse_transform(y), atol=1e-6 * np.abs(x).max())
    x[3, 0, 0, 0] = np.inf
    with pytest.raises(ValueError, match=r"Block 1 .*NaN or infinity"):
        TensorScaler(axis=axis).fit(cut(x))


def test_scaler_takes_the_road_of_the_disk(tmp_path):
    zarr = pytest.importorskip("zarr")
    x = np.random.default_rng(0).standard_normal((40, 3, 4, 6))
    np.save(tmp_path / "x.npy", x)
    stored = zarr.create_array(tmp_path / "x.zarr", shape=x.shape, dtype="f8", chunks=(7, 3, 4, 6))
    stored[:] = x
    expected = TensorScaler().fit(x)
    for on_disk in (np.load(tmp_path / "x.npy", mmap_mode="r"), stored):
        found = TensorScaler().fit(on_disk)
        np.testing.assert_allclose(found.mean_, expected.mean_, atol=1e-12)
        np.testing.assert_allclose(found.scale_, expected.scale_, rtol=1e-12)
        y = found.transform(on_disk)
        np.testing.assert_allclose(y, expected.transform(x), atol=1e-12)


def test_selector_is_lazy():
    x = np.random.default_rng(0).standard_normal((5, 2, 3, 4))
    selector = ChannelSelector(k=2)
    selector.mask_ = np.array([[0, 1, 0], [0, 0, 1]], dtype=bool)
    selector.channels_, selector.input_shape_ = np.argwhere(selector.mask_), (2, 3, 4)
    y = selector.transform(x)
    assert_lazy(selector.transform(never(x)), y)
    np.testing.assert_array_equal(selector.transform(cut(x)).compute(), y)
    assert_lazy(selector.inverse_transform(never(y)), x)
    back = selector.inverse_transform(cut(y)).compute()
    np.testing.assert_array_equal(back, selector.inverse_transform(y))


# ---------------------------------------------------------------- whole, and on disk


def test_paths_to_core_tensors(files):
    pipeline = make_pipeline(
        AudioLoader(duration=0.2), make("STRFTransformer"), TensorScaler(), MPCA(0.9)
    )
    expected = clone(pipeline).fit_transform(files)
    found = clone(pipeline).fit(cut(files))
    y = found.transform(never(files))
    assert_lazy(y, expected)
    y = found.transform(cut(files)).compute()
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("kind", ["memmap", "zarr"])
def test_sounds_on_disk_are_read_some_at_a_time(kind, sounds, tmp_path, monkeypatch):
    if kind == "zarr":
        zarr = pytest.importorskip("zarr")
        on_disk = zarr.create_array(
            tmp_path / "x.zarr", shape=sounds.shape, dtype="f4", chunks=(2, 1024)
        )
        on_disk[:] = sounds
    else:
        np.save(tmp_path / "x.npy", sounds)
        on_disk = np.load(tmp_path / "x.npy", mmap_mode="r")
    monkeypatch.setattr(lazy_module, "PART_BYTES", 2 * sounds[0].nbytes)
    seen = []
    plain = STRFTransformer._compute

    def watch(self, X):
        seen.append(len(X))
        return plain(self, X)

    monkeypatch.setattr(STRFTransformer, "_compute", watch)
    strf = make("STRFTransformer").fit(on_disk)
    y = strf.transform(on_disk)
    assert seen == [2, 2, 1]
    np.testing.assert_allclose(y, strf.transform(sounds), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("output", ["magnitude", "complex"])
def test_tensors_on_disk_are_inverted_some_at_a_time(output, sounds, tmp_path, monkeypatch):
    stft = make("STFTTransformer", output=output, random_state=0)
    x = stft.fit_transform(sounds)
    np.save(tmp_path / "x.npy", x)
    on_disk = np.load(tmp_path / "x.npy", mmap_mode="r")
    monkeypatch.setattr(lazy_module, "PART_BYTES", 2 * x[0].nbytes)
    seen = []
    plain = type(stft)._invert_rows

    def watch(self, X, *args, **options):
        seen.append(len(X))
        return plain(self, X, *args, **options)

    monkeypatch.setattr(type(stft), "_invert_rows", watch)
    found = stft.inverse_transform(on_disk)
    assert seen == [2, 2, 1]
    np.testing.assert_array_equal(found, stft.inverse_transform(x))


def test_dask_is_not_imported_for_numpy():
    code = (
        "import sys, numpy as np, skstrf\n"
        "skstrf.TensorScaler().fit_transform(np.ones((2, 20)))\n"
        "assert 'dask' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
