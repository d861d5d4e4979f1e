"""Classification of sound files: pipeline, search space, evaluation and report."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from skstrf.caching.files import temporary_folder
from skstrf.caching.results import to_jsonable
from skstrf.datasets import AudioLoader, AudioReadError, audio_info
from skstrf.decomposition import MPCA
from skstrf.experiments._base import (
    Results,
    add_scores,
    add_usage,
    chance_level,
    changed_settings,
    fold_scores,
    format_score,
    mean_std,
    score_set,
    settings,
)
from skstrf.experiments._evaluation import (
    MAX_BYTES,
    FittedTail,
    Sounds,
    Stopwatch,
    check_parameters,
    divide_pipeline,
    fit_tail,
    linear_classifier,
    progress,
    transform_rows,
)
from skstrf.experiments._splits import Fold, Plan, held_back_share
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
from skstrf.utils.cluster import WorkerDied, current_client, run_on_cluster

__all__ = [
    "ClassificationResults",
    "check_pipeline",
    "choose_duration",
    "classification_search_space",
    "make_classification_pipeline",
    "make_separable_classifier",
    "make_separable_pipeline",
    "run_classification",
]

logger = logging.getLogger("skstrf")

# Longest default duration in seconds: that of the clips of GTZAN.
LONGEST = 30.0
# Layers for tensors with one frame a second: small filters, and strides and pools along frequency.
SEPARABLE_LAYERS = {
    "kernel_sizes": (3, 3, 3, 3),
    "strides": ((1, 1), (2, 1), (2, 1), (2, 1)),
    "pool_size": ((3, 1),) * 4,
}
# Largest step of the frames of pictures in the report, in frames of the auditory spectrogram.
PICTURE_STEP = 8
# Seconds of each clip that the report plays; it holds them uncompressed.
LONGEST_PLAYED = 10.0


@dataclass(kw_only=True)
class ClassificationResults(Results):
    """Scores of a classification experiment, and the model fitted for use."""

    model: Any  # takes paths; fitted on all sounds, or on the train split
    evaluation: str  # description of the division into training and test parts
    is_held_out: bool
    classes: list[Any]  # in the order of all rows and columns
    class_counts: list[int]
    # "mean", "std" over folds (None for one fold) and "values". Chance is the accuracy of
    # predicting the most frequent class of the training part.
    accuracy: dict[str, Any]
    balanced_accuracy: dict[str, Any]
    chance: dict[str, Any]
    # Metrics of all test sounds together: "accuracy", "interval", "per_class", ...
    scores: dict[str, Any]
    baseline: dict[str, Any] | None  # logistic regression on the features of the network
    extra: dict[str, dict[str, Any]]  # metrics of further test sets by name
    folds: list[dict[str, Any]]  # sizes, scores and training history
    final: dict[str, Any]  # sizes, training history and reduction of the model
    predictions: list[dict[str, Any]]  # one for each test sound
    changed_settings: dict[str, dict[str, Any]]  # those that differ from the defaults

    _title = "Classification of sounds"

    def summary(self) -> str:
        """Return the accuracy, with its spread and the chance level, as one line."""
        return (
            f"accuracy {format_score(self.accuracy, self.scores)} "
            f"({self.evaluation}, {self.scores['n_sounds']} sounds, {len(self.classes)} classes; "
            f"chance {self.chance['mean']:.3f})"
        )

    def _subtitle(self) -> str:
        return self.summary()

    def _add_results(
        self,
        report: Report,
        notes: list[str],
        *,
        model_file: str = "model.skops",
        n_clips: int = 4,
    ) -> None:
        _add_scores(report, self, notes)
        _add_confusions(report, self)
        _add_clips(report, self, n_clips)
        _add_reduction(report, self)
        _add_training(report, self)
        add_usage(report, model_file)

    def _add_settings(self, report: Report, **more: Any) -> None:
        heading = "Settings"
        changed = {
            f"{stage}, {name}": value
            for stage, values in self.changed_settings.items()
            for name, value in values.items()
        }
        report.add_text(heading, f"Seed {self.random_state}. Other than the defaults:")
        report.add_settings(heading, changed or {"nothing": ""})
        for stage, values in self.settings.items():
            rest = {name: value for name, value in values.items() if name != "class"}
            report.add_text(heading, f"All of {values['class']} ({stage}):")
            report.add_settings(heading, rest)


def make_classification_pipeline(
    *,
    sample_rate: int = 16000,
    duration: float | None = None,
    rates: Sequence[float] | str | None = None,
    scales: Sequence[float] | str | None = None,
    causal: bool = False,
    n_components: float | int | tuple[int, ...] = 0.95,
    max_epochs: int | None = None,
    device: str = "auto",
    n_jobs: int | None = None,
    on_error: str = "raise",
    random_state: int | None = 0,
) -> Pipeline:
    """Make the pipeline from sound files over STRF tensors and multilinear PCA to a network.

    Parameters
    ----------
    sample_rate : int, default=16000
        Sampling rate in Hz to which sounds are resampled.
    duration : float or None, default=None
        Duration in seconds to which sounds are cropped or padded. None uses the longest one.
    rates, scales : sequence of float, str or None, default=None
        Rates in Hz and scales in cycles/octave of `STRFTransformer`, or the name of its preset.
        None uses its defaults.
    causal : bool, default=False
        Whether the tensors depend on earlier sound only, so that the model can run live.
    n_components : float, int or tuple of int, default=0.95
        Parameter of `MPCA`: the share of the variance to keep in each mode, or the ranks.
    max_epochs : int or None, default=None
        Largest number of epochs of `CNNClassifier`. None uses its default.
    device : str, default="auto"
        Device of torch: "auto", "cpu" or "cuda".
    n_jobs : int or None, default=None
        Number of threads that read and transform sounds. None means 1.
    on_error : {"raise", "warn"}, default="raise"
        Whether to raise an error for unreadable files or to leave them out with a warning.
    random_state : int or None, default=0
        Seed of the network.

    Returns
    -------
    Pipeline
        Pipeline with the steps loader, strf, scaler (a place for a `TensorScaler`, empty by
        default), mpca and cnn. Its input are paths of sound files.

    Examples
    --------
    >>> from skstrf.experiments import make_classification_pipeline
    >>> list(make_classification_pipeline(duration=5.0).named_steps)
    ['loader', 'strf', 'scaler', 'mpca', 'cnn']
    """
    chosen = {"rates": rates, "scales": scales}
    bank: dict[str, Any] = {name: v for name, v in chosen.items() if v is not None}
    epochs: dict[str, Any] = {} if max_epochs is None else {"max_epochs": max_epochs}
    sounds: dict[str, Any] = {"sample_rate": sample_rate, "n_jobs": n_jobs}
    steps = {
        "loader": AudioLoader(**sounds, duration=duration, on_error=on_error),
        "strf": STRFTransformer(**sounds, causal=causal, device=device, **bank),
        "scaler": "passthrough",
        "mpca": MPCA(n_components),
        "cnn": CNNClassifier(device=device, random_state=random_state, **epochs),
    }
    return Pipeline(list(steps.items()))


def classification_search_space() -> dict[str, list[Any]]:
    """Return values to search for the parameters of `make_classification_pipeline`."""
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


def make_separable_classifier(**options: Any) -> CNNClassifier:
    """Make a CNNClassifier of separable filters and attention for STRF tensors."""
    return CNNClassifier(SeparableNetwork(**SEPARABLE_LAYERS)).set_params(**options)


def make_separable_pipeline(
    *, n_networks: int = 3, random_state: int = 0, sample_rate: int = 16000, **options: Any
) -> Pipeline:
    """Make the pipeline from sounds over STRF tensors to averaged networks of separable filters.

    The tensors have contrast and envelope, and the probabilities of the networks are averaged.
    Inside :class:`skstrf.AugmentedClassifier`, with ``max_epochs=12``, it has the highest measured
    accuracy on instruments of other sample libraries, see the results of classification.

    Parameters
    ----------
    n_networks : int, default=3
        Number of networks to average.
    random_state : int, default=0
        Seed of the first network; the others have the following seeds.
    sample_rate : int, default=16000
        Sampling rate of the input sounds in Hz.
    **options : dict
        Parameters of :func:`make_separable_classifier`.

    Returns
    -------
    Pipeline
        Pipeline with the steps strf, contrast and network. Its input are sounds of shape
        (n_sounds, n_times).

    Raises
    ------
    ValueError
        If `n_networks` is less than 1.

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


