"""The grid of frames that all transformers share."""

from __future__ import annotations

import numpy as np

from .axes import Axis

__all__ = ["frame_axis", "hop_length", "n_frames"]

# Largest deviation of the true frame rate from the one asked for.
_TOLERANCE = 0.01
_LONGEST = 2**24  # samples from one frame to the next: a quarter of an hour at 16 kHz


def hop_length(sample_rate: float, frame_rate: float) -> int:
    """Samples from one frame to the next.

    Frame `k` stands for the samples from ``k * hop`` to ``(k + 1) * hop``, and is centred between
    them; the last frame is filled up with silence. Where `frame_rate` does not divide
    `sample_rate` the hop is rounded, the same way in every transformer, and the time axis says
    where the frames truly are.

    Parameters
    ----------
    sample_rate : float
        Of the sounds, in Hz.
    frame_rate : float
        Frames per second.

    Returns
    -------
    int
        At least 1.

    Raises
    ------
    ValueError
        If there are more frames than samples, if they are more than 2**24 samples apart, or if
        rounding would change the frame rate by more than one percent.

    Examples
    --------
    >>> from skstrf.transforms.grid import hop_length
    >>> hop_length(16000, 62.5), hop_length(16000, 125 / 8), hop_length(22050, 62.5)
    (256, 1024, 353)
    """
    if frame_rate > sample_rate:
        raise ValueError(
            f"frame_rate={frame_rate:g} is above sample_rate={sample_rate:g}: there cannot be "
            "more frames than samples. Lower frame_rate."
        )
    if not sample_rate <= _LONGEST * frame_rate:
        raise ValueError(
            f"frame_rate={frame_rate:g} puts frames {sample_rate / frame_rate:.3g} samples apart, "
            f"more than {_LONGEST}. Raise frame_rate."
        )
    hop = round(sample_rate / frame_rate)
    if abs(sample_rate / hop - frame_rate) > _TOLERANCE * frame_rate:
        raise ValueError(
            f"frame_rate={frame_rate:g} is {sample_rate / frame_rate:.3g} samples per frame at "
            f"sample_rate={sample_rate:g}, too far from a whole number. The nearest frame rates "
            f"are {sample_rate / (hop + 1):.6g}, {sample_rate / hop:.6g} and "
            f"{sample_rate / max(1, hop - 1):.6g}."
        )
    return hop


def n_frames(n_times: int, hop: int) -> int:
    """Frames of a sound of `n_times` samples: ``ceil(n_times / hop)``.

    Parameters
    ----------
    n_times : int
        Samples of the sound.
    hop : int
        Samples from one frame to the next.

    Returns
    -------
    int
        At least 1.

    Examples
    --------
    >>> from skstrf.transforms.grid import n_frames
    >>> n_frames(16000, 256), n_frames(1, 256)
    (63, 1)
    """
    return -(-n_times // hop)


def frame_axis(n_times: int, hop: int, sample_rate: float) -> Axis:
    """Time axis of a sound's frames.

    Parameters
    ----------
    n_times : int
        Samples of the sound.
    hop : int
        Samples from one frame to the next.
    sample_rate : float
        Of the sound, in Hz.

    Returns
    -------
    Axis
        The middle of every frame in seconds: ``(k + 1/2) * hop / sample_rate``.

    Examples
    --------
    >>> from skstrf.transforms.grid import frame_axis
    >>> frame_axis(3000, 1024, 16000).values
    array([0.032, 0.096, 0.16 ])
    """
    middles = (np.arange(n_frames(n_times, hop)) + 0.5) * hop / sample_rate
    return Axis("time", "s", middles)
