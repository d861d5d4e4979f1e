"""What the experiment on transfer found."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from sklearn.utils import check_random_state, column_or_1d

from skstrf.decomposition import MPCA
from skstrf.experiments._base import (
    WrittenResults,
    chance_level,
    format_mean,
    plain,
    spread,
    versions,
)
from skstrf.experiments._evaluation import (
    MAX_BYTES,
    compute_tensors,
    divide_pipeline,
    warn_of_skipped,
)
from skstrf.experiments._splits import check_names, plan_folds, plan_split
from skstrf.experiments.classification import choose_duration, make_classification_pipeline
from skstrf.inspection import Report, TransferDisplay
from skstrf.neural import CNNClassifier

__all__ = [
    "Corpus",
    "FRACTIONS",
    "METHODS",
    "TransferResults",
    "choose_labels",
    "divide",
    "files_of",
    "make_corpus",
    "run_transfer",
    "write_transfer_report",
]


@dataclass
class TransferResults(WrittenResults):
    """Accuracy on the target by method, share of labels and seed.

    Parameters
    ----------
    runs : list of dict
        One a training: ``method``, ``fraction``, ``seed``, ``n_labels``, ``accuracy``, accuracy
        on further test sets in ``extra``, and ``seconds``.
    methods : dict of str to dict
        What each method changes in the network.
    baseline : str
        The method that others are compared with.
    source, target : dict
        ``n_sounds``, ``classes`` and ``tensor_shape``; of the source ``seconds`` of pre-training.
    chance : float
        Accuracy on the target of guessing the commonest class.
    evaluation : str
        How the target was divided.
    random_state : int
        The first seed.
    settings : dict
        Of the network and the reduction.
    versions : dict of str to str
        Of the packages.
    skipped : list of (str, str)
        Files left out, with the reason.
    """

    runs: list[dict[str, Any]]
    methods: dict[str, dict[str, Any]]
    baseline: str
    source: dict[str, Any]
    target: dict[str, Any]
    chance: float
    evaluation: str
    random_state: int
    settings: dict[str, Any]
    versions: dict[str, str] = field(default_factory=dict)
    skipped: list[tuple[str, str]] = field(default_factory=list)

    @property
    def fractions(self) -> list[float]:
        """Shares of labels, ascending."""
        return sorted({run["fraction"] for run in self.runs})

    def values(self, method: str, fraction: float, test: str = "accuracy") -> np.ndarray:
        """Give the accuracies of one method at one share, in the order of the seeds.

        Parameters
        ----------
        method : str
            Its name.
        fraction : float
            The share of labels.
        test : str
            "accuracy", or the name of a further test set.

        Returns
        -------
        ndarray of shape (n_seeds,)
            Empty where the share leaves nothing to learn from.
        """
        chosen = [
            run for run in self.runs if (run["method"], run["fraction"]) == (method, fraction)
        ]
        by_seed = sorted(chosen, key=lambda run: run["seed"])
        return np.array([run["accuracy"] if test == "accuracy" else run["extra"][test]
                         for run in by_seed])  # fmt: skip

    def table(self) -> list[dict[str, Any]]:
        """Summarize: a row for each method and share.

        Returns
        -------
        list of dict
            ``method``, ``fraction``, ``n_labels``, ``accuracy`` and its ``std`` over seeds (None
            for one), ``gain`` over the baseline on the same labels, the gain's ``gain_std`` over
            seeds, mean accuracy on further test sets by name, and ``seconds`` of a training.
        """
        rows = []
        for method in self.methods:
            for fraction in self.fractions:
                runs = [
                    run for run in self.runs
                    if (run["method"], run["fraction"]) == (method, fraction)
                ]  # fmt: skip
                values = self.values(method, fraction)
                score = spread(list(values))
                # Equal differences of shares differ in their last digit: that is no spread.
                gain = spread(list((values - self.values(self.baseline, fraction)).round(12)))
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
        """Tabulate accuracy by method and share of labels.

        Returns
        -------
        str
            Some lines.
        """
        width = max(map(len, self.methods))
        lines = [f"{'share of labels':{width}}" + "".join(f"{f:>14g}" for f in self.fractions)]
        for method in self.methods:
            cells = [row for row in self.table() if row["method"] == method]
            texts = [format_mean(row["accuracy"], row["std"]) for row in cells]
            lines.append(f"{method:{width}}" + "".join(f"{text:>14}" for text in texts))
        return "\n".join([*lines, f"chance {self.chance:.3f}; {self.evaluation}"])

    def _plain_fields(self) -> dict[str, Any]:
        return super()._plain_fields() | {"table": self.table()}


def write_transfer_report(
    results: TransferResults,
    path: str | os.PathLike[str],
    *,
    title: str = "Transfer",
    notes: Sequence[str] = (),
) -> None:
    """Write the report on transfer: one HTML file that needs nothing else."""
    a, b = results.source, results.target
    text = [
        f"Source: {a['n_sounds']} sounds of {len(a['classes'])} classes. Target: {b['n_sounds']} "
        f"sounds of {len(b['classes'])} classes; {results.evaluation}. Guessing the commonest "
        f"class of the target gives {results.chance:.3f}.",
        "All methods learn from the same labels and are tested on the same sounds, which neither "
        "network nor MPCA has met. The output layer is always new.",
        *notes,
    ]
    report = Report(title, f"{a['n_sounds']} sounds, then {b['n_sounds']} others")
    report.add_text("Result", text)
    display = TransferDisplay.from_results(results)
    report.add_figure(
        "Result",
        display.figure_,
        alt="accuracy against the share of known labels, a line for each method, tabulated below",
        caption="Accuracy on the target by the share of its labels that is known.",
    )
    _add_table(report, results)
    changes = {
        name: ", ".join(f"{key}={value}" for key, value in method.items())
        for name, method in results.methods.items()
    }
    report.add_settings("Methods", changes)
    if results.skipped:
        report.add_table("Files left out", ["file", "reason"], results.skipped)
    else:
        report.add_text("Files left out", "None.")
    report.add_settings("Settings", {"seed": results.random_state})
    for stage, values in results.settings.items():
        report.add_text("Settings", f"{stage}:")
        report.add_settings("Settings", values)
    report.add_settings("Versions", results.versions)
    report.write(path)


def _add_table(report: Report, results: TransferResults) -> None:
    table = results.table()
    extra = list(results.runs[0]["extra"])
    keys = ("n_labels", "accuracy", "std", "gain", "gain_std", *extra, "seconds")
    rows = [
        [row["method"], f"{row['fraction']:.0%}", *(row[key] for key in keys)] for row in table
    ]
    columns = ["method", "share", "labels", "accuracy", "std", "gain", "std of gain", *extra]
    n_seeds = len({run["seed"] for run in results.runs})
    note = (
        f"Mean and standard deviation over seeds (there are {n_seeds}). Gain: over "
        f"{results.baseline} with the same labels and test sounds; where it is not well above its "
        "standard deviation, the transfer has not been shown to help. Seconds "
        "of one training, without the "
        f"{results.source['seconds']:.1f} s of pre-training."
    )
    report.add_table("Result", [*columns, "seconds"], rows, note=note)


class Corpus(NamedTuple):
    """Tensors of a collection with what is known of each sound."""

    X: np.ndarray
    y: np.ndarray
    groups: np.ndarray | None
    split: np.ndarray | None
    skipped: list[tuple[str, str]]

    def describe(self) -> dict[str, Any]:
        """Sizes and classes."""
        return {
            "n_sounds": len(self.y),
            "classes": np.unique(self.y).tolist(),
            "tensor_shape": list(self.X.shape[1:]),
        }


def files_of(corpus: Any) -> Any:
    """Give the paths of a collection that has no content."""
    if isinstance(corpus, Mapping):
        return None if corpus.get("data") is not None else corpus.get("filenames")
    X = corpus[0]
    return X if len(X) and isinstance(X[0], str | os.PathLike) else None


def make_corpus(corpus: Any, name: str, head: Pipeline, folder: str, **options: Any) -> Corpus:
    """Make the tensors of a collection, and check what comes with them."""
    X, y, columns = _read(corpus, name)
    files = files_of(corpus)
    skipped: list[tuple[str, str]] = []
    if files is not None:
        os.mkdir(folder)
        paths = [os.fspath(file) for file in files]
        _check_length(paths, y, name)
        X, errors = compute_tensors(head, paths, folder=folder, **options)
        kept = [row for row in range(len(paths)) if row not in errors]
        skipped = [(paths[row], reason) for row, reason in errors.items()]
        y = y[kept]
        columns = {key: v if v is None else np.asarray(v)[kept] for key, v in columns.items()}
        if skipped:
            warn_of_skipped(skipped, len(paths))
    else:
        X = np.asarray(X)
        _check_length(X, y, name)
        for _, step in head.steps[1:] if X.ndim == 2 else []:
            X = step.fit_transform(X)
    if len(np.unique(y)) < 2:
        raise ValueError(f"The {name} has one class only, {y[0]}: add another.")
    checked = {key: check_names(v, len(y), f"{key} of the {name}") for key, v in columns.items()}
    return Corpus(X, y, **checked, skipped=skipped)


def _check_length(X: Any, y: np.ndarray, name: str) -> None:
    if len(X) != len(y) or not len(y):
        raise ValueError(f"The {name} has {len(X)} sounds and {len(y)} classes.")


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
    """Divide a target into what may be learned from and what is tested."""
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


FRACTIONS = (0.05, 0.1, 0.2, 0.5, 1.0)
SCRATCH = "from scratch"
# What each method changes in the network; "mpca" says which reduction comes before it, and
# "frozen" how many of the layers before the output are left as they are.
METHODS: dict[str, dict[str, Any]] = {
    SCRATCH: {"mpca": "target"},
    "from scratch, MPCA of the source": {"mpca": "source"},
    "fine-tuned": {"mpca": "source", "start": True},
    "fine-tuned slowly": {"mpca": "source", "start": True, "layer_lr": 0.1},
    "output layer alone": {"mpca": "source", "start": True, "frozen": "all"},
}
# What the settings of a method say of the source; all others are the network's own.
ABOUT_THE_SOURCE = ("mpca", "start", "frozen")
TEST_SHARE = 0.3


def run_transfer(
    source: Any,
    target: Any,
    *,
    fractions: Sequence[float] = FRACTIONS,
    methods: Mapping[str, Mapping[str, Any]] | None = None,
    pipeline: Pipeline | None = None,
    n_seeds: int = 3,
    test_share: float = TEST_SHARE,
    random_state: int = 0,
    folder: str | os.PathLike[str] | None = None,
    max_bytes: int = MAX_BYTES,
    verbose: bool = False,
) -> TransferResults:
    """Compare learning a target from scratch with starting from a network for a source.

    For each seed the target is divided into a part to test on and a pool; of the pool a share of
    the labels is known, larger shares containing smaller ones. The network and the MPCA of the
    source come from all of the source; the output layer is always new, as the classes are others.

    Parameters
    ----------
    source, target : Bunch or tuple
        With ``filenames`` or ``data`` of sounds (n_sounds, n_times) or of tensors (n_sounds, ...
        three axes or more), ``target`` and, if they are there, ``target_names``, ``groups`` and
        ``split``: what the loaders of `skstrf.datasets` return. Or ``(X, y)`` with X a list of
        paths, sounds, or tensors. Groups of the target are never both in test and pool. A
        ``split`` of the target with train and test (valid goes to the pool, other names are
        further test sets) takes the place of random divisions; that of the source is not used.
    fractions : sequence of float
        Shares of the pool's labels, in (0, 1]; at least one sound of each class is always known.
    methods : mapping of str to mapping, or None
        For each method ``mpca`` ("source" or "target", what it is fitted on), ``start`` (whether
        to start from the source's network), ``frozen`` (number of first layers to freeze, "all"
        for all but the output) and any parameters of the network, such as ``layer_lr``. The
        first is what others are compared with. None: `METHODS`.
    pipeline : Pipeline or None
        Loader, transformer, MPCA and network; None: `make_classification_pipeline` with
        `choose_duration` of the target. Sounds need one sample rate, that of its transformer.
    n_seeds : int
        Divisions, choices of labels, pre-trainings and trainings; more seeds, a truer spread.
    test_share : float
        Share of the target to test on, about: of whole groups if there are any.
    random_state : int
        The first seed.
    folder : str, Path or None
        Where tensors of files of more than `max_bytes` go while this runs.
    max_bytes : int
        Bytes of tensors of each collection that are kept in memory.
    verbose : bool
        Show progress bars.

    Returns
    -------
    TransferResults
        Accuracy by method, share and seed.

    Raises
    ------
    ValueError
        When an argument is out of range, the tensors of the two have different shapes, a
        collection has one class only, or a class cannot be divided into pool and test.
    AudioReadError
        For a file that cannot be used, unless the loader has ``on_error="warn"``.

    Warns
    -----
    UserWarning
        For files that were left out.

    See Also
    --------
    skstrf.inspection.TransferDisplay : Draws the result.

    References
    ----------
    .. [1] E. Eremeeva, "Transform analysis and music style transfer with deep neural networks",
       ATIAM report, IRCAM, 2017, section 8.

    Examples
    --------
    The report's own experiment, with your copies of the Million Song Dataset (with previews) and
    GTZAN::

        source = load_million_song_genres("msd_tagtraum_cd2.cls", audio_home="previews",
                                          load_content=False)
        target = load_gtzan("GTZAN", split="fault-filtered", load_content=False)
        pipeline = make_classification_pipeline(
            duration=30, rates="eremeeva2017", scales="eremeeva2017"
        )
        results = run_transfer(source, target, pipeline=pipeline)
        TransferDisplay.from_results(results)

    On tensors made up here:

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
    with tempfile.TemporaryDirectory(prefix="skstrf-", dir=folder) as place:
        head, mpca, network = _stages(pipeline, source, target, random_state)
        options = {"max_bytes": max_bytes, "verbose": verbose}
        a = make_corpus(source, "source", head, os.path.join(place, "a"), **options)
        b = make_corpus(target, "target", head, os.path.join(place, "b"), **options)
        if a.X.shape[1:] != b.X.shape[1:]:
            raise ValueError(
                f"samples of the source have shape {a.X.shape[1:]}, those of the target "
                f"{b.X.shape[1:]}: use one duration and one transformer for both."
            )
        task = _Task(mpca, network, clone(mpca).fit(a.X), methods, fractions, test_share)
        features, seconds, chances, description = task.of_source.transform(a.X), [], [], ""
        runs: list[dict[str, Any]] = []
        for seed in _with_progress(range(random_state, random_state + n_seeds), verbose):
            began = time.perf_counter()
            start = _seeded(network, seed).fit(features, a.y)
            seconds.append(time.perf_counter() - began)
            found, chance, description = task.compare(b, start, seed)
            runs += found
            chances.append(chance)
        described = b.describe()
        origin = a.describe() | {"seconds": float(np.mean(seconds))}
        skipped = [*a.skipped, *b.skipped]
        del a, b  # some systems cannot delete a file that is open
    return TransferResults(
        runs=runs,
        methods={name: dict(method) for name, method in methods.items()},
        baseline=next(iter(methods)),
        source=origin,
        target=described,
        chance=float(np.mean(chances)),
        evaluation=description,
        random_state=random_state,
        settings={
            **{name: plain(step.get_params(deep=False)) for name, step in head.steps},
            "mpca": plain(mpca.get_params(deep=False)),
            "network": plain(network.get_params(deep=False)),
        },
        versions=versions(),
        skipped=skipped,
    )


