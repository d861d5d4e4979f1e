"""Parts that every network is made of, and what all networks of named layers can do."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import nn

from skstrf.neural.augment import Augmentation

__all__ = ["BatchNorm", "Dropout", "LayeredNet", "Standardise", "channels_last", "dense"]


class Standardise(nn.Module):
    """Subtract a mean and divide by a standard deviation, both fixed.

    The two are kept in float64 and used in the type of the input, so that
    float64 data with a large mean is not rounded before the mean is gone.
    """

    def __init__(self, shape: Sequence[int]):
        super().__init__()
        self.mean: torch.Tensor
        self.scale: torch.Tensor
        self.register_buffer("mean", torch.zeros(*shape, dtype=torch.float64))
        self.register_buffer("scale", torch.ones(*shape, dtype=torch.float64))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Standardise (n_samples, n_channels, height, width); float32 comes out."""
        return ((x - self.mean.to(x.dtype)) / self.scale.to(x.dtype)).float()


class Dropout(nn.Dropout):
    """Dropout that draws from its own generator when it is given one."""

    generator: torch.Generator | None = None

    @torch.compiler.disable
    def _drop(self, x: torch.Tensor) -> torch.Tensor:
        keep = torch.empty_like(x).bernoulli_(1 - self.p, generator=self.generator)
        return x * keep / (1 - self.p)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Zero a share `p` of the values in training mode and enlarge the rest."""
        return self._drop(x) if self.training and self.p > 0 else x


class BatchNorm(nn.BatchNorm2d):
    """Batch normalisation that takes a batch of one value a channel as it comes.

    One value has no spread to divide by: the running statistics stand in.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise (n_samples, n_channels, height, width)."""
        if self.training and x.numel() == x.shape[1]:
            return nn.functional.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        return super().forward(x)


def dense(
    width: int, n_out: int, dropout: float, relu: bool, pool: nn.Module | None = None
) -> nn.Sequential:
    """Make a dense layer of everything that comes in, of its `pool` where there is one."""
    parts: dict[str, nn.Module] = {} if pool is None else {"pool": pool}
    parts |= {"flatten": nn.Flatten(), "dropout": Dropout(dropout)}
    parts["dense"] = nn.Linear(width, n_out)
    if relu:
        parts["relu"] = nn.ReLU()
    return nn.Sequential(OrderedDict(parts))


def channels_last(x: torch.Tensor) -> torch.Tensor:
    """Store the channels of a pixel side by side: layers run up to twice as fast so."""
    return x.contiguous(memory_format=torch.channels_last)


class LayeredNet(nn.Module):
    """A standardisation, random changes in training, and named layers one after the other.

    Parameters
    ----------
    statistics : (int, int, int)
        Shape of the mean and deviation that standardise the input.
    augmentation : dict, optional
        Arguments of :class:`~skstrf.neural.augment.Augmentation`.
    """

    def __init__(self, statistics: Sequence[int], augmentation: dict[str, Any] | None = None):
        super().__init__()
        self.frozen: tuple[str, ...] = ()
        self.layer_names: tuple[str, ...] = ()
        self.standardise = Standardise(statistics)
        self.augmentation = Augmentation(**(augmentation or {}))

    def add_head(
        self,
        names: Sequence[str],
        width: int,
        n_hidden: int,
        n_classes: int,
        dropout: float,
        pool: nn.Module | None = None,
    ) -> None:
        """Put the dense layers after the layers of these names, and set `layer_names`."""
        names = list(names)
        if n_hidden:
            names.append("hidden")
            self.hidden = dense(width, n_hidden, dropout, relu=True, pool=pool)
            width, pool = n_hidden, None
        self.output = dense(width, n_classes, dropout, relu=False, pool=pool)
        self.layer_names = (*names, "output")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Score (n_samples, n_channels, height, width): logits (n_samples, n_classes)."""
        x = channels_last(self.augmentation(self.standardise(x)))
        for name in self.layer_names:
            x = self.get_submodule(name)(x)
        return x

    def activations(self, x: torch.Tensor, names: Iterable[str]) -> dict[str, torch.Tensor]:
        """Give what leaves the named layers, differentiable in `x`.

        Parameters
        ----------
        x : Tensor of shape (n_samples, n_channels, height, width)
            Input as given to the classifier.
        names : iterable of str
            Out of `layer_names`.

        Returns
        -------
        dict of str to Tensor
            Convolutional layers give (n_samples, n_filters, height, width).
        """
        wanted = set(names)
        self.check_names(wanted)
        found = {}
        x = channels_last(self.standardise(x))
        for name in self.layer_names:
            x = self.get_submodule(name)(x)
            if name in wanted:
                found[name] = x
            if len(found) == len(wanted):
                break
        return found

    def check_names(self, names: Iterable[str]) -> None:
        """Raise a ValueError that lists the layers when one of `names` is none of them."""
        unknown = sorted(set(names) - set(self.layer_names))
        if unknown:
            raise ValueError(f"no layers {unknown}: the network has {list(self.layer_names)}.")

    def freeze(self, names: Iterable[str]) -> None:
        """Keep the named layers as they are: neither weights nor statistics move."""
        self.frozen = tuple(names)
        self.check_names(self.frozen)
        for name in self.frozen:
            self.get_submodule(name).requires_grad_(False)

    def train(self, mode: bool = True) -> LayeredNet:
        """Switch to training mode, frozen layers excepted."""
        super().train(mode)
        for name in self.frozen:
            self.get_submodule(name).eval()
        return self

    def use_generator(self, generator: torch.Generator | None) -> None:
        """Draw dropout and augmentation from `generator` (None: torch's global one)."""
        for module in self.modules():
            if isinstance(module, Dropout | Augmentation):
                module.generator = generator
