"""Laws of the divisions: nothing is learned that is tested, nothing is forgotten."""

import warnings

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.model_selection import KFold, StratifiedKFold

from skstrf.experiments._splits import held_back_share, plan_folds, plan_split
from skstrf.neural import CNNClassifier


@st.composite
def labeled(draw):
    """Classes of some sounds, and their groups."""
    n_classes = draw(st.integers(2, 4))
    counts = draw(st.lists(st.integers(2, 12), min_size=n_classes, max_size=n_classes))
    y = np.repeat([f"class {i}" for i in range(n_classes)], counts)
    order = np.random.default_rng(draw(st.integers(0, 99))).permutation(len(y))
    n_groups = draw(st.integers(2, 10))
    groups = draw(st.lists(st.integers(0, n_groups), min_size=len(y), max_size=len(y)))
    return y[order], np.array([f"g{g}" for g in groups])


@settings(deadline=None, max_examples=50)
@given(labeled(), st.integers(2, 6), st.integers(0, 5))
def test_every_sound_is_tested_once_and_every_class_learned(data, cv, seed):
    y, _ = data
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        plan = plan_folds(y, None, cv, seed)
    tested = np.concatenate([fold.test for fold in plan.folds])
    assert sorted(tested) == list(range(len(y)))
    for fold in plan.folds:
        assert not set(fold.train) & set(fold.test)
        assert set(y[fold.train]) == set(y)
        assert len(fold.valid) == 0
    assert sorted(plan.final.train) == list(range(len(y)))


@settings(deadline=None, max_examples=50)
@given(labeled(), st.integers(2, 6), st.integers(0, 5), st.sampled_from([0.0, 0.1, 0.4]))
def test_groups_are_never_on_two_sides(data, cv, seed, held_back):
    y, groups = data
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            plan = plan_folds(y, groups, cv, seed, held_back=held_back)
        except ValueError:
            assume(False)
    tested = np.concatenate([fold.test for fold in plan.folds])
    assert sorted(tested) == list(range(len(y)))
    for fold in [*plan.folds, plan.final]:
        parts = [set(groups[rows]) for rows in (fold.train, fold.valid, fold.test)]
        assert len(set.union(*parts)) == sum(map(len, parts))
        assert set(y[fold.train]) == set(y)
        assert held_back or not len(fold.valid)
        rows = np.concatenate([fold.train, fold.valid, fold.test])
        assert sorted(rows) == list(range(len(y)))


def test_same_seed_same_folds_and_another_seed_others():
    y = np.array(["a", "b"] * 10)

    def tests(seed):
        return [fold.test.tolist() for fold in plan_folds(y, None, 4, seed).folds]

    assert tests(1) == tests(1)
    assert tests(1) != tests(2)


def test_groups_get_a_validation_part_of_their_own():
    y = np.array(["a", "b"] * 12)
    groups = np.repeat([f"g{i}" for i in range(12)], 2)
    plan = plan_folds(y, groups, 3, 0, held_back=0.2)
    for fold in [*plan.folds, plan.final]:
        assert set(y[fold.valid]) == {"a", "b"}
    assert plan.description == "stratified, grouped 3-fold cross-validation"


def test_too_few_sounds_or_groups_make_fewer_folds_with_a_warning():
    y = np.array(["a"] * 9 + ["b"] * 3)
    with pytest.warns(UserWarning, match="3 folds instead of 5: class b has 3 sounds"):
        assert len(plan_folds(y, None, 5, 0).folds) == 3
    groups = np.array([*"pqrstuvwx", "p", "p", "q"])
    with pytest.warns(UserWarning, match="2 folds instead of 5: class b has 2 groups"):
        assert len(plan_folds(y, groups, 5, 0).folds) == 2


