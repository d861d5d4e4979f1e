"""Sound files to cross-validated accuracy: the experiment of the report's section 7."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from skstrf.datasets import AudioLoader, AudioReadError, audio_info
from skstrf.decomposition import MPCA
from skstrf.experiments._base import ClassificationResults, format_score
from skstrf.experiments._evaluation import (
    MAX_BYTES,
    Sounds,
    Stopwatch,
    check_parameters,
    describe_model,
    divide_pipeline,
    evaluate,
    summarize,
    warn_of_skipped,
)
from skstrf.experiments._splits import held_back_share
from skstrf.inspection import (
    ConfusionDisplay,
    MPCADisplay,
    Report,
    STRFDisplay,
    TrainingDisplay,
)
from skstrf.neural import CNNClassifier, SeparableNetwork
from skstrf.preprocessing import LogContrast, TensorScaler
from skstrf.transforms import STRFTransformer

__all__ = [
    "choose_duration",
    "classification_search_space",
    "make_classification_pipeline",
    "make_separable_classifier",
    "make_separable_pipeline",
    "run_classification",
    "write_classification_report",
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
    rates, scales : sequence of float, "eremeeva2017" or None
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
        "cnn__network__dropout": [0.1, 0.3, 0.5],
        "cnn__augmentation__mixup": [0.0, 0.3, 1.0],
        "cnn__weight_decay": [1e-3, 1e-2, 1e-1],
        "cnn__network__n_filters": [32, 64],
    }


def choose_duration(filenames: Sequence[str], *, longest: float = LONGEST) -> float:
    """Choose one length for all sounds: the median of the files, at most `longest`."""
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
    """Evaluate a pipeline on labeled sound files, and fit it for use.

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
    return summarize(model, sounds.files, sounds.y, plan, evaluation, found)


# Small filters, and neither strides nor pools in time: a tensor has one frame a second.
LAYERS = {
    "kernel_sizes": (3, 3, 3, 3),
    "strides": ((1, 1), (2, 1), (2, 1), (2, 1)),
    "pool_size": ((3, 1),) * 4,
}


def make_separable_classifier(**options: Any) -> CNNClassifier:
    """Make a network of separable filters and attention, with layers for STRF tensors.

    Its filters are 3 x 3, and its strides and pools are along frequency only, since the tensors
    of :class:`skstrf.STRFTransformer` have about one frame a second.

    Parameters
    ----------
    **options : dict
        Further parameters of :class:`skstrf.CNNClassifier`.

    Returns
    -------
    CNNClassifier
        Not fitted.

    Examples
    --------
    >>> from skstrf.experiments import make_separable_classifier
    >>> make_separable_classifier(max_epochs=12, network__dropout=0.2).network.dropout
    0.2
    """
    return CNNClassifier(SeparableNetwork(**LAYERS)).set_params(**options)


def make_separable_pipeline(
    *, n_networks: int = 3, random_state: int = 0, sample_rate: int = 16000, **options: Any
) -> Pipeline:
    """Sound -> STRF tensor -> contrast and envelope -> networks whose probabilities are averaged.

    Inside :class:`skstrf.AugmentedClassifier`, with ``max_epochs=12``, it was the best of all that
    was measured on instruments of other libraries, see the page on results of classification.

    Parameters
    ----------
    n_networks : int
        Networks to average, 1 for one alone.
    random_state : int
        Seed of the first; the others have the next ones.
    sample_rate : int
        Of the sounds, in Hz.
    **options : dict
        Of :func:`make_separable_classifier`.

    Returns
    -------
    Pipeline
        With the steps strf, contrast, network. Its input are sounds (n_sounds, n_times).

    Raises
    ------
    ValueError
        For less than one network.

    Examples
    --------
    >>> from skstrf.experiments import make_separable_pipeline
    >>> model = make_separable_pipeline(n_networks=3, max_epochs=12)
    >>> [name for name, _ in model["network"].estimators]
    ['seed 0', 'seed 1', 'seed 2']
    """
    from sklearn.ensemble import VotingClassifier

    if n_networks < 1:
        raise ValueError(f"n_networks={n_networks!r}: give at least 1.")
    seeds = range(random_state, random_state + n_networks)
    networks = [make_separable_classifier(random_state=seed, **options) for seed in seeds]
    named = [(f"seed {s}", network) for s, network in zip(seeds, networks, strict=True)]
    network = networks[0] if n_networks == 1 else VotingClassifier(named, voting="soft")
    strf = STRFTransformer(sample_rate=sample_rate, compression=None, contrast=False)
    return Pipeline([("strf", strf), ("contrast", LogContrast()), ("network", network)])


