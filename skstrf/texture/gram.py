"""Content and Gram losses of a network's activations, and how near two of them are."""

from __future__ import annotations

import math
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
    "patch_norms",
    "patch_products",
    "relative_distance",
    "style_loss",
]


# Below this share of a norm a distance is rounding, and has no direction to go.
_TINY = 1e-30


def gram_matrix(activations: torch.Tensor, *, mean: bool = True) -> torch.Tensor:
    r"""Products of feature maps, over all positions.

    .. math:: G_{ij} = \frac{1}{M} \sum_k F_{ik} F_{jk}

    Parameters
    ----------
    activations : torch.Tensor of shape (..., n_maps, n_positions)
        Real. Images are flattened to positions first.
    mean : bool, default=True
        Divide by the number of positions, so that sounds of different lengths compare. False
        gives the sum, as equation 12 of [1]_ has it.

    Returns
    -------
    torch.Tensor of shape (..., n_maps, n_maps)
        Symmetric; gradients pass.

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


def content_loss(activations: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    r"""Half the squared difference of activations, summed over maps and positions.

    .. math:: \mathcal{L}_{content} = \frac{1}{2} \sum_{ij} (F_{ij} - P_{ij})^2

    Parameters
    ----------
    activations, target : torch.Tensor of shape (..., n_maps, n_positions)
        Of the sound that is made, and of the content.

    Returns
    -------
    torch.Tensor of shape (...)
        Equation 10 of [1]_; its gradient is equation 11.

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
    r"""Squared difference of two Gram matrices, as a style loss.

    .. math:: E = \frac{1}{4 N^2 M^2} \sum_{ij} (G_{ij} - A_{ij})^2

    Parameters
    ----------
    gram, target : torch.Tensor of shape (..., n_maps, n_maps)
        Of the sound that is made, and of the style.
    n_positions : int or None, default=None
        :math:`M`, when the matrices are sums over so many positions. None: they are means, of
        which :math:`M` is already a part.

    Returns
    -------
    torch.Tensor of shape (...)
        Equation 13 of [1]_; its gradient in the activations is equation 14.

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


def style_loss(
    losses: dict[str, torch.Tensor], weights: dict[str, float] | None = None
) -> torch.Tensor:
    r"""Weighted sum of the losses of several layers, :math:`\sum_l \omega_l E_l`."""
    chosen = {name: float((weights or {}).get(name, 1.0)) for name in losses}
    unknown = sorted(set(weights or {}) - set(losses))
    if unknown:
        raise ValueError(f"weights of {unknown}, but the layers are {sorted(losses)}.")
    total = sum(chosen.values())
    if min(chosen.values(), default=-1.0) < 0 or not 0 < total < float("inf"):
        raise ValueError(f"weights must not be negative, and one must be above 0: got {chosen}.")
    terms = [chosen[name] / total * loss for name, loss in losses.items() if chosen[name] > 0]
    return torch.stack(torch.broadcast_tensors(*terms)).sum(0)


def relative_distance(a: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    r"""Euclidean distance of two matrices in parts of the target's norm.

    .. math:: \lVert a - b \rVert / \lVert b \rVert

    Of Gram matrices, the relative Gram distance; of activations, the relative content distance.
    """
    _check_pair(a, target)
    distance = (a - target).square().sum((-2, -1))
    norm = target.square().sum((-2, -1))
    return (distance / norm.clamp(min=_TINY)).clamp(min=_TINY).sqrt().where(norm > 0, torch.inf)


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
            f"shapes {tuple(a.shape)} and {tuple(target.shape)} differ: compare sounds of one "
            "length (for content) and networks of one size."
        )
    try:
        torch.broadcast_shapes(a.shape, target.shape)
    except RuntimeError as error:
        raise ValueError(
            f"batches of the shapes {tuple(a.shape)} and {tuple(target.shape)} do not go "
            "together: give as many targets, or one for all."
        ) from error


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
    """Inner products of all patches of `width` frames of two spectrograms."""
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
    """Norms of all patches of `width` frames."""
    power = x.square().sum(-2)
    return power.unfold(-1, width, 1).sum(-1).clamp(min=_SMALLEST).sqrt()


def arc_cosine_kernel(
    product: torch.Tensor, norm_x: torch.Tensor, norm_y: torch.Tensor
) -> torch.Tensor:
    r"""Mean over Gaussian filters of unit variance of the product of two ReLU activations."""
    scale = norm_x * norm_y
    return scale * _Angular.apply(product / scale) / (2 * math.pi)


_DEFAULT_WIDTH = 11


class RandomNetwork(nn.Module):
    r"""Random filters of `width` frames over all channels of a spectrogram, and a ReLU.

    Parameters
    ----------
    n_channels : int
        Channels (frequencies) of the spectrograms.
    n_filters : int, default=4096
        Filters.
    width : int, default=11
        Frames that a filter sees.
    random_state : int, default=0
        Seed of a generator of its own: torch's global one is left alone.

    Attributes
    ----------
    weight : torch.Tensor of shape (n_filters, n_channels, width)
        Gaussian, of variance :math:`4 / (w (C + N))` as in [1]_; not part of a state dict.

    See Also
    --------
    InfiniteRandomNetwork : Of infinitely many filters, and a hundred times as fast.

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
        width: int = _DEFAULT_WIDTH,
        random_state: int = 0,
    ):
        super().__init__()
        n_channels = checked_whole(n_channels, "n_channels")
        n_filters = checked_whole(n_filters, "n_filters")
        width = checked_whole(width, "width")
        generator = torch.Generator().manual_seed(int(random_state))
        weight = torch.randn((n_filters, n_channels, width), generator=generator)
        deviation = 2 / (width * (n_channels + n_filters)) ** 0.5
        self.register_buffer("weight", weight * deviation, persistent=False)

    @property
    def width(self) -> int:
        """Frames that a filter sees."""
        return self.weight.shape[-1]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Activations.

        Parameters
        ----------
        x : torch.Tensor of shape (..., n_channels, n_frames)
            Spectrograms.

        Returns
        -------
        torch.Tensor of shape (..., n_filters, n_frames - width + 1)
            Not negative.
        """
        _, n_channels, width = self.weight.shape
        if x.ndim < 2 or x.shape[-2] != n_channels or x.shape[-1] < width:
            raise ValueError(
                f"this network takes spectrograms of shape (..., {n_channels}, n_frames) with at "
                f"least {width} frames; got {tuple(x.shape)}."
            )
        flat = x.reshape(-1, *x.shape[-2:])
        # One matrix product over unfolded patches: twice as fast on CPUs as a convolution of as
        # many channels, forward and backward.
        patches = flat.unfold(-1, width, 1).permute(0, 1, 3, 2).flatten(1, 2)
        result = (self.weight.flatten(1).to(x.dtype) @ patches).relu()
        return result.reshape(*x.shape[:-2], *result.shape[1:])


class InfiniteRandomNetwork:
    r"""What :class:`RandomNetwork` tends to as its filters become ever more.

    Gram matrices of infinitely many filters cannot be held, but their distances can be known, see
    :mod:`skstrf.texture.gram`. A style is kept as spectrograms.

    Parameters
    ----------
    styles : list of torch.Tensor of shape (n_channels, n_frames)
        Spectrograms of the style, each of at least `width` frames; patches do not reach from one
        into another.
    width : int, default=11
        Frames that a filter sees.

    See Also
    --------
    RandomNetwork : With filters that one can look at.

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

    def __init__(self, styles: list[torch.Tensor], width: int = _DEFAULT_WIDTH):
        if not any(style.any() for style in styles):
            raise ValueError(
                "the style is silent, or there is none: nothing is near a Gram matrix of 0."
            )
        self.width = width
        self.styles = [style.detach() for style in styles]
        self._norms = [patch_norms(style, width) for style in self.styles]
        counts = [len(norms) for norms in self._norms]
        self._shares = [count / sum(counts) for count in counts]
        self._power = self._mean_square_of_styles()

    def gram_distance(self, x: torch.Tensor, *, squared: bool = False) -> torch.Tensor:
        r"""Relative distance of the Gram matrix of a spectrogram to that of the style.

        Parameters
        ----------
        x : torch.Tensor of shape (n_channels, n_frames)
            A spectrogram.
        squared : bool, default=False
            Give the square, which is smooth where the distance is 0.

        Returns
        -------
        torch.Tensor of shape ()
            :math:`\lVert G_x - G_s \rVert / \lVert G_s \rVert`.
        """
        norms = patch_norms(x, self.width)
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
            Spectrograms.
        squared : bool, default=False
            Give the square.

        Returns
        -------
        torch.Tensor of shape ()
            In parts of the norm of the content's activations.
        """
        a, b = patch_norms(x, self.width), patch_norms(content, self.width)
        product = (x * content).sum(-2).unfold(-1, self.width, 1).sum(-1)
        power = (b * b / 2).sum()
        distance = (a * a / 2 + b * b / 2 - 2 * arc_cosine_kernel(product, a, b)).sum()
        square = distance / power
        return square if squared else square.clamp(min=0).sqrt()

    def _kernel(self, x, y, norms_x, norms_y) -> torch.Tensor:
        product = patch_products(x, y, self.width)
        return arc_cosine_kernel(product, norms_x[:, None], norms_y[None])

    def _mean_square_with_styles(self, x: torch.Tensor, norms: torch.Tensor) -> torch.Tensor:
        terms = [
            share * self._kernel(x, style, norms, style_norms).square().mean()
            for share, style, style_norms in zip(
                self._shares, self.styles, self._norms, strict=True
            )
        ]
        return torch.stack(terms).sum()

    def _mean_square_of_styles(self) -> torch.Tensor:
        pairs = zip(self._shares, self.styles, self._norms, strict=True)
        terms = [
            share * self._mean_square_with_styles(style, norms) for share, style, norms in pairs
        ]
        return torch.stack(terms).sum()


def finite_gram(network: RandomNetwork, spectrograms: list[torch.Tensor]) -> torch.Tensor:
    """Gram matrix of the activations, averaged over all positions of several spectrograms."""
    total, count = None, 0
    for spectrogram in spectrograms:
        activations = network(spectrogram)
        gram = gram_matrix(activations, mean=False)
        total = gram if total is None else total + gram
        count += activations.shape[-1]
    if total is None:
        raise ValueError("spectrograms is empty: give at least one.")
    return total / count
