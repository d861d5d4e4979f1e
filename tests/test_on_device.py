"""What is given as torch tensors stays on their device, with the numbers of the CPU."""

import logging
from itertools import pairwise

import numpy as np
import pytest
import torch
from sklearn.pipeline import make_pipeline

from skstrf import (
    MPCA,
    ChannelSelector,
    ChromaTransformer,
    CNNClassifier,
    LogContrast,
    MelTransformer,
    MFCCTransformer,
    STFTTransformer,
    STRFTransformer,
    TensorScaler,
)
from skstrf.auditory import auditory_spectrogram, cochlea
from skstrf.auditory import device_cochlea as on_device
from skstrf.multilinear import mpca
from skstrf.neural import ConvolutionalNetwork, TensorAugmentation
from skstrf.utils import devices
from tests.devices import as_device, nothing_leaves  # noqa: F401

SMALL = {"rates": [4, 8], "scales": [1, 2], "channel_step": 8}


@pytest.fixture(scope="module")
def noise():
    return np.random.default_rng(0).standard_normal((9, 9000)).astype(np.float32)


def classifier(**options):
    network = ConvolutionalNetwork(n_filters=4, n_hidden=8, dropout=0.2)
    return CNNClassifier(network, max_epochs=3, batch_size=4, random_state=0, **options)


def close(found, expected, tolerance=1e-5):
    found = found.numpy() if isinstance(found, torch.Tensor) else found
    assert found.shape == expected.shape and found.dtype == expected.dtype
    return np.abs(found - expected).max() <= tolerance * np.abs(expected).max()


# ---- cochlea ----


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"nonlinearity": "half-wave"},
        {"nonlinearity": "hard"},
        {"nonlinearity": 0.1},
        {"time_constant": 0},
        {"time_constant": 500.0},
        {"hop_duration": 5.3},
        {"hop_duration": 2500.0, "nonlinearity": "half-wave"},
        {"sample_rate": 11025},
        {"octave_shift": -1, "sample_rate": 8000},
    ],
)
def test_cochlea_on_device_equals_the_kernel(options):
    x = np.random.default_rng(1).standard_normal((1, 50001)).astype(np.float32)
    expected = auditory_spectrogram(x, **options)
    for memory in (1, None):  # block by block of each sound, and all at once
        found = on_device.auditory_spectrogram_on_device(
            torch.from_numpy(x), max_memory=memory, **options
        )
        assert close(found, expected)


def test_cochlea_on_device_keeps_what_rings_for_minutes():
    # The poles of channels 75 and 76 ring for longer than any block.
    x = np.random.default_rng(2).standard_normal((1, 120_000)) + 0.5
    expected = auditory_spectrogram(x)
    found = on_device.auditory_spectrogram_on_device(torch.from_numpy(x), max_memory=1)
    assert close(found, expected, 1e-6)


def test_cochlea_on_device_takes_any_shape_and_length():
    for shape in [(1,), (127,), (2, 3, 129)]:
        x = np.random.default_rng(3).standard_normal(shape)
        found = on_device.auditory_spectrogram_on_device(torch.from_numpy(x))
        assert close(found, auditory_spectrogram(x))
    for bad in (torch.ones(0), torch.ones(5, dtype=torch.int64), torch.tensor(1.0)):
        with pytest.raises(ValueError, match="real numbers"):
            on_device.auditory_spectrogram_on_device(bad)


def test_cochlea_without_float64(monkeypatch):
    monkeypatch.setattr(devices, "WITHOUT_FLOAT64", {"cpu"})
    x = np.random.default_rng(4).standard_normal((1, 40000)).astype(np.float32)
    on_device._filters.cache_clear()
    found = on_device.auditory_spectrogram_on_device(torch.from_numpy(x))
    assert close(found, auditory_spectrogram(x))


def test_decaying_sum_is_the_recursion():
    x = torch.from_numpy(np.random.default_rng(5).standard_normal((2, 100)))
    found = on_device._decaying_sum(x, 0.7)
    expected = [x[:, 0]]
    for n in range(1, 100):
        expected.append(x[:, n] + 0.7 * expected[-1])
    torch.testing.assert_close(found, torch.stack(expected, -1))


# ---- transformers ----


