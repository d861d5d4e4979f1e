"""Style transfer: give a sound the texture of other sounds.

The losses are in :mod:`skstrf.texture`.
"""

from skstrf.style.domains import log_stft
from skstrf.style.fast import FastStyleTransfer
from skstrf.style.metrics import METRICS
from skstrf.style.quilting_transfer import QuiltingStyleTransfer
from skstrf.style.transfer import StyleTransfer

__all__ = ["METRICS", "FastStyleTransfer", "QuiltingStyleTransfer", "StyleTransfer", "log_stft"]
