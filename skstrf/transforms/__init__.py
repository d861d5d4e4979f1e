"""Sound to tensor: one transformer a file, all of one shape."""

from .axes import Axis
from .strf import STRFTransformer

__all__ = ["Axis", "STRFTransformer"]