@pytest.mark.parametrize(
    ("y", "groups", "cv", "message"),
    [
        (["a"] * 4, None, 2, "Only one class: a"),
        (["a", "a", "b"], None, 2, "single sound: b"),
        (["a", "b", "c", "c"], None, 2, "single sound: a, b"),
        (["a", "a", "b", "b"], None, 1, "2 folds or more"),
        (["a", "a", "b", "b"], ["p", "q", "r", "r"], 2, "all of one group: b"),
        (["a", "a", "b", "b"], ["p", "q", "r"], 2, "groups has 3 entries for 4 sounds"),
        (["a", "a", "b", "b"], ["p", "q", "r", " "], 2, "groups is empty for 1 of 4"),
        (["a", "a", "b", "b"], None, "five", "number of folds or a splitter"),
        (["a", "a", "b", "b"], None, KFold(2), "no training sounds of a"),
    ],
)
def test_what_cannot_be_divided_is_refused(y, groups, cv, message):
    with pytest.raises(ValueError, match=message):
        plan_folds(np.array(y), groups, cv, 0)


def test_groups_that_keep_a_class_together_are_refused():
    # Each of the two groups has a class that the other lacks, whichever is tested.
    y = np.array(["a", "b", "a", "c", "b", "c"])
    groups = np.array(["p", "p", "q", "q", "r", "s"])
    plan = plan_folds(y, groups, 2, 0)
    assert all(set(y[fold.train]) == {"a", "b", "c"} for fold in plan.folds)
    y, groups = np.array(list("aabbcc")), np.array(list("pqqrrp"))
    with pytest.raises(ValueError, match="cannot be divided into two folds"):
        plan_folds(y, groups, 2, 0)


def test_a_splitter_is_used_as_it_is():
    y = np.array(["a", "b"] * 6)
    splitter = StratifiedKFold(3, shuffle=True, random_state=5)
    plan = plan_folds(y, None, splitter, 0)
    for fold, (train, test) in zip(plan.folds, splitter.split(y, y), strict=True):
        np.testing.assert_array_equal(fold.train, train)
        np.testing.assert_array_equal(fold.test, test)
    assert plan.description == "3 folds of StratifiedKFold"


def test_splits_go_by_their_usual_names_and_the_others_are_kept_apart():
    y = np.array(list("ababababa"))
    split = ["Training"] * 2 + ["val", "dev"] + ["TEST", "testing"] + ["studio", "hall", "hall"]
    plan = plan_split(y, split)
    (fold,) = plan.folds
    assert (fold.train.tolist(), fold.valid.tolist(), fold.test.tolist()) == (
        [0, 1],
        [2, 3],
        [4, 5],
    )
    assert {name: rows.tolist() for name, rows in plan.extra.items()} == {
        "studio": [6],
        "hall": [7, 8],
    }
    assert plan.is_held_out
    assert plan.final is fold


@pytest.mark.parametrize(
    ("y", "split", "message"),
    [
        ("abab", ["train"] * 4, "split has no test; it names train"),
        ("abab", ["fold1", "fold2"] * 2, "split has no train and no test; it names fold1, fold2"),
        ("abac", ["train", "train", "test", "test"], "no sound in the train split: c"),
        ("aaab", ["train", "train", "test", "other"], "no sound in the train split: b"),
        ("aaaa", ["train", "train", "test", "test"], "train split has one class only: a"),
        ("abab", ["train", "train", "test"], "split has 3 entries for 4 sounds"),
        ("abab", ["train", "train", "test", ""], "split is empty for 1 of 4 sounds"),
    ],
)
def test_splits_that_cannot_be_used_are_refused(y, split, message):
    with pytest.raises(ValueError, match=message):
        plan_split(np.array(list(y)), split)


def test_groups_on_both_sides_of_a_split_are_warned_of():
    y, split = np.array(list("abab")), ["train", "train", "test", "test"]
    with pytest.warns(UserWarning, match=r"1 groups are in train and in test \(q\)"):
        plan_split(y, split, ["p", "q", "q", "r"])


def test_only_a_classifier_that_stops_early_and_can_be_told_gets_a_part_held_back():
    assert held_back_share(CNNClassifier(early_stopping=True, validation_fraction=0.2)) == 0.2
    assert held_back_share(CNNClassifier(early_stopping=False)) == 0
    assert held_back_share(object()) == 0
