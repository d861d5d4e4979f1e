"""The work of a transfer: one channel of one recording, block by block."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from ..utils.devices import resolve_device
from .blocks import block_starts, join_blocks
from .domains import Domain, choose_domain, fitted_for
from .networks import make_objective
from .objectives import Objective
from .optimisation import Descent, descend
from .scores import at_level
from .sounds import LEVEL, repeat_to, shaped_noise

__all__ = ["Job", "Worker", "audible", "starting_sound"]

# A block quieter than this share of the recording's level gets noise as quiet, since a magnitude
# passes no gradient where there is nothing at all.
_QUIET = 1e-3


class Job(NamedTuple):
    """A content at the level inside, what to start from, and whom to tell.

    Attributes
    ----------
    content, start : ndarray of shape (n_times,)
        One channel, float32.
    report : callable or None
        Called with a dict after every iteration.
    """

    content: np.ndarray
    start: np.ndarray
    report: Callable[[dict[str, Any]], Any] | None = None


class Worker:
    """Transfers contents of one length.

    Parameters
    ----------
    transfer : StyleTransfer
        Fitted.
    styles : sequence of ndarray of shape (n_times,)
        At the level inside.
    n_times : int
        Samples of the contents.
    """

    def __init__(self, transfer: Any, styles: Sequence[np.ndarray], n_times: int):
        self._transfer, self._styles, self._n_times = transfer, styles, n_times
        rate = transfer.representation_.sample_rate
        longest = max(1, round(transfer.block_duration * rate))
        self.starts, self._length = block_starts(n_times, longest, transfer.overlap)
        self._device = resolve_device(transfer.device)
        kind = choose_domain(transfer.domain, transfer.representation_, transfer.network)
        self._domain = self._make_domain(kind, self._length)
        with torch.no_grad():
            tensors = [self._style_tensor(kind, style) for style in styles]
        self._objective: Objective = make_objective(transfer, tensors, self._length, self._device)

    def _make_domain(self, kind: type[Domain], n_times: int) -> Domain:
        cortical = isinstance(self._transfer.network, str) and self._transfer.network == "cortical"
        representation = self._transfer.representation_
        fitted = None if cortical else fitted_for(representation, n_times)
        return kind(fitted, self._device)

    def _style_tensor(self, kind: type[Domain], style: np.ndarray) -> torch.Tensor:
        """Tensor of a whole style; the receptive fields of the STRF depend on length a little."""
        domain = self._make_domain(kind, len(style))
        return domain.tensor(domain.start(style))

    def run(self, job: Job) -> tuple[np.ndarray, list[Descent]]:
        """Transfer one channel.

        Parameters
        ----------
        job : Job
            Of `n_times` samples.

        Returns
        -------
        sound : ndarray of shape (n_times,)
            float32. After an interruption, the best so far and then the content.
        descents : list of Descent
            One a block.
        """
        blocks: list[np.ndarray] = []
        descents: list[Descent] = []
        for i in self.starts:
            content, start = (x[i : i + self._length] for x in (job.content, job.start))
            if descents and descents[-1].interrupted:
                blocks.append(content)
                continue
            block, descent = self._block(content, start, job.report)
            blocks.append(block)
            descents.append(descent)
        return join_blocks(blocks, self.starts, self._n_times), descents

    def _block(self, content, start, report) -> tuple[np.ndarray, Descent]:
        transfer, domain = self._transfer, self._domain
        content, start = audible(content), audible(start)
        style = repeat_to(self._styles[0], len(content))
        with torch.no_grad():
            tensors = [domain.tensor(domain.start(x)) for x in (content, style)]
        self._objective.begin(*tensors)
        descent = descend(
            lambda x: self._objective(domain.tensor(x)),
            domain.start(start),
            weights=(transfer.content_weight, transfer.style_weight),
            optimizer=transfer.optimizer,
            max_iter=transfer.max_iter,
            tol=transfer.tol,
            lr=transfer.lr,
            report=report,
        )
        if not np.isfinite(descent.curve).all():
            remedy = "a smaller lr" if transfer.optimizer == "adam" else "optimizer='adam'"
            warnings.warn(
                "the loss became NaN or infinite: the best sound before that is returned. Take "
                f"{remedy}.",
                RuntimeWarning,
                stacklevel=5,
            )
        return domain.sound(descent.variable, content), descent


def starting_sound(
    init: str, content: np.ndarray, styles: Sequence[np.ndarray], rng: np.random.Generator
) -> np.ndarray:
    """Make the sound that a transfer starts from.

    Parameters
    ----------
    init : {"content", "noise", "style"}
        Noise has the long-term spectrum of the first style.
    content : ndarray of shape (n_times,)
        At the level inside.
    styles : sequence of ndarray
        At the level inside.
    rng : numpy.random.Generator
        What gives the noise.

    Returns
    -------
    ndarray of shape (n_times,)
        float32.
    """
    if init == "content":
        return content
    if init == "style":
        style = styles[0]
        if not style[: len(content)].any():  # a pause as long as the content: begin after it
            style = np.roll(style, -int(np.flatnonzero(style)[0]))
        return at_level(repeat_to(style, len(content)))
    return shaped_noise(styles[0], len(content), rng)


def audible(block: np.ndarray) -> np.ndarray:
    """Put faint noise, always the same, where a block holds next to nothing.

    Parameters
    ----------
    block : ndarray of shape (n_times,)
        Of a sound at the level inside.

    Returns
    -------
    ndarray of shape (n_times,)
        float32; `block` itself where there is something.
    """
    if np.sqrt(np.square(block, dtype=np.float64).mean()) >= _QUIET * LEVEL:
        return block
    noise = np.random.default_rng(0).standard_normal(len(block))
    return (block + _QUIET * LEVEL * noise).astype(np.float32)
