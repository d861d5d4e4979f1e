"""What learning from one collection of sounds does for learning from another with few labels."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from sklearn.utils import check_random_state

from skstrf.decomposition import MPCA
from skstrf.experiments.classification import choose_duration, make_classification_pipeline
from skstrf.experiments.results import plain, versions
from skstrf.experiments.scores import chance_level
from skstrf.experiments.tensors import MAX_BYTES, divide_pipeline
from skstrf.experiments.transfer_data import Corpus, divide, files_of, make_corpus
from skstrf.experiments.transfer_results import TransferResults
from skstrf.neural import CNNClassifier

__all__ = ["FRACTIONS", "METHODS", "choose_labels", "run_transfer"]

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
        pipeline = make_classification_pipeline(duration=30, rates="report", scales="report")
        results = run_transfer(source, target, pipeline=pipeline)
        TransferDisplay.from_results(results)

    On tensors made up here:

    >>> import numpy as np
    >>> from skstrf.experiments import make_classification_pipeline, run_transfer
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat([0, 1], 20)
    >>> X = rng.standard_normal((40, 2, 4, 6)) + y[:, None, None, None]
    >>> pipeline = make_classification_pipeline(duration=1, max_epochs=2)
    >>> pipeline = pipeline.set_params(cnn__n_filters=4, cnn__n_hidden=8)
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
    """Choose the sounds whose labels are known, for every share: the smaller in the larger.

    Parameters
    ----------
    y : ndarray of shape (n_sounds,)
        Classes.
    fractions : sequence of float
        Shares of each class, in (0, 1].
    random_state : int
        Seed.

    Returns
    -------
    dict of float to ndarray of int
        Rows by share, of each class at least one.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf.experiments.transfer import choose_labels
    >>> rows = choose_labels(np.array(["a"] * 10 + ["b"] * 10), [0.1, 0.5], 0)
    >>> {share: len(known) for share, known in rows.items()}
    {0.1: 2, 0.5: 10}
    """
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
    known = set(CNNClassifier().get_params(deep=False)) | set(ABOUT_THE_SOURCE)
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
