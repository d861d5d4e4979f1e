"""Choosing where torch computes."""

from __future__ import annotations

import logging

__all__ = ["resolve_device"]

_logger = logging.getLogger("skstrf")


def resolve_device(device: str) -> str:
    """Turn ``"auto"`` into a device that is there, and refuse one that is not.

    Parameters
    ----------
    device : str
        "auto" (CUDA when there is one, else the CPU), "cpu", "cuda" or "cuda:N".

    Returns
    -------
    str
        Name that torch understands. The choice made for "auto" is said in the log.

    Raises
    ------
    ValueError
        If CUDA is asked for and absent, or the name is unknown to torch.

    Examples
    --------
    >>> from skstrf.utils.devices import resolve_device
    >>> resolve_device("cpu")
    'cpu'
    """
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
