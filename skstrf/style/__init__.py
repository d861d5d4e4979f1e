"""Style transfer: the texture of one sound, the content of another.

:class:`StyleTransfer` is the estimator; the losses themselves are in :mod:`skstrf.texture`.
"""

from skstrf.style.fast import FastStyleTransfer
from skstrf.style.metrics import METRICS, StyleMetrics
from skstrf.style.sounds import log_stft
from skstrf.style.transfer import StyleTransfer

__all__ = ["METRICS", "FastStyleTransfer", "StyleMetrics", "StyleTransfer", "log_stft"]
