"""Telling torch tensors from numpy arrays without importing torch."""

from __future__ import annotations

import logging
import sys
from typing import Any

import numpy as np

__all__ = [
    "is_torch",
    "resolve_device",
    "to_numpy",
]


def is_torch(x: Any) -> bool:
    """Whether `x` is a torch tensor; never imports torch for the asking."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(x, torch.Tensor)


def to_numpy(x: Any) -> np.ndarray:
    """Bring a torch tensor (any device) or an array-like to numpy."""
    if is_torch(x):
        return x.detach().cpu().numpy()
    return np.asarray(x)


_logger = logging.getLogger("skstrf")


def resolve_device(device: str) -> str:
    """Turn ``"auto"`` into a device that is there, and refuse one that is not."""
    import torch

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
