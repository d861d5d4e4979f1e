"""Sound to tensor: one transformer a file, all of one shape."""

from .axes import Axis
from .chroma import ChromaTransformer
from .cochleogram import CochleogramTransformer
from .gammatone import GammatoneTransformer
from .long import long_axes, transform_blocks
from .mel import MelTransformer
from .mfcc import MFCCTransformer
from .scattering import ScatteringTransformer
from .stft import STFTTransformer
from .strf import STRFTransformer
from .wavelet import WaveletTransformer

__all__ = [
    "Axis",
    "ChromaTransformer",
    "CochleogramTransformer",
    "GammatoneTransformer",
    "MFCCTransformer",
    "MelTransformer",
    "STFTTransformer",
    "STRFTransformer",
    "ScatteringTransformer",
    "WaveletTransformer",
    "long_axes",
    "transform_blocks",
]
