"""Judges of style transfer: measures of texture and content that no transfer minimizes.

Each texture judge is a distance of a sound to the style. `remaining_share` divides it by the
distance of the untouched content, so that 1 means an unchanged texture, 0 that of the style, and
values above 1 a texture that is farther from the style than that of the content. The judges use
other representations than the losses: a mel spectrogram and a bank of gammatone filters.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from skstrf.style.domains import tensor_of
from skstrf.transforms import GammatoneTransformer, MelTransformer

__all__ = [
    "JUDGES",
    "StyleJudges",
    "content_correlation",
    "envelope_statistics",
    "log_mel",
    "patch_gram",
    "remaining_share",
]

# Names of the judges with the widths, in frames, of the patches of the mel spectrogram.
_WIDTHS = {"mel_gram_share": 1, "mel_patch_share": 8}
_STATISTICS = "statistics_share"
JUDGES = (*_WIDTHS, _STATISTICS)

# Mel spectrogram: frames of 10 ms, windows of at least 40 ms and 256 samples, which fill 64 bands.
_MEL_RATE, _N_MELS, _SHORTEST_WINDOW = 100, 64, 256
# Ratio of the mean power to the power below which levels approach 0: 60 dB.
_RANGE = 1e6
# Duration in seconds over which a level is compared with its mean for the local correlation.
_LOCAL = 1.0
# Envelopes: rate in Hz, number of bands, exponent of the compression, and the level below which
# it is linear, relative to the root mean square of the sound.
_ENVELOPE_RATE, _N_BANDS, _EXPONENT, _LINEAR_BELOW = 400, 32, 0.3, 1e-3
# Edges in Hz of the modulation bands, which are half an octave wide.
_MODULATIONS = 0.5 * 2 ** (np.arange(18) / 2)
# Standard deviation of a compressed envelope, relative to the mean of all, that is constant.
_CONSTANT = 1e-2
_TINY = 1e-12


def log_mel(sound: np.ndarray, *, sample_rate: float) -> np.ndarray:
    """Levels of a mel spectrogram (64, n_frames) in dB above 60 dB below the mean power."""
    hop = max(1, round(sample_rate / _MEL_RATE))
    mel = MelTransformer(
        sample_rate,
        sample_rate / hop,
        n_mels=_N_MELS,
        norm=None,
        n_fft=max(4 * hop, _SHORTEST_WINDOW),
        compression=None,
    )
    power = tensor_of(mel, np.asarray(sound, dtype=np.float64))
    return 10 * np.log10(1 + _RANGE * power / max(power.mean(), np.finfo(float).tiny))


def patch_gram(levels: np.ndarray, width: int) -> np.ndarray:
    """Mean outer product of patches of `width` frames; the last frame is repeated if needed."""
    levels = np.pad(levels, ((0, 0), (0, max(0, width - levels.shape[1]))), mode="edge")
    patches = np.lib.stride_tricks.sliding_window_view(levels, width, axis=1)
    flat = np.moveaxis(patches, 1, 0).reshape(patches.shape[1], -1)
    return flat.T @ flat / len(flat)


def envelope_statistics(
    sounds: Sequence[np.ndarray], *, sample_rate: float
) -> dict[str, np.ndarray]:
    """Texture statistics of sounds after McDermott and Simoncelli (Neuron 71, 926-940, 2011).

    The groups are mean, variation (standard deviation relative to the mean), skewness and kurtosis
    of the compressed envelopes of gammatone filters, their correlation matrix, and the amplitudes
    of their modulations in bands of half an octave, relative to the standard deviation.
    """
    parts = [_envelopes(sound, sample_rate) for sound in sounds]
    envelopes = np.concatenate(parts, axis=1)
    mean = envelopes.mean(axis=1)
    centered = envelopes - mean[:, None]
    # Bands that hold nothing have skewness, kurtosis, correlations and modulations near 0.
    variance = np.square(centered).mean(axis=1)
    scale = np.sqrt(variance + (_CONSTANT * mean.mean()) ** 2)
    standard = centered / scale[:, None]
    correlation = standard @ standard.T / standard.shape[1]
    lengths = np.cumsum([part.shape[1] for part in parts])[:-1]
    return {
        "mean": mean,
        "variation": np.sqrt(variance) / mean,
        "skewness": (standard**3).mean(axis=1),
        "kurtosis": (standard**4).mean(axis=1),
        "correlation": correlation[~np.eye(len(mean), dtype=bool)],
        "modulation": _modulations(np.split(standard, lengths, axis=1), sample_rate),
    }


def content_correlation(content: np.ndarray, sound: np.ndarray, *, sample_rate: float) -> float:
    """Local correlation of the mel spectrograms of a content and a result of its length.

    Pearson's correlation of the levels over all bands and frames, each without its mean over one
    second around it. Filters that do not change and slow changes of level hardly affect it.
    """
    first, second = (_local(log_mel(x, sample_rate=sample_rate)) for x in (content, sound))
    norm = np.linalg.norm(first) * np.linalg.norm(second)
    return float((first * second).sum() / norm) if norm > 0 else float("nan")


def remaining_share(distance: float, untouched: float) -> float:
    """Distance to a style relative to that of the untouched content; NaN where there is none."""
    return distance / untouched if untouched > _TINY else float("nan")


class StyleJudges:
    """Distances of sounds to a style by all `JUDGES`."""

    def __init__(self, styles: Sequence[np.ndarray], sample_rate: float):
        self._sample_rate = sample_rate
        levels = np.concatenate([log_mel(x, sample_rate=sample_rate) for x in styles], axis=1)
        self._grams = {name: patch_gram(levels, width) for name, width in _WIDTHS.items()}
        self._statistics = self._comparable(envelope_statistics(styles, sample_rate=sample_rate))

    def distances(self, sound: np.ndarray) -> dict[str, float]:
        """Distance of a sound to the style by every judge, relative to the norm of the style.

        The distance of the statistics is the mean over their groups.
        """
        levels = log_mel(sound, sample_rate=self._sample_rate)
        found = {
            name: _relative(patch_gram(levels, width), self._grams[name])
            for name, width in _WIDTHS.items()
        }
        statistics = self._comparable(envelope_statistics([sound], sample_rate=self._sample_rate))
        distances = [
            # A skewness near 0 is no unit: that of standardized values is 1.
            _relative(statistics[name], wanted, least=float(name == "skewness"))
            for name, wanted in self._statistics.items()
        ]
        return found | {_STATISTICS: float(np.mean(distances))}

    @staticmethod
    def _comparable(statistics: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Statistics with the logarithm of the kurtosis, which a few clicks raise to hundreds."""
        return statistics | {"kurtosis": np.log1p(statistics["kurtosis"])}


