"""Small networks, and images that they learn in seconds."""

import numpy as np

FAST = {
    "n_filters": 8,
    "kernel_sizes": (3, 3),
    "strides": 1,
    "n_hidden": 16,
    "max_epochs": 4,
    "batch_size": 16,
    "factorize": True,
    "early_stopping": True,
    "device": "cpu",
    "random_state": 0,
}
# No chance but the first weights: what is left of the law of weights can be seen.
PLAIN = {"recipe": "report", "early_stopping": False, "batch_size": 1000}


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