def choose_duration(filenames: Sequence[str], *, longest: float = LONGEST) -> float:
    """Return a common duration in seconds: the median of the files, at most `longest`."""
    lengths = []
    for path in filenames:
        try:
            lengths.append(audio_info(path).duration)
        except AudioReadError:
            continue
    if not lengths:
        raise ValueError(f"None of the {len(filenames)} sound files can be read.")
    return max(0.01, round(min(float(np.median(lengths)), longest), 2))


def check_pipeline(pipeline: Pipeline | None, sounds: Sounds, random_state: int) -> Pipeline:
    """Check a pipeline, or make the default one for the sounds."""
    if pipeline is None:
        pipeline = make_classification_pipeline(
            duration=choose_duration(sounds.files), random_state=random_state
        )
    check_parameters(pipeline)
    return pipeline


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

    Tensors are computed once. All stages that learn from them (scaling, MPCA, network) are fitted
    on the training part of every fold, so that they never see a test sound.

    Parameters
    ----------
    filenames : sequence of str or Path
        Paths of the sound files.
    y : array-like of shape (n_sounds,)
        Classes of the sounds.
    groups : array-like of shape (n_sounds,) or None, default=None
        Groups of the sounds, such as artists or recordings. Sounds of one group are never on both
        sides of a fold, nor of the division for early stopping.
    split : array-like of shape (n_sounds,), str, or None, default=None
        Splits of the sounds for a held-out evaluation instead of cross-validation: the pipeline
        is fitted on "train", stopped by "valid" if there is such a split, and tested on "test".
        All other names are further test sets, which are scored separately.
    cv : int or splitter, default=5
        Number of folds of the cross-validation, or a splitter of scikit-learn.
    pipeline : Pipeline or None, default=None
        Pipeline from an `AudioLoader` to a classifier. None uses `make_classification_pipeline`
        with the median duration of the files, at most 30 s.
    random_state : int, default=0
        Seed of the folds, and of the classifier if its own `random_state` is None.
    baseline : bool, default=True
        Whether to evaluate logistic regression on the features of the network.
    folder : str, Path or None, default=None
        Folder for temporary files with tensors of more than `max_bytes`. None uses the temporary
        folder of the system.
    max_bytes : int, default=2**30
        Largest size of the tensors that are kept in memory, in bytes.
    verbose : bool, default=False
        Whether to show progress bars.

    Returns
    -------
    ClassificationResults
        Scores, training histories, settings and the fitted model.

    Raises
    ------
    ValueError
        If the arguments do not fit each other, a class has a single sound, or a parameter of the
        pipeline is invalid.
    AudioReadError
        If a file cannot be read, unless the loader has ``on_error="warn"``.

    Warns
    -----
    UserWarning
        If files are left out, or fewer folds than `cv` are possible.

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
    pipeline = check_pipeline(pipeline, sounds, random_state)
    head, tail = divide_pipeline(pipeline)
    if getattr(tail[-1], "random_state", 0) is None:
        tail[-1].set_params(random_state=random_state)
    plan = sounds.plan(cv, random_state, held_back_share(tail[-1]))
    watch = Stopwatch()
    with temporary_folder(folder) as place:
        with watch("tensors"):
            X, sounds, skipped = sounds.tensors(head, place, max_bytes, verbose)
        if skipped:
            plan = sounds.plan(cv, random_state, held_back_share(tail[-1]))
        evaluation = _evaluate(tail, X, sounds.y, plan, baseline, watch, verbose)
        shape = X.shape[1:]
        del X  # some systems cannot delete a file that is open
    model = Pipeline([*head.steps, *evaluation.final.steps])
    results = _summarize(sounds, plan, evaluation)
    return ClassificationResults(
        **results,
        model=model,
        final=_describe_model(model, plan, shape),
        settings=settings(model),
        changed_settings=changed_settings(model),
        random_state=random_state,
        skipped=skipped,
        seconds=dict(watch),
    )


