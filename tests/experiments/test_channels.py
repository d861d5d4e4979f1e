"""Channels scored on tensors computed once, and compared without a look at what is tested."""

import json

import numpy as np
import pytest
from sklearn.model_selection import cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline

from skstrf import MPCA, ChannelSelector, STRFTransformer, channel_scores
from skstrf import feature_selection as channel_module
from skstrf.experiments import run_channels
from skstrf.experiments._evaluation import linear_classifier
from skstrf.experiments._splits import plan_folds, plan_split
from skstrf.experiments.channels import compare_channels
from skstrf.experiments.comparison import PENALTY


@pytest.fixture(scope="module")
def tensors():
    """60 tensors of 2 x 4 x 3 x 2: channels (0, 1) and (1, 2) tell the classes, others nothing."""
    rng = np.random.default_rng(0)
    y = np.array(list("abc") * 20)
    X = rng.standard_normal((60, 2, 4, 3, 2)).astype(np.float32)
    X[:, 0, 1] += (y == "a")[:, None, None] * 2
    X[:, 1, 2] += (y == "b")[:, None, None] * 2
    return X, y


@pytest.fixture
def noise_pipeline(make_small_pipeline):
    pipeline = make_small_pipeline().set_params(strf__scales=(1, 2), cnn=linear_classifier())
    return pipeline.set_params(scaler="passthrough")


def _ridge():
    from sklearn.linear_model import RidgeClassifier
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), RidgeClassifier(alpha=PENALTY))


def test_the_comparison_is_that_of_pipelines_fitted_on_the_training_part(tensors):
    X, y = tensors
    plan = plan_folds(y, None, 3, 0)
    results = compare_channels(X, y, plan, linear_classifier(), k=[2], ratios=[0.8])
    found = {row["name"]: row for row in results.rows}
    assert list(found) == ["all channels", "best 2", "all channels, MPCA(0.8)",
                           "best 2, MPCA(0.95)"]  # fmt: skip
    for number, fold in enumerate(plan.folds):
        train, test = fold.train, fold.test
        inner = [(f.train, f.test) for f in plan_folds(y[train], None, 3, 0).folds]
        selector = ChannelSelector(_ridge(), k=2, cv=inner)
        for name, model in {
            "all channels": linear_classifier(),
            "best 2": make_pipeline(selector, linear_classifier()),
            "all channels, MPCA(0.8)": make_pipeline(MPCA(0.8), linear_classifier()),
            "best 2, MPCA(0.95)": make_pipeline(selector, MPCA(0.95), linear_classifier()),
        }.items():
            expected = model.fit(X[train], y[train]).score(X[test], y[test])
            assert found[name]["accuracy"]["values"][number] == pytest.approx(expected)
    assert [row["dimension"] for row in results.rows][:2] == [48, 12]
    assert found["best 2"]["shape"] == [2, 3, 2]
    assert found["best 2"]["accuracy"]["mean"] > results.chance + 0.2
    assert results.chance == pytest.approx(1 / 3, abs=0.05)


def test_scores_are_those_of_channel_scores_on_the_folds(tensors):
    X, y = tensors
    plan = plan_folds(y, None, 3, 0)
    results = compare_channels(X, y, plan, linear_classifier(), k=[1], ratios=[0.9])
    pairs = [(fold.train, fold.test) for fold in plan.folds]
    np.testing.assert_array_equal(
        results.scores.folds, channel_scores(_ridge(), X, y, cv=pairs).folds
    )
    best = results.best_channels(2)
    assert {(row["scale"], row["rate"]) for row in best} == {(0, 1), (1, 2)}
    assert all(row["chosen"] == 1 for row in best)
    results.scales, results.rates = [1.0, 2.0], [-8.0, -4.0, 4.0, 8.0]
    assert {(r["scale"], r["rate"]) for r in results.best_channels(2)} == {(1, -4), (2, 4)}


def test_labels_of_the_test_part_decide_nothing_about_the_choice(tensors):
    X, y = tensors
    plan = plan_split(y, ["train"] * 36 + ["test"] * 12 + ["elsewhere"] * 12)
    other = y.copy()
    other[36:] = np.random.default_rng(1).permutation(other[36:])
    a, b = (
        compare_channels(X, labels, plan, linear_classifier(), k=[2], ratios=[0.9])
        for labels in (y, other)
    )
    np.testing.assert_array_equal(a.rankings, b.rankings)
    np.testing.assert_array_equal(a.scores.folds, b.scores.folds)
    assert a.is_held_out and set(a.rows[0]["extra"]) == {"elsewhere"}
    assert [row["dimension"] for row in a.rows] == [row["dimension"] for row in b.rows]
    assert a.rows[1]["accuracy"]["mean"] > b.rows[1]["accuracy"]["mean"]


def test_groups_stay_together_where_channels_are_chosen(tensors):
    X, y = tensors
    rng = np.random.default_rng(3)
    # A channel that names the group and nothing else: told only by folds that split groups.
    groups = np.repeat(np.arange(20), 3)
    y = np.array(list("abc"))[groups % 3]
    X = rng.standard_normal(X.shape).astype(np.float32)
    X[:, 0, 0] += 6 * rng.standard_normal((20, 3, 2))[groups]
    X[:, 1, 3] += (y == "a")[:, None, None] * 1.5 - (y == "b")[:, None, None] * 1.5
    chosen, nearest = {}, KNeighborsClassifier(1)
    for name, given in {"together": groups, "apart": None}.items():
        plan = plan_folds(y, groups, 3, 0)
        options = {"groups": given, "k": [1], "ratios": [], "estimator": nearest}
        results = compare_channels(X, y, plan, linear_classifier(), **options)
        chosen[name] = [tuple(ranking[0].tolist()) for ranking in results.rankings]
    assert chosen["together"] == [(1, 3)] * 3
    assert (0, 0) in chosen["apart"]


