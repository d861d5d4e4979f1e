"""Closeness of a sound to a content and to a style, by judges from outside and by own losses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from skstrf.auditory.measures import log_spectral_distance
from skstrf.style.controls import equalize, mix
from skstrf.style.domains import WaveformDomain, fitted_for, log_stft
from skstrf.style.judges import JUDGES, StyleJudges, content_correlation, remaining_share
from skstrf.style.objectives import InfiniteObjective, cortical_model, cortical_statistics
from skstrf.style.quilting import StylePieces, quilt
from skstrf.style.sounds import at_level
from skstrf.texture.cortical import field_snr, statistics_snr
from skstrf.utils.arrays import to_numpy
from skstrf.utils.validation import checked_number, checked_reals

__all__ = ["CONTROLS", "METRICS", "StyleMetrics", "onset_correlation"]

_SHARE = "share of the distance from content to style that remains (0: the style, 1: the content)"
METRICS = {
    "mel_gram_share": f"{_SHARE}, by Gram matrices of a mel spectrogram",
    "mel_patch_share": f"{_SHARE}, by Gram matrices of patches of 8 frames of it",
    "statistics_share": f"{_SHARE}, by statistics of cochlear envelopes and their modulations",
    "local_correlation": "local correlation of mel spectrograms with the content (1: the content)",
    "onset_correlation": "correlation of the onset strength with the content's (1: the content)",
    "log_spectral_distance": "log-spectral distance to the content, in dB",
    "gram_distance": "relative distance of the Gram matrix to that of the style (0: the style); "
    "the own style loss of random filters",
    "content_distance": "relative distance of activations to the content's (0: the content); "
    "the own content loss of random filters",
    "texture_snr": "signal-to-noise ratio of cortical texture statistics in dB, mean of groups; "
    "the own style loss of the cortical network",
    "field_snr": "the same for receptive fields in dB, median over scales and rates",
}
CONTROLS = {
    "content": "the untouched content",
    "style": "the untouched style",
    "other_style": "another part of the style, where one is given",
    "equalizer": "the content with the long-term spectrum of the style",
    "mix_0_db": "the sum of content and style at equal levels",
    "mix_minus_6_db": "the same with the style 6 dB below the content",
    "quilting": "pieces of the style, chosen by the content and joined along seams",
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
        minute = int(_MAX_DURATION * sample_rate)
        first = [style[:minute] for style in self._styles]
        self._judges, self._pieces = (
            StyleJudges(first, sample_rate),
            StylePieces(first, sample_rate),
        )

    def _statistics(self, sounds: Sequence[np.ndarray]) -> dict[str, torch.Tensor]:
        tensors = [torch.from_numpy(sound) for sound in sounds]
        return cortical_statistics(self._model, tensors, self._sample_rate)

    def _spectrogram(self, sound: np.ndarray) -> torch.Tensor:
        domain = WaveformDomain(fitted_for(self._stft, len(sound)), "cpu")
        with torch.no_grad():
            # In single precision rounding errors exceed the distances of similar sounds.
            return domain.tensor(domain.variable(sound)).double()

    def table(
        self,
        contents: np.ndarray,
        results: np.ndarray,
        other_style: np.ndarray | None = None,
    ) -> dict[str, dict[str, list[float]]]:
        """Metrics of results, and of the controls in their place."""
        table: dict[str, dict[str, list[float]]] = {name: {} for name in METRICS}
        for content, result in self._pairs(contents, results):
            sounds = {"result": result, **self._controls(content, other_style)}
            untouched = self._judges.distances(content)
            for kind, sound in sounds.items():
                found = self._shares(sound, untouched) | self._measure(content, sound)
                for name in METRICS:
                    table[name].setdefault(kind, []).append(found[name])
        return table

    def shares(self, contents: np.ndarray, results: np.ndarray) -> np.ndarray:
        """Remaining shares of the distance to the style, of shape (n_sounds, n_judges)."""
        return np.array(
            [
                list(self._shares(result, self._judges.distances(content)).values())
                for content, result in self._pairs(contents, results)
            ]
        )

    def _pairs(
        self, contents: np.ndarray, results: np.ndarray
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Contents and results in mono, at one level, of at most a minute."""
        if contents.ndim == 3:
            contents, results = contents.mean(axis=1), results.mean(axis=1)
        longest = int(_MAX_DURATION * self._sample_rate)
        for content, result in zip(contents[:, :longest], results[:, :longest], strict=True):
            yield at_level(content), at_level(result)

    def _controls(
        self, content: np.ndarray, other_style: np.ndarray | None
    ) -> dict[str, np.ndarray]:
        """Sounds of the length of the content that are measured in place of a result."""
        style, n_times = self._styles[0], len(content)
        others = {} if other_style is None else {"other_style": np.resize(other_style, n_times)}
        return {
            "content": content,
            "style": np.resize(style, n_times),
            **{name: at_level(other) for name, other in others.items()},
            "equalizer": equalize(content, style),
            "mix_0_db": mix(content, style, 0.0),
            "mix_minus_6_db": mix(content, style, -6.0),
            "quilting": self._quilt(content),
        }

    def _quilt(self, content: np.ndarray) -> np.ndarray:
        """Quilt of the styles, or the content where the piece that was chosen is silent."""
        sound = quilt(content, self._pieces)
        return at_level(sound) if sound.any() else content

    def _shares(self, sound: np.ndarray, untouched: dict[str, float]) -> dict[str, float]:
        distances = self._judges.distances(sound)
        return {name: remaining_share(distances[name], untouched[name]) for name in JUDGES}

    def _measure(self, content: np.ndarray, sound: np.ndarray) -> dict[str, float]:
        tensors = [self._spectrogram(x) for x in (content, sound)]
        self._network.set_content(tensors[0])
        content_distance, gram_distance = self._network.relative_distances(tensors[1])
        statistics = self._statistics([sound])
        snr = statistics_snr(statistics, self._target)
        spectra = [np.expm1(tensor.cpu().numpy()) for tensor in tensors]
        return {
            "local_correlation": content_correlation(
                content, sound, sample_rate=self._sample_rate
            ),
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