PICTURE_STEP = 8
# Seconds of each clip that can be played: they are in the page, uncompressed.
LONGEST_PLAYED = 10.0


def write_classification_report(
    results: ClassificationResults,
    path: str | os.PathLike[str],
    *,
    title: str = "Classification of sounds",
    notes: Sequence[str] = (),
    model_file: str = "model.skops",
    n_clips: int = 4,
) -> None:
    """Write the report of an experiment: one HTML file that needs nothing else."""
    report = Report(title, results.summary())
    _add_result(report, results, notes)
    _add_confusions(report, results)
    _add_clips(report, results, n_clips)
    _add_reduction(report, results)
    _add_training(report, results)
    _add_skipped(report, results)
    _add_use(report, results, model_file)
    _add_settings(report, results)
    report.write(path)


def _add_result(report: Report, results: ClassificationResults, notes: Sequence[str]) -> None:
    final = results.final
    text = [
        f"Accuracy {format_score(results.accuracy, results.scores)}, where guessing the commonest "
        f"class gives {results.chance['mean']:.3f}. Evaluation: {results.evaluation}. What learns "
        "from data (scaling, MPCA, network) never saw the sounds it is tested on.",
        f"The model that was kept learned from {final['n_train']} sounds.",
        *notes,
    ]
    report.add_text("Result", text)
    sets = {"test": results.scores, **results.extra}
    rows = [
        [name, s["n_sounds"], s["accuracy"], *s["interval"], s["balanced_accuracy"], s["chance"]]
        for name, s in sets.items()
    ]
    columns = ["set", "sounds", "accuracy", "from", "to", "balanced accuracy", "chance"]
    note = "From, to: 95 % interval (Wilson), taking the sounds for independent of each other."
    if results.baseline:
        columns.append("logistic regression")
        rows[0].append(results.baseline["mean"])
        for row, scores in zip(rows[1:], results.extra.values(), strict=True):
            row.append(scores["baseline_accuracy"])
        note += " Logistic regression: its accuracy on the same features as the network's."
    report.add_table("Result", columns, rows, note=note)
    if len(results.folds) > 1:
        keys = ("n_train", "n_test", "accuracy", "balanced_accuracy", "chance")
        rows = [[str(i), *(f[key] for key in keys)] for i, f in enumerate(results.folds, start=1)]
        names = ["fold", "train", "test", "accuracy", "balanced accuracy", "chance"]
        report.add_table("Result", names, rows, caption="Folds")


def _add_confusions(report: Report, results: ClassificationResults) -> None:
    names = [str(name) for name in results.classes]
    for set_name, scores in {"test": results.scores, **results.extra}.items():
        rows = [p for p in results.predictions if p["set"] == set_name]
        display = ConfusionDisplay.from_predictions(
            np.array([str(p["class"]) for p in rows]),
            np.array([str(p["predicted"]) for p in rows]),
            labels=names,
        )
        report.add_figure(
            "Confusions",
            display.figure_,
            alt=f"confusion matrix of the {set_name} sounds, as tabulated below by class",
            caption=f"Which classes are taken for which ({set_name}, {scores['n_sounds']} sounds)",
        )
        columns = ["class", "precision", "recall", "F1", "sounds"]
        table = _by_class(scores)
        report.add_table("Confusions", columns, table, caption=f"By class ({set_name})")


def _by_class(scores: dict[str, Any]) -> list[list[Any]]:
    """Rows of the table; what is a share of nothing, as recall without sounds, is left out."""
    named = np.sum(scores["confusion_matrix"], axis=0)
    return [
        [
            str(row["class"]),
            row["precision"] if times else None,
            row["recall"] if row["support"] else None,
            row["f1"] if row["support"] else None,
            row["support"],
        ]
        for row, times in zip(scores["per_class"], named, strict=True)
    ]