# Evaluation on the folds


class _Evaluation(NamedTuple):
    """Results of all folds."""

    folds: list[dict[str, Any]]  # sizes, scores and histories
    # By test set and row the predicted class, its probability and the number of the fold.
    predicted: dict[str, dict[int, Any]]
    baselines: dict[str, float]  # of further test sets
    final: FittedTail  # fitted for use


# The number of a fold and its division. Without a number the stages are only fitted, for use.
_Task = tuple[int | None, Fold]


class _Done(NamedTuple):
    """Results of one division, by test set as in `_Evaluation`."""

    fitted: FittedTail | None
    predicted: dict[str, dict[int, Any]]
    baselines: dict[str, float]
    scores: dict[str, Any]
    seconds: Stopwatch


def _evaluate(
    tail: Pipeline,
    X: np.ndarray,
    y: np.ndarray,
    plan: Plan,
    baseline: bool,
    watch: Stopwatch,
    verbose: bool,
) -> _Evaluation:
    """Fit and test on every fold, then fit for use."""
    found = _Evaluation([], {}, {}, None)  # type: ignore[arg-type]
    fitted: FittedTail | None = None
    options = (tail, X, y, plan, baseline, verbose)
    tasks: list[_Task] = [*enumerate(plan.folds)]
    if not plan.is_held_out:
        tasks.append((None, plan.final))
    # Tensors that are too large for the memory of this machine are too large for the workers.
    outcomes: Iterator[tuple[_Task, Any]]
    if current_client() is None or isinstance(X, np.memmap):
        outcomes = ((task, _do(task, *options)) for task in tasks)
    else:
        outcomes = run_on_cluster(_do, tasks, *options)
    is_shown = verbose and len(plan.folds) > 1
    for (number, fold), done in progress(outcomes, "Folds", is_shown, total=len(tasks)):
        if isinstance(done, WorkerDied):
            raise OSError(f"Fitting on {len(fold.train)} sounds {done.reason}.")
        fitted = done.fitted
        for name, seconds in done.seconds.items():
            watch[name] = watch.get(name, 0.0) + seconds
        if number is None:
            continue
        for name, rows in done.predicted.items():
            found.predicted.setdefault(name, {}).update(rows)
        found.baselines.update(done.baselines)
        sizes = {"n_train": len(fold.train), "n_valid": len(fold.valid), "n_test": len(fold.test)}
        found.folds.append(sizes | done.scores)
        accuracy = done.scores["accuracy"]
        logger.info("fold %d of %d: accuracy %.3f", number + 1, len(plan.folds), accuracy)
    assert fitted is not None
    return found._replace(final=fitted)