def test_seeds_give_a_spread_to_what_has_one(tensors):
    from skstrf.neural import CNNClassifier, ConvolutionalNetwork

    X, y = tensors
    plan = plan_split(y, ["train"] * 40 + ["test"] * 20)
    layers = ConvolutionalNetwork(4, (3,), 1, n_hidden=8)
    network = CNNClassifier(layers, max_epochs=3, device="cpu")
    more = {"k": [1], "ratios": [0.9], "n_seeds": 2}
    a, b = (compare_channels(X, y, plan, network, **more) for _ in range(2))
    assert all(len(row["accuracy"]["values"]) == 2 for row in a.rows)
    assert [row["accuracy"] for row in a.rows] == [row["accuracy"] for row in b.rows]
    linear = compare_channels(X, y, plan, linear_classifier(), **more)
    assert len(linear.rows[0]["accuracy"]["values"]) == 1
    assert linear.rows[0]["accuracy"]["std"] is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": [3, 9]}, r"k has \[9\]: the tensors have 8 channels"),
        ({"k": [0]}, r"k has \[0\]"),
        ({"ratios": [0.9, 1.5]}, r"ratios has \[1.5\]"),
        ({"inner": 1}, "inner=1: give a whole number of at least 2"),
        ({"n_seeds": 0}, "n_seeds=0"),
    ],
)
def test_bad_arguments_are_named(tensors, options, message):
    X, y = tensors
    with pytest.raises(ValueError, match=message):
        compare_channels(X, y, plan_folds(y, None, 2, 0), linear_classifier(), **options)


def test_data_without_channels_are_refused(tensors):
    X, y = tensors
    plan = plan_folds(y, None, 2, 0)
    with pytest.raises(ValueError, match=r"tensors have shape \(3, 2\).*no channels"):
        compare_channels(X[:, 0, 0], y, plan, linear_classifier())
    bad = X.copy()
    bad[7, 1, 1, 0, 0] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        compare_channels(bad, y, plan, linear_classifier())


def test_a_class_too_small_to_choose_by_is_named(tensors):
    X, y = tensors
    y = np.where(np.arange(60) < 2, "rare", y)
    plan = plan_folds(y, None, 2, 0)
    with pytest.raises(ValueError, match=r"each training part once more.*single sound: rare"):
        compare_channels(X, y, plan, linear_classifier())
    y = np.where(np.arange(60) < 4, "rare", y)
    with pytest.warns(UserWarning, match=r"training part once more: 2 folds instead of 3: class"):
        compare_channels(X, y, plan_folds(y, None, 2, 0), linear_classifier(), k=[1], ratios=[])


def test_files_to_results(noises, noise_pipeline, tmp_path, monkeypatch, page_faults):
    files, y = noises
    options = {"cv": 2, "pipeline": noise_pipeline, "k": [2], "ratios": [0.9]}
    options["memory"] = tmp_path / "cache"
    results = run_channels(files, y, **options)
    assert results.scores.mean.shape == (2, 2)
    assert (results.scales, results.rates) == ([1, 2], [-4, 4])
    assert results.rows[0]["accuracy"]["mean"] > 0.8
    assert {"tensors", "selection", "scores"} <= set(results.seconds)
    results.write_json(tmp_path / "results.json")
    written = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert np.shape(written["scores"]["folds"]) == (2, 2, 2)
    assert len(written["best_channels"]) == 4
    results.to_report(tmp_path / "report.html", notes=["A note & more."])
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "A note &amp; more." in html and "best 2, MPCA(0.95)" in html
    assert page_faults(html) == []
    # Nothing is computed again: not a tensor, not a score; the level of chance alone.
    scored = []

    def note(estimator, *args, **kwargs):
        scored.append(type(estimator).__name__)
        return cross_val_score(estimator, *args, **kwargs)

    def refuse(self, X):
        raise AssertionError("computed again")

    monkeypatch.setattr(STRFTransformer, "_compute", refuse)
    monkeypatch.setattr(channel_module, "cross_val_score", note)
    again = run_channels(files, y, **options)
    assert set(scored) == {"DummyClassifier"}
    np.testing.assert_array_equal(again.scores.folds, results.scores.folds)


def test_files_that_cannot_be_used_are_left_out_with_a_warning(noises, noise_pipeline, tmp_path):
    files, y = noises
    (tmp_path / "bad.wav").write_bytes(b"RIFF")
    files, y = [*files, str(tmp_path / "bad.wav")], [*y, "low"]
    options = {"cv": 2, "pipeline": noise_pipeline, "k": [1], "ratios": [0.9]}
    with pytest.raises(ValueError, match=r"bad\.wav"):
        run_channels(files, y, **options)
    noise_pipeline.set_params(loader__on_error="warn")
    with pytest.warns(UserWarning, match=r"1 of 19 sound files") as caught:
        results = run_channels(files, y, **options)
    assert caught[0].filename == __file__
    assert results.n_sounds == 18 and results.skipped[0][0].endswith("bad.wav")


def test_other_stages_are_refused(noises, small_pipeline):
    with pytest.raises(ValueError, match="stages scaler between tensors and classifier"):
        run_channels(*noises, cv=2, pipeline=small_pipeline)


def test_settings_are_the_same_words_in_every_process(noises, noise_pipeline):
    options = {"cv": 2, "pipeline": noise_pipeline, "k": [1], "ratios": []}
    text = json.dumps(run_channels(*noises, **options).to_dict()["settings"])
    assert " at 0x" not in text and "LogisticRegression" in text
