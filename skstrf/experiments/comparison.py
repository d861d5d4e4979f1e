"""What a comparison of ways to learn from the same sounds found."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import binomtest
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.linear_model import RidgeClassifier
from sklearn.model_selection import ParameterGrid
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from skstrf.decomposition import MPCA
from skstrf.experiments._base import (
    ResultCache,
    WrittenResults,
    chance_level,
    format_mean,
    format_score,
    settings,
    spread,
    versions,
)
from skstrf.experiments._evaluation import (
    MAX_BYTES,
    Flatten,
    Sounds,
    Stopwatch,
    check_parameters,
    divide_pipeline,
    fit_tail,
    linear_classifier,
    transform_rows,
    warn_of_skipped,
)
from skstrf.experiments._splits import Fold, Plan, held_back_share, plan_folds
from skstrf.experiments.classification import (
    choose_duration,
    make_classification_pipeline,
    make_separable_classifier,
)
from skstrf.feature_selection import ChannelScores, ChannelSelector, channel_scores
from skstrf.inspection import ChannelScoreDisplay, ComparisonDisplay, Report
from skstrf.neural import make_eremeeva2017_classifier
from skstrf.pipeline import stage_settings
from skstrf.preprocessing import LogContrast

__all__ = [
    "ChannelResults",
    "ComparisonResults",
    "compare_channels",
    "genres_experiment",
    "reduction_experiment",
    "run_channels",
    "run_comparison",
    "write_channel_report",
    "write_comparison_report",
]


@dataclass
class ComparisonResults(WrittenResults):
    """Accuracy, size and time of every way.

    Parameters
    ----------
    rows : list of dict
        One a way: ``name``, ``params`` (what it changes in the pipeline), ``shape`` and
        ``dimension`` of what the classifier gets of one sound (shape in the first fold, the mean
        of the numbers), ``kept`` (share of the variance of the training part that an MPCA or PCA
        keeps, or None), ``accuracy`` (``mean``, ``std`` and ``values`` over folds and seeds), its
        95 % ``interval`` by Wilson's method, ``extra`` (accuracy on further test sets, spread
        over seeds) and ``seconds`` of one fit by stage.
    evaluation : str
        How the sounds were divided.
    is_held_out : bool
        Whether there was one division into train and test.
    classes : list
        The classes.
    n_sounds : int
        How many.
    tensor_shape : list of int
        Of one sound.
    chance : float
        Accuracy of guessing the commonest class of the training part.
    n_seeds : int
        Seeds of folds and classifiers, from `random_state` on.
    random_state : int
        The first seed.
    skipped : list of (str, str)
        Files left out, with the reason.
    settings : dict of str to dict
        Parameters of the stages that all ways share.
    seconds : dict of str to float
        Of the whole, by stage.
    versions : dict of str to str
        Of the packages.
    """

    rows: list[dict[str, Any]]
    evaluation: str
    is_held_out: bool
    classes: list[Any]
    n_sounds: int
    tensor_shape: list[int]
    chance: float
    n_seeds: int
    random_state: int
    skipped: list[tuple[str, str]]
    settings: dict[str, dict[str, Any]]
    seconds: dict[str, float]
    versions: dict[str, str] = field(default_factory=dict)

    def summary(self) -> str:
        """Say the accuracy of every way with its spread, beside chance.

        Returns
        -------
        str
            Some lines.
        """
        width = max(len(row["name"]) for row in self.rows)
        lines = [
            f"{self.evaluation}, {self.n_sounds} sounds, {len(self.classes)} classes; "
            f"chance {self.chance:.3f}"
        ]
        lines += [
            f"{row['name']:{width}}  accuracy {format_score(row['accuracy'], row)}, "
            f"{row['dimension']:.0f} numbers a sound, {sum(row['seconds'].values()):.2g} s"
            for row in self.rows
        ]
        return "\n".join(lines)


def write_comparison_report(
    results: ComparisonResults,
    path: str | os.PathLike[str],
    *,
    title: str = "Comparison",
    notes: Sequence[str] = (),
) -> None:
    """Write the report on a comparison: one HTML file that needs nothing else."""
    subtitle = f"{results.n_sounds} sounds, {len(results.classes)} classes; {results.evaluation}"
    report = Report(title, subtitle)
    shape = " x ".join(map(str, results.tensor_shape))
    text = [
        f"All ways learn from the same tensors of {shape}, with the same folds and seeds. What "
        "learns from data never saw the sounds it is tested on. Guessing the commonest class "
        f"gives {results.chance:.3f}.",
        *notes,
    ]
    report.add_text("Result", text)
    display = ComparisonDisplay.from_results(results)
    report.add_figure(
        "Result",
        display.figure_,
        alt="accuracy of every way with its spread, as tabulated below, and the level of chance",
        caption="Accuracy on the test part: mean, and standard deviation over folds and seeds.",
    )
    _add_table(report, results)
    if results.skipped:
        report.add_table("Files left out", ["file", "reason"], results.skipped)
    else:
        report.add_text("Files left out", "None.")
    report.add_settings("Settings", {"seed": results.random_state, "seeds": results.n_seeds})
    for stage, values in results.settings.items():
        report.add_text("Settings", f"{stage}:")
        report.add_settings("Settings", values)
    report.add_settings("Seconds", {k: round(v, 2) for k, v in results.seconds.items()})
    report.add_settings("Versions", results.versions)
    report.write(path)


def _add_table(report: Report, results: ComparisonResults) -> None:
    extra = list(results.rows[0]["extra"])
    rows = [
        [
            row["name"],
            "\u00a0x\u00a0".join(map(str, row["shape"])),  # on one line
            round(row["dimension"]),
            row["kept"],
            format_mean(row["accuracy"]["mean"], row["accuracy"]["std"]),
            "{:.3f} to {:.3f}".format(*row["interval"]),
            *(format_mean(row["extra"][n]["mean"], row["extra"][n]["std"]) for n in extra),
            row["seconds"].get("reduction", 0.0),
            row["seconds"]["network"],
        ]
        for row in results.rows
    ]
    columns = ["way", "shape", "numbers", "kept", "accuracy", "95 %", *extra]
    note = (
        "Shape and numbers: what the classifier gets of one sound. Kept: share of the variance of "
        "the training part. 95 %: interval (Wilson) of the mean, taking the sounds for "
        "independent. Seconds of one fit, reduction and classifier."
    )
    if results.rows[0]["accuracy"]["std"] is not None:
        note += f" ±: standard deviation over folds and {results.n_seeds} seeds."
    report.add_table("Result", [*columns, "s reducing", "s learning"], rows, note=note)


Grid = Mapping[str, Mapping[str, Any] | Sequence[Any]]


def run_comparison(
    filenames: Sequence[str],
    y: Any,
    pipeline: Pipeline,
    search_space: Grid | Sequence[Grid],
    *,
    groups: Any = None,
    split: Any = None,
    cv: Any = 5,
    n_seeds: int = 3,
    memory: Any = None,
    parts: str | os.PathLike[str] | None = None,
    random_state: int = 0,
    folder: str | os.PathLike[str] | None = None,
    max_bytes: int = MAX_BYTES,
    verbose: bool = False,
) -> ComparisonResults:
    """Evaluate every point of a search space on the same sounds, folds and seeds.

    Unlike a search it keeps all of them, with their spread: what is compared, not chosen. The
    tensors are computed once; what learns is fitted on the training part of each fold.

    Parameters
    ----------
    filenames : sequence of str or Path
        The sound files.
    y : array-like of shape (n_sounds,)
        Their classes.
    pipeline : Pipeline
        From an `AudioLoader` to a classifier.
    search_space : mapping of str to (mapping or sequence), or a sequence of them
        Values by parameter, of the stages after the tensors, and by name if they have names: all
        combinations are compared. Of several mappings, the combinations of each; a value whose
        name is empty goes without saying.
    groups, split, cv : array-like, array-like, int or splitter
        How the sounds are divided, see :func:`skstrf.experiments.run_classification`.
    n_seeds : int
        Seeds `random_state`, `random_state` + 1 ... of folds and classifiers.
    memory : str, Path, joblib.Memory or None
        Where the tensor of each recording is kept.
    parts : str, Path or None
        Folder that keeps finished parts (one way with one seed): an interrupted comparison goes
        on after them.
    random_state : int
        The first seed.
    folder : str, Path or None
        Where tensors of more than `max_bytes` go while this runs; None: a temporary folder.
    max_bytes : int
        Bytes of tensors that are kept in memory.
    verbose : bool
        Show progress bars.

    Returns
    -------
    ComparisonResults
        A row for each way.

    Raises
    ------
    ValueError
        When the search space touches the stages before the tensors, or arguments do not fit.
    AudioReadError
        For a file that cannot be used, unless the loader has ``on_error="warn"``.

    Warns
    -----
    UserWarning
        For files that were left out, and for folds that had to be fewer.

    Examples
    --------
    >>> from skstrf import MPCA
    >>> from skstrf.datasets import load_instruments
    >>> from skstrf.experiments import make_classification_pipeline, run_comparison
    >>> clips = load_instruments(load_content=False)
    >>> few = [i for i, name in enumerate(clips.split) if name != "new_library"][::6]
    >>> pipeline = make_classification_pipeline(duration=0.5, max_epochs=1)
    >>> space = {"mpca": [MPCA(0.8), MPCA(0.9)]}
    >>> results = run_comparison(
    ...     clips.filenames[few], clips.target[few], pipeline, space, cv=2, n_seeds=1
    ... )
    >>> [row["name"] for row in results.rows]
    ['MPCA(n_components=0.8)', 'MPCA(n_components=0.9)']
    """
    sounds = Sounds.checked(filenames, y, groups, split)
    if int(n_seeds) != n_seeds or n_seeds < 1:
        raise ValueError(f"n_seeds={n_seeds!r}: give a whole number of at least 1.")
    check_parameters(pipeline)
    head, _ = divide_pipeline(pipeline)
    tails = _tails(pipeline, search_space, list(head.named_steps))
    if memory is not None and "memory" in head[-1].get_params(deep=False):
        head[-1].set_params(memory=memory)
    sounds.plan(cv, random_state, 0.0)  # raises before any work where it cannot be
    watch = Stopwatch()
    with tempfile.TemporaryDirectory(prefix="skstrf-", dir=folder) as place:
        with watch("tensors"):
            X, sounds, skipped = sounds.tensors(head, place, max_bytes, verbose)
        if skipped:
            warn_of_skipped(skipped, len(filenames))
        seeds = range(random_state, random_state + n_seeds)
        kept = ResultCache(parts, {"files": sounds.files, "y": sounds.y, "groups": sounds.groups,
                             "split": sounds.split, "cv": repr(cv), "head": _texts(head),
                             "versions": versions()})  # fmt: skip
        rows = []
        for name, tail in _with_progress(tails, verbose):
            found = []
            for seed in seeds:
                plan = sounds.plan(cv, seed, held_back_share(tail[-1]))
                part = f"{name}, seed {seed}, {_texts(tail)}"
                one = partial(_evaluate, tail, X, sounds.y, plan, seed)
                found.append(kept.get(part, one))
                del one  # it holds the tensors, whose file is to go
            rows.append({"name": name} | _summarize(found))
        shape = list(X.shape[1:])
        del X  # some systems cannot delete a file that is open
    return ComparisonResults(
        rows=rows,
        evaluation=plan.description,
        is_held_out=plan.is_held_out,
        classes=np.unique(sounds.y).tolist(),
        n_sounds=len(sounds.files),
        tensor_shape=shape,
        chance=float(
            np.mean([chance_level(sounds.y[f.train], sounds.y[f.test]) for f in plan.folds])
        ),
        n_seeds=n_seeds,
        random_state=random_state,
        skipped=skipped,
        settings=settings(head),
        seconds=dict(watch),
        versions=versions(),
    )


def _name(key: str, value: Any) -> str:
    """Name a value by what it is."""
    if value is None or (isinstance(value, str) and value == "passthrough"):
        return f"no {key}"
    if hasattr(value, "get_params"):
        return " ".join(repr(value).split())
    return f"{key}={value}"


def _tails(
    pipeline: Pipeline, space: Grid | Sequence[Grid], head: list[str]
) -> list[tuple[str, Pipeline]]:
    tails: list[tuple[str, Pipeline]] = []
    for grid in [space] if isinstance(space, Mapping) else space:
        if touched := sorted(key for key in grid if key.partition("__")[0] in head):
            raise ValueError(
                f"search_space changes {', '.join(touched)}, before the tensors, which are "
                "computed once: compare only what comes after them, or use run_search."
            )
        tails.extend(_combinations(pipeline, grid))
    if not tails:
        raise ValueError("search_space is empty: there is nothing to compare.")
    return tails


def _combinations(pipeline: Pipeline, grid: Grid) -> Iterator[tuple[str, Pipeline]]:
    """Name and make every combination of one grid."""
    named = {
        key: values if isinstance(values, Mapping) else {_name(key, v): v for v in values}
        for key, values in grid.items()
    }
    for names in ParameterGrid({key: list(values) for key, values in named.items()} or []):
        params = {key: _clone(named[key][name]) for key, name in names.items()}
        changed = clone(pipeline).set_params(**params)
        check_parameters(changed)
        name = ", ".join(names[key] for key in sorted(names) if names[key])
        yield name, divide_pipeline(changed)[1]


def _texts(stages: Pipeline) -> list[str]:
    return [stage_settings(step) for _, step in stages.steps]


def _clone(value: Any) -> Any:
    return clone(value) if hasattr(value, "get_params") else value


def _evaluate(tail: Pipeline, X: np.ndarray, y: np.ndarray, plan: Plan, seed: int) -> Any:
    """Fit and test one way on every fold, with one seed."""
    watch = Stopwatch()
    tail = clone(tail)
    if "random_state" in tail[-1].get_params(deep=False):
        tail[-1].set_params(random_state=seed)
    found: dict[str, Any] = {"shapes": [], "kept": [], "accuracies": {}, "n_test": 0}
    for fold in plan.folds:
        fitted = fit_tail(tail, X, y, fold, watch, verbose=False)
        found["shapes"].append(list(fitted.features.shape[1:]))
        found["kept"].append(_share_kept(fitted.steps))
        found["n_test"] += len(fold.test)
        for name, rows in {"test": fold.test, **plan.extra}.items():
            with watch("prediction"):
                guessed = fitted.classifier.predict(transform_rows(fitted.reduction, X, rows))
            found["accuracies"].setdefault(name, []).append(float(np.mean(guessed == y[rows])))
    return found | {"seconds": {k: v / len(plan.folds) for k, v in watch.items()}}


def _share_kept(steps: Sequence[tuple[str, Any]]) -> float | None:
    """Share of the variance that the last reduction keeps of what it got."""
    kept = None
    for _, step in steps[:-1]:
        inner = step.steps if isinstance(step, Pipeline) else [("", step)]
        for _, one in inner:
            ratio = getattr(one, "explained_variance_ratio_", None)
            kept = kept if ratio is None else float(np.sum(ratio))
    return kept


def _summarize(found: list[dict[str, Any]]) -> dict[str, Any]:
    """Put the seeds of one way together."""
    names = list(found[0]["accuracies"])
    scores = {n: spread([v for one in found for v in one["accuracies"][n]]) for n in names}
    n_test = found[0]["n_test"]
    interval = binomtest(round(scores["test"]["mean"] * n_test), n_test).proportion_ci(
        0.95, method="wilson"
    )
    kept = [share for one in found for share in one["kept"] if share is not None]
    sizes = [float(np.prod(shape)) for one in found for shape in one["shapes"]]
    stages = list(found[0]["seconds"])
    return {
        "shape": found[0]["shapes"][0],
        "dimension": float(np.mean(sizes)),
        "kept": float(np.mean(kept)) if kept else None,
        "accuracy": scores.pop("test"),
        "interval": [float(interval.low), float(interval.high)],
        "extra": scores,
        "seconds": {
            stage: float(np.mean([one["seconds"][stage] for one in found])) for stage in stages
        },
    }


def _with_progress(tails: list[tuple[str, Pipeline]], verbose: bool) -> Any:
    from tqdm import tqdm

    return tqdm(tails, desc="Ways", disable=not verbose)


RATIOS = (0.8, 0.9, 0.95, 0.98)
BEST = 10


def reduction_experiment(**options: Any) -> tuple[Pipeline, dict[str, dict[str, Any]]]:
    """Give the pipeline, and the reductions to compare in the place of its MPCA.

    Parameters
    ----------
    **options : dict
        Of :func:`skstrf.experiments.make_classification_pipeline`.

    Returns
    -------
    pipeline : Pipeline
        Sound file -> STRF tensor -> reduction (``mpca``) -> network.
    search_space : dict of str to dict
        By name: none; MPCA at several shares per mode and in total; the ten best channels, also
        with MPCA; PCA of the flattened tensors.

    Examples
    --------
    >>> from skstrf.experiments import reduction_experiment
    >>> pipeline, space = reduction_experiment(duration=5.0)
    >>> list(space), len(space["mpca"])
    (['mpca'], 10)
    """
    scorer = make_pipeline(StandardScaler(), RidgeClassifier(alpha=PENALTY))
    best = ChannelSelector(scorer, k=BEST, cv=3)
    reductions = {
        "none": "passthrough",
        **{f"MPCA({ratio})": MPCA(ratio) for ratio in RATIOS},
        **{f"MPCA({ratio}) in total": MPCA(ratio, criterion="total") for ratio in (0.9, 0.95)},
        f"best {BEST} channels": best,
        f"best {BEST} channels, MPCA(0.95)": Pipeline([("best", best), ("mpca", MPCA(0.95))]),
        "PCA(0.95)": Pipeline([("flat", Flatten()), ("pca", PCA(0.95, random_state=0))]),
    }
    return make_classification_pipeline(**options), {"mpca": reductions}


def genres_experiment(**options: Any) -> tuple[Pipeline, list[dict[str, dict[str, Any]]]]:
    """Give the pipeline, and the classifiers to compare at its end.

    Parameters
    ----------
    **options : dict
        Of :func:`skstrf.experiments.make_classification_pipeline`; ``rates="eremeeva2017"`` and
        ``scales="eremeeva2017"`` give the report's 198 channels.

    Returns
    -------
    pipeline : Pipeline
        Sound file -> magnitudes of STRFs -> contrast (``scaler``) -> MPCA -> network (``cnn``).
    search_space : list of dict of str to dict
        By name: the report's network, the library's and logistic regression, all three behind
        MPCA; and, on whole tensors of contrast and envelope, the network of separable filters.

    Notes
    -----
    `STRFTransformer` takes contrast itself by default. Here a stage does, because the last of the
    networks takes the envelope too, and the tensors are computed once for all.

    Examples
    --------
    >>> from skstrf.experiments import genres_experiment
    >>> pipeline, space = genres_experiment(duration=30.0)
    >>> [name for grid in space for name in grid["cnn"]]  # doctest: +NORMALIZE_WHITESPACE
    ["the report's network", "the library's network", 'logistic regression',
     'separable network without MPCA']
    """
    pipeline = make_classification_pipeline(**options)
    pipeline.set_params(
        strf__compression=None, strf__contrast=False, scaler=LogContrast(envelope=False)
    )
    modern = pipeline[-1]
    chosen = {name: getattr(modern, name) for name in ("max_epochs", "device", "random_state")}
    # At the default rate a network without batch normalization learns worse.
    report = make_eremeeva2017_classifier(lr=1e-3, **chosen)
    behind_mpca = {
        "the report's network": report,
        "the library's network": modern,
        "logistic regression": linear_classifier(),
    }
    whole: dict[str, dict[str, Any]] = {
        "cnn": {"separable network without MPCA": make_separable_classifier(**chosen)},
        "mpca": {"": "passthrough"},
        "scaler": {"": LogContrast()},
    }
    return pipeline, [{"cnn": behind_mpca}, whole]


@dataclass
class ChannelResults(WrittenResults):
    """Scores of channels, and the comparison of ways to make tensors small.

    Parameters
    ----------
    scores : ChannelScores
        Of every channel alone, on the folds of the evaluation; of a held-out one on the folds
        of its training part.
    rankings : list of ndarray of shape (n_channels, 2), int
        For every fold the channels by (scale, rate) index, best first, as its training part
        ranks them.
    rows : list of dict
        One a way: ``name``, ``k``, ``ratio``, ``shape`` and ``dimension`` of what the classifier
        got, ``accuracy`` (``mean``, ``std`` and ``values`` over folds and seeds), its 95 %
        ``interval`` by Wilson's method, ``extra`` (accuracy on further test sets) and
        ``seconds`` of one fit by stage.
    evaluation : str
        How the sounds were divided.
    is_held_out : bool
        Whether there was one division into train and test.
    classes : list
        The classes.
    n_sounds : int
        How many.
    tensor_shape : list of int
        Of one sound.
    chance : float
        Accuracy of guessing the commonest class of the training part.
    n_seeds : int
        Trainings on each fold.
    random_state : int
        The first seed.
    seconds : dict of str to float
        Of the whole, by stage.
    versions : dict of str to str
        Of the packages.
    scales, rates : list of float or None
        Of the channels, in cycles/octave and Hz (signed).
    skipped : list of (str, str)
        Files left out, with the reason.
    settings : dict
        Parameters of each stage.
    """

    scores: ChannelScores
    rankings: list[np.ndarray]
    rows: list[dict[str, Any]]
    evaluation: str
    is_held_out: bool
    classes: list[Any]
    n_sounds: int
    tensor_shape: list[int]
    chance: float
    n_seeds: int
    random_state: int
    seconds: dict[str, float]
    versions: dict[str, str]
    scales: list[float] | None = None
    rates: list[float] | None = None
    skipped: list[tuple[str, str]] = field(default_factory=list)
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)

    def best_channels(self, n: int = 10) -> list[dict[str, Any]]:
        """List the best channels.

        Parameters
        ----------
        n : int
            How many, at most all.

        Returns
        -------
        list of dict
            Best first: ``scale``, ``rate`` (numbers from 0 where the values are not known),
            ``mean``, ``standard_error`` and ``chosen``, the share of folds whose training part
            has the channel among its best `n`.
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

    def table(self) -> list[dict[str, Any]]:
        """Flatten the comparison: one row of numbers for each way.

        Returns
        -------
        list of dict
            ``way``, ``dimension``, ``accuracy``, ``std``, ``low``, ``high``, accuracy on further
            test sets by name, and ``seconds`` of one selection, fit and prediction.
        """
        return [
            {
                "way": row["name"],
                "dimension": round(row["dimension"]),
                "accuracy": row["accuracy"]["mean"],
                "std": row["accuracy"]["std"],
                "low": row["interval"][0],
                "high": row["interval"][1],
                **{name: extra["mean"] for name, extra in row["extra"].items()},
                "seconds": sum(row["seconds"].values()),
            }
            for row in self.rows
        ]

    def summary(self) -> str:
        """Say the best channel and the accuracy of every way, beside chance.

        Returns
        -------
        str
            Some lines.
        """
        best = self.best_channels(1)[0]
        unit = "scale {:g} cycles/octave, rate {:+g} Hz" if self.rates else "scale {}, rate {}"
        lines = [
            f"best channel alone: {unit.format(best['scale'], best['rate'])}: {best['mean']:.3f}",
            f"{self.evaluation}, {self.n_sounds} sounds, {len(self.classes)} classes; "
            f"chance {self.chance:.3f}",
        ]
        width = max(len(row["name"]) for row in self.rows)
        lines += [
            f"{row['name']:{width}}  accuracy {format_score(row['accuracy'], row)}, "
            f"{row['dimension']:.0f} numbers a sound, {sum(row['seconds'].values()):.2g} s"
            for row in self.rows
        ]
        return "\n".join(lines)

    def _plain_fields(self) -> dict[str, Any]:
        scores = {
            "folds": self.scores.folds,
            "mean": self.scores.mean,
            "standard_error": self.scores.standard_error,
            "chance": self.scores.chance,
        }
        return super()._plain_fields() | {
            "scores": scores,
            "best_channels": self.best_channels(self.scores.mean.size),
        }


