"""What a training reads: images, weighted soft targets, and batches of both."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from sklearn.model_selection import train_test_split

from skstrf.neural.augment import mixup
from skstrf.utils.stored import Stored

__all__ = [
    "ArrayDataset",
    "Batches",
    "Images",
    "fold_channels",
    "input_statistics",
    "soft_targets",
    "split_validation",
]

logger = logging.getLogger("skstrf")


def fold_channels(X: np.ndarray) -> np.ndarray:
    """View samples of any order as images: all axes but the last two are channels.

    Parameters
    ----------
    X : ndarray of shape (n_samples, ...)
        2-D samples are images of one channel, 1-D ones images of one row.

    Returns
    -------
    ndarray of shape (n_samples, n_channels, height, width)
        A view where numpy can give one.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf.neural.batches import fold_channels
    >>> fold_channels(np.zeros((5, 6, 10, 64, 25))).shape
    (5, 60, 64, 25)
    >>> fold_channels(np.zeros((5, 7))).shape
    (5, 1, 1, 7)
    """
    if X.ndim == 2:
        return X[:, None, None, :]
    return X.reshape(len(X), int(np.prod(X.shape[1:-2])), *X.shape[-2:])


class Images:
    """Samples in memory or on disk as images, of which only what is asked for is read.

    Parameters
    ----------
    X : ndarray or Stored of shape (n_samples, ...)
        Checked samples.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf.neural.batches import Images
    >>> images = Images(np.zeros((5, 6, 10, 64, 25), np.float32))
    >>> images.shape, images[np.array([4, 0])].shape
    ((5, 60, 64, 25), (2, 60, 64, 25))
    """

    def __init__(self, X: np.ndarray | Stored):
        self.X: Any = X
        self.dtype = X.dtype
        self.shape = fold_channels(np.broadcast_to(np.zeros((), X.dtype), X.shape)).shape
        self.channel_axes = tuple(X.shape[1:-2]) or (1,)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        """Read some images: the numbers of their samples, or a slice."""
        if isinstance(self.X, Stored) and not isinstance(rows, slice):
            return fold_channels(self.X.take(rows))
        return fold_channels(self.X[rows])


def input_statistics(
    X: np.ndarray | Images, rows: np.ndarray, weights: np.ndarray, over: str = "channel"
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of every channel, of every cell or of all.

    Parameters
    ----------
    X : ndarray or Images of shape (n_samples, n_channels, height, width)
        The samples.
    rows : ndarray of int of shape (n_rows,)
        Which of them to look at.
    weights : ndarray of shape (n_rows,)
        Weight of each.
    over : {"channel", "cell", "all"}
        One mean and deviation for each channel, for each cell of each channel,
        or for everything. A cell's deviation is not let under a twentieth of
        the whole tensor's, about: cells of hardly any variance would become
        as loud as the rest.

    Returns
    -------
    mean, scale : ndarray of float64 of shape (n_channels, 1, 1) or of a sample
        Where the values do not vary beyond the rounding of their type, the scale is 1.

    Raises
    ------
    ValueError
        When the squares of the values exceed float64.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf.neural.batches import input_statistics
    >>> X = np.array([1.0, 3.0]).reshape(2, 1, 1, 1)
    >>> mean, scale = input_statistics(X, np.arange(2), np.ones(2))
    >>> mean.item(), scale.item()
    (2.0, 1.0)
    """
    axes = {"channel": (2, 3), "cell": (), "all": (1, 2, 3)}[over]
    share = weights / weights.sum()

    # Two passes in chunks: float64 copies of some 16 MB, never of all samples.
    size = max(1, 2**21 // int(np.prod(X.shape[1:])))

    def average(function):
        total = np.zeros(1)
        for first in range(0, len(rows), size):
            values = function(X[rows[first : first + size]].astype(np.float64))
            part = values.mean(axes, keepdims=True) if axes else values
            total = total + np.tensordot(share[first : first + size], part, 1)
        return total

    with np.errstate(over="ignore", invalid="ignore"):
        mean = average(lambda x: x)
        variance = average(lambda x: (x - mean) ** 2)
    if not (np.isfinite(mean).all() and np.isfinite(variance).all()):
        raise ValueError("X holds values whose squares are infinite: divide X by a constant.")
    if over == "cell":
        variance = variance + 0.05**2 * variance.mean()
    scale = np.sqrt(variance)
    scale[scale <= 10 * np.finfo(X.dtype).eps * np.abs(mean)] = 1.0
    shape = X.shape[1:] if over == "cell" else (X.shape[1], 1, 1)
    return np.broadcast_to(mean, shape).copy(), np.broadcast_to(scale, shape).copy()


def soft_targets(
    codes: np.ndarray, n_classes: int, weights: np.ndarray, smoothing: float = 0.0
) -> torch.Tensor:
    """Write each sample's weight under its class, a share of it spread over all.

    With the weights in the targets, the mean cross-entropy of a batch is the
    weighted one, and mixing two samples mixes their weights too.

    Parameters
    ----------
    codes : ndarray of int of shape (n_samples,)
        Index of each sample's class.
    n_classes : int
        How many there are.
    weights : ndarray of shape (n_samples,)
        Brought to a mean of 1 here.
    smoothing : float in [0, 1)
        The share.

    Returns
    -------
    Tensor of float32 of shape (n_samples, n_classes)
        Each row sums to the sample's weight.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf.neural.batches import soft_targets
    >>> soft_targets(np.array([0, 1]), 2, np.array([1.0, 3.0])).tolist()
    [[0.5, 0.0], [0.0, 1.5]]
    """
    onehot = np.eye(n_classes)[codes] * (1 - smoothing) + smoothing / n_classes
    weights = weights / weights.mean()
    return torch.as_tensor((onehot * weights[:, None]).astype(np.float32))


def split_validation(
    codes: np.ndarray, fraction: float, random_state: int
) -> tuple[np.ndarray, np.ndarray] | None:
    """Hold back a part of the samples with every class in its share.

    Classes with one sample stay in training. With fewer places than classes the
    part grows to one sample a class, as long as that is a third at most.

    Parameters
    ----------
    codes : ndarray of int of shape (n_samples,)
        Class of each sample.
    fraction : float in (0, 1)
        Share to hold back.
    random_state : int
        Seed of the draw.

    Returns
    -------
    (ndarray, ndarray) or None
        Ascending indices of both parts; None when no such split exists.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf.neural.batches import split_validation
    >>> train, valid = split_validation(np.repeat([0, 1], 10), 0.2, 0)
    >>> len(train), len(valid)
    (16, 4)
    >>> split_validation(np.array([0, 0, 1, 1]), 0.2, 0) is None
    True
    """
    counts = np.bincount(codes)
    common = np.flatnonzero(counts >= 2)
    candidates = np.flatnonzero(counts[codes] >= 2)
    asked = int(np.ceil(fraction * len(codes)))
    n_valid = max(asked, len(common))
    if len(common) < 2 or n_valid > max(asked, len(codes) // 3):
        return None
    if len(candidates) - n_valid < len(common):
        return None
    if n_valid > asked or len(candidates) < len(codes):
        logger.info(
            "validation part: %d samples instead of %d, one at least of every class that has "
            "two or more samples",
            n_valid,
            asked,
        )
    _, valid = train_test_split(
        candidates, test_size=n_valid, random_state=random_state, stratify=codes[candidates]
    )
    valid.sort()
    return np.setdiff1d(np.arange(len(codes)), valid), valid


class ArrayDataset(torch.utils.data.Dataset):
    """Some of the samples with their targets, read a whole batch at a time.

    Parameters
    ----------
    X : ndarray or Images of shape (n_samples, n_channels, height, width)
        Kept as it is: batches are copied out of it, so it may be larger than memory.
    targets : Tensor of shape (n_rows, n_classes)
        From :func:`soft_targets`.
    rows : ndarray of int of shape (n_rows,), optional
        Which samples of `X` these are; all when not given.
    """

    def __init__(
        self, X: np.ndarray | Images, targets: torch.Tensor, rows: np.ndarray | None = None
    ):
        self.X, self.targets = X, targets
        self.rows = np.arange(len(X)) if rows is None else rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.from_numpy(self.X[self.rows[index]]), self.targets[index]


class Batches:
    """What skorch takes in place of torch's loader: batches of nearly one size.

    torch's loader copies sample by sample, draws its seed from the global
    generator, and may leave a last batch of one sample, which batch
    normalisation cannot use.

    Parameters
    ----------
    dataset : ArrayDataset
        The samples.
    batch_size : int
        Largest number of samples in a batch.
    generator : torch.Generator, optional
        Shuffles every epoch; without one the order stays.
    alpha : float
        See :func:`~skstrf.neural.augment.mixup`.
    """

    def __init__(
        self,
        dataset: ArrayDataset,
        batch_size: int,
        generator: torch.Generator | None = None,
        alpha: float = 0.0,
    ):
        self.dataset, self.batch_size = dataset, batch_size
        self.generator, self.alpha = generator, alpha

    def __len__(self) -> int:
        return -(-len(self.dataset) // self.batch_size)

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        order = np.arange(len(self.dataset))
        if self.generator is not None:
            order = torch.randperm(len(order), generator=self.generator).numpy()
        for index in np.array_split(order, len(self)):
            x, targets = self.dataset[index]
            if self.generator is not None:
                x, targets = mixup(x, targets, self.alpha, self.generator)
            yield x, targets
