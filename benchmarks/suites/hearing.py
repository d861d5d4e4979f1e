"""Sound to auditory spectrogram to cortical tensor, and back: 30 s at 16 kHz."""

import numpy as np

from skstrf.auditory import (
    auditory_spectrogram,
    cortical_transform,
    invert_auditory_spectrogram,
    invert_cortical_transform,
    moving_ripple,
)

SECONDS = 30
BANK = {"rates": 2.0 ** np.arange(1, 5.25, 0.5), "scales": 2.0 ** np.arange(-2, 3.25, 0.5)}
SMALL_BANK = {"rates": 2.0 ** np.arange(1, 6), "scales": 2.0 ** np.arange(-2, 4)}

FRAMES = {
    "all": {"frame_step": 1},
    "every 16th": {"frame_step": 16},
    "mean of 16": {"frame_step": 16, "pooling": "mean"},
}


def ripple(seconds=SECONDS):
    """Moving ripple, float32."""
    return moving_ripple(4, 1, seconds, random_state=0).astype(np.float32)


class Cochlea:
    """One sound, one thread."""

    params = ("linear", "half-wave", 0.1)
    param_names = ("nonlinearity",)

    def setup(self, nonlinearity):
        self.x = ripple()

    def time_spectrogram(self, nonlinearity):
        auditory_spectrogram(self.x, nonlinearity=nonlinearity, n_jobs=1)

    def peakmem_spectrogram(self, nonlinearity):
        auditory_spectrogram(self.x, nonlinearity=nonlinearity, n_jobs=1)


class Cortex:
    """198 channels, of all frames or fewer."""

    params = tuple(FRAMES)
    param_names = ("frames",)

    def setup(self, frames):
        self.v = auditory_spectrogram(ripple())
        self.options = FRAMES[frames] | {"output": "magnitude"}

    def time_tensor(self, frames):
        cortical_transform(self.v, **BANK, **self.options)

    def peakmem_tensor(self, frames):
        cortical_transform(self.v, **BANK, **self.options)


class Inverse:
    """From 60 channels to the spectrogram, and from the spectrogram to sound; 5 s."""

    def setup(self):
        self.v = auditory_spectrogram(ripple(5))
        self.tensor = cortical_transform(self.v, **SMALL_BANK)

    def time_to_spectrogram(self):
        invert_cortical_transform(self.tensor, **SMALL_BANK, max_iter=10, tol=0)

    def time_to_sound(self):
        invert_auditory_spectrogram(self.v, max_iter=5, tol=0, random_state=0)
