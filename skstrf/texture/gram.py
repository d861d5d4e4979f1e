r"""Losses of Gram matrices and activations, and random networks that give them.

A random network applies Gaussian filters of `kernel_size` frames to a spectrogram, followed by a
ReLU. In the limit of infinitely many filters the inner product of the activations of two patches
:math:`p, q` of the spectrogram is the arc-cosine kernel [1]_

.. math:: k(p, q) = \frac{\lVert p \rVert \lVert q \rVert}{2 \pi}
          (\sin \theta + (\pi - \theta) \cos \theta)

of their angle :math:`\theta`. The squared Frobenius norm of a difference of Gram matrices over
filters equals one of sums of :math:`k^2` over pairs of patches, so that distances are known in
closed form.

.. [1] Y. Cho and L. K. Saul, "Kernel methods for deep learning", NIPS, 2009.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from skstrf.utils.validation import checked_whole

__all__ = [
    "InfiniteRandomNetwork",
    "RandomNetwork",
    "arc_cosine_kernel",
    "content_loss",
    "gram_loss",
    "gram_matrix",
    "mean_gram",
    "relative_distance",
]

_KERNEL_SIZE = 11
# Lower bounds of a squared distance, whose root needs a finite derivative, and of the norm of a
# patch, by which is divided.
_TINY_DISTANCE, _TINY_NORM = 1e-30, 1e-20


# Losses


def gram_matrix(activations: torch.Tensor, *, mean: bool = True) -> torch.Tensor:
    r"""Gram matrix of feature maps: their inner products over all positions.

    .. math:: G_{ij} = \frac{1}{M} \sum_k F_{ik} F_{jk}

    Parameters
    ----------
    activations : torch.Tensor of shape (..., n_maps, n_positions)
        Real activations. Positions of images have to be flattened to one axis.
    mean : bool, default=True
        Whether to divide by the number of positions, so that the matrices of sounds of different
        durations are comparable. False gives the sum, as in equation 12 of [1]_.

    Returns
    -------
    torch.Tensor of shape (..., n_maps, n_maps)
        Symmetric matrices, differentiable with respect to the activations.

    Raises
    ------
    ValueError
        If `activations` is empty, not real, or has fewer than two axes.

    References
    ----------
    .. [1] E. Eremeeva, "Transform analysis and music style transfer with deep neural
       networks", ATIAM report, IRCAM, 2017, section 3.1.
    .. [2] L. A. Gatys, A. S. Ecker and M. Bethge, "Image style transfer using convolutional
       neural networks", CVPR, 2414-2423, 2016.

    Examples
    --------
    >>> import torch
    >>> from skstrf.texture import gram_matrix
    >>> gram_matrix(torch.tensor([[1.0, 3.0], [2.0, 0.0]]))
    tensor([[5., 1.],
            [1., 2.]])
    """
    _check_maps(activations, "activations")
    product = activations @ activations.mT
    return product / activations.shape[-1] if mean else product


def mean_gram(activations: Iterable[torch.Tensor]) -> torch.Tensor:
    """Gram matrix of several activations, averaged over the positions of all of them."""
    total, count = None, 0
    for one in activations:
        gram = gram_matrix(one, mean=False)
        total = gram if total is None else total + gram
        count += one.shape[-1]
    if total is None:
        raise ValueError("activations is empty: at least one tensor is required.")
    return total / count


def content_loss(activations: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    r"""Half the squared difference of activations, summed over maps and positions.

    .. math:: \mathcal{L}_{content} = \frac{1}{2} \sum_{ij} (F_{ij} - P_{ij})^2

    Parameters
    ----------
    activations, target : torch.Tensor of shape (..., n_maps, n_positions)
        Real activations of the generated sound and of the content.

    Returns
    -------
    torch.Tensor of shape (...)
        Loss after equation 10 of [1]_; equation 11 is its gradient.

    Raises
    ------
    ValueError
        If the shapes do not match.

    References
    ----------
    .. [1] E. Eremeeva, "Transform analysis and music style transfer with deep neural
       networks", ATIAM report, IRCAM, 2017, section 3.1.

    Examples
    --------
    >>> import torch
    >>> from skstrf.texture import content_loss
    >>> content_loss(torch.ones(2, 3), torch.zeros(2, 3))
    tensor(3.)
    """
    _check_pair(activations, target)
    return (activations - target).square().sum((-2, -1)) / 2


def gram_loss(
    gram: torch.Tensor, target: torch.Tensor, *, n_positions: int | None = None
) -> torch.Tensor:
    r"""Style loss: the scaled squared difference of two Gram matrices.

    .. math:: E = \frac{1}{4 N^2 M^2} \sum_{ij} (G_{ij} - A_{ij})^2

    Parameters
    ----------
    gram, target : torch.Tensor of shape (..., n_maps, n_maps)
        Gram matrices of the generated sound and of the style, with :math:`N` maps.
    n_positions : int or None, default=None
        Number of positions :math:`M` if the matrices are sums over positions. None if they are
        means, which contain the factor already.

    Returns
    -------
    torch.Tensor of shape (...)
        Loss after equation 13 of [1]_; equation 14 is its gradient in the activations.

    Raises
    ------
    ValueError
        If the shapes do not match, or `n_positions` is less than 1.

    References
    ----------
    .. [1] E. Eremeeva, "Transform analysis and music style transfer with deep neural
       networks", ATIAM report, IRCAM, 2017, section 3.1.

    Examples
    --------
    >>> import torch
    >>> from skstrf.texture import gram_loss
    >>> gram_loss(torch.eye(2), torch.zeros(2, 2))
    tensor(0.1250)
    """
    _check_pair(gram, target)
    if n_positions is not None:
        n_positions = checked_whole(n_positions, "n_positions")
    return (gram - target).square().sum((-2, -1)) / (2 * gram.shape[-1] * (n_positions or 1)) ** 2


def relative_distance(a: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Euclidean distance of matrices to a target, relative to the norm of the target."""
    _check_pair(a, target)
    distance = (a - target).square().sum((-2, -1))
    norm = target.square().sum((-2, -1))
    relative = (distance / norm.clamp(min=_TINY_DISTANCE)).clamp(min=_TINY_DISTANCE).sqrt()
    return relative.where(norm > 0, torch.inf)


