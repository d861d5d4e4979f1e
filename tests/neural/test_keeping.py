"""CNNClassifier kept in files and by other processes."""

import copy
import pickle
import subprocess
import sys

import joblib
import numpy as np
import pytest
import skops.io
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skstrf.model_io import load_model, save_model
from skstrf.neural import CNNClassifier
from tests.neural.small_networks import FAST, classifier

TYPES = [
    "skstrf.neural.architecture.ConvolutionalNetwork",
    "skstrf.neural.classifier.CNNClassifier",
]


def values(clf):
    """All parameters, those of the network instead of the network."""
    return {name: value for name, value in clf.get_params().items() if name != "network"}


# ---- keeping ----


def test_state_is_plain_values_and_arrays(fitted):
    def plain(value):
        if isinstance(value, dict):
            return all(plain(v) for pair in value.items() for v in pair)
        if isinstance(value, list | tuple):
            return all(map(plain, value))
        return value is None or type(value) in (bool, int, float, str, np.ndarray)

    state = {**fitted.__getstate__()}
    assert plain({**state.pop("network").__getstate__()})
    assert [name for name, value in state.items() if not plain(value)] == []
    assert "net_" not in state and hasattr(fitted, "net_")


@pytest.mark.parametrize("way", ["pickle", "joblib", "copy", "skops", "model file"])
def test_every_way_of_keeping_gives_the_same_bits(data, fitted, tmp_path, way):
    X, _ = data
    if way == "pickle":
        again = pickle.loads(pickle.dumps(fitted))
    elif way == "joblib":
        joblib.dump(fitted, tmp_path / "a.joblib")
        again = joblib.load(tmp_path / "a.joblib")
    elif way == "copy":
        again = copy.deepcopy(fitted)
    elif way == "skops":
        dump = skops.io.dumps(fitted)
        assert skops.io.get_untrusted_types(data=dump) == TYPES
        again = skops.io.loads(dump, trusted=TYPES)
    else:
        save_model(fitted.set_params(device="cpu"), tmp_path / "a.skops")
        again = load_model(tmp_path / "a.skops")
        assert again.device == "auto"
        again.set_params(device="cpu")
    assert again is not fitted
    assert np.array_equal(again.predict_proba(X), fitted.predict_proba(X))
    assert np.array_equal(again.predict(X), fitted.predict(X))
    assert values(again) == values(fitted)
    assert again.history_ == fitted.history_
    assert values(clone(again)) == values(fitted)


def test_a_pipeline_is_kept_by_skops_and_unfitted_ones_are_copied(data, fitted):
    pipeline = make_pipeline(FunctionTransformer(), fitted)
    dump = skops.io.dumps(pipeline)
    again = skops.io.loads(dump, trusted=skops.io.get_untrusted_types(data=dump))
    assert np.array_equal(again.predict(data[0]), pipeline.predict(data[0]))
    unfitted = pickle.loads(pickle.dumps(classifier(**FAST)))
    with pytest.raises(NotFittedError):
        unfitted.predict(data[0])


def test_changing_parameters_after_fit_does_not_break_pickling(data, fitted):
    changed = copy.deepcopy(fitted).set_params(
        network__n_filters=99,
        network__kernel_sizes=(5,),
        frozen_layers=50,
        optimizer="none",
        device="moon",
    )
    again = pickle.loads(pickle.dumps(changed))
    assert np.array_equal(again.predict_proba(data[0]), fitted.predict_proba(data[0]))


@pytest.mark.slow  # tests/contract/test_processes.py does it with every estimator
def test_another_process_predicts_the_same(data, fitted, tmp_path):
    with open(tmp_path / "clf.pkl", "wb") as file:
        pickle.dump(fitted, file)
    save_model(fitted, tmp_path / "clf.skops")
    np.save(tmp_path / "X.npy", data[0])
    program = (
        "import pickle, numpy as np, torch; torch.set_num_threads(1)\n"
        "from skstrf.model_io import load_model\n"
        "X = np.load('X.npy')\n"
        "np.save('a.npy', pickle.load(open('clf.pkl', 'rb')).predict_proba(X))\n"
        "np.save('b.npy', load_model('clf.skops').predict_proba(X))\n"
    )
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True)
    for name in ("a.npy", "b.npy"):
        assert np.array_equal(np.load(tmp_path / name), fitted.predict_proba(data[0]))


def test_importing_the_package_loads_no_torch():
    program = "import sys, skstrf.neural; assert not {'torch', 'skorch'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)


LABELS = [
    np.array(["a", "longer", "é"]),
    np.array([-3, 2**40, 7]),
    np.array([1, 5, 200], dtype=np.uint8),
    np.array([1.0, 2.0, 30.0]),
    np.array([1.0, 2.0, 3.0], dtype=np.float32),
    np.array(["x", "y", "z"], dtype=object),
    np.array([False, True]),
]


@pytest.mark.parametrize("labels", LABELS, ids=lambda labels: labels.dtype.str)
def test_labels_of_any_type_survive_the_file(data, tmp_path, labels):
    X, y = data
    y = labels[y % len(labels)]
    params = {**FAST, "max_epochs": 1, "class_weight": {labels[0]: 2.0}}
    clf = classifier(**params).fit(X, y)
    save_model(clf, tmp_path / "a.skops")
    again = load_model(tmp_path / "a.skops")
    assert again.classes_.dtype == clf.classes_.dtype == y.dtype
    assert again.classes_.tolist() == clf.classes_.tolist() == sorted(labels.tolist())
    assert again.predict(X).dtype == y.dtype
    assert again.class_weight == clf.class_weight


def test_weights_of_another_architecture_are_refused(fitted):
    state = fitted.__getstate__()
    state["_weights"] = {**state["_weights"], "hidden.dense.bias": np.zeros(3, np.float32)}
    with pytest.raises(ValueError, match=r"hidden\.dense\.bias"):
        CNNClassifier.__new__(CNNClassifier).__setstate__(state)
