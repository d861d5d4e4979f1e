"""Comparison of representations, reductions and classifiers on the same sounds and folds."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.linear_model import RidgeClassifier
from sklearn.model_selection import ParameterGrid
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from skstrf.caching.files import temporary_folder
from skstrf.caching.results import ResultCache
from skstrf.decomposition import MPCA
from skstrf.experiments._base import Results, chance_level, format_mean, format_score, settings
from skstrf.experiments._evaluation import (
    MAX_BYTES,
    Flatten,
    Sounds,
    Stopwatch,
    check_parameters,
    divide_pipeline,
    evaluate_seed,
    linear_classifier,
    progress,
    stage_texts,
    summarize_seeds,
)
from skstrf.experiments._splits import held_back_share
from skstrf.experiments.classification import (
    make_classification_pipeline,
    make_separable_classifier,
)
from skstrf.feature_selection import ChannelSelector
from skstrf.inspection import ComparisonDisplay, Report
from skstrf.neural import make_eremeeva2017_classifier
from skstrf.preprocessing import LogContrast

__all__ = [
    "ComparisonResults",
    "channel_scorer",
    "make_genre_comparison",
    "make_reduction_comparison",
    "make_representation_comparison",
    "run_comparison",
]

# Shares of the variance that MPCA keeps in each mode, and the number of channels to select.
RATIOS = (0.8, 0.9, 0.95, 0.98)
BEST = 10
# Frames per second of all representations but STRFs.
FRAME_RATE = 125 / 8
# Compression floors of the magnitudes, about 80 dB below the maximum of instruments at full level.
FLOORS = {
    "Mel": 3e-3,
    "Wavelet": 5e-4,
    "Gammatone": 5e-4,
    "Cochleogram": 5e-4,
    "STFT": 0.2,
    "Scattering": 1e-4,
}
# Of the ridge classifier on standardized features. From 1 to 1000 the accuracy on instruments is
# about the same.
PENALTY = 100.0


@dataclass(kw_only=True)
class ComparisonResults(Results):
    """Accuracy, size and time of every way to classify the same sounds."""

    # One entry for each way: "name"; "shape" (in the first fold) and "dimension" (mean number of
    # values) of the input of the classifier for one sound; "kept" (share of the variance of the
    # training part that MPCA or PCA keeps, or None); "accuracy" ("mean", "std" and "values" over
    # folds and seeds) with its 95 % "interval" by Wilson's method; "extra" (accuracy on further
    # test sets) and "seconds" of one fit by stage.
    rows: list[dict[str, Any]]
    evaluation: str  # description of the division into training and test parts
    is_held_out: bool
    classes: list[Any]
    n_sounds: int
    tensor_shape: list[int]  # of one sound, by the first way
    chance: float  # accuracy of predicting the most frequent class of the training part
    n_seeds: int

    _title = "Comparison"

    def table(self) -> list[dict[str, Any]]:
        """Return the comparison as a flat table with a row for each way."""
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
        """Return the data and the accuracy of every way, one per line, as text."""
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

    def _subtitle(self) -> str:
        return f"{self.n_sounds} sounds, {len(self.classes)} classes; {self.evaluation}"

    def _add_results(self, report: Report, notes: list[str]) -> None:
        text = [
            f"All ways use the same sounds, folds and seeds. The tensor of one sound has the "
            f"shape {_times(self.tensor_shape)}. Stages that learn from data are fitted on the "
            "training part only. Predicting the most frequent class gives an accuracy of "
            f"{self.chance:.3f}.",
            *notes,
        ]
        report.add_text("Result", text)
        display = ComparisonDisplay.from_results(self)
        report.add_figure(
            "Result",
            display.figure_,
            alt="accuracy of every way with its spread, as tabulated below, and the chance level",
            caption="Accuracy on the test part: mean and standard deviation over folds and seeds.",
        )
        self._add_table(report, "Result")

    def _add_table(self, report: Report, heading: str) -> None:
        extra = list(self.rows[0]["extra"])
        stages = {"selection": "s selecting", "reduction": "s reducing", "network": "s learning"}
        stages = {k: v for k, v in stages.items() if any(k in row["seconds"] for row in self.rows)}
        rows = [
            [
                row["name"],
                _times(row["shape"]),
                round(row["dimension"]),
                row["kept"],
                format_mean(row["accuracy"]["mean"], row["accuracy"]["std"]),
                "{:.3f} to {:.3f}".format(*row["interval"]),
                *(format_mean(row["extra"][n]["mean"], row["extra"][n]["std"]) for n in extra),
                *(row["seconds"].get(stage, 0.0) for stage in stages),
            ]
            for row in self.rows
        ]
        columns = ["way", "shape", "numbers", "kept", "accuracy", "95 %", *extra]
        note = (
            "Shape and numbers: input of the classifier for one sound (shape in the first fold, "
            "mean of the numbers). Kept: share of the variance of the training part. 95 %: Wilson "
            "interval of the mean, for independent sounds. Seconds of one fit, by stage; scores "
            "that were read from a cache take none."
        )
        if self.rows[0]["accuracy"]["std"] is not None:
            note += f" ±: standard deviation over folds and {self.n_seeds} seeds."
        report.add_table(heading, [*columns, *stages.values()], rows, note=note)

    def _add_settings(self, report: Report, **more: Any) -> None:
        super()._add_settings(report, seeds=self.n_seeds, **more)


def _times(shape: Sequence[int]) -> str:
    return "\u00a0x\u00a0".join(map(str, shape))  # spaces that keep it on one line


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
    checkpoint_dir: str | os.PathLike[str] | None = None,
    random_state: int = 0,
    folder: str | os.PathLike[str] | None = None,
    max_bytes: int = MAX_BYTES,
    verbose: bool = False,
) -> ComparisonResults:
    """Evaluate every point of a search space on the same sounds, folds and seeds.

    Unlike a search, a comparison evaluates all points with several seeds and reports all of them.
    Tensors are computed once for each setting of the stateless stages; all other stages are fitted
    on the training part of each fold.

    Parameters
    ----------
    filenames : sequence of str or Path
        Paths of the sound files.
    y : array-like of shape (n_sounds,)
        Classes of the sounds.
    pipeline : Pipeline
        Pipeline from an `AudioLoader` to a classifier.
    search_space : mapping of str to (mapping or sequence), or a sequence of such mappings
        Values to compare for each parameter of the pipeline: a sequence of values, or a mapping
        of names to values. All combinations are compared. Of several mappings, the combinations
        of each are compared. A value with an empty name is left out of the name of the way.
    groups, split, cv : array-like, array-like, int or splitter
        Division of the sounds, see :func:`skstrf.experiments.run_classification`.
    n_seeds : int, default=3
        Number of seeds of folds and classifiers: `random_state`, `random_state` + 1 ...
    memory : str, PathLike, joblib.Memory or None, default=None
        Cache for the tensor of each recording.
    checkpoint_dir : str, Path or None, default=None
        Folder for the finished parts (one way with one seed). An interrupted comparison continues
        after them. Parts are reused only for the same file contents, settings and versions.
    random_state : int, default=0
        First seed.
    folder, max_bytes, verbose : str or Path, int, bool
        Temporary files and progress bars, see :func:`skstrf.experiments.run_classification`.

    Returns
    -------
    ComparisonResults
        Results with one row for each way.

    Raises
    ------
    ValueError
        If the search space is empty, arguments do not fit each other, or two ways cannot use the
        same files.
    AudioReadError
        If a file cannot be read, unless the loader has ``on_error="warn"``.

    Warns
    -----
    UserWarning
        If files are left out, or fewer folds than `cv` are possible.

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
    ways = _ways(pipeline, search_space, memory)
    sounds.plan(cv, random_state, 0.0)  # raises before any work if there is no division
    seeds = range(random_state, random_state + n_seeds)
    watch, rows, usable = Stopwatch(), {}, None
    bar = progress(None, "Ways", verbose, total=len(ways))
    by_head: dict[str, list[_Way]] = {}
    for way in ways:
        by_head.setdefault(repr(stage_texts(way.head)), []).append(way)
    for its_ways in by_head.values():
        head = its_ways[0].head
        with temporary_folder(folder) as place:
            with watch("tensors"):
                X, found, skipped = sounds.tensors(head, place, max_bytes, verbose)
            if usable is None:
                usable, shape = found, list(X.shape[1:])
            elif usable.files != found.files:
                odd = sorted(set(usable.files) ^ set(found.files))
                raise ValueError(f"Some ways cannot use {odd[0]}, others can: leave it out.")
            about = partial(usable.key, cv=repr(cv), head=stage_texts(head))
            kept = ResultCache(checkpoint_dir, about)
            for way in its_ways:
                parts = []
                for seed in seeds:
                    plan = usable.plan(cv, seed, held_back_share(way.tail[-1]))
                    key = f"{way.name}, seed {seed}, {stage_texts(way.tail)}"
                    one = partial(evaluate_seed, way.tail, X, usable.y, plan, seed)
                    parts.append(kept.get(key, one))
                    del one  # it refers to the tensors, whose file is to be deleted
                rows[way.name] = {"name": way.name} | summarize_seeds(parts)
                bar.update()
            del X  # some systems cannot delete a file that is open
    bar.close()
    assert usable is not None
    shared = [settings(way.head) for way in ways]
    return ComparisonResults(
        rows=[rows[way.name] for way in ways],
        evaluation=plan.description,
        is_held_out=plan.is_held_out,
        classes=np.unique(usable.y).tolist(),
        n_sounds=len(usable.files),
        tensor_shape=shape,
        chance=float(
            np.mean([chance_level(usable.y[f.train], usable.y[f.test]) for f in plan.folds])
        ),
        n_seeds=n_seeds,
        random_state=random_state,
        skipped=skipped,
        settings={k: v for k, v in shared[0].items() if all(s.get(k) == v for s in shared)},
        seconds=dict(watch),
    )


