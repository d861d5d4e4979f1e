"""Style transfer: the texture of one sound, the content of another.

:class:`StyleTransfer` is the estimator; the losses themselves are in :mod:`skstrf.texture`.
"""

from .fast import FastStyleTransfer
from .representation import log_stft
from .scores import MEASURES, Judge
from .transfer import StyleTransfer

__all__ = ["MEASURES", "FastStyleTransfer", "Judge", "StyleTransfer", "log_stft"]
