"""Estimators: recordings to tensors, multilinear PCA, and epochs of both networks."""

import numpy as np

from skstrf import MPCA, CNNClassifier, StationarityScorer, STRFTransformer
from skstrf.auditory import moving_ripple
from skstrf.neural import ConvolutionalNetwork, SeparableNetwork

SHAPES = {"50 x 11 x 18 x 64 x 32": (50, 11, 18, 64, 32), "200 x 32 x 32 x 16": (200, 32, 32, 16)}
NETWORKS = {
    "convolutional": ConvolutionalNetwork(separable_kernels=True),
    "separable": SeparableNetwork(kernel_sizes=(3, 3), strides=1),
}


def low_rank(shape, seed=0):
    """Give float32 tensors whose modes have decaying weights, plus noise and a mean."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(shape, dtype=np.float32)
    for axis, size in enumerate(shape[1:], start=1):
        rotation = np.linalg.qr(rng.standard_normal((size, size)))[0]
        mixing = (rotation * np.exp(-6 * np.arange(size) / size)).astype(np.float32)
        x = np.moveaxis(np.tensordot(mixing, x, (1, axis)), 0, axis)
    x = np.ascontiguousarray(x)
    x /= x.std()
    x += 2 * rng.standard_normal(shape[1:], dtype=np.float32)
    return x


class Recordings:
    """Eight sounds of 10 s, 60 channels at a frame a second."""

    def setup(self):
        sounds = [moving_ripple(rate, 1, 10, random_state=0) for rate in (-8, -4, -2, -1, 1, 2, 4)]
        self.X = np.stack([*sounds, sounds[0]]).astype(np.float32)
        self.strf = STRFTransformer(n_jobs=1, device="cpu").fit(self.X)

    def time_transform(self):
        self.strf.transform(self.X)


class Reduction:
    """MPCA to 95 percent of the variance, one sweep."""

    params = tuple(SHAPES)
    param_names = ("shape",)

    def setup(self, shape):
        self.x = low_rank(SHAPES[shape])
        self.model = MPCA(0.95).fit(self.x)

    def time_fit(self, shape):
        MPCA(0.95).fit(self.x)

    def time_transform(self, shape):
        self.model.transform(self.x)

    def peakmem_fit(self, shape):
        MPCA(0.95).fit(self.x)


class Network:
    """Two epochs on 200 images of 30 channels."""

    params = tuple(NETWORKS)
    param_names = ("network",)

    def setup(self, network):
        rng = np.random.default_rng(0)
        self.y = np.arange(200) % 10
        self.X = rng.standard_normal((200, 5, 6, 24, 5), dtype=np.float32)
        self.classifier = CNNClassifier(
            NETWORKS[network], max_epochs=2, device="cpu", random_state=0
        )

    def time_two_epochs(self, network):
        self.classifier.fit(self.X, self.y)


class Stationarity:
    """Score of two spectrograms of 128 channels and 500 frames."""

    def setup(self):
        self.X = np.random.default_rng(0).standard_normal((2, 128, 500)).astype(np.float32)

    def time_score(self):
        StationarityScorer(random_state=0).fit_transform(self.X)
