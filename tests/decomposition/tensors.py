"""Tensors, and what equal fits have in common."""

import numpy as np

FITTED = ("mean_", "mode_explained_variance_ratio_", "scatter_", "explained_variance_")


def tensors(n=40, shape=(6, 5, 4), seed=0, dtype=np.float64):
    """Tensors whose modes hold ever less, with a mean."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, *shape))
    for axis, size in enumerate(shape, start=1):
        decay = np.exp(-0.4 * np.arange(size))
        x *= decay.reshape([-1 if a == axis else 1 for a in range(x.ndim)])
    return (x + rng.standard_normal(shape)).astype(dtype)


def assert_same_fit(found, expected, atol=1e-9, names=FITTED):
    for ours, theirs in zip(found.components_, expected.components_, strict=True):
        assert ours.dtype == theirs.dtype
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=atol)
    for ours, theirs in zip(found.mode_eigenvalues_, expected.mode_eigenvalues_, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=atol * theirs[0])
    for name in names:
        theirs = getattr(expected, name)
        scale = np.abs(theirs).max()
        np.testing.assert_allclose(getattr(found, name), theirs, rtol=0, atol=atol * scale)
    assert found.output_shape_ == expected.output_shape_
