"""Small folders of noises, and a pipeline that tells them apart in no time."""

import numpy as np
import pytest
import soundfile

from skstrf import TensorScaler
from skstrf.experiments import make_classification_pipeline
from tests.figures import blank_png, undrawn
from tests.threads import one_thread

__all__ = ["blank_png", "one_thread", "undrawn"]

BANDS = {"high": (2000, 6000), "low": (100, 600), "mid": (600, 2000)}
RATE = 16000


def write_noises(folder, n_per_class=6, duration=0.4):
    """Write noise of three bands of frequency, one sub-folder each; return paths and classes."""
    rng = np.random.default_rng(0)
    n_times = round(duration * RATE)
    frequencies = np.fft.rfftfreq(n_times, 1 / RATE)
    for name, (low, high) in BANDS.items():
        (folder / name).mkdir(parents=True)
        for number in range(n_per_class):
            spectrum = np.fft.rfft(rng.standard_normal(n_times))
            spectrum[(frequencies < low) | (frequencies > high)] *= 0.01
            sound = 0.1 * np.fft.irfft(spectrum, n_times)
            soundfile.write(folder / name / f"{number:02}.wav", sound.astype(np.float32), RATE)
    files = sorted(folder.rglob("*.wav"))
    return [str(path) for path in files], np.array([path.parent.name for path in files])


@pytest.fixture(scope="session")
def noises(tmp_path_factory):
    """Paths and classes of 18 noises of three classes."""
    return write_noises(tmp_path_factory.mktemp("noises"))


def _small_pipeline():
    pipeline = make_classification_pipeline(duration=0.4, rates=(4,), scales=(1,), max_epochs=20)
    return pipeline.set_params(
        strf__channel_step=8,
        strf__frame_step=16,
        scaler=TensorScaler(),
        strf__contrast=False,
        cnn__network__n_filters=8,
        cnn__network__n_hidden=16,
        cnn__batch_size=6,
        cnn__lr=2e-2,
        cnn__network__kernel_sizes=(3,),
        cnn__network__strides=1,
        cnn__network__pool_size=1,
        cnn__network__dropout=0.0,
        cnn__augmentation__mixup=0.0,
        cnn__augmentation__mask=0.0,
    )


@pytest.fixture(scope="session")
def make_small_pipeline():
    """Function: the pipeline with tensors of 1 x 2 x 16 x 4 and a small, bare network."""
    return _small_pipeline


@pytest.fixture
def small_pipeline():
    """The same, anew for every test."""
    return _small_pipeline()
