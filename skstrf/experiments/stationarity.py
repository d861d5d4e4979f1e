"""Stationarity of representations of sound files, with paired tests over sounds."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from sklearn.base import clone

from skstrf.datasets import AudioLoader
from skstrf.experiments._base import Results
from skstrf.experiments._evaluation import chunks, progress, warn_of_skipped
from skstrf.experiments.classification import choose_duration
from skstrf.inspection import Report, StationarityDisplay
from skstrf.stationarity import StationarityScorer
from skstrf.surrogates.planes import resample_plane

__all__ = ["StationarityResults", "make_representations", "run_stationarity"]

# Channels and frames of every plane.
GRID = (64, 128)
# Frames of the auditory spectrogram per second, at the default hop duration of 8 ms.
AUDITORY_RATE = 125
MEASURES = ("stationarity", "rate", "raw_rate", "p_value", "effect")
AXES = {
    "time": "along time: whether level and variability of the rows are constant",
    "frequency": "along frequency, or the axis in its place: the same for the columns",
    "plane": "over the plane: whether the local spectra of all parts are alike",
}
CAPTIONS = {"stationarity": "Stationarity", "rate": "Estimated shares of stationary lines"}


@dataclass(kw_only=True)
class StationarityResults(Results):
    """Stationarity of several representations of the same sounds."""

    # Arrays with an entry for each sound, by representation, axis and measure.
    measures: dict[str, dict[str, dict[str, np.ndarray]]]
    files: list[str]

    _title = "Stationarity of representations"

    @property
    def names(self) -> list[str]:
        """Names of the representations."""
        return list(self.measures)

    def axes(self, name: str) -> list[str]:
        """Return the axes of a representation; "plane" is the last one."""
        return list(self.measures[name])

    def values(self, axis: str, measure: str = "stationarity") -> dict[str, np.ndarray]:
        """Return one measure (see `MEASURES`) of each sound, by representation.

        The stationarity of the plane is its score; rates are measured along axes only.
        """
        return {
            name: axes[axis][measure]
            for name, axes in self.measures.items()
            if measure in axes.get(axis, {})
        }

    def table(self) -> list[dict[str, Any]]:
        """Return means with 95 % bootstrap intervals, a row for each representation and axis.

        "rejected" is the share of sounds whose stationarity is rejected at 5 %.
        """
        rows = []
        for name, axes in self.measures.items():
            for axis, found in axes.items():
                row: dict[str, Any] = {"representation": name, "axis": axis}
                for measure in ("stationarity", "rate"):
                    values = found.get(measure)
                    interval: tuple[float | None, ...] = (None, None, None)
                    if values is not None:
                        interval = mean_interval(values, random_state=self.random_state)
                    keys = (measure, f"{measure}_low", f"{measure}_high")
                    row |= dict(zip(keys, interval, strict=True))
                row["rejected"] = float(np.mean(found["p_value"] <= 0.05))
                rows.append(row)
        return rows

    def comparisons(self, axis: str, measure: str = "stationarity") -> list[dict[str, Any]]:
        """Compare all pairs of representations along one axis, over the same sounds."""
        return compare_pairs(self.values(axis, measure), random_state=self.random_state)

    def summary(self) -> str:
        """Return the mean stationarity of every representation, one per line, as text."""
        width = max(map(len, self.names))
        lines = []
        for name, axes in self.measures.items():
            cells = [
                f"{axis} {np.mean(found['stationarity']):.3f}" for axis, found in axes.items()
            ]
            lines.append(f"{name:{width}}  " + "  ".join(cells))
        return "\n".join(lines)

    def _fields(self) -> dict[str, Any]:
        compared = {
            f"{axis}, {measure}": self.comparisons(axis, measure)
            for axis in AXES
            for measure in CAPTIONS
            if len(self.values(axis, measure)) > 1
        }
        return {"table": self.table(), "comparisons": compared} | super()._fields()

    def _subtitle(self) -> str:
        return f"{len(self.names)} representations of {len(self.files)} sounds"

    def _add_results(self, report: Report, notes: list[str]) -> None:
        rows, columns = self.settings["grid"]
        text = [
            "Stationarity along an axis is one minus the share of the variance of the lines that "
            "slow changes of level or variability explain, beyond what the fast fluctuations "
            "predict. The stationarity of the plane is the inverse of how much more its local "
            "spectra vary than those of a homogeneous field.",
            f"All planes were brought to {rows} channels by {columns} frames.",
            *notes,
        ]
        report.add_text("Result", text)
        for measure, caption in CAPTIONS.items():
            display = StationarityDisplay.from_results(self, measure=measure)
            alt = f"{caption} of every representation along each axis, as tabulated below"
            note = "Means over sounds, with 95 % bootstrap intervals."
            report.add_figure("Result", display.figure_, alt=alt, caption=f"{caption}. {note}")
        self._add_table(report)
        for axis, text_of_axis in AXES.items():
            for measure in CAPTIONS:
                if len(self.values(axis, measure)) > 1 and len(self.files) > 1:
                    self._add_pairs(report, axis, measure, f"{measure} {text_of_axis}")

    def _add_table(self, report: Report) -> None:
        keys = ("stationarity", "stationarity_low", "stationarity_high", "rate", "rejected")
        rows = [
            [row["representation"], row["axis"], *(row[key] for key in keys)]
            for row in self.table()
        ]
        names = ["representation", "axis", "stationarity", "from", "to", "share", "rejected"]
        note = (
            "From, to: 95 % bootstrap interval of the mean stationarity over sounds. Share: of "
            "stationary lines, estimated from all p-values. Rejected: share of sounds whose "
            "stationarity over the axis is rejected at 5 %, with one test for each sound."
        )
        report.add_table("Table", names, rows, note=note)

    def _add_pairs(self, report: Report, axis: str, measure: str, caption: str) -> None:
        keys = ("difference", "low", "high", "detectable", "rank_biserial", "p_value", "p_holm")
        rows = [
            [pair["first"], pair["second"], *(pair[key] for key in keys)]
            for pair in self.comparisons(axis, measure)
        ]
        names = ["first", "second", "difference", "from", "to", "detectable"]
        names += ["rank correlation", "p", "p (Holm)"]
        note = (
            "Difference: mean of the first less that of the second, with its 95 % bootstrap "
            "interval over sounds. Detectable: the difference of means that a paired t-test at "
            "the level of Holm's first step would find with a probability of 80 %. Rank "
            "correlation: matched pairs, from -1 to 1. p: Wilcoxon's signed-rank test over "
            "sounds; Holm's correction is for all pairs of this table."
        )
        report.add_table(f"Pairs: {axis}", names, rows, caption=caption.capitalize(), note=note)


def mean_interval(
    values: np.ndarray, *, random_state: int = 0, n_resamples: int = 2000
) -> tuple[float, float, float]:
    """Return the mean with its 95 % bootstrap interval over sounds."""
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
    """Correct p-values for the number of tests by Holm's method."""
    order = np.argsort(p_values)
    steps = np.asarray(p_values)[order] * np.arange(len(order), 0, -1)
    corrected = np.empty(len(order))
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return corrected


