"""Stimuli and responses of trials: checks, folds and scores."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.model_selection import check_cv
from sklearn.utils import check_random_state

from skstrf.utils.arrays import is_torch, to_numpy
from skstrf.utils.lazy import is_dask
from skstrf.utils.validation import FLOATS, check_array, numpy_dtype, shape_proxy, validate_data

__all__ = ["Stimuli", "check_folds", "correlation", "read_responses", "read_stimuli"]

_MOST_FOLDS = 5


class Stimuli:
    """Stimuli of trials, each of which is read when it is needed."""

    def __init__(self, X: Any, shape: tuple[int, ...], lengths: list[int], dtype: Any):
        self.X = X
        self.shape = shape  # of a trial but for its frames
        self.lengths = lengths
        self.dtype = dtype
        # A batch of shape (n_trials, n_channels) holds trials of one frame.
        self.single = not isinstance(X, list) and X.ndim == 2
        self.ragged = isinstance(X, list)

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, index: int) -> np.ndarray:
        """Return one trial as (channels, frames) in double precision."""
        x = self.X[index]
        if is_dask(x):
            x = x.compute()
        x = to_numpy(x).astype(np.float64)
        if not np.isfinite(x).all():
            raise ValueError(
                f"Input X contains NaN or infinity in trial {index}: find them with "
                "numpy.isfinite, and leave out such trials or set their responses to NaN."
            )
        return x.reshape(-1, self.lengths[index])

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[index] for index in range(len(self)))

    def fingerprints(self, y: np.ndarray | list | None = None) -> list[str]:
        """Return a text for each trial that is the same for equal stimuli."""
        keys = []
        for index, x in enumerate(self):
            parts = [x] if y is None else [x, y[index]]
            digest = hashlib.sha256()
            for part in parts:
                digest.update(str(part.shape).encode())
                digest.update(np.ascontiguousarray(part + 0.0).tobytes())
            keys.append(digest.hexdigest())
        return keys


def read_stimuli(estimator: Any, X: Any, *, reset: bool) -> Stimuli:
    """Check the types and shapes of stimuli; values are checked as trials are read."""
    name = type(estimator).__name__
    if isinstance(X, (list, tuple)) and len(X) and all(np.ndim(x) >= 2 for x in X):
        X = [x if is_torch(x) else check_array(x, allow_nd=True, dtype=FLOATS) for x in X]
        shapes = {tuple(x.shape[:-1]) for x in X}
        if len(shapes) > 1:
            raise ValueError(
                f"All trials of {name} need the same channels; got the shapes {sorted(shapes)} "
                "without the axis of frames."
            )
        lengths = [int(x.shape[-1]) for x in X]
        first = X[0]
        dtype = numpy_dtype(first)
        validate_data(
            estimator, shape_proxy(first[None]), reset=reset, allow_nd=True, dtype=FLOATS
        )
        stimuli = Stimuli(X, shapes.pop(), lengths, dtype)
    else:
        lazy = is_dask(X) or is_torch(X)
        checked = validate_data(
            estimator,
            shape_proxy(X) if lazy else X,
            reset=reset,
            allow_nd=True,
            dtype=FLOATS,
        )
        X = X if lazy else checked
        shape = tuple(X.shape[1:]) if X.ndim == 2 else tuple(X.shape[1:-1])
        n_frames = 1 if X.ndim == 2 else int(X.shape[-1])
        stimuli = Stimuli(X, shape, [n_frames] * len(X), checked.dtype)
    if min(stimuli.lengths) == 0 or 0 in stimuli.shape:
        raise ValueError(f"{name} found an axis of length 0 in X, a minimum of 1 is required.")
    if reset:
        estimator.input_shape_ = stimuli.shape
    elif stimuli.shape != estimator.input_shape_:
        raise ValueError(
            f"{name} was fitted on trials with channels of the shape {estimator.input_shape_} and "
            f"now gets the shape {stimuli.shape}. Make the stimuli with the same settings."
        )
    return stimuli


def read_responses(stimuli: Stimuli, y: Any, name: str) -> tuple[list[np.ndarray], bool]:
    """Return responses (frames x outputs) of every trial, and whether y has an axis of outputs."""
    if y is None:
        raise ValueError(f"{name} requires y to be passed, but the target y is None.")
    if isinstance(y, (list, tuple)) and all(np.ndim(part) >= 1 for part in y):
        parts = [to_numpy(part) for part in y]
        least = 0
    else:
        y = y.compute() if is_dask(y) else to_numpy(y)
        if y.ndim == 0:
            raise ValueError(f"y must have one entry for each trial; got {y!r}.")
        parts = list(y)
        least = 1 if stimuli.single else 0
    if len(parts) != len(stimuli):
        raise ValueError(
            f"X and y need the same trials; X has {len(stimuli)} and y has {len(parts)}."
        )
    found = []
    axes = set()
    for index, (part, n_frames) in enumerate(zip(parts, stimuli.lengths, strict=True)):
        array = np.asarray(part)
        if array.dtype.kind == "O":
            try:
                array = array.astype(np.float64)
            except (TypeError, ValueError) as error:
                raise ValueError(f"Unknown label type: y must hold numbers: {error}") from None
        if array.dtype.kind not in "fiub":
            raise ValueError(f"y must hold real numbers; got an array of dtype {array.dtype}.")
        if least:
            array = array[None]
        if array.ndim not in (1, 2):
            raise ValueError(
                "y must have the shape (n_trials, n_frames) or (n_trials, n_frames, n_outputs); "
                f"trial {index} has the shape {array.shape}."
            )
        if array.shape[0] != n_frames:
            raise ValueError(
                f"Trial {index} has {n_frames} frames in X and {array.shape[0]} in y. Bring the "
                "responses to the frame rate of the stimulus, and cut or fill both (NaN in y is "
                "left out) to one length."
            )
        axes.add(array.ndim)
        array = array.astype(np.float64).reshape(n_frames, -1)
        if np.isinf(array).any():
            raise ValueError(
                "Input y contains infinity or a value too large for dtype('float64'). Missing "
                "responses are NaN."
            )
        found.append(array)
    if len(axes) > 1 or len({array.shape[1] for array in found}) > 1 or not found[0].shape[1]:
        raise ValueError("All trials of y need the same number of outputs, at least one.")
    empty = np.all([np.isnan(array).all(0) for array in found], axis=0)
    if empty.any():
        raise ValueError(
            f"Input y contains NaN only in the outputs {np.flatnonzero(empty).tolist()}: leave "
            "out outputs without any response."
        )
    return found, axes == {2}


def check_folds(
    cv: Any, keys: list[str], random_state: Any, name: str
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the trials for training and testing of every fold.

    Numbers of folds divide the different stimuli, so that repeats of a stimulus are in one fold.
    """
    n_trials = len(keys)
    if cv is None or isinstance(cv, (int, np.integer)):
        distinct = sorted(set(keys))
        if len(distinct) < 2:
            raise ValueError(
                f"{name} chooses alpha or widths by cross-validation over trials, and got only "
                f"{len(distinct)} different stimulus (n_samples={n_trials}). Cut the recording "
                "into several trials, or set alpha and widths to numbers."
            )
        n_folds = min(_MOST_FOLDS, len(distinct)) if cv is None else int(cv)
        if not 2 <= n_folds <= len(distinct):
            raise ValueError(
                f"cv={cv!r} needs at least two folds and as many different stimuli as folds; got "
                f"{len(distinct)}. Set cv to at most that number."
            )
        order = np.arange(len(distinct))
        if random_state is not None:
            order = check_random_state(random_state).permutation(len(distinct))
        fold_of = dict(zip(distinct, (order % n_folds).tolist(), strict=True))
        folds = np.array([fold_of[key] for key in keys])
        return [
            (np.flatnonzero(folds != fold), np.flatnonzero(folds == fold))
            for fold in range(n_folds)
        ]
    splits = list(check_cv(cv).split(np.zeros((n_trials, 1))))
    if not splits or any(not len(train) or not len(test) for train, test in splits):
        raise ValueError("cv must give at least one fold with trials for training and testing.")
    return [(np.asarray(train), np.asarray(test)) for train, test in splits]


def correlation(y: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Return the correlation of each column, NaN in y left out; 0 where one is constant."""
    out = np.zeros(y.shape[1])
    for column in range(y.shape[1]):
        known = ~np.isnan(y[:, column])
        a, b = y[known, column], predicted[known, column]
        if len(a) > 1 and np.ptp(a) > 0 and np.ptp(b) > 0:
            out[column] = np.corrcoef(a, b)[0, 1]
    return out
