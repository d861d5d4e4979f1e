"""The report's section 5: what is lost and won by making tensors small before learning."""

from __future__ import annotations

from typing import Any

from sklearn.decomposition import PCA
from sklearn.linear_model import RidgeClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from skstrf.channels import ChannelSelector
from skstrf.decomposition import MPCA
from skstrf.experiments.channels import PENALTY
from skstrf.experiments.classification import make_classification_pipeline
from skstrf.experiments.evaluation import Flatten

__all__ = ["reduction_experiment"]

RATIOS = (0.8, 0.9, 0.95, 0.98)
BEST = 10


def reduction_experiment(**options: Any) -> tuple[Pipeline, dict[str, dict[str, Any]]]:
    """Give the pipeline, and the reductions to compare in the place of its MPCA.

    Parameters
    ----------
    **options : dict
        Of :func:`skstrf.experiments.make_classification_pipeline`.

    Returns
    -------
    pipeline : Pipeline
        Sound file -> STRF tensor -> reduction (``mpca``) -> network.
    search_space : dict of str to dict
        By name: none; MPCA at several shares per mode and in total; the ten best channels, also
        with MPCA; PCA of the flattened tensors.

    Examples
    --------
    >>> from skstrf.experiments import reduction_experiment
    >>> pipeline, space = reduction_experiment(duration=5.0)
    >>> list(space), len(space["mpca"])
    (['mpca'], 10)
    """
    scorer = make_pipeline(StandardScaler(), RidgeClassifier(alpha=PENALTY))
    best = ChannelSelector(scorer, k=BEST, cv=3)
    reductions = {
        "none": "passthrough",
        **{f"MPCA({ratio})": MPCA(ratio) for ratio in RATIOS},
        **{f"MPCA({ratio}) in total": MPCA(ratio, criterion="total") for ratio in (0.9, 0.95)},
        f"best {BEST} channels": best,
        f"best {BEST} channels, MPCA(0.95)": Pipeline([("best", best), ("mpca", MPCA(0.95))]),
        "PCA(0.95)": Pipeline([("flat", Flatten()), ("pca", PCA(0.95, random_state=0))]),
    }
    return make_classification_pipeline(**options), {"mpca": reductions}
