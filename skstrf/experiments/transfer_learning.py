"""Transfer learning: from a network for one collection of sounds to few labels of another."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from sklearn.utils import check_random_state, column_or_1d

from skstrf.caching.files import temporary_folder
from skstrf.caching.results import ResultCache
from skstrf.decomposition import MPCA
from skstrf.experiments._base import Results, chance_level, format_mean, mean_std, settings
from skstrf.experiments._evaluation import (
    MAX_BYTES,
    Sounds,
    divide_pipeline,
    progress,
    stage_texts,
)
from skstrf.experiments._splits import check_names, plan_folds, plan_split
from skstrf.experiments.classification import choose_duration, make_classification_pipeline
from skstrf.inspection import Report, TransferDisplay
from skstrf.neural import CNNClassifier
from skstrf.pipeline import row_keys

__all__ = ["TransferResults", "run_transfer"]

FRACTIONS = (0.05, 0.1, 0.2, 0.5, 1.0)
SCRATCH = "from scratch"
# Changes of each method to the network. "mpca" is the collection on which the reduction is
# fitted, "frozen" the number of layers before the output that are not trained.
METHODS: dict[str, dict[str, Any]] = {
    SCRATCH: {"mpca": "target"},
    "from scratch, MPCA of the source": {"mpca": "source"},
    "fine-tuned": {"mpca": "source", "start": True},
    "fine-tuned slowly": {"mpca": "source", "start": True, "layer_lr": 0.1},
    "output layer alone": {"mpca": "source", "start": True, "frozen": "all"},
}
# Settings of a method about the source; all others are parameters of the network.
ABOUT_THE_SOURCE = ("mpca", "start", "frozen")
TEST_SHARE = 0.3


@dataclass(kw_only=True)
class TransferResults(Results):
    """Accuracy on the target by method, share of labels and seed."""

    runs: list[dict[str, Any]]  # one for each training
    methods: dict[str, dict[str, Any]]  # changes of each method to the network
    baseline: str  # method with which the others are compared
    # Sizes and classes of each collection, and seconds of the pre-training on the source.
    source: dict[str, Any]
    target: dict[str, Any]
    chance: float  # accuracy on the target of predicting its most frequent class
    evaluation: str  # description of the division of the target

    _title = "Transfer"

    @property
    def fractions(self) -> list[float]:
        """Shares of labels in ascending order."""
        return sorted({run["fraction"] for run in self.runs})

    def values(self, method: str, fraction: float, test: str = "accuracy") -> np.ndarray:
        """Return the accuracies on the test part, or a further test set, in the order of seeds."""
        by_seed = sorted(self._runs_of(method, fraction), key=lambda run: run["seed"])
        return np.array([run["accuracy"] if test == "accuracy" else run["extra"][test]
                         for run in by_seed])  # fmt: skip

    def _runs_of(self, method: str, fraction: float) -> list[dict[str, Any]]:
        return [r for r in self.runs if (r["method"], r["fraction"]) == (method, fraction)]

    def table(self) -> list[dict[str, Any]]:
        """Return means and spread over seeds, with a row for each method and share of labels.

        "gain" is the difference to the baseline with the same labels and test sounds.
        """
        rows = []
        for method in self.methods:
            for fraction in self.fractions:
                runs = self._runs_of(method, fraction)
                values = self.values(method, fraction)
                score = mean_std(list(values))
                # Equal differences of shares differ in their last digit, which is no spread.
                gain = mean_std(list((values - self.values(self.baseline, fraction)).round(12)))
                rows.append(
                    {
                        "method": method,
                        "fraction": fraction,
                        "n_labels": runs[0]["n_labels"],
                        "accuracy": score["mean"],
                        "std": score["std"],
                        "gain": gain["mean"],
                        "gain_std": gain["std"],
                        **{
                            name: float(self.values(method, fraction, name).mean())
                            for name in runs[0]["extra"]
                        },
                        "seconds": float(np.mean([run["seconds"] for run in runs])),
                    }
                )
        return rows

    def summary(self) -> str:
        """Return the accuracy by method and share of labels as a table in text."""
        width = max(map(len, self.methods))
        lines = [f"{'share of labels':{width}}" + "".join(f"{f:>14g}" for f in self.fractions)]
        for method in self.methods:
            cells = [row for row in self.table() if row["method"] == method]
            texts = [format_mean(row["accuracy"], row["std"]) for row in cells]
            lines.append(f"{method:{width}}" + "".join(f"{text:>14}" for text in texts))
        return "\n".join([*lines, f"chance {self.chance:.3f}; {self.evaluation}"])

    def _fields(self) -> dict[str, Any]:
        return super()._fields() | {"table": self.table()}

    def _subtitle(self) -> str:
        return f"{self.source['n_sounds']} sounds, then {self.target['n_sounds']} others"

    def _add_results(self, report: Report, notes: list[str]) -> None:
        a, b = self.source, self.target
        text = [
            f"Source: {a['n_sounds']} sounds of {len(a['classes'])} classes. Target: "
            f"{b['n_sounds']} sounds of {len(b['classes'])} classes; {self.evaluation}. The most "
            f"frequent class of the target has a share of {self.chance:.3f}.",
            "All methods are fitted on the same labels and tested on the same sounds, which "
            "neither network nor MPCA has seen. The output layer is always new.",
            *notes,
        ]
        report.add_text("Result", text)
        display = TransferDisplay.from_results(self)
        report.add_figure(
            "Result",
            display.figure_,
            alt="accuracy against the share of labels, a line for each method, tabulated below",
            caption="Accuracy on the target by the share of its labels.",
        )
        table, extra = self.table(), list(self.runs[0]["extra"])
        keys = ("n_labels", "accuracy", "std", "gain", "gain_std", *extra, "seconds")
        rows = [
            [row["method"], f"{row['fraction']:.0%}", *(row[key] for key in keys)] for row in table
        ]
        columns = ["method", "share", "labels", "accuracy", "std", "gain", "std of gain", *extra]
        n_seeds = len({run["seed"] for run in self.runs})
        note = (
            f"Mean and standard deviation over {n_seeds} seeds. Gain: over {self.baseline} with "
            "the same labels and test sounds; a gain that is not well above its standard "
            "deviation does not show that transfer helps. Seconds of one training, without the "
            f"{a['seconds']:.1f} s of pre-training."
        )
        report.add_table("Result", [*columns, "seconds"], rows, note=note)
        changes = {
            name: ", ".join(f"{key}={value}" for key, value in method.items())
            for name, method in self.methods.items()
        }
        report.add_settings("Methods", changes)


def run_transfer(
    source: Any,
    target: Any,
    *,
    fractions: Sequence[float] = FRACTIONS,
    methods: Mapping[str, Mapping[str, Any]] | None = None,
    pipeline: Pipeline | None = None,
    n_seeds: int = 3,
    test_share: float = TEST_SHARE,
    memory: Any = None,
    checkpoint_dir: str | os.PathLike[str] | None = None,
    random_state: int = 0,
    folder: str | os.PathLike[str] | None = None,
    max_bytes: int = MAX_BYTES,
    verbose: bool = False,
) -> TransferResults:
    """Compare learning a target from scratch with starting from a network for a source.

    For each seed the target is divided into a test part and a pool. A share of the labels of the
    pool is used for training; larger shares contain smaller ones. The network and the MPCA of the
    source are fitted on all of the source. The output layer is always new, as the classes differ.

    Parameters
    ----------
    source, target : Bunch or tuple
        Collections: Bunches as the loaders of `skstrf.datasets` return, or tuples ``(X, y)``. A
        Bunch has ``filenames`` or ``data``, ``target`` and optionally ``target_names``, ``groups``
        and ``split``. X and ``data`` are paths, sounds of shape (n_sounds, n_times), or tensors
        of shape (n_sounds, ...) with three axes or more. Groups of the target are never both in
        test part and pool. A ``split`` of the target replaces the random division: "test" and
        further names are test sets, "train" and "valid" are the pool. That of the source is not
        used.
    fractions : sequence of float, default=(0.05, 0.1, 0.2, 0.5, 1.0)
        Shares of the labels of the pool, in (0, 1]. At least one sound of each class is used.
    methods : mapping of str to mapping, or None, default=None
        Methods by name, with the keys ``mpca`` ("source" or "target", the collection on which it
        is fitted), ``start`` (whether to start from the network of the source), ``frozen`` (number
        of first layers that are not trained, or "all" for all but the output), and any parameter
        of the network, such as ``layer_lr``. The first method is the baseline. None compares two
        networks from scratch with three kinds of fine-tuning.
    pipeline : Pipeline or None, default=None
        Pipeline of loader, transformer, MPCA and network. None uses `make_classification_pipeline`
        with the median duration of the target. Sounds must have the sampling rate of the
        transformer.
    n_seeds : int, default=3
        Number of divisions, choices of labels, pre-trainings and trainings.
    test_share : float, default=0.3
        Approximate share of the target in the test part.
    memory : str, PathLike, joblib.Memory or None, default=None
        Cache for the tensor of each recording.
    checkpoint_dir : str, Path or None, default=None
        Folder for the finished seeds. An interrupted run continues after them. They are reused
        only for the same contents of the collections, settings and versions.
    random_state : int, default=0
        First seed.
    folder, max_bytes, verbose : str or Path, int, bool
        Temporary files and progress bars, see :func:`skstrf.experiments.run_classification`.

    Returns
    -------
    TransferResults
        Accuracy by method, share and seed.

    Raises
    ------
    ValueError
        If an argument is out of range, the tensors of the collections have different shapes, a
        collection has one class only, or a class cannot be divided into pool and test part.
    AudioReadError
        If a file cannot be read, unless the loader has ``on_error="warn"``.

    Warns
    -----
    UserWarning
        If files are left out.

    See Also
    --------
    skstrf.inspection.TransferDisplay : Draws the result.

    References
    ----------
    .. [1] E. Eremeeva, "Transform analysis and music style transfer with deep neural networks",
       ATIAM report, IRCAM, 2017, section 8.

    Examples
    --------
    The experiment of the report on copies of the Million Song Dataset (with previews) and GTZAN::

        source = load_million_song_genres("msd_tagtraum_cd2.cls", audio_home="previews",
                                          load_content=False)
        target = load_gtzan("GTZAN", split="fault-filtered", load_content=False)
        pipeline = make_classification_pipeline(
            duration=30, rates="eremeeva2017", scales="eremeeva2017"
        )
        results = run_transfer(source, target, pipeline=pipeline)
        TransferDisplay.from_results(results)

    On synthetic tensors:

    >>> import numpy as np
    >>> from skstrf.experiments import make_classification_pipeline, run_transfer
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat([0, 1], 20)
    >>> X = rng.standard_normal((40, 2, 4, 6)) + y[:, None, None, None]
    >>> pipeline = make_classification_pipeline(duration=1, max_epochs=2)
    >>> pipeline = pipeline.set_params(cnn__network__n_filters=4, cnn__network__n_hidden=8)
    >>> results = run_transfer((X, y), (-X, y), fractions=[0.5], pipeline=pipeline, n_seeds=1)
    >>> [row["n_labels"] for row in results.table()]
    [12, 12, 12, 12, 12]
    """
    fractions = _check_fractions(fractions, n_seeds)
    methods = _check_methods(METHODS if methods is None else methods)
    head, mpca, network = _stages(pipeline, source, target, memory, random_state)
    with temporary_folder(folder) as place:
        options = {"max_bytes": max_bytes, "verbose": verbose}
        a = make_corpus(source, "source", head, os.path.join(place, "a"), **options)
        b = make_corpus(target, "target", head, os.path.join(place, "b"), **options)
        if a.X.shape[1:] != b.X.shape[1:]:
            raise ValueError(
                f"samples of the source have shape {a.X.shape[1:]}, those of the target "
                f"{b.X.shape[1:]}: use one duration and one transformer for both."
            )
        stages = Pipeline([*head.steps, ("mpca", mpca), ("network", network)])
        task = _Task(mpca, network, clone(mpca).fit(a.X), methods, fractions, test_share)
        about = {"methods": methods, "fractions": fractions, "test_share": test_share}
        parts = ResultCache(checkpoint_dir, partial(_key, a, b, stages, about))
        features = task.of_source.transform(a.X)
        found = [
            parts.get(f"seed {seed}", partial(task.run, features, a.y, b, seed))
            for seed in progress(range(random_state, random_state + n_seeds), "Seeds", verbose)
        ]
        described, skipped = [a.describe(), b.describe()], [*a.skipped, *b.skipped]
        del a, b  # some systems cannot delete a file that is open
    pretraining = float(np.mean([one["seconds"] for one in found]))
    return TransferResults(
        runs=[run for one in found for run in one["runs"]],
        methods=methods,
        baseline=next(iter(methods)),
        source=described[0] | {"seconds": pretraining},
        target=described[1],
        chance=float(np.mean([one["chance"] for one in found])),
        evaluation=found[-1]["evaluation"],
        settings=settings(stages),
        random_state=random_state,
        skipped=skipped,
    )


# Collections


class Corpus(NamedTuple):
    """Tensors of a collection with class, group and split of each sound."""

    X: np.ndarray
    y: np.ndarray
    groups: np.ndarray | None
    split: np.ndarray | None
    skipped: list[tuple[str, str]]
    samples: Any = None  # paths or arrays as they were given

    def describe(self) -> dict[str, Any]:
        """Return sizes and classes."""
        return {
            "n_sounds": len(self.y),
            "classes": np.unique(self.y).tolist(),
            "tensor_shape": list(self.X.shape[1:]),
        }


def _key(source: Corpus, target: Corpus, stages: Pipeline, about: dict[str, Any]) -> Any:
    """Return what a cache must tell apart: both collections and all settings."""
    found = about | {"stages": stage_texts(stages)}
    for name, corpus in (("source", source), ("target", target)):
        found[name] = [row_keys(corpus.samples), corpus.y, corpus.groups, corpus.split]
    return found


def files_of(corpus: Any) -> Any:
    """Return the paths of a collection without data, or None."""
    if isinstance(corpus, Mapping):
        return None if corpus.get("data") is not None else corpus.get("filenames")
    X = corpus[0]
    return X if len(X) and isinstance(X[0], str | os.PathLike) else None


def make_corpus(corpus: Any, name: str, head: Pipeline, folder: str, **options: Any) -> Corpus:
    """Compute the tensors of a collection, and check its columns."""
    X, y, columns = _read(corpus, name)
    files = files_of(corpus)
    samples: Any = np.asarray(X) if files is None else [os.fspath(file) for file in files]
    if len(samples) != len(y) or not len(y):
        raise ValueError(f"The {name} has {len(samples)} sounds and {len(y)} classes.")
    checked = {key: check_names(v, len(y), f"{key} of the {name}") for key, v in columns.items()}
    sounds = Sounds(samples, y, **checked)
    skipped: list[tuple[str, str]] = []
    if files is None:
        X = samples
        for _, step in head.steps[1:] if X.ndim == 2 else []:
            X = step.fit_transform(X)
    else:
        os.mkdir(folder)
        X, sounds, skipped = sounds.tensors(head, folder, **options)
    if len(np.unique(sounds.y)) < 2:
        raise ValueError(f"The {name} has one class only, {sounds.y[0]}: add another.")
    return Corpus(X, *sounds[1:], skipped, samples)


def _read(corpus: Any, name: str) -> tuple[Any, np.ndarray, dict[str, Any]]:
    columns: dict[str, Any] = {"groups": None, "split": None}
    if not isinstance(corpus, Mapping):
        if not isinstance(corpus, tuple) or len(corpus) != 2:
            raise ValueError(f"{name} must be a Bunch or a tuple (X, y), got {type(corpus)}.")
        return corpus[0], column_or_1d(corpus[1]), columns
    if "target" not in corpus or not ({"data", "filenames"} & set(corpus)):
        raise ValueError(f"{name} must have target, and data or filenames; it has {list(corpus)}.")
    y = np.asarray(corpus["target"])
    if corpus.get("target_names") is not None:
        y = np.array(corpus["target_names"])[y]
    for key in columns:
        column = corpus.get(key)
        columns[key] = None if column is None or not any(column) else column
    return corpus.get("data"), column_or_1d(y), columns


def divide(
    corpus: Corpus, test_share: float, seed: int
) -> tuple[np.ndarray, dict[str, np.ndarray], str]:
    """Divide a target into pool and test sets; also return a description."""
    if corpus.split is not None:
        plan = plan_split(corpus.y, corpus.split, corpus.groups)
        fold = plan.folds[0]
        pool = np.sort(np.concatenate([fold.train, fold.valid]))
        return pool, {"test": fold.test, **plan.extra}, plan.description
    if not 0 < test_share < 1:
        raise ValueError(f"test_share={test_share:g}: give a share of the target, in (0, 1).")
    plan = plan_folds(corpus.y, corpus.groups, max(2, round(1 / test_share)), seed)
    kind = "stratified" if corpus.groups is None else "stratified, grouped"
    share = len(plan.folds[0].test) / len(corpus.y)
    description = f"{kind} test part of {share:.0%} of the target, another for each seed"
    return plan.folds[0].train, {"test": plan.folds[0].test}, description


def choose_labels(
    y: np.ndarray, fractions: Sequence[float], random_state: int
) -> dict[float, np.ndarray]:
    """Choose the labeled sounds for every share; larger shares contain smaller ones."""
    random = check_random_state(random_state)
    orders = [random.permutation(np.flatnonzero(y == name)) for name in np.unique(y)]
    return {
        fraction: np.sort(
            np.concatenate([rows[: max(1, round(fraction * len(rows)))] for rows in orders])
        )
        for fraction in sorted(fractions)
    }


def _check_fractions(fractions: Any, n_seeds: int) -> list[float]:
    shares = sorted({float(share) for share in fractions})
    if not shares or not all(0 < share <= 1 for share in shares):
        raise ValueError(f"fractions={list(fractions)}: give shares of the labels, in (0, 1].")
    if int(n_seeds) != n_seeds or n_seeds < 1:
        raise ValueError(f"n_seeds={n_seeds!r}: give a whole number of at least 1.")
    return shares


def _check_methods(methods: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    if not methods:
        raise ValueError("methods is empty: there is nothing to compare.")
    known = set(CNNClassifier().get_params()) | set(ABOUT_THE_SOURCE)
    for name, method in methods.items():
        if odd := sorted(set(method) - known):
            raise ValueError(f"method {name!r} has {odd}, which the network does not have.")
        if method.get("mpca", "source") not in ("source", "target"):
            raise ValueError(f"method {name!r}: mpca is 'source' or 'target'.")
        if method.get("start") and method.get("mpca", "source") != "source":
            raise ValueError(
                f"method {name!r} starts from a network of the source, which goes with the mpca "
                "of the source only."
            )
        if method.get("frozen") and not method.get("start"):
            raise ValueError(f"method {name!r} freezes layers without start=True: first weights.")
    return {name: dict(method) for name, method in methods.items()}


def _stages(
    pipeline: Pipeline | None, source: Any, target: Any, memory: Any, random_state: int
) -> tuple[Pipeline, Any, Any]:
    """Divide the pipeline into stateless stages, MPCA and network."""
    if pipeline is None:
        files = [f for f in (files_of(target), files_of(source)) if f is not None]
        duration = choose_duration(files[0]) if files else None
        pipeline = make_classification_pipeline(duration=duration, random_state=random_state)
    head, tail = divide_pipeline(pipeline, memory)
    learning = [step for _, step in tail.steps]
    if [type(step) for step in learning] != [MPCA, CNNClassifier]:
        raise ValueError(
            "pipeline must be a loader, a transformer, an MPCA and a CNNClassifier: the last two "
            f"are carried over. After the transformer it has {', '.join(dict(tail.steps))}."
        )
    return head, tail[0], tail[1]


def _seeded(network: Any, seed: int) -> Any:
    return clone(network).set_params(random_state=seed)


class _Task(NamedTuple):
    """Stages and settings that are the same for all seeds."""

    mpca: Any
    network: Any
    of_source: Any
    methods: dict[str, dict[str, Any]]
    fractions: list[float]
    test_share: float

    def run(
        self, features: np.ndarray, source_y: np.ndarray, target: Corpus, seed: int
    ) -> dict[str, Any]:
        """Train on the source, then all methods with all shares of one division of the target."""
        began = time.perf_counter()
        start = _seeded(self.network, seed).fit(features, source_y)
        seconds = time.perf_counter() - began
        pool, tests, description = divide(target, self.test_share, seed)
        runs = []
        for fraction, rows in choose_labels(target.y[pool], self.fractions, seed).items():
            for name, method in self.methods.items():
                found = self._train(target, pool[rows], tests, method, start, seed)
                runs.append({"method": name, "fraction": fraction, "seed": seed, **found})
        return {
            "runs": runs,
            "chance": chance_level(target.y[pool], target.y[tests["test"]]),
            "evaluation": description,
            "seconds": seconds,
        }

    def _train(
        self,
        corpus: Corpus,
        rows: np.ndarray,
        tests: Mapping[str, np.ndarray],
        method: Mapping[str, Any],
        start: Any,
        seed: int,
    ) -> dict[str, Any]:
        """Train one method on some labels, and test it."""
        X, y = corpus.X[rows], corpus.y[rows]
        began = time.perf_counter()
        reduction = self.of_source
        if method.get("mpca", "source") == "target":
            reduction = clone(self.mpca).fit(X)
        model = _seeded(self.network, seed)
        model.set_params(**{k: v for k, v in method.items() if k not in ABOUT_THE_SOURCE})
        if method.get("start"):
            n_layers = len(start.net_.module_.layer_names) - 1
            frozen = method.get("frozen", 0)
            model.set_params(
                warm_start_from=start, frozen_layers=n_layers if frozen == "all" else frozen
            )
        model.fit(reduction.transform(X), y)
        seconds = time.perf_counter() - began
        right = {
            name: float(np.mean(model.predict(reduction.transform(corpus.X[r])) == corpus.y[r]))
            for name, r in tests.items()
        }
        accuracy = right.pop("test")
        return {"n_labels": len(rows), "accuracy": accuracy, "extra": right, "seconds": seconds}
