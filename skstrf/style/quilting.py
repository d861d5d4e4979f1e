"""Image quilting along time: a sound made of pieces of a style, chosen by a content.

Two pieces are joined along the seam through their common frames where they differ least. As every
frame has all frequencies, the seam has another time at every frequency. Efros and Freeman, "Image
quilting for texture synthesis and transfer", SIGGRAPH, 341-346, 2001.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from skstrf.style.domains import hop_length, tensor_of
from skstrf.transforms import STFTTransformer

__all__ = ["StylePieces", "quilt"]

# Duration of a piece in seconds, share of it that overlaps with the next, and weight of the
# content in the choice of a piece.
_PATCH_DURATION, _OVERLAP, _CONTENT_SHARE = 0.2, 1 / 3, 0.8
# Number of frequency bands in which pieces are compared with the content and with each other.
_CONTENT_BANDS, _JOIN_BANDS = 16, 64
# Ratio of the mean power to the power below which levels approach 0: 60 dB.
_RANGE = 1e6
# Numbers of values of the candidates that are compared at once.
_AT_ONCE = 20_000_000


class StylePieces:
    """Spectra and levels of styles, from which pieces are taken."""

    def __init__(self, styles: Sequence[np.ndarray], sample_rate: float):
        self.sample_rate = sample_rate
        spectra = [_spectrum(style, sample_rate) for style in styles]
        self.spectrum = np.concatenate(spectra, axis=1)
        self._joins = _levels(self.spectrum, _JOIN_BANDS)
        self._variance = max(float(self._joins.var()), np.finfo(float).tiny)
        self._levels = _standardized(self.spectrum)
        counts = np.array([spectrum.shape[1] for spectrum in spectra])
        # Frames to the end of the style: pieces do not extend from one style into another.
        self._rest = np.concatenate([np.arange(count, 0, -1) for count in counts])
        self.shortest = int(counts.min())

    def best(self, wanted: np.ndarray, previous: slice, content_share: float) -> int:
        """First frame of the best piece after the frames `previous` of the styles."""
        length = wanted.shape[1]
        starts = np.flatnonzero(self._rest >= length)
        cost = _distances(self._levels, starts, wanted)
        if previous.stop > previous.start:
            joins = _distances(self._joins, starts, self._joins[:, previous])
            cost = content_share * cost + (1 - content_share) * joins / self._variance
        return int(starts[cost.argmin()])


def quilt(
    content: np.ndarray,
    pieces: StylePieces,
    *,
    patch_duration: float = _PATCH_DURATION,
    patch_overlap: float = _OVERLAP,
    content_share: float = _CONTENT_SHARE,
) -> np.ndarray:
    """Make a sound of the length of a content from pieces of styles."""
    target = _spectrum(content, pieces.sample_rate)
    n_frames = target.shape[1]
    frames = round(patch_duration * pieces.sample_rate / hop_length(pieces.sample_rate))
    length = min(max(1, frames), n_frames, pieces.shortest)
    common = min(max(round(patch_overlap * length), 1), length - 1)
    levels = _standardized(target)
    result = np.zeros_like(target)
    end = piece = 0
    while end < n_frames:
        # The last piece overlaps with the one before as far as is necessary.
        start = min(max(0, end - common), n_frames - length)
        previous = slice(piece + length - (end - start), piece + length)
        piece = pieces.best(levels[:, start : start + length], previous, content_share)
        chosen = pieces.spectrum[:, piece : piece + length]
        _join(result[:, start : start + length], chosen, end - start)
        end = start + length
    inverse = _transformer(pieces.sample_rate).fit(np.zeros((1, len(content))))
    return inverse.inverse_transform(result[None])[0]


def _distances(levels: np.ndarray, starts: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Mean squared difference of wanted levels and those from every start on."""
    windows = np.lib.stride_tricks.sliding_window_view(levels, wanted.shape[1], axis=1)
    parts = np.array_split(starts, -(-len(starts) * wanted.size // _AT_ONCE))
    return np.concatenate(
        [np.square(windows[:, part] - wanted[:, None]).mean(axis=(0, 2)) for part in parts]
    )


def _join(place: np.ndarray, piece: np.ndarray, common: int) -> None:
    """Write a piece after the frames that are there, along the best seam in the first `common`."""
    if common:
        old, new = place[:, :common], piece[:, :common]
        scale = np.abs(piece).mean() + np.finfo(float).tiny
        cost = np.square(np.log1p(np.abs(old) / scale) - np.log1p(np.abs(new) / scale))
        keeps = np.arange(common) < _seam(cost)[:, None]
        piece = np.concatenate([np.where(keeps, old, new), piece[:, common:]], axis=1)
    place[:] = piece


def _seam(cost: np.ndarray) -> np.ndarray:
    """Column of the cheapest path through all rows, which moves at most one column per row."""
    total = cost.copy()
    around = np.full(cost.shape[1] + 2, np.inf)
    for before, row in itertools.pairwise(total):
        around[1:-1] = before
        row += np.minimum(np.minimum(around[:-2], before), around[2:])
    path = np.empty(len(cost), dtype=int)
    path[-1] = total[-1].argmin()
    for k in range(len(cost) - 2, -1, -1):
        first = max(0, path[k + 1] - 1)
        path[k] = first + total[k, first : path[k + 1] + 2].argmin()
    return path


def _transformer(sample_rate: float) -> STFTTransformer:
    hop = hop_length(sample_rate)
    return STFTTransformer(
        sample_rate, sample_rate / hop, n_fft=4 * hop, output="complex", compression=None
    )


def _spectrum(sound: np.ndarray, sample_rate: float) -> np.ndarray:
    return tensor_of(_transformer(sample_rate), sound.astype(np.float64))


def _levels(spectrum: np.ndarray, n_bands: int) -> np.ndarray:
    """Levels of bands in dB above 60 dB below the mean power; bands widen with the frequency."""
    power = np.square(np.abs(spectrum))
    edges = np.unique(np.geomspace(1, len(power), n_bands + 1).round().astype(int) - 1)[:-1]
    bands = np.add.reduceat(power, edges, axis=0)
    return 10 * np.log10(1 + _RANGE * bands / max(bands.mean(), np.finfo(float).tiny))


def _standardized(spectrum: np.ndarray) -> np.ndarray:
    """Levels of bands with mean 0 and variance 1, in which content and style are comparable."""
    levels = _levels(spectrum, _CONTENT_BANDS)
    centered = levels - levels.mean(axis=1, keepdims=True)
    return centered / np.maximum(centered.std(axis=1, keepdims=True), 1e-3)
