"""Spectro-temporal receptive fields, multilinear PCA and networks for sound, as estimators.

``from skstrf import STRFTransformer, MPCA, CNNClassifier`` is all most experiments need.
Names are loaded when first used, so that ``import skstrf`` stays light.
"""

from __future__ import annotations

import lazy_loader as _lazy

from ._version import __version__

_attributes = {
    "augmented": ["AugmentedClassifier"],
    "datasets": ["AudioLoader", "load_audio_folder", "load_instruments", "make_ripple_genres"],
    "decomposition": ["MPCA"],
    "neural": ["CNNClassifier"],
    "preprocessing": ["TensorScaler"],
    "transforms": ["STRFTransformer"],
}

__getattr__, _list_names, _names = _lazy.attach(
    __name__,
    submodules=[
        "auditory",
        "augmentation",
        "datasets",
        "decomposition",
        "experiments",
        "inspection",
        "multilinear",
        "neural",
        "persistence",
        "preprocessing",
        "transforms",
    ],
    submod_attrs=_attributes,
)

__all__ = [*sorted(name for names in _attributes.values() for name in names), "__version__"]


def __dir__() -> list[str]:
    return [*_list_names(), "__version__"]
