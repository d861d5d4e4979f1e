"""Pre-training of convolutional layers without labels, as a masked autoencoder."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from sklearn.base import clone
from sklearn.utils import check_random_state
from torch import nn
from torch.nn.functional import interpolate

from skstrf.neural.classifier import CNNClassifier
from skstrf.neural.exceptions import TrainingDivergedError
from skstrf.neural.networks import LayeredNet
from skstrf.neural.samples import fold_channels
from skstrf.neural.training import raw_module
from skstrf.utils.validation import checked_number, checked_whole

__all__ = ["pretrain_masked"]

# Number of cells of the mask along the first image axis; along the last one each frame is a cell.
_ROWS = 16


def pretrain_masked(
    classifier: CNNClassifier,
    X: np.ndarray,
    *,
    masked: float = 0.5,
    max_epochs: int = 20,
    batch_size: int = 32,
    lr: float = 1e-3,
    random_state: Any = None,
    callback: Callable[[int, float], Any] | None = None,
) -> CNNClassifier:
    """Train the convolutional layers of a classifier to reconstruct masked parts of tensors.

    Random cells of frequency and time are replaced by the mean in all channels. The outputs of
    all convolutional layers, interpolated to one size, predict the original values by a linear
    map. The squared error of the masked cells is minimized, as in masked autoencoders [1]_.

    Parameters
    ----------
    classifier : CNNClassifier
        Classifier whose parameters define the network; it is not changed.
    X : ndarray of shape (n_samples, ...)
        Unlabeled tensors of the kind that the classifier will be trained on.
    masked : float, default=0.5
        Fraction of the cells that is masked.
    max_epochs : int, default=20
        Number of epochs.
    batch_size : int, default=32
        Number of samples in a training batch.
    lr : float, default=1e-3
        Initial learning rate of Adam, which decreases to 0 along a cosine.
    random_state : int, RandomState instance or None, default=None
        Seed of the initial weights, the order of the samples and the masks.
    callback : callable or None, default=None
        Function that is called with the number and the mean loss of each epoch. A prediction by
        the mean has a loss of 1.

    Returns
    -------
    CNNClassifier
        Classifier with the trained layers, for the parameter `warm_start_from`. Its own
        predictions are meaningless.

    Raises
    ------
    ValueError
        If `masked` is not between 0 and 1, `X` holds fewer than two tensors, or another
        parameter is out of range.
    TrainingDivergedError
        If the loss is not finite.

    See Also
    --------
    CNNClassifier : Takes the result as `warm_start_from`.

    References
    ----------
    .. [1] K. He, X. Chen, S. Xie, Y. Li, P. Dollár and R. Girshick, "Masked autoencoders are
       scalable vision learners", CVPR, 16000-16009, 2022.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf import CNNClassifier
    >>> from skstrf.neural import pretrain_masked
    >>> X = np.random.default_rng(0).standard_normal((12, 4, 16, 9)).astype("float32")
    >>> start = pretrain_masked(CNNClassifier(max_epochs=2), X, max_epochs=1, random_state=0)
    >>> few = CNNClassifier(warm_start_from=start, max_epochs=2).fit(X[:4], [0, 1, 0, 1])
    >>> few.predict(X).shape
    (12,)
    """
    if not 0 < masked < 1:
        raise ValueError(f"masked={masked!r} must be a fraction between 0 and 1.")
    max_epochs = checked_whole(max_epochs, "max_epochs")
    batch_size = checked_whole(batch_size, "batch_size")
    lr = checked_number(lr, "lr", low=0, high=1e3, open_low=True)
    rng = check_random_state(random_state)
    seed = int(rng.randint(2**31 - 1))
    twin = clone(classifier).set_params(
        warm_start_from=None, frozen_layers=0, layer_lr={}, max_epochs=1, random_state=seed
    )
    # Arbitrary labels, to build the network for this shape and its standardization.
    twin.fit(X, np.arange(len(X)) % 2)
    module = raw_module(twin.net_)
    X = np.asarray(X)
    images = fold_channels(X if X.dtype in (np.float32, np.float64) else X.astype(np.float64))
    _fill_in(module, images, masked, max_epochs, batch_size, lr, seed, callback)
    return twin


def _fill_in(
    module: LayeredNet,
    images: np.ndarray,
    masked: float,
    max_epochs: int,
    batch_size: int,
    lr: float,
    seed: int,
    callback: Callable[[int, float], Any] | None,
) -> None:
    generator = torch.Generator().manual_seed(seed)
    device = next(module.parameters()).device
    layers = [name for name in module.layer_names if name.startswith("conv")]
    module.eval()  # the masked parts would shift the statistics of the batches
    with torch.no_grad():
        found = module.activations(torch.from_numpy(images[:1]).to(device), layers)
    width = sum(maps.shape[1] for maps in found.values())
    weight = torch.randn(images.shape[1], width, generator=generator) / math.sqrt(width)
    decoder = nn.Parameter(weight.to(device))
    parameters = [p for name in layers for p in module.get_submodule(name).parameters()]
    adam = torch.optim.Adam([*parameters, decoder], lr=lr)
    n_batches = -(-len(images) // batch_size)
    decay = torch.optim.lr_scheduler.LambdaLR(
        adam, lambda i: 0.5 * (1 + math.cos(math.pi * min(1.0, i / (max_epochs * n_batches))))
    )
    for epoch in range(max_epochs):
        total = 0.0
        for rows in torch.randperm(len(images), generator=generator).split(batch_size):
            x = torch.from_numpy(images[rows.numpy()]).to(device)
            loss = _loss(module, layers, decoder, x, masked, generator)
            adam.zero_grad()
            loss.backward()
            adam.step()
            decay.step()
            total += float(loss.detach()) * len(rows) / len(images)
        if not math.isfinite(total):
            raise TrainingDivergedError(
                f"training diverged: the loss of epoch {epoch + 1} is not finite. "
                "Use a smaller lr."
            )
        if callback is not None:
            callback(epoch + 1, total)


def _loss(module, layers, decoder, x, masked, generator) -> torch.Tensor:
    """Compute the mean squared error of the masked cells of the standardized input."""
    size = x.shape[2:]
    grid = torch.rand(len(x), 1, min(_ROWS, size[0]), size[1], generator=generator)
    hidden = interpolate((grid < masked).float(), size=size).to(x.device)
    target = module.standardize(x)
    seen = torch.where(hidden.bool(), module.standardize.mean.to(x.dtype), x)
    found = module.activations(seen, layers)
    maps = torch.cat([interpolate(found[name], size=size) for name in layers], dim=1)
    predicted = torch.einsum("cw,nwhk->nchk", decoder, maps)
    return ((predicted - target).square() * hidden).sum() / (hidden.sum() * x.shape[1] + 1e-9)
