"""Several ways to learn from the same sounds, on the same divisions and seeds."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from scipy.stats import binomtest
from sklearn.base import clone
from sklearn.model_selection import ParameterGrid
from sklearn.pipeline import Pipeline

from skstrf.experiments.comparison_results import ComparisonResults
from skstrf.experiments.evaluation import Stopwatch, fit_tail
from skstrf.experiments.folds import Plan, held_back_share
from skstrf.experiments.parts import Parts
from skstrf.experiments.results import settings, versions
from skstrf.experiments.scores import chance_level, spread
from skstrf.experiments.sounds import Sounds, warn_of_skipped
from skstrf.experiments.tensors import (
    MAX_BYTES,
    check_parameters,
    divide_pipeline,
    transform_rows,
)
from skstrf.pipeline.keys import stage_settings

__all__ = ["run_comparison"]

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
        kept = Parts(parts, {"files": sounds.files, "y": sounds.y, "groups": sounds.groups,
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
            rows.append({"name": name} | _summarise(found))
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


def _summarise(found: list[dict[str, Any]]) -> dict[str, Any]:
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
