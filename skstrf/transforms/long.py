"""STRFTransformer on one sound of any length, in flat memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from sklearn.base import clone

from ..auditory import (
    auditory_spectrogram_blocks,
    cortical_transform_blocks,
)
from ..auditory.long import FrameFile
from ..utils.arrays import to_numpy
from ..utils.devices import resolve_device
from .axes import Axis
from .strf import STRFTransformer

__all__ = ["long_axes", "transform_blocks"]

# Samples of the silence that settings are checked on.
_SILENCE = 4096


def transform_blocks(
    strf: STRFTransformer,
    blocks: Iterable[Any],
    *,
    block_length: int | None = None,
    folder: Any = None,
) -> Iterator[np.ndarray]:
    """Transform one sound that comes block by block, and give its tensor block by block.

    Parameters
    ----------
    strf : STRFTransformer
        The settings; it need not be fitted, and stays as it is.
    blocks : iterable of array-like of shape (n_times,)
        The sound in order, as :func:`skstrf.datasets.audio_blocks` reads it from a file. With
        ``normalize=True`` it is gone through twice (mean and deviation of the whole come
        first), so it must be a list or another iterable that starts anew, not a generator.
    block_length : int, optional
        Frames of every block of the tensor but the last. None: about 64 MB.
    folder : str or Path, optional
        For temporary files, 400 MB for an hour with the default rates. None takes the
        system's folder for such.

    Yields
    ------
    ndarray of shape (n_scales, n_rates, n_freqs, block_length)
        Joined along the last axis they are ``strf.fit_transform(sound)[0]``: before
        compression to 1e-4 of the largest magnitude, see
        :func:`skstrf.auditory.cortical_transform_blocks`; equal for up to 33 s.

    Raises
    ------
    ValueError
        On NaN, settings that make no sense, no samples, or a generator where two passes are
        needed.

    See Also
    --------
    long_axes : Names and values of the axes.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf import STRFTransformer
    >>> from skstrf.transforms import transform_blocks
    >>> rng = np.random.default_rng(0)
    >>> minute = [rng.standard_normal(16000).astype(np.float32) for _ in range(60)]
    >>> strf = STRFTransformer(rates=[4, 8], scales=[1])
    >>> parts = transform_blocks(strf, minute, block_length=40)
    >>> [part.shape for part in parts]
    [(1, 4, 128, 40), (1, 4, 128, 20)]
    """
    settled = _settled(strf)
    if settled.normalize and iter(blocks) is blocks:
        raise ValueError(
            "blocks can be gone through once only, but normalize=True needs the mean of the whole "
            "first. Pass a list, or what audio_blocks returns, or set normalize=False."
        )
    return _transformed(settled, blocks, block_length, folder)


def long_axes(strf: STRFTransformer, n_times: int) -> list[Axis]:
    """Give the axes of the tensor of a sound of any length, without computing it.

    Parameters
    ----------
    strf : STRFTransformer
        The settings.
    n_times : int
        Samples of the sound, at the transformer's sample rate.

    Returns
    -------
    list of Axis
        As ``axes_`` after a fit on such a sound.

    Examples
    --------
    >>> from skstrf import STRFTransformer
    >>> from skstrf.transforms import long_axes
    >>> [len(axis.values) for axis in long_axes(STRFTransformer(), 3600 * 16000)]
    [6, 10, 128, 3600]
    """
    settled = _settled(strf)
    n_frames = -(-settled._n_frames(n_times) // settled.frame_step_)
    return settled._make_axes(len(settled.axes_[2].values), n_frames)


def _settled(strf: STRFTransformer) -> STRFTransformer:
    """A copy that is fitted, on a short silence: the length of the sound comes later."""
    return clone(strf).fit(np.zeros((1, _SILENCE), dtype=np.float32))


def _transformed(
    strf: STRFTransformer, blocks: Iterable[Any], block_length: int | None, folder: Any
) -> Iterator[np.ndarray]:
    import torch

    device = resolve_device(strf.device)
    spectrogram = _spectrogram(strf, blocks, folder)
    try:
        for block in cortical_transform_blocks(
            spectrogram,
            frame_step=strf.frame_step_,
            output=strf.output,
            pooling=strf.pooling,
            block_length=block_length,
            folder=folder,
            device=device,
            **strf._bank(),
        ):
            yield to_numpy(strf._compressed(torch.from_numpy(block)[None]))[0]
    finally:
        spectrogram.close()


def _spectrogram(strf: STRFTransformer, blocks: Iterable[Any], folder: Any) -> FrameFile:
    """The auditory spectrogram of the whole, on disk."""
    parts = auditory_spectrogram_blocks(
        _standardized(blocks) if strf.normalize else blocks,
        sample_rate=strf.sample_rate,
        frame_length=strf.frame_length,
        time_constant=strf.time_constant,
        nonlinearity=strf.nonlinearity,
        n_jobs=strf.n_jobs,
    )
    file: FrameFile | None = None
    for part in parts:
        file = file or FrameFile(strf.dtype or part.dtype, len(part), folder)
        file.append(part)
    assert file is not None, "the spectrogram of at least one sample has a frame"
    return file


def _standardized(blocks: Iterable[Any]) -> Iterator[np.ndarray]:
    """Zero mean and unit variance over all blocks, by the rules of STRFTransformer."""
    n_times, mean, squares = 0, 0.0, 0.0
    for block in blocks:
        values = np.asarray(block, dtype=np.float64)
        if values.size == 0:
            continue
        # Chan, Golub and LeVeque's update of mean and sum of squares by a block.
        difference = values.mean() - mean
        squares += ((values - values.mean()) ** 2).sum()
        squares += difference**2 * n_times * values.size / (n_times + values.size)
        n_times += values.size
        mean += difference * values.size / n_times
    deviation = np.sqrt(squares / max(1, n_times - 1))
    is_constant = deviation <= 1e-7 * abs(mean) or deviation == 0
    scale = 0.0 if is_constant else 1.0 / deviation
    for block in blocks:
        values = np.asarray(block)
        dtype = np.float32 if values.dtype in (np.float32, np.float16) else np.float64
        yield ((values - mean) * scale).astype(dtype)
