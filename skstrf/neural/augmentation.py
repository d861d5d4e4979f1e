"""Random changes of a training batch, as functions of tensors with an explicit generator.

All but :func:`mixup` expect standardized input (mean 0, standard deviation 1), so that one
setting suits any data.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

__all__ = [
    "Augmentation",
    "add_noise",
    "change_level",
    "mask_bands",
    "mask_channels",
    "mixup",
    "shift_cells",
]


def _uniform(shape: tuple[int, ...], like: torch.Tensor, generator) -> torch.Tensor:
    """Draw from the uniform distribution on [0, 1) on the device of `like`."""
    return torch.rand(shape, generator=generator, device=like.device, dtype=torch.float32)


def mixup(
    x: torch.Tensor, targets: torch.Tensor, alpha: float, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Blend each sample of a batch and its target with another one."""
    # One weight for the batch and a permutation as partners keep the mean of the batch and the
    # sum of the targets, hence that of the sample weights in them.
    if alpha == 0:
        return x, targets
    # The Beta distribution of torch takes no generator: numpy draws, seeded by torch.
    seed = int(torch.randint(2**62, (1,), generator=generator))
    share = float(np.random.default_rng(seed).beta(alpha, alpha))
    partner = torch.randperm(len(x), generator=generator).to(x.device)
    return torch.lerp(x[partner], x, share), torch.lerp(targets[partner], targets, share)


def mask_bands(
    x: torch.Tensor, share: float, generator: torch.Generator | None = None
) -> torch.Tensor:
    """Mask a random band along each image axis, in all channels of a sample."""
    for axis in (2, 3):
        x = _without_band(x, axis, share, generator)
    return x


def _without_band(x: torch.Tensor, axis: int, share: float, generator) -> torch.Tensor:
    """Mask a random band along one axis of each sample."""
    size = x.shape[axis]
    widest = int(share * size)
    if widest < 1:
        return x
    draws = _uniform((2, len(x), 1), x, generator)
    width = (draws[0] * (widest + 1)).floor()
    start = (draws[1] * (size - width + 1)).floor()
    position = torch.arange(size, device=x.device)
    keep = (position < start) | (position >= start + width)
    shape = [len(x), *(1 for _ in x.shape[1:])]
    shape[axis] = size
    return x * keep.view(shape)


def mask_channels(
    x: torch.Tensor,
    share: float,
    axes: Sequence[int],
    generator: torch.Generator | None = None,
) -> torch.Tensor:
    """Mask a random band along each axis that was folded into the channels."""
    unfolded = x.unflatten(1, tuple(axes))
    for axis in range(1, len(axes) + 1):
        unfolded = _without_band(unfolded, axis, share, generator)
    return unfolded.flatten(1, len(axes))


def shift_cells(
    x: torch.Tensor, share: float, generator: torch.Generator | None = None
) -> torch.Tensor:
    """Shift each sample by a random number of cells along both image axes."""
    for axis in (2, 3):
        size = x.shape[axis]
        farthest = int(share * size)
        if farthest < 1:
            continue
        draws = _uniform((len(x), 1), x, generator)
        step = (draws * (2 * farthest + 1)).floor().long() - farthest
        source = torch.arange(size, device=x.device) - step
        inside = (source >= 0) & (source < size)
        shape = (len(x), 1, size, 1) if axis == 2 else (len(x), 1, 1, size)
        index = source.clamp(0, size - 1).view(shape).expand_as(x)
        x = x.gather(axis, index) * inside.view(shape)
    return x


def add_noise(
    x: torch.Tensor, deviation: float, generator: torch.Generator | None = None
) -> torch.Tensor:
    """Add independent Gaussian noise to all values."""
    if deviation == 0:
        return x
    noise = torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)
    return x + deviation * noise


def change_level(
    x: torch.Tensor, gain: float, tilt: float, generator: torch.Generator | None = None
) -> torch.Tensor:
    """Add a random constant and a random ramp along the first image axis to each sample."""
    # On log-compressed tensors these change the level and the spectral slope, in which recording
    # chains differ.
    if gain == 0 and tilt == 0:
        return x
    draws = torch.randn((2, len(x), 1, 1, 1), generator=generator, device=x.device, dtype=x.dtype)
    ramp = torch.linspace(-0.5, 0.5, x.shape[2], device=x.device, dtype=x.dtype)
    return x + gain * draws[0] + tilt * draws[1] * ramp.view(1, 1, -1, 1)


class Augmentation(torch.nn.Module):
    """Applies all changes but mixup, in training mode only."""

    def __init__(
        self,
        mask: float = 0.0,
        shift: float = 0.0,
        noise: float = 0.0,
        gain: float = 0.0,
        tilt: float = 0.0,
        mask_channels: float = 0.0,
        channel_axes: Sequence[int] = (),
    ):
        super().__init__()
        self.mask_channels, self.channel_axes = mask_channels, tuple(channel_axes)
        self.mask, self.shift, self.noise = mask, shift, noise
        self.gain, self.tilt = gain, tilt
        self.generator: torch.Generator | None = None

    # The compiler cannot trace the generator, so that this part is not compiled.
    @torch.compiler.disable
    def _change(self, x: torch.Tensor) -> torch.Tensor:
        x = shift_cells(x, self.shift, self.generator)
        x = change_level(x, self.gain, self.tilt, self.generator)
        x = add_noise(x, self.noise, self.generator)
        x = mask_bands(x, self.mask, self.generator)
        if self.mask_channels:
            x = mask_channels(x, self.mask_channels, self.channel_axes, self.generator)
        return x

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Change a batch in training mode; return it unchanged in evaluation mode."""
        return self._change(x) if self.training else x
