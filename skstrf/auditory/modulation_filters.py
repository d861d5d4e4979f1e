"""Rate (temporal) and scale (spectral) filters of the cortical model, and receptive fields."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from skstrf.utils.validation import checked_number, checked_whole

__all__ = [
    "ReceptiveField",
    "check_ascending",
    "check_rate",
    "filter_kinds",
    "power_of_two",
    "rate_filter",
    "receptive_field",
    "scale_filter",
    "two_sided",
]


_KINDS = ("band", "low", "high")
# Ratio of a bin's scale to the best scale at which the gain of a filter underflows to zero.
_FAR = 1e3


def rate_filter(
    rate: float, n_bins: int, *, frame_rate: float = 125.0, kind: str = "band"
) -> np.ndarray:
    r"""Transfer function of a cortical rate filter on non-negative frequencies.

    The impulse response is :math:`h(t) = f \sin(2\pi f t)\,(ft)^2 e^{-3.5 f t}` for a rate
    :math:`f`, minus its mean over `n_bins` samples, normalized to a peak gain of 1.

    Parameters
    ----------
    rate : float
        Best rate in Hz, above 0.
    n_bins : int
        Number of bins; bin ``k`` is at ``k * frame_rate / (2 * n_bins)`` Hz.
    frame_rate : float, default=125.0
        Frame rate of the spectrogram in Hz.
    kind : {"band", "low", "high"}, default="band"
        Kind of filter. "low" and "high" set the gain to 1 below or above the peak and keep the
        phase.

    Returns
    -------
    ndarray of shape (n_bins,), complex128
        Transfer function.

    Raises
    ------
    ValueError
        If the rate is not between 0 and half the frame rate, `n_bins` is not a positive integer,
        or `kind` is unknown.

    See Also
    --------
    scale_filter : Filter along frequency.

    Notes
    -----
    Because the mean over the bins is removed, the filter depends slightly on `n_bins`, and so on
    the length of the clip. Removing it also leaves rounding noise at zero frequency, whose phase
    is 0 or pi by chance. That phase is set to 0, so that a low-pass filter keeps the sign of the
    mean.

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
    check_rate(rate, frame_rate)
    time = np.arange(n_bins) / frame_rate * rate
    response = rate * np.sin(2 * np.pi * time) * time**2 * np.exp(-3.5 * time)
    response -= response.mean()
    spectrum = np.fft.fft(response, 2 * n_bins)[:n_bins]
    gain = np.abs(spectrum)
    phase = np.angle(spectrum)
    phase[0] = 0.0
    peak = int(gain.argmax())
    # A single frame vanishes when its mean is removed; a rate close to 0 Hz underflows.
    if gain[peak] < np.finfo(float).tiny:
        return np.full(n_bins, 1.0 if kind == "low" else 0.0, dtype=complex)
    gain /= gain[peak]
    if kind == "low":
        gain[:peak] = 1.0
    elif kind == "high":
        gain[peak + 1 :] = 1.0
    return gain * np.exp(1j * phase)


def two_sided(response: np.ndarray, direction: str) -> np.ndarray:
    """Extend a rate filter to positive and negative frequencies, for one direction."""
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
        Best scale in cycles/octave, above 0.
    n_bins : int, default=128
        Number of bins; bin ``k`` is at ``k * channels_per_octave / (2 * n_bins)``
        cycles/octave.
    channels_per_octave : float, default=24.0
        Number of frequency channels per octave.
    kind : {"band", "low", "high"}, default="band"
        Kind of filter. "low" and "high" set the gain to the peak gain below or above the peak,
        then rescale the filter to its previous sum.

    Returns
    -------
    ndarray of shape (n_bins,), float64
        Transfer function.

    Raises
    ------
    ValueError
        If the scale is not between 0 and half the channel density, `n_bins` is not a positive
        integer, or `kind` is unknown.

    See Also
    --------
    rate_filter : Filter along time.

    Notes
    -----
    A filter is zero, whatever its kind, if it has a single bin or if all bins but the first are
    far above its scale.

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
            f"scales must be above 0 and at most half the channel density, "
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
    """Return the values as an array; raise if they are not positive and strictly ascending."""
    array = np.atleast_1d(np.asarray(values, dtype=float))
    good = array.ndim == 1 and array.size > 0 and np.isfinite(array).all()
    if not (good and (array > 0).all() and (np.diff(array) > 0).all()):
        raise ValueError(f"{name} must be positive and strictly ascending, got {values!r}.")
    return array


def _check_kind(kind: str) -> None:
    if kind not in _KINDS:
        raise ValueError(f"kind must be one of {_KINDS}, got {kind!r}.")


