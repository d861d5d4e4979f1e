"""Scores of single (scale, rate) channels, and comparison of selected channels with MPCA."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from sklearn.pipeline import Pipeline

from skstrf.caching.files import temporary_folder
from skstrf.caching.fingerprints import stage_settings
from skstrf.caching.results import ResultCache
from skstrf.decomposition import MPCA
from skstrf.experiments._base import chance_level, format_score, settings
from skstrf.experiments._evaluation import (
    MAX_BYTES,
    Sounds,
    Stopwatch,
    divide_pipeline,
    evaluate_seed,
    progress,
    stage_texts,
    summarize_seeds,
)
from skstrf.experiments._splits import Plan, held_back_share, plan_folds
from skstrf.experiments.classification import check_pipeline
from skstrf.experiments.comparison import RATIOS, ComparisonResults, channel_scorer
from skstrf.feature_selection import ChannelScores, channel_scores
from skstrf.inspection import ChannelScoreDisplay, Report
from skstrf.utils.messages import warn_user

__all__ = ["ChannelResults", "compare_channels", "run_channels"]

# Numbers of selected channels.
BEST = (1, 5, 10, 20)
# Share of the variance that MPCA keeps in each mode of the selected channels.
RATIO_OF_BEST = 0.95
# Folds of the training part on which channels are selected.
INNER = 3
# Channels in the table and the figure of the report.
N_SHOWN = 10


@dataclass(kw_only=True)
class ChannelResults(ComparisonResults):
    """Scores of single channels, and comparison of selected channels with MPCA.

    The rows also have "k" (number of selected channels, None for all) and "ratio" (share of the
    variance that MPCA keeps in each mode, None without MPCA).
    """

    # On the folds of the evaluation, or on folds of the training part of a held-out evaluation.
    scores: ChannelScores
    # For each fold (scale, rate) indices of shape (n_channels, 2), ranked on the training part.
    rankings: list[np.ndarray]
    scales: list[float] | None = None  # in cycles/octave
    rates: list[float] | None = None  # signed, in Hz

    _title = "Scores of single channels"

    def best_channels(self, n: int = 10) -> list[dict[str, Any]]:
        """Return the best `n` channels, with indices for unknown scales and rates.

        "chosen" is the share of folds whose training part has the channel among its best `n`.
        """
        errors, mean = self.scores.standard_error, self.scores.mean
        rows = []
        for place in map(tuple, self.scores.best(n).tolist()):
            in_fold = [place in map(tuple, ranking[:n].tolist()) for ranking in self.rankings]
            rows.append(
                {
                    "scale": place[0] if self.scales is None else self.scales[place[0]],
                    "rate": place[1] if self.rates is None else self.rates[place[1]],
                    "mean": float(mean[place]),
                    "standard_error": float(errors[place]),
                    "chosen": float(np.mean(in_fold)),
                }
            )
        return rows

    def summary(self) -> str:
        """Return the best channel and the accuracy of every way, one per line, as text."""
        best = self.best_channels(1)[0]
        unit = "scale {:g} cycles/octave, rate {:+g} Hz" if self.rates else "scale {}, rate {}"
        first = f"best channel alone: {unit.format(best['scale'], best['rate'])}"
        return f"{first}: {best['mean']:.3f}\n{super().summary()}"

    def _fields(self) -> dict[str, Any]:
        names = ("folds", "mean", "standard_error", "chance")
        return super()._fields() | {
            "scores": {name: getattr(self.scores, name) for name in names},
            "best_channels": self.best_channels(self.scores.mean.size),
        }

    def _add_results(self, report: Report, notes: list[str]) -> None:
        where = "of the training part" if self.is_held_out else "of the evaluation"
        text = [
            f"Every channel (scale, signed rate) is scored alone, on folds {where}. The best of "
            "many scores is too optimistic. The comparison below selects channels on each "
            "training part, so its accuracies are unbiased.",
            *notes,
        ]
        report.add_text("Channels", text)
        display = ChannelScoreDisplay.from_scores(
            self.scores, scales=self.scales, rates=self.rates, n_best=N_SHOWN
        )
        report.add_figure(
            "Channels",
            display.figure_,
            alt="map of accuracy by scale and rate, and all channels in the order of accuracy",
            caption="Accuracy of each channel alone; the best are numbered.",
        )
        keys = ("scale", "rate", "mean", "standard_error", "chosen")
        rows = [
            [str(number), *(row[key] for key in keys)]
            for number, row in enumerate(self.best_channels(N_SHOWN), start=1)
        ]
        columns = ["place", "scale", "rate", "accuracy", "standard error", "chosen"]
        note = (
            "Scale in cycles/octave, rate in Hz; negative rates move upward in frequency. "
            "Standard error: corrected for folds that share training sounds (Nadeau and Bengio). "
            f"Chosen: share of training parts that rank the channel among their best {len(rows)}."
        )
        report.add_table("Channels", columns, rows, caption="Best channels", note=note)
        self._add_table(report, "Comparison")
        every = self.rows[0]
        report.add_text(
            "Comparison",
            f"All channels, {every['dimension']:.0f} numbers a sound, give an accuracy of "
            f"{format_score(every['accuracy'], every)}; the chance level is {self.chance:.3f}.",
        )


def run_channels(
    filenames: Sequence[str],
    y: Any,
    *,
    groups: Any = None,
    split: Any = None,
    cv: Any = 5,
    pipeline: Pipeline | None = None,
    estimator: Any = None,
    k: Sequence[int] | None = None,
    ratios: Sequence[float] = RATIOS,
    inner: int = INNER,
    n_seeds: int = 1,
    memory: Any = None,
    checkpoint_dir: str | os.PathLike[str] | None = None,
    n_jobs: int | None = None,
    random_state: int = 0,
    folder: str | os.PathLike[str] | None = None,
    max_bytes: int = MAX_BYTES,
    verbose: bool = False,
) -> ChannelResults:
    """Score every (scale, rate) channel, and compare selected channels with MPCA.

    All channels, the best `k`, MPCA, and MPCA of the best `k` are compared. Channels are selected
    and MPCA is fitted on the training part of each fold.

    Parameters
    ----------
    filenames : sequence of str or Path
        Paths of the sound files.
    y : array-like of shape (n_sounds,)
        Classes of the sounds.
    groups, split, cv : array-like, array-like, int or splitter
        Division of the sounds, see :func:`skstrf.experiments.run_classification`.
    pipeline : Pipeline or None, default=None
        Pipeline of an `AudioLoader`, a transformer, optionally an MPCA, and the classifier for the
        comparison. None uses `make_classification_pipeline` with the median duration of the files.
    estimator : classifier or None, default=None
        Classifier that scores the channels. None uses a ridge classifier on standardized features.
    k : sequence of int or None, default=None
        Numbers of channels to select. None uses 1, 5, 10 and 20, if there are more channels.
    ratios : sequence of float, default=(0.8, 0.9, 0.95, 0.98)
        Shares of the variance that MPCA keeps in each mode.
    inner : int, default=3
        Number of folds of each training part on which channels are selected.
    n_seeds : int, default=1
        Number of trainings of a classifier with a `random_state` on each fold.
    memory : str, PathLike, joblib.Memory or None, default=None
        Cache for the tensor of each recording and the scores of each channel.
    checkpoint_dir : str, Path or None, default=None
        Folder for the finished parts (one way with one seed). An interrupted run continues after
        them. Parts are reused only for the same file contents, settings and versions.
    n_jobs : int or None, default=None
        Number of channels that are scored in parallel. None means 1.
    random_state : int, default=0
        Seed of the folds, and first seed of the classifiers.
    folder, max_bytes, verbose : str or Path, int, bool
        Temporary files and progress bars, see :func:`skstrf.experiments.run_classification`.

    Returns
    -------
    ChannelResults
        Scores of the channels, and the comparison.

    Raises
    ------
    ValueError
        If arguments do not fit each other, or the tensors have no channels.
    AudioReadError
        If a file cannot be read, unless the loader has ``on_error="warn"``.

    Warns
    -----
    UserWarning
        If files are left out, or fewer folds than `cv` or `inner` are possible.

    References
    ----------
    .. [1] E. Eremeeva, "Transform analysis and music style transfer with deep neural networks",
       ATIAM report, IRCAM, 2017, section 6 and figure 7.

    Examples
    --------
    The experiment of the report on a copy of GTZAN, which takes hours on two cores::

        gtzan = load_gtzan("GTZAN", load_content=False)
        pipeline = make_classification_pipeline(
            duration=30, rates="eremeeva2017", scales="eremeeva2017"
        )
        run_channels(gtzan.filenames, gtzan.target, split=gtzan.split, pipeline=pipeline,
                     memory="cache")

    >>> from sklearn.dummy import DummyClassifier
    >>> from skstrf.datasets import load_instruments
    >>> from skstrf.experiments import make_classification_pipeline, run_channels
    >>> clips = load_instruments(load_content=False)
    >>> few = [i for i, name in enumerate(clips.split) if name != "new_library"][::3]
    >>> pipeline = make_classification_pipeline(duration=0.5, rates=[4], scales=[1, 2])
    >>> pipeline = pipeline.set_params(cnn=DummyClassifier())
    >>> options = {"k": [2], "ratios": [0.9], "inner": 2, "pipeline": pipeline}
    >>> results = run_channels(clips.filenames[few], clips.target[few], cv=2, **options)
    >>> [row["name"] for row in results.rows]
    ['all channels', 'best 2', 'all channels, MPCA(0.9)', 'best 2, MPCA(0.95)']
    """
    sounds = Sounds.checked(filenames, y, groups, split)
    pipeline = check_pipeline(pipeline, sounds, random_state)
    head, tail = divide_pipeline(pipeline, memory)
    others = [name for name, step in tail.steps[:-1] if not isinstance(step, MPCA)]
    if others:
        raise ValueError(
            f"pipeline has the stages {', '.join(others)} between tensors and classifier: only "
            "channels and MPCA are compared here. Leave them out."
        )
    share = held_back_share(tail[-1])
    plan, watch = sounds.plan(cv, random_state, share), Stopwatch()
    with temporary_folder(folder) as place:
        with watch("tensors"):
            X, sounds, skipped = sounds.tensors(head, place, max_bytes, verbose)
        if skipped:
            plan = sounds.plan(cv, random_state, share)
        about = partial(
            sounds.key,
            cv=repr(cv),
            head=stage_texts(head),
            classifier=stage_settings(tail[-1]),
            estimator=None if estimator is None else stage_settings(estimator),
            inner=inner,
            random_state=random_state,
        )
        results = compare_channels(
            X,
            sounds.y,
            plan,
            tail[-1],
            groups=sounds.groups,
            estimator=estimator,
            k=k,
            ratios=ratios,
            inner=inner,
            n_seeds=n_seeds,
            memory=memory,
            parts=ResultCache(checkpoint_dir, about),
            n_jobs=n_jobs,
            random_state=random_state,
            verbose=verbose,
        )
        del X  # some systems cannot delete a file that is open
    axes = {axis.name: axis.values.tolist() for axis in getattr(head[-1], "axes_", [])}
    results.scales, results.rates = axes.get("scale"), axes.get("rate")
    results.skipped, results.settings = skipped, settings(Pipeline([*head.steps, *tail.steps]))
    results.seconds = dict(watch) | results.seconds
    return results


class _Variant(NamedTuple):
    """A number of selected channels (None: all) and the share that MPCA keeps (None: no MPCA)."""

    k: int | None
    ratio: float | None

    @property
    def name(self) -> str:
        channels = "all channels" if self.k is None else f"best {self.k}"
        return channels if self.ratio is None else f"{channels}, MPCA({self.ratio:g})"


def compare_channels(
    X: np.ndarray,
    y: Any,
    plan: Plan,
    classifier: Any,
    *,
    groups: Any = None,
    estimator: Any = None,
    k: Sequence[int] | None = None,
    ratios: Sequence[float] = RATIOS,
    inner: int = INNER,
    n_seeds: int = 1,
    memory: Any = None,
    parts: ResultCache | None = None,
    n_jobs: int | None = None,
    random_state: int = 0,
    verbose: bool = False,
) -> ChannelResults:
    """Score and compare the channels of tensors, see `run_channels`."""
    y = np.asarray(y)
    variants = _variants(X, k, ratios, inner, n_seeds)
    estimator = channel_scorer() if estimator is None else estimator
    options = {"n_jobs": n_jobs, "memory": memory, "verbose": verbose}
    watch, rankings = Stopwatch(), []
    for fold in plan.folds:
        with watch("selection"):
            folds = _inner_folds(y, groups, fold.train, inner, random_state)
            rankings.append(channel_scores(estimator, X, y, cv=folds, **options))
    if plan.is_held_out:
        scores = rankings[0]
    else:
        with watch("scores"):
            pairs = [(fold.train, fold.test) for fold in plan.folds]
            scores = channel_scores(estimator, X, y, cv=pairs, **options)
    # Folds are the same for all seeds here, so a classifier without a seed is trained once.
    has_seed = "random_state" in classifier.get_params(deep=False)
    seeds = range(random_state, random_state + (n_seeds if has_seed else 1))
    parts = parts or ResultCache(None, dict)
    rows = []
    for variant in progress(variants, "Ways", verbose):
        before = [] if variant.ratio is None else [("mpca", MPCA(variant.ratio))]
        tail = Pipeline([*before, ("last", classifier)])
        tensors = partial(_select, X, rankings, variant.k)
        found = [
            parts.get(
                f"{variant}, seed {seed}", partial(evaluate_seed, tail, tensors, y, plan, seed)
            )
            for seed in seeds
        ]
        rows.append(
            {"name": variant.name, "k": variant.k, "ratio": variant.ratio} | summarize_seeds(found)
        )
        selecting = 0.0 if variant.k is None else watch["selection"] / len(plan.folds)
        rows[-1]["seconds"]["selection"] = selecting
    return ChannelResults(
        scores=scores,
        rankings=[ranking.best(X.shape[1] * X.shape[2]) for ranking in rankings],
        rows=rows,
        evaluation=plan.description,
        is_held_out=plan.is_held_out,
        classes=np.unique(y).tolist(),
        n_sounds=len(y),
        tensor_shape=list(X.shape[1:]),
        chance=float(np.mean([chance_level(y[f.train], y[f.test]) for f in plan.folds])),
        n_seeds=n_seeds,
        settings={},
        random_state=random_state,
        seconds=dict(watch),
    )


def _variants(
    X: np.ndarray, k: Sequence[int] | None, ratios: Sequence[float], inner: int, n_seeds: int
) -> list[_Variant]:
    """Check the arguments of a comparison, and list what it compares."""
    if X.ndim < 4:
        raise ValueError(
            f"tensors have shape {X.shape[1:]}: expected (n_scales, n_rates, ...), the output of "
            "STRFTransformer. Other transformers have no channels to select."
        )
    if bad := [ratio for ratio in ratios if not 0 < ratio <= 1]:
        raise ValueError(f"ratios has {bad}: shares of variance are in (0, 1].")
    for name, value, least in (("inner", inner, 2), ("n_seeds", n_seeds, 1)):
        if int(value) != value or value < least:
            raise ValueError(f"{name}={value!r}: give a whole number of at least {least}.")
    n = X.shape[1] * X.shape[2]
    numbers = [one for one in BEST if one < n] if k is None else list(k)
    if bad := [one for one in numbers if int(one) != one or not 1 <= one <= n]:
        raise ValueError(
            f"k has {bad}: the tensors have {n} channels; give whole numbers from 1 to {n}."
        )
    return [
        _Variant(None, None),
        *(_Variant(int(one), None) for one in numbers),
        *(_Variant(None, float(ratio)) for ratio in ratios),
        *(_Variant(int(one), RATIO_OF_BEST) for one in numbers),
    ]


def _inner_folds(
    y: np.ndarray, groups: Any, train: np.ndarray, inner: int, random_state: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Divide a training part; rows are those of all sounds, so that nothing is copied."""
    own = None if groups is None else np.asarray(groups)[train]
    why = "Channels are selected by dividing each training part once more."
    try:
        with warnings.catch_warnings(record=True) as noted:
            warnings.simplefilter("always")
            plan = plan_folds(y[train], own, inner, random_state)
    except ValueError as error:
        raise ValueError(f"{why} {error}") from error
    for warning in noted:
        warn_user(f"{why[:-1]}: {warning.message}")
    return [(train[fold.train], train[fold.test]) for fold in plan.folds]


def _select(
    X: np.ndarray, rankings: list[ChannelScores], k: int | None, number: int
) -> np.ndarray:
    """Select the best channels of a fold in the order of the data, as ChannelSelector does."""
    if k is None:
        return X
    channels = rankings[number].best(k)
    ordered = channels[np.lexsort(channels.T[::-1])]
    return np.stack([X[:, scale, rate] for scale, rate in ordered], axis=1)
