"""The experiments of the report by name: what each runs, and how it is reported."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from skstrf.experiments._evaluation import linear_classifier
from skstrf.experiments._splits import load_corpus
from skstrf.experiments.channels import run_channels
from skstrf.experiments.classification import choose_duration, make_classification_pipeline
from skstrf.experiments.comparison import (
    make_genre_comparison,
    make_reduction_comparison,
    run_comparison,
)
from skstrf.experiments.stationarity import run_stationarity
from skstrf.experiments.style import pair_files, run_style
from skstrf.experiments.transfer_learning import run_transfer

__all__ = ["EXPERIMENTS", "Experiment", "Options"]


@dataclass(frozen=True)
class Options:
    """What the user chose."""

    data: str
    source: str | None = None
    seed: int = 0
    n_seeds: int = 3
    folds: int = 5
    duration: float | None = None
    learner: str = "network"
    max_epochs: int | None = None
    rates: Any = None
    scales: Any = None
    sample_rate: int = 16000
    device: str = "auto"
    n_jobs: int | None = None
    on_error: str = "raise"
    verbose: bool = False

    def decisive(self) -> dict[str, Any]:
        """Give what the numbers depend on."""
        apart = ("device", "n_jobs", "verbose")
        return {name: value for name, value in asdict(self).items() if name not in apart}

    def corpus(self, directory: str | None = None) -> tuple[Any, str]:
        """List the sounds of a folder."""
        return load_corpus(
            directory or self.data,
            sample_rate=self.sample_rate,
            on_error=self.on_error,
            n_jobs=self.n_jobs,
        )

    def pipeline_options(self, files: Any) -> dict[str, Any]:
        """Give the arguments of `make_classification_pipeline`."""
        names = ("rates", "scales", "sample_rate", "device", "n_jobs", "on_error", "max_epochs")
        chosen = {name: getattr(self, name) for name in names}
        chosen["n_jobs"] = -1 if self.n_jobs is None else self.n_jobs
        duration = self.duration or choose_duration(files)
        return chosen | {"duration": duration, "random_state": self.seed}


class Experiment(NamedTuple):
    """One experiment: `run` takes options and a folder for finished parts and caches."""

    name: str
    description: str
    run: Callable[[Options, Path], tuple[Any, list[str]]]


def _labels(sounds: Any) -> np.ndarray:
    return np.array(sounds.target_names)[sounds.target]


def _compare(
    make: Callable[..., tuple[Any, Any]], options: Options, folder: Path, *, linear: bool
) -> tuple[Any, list[str]]:
    sounds, kind = options.corpus()
    pipeline, space = make(**options.pipeline_options(sounds.filenames))
    if linear:
        pipeline.set_params(cnn=linear_classifier())
    results = run_comparison(
        sounds.filenames,
        _labels(sounds),
        pipeline,
        space,
        groups=sounds.groups,
        split=sounds.split,
        cv=options.folds,
        n_seeds=options.n_seeds,
        memory=folder / "cache",
        checkpoint_dir=folder / "parts",
        random_state=options.seed,
        folder=folder,
        verbose=options.verbose,
    )
    results.skipped = [*sounds.skipped, *results.skipped]
    return results, [f"The data: {kind}."]


def _reduction(options: Options, folder: Path) -> tuple[Any, list[str]]:
    return _compare(make_reduction_comparison, options, folder, linear=options.learner == "linear")


def _genres(options: Options, folder: Path) -> tuple[Any, list[str]]:
    return _compare(make_genre_comparison, options, folder, linear=False)


def _channels(options: Options, folder: Path) -> tuple[Any, list[str]]:
    sounds, kind = options.corpus()
    pipeline = make_classification_pipeline(**options.pipeline_options(sounds.filenames))
    if options.learner == "linear":
        pipeline.set_params(cnn=linear_classifier())
    results = run_channels(
        sounds.filenames,
        _labels(sounds),
        groups=sounds.groups,
        split=sounds.split,
        cv=options.folds,
        pipeline=pipeline,
        n_seeds=options.n_seeds,
        memory=str(folder / "cache"),
        n_jobs=options.n_jobs,
        random_state=options.seed,
        folder=folder,
        verbose=options.verbose,
    )
    results.skipped = [*sounds.skipped, *results.skipped]
    return results, [f"The data: {kind}."]


def _stationarity(options: Options, folder: Path) -> tuple[Any, list[str]]:
    from skstrf.datasets import find_audio_files

    files = find_audio_files(options.data)
    if not files:
        raise ValueError(f"{options.data} holds no sound files, nor do its sub-folders.")
    results = run_stationarity(
        files,
        duration=options.duration,
        sample_rate=options.sample_rate,
        on_error=options.on_error,
        n_jobs=options.n_jobs,
        random_state=options.seed,
        verbose=options.verbose,
    )
    return results, []


def _transfer(options: Options, folder: Path) -> tuple[Any, list[str]]:
    if options.source is None:
        raise ValueError("transfer needs two folders: name the one to learn from with --source.")
    (source, a), (target, b) = (options.corpus(d) for d in (options.source, options.data))
    results = run_transfer(
        source,
        target,
        pipeline=make_classification_pipeline(**options.pipeline_options(target.filenames)),
        n_seeds=options.n_seeds,
        memory=folder / "cache",
        checkpoint_dir=folder / "parts",
        random_state=options.seed,
        folder=folder,
        verbose=options.verbose,
    )
    results.skipped = [*source.skipped, *target.skipped, *results.skipped]
    return results, [f"Source: {a}. Target: {b}."]


def _style(options: Options, folder: Path) -> tuple[Any, list[str]]:
    from skstrf.datasets import find_audio_files

    contents = find_audio_files(options.data)
    styles = None if options.source is None else find_audio_files(options.source)
    results = run_style(
        pair_files(contents, styles),
        duration=options.duration or 5.0,
        sample_rate=options.sample_rate,
        checkpoint_dir=folder / "parts",
        on_error=options.on_error,
        random_state=options.seed,
        device=options.device,
    )
    return results, []


EXPERIMENTS = {
    one.name: one
    for one in (
        Experiment(
            "stationarity",
            "how stationary nine representations are, along time, frequency and in the plane",
            _stationarity,
        ),
        Experiment(
            "channels",
            "what every (scale, rate) channel tells alone, and the best ones together",
            _channels,
        ),
        Experiment(
            "reduction",
            "MPCA at several shares against none, selected channels and PCA",
            _reduction,
        ),
        Experiment(
            "genres",
            "the report's network, the library's and logistic regression (GTZAN, Million Song)",
            _genres,
        ),
        Experiment(
            "transfer",
            "from a network for other sounds, with 5 to 100 % of the labels (needs --source)",
            _transfer,
        ),
        Experiment(
            "style",
            "the texture of one sound, the content of another, by two networks (see --source)",
            _style,
        ),
    )
}
