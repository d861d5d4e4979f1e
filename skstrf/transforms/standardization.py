"""Standardization of sounds to zero mean and unit variance."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from skstrf.utils.arrays import is_torch

__all__ = ["standardize", "standardize_blocks"]

# A sound whose deviation is below this part of its mean is constant but for rounding.
_CONSTANT = 1e-7


def standardize(sounds: Any) -> Any:
    """Bring sounds, arrays or tensors (..., n_times), to zero mean and unit variance.

    The variance is divided by ``n_times - 1``, as in the NSL toolbox; constant sounds become
    zeros. Gradients of torch tensors pass.
    """
    ddof = 1 if sounds.shape[-1] > 1 else 0
    if is_torch(sounds):
        import torch

        mean = sounds.mean(-1, keepdim=True, dtype=torch.float64)
        centered = sounds - mean.to(sounds.dtype)
        variance = centered.double().square().sum(-1, keepdim=True) / (sounds.shape[-1] - ddof)
        constant = variance <= (_CONSTANT * mean).square()
        # The square root of 0 has an infinite slope.
        deviation = variance.where(~constant, 1.0).sqrt()
        # The inverse of the smallest deviations overflows in single precision.
        gain = (~constant / deviation).clamp(max=torch.finfo(sounds.dtype).max)
        return centered * gain.to(sounds.dtype)
    mean = sounds.mean(axis=-1, keepdims=True, dtype=np.float64)
    centered = sounds - mean
    deviation = centered.std(axis=-1, keepdims=True, ddof=ddof, dtype=np.float64)
    return (centered * _gain(mean, deviation)).astype(sounds.dtype)


def standardize_blocks(blocks: Iterable[Any]) -> Iterator[np.ndarray]:
    """Standardize one sound that comes in blocks, which are iterated over twice."""
    n_times, mean, squares = 0, 0.0, 0.0
    for block in blocks:
        values = np.asarray(block, dtype=np.float64)
        if values.size == 0:
            continue
        # Update of mean and sum of squares by a block (Chan, Golub and LeVeque 1983).
        difference = values.mean() - mean
        squares += ((values - values.mean()) ** 2).sum()
        squares += difference**2 * n_times * values.size / (n_times + values.size)
        n_times += values.size
        mean += difference * values.size / n_times
    gain = _gain(mean, np.sqrt(squares / max(1, n_times - 1)))
    for block in blocks:
        values = np.asarray(block)
        dtype = np.float32 if values.dtype in (np.float32, np.float16) else np.float64
        yield ((values - mean) * gain).astype(dtype)


def _gain(mean: Any, deviation: Any) -> Any:
    """Return the inverse of the deviation, or 0 for constant sounds."""
    constant = (deviation <= _CONSTANT * np.abs(mean)) | (deviation == 0)
    return np.where(constant, 0.0, 1.0 / np.where(deviation == 0, 1.0, deviation))
