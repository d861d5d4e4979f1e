"""Simulated neurons, spike times and the noise of responses."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from skstrf.encoding.lagged import predict
from skstrf.utils.messages import escape
from skstrf.utils.validation import checked_number, checked_reals, checked_whole

__all__ = [
    "bin_spikes",
    "load_spikes",
    "noise_ceiling",
    "normalized_correlation",
    "simulate_neuron",
]


def noise_ceiling(y: Any) -> np.ndarray:
    """Largest correlation with the mean response that a perfect model can have.

    The power of the signal is estimated from repeated trials, and the ceiling is the square root
    of its share of the power of the mean response.

    Parameters
    ----------
    y : array-like of shape (n_repeats, n_frames) or (n_repeats, n_frames, n_outputs)
        Responses to repeats of one stimulus, or of several stimuli one after the other.
        Frames that are NaN in any repeat are left out.

    Returns
    -------
    ndarray of shape (n_outputs,)
        Ceiling in [0, 1], 0 where no signal is found.

    Raises
    ------
    ValueError
        If there are fewer than two repeats, or fewer than two frames without NaN.

    References
    ----------
    .. [1] M. Sahani and J. F. Linden, "How linear are auditory cortical responses?", Advances in
       Neural Information Processing Systems 15, 2003.
    .. [2] O. Schoppe et al., "Measuring the performance of neural models", Frontiers in
       Computational Neuroscience 10:10, 2016.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf.encoding import noise_ceiling
    >>> rng = np.random.default_rng(0)
    >>> signal = rng.standard_normal(5000)
    >>> noise_ceiling(signal + rng.standard_normal((4, 5000))).round(1)
    array([0.9])
    """
    trials = _repeats(y)
    signal, mean = _signal_power(trials)
    ratio = np.divide(signal, mean, out=np.zeros_like(signal), where=mean > 0)
    return np.sqrt(np.clip(ratio, 0, 1))


def normalized_correlation(y: Any, predicted: Any) -> float:
    """Return the normalized correlation coefficient of Schoppe et al. (2016).

    Covariance of prediction and mean response, over the standard deviation of the prediction and
    the root of the signal power. 0 without signal or with a constant prediction.
    """
    trials = _repeats(y)
    predicted = np.asarray(predicted, dtype=float)
    if predicted.shape != (np.shape(y)[1],):
        raise ValueError(
            f"predicted must have one value for each of {np.shape(y)[1]} frames; got the shape "
            f"{predicted.shape}."
        )
    known = ~np.isnan(np.asarray(y, dtype=float)).any(0)
    predicted = predicted[known]
    signal = _signal_power(trials)[0][0]
    mean = trials[..., 0].mean(0)
    spread = predicted.std()
    if signal <= 0 or spread == 0:
        return 0.0
    covariance = np.mean((predicted - predicted.mean()) * (mean - mean.mean()))
    return float(covariance / (spread * np.sqrt(signal)))


def _repeats(y: Any) -> np.ndarray:
    array = np.asarray(y, dtype=float)
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[0] < 2:
        raise ValueError(
            "Responses must have the shape (n_repeats, n_frames) or (n_repeats, n_frames, "
            f"n_outputs) with at least two repeats; got {np.shape(y)}."
        )
    known = ~np.isnan(array).any(axis=(0, 2))
    if known.sum() < 2 or np.isinf(array).any():
        raise ValueError("Responses need at least two frames without NaN, and no infinity.")
    return array[:, known]


def _signal_power(trials: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the power of the signal and of the mean response of each output."""
    n = len(trials)
    mean = trials.mean(0).var(0)
    each = trials.var(1).mean(0)
    return (n * mean - each) / (n - 1), mean


