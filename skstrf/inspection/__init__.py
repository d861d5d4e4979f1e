"""What is shown: figures of tensors, reductions and trainings, and the report they go into."""

from .channels import ChannelScoreDisplay
from .comparison import ComparisonDisplay
from .confusion import confusion_matrix_display
from .mpca import MPCADisplay
from .receptive_fields import ReceptiveFieldDisplay
from .reconstruction import ReconstructionDisplay
from .report import Report
from .sonify import sonify
from .stationarity import StationarityDisplay
from .strf import STRFDisplay
from .study import StudyDisplay
from .style import StyleTransferDisplay
from .training import TrainingDisplay
from .transfer import TransferDisplay

__all__ = [
    "ChannelScoreDisplay",
    "ComparisonDisplay",
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
    "confusion_matrix_display",
    "sonify",
]
