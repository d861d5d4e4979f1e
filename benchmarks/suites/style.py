"""Twenty iterations of style transfer on 5 s, by either network."""

import warnings

import numpy as np

from skstrf import StyleTransfer
from skstrf.auditory import moving_ripple


class Transfer:
    """From a ripple toward noise."""

    params = ("random", "cortical")
    param_names = ("network",)

    def setup(self, network):
        noise = np.random.default_rng(0).standard_normal((1, 80000)).astype(np.float32)
        self.content = moving_ripple(4, 1, 5, random_state=0).astype(np.float32)[None]
        self.transfer = StyleTransfer(
            network=network, max_iter=20, tol=0, device="cpu", random_state=0
        ).fit(noise)

    def time_twenty_iterations(self, network):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.transfer.transform(self.content)