class _Way(NamedTuple):
    """One point of the search space: its name, stateless stages, and reduction and classifier."""

    name: str
    head: Pipeline
    tail: Pipeline


def _ways(pipeline: Pipeline, space: Grid | Sequence[Grid], memory: Any) -> list[_Way]:
    grids = [space] if isinstance(space, Mapping) else space
    ways = [way for grid in grids for way in _combinations(pipeline, grid, memory)]
    if not ways:
        raise ValueError("search_space is empty: there is nothing to compare.")
    names = [way.name for way in ways]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"search_space has several ways with the name {twice[0]!r}.")
    return ways


def _combinations(pipeline: Pipeline, grid: Grid, memory: Any) -> Iterator[_Way]:
    """Yield every combination of the values of one grid."""
    named = {
        key: values if isinstance(values, Mapping) else {_name(key, v): v for v in values}
        for key, values in grid.items()
    }
    for names in ParameterGrid({key: list(values) for key, values in named.items()} or []):
        params = {key: clone(named[key][name], safe=False) for key, name in names.items()}
        changed = clone(pipeline).set_params(**params)
        check_parameters(changed)
        name = ", ".join(names[key] for key in sorted(names) if names[key])
        yield _Way(name, *divide_pipeline(changed, memory))


def _name(key: str, value: Any) -> str:
    """Name a value after its parameter or its estimator."""
    if value is None or (isinstance(value, str) and value == "passthrough"):
        return f"no {key}"
    if hasattr(value, "get_params"):
        return " ".join(repr(value).split())
    return f"{key}={value}"