def check_rate(rate: float, frame_rate: float) -> None:
    """Raise a ValueError unless a rate is above 0 and at most half the frame rate."""
    checked_number(frame_rate, "frame_rate", low=0, open_low=True, unit="Hz")
    if not (np.isfinite(rate) and 0 < rate <= frame_rate / 2):
        raise ValueError(
            f"rates must be above 0 and at most half the frame rate, {frame_rate / 2:g} Hz; "
            f"got {rate!r}. Choose lower rates or a shorter hop_duration."
        )


def power_of_two(n: int) -> int:
    """Smallest power of two that is at least `n`."""
    return 1 << (n - 1).bit_length()


class ReceptiveField(NamedTuple):
    """Weights over time and frequency, which unpack as ``field, times, octaves``."""

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

    The field is displayed as the spectrogram of the sound that excites the channel most: time
    runs to the right and ends approximately when the response is read, frequency runs upward, and
    the field of a downward-moving channel has falling bands. Correlating a spectrogram :math:`V`
    with the field :math:`F` gives the real part of the channel :math:`C` at every frequency
    :math:`y` and time :math:`s`,

    .. math:: \mathrm{Re}\, C[y, s] = \sum_{x, t} V[x, t]\, F[x - y, t - s].

    Parameters
    ----------
    rate : float
        Best rate in Hz; negative for upward-moving, positive for downward-moving ripples.
    scale : float
        Best scale in cycles/octave, above 0.
    rate_kind, scale_kind : {"band", "low", "high"}, default="band"
        Kinds of the filters, see :func:`rate_filter`. The lowest and the highest filter of a bank
        are "low" and "high", unless the bank is made with ``bandpass=True``.
    n_freqs : int, default=128
        Number of frequency channels of the spectrograms.
    n_frames : int, default=256
        Number of frames of the spectrograms. The rate filters depend slightly on it.
    frame_rate : float, default=125.0
        Frame rate of the spectrograms in Hz.
    channels_per_octave : float, default=24.0
        Number of frequency channels per octave.
    oversampling : int, default=1
        Number of points per frame and per channel, for smooth images. Every `oversampling`-th
        point in both directions is a weight of the model. The points between are interpolated
        exactly, because the spectrum of a field is limited to half the frame rate and half the
        channel density.
    time_limits : (float, float) or None, default=None
        First and last of `times` to return, in ms. None returns all.
    octave_limits : (float, float) or None, default=None
        First and last of `octaves` to return. None returns all.

    Returns
    -------
    field : ndarray of shape (n_octaves, n_times), float64
        Weights; excitation is positive, inhibition negative. Without limits
        ``n_octaves = 2 * (n_freqs - 1) * oversampling + 1``, and likewise for time: all weights
        that any frequency and frame of the spectrogram can need.
    times : ndarray of shape (n_times,)
        Times relative to the response in ms, ascending. Without limits 0 is in the middle.
    octaves : ndarray of shape (n_octaves,)
        Octaves above the channel's own frequency, ascending. Without limits 0 is in the middle.

    Raises
    ------
    ValueError
        If the rate is 0 or above half the frame rate, the scale is not above 0 and at most half
        the channel density, a size is below 1, or the limits contain no point.

    See Also
    --------
    cortical_transform : Responses of a bank of receptive fields.
    skstrf.inspection.ReceptiveFieldDisplay : Plot of receptive fields.

    Notes
    -----
    A channel is a convolution, :math:`C = V * h`, where :math:`h` is the inverse Fourier
    transform of the scale filter :math:`S(\Omega)` on non-negative :math:`\Omega` times the rate
    filter :math:`R(\omega)` on one side of :math:`\omega`. Reversed in both directions,
    :math:`F[x, t] = \mathrm{Re}\, h[-x, -t]`, it becomes the correlation above.
    ``field[::-1, ::-1]`` is therefore the real part of the response to a single non-zero value
    of the spectrogram. The spectrum of :math:`h` has a single quadrant. The field therefore moves
    in one direction only. It also has a part after the response, which is small except for
    low-pass rates, because the Hilbert transform of the causal rate filter is not causal. Far
    from its middle the field is that of a filter on a circle twice as long as the padded
    spectrogram, which is what the transform computes.

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
    >>> float(times[field[127].argmax()])  # excited by sound 40 ms earlier
    -40.0
    """
    n_freqs, n_frames = checked_whole(n_freqs, "n_freqs"), checked_whole(n_frames, "n_frames")
    oversampling = checked_whole(oversampling, "oversampling")
    half, half_channels = power_of_two(n_frames), power_of_two(n_freqs)
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
