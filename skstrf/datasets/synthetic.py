"""Synthetic sounds whose classes differ by spectro-temporal modulation alone."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils import Bunch, check_random_state

from skstrf.datasets.audio import DURATION, READING
from skstrf.utils.validation import Integral, Interval, Real, validate_params

__all__ = ["make_ripple_genres"]

# (rate in Hz, scale in cycles/octave). Any two of the first four, and of the last four, differ
# in two of rate, scale and direction; all eight make the full design.
CLASSES = (
    (4.0, 0.5),
    (-4.0, 2.0),
    (16.0, 2.0),
    (-16.0, 0.5),
    (-4.0, 0.5),
    (4.0, 2.0),
    (-16.0, 2.0),
    (16.0, 0.5),
)
RMS = 0.1
LEVEL_RANGE = 6.0  # dB
DESCR = """Noisy moving ripples: {n} sounds, {k} classes.

Each class is one rate (Hz; positive moves downward in frequency) and scale (cycles/octave).
Each sound has rate and scale of its own nearby, random phases, pink noise and a random level.
"""


@validate_params(
    {
        "n_per_class": [Interval(Integral, 1, None, closed="left")],
        "n_classes": [Interval(Integral, 2, len(CLASSES), closed="both")],
        "duration": [DURATION],
        "sample_rate": READING["sample_rate"],
        "snr": [Interval(Real, -60, 60, closed="both"), None],
        "spread": [Interval(Real, 0, 1, closed="both")],
        "depth": [Interval(Real, 0, 1, closed="both")],
        "return_X_y": ["boolean"],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def make_ripple_genres(
    n_per_class: int = 20,
    n_classes: int = 4,
    *,
    duration: float = 1.0,
    sample_rate: int = 16000,
    snr: float | None = 6.0,
    spread: float = 0.2,
    depth: float = 0.9,
    return_X_y: bool = True,
    random_state: Any = None,
) -> tuple[np.ndarray, np.ndarray] | Bunch:
    """Make sounds whose classes differ by rate, scale and direction of their modulation.

    All classes have the same long-term spectrum and the same levels: they differ only in what
    STRFs measure and averages over time lose.

    Parameters
    ----------
    n_per_class : int, default=20
        Number of sounds of each class.
    n_classes : int, default=4
        Number of classes, from 2 to 8.
    duration : float, default=1.0
        Duration of each sound in seconds.
    sample_rate : int, default=16000
        Sampling rate of the sounds in Hz.
    snr : float or None, default=6.0
        Level of the ripple relative to pink noise in dB; None adds no noise.
    spread : float, default=0.2
        Half-width in octaves of the range around the rate and scale of the class from which
        those of a sound are drawn. Classes are two octaves apart.
    depth : float, default=0.9
        Modulation depth of the ripples, from 0 to 1.
    return_X_y : bool, default=True
        Whether to return ``(data, target)`` instead of a Bunch.
    random_state : int, RandomState instance or None, default=None
        Random seed.

    Returns
    -------
    (X, y) or Bunch
        Sounds and classes in random order. `X`, or ``data`` of the Bunch, has shape
        (n_sounds, n_times) and dtype float32; `y`, or ``target``, has shape (n_sounds,) and dtype
        int. The Bunch also has ``target_names``, ``rates`` and ``scales`` of each sound
        (n_sounds,), ``sample_rate`` and ``DESCR``.

    Raises
    ------
    ValueError
        If an argument is out of range.

    See Also
    --------
    skstrf.auditory.moving_ripple : Makes one ripple without noise.

    References
    ----------
    .. [1] T. Chi, Y. Gao, M. C. Guyton, P. Ru and S. Shamma, "Spectro-temporal modulation
       transfer functions and speech intelligibility", J. Acoust. Soc. Am. 106(5), 1999
       (equation 1, the ripples).

    Examples
    --------
    >>> from skstrf.datasets import make_ripple_genres
    >>> X, y = make_ripple_genres(3, 2, duration=0.25, random_state=0)
    >>> X.shape, y
    ((6, 4000), array([...]))
    """
    random = check_random_state(random_state)
    y = random.permutation(np.repeat(np.arange(n_classes), n_per_class))
    # Each sound has its own seed, so the n-th sound does not depend on the length of the others.
    seeds = random.randint(2**31 - 1, size=y.size)
    n_times = round(duration * sample_rate)
    X = np.empty((y.size, n_times), dtype=np.float32)
    rates, scales = np.empty(y.size), np.empty(y.size)
    for row, (label, seed) in enumerate(zip(y, seeds, strict=True)):
        one = np.random.RandomState(seed)
        factors = 2.0 ** one.uniform(-spread, spread, size=2)
        rates[row], scales[row] = np.array(CLASSES[label]) * factors
        X[row] = _noisy_ripple(rates[row], scales[row], n_times, sample_rate, snr, depth, one)
    if return_X_y:
        return X, y
    names = [f"{rate:+g} Hz, {scale:g} cycles/octave" for rate, scale in CLASSES[:n_classes]]
    return Bunch(
        data=X,
        target=y,
        target_names=names,
        rates=rates,
        scales=scales,
        sample_rate=int(sample_rate),
        DESCR=DESCR.format(n=y.size, k=n_classes),
    )


def _noisy_ripple(
    rate: float,
    scale: float,
    n_times: int,
    sample_rate: int,
    snr: float | None,
    depth: float,
    random: np.random.RandomState,
) -> np.ndarray:
    from skstrf.auditory.ripples import moving_ripple

    # A ripple starts at a fixed phase of its envelope: begin anywhere in the first period.
    start = int(random.uniform(0, sample_rate / abs(rate)))
    sound = moving_ripple(
        rate,
        scale,
        (start + n_times) / sample_rate,
        sample_rate=sample_rate,
        depth=depth,
        random_state=random,
    )[start:]
    if snr is not None:
        noise = _pink_noise(n_times, random)
        sound = sound / _rms(sound) + noise / _rms(noise) * 10 ** (-snr / 20)
    level = RMS * 10 ** (random.uniform(-LEVEL_RANGE, LEVEL_RANGE) / 20)
    return sound * (level / _rms(sound))


def _pink_noise(n_times: int, random: np.random.RandomState) -> np.ndarray:
    spectrum = np.fft.rfft(random.standard_normal(n_times))
    bins = np.arange(spectrum.size)
    return np.fft.irfft(spectrum / np.sqrt(np.maximum(bins, 1)), n=n_times)


def _rms(sound: np.ndarray) -> float:
    return float(np.sqrt(np.mean(sound**2))) or 1.0
