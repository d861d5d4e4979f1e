"""Spectro-temporal receptive fields, multilinear PCA and networks for sound, as estimators.

``from skstrf import STRFTransformer, MPCA, CNNClassifier`` is all most experiments need.
Names are loaded when first used, so that ``import skstrf`` stays light.
"""

from __future__ import annotations

import lazy_loader as _lazy

from ._version import __version__

_attributes = {
    "augmented": ["AugmentedClassifier"],
    "channels": ["ChannelSelector", "channel_scores"],
    "datasets": [
        "AudioLoader",
        "fetch_gtzan",
        "load_audio_folder",
        "load_gtzan",
        "load_instruments",
        "load_million_song_genres",
        "make_ripple_genres",
    ],
    "decomposition": ["MPCA"],
    "neural": ["CNNClassifier"],
    "contrast": ["LogContrast"],
    "pipeline": ["CachedPipeline"],
    "preprocessing": ["TensorScaler"],
    "stationarity": ["StationarityScorer"],
    "style": ["FastStyleTransfer", "StyleTransfer"],
    "transforms": [
        "ChromaTransformer",
        "CochleogramTransformer",
        "GammatoneTransformer",
        "MFCCTransformer",
        "MelTransformer",
        "STFTTransformer",
        "STRFTransformer",
        "ScatteringTransformer",
        "WaveletTransformer",
    ],
}

__getattr__, _list_names, _names = _lazy.attach(
    __name__,
    submodules=[
        "auditory",
        "augmentation",
        "channels",
        "datasets",
        "decomposition",
        "experiments",
        "inspection",
        "multilinear",
        "neural",
        "persistence",
        "pipeline",
        "preprocessing",
        "stationarity",
        "style",
        "surrogates",
        "texture",
        "transforms",
    ],
    submod_attrs=_attributes,
)

__all__ = [*sorted(name for names in _attributes.values() for name in names), "__version__"]


def __dir__() -> list[str]:
    return [*_list_names(), "__version__"]