N_BEST = 10


def write_channel_report(
    results: ChannelResults,
    path: str | os.PathLike[str],
    *,
    title: str = "What single channels tell",
    notes: Sequence[str] = (),
) -> None:
    """Write the report on channels: one HTML file that needs nothing else."""
    first = results.rows[0]
    subtitle = f"{results.n_sounds} sounds, {len(results.classes)} classes; {results.evaluation}"
    report = Report(title, subtitle)
    _add_scores(report, results, notes)
    _add_comparison(report, results)
    report.add_text(
        "Comparison",
        f"All channels, {first['dimension']:.0f} numbers a sound, give an accuracy of "
        f"{format_score(first['accuracy'], first)}; guessing gives {results.chance:.3f}.",
    )
    if results.skipped:
        report.add_table("Files left out", ["file", "reason"], results.skipped)
    else:
        report.add_text("Files left out", "None.")
    _add_settings(report, results)
    report.write(path)


def _add_scores(report: Report, results: ChannelResults, notes: Sequence[str]) -> None:
    where = "of the training part" if results.is_held_out else "of the evaluation"
    text = [
        f"Every channel (scale, signed rate) alone, cross-validated on folds {where}. "
        "The best of many looks better than it is: "
        "the comparison below chooses channels inside each training part, and is honest.",
        *notes,
    ]
    report.add_text("Channels", text)
    display = ChannelScoreDisplay.from_scores(
        results.scores, scales=results.scales, rates=results.rates, n_best=N_BEST
    )
    report.add_figure(
        "Channels",
        display.figure_,
        alt="map of accuracy by scale and rate, and all channels in the order of their accuracy",
        caption="Accuracy of each channel alone; the best are numbered.",
    )
    keys = ("scale", "rate", "mean", "standard_error", "chosen")
    rows = [
        [str(number), *(row[key] for key in keys)]
        for number, row in enumerate(results.best_channels(N_BEST), start=1)
    ]
    columns = ["place", "scale", "rate", "accuracy", "standard error", "chosen"]
    note = (
        "Scale in cycles/octave, rate in Hz: negative moves upward in frequency. Standard error: "
        "corrected for folds that share training sounds (Nadeau and Bengio). Chosen: share of "
        f"training parts that rank the channel among their best {len(rows)}."
    )
    report.add_table("Channels", columns, rows, caption="Best channels", note=note)


