"""Cross recurrence and Qmax against essentia and against the definition."""

import numpy as np
import pytest

from skstrf.versions import cross_recurrence, qmax
from skstrf.versions.alignment import best_path, qmax_scores, transposition_index

# Values of essentia 2.1b6.dev1389 for the pairs below, as float32 of shape (n_frames, 12):
#   found = ChromaCrossSimilarity()(query, reference)
#   scores, distance = CoverSongSimilarity()(found)
# Shape and sum of `found`, largest score, distance.
DEFAULTS = [
    (0, (82, 69), 173, 67.0, 0.12397946417331696),
    (1, (59, 61), 132, 57.0, 0.13702192902565002),
    (2, (81, 46), 139, 10.0, 0.6782330274581909),
    (3, (79, 36), 52, 5.0, 1.2000000476837158),
    (4, (74, 87), 221, 72.0, 0.12954692542552948),
    (5, (71, 79), 200, 69.0, 0.12881441414356232),
]
# ChromaCrossSimilarity(frameStackSize=4, binarizePercentile=0.2, oti=False),
# CoverSongSimilarity(disOnset=0.7, disExtension=0.3).
OTHERS = [
    (0, (87, 74), 461, 15.19999885559082, 0.5659424662590027),
    (4, (79, 92), 569, 13.699999809265137, 0.7001214027404785),
]


def pair(seed):
    """A chromagram, and its repetition or beginning in another key with noise."""
    rng = np.random.default_rng(seed)
    n, m = rng.integers(40, 100, 2)
    query = rng.random((12, n))
    reference = np.roll(np.resize(query.T, (m, 12)).T, int(rng.integers(12)), axis=0)
    reference = reference + 0.8 * rng.random((12, m))
    return query.astype(np.float32), reference.astype(np.float32)


@pytest.mark.parametrize(
    ("options", "gaps", "values"),
    [
        ({}, {}, DEFAULTS),
        (
            {"embedding": 4, "neighbors": 0.2, "key_invariant": False},
            {"gap_onset": 0.7, "gap_extension": 0.3},
            OTHERS,
        ),
    ],
    ids=["defaults", "others"],
)
def test_equals_essentia(options, gaps, values):
    for seed, shape, total, score, distance in values:
        found = cross_recurrence(*pair(seed), **options)
        assert found.shape == shape
        longest = qmax(*pair(seed), **options, **gaps)
        assert longest == pytest.approx(score, abs=1e-4)
        assert np.sqrt(shape[1]) / longest == pytest.approx(distance, abs=1e-4)
        # Sums of float32 may decide a comparison of equal values either way.
        assert abs(int(found.sum()) - total) <= 1


def test_equals_the_definition():
    query, reference = pair(3)
    reference = np.roll(reference, transposition_index(query, reference), axis=0)
    stacks = [
        np.stack([chroma[:, i : i + 9].ravel() for i in range(chroma.shape[1] - 9)])
        for chroma in (query, reference)
    ]
    distances = np.linalg.norm(stacks[0][:, None] - stacks[1], axis=-1)
    near = distances <= np.quantile(distances, 0.095, axis=1, keepdims=True)
    near &= distances <= np.quantile(distances, 0.095, axis=0)
    found = cross_recurrence(*pair(3))
    np.testing.assert_array_equal(found, near)
    scores = np.zeros(near.shape)
    for i in range(2, near.shape[0]):
        for j in range(2, near.shape[1]):
            before = [(i - 1, j - 1), (i - 2, j - 1), (i - 1, j - 2)]
            if near[i, j]:
                scores[i, j] = max(scores[p] for p in before) + 1
            else:
                scores[i, j] = max(0, *(scores[p] - (0.2 if near[p] else 0.6) for p in before))
    assert qmax(*pair(3), gap_onset=0.2, gap_extension=0.6) == pytest.approx(scores.max())


@pytest.mark.parametrize("neighbors", [0.0, 0.095, 0.5, 1.0])
def test_neighbors_are_those_of_quantiles(neighbors):
    rng = np.random.default_rng(0)
    a, b = rng.random((2, 12, 30)).astype(np.float32)
    options = {"embedding": 1, "neighbors": neighbors, "key_invariant": False}
    distances = np.linalg.norm(a.T[:-1, None] - b.T[:-1], axis=-1)
    rows = np.quantile(distances, neighbors, axis=1, keepdims=True)
    columns = np.quantile(distances, neighbors, axis=0)
    slack = 1e-6  # float32
    found = cross_recurrence(a, b, **options)
    assert found[(distances < rows - slack) & (distances < columns - slack)].all()
    assert not found[(distances > rows + slack) | (distances > columns + slack)].any()


def test_transposition_index_undoes_every_shift():
    chroma = np.random.default_rng(0).random((12, 20)) ** 3
    shifts = [transposition_index(chroma, np.roll(chroma, -k, axis=0)) for k in range(12)]
    assert shifts == list(range(12))


def test_longer_common_parts_score_higher():
    rng = np.random.default_rng(0)
    query, other = rng.random((2, 12, 100))
    scores = []
    for n in (0, 20, 40, 80):
        reference = other.copy()
        reference[:, :n] = query[:, 10 : 10 + n]
        scores.append(qmax(query, reference, key_invariant=False))
    assert scores == sorted(scores)
    assert scores[-1] > 60 > 2 * scores[0]


def test_score_is_symmetric_and_does_not_depend_on_the_key():
    query, reference = pair(4)
    assert qmax(query, reference) == qmax(reference, query)
    assert qmax(np.roll(query, 5, axis=0), reference) == qmax(query, reference)
    assert qmax(query, np.roll(query, 6, axis=0), key_invariant=False) < qmax(query, query) / 2


def test_several_references_at_once_equal_one_by_one():
    query, references = pair(0)[0], [pair(seed)[1] for seed in range(3)]
    expected = [qmax(query, reference) for reference in references]
    np.testing.assert_array_equal(qmax_scores(query, references), expected)


def test_path_follows_the_common_part():
    query = np.random.default_rng(0).random((12, 80))
    path = best_path(cross_recurrence(query, query[:, 20:60]))
    assert len(path) == 29
    np.testing.assert_array_equal(path[:, 0] - path[:, 1], 20)
    assert not len(best_path(np.zeros((5, 5), dtype=bool)))


@pytest.mark.parametrize(
    ("reference", "options", "message"),
    [
        (np.zeros((12, 9)), {}, "reference has 9 frames.*more than 9"),
        (np.zeros((6, 30)), {}, "12 pitch classes and reference 6"),
        (np.full((12, 30), np.nan), {}, "reference.*NaN|reference.*finite"),
        (np.zeros(30), {}, "reference must have at least 2 axes"),
        (np.zeros((2, 12, 30)), {}, "one chromagram"),
        (np.zeros((12, 30)), {"embedding": 0}, "embedding"),
        (np.zeros((12, 30)), {"neighbors": 1.5}, "neighbors"),
        (np.zeros((12, 30)), {"gap_onset": -1}, "gap_onset"),
    ],
)
def test_wrong_input_is_refused(reference, options, message):
    with pytest.raises(ValueError, match=message):
        qmax(np.zeros((12, 30)), reference, **options)
