"""Base classes of the audio feature extractors, and the time frames that they share."""

from __future__ import annotations

import logging
import os
from copy import copy
from functools import partial
from typing import Any, ClassVar, NamedTuple

import numpy as np
from joblib import Parallel, delayed, effective_n_jobs
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import validate_data

from skstrf.caching.recordings import cached_rows
from skstrf.utils.arrays import is_torch, to_numpy
from skstrf.utils.devices import stays_on_device
from skstrf.utils.lazy import Stored, apply_samplewise, is_dask, stored, whole_samples
from skstrf.utils.validation import (
    FLOATS,
    HasMethods,
    Integral,
    Interval,
    Real,
    StrOptions,
    all_finite,
    check_batch,
    check_is_fitted,
    fit_context,
    reject_dataframe_output,
)

__all__ = [
    "Axis",
    "FramedTransformer",
    "InvertibleTransformer",
    "SoundTransformer",
    "check_sounds",
    "frame_axis",
    "hop_length",
    "n_frames",
]


class Axis(NamedTuple):
    """One axis of a transformer's output: the position of every index in a unit such as "Hz"."""

    name: str
    unit: str
    values: np.ndarray


_logger = logging.getLogger("skstrf")

# Largest relative deviation of the frame rate from the requested one.
_TOLERANCE = 0.01
_LONGEST_HOP = 2**24  # samples: a quarter of an hour at 16 kHz


