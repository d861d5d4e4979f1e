"""Whole experiments: a function for the pipeline, one for its search space, one that runs it."""

from skstrf.experiments.classification import (
    choose_duration,
    classification_search_space,
    make_classification_pipeline,
    run_classification,
)
from skstrf.experiments.report import write_classification_report
from skstrf.experiments.results import ClassificationResults

__all__ = [
    "ClassificationResults",
    "choose_duration",
    "classification_search_space",
    "make_classification_pipeline",
    "run_classification",
    "write_classification_report",
]
