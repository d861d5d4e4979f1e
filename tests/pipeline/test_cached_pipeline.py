"""CachedPipeline: the least work, the same numbers, in one process and in several."""

import os
import shutil
import warnings
from collections import Counter

import joblib
import numpy as np
import pytest
import sklearn
import soundfile
from joblib.externals.loky import get_reusable_executor
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import TargetEncoder

from skstrf import MPCA, AudioLoader, CachedPipeline, STRFTransformer, TensorScaler

N_SOUNDS, RATE = 12, 4000
LOG = "SKSTRF_TEST_COUNTS"


def note(what, n):
    """Count in a file that all processes append to."""
    with open(os.environ.get(LOG, os.devnull), "a") as file:
        file.write(f"{what} {n}\n")


class CountingLoader(AudioLoader):
    def transform(self, X):
        note("read", len(X))
        return super().transform(X)


class CountingSTRF(STRFTransformer):
    def _compute(self, X):
        note("recordings", len(X))
        return super()._compute(X)


class CountingMPCA(MPCA):
    def fit(self, X, y=None):
        note("fits", 1)
        return super().fit(X, y)

    def transform(self, X):
        note("transforms", 1)
        return super().transform(X)


@pytest.fixture
def counts(tmp_path, monkeypatch):
    """Gives the counts so far by what, and starts anew."""
    # Workers that an earlier test has left waiting do not know of the file.
    get_reusable_executor().shutdown(wait=True)
    path = tmp_path / "counts"
    path.touch()
    monkeypatch.setenv(LOG, str(path))

    def so_far():
        found = tally(path)
        path.write_text("")
        return found

    return so_far


def tally(path):
    found = Counter()
    for line in path.read_text().splitlines():
        what, n = line.split()
        found[what] += int(n)
    return dict(found)


@pytest.fixture
def sounds(tmp_path):
    return write_sounds(tmp_path)