@pytest.mark.parametrize(
    "transformer",
    [
        STRFTransformer(**SMALL),
        STRFTransformer(
            **SMALL, frame_step=16, pooling="sample", compression=None, contrast=False
        ),
        STRFTransformer(**SMALL, frame_step=9, output="real", nonlinearity=0.3),
        STRFTransformer(**SMALL, frame_step=8, output="complex", dtype="float64"),
        STRFTransformer(**SMALL, normalize=False, compression="cbrt"),
        STFTTransformer(compression=None),
        MelTransformer(dtype="float64"),
        MFCCTransformer(),
    ],
)
def test_transformers_of_sounds(transformer, noise, as_device, monkeypatch):  # noqa: F811
    X = torch.from_numpy(noise)
    with nothing_leaves(monkeypatch, X[0].numel()):
        found = transformer.fit(X).transform(X)
    devices.HOST_KINDS.add("cpu")
    assert close(found, transformer.transform(noise), 5e-5)


def test_transformers_without_torch_code_compute_on_the_cpu(noise, as_device, caplog):  # noqa: F811
    with caplog.at_level(logging.INFO, "skstrf"):
        found = ChromaTransformer().fit_transform(torch.from_numpy(noise))
    devices.HOST_KINDS.add("cpu")
    assert close(found, ChromaTransformer().fit_transform(noise))
    assert "ChromaTransformer computes on the CPU" in caplog.text


def test_arrays_go_to_the_device_and_back(noise, as_device):  # noqa: F811
    strf = STRFTransformer(**SMALL, frame_step=16).fit(noise)
    through = strf.transform(noise)
    devices.HOST_KINDS.add("cpu")
    assert close(through, strf.transform(noise), 5e-5)


def test_half_precision(noise, as_device):  # noqa: F811
    options = SMALL | {"frame_step": 16}
    X = torch.from_numpy(noise)
    whole = STRFTransformer(**options).fit_transform(X)
    brain = STRFTransformer(**options, storage_dtype="bfloat16").fit(X)
    assert torch.equal(brain.transform(X), whole.bfloat16())
    half = STRFTransformer(**options, storage_dtype="float16").fit(X)
    assert torch.equal(half.transform(X), whole.half())
    assert half.transform(noise).dtype == np.float16
    with pytest.raises(ValueError, match="does not exist in numpy"):
        brain.transform(noise)
    with pytest.raises(ValueError, match="no half precision"):
        STRFTransformer(output="complex", compression=None, storage_dtype="float16").fit(X)
    # The next steps compute in single precision.
    assert TensorScaler().fit_transform(half.transform(noise)).dtype == np.float32
    assert TensorScaler().fit_transform(brain.transform(X)).dtype == torch.float32
    devices.HOST_KINDS.add("cpu")
    assert half.transform(noise).dtype == np.float16


# ---- the whole road ----


def pipelines():
    strf = STRFTransformer(**SMALL, frame_step=8, compression=None, contrast=False)
    yield make_pipeline(strf, LogContrast(), TensorScaler(), MPCA(0.9), classifier())
    augmented = classifier(
        augmentation=TensorAugmentation(mixup=0.2, shift=0.1, noise=0.1, mask=0.2, gain=0.1),
        early_stopping=True,
        validation_fraction=0.3,
        amp=True,
    )
    yield make_pipeline(STRFTransformer(**SMALL, frame_step=8), augmented)