def hop_length(sample_rate: float, frame_rate: float) -> int:
    """Return the number of samples from one frame to the next.

    Frame `k` covers the samples from ``k * hop`` to ``(k + 1) * hop`` and is centered between
    them; the last frame is padded with silence. A `frame_rate` that does not divide
    `sample_rate` is rounded to the nearest hop, in the same way by every transformer.
    """
    if frame_rate > sample_rate:
        raise ValueError(
            f"frame_rate={frame_rate:g} is above sample_rate={sample_rate:g}: there cannot be "
            "more frames than samples. Lower frame_rate."
        )
    if not sample_rate <= _LONGEST_HOP * frame_rate:
        raise ValueError(
            f"frame_rate={frame_rate:g} puts frames {sample_rate / frame_rate:.3g} samples apart, "
            f"more than {_LONGEST_HOP}. Raise frame_rate."
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
    """Return the number of frames of a sound, ``ceil(n_times / hop)``."""
    return -(-n_times // hop)


def frame_axis(n_times: int, hop: int, sample_rate: float) -> Axis:
    """Return the time axis of a sound's frames."""
    middles = (np.arange(n_frames(n_times, hop)) + 0.5) * hop / sample_rate
    return Axis("time", "s", middles)


def check_sounds(estimator: Any, X: Any, *, reset: bool) -> Any:
    """Check a batch of mono sounds; tensors on the CPU become arrays, lazy data stay lazy."""
    stays = is_lazy = False
    if type(X) is not np.ndarray:
        stays = stays_on_device(X)
        X = X if stays else to_numpy(X) if is_torch(X) else stored(X)
        is_lazy = isinstance(X, Stored) or is_dask(X)
    if stays:
        X = all_finite(estimator, check_batch(estimator, X.detach(), reset=reset))
    elif is_lazy:
        X = check_batch(estimator, X, reset=reset, keep_lazy=True)
    else:
        with np.errstate(over="ignore", invalid="ignore"):  # of the sum that looks for NaN
            X = validate_data(estimator, X, reset=reset, allow_nd=True, dtype=FLOATS)
    if X.ndim != 2:
        raise ValueError(
            f"Sounds must be mono, of shape (n_sounds, n_times); got shape {X.shape}. "
            "Average the channels of stereo sounds first (AudioLoader does)."
        )
    if reset:
        estimator.input_shape_ = X.shape[1:]
    return X


def _check_overflow(estimator: Any, sounds: Any, tensors: Any) -> None:
    """Raise an error that names the first sound whose tensor is not finite."""
    if is_torch(tensors):
        finite = tensors.isfinite().flatten(1).all(1)
        if finite.all():
            return
        sounds, tensors = (to_numpy(x[~finite][:1]) for x in (sounds, tensors))
        first, n_sounds = int((~finite).nonzero()[0]), len(finite)
    else:
        first, n_sounds = 0, len(tensors)
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(tensors.sum()):  # quick, and NaN or infinity survives every sum
            return
    for index, tensor in enumerate(tensors):
        if not np.isfinite(tensor).all():
            peak, name = np.abs(sounds[index]).max(), type(estimator).__name__
            raise ValueError(
                f"The tensor of sound {first + index} (of {n_sounds}) is not finite: its samples, "
                f"up to {peak:.3g} in size, overflow in {name}. Leave the sound out, or scale it "
                "to about 1."
            )


class SoundTransformer(TransformerMixin, BaseEstimator):
    """Base class of the transformers of sounds (n_sounds, n_times) into tensors with named axes.

    A subclass implements its constructor (with `memory` and `n_jobs`), ``_prepare``, which
    checks what the declarative constraints cannot and returns the axes, and ``_compute``, which
    transforms a batch. This class handles lazy data, torch tensors and the cache.
    """

    # To be raised by every change of the numbers, so that older cache entries are not used.
    _algorithm_version: ClassVar[int] = 1
    # transform treats every sound alike: pipelines may cache it sound by sound.
    _is_stateless: ClassVar[bool] = True
    # Parameters that do not change the output of transform.
    _without_effect: ClassVar[frozenset[str]] = frozenset(
        {"device", "max_iter", "memory", "n_jobs", "random_state", "verbose"}
    )

    axes_: list[Axis]
    memory: Any
    n_jobs: int | None

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Check the sounds and the parameters; nothing is learned from the data.

        Parameters
        ----------
        X : array-like, torch.Tensor, zarr.Array or dask array of shape (n_sounds, n_times)
            Mono sounds. Of arrays on disk and dask arrays, only shape and dtype are read.
        y : None
            Ignored.

        Returns
        -------
        self : object
            Fitted transformer.
        """
        X = check_sounds(self, X, reset=True)
        self.axes_ = self._prepare(X.shape[1])
        return self

    def transform(self, X):
        """Compute the tensor of every sound.

        Parameters
        ----------
        X : array-like, torch.Tensor, zarr.Array or dask array of shape (n_sounds, n_times)
            Mono sounds of the length seen in `fit`. Memory maps and zarr arrays are read some
            sounds at a time.

        Returns
        -------
        ndarray, torch.Tensor or dask array of shape (n_sounds, ...)
            Tensors with the axes `axes_` after the first; float32 for float32 input, otherwise
            float64 (or complex of the same precision). A torch tensor gives a torch tensor on
            its device, a dask array a lazy dask array with the same chunks along the first axis.

        Raises
        ------
        ValueError
            If `X` has another length, contains NaN or infinity, or holds samples so large that
            the tensor overflows.
        """
        check_is_fitted(self)
        reject_dataframe_output(self, 1 + len(self.axes_))
        sounds = check_sounds(self, X, reset=False)
        if not isinstance(sounds, np.ndarray) and is_torch(sounds):
            if self._computes_tensors() and self.memory is None:
                tensors = self._compute_tensors(sounds)
                _check_overflow(self, sounds, tensors)
                return tensors
            _logger.info("%s computes on the CPU", type(self).__name__)
            sounds = to_numpy(sounds)
        if not isinstance(sounds, np.ndarray):
            return apply_samplewise(
                self._detached().transform,
                sounds,
                shape=self._output_shape(),
                dtype=self._output_dtype(sounds.dtype),
            )
        with np.errstate(over="ignore", invalid="ignore"):  # the next line looks for overflow
            if self.memory is None:
                tensors = self._compute(sounds)
            else:
                tensors = cached_rows(
                    self._compute, sounds, memory=self.memory, key=self._cache_key()
                )
        _check_overflow(self, sounds, tensors)
        if is_torch(X):
            import torch

            return torch.from_numpy(np.ascontiguousarray(tensors)).to(X.device)
        return tensors

    def _prepare(self, n_times: int) -> list[Axis]:
        """Check the parameters against the length of the sounds; return the output's axes."""
        raise NotImplementedError

    def _compute(self, X: np.ndarray) -> np.ndarray:
        """Transform a batch of checked float32 or float64 sounds."""
        raise NotImplementedError

    def _computes_tensors(self) -> bool:
        """Return whether the transform of a torch tensor can stay on its device."""
        return False

    def _compute_tensors(self, X: Any) -> Any:
        """Transform a batch of checked torch tensors on their device."""
        raise NotImplementedError

    def _detached(self) -> Any:
        """Return a copy for lazy computations, which a later fit or chdir does not change."""
        twin = copy(self)
        if isinstance(twin.memory, str | os.PathLike):
            twin.memory = os.path.abspath(twin.memory)
        return twin

    def _output_shape(self) -> tuple[int, ...]:
        return tuple(len(axis.values) for axis in self.axes_)

    def _output_dtype(self, dtype: Any) -> np.dtype:
        """Return the dtype of the tensors of sounds of a floating dtype."""
        chosen = np.dtype(getattr(self, "dtype", None) or dtype)
        return np.result_type(chosen, np.complex64) if self._is_complex() else chosen

    def _is_complex(self) -> bool:
        return getattr(self, "output", None) == "complex"

    def _map_rows(self, function: Any, *arrays: Any) -> np.ndarray:
        """Stack ``function(x, ...)`` of every row of `arrays`, computed in `n_jobs` threads."""
        function = np.errstate(over="ignore", invalid="ignore")(function)  # also in threads
        rows = zip(*arrays, strict=True)
        if effective_n_jobs(self.n_jobs) == 1 or len(arrays[0]) == 1:
            return np.stack([function(*row) for row in rows])
        threads = Parallel(n_jobs=self.n_jobs, prefer="threads")
        return np.stack(threads(delayed(function)(*row) for row in rows))

    def _cache_key(self) -> dict:
        """Return everything besides the sound that decides the numbers."""
        params = self.get_params(deep=False)
        used = {k: v for k, v in params.items() if k not in self._without_effect}
        return {"algorithm": type(self).__name__, "version": self._algorithm_version} | used

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


class InvertibleTransformer(SoundTransformer):
    """Base class of the transformers with an inverse.

    A subclass implements ``_invert``, which inverts one tensor, and describes the quality of
    its inverse in the Notes of its docstring.
    """

    _parameter_constraints: dict = {
        "max_iter": [Interval(Integral, 0, None, closed="left")],
        "random_state": ["random_state"],
    }

    max_iter: Any
    random_state: Any

    def inverse_transform(self, X, phase=None):
        """Compute sounds whose tensors are close to those given.

        The quality that can be expected is given in the Notes of the class.

        Parameters
        ----------
        X : array-like, torch.Tensor, zarr.Array or dask array of shape (n_sounds, ...)
            Tensors as returned by `transform`.
        phase : array-like or dask array, default=None
            Starting point of the search instead of random noise: sounds of shape
            (n_sounds, n_times). Transformers that start with a short-time Fourier transform
            also take its phases in radians, or complex numbers with these phases, of shape
            (n_sounds, 1 + n_fft / 2, n_frames). ``max_iter=0`` uses them unchanged.

        Returns
        -------
        ndarray, torch.Tensor or dask array of shape (n_sounds, n_times)
            Sounds of the length seen in `fit`, in the precision of `X`; lazy for a dask array.

        Raises
        ------
        ValueError
            If `X` or `phase` has a wrong shape, contains NaN or infinity, or is complex where it
            should be real.
        """
        X = self._check_form(X)
        if phase is not None:
            phase = self._check_phase(phase, len(X))
        invert = partial(self._detached()._invert_rows, seed=self._seed())
        return apply_samplewise(
            invert, X, phase, shape=self.input_shape_, dtype=_real_dtype(X), needs_start=True
        )

    def _invert(self, tensor: np.ndarray, hint: np.ndarray | None, rng: Any) -> np.ndarray:
        """Return a sound for one tensor; `hint` is a sound or its phases."""
        raise NotImplementedError

    def _invert_rows(self, X: Any, phase: Any = None, *, start: int, seed: int) -> Any:
        """Invert tensors, each from the same random state, wherever among all of them it is."""
        tensors = _finite_array("X", X)
        hints = [None] * len(tensors) if phase is None else _finite_array("phase", phase)

        def invert(tensor, hint):
            return self._invert(tensor, hint, np.random.default_rng(seed))

        sounds = self._map_rows(invert, tensors, hints).astype(tensors.real.dtype, copy=False)
        if is_torch(X):
            import torch

            return torch.from_numpy(sounds).to(X.device)
        return sounds

    def _seed(self) -> int:
        return check_random_state(self.random_state).randint(2**31 - 1)

    def _check_form(self, X: Any) -> Any:
        """Check shape and kind of tensors against those of transform; values are not read."""
        check_is_fitted(self)
        X = _as_array(X)
        name = type(self).__name__
        if is_dask(X):
            X = whole_samples(X, f"{name}.inverse_transform")
        kind = _kind(X)
        if kind not in "biufc":
            raise ValueError(f"X holds {X.dtype} instead of numbers.")
        shape = self._output_shape()
        if tuple(X.shape[1:]) != shape or not len(X):
            axes = ", ".join(axis.name for axis in self.axes_)
            raise ValueError(
                f"X has shape {tuple(X.shape)}; inverse_transform of this {name} takes tensors of "
                f"shape (n_sounds, {axes}) = (n_sounds, {', '.join(map(str, shape))}), as its "
                "transform returns them. Give tensors of a transformer with the same settings."
            )
        if (kind == "c") != self._is_complex():
            found, made = ("complex", "real") if kind == "c" else ("real", "complex")
            output = f" with output={self.output!r}" if hasattr(self, "output") else ""
            raise ValueError(
                f"X is {found}, but transform of this {name}{output} gives {made} tensors."
            )
        return X

    def _hint_shapes(self) -> list[tuple[int, ...]]:
        """Return the shapes that `phase` may have for one sound."""
        if self._is_complex():
            raise ValueError("phase is given, but complex tensors have their own: leave it out.")
        return [self.input_shape_]

    def _check_phase(self, phase: Any, n_sounds: int) -> Any:
        shapes = self._hint_shapes()
        phase = _as_array(phase)
        if phase.shape not in [(n_sounds, *shape) for shape in shapes]:
            allowed = " or ".join(str((n_sounds, *shape)) for shape in shapes)
            raise ValueError(
                f"phase has shape {tuple(phase.shape)}; it must be {allowed}: one sound, "
                f"{'or its phases, ' if len(shapes) > 1 else ''}for every tensor in X."
            )
        if phase.ndim == 2 and _kind(phase) == "c":
            raise ValueError("phase holds complex sounds; sounds are real.")
        return phase


def _as_array(X: Any) -> Any:
    X = stored(X)
    return X if is_torch(X) or is_dask(X) or isinstance(X, Stored) else np.asarray(X)


def _kind(X: Any) -> str:
    """Return numpy's character for the kind of dtype of any array or tensor."""
    if is_torch(X):
        return "c" if X.is_complex() else "f"
    return getattr(X, "stored_dtype", X.dtype).kind


def _real_dtype(X: Any) -> Any:
    """Return the floating dtype of the sounds of lazy tensors."""
    return np.float32 if X.dtype in (np.float32, np.complex64) else np.float64


def _finite_array(name: str, X: Any) -> np.ndarray:
    """Return finite floating-point numbers, real or complex, in single or double precision."""
    array = to_numpy(X)
    if array.dtype.char not in "fdFD":
        array = array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)
    if not np.isfinite(array).all():
        raise ValueError(f"{name} contains NaN or infinity.")
    return array


class FramedTransformer(SoundTransformer):
    """Base class of the transformers whose last axis is time in frames at `frame_rate`.

    A subclass implements ``_channel_axis``, which checks parameters and returns the axis before
    time, and ``_tensors``, which transforms a batch of the requested dtype.
    """

    _parameter_constraints: dict = {
        "sample_rate": [Interval(Real, 0, None, closed="neither")],
        "frame_rate": [Interval(Real, 0, None, closed="neither")],
        "dtype": [StrOptions({"float32", "float64"}), None],
        "n_jobs": [Integral, None],
        "memory": [str, HasMethods(["cache"]), HasMethods(["__fspath__"]), None],
    }

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
        """Check and choose what depends on the hop."""

    def _channel_axis(self) -> Axis:
        raise NotImplementedError

    def _tensors(self, X: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def _band(self, fmin: float, fmax: float | None) -> tuple[float, float]:
        """Check the edges of a filter bank in Hz; None means half the sampling rate."""
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