def channel_scorer() -> Pipeline:
    """Return the unfitted classifier that scores single channels."""
    return make_pipeline(StandardScaler(), RidgeClassifier(alpha=PENALTY))


def make_representation_comparison(**options: Any) -> tuple[Pipeline, dict[str, dict[str, Any]]]:
    """Make the comparison of nine time-frequency representations of the sounds.

    Parameters
    ----------
    **options : dict
        Parameters of :func:`skstrf.experiments.make_classification_pipeline`.

    Returns
    -------
    pipeline : Pipeline
        Pipeline from sound files over a representation (``strf``) and MPCA to a network.
    search_space : dict of str to dict
        Representations by name: STFT, Mel, MFCC, Chroma, Wavelet, Scattering, Gammatone,
        Cochleogram and STRF. Magnitudes are compressed logarithmically, over a range of about
        80 dB.

    See Also
    --------
    run_comparison : Evaluates all of them.
    run_stationarity : Compares their stationarity.

    Examples
    --------
    >>> from skstrf.experiments import make_representation_comparison
    >>> pipeline, space = make_representation_comparison(duration=5.0)
    >>> list(space["strf"])  # doctest: +NORMALIZE_WHITESPACE
    ['STFT', 'Mel', 'MFCC', 'Chroma', 'Wavelet', 'Scattering', 'Gammatone', 'Cochleogram',
     'STRF']
    """
    from skstrf import transforms

    pipeline = make_classification_pipeline(**options)
    strf = pipeline["strf"]
    common = {"sample_rate": strf.sample_rate, "frame_rate": FRAME_RATE, "n_jobs": strf.n_jobs}
    more: dict[str, dict[str, Any]] = {"MFCC": {"compression_floor": 3e-3}, "Chroma": {}}
    more |= {n: {"compression": "log", "compression_floor": f} for n, f in FLOORS.items()}
    names = ["STFT", "Mel", "MFCC", "Chroma", "Wavelet", "Scattering", "Gammatone", "Cochleogram"]
    others = {
        name: getattr(transforms, f"{name}Transformer")(**common, **more[name]) for name in names
    }
    return pipeline, {"strf": others | {"STRF": strf}}


