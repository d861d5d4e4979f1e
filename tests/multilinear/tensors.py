"""Random tensors, and how many of them are tried."""

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

shapes = st.lists(st.integers(1, 5), min_size=1, max_size=3).map(tuple)
few = settings(max_examples=25, deadline=None)


def tensors(n, shape, seed=0, decay=0.5):
    """Random tensors whose modes hold ever less, with a mean."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, *shape))
    for axis, size in enumerate(shape, start=1):
        mixing = np.linalg.qr(rng.standard_normal((size, size)))[0] * np.exp(
            -decay * np.arange(size)
        )
        x = np.moveaxis(np.tensordot(mixing, x, (1, axis)), 0, axis)
    return np.ascontiguousarray(x + rng.standard_normal(shape))


def unfolded_scatter(x, axis):
    unfolded = np.moveaxis(x - x.mean(0), axis, 0).reshape(x.shape[axis], -1)
    return np.einsum("ik,jk->ij", unfolded, unfolded)
