"""Measures of retrieval against values by hand and by scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from skstrf.versions import retrieval_scores

MEASURES = ["mean_average_precision", "mean_rank_of_first", "precision_at_1", "precision_at_10"]


def table(seed=0, n=40):
    rng = np.random.default_rng(seed)
    return rng.random((n, n)), rng.integers(12, size=n)


def test_values_by_hand():
    works = ["a", "a", "b", "a", "b"]
    distances = np.zeros((5, 5))
    distances[0] = [0, 3, 1, 2, 4]  # b a a b: versions at ranks 2 and 3
    distances[1] = [1, 0, 2, 3, 4]  # a b a b: 1 and 3
    distances[2] = [1, 2, 0, 3, 4]  # a a a b: 4
    distances[3] = [1, 2, 3, 0, 4]  # a a b b: 1 and 2
    distances[4] = [4, 3, 1, 2, 0]  # b a a a: 1
    found = retrieval_scores(distances, works)
    precisions = [(1 / 2 + 2 / 3) / 2, (1 + 2 / 3) / 2, 1 / 4, 1, 1]
    np.testing.assert_allclose(found["average_precision"], precisions)
    expected = [np.mean(precisions), (2 + 1 + 4 + 1 + 1) / 5, 3 / 5, (2 + 2 + 1 + 2 + 1) / 50]
    assert [found[name] for name in MEASURES] == pytest.approx(expected)
    assert (found["n_queries"], found["n_works"]) == (5, 2)


def test_average_precision_is_that_of_scikit_learn():
    distances, works = table()
    found = retrieval_scores(distances, works)["average_precision"]
    for query, row in enumerate(distances):
        others = np.arange(len(row)) != query
        relevant = works[others] == works[query]
        if relevant.any():
            expected = average_precision_score(relevant, -row[others])
            assert found[query] == pytest.approx(expected)
        else:
            assert np.isnan(found[query])


def test_chance_is_the_mean_over_random_orders():
    works = np.repeat(np.arange(8), [2, 2, 3, 3, 4, 1, 5, 2])
    rng = np.random.default_rng(0)
    found = [retrieval_scores(rng.random((22, 22)), works, n_resamples=1) for _ in range(300)]
    means = [scores["mean_average_precision"] for scores in found]
    assert np.mean(means) == pytest.approx(found[0]["chance"], abs=4 * np.std(means) / 300**0.5)


def test_a_piece_never_finds_itself():
    distances, works = table()
    best = distances.copy()
    np.fill_diagonal(best, -1)
    worst = distances.copy()
    np.fill_diagonal(worst, 9)
    for name in MEASURES:
        assert retrieval_scores(best, works)[name] == retrieval_scores(worst, works)[name]


def test_pieces_of_the_same_recording_are_left_out():
    works = ["a", "a", "a", "b", "c", "c"]
    places = np.array([0, 0.1, 5, 1, 8, 8.2])
    distances = np.abs(places[:, None] - places)
    found = retrieval_scores(distances, works, recordings=[0, 0, 1, 2, 3, 3])
    # Pieces 0 and 1 only have piece 2 to find, after b; piece 2 both, after all others; c has
    # one recording only.
    assert found["n_queries"] == 3
    np.testing.assert_allclose(
        found["average_precision"], [0.5, 0.5, (1 / 4 + 2 / 5) / 2, np.nan, np.nan, np.nan]
    )


def test_equal_distances_put_versions_last():
    works = np.repeat([0, 1, 2], 2)
    found = retrieval_scores(np.zeros((6, 6)), works)
    assert found["mean_rank_of_first"] == 5
    assert found["mean_average_precision"] < found["chance"]


def test_other_queries_than_the_collection():
    found = retrieval_scores([[0.0, 1.0, 2.0]], ["a", "b", "b"], query_works=["b"])
    assert found["mean_average_precision"] == pytest.approx((1 / 2 + 2 / 3) / 2)
    recordings = {"recordings": [1, 2, 3], "query_recordings": [2]}
    found = retrieval_scores([[0.0, 1.0, 2.0]], ["a", "b", "b"], query_works=["b"], **recordings)
    assert found["mean_average_precision"] == pytest.approx(1 / 2)


def test_intervals_hold_the_mean_and_narrow_with_the_works():
    widths = []
    for n in (30, 480):
        distances, _ = table(n=n)
        found = retrieval_scores(distances, np.arange(n) // 3)
        for name in MEASURES:
            low, high = found["intervals"][name]
            assert low <= found[name] <= high
        low, high = found["intervals"]["mean_average_precision"]
        widths.append(high - low)
    assert widths[1] < widths[0]
    assert retrieval_scores(distances, np.arange(n) // 3)["intervals"] == found["intervals"]


def test_intervals_count_works_rather_than_queries():
    # All queries of a work agree, so that many versions tell no more than two.
    works = np.repeat(np.arange(10), 6)
    distances = np.where(works[:, None] == works, np.where(works % 2, 0.0, 2.0), 1.0)
    low, high = retrieval_scores(distances, works)["intervals"]["precision_at_1"]
    assert high - low > 0.5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"works": [0, 1, 2, 3]}, "nothing to find"),
        ({"works": [0, 0, 1]}, "works has 3 entries"),
        ({"works": [0, 0, 1, np.nan]}, "works contains NaN"),
        ({"distances": np.zeros((3, 4))}, "give query_works"),
        ({"distances": np.zeros(4)}, "table of numbers"),
        ({"distances": np.full((4, 4), np.nan)}, "query 0 and piece 0"),
        ({"recordings": [1, 1, 2, 2]}, "different recordings"),
        ({"query_works": [0] * 4, "recordings": [1, 1, 2, 2]}, "query_recordings"),
        ({"confidence": 2}, "confidence"),
        ({"n_resamples": 0}, "n_resamples"),
    ],
)
def test_wrong_input_is_refused(changes, message):
    arguments = {"distances": np.zeros((4, 4)), "works": [0, 0, 1, 1]} | changes
    with pytest.raises(ValueError, match=message):
        retrieval_scores(**arguments)
