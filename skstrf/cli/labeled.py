"""Experiments on folders of labeled sounds: loading, running, writing and printing."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from skstrf.cli.options import check_report, n_threads, parse_filters
from skstrf.cli.outputs import output_folder, print_results, write_results

__all__ = ["cache_folder", "describe_duration", "pipeline_options", "run_labeled"]


def run_labeled(
    args: argparse.Namespace,
    experiment: Callable[..., Any],
    title: str,
    make: Callable[..., dict[str, Any]] | None = None,
    *,
    cv: int = 5,
    resumes: bool = False,
    **options: Any,
) -> int:
    """Run an experiment on the labeled sounds of a folder; write and print its results.

    `make` gets the options of the classification pipeline and returns the arguments of
    `experiment` that depend on them; None makes the pipeline alone. --learner linear replaces
    its network.
    """
    from skstrf.datasets.corpora import load_corpus
    from skstrf.experiments._evaluation import linear_classifier
    from skstrf.experiments.classification import (
        choose_duration,
        make_classification_pipeline,
    )

    check_report()
    notes: list[str] = []
    sounds, kind = load_corpus(
        args.directory,
        kind=args.corpus,
        metadata=args.metadata,
        sample_rate=args.sample_rate,
        on_error=args.on_error,
        n_jobs=n_threads(args.n_jobs),
    )
    if kind != "folder":
        notes.append(f"Data set: {kind}.")
    if args.folds is not None and sounds.split is not None:
        notes.append(_ignore_split(sounds))
    cache = cache_folder(args) if resumes else None
    if cache is not None:
        options |= {"memory": cache, "checkpoint_dir": cache / "parts"}
    with output_folder(args.output, cache) as folder:
        duration = args.duration or choose_duration(sounds.filenames)
        notes.append(describe_duration(args, duration))
        settings = pipeline_options(args, duration)
        made = make(**settings) if make else {"pipeline": make_classification_pipeline(**settings)}
        if getattr(args, "learner", None) == "linear":
            made["pipeline"].set_params(cnn=linear_classifier())
        results = experiment(
            sounds.filenames,
            np.array(sounds.target_names)[sounds.target],
            groups=sounds.groups,
            split=sounds.split,
            cv=args.folds or cv,
            random_state=args.seed,
            folder=folder,
            verbose=sys.stderr.isatty(),
            **made,
            **options,
        )
        results.skipped = [*sounds.skipped, *results.skipped]
        title = f"{title} {Path(args.directory).resolve().name}"
        write_results(results, folder, args.output, title=title, notes=notes)
    print_results(results, args.output)
    return 0


def _ignore_split(sounds: Any) -> str:
    """Remove the split, and the sounds of further test sets, for cross-validation."""
    from skstrf.experiments._splits import split_roles

    usual = np.isin(split_roles(sounds.split), ["train", "valid", "test", ""])
    sounds.split = None
    for name in ("filenames", "target", "groups"):
        if sounds[name] is not None:
            sounds[name] = sounds[name][usual]
    return (
        f"The splits were ignored for cross-validation; {np.sum(~usual)} sounds of other "
        "splits than train, valid and test were left out."
    )


def cache_folder(args: argparse.Namespace) -> Path:
    """Return the folder that an interrupted run resumes from."""
    return Path(args.cache or Path(args.output) / "cache")


def describe_duration(args: argparse.Namespace, duration: float) -> str:
    """Describe the duration of the clips and how it was chosen, for the report."""
    how = "as requested" if args.duration else "the median length of the files, at most 30 s"
    return f"Sounds were cropped or padded to {duration:g} s ({how})."


def pipeline_options(args: argparse.Namespace, duration: float) -> dict[str, Any]:
    """Return the arguments of `make_classification_pipeline` that the options describe."""
    options = {
        "sample_rate": args.sample_rate,
        "duration": duration,
        "rates": parse_filters(args.rates, "--rates"),
        "scales": parse_filters(args.scales, "--scales"),
        "max_epochs": args.max_epochs,
        "device": args.device,
        "n_jobs": n_threads(args.n_jobs),
        "on_error": args.on_error,
        "random_state": args.seed,
    }
    if hasattr(args, "mpca"):
        options["n_components"] = args.mpca
    if getattr(args, "causal", False):
        options["causal"] = True
    return options
