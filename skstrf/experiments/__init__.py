"""Whole experiments: a function for the pipeline, one for its search space, one that runs it."""

from skstrf.experiments._base import ClassificationResults
from skstrf.experiments.classification import (
    choose_duration,
    classification_search_space,
    make_classification_pipeline,
    make_separable_classifier,
    make_separable_pipeline,
    run_classification,
    write_classification_report,
)
from skstrf.experiments.comparison import (
    ChannelResults,
    ComparisonResults,
    compare_channels,
    genres_experiment,
    reduction_experiment,
    run_channels,
    run_comparison,
    write_channel_report,
    write_comparison_report,
)
from skstrf.experiments.search import SearchResults, run_search, write_search_report
from skstrf.experiments.stationarity import (
    StationarityResults,
    make_representations,
    run_stationarity,
    write_stationarity_report,
)
from skstrf.experiments.style import (
    StylePair,
    StyleResults,
    make_style_transfer,
    pair_files,
    run_style,
    transfer_file,
    write_style_report,
)
from skstrf.experiments.transfer_learning import (
    TransferResults,
    run_transfer,
    write_transfer_report,
)

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
