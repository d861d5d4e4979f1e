"""Closeness of a sound to a content and to a style."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from skstrf.auditory.measures import log_spectral_distance
from skstrf.style.domains import WaveformDomain, fitted_for, log_stft
from skstrf.style.objectives import InfiniteObjective, cortical_model, cortical_statistics
from skstrf.style.sounds import at_level
from skstrf.texture.cortical import field_snr, statistics_snr
from skstrf.utils.arrays import to_numpy
from skstrf.utils.validation import checked_number, checked_reals

__all__ = ["METRICS", "StyleMetrics", "onset_correlation"]

METRICS = {
    "gram_distance": "relative distance of the Gram matrix to that of the style (0: the style)",
    "content_distance": "relative distance of activations to the content's (0: the content)",
    "onset_correlation": "correlation of the onset strength with the content's (1: the content)",
    "log_spectral_distance": "log-spectral distance to the content, in dB",
    "texture_snr": "signal-to-noise ratio of cortical texture statistics in dB, mean of groups",
    "field_snr": "the same for receptive fields in dB, median over scales and rates",
}
# Number of frames of the filters of the random network that measures distances.
_KERNEL_SIZE = 11
# Durations in seconds: of the filters for cortical statistics, and the longest that is measured,
# as the memory of distances grows with its square.
_BLOCK_DURATION, _MAX_DURATION = 10.0, 60.0


class StyleMetrics:
    """Metrics that do not depend on the parameters of a transfer, for mono sounds.

    Gram and content distance are those of random filters of 11 frames, infinitely many, applied
    to :func:`~skstrf.style.log_stft`. Of longer sounds the first minute is measured.
    """

    def __init__(self, styles: Sequence[np.ndarray], sample_rate: float):
        self._sample_rate = sample_rate
        self._stft = log_stft(sample_rate)
        self._styles = [at_level(style) for style in styles]
        tensors = [self._spectrogram(style) for style in self._styles]
        frames = min(tensor.shape[-1] for tensor in tensors)
        self._network = InfiniteObjective(tensors, min(_KERNEL_SIZE, frames))
        block = max(int(_BLOCK_DURATION * sample_rate), 1)
        longest = max(len(style) for style in self._styles)
        self._model = cortical_model(self._stft, min(block, longest))
        self._target = self._statistics(self._styles)

    def _statistics(self, sounds: Sequence[np.ndarray]) -> dict[str, torch.Tensor]:
        tensors = [torch.from_numpy(sound) for sound in sounds]
        return cortical_statistics(self._model, tensors, self._sample_rate)

    def _spectrogram(self, sound: np.ndarray) -> torch.Tensor:
        domain = WaveformDomain(fitted_for(self._stft, len(sound)), "cpu")
        with torch.no_grad():
            # In single precision rounding errors exceed the distances of similar sounds.
            return domain.tensor(domain.variable(sound)).double()

    def table(
        self, contents: np.ndarray, results: np.ndarray
    ) -> dict[str, dict[str, list[float]]]:
        """Metrics of results, and of the untouched contents and style in their place."""
        if contents.ndim == 3:
            contents, results = contents.mean(axis=1), results.mean(axis=1)
        table: dict[str, dict[str, list[float]]] = {
            name: {"result": [], "content": [], "style": []} for name in METRICS
        }
        longest = int(_MAX_DURATION * self._sample_rate)
        for content, result in zip(contents[:, :longest], results[:, :longest], strict=True):
            content = at_level(content)
            sounds = {
                "result": at_level(result),
                "content": content,
                "style": np.resize(self._styles[0], len(content)),
            }
            for kind, sound in sounds.items():
                for name, value in self._measure(content, sound).items():
                    table[name][kind].append(value)
        return table

    def _measure(self, content: np.ndarray, sound: np.ndarray) -> dict[str, float]:
        tensors = [self._spectrogram(x) for x in (content, sound)]
        self._network.set_content(tensors[0])
        content_distance, gram_distance = self._network.relative_distances(tensors[1])
        statistics = self._statistics([sound])
        snr = statistics_snr(statistics, self._target)
        spectra = [np.expm1(tensor.cpu().numpy()) for tensor in tensors]
        return {
            "gram_distance": gram_distance,
            "content_distance": content_distance,
            "onset_correlation": onset_correlation(content, sound, sample_rate=self._sample_rate),
            "log_spectral_distance": float(log_spectral_distance(spectra[0], spectra[1])),
            "texture_snr": float(np.mean(list(snr.values()))),
            "field_snr": float(np.median(field_snr(statistics, self._target))),
        }

    def texture_snr(self, sound: np.ndarray) -> dict[str, float]:
        """Signal-to-noise ratio in dB of every group of cortical statistics to the style's."""
        return statistics_snr(self._statistics([at_level(sound)]), self._target)


def onset_correlation(x: Any, y: Any, *, sample_rate: float) -> float:
    """Pearson correlation of the onset strengths of two mono sounds; NaN without onsets."""
    import librosa

    checked_number(sample_rate, "sample_rate", low=1, high=1e9, unit="Hz")
    sounds = [checked_reals(to_numpy(sound), name) for sound, name in ((x, "x"), (y, "y"))]
    if sounds[0].ndim != 1 or sounds[0].shape != sounds[1].shape:
        raise ValueError(
            f"x and y must be mono sounds of one length; got the shapes {sounds[0].shape} and "
            f"{sounds[1].shape}."
        )
    strengths = [librosa.onset.onset_strength(y=sound, sr=sample_rate) for sound in sounds]
    centered = [strength - strength.mean(dtype=np.float64) for strength in strengths]
    norms = [float(np.linalg.norm(strength)) for strength in centered]
    if min(norms) == 0:
        return float("nan")
    return float(centered[0] @ centered[1] / (norms[0] * norms[1]))