def choose_labels(
    y: np.ndarray, fractions: Sequence[float], random_state: int
) -> dict[float, np.ndarray]:
    """Choose the sounds whose labels are known, for every share: the smaller in the larger."""
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
    pipeline: Pipeline | None, source: Any, target: Any, random_state: int
) -> tuple[Pipeline, Any, Any]:
    """Divide the pipeline into what makes tensors, the MPCA and the network."""
    if pipeline is None:
        files = [f for f in (files_of(target), files_of(source)) if f is not None]
        duration = choose_duration(files[0]) if files else None
        pipeline = make_classification_pipeline(duration=duration, random_state=random_state)
    head, tail = divide_pipeline(pipeline)
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
    """What stays the same for all seeds."""

    mpca: Any
    network: Any
    of_source: Any
    methods: dict[str, dict[str, Any]]
    fractions: list[float]
    test_share: float

    def compare(
        self, corpus: Corpus, start: Any, seed: int
    ) -> tuple[list[dict[str, Any]], float, str]:
        """Train all methods on all shares of one division; also chance, and how it divides."""
        pool, tests, description = divide(corpus, self.test_share, seed)
        runs = []
        for fraction, rows in choose_labels(corpus.y[pool], self.fractions, seed).items():
            for name, method in self.methods.items():
                found = self.train(corpus, pool[rows], tests, method, start, seed)
                runs.append({"method": name, "fraction": fraction, "seed": seed, **found})
        return runs, chance_level(corpus.y[pool], corpus.y[tests["test"]]), description

    def train(
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


def _with_progress(seeds: range, verbose: bool) -> Iterator[int]:
    from tqdm import tqdm

    yield from tqdm(seeds, desc="Seeds", disable=not verbose)
