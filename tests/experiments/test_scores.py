"""Scores against scikit-learn and by hand."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.dummy import DummyClassifier
from sklearn.metrics import balanced_accuracy_score, classification_report

from skstrf.experiments._base import (
    chance_level,
    fold_scores,
    format_score,
    mean_std,
    score_set,
    to_jsonable,
)

labels = st.lists(st.sampled_from("abcd"), min_size=1, max_size=30)


@settings(deadline=None)
@given(st.data(), labels)
def test_scores_are_those_of_scikit_learn(data, y):
    predicted = data.draw(st.lists(st.sampled_from("abcd"), min_size=len(y), max_size=len(y)))
    y, predicted = np.array(y), np.array(predicted)
    scores = score_set(y, predicted, list("abcd"), 0.25)
    report = classification_report(
        y, predicted, labels=list("abcd"), output_dict=True, zero_division=0.0
    )
    for row in scores["per_class"]:
        theirs = report[row["class"]]
        assert row["precision"] == theirs["precision"]
        assert row["recall"] == theirs["recall"]
        assert row["f1"] == theirs["f1-score"]
        assert row["support"] == theirs["support"]
    assert scores["accuracy"] == np.mean(y == predicted)
    seen = np.isin(predicted, y)
    if seen.all() and len(set(y)) > 1:  # otherwise scikit-learn warns
        assert scores["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(y, predicted))
    matrix = np.array(scores["confusion_matrix"])
    assert matrix.sum() == len(y)
    assert np.trace(matrix) == np.sum(y == predicted)
    low, high = scores["interval"]
    assert 0 <= low <= scores["accuracy"] <= high <= 1
    json.dumps(scores, allow_nan=False)


def test_the_interval_is_wilsons():
    # Newcombe, Statistics in Medicine 17, 857-872 (1998), table I: 81 of 263.
    y = np.repeat(["a", "b"], [81, 182])
    scores = score_set(y, np.full(263, "a"), ["a", "b"], 0.5)
    np.testing.assert_allclose(scores["interval"], [0.2553, 0.3662], atol=5e-5)


@settings(deadline=None)
@given(labels, labels)
def test_chance_is_that_of_guessing_the_commonest_class(train_y, y):
    train_y, y = np.array(train_y), np.array(y)
    counts = {name: np.sum(train_y == name) for name in np.unique(train_y)}
    commonest = [name for name in counts if counts[name] == max(counts.values())]
    ours = chance_level(train_y, y)
    theirs = [
        DummyClassifier(strategy="constant", constant=name)
        .fit(np.zeros((len(train_y), 1)), train_y)
        .score(np.zeros((len(y), 1)), y)
        for name in commonest
    ]
    assert ours == pytest.approx(np.mean(theirs))


def test_fold_scores_count_classes_that_were_only_predicted():
    found = fold_scores(np.array(["a", "b"]), np.array(["a", "c"]), np.array(["a", "a", "b", "c"]))
    assert found == {"accuracy": 0.5, "balanced_accuracy": 0.5, "chance": 0.5}


def test_spread_over_folds():
    assert mean_std([0.5, 0.7])["std"] == pytest.approx(np.std([0.5, 0.7], ddof=1))
    assert mean_std([0.5]) == {"mean": 0.5, "std": None, "values": [0.5]}
    assert format_score(mean_std([0.5, 0.7]), {}) == "0.600 ± 0.141"
    assert "0.20 to 0.80" in format_score(mean_std([0.5]), {"interval": [0.2, 0.8]})


def test_plain_values_can_be_json():
    odd = {
        1: np.int64(3),
        "nan": np.float32("nan"),
        "inf": float("inf"),
        "array": np.eye(2),
        "set": {2},
        "tuple": (True, None, "x"),
        "object": np.random.default_rng,
    }
    found = json.loads(json.dumps(to_jsonable(odd), allow_nan=False))
    assert found["1"] == 3
    assert found["nan"] is None
    assert found["inf"] is None
    assert found["array"] == [[1.0, 0.0], [0.0, 1.0]]
    assert found["set"] == [2]
    assert found["tuple"] == [True, None, "x"]
