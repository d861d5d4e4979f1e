"""Helpers for numpy arrays and torch tensors that do not import torch."""

from __future__ import annotations

import logging
import sys
from typing import Any

import numpy as np

from skstrf.utils.threads import sleep_while_waiting

__all__ = [
    "is_torch",
    "resolve_device",
    "to_numpy",
]


def is_torch(x: Any) -> bool:
    """Return whether `x` is a torch tensor, without importing torch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(x, torch.Tensor)


def to_numpy(x: Any) -> np.ndarray:
    """Convert a torch tensor on any device or an array-like to a numpy array."""
    if is_torch(x):
        return x.detach().cpu().numpy()
    return np.asarray(x)


_logger = logging.getLogger("skstrf")


def resolve_device(device: str) -> str:
    """Return an available device for ``"auto"``, and raise an error for an unavailable one."""
    import torch

    sleep_while_waiting()
    if device == "auto":
        chosen = "cuda" if torch.cuda.is_available() else "cpu"
        _logger.info("device='auto' takes %s", chosen)
        return chosen
    try:
        kind = torch.device(device).type
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"device={device!r} is not known to torch: {error}") from None
    if kind == "cuda" and not torch.cuda.is_available():
        raise ValueError(
            f"device={device!r} was asked for, but torch finds no CUDA GPU. "
            "Use device='auto' or 'cpu'."
        )
    return device
