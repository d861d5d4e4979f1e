"""Audio feature extractors with a common interface."""

from skstrf.transforms.base import Axis
from skstrf.transforms.chroma import ChromaTransformer
from skstrf.transforms.cochleogram import CochleogramTransformer
from skstrf.transforms.gammatone import GammatoneTransformer
from skstrf.transforms.mel import MelTransformer
from skstrf.transforms.mfcc import MFCCTransformer
from skstrf.transforms.scattering import ScatteringTransformer
from skstrf.transforms.stft import STFTTransformer
from skstrf.transforms.streaming import StreamingSTRF
from skstrf.transforms.strf import STRFTransformer, long_axes, transform_blocks
from skstrf.transforms.wavelet import WaveletTransformer

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
    "StreamingSTRF",
    "WaveletTransformer",
    "long_axes",
    "transform_blocks",
]
