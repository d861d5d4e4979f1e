"""Every public estimator as a stage of a pipeline that classifies."""

import numpy as np
import pytest
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from tests.estimators import data_for, public_estimators

__all__ = ["classifier_with", "every", "flat", "labeled"]

# These share their fit and transform with an estimator that is tested every time, or are slow and
# rarely a stage of a classifier.
SIBLINGS = {
    "ChromaTransformer",
    "FastStyleTransfer",
    "GammatoneTransformer",
    "MFCCTransformer",
    "QuiltingStyleTransfer",
    "STFTTransformer",
    "ScatteringTransformer",
    "StationarityScorer",
    "StyleTransfer",
    "WaveletTransformer",
}


def _marked(estimator):
    name = type(estimator).__name__
    return pytest.param(estimator, id=name, marks=[pytest.mark.slow] * (name in SIBLINGS))


every = pytest.mark.parametrize(
    "estimator", [_marked(e) for e in public_estimators() if not is_regressor(e)]
)


def flat(X):
    """One row a sample."""
    return np.asarray(X).reshape(len(X), -1)


def classifier_with(estimator):
    """Give a pipeline around a copy of the estimator."""
    if is_classifier(estimator):
        return make_pipeline(FunctionTransformer(), clone(estimator))
    return make_pipeline(clone(estimator), FunctionTransformer(flat), LogisticRegression())


def labeled(estimator, n=12):
    """Samples, labels, and groups of two."""
    X, y = data_for(estimator, n)
    return X, y, np.arange(n) // 2
