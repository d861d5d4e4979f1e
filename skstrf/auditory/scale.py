"""The scale filters alone, frame by frame: a spectrum's profile at every resolution and back."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..utils.settings import checked_number
from .cortex import DEFAULT_SCALES
from .modulation_filters import check_ascending, filter_kinds, scale_filter

__all__ = ["invert_scale_transform", "scale_transform"]


def scale_transform(
    v: Any,
    *,
    scales: Any = DEFAULT_SCALES,
    channels_per_octave: float = 24,
    bandpass: bool = False,
) -> np.ndarray:
    """Responses of the scale filters to every frame, without any filter along time.

    Parameters
    ----------
    v : array-like of shape (..., n_freqs, n_frames)
        Auditory spectrograms, lowest frequency first.
    scales : sequence of float, default=(0.25, 0.5, 1, 2, 4, 8)
        Cycles/octave, ascending.
    channels_per_octave : float, default=24
        Density of the channels.
    bandpass : bool, default=False
        True makes the lowest and highest filters band-pass too.

    Returns
    -------
    ndarray of shape (..., n_scales, n_freqs, n_frames), complex
        complex64 for float32 input, else complex128.

    Raises
    ------
    ValueError
        On fewer than two axes, NaN or infinity, or scales that cannot be.

    Notes
    -----
    Equals the NSL toolbox's ``aud2cors``. A straight line joins the top of each spectrum to its
    bottom before the Fourier transform, so that it has no step there.

    References
    ----------
    .. [1] K. Wang and S. A. Shamma, "Spectral shape analysis in the central auditory system",
       IEEE Trans. Speech and Audio Processing 3(5), 382-395, 1995.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf.auditory import scale_transform
    >>> scale_transform(np.ones((128, 10))).shape
    (6, 128, 10)
    """
    array = _check(v, "fiu", 2, "A spectrogram", "(..., n_freqs, n_frames)")
    n_freqs = array.shape[-2]
    half = 1 << (n_freqs - 1).bit_length()
    n_pad = 2 * half - n_freqs
    first, last = array[..., :1, :], array[..., -1:, :]
    ramp = last + (np.arange(1, n_pad + 1) / (n_pad + 1))[:, None] * (first - last)
    spectrum = np.fft.fft(np.concatenate([array, ramp], axis=-2), axis=-2)[..., None, :half, :]
    gains = _gains(scales, half, channels_per_octave, bandpass)[..., None]
    response = np.fft.ifft(spectrum * gains, 2 * half, axis=-2)[..., :n_freqs, :]
    return response.astype(np.result_type(array.dtype, np.complex64))


def invert_scale_transform(
    c: Any,
    *,
    scales: Any = DEFAULT_SCALES,
    channels_per_octave: float = 24,
    bandpass: bool = False,
    norm: float = 0.99,
) -> np.ndarray:
    """Spectrogram from its scale responses, by inverse filtering.

    Parameters
    ----------
    c : array-like of shape (..., n_scales, n_freqs, n_frames), complex
        From :func:`scale_transform` with the same settings.
    scales, channels_per_octave, bandpass
        As given to :func:`scale_transform`.
    norm : float, default=0.99
        1 divides by the summed power of the filters, 0 not at all.

    Returns
    -------
    ndarray of shape (..., n_freqs, n_frames)
        Real. The ends of the padding were cut off, so it is not exact: 7 to 20 percent L2 error
        on the reference signals.

    Raises
    ------
    ValueError
        When the number of scales differs from the tensor's, or on NaN or infinity.

    Notes
    -----
    Equals the real part of the NSL toolbox's ``cor2auds``.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf.auditory import invert_scale_transform, scale_transform
    >>> invert_scale_transform(scale_transform(np.ones((128, 10)))).shape
    (128, 10)
    """
    array = _check(c, "c", 3, "Scale responses", "(..., n_scales, n_freqs, n_frames), complex")
    checked_number(norm, "norm", low=0, high=1)
    n_freqs = array.shape[-2]
    half = 1 << (n_freqs - 1).bit_length()
    gains = _gains(scales, half, channels_per_octave, bandpass)
    if len(gains) != array.shape[-3]:
        raise ValueError(
            f"{len(gains)} scales were given for a tensor of {array.shape[-3]}; "
            "give those it was made with."
        )
    power = (gains**2).sum(axis=0)
    # Of bins that every filter holds below rounding nothing is left to bring back.
    passed = power > np.finfo(array.dtype).eps ** 2
    power = norm * power + (1 - norm) * power.max()
    power[0] *= 2  # the other bins stand for their mirror images too
    spectrum = np.fft.fft(array, 2 * half, axis=-2)[..., :half, :]
    total = (spectrum * gains[..., None]).sum(axis=-3)
    total = np.divide(total, power[:, None], out=total * 0, where=passed[:, None])
    v = 2 * np.fft.ifft(total, 2 * half, axis=-2)[..., :n_freqs, :].real
    return v.astype(np.float32 if array.dtype == np.complex64 else np.float64)


def _check(values: Any, kinds: str, n_axes: int, what: str, axes: str) -> np.ndarray:
    array = np.asarray(values)
    if array.dtype.kind not in kinds or array.ndim < n_axes or array.size == 0:
        raise ValueError(
            f"{what} must have the axes {axes}, none empty; "
            f"got shape {array.shape} of dtype {array.dtype}."
        )
    if array.dtype.kind in "iu" or array.dtype == np.float16:
        array = array.astype(np.float64)
    if not np.isfinite(array).all():
        raise ValueError(f"{what} must not contain NaN or infinite values.")
    return array


def _gains(scales, half: int, channels_per_octave: float, bandpass: bool) -> np.ndarray:
    ascending = check_ascending(scales, "scales")
    kinds = filter_kinds(len(ascending), bandpass)
    return np.stack(
        [
            scale_filter(scale, half, channels_per_octave=channels_per_octave, kind=kind)
            for scale, kind in zip(ascending, kinds, strict=True)
        ]
    )
