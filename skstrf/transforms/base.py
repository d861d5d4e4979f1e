"""Names, units and values of a tensor's axes."""

from __future__ import annotations

import os
from collections.abc import Callable
from copy import copy
from typing import Any, ClassVar, NamedTuple

import numpy as np
from joblib import Parallel, delayed, effective_n_jobs
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import check_random_state

from skstrf.auditory import frames_per_second, model_sample_rate
from skstrf.caching.recordings import cached_rows
from skstrf.utils.arrays import is_torch, to_numpy
from skstrf.utils.lazy import Stored, is_dask, map_pairs, map_samples, stored, whole_samples
from skstrf.utils.validation import (
    HasMethods,
    Integral,
    Interval,
    Real,
    StrOptions,
    check_batch,
    check_is_fitted,
    fit_context,
    reject_dataframe_output,
    validate_tensors,
)

__all__ = [
    "Axis",
    "FramedTransformer",
    "InvertibleTransformer",
    "SoundTransformer",
    "check_sounds",
    "for_workers",
    "frame_axis",
    "hop_length",
    "lazy_sounds",
    "lazy_strf_inverse",
    "lazy_tensors",
    "n_frames",
    "stored_tensors",
]


class Axis(NamedTuple):
    """One axis of a transformer's output.

    Attributes
    ----------
    name : str
        Such as "scale", "rate", "frequency", "time".
    unit : str
        Such as "cycles/octave", "Hz", "s".
    values : ndarray of shape (n,)
        Position of every index along the axis, in that unit.
    """

    name: str
    unit: str
    values: np.ndarray


# Largest deviation of the true frame rate from the one asked for.
_TOLERANCE = 0.01
_LONGEST = 2**24  # samples from one frame to the next: a quarter of an hour at 16 kHz


def hop_length(sample_rate: float, frame_rate: float) -> int:
    """Samples from one frame to the next.

    Frame `k` stands for the samples from ``k * hop`` to ``(k + 1) * hop``, and is centered between
    them; the last frame is filled up with silence. Where `frame_rate` does not divide
    `sample_rate` the hop is rounded, the same way in every transformer, and the time axis says
    where the frames truly are.
    """
    if frame_rate > sample_rate:
        raise ValueError(
            f"frame_rate={frame_rate:g} is above sample_rate={sample_rate:g}: there cannot be "
            "more frames than samples. Lower frame_rate."
        )
    if not sample_rate <= _LONGEST * frame_rate:
        raise ValueError(
            f"frame_rate={frame_rate:g} puts frames {sample_rate / frame_rate:.3g} samples apart, "
            f"more than {_LONGEST}. Raise frame_rate."
        )
    hop = round(sample_rate / frame_rate)
    if abs(sample_rate / hop - frame_rate) > _TOLERANCE * frame_rate:
        raise ValueError(
            f"frame_rate={frame_rate:g} is {sample_rate / frame_rate:.3g} samples per frame at "
            f"sample_rate={sample_rate:g}, too far from a whole number. The nearest frame rates "
            f"are {sample_rate / (hop + 1):.6g}, {sample_rate / hop:.6g} and "
            f"{sample_rate / max(1, hop - 1):.6g}."
        )
    return hop


