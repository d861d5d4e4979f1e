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
    every = (
        STATIONARY | STATIONARY_ROWS | CHANGING | HETEROGENEOUS | {"harmonic comb": _harmonic_comb}
    )
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


def _recursive(*coefficients: float, shape_of: Callable[[np.ndarray], np.ndarray] | None = None):
    """Independent rows of an autoregressive series, transformed by `shape_of`."""

    def field(shape, rng):
        x = rng.standard_normal((shape[0], shape[1] + _SETTLING))
        x = lfilter([1], [1, *(-c for c in coefficients)], x, axis=1)[:, _SETTLING:]
        return x if shape_of is None else shape_of(x)

    return field


def _clustered(common: bool) -> Field:
    """GARCH(1, 1) rows with .1 and .85, each with its own volatility or all with the same."""

    def field(shape, rng):
        noise = rng.standard_normal((shape[0], shape[1] + _SETTLING))
        shocks = rng.standard_normal(noise.shape[1])[None] if common else noise
        variance = np.ones((len(shocks), 1))
        x = np.empty(noise.shape)
        for t in range(noise.shape[1]):
            x[:, t] = (np.sqrt(variance) * noise[:, t : t + 1])[:, 0]
            variance = 0.05 + variance * (0.1 * shocks[:, t : t + 1] ** 2 + 0.85)
        return x[:, _SETTLING:]

    return field


def _rows_of_power_law(exponent: float) -> Field:
    """Independent rows with a spectrum 1/f to this power, cut out of longer ones."""

    def field(shape, rng):
        long = 8 * shape[1]
        f = np.fft.rfftfreq(long)
        f[0] = np.inf
        spectrum = np.fft.rfft(rng.standard_normal((shape[0], long))) * f ** (-exponent / 2)
        return np.fft.irfft(spectrum, long)[:, : shape[1]]

    return field


def _sinusoids(shape, rng):
    """Three sinusoids of periods from 4 to 12 points in weak noise."""
    t = np.arange(shape[1])
    x = 0.3 * rng.standard_normal(shape)
    for _ in range(3):
        period = rng.uniform(4, 12)
        phase = rng.uniform(0, 2 * np.pi, (shape[0], 1))
        x += rng.standard_normal((shape[0], 1)) * np.cos(2 * np.pi * t / period + phase)
    return x


def _drum_loop(shape, rng):
    """Decaying strokes every 16 points, of a different strength in every row, in noise."""
    t = np.arange(shape[1]) + rng.integers(16)
    return 3 * rng.random((shape[0], 1)) * np.exp(-(t % 16) / 3) + 0.7 * rng.standard_normal(shape)


def _vibrato(shape, rng):
    """A partial that moves up and down every 10.7 points, in noise."""
    t = np.arange(shape[1])
    center = shape[0] / 2 + 3 * np.sin(2 * np.pi * t / 10.7 + rng.uniform(0, 2 * np.pi))
    distance = (np.arange(shape[0])[:, None] - center) / 2
    return 10 * np.exp(-(distance**2) / 2) + rng.standard_normal(shape)


def _tremolo(shape, rng):
    """Level that rises and falls every 9.3 points, in noise."""
    t = np.arange(shape[1])
    wave = np.sin(2 * np.pi * t / 9.3 + rng.uniform(0, 2 * np.pi))
    return 2 * wave * rng.random((shape[0], 1)) + rng.standard_normal(shape)


