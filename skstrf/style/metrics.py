"""How near a sound is to a content and to a style, beside both untouched."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from skstrf.auditory import log_spectral_distance
from skstrf.style.objectives import CorticalObjective, InfiniteObjective, cortical_model
from skstrf.style.optimization import SoundDomain, fitted_for
from skstrf.style.sounds import LEVEL, log_stft, repeat_to
from skstrf.texture import field_snr, onset_correlation, statistics_snr

__all__ = [
    "StyleMetrics",
    "METRICS",
    "at_level",
    "compare_all",
]


# Name, what it says, and which way is better (toward content or style).
METRICS = {
    "gram_distance": "relative distance of Gram matrices to the style's (0 is the style)",
    "content_distance": "relative distance of activations to the content's (0 is the content)",
    "onset_correlation": "correlation of onset strength with the content's (1 is the content)",
    "log_spectral_distance": "log-spectral distance to the content, in dB",
    "texture_snr": "signal-to-noise ratio of cortical texture statistics, in dB, mean of groups",
    "field_snr": "the same for every receptive field, in dB, median over scales and rates",
}
# Frames of the judging spectrogram that a filter sees.
_WIDTH = 11
_BLOCK = 10.0  # seconds whose statistics are taken at once
_LONGEST = 60.0  # seconds of a content that are measured; distances take their square in memory


class StyleMetrics:
    """Measures that do not depend on the settings of a transfer.

    Gram and content distance are those of a random layer of infinitely many filters, 11 frames
    wide, over :func:`skstrf.style.log_stft`, the setting of [1]_. Of sounds that last longer, the
    first minute is measured.
    """

    def __init__(self, styles: Sequence[np.ndarray], sample_rate: float, device: str = "cpu"):
        self._sample_rate, self._device = sample_rate, device
        self._stft = log_stft(sample_rate)
        self._styles = [at_level(style) for style in styles]
        tensors = [self._spectrogram(style) for style in self._styles]
        frames = min(tensor.shape[-1] for tensor in tensors)
        self._network = InfiniteObjective(tensors, min(_WIDTH, frames))
        longest = max(int(_BLOCK * sample_rate), 1)
        whole = max(len(style) for style in self._styles)
        model = cortical_model(self._stft, min(longest, whole)).to(device)
        self.rates, self.scales = model.rates, model.scales
        self._cortex = self._statistics_of(self._styles, model)
        self._model = model

    def _statistics_of(self, sounds: Sequence[np.ndarray], model: Any) -> CorticalObjective:
        tensors = [torch.from_numpy(sound).to(self._device) for sound in sounds]
        return CorticalObjective(tensors, model, self._sample_rate, {"mean": 1.0})

    def _spectrogram(self, sound: np.ndarray) -> torch.Tensor:
        domain = SoundDomain(fitted_for(self._stft, len(sound)), self._device)
        with torch.no_grad():
            # In double precision, distances of like sounds are not drowned in rounding.
            return domain.tensor(domain.start(sound)).double()

    def compare(self, content: np.ndarray, result: np.ndarray) -> dict[str, dict[str, float]]:
        """Measure a result, the content as it was, and the style in its place."""
        longest = int(_LONGEST * self._sample_rate)
        content, result = at_level(content[:longest]), result[:longest]
        sounds = {
            "result": at_level(result),
            "content": content,
            "style": repeat_to(self._styles[0], len(content)),
        }
        rows = {name: self._measure(content, sound) for name, sound in sounds.items()}
        return {key: {name: row[key] for name, row in rows.items()} for key in METRICS}

    def _measure(self, content: np.ndarray, sound: np.ndarray) -> dict[str, float]:
        tensors = [self._spectrogram(x) for x in (content, sound)]
        self._network.set_content(tensors[0])
        near, gram = self._network.relative(tensors[1])
        statistics = self._statistics_of([sound], self._model).target
        snr = statistics_snr(statistics, self._cortex.target)
        spectra = [np.expm1(tensor.cpu().numpy()) for tensor in tensors]
        return {
            "gram_distance": gram,
            "content_distance": near,
            "onset_correlation": onset_correlation(content, sound, sample_rate=self._sample_rate),
            "log_spectral_distance": float(log_spectral_distance(spectra[0], spectra[1])),
            "texture_snr": float(np.mean(list(snr.values()))),
            "field_snr": float(np.median(field_snr(statistics, self._cortex.target))),
        }

    def groups(self, sound: np.ndarray) -> dict[str, float]:
        """Signal-to-noise ratio, in dB, of every group of statistics of a sound to the style's."""
        statistics = self._statistics_of([at_level(sound)], self._model).target
        return statistics_snr(statistics, self._cortex.target)

    def fields(self, sound: np.ndarray) -> np.ndarray:
        """Signal-to-noise ratio, in dB, by scale and rate, (n_scales, 2 * n_rates)."""
        statistics = self._statistics_of([at_level(sound)], self._model).target
        return field_snr(statistics, self._cortex.target)


def at_level(sound: np.ndarray) -> np.ndarray:
    """Bring a sound to the level that transfer has inside."""
    level = np.sqrt(np.square(sound, dtype=np.float64).mean())
    return np.ascontiguousarray(sound * (LEVEL / level), dtype=np.float32)


def compare_all(
    judge: StyleMetrics, contents: np.ndarray, results: np.ndarray
) -> dict[str, dict[str, list[float]]]:
    """Measure several results; of several channels the mean."""
    if results.shape != contents.shape:
        raise ValueError(
            f"result has shape {results.shape}, X has {contents.shape}: they are to be alike."
        )
    if contents.ndim == 3:
        contents, results = contents.mean(axis=1), results.mean(axis=1)
    tables = [judge.compare(c, r) for c, r in zip(contents, results, strict=True)]
    kinds = ("result", "content", "style")
    return {
        name: {kind: [table[name][kind] for table in tables] for kind in kinds} for name in METRICS
    }
