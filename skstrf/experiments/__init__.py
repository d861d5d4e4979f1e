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
from skstrf.experiments.report import write_classification_report
from skstrf.experiments.results import ClassificationResults
from skstrf.experiments.search import run_search
from skstrf.experiments.search_report import write_search_report
from skstrf.experiments.search_results import SearchResults
from skstrf.experiments.stationarity import make_representations, run_stationarity
from skstrf.experiments.stationarity_report import write_stationarity_report
from skstrf.experiments.stationarity_results import StationarityResults
from skstrf.experiments.transfer import run_transfer
from skstrf.experiments.transfer_report import write_transfer_report
from skstrf.experiments.transfer_results import TransferResults

__all__ = [
    "ChannelResults",
    "ClassificationResults",
    "SearchResults",
    "StationarityResults",
    "TransferResults",
    "choose_duration",
    "classification_search_space",
    "compare_channels",
    "make_classification_pipeline",
    "make_representations",
    "run_channels",
    "run_classification",
    "run_search",
    "run_stationarity",
    "run_transfer",
    "write_channel_report",
    "write_classification_report",
    "write_search_report",
    "write_stationarity_report",
    "write_transfer_report",
]