def _check_maps(activations: torch.Tensor, name: str) -> None:
    if activations.ndim < 2 or activations.numel() == 0 or not activations.is_floating_point():
        raise ValueError(
            f"{name} must be real and have the axes (..., n_maps, n_positions), none empty; got "
            f"shape {tuple(activations.shape)} of {activations.dtype}."
        )


def _check_pair(a: torch.Tensor, target: torch.Tensor) -> None:
    _check_maps(a, "the first argument")
    if a.shape[-2:] != target.shape[-2:]:
        raise ValueError(
            f"shapes {tuple(a.shape)} and {tuple(target.shape)} differ: activations must come "
            "from sounds of one length, Gram matrices from networks with as many maps."
        )
    try:
        torch.broadcast_shapes(a.shape, target.shape)
    except RuntimeError as error:
        raise ValueError(
            f"batches of the shapes {tuple(a.shape)} and {tuple(target.shape)} do not match: "
            "give one target for each entry of the batch, or one for all."
        ) from error


# Random networks


class RandomNetwork(nn.Module):
    r"""One layer of random filters over all channels of a spectrogram, with a ReLU.

    Parameters
    ----------
    n_channels : int
        Number of channels (frequencies) of the spectrograms.
    n_filters : int, default=4096
        Number of filters.
    kernel_size : int, default=11
        Length of the filters in frames.
    random_state : int, default=0
        Seed of the filters. The global random number generator of torch is not used.

    Attributes
    ----------
    weight : torch.Tensor of shape (n_filters, n_channels, kernel_size)
        Gaussian weights of variance :math:`4 / (k (C + N))` as in [1]_, with the kernel size
        :math:`k` and the numbers of channels :math:`C` and filters :math:`N`. They are not part
        of the state dict.

    See Also
    --------
    InfiniteRandomNetwork : The limit of infinitely many filters, in closed form.

    References
    ----------
    .. [1] D. Ulyanov and V. Lebedev, "Audio texture synthesis and style transfer", 2016,
       https://dmitryulyanov.github.io/audio-texture-synthesis-and-style-transfer/

    Examples
    --------
    >>> import torch
    >>> from skstrf.texture import RandomNetwork
    >>> network = RandomNetwork(n_channels=65, n_filters=32)
    >>> network(torch.rand(2, 65, 40)).shape
    torch.Size([2, 32, 30])
    """

    weight: torch.Tensor

    def __init__(
        self,
        n_channels: int,
        n_filters: int = 4096,
        kernel_size: int = _KERNEL_SIZE,
        random_state: int = 0,
    ):
        super().__init__()
        n_channels = checked_whole(n_channels, "n_channels")
        n_filters = checked_whole(n_filters, "n_filters")
        kernel_size = checked_whole(kernel_size, "kernel_size")
        generator = torch.Generator().manual_seed(int(random_state))
        weight = torch.randn((n_filters, n_channels, kernel_size), generator=generator)
        deviation = 2 / (kernel_size * (n_channels + n_filters)) ** 0.5
        self.register_buffer("weight", weight * deviation, persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute the activations of spectrograms.

        Parameters
        ----------
        x : torch.Tensor of shape (..., n_channels, n_frames)
            Spectrograms of at least `kernel_size` frames.

        Returns
        -------
        torch.Tensor of shape (..., n_filters, n_frames - kernel_size + 1)
            Non-negative activations.
        """
        _, n_channels, kernel_size = self.weight.shape
        if x.ndim < 2 or x.shape[-2] != n_channels or x.shape[-1] < kernel_size:
            raise ValueError(
                f"this network takes spectrograms of shape (..., {n_channels}, n_frames) with at "
                f"least {kernel_size} frames; got {tuple(x.shape)}."
            )
        flat = x.reshape(-1, *x.shape[-2:])
        # With this many channels one matrix product over unfolded patches is twice as fast on
        # CPUs as a convolution, forward and backward.
        patches = flat.unfold(-1, kernel_size, 1).permute(0, 1, 3, 2).flatten(1, 2)
        result = (self.weight.flatten(1).to(x.dtype) @ patches).relu()
        return result.reshape(*x.shape[:-2], *result.shape[1:])


class InfiniteRandomNetwork:
    r"""Limit of :class:`RandomNetwork` for infinitely many filters, in closed form.

    The Gram matrix of infinitely many filters cannot be stored, but distances to it can be
    computed from the arc-cosine kernel of the patches of two spectrograms. The style is stored as
    spectrograms.

    Parameters
    ----------
    styles : list of torch.Tensor of shape (n_channels, n_frames)
        Spectrograms of the style, each of at least `kernel_size` frames. Patches do not extend
        from one spectrogram into another.
    kernel_size : int, default=11
        Length of the filters in frames.

    See Also
    --------
    RandomNetwork : A finite number of explicit filters.

    References
    ----------
    .. [1] Y. Cho and L. K. Saul, "Kernel methods for deep learning", NIPS, 2009.

    Examples
    --------
    >>> import torch
    >>> from skstrf.texture import InfiniteRandomNetwork
    >>> generator = torch.Generator().manual_seed(0)
    >>> style, x = torch.rand((2, 65, 40), generator=generator)
    >>> network = InfiniteRandomNetwork([style])
    >>> float(network.gram_distance(style)), float(network.gram_distance(2 * style))
    (0.0, 3.0)
    >>> float(network.gram_distance(x)) < 0.2 < float(network.content_distance(x, style))
    True
    """

    def __init__(self, styles: list[torch.Tensor], kernel_size: int = _KERNEL_SIZE):
        if not any(style.any() for style in styles):
            raise ValueError(
                "the style is empty or silent: distances relative to a Gram matrix of zeros are "
                "not defined."
            )
        self.kernel_size = kernel_size
        self.styles = [style.detach() for style in styles]
        self._norms = [_patch_norms(style, kernel_size) for style in self.styles]
        counts = [len(norms) for norms in self._norms]
        self._shares = [count / sum(counts) for count in counts]
        terms = [
            share * self._mean_square_with_styles(style, norms)
            for share, style, norms in zip(self._shares, self.styles, self._norms, strict=True)
        ]
        self._power = torch.stack(terms).sum()

    def gram_distance(self, x: torch.Tensor, *, squared: bool = False) -> torch.Tensor:
        r"""Relative distance of the Gram matrix of a spectrogram to that of the style.

        Parameters
        ----------
        x : torch.Tensor of shape (n_channels, n_frames)
            Spectrogram.
        squared : bool, default=False
            Whether to return the squared distance, which is smooth where the distance is 0.

        Returns
        -------
        torch.Tensor of shape ()
            :math:`\lVert G_x - G_s \rVert / \lVert G_s \rVert`.
        """
        norms = _patch_norms(x, self.kernel_size)
        own = self._kernel(x, x, norms, norms).square().mean()
        square = (own - 2 * self._mean_square_with_styles(x, norms) + self._power) / self._power
        return square if squared else square.clamp(min=0).sqrt()

    def content_distance(
        self, x: torch.Tensor, content: torch.Tensor, *, squared: bool = False
    ) -> torch.Tensor:
        """Relative distance of the activations of a spectrogram to those of the content.

        Parameters
        ----------
        x, content : torch.Tensor of shape (n_channels, n_frames)
            Spectrograms of one length.
        squared : bool, default=False
            Whether to return the squared distance.

        Returns
        -------
        torch.Tensor of shape ()
            Distance relative to the norm of the activations of the content.
        """
        a, b = _patch_norms(x, self.kernel_size), _patch_norms(content, self.kernel_size)
        product = (x * content).sum(-2).unfold(-1, self.kernel_size, 1).sum(-1)
        power = (b * b / 2).sum()
        distance = (a * a / 2 + b * b / 2 - 2 * arc_cosine_kernel(product, a, b)).sum()
        square = distance / power
        return square if squared else square.clamp(min=0).sqrt()

    def _kernel(self, x, y, norms_x, norms_y) -> torch.Tensor:
        product = _patch_products(x, y, self.kernel_size)
        return arc_cosine_kernel(product, norms_x[:, None], norms_y[None])

    def _mean_square_with_styles(self, x: torch.Tensor, norms: torch.Tensor) -> torch.Tensor:
        """Inner product of the Gram matrix of a spectrogram and that of the style."""
        terms = [
            share * self._kernel(x, style, norms, style_norms).square().mean()
            for share, style, style_norms in zip(
                self._shares, self.styles, self._norms, strict=True
            )
        ]
        return torch.stack(terms).sum()


# Arc-cosine kernel


def arc_cosine_kernel(
    product: torch.Tensor, norm_x: torch.Tensor, norm_y: torch.Tensor
) -> torch.Tensor:
    """Mean product of the ReLU activations of two patches over standard Gaussian filters."""
    scale = norm_x * norm_y
    return scale * _Angular.apply(product / scale) / (2 * math.pi)


class _Angular(torch.autograd.Function):
    """``sin a + (pi - a) cos a`` as a function of ``cos a``, with the derivative ``pi - a``.

    The derivative by automatic differentiation divides by the sine, which is 0 for equal patches.
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


def _patch_products(x: torch.Tensor, y: torch.Tensor, kernel_size: int) -> torch.Tensor:
    """Inner products of all patches of `kernel_size` frames of two spectrograms."""
    frames = x.mT @ y
    rows, columns = frames.shape[-2] - kernel_size + 1, frames.shape[-1] - kernel_size + 1
    if min(rows, columns) < 1:
        raise ValueError(
            f"spectrograms of {x.shape[-1]} and {y.shape[-1]} frames have no patches of "
            f"{kernel_size}."
        )
    # A product of patches is the sum of products of frames along a diagonal.
    total = frames[..., :rows, :columns].clone()
    for k in range(1, kernel_size):
        total += frames[..., k : k + rows, k : k + columns]
    return total


def _patch_norms(x: torch.Tensor, kernel_size: int) -> torch.Tensor:
    """Norms of all patches of `kernel_size` frames."""
    power = x.square().sum(-2)
    return power.unfold(-1, kernel_size, 1).sum(-1).clamp(min=_TINY_NORM).sqrt()
