"""From a transformer's tensor back to the auditory spectrogram."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch

__all__ = ["compress", "decompress", "fit_spectrogram"]

_TINY = 1e-30
_HISTORY = 10


def compress(tensor: Any, kind: str | None, floor: float) -> Any:
    """Compress the magnitude of a torch tensor, keeping sign or phase.

    Parameters
    ----------
    tensor : torch.Tensor
        Real or complex.
    kind : {"log", "cbrt"} or None
        ``log(1 + x / floor)``, the cube root, or nothing.
    floor : float
        Where the logarithm turns linear.

    Returns
    -------
    torch.Tensor
        Of the same shape and dtype; gradients pass.
    """
    if kind is None:
        return tensor
    magnitude = tensor.abs()
    compressed = (magnitude / floor).log1p() if kind == "log" else magnitude.pow(1 / 3)
    # Where the magnitude is 0 so is the compressed one, and any finite divisor will do.
    return tensor * (compressed / magnitude.clamp(min=_TINY))


def decompress(tensor: Any, kind: str | None, floor: float) -> Any:
    """Undo :func:`compress`.

    Parameters
    ----------
    tensor : torch.Tensor
        Real or complex.
    kind : {"log", "cbrt"} or None
        As given to :func:`compress`.
    floor : float
        As given to :func:`compress`.

    Returns
    -------
    torch.Tensor
        Of the same shape and dtype.
    """
    if kind is None:
        return tensor
    magnitude = tensor.abs()
    expanded = magnitude.expm1() * floor if kind == "log" else magnitude**3
    return tensor * (expanded / magnitude.clamp(min=_TINY))


def fit_spectrogram(
    target: torch.Tensor,
    forward: Callable,
    start: torch.Tensor,
    *,
    max_iter: int,
    tol: float = 1e-6,
) -> torch.Tensor:
    """Non-negative spectrogram whose tensor is nearest to the target, by L-BFGS.

    Parameters
    ----------
    target : torch.Tensor
        A tensor as `forward` gives it.
    forward : callable
        Differentiable map from spectrograms to tensors.
    start : torch.Tensor
        First guess, non-negative.
    max_iter : int
        Iterations at most.
    tol : float, default=1e-6
        Stop when the squared relative error is below this.

    Returns
    -------
    torch.Tensor
        Of the shape of `start`.
    """
    import torch

    # Squares cannot be negative; a spectrogram of zeros would have no gradient.
    root = start.clamp(min=1e-3 * max(float(start.max()), _TINY)).sqrt().requires_grad_()
    energy = max(float((target.abs() ** 2).sum()), _TINY)
    optimizer = torch.optim.LBFGS(
        [root], max_iter=max_iter, history_size=_HISTORY, line_search_fn="strong_wolfe",
        tolerance_grad=0, tolerance_change=tol * 1e-3,
    )  # fmt: skip
    best, least = root.detach() ** 2, np.inf

    def loss() -> torch.Tensor:
        nonlocal best, least
        optimizer.zero_grad()
        value = ((forward(root * root) - target).abs() ** 2).sum() / energy
        value.backward()
        if value.item() < least:
            best, least = root.detach() ** 2, value.item()
        return value

    optimizer.step(loss)
    return best
