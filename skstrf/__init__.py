"""Spectro-temporal receptive fields, multilinear PCA and networks for sound, as estimators.

All estimators and the loaders of data sets are imported from here, for example
``from skstrf import STRFTransformer, MPCA, CNNClassifier``. Modules are loaded when a name is
first used, so that ``import skstrf`` is fast.
"""

from __future__ import annotations

import lazy_loader as _lazy

from skstrf._version import __version__

_attributes = {
    "augmentation": ["AugmentedClassifier"],
    "datasets": [
        "AudioLoader",
        "fetch_gtzan",
        "load_audio_folder",
        "load_gtzan",
        "load_instruments",
        "load_million_song_genres",
        "make_ripple_genres",
    ],
    "decomposition": ["MPCA", "MultilinearLDA", "NonNegativeCP", "TensorPLS"],
    "encoding": ["STRFRegressor"],
    "feature_selection": ["ChannelSelector", "channel_scores"],
    "neural": ["CNNClassifier"],
    "pipeline": ["CachedPipeline"],
    "preprocessing": ["LogContrast", "TensorScaler"],
    "stationarity": ["StationarityScorer"],
    "style": ["FastStyleTransfer", "QuiltingStyleTransfer", "StyleTransfer"],
    "transforms": [
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
    ],
    "versions": ["VersionRetriever"],
}

__getattr__, _list_names, _names = _lazy.attach(
    __name__,
    submodules=[
        "auditory",
        "augmentation",
        "corpus_store",
        "datasets",
        "decomposition",
        "encoding",
        "experiments",
        "feature_selection",
        "inspection",
        "live",
        "model_io",
        "multilinear",
        "neural",
        "pipeline",
        "preprocessing",
        "stationarity",
        "style",
        "surrogates",
        "texture",
        "transforms",
        "versions",
    ],
    submod_attrs=_attributes,
)

__all__ = [*sorted(name for names in _attributes.values() for name in names), "__version__"]


def __dir__() -> list[str]:
    return [*_list_names(), "__version__"]