def _add_comparison(report: Report, results: ChannelResults) -> None:
    extra = list(results.rows[0]["extra"])
    rows = []
    for row in results.rows:
        seconds = row["seconds"]
        fit = seconds.get("reduction", 0.0) + seconds["network"]
        rows.append(
            [
                row["name"],
                "\u00a0x\u00a0".join(map(str, row["shape"])),  # on one line
                round(row["dimension"]),
                row["accuracy"]["mean"],
                row["accuracy"]["std"],
                *row["interval"],
                *(row["extra"][name]["mean"] for name in extra),
                seconds["selection"],
                fit,
            ]
        )
    columns = ["way", "shape", "numbers", "accuracy", "std", "from", "to", *extra]
    note = (
        "Shape and numbers: what the classifier gets of one sound (shape in the first fold, "
        "numbers in the mean). Std: over folds and seeds. From, to: 95 % "
        "interval (Wilson), taking the sounds for independent. Seconds of one fold: choosing the "
        "channels, which takes none where scores were kept from before, and learning."
    )
    report.add_table("Comparison", [*columns, "s choosing", "s learning"], rows, note=note)


def _add_settings(report: Report, results: ChannelResults) -> None:
    report.add_settings("Settings", {"seed": results.random_state, "seeds": results.n_seeds})
    for stage, values in results.settings.items():
        report.add_text("Settings", f"{stage}:")
        report.add_settings("Settings", values)
    report.add_settings("Seconds", {k: round(v, 2) for k, v in results.seconds.items()})
    report.add_settings("Versions", results.versions)