@pytest.mark.parametrize("number", range(2))
def test_pipeline_never_leaves_the_device(number, noise, as_device, monkeypatch):  # noqa: F811
    X, y = torch.from_numpy(noise), np.arange(9) % 2
    pipeline = list(pipelines())[number]
    # Fitted attributes, at most as large as one sample, are numpy arrays.
    one = max(np.prod(step.fit_transform(X, y).shape[1:]) for step in next(pipelines())[:2])
    with nothing_leaves(monkeypatch, min(one, X.numel() // 9)):
        pipeline.fit(X, y)
        labels, proba = pipeline.predict(X), pipeline.predict_proba(X)
        assert pipeline.score(X, y) >= 0
    assert isinstance(proba, torch.Tensor) and proba.shape == (9, 2)
    assert labels.tolist() == proba.argmax(1).tolist()


def test_hook_finds_conversions(noise, monkeypatch):
    X = torch.from_numpy(noise)
    leaving = [np.asarray, list, *(lambda x, n=n: getattr(x, n)() for n in ("cpu", "tolist"))]
    for leave in leaving:
        with pytest.raises(AssertionError, match="of a tensor"), nothing_leaves(monkeypatch, 100):
            leave(X)
    assert X.numpy() is not None


def test_selector_takes_channels_on_the_device(as_device, monkeypatch):  # noqa: F811
    X = np.random.default_rng(6).standard_normal((20, 2, 3, 4)).astype(np.float32)
    y = np.arange(20) % 2
    selector = ChannelSelector(k=2).fit(X, y)
    with nothing_leaves(monkeypatch, 10):
        found = selector.transform(torch.from_numpy(X))
    assert close(found, selector.transform(X))


def test_mpca_reads_the_device_once_per_decomposition(as_device, monkeypatch):  # noqa: F811
    x = np.random.default_rng(7).standard_normal((40, 6, 5, 4)) + 2
    counts = []
    original = torch.Tensor.cpu

    def counted(self):
        counts.append(self.numel())
        return original(self)

    monkeypatch.setattr(torch.Tensor, "cpu", counted)
    found = mpca(torch.from_numpy(x), (2, 3, None))
    # Moments (sums and corrections) with the mean, two modes, the sum of the squares.
    assert len(counts) <= 8 and max(counts) <= 6 * 5 * 4 + 36 + 25 + 16
    devices.HOST_KINDS.add("cpu")
    expected = mpca(x, (2, 3, None))
    for a, b in zip(found.components, expected.components, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-9)
    devices.HOST_KINDS.clear()
    x[7, 0, 0, 0] = np.nan
    with pytest.raises(ValueError, match="sample 7"):
        mpca(torch.from_numpy(x), 2)


# ---- training ----


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(8)
    y = np.arange(30) % 2
    X = rng.standard_normal((30, 2, 8, 6)) + y[:, None, None, None] * np.arange(6)
    return X.astype(np.float32), y


def weights(clf):
    return [p.detach().clone() for p in clf.net_.module_.parameters()]


def test_resident_prefetched_and_host_training_are_equal(images, as_device, caplog):  # noqa: F811
    X, y = images
    fits = {}
    with caplog.at_level(logging.INFO, "skstrf"):
        fits["resident"] = classifier().fit(X, y)
        assert "kept on cpu for all epochs" in caplog.text
        fits["prefetched"] = classifier(device_share=0.0).fit(X, y)
        assert "read from the host in every epoch" in caplog.text
        fits["tensor"] = classifier().fit(torch.from_numpy(X), y)
        assert "of samples are on cpu" in caplog.text
    devices.HOST_KINDS.add("cpu")
    fits["host"] = classifier().fit(X, y)
    fits["again"] = classifier().fit(X, y)
    for one, other in pairwise(fits.values()):
        for a, b in zip(weights(one), weights(other), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)
    histories = [clf.history_[-1]["train_loss"] for clf in fits.values()]
    np.testing.assert_allclose(histories, histories[0], rtol=1e-5)


def test_share_of_memory(monkeypatch):
    gpu = torch.device("cuda")
    monkeypatch.setattr(devices, "free_bytes", lambda device: 100)
    assert devices.fits_share(50, gpu, 0.5) and not devices.fits_share(51, gpu, 0.5)
    assert not devices.fits_share(1, gpu, 0.0)
    assert devices.work_bytes(gpu) == 25


def test_torch_on_the_cpu_in_and_out(images):
    X, y = images
    clf = classifier().fit(torch.from_numpy(X), torch.from_numpy(y))
    found = clf.predict_proba(torch.from_numpy(X))
    assert isinstance(found, torch.Tensor)
    np.testing.assert_array_equal(found.numpy(), clf.predict_proba(X))
    clf.partial_fit(torch.from_numpy(X), y)


# ---- bad input ----


class Full:
    """Raises the error of a full device for more than `limit` sounds or blocks at a time."""

    def __init__(self, original, limit):
        self.original, self.limit, self.sizes = original, limit, []

    def __call__(self, x, *args, **kwargs):
        self.sizes.append(len(x))
        if len(x) > self.limit:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.")
        return self.original(x, *args, **kwargs)


def test_full_device_takes_smaller_parts(noise, as_device, monkeypatch):  # noqa: F811
    strf = STRFTransformer(**SMALL).fit(noise)
    expected = strf.transform(noise)
    full = Full(on_device._spectrograms, 1)
    monkeypatch.setattr(on_device, "_spectrograms", full)
    np.testing.assert_allclose(strf.transform(noise), expected, atol=1e-5)
    assert full.sizes[:3] == [2, 1, 1]
    monkeypatch.setattr(on_device, "_spectrograms", Full(on_device._spectrograms, 0))
    with pytest.raises(MemoryError, match=r"too small for one block of one sound, \d+ MB"):
        strf.transform(noise)


def test_full_device_in_the_cortical_stage(noise, as_device, monkeypatch):  # noqa: F811
    from skstrf.transforms import strf as module

    strf = STRFTransformer(**SMALL).fit(noise)
    expected = strf.transform(noise)
    full = Full(module.analyze, 3)
    monkeypatch.setattr(module, "analyze", full)
    np.testing.assert_allclose(strf.transform(noise), expected, atol=1e-5)
    assert full.sizes[:3] == [9, 4, 2]
    monkeypatch.setattr(module, "analyze", Full(module.analyze, 0))
    with pytest.raises(MemoryError, match="the tensor of one sound"):
        strf.transform(torch.from_numpy(noise))


def test_error_in_the_middle(noise, as_device, monkeypatch):  # noqa: F811
    from skstrf.transforms import strf as module

    strf = STRFTransformer(**SMALL).fit(noise)
    monkeypatch.setattr(module, "_CHUNK_ON_DEVICE", 2)
    calls = []

    def broken(x, *args, **kwargs):
        calls.append(len(x))
        if len(calls) == 3:
            raise RuntimeError("CUDA error: an illegal memory access was encountered")
        return original(x, *args, **kwargs)

    original = module.analyze
    monkeypatch.setattr(module, "analyze", broken)
    with pytest.raises(RuntimeError, match="illegal memory"):
        strf.transform(noise)
    assert calls == [2, 2, 2]


def test_errors_of_copies_are_raised():
    out = np.zeros((2, 3), np.float32)
    with (
        pytest.raises(RuntimeError, match="must match"),
        devices.HostWriter(out, torch.device("cpu")) as writer,
    ):
        writer.write(0, torch.ones(2, 4))

    def load(item):
        if item == 3:
            raise OSError("unreadable")
        return np.full(2, item)

    read = []
    with pytest.raises(OSError, match="unreadable"):
        for tensor in devices.loaded_ahead(range(9), load, torch.device("cpu")):
            read.append(int(tensor[0]))
    assert read == [0, 1, 2]
    # A consumer that stops early leaves no thread behind that reads on.
    stopped = devices.loaded_ahead(range(1000), load, torch.device("cpu"))
    assert next(stopped)[0] == 0
    stopped.close()


def test_tensors_on_two_devices(images):
    X, y = images
    with pytest.raises(ValueError, match=r"on one device; got X on cpu and .* on meta"):
        classifier().fit(
            torch.from_numpy(X), y, validation_data=(torch.empty(4, 2, 8, 6, device="meta"), y[:4])
        )
    meta = torch.empty(3, 8000, device="meta")
    for estimator in (STRFTransformer(), MPCA(2), TensorScaler(), MelTransformer()):
        with pytest.raises(ValueError, match="holds no values"):
            estimator.fit(meta)
    with pytest.raises(ValueError, match="holds no values"):
        classifier().fit(meta, np.arange(3) % 2)


def test_float64_on_a_device_without_it(noise, as_device, monkeypatch):  # noqa: F811
    monkeypatch.setattr(devices, "WITHOUT_FLOAT64", devices.WITHOUT_FLOAT64 | {"cpu"})
    from skstrf.transforms import strf as module

    monkeypatch.setattr(module, "WITHOUT_FLOAT64", devices.WITHOUT_FLOAT64)
    strf = STRFTransformer(**SMALL).fit(noise)
    with pytest.raises(ValueError, match="has no float64"):
        strf.transform(noise.astype(np.float64))
    assert cochlea.model_sample_rate() == 16000
    assert strf.transform(noise).dtype == np.float32


def test_not_finite_sounds_are_named(noise, as_device):  # noqa: F811
    strf = STRFTransformer(**SMALL, normalize=False).fit(noise)
    X = torch.from_numpy(noise).clone()
    X[4] *= 1e37
    with pytest.raises(ValueError, match=r"sound 4 \(of 9\)"):
        strf.transform(X)
    X[4, 3] = torch.nan
    with pytest.raises(ValueError, match="NaN"):
        strf.transform(X)
