"""Transformers on dask arrays, lazily, and on arrays on disk, some sounds at a time."""

from __future__ import annotations

import os
from collections.abc import Callable
from copy import copy
from typing import Any

import numpy as np

from ..auditory import frames_per_second, model_sample_rate
from ..utils.blocks import is_dask, map_pairs, map_samples, whole_samples
from ..utils.stored import Stored

__all__ = [
    "for_workers",
    "lazy_sounds",
    "lazy_strf_inverse",
    "lazy_tensors",
    "stored_tensors",
]

# Bytes of sounds on disk that are read at a time.
PART_BYTES = 64 * 2**20


def for_workers(transformer: Any) -> Any:
    """Copy a fitted transformer, so that fitting it again changes nothing still to be computed.

    Parameters
    ----------
    transformer : SoundTransformer
        Fitted.

    Returns
    -------
    SoundTransformer
        A cache by a relative path is that of this process, wherever the workers run.
    """
    twin = copy(transformer)
    if isinstance(twin.memory, str | os.PathLike):
        twin.memory = os.path.abspath(twin.memory)
    return twin


def lazy_tensors(transformer: Any, X: Any) -> Any:
    """Transform a dask array of sounds block by block, when it is computed.

    Parameters
    ----------
    transformer : SoundTransformer
        Fitted.
    X : dask array of shape (n_sounds, n_times)
        Checked sounds in blocks of whole ones.

    Returns
    -------
    dask array of shape (n_sounds, ...)
        With the same blocks of sounds.
    """
    shape = tuple(len(axis.values) for axis in transformer.axes_)
    dtype = transformer._output_dtype(X.dtype)
    return map_samples(X, for_workers(transformer).transform, shape, dtype)


def stored_tensors(transformer: Any, X: Stored) -> np.ndarray:
    """Transform sounds on disk, reading some at a time.

    Parameters
    ----------
    transformer : SoundTransformer
        Fitted.
    X : Stored of shape (n_sounds, n_times)
        Checked sounds.

    Returns
    -------
    ndarray of shape (n_sounds, ...)
        The tensors, in memory.
    """
    together = X.rows_together
    sound_bytes = max(1, X.nbytes // len(X))
    n_rows = max(1, PART_BYTES // (sound_bytes * together)) * together
    out: Any = None
    for start in range(0, len(X), n_rows):
        part = transformer.transform(X[start : start + n_rows])
        if out is None:
            out = np.empty((len(X), *part.shape[1:]), part.dtype)
        out[start : start + len(part)] = part
    return out


def lazy_sounds(transformer: Any, X: Any, phase: Any, seed: int) -> Any:
    """Invert a dask array of tensors block by block, when it is computed.

    Parameters
    ----------
    transformer : InvertibleTransformer
        Fitted.
    X : dask array of shape (n_sounds, ...)
        As transform gives them.
    phase : array-like or dask array of shape (n_sounds, ...) or None
        Hints.
    seed : int
        Of the random start.

    Returns
    -------
    dask array of shape (n_sounds, n_times)
        With the same blocks of sounds.
    """
    X = whole_samples(X, f"{type(transformer).__name__}.inverse_transform")
    transformer._check_form(X)
    dtype = np.float32 if X.dtype in (np.float32, np.complex64) else np.float64
    twin = for_workers(transformer)
    if phase is None:
        return map_samples(X, twin._inverted_from, twin.input_shape_, dtype, None, seed)
    if not is_dask(phase):
        phase = transformer._check_phase(phase, len(X))
    elif transformer._gives_complex():
        raise ValueError("phase is given, but complex tensors have their own: leave it out.")
    transformer._check_phase_shape(phase.shape, len(X))
    return map_pairs(X, phase, _WithPhase(twin, seed), twin.input_shape_, dtype)


class _WithPhase:
    """Inverts a block with its hints."""

    def __init__(self, transformer: Any, seed: int):
        self.invert: Callable[..., np.ndarray] = transformer._inverted_from
        self.seed = seed

    def __call__(self, tensors: np.ndarray, phase: np.ndarray) -> np.ndarray:
        return self.invert(tensors, phase, self.seed)


def lazy_strf_inverse(strf: Any, X: Any, to: str, max_iter: int | None, random_state: Any) -> Any:
    """Invert a dask array of STRF tensors block by block, when it is computed.

    Parameters
    ----------
    strf : STRFTransformer
        Fitted.
    X : dask array of shape (n_sounds, n_scales, n_rates, n_freqs, n_frames)
        As transform gives them.
    to : {"sound", "spectrogram"}
        How far to go back.
    max_iter : int or None
        Iterations of each stage at most.
    random_state : int, Generator or None
        With an integer the result is that of all tensors at once.

    Returns
    -------
    dask array of shape (n_sounds, n_times) or (n_sounds, 128, n_spectrogram_frames)
        With the same blocks of sounds.
    """
    X = whole_samples(X, "STRFTransformer.inverse_transform")
    strf._check_form(X)
    seed = random_state
    if not isinstance(seed, int | np.integer):
        seed = int(np.random.default_rng(random_state).integers(2**63))
    n_times = strf.n_features_in_
    shape = (n_times,) if to == "sound" else (128, strf._n_frames(n_times))
    dtype = np.float32 if X.dtype in (np.float32, np.complex64) else np.float64
    inverse = _StrfInverse(for_workers(strf), to, max_iter, seed)
    return map_samples(X, inverse, shape, dtype, needs_start=True)


class _StrfInverse:
    """Inverts some tensors of many, from the noise that they would be given among all."""

    def __init__(self, strf: Any, to: str, max_iter: int | None, seed: int):
        self.strf, self.options = strf, {"to": to, "max_iter": max_iter}
        self.seed = seed

    def __call__(self, tensors: np.ndarray, start: int) -> np.ndarray:
        strf = self.strf
        per_frame = round(model_sample_rate() / frames_per_second(strf.frame_length))
        rng: Any = np.random.default_rng(self.seed)
        # One number for every sample of the sounds before.
        rng.bit_generator.advance(start * strf._n_frames(strf.n_features_in_) * per_frame)
        return strf.inverse_transform(tensors, random_state=rng, **self.options)