def write_sounds(folder):
    """Paths, classes and groups of a few short files."""
    rng = np.random.default_rng(0)
    times = np.arange(RATE // 2) / RATE
    paths = []
    for i in range(N_SOUNDS):
        sound = 0.3 * np.sin(2 * np.pi * (300 + 500 * (i % 2)) * times)
        paths.append(str(folder / f"{i}.wav"))
        soundfile.write(paths[-1], sound + 0.02 * rng.standard_normal(times.size), RATE)
    return paths, np.arange(N_SOUNDS) % 2, np.arange(N_SOUNDS) // 2


def close(found, expected):
    """As near as float32 comes: batches are cut differently."""
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def make(memory):
    strf = CountingSTRF(rates=[4], scales=[1, 2], sample_rate=RATE, frame_step=16)
    steps = [
        ("loader", CountingLoader(sample_rate=RATE, duration=0.5)),
        ("strf", strf),
        ("mpca", CountingMPCA(0.9, vectorize=True)),
        ("last", LogisticRegression()),
    ]
    return CachedPipeline(steps, memory=memory)


GRID = {
    "strf__scales": [[1, 2], [1, 4]],
    "mpca__n_components": [0.8, 0.95],
    "last__C": [0.1, 10.0],
}


@pytest.fixture(scope="module")
def uncached(tmp_path_factory):
    """The scores of a search without a cache, and how often everything was computed."""
    folder = tmp_path_factory.mktemp("uncached")
    paths, y, _ = write_sounds(folder)
    search = GridSearchCV(Pipeline(make(None).steps), GRID, cv=KFold(3), refit=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(LOG, str(folder / "counts"))
        search.fit(paths, y)
    return search.cv_results_, tally(folder / "counts")


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_search_computes_nothing_twice(n_jobs, sounds, uncached, tmp_path, counts):
    paths, y, _ = sounds
    options = {"cv": KFold(3), "n_jobs": n_jobs, "refit": False}
    search = GridSearchCV(make(str(tmp_path / "cache")), GRID, **options).fit(paths, y)
    assert len(search.cv_results_["params"]) == 8
    # 2 STRFs; for every fold each STRF with each MPCA, on training part and test part.
    found = counts()
    n_probes = found.pop("read") - 2 * N_SOUNDS
    assert found == {"recordings": 2 * N_SOUNDS, "fits": 12, "transforms": 24}
    assert n_probes == 2  # of one sound each, for the shapes
    plain, computed = uncached
    for name in ("split0_test_score", "split1_test_score", "split2_test_score"):
        np.testing.assert_array_equal(search.cv_results_[name], plain[name])
    assert computed == {
        "read": 8 * 3 * N_SOUNDS,
        "recordings": 8 * 3 * N_SOUNDS,
        "fits": 24,
        "transforms": 48,
    }
    GridSearchCV(make(str(tmp_path / "cache")), GRID, **options).fit(paths, y)
    assert counts() == {}


def test_groups_and_weights_find_their_way(sounds, tmp_path, counts):
    paths, y, groups = sounds
    weights = np.linspace(0.1, 1, N_SOUNDS)
    with sklearn.config_context(enable_metadata_routing=True):
        last = LogisticRegression().set_fit_request(sample_weight=True)
        last.set_score_request(sample_weight=True)
        pipeline = make(str(tmp_path / "cache")).set_params(last=last)
        grid = {"last__C": [0.1, 1.0]}
        search = GridSearchCV(pipeline, grid, cv=GroupKFold(3))
        search.fit(paths, y, groups=groups, sample_weight=weights)
        plain = GridSearchCV(Pipeline(pipeline.steps), grid, cv=GroupKFold(3))
        plain.fit(paths, y, groups=groups, sample_weight=weights)
    np.testing.assert_array_equal(
        search.cv_results_["mean_test_score"], plain.cv_results_["mean_test_score"]
    )
    np.testing.assert_array_equal(
        search.best_estimator_["last"].coef_, plain.best_estimator_["last"].coef_
    )
    with pytest.raises(ValueError, match="groups"):
        GridSearchCV(pipeline, grid, cv=GroupKFold(3)).fit(paths, y)


def test_weights_without_routing(sounds, tmp_path):
    paths, y, _ = sounds
    weights = np.linspace(0.1, 1, N_SOUNDS)
    found = make(str(tmp_path)).fit(paths, y, last__sample_weight=weights)
    plain = Pipeline(make(None).steps).fit(paths, y, last__sample_weight=weights)
    close(found.predict_proba(paths), plain.predict_proba(paths))
    assert found.score(paths, y, sample_weight=weights) == plain.score(
        paths, y, sample_weight=weights
    )


def test_every_method_gives_what_a_pipeline_gives(sounds, tmp_path):
    paths, y, _ = sounds
    for _ in range(2):  # the second time from the cache
        found, plain = make(str(tmp_path)).fit(paths, y), Pipeline(make(None).steps).fit(paths, y)
        for method in ("predict", "predict_proba", "predict_log_proba", "decision_function"):
            close(getattr(found, method)(paths[:5]), getattr(plain, method)(paths[:5]))
        stages = CachedPipeline(make(None).steps[:-1], memory=str(tmp_path))
        close(stages.fit_transform(paths), plain[:-1].transform(paths))
        close(stages.transform(paths[:3]), plain[:-1].transform(paths[:3]))
    assert not hasattr(found, "transform")
    assert not hasattr(stages, "predict")
    assert isinstance(found.named_steps["mpca"].components_, list)


def test_what_decides_is_in_the_key(sounds, tmp_path, counts):
    paths, y, _ = sounds
    make(str(tmp_path / "cache")).fit(paths, y)
    counts()
    make(str(tmp_path / "cache")).fit(paths, 1 - y)  # labels
    assert counts() == {"fits": 1, "transforms": 1}
    make(str(tmp_path / "cache")).fit(paths[::-1], y)  # order
    assert counts() == {"fits": 1, "transforms": 1}
    make(str(tmp_path / "cache")).set_params(loader__n_jobs=2, strf__n_jobs=2).fit(paths, y)
    assert counts() == {}
    make(str(tmp_path / "cache")).set_params(loader__duration=0.25).fit(paths, y)
    assert counts()["recordings"] == N_SOUNDS
    sound, _ = soundfile.read(paths[0])
    soundfile.write(paths[0], sound[::-1], RATE)  # content of a file
    make(str(tmp_path / "cache")).fit(paths, y)
    found = counts()
    assert found == {"read": 1, "recordings": 1, "fits": 1, "transforms": 1}


def test_the_longest_sound_decides_where_no_duration_is_given(sounds, tmp_path):
    paths, y, _ = sounds
    sound, _ = soundfile.read(paths[0])
    soundfile.write(paths[0], np.concatenate([sound, sound]), RATE)
    pipeline = make(str(tmp_path / "cache")).set_params(loader__duration=None)
    assert (
        pipeline[:-2].fit_transform(paths).shape[-1]
        == pipeline[:-2].fit_transform(paths[:2]).shape[-1]
    )
    short = clone(pipeline).fit(paths[1:], y[1:])
    long = clone(pipeline).fit(paths, y)
    assert short["loader"].n_times_ * 2 == long["loader"].n_times_


def test_files_that_cannot_be_used_are_told_every_time(sounds, tmp_path):
    paths, _, _ = sounds
    with open(paths[3], "wb") as file:
        file.write(b"no sound")
    pipeline = make(str(tmp_path / "cache")).set_params(loader__on_error="warn")
    stages = CachedPipeline(pipeline.steps[:-2], memory=pipeline.memory)
    for _ in range(2):
        with pytest.warns(UserWarning, match="1 of 12 sound files cannot be used"):
            found = stages.fit_transform(paths)
        assert list(stages["loader"].errors_) == [paths[3]]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*cannot be used")
        plain = Pipeline(pipeline.steps[:-2]).fit(paths).transform(paths)
    np.testing.assert_array_equal(found, plain)
    with pytest.raises(ValueError, match=r"3\.wav"):
        stages.set_params(loader__on_error="raise").fit(paths)


def test_what_a_stage_learns_from_may_differ_from_what_it_predicts(tmp_path):
    # TargetEncoder cross-fits in fit_transform: taking transform for it would leak labels.
    rng = np.random.default_rng(0)
    X, y = rng.integers(0, 20, (100, 1)).astype(float), rng.integers(0, 2, 100)
    steps = [("code", TargetEncoder(random_state=0)), ("last", LogisticRegression())]
    plain = Pipeline(steps).fit(X, y)
    for _ in range(2):
        found = CachedPipeline(steps, memory=str(tmp_path)).fit(X, y)
        np.testing.assert_array_equal(found["last"].coef_, plain["last"].coef_)
        np.testing.assert_array_equal(found.predict_proba(X), plain.predict_proba(X))


def test_damaged_entries_are_made_anew(sounds, tmp_path):
    paths, y, _ = sounds
    expected = make(str(tmp_path / "cache")).fit(paths, y).predict_proba(paths)
    damaged = 0
    for entry in (tmp_path / "cache").rglob("output.pkl"):
        content = entry.read_bytes()
        entry.write_bytes(content[: len(content) // 2])
        damaged += 1
    assert damaged > N_SOUNDS
    found = make(str(tmp_path / "cache")).fit(paths, y)
    np.testing.assert_array_equal(found.predict_proba(paths), expected)


def test_a_cache_that_lost_any_part_gives_the_same_results(sounds, tmp_path):
    paths, y, _ = sounds
    folder = tmp_path / "cache"

    def pipeline(memory):
        learned = [("scaler", TensorScaler()), ("mpca", MPCA(0.9, vectorize=True))]
        steps = make(None).steps
        return CachedPipeline([*steps[:2], *learned, steps[-1]], memory=memory)

    expected = pipeline(None).fit(paths, y).predict_proba(paths)
    rng = np.random.default_rng(0)
    for _ in range(6):
        entries = sorted(path.parent for path in folder.rglob("output.pkl"))
        for entry in rng.permutation(entries)[: rng.integers(len(entries) + 1)]:
            shutil.rmtree(entry)
        found = pipeline(folder).fit(paths, y)
        close(found.predict_proba(paths), expected)
        close(found.predict_proba(paths[::-1]), expected[::-1])


def test_entries_of_older_versions_are_not_used(sounds, tmp_path, counts, monkeypatch):
    paths, y, _ = sounds
    with monkeypatch.context() as older:
        older.setattr("skstrf.pipeline._ENTRIES_VERSION", "stage")
        make(tmp_path / "cache").fit(paths, y)
    assert counts()["recordings"] >= N_SOUNDS
    make(tmp_path / "cache").fit(paths, y)
    assert counts()["recordings"] >= N_SOUNDS


def test_without_a_cache_nothing_changes(sounds):
    paths, y, _ = sounds
    pipeline = make(None).fit(paths, y)
    assert pipeline.stage_keys_ == []
    steps = [("pca", PCA(2)), ("last", LogisticRegression())]
    X = np.random.default_rng(0).standard_normal((10, 3))
    assert CachedPipeline(steps).fit(X, [0, 1] * 5).predict(X).shape == (10,)


def test_dask_arrays_pass_by_the_cache(tmp_path):
    da = pytest.importorskip("dask.array")
    X = np.random.default_rng(0).standard_normal((6, 2, 3, 4))
    stages = CachedPipeline([("mpca", MPCA(2))], memory=str(tmp_path / "cache"))
    lazy = stages.fit_transform(da.from_array(X, chunks=(3, 2, 3, 4)))
    assert isinstance(lazy, da.Array)
    assert stages.stage_keys_ == []
    eager = stages.fit_transform(X)
    assert stages.stage_keys_
    np.testing.assert_allclose(np.abs(lazy.compute()), np.abs(eager), rtol=1e-5, atol=1e-6)


def test_memory_may_be_a_joblib_memory_and_is_checked(sounds, tmp_path, counts):
    paths, y, _ = sounds
    make(joblib.Memory(str(tmp_path / "cache"), verbose=0)).fit(paths, y)
    counts()
    make(tmp_path / "cache").fit(paths, y)
    assert counts() == {}
    with pytest.raises(ValueError, match="memory must be None, a folder"):
        make(3).fit(paths, y)


def test_a_fitted_pipeline_goes_on_without_its_cache(sounds, tmp_path):
    import pickle

    paths, y, _ = sounds
    pipeline = make(str(tmp_path / "cache")).fit(paths, y)
    expected = pipeline.predict_proba(paths)
    shutil.rmtree(tmp_path / "cache")
    again = pickle.loads(pickle.dumps(pipeline))
    np.testing.assert_array_equal(again.predict_proba(paths), expected)
    # With fewer steps than were fitted the keys mean nothing.
    again.steps.pop(2)
    with pytest.raises(ValueError):
        again.predict(paths)
