"""The network that names sounds of other rooms best, as it was measured."""

from __future__ import annotations

from typing import Any

from sklearn.pipeline import Pipeline

from skstrf.contrast import LogContrast
from skstrf.neural import CNNClassifier
from skstrf.transforms import STRFTransformer

__all__ = ["make_separable_classifier", "make_separable_pipeline"]

# Small filters, and neither strides nor pools in time: a tensor has one frame a second.
LAYERS = {
    "network": "separable",
    "kernel_sizes": (3, 3, 3, 3),
    "strides": ((1, 1), (2, 1), (2, 1), (2, 1)),
    "pool_size": ((3, 1),) * 4,
}


def make_separable_classifier(**options: Any) -> CNNClassifier:
    """Make a network of separable filters and attention, with layers for STRF tensors.

    Its filters are 3 x 3, and its strides and pools are along frequency only, since the tensors
    of :class:`skstrf.STRFTransformer` have about one frame a second.

    Parameters
    ----------
    **options : dict
        Further parameters of :class:`skstrf.CNNClassifier`.

    Returns
    -------
    CNNClassifier
        Not fitted.

    Examples
    --------
    >>> from skstrf.experiments import make_separable_classifier
    >>> make_separable_classifier(max_epochs=12, random_state=0).network
    'separable'
    """
    return CNNClassifier(**(LAYERS | options))


def make_separable_pipeline(
    *, n_networks: int = 3, random_state: int = 0, sample_rate: int = 16000, **options: Any
) -> Pipeline:
    """Sound -> STRF tensor -> contrast and envelope -> networks whose probabilities are averaged.

    Inside :class:`skstrf.AugmentedClassifier`, with ``max_epochs=12``, it was the best of all that
    was measured on instruments of other libraries, see the page on results of classification.

    Parameters
    ----------
    n_networks : int
        Networks to average, 1 for one alone.
    random_state : int
        Seed of the first; the others have the next ones.
    sample_rate : int
        Of the sounds, in Hz.
    **options : dict
        Of :func:`make_separable_classifier`.

    Returns
    -------
    Pipeline
        With the steps strf, contrast, network. Its input are sounds (n_sounds, n_times).

    Raises
    ------
    ValueError
        For less than one network.

    Examples
    --------
    >>> from skstrf.experiments import make_separable_pipeline
    >>> model = make_separable_pipeline(n_networks=3, max_epochs=12)
    >>> [name for name, _ in model["network"].estimators]
    ['seed 0', 'seed 1', 'seed 2']
    """
    from sklearn.ensemble import VotingClassifier

    if n_networks < 1:
        raise ValueError(f"n_networks={n_networks!r}: give at least 1.")
    seeds = range(random_state, random_state + n_networks)
    networks = [make_separable_classifier(random_state=seed, **options) for seed in seeds]
    named = [(f"seed {s}", network) for s, network in zip(seeds, networks, strict=True)]
    network = networks[0] if n_networks == 1 else VotingClassifier(named, voting="soft")
    strf = STRFTransformer(sample_rate=sample_rate, compression=None, contrast=False)
    return Pipeline([("strf", strf), ("contrast", LogContrast()), ("network", network)])
