"""Random planes whose stationarity or non-stationarity is known, to calibrate the tests."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.signal import lfilter

# Number of points dropped at the start of recursive filters.
_SETTLING = 200


def make_field(name: str, shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Draw a plane from the field of that name."""
    every = STATIONARY | CHANGING | HETEROGENEOUS | {"harmonic comb": _harmonic_comb}
    if name not in every:
        raise ValueError(f"name must be one of {', '.join(every)}; got {name!r}.")
    return every[name](shape, rng)


Field = Callable[[tuple[int, int], np.random.Generator], np.ndarray]


def _autoregressive(across: float, along: float) -> Field:
    """Separable field of unit variance with these correlations of neighbors."""

    def field(shape, rng):
        x = rng.standard_normal([n + _SETTLING for n in shape])
        for axis, correlation in enumerate((across, along)):
            x = lfilter([np.sqrt(1 - correlation**2)], [1, -correlation], x, axis=axis)
        return x[_SETTLING:, _SETTLING:]

    return field


def _noise_spectrogram(overlap: float, logarithm: bool = True) -> Field:
    """Power spectrogram of white noise with a Hann window, without the zero frequency."""

    def field(shape, rng):
        n_window = 2 * shape[0]
        hop = round(n_window * (1 - overlap))
        sound = rng.standard_normal(n_window + hop * (shape[1] - 1))
        frames = np.lib.stride_tricks.sliding_window_view(sound, n_window)[::hop]
        power = np.abs(np.fft.rfft(frames * np.hanning(n_window + 1)[:-1])[:, 1:].T) ** 2
        return np.log(power) if logarithm else power

    return field


def _power_law(shape, rng):
    """Field with a 1/f spectrum, cut out of a larger one so that it is not periodic."""
    large = [2 * n for n in shape]
    f = np.hypot(np.fft.fftfreq(large[0])[:, None], np.fft.rfftfreq(large[1]))
    f[0, 0] = np.inf
    x = np.fft.irfft2(np.fft.rfft2(rng.standard_normal(large)) / np.sqrt(f), s=large)
    return x[: shape[0], : shape[1]]


def _chi_squared(shape, rng):
    return rng.chisquare(2, shape)


def _changed(course: Callable[[np.ndarray], np.ndarray], level: bool) -> Field:
    """White noise whose level or standard deviation follows a course common to all channels."""

    def field(shape, rng):
        noise = rng.standard_normal(shape)
        values = course(np.arange(shape[1]) / shape[1])
        return noise + values if level else noise * values

    return field


def _random_walk(shape, rng):
    return rng.standard_normal(shape).cumsum(axis=1)


def _modulated_noise(shape, rng):
    """Logarithmic spectrogram of noise whose amplitude goes through one cycle of modulation."""
    course = 1 + 0.5 * np.cos(2 * np.pi * np.arange(shape[1]) / shape[1])
    return _noise_spectrogram(0.0)(shape, rng) + 2 * np.log(course)


def _moving_band(shape, rng):
    """Noise in a rising band of temporal modulation, with constant mean and variance."""
    slow = [gaussian_filter(rng.standard_normal(shape), 3, mode="wrap") for _ in range(2)]
    phase = 2 * np.pi * np.cumsum(0.05 + 0.2 * np.arange(shape[1]) / shape[1])
    x = slow[0] * np.cos(phase) + slow[1] * np.sin(phase)
    return x / x.std()


def _two_textures(shape, rng):
    """A texture correlated in time, followed by one correlated over frequency."""
    half = shape[1] // 2
    first = _autoregressive(0.0, 0.8)((shape[0], half), rng)
    second = _autoregressive(0.8, 0.0)((shape[0], shape[1] - half), rng)
    return np.concatenate([first, second], axis=1)


def _harmonic_comb(shape, rng):
    """Logarithmic spectrum of a steady harmonic tone, eight partials 1/k, in noise."""
    position = np.arange(shape[0]) * 8 / shape[0]
    partial = np.maximum(np.round(position), 1)
    amplitude = np.exp(-0.5 * ((position - partial) / 0.2) ** 2) / partial
    profile = 2 * np.log(amplitude + 0.01)
    return profile[:, None] + 0.5 * rng.standard_normal(shape)


STATIONARY: dict[str, Field] = {
    "white": _autoregressive(0.0, 0.0),
    "AR .5": _autoregressive(0.0, 0.5),
    "AR .9": _autoregressive(0.0, 0.9),
    "separable AR .5 x .9": _autoregressive(0.5, 0.9),
    "separable AR .7 x .7": _autoregressive(0.7, 0.7),
    "log spectrogram of noise, no overlap": _noise_spectrogram(0.0),
    "log spectrogram of noise, overlap 50 %": _noise_spectrogram(0.5),
    "log spectrogram of noise, overlap 75 %": _noise_spectrogram(0.75),
    "power spectrogram of noise, overlap 75 %": _noise_spectrogram(0.75, logarithm=False),
    "1/f": _power_law,
    "chi-squared": _chi_squared,
}
CHANGING: dict[str, Field] = {
    "linear trend": _changed(lambda t: t, level=True),
    "mean step": _changed(lambda t: 0.75 * (t >= 0.5), level=True),
    "deviation doubled": _changed(lambda t: 1.0 + (t >= 0.5), level=False),
    "amplitude modulation": _changed(lambda t: 1 + 0.5 * np.cos(2 * np.pi * t), level=False),
    "log spectrogram of modulated noise": _modulated_noise,
    "random walk": _random_walk,
}
HETEROGENEOUS: dict[str, Field] = {
    "moving band": _moving_band,
    "two textures": _two_textures,
}