def make_reduction_comparison(**options: Any) -> tuple[Pipeline, dict[str, dict[str, Any]]]:
    """Make the comparison of MPCA with other reductions of the tensors.

    Parameters
    ----------
    **options : dict
        Parameters of :func:`skstrf.experiments.make_classification_pipeline`.

    Returns
    -------
    pipeline : Pipeline
        Pipeline from sound files over STRF tensors and a reduction (``mpca``) to a network.
    search_space : dict of str to dict
        Reductions by name: none; MPCA with several shares of the variance per mode and in total;
        the ten best channels, without and with MPCA; PCA of the flattened tensors.

    See Also
    --------
    run_comparison : Evaluates all of them.

    Examples
    --------
    >>> from skstrf.experiments import make_reduction_comparison
    >>> pipeline, space = make_reduction_comparison(duration=5.0)
    >>> list(space), len(space["mpca"])
    (['mpca'], 10)
    """
    best = ChannelSelector(channel_scorer(), k=BEST, cv=3)
    reductions = {
        "none": "passthrough",
        **{f"MPCA({ratio})": MPCA(ratio) for ratio in RATIOS},
        **{f"MPCA({ratio}) in total": MPCA(ratio, criterion="total") for ratio in (0.9, 0.95)},
        f"best {BEST} channels": best,
        f"best {BEST} channels, MPCA(0.95)": Pipeline([("best", best), ("mpca", MPCA(0.95))]),
        "PCA(0.95)": Pipeline([("flat", Flatten()), ("pca", PCA(0.95, random_state=0))]),
    }
    return make_classification_pipeline(**options), {"mpca": reductions}


def make_genre_comparison(**options: Any) -> tuple[Pipeline, list[dict[str, dict[str, Any]]]]:
    """Make the comparison of four classifiers of sounds.

    Parameters
    ----------
    **options : dict
        Parameters of :func:`skstrf.experiments.make_classification_pipeline`.
        ``rates="eremeeva2017"`` and ``scales="eremeeva2017"`` give 198 channels.

    Returns
    -------
    pipeline : Pipeline
        Pipeline from sound files over magnitudes of STRFs, contrast (``scaler``) and MPCA to a
        network (``cnn``).
    search_space : list of dict of str to dict
        Classifiers by name: the network of the 2017 report, the default network and logistic
        regression, all of them after MPCA; and the network of separable filters on complete
        tensors of contrast and envelope.

    See Also
    --------
    run_comparison : Evaluates all of them.

    Notes
    -----
    By default `STRFTransformer` computes the contrast itself. Here a separate stage does, because
    the network of separable filters also uses the envelope, and the tensors are computed once for
    all networks.

    Examples
    --------
    >>> from skstrf.experiments import make_genre_comparison
    >>> pipeline, space = make_genre_comparison(duration=30.0)
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
    # Without batch normalization a network learns worse at the default learning rate.
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
