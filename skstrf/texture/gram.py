r"""Content and Gram losses of a network's activations, and how near two of them are."""

from __future__ import annotations

import torch

from ..utils.settings import checked_whole

__all__ = ["content_loss", "gram_loss", "gram_matrix", "relative_distance", "style_loss"]

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
    r"""Weighted sum of the losses of several layers, :math:`\sum_l \omega_l E_l`.

    Parameters
    ----------
    losses : dict of str to torch.Tensor
        One a layer.
    weights : dict of str to float or None, default=None
        :math:`\omega_l`, divided by their sum; layers that it lacks have 1. None: all alike.

    Returns
    -------
    torch.Tensor
        Equation 15 of [1]_.

    Raises
    ------
    ValueError
        For weights of layers that are not there, negative ones, or none above 0.

    References
    ----------
    .. [1] E. Eremeeva, "Transform analysis and music style transfer with deep neural
       networks", ATIAM report, IRCAM, 2017, section 3.1.

    Examples
    --------
    >>> import torch
    >>> from skstrf.texture import style_loss
    >>> losses = {"conv1": torch.tensor(2.0), "conv2": torch.tensor(4.0)}
    >>> style_loss(losses), style_loss(losses, {"conv1": 0.0})
    (tensor(3.), tensor(4.))
    """
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

    Parameters
    ----------
    a, target : torch.Tensor of the same shape (..., n_rows, n_columns)
        What to judge, and what it should be.

    Returns
    -------
    torch.Tensor of shape (...)
        0 is equality; 1 is as far as silence is. Infinite for a target of zeros.

    Examples
    --------
    >>> import torch
    >>> from skstrf.texture import relative_distance
    >>> relative_distance(1.5 * torch.eye(3), torch.eye(3))
    tensor(0.5000)
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
