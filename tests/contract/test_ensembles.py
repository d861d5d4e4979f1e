"""Calibration, stacking, voting, thresholds and unions around every estimator."""

import numpy as np
import pytest
from sklearn import config_context
from sklearn.base import clone, is_classifier
from sklearn.calibration import CalibratedClassifierCV
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import BaggingClassifier, StackingClassifier, VotingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import FixedThresholdClassifier, TunedThresholdClassifierCV
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.semi_supervised import SelfTrainingClassifier

from skstrf import MPCA, TensorScaler
from tests.contract.stages import classifier_with, every, flat, labeled


@every
def test_calibration_keeps_the_order_of_probabilities(estimator):
    X, y, _ = labeled(estimator)
    fitted = classifier_with(estimator).fit(X, y)
    before = fitted.predict_proba(X)[:, 1]
    calibrated = CalibratedClassifierCV(FrozenEstimator(fitted)).fit(X, y)
    after = calibrated.predict_proba(X)
    np.testing.assert_allclose(after.sum(axis=1), 1, rtol=1e-5)
    moved = np.diff(after[np.argsort(before, kind="stable"), 1])
    assert (moved >= -1e-6).all() or (moved <= 1e-6).all()  # one sigmoid of the logits
    whole = CalibratedClassifierCV(classifier_with(estimator), cv=2).fit(X, y)
    assert len(whole.calibrated_classifiers_) == 2
    np.testing.assert_allclose(whole.predict_proba(X).sum(axis=1), 1, rtol=1e-5)


@every
def test_a_vote_of_one_and_a_stack_of_one_are_that_one(estimator):
    X, y, _ = labeled(estimator)
    fitted = classifier_with(estimator).fit(X, y)
    expected = fitted.predict_proba(X)
    vote = VotingClassifier([("one", classifier_with(estimator))], voting="soft").fit(X, y)
    np.testing.assert_array_equal(vote.predict_proba(X), expected)
    stack = StackingClassifier([("one", FrozenEstimator(fitted))], cv="prefit").fit(X, y)
    np.testing.assert_array_equal(stack.transform(X)[:, 0], expected[:, 1])
    members = [("a", classifier_with(estimator)), ("b", DummyClassifier())]
    mean = VotingClassifier(members, voting="soft").fit(X, y).predict_proba(X)
    np.testing.assert_allclose(mean, (expected + 0.5) / 2, rtol=1e-5)
    assert StackingClassifier(members, cv=2).fit(X, y).transform(X).shape == (len(X), 2)


@every
def test_thresholds_move_decisions_and_nothing_else(estimator):
    X, y, _ = labeled(estimator)
    fitted = classifier_with(estimator).fit(X, y)
    p = fitted.predict_proba(X)[:, 1]
    for threshold in (0.0, 0.5, 1.1):
        model = FixedThresholdClassifier(FrozenEstimator(fitted), threshold=threshold).fit(X, y)
        expected = fitted.classes_[(p >= threshold).astype(int)]
        np.testing.assert_array_equal(model.predict(X), expected)
    if np.ptp(p) < 0.01:  # nothing to choose between: scikit-learn says so
        return
    tuned = TunedThresholdClassifierCV(classifier_with(estimator), cv=2).fit(X, y)
    assert 0 <= tuned.best_threshold_ <= 1


@every
def test_one_against_the_rest_and_several_outputs(estimator):
    X, y, _ = labeled(estimator)
    expected = classifier_with(estimator).fit(X, y == "pluck").predict_proba(X)
    rest = OneVsRestClassifier(classifier_with(estimator)).fit(X, y)
    np.testing.assert_allclose(rest.predict_proba(X), expected, rtol=1e-5, atol=1e-6)
    both = MultiOutputClassifier(classifier_with(estimator)).fit(X, np.c_[y, y[::-1]])
    alone = classifier_with(estimator).fit(X, y[::-1]).predict(X)
    np.testing.assert_array_equal(both.predict(X)[:, 1], alone)


# scikit-learn's own check lets these take tables only.
TABLES_ONLY = [BaggingClassifier, OneVsOneClassifier, SelfTrainingClassifier]


@pytest.mark.parametrize("wrapper", TABLES_ONLY)
def test_tools_for_tables_take_tensors_that_a_first_stage_unfolds(wrapper):
    X, y, _ = labeled(MPCA())
    shape = X.shape[1:]
    numbers = (y == "pluck").astype(int)
    steps = [MPCA(vectorize=True), LogisticRegression()]
    with pytest.raises(ValueError, match="dim 5"):
        wrapper(make_pipeline(*steps)).fit(X, numbers)
    unfold = FunctionTransformer(lambda rows: rows.reshape(-1, *shape))
    fitted = wrapper(make_pipeline(unfold, *steps)).fit(flat(X), numbers)
    assert (fitted.predict(flat(X)) == numbers).mean() > 0.8


def test_a_chain_that_appends_its_predictions_to_the_samples_takes_tables_alone():
    X, y, _ = labeled(MPCA())
    numbers = (y == "pluck").astype(int)
    chain = ClassifierChain(make_pipeline(MPCA(vectorize=True), LogisticRegression()))
    with pytest.raises(ValueError, match="dim 5"):
        chain.fit(X, np.c_[numbers, numbers])


@every
def test_a_union_puts_rows_side_by_side(estimator):
    if is_classifier(estimator):
        pytest.skip("a union is of transformers")
    X, y, _ = labeled(estimator)
    rows = make_pipeline(clone(estimator), FunctionTransformer(flat))
    union = FeatureUnion([("a", rows), ("b", clone(rows))]).fit(X, y)
    alone = clone(rows).fit(X, y).transform(X)
    np.testing.assert_array_equal(union.transform(X), np.hstack([alone, alone]))


def test_a_union_of_tensors_is_refused_by_scikit_learn_with_the_axes():
    X, y, _ = labeled(TensorScaler())
    union = FeatureUnion([("a", TensorScaler()), ("b", TensorScaler(with_std=False))]).fit(X, y)
    with pytest.raises(ValueError, match="5 dimensions, but expected 2"):
        union.transform(X)


@every
def test_tables_are_refused_where_outputs_have_more_than_two_axes(estimator):
    if is_classifier(estimator):
        pytest.skip("it gives labels")
    X, y, _ = labeled(estimator)
    fitted = clone(estimator).fit(X, y)
    expected = fitted.transform(X)
    with config_context(transform_output="pandas"):
        if expected.ndim > 2:
            with pytest.raises(ValueError, match=f"{type(estimator).__name__}.*set_output"):
                fitted.transform(X)
        else:
            np.testing.assert_array_equal(np.asarray(fitted.transform(X)), expected)


def test_rows_become_tables_with_names():
    pandas = pytest.importorskip("pandas")
    X, y, _ = labeled(MPCA())
    table = MPCA(0.9, vectorize=True).set_output(transform="pandas").fit(X, y).transform(X)
    assert isinstance(table, pandas.DataFrame)
    assert table.columns[0] == "mpca0"
    np.testing.assert_array_equal(table, MPCA(0.9, vectorize=True).fit(X, y).transform(X))
