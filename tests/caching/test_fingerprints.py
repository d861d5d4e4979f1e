"""What settings a fingerprint tells apart."""

import functools

import numpy as np
import pytest

from skstrf import STRFTransformer
from skstrf.caching.fingerprints import fingerprint


def make_closure(power):
    return lambda x: x**power


def named(x, by=1):
    return x * by


@pytest.mark.parametrize(
    "one, same",
    [
        ((1.0, 2.0), [1.0, 2.0]),
        ({"a": 1, "b": (2,)}, {"b": [2], "a": 1}),
        (np.arange(4.0), np.arange(8.0)[::2].copy()),
        (np.arange(8.0)[::2], np.arange(4.0) * 2),
        (np.float64(2), 2.0),
        ({"x", "y", "z"}, {"z", "y", "x"}),
        (make_closure(2), make_closure(2)),
        (functools.partial(named, by=2), functools.partial(named, by=2)),
        (np.sin, np.sin),
        ([(1, 2), (1, 2)], [(1, 2)] * 2),
        (STRFTransformer(), STRFTransformer()),
    ],
)
def test_equal_settings_have_one_fingerprint(one, same):
    if isinstance(one, np.ndarray):
        same = one.copy()
    assert fingerprint(one) == fingerprint(same)


def test_different_settings_have_different_fingerprints():
    different = [
        None, True, 1, 1.0, 1j, "1", b"1", [1], (1, 2), [[1, 2]], {1: 2}, {1, 2}, {},
        np.arange(3), np.arange(3.0), np.arange(3.0, dtype="f4"), np.arange(3.0)[:, None],
        np.zeros(3), np.array([1, "a"], dtype=object), np.array([1, "b"], dtype=object),
        make_closure(2), make_closure(3), lambda x: x + 1, lambda x: x + 2, lambda x: x - 1,
        named, functools.partial(named, by=2), functools.partial(named, by=3), np.sin, np.cos,
        len, max, STRFTransformer(), STRFTransformer(rates=(2, 4)), STRFTransformer, slice(3),
        "a".join, "b".join, make_closure("2"),
    ]  # fmt: skip
    texts = [fingerprint(value) for value in different]
    assert len(set(texts)) == len(texts)


def test_a_function_that_encloses_itself_has_a_fingerprint():
    def count(n):
        return 0 if n == 0 else 1 + count(n - 1)

    assert fingerprint(count) == fingerprint(count)
