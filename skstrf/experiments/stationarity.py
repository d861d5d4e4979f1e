"""Paired comparisons over sounds: intervals, Wilcoxon's test and Holm's correction."""

from __future__ import annotations

import json
import os
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np
from sklearn.base import clone

from skstrf.datasets import AudioLoader
from skstrf.experiments._base import plain, versions
from skstrf.experiments._evaluation import CHUNK, chunks
from skstrf.experiments.classification import choose_duration
from skstrf.inspection import Report, StationarityDisplay
from skstrf.model_io import replacing
from skstrf.stationarity import StationarityScorer
from skstrf.surrogates.planes import resample_plane

__all__ = [
    "GRID",
    "StationarityResults",
    "compare_pairs",
    "holm",
    "make_representations",
    "mean_interval",
    "run_stationarity",
    "write_stationarity_report",
]


def mean_interval(
    values: np.ndarray, *, random_state: int = 0, n_resamples: int = 2000
) -> tuple[float, float, float]:
    """Mean with its 95 % interval, by bootstrap over sounds."""
    from scipy.stats import bootstrap

    values = np.asarray(values, dtype=float)
    if len(values) < 2:
        return float(values.mean()), float("nan"), float("nan")
    rng = np.random.default_rng(random_state)
    found = bootstrap(
        (values,), np.mean, n_resamples=n_resamples, method="percentile", rng=rng
    ).confidence_interval
    return float(values.mean()), float(found.low), float(found.high)


def holm(p_values: np.ndarray) -> np.ndarray:
    """Correct p-values for the number of tests."""
    order = np.argsort(p_values)
    steps = np.asarray(p_values)[order] * np.arange(len(order), 0, -1)
    corrected = np.empty(len(order))
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return corrected


