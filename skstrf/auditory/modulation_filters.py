"""The rate (temporal) and scale (spectral) filters of the cortical model, as numpy arrays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..utils.settings import checked_number, checked_whole

__all__ = ["filter_kinds", "rate_filter", "scale_filter", "two_sided"]

_KINDS = ("band", "low", "high")
# Gains of a filter whose best rate or scale is this far below a bin are nil in double precision.
_FAR = 1e3


def rate_filter(
    rate: float, n_bins: int, *, frame_rate: float = 125.0, kind: str = "band"
) -> np.ndarray:
    r"""Transfer function of a cortical rate filter on non-negative frequencies.

    The impulse response is :math:`h(t) = f \sin(2\pi f t)\,(ft)^2 e^{-3.5 f t}` for a rate
    :math:`f`, less its mean over `n_bins` samples, normalised to a peak gain of 1.

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
    """Spread a rate filter over positive and negative frequencies.

    Parameters
    ----------
    response : ndarray of shape (n_bins,), complex
        From :func:`rate_filter`.
    direction : {"down", "up"}
        "down" passes ripples that move downward in frequency (positive bins),
        "up" those that move upward (negative bins, conjugated).

    Returns
    -------
    ndarray of shape (2 * n_bins,), complex
        The filter on all FFT bins.

    Examples
    --------
    >>> from skstrf.auditory.modulation_filters import rate_filter, two_sided
    >>> two_sided(rate_filter(4.0, 128), "up").shape
    (256,)
    """
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
    """Kind of each filter of an ascending bank: low-pass first, high-pass last, else band-pass.

    Parameters
    ----------
    n_filters : int
        Size of the bank. A single filter counts as low-pass.
    bandpass : bool
        True makes all of them band-pass.

    Returns
    -------
    list of {"low", "band", "high"}
        One per filter.

    Examples
    --------
    >>> from skstrf.auditory.modulation_filters import filter_kinds
    >>> filter_kinds(3, bandpass=False)
    ['low', 'band', 'high']
    """
    kinds = ["band"] * n_filters
    if not bandpass:
        kinds[-1] = "high"
        kinds[0] = "low"
    return kinds


def check_ascending(values: Sequence[float], name: str) -> np.ndarray:
    """The values as an array; they must be positive, finite and strictly ascending.

    Parameters
    ----------
    values : sequence of float
        Rates or scales.
    name : str
        Argument named in the error.

    Returns
    -------
    ndarray of shape (n,), float64
        The values.

    Raises
    ------
    ValueError
        Naming the argument and what it needs.
    """
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
            f"got {rate!r}. Choose lower rates or a shorter frame_length."
        )
