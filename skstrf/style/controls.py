"""Simple changes of a content, with which the results of a style transfer are compared."""

from __future__ import annotations

import numpy as np

from skstrf.style.sounds import at_level

__all__ = ["equalize", "mix"]

# Number of samples of the spectra, and the largest change of level in dB.
_SPECTRUM_LENGTH, _LARGEST_GAIN = 1024, 40.0


def equalize(content: np.ndarray, style: np.ndarray) -> np.ndarray:
    """Filter a content so that it has the long-term spectrum of a style, without delay."""
    from scipy.signal import welch

    size = min(_SPECTRUM_LENGTH, len(content), len(style))
    # `welch` in double precision: the spectra of recordings span more than 60 dB.
    powers = [
        welch(x.astype(np.float64), nperseg=size, detrend=False)[1] for x in (content, style)
    ]
    tiny = np.finfo(float).tiny
    gain = 10 * np.log10((powers[1] + tiny) / (powers[0] + tiny))
    spectrum = np.fft.rfft(content.astype(np.float64))
    places = np.linspace(0, len(gain) - 1, len(spectrum))
    # The gains are limited around that which keeps the level.
    gain -= 10 * np.log10((powers[1].sum() + tiny) / (powers[0].sum() + tiny))
    levels = np.interp(places, np.arange(len(gain)), gain.clip(-_LARGEST_GAIN, _LARGEST_GAIN))
    changed = np.fft.irfft(spectrum * 10 ** (levels / 20), len(content))
    return at_level(changed) if changed.any() else content


def mix(content: np.ndarray, style: np.ndarray, level: float) -> np.ndarray:
    """Add a style, repeated or cropped, at a level in dB relative to the content."""
    style = np.resize(style, len(content))
    if not style.any():
        return content
    return at_level(at_level(content) + 10 ** (level / 20) * at_level(style))