def n_frames(n_times: int, hop: int) -> int:
    """Frames of a sound of `n_times` samples: ``ceil(n_times / hop)``."""
    return -(-n_times // hop)


def frame_axis(n_times: int, hop: int, sample_rate: float) -> Axis:
    """Time axis of a sound's frames."""
    middles = (np.arange(n_frames(n_times, hop)) + 0.5) * hop / sample_rate
    return Axis("time", "s", middles)


# Bytes of sounds on disk that are read at a time.
PART_BYTES = 64 * 2**20


def for_workers(transformer: Any) -> Any:
    """Copy a fitted transformer, so that fitting it again changes nothing still to be computed."""
    twin = copy(transformer)
    if isinstance(twin.memory, str | os.PathLike):
        twin.memory = os.path.abspath(twin.memory)
    return twin


def lazy_tensors(transformer: Any, X: Any) -> Any:
    """Transform a dask array of sounds block by block, when it is computed."""
    shape = tuple(len(axis.values) for axis in transformer.axes_)
    dtype = transformer._output_dtype(X.dtype)
    return map_samples(X, for_workers(transformer).transform, shape, dtype)


def stored_tensors(transformer: Any, X: Stored) -> np.ndarray:
    """Transform sounds on disk, reading some at a time."""
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
    """Invert a dask array of tensors block by block, when it is computed."""
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
    """Invert a dask array of STRF tensors block by block, when it is computed."""
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
        per_frame = round(model_sample_rate() / frames_per_second(strf.hop_duration))
        rng: Any = np.random.default_rng(self.seed)
        # One number for every sample of the sounds before.
        rng.bit_generator.advance(start * strf._n_frames(strf.n_features_in_) * per_frame)
        return strf.inverse_transform(tensors, random_state=rng, **self.options)


class SoundTransformer(TransformerMixin, BaseEstimator):
    """Base of the transformers from sounds (n_sounds, n_times) to tensors with named axes.

    A subclass writes its constructor (every one has `memory` and `n_jobs`), ``_prepare``, which
    checks what the declarative constraints cannot and returns the axes, and ``_compute``, which
    transforms a batch. Torch at the door, the cache and scikit-learn's contract are done here.

    Attributes
    ----------
    axes_ : list of Axis
        Name, unit and values of every output axis after the first.
    input_shape_ : tuple of int
        Shape of one sound.
    n_features_in_ : int
        Samples of one sound.
    """

    # Raised whenever a change alters the numbers, so that entries of older caches are not used.
    _algorithm_version: ClassVar[int] = 1
    # Parameters that change where and how it is computed but not what comes out.
    _without_effect: ClassVar[frozenset[str]] = frozenset(
        {"memory", "n_jobs", "device", "verbose"}
    )

    memory: Any
    n_jobs: int | None

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Check the sounds and the settings; nothing is learned from the data.

        Parameters
        ----------
        X : array-like, zarr.Array or dask array of shape (n_sounds, n_times)
            Mono sounds; of those on disk or in dask nothing but the shape is looked at.
        y : None
            Ignored.

        Returns
        -------
        self : object
            This object.
        """
        X = check_sounds(self, X, reset=True)
        self.axes_ = self._prepare(X.shape[1])
        return self

    def transform(self, X):
        """Compute the tensor of every sound.

        Parameters
        ----------
        X : array-like, torch.Tensor, zarr.Array or dask array of shape (n_sounds, n_times)
            Mono sounds of the length seen in fit. A memory map or zarr array is read some
            sounds at a time.

        Returns
        -------
        ndarray, torch.Tensor or dask array of shape (n_sounds, ...)
            The axes after the first are those of `axes_`; float32 for float32 input, else
            float64 (or complex of the same precision). A torch tensor gives a torch tensor on
            its device, a dask array a lazy dask array with the same blocks of sounds.
        """
        check_is_fitted(self)
        reject_dataframe_output(self, 1 + len(self.axes_))
        sounds = check_sounds(self, X, reset=False)
        if is_dask(sounds):
            return lazy_tensors(self, sounds)
        if isinstance(sounds, Stored):
            return stored_tensors(self, sounds)
        result = cached_rows(self._compute, sounds, memory=self.memory, key=self._cache_key())
        if is_torch(X):
            import torch

            return torch.from_numpy(np.ascontiguousarray(result)).to(X.device)
        return result

    def _prepare(self, n_times: int) -> list[Axis]:
        """Check settings against the length of the sounds; return the output's axes."""
        raise NotImplementedError

    def _compute(self, X: np.ndarray) -> np.ndarray:
        """Transform a batch of checked float32 or float64 sounds."""
        raise NotImplementedError

    def _output_dtype(self, dtype: Any) -> np.dtype:
        """Say what transform gives for sounds of a floating dtype."""
        chosen = np.dtype(getattr(self, "dtype", None) or dtype)
        return np.result_type(chosen, np.complex64) if self._gives_complex() else chosen

    def _gives_complex(self) -> bool:
        return getattr(self, "output", None) == "complex"

    def _each(self, function: Any, *arrays: Any) -> np.ndarray:
        """Stack ``function(x, ...)`` of every row of `arrays`, computed in `n_jobs` threads."""
        rows = zip(*arrays, strict=True)
        if effective_n_jobs(self.n_jobs) == 1 or len(arrays[0]) == 1:
            return np.stack([function(*row) for row in rows])
        threads = Parallel(n_jobs=self.n_jobs, prefer="threads")
        return np.stack(threads(delayed(function)(*row) for row in rows))

    def _cache_key(self) -> dict:
        """Everything but the sound that decides on the numbers."""
        params = self.get_params(deep=False)
        used = {k: v for k, v in params.items() if k not in self._without_effect}
        return {"algorithm": type(self).__name__, "version": self._algorithm_version} | used

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


class FramedTransformer(SoundTransformer):
    """Base of the transformers whose last axis is time in frames at `frame_rate`.

    A subclass writes ``_channel_axis``, which checks settings and returns the axis before time,
    and ``_tensors``, which transforms a batch of the dtype asked for.

    Attributes
    ----------
    hop_length_ : int
        Samples from one frame to the next, see :func:`skstrf.transforms.base.hop_length`.
    """

    _parameter_constraints: dict = {
        "sample_rate": [Interval(Real, 0, None, closed="neither")],
        "frame_rate": [Interval(Real, 0, None, closed="neither")],
        "dtype": [StrOptions({"float32", "float64"}), None],
        "n_jobs": [Integral, None],
        "memory": [str, HasMethods(["cache"]), HasMethods(["__fspath__"]), None],
    }
    _without_effect = SoundTransformer._without_effect | {"max_iter", "random_state"}

    sample_rate: float
    frame_rate: float
    dtype: str | None

    def _prepare(self, n_times: int) -> list[Axis]:
        self.hop_length_ = hop_length(self.sample_rate, self.frame_rate)
        self._prepare_frames()
        return [self._channel_axis(), frame_axis(n_times, self.hop_length_, self.sample_rate)]

    def _compute(self, X: np.ndarray) -> np.ndarray:
        return self._tensors(X.astype(self.dtype or X.dtype, copy=False))

    def _prepare_frames(self) -> None:
        """Check and choose what depends on the hop; here there is nothing."""

    def _channel_axis(self) -> Axis:
        """Check settings; return the axis before time."""
        raise NotImplementedError

    def _tensors(self, X: np.ndarray) -> np.ndarray:
        """Transform a batch of checked sounds."""
        raise NotImplementedError

    def _band(self, fmin: float, fmax: float | None) -> tuple[float, float]:
        """Check the edges of a filter bank in Hz; None is half the sample rate."""
        nyquist = self.sample_rate / 2
        top = nyquist if fmax is None else fmax
        if top > nyquist:
            raise ValueError(
                f"fmax={top:g} Hz is above half of sample_rate={self.sample_rate:g} Hz: such "
                f"frequencies are not in the sounds. Set fmax to at most {nyquist:g}, or None."
            )
        if fmin >= top:
            raise ValueError(
                f"fmin={fmin:g} Hz is not below fmax={top:g} Hz"
                f"{', half of sample_rate' if fmax is None else ''}: no band is left."
            )
        return float(fmin), float(top)


class InvertibleTransformer(FramedTransformer):
    """Base of the framed transformers that give sounds back.

    A subclass writes ``_invert``, for one tensor, and a public ``inverse_transform`` that says
    how well it does and calls ``_inverse``.
    """

    _parameter_constraints: dict = {
        **FramedTransformer._parameter_constraints,
        "max_iter": [Interval(Integral, 0, None, closed="left")],
        "random_state": ["random_state"],
    }

    max_iter: int
    random_state: Any

    def _invert(self, tensor: np.ndarray, hint: np.ndarray | None, rng: Any) -> np.ndarray:
        """Return a sound for one tensor; `hint` is a sound or the phase of one."""
        raise NotImplementedError

    def _phase_shape(self) -> tuple[int, ...] | None:
        """Shape of one sound's phases, where such can be a hint."""
        return None

    def _inverse(self, X: Any, phase: Any) -> Any:
        """Check tensors and hints, then invert every tensor, each from the same random state."""
        check_is_fitted(self)
        seed = check_random_state(self.random_state).randint(2**31 - 1)
        if is_dask(X):
            return lazy_sounds(self, X, phase, seed)
        return self._inverted_from(X, phase, seed)

    def _inverted_from(self, X: Any, phase: Any, seed: int) -> Any:
        tensors = self._check_tensors(X)
        hints = [None] * len(tensors) if phase is None else self._check_phase(phase, len(tensors))

        def invert(tensor, hint):
            return self._invert(tensor, hint, np.random.default_rng(seed))

        sounds = self._each(invert, tensors, hints).astype(tensors.real.dtype, copy=False)
        if is_torch(X):
            import torch

            return torch.from_numpy(sounds).to(X.device)
        return sounds

    def _check_tensors(self, X: Any) -> np.ndarray:
        tensors = _finite_array("X", X)
        self._check_form(tensors)
        return tensors

    def _check_form(self, tensors: Any) -> None:
        """Compare shape and kind with what transform gives; values are not looked at."""
        shape = tuple(len(axis.values) for axis in self.axes_)
        if tensors.shape[1:] != shape or not len(tensors):
            raise ValueError(
                f"X has shape {tensors.shape}; inverse_transform of this {type(self).__name__} "
                f"takes what its transform gives, of shape (n_sounds, {str(shape)[1:]}."
            )
        wanted = self._gives_complex()
        if (tensors.dtype.kind == "c") != wanted:
            found = "real" if wanted else "complex"
            raise ValueError(
                f"X is {found}, but transform of this {type(self).__name__} gives "
                f"{'complex' if wanted else 'real'} tensors. Set output to what X is, and fit."
            )

    def _check_phase(self, phase: Any, n_sounds: int) -> np.ndarray:
        if self._gives_complex():
            raise ValueError("phase is given, but complex tensors have their own: leave it out.")
        hints = _finite_array("phase", phase)
        self._check_phase_shape(hints.shape, n_sounds)
        if hints.ndim == 2 and np.iscomplexobj(hints):
            raise ValueError("phase holds complex sounds; sounds are real.")
        return hints

    def _check_phase_shape(self, found: tuple[int, ...], n_sounds: int) -> None:
        shapes = [self.input_shape_]
        if self._phase_shape() is not None:
            shapes.append(self._phase_shape())
        if found not in [(n_sounds, *shape) for shape in shapes]:
            allowed = " or ".join(str((n_sounds, *shape)) for shape in shapes)
            raise ValueError(
                f"phase has shape {found}; it must be {allowed}: one sound, "
                f"{'or its phases, ' if len(shapes) > 1 else ''}for every tensor in X."
            )


def _finite_array(name: str, X: Any) -> np.ndarray:
    """Return floating numbers, real or complex, float64 unless they are floating already."""
    array = to_numpy(X)
    if array.dtype.kind not in "biufc":
        raise ValueError(f"{name} holds {array.dtype} instead of numbers.")
    if array.dtype.char not in "fdFD":
        array = array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)
    if not np.isfinite(array).all():
        raise ValueError(f"{name} contains NaN or infinity.")
    return array


def check_sounds(estimator: Any, X: Any, *, reset: bool) -> Any:
    """Check a batch of mono sounds of any kind."""
    X = stored(X)
    if is_dask(X) or isinstance(X, Stored):
        X = check_batch(estimator, X, reset=reset, keep_lazy=True)
    else:
        X = validate_tensors(estimator, to_numpy(X) if is_torch(X) else X, reset=reset)
    if X.ndim != 2:
        raise ValueError(
            f"Sounds must be mono, of shape (n_sounds, n_times); got shape {X.shape}. "
            "Average the channels of stereo sounds first (AudioLoader does)."
        )
    return X
