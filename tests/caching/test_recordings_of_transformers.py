"""What a transformer finds in its cache."""

import joblib
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skstrf import STRFTransformer


@pytest.fixture
def counted(monkeypatch):
    """Count the sounds that STRFTransformer computes."""
    counts = []
    compute = STRFTransformer._compute

    def counting(self, X):
        counts.append(len(X))
        return compute(self, X)

    monkeypatch.setattr(STRFTransformer, "_compute", counting)
    return counts


def test_transformer_hits_whatever_does_not_change_the_numbers(tmp_path, counted):
    X = np.random.default_rng(1).standard_normal((3, 4000)).astype("float32")
    strf = STRFTransformer(rates=(4, 8), scales=(1, 2), memory=tmp_path)
    first = strf.fit_transform(X)
    assert sum(counted) == 3
    other = STRFTransformer(16000, (4, 8), (1, 2), memory=str(tmp_path), n_jobs=2, device="cpu")
    again = other.fit_transform(X)
    assert sum(counted) == 3
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(first, strf.set_params(memory=None).fit_transform(X))
    assert sum(counted) == 6
    for setting in ({"rates": (4, 9)}, {"dtype": "float64"}, {"output": "complex"}):
        strf = STRFTransformer(**{"rates": (4, 8), "scales": (1, 2)} | setting)
        fresh = strf.fit_transform(X)
        before = sum(counted)
        strf.set_params(memory=tmp_path)
        np.testing.assert_array_equal(strf.fit_transform(X), fresh)
        np.testing.assert_array_equal(strf.fit_transform(X), fresh)
        assert sum(counted) == before + 3


def test_a_new_version_of_the_algorithm_is_a_miss(tmp_path, counted, monkeypatch):
    X = np.random.default_rng(1).standard_normal((2, 2000))
    strf = STRFTransformer(rates=(4, 8), scales=(1, 2), memory=tmp_path).fit(X)
    strf.transform(X)
    monkeypatch.setattr(STRFTransformer, "_algorithm_version", 99)
    strf.transform(X)
    assert counted == [2, 2]


def test_cross_validation_of_a_pipeline_computes_every_sound_once(tmp_path, counted):
    X = np.random.default_rng(1).standard_normal((12, 2000)).astype("float32")
    y = np.arange(12) % 2
    strf = STRFTransformer(rates=(4, 8), scales=(1, 2), memory=joblib.Memory(tmp_path, verbose=0))
    flatten = FunctionTransformer(lambda X: X.reshape(len(X), -1))
    flat = make_pipeline(strf, flatten, LogisticRegression())
    cached = cross_val_score(flat, X, y, cv=3)
    assert sum(counted) == 12
    np.testing.assert_array_equal(
        cached, cross_val_score(flat.set_params(strftransformer__memory=None), X, y, cv=3)
    )
    assert sum(counted) == 12 + 3 * 12