def compare_pairs(
    values: Mapping[str, np.ndarray], *, random_state: int = 0
) -> list[dict[str, Any]]:
    """Compare all pairs of representations of the same sounds by Wilcoxon's signed-rank test."""
    chosen = list(combinations(values.items(), 2))
    pairs = []
    for (first, a), (second, b) in chosen:
        difference = np.asarray(a) - np.asarray(b)
        mean, low, high = mean_interval(difference, random_state=random_state)
        found = {"first": first, "second": second, "difference": mean, "low": low, "high": high}
        found["detectable"] = detectable_difference(difference, alpha=0.05 / len(chosen))
        pairs.append(found | _signed_ranks(difference))
    corrected = holm(np.array([pair["p_value"] for pair in pairs]))
    return [pair | {"p_holm": float(p)} for pair, p in zip(pairs, corrected, strict=True)]


def detectable_difference(
    difference: np.ndarray, *, alpha: float = 0.05, power: float = 0.8
) -> float:
    """Mean difference that a paired t-test would find with this probability, at this spread."""
    from scipy.stats import t

    degrees = len(difference) - 1
    if degrees < 1:
        return float("nan")
    standard_error = np.std(difference, ddof=1) / np.sqrt(len(difference))
    return float((t.ppf(1 - alpha / 2, degrees) + t.ppf(power, degrees)) * standard_error)


def _signed_ranks(difference: np.ndarray) -> dict[str, float]:
    from scipy.stats import rankdata, wilcoxon

    counted = difference[difference != 0]
    if len(counted) == 0:
        return {"p_value": 1.0, "rank_biserial": 0.0}
    ranks = rankdata(np.abs(counted))
    return {
        "p_value": float(wilcoxon(counted).pvalue),
        "rank_biserial": float((ranks * np.sign(counted)).sum() / ranks.sum()),
    }