def _local(levels: np.ndarray) -> np.ndarray:
    """Levels without their mean over the surrounding second."""
    from scipy.ndimage import uniform_filter1d

    width = min(round(_LOCAL * _MEL_RATE), levels.shape[1])
    return levels - uniform_filter1d(levels, width, axis=1, mode="reflect")


def _envelopes(sound: np.ndarray, sample_rate: float) -> np.ndarray:
    """Compressed envelopes (32, n_frames) of gammatone filters, relative to the level."""
    hop = max(1, round(sample_rate / _ENVELOPE_RATE))
    bank = GammatoneTransformer(
        sample_rate, sample_rate / hop, n_filters=_N_BANDS, compression=None
    )
    sound = np.asarray(sound, dtype=np.float64)
    level = max(float(np.sqrt(np.square(sound).mean())), np.finfo(float).tiny)
    envelopes = tensor_of(bank, sound / level)
    return (envelopes + _LINEAR_BELOW) ** _EXPONENT


def _modulations(parts: Sequence[np.ndarray], sample_rate: float) -> np.ndarray:
    """Root mean square of standardized envelopes in every modulation band."""
    hop = max(1, round(sample_rate / _ENVELOPE_RATE))
    n_frames = sum(part.shape[1] for part in parts)
    total = np.zeros((len(parts[0]), len(_MODULATIONS) - 1))
    for part in parts:
        power = np.square(np.abs(np.fft.rfft(part, axis=1)))
        power[:, 1:] *= 2
        rates = np.fft.rfftfreq(part.shape[1], hop / sample_rate)
        edges = np.searchsorted(rates, _MODULATIONS)
        sums = np.concatenate([np.zeros((len(power), 1)), np.cumsum(power, axis=1)], axis=1)
        total += np.diff(sums[:, edges], axis=1) / part.shape[1]
    return np.sqrt(total / n_frames)


def _relative(found: np.ndarray, wanted: np.ndarray, *, least: float = 0.0) -> float:
    """Distance relative to the wanted values, or to the least root mean square of these."""
    norm = max(np.linalg.norm(wanted), least * wanted.size**0.5, _TINY)
    return float(np.linalg.norm(found - wanted) / norm)