def _add_clips(report: Report, results: ClassificationResults, n_clips: int) -> None:
    """Show and play one test sound of each of some classes."""
    loader = results.model[0]
    strf = next((s for _, s in results.model.steps if isinstance(s, STRFTransformer)), None)
    first: dict[str, dict[str, Any]] = {}
    for prediction in results.predictions:
        first.setdefault(str(prediction["class"]), prediction)
    names = list(first)
    chosen = np.unique(
        np.linspace(0, len(names) - 1, min(n_clips, len(names))).round().astype(int)
    )
    for prediction in (first[names[index]] for index in chosen):
        sound = loader.transform([prediction["file"]])[0]
        caption = (
            f"{os.path.basename(prediction['file'])}: {prediction['class']}, "
            f"predicted {prediction['predicted']} ({prediction['probability']:.2f})"
        )
        played = sound[: int(LONGEST_PLAYED * loader.sample_rate)]
        report.add_sound("Some sounds", played, loader.sample_rate, caption=caption)
        if strf is not None:
            # Frames short enough to see; the classifier's may last a second.
            step = min(strf.frame_step_, PICTURE_STEP)
            fine = clone(strf).set_params(frame_step=step, frame_rate=None)
            display = STRFDisplay.from_estimator(fine, sound)
            alt = f"scale, rate, frequency and time of {caption}"
            report.add_figure("Some sounds", display.figure_, alt=alt, caption=caption)


def _add_reduction(report: Report, results: ClassificationResults) -> None:
    mpca = next((s for _, s in results.model.steps if hasattr(s, "mode_eigenvalues_")), None)
    if mpca is None:
        return
    names = [axis["name"] for axis in results.final.get("axes", [])]
    display = MPCADisplay.from_estimator(
        mpca, mode_names=names if len(names) == len(mpca.components_) else None
    )
    before = " x ".join(map(str, results.final["tensor_shape"]))
    after = " x ".join(map(str, results.final["reduction"]["output_shape"]))
    report.add_figure(
        "Multilinear PCA",
        display.figure_,
        alt="cumulative explained variance of each mode, with the components that are kept",
        caption=f"Tensors of {before} became tensors of {after}.",
    )


def _add_training(report: Report, results: ClassificationResults) -> None:
    trainings = [fold for fold in results.folds if fold.get("history")]
    if not trainings:
        return
    display = TrainingDisplay(
        [fold["history"] for fold in trainings],
        best_epochs=[fold.get("n_epochs_to_best") for fold in trainings],
    ).plot()
    report.add_figure(
        "Training of the network",
        display.figure_,
        alt="loss and validation accuracy over the epochs of training",
        caption="One line for each fold. The validation part is never the test part."
        if len(trainings) > 1
        else "The validation part is not the test part.",
    )


def _add_skipped(report: Report, results: ClassificationResults) -> None:
    if results.skipped:
        report.add_table("Files left out", ["file", "reason"], results.skipped)
    else:
        report.add_text("Files left out", "None.")


def _add_use(report: Report, results: ClassificationResults, model_file: str) -> None:
    report.add_text(
        "Using the model",
        [
            "On the command line, for files and folders:",
            f"skstrf predict {model_file} FILE...",
            "In Python, load_model of skstrf.model_io gives a scikit-learn pipeline whose "
            "predict takes a list of paths.",
        ],
    )


def _add_settings(report: Report, results: ClassificationResults) -> None:
    heading = "Settings"
    changed = {
        f"{stage}, {name}": value
        for stage, values in results.changed_settings.items()
        for name, value in values.items()
    }
    report.add_text(heading, f"Seed {results.random_state}. Other than the defaults:")
    report.add_settings(heading, changed or {"nothing": ""})
    for stage, values in results.settings.items():
        rest = {name: value for name, value in values.items() if name != "class"}
        report.add_text(heading, f"All of {values['class']} ({stage}):")
        report.add_settings(heading, rest)
    report.add_settings("Seconds", {k: round(v, 2) for k, v in results.seconds.items()})
    report.add_settings("Versions", results.versions)
