"""Searches, validation and curves of scikit-learn over samples of any number of axes."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    HalvingGridSearchCV,
    RandomizedSearchCV,
    StratifiedKFold,
    cross_val_predict,
    cross_val_score,
    cross_validate,
    learning_curve,
    permutation_test_score,
    validation_curve,
)

from skstrf import MPCA, CNNClassifier
from tests.contract.stages import classifier_with, every, labeled

FOLDS = GroupKFold(2)


def last_parameter(pipeline):
    """Name of a parameter that changes the result of a pipeline, and two values for it."""
    names = set(pipeline.get_params())
    for name, values in (
        ("cnnclassifier__lr", [1e-4, 5e-3]),
        ("augmentedclassifier__n_copies", [1, 2]),
        ("cachedpipeline__last__C", [1e-4, 1.0]),
        ("logisticregression__C", [1e-4, 1.0]),
    ):
        if name in names:
            return name, values
    raise AssertionError(f"no parameter of {pipeline} is known here")


SEARCHES = {
    "grid": lambda p, grid: GridSearchCV(p, grid, cv=FOLDS),
    "random": lambda p, grid: RandomizedSearchCV(p, grid, n_iter=2, cv=FOLDS, random_state=0),
    "halving": lambda p, grid: HalvingGridSearchCV(
        p, grid, cv=2, min_resources=12, factor=1.2, random_state=0
    ),
}


@every
def test_a_grid_search_finds_the_scores_of_its_candidates(estimator):
    check_search(estimator, SEARCHES["grid"])


@pytest.mark.parametrize("estimator", [MPCA(), CNNClassifier(max_epochs=3, random_state=0)])
@pytest.mark.parametrize("search", ["random", "halving"])
def test_other_searches_find_the_scores_of_their_candidates(estimator, search):
    check_search(estimator, SEARCHES[search])


def check_search(estimator, search):
    X, y, groups = labeled(estimator, 16)
    pipeline = classifier_with(estimator)
    name, values = last_parameter(pipeline)
    halving = "Halving" in type(search(pipeline, {name: values})).__name__
    fit_params = {} if halving else {"groups": groups}
    found = search(pipeline, {name: values}).fit(X, y, **fit_params)
    assert found.best_params_[name] in values
    best = clone(pipeline).set_params(**found.best_params_)
    np.testing.assert_array_equal(found.predict_proba(X), clone(best).fit(X, y).predict_proba(X))
    if not halving:
        scores = cross_val_score(best, X, y, groups=groups, cv=FOLDS)
        assert found.best_score_ == pytest.approx(scores.mean())


@every
def test_predictions_of_folds_are_those_of_models_that_did_not_see_them(estimator):
    X, y, groups = labeled(estimator)
    pipeline = classifier_with(estimator)
    found = cross_val_predict(pipeline, X, y, groups=groups, cv=FOLDS, method="predict_proba")
    scores = cross_validate(pipeline, X, y, groups=groups, cv=FOLDS, return_estimator=True)
    assert len(scores["estimator"]) == 2
    for (_, test), model in zip(FOLDS.split(X, y, groups), scores["estimator"], strict=True):
        # Rows that a cache holds were computed in other company: the last bit may differ.
        np.testing.assert_allclose(model.predict_proba(X[test]), found[test], rtol=1e-12)


@every
def test_curves_and_permutations_take_any_number_of_axes(estimator):
    X, y, _ = labeled(estimator)
    pipeline = classifier_with(estimator)
    folds = StratifiedKFold(2)
    direct = cross_validate(pipeline, X, y, cv=folds, return_train_score=True)
    sizes, train, test = learning_curve(pipeline, X, y, train_sizes=[4, 6], cv=folds)
    assert sizes.tolist() == [4, 6]
    np.testing.assert_array_equal(test[1], direct["test_score"])
    np.testing.assert_array_equal(train[1], direct["train_score"])
    name, values = last_parameter(pipeline)
    _, test = validation_curve(pipeline, X, y, param_name=name, param_range=values[-1:], cv=folds)
    np.testing.assert_array_equal(
        test[0], cross_val_score(clone(pipeline).set_params(**{name: values[-1]}), X, y, cv=folds)
    )
    score, others, p = permutation_test_score(
        pipeline, X, y, cv=folds, n_permutations=1, random_state=0
    )
    assert score == pytest.approx(direct["test_score"].mean())
    assert p in {0.5, 1.0}
    assert 0 <= others[0] <= 1
