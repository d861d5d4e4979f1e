"""Whole experiments: a function for the pipeline, one for its search space, one that runs it."""

from skstrf.experiments.channel_report import write_channel_report
from skstrf.experiments.channel_results import ChannelResults
from skstrf.experiments.channels import compare_channels, run_channels
from skstrf.experiments.classification import (
    choose_duration,
    classification_search_space,
    make_classification_pipeline,
    run_classification,
)
from skstrf.experiments.comparison import run_comparison
from skstrf.experiments.comparison_report import write_comparison_report
from skstrf.experiments.comparison_results import ComparisonResults
from skstrf.experiments.genres import genres_experiment
from skstrf.experiments.reduction import reduction_experiment
from skstrf.experiments.report import write_classification_report
from skstrf.experiments.results import ClassificationResults
from skstrf.experiments.search import run_search
from skstrf.experiments.search_report import write_search_report
from skstrf.experiments.search_results import SearchResults
from skstrf.experiments.separable import make_separable_classifier, make_separable_pipeline
from skstrf.experiments.stationarity import make_representations, run_stationarity
from skstrf.experiments.stationarity_report import write_stationarity_report
from skstrf.experiments.stationarity_results import StationarityResults
from skstrf.experiments.style import (
    make_style_transfer,
    pair_files,
    run_style,
    transfer_file,
)
from skstrf.experiments.style_report import write_style_report
from skstrf.experiments.style_results import StylePair, StyleResults
from skstrf.experiments.transfer import run_transfer
from skstrf.experiments.transfer_report import write_transfer_report
from skstrf.experiments.transfer_results import TransferResults

__all__ = [
    "ChannelResults",
    "ClassificationResults",
    "ComparisonResults",
    "SearchResults",
    "StationarityResults",
    "StylePair",
    "StyleResults",
    "TransferResults",
    "choose_duration",
    "classification_search_space",
    "compare_channels",
    "genres_experiment",
    "make_classification_pipeline",
    "make_representations",
    "make_separable_classifier",
    "make_separable_pipeline",
    "make_style_transfer",
    "pair_files",
    "reduction_experiment",
    "run_channels",
    "run_classification",
    "run_comparison",
    "run_search",
    "run_stationarity",
    "run_style",
    "run_transfer",
    "transfer_file",
    "write_channel_report",
    "write_classification_report",
    "write_comparison_report",
    "write_search_report",
    "write_stationarity_report",
    "write_style_report",
    "write_transfer_report",
]