def compare_pairs(values: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
    """Compare all pairs of methods measured on the same sounds."""
    pairs = [
        {"first": first, "second": second} | _compare(np.asarray(a) - np.asarray(b))
        for (first, a), (second, b) in combinations(values.items(), 2)
    ]
    corrected = holm(np.array([pair["p_value"] for pair in pairs]))
    return [pair | {"p_holm": float(p)} for pair, p in zip(pairs, corrected, strict=True)]


def _compare(difference: np.ndarray) -> dict[str, float]:
    from scipy.stats import rankdata, wilcoxon

    counted = difference[difference != 0]
    if len(counted) == 0:
        return {"difference": 0.0, "p_value": 1.0, "rank_biserial": 0.0}
    ranks = rankdata(np.abs(counted))
    return {
        "difference": float(difference.mean()),
        "p_value": float(wilcoxon(counted).pvalue),
        "rank_biserial": float((ranks * np.sign(counted)).sum() / ranks.sum()),
    }


@dataclass
class StationarityResults:
    """Measures of stationarity of several representations of the same sounds.

    Parameters
    ----------
    measures : dict of str to dict
        By representation, axis ("time", "frequency", ..., "plane") and measure ("rate", "effect",
        ...): an array with an entry for each sound.
    files : list of str
        The sounds.
    skipped : list of (str, str)
        Files left out, with the reason.
    seconds : dict of str to float
        Spent on each representation, its computation included.
    settings : dict
        What was measured how.
    random_state : int
        The seed.
    versions : dict of str to str
        Of the packages.
    """

    measures: dict[str, dict[str, dict[str, np.ndarray]]]
    files: list[str]
    skipped: list[tuple[str, str]]
    seconds: dict[str, float]
    settings: dict[str, Any]
    random_state: int = 0
    versions: dict[str, str] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """Names of the representations."""
        return list(self.measures)

    def axes(self, name: str) -> list[str]:
        """Give the axes of a representation.

        Parameters
        ----------
        name : str
            Of the representation.

        Returns
        -------
        list of str
            "plane" last.
        """
        return list(self.measures[name])

    def values(self, axis: str, measure: str = "rate") -> dict[str, np.ndarray]:
        """Give one measure of all representations that have it.

        Parameters
        ----------
        axis : str
            Such as "time" or "plane".
        measure : str
            "rate" (of the plane: its score), "effect", "p_value"; for axes also "raw_rate", "pi0".

        Returns
        -------
        dict of str to ndarray of shape (n_sounds,)
            By representation.
        """
        return {
            name: axes[axis][measure]
            for name, axes in self.measures.items()
            if measure in axes.get(axis, {})
        }

    def table(self) -> list[dict[str, Any]]:
        """Summarize: a row for each representation and axis.

        Returns
        -------
        list of dict
            Mean rate, pi0 and effect with 95 % bootstrap intervals over sounds, and the share of
            sounds whose stationarity along the axis is rejected at 5 %.
        """
        rows = []
        for name, axes in self.measures.items():
            for axis, found in axes.items():
                row: dict[str, Any] = {"representation": name, "axis": axis}
                for measure in ("rate", "pi0", "effect"):
                    values = found.get(measure)
                    interval: tuple[float | None, ...] = (None, None, None)
                    if values is not None:
                        interval = mean_interval(values, random_state=self.random_state)
                    keys = (measure, f"{measure}_low", f"{measure}_high")
                    row |= dict(zip(keys, interval, strict=True))
                row["rejected"] = float(np.mean(found["p_value"] <= 0.05))
                rows.append(row)
        return rows

    def comparisons(self, axis: str, measure: str = "rate") -> list[dict[str, Any]]:
        """Compare all pairs of representations along one axis, over the same sounds.

        Parameters
        ----------
        axis, measure : str
            See `values`.

        Returns
        -------
        list of dict
            See :func:`skstrf.experiments.stationarity.compare_pairs`.
        """
        return compare_pairs(self.values(axis, measure))

    def to_dict(self) -> dict[str, Any]:
        """Give everything as plain numbers, texts, lists and dicts.

        Returns
        -------
        dict
            With the table and the comparisons in time, frequency and plane.
        """
        names = ("measures", "files", "skipped", "seconds", "settings", "random_state", "versions")
        compared = {
            f"{axis}, {measure}": self.comparisons(axis, measure)
            for axis in ("time", "frequency", "plane")
            for measure in ("rate", "effect")
            if len(self.values(axis, measure)) > 1
        }
        everything = {name: getattr(self, name) for name in names}
        return plain({"table": self.table(), "comparisons": compared} | everything)

    def write_json(self, path: str | os.PathLike[str]) -> None:
        """Write everything to a JSON file, whole or not at all.

        Parameters
        ----------
        path : str or Path
            The file, ``results.json`` by custom.
        """
        text = json.dumps(self.to_dict(), indent=1, ensure_ascii=False, allow_nan=False)
        with replacing(path) as temporary:
            temporary.write_text(text + "\n", encoding="utf-8")

    def summary(self) -> str:
        """Say the mean rates in time and frequency of every representation.

        Returns
        -------
        str
            A line for each.
        """
        width = max(map(len, self.names))
        lines = []
        for name, axes in self.measures.items():
            cells = [f"{axis} {np.mean(found['rate']):.3f}" for axis, found in axes.items()]
            lines.append(f"{name:{width}}  " + "  ".join(cells))
        return "\n".join(lines)


_WHAT = {
    "time": "along time: whether levels and variability of rows stay the same",
    "frequency": "along frequency, or what stands for it: whether those of columns are the same",
    "plane": "over the plane: whether the local spectra of all its parts are alike",
}


def write_stationarity_report(
    results: StationarityResults,
    path: str | os.PathLike[str],
    *,
    title: str = "Stationarity of representations",
    notes: Sequence[str] = (),
) -> None:
    """Write the report of an experiment: one HTML file that needs nothing else."""
    n_sounds = len(results.files)
    report = Report(title, f"{len(results.names)} representations of {n_sounds} sounds")
    rows, columns = results.settings["grid"]
    text = [
        "The rate is the share of lines whose stationarity is not rejected (false discovery rate "
        "5 %): 1 is stationary throughout. In the column plane it is the score of the plane, the "
        "inverse of how much more its local spectra vary than those of a homogeneous field.",
        f"All planes were brought to {rows} channels by {columns} frames.",
        *notes,
    ]
    report.add_text("Result", text)
    measures = {"rate": "Rates of stationarity", "effect": "Effects: 1 where stationary"}
    for measure, caption in measures.items():
        display = StationarityDisplay.from_results(results, measure=measure)
        alt = f"{caption} of every representation along each axis, as tabulated below"
        note = "Means over sounds, with 95 % bootstrap intervals."
        report.add_figure("Result", display.figure_, alt=alt, caption=f"{caption}. {note}")
    _add_table(report, results)
    for axis, what in _WHAT.items():
        for measure in measures:
            _add_comparison(report, results, axis, measure, f"{measure} {what}")
    if results.skipped:
        report.add_table("Files left out", ["file", "reason"], results.skipped)
    else:
        report.add_text("Files left out", "None.")
    report.add_settings("Settings", {"seed": results.random_state} | results.settings)
    report.add_settings("Seconds", {k: round(v, 1) for k, v in results.seconds.items()})
    report.add_settings("Versions", results.versions)
    report.write(path)


def _add_table(report: Report, results: StationarityResults) -> None:
    keys = ("rate", "rate_low", "rate_high", "pi0", "effect", "rejected")
    rows = [
        [row["representation"], row["axis"], *(row[key] for key in keys)]
        for row in results.table()
    ]
    names = ["representation", "axis", "rate", "from", "to", "share", "effect", "rejected"]
    note = (
        "From, to: 95 % bootstrap interval of the mean rate over sounds. Share: of stationary "
        "lines, estimated from all p-values. Effect: how far lines wander, or local spectra vary, "
        "in units of stationary surrogates. Rejected: share of sounds where stationarity along "
        "the whole axis is rejected at 5 %, one test for each sound."
    )
    report.add_table("Table", names, rows, note=note)


def _add_comparison(
    report: Report, results: StationarityResults, axis: str, measure: str, caption: str
) -> None:
    if len(results.values(axis, measure)) < 2 or len(results.files) < 2:
        return
    keys = ("difference", "rank_biserial", "p_value", "p_holm")
    rows = [
        [pair["first"], pair["second"], *(pair[key] for key in keys)]
        for pair in results.comparisons(axis, measure)
    ]
    names = ["first", "second", "difference", "rank correlation", "p", "p (Holm)"]
    note = (
        "Difference: mean of the first less that of the second. Rank correlation: matched "
        "pairs, from -1 to 1. p: Wilcoxon's signed-rank test over sounds; Holm's correction is "
        "for all pairs of this table."
    )
    report.add_table(f"Pairs: {axis}", names, rows, caption=caption.capitalize(), note=note)


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
