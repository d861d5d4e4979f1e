"""Experiments on sound files: classification, search, comparison, transfer, stationarity, style.

Each experiment is a function that returns results with ``summary``, ``to_dict``, ``write_json``
and ``to_report``.
"""

from skstrf.experiments.channels import ChannelResults, run_channels
from skstrf.experiments.classification import (
    ClassificationResults,
    classification_search_space,
    make_classification_pipeline,
    make_separable_classifier,
    make_separable_pipeline,
    run_classification,
)
from skstrf.experiments.comparison import (
    ComparisonResults,
    make_genre_comparison,
    make_reduction_comparison,
    make_representation_comparison,
    run_comparison,
)
from skstrf.experiments.search import SearchResults, run_search
from skstrf.experiments.stationarity import (
    StationarityResults,
    make_representations,
    run_stationarity,
)
from skstrf.experiments.style import StyleResults, make_style_transfer, run_style
from skstrf.experiments.transfer_learning import TransferResults, run_transfer

__all__ = [
    "ChannelResults",
    "ClassificationResults",
    "ComparisonResults",
    "SearchResults",
    "StationarityResults",
    "StyleResults",
    "TransferResults",
    "classification_search_space",
    "make_classification_pipeline",
    "make_genre_comparison",
    "make_reduction_comparison",
    "make_representation_comparison",
    "make_representations",
    "make_separable_classifier",
    "make_separable_pipeline",
    "make_style_transfer",
    "run_channels",
    "run_classification",
    "run_comparison",
    "run_search",
    "run_stationarity",
    "run_style",
    "run_transfer",
]