def _do(
    task: _Task,
    tail: Pipeline,
    X: np.ndarray,
    y: np.ndarray,
    plan: Plan,
    baseline: bool,
    verbose: bool,
) -> _Done:
    """Fit on one division, and test on its test part and on further test sets."""
    number, fold = task
    predicted: dict[str, dict[int, Any]] = {}
    watch, baselines = Stopwatch(), {}
    fitted = fit_tail(tail, X, y, fold, watch, verbose)
    if number is None:
        return _Done(fitted, {}, {}, {}, watch)
    classifier = fitted.classifier
    if baseline:
        with watch("baseline"):
            linear = linear_classifier().fit(fitted.features, y[fold.train])
    for name, test in {"test": fold.test, **plan.extra}.items():
        with watch("prediction"):
            features = transform_rows(fitted.reduction, X, test)
            proba = classifier.predict_proba(features)
        labels = classifier.classes_[proba.argmax(axis=1)]
        of_fold = number if name == "test" else None
        predicted[name] = {
            int(row): (label, float(probability), of_fold)
            for row, label, probability in zip(test, labels, proba.max(axis=1), strict=True)
        }
        if baseline:
            with watch("baseline"):
                baselines[name] = float(linear.score(features, y[test]))
    guessed = np.array([predicted["test"][row][0] for row in fold.test])
    scores = fold_scores(y[fold.test], guessed, y[fold.train]) | _describe_training(classifier)
    if baseline:
        scores["baseline_accuracy"] = baselines.pop("test")
    # Only the stages for use are needed; those of the folds would stay in memory.
    return _Done(fitted if plan.is_held_out else None, predicted, baselines, scores, watch)


def _describe_training(classifier: Any) -> dict[str, Any]:
    """Return training history, best epoch and device of a classifier that has them."""
    names = {"history": "history_", "n_epochs_to_best": "n_epochs_to_best_", "device": "device_"}
    return {key: getattr(classifier, n) for key, n in names.items() if hasattr(classifier, n)}


