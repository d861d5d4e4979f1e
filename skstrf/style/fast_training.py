"""Training of the network that gives styles in one pass."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from .domains import SoundDomain
from .fast_network import StyleNetwork
from .objectives import Objective
from .sounds import repeat_to
from .work import audible

__all__ = ["measure_levels", "train"]

_LARGEST_GRADIENT = 1.0


def measure_levels(network: StyleNetwork, sounds: Sequence[np.ndarray], device: str) -> None:
    """Set the mean and spread of log magnitudes that the network takes off its input.

    Parameters
    ----------
    network : StyleNetwork
        Changed in place.
    sounds : sequence of ndarray of shape (n_times,)
        Contents.
    device : str
        Where to compute.
    """
    total = squares = torch.zeros(len(network.mean), dtype=torch.float64, device=device)
    count = 0
    with torch.no_grad():
        for sound in sounds:
            x = torch.from_numpy(sound).to(device)[None]
            levels = torch.log1p(network.spectrum(x).abs())[0].double()
            total = total + levels.sum(-1)
            squares = squares + levels.square().sum(-1)
            count += levels.shape[-1]
        mean = total / count
        spread = (squares / count - mean.square()).clamp(min=0).sqrt()
        network.mean.copy_(mean[:, None])
        # A band without sound must not be blown up.
        network.scale.copy_(spread.clamp(min=1e-3 + 0.1 * float(spread.max()))[:, None])


def train(
    transfer: Any,
    network: StyleNetwork,
    objectives: Sequence[Objective],
    domain: SoundDomain,
    contents: Sequence[np.ndarray],
    styles: Sequence[np.ndarray],
    rng: np.random.RandomState,
    report: Any,
) -> list[dict[str, float]]:
    """Train by stretches of contents, each towards one style.

    Parameters
    ----------
    transfer : FastStyleTransfer
        Its settings.
    network : StyleNetwork
        Changed in place.
    objectives : sequence of Objective
        One a style.
    domain : SoundDomain
        From a stretch of sound to what the objectives look at.
    contents : sequence of ndarray of shape (n_times,)
        At the level inside.
    styles : sequence of ndarray
        One sound of each style, of the length of a stretch.
    rng : numpy.random.RandomState
        What chooses.
    report : callable
        Called with a dict after every iteration.

    Returns
    -------
    list of dict
        ``iteration``, ``content`` and ``style`` loss, means over each batch.
    """
    length = len(styles[0])
    weights = transfer.content_weight, transfer.style_weight
    adam = torch.optim.Adam(network.parameters(), lr=transfer.lr)
    decay = torch.optim.lr_scheduler.LambdaLR(
        adam, lambda i: 0.5 * (1 + math.cos(math.pi * min(1.0, i / transfer.max_iter)))
    )
    history: list[dict[str, float]] = []
    for iteration in range(transfer.max_iter):
        chosen = rng.randint(len(objectives), size=transfer.batch_size)
        batch = [_stretch(contents, length, rng) for _ in chosen]
        x = torch.from_numpy(np.stack(batch)).to(network.mean.device)
        mixture = torch.eye(len(objectives), device=x.device)[chosen]
        result = _at_level_of(network(x, mixture), x)
        losses = [
            _losses(objectives[k], domain, x[i], styles[k], result[i])
            for i, k in enumerate(chosen)
        ]
        content, style = (torch.stack(part).mean() for part in zip(*losses, strict=True))
        adam.zero_grad()
        (weights[0] * content + weights[1] * style).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), _LARGEST_GRADIENT)
        adam.step()
        decay.step()
        history.append(
            {
                "iteration": iteration,
                "content": float(content.detach()),
                "style": float(style.detach()),
            }
        )
        report(history[-1])
    return history


def _at_level_of(result: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Give results the level of the contents, as they have in the end: loudness is no way out."""
    levels = [sound.square().mean(-1, keepdim=True).sqrt() for sound in (x, result)]
    return result * (levels[0] / (levels[1] + 1e-8))


def _losses(objective, domain, content, style, result):
    with torch.no_grad():
        objective.begin(domain.tensor(content), domain.tensor(domain.start(style)))
    return objective(domain.tensor(result))


def _stretch(
    contents: Sequence[np.ndarray], length: int, rng: np.random.RandomState
) -> np.ndarray:
    """Cut a stretch out of a sound; short ones are repeated."""
    sound = contents[rng.randint(len(contents))]
    if len(sound) <= length:
        return audible(repeat_to(sound, length))
    start = rng.randint(len(sound) - length + 1)
    return audible(sound[start : start + length])