def make_representations(
    duration: float, sample_rate: int = 16000, *, n_frames: int = GRID[1]
) -> dict[str, Any]:
    """Make nine transformers by name with at least `n_frames` frames and 60 channels.

    MFCC has 64 coefficients, chroma 60 classes, and scattering its first order only, so that no
    frequency axis needs much interpolation.
    """
    from skstrf import transforms as t

    hop = int(duration * sample_rate / n_frames)
    if hop < 1:
        raise ValueError(f"duration={duration:g} s is too short for {n_frames} frames.")
    both = {"sample_rate": sample_rate, "frame_rate": sample_rate / hop}
    window = 1 << (hop - 1).bit_length()
    step = max(1, int(duration * AUDITORY_RATE / n_frames))
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
        Paths of the sound files.
    representations : mapping of str to transformer, or None, default=None
        Transformers by name. None uses `make_representations`.
    duration : float or None, default=None
        Duration in seconds to which sounds are cropped or padded. None uses the median of the
        files, at most 30 s.
    sample_rate : int, default=16000
        Sampling rate in Hz to which sounds are resampled.
    grid : (int, int), default=(64, 128)
        Numbers of channels and frames to which the last two axes of every representation are
        brought, by averaging or, where there are fewer points, by linear interpolation. The power
        of the tests grows with the number of points, so results are comparable on one grid only.
    scorer : StationarityScorer or None, default=None
        Scorer of all planes. None uses 199 surrogates and the `random_state`.
    on_error : {"raise", "warn"}, default="raise"
        Whether to raise an error for unreadable files or to leave them out with a warning.
    n_jobs : int or None, default=None
        Number of threads that read and of processes that score. None means 1.
    random_state : int, default=0
        Seed of surrogates and bootstrap intervals.
    verbose : bool, default=False
        Whether to show a progress bar.

    Returns
    -------
    StationarityResults
        Measures of all sounds, intervals and paired tests.

    Raises
    ------
    ValueError
        If there are no files, or a parameter is invalid.
    AudioReadError
        If a file cannot be read, with ``on_error="raise"``.

    Warns
    -----
    UserWarning
        If files are left out.

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
    loader.fit(files)
    parts: dict[str, list[dict[str, dict[str, np.ndarray]]]] = {n: [] for n in representations}
    kept, skipped, seconds = [], [], dict.fromkeys(representations, 0.0)
    with progress(None, "Stationarity", verbose, total=len(files), unit="file") as bar:
        for rows in chunks(np.arange(len(files))):
            paths = [files[row] for row in rows]
            sounds, bad = loader.read(paths)
            good = [row for row in range(len(paths)) if row not in bad]
            kept += [paths[row] for row in good]
            skipped += [(paths[row], error.reason) for row, error in bad.items()]
            for name, transformer in representations.items() if good else ():
                began = time.perf_counter()
                tensors = clone(transformer).fit(sounds[good])
                axes = [axis.name for axis in tensors.axes_]
                planes = resample_plane(tensors.transform(sounds[good]), grid)
                parts[name].append(_scored(clone(scorer).set_params(axes=axes), planes))
                seconds[name] += time.perf_counter() - began
            bar.update(len(paths))
    if not kept:
        raise ValueError(f"None of the {len(files)} sound files can be used.")
    if skipped:
        warn_of_skipped(skipped, len(files))
    return StationarityResults(
        measures={name: _joined(many) for name, many in parts.items()},
        files=kept,
        skipped=skipped,
        seconds=seconds,
        settings={
            "duration": duration,
            "sample_rate": sample_rate,
            "grid": grid,
            **{name: _text(one) for name, one in representations.items()},
            "scorer": _text(scorer),
        },
        random_state=random_state,
    )


def _scored(scorer: StationarityScorer, planes: np.ndarray) -> dict[str, dict[str, np.ndarray]]:
    """Return the measures by axis and name."""
    scorer.fit(planes)
    found = {
        name: {measure: getattr(scorer, f"{measure}_")[:, i] for measure in MEASURES}
        for i, name in enumerate(scorer.axis_names_)
    }
    # The paths of scattering, coefficients of MFCC and classes of chroma take the place of
    # frequency.
    found = {("frequency" if n == scorer.axis_names_[-2] else n): v for n, v in found.items()}
    if scorer.plane_score_ is not None:
        found["plane"] = {
            "stationarity": scorer.plane_score_,
            "p_value": scorer.plane_p_value_,
            "effect": 1 - scorer.plane_score_,
        }
    return found


def _joined(parts: list[dict[str, dict[str, np.ndarray]]]) -> dict[str, dict[str, np.ndarray]]:
    return {
        axis: {m: np.concatenate([part[axis][m] for part in parts]) for m in parts[0][axis]}
        for axis in parts[0]
    }


def _text(estimator: Any) -> str:
    """Return an estimator with its changed parameters on one line."""
    return " ".join(repr(estimator).split())
