"""Folders that others can write to: nothing in them runs, and nothing in them stops the work."""

import os
import pickle

import joblib
import numpy as np
import pytest
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import FunctionTransformer

from skstrf import MPCA, CachedPipeline, ChannelSelector, MelTransformer, TensorScaler
from skstrf.caching.backend import ArrayStore
from skstrf.caching.files import open_to_others
from skstrf.caching.recordings import open_store, row_path
from skstrf.caching.results import ResultCache
from skstrf.feature_selection import channel_scores
from skstrf.pipeline import _ENTRIES_VERSION, Entries, _pickle_key

RATE = 4000


class Hostile:
    """A pickle that makes a folder when it is loaded."""

    def __init__(self, place):
        self.place = place

    def __reduce__(self):
        return os.mkdir, (self.place,)


class Own(TransformerMixin, BaseEstimator):
    """An estimator of the user that has to be pickled, since it learns a set."""

    n_fits = 0

    def fit(self, X, y=None):
        type(self).n_fits += 1
        self.seen_ = frozenset([len(X)])
        return self

    def transform(self, X):
        return X + min(self.seen_)


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    return rng.standard_normal((12, 2000)).astype("float32"), np.arange(12) % 2


@pytest.fixture
def private(tmp_path, monkeypatch):
    """A cache folder that counts as the user's own, wherever the tests run."""
    monkeypatch.setattr("skstrf.pipeline.open_to_others", lambda path: None)
    return tmp_path / "cache"


def make(memory, *stages):
    stages = stages or (TensorScaler(), MPCA(2, vectorize=True))
    names = [f"{place}" for place in range(len(stages))]
    steps = [("mel", MelTransformer(RATE, n_mels=20)), *zip(names, stages, strict=True)]
    return CachedPipeline([*steps, ("last", LogisticRegression())], memory=memory)


def test_nothing_that_is_planted_in_a_cache_is_run(tmp_path, data):
    X, y = data
    folder, alarm = tmp_path / "cache", tmp_path / "alarm"

    def work():
        mel = MelTransformer(RATE, n_mels=20, memory=folder).fit(X).transform(X)
        scores = channel_scores(None, mel.reshape(12, 2, 2, -1), y, cv=2, memory=folder)
        return make(folder).fit(X, y).predict_proba(X), mel, scores.folds

    expected = work()
    joblib.dump(Hostile(str(alarm)), tmp_path / "bad")
    bad = (tmp_path / "bad").read_bytes()
    # In the place of every file, and beside it under the names that joblib gives to pickles.
    for path in [p for p in folder.rglob("*") if p.is_file()]:
        path.write_bytes(bad)
        path.with_name("output.npy").write_bytes(bad)
    for _ in range(2):
        for one, other in zip(work(), expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)
    # Object arrays in .npy files, of which numpy makes pickles.
    array = np.array([Hostile(str(alarm))], dtype=object)
    for path in folder.rglob("output.pkl"):
        with path.open("wb") as file:
            np.lib.format.write_array(file, array, allow_pickle=True)
    work()
    source = f"import os; os.mkdir({str(alarm)!r})"
    for path in folder.rglob("func_code.py"):
        for text in (source, f"# first line: 1\n{source}", f"# first line: {source}"):
            path.write_text(text)
            joblib.memory._FUNCTION_HASHES.clear()
            work()
    assert not alarm.exists()
    pickle.loads(pickle.dumps(Hostile(str(alarm))))
    assert alarm.exists()  # it would have rung


def test_no_pipe_in_a_cache_is_waited_for(tmp_path, data):
    if not hasattr(os, "mkfifo"):
        pytest.skip("needs named pipes")
    X, _ = data
    mel = MelTransformer(RATE, n_mels=20, memory=tmp_path).fit(X[:2])
    expected = mel.transform(X[:2])
    for path in [p for p in tmp_path.rglob("*") if p.suffix in (".pkl", ".json", ".py")]:
        path.unlink()
        os.mkfifo(path)
    joblib.memory._FUNCTION_HASHES.clear()
    np.testing.assert_array_equal(mel.transform(X[:2]), expected)


def test_stages_of_ours_are_stored_without_pickle(tmp_path, data, monkeypatch):
    X, y = data

    def refuse(*_):
        raise AssertionError("a pickle is used")

    monkeypatch.setattr("skstrf.pipeline.pickle.dumps", refuse)
    monkeypatch.setattr("skstrf.pipeline.pickle.loads", refuse)
    few = X[:, :6].reshape(12, 2, 3, 1)
    select = [("select", ChannelSelector(k=2, cv=2)), ("mpca", MPCA(0.9, vectorize=True))]
    for _ in range(2):
        found = make(tmp_path).fit(X, y)
        assert [axis.name for axis in found["mel"].axes_] == ["frequency", "time"]
        stages = CachedPipeline(select, memory=tmp_path)
        np.testing.assert_array_equal(
            stages.fit_transform(few, y), CachedPipeline(select).fit_transform(few, y)
        )
        assert stages["select"].scores_.folds.shape == (2, 3, 2)


