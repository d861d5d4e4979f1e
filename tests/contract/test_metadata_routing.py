"""Groups and weights find their way through pipelines and searches."""

import numpy as np
import pytest
from sklearn import config_context
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_validate
from sklearn.pipeline import make_pipeline

from skstrf import MPCA, CNNClassifier, TensorScaler
from tests.contract.stages import labeled


@pytest.fixture(scope="module")
def tensors():
    return labeled(MPCA(), 24)


def network(**options):
    return CNNClassifier(max_epochs=2, batch_size=8, random_state=0, device="cpu", **options)


def test_weights_reach_the_network_through_pipeline_and_search(tensors):
    X, y, groups = tensors
    # Weight 0 for half of the samples is as if they were not there, which no other argument does.
    weights = (np.arange(len(y)) < 12).astype(float)
    with config_context(enable_metadata_routing=True):
        last = network().set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        pipeline = make_pipeline(TensorScaler(), MPCA(0.9), last)
        search = GridSearchCV(pipeline, {"mpca__n_components": [0.9]}, cv=GroupKFold(3))
        found = search.fit(X, y, sample_weight=weights, groups=groups)
        assert np.isfinite(found.best_score_)
        direct = pipeline.fit(X, y, sample_weight=weights).predict_proba(X)
        np.testing.assert_array_equal(found.predict_proba(X), direct)
        without = pipeline.fit(X, y).predict_proba(X)
        assert np.abs(direct - without).max() > 1e-6


def test_weights_that_nobody_asked_for_are_refused_by_name(tensors):
    X, y, groups = tensors
    with config_context(enable_metadata_routing=True):
        pipeline = make_pipeline(MPCA(0.9), network())
        params = {"sample_weight": np.ones(len(y)), "groups": groups}
        with pytest.raises(ValueError, match="sample_weight"):
            cross_validate(pipeline, X, y, cv=GroupKFold(3), params=params)


def test_groups_never_stand_on_both_sides(tensors):
    X, y, groups = tensors
    seen = []

    class Spy(TensorScaler):
        def fit(self, X, y=None):
            seen.append({int(value) for value in np.round(X[:, 0, 0, 0, 0])})
            return super().fit(X, y)

    marked = X.copy()
    marked[:, 0, 0, 0, 0] = groups
    with config_context(enable_metadata_routing=True):
        cross_validate(
            make_pipeline(Spy(), MPCA(0.9), network()),
            marked,
            y,
            cv=GroupKFold(3),
            params={"groups": groups},
        )
    assert len(seen) == 3
    for train in seen:
        assert len(train) == 8  # of twelve groups, whole ones
