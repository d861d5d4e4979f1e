"""The rate (temporal) and scale (spectral) filters of the cortical model, as numpy arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from skstrf.utils.validation import checked_number, checked_whole

__all__ = [
    "ReceptiveField",
    "filter_kinds",
    "rate_filter",
    "receptive_field",
    "scale_filter",
    "two_sided",
]


_KINDS = ("band", "low", "high")
# Gains of a filter whose best rate or scale is this far below a bin are nil in double precision.
_FAR = 1e3


def rate_filter(
    rate: float, n_bins: int, *, frame_rate: float = 125.0, kind: str = "band"
) -> np.ndarray:
    r"""Transfer function of a cortical rate filter on non-negative frequencies.

    The impulse response is :math:`h(t) = f \sin(2\pi f t)\,(ft)^2 e^{-3.5 f t}` for a rate
    :math:`f`, less its mean over `n_bins` samples, normalized to a peak gain of 1.

    Parameters
    ----------
    rate : float
        Best rate in Hz, > 0.
    n_bins : int
        Number of bins; bin ``k`` lies at ``k * frame_rate / (2 * n_bins)`` Hz.
    frame_rate : float, default=125.0
        Frames per second.
    kind : {"band", "low", "high"}, default="band"
        "low" and "high" hold the gain at 1 below or above the peak and keep the phase.

    Returns
    -------
    ndarray of shape (n_bins,), complex128
        The transfer function.

    Raises
    ------
    ValueError
        If the rate is not between 0 and half the frame rate, `n_bins` not a whole number of at
        least 1, or `kind` none of the three.

    Notes
    -----
    Removing the mean over the bins makes the filter depend a little on `n_bins`, hence on
    the length of the clip. It also leaves rounding noise at zero frequency, whose phase is 0
    or pi by accident; here that phase is 0, so that a low-pass filter keeps the sign of the mean.

    References
    ----------
    .. [1] T. Chi, P. Ru and S. A. Shamma, "Multiresolution spectrotemporal analysis of
       complex sounds", J. Acoust. Soc. Am. 118(2), 887-906, 2005, section II.B.

    Examples
    --------
    >>> from skstrf.auditory import rate_filter
    >>> gain = abs(rate_filter(8.0, 256))
    >>> round(float(gain.argmax() * 125 / 512), 1)
    8.1
    """
    n_bins = checked_whole(n_bins, "n_bins")
    _check_kind(kind)
    _check_rate(rate, frame_rate)
    time = np.arange(n_bins) / frame_rate * rate
    response = rate * np.sin(2 * np.pi * time) * time**2 * np.exp(-3.5 * time)
    response -= response.mean()
    spectrum = np.fft.fft(response, 2 * n_bins)[:n_bins]
    gain = np.abs(spectrum)
    phase = np.angle(spectrum)
    phase[0] = 0.0
    peak = int(gain.argmax())
    # Of a single frame nothing is left once its mean is removed, of a rate of next to 0 Hz
    # nothing that could be divided by.
    if gain[peak] < np.finfo(float).tiny:
        return np.full(n_bins, 1.0 if kind == "low" else 0.0, dtype=complex)
    gain /= gain[peak]
    if kind == "low":
        gain[:peak] = 1.0
    elif kind == "high":
        gain[peak + 1 :] = 1.0
    return gain * np.exp(1j * phase)


def two_sided(response: np.ndarray, direction: str) -> np.ndarray:
    """Spread a rate filter over positive and negative frequencies."""
    n_bins = len(response)
    full = np.zeros(2 * n_bins, dtype=complex)
    if direction == "down":
        full[:n_bins] = response
        return full
    full[0] = response[0]
    full[n_bins + 1 :] = np.conj(response[:0:-1])
    full[n_bins] = np.abs(full[(n_bins + 1) % (2 * n_bins)])
    return full


def scale_filter(
    scale: float, n_bins: int = 128, *, channels_per_octave: float = 24.0, kind: str = "band"
) -> np.ndarray:
    r"""Transfer function of a cortical scale filter, real and non-negative.

    :math:`S = q\,e^{1-q}` with :math:`q = (\Omega/\Omega_0)^2`: the transform of the negated
    second derivative of a Gaussian, peak 1 at the best scale :math:`\Omega_0`.

    Parameters
    ----------
    scale : float
        Best scale in cycles/octave, > 0.
    n_bins : int, default=128
        Number of bins; bin ``k`` lies at ``k * channels_per_octave / (2 * n_bins)``
        cycles/octave.
    channels_per_octave : float, default=24.0
        Density of the channels.
    kind : {"band", "low", "high"}, default="band"
        "low" and "high" hold the gain below or above the peak, then keep the filter's sum.

    Returns
    -------
    ndarray of shape (n_bins,), float64
        The transfer function.

    Raises
    ------
    ValueError
        If the scale is not between 0 and half the channel density, `n_bins` not a whole number
        of at least 1, or `kind` none of the three.

    Notes
    -----
    A filter of bins that are all far above its scale, or of a single bin, lets nothing pass and
    is nil, whatever its kind.

    Examples
    --------
    >>> from skstrf.auditory import scale_filter
    >>> round(float(scale_filter(1.5).max()), 3)
    1.0
    """
    n_bins = checked_whole(n_bins, "n_bins")
    _check_kind(kind)
    checked_number(channels_per_octave, "channels_per_octave", low=0, open_low=True)
    if not (np.isfinite(scale) and 0 < scale <= channels_per_octave / 2):
        raise ValueError(
            f"scales must lie above 0 and at most at half the channel density, "
            f"{channels_per_octave / 2:g} cycles/octave; got {scale!r}."
        )
    with np.errstate(over="ignore"):
        q = np.minimum(np.arange(n_bins) / n_bins * (channels_per_octave / 2) / scale, _FAR) ** 2
    response = q * np.exp(1 - q)
    if kind == "band":
        return response
    total, peak = response.sum(), int(response.argmax())
    if kind == "low":
        response[:peak] = 1.0
    else:
        response[peak + 1 :] = 1.0
    return response * (total / response.sum()) if total > 0 else np.zeros(n_bins)


def filter_kinds(n_filters: int, bandpass: bool) -> list[str]:
    """Kind of each filter of an ascending bank: low-pass first, high-pass last, else band-pass."""
    kinds = ["band"] * n_filters
    if not bandpass:
        kinds[-1] = "high"
        kinds[0] = "low"
    return kinds


def check_ascending(values: Sequence[float], name: str) -> np.ndarray:
    """The values as an array; they must be positive, finite and strictly ascending."""
    array = np.atleast_1d(np.asarray(values, dtype=float))
    good = array.ndim == 1 and array.size > 0 and np.isfinite(array).all()
    if not (good and (array > 0).all() and (np.diff(array) > 0).all()):
        raise ValueError(f"{name} must be positive and strictly ascending, got {values!r}.")
    return array


def _check_kind(kind: str) -> None:
    if kind not in _KINDS:
        raise ValueError(f"kind must be one of {_KINDS}, got {kind!r}.")


def _check_rate(rate: float, frame_rate: float) -> None:
    checked_number(frame_rate, "frame_rate", low=0, open_low=True, unit="Hz")
    if not (np.isfinite(rate) and 0 < rate <= frame_rate / 2):
        raise ValueError(
            f"rates must lie above 0 and at most at half the frame rate, {frame_rate / 2:g} Hz; "
            f"got {rate!r}. Choose lower rates or a shorter hop_duration."
        )


class ReceptiveField(NamedTuple):
    """Weights over time and frequency, unpacked as ``field, times, octaves``."""

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
