r"""The receptive fields themselves: what sound each channel of the cortical tensor answers to."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..utils.settings import checked_whole
from .modulation_filters import rate_filter, scale_filter, two_sided

__all__ = ["ReceptiveField", "receptive_field"]


class ReceptiveField(NamedTuple):
    """Weights over time and frequency, unpacked as ``field, times, octaves``.

    Attributes
    ----------
    field : ndarray of shape (n_octaves, n_times), float64
        Positive where sound excites the channel, negative where it inhibits it.
    times : ndarray of shape (n_times,)
        Milliseconds after the moment of the response, ascending: negative = before it.
    octaves : ndarray of shape (n_octaves,)
        Octaves above the channel's own frequency, ascending.
    """

    field: np.ndarray
    times: np.ndarray
    octaves: np.ndarray


def receptive_field(
    rate: float,
    scale: float,
    *,
    rate_kind: str = "band",
    scale_kind: str = "band",
    n_freqs: int = 128,
    n_frames: int = 256,
    frame_rate: float = 125.0,
    channels_per_octave: float = 24.0,
    oversampling: int = 1,
    time_limits: tuple[float, float] | None = None,
    octave_limits: tuple[float, float] | None = None,
) -> ReceptiveField:
    r"""Spectro-temporal receptive field of one channel of the cortical tensor.

    It is drawn as the sound that excites the channel most looks in a spectrogram: time runs
    to the right and ends about where the response is read, frequency runs upward, and the
    bands of a downward-moving channel fall. Correlating a spectrogram :math:`V` with the field
    :math:`F` gives the real part of the channel :math:`C` at every frequency :math:`y` and time
    :math:`s`,

    .. math:: \mathrm{Re}\, C[y, s] = \sum_{x, t} V[x, t]\, F[x - y, t - s].

    Parameters
    ----------
    rate : float
        Best rate in Hz; negative for upward-moving, positive for downward-moving ripples.
    scale : float
        Best scale in cycles/octave, > 0.
    rate_kind, scale_kind : {"band", "low", "high"}, default="band"
        See :func:`rate_filter`. The lowest and the highest filter of a bank are "low" and
        "high", unless the bank is made with ``bandpass=True``.
    n_freqs, n_frames : int, default=128 and 256
        Size of the spectrograms. The rate filters depend a little on the number of frames.
    frame_rate : float, default=125.0
        Frames per second.
    channels_per_octave : float, default=24.0
        Density of the channels.
    oversampling : int, default=1
        Points per frame and per channel, for smooth pictures. Every `oversampling`-th point in
        both directions is a weight of the model, and those between interpolate without error:
        the spectrum of a field ends at half the frame rate and half the channel density.
    time_limits : (float, float) or None, default=None
        First and last of `times` to return, in ms. None returns all.
    octave_limits : (float, float) or None, default=None
        First and last of `octaves` to return. None returns all.

    Returns
    -------
    field : ndarray of shape (n_octaves, n_times), float64
        The weights. Without limits ``n_octaves = 2 * (n_freqs - 1) * oversampling + 1``, and
        likewise for time: all that any frequency and frame of the spectrogram may need.
        Excitation is positive, inhibition negative.
    times : ndarray of shape (n_times,)
        Milliseconds after the moment of the response, ascending; without limits 0 is in the
        middle.
    octaves : ndarray of shape (n_octaves,)
        Octaves above the channel's own frequency, ascending; without limits 0 is in the
        middle.

    Raises
    ------
    ValueError
        On a rate of 0 or above half the frame rate, a scale that is not above 0 and at most
        half the channel density, sizes below 1, or limits with nothing between them.

    See Also
    --------
    cortical_transform : The channels.
    skstrf.inspection.ReceptiveFieldDisplay : Pictures of them.

    Notes
    -----
    A channel is a convolution, :math:`C = V * h`, with :math:`h` the inverse Fourier transform of
    the scale filter :math:`S(\Omega)` on non-negative :math:`\Omega` times the rate filter
    :math:`R(\omega)` on one side of :math:`\omega` (:func:`two_sided`). Reversed in both
    directions, :math:`F[x, t] = \mathrm{Re}\, h[-x, -t]`, it becomes the correlation above.
    ``field[::-1, ::-1]`` is therefore the real part of the response to one frame of sound
    in one channel. As the spectrum of :math:`h` has a single quadrant, the field moves in one
    direction only, and has a part after the response, small but for low-pass rates: the
    Hilbert transform of the causal rate filter is not causal. Far from its middle the field is
    that of a filter on a circle twice as long as the padded spectrogram, which is what the
    transform computes.

    References
    ----------
    .. [1] T. Chi, P. Ru and S. A. Shamma, "Multiresolution spectrotemporal analysis of
       complex sounds", J. Acoust. Soc. Am. 118(2), 887-906, 2005, section II.B, figure 2.

    Examples
    --------
    >>> from skstrf.auditory import receptive_field
    >>> field, times, octaves = receptive_field(8, 1)
    >>> field.shape
    (255, 511)
    >>> float(times[field[127].argmax()])  # at its own frequency, excited by sound 40 ms ago
    -40.0
    """
    _check_sizes(n_freqs=n_freqs, n_frames=n_frames, oversampling=oversampling)
    half, half_channels = (1 << (n - 1).bit_length() for n in (n_frames, n_freqs))
    if not rate:
        raise ValueError("rate must not be 0: its sign is the direction of the ripples.")
    response = rate_filter(abs(rate), half, frame_rate=frame_rate, kind=rate_kind)
    gain = scale_filter(
        scale, half_channels, channels_per_octave=channels_per_octave, kind=scale_kind
    )
    one_sided = np.concatenate([gain, np.zeros(half_channels)])
    both = two_sided(response, "up" if rate < 0 else "down")
    times = _offsets(n_frames, oversampling) * (1000 / frame_rate)
    octaves = _offsets(n_freqs, oversampling) / channels_per_octave
    in_time = _within(times, time_limits, "time_limits")
    in_octaves = _within(octaves, octave_limits, "octave_limits")
    temporal = _weights(both, n_frames, oversampling)[in_time]
    spectral = _weights(one_sided, n_freqs, oversampling)[in_octaves]
    field = np.outer(spectral.real, temporal.real) - np.outer(spectral.imag, temporal.imag)
    return ReceptiveField(field, times[in_time], octaves[in_octaves])


def _check_sizes(**sizes: int) -> None:
    for name, size in sizes.items():
        checked_whole(size, name)


def _offsets(n: int, oversampling: int) -> np.ndarray:
    last = (n - 1) * oversampling
    return np.arange(-last, last + 1) / oversampling


def _within(values: np.ndarray, limits: Any, name: str) -> slice:
    if limits is None:
        return slice(None)
    first, last = (np.searchsorted(values, limits[0]), np.searchsorted(values, limits[1], "right"))
    if first >= last:
        raise ValueError(
            f"{name} must be ascending and within {values[0]:g} and {values[-1]:g}, "
            f"got {limits!r}."
        )
    return slice(int(first), int(last))


def _weights(transfer: np.ndarray, n: int, oversampling: int) -> np.ndarray:
    """Reversed impulse response at the offsets from ``1 - n`` to ``n - 1``."""
    half = len(transfer) // 2
    padded = np.zeros(len(transfer) * oversampling, dtype=complex)
    padded[:half] = transfer[:half]
    # The bin at half the sampling rate, if it is used, belongs to negative frequencies.
    padded[len(padded) - half :] += transfer[half:]
    impulse = np.fft.ifft(padded) * oversampling
    last = (n - 1) * oversampling
    return impulse[-np.arange(-last, last + 1)]
