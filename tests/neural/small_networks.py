"""Small networks, and images that they learn in seconds."""

import numpy as np
from sklearn.base import clone

from skstrf.neural import CNNClassifier

FAST = {
    "network__n_filters": 8,
    "network__kernel_sizes": (3, 3),
    "network__strides": 1,
    "network__n_hidden": 16,
    "max_epochs": 4,
    "network__separable_kernels": True,
    "early_stopping": True,
    "device": "cpu",
    "random_state": 0,
}
# The settings of make_eremeeva2017_classifier.
REPORT = {
    "network__batch_norm": False,
    "network__dropout": 0.0,
    "network__separable_kernels": False,
    "augmentation__mixup": 0.0,
    "label_smoothing": 0.0,
    "weight_decay": 0.0,
    "lr_schedule": None,
}
# No chance but the first weights: what is left of the law of weights can be seen.
PLAIN = {**REPORT, "early_stopping": False, "batch_size": 1000}


def classifier(**params):
    """Make a classifier with parameters of its network and augmentation too."""
    if "network" in params:  # its parameters are set here, and others hold the same object
        params["network"] = clone(params["network"], safe=False)
    return CNNClassifier().set_params(**params)


def patterns(n=60, shape=(2, 8, 10), n_classes=3, seed=0, noise=0.3):
    """Bars of one orientation a class, anywhere in the image, in noise."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % n_classes
    X = noise * rng.normal(size=(n, *shape))
    height, width = shape[-2:]
    for x, label in zip(X, y, strict=True):
        i, j = rng.integers(1, height - 2), rng.integers(1, width - 2)
        steps = np.arange(-1, 2)
        offsets = [(0 * steps, steps), (steps, 0 * steps), (steps, steps)][label]
        x[..., i + offsets[0], j + offsets[1]] += 2
    return X.astype(np.float32), y