def _sparse(shape, rng):
    return rng.standard_normal(shape) * (rng.random(shape) < 0.1)


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
# Stationary along time, but not all homogeneous over the plane.
STATIONARY_ROWS: dict[str, Field] = {
    "AR .95": _recursive(0.95),
    "AR .98": _recursive(0.98),
    "AR 1.2 -.6": _recursive(1.2, -0.6),
    "t(3)": lambda shape, rng: rng.standard_t(3, shape),
    "Laplace": lambda shape, rng: rng.laplace(size=shape),
    "log-normal AR .8": _recursive(0.8, shape_of=lambda x: np.exp(0.6 * x)),
    "GARCH": _clustered(common=False),
    "GARCH, common": _clustered(common=True),
    "1/f^.7, rows": _rows_of_power_law(0.7),
    "1/f^.9, rows": _rows_of_power_law(0.9),
    "1/f, rows": _rows_of_power_law(1.0),
    "correlated rows": _autoregressive(0.9, 0.0),
    "sinusoids": _sinusoids,
    "drum loop": _drum_loop,
    "vibrato": _vibrato,
    "tremolo": _tremolo,
    "quantized": lambda shape, rng: np.round(rng.standard_normal(shape)),
    "sparse": _sparse,
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


# Curves: fields by a number that measures the change.


def _beat_with_crescendo(height: float) -> Field:
    """Noise of 5.6 dB, whose level grows by 6 dB, with strokes of `height` deviations."""

    def field(shape, rng):
        t = np.arange(shape[1])
        strokes = height * 5.6 * np.exp(-((t + rng.integers(16)) % 16) * 6 / 16)
        return 5.6 * rng.standard_normal(shape) + 6 * t / shape[1] + strokes

    return field


def _walk(share: float, common: bool) -> Field:
    """Random walk of unit deviation, times `share`, in noise of unit variance."""

    def field(shape, rng):
        walk = rng.standard_normal((1 if common else shape[0], shape[1])).cumsum(axis=1)
        return rng.standard_normal(shape) + share * walk / walk.std(axis=1, keepdims=True)

    return field


def _louder_sound(transformer: str) -> Callable[[float], Field]:
    """Representation of white noise whose level in dB rises along a straight line."""

    def with_ramp(decibels: float) -> Field:
        def field(shape, rng):
            import skstrf
            from skstrf.surrogates.planes import resample_plane

            n = shape[1] * 320
            gain = 10 ** (decibels * np.arange(n) / n / 20)
            sound = (0.01 * rng.standard_normal(n) * gain).astype(np.float32)
            made = getattr(skstrf, transformer)(sample_rate=16000, frame_rate=50)
            return resample_plane(made.fit_transform(sound[None])[0], shape).astype(float)

        return field

    return with_ramp


def _onset(height: float) -> Field:
    def course(t):
        return height * np.where(t >= 0.3, np.exp(-np.maximum(t - 0.3, 0) / 0.08), 0)

    return _changed(course, level=True)


def _chirp(height: float) -> Field:
    """A ridge that moves through all rows, in noise."""

    def field(shape, rng):
        center = shape[0] * np.arange(shape[1]) / shape[1]
        distance = (np.arange(shape[0])[:, None] - center) / 3
        return height * np.exp(-(distance**2) / 2) + rng.standard_normal(shape)

    return field


def _own_steps(height: float) -> Field:
    """Steps at a different time in every row."""

    def field(shape, rng):
        when = rng.uniform(0.15, 0.85, (shape[0], 1))
        return rng.standard_normal(shape) + height * (np.arange(shape[1]) / shape[1] >= when)

    return field


CURVES: dict[str, tuple[tuple[float, ...], Callable[[float], Field]]] = {
    "level step at 1/2 (sd)": (
        (0, 0.25, 0.5, 1, 2, 3, 6, 10, 20),
        lambda v: _changed(lambda t: v * (t >= 0.5), level=True),
    ),
    "level step at 1/4 (sd)": (
        (0.25, 0.5, 1, 2, 6, 20),
        lambda v: _changed(lambda t: v * (t >= 0.25), level=True),
    ),
    "level step, own time in every row (sd)": ((0.5, 1, 2, 6, 20), _own_steps),
    "level step in AR .9 (sd)": (
        (1, 2, 4, 10),
        lambda v: (
            lambda shape, rng: (
                _recursive(0.9)(shape, rng) * np.sqrt(0.19)
                + v * (np.arange(shape[1]) * 2 >= shape[1])
            )
        ),
    ),
    "trend (sd)": ((0.5, 1, 2, 4, 10), lambda v: _changed(lambda t: v * t, level=True)),
    "ramp, Mel (dB)": ((0, 3, 6, 10, 20, 40, 60), _louder_sound("MelTransformer")),
    "ramp, STFT (dB)": ((0, 3, 6, 10, 20, 40, 60), _louder_sound("STFTTransformer")),
    "deviation, factor at 1/2": (
        (1.25, 1.5, 2, 4, 10),
        lambda v: _changed(lambda t: np.where(t < 0.5, 1, v), level=False),
    ),
    "amplitude modulation (cycles)": (
        (0.5, 1, 2, 4, 8),
        lambda v: _changed(lambda t: 1 + 0.5 * np.cos(2 * np.pi * v * t), level=False),
    ),
    "random walk in noise (sd)": (
        (0.1, 0.2, 0.5, 1, 3, 1000),
        lambda v: _walk(v, common=False),
    ),
    "random walk of all rows in noise (sd)": ((0.2, 0.5, 1, 3), lambda v: _walk(v, common=True)),
    "onset with decay (sd)": ((1, 2, 4, 8, 20), _onset),
    "click of two points (sd)": (
        (5, 10, 20, 50),
        lambda v: _changed(lambda t: v * ((t >= 0.5) & (t < 0.515)), level=True),
    ),
    "chirp (sd)": ((1, 2, 5, 10), _chirp),
    "crescendo of 6 dB, beat (sd)": ((0, 1, 3, 6, 10), _beat_with_crescendo),
}
