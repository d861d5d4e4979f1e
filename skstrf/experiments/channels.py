"""Which channels tell most, and what is lost or gained by keeping only those."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import binomtest
from sklearn.base import clone
from sklearn.linear_model import RidgeClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from skstrf.channels import ChannelScores, channel_scores
from skstrf.decomposition import MPCA
from skstrf.experiments.channel_results import ChannelResults
from skstrf.experiments.classification import choose_duration, make_classification_pipeline
from skstrf.experiments.evaluation import Stopwatch, fit_tail
from skstrf.experiments.folds import Fold, Plan, held_back_share, plan_folds
from skstrf.experiments.results import settings, versions
from skstrf.experiments.scores import chance_level, spread
from skstrf.experiments.sounds import Sounds, warn_of_skipped
from skstrf.experiments.tensors import (
    MAX_BYTES,
    check_parameters,
    divide_pipeline,
    transform_rows,
)

__all__ = ["compare_channels", "run_channels"]

RATIOS = (0.8, 0.9, 0.95, 0.98)
BEST = (1, 5, 10, 20)
# Share of the variation that MPCA keeps in each mode of the selected channels.
AFTER = 0.95
# Folds of the training part that choose channels.
INNER = 3
# Of standardised features; from 1 to 1000 instruments are told apart about equally well.
PENALTY = 100.0


class Variant(NamedTuple):
    """One way to make tensors small: how many channels, and the share that MPCA keeps."""

    k: int | None
    ratio: float | None

    @property
    def name(self) -> str:
        """In words."""
        channels = "all channels" if self.k is None else f"best {self.k}"
        return channels if self.ratio is None else f"{channels}, MPCA({self.ratio:g})"


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
    n_jobs: int | None = None,
    random_state: int = 0,
    folder: str | os.PathLike[str] | None = None,
    max_bytes: int = MAX_BYTES,
    verbose: bool = False,
) -> ChannelResults:
    """Score every channel of labelled sound files, and compare ways to make tensors small.

    Parameters
    ----------
    filenames : sequence of str or Path
        The sound files.
    y : array-like of shape (n_sounds,)
        Their classes.
    groups, split, cv : array-like, array-like, int or splitter
        How the sounds are divided, see :func:`skstrf.experiments.run_classification`.
    pipeline : Pipeline or None
        An `AudioLoader`, a transformer to tensors, an MPCA if wanted and the classifier that
        all ways are compared with. None: `make_classification_pipeline` with `choose_duration`.
    estimator, k, ratios, inner, n_seeds : object
        See `compare_channels`.
    memory : str, Path, joblib.Memory or None
        Where the tensor of each recording and the scores of each channel are kept: an
        interrupted run goes on where it was, another one with the same sounds starts from them.
    n_jobs : int or None
        Channels scored at a time.
    random_state : int
        Seed of folds and networks.
    folder : str, Path or None
        Where tensors of more than `max_bytes` go while this runs; None: a temporary folder.
    max_bytes : int
        Bytes of tensors that are kept in memory.
    verbose : bool
        Show progress bars.

    Returns
    -------
    ChannelResults
        Scores, the best channels and the comparison.

    Raises
    ------
    ValueError
        When arguments do not fit each other, or tensors have no channels.
    AudioReadError
        For a file that cannot be used, unless the loader has ``on_error="warn"``.

    Warns
    -----
    UserWarning
        For files that were left out, and for folds that had to be fewer.

    References
    ----------
    .. [1] E. Eremeeva, "Transform analysis and music style transfer with deep neural networks",
       ATIAM report, IRCAM, 2017, section 6 and figure 7.

    Examples
    --------
    The report's own experiment, with your copy of GTZAN (hours on two cores, the tensors kept)::

        gtzan = load_gtzan("GTZAN", load_content=False)
        pipeline = make_classification_pipeline(duration=30, rates="report", scales="report")
        run_channels(gtzan.filenames, gtzan.target, split=gtzan.split, pipeline=pipeline,
                     memory="cache")

    >>> from skstrf.datasets import load_instruments
    >>> from skstrf.experiments import make_classification_pipeline, run_channels
    >>> from skstrf.experiments.evaluation import linear_classifier
    >>> clips = load_instruments(load_content=False)
    >>> few = [i for i, name in enumerate(clips.split) if name != "new_library"][::3]
    >>> pipeline = make_classification_pipeline(duration=0.5, rates=[4], scales=[1, 2])
    >>> pipeline = pipeline.set_params(cnn=linear_classifier())
    >>> options = {"k": [2], "ratios": [0.9], "inner": 2, "pipeline": pipeline}
    >>> results = run_channels(clips.filenames[few], clips.target[few], cv=2, **options)
    >>> [row["name"] for row in results.rows]
    ['all channels', 'best 2', 'all channels, MPCA(0.9)', 'best 2, MPCA(0.95)']
    """
    sounds = Sounds.checked(filenames, y, groups, split)
    if pipeline is None:
        pipeline = make_classification_pipeline(
            duration=choose_duration(sounds.files), random_state=random_state
        )
    head, tail = divide_pipeline(pipeline)
    check_parameters(pipeline)
    if memory is not None and "memory" in head[-1].get_params(deep=False):
        head[-1].set_params(memory=memory)
    _check_tail(tail)
    share = held_back_share(tail[-1])
    plan, watch = sounds.plan(cv, random_state, share), Stopwatch()
    with tempfile.TemporaryDirectory(prefix="skstrf-", dir=folder) as place:
        with watch("tensors"):
            X, sounds, skipped = sounds.tensors(head, place, max_bytes, verbose)
        if skipped:
            plan = sounds.plan(cv, random_state, share)
            warn_of_skipped(skipped, len(filenames))
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
    n_jobs: int | None = None,
    random_state: int = 0,
    verbose: bool = False,
) -> ChannelResults:
    """Score channels, and compare all of them, the best k, MPCA, and MPCA of the best k.

    Channels are chosen and MPCA is fitted on the training part of each fold alone, anew for
    every fold, so no test sound has a say in what it is tested with.

    Parameters
    ----------
    X : ndarray or memmap of shape (n_sounds, n_scales, n_rates, ...)
        Tensors, computed once; a memory map is read a channel at a time to score channels.
    y : array-like of shape (n_sounds,)
        Classes.
    plan : Plan
        The folds, from :func:`skstrf.experiments.folds.plan_folds` or ``plan_split``.
    classifier : classifier
        What every way is compared with, such as a `CNNClassifier`.
    groups : array-like of shape (n_sounds,) or None
        Kept together by the folds that choose channels.
    estimator : classifier or None
        Scores single channels, see :func:`skstrf.channel_scores`. None: standardised features
        and ridge regression of the classes, some hundredths of a second a fit.
    k : sequence of int or None
        Numbers of channels to try. None: 1, 5, 10 and 20, as far as there are more.
    ratios : sequence of float
        Shares of variation for MPCA to keep in each mode of the whole tensors. After a
        selection it keeps 0.95.
    inner : int
        Folds of the training part that choose channels.
    n_seeds : int
        Trainings with seeds `random_state`, `random_state` + 1 ..., if `classifier` has one.
    memory : str, Path, joblib.Memory or None
        Where scores of channels are kept.
    n_jobs : int or None
        Channels scored at a time.
    random_state : int
        Seed of the inner folds and of the first training.
    verbose : bool
        Show progress bars.

    Returns
    -------
    ChannelResults
        Without ``scales``, ``rates``, ``skipped`` and ``settings``, which are of the files.

    Raises
    ------
    ValueError
        When X has fewer than four axes, or an argument is out of range.
    """
    X, y = _check(X, y, ratios, inner, n_seeds)
    variants = list(_variants(k, ratios, X.shape[1] * X.shape[2]))
    if estimator is None:
        estimator = make_pipeline(StandardScaler(), RidgeClassifier(alpha=PENALTY))
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
    selection = watch["selection"] / len(plan.folds)
    rows = []
    for variant in _with_progress(variants, verbose):
        row = _evaluate(variant, X, y, plan, rankings, classifier, n_seeds, random_state)
        row["seconds"]["selection"] = 0.0 if variant.k is None else selection
        rows.append(row)
    chance = [chance_level(y[fold.train], y[fold.test]) for fold in plan.folds]
    return ChannelResults(
        scores=scores,
        rankings=[ranking.best(X.shape[1] * X.shape[2]) for ranking in rankings],
        rows=rows,
        evaluation=plan.description,
        is_held_out=plan.is_held_out,
        classes=np.unique(y).tolist(),
        n_sounds=len(y),
        tensor_shape=list(X.shape[1:]),
        chance=float(np.mean(chance)),
        n_seeds=n_seeds,
        random_state=random_state,
        seconds=dict(watch),
        versions=versions(),
    )


def _check(X: Any, y: Any, ratios: Any, inner: int, n_seeds: int) -> tuple[Any, np.ndarray]:
    if X.ndim < 4:
        raise ValueError(
            f"tensors have shape {X.shape[1:]}: expected (n_scales, n_rates, ...), such as "
            "STRFTransformer gives. Other transformers have no channels to choose from."
        )
    if bad := [ratio for ratio in ratios if not 0 < ratio <= 1]:
        raise ValueError(f"ratios has {bad}: shares of variation are in (0, 1].")
    for name, value, least in (("inner", inner, 2), ("n_seeds", n_seeds, 1)):
        if int(value) != value or value < least:
            raise ValueError(f"{name}={value!r}: give a whole number of at least {least}.")
    return X, np.asarray(y)


def _check_tail(tail: Pipeline) -> None:
    others = [name for name, step in tail.steps[:-1] if not isinstance(step, MPCA)]
    if others:
        raise ValueError(
            f"pipeline has the stages {', '.join(others)} between tensors and classifier: what is "
            "compared here are channels and MPCA alone. Leave them out."
        )


def _variants(k: Sequence[int] | None, ratios: Sequence[float], n: int) -> Iterator[Variant]:
    numbers = [one for one in BEST if one < n] if k is None else list(k)
    if bad := [one for one in numbers if int(one) != one or not 1 <= one <= n]:
        raise ValueError(
            f"k has {bad}: the tensors have {n} channels; give whole numbers from 1 to {n}."
        )
    yield Variant(None, None)
    yield from (Variant(int(one), None) for one in numbers)
    yield from (Variant(None, float(ratio)) for ratio in ratios)
    yield from (Variant(int(one), AFTER) for one in numbers)


def _inner_folds(
    y: np.ndarray, groups: Any, train: np.ndarray, inner: int, random_state: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Divide a training part; rows are those of the whole data, so that nothing is copied."""
    own = None if groups is None else np.asarray(groups)[train]
    try:
        with warnings.catch_warnings(record=True) as noted:
            warnings.simplefilter("always")
            plan = plan_folds(y[train], own, inner, random_state)
    except ValueError as error:
        raise ValueError(
            f"Channels are chosen by dividing each training part once more. {error}"
        ) from error
    for warning in noted:
        text = f"Channels are chosen by dividing each training part once more: {warning.message}"
        warnings.warn(text, warning.category, stacklevel=3)
    return [(train[fold.train], train[fold.test]) for fold in plan.folds]


