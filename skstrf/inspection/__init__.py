"""What is shown: figures of tensors, reductions and trainings, and the report they go into."""

from .confusion import confusion_matrix_display
from .mpca import MPCADisplay
from .report import Report
from .strf import STRFDisplay
from .training import TrainingDisplay

__all__ = [
    "MPCADisplay",
    "Report",
    "STRFDisplay",
    "TrainingDisplay",
    "confusion_matrix_display",
]