def test_pickles_are_read_only_where_nobody_else_can_write(tmp_path, data, private, monkeypatch):
    X, y = data
    Own.n_fits = 0
    for n_fits in (1, 1):
        make(private, Own(), MPCA(2, vectorize=True)).fit(X, y)
        assert Own.n_fits == n_fits
    store = open_store(private)
    alarm = tmp_path / "alarm"
    keys = make(private, Own(), MPCA(2, vectorize=True)).fit(X, y).stage_keys_
    bad = np.frombuffer(pickle.dumps(Hostile(str(alarm))), dtype=np.uint8)
    Entries(store, str(private)).write(_pickle_key(keys[1]), bad)
    monkeypatch.setattr("skstrf.pipeline.open_to_others", lambda path: "a place")
    with pytest.warns(UserWarning, match="Own has to be stored as a pickle.*chmod go-w"):
        make(private, Own(), MPCA(2, vectorize=True)).fit(X, y)
    assert Own.n_fits == 2 and not alarm.exists()
    assert row_path(store, _pickle_key(keys[1]), _ENTRIES_VERSION).startswith(str(private))


def test_what_cannot_be_pickled_is_fitted_again(data, private, caplog):
    X, y = data
    twice = FunctionTransformer(lambda X: 2 * X)
    for _ in range(2):
        found = make(private, twice, MPCA(2, vectorize=True)).fit(X, y)
    expected = make(None, twice, MPCA(2, vectorize=True)).fit(X, y)
    np.testing.assert_array_equal(found["last"].coef_, expected["last"].coef_)
    assert "cannot be pickled" in caplog.text


@pytest.mark.skipif(os.name == "nt", reason="permissions are another matter there")
def test_a_place_is_ones_own_if_nobody_else_can_write_on_its_path(tmp_path, monkeypatch):
    root = tmp_path.resolve()
    own = os.lstat

    def known(path, *args, **kwargs):
        # The folders above the test's own may be anything where the tests run.
        return own(path if root in (path, *path.parents) else "/", *args, **kwargs)

    monkeypatch.setattr("pathlib.Path.lstat", known)
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    file = folder / "file"
    file.touch()
    for path in (tmp_path, folder.parent, folder, file):
        path.chmod(0o755)
    assert open_to_others(file) is None
    for path in (file, folder, folder.parent, tmp_path):
        for mode in (0o775, 0o757):
            path.chmod(mode)
            assert open_to_others(file) == str(path)
        path.chmod(0o755)
    folder.parent.chmod(0o1777)  # like /tmp
    assert open_to_others(file) is None
    (tmp_path / "link").symlink_to(folder)
    folder.chmod(0o777)
    assert open_to_others(tmp_path / "link" / "file") == str(folder)
    folder.chmod(0o755)
    if os.geteuid() == 0:
        for path in (file, folder):
            os.chown(path, 12345, -1)
            assert open_to_others(file) == str(path)
            os.chown(path, 0, -1)


def test_a_users_memory_manages_the_entries(tmp_path, data):
    X, y = data
    memory = joblib.Memory(str(tmp_path), verbose=0)
    make(memory).fit(X, y)
    files = list(tmp_path.rglob("output.pkl"))
    assert files
    assert len(memory.store_backend.get_items()) == len(files)
    last = files[3]
    for path in files:
        os.utime(path, (1e9, 1e9))
    os.utime(last)
    memory.reduce_size(items_limit=1)
    assert list(tmp_path.rglob("output.pkl")) == [last]
    memory.clear(warn=False)
    assert not list(tmp_path.rglob("output.pkl"))
    again = make(memory).fit(X, y)
    np.testing.assert_array_equal(again.predict(X), make(None).fit(X, y).predict(X))


def test_reading_an_entry_makes_it_the_last_to_go(tmp_path, data):
    X, _ = data
    mel = MelTransformer(RATE, n_mels=20, memory=tmp_path).fit(X)
    mel.transform(X)
    for path in tmp_path.rglob("output.pkl"):
        os.utime(path, (1e9, 1e9))
    mel.transform(X[4:5])
    joblib.Memory(str(tmp_path), verbose=0).reduce_size(items_limit=1)
    counts = []
    compute = MelTransformer._compute
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            MelTransformer,
            "_compute",
            lambda self, X: (counts.append(len(X)), compute(self, X))[1],
        )
        mel.transform(X[4:6])
    assert counts == [1]


def test_other_stores_of_joblib_are_refused(tmp_path, data):
    class Other(ArrayStore):
        pass

    joblib.register_store_backend("other", Other)
    memory = joblib.Memory(str(tmp_path), backend="other", verbose=0)
    with pytest.raises(ValueError, match=r"backend 'other'.*Give a folder"):
        MelTransformer(RATE, memory=memory).fit(data[0]).transform(data[0])


@pytest.mark.parametrize(
    "content", [b"\x80\x04.", b"[" * 100_000, b'{"name": "a"}', b"1", b"", b"\xff", None]
)
def test_damaged_parts_are_computed_again(tmp_path, content, caplog):
    cache = ResultCache(tmp_path, lambda: {"seed": 1})
    assert cache.get("a", lambda: {"score": 0.25}) == {"score": 0.25}
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"0.25", b"0.75") if content is None else content)
    assert cache.get("a", lambda: {"score": 0.5}) == {"score": 0.5}
    assert "damaged" in caplog.text
    assert cache.get("a", lambda: 0) == {"score": 0.5}