def _describe_model(model: Pipeline, plan: Plan, shape: tuple[int, ...]) -> dict[str, Any]:
    """Return sizes, axes, reduction and training of the fitted model."""
    found: dict[str, Any] = {
        "n_train": len(plan.final.train),
        "n_valid": len(plan.final.valid),
    }
    found |= {"tensor_shape": list(shape)} | _describe_training(model[-1])
    for _, step in model.steps:
        if hasattr(step, "axes_"):
            found["axes"] = [
                {"name": axis.name, "unit": axis.unit, "values": to_jsonable(axis.values)}
                for axis in step.axes_
            ]
        if hasattr(step, "mode_explained_variance_ratio_"):
            names = ("output_shape", "mode_explained_variance_ratio", "explained_variance_ratio")
            found["reduction"] = {n: to_jsonable(getattr(step, f"{n}_")) for n in names}
    return found


def _summarize(sounds: Sounds, plan: Plan, evaluation: _Evaluation) -> dict[str, Any]:
    """Return the fields of the results that describe sounds and scores."""
    y, folds, predicted = sounds.y, evaluation.folds, evaluation.predicted
    classes = np.unique(y)
    counts = Counter(y.tolist())
    scores = {}
    for name, rows in predicted.items():
        if name == "test":
            chance = float(np.mean([fold["chance"] for fold in folds]))
        else:
            chance = chance_level(y[plan.final.train], y[list(rows)])
        labels = np.array([label for label, _, _ in rows.values()])
        scores[name] = score_set(y[list(rows)], labels, classes, chance)
    for name, accuracy in evaluation.baselines.items():
        scores[name]["baseline_accuracy"] = accuracy
    baselines = [fold["baseline_accuracy"] for fold in folds if "baseline_accuracy" in fold]
    means = ("accuracy", "balanced_accuracy", "chance")
    return {
        "evaluation": plan.description,
        "is_held_out": plan.is_held_out,
        "classes": classes.tolist(),
        "class_counts": [counts[name] for name in classes.tolist()],
        **{name: mean_std([fold[name] for fold in folds]) for name in means},
        "scores": scores.pop("test"),
        "extra": scores,
        "baseline": mean_std(baselines) if baselines else None,
        "folds": folds,
        "predictions": [
            {
                "file": sounds.files[row],
                "class": to_jsonable(y[row]),
                "predicted": to_jsonable(label),
                "probability": probability,
                "set": name,
                "fold": number,
            }
            for name, rows in predicted.items()
            for row, (label, probability, number) in sorted(rows.items())
        ],
    }


# Report


def _add_scores(report: Report, results: ClassificationResults, notes: list[str]) -> None:
    text = [
        f"Accuracy {format_score(results.accuracy, results.scores)}; predicting the most frequent "
        f"class gives {results.chance['mean']:.3f}. Evaluation: {results.evaluation}. Stages that "
        "learn from data (scaling, MPCA, network) never saw the test sounds.",
        f"The saved model was fitted on {results.final['n_train']} sounds.",
        *notes,
    ]
    report.add_text("Result", text)
    test, note = results.scores, ""
    if results.baseline:
        test = test | {"baseline_accuracy": results.baseline["mean"]}
        note = "Logistic regression: its accuracy on the features of the network."
    add_scores(report, "Result", {"test": test, **results.extra}, note=note)
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
            caption=f"Confusion matrix ({set_name}, {scores['n_sounds']} sounds)",
        )
        columns = ["class", "precision", "recall", "F1", "sounds"]
        table = _by_class(scores)
        report.add_table("Confusions", columns, table, caption=f"By class ({set_name})")


def _by_class(scores: dict[str, Any]) -> list[list[Any]]:
    """Return the rows of the table by class; undefined shares, divided by zero, are None."""
    n_predicted = np.sum(scores["confusion_matrix"], axis=0)
    return [
        [
            str(row["class"]),
            row["precision"] if n else None,
            row["recall"] if row["support"] else None,
            row["f1"] if row["support"] else None,
            row["support"],
        ]
        for row, n in zip(scores["per_class"], n_predicted, strict=True)
    ]


def _add_clips(report: Report, results: ClassificationResults, n_clips: int) -> None:
    """Play and draw one test sound of each of some classes."""
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
            # Frames of the classifier may last a second; shorter ones show more.
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
        caption=f"MPCA reduces tensors of {before} to {after}.",
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
