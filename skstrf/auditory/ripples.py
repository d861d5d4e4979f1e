"""Moving ripples, test sounds with a single spectro-temporal modulation."""

from __future__ import annotations

from typing import Any

import numpy as np

from skstrf.utils.validation import checked_number

__all__ = ["moving_ripple"]

_LOWEST = 220.0  # Hz
_OCTAVES = 5
_CARRIERS_PER_OCTAVE = 20


def moving_ripple(
    rate: float,
    scale: float,
    duration: float,
    *,
    sample_rate: float = 16000,
    depth: float = 0.9,
    random_state: Any = None,
) -> np.ndarray:
    r"""Noise-like sound with a single spectro-temporal modulation.

    Log-spaced carriers of random phase are multiplied by the envelope
    :math:`1 + a \sin(2\pi(\omega t + \Omega x))`, with :math:`x` in octaves above 220 Hz.

    Parameters
    ----------
    rate : float
        Rate :math:`\omega` in Hz. Positive rates move downward in frequency, negative rates
        upward.
    scale : float
        Scale :math:`\Omega` in cycles/octave, at least 0.
    duration : float
        Duration in s.
    sample_rate : float, default=16000
        Sampling rate in Hz. The carriers range from 220 Hz to 7040 Hz, or to just below half
        the sampling rate.
    depth : float, default=0.9
        Modulation depth :math:`a` in [0, 1].
    random_state : int, RandomState instance or None, default=None
        Seed of the phases of the carriers.

    Returns
    -------
    ndarray of shape (n_times,), float64
        Sound of zero mean and unit variance.

    Raises
    ------
    ValueError
        If a setting is out of range, or no carrier is below half the sampling rate.

    References
    ----------
    .. [1] T. Chi, Y. Gao, M. C. Guyton, P. Ru and S. Shamma, "Spectro-temporal modulation
       transfer functions and speech intelligibility", J. Acoust. Soc. Am. 106(5), 1999.

    Examples
    --------
    >>> from skstrf.auditory import moving_ripple
    >>> x = moving_ripple(rate=4, scale=0.5, duration=0.5, random_state=0)
    >>> x.shape, round(float(x.std()), 3)
    ((8000,), 1.0)
    """
    from sklearn.utils import check_random_state

    checked_number(rate, "rate", unit="Hz")
    checked_number(scale, "scale", low=0, unit="cycles/octave")
    checked_number(duration, "duration", low=0, high=1e9, unit="s")
    checked_number(sample_rate, "sample_rate", low=0, high=1e9, open_low=True, unit="Hz")
    checked_number(depth, "depth", low=0, high=1)
    n_times = round(duration * sample_rate)
    octaves = np.arange(_OCTAVES * _CARRIERS_PER_OCTAVE + 1) / _CARRIERS_PER_OCTAVE
    octaves = octaves[_LOWEST * 2.0**octaves < sample_rate / 2]
    if not 2 <= n_times < 2**31 or octaves.size == 0:
        raise ValueError(
            f"duration={duration!r} s at sample_rate={sample_rate!r} Hz holds no ripple: "
            f"it needs two to 2**31 samples and a rate above {2 * _LOWEST:g} Hz."
        )
    phases = check_random_state(random_state).uniform(0, 2 * np.pi, octaves.size)
    time = np.arange(n_times) / sample_rate
    x = np.zeros(n_times)
    for octave, phase in zip(octaves, phases, strict=True):
        envelope = 1 + depth * np.sin(2 * np.pi * (rate * time + scale * octave))
        x += envelope * np.sin(2 * np.pi * _LOWEST * 2.0**octave * time + phase)
    x -= x.mean()
    deviation = x.std()
    return x / deviation if deviation > 0 else x
