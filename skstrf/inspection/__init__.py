"""Displays of tensors and results, sonification, and HTML reports."""

from skstrf.inspection.channels import ChannelScoreDisplay
from skstrf.inspection.comparison import ComparisonDisplay
from skstrf.inspection.components import ComponentsDisplay
from skstrf.inspection.confusion import ConfusionDisplay
from skstrf.inspection.mpca import MPCADisplay
from skstrf.inspection.receptive_fields import ReceptiveFieldDisplay
from skstrf.inspection.reconstruction import ReconstructionDisplay
from skstrf.inspection.report import Report
from skstrf.inspection.sonify import sonify
from skstrf.inspection.stationarity import StationarityDisplay
from skstrf.inspection.strf import STRFDisplay
from skstrf.inspection.study import StudyDisplay
from skstrf.inspection.style import StyleTransferDisplay
from skstrf.inspection.training import TrainingDisplay
from skstrf.inspection.transfer_learning import TransferDisplay

__all__ = [
    "ChannelScoreDisplay",
    "ComparisonDisplay",
    "ComponentsDisplay",
    "ConfusionDisplay",
    "MPCADisplay",
    "ReceptiveFieldDisplay",
    "ReconstructionDisplay",
    "Report",
    "STRFDisplay",
    "StationarityDisplay",
    "StudyDisplay",
    "StyleTransferDisplay",
    "TrainingDisplay",
    "TransferDisplay",
    "sonify",
]
