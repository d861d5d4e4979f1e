"""Nine representations of the same sounds: how stationary is each, and along which axes."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.base import clone

from skstrf.datasets import AudioLoader
from skstrf.experiments.classification import choose_duration
from skstrf.experiments.results import versions
from skstrf.experiments.stationarity_results import StationarityResults
from skstrf.experiments.tensors import CHUNK, chunks
from skstrf.stationarity import StationarityScorer
from skstrf.surrogates import resample_plane

__all__ = ["GRID", "make_representations", "run_stationarity"]

# Channels and frames of every plane.
GRID = (64, 128)
# Frames of the auditory spectrogram per second, at the default of 8 ms.
_AUDITORY_RATE = 125
_MEASURES = ("rate", "raw_rate", "pi0", "p_value", "effect")


def make_representations(
    duration: float, sample_rate: int = 16000, *, n_frames: int = GRID[1]
) -> dict[str, Any]:
    """Make the nine transformers, with at least so many frames and 60 channels each.

    Parameters
    ----------
    duration : float
        Of the sounds, in seconds.
    sample_rate : int, default=16000
        Of the sounds, in Hz.
    n_frames : int, default=128
        Frames wanted, side by side as far as windows are not longer than them.

    Returns
    -------
    dict of str to transformer
        By name. MFCC and chroma have 64 coefficients and 60 classes, scattering has its first
        order, so that no frequency axis needs much interpolation.

    Examples
    --------
    >>> from skstrf.experiments import make_representations
    >>> list(make_representations(5.0))
    ['STFT', 'Mel', 'MFCC', 'Chroma', 'Wavelet', 'Scattering', 'Gammatone', 'Cochleogram', 'STRF']
    """
    from skstrf import transforms as t

    hop = int(duration * sample_rate / n_frames)
    if hop < 1:
        raise ValueError(f"duration={duration:g} s is too short for {n_frames} frames.")
    both = {"sample_rate": sample_rate, "frame_rate": sample_rate / hop}
    window = 1 << (hop - 1).bit_length()
    step = max(1, int(duration * _AUDITORY_RATE / n_frames))
    return {
        "STFT": t.STFTTransformer(**both),
        "Mel": t.MelTransformer(**both),
        "MFCC": t.MFCCTransformer(**both, n_mfcc=64),
        "Chroma": t.ChromaTransformer(**both, n_chroma=60),
        "Wavelet": t.WaveletTransformer(**both),
        "Scattering": t.ScatteringTransformer(**both, J=9, Q=(16, 1), T=window, orders=(1,)),
        "Gammatone": t.GammatoneTransformer(**both),
        "Cochleogram": t.CochleogramTransformer(**both, n_filters=62),
        "STRF": t.STRFTransformer(sample_rate=sample_rate, frame_step=step),
    }


def run_stationarity(
    filenames: Sequence[str],
    *,
    representations: Mapping[str, Any] | None = None,
    duration: float | None = None,
    sample_rate: int = 16000,
    grid: tuple[int, int] = GRID,
    scorer: StationarityScorer | None = None,
    on_error: str = "raise",
    n_jobs: int | None = None,
    random_state: int = 0,
    verbose: bool = False,
) -> StationarityResults:
    """Measure the stationarity of representations of sound files, and compare them.

    Parameters
    ----------
    filenames : sequence of str or Path
        The sound files.
    representations : mapping of str to transformer, or None
        By name; None: `make_representations`.
    duration : float or None
        Sounds are cropped or padded to it, in seconds; None: `choose_duration`.
    sample_rate : int
        Sounds are resampled to it, in Hz.
    grid : (int, int)
        Channels and frames that the last two axes of every representation are brought to, by
        averages over shares of the axis, or by straight lines where there are fewer points. The
        power of tests grows with the number of points: on one grid rates compare.
    scorer : StationarityScorer or None
        None: with 199 surrogates and the `random_state`.
    on_error : {"raise", "warn"}
        What to do about a file that cannot be used.
    n_jobs : int or None
        Threads that read, processes that score.
    random_state : int
        Seed of surrogates and of bootstrap intervals.
    verbose : bool
        Show a progress bar.

    Returns
    -------
    StationarityResults
        Measures of all sounds, intervals and paired tests.

    Raises
    ------
    ValueError
        When there are no files, or a parameter is wrong.
    AudioReadError
        For a file that cannot be used, with ``on_error="raise"``.

    Warns
    -----
    UserWarning
        For files that were left out.

    Examples
    --------
    >>> from skstrf import MelTransformer, StationarityScorer, load_instruments
    >>> from skstrf.experiments import run_stationarity
    >>> files = load_instruments(load_content=False).filenames[:3]
    >>> mel = {"Mel": MelTransformer(frame_rate=25), "coarse Mel": MelTransformer(frame_rate=12.5)}
    >>> quick = StationarityScorer(n_surrogates=19, random_state=0)
    >>> results = run_stationarity(files, representations=mel, grid=(16, 32), scorer=quick)
    >>> results.names, results.axes("Mel")
    (['Mel', 'coarse Mel'], ['frequency', 'time', 'plane'])
    """
    if isinstance(filenames, (str, os.PathLike)) or len(filenames) == 0:
        raise ValueError(f"filenames must be a list of at least one path, got {filenames!r}.")
    files = [os.fspath(name) for name in filenames]
    duration = duration or choose_duration(files)
    if representations is None:
        representations = make_representations(duration, sample_rate, n_frames=grid[1])
    if scorer is None:
        scorer = StationarityScorer(random_state=random_state)
    scorer = clone(scorer)
    if n_jobs is not None:
        scorer.set_params(n_jobs=n_jobs)
    if scorer.random_state is None:
        scorer.set_params(random_state=random_state)
    loader = AudioLoader(
        sample_rate=sample_rate, duration=duration, on_error=on_error, n_jobs=n_jobs
    )
    found = _measure(files, loader, dict(representations), scorer, grid, verbose)
    if not found["files"]:
        raise ValueError(f"None of the {len(files)} sound files can be used.")
    return StationarityResults(
        **found,
        settings={
            "duration": duration,
            "sample_rate": sample_rate,
            "grid": grid,
            **{name: _text(one) for name, one in representations.items()},
            "scorer": _text(scorer),
        },
        random_state=random_state,
        versions=versions(),
    )


def _measure(
    files: list[str],
    loader: AudioLoader,
    representations: dict[str, Any],
    scorer: StationarityScorer,
    grid: tuple[int, int],
    verbose: bool,
) -> dict[str, Any]:
    """Measure all sounds, a few at a time."""
    loader.fit(files)
    parts: dict[str, list[dict[str, dict[str, np.ndarray]]]] = {n: [] for n in representations}
    kept, skipped, seconds = [], [], dict.fromkeys(representations, 0.0)
    with _bar(len(files), verbose) as bar:
        for part in chunks(np.array(files, dtype=object), CHUNK):
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message=".*cannot be used and became rows of")
                sounds = loader.transform(list(part))
            bad = loader.errors_
            good = [row for row, path in enumerate(part) if path not in bad]
            kept += [part[row] for row in good]
            skipped += [(path, str(bad[path])) for path in part if path in bad]
            for name, transformer in representations.items():
                if not good:
                    break
                began = time.perf_counter()
                tensors = clone(transformer).fit(sounds[good])
                axes = [axis.name for axis in tensors.axes_]
                planes = resample_plane(tensors.transform(sounds[good]), grid)
                parts[name].append(_scored(clone(scorer).set_params(axes=axes), planes))
                seconds[name] += time.perf_counter() - began
            bar.update(len(part))
    if skipped:
        warnings.warn(
            f"{len(skipped)} of {len(files)} sound files cannot be used and were left out: "
            + "; ".join(f"{path}: {reason}" for path, reason in skipped[:5]),
            UserWarning,
            stacklevel=3,
        )
    return {
        "measures": {name: _joined(many) for name, many in parts.items() if many},
        "files": kept,
        "skipped": skipped,
        "seconds": seconds,
    }


def _scored(scorer: StationarityScorer, planes: np.ndarray) -> dict[str, dict[str, np.ndarray]]:
    """Measures by axis, then by name."""
    scorer.fit(planes)
    found = {
        name: {measure: getattr(scorer, f"{measure}_")[:, i] for measure in _MEASURES}
        for i, name in enumerate(scorer.axis_names_)
    }
    # What scattering calls a path, MFCC a coefficient and chroma a class stands where the others
    # have frequency.
    found = {("frequency" if n == scorer.axis_names_[-2] else n): v for n, v in found.items()}
    if scorer.plane_score_ is not None:
        found["plane"] = {
            "rate": scorer.plane_score_,
            "p_value": scorer.plane_p_value_,
            "effect": scorer.plane_effect_,
        }
    return found


def _joined(parts: list[dict[str, dict[str, np.ndarray]]]) -> dict[str, dict[str, np.ndarray]]:
    return {
        axis: {m: np.concatenate([part[axis][m] for part in parts]) for m in parts[0][axis]}
        for axis in parts[0]
    }


def _text(estimator: Any) -> str:
    """An estimator with the parameters that were changed, on one line."""
    return " ".join(repr(estimator).split())


def _bar(total: int, verbose: bool) -> Any:
    from tqdm import tqdm

    return tqdm(total=total, desc="Stationarity", unit="file", disable=not verbose)
