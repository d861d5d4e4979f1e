"""Caches of pipelines that lack or damage any part give what no cache gives, bit for bit."""

import errno
import os
import shutil
import warnings
from collections import Counter

import joblib
import numpy as np
import pytest
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.linear_model import LogisticRegression

from skstrf import MPCA, CachedPipeline, TensorScaler
from skstrf.caching.backend import ArrayStore
from skstrf.pipeline import Entries


class Powers(TransformerMixin, BaseEstimator):
    """A transformer of single sounds whose numbers do not depend on the others of its batch."""

    _is_stateless = True

    def fit(self, X, y=None):
        self.n_times_ = X.shape[1]
        return self

    def transform(self, X):
        return np.stack([np.abs(X) ** p for p in (1, 2, 3)], axis=1).reshape(len(X), 3, 20, -1)


class Ranker(TransformerMixin, BaseEstimator):
    """An estimator of the user that has to be pickled, since it learns a set."""

    def fit(self, X, y=None):
        self.order_ = frozenset({int(np.argmax(X.std(axis=0)))})
        return self

    def transform(self, X):
        return X * (1 + min(self.order_))


def pipeline(memory):
    steps = [
        ("powers", Powers()),
        ("scaler", TensorScaler()),
        ("mpca", MPCA(0.9, vectorize=True)),
        ("ranker", Ranker()),
        ("last", LogisticRegression()),
    ]
    return CachedPipeline(steps, memory=memory)


def results(memory, X, y):
    fitted = pipeline(memory).fit(X, y)
    return fitted.predict_proba(X), fitted["last"].coef_, fitted["mpca"].transform(
        fitted["scaler"].transform(fitted["powers"].transform(X))
    )  # fmt: skip


def deleted(folder, rng, patch):
    entries = sorted(path.parent for path in folder.rglob("output.pkl"))
    for entry in rng.permutation(entries)[: rng.integers(len(entries) + 1)]:
        shutil.rmtree(entry)


def changed(folder, rng, change):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    for path in rng.permutation(files)[: rng.integers(1, 6)]:
        data = path.read_bytes()
        if data:
            path.write_bytes(change(bytearray(data), rng.integers(len(data))))


def cut(folder, rng, patch):
    changed(folder, rng, lambda data, place: data[:place])


def flip(data, place, bit=1):
    data[place] ^= bit
    return data


def flipped(folder, rng, patch):
    changed(folder, rng, lambda data, place: flip(data, place, 1 << int(rng.integers(8))))


def swapped(folder, rng, patch):
    files = sorted(folder.rglob("output.pkl"))
    if len(files) > 1:
        one, other = rng.permutation(files)[:2]
        shutil.copy(one, other)


def reduced(folder, rng, patch):
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    limits = [{"items_limit": int(rng.integers(30))}, {"bytes_limit": int(rng.integers(size + 1))}]
    joblib.Memory(str(folder), verbose=0).reduce_size(**limits[rng.integers(2)])


def removed_in_the_middle(folder, rng, patch):
    count, last, read = [], rng.integers(1, 40), Entries.read

    def reading(self, key):
        count.append(key)
        if len(count) == last:
            shutil.rmtree(folder, ignore_errors=True)
        return read(self, key)

    patch.setattr(Entries, "read", reading)


def full_disk(folder, rng, patch):
    deleted(folder, rng, patch)
    written, n_files, n_bytes = [], rng.integers(30), rng.integers(200)

    def opening(path, mode):
        if "w" in mode:
            written.append(path)
            if len(written) > n_files:
                with open(path, mode) as file:
                    file.write(bytes(n_bytes))
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return open(path, mode)

    patch.setattr(ArrayStore, "_open_item", staticmethod(opening))


WAYS = [deleted, cut, flipped, swapped, reduced, removed_in_the_middle, full_disk]


@pytest.mark.filterwarnings("ignore:Unable to cache")
@pytest.mark.parametrize("n_trials", [21, pytest.param(500, marks=pytest.mark.slow)])
def test_a_partial_cache_gives_what_no_cache_gives(n_trials, tmp_path):
    data = np.random.default_rng(0)
    X, y = data.standard_normal((14, 1000)).astype("float32"), np.arange(14) % 2
    X[y == 1] += np.sin(np.arange(1000))
    expected = results(None, X, y)
    folder, rng, done = tmp_path / "cache", np.random.default_rng(n_trials), Counter()
    for trial in range(n_trials):
        if trial % 3 == 0:
            results(folder, X, y)
        way = WAYS[trial % len(WAYS)]
        with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
            way(folder, rng, patch)
            found = results(folder, X, y)
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one, other, err_msg=f"{trial}, {way.__name__}")
        done[way.__name__] += 1
    print(dict(done))
    assert not list(folder.rglob(".skstrf-*"))