def _evaluate(
    variant: Variant,
    X: np.ndarray,
    y: np.ndarray,
    plan: Plan,
    rankings: list[ChannelScores],
    classifier: Any,
    n_seeds: int,
    random_state: int,
) -> dict[str, Any]:
    """Fit and test one way on every fold."""
    watch, shapes = Stopwatch(), []
    right: dict[str, list[float]] = {}
    has_seed = "random_state" in classifier.get_params(deep=False)
    seeds = range(random_state, random_state + n_seeds) if has_seed else [random_state]
    for fold, ranking in zip(plan.folds, rankings, strict=True):
        part = X if variant.k is None else _take(X, ranking.best(variant.k))
        for seed in seeds:
            last = clone(classifier).set_params(random_state=seed) if has_seed else classifier
            before = [] if variant.ratio is None else [("mpca", MPCA(variant.ratio))]
            found = _test_fold(Pipeline([*before, ("last", last)]), part, y, fold, plan, watch)
            shapes.append(found.pop("shape"))
            for name, accuracy in found.items():
                right.setdefault(name, []).append(accuracy)
    accuracies = {name: spread(values) for name, values in right.items()}
    n_test = sum(len(fold.test) for fold in plan.folds)
    interval = binomtest(round(accuracies["test"]["mean"] * n_test), n_test).proportion_ci(
        0.95, method="wilson"
    )
    n_fits = len(shapes)
    return {
        "name": variant.name,
        "k": variant.k,
        "ratio": variant.ratio,
        "shape": shapes[0],
        "dimension": float(np.mean([np.prod(shape) for shape in shapes])),
        "accuracy": accuracies.pop("test"),
        "interval": [float(interval.low), float(interval.high)],
        "extra": accuracies,
        "seconds": {name: seconds / n_fits for name, seconds in watch.items()},
    }


def _take(X: np.ndarray, channels: np.ndarray) -> np.ndarray:
    """Channels in the order of the data, which is that of ChannelSelector: (n, k, ...)."""
    ordered = channels[np.lexsort(channels.T[::-1])]
    return np.stack([X[:, scale, rate] for scale, rate in ordered], axis=1)


def _test_fold(
    tail: Pipeline, X: np.ndarray, y: np.ndarray, fold: Fold, plan: Plan, watch: Stopwatch
) -> dict[str, Any]:
    """Accuracy by test set, and the shape of what the classifier got."""
    fitted = fit_tail(tail, X, y, fold, watch, verbose=False)
    found: dict[str, Any] = {"shape": list(fitted.features.shape[1:])}
    for name, rows in {"test": fold.test, **plan.extra}.items():
        with watch("prediction"):
            guessed = fitted.classifier.predict(transform_rows(fitted.reduction, X, rows))
        found[name] = float(np.mean(guessed == y[rows]))
    return found


def _with_progress(variants: list[Variant], verbose: bool) -> Any:
    from tqdm import tqdm

    return tqdm(variants, desc="Ways to make tensors small", disable=not verbose)