RATIOS_CHANNELS = (0.8, 0.9, 0.95, 0.98)
BEST_CHANNELS = (1, 5, 10, 20)
# Share of the variation that MPCA keeps in each mode of the selected channels.
AFTER = 0.95
# Folds of the training part that choose channels.
INNER = 3
# Of standardized features; from 1 to 1000 instruments are told apart about equally well.
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
    ratios: Sequence[float] = RATIOS_CHANNELS,
    inner: int = INNER,
    n_seeds: int = 1,
    memory: Any = None,
    n_jobs: int | None = None,
    random_state: int = 0,
    folder: str | os.PathLike[str] | None = None,
    max_bytes: int = MAX_BYTES,
    verbose: bool = False,
) -> ChannelResults:
    """Score every channel of labeled sound files, and compare ways to make tensors small.

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
        pipeline = make_classification_pipeline(
            duration=30, rates="eremeeva2017", scales="eremeeva2017"
        )
        run_channels(gtzan.filenames, gtzan.target, split=gtzan.split, pipeline=pipeline,
                     memory="cache")

    >>> from skstrf.datasets import load_instruments
    >>> from skstrf.experiments import make_classification_pipeline, run_channels
    >>> from skstrf.experiments._evaluation import linear_classifier
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
    ratios: Sequence[float] = RATIOS_CHANNELS,
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
    for variant in _with_progress_channels(variants, verbose):
        row = _evaluate_channels(variant, X, y, plan, rankings, classifier, n_seeds, random_state)
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
    numbers = [one for one in BEST_CHANNELS if one < n] if k is None else list(k)
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


def _evaluate_channels(
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


def _with_progress_channels(variants: list[Variant], verbose: bool) -> Any:
    from tqdm import tqdm

    return tqdm(variants, desc="Ways to make tensors small", disable=not verbose)
