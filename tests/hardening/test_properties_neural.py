"""The classifier and its pre-training on any samples, labels and settings."""

import pickle

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone

from skstrf import CNNClassifier, LogContrast
from skstrf.neural import (
    ConvolutionalNetwork,
    SeparableNetwork,
    TensorAugmentation,
    pretrain_masked,
)
from tests.hardening.laws import examples, numbers, result_of

NETWORKS = [ConvolutionalNetwork, SeparableNetwork]
SHAPES = [(7,), (5, 6), (2, 4, 5), (2, 3, 4, 5), (1, 1), (1,), (2, 1, 2, 3, 3), (3, 9, 1)]
LABELS = [
    [0, 1], [-5, 7, 9], ["a", "ü"], [True, False], [0.0, 2.0], ["x"], [0.5, 1.25], [None, "a"],
]  # fmt: skip


@st.composite
def problems(draw):
    """Samples of any order and size, and labels of any type."""
    n, shape = draw(st.integers(2, 24)), draw(st.sampled_from(SHAPES))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    X = rng.standard_normal((n, *shape)) * 10.0 ** draw(st.sampled_from([0, 0, -9, 6, 300]))
    flaw = draw(st.sampled_from([None] * 5 + ["constant", "silent", "nan"]))
    if flaw == "constant":
        X[:] = 3.5
    elif flaw == "silent":
        X[: n // 2] = 0
    elif flaw == "nan":
        X.flat[0] = np.nan
    dtype = draw(st.sampled_from(["f8", "f4", "i4"]))
    with np.errstate(all="ignore"):
        X = X.astype(dtype)
    labels = draw(st.sampled_from(LABELS))
    y = np.array(labels, dtype=object if None in labels else None)[np.arange(n) % len(labels)]
    return X, y


@examples(40)
@given(
    problem=problems(), network=st.sampled_from(NETWORKS),
    kernel=numbers(1, 5, whole=True), n_filters=numbers(1, 6, whole=True),
    n_hidden=numbers(0, 6, whole=True), lr=numbers(1e-4, 1e-2), dropout=numbers(0, 0.6),
    mixup=numbers(0, 1), mask=numbers(0, 0.5), smoothing=numbers(0, 0.5),
    batch_size=numbers(1, 20, whole=True), early=st.booleans(),
)  # fmt: skip
def test_classifier(
    problem, network, kernel, n_filters, n_hidden, lr, dropout, mixup, mask, smoothing,
    batch_size, early,
):  # fmt: skip
    X, y = problem
    clf = CNNClassifier(
        network(n_filters, (kernel,), strides=1, n_hidden=n_hidden, dropout=dropout),
        TensorAugmentation(mixup, mask), lr=lr, label_smoothing=smoothing, batch_size=batch_size,
        early_stopping=early, max_epochs=2, device="cpu", random_state=0,
    )  # fmt: skip
    if result_of(clf.fit, X, y) is None:
        return
    p = result_of(clf.predict_proba, X)
    if p is None:
        return
    assert p.shape == (len(X), len(clf.classes_))
    assert p.dtype == (np.float32 if X.dtype == np.float32 else np.float64)
    assert (p >= 0).all()
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-5)
    assert set(clf.predict(X).tolist()) <= set(y.tolist())
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(clf)).predict_proba(X), p)
    again = clone(clf).fit(X, y)
    np.testing.assert_array_equal(again.predict_proba(X), p)


@examples(15)
@given(shift=st.integers(-3, 40), seed=st.integers(0, 9))
def test_names_of_classes_do_not_matter(shift, seed):
    X = np.random.default_rng(seed).standard_normal((12, 2, 5, 6))
    y = np.arange(12) % 3
    options = {
        "network": ConvolutionalNetwork(4, (3,), strides=1, n_hidden=4), "max_epochs": 2,
        "device": "cpu", "random_state": seed,
    }  # fmt: skip
    p = CNNClassifier(**options).fit(X, y).predict_proba(X)
    q = CNNClassifier(**options).fit(X, y * 2 + shift).predict_proba(X)
    np.testing.assert_array_equal(p, q)


@examples(12)
@given(
    problem=problems(), masked=numbers(0.1, 0.9), lr=numbers(1e-4, 1e-2),
    batch_size=numbers(1, 20, whole=True), network=st.sampled_from(NETWORKS),
)  # fmt: skip
def test_pretraining(problem, masked, lr, batch_size, network):
    X, _ = problem
    losses = []
    clf = CNNClassifier(network(4, (3,), strides=1, n_hidden=4), device="cpu", random_state=0)
    found = result_of(
        pretrain_masked, clf, X, masked=masked, max_epochs=2, batch_size=batch_size, lr=lr,
        random_state=0, callback=lambda epoch, loss: losses.append(loss),
    )  # fmt: skip
    if found is not None:
        assert len(losses) == 2
        assert np.isfinite(losses).all()
        assert found is not clf
        assert not hasattr(clf, "net_")


@examples(30)
@given(problem=problems(), floor=numbers(1e-4, 1), envelope=st.booleans(), torchy=st.booleans())
def test_contrast(problem, floor, envelope, torchy):
    X, _ = problem
    stage = LogContrast(floor, envelope=envelope)
    if torchy and X.dtype.kind == "f":
        X = torch.from_numpy(X)
    found = result_of(stage.fit_transform, X)
    if found is None:
        return
    assert type(found) is type(X)
    assert found.shape == (len(X), X.shape[1] * (1 + envelope), *X.shape[2:])
    contrast = np.asarray(found[:, : X.shape[1]], dtype=float)
    channels = tuple(range(1, max(2, contrast.ndim - 2)))
    scale = np.abs(np.asarray(found, dtype=float)).max() + 1
    assert np.abs(contrast.mean(axis=channels)).max() <= 1e-5 * scale
    if envelope:  # contrast and envelope differ by what all channels share
        rest = np.asarray(found[:, X.shape[1] :], dtype=float) - contrast
        assert np.ptp(rest, axis=channels).max() <= 1e-5 * scale
