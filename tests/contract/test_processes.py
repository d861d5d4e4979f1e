"""Estimators that other processes and threads use, and files that others read."""

import io
import pickle
import subprocess
import sys

import cloudpickle
import joblib
import numpy as np
import pytest
from joblib import parallel_backend
from sklearn.base import clone, is_regressor
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline

from skstrf import MPCA, CachedPipeline
from skstrf.model_io import load_model, save_model
from tests.contract.stages import classifier_with, every, labeled
from tests.estimators import data_for, public_estimators, run

READER = """
import pickle, sys
from sklearn.base import is_classifier, is_regressor

folder = sys.argv[1]
with open(f"{folder}/fitted.pickle", "rb") as file:
    fitted = pickle.load(file)
found = {}
for name, (estimator, X) in fitted.items():
    method = "predict_proba" if is_classifier(estimator) else "transform"
    found[name] = getattr(estimator, "predict" if is_regressor(estimator) else method)(X)
with open(f"{folder}/found.pickle", "wb") as file:
    pickle.dump(found, file)
"""


def test_another_process_gives_the_same_bits_with_every_estimator(tmp_path):
    fitted, expected = {}, {}
    for estimator in public_estimators():
        X, y = data_for(estimator) if is_regressor(estimator) else labeled(estimator)[:2]
        name = type(estimator).__name__
        fitted[name] = clone(estimator).fit(X, y), X
        expected[name] = run(fitted[name][0], X)
    (tmp_path / "fitted.pickle").write_bytes(pickle.dumps(fitted))
    subprocess.run([sys.executable, "-c", READER, str(tmp_path)], check=True)
    found = pickle.loads((tmp_path / "found.pickle").read_bytes())
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)


@every
def test_model_files_and_other_pickles_give_the_same_bits(estimator, tmp_path):
    X, y, _ = labeled(estimator)
    fitted = clone(estimator)
    if type(fitted) is CachedPipeline:  # a file holds the path of a cache, not the cache
        fitted.set_params(memory=str(tmp_path / "cache"))
    fitted.fit(X, y)
    expected = run(fitted, X)
    np.testing.assert_array_equal(run(cloudpickle.loads(cloudpickle.dumps(fitted)), X), expected)
    buffer = io.BytesIO()
    joblib.dump(fitted, buffer)
    buffer.seek(0)
    np.testing.assert_array_equal(run(joblib.load(buffer), X), expected)
    save_model(fitted, tmp_path / "model.skops")
    if type(fitted) is CachedPipeline:
        # A model file holds no cache, and rows of a cache were computed in batches of other sizes.
        expected = run(fitted.set_params(memory=None), X)
    np.testing.assert_array_equal(run(load_model(tmp_path / "model.skops"), X), expected)


def compare_with_one(pipeline, estimator, backend):
    """Folds that two workers predict are those that one process predicts."""
    X, y, _ = labeled(estimator)
    arguments = {"cv": StratifiedKFold(2), "method": "predict_proba"}
    alone = cross_val_predict(pipeline, X, y, **arguments)
    with parallel_backend(backend, n_jobs=2):
        together = cross_val_predict(pipeline, X, y, **arguments)
    np.testing.assert_allclose(together, alone, rtol=1e-12)


@every
def test_two_threads_give_what_one_gives(estimator):
    compare_with_one(classifier_with(estimator), estimator, "threading")


def test_two_processes_give_what_one_gives():
    compare_with_one(make_pipeline(MPCA(vectorize=True), LogisticRegression()), MPCA(), "loky")


@pytest.mark.slow  # every estimator is imported in two more processes
@every
def test_two_processes_give_what_one_gives_with_every_estimator(estimator):
    compare_with_one(classifier_with(estimator), estimator, "loky")


@every
def test_parameters_come_back_by_name_and_clones_are_unfitted(estimator):
    X, y, _ = labeled(estimator)
    fitted = clone(estimator).fit(X, y)
    twin = clone(fitted)
    assert not [name for name in vars(twin) if name.endswith("_") and not name.startswith("_")]
    shallow = estimator.get_params(deep=False)
    again = clone(estimator).set_params(**shallow)
    np.testing.assert_array_equal(run(again.fit(X, y), X), run(fitted, X))
    with pytest.raises(ValueError, match="no_such_parameter"):
        clone(estimator).set_params(no_such_parameter=1)
