"""Sound files to cross-validated accuracy: the experiment of the report's section 7."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline

from skstrf.datasets import AudioLoader, AudioReadError, audio_info
from skstrf.decomposition import MPCA
from skstrf.experiments.evaluation import Stopwatch, evaluate
from skstrf.experiments.folds import held_back_share
from skstrf.experiments.results import ClassificationResults
from skstrf.experiments.sounds import Sounds, warn_of_skipped
from skstrf.experiments.summary import describe_model, summarise
from skstrf.experiments.tensors import (
    MAX_BYTES,
    check_parameters,
    divide_pipeline,
)
from skstrf.neural import CNNClassifier
from skstrf.preprocessing import TensorScaler
from skstrf.transforms import STRFTransformer

__all__ = [
    "choose_duration",
    "classification_search_space",
    "make_classification_pipeline",
    "run_classification",
]

# Longest clip when nobody says otherwise, in seconds: that of GTZAN.
LONGEST = 30.0


def make_classification_pipeline(
    *,
    sample_rate: int = 16000,
    duration: float | None = None,
    rates: Sequence[float] | str | None = None,
    scales: Sequence[float] | str | None = None,
    n_components: float | int | tuple[int, ...] = 0.95,
    max_epochs: int | None = None,
    device: str = "auto",
    n_jobs: int | None = None,
    on_error: str = "raise",
    random_state: int | None = 0,
) -> Pipeline:
    """Sound file -> STRF tensor -> multilinear PCA -> convolutional network.

    Parameters
    ----------
    sample_rate : int
        Of the sounds once they are read, in Hz.
    duration : float or None
        Length of the sounds in seconds; None: the longest.
    rates, scales : sequence of float, "report" or None
        Of `STRFTransformer`, in Hz and cycles/octave; None: its defaults.
    n_components : float, int or tuple of int
        Of `MPCA`: the share of the variation to keep in each mode, or the ranks.
    max_epochs : int or None
        Of `CNNClassifier`; None: its default.
    device : str
        Where torch computes: "auto", "cpu", "cuda".
    n_jobs : int or None
        Threads that read and transform sounds.
    on_error : {"raise", "warn"}
        What to do about a file that cannot be used.
    random_state : int or None
        Seed of the network.

    Returns
    -------
    Pipeline
        With the steps loader, strf, scaler (a place for a `TensorScaler`, empty by default),
        mpca, cnn. Its input are paths of sound files.

    Examples
    --------
    >>> from skstrf.experiments import make_classification_pipeline
    >>> list(make_classification_pipeline(duration=5.0).named_steps)
    ['loader', 'strf', 'scaler', 'mpca', 'cnn']
    """
    chosen = {"rates": rates, "scales": scales}
    strf = {name: value for name, value in chosen.items() if value is not None}
    cnn = {} if max_epochs is None else {"max_epochs": max_epochs}
    loader = AudioLoader(
        sample_rate=sample_rate, duration=duration, on_error=on_error, n_jobs=n_jobs
    )
    return Pipeline(
        [
            ("loader", loader),
            (
                "strf",
                STRFTransformer(sample_rate=sample_rate, n_jobs=n_jobs, device=device, **strf),
            ),
            (
                "scaler",
                "passthrough",
            ),  # a place for a TensorScaler
            ("mpca", MPCA(n_components)),
            ("cnn", CNNClassifier(device=device, random_state=random_state, **cnn)),
        ]
    )


def classification_search_space() -> dict[str, list[Any]]:
    """Values worth trying in a search over `make_classification_pipeline`.

    Returns
    -------
    dict of str to list
        As `GridSearchCV` and `RandomizedSearchCV` take them. Give the pipeline a ``memory``, or
        search over the tail only, so that tensors are not computed for every candidate.

    Examples
    --------
    >>> from skstrf.experiments import classification_search_space, make_classification_pipeline
    >>> names = set(classification_search_space())
    >>> names <= set(make_classification_pipeline().get_params())
    True
    """
    return {
        "strf__contrast": [True, False],
        "strf__frame_step": [62, 125, 250],
        "scaler": ["passthrough", TensorScaler()],
        "mpca__n_components": [0.9, 0.95, 0.98],
        "cnn__lr": [2e-3, 4e-3, 8e-3],
        "cnn__dropout": [0.1, 0.3, 0.5],
        "cnn__mixup": [0.0, 0.3, 1.0],
        "cnn__weight_decay": [1e-3, 1e-2, 1e-1],
        "cnn__n_filters": [32, 64],
    }


def choose_duration(filenames: Sequence[str], *, longest: float = LONGEST) -> float:
    """Choose one length for all sounds: the median of the files, at most `longest`.

    Parameters
    ----------
    filenames : sequence of str
        The sound files; those whose header cannot be read do not count.
    longest : float
        In seconds.

    Returns
    -------
    float
        In seconds, rounded to hundredths.

    Raises
    ------
    ValueError
        When no file can be read.

    Examples
    --------
    >>> from skstrf.datasets import load_instruments
    >>> from skstrf.experiments import choose_duration
    >>> choose_duration(load_instruments(load_content=False).filenames[:5])
    5.0
    """
    lengths = []
    for path in filenames:
        try:
            lengths.append(audio_info(path).duration)
        except AudioReadError:
            continue
    if not lengths:
        raise ValueError(f"None of the {len(filenames)} sound files can be read.")
    return max(0.01, round(min(float(np.median(lengths)), longest), 2))


def run_classification(
    filenames: Sequence[str],
    y: Any,
    *,
    groups: Any = None,
    split: Any = None,
    cv: Any = 5,
    pipeline: Pipeline | None = None,
    random_state: int = 0,
    baseline: bool = True,
    folder: str | os.PathLike[str] | None = None,
    max_bytes: int = MAX_BYTES,
    verbose: bool = False,
) -> ClassificationResults:
    """Evaluate a pipeline on labelled sound files, and fit it for use.

    The tensors are computed once; what learns from them (scaling, MPCA, network) is fitted
    anew on the training part of every fold, so that nothing of a test sound is known to it.

    Parameters
    ----------
    filenames : sequence of str or Path
        The sound files.
    y : array-like of shape (n_sounds,)
        Their classes.
    groups : array-like of shape (n_sounds,) or None
        Sounds of one group (artist, recording) are never on both sides of a fold, nor of the
        division that early stopping looks at.
    split : array-like of shape (n_sounds,), str, or None
        Given, a held-out evaluation takes the place of cross-validation: fitted on "train",
        stopped by "valid" if there is one, tested on "test". All other names are further test
        sets, scored separately.
    cv : int or splitter
        Folds of the cross-validation.
    pipeline : Pipeline or None
        From an `AudioLoader` to a classifier. None: `make_classification_pipeline` with
        `choose_duration`.
    random_state : int
        Seed of the folds, and of the classifier if it has none.
    baseline : bool
        Also try logistic regression on the features that the network gets.
    folder : str, Path or None
        Where tensors of more than `max_bytes` go while this runs; None: a temporary folder.
    max_bytes : int
        Bytes of tensors that are kept in memory.
    verbose : bool
        Show progress bars.

    Returns
    -------
    ClassificationResults
        Scores, histories, settings and the fitted model.

    Raises
    ------
    ValueError
        When the arguments do not fit each other, a class has one sound only, or a parameter of
        the pipeline is wrong.
    AudioReadError
        For a file that cannot be used, unless the loader has ``on_error="warn"``.

    Warns
    -----
    UserWarning
        For files that were left out, and for folds that had to be fewer.

    Examples
    --------
    >>> from skstrf.datasets import load_instruments
    >>> from skstrf.experiments import make_classification_pipeline, run_classification
    >>> clips = load_instruments(load_content=False)
    >>> few = [i for i, name in enumerate(clips.split) if name != "new_library"][::6]
    >>> pipeline = make_classification_pipeline(duration=0.5, max_epochs=1)
    >>> results = run_classification(
    ...     clips.filenames[few], clips.target[few], cv=2, pipeline=pipeline, baseline=False
    ... )
    >>> results.evaluation, len(results.folds)
    ('stratified 2-fold cross-validation', 2)
    """
    sounds = Sounds.checked(filenames, y, groups, split)
    if pipeline is None:
        pipeline = make_classification_pipeline(
            duration=choose_duration(sounds.files), random_state=random_state
        )
    head, tail = divide_pipeline(pipeline)
    check_parameters(pipeline)
    if getattr(tail[-1], "random_state", 0) is None:
        tail[-1].set_params(random_state=random_state)
    plan = sounds.plan(cv, random_state, held_back_share(tail[-1]))
    watch = Stopwatch()
    with tempfile.TemporaryDirectory(prefix="skstrf-", dir=folder) as place:
        with watch("tensors"):
            X, sounds, skipped = sounds.tensors(head, place, max_bytes, verbose)
        if skipped:
            plan = sounds.plan(cv, random_state, held_back_share(tail[-1]))
            warn_of_skipped(skipped, len(filenames))
        evaluation = evaluate(
            tail, X, sounds.y, plan, baseline=baseline, watch=watch, verbose=verbose
        )
        shape = X.shape[1:]
        del X  # some systems cannot delete a file that is open
    model = Pipeline([*head.steps, *evaluation.final.steps])
    found = {
        "final": describe_model(model, plan, shape),
        "skipped": skipped,
        "seconds": dict(watch),
        "random_state": random_state,
    }
    return summarise(model, sounds.files, sounds.y, plan, evaluation, found)
