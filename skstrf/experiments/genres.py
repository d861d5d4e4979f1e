"""The report's section 7 on genres: its network and today's, on the same clips."""

from __future__ import annotations

from typing import Any

from sklearn.base import clone
from sklearn.pipeline import Pipeline

from skstrf.contrast import LogContrast
from skstrf.experiments.classification import make_classification_pipeline
from skstrf.experiments.evaluation import linear_classifier
from skstrf.experiments.separable import make_separable_classifier

__all__ = ["genres_experiment"]


def genres_experiment(**options: Any) -> tuple[Pipeline, list[dict[str, dict[str, Any]]]]:
    """Give the pipeline, and the classifiers to compare at its end.

    Parameters
    ----------
    **options : dict
        Of :func:`skstrf.experiments.make_classification_pipeline`; ``rates="report"`` and
        ``scales="report"`` give the report's 198 channels.

    Returns
    -------
    pipeline : Pipeline
        Sound file -> magnitudes of STRFs -> contrast (``scaler``) -> MPCA -> network (``cnn``).
    search_space : list of dict of str to dict
        By name: the report's network, the library's and logistic regression, all three behind
        MPCA; and, on whole tensors of contrast and envelope, the network of separable filters.

    Notes
    -----
    `STRFTransformer` takes contrast itself by default. Here a stage does, because the last of the
    networks takes the envelope too, and the tensors are computed once for all.

    Examples
    --------
    >>> from skstrf.experiments import genres_experiment
    >>> pipeline, space = genres_experiment(duration=30.0)
    >>> [name for grid in space for name in grid["cnn"]]  # doctest: +NORMALIZE_WHITESPACE
    ["the report's network", "the library's network", 'logistic regression',
     'separable network without MPCA']
    """
    pipeline = make_classification_pipeline(**options)
    pipeline.set_params(
        strf__compression=None, strf__contrast=False, scaler=LogContrast(envelope=False)
    )
    modern = pipeline[-1]
    # At the default rate a network without batch normalisation learns worse.
    report = clone(modern).set_params(recipe="report", lr=1e-3)
    behind_mpca = {
        "the report's network": report,
        "the library's network": modern,
        "logistic regression": linear_classifier(),
    }
    chosen = {name: getattr(modern, name) for name in ("max_epochs", "device", "random_state")}
    whole: dict[str, dict[str, Any]] = {
        "cnn": {"separable network without MPCA": make_separable_classifier(**chosen)},
        "mpca": {"": "passthrough"},
        "scaler": {"": LogContrast()},
    }
    return pipeline, [{"cnn": behind_mpca}, whole]
