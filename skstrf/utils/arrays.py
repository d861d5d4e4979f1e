"""Telling torch tensors from numpy arrays without importing torch."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

__all__ = ["is_torch", "to_numpy"]


def is_torch(x: Any) -> bool:
    """Whether `x` is a torch tensor; never imports torch for the asking.

    Parameters
    ----------
    x : object
        Anything.

    Returns
    -------
    bool
        True for a ``torch.Tensor``.

    Examples
    --------
    >>> from skstrf.utils.arrays import is_torch
    >>> is_torch([1.0, 2.0])
    False
    """
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(x, torch.Tensor)


def to_numpy(x: Any) -> np.ndarray:
    """Bring a torch tensor (any device) or an array-like to numpy.

    Parameters
    ----------
    x : torch.Tensor or array-like
        The data; a numpy array comes back as it is.

    Returns
    -------
    ndarray
        The same values on the CPU.

    Examples
    --------
    >>> from skstrf.utils.arrays import to_numpy
    >>> to_numpy([1, 2])
    array([1, 2])
    """
    if is_torch(x):
        return x.detach().cpu().numpy()
    return np.asarray(x)