def simulate_neuron(
    X: Any,
    strf: Any,
    *,
    lag_min: int = 0,
    nonlinearity: str | Callable[[np.ndarray], np.ndarray] | None = None,
    noise: float = 0.0,
    spikes_per_frame: float | None = None,
    n_repeats: int | None = None,
    random_state: Any = None,
) -> Any:
    """Simulate a neuron: linear receptive field, static nonlinearity, and noise or spikes.

    Parameters
    ----------
    X : array-like of shape (n_trials, n_freqs, n_frames), or list of arrays
        Spectrograms.
    strf : array-like of shape (n_freqs, n_lags)
        Receptive field. Frames before a trial have the mean of the stimulus.
    lag_min : int, default=0
        First lag in frames.
    nonlinearity : {"relu", "square", "exp", "sigmoid"}, callable or None, default=None
        Function of the linear response, which is divided by its standard deviation first. None
        means no nonlinearity.
    noise : float, default=0.0
        Standard deviation of Gaussian noise relative to that of the response.
    spikes_per_frame : float or None, default=None
        Mean number of spikes in a frame, drawn from Poisson distributions. Negative responses have
        no spikes. None returns the response itself with its noise.
    n_repeats : int or None, default=None
        Number of repeats of every trial. None means one, without an axis.
    random_state : int, RandomState instance or None, default=None
        Seed of noise and spikes.

    Returns
    -------
    ndarray of shape (n_trials, n_frames) or (n_trials, n_repeats, n_frames), or list
        Responses or numbers of spikes; a list for a list.

    Raises
    ------
    ValueError
        If the receptive field does not fit the stimuli, or a setting is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf.encoding import simulate_neuron
    >>> X = np.random.default_rng(0).random((2, 8, 100))
    >>> strf = np.zeros((8, 5))
    >>> strf[3, 2] = 1
    >>> simulate_neuron(X, strf, spikes_per_frame=0.2, n_repeats=3, random_state=0).shape
    (2, 3, 100)
    """
    trials = [checked_reals(x, "X", ndim=2).astype(float) for x in X]
    field = checked_reals(strf, "strf", ndim=2).astype(float)
    if field.ndim != 2 or any(x.ndim != 2 or len(x) != len(field) for x in trials) or not trials:
        raise ValueError(
            f"X must hold spectrograms with the {len(field)} channels of strf, whose shape is "
            f"{field.shape}; got {[x.shape for x in trials][:3]}."
        )
    checked_number(noise, "noise", low=0)
    if spikes_per_frame is not None:
        checked_number(spikes_per_frame, "spikes_per_frame", low=0, open_low=True)
    shape = () if n_repeats is None else (checked_whole(n_repeats, "n_repeats"),)
    lag_min = checked_whole(lag_min, "lag_min", low=-(2**31))
    mean = np.concatenate(trials, axis=1).mean(1, keepdims=True)
    rates = [predict(x - mean, field[None], lag_min)[:, 0] for x in trials]
    if nonlinearity is not None:
        spread = np.concatenate(rates).std() or 1.0
        function = _nonlinearity(nonlinearity)
        rates = [np.asarray(function(rate / spread), dtype=float) for rate in rates]
    rng = check_random_state(random_state)
    level = noise * np.concatenate(rates).std()
    noisy = [rate + level * rng.standard_normal((*shape, rate.size)) for rate in rates]
    if spikes_per_frame is not None:
        positive = [np.maximum(rate, 0) for rate in noisy]
        average = np.mean(np.concatenate([p.ravel() for p in positive])) or 1.0
        noisy = [rng.poisson(p * spikes_per_frame / average).astype(float) for p in positive]
    return noisy if isinstance(X, (list, tuple)) else np.stack(noisy)


def _nonlinearity(name: Any) -> Callable[[np.ndarray], np.ndarray]:
    known: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "relu": lambda r: np.maximum(r, 0),
        "square": np.square,
        "exp": np.exp,
        "sigmoid": lambda r: 1 / (1 + np.exp(-r)),
    }
    if callable(name):
        return name
    if name not in known:
        raise ValueError(f"nonlinearity must be one of {', '.join(known)}, or a function.")
    return known[name]


