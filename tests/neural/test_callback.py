"""A function that is told of every epoch, and may end the training."""

import pickle

import numpy as np
import pytest

from tests.neural.small_networks import classifier


def test_a_callback_gets_each_epoch_and_may_end_the_training():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((20, 2, 6, 6)), np.arange(20) % 2
    rows = []
    options = {
        "network__n_filters": 2,
        "network__n_hidden": 4,
        "max_epochs": 4,
        "random_state": 0,
        "device": "cpu",
    }
    clf = classifier(**options)
    clf.fit(X, y, validation_data=(X, y), callback=lambda row: rows.append(row))
    assert rows == clf.history_
    assert "valid_accuracy" in rows[0]
    pickle.dumps(clf)  # a lambda could not be
    plain = classifier(**options).fit(X, y)
    np.testing.assert_array_equal(plain.predict_proba(X), clf.predict_proba(X))

    def enough(row):
        if row["epoch"] == 2:
            raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        classifier(**options).fit(X, y, callback=enough)
