"""Descent on a sound or a spectrogram, with both parts of the loss on record."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch

__all__ = ["Descent", "descend"]

# Iterations over which the loss is to fall by the share `tol`.
_PATIENCE = 10
# Pairs of steps and gradients that L-BFGS remembers.
_MEMORY = 20


class Descent(NamedTuple):
    """What came of an optimisation.

    Attributes
    ----------
    variable : torch.Tensor
        Where the loss was least.
    curve : ndarray of shape (n_iter + 1, 3)
        Total, content and style loss, at the start and after every iteration.
    interrupted : bool
        Whether the user stopped it.
    """

    variable: torch.Tensor
    curve: np.ndarray
    interrupted: bool


class _Record:
    """Loss, its parts and its gradient, remembered at the best point and at every iteration."""

    def __init__(self, losses, weights, start, tol, report):
        self._losses, self._weights = losses, weights
        self._start, self._tol, self._report = start, tol, report
        self.best, self._least = start, float("inf")
        self._last: tuple[float, float, float] = (0.0, 0.0, 0.0)
        self.curve: list[tuple[float, float, float]] = []

    def evaluate(self, x: torch.Tensor) -> tuple[float, torch.Tensor]:
        x = x.detach().requires_grad_()
        content, style = self._losses(x)
        total = self._weights[0] * content + self._weights[1] * style
        (gradient,) = torch.autograd.grad(total, x)
        values = [float(value.detach()) for value in (total, content, style)]
        self._last = (values[0], values[1], values[2])
        if values[0] < self._least:
            self.best, self._least = x.detach().clone(), values[0]
        return values[0], gradient

    def keep(self) -> None:
        """Note the last evaluation as an iteration's; stop where the loss no longer falls."""
        self.curve.append(self._last)
        if self._report is not None:
            total, content, style = self._last
            self._report(
                {
                    "iteration": len(self.curve) - 1,
                    "loss": total,
                    "content": content,
                    "style": style,
                }
            )
        if len(self.curve) > _PATIENCE:
            before, now = self.curve[-1 - _PATIENCE][0], self.curve[-1][0]
            if before - now <= self._tol * abs(before):
                raise StopIteration


def descend(
    losses: Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]],
    start: torch.Tensor,
    *,
    weights: tuple[float, float] = (0.05, 1.0),
    optimizer: str = "lbfgs",
    max_iter: int = 300,
    tol: float = 0.0,
    lr: float = 0.01,
    report: Callable[[dict[str, Any]], Any] | None = None,
) -> Descent:
    """Minimise a weighted sum of two losses.

    Parameters
    ----------
    losses : callable
        Takes a tensor of the shape of `start`; returns content and style loss.
    start : torch.Tensor
        Where to begin.
    weights : (float, float)
        Of content and style.
    optimizer : {"lbfgs", "adam"}
        Quasi-Newton, by :class:`torch.optim.LBFGS` with strong Wolfe conditions, or Adam.
    max_iter : int
        Iterations at most.
    tol : float
        Stop when ten iterations together lower the loss by less than this share.
    lr : float
        Step of Adam, in parts of the root mean square of `start`.
    report : callable or None
        Called at the start and after every iteration with a dict of ``iteration``, ``loss``,
        ``content`` and ``style``. A StopIteration from it ends the descent.

    Returns
    -------
    Descent
        A KeyboardInterrupt ends it early, with the best so far.

    Examples
    --------
    >>> import torch
    >>> from skstrf.style.optimisation import descend
    >>> def losses(x):
    ...     return (x - 1).square().sum(), (x + 1).square().sum()
    >>> found = descend(losses, torch.full((3,), 5.0), weights=(1.0, 1.0), tol=1e-6)
    >>> bool(found.variable.abs().max() < 1e-3)
    True
    """
    record = _Record(losses, weights, start, tol, report)
    method = _lbfgs if optimizer == "lbfgs" else _adam
    interrupted = False
    try:
        method(record, start, max_iter, lr)
    except StopIteration:
        pass
    except KeyboardInterrupt:
        interrupted = True
    curve = np.array(record.curve, dtype=np.float64).reshape(-1, 3)
    return Descent(record.best, curve, interrupted)


def _lbfgs(record: _Record, start: torch.Tensor, max_iter: int, lr: float) -> None:
    # The first trial step has unit length: variables are taken in parts of their norm, so that it
    # means the same for a sound of any length.
    scale = float(start.norm()) or 1.0
    x = (start / scale).requires_grad_()
    # Its own rules to stop know nothing of the scale of the loss: `record` has ours.
    lbfgs = torch.optim.LBFGS(
        [x],
        max_iter=max_iter,
        max_eval=3 * max_iter + 20,
        history_size=_MEMORY,
        line_search_fn="strong_wolfe",
        tolerance_grad=0,
        tolerance_change=0,
    )
    done = 0

    def evaluate() -> float:
        nonlocal done
        # The first evaluation of a new iteration says that the one before has ended.
        current = lbfgs.state[x].get("n_iter", 0)
        if current > done:
            record.keep()
            done = current
        value, gradient = record.evaluate(scale * x)
        x.grad = scale * gradient
        return value

    lbfgs.step(evaluate)
    record.keep()


def _adam(record: _Record, start: torch.Tensor, max_iter: int, lr: float) -> None:
    x = start.clone()
    step = lr * (float(start.square().mean().sqrt()) or 1.0)
    adam = torch.optim.Adam([x], lr=step)
    for _ in range(max_iter):
        _, x.grad = record.evaluate(x)
        record.keep()
        adam.step()
    record.evaluate(x)
    record.keep()
