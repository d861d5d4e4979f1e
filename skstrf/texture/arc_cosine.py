r"""The random network of infinitely many filters, in closed form.

A layer of :math:`N` random filters enters the losses of style transfer only through sums over
filters. For Gaussian filters and a ReLU these tend, as :math:`N` grows, to the arc-cosine kernel
of order 1 [1]_ of two patches :math:`x, y` of the spectrogram,

.. math:: k(x, y) = \frac{\lVert x \rVert \lVert y \rVert}{2 \pi}
          (\sin\theta + (\pi - \theta) \cos\theta), \qquad
          \cos\theta = \frac{x \cdot y}{\lVert x \rVert \lVert y \rVert}.

The distance of two Gram matrices is then a sum of squared kernels over pairs of patches,

.. math:: \lVert G_x - G_s \rVert^2 / N^2 \to \overline{k(x_t, x_u)^2}
          - 2\,\overline{k(x_t, s_u)^2} + \overline{k(s_t, s_u)^2},

and the distance of activations a sum over single ones. No filter is drawn, no activation made: a
spectrogram of 1025 channels and 430 frames takes a hundredth of the work of 4096 filters, and
what comes out does not depend on a draw.

.. [1] Y. Cho and L. K. Saul, "Kernel methods for deep learning", NIPS 22, 342-350, 2009.
"""

from __future__ import annotations

import math
from typing import Any

import torch

__all__ = ["arc_cosine_kernel", "patch_norms", "patch_products"]

_SMALLEST = 1e-20


class _Angular(torch.autograd.Function):
    """``sin a + (pi - a) cos a`` of ``cos a``, with the derivative ``pi - a``.

    Torch's own derivative divides by the sine, which is 0 where a patch meets itself.
    """

    @staticmethod
    def forward(ctx: Any, cosine: torch.Tensor) -> torch.Tensor:
        cosine = cosine.clamp(-1, 1)
        rest = math.pi - torch.arccos(cosine)
        ctx.save_for_backward(rest)
        return (1 - cosine * cosine).sqrt_() + rest * cosine

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        (rest,) = ctx.saved_tensors
        return gradient * rest


def patch_products(x: torch.Tensor, y: torch.Tensor, width: int) -> torch.Tensor:
    """Inner products of all patches of `width` frames of two spectrograms.

    Parameters
    ----------
    x : torch.Tensor of shape (..., n_channels, n_frames)
        A spectrogram.
    y : torch.Tensor of shape (..., n_channels, n_other_frames)
        Another.
    width : int
        Frames of a patch.

    Returns
    -------
    torch.Tensor of shape (..., n_frames - width + 1, n_other_frames - width + 1)
        The product of patches is the sum of the products of their frames, so that patches are
        never made.

    Examples
    --------
    >>> import torch
    >>> from skstrf.texture.arc_cosine import patch_products
    >>> patch_products(torch.ones(5, 4), torch.ones(5, 3), 2)
    tensor([[10., 10.],
            [10., 10.],
            [10., 10.]])
    """
    frames = x.mT @ y
    rows, columns = frames.shape[-2] - width + 1, frames.shape[-1] - width + 1
    if min(rows, columns) < 1:
        raise ValueError(
            f"spectrograms of {x.shape[-1]} and {y.shape[-1]} frames have no patches of {width}."
        )
    total = frames[..., :rows, :columns].clone()
    for k in range(1, width):
        total += frames[..., k : k + rows, k : k + columns]
    return total


def patch_norms(x: torch.Tensor, width: int) -> torch.Tensor:
    """Norms of all patches of `width` frames.

    Parameters
    ----------
    x : torch.Tensor of shape (..., n_channels, n_frames)
        A spectrogram.
    width : int
        Frames of a patch.

    Returns
    -------
    torch.Tensor of shape (..., n_frames - width + 1)
        Never quite 0, so that one may divide.

    Examples
    --------
    >>> import torch
    >>> from skstrf.texture.arc_cosine import patch_norms
    >>> patch_norms(torch.ones(8, 4), 2)
    tensor([4., 4., 4.])
    """
    power = x.square().sum(-2)
    return power.unfold(-1, width, 1).sum(-1).clamp(min=_SMALLEST).sqrt()


def arc_cosine_kernel(
    product: torch.Tensor, norm_x: torch.Tensor, norm_y: torch.Tensor
) -> torch.Tensor:
    r"""Mean over Gaussian filters of unit variance of the product of two ReLU activations.

    Parameters
    ----------
    product : torch.Tensor
        Inner products :math:`x \cdot y`.
    norm_x, norm_y : torch.Tensor
        Norms, of shapes that broadcast to that of `product`; above 0.

    Returns
    -------
    torch.Tensor of the shape of `product`
        :math:`k(x, y)`; ``norm ** 2 / 2`` where the two are equal.

    References
    ----------
    .. [1] Y. Cho and L. K. Saul, "Kernel methods for deep learning", NIPS 22, 342-350, 2009,
       equation 6 for degree 1.

    Examples
    --------
    >>> import torch
    >>> from skstrf.texture.arc_cosine import arc_cosine_kernel
    >>> norm = torch.tensor(2.0)
    >>> arc_cosine_kernel(torch.tensor([4.0, 0.0, -4.0]), norm, norm)
    tensor([2.0000, 0.6366, 0.0000])
    """
    scale = norm_x * norm_y
    return scale * _Angular.apply(product / scale) / (2 * math.pi)
