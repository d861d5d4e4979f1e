"""Banks of filters spaced as on the basilar membrane."""

from __future__ import annotations

from typing import Any

import numpy as np

from .subbands import Bank

__all__ = ["erb_number", "erb_to_hz", "gammatone_bank", "half_cosine_bank"]

# Glasberg and Moore (1990): bandwidth = frequency / _QUALITY + _LEAST, in Hz.
_QUALITY = 9.26449
_LEAST = 24.7
# Of a gammatone filter's gain: where its flanks are cut.
_FLOOR = 1e-4


def erb_number(hz: Any) -> np.ndarray:
    """Equivalent rectangular bandwidths below a frequency.

    Parameters
    ----------
    hz : array-like
        Frequencies in Hz.

    Returns
    -------
    ndarray
        Their place on the ERB scale.

    References
    ----------
    .. [1] B. R. Glasberg and B. C. J. Moore, "Derivation of auditory filter shapes from
       notched-noise data", Hearing Research 47, 103-138, 1990.

    Examples
    --------
    >>> from skstrf.transforms.erb import erb_number
    >>> erb_number([0.0, 1000.0]).round(2)
    array([ 0.  , 15.57])
    """
    return _QUALITY * np.log1p(np.asarray(hz) / (_QUALITY * _LEAST))


def erb_to_hz(number: Any) -> np.ndarray:
    """Frequencies in Hz at places on the ERB scale.

    Parameters
    ----------
    number : array-like
        Places on the ERB scale.

    Returns
    -------
    ndarray
        The inverse of `erb_number`.

    Examples
    --------
    >>> from skstrf.transforms.erb import erb_number, erb_to_hz
    >>> float(erb_to_hz(erb_number(440.0)))
    440.0
    """
    return _QUALITY * _LEAST * np.expm1(np.asarray(number) / _QUALITY)


def gammatone_bank(n_filters: int, fmin: float, fmax: float, sample_rate: float) -> Bank:
    """Gammatone filters of fourth order at equal steps on the ERB scale.

    Parameters
    ----------
    n_filters : int
        How many.
    fmin, fmax : float
        Centre of the lowest filter, and one step above that of the highest, in Hz.
    sample_rate : float
        In Hz.

    Returns
    -------
    Bank
        Gain 1 at the centres. Below 1e-4 of that (-80 dB) the flanks are cut.

    Notes
    -----
    The coefficients are those of ``scipy.signal.gammatone(f, "iir")``. They multiply out to
    ``b0 / 2 * ((1 - p z)^-4 + (1 - conj(p) z)^-4)``, with `z` the delay by one sample and `p` the
    pole, and this form is evaluated: the sums of nine coefficients lose all digits at low
    frequencies.

    References
    ----------
    .. [1] M. Slaney, "An efficient implementation of the Patterson-Holdsworth auditory filter
       bank", Apple technical report 35, 1993.

    Examples
    --------
    >>> from skstrf.transforms.erb import gammatone_bank
    >>> gammatone_bank(4, 100.0, 8000.0, 16000).frequencies.round()
    array([ 100.,  507., 1416., 3450.])
    """
    from scipy.signal import gammatone

    steps = np.linspace(erb_number(fmin), erb_number(fmax), n_filters + 1)[:-1]
    centres = erb_to_hz(steps)
    if not centres[0] > 0:
        raise ValueError(f"fmin={fmin!r} Hz cannot be told from 0 Hz; give a higher one.")
    designs = [gammatone(f, "iir", fs=sample_rate) for f in centres]
    radius = np.array([a[8] for _, a in designs]) ** (1 / 8)
    poles = radius * np.exp(2j * np.pi * centres / sample_rate)
    gains = np.array([b[0] for b, _ in designs]) / 2
    # |1 + i x|^-4 = _FLOOR at the edges, x in units of the pole's distance from the circle.
    reach = -np.log(radius) * sample_rate / (2 * np.pi) * np.sqrt(_FLOOR**-0.5 - 1)

    def response(channel: int, hz: np.ndarray) -> np.ndarray:
        z = np.exp(-2j * np.pi / sample_rate * hz)
        p = poles[channel]
        terms = [1 / (1 - pole * z) for pole in (p, p.conjugate())]
        return gains[channel] * sum((term * term) ** 2 for term in terms)

    ringing = 20 / (-np.log(radius.max()) * sample_rate)
    return Bank(centres, centres - reach, centres + reach, response, ringing)


def half_cosine_bank(
    n_filters: int, fmin: float, fmax: float, sample_rate: float, include_edges: bool = True
) -> Bank:
    """Half-cosines on the ERB scale, each reaching to its neighbours' centres.

    Parameters
    ----------
    n_filters : int
        Band-pass filters.
    fmin, fmax : float
        Lower edge of the lowest band and upper edge of the highest, in Hz.
    sample_rate : float
        In Hz.
    include_edges : bool
        Add a low-pass filter, listed at 0 Hz, and a high-pass filter, listed at half the sample
        rate: the squares of all gains then add up to 1 at every frequency.

    Returns
    -------
    Bank
        Of ``n_filters`` or ``n_filters + 2`` filters without phase.

    References
    ----------
    .. [1] J. H. McDermott and E. P. Simoncelli, "Sound texture perception via statistics of the
       auditory periphery: evidence from sound synthesis", Neuron 71, 926-940, 2011.

    Examples
    --------
    >>> from skstrf.transforms.erb import half_cosine_bank
    >>> half_cosine_bank(2, 50.0, 8000.0, 16000).frequencies.round()
    array([   0.,  633., 2434., 8000.])
    """
    edges = np.linspace(erb_number(fmin), erb_number(fmax), n_filters + 2)
    step = edges[1] - edges[0]
    nyquist = sample_rate / 2
    centres = np.concatenate([[0.0], erb_to_hz(edges[1:-1]), [nyquist]])
    low = np.concatenate([[-1.0], erb_to_hz(edges[:-2]), [centres[-2]]])
    high = np.concatenate([[centres[1]], erb_to_hz(edges[2:]), [nyquist]])
    kept = np.arange(n_filters + 2) if include_edges else np.arange(1, n_filters + 1)

    def response(channel: int, hz: np.ndarray) -> np.ndarray:
        index = kept[channel]
        distance = erb_number(hz) - edges[index]
        if index == 0:  # below the first band's centre what that band leaves
            distance = np.maximum(distance, 0)
        elif index == n_filters + 1:
            distance = np.minimum(distance, 0)
        inside = np.abs(distance) < step
        return np.where(inside, np.cos(np.pi / 2 * distance / step), 0.0)

    # A half-cosine of width w rings as 1 / (w t)^2.
    ringing = 20 / (high[1] - low[1])
    return Bank(centres[kept], low[kept], high[kept], response, ringing)
