"""The report's section 7 on genres: its network and today's, on the same clips."""

from __future__ import annotations

from typing import Any

from sklearn.base import clone
from sklearn.pipeline import Pipeline

from skstrf.experiments.classification import make_classification_pipeline
from skstrf.experiments.evaluation import linear_classifier

__all__ = ["genres_experiment"]


def genres_experiment(**options: Any) -> tuple[Pipeline, dict[str, dict[str, Any]]]:
    """Give the pipeline, and the classifiers to compare at its end.

    Parameters
    ----------
    **options : dict
        Of :func:`skstrf.experiments.make_classification_pipeline`; ``rates="report"`` and
        ``scales="report"`` give the report's 198 channels.

    Returns
    -------
    pipeline : Pipeline
        Sound file -> STRF tensor -> MPCA -> network (``cnn``).
    search_space : dict of str to dict
        By name: the report's network, the library's, and logistic regression.

    Examples
    --------
    >>> from skstrf.experiments import genres_experiment
    >>> pipeline, space = genres_experiment(duration=30.0)
    >>> list(space["cnn"])
    ["the report's network", "the library's network", 'logistic regression']
    """
    pipeline = make_classification_pipeline(**options)
    modern = pipeline[-1]
    report = clone(modern).set_params(recipe="report")
    classifiers = {
        "the report's network": report,
        "the library's network": modern,
        "logistic regression": linear_classifier(),
    }
    return pipeline, {"cnn": classifiers}
