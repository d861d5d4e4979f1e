"""What is varied: the sound itself, or its spectrogram, of which a sound is made at the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.base import clone
from torch import nn

from skstrf.transforms.base import FramedTransformer
from skstrf.transforms.modules import is_differentiable, torch_module

__all__ = [
    "OptimizeResult",
    "Domain",
    "SoundDomain",
    "SpectrogramDomain",
    "choose_domain",
    "descend",
    "fitted_for",
]


def fitted_for(representation: Any, n_times: int) -> Any:
    """Fit a copy of a transformer for sounds of a length, about which it learns nothing else."""
    return clone(representation).fit(np.zeros((1, n_times), dtype=np.float32))


class Domain:
    """From what is varied to a tensor that losses look at, and to a sound."""

    def __init__(self, representation: Any, device: str):
        self._representation, self._device = representation, device

    def start(self, sound: np.ndarray) -> torch.Tensor:
        """Turn a sound into the variable."""
        raise NotImplementedError

    def tensor(self, variable: torch.Tensor) -> torch.Tensor:
        """Turn the variable into the tensor that losses look at."""
        raise NotImplementedError

    def sound(self, variable: torch.Tensor, content: np.ndarray) -> np.ndarray:
        """Turn the variable into a sound."""
        raise NotImplementedError


class SoundDomain(Domain):
    """The variable is the sound: no phase is ever guessed."""

    def __init__(self, representation: Any, device: str):
        super().__init__(representation, device)
        whole = nn.Identity() if representation is None else torch_module(representation)
        self._module = whole.to(device)

    def start(self, sound: np.ndarray) -> torch.Tensor:
        """Give the sound as a tensor of torch."""
        return torch.from_numpy(np.ascontiguousarray(sound, dtype=np.float32)).to(self._device)

    def tensor(self, variable: torch.Tensor) -> torch.Tensor:
        """Transform the sound."""
        return self._module(variable)

    def sound(self, variable: torch.Tensor, content: np.ndarray) -> np.ndarray:
        """Give it as an array."""
        return variable.cpu().numpy()


class SpectrogramDomain(Domain):
    """The variable is the spectrogram; its inversion starts from the content's phase."""

    def start(self, sound: np.ndarray) -> torch.Tensor:
        """Transform the sound."""
        tensor = self._representation.transform(sound[None].astype(np.float32))[0]
        return torch.from_numpy(np.ascontiguousarray(tensor)).to(self._device)

    def tensor(self, variable: torch.Tensor) -> torch.Tensor:
        """Give it as it is."""
        return variable

    def sound(self, variable: torch.Tensor, content: np.ndarray) -> np.ndarray:
        """Invert it."""
        tensor = variable.cpu().numpy()[None]
        invert = self._representation.inverse_transform
        if isinstance(self._representation, FramedTransformer):
            return invert(tensor, phase=content[None].astype(np.float32))[0]
        return invert(tensor)[0]


def choose_domain(domain: str, representation: Any, network: Any) -> type[Domain]:
    """Find the class for a setting, and refuse what cannot be."""
    name = type(representation).__name__
    if getattr(representation, "output", None) == "complex":
        raise ValueError(f"the {name} gives complex numbers: set its output to 'magnitude'.")
    cortical = isinstance(network, str) and network == "cortical"
    if cortical and domain == "spectrogram":
        raise ValueError(
            "network='cortical' hears sounds: domain='spectrogram' cannot be. Use 'sound'."
        )
    if cortical or (domain != "spectrogram" and is_differentiable(representation)):
        return SoundDomain
    if domain == "sound":
        raise ValueError(
            f"domain='sound' needs a transformer that gradients pass; {name} is none. Use "
            "domain='spectrogram', or an STFT-, Mel-, MFCC- or STRFTransformer."
        )
    if not hasattr(representation, "inverse_transform"):
        raise ValueError(f"{name} cannot be inverted: no sound can be made of its tensors.")
    return SpectrogramDomain


# Iterations over which the loss is to fall by the share `tol`.
_PATIENCE = 10
# Pairs of steps and gradients that L-BFGS remembers.
_MEMORY = 20


class OptimizeResult(NamedTuple):
    """What came of an optimization."""

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
) -> OptimizeResult:
    """Minimize a weighted sum of two losses."""
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
    return OptimizeResult(record.best, curve, interrupted)


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
