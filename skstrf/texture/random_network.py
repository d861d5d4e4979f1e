r"""One layer of random filters over a spectrogram, drawn or in closed form.

What Ulyanov and Lebedev [1]_ take for a network: the spectrogram is an image of one row, frames
wide, with frequencies as its channels; filters of Gaussian numbers see `width` frames of all
frequencies; a ReLU follows. Nothing is learned.

.. [1] D. Ulyanov and V. Lebedev, "Audio texture synthesis and style transfer", 2016,
   https://dmitryulyanov.github.io/audio-texture-synthesis-and-style-transfer/
"""

from __future__ import annotations

import torch
from torch import nn

from ..utils.settings import checked_whole
from .arc_cosine import arc_cosine_kernel, patch_norms, patch_products
from .gram import gram_matrix

__all__ = ["InfiniteRandomNetwork", "RandomNetwork"]

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
    :mod:`skstrf.texture.arc_cosine`. A style is kept as spectrograms.

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
    """Gram matrix of a network's activations, a mean over all positions of several spectrograms.

    Parameters
    ----------
    network : RandomNetwork
        The filters.
    spectrograms : list of torch.Tensor of shape (n_channels, n_frames)
        Of any lengths; one is looked at at a time.

    Returns
    -------
    torch.Tensor of shape (n_filters, n_filters)
        As of one long spectrogram, without patches across the joins.

    Examples
    --------
    >>> import torch
    >>> from skstrf.texture.random_network import RandomNetwork, finite_gram
    >>> finite_gram(RandomNetwork(5, n_filters=8), [torch.rand(5, 20), torch.rand(5, 30)]).shape
    torch.Size([8, 8])
    """
    total, count = None, 0
    for spectrogram in spectrograms:
        activations = network(spectrogram)
        gram = gram_matrix(activations, mean=False)
        total = gram if total is None else total + gram
        count += activations.shape[-1]
    if total is None:
        raise ValueError("spectrograms is empty: give at least one.")
    return total / count