def bin_spikes(
    spikes: Sequence[Any],
    duration: Any,
    *,
    frame_rate: float = 125.0,
) -> Any:
    """Count spikes in the frames of a spectrogram.

    Parameters
    ----------
    spikes : sequence of array-like
        Times of the spikes of each trial, in s after the start of the stimulus.
    duration : float or sequence of float
        Duration of the trials in s.
    frame_rate : float, default=125.0
        Number of frames per second.

    Returns
    -------
    ndarray of shape (n_trials, n_frames), or list of arrays
        Numbers of spikes; a list if durations differ. Multiply by `frame_rate` for rates in
        spikes/s.

    Raises
    ------
    ValueError
        If spikes lie outside their trial.

    Examples
    --------
    >>> from skstrf.encoding import bin_spikes
    >>> bin_spikes([[0.01, 0.012, 0.03], []], duration=0.04, frame_rate=100)
    array([[0., 2., 0., 1.], [0., 0., 0., 0.]])
    """
    checked_number(frame_rate, "frame_rate", low=0, open_low=True, unit="Hz")
    durations = np.broadcast_to(np.asarray(duration, dtype=float), (len(spikes),))
    counts = []
    for index, (times, length) in enumerate(zip(spikes, durations, strict=True)):
        checked_number(float(length), "duration", low=0, high=1e7, open_low=True, unit="s")
        times = np.asarray(times, dtype=float).ravel()
        if not (np.isfinite(times) & (times >= 0) & (times < length)).all():
            raise ValueError(
                f"Trial {index} of {length:g} s has spikes outside it. Give times in seconds "
                "after the start of the stimulus, and leave out other spikes."
            )
        n_frames = checked_whole(round(length * frame_rate), "the number of frames")
        # Times on the edge of a frame, such as 0.03 s at 100 frames/s, have rounding errors.
        frames = np.minimum(np.floor(times * frame_rate + 1e-9).astype(int), n_frames - 1)
        counts.append(np.bincount(frames, minlength=n_frames).astype(float))
    same = len({len(count) for count in counts}) == 1
    return np.stack(counts) if same and np.ndim(duration) == 0 else counts


# A file of a hundred million characters holds some ten million spikes.
_LARGEST_FILE = 100_000_000


def load_spikes(
    path: str | os.PathLike[str],
    *,
    trial: str = "trial",
    time: str = "time",
) -> Mapping[str, np.ndarray]:
    r"""Read the spike times of trials from a table with one row for each spike.

    Parameters
    ----------
    path : str or os.PathLike
        File of comma-separated values in UTF-8 with a header.
    trial : str, default="trial"
        Name of the column with the name or number of the trial.
    time : str, default="time"
        Name of the column with the time in s after the start of the trial. A row without a time
        names a trial without adding a spike.

    Returns
    -------
    dict of str to ndarray
        Ascending times of the spikes of each trial, in the order of the file.

    Raises
    ------
    ValueError
        If a column is missing, a time is not a finite number, or the file is larger than
        100 MB.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from skstrf.encoding import load_spikes
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "spikes.csv"
    ...     _ = path.write_text("trial,time\na,0.02\na,0.01\nb,\n")
    ...     load_spikes(path)
    {'a': array([0.01, 0.02]), 'b': array([], dtype=float64)}
    """
    import csv

    path, name = Path(path), escape(path)
    if path.stat().st_size > _LARGEST_FILE:
        raise ValueError(f"{name} is larger than 100 MB: divide it into several files.")
    found: dict[str, list[float]] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            missing = {trial, time} - set(rows.fieldnames or [])
            if missing:
                raise ValueError(f"{name} has no column {', '.join(sorted(missing))}.")
            for row in rows:
                text = (row[time] or "").strip()
                times = found.setdefault(row[trial] or "", [])
                if text:
                    times.append(_finite(text, name, rows.line_num))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{name} is not a table of comma-separated values: {error}") from None
    return {name: np.sort(np.array(times, dtype=float)) for name, times in found.items()}


def _finite(text: str, name: str, line: int) -> float:
    try:
        value = float(text)
    except ValueError:
        value = np.nan
    if not np.isfinite(value):
        raise ValueError(f"{name}, line {line}: a time must be a finite number, in s.")
    return value
