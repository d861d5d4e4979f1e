"""CNNClassifier: what it refuses, and the devices that it finds."""

import logging
import pickle

import numpy as np
import pytest
import torch

from skstrf.neural import CNNClassifier, TrainingDivergedError
from tests.neural.small_networks import FAST, REPORT, classifier, patterns

# ---- bad input ----


def test_one_class_is_refused(data):
    with pytest.raises(ValueError, match=r"1 class: \['jazz'\]"):
        classifier(**FAST).fit(data[0], np.full(len(data[0]), "jazz"))


def test_bad_samples_are_refused(data, fitted):
    X, y = data
    for bad in (np.nan, np.inf):
        spoilt = X.copy()
        spoilt[3, 1, 2, 2] = bad
        with pytest.raises(ValueError, match="X contains"):
            classifier(**FAST).fit(spoilt, y)
        with pytest.raises(ValueError, match="X contains"):
            fitted.predict(spoilt)
    with pytest.raises(ValueError, match=r"\(2, 8, 10\).*\(2, 8, 9\)"):
        fitted.predict(X[..., :-1])
    with pytest.raises(ValueError, match="infinite"):
        classifier(**FAST).fit(X.astype(np.float64) * 1e200, y)
    with pytest.raises(ValueError, match="outside the range"):
        fitted.predict(np.full((1, *X.shape[1:]), 1e300))


def test_bad_weights_and_validation_data_are_refused(data):
    X, y = data
    for bad in (-np.ones(len(y)), np.zeros(len(y)), np.ones((len(y), 2)), np.full(len(y), np.nan)):
        with pytest.raises(ValueError, match="sample_weight"):
            classifier(**FAST).fit(X, y, sample_weight=bad)
    with pytest.raises(ValueError, match=r"not seen before: \['x'\]"):
        classifier(**FAST).fit(X, y.astype(str), validation_data=(X[:2], ["0", "x"]))
    with pytest.raises(ValueError, match="validation_data"):
        classifier(**FAST).fit(X, y, validation_data=(X[:2], y[:3]))
    with pytest.raises(ValueError, match="samples of shape"):
        classifier(**FAST).fit(X, y, validation_data=(X[:2, :, 1:], y[:2]))
    with pytest.raises(ValueError, match=r"class_weight names \['rock'\]"):
        classifier(**FAST, class_weight={"rock": 2.0}).fit(X, y)


def test_divergence_is_an_error_not_a_result(data):
    params = {**FAST, "optimizer": "sgd", **REPORT, "lr": 1e30}
    with pytest.raises(TrainingDivergedError, match=r"diverged.*smaller lr"):
        classifier(**params).fit(*data)


def test_ctrl_c_stops_the_program_and_not_only_the_training(data, monkeypatch):
    from skstrf.neural import training

    def interrupt(self, net, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(training.Divergence, "on_epoch_end", interrupt)
    with pytest.raises(KeyboardInterrupt):
        classifier(**FAST).fit(*data)


# ---- devices ----


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_an_absent_gpu_is_refused_and_auto_does_without(data, caplog):
    with pytest.raises(ValueError, match="device='cuda'"):
        classifier(**{**FAST, "device": "cuda"}).fit(*data)
    with caplog.at_level(logging.INFO, logger="skstrf"):
        clf = classifier(**{**FAST, "device": "auto"}).fit(*data)
    assert clf.device_ == "cpu" and "takes cpu" in caplog.text


def test_a_network_from_a_gpu_runs_without_one(data, fitted):
    state = fitted.__getstate__()
    state["device"] = state["device_"] = "cuda:63"
    moved = CNNClassifier.__new__(CNNClassifier)
    moved.__setstate__(state)
    expected = "cuda:63" if torch.cuda.is_available() else "cpu"
    assert moved.device_ == expected
    if expected == "cpu":
        assert np.array_equal(moved.predict_proba(data[0]), fitted.predict_proba(data[0]))


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_gpu_and_cpu_agree(data):
    X, y = data
    clf = classifier(**{**FAST, "device": "cuda"}).fit(X, y)
    state = clf.__getstate__()
    state["device"] = "cpu"
    moved = CNNClassifier.__new__(CNNClassifier)
    moved.__setstate__(state)
    assert moved.device_ == "cpu" and clf.device_ == "cuda"
    np.testing.assert_allclose(moved.predict_proba(X), clf.predict_proba(X), atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("amp", [False, True])
def test_compiled_network_learns_and_pickles(amp):
    X, y = patterns(150)
    clf = classifier(**{**FAST, "max_epochs": 30, "lr": 1e-2}, compile=True, amp=amp)
    try:
        clf.fit(X, y)
    except RuntimeError as error:  # torch's compiler needs a C++ compiler
        pytest.skip(f"torch cannot compile here: {error}")
    assert clf.score(*patterns(90, seed=1)) > 0.8
    again = pickle.loads(pickle.dumps(clf))
    np.testing.assert_allclose(again.predict_proba(X), clf.predict_proba(X), atol=1e-5)
