"""Minimization of the weighted sum of a content and a style loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch

__all__ = ["OptimizeResult", "minimize"]

# Number of iterations over which the loss has to decrease by the share `tol`.
_PATIENCE = 10
# Number of steps and gradients that L-BFGS stores.
_HISTORY_SIZE = 20


class OptimizeResult(NamedTuple):
    """Best point, losses (total, content, style) of all iterations, and whether interrupted."""

    x: torch.Tensor
    curve: np.ndarray
    interrupted: bool


def minimize(
    losses: Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]],
    start: torch.Tensor,
    *,
    weights: tuple[float, float],
    optimizer: str,
    max_iter: int,
    tol: float,
    lr: float,
    report: Callable[[dict[str, Any]], Any],
) -> OptimizeResult:
    """Minimize until convergence, `max_iter`, or a StopIteration or Ctrl-C from `report`."""
    record = _Record(losses, weights, start, tol, report)
    interrupted = False
    try:
        if optimizer == "lbfgs":
            _lbfgs(record, start, max_iter)
        else:
            _adam(record, start, max_iter, lr)
    except StopIteration:
        pass
    except KeyboardInterrupt:
        interrupted = True
    curve = np.array(record.curve, dtype=np.float64).reshape(-1, 3)
    return OptimizeResult(record.best, curve, interrupted)


class _Record:
    """Evaluates losses and gradients and records them, the best point and all iterations."""

    def __init__(self, losses, weights, start, tol, report):
        self._losses, self._weights, self._tol, self._report = losses, weights, tol, report
        self.best, self._least = start, float("inf")
        self._last = (0.0, 0.0, 0.0)
        self.curve: list[tuple[float, float, float]] = []

    def evaluate(self, x: torch.Tensor) -> tuple[float, torch.Tensor]:
        x = x.detach().requires_grad_()
        content, style = self._losses(x)
        total = self._weights[0] * content + self._weights[1] * style
        (gradient,) = torch.autograd.grad(total, x)
        self._last = (float(total.detach()), float(content.detach()), float(style.detach()))
        if self._last[0] < self._least:
            self.best, self._least = x.detach().clone(), self._last[0]
        return self._last[0], gradient

    def end_iteration(self) -> None:
        """Record the last evaluation as that of an iteration; stop at convergence."""
        self.curve.append(self._last)
        names = ("iteration", "loss", "content", "style")
        self._report(dict(zip(names, (len(self.curve) - 1, *self._last), strict=True)))
        if len(self.curve) > _PATIENCE:
            before, now = self.curve[-1 - _PATIENCE][0], self.curve[-1][0]
            if before - now <= self._tol * abs(before):
                raise StopIteration


def _lbfgs(record: _Record, start: torch.Tensor, max_iter: int) -> None:
    # The first trial step has unit length: the variable is divided by its norm, so that the step
    # does not depend on the length of the sound.
    scale = float(start.norm()) or 1.0
    x = (start / scale).requires_grad_()
    # The stopping rules of torch depend on the scale of the loss: `record` has its own.
    lbfgs = torch.optim.LBFGS(
        [x],
        max_iter=max_iter,
        max_eval=3 * max_iter + 20,
        history_size=_HISTORY_SIZE,
        line_search_fn="strong_wolfe",
        tolerance_grad=0,
        tolerance_change=0,
    )
    done = 0

    def evaluate() -> float:
        nonlocal done
        # The first evaluation of an iteration tells that the previous one has ended.
        current = lbfgs.state[x].get("n_iter", 0)
        if current > done:
            record.end_iteration()
            done = current
        value, gradient = record.evaluate(scale * x)
        x.grad = scale * gradient
        return value

    lbfgs.step(evaluate)
    record.end_iteration()


def _adam(record: _Record, start: torch.Tensor, max_iter: int, lr: float) -> None:
    x = start.clone()
    step = lr * (float(start.square().mean().sqrt()) or 1.0)
    adam = torch.optim.Adam([x], lr=step)
    for _ in range(max_iter):
        _, x.grad = record.evaluate(x)
        record.end_iteration()
        adam.step()
    record.evaluate(x)
    record.end_iteration()
