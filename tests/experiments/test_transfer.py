"""From a network for one collection to few labels of another."""

import json
from itertools import pairwise

import numpy as np
import pytest
from sklearn.utils import Bunch

from skstrf import MPCA, CNNClassifier, TensorScaler
from skstrf.experiments import make_classification_pipeline, run_transfer
from skstrf.experiments._evaluation import linear_classifier
from skstrf.experiments.transfer_learning import METHODS, Corpus, choose_labels, divide
from skstrf.neural import ConvolutionalNetwork, TensorAugmentation

SHAPE = (2, 3, 8, 4)
SMALL = {
    "network": ConvolutionalNetwork(8, (3,), 1, pool_size=1, n_hidden=16, dropout=0.0),
    "augmentation": TensorAugmentation(mixup=0.0),
    "lr": 2e-2,
    "batch_size": 8,
    "device": "cpu",
}


def patterns(n_per_class, names, seed, noise=1.0):
    """Noise with a pattern for each class; those of "x" and "y" are made of the same parts."""
    rng = np.random.default_rng(seed)
    parts = np.random.default_rng(99).standard_normal((6, *SHAPE))
    y = np.repeat(names, n_per_class)
    kinds = {"a": 0, "b": 1, "c": 2, "x": 3, "y": 4, "z": 5}
    X = noise * rng.standard_normal((len(y), *SHAPE)) + 0.4 * parts[[kinds[n] for n in y]]
    return X.astype(np.float32), y


def small_pipeline(**options):
    pipeline = make_classification_pipeline(duration=1.0, max_epochs=8)
    return pipeline.set_params(**{f"cnn__{k}": v for k, v in (SMALL | options).items()})


@pytest.fixture(scope="module")
def results():
    source, target = patterns(20, ["a", "b", "c"], 0), patterns(20, ["x", "y"], 1)
    pipeline = small_pipeline()
    return run_transfer(source, target, fractions=[0.1, 1.0], pipeline=pipeline, n_seeds=2)


def test_every_method_meets_every_share_and_seed(results):
    assert len(results.runs) == len(METHODS) * 2 * 2
    assert results.fractions == [0.1, 1.0]
    for row in results.table():
        assert row["n_labels"] == {0.1: 2, 1.0: 26}[row["fraction"]]
        values = results.values(row["method"], row["fraction"])
        assert row["accuracy"] == pytest.approx(values.mean())
        assert row["std"] == pytest.approx(values.std(ddof=1))
        base = results.values("from scratch", row["fraction"])
        assert row["gain"] == pytest.approx((values - base).mean())
        assert row["gain_std"] == pytest.approx((values - base).std(ddof=1))
    assert results.chance == pytest.approx(0.5, abs=0.05)
    assert results.source["classes"] == ["a", "b", "c"]
    assert results.target["tensor_shape"] == list(SHAPE)


def test_the_same_seed_gives_the_same_numbers(results):
    source, target = patterns(20, ["a", "b", "c"], 0), patterns(20, ["x", "y"], 1)
    options = {"pipeline": small_pipeline(), "fractions": [0.1], "n_seeds": 1}
    again = run_transfer(source, target, **options)
    for method in METHODS:
        np.testing.assert_array_equal(again.values(method, 0.1), results.values(method, 0.1)[:1])
    other = run_transfer(source, target, **options, random_state=1)
    for method in METHODS:
        np.testing.assert_array_equal(other.values(method, 0.1), results.values(method, 0.1)[1:])


def test_from_scratch_is_the_pipeline_and_knows_nothing_of_the_source(results):
    X, y = patterns(20, ["x", "y"], 1)
    pool, tests, _ = divide(Corpus(X, y, None, None, []), 0.3, 0)
    rows = pool[choose_labels(y[pool], [0.1, 1.0], 0)[1.0]]
    mpca = MPCA(0.95).fit(X[rows])
    model = CNNClassifier(**SMALL, max_epochs=8, random_state=0).fit(
        mpca.transform(X[rows]), y[rows]
    )
    expected = model.score(mpca.transform(X[tests["test"]]), y[tests["test"]])
    assert results.values("from scratch", 1.0)[0] == pytest.approx(expected)
    far = patterns(20, ["a", "b", "c"], 5, noise=3.0)
    again = run_transfer(far, (X, y), fractions=[1.0], pipeline=small_pipeline(), n_seeds=1)
    assert again.values("from scratch", 1.0)[0] == results.values("from scratch", 1.0)[0]


def test_a_source_of_the_same_classes_helps_where_labels_are_few():
    source, target = patterns(40, ["x", "y", "z"], 0), patterns(25, ["x", "y", "z"], 1)
    found = run_transfer(source, target, fractions=[0.05], pipeline=small_pipeline(), n_seeds=3)
    gains = {row["method"]: row["gain"] for row in found.table()}
    assert gains["output layer alone"] > 0.15
    assert gains["fine-tuned"] > 0.1


def test_what_is_carried_over_is_what_the_method_says(monkeypatch):
    fitted = []

    def note(self, X, y, **options):
        result = fit(self, X, y, **options)
        fitted.append((self, X.shape[1:]))
        return result

    fit = CNNClassifier.fit
    monkeypatch.setattr(CNNClassifier, "fit", note)
    source, target = patterns(12, ["a", "b", "c"], 0), patterns(12, ["x", "y"], 1)
    run_transfer(source, target, fractions=[0.5], pipeline=small_pipeline(), n_seeds=1)
    (start, shape), *others = fitted
    methods = dict(zip(METHODS, others, strict=True))
    before = start.net_.module_.state_dict()
    for name in ("fine-tuned", "fine-tuned slowly", "output layer alone"):
        model, its_shape = methods[name]
        assert model.warm_start_from is start and its_shape == shape
        assert list(model.classes_) == ["x", "y"]
    frozen = methods["output layer alone"][0].net_.module_.state_dict()
    for key, value in before.items():
        if not key.startswith("output"):
            assert (frozen[key] == value).all(), key
    assert methods["fine-tuned slowly"][0].layer_lr_ == {"conv1": 0.1, "hidden": 0.1}
    assert methods["from scratch, MPCA of the source"][0].warm_start_from is None
    assert methods["from scratch, MPCA of the source"][1] == shape


def test_a_smaller_share_is_part_of_a_larger_one_and_no_class_is_left_out():
    y = np.repeat(["a", "b", "c"], [40, 10, 3])
    rows = choose_labels(y, [1.0, 0.05, 0.5, 0.2], 3)
    assert list(rows) == [0.05, 0.2, 0.5, 1.0]
    shares = list(rows.values())
    for small, large in pairwise(shares):
        assert set(small) < set(large)
    assert [np.unique(y[r], return_counts=True)[1].tolist() for r in shares] == [
        [2, 1, 1], [8, 2, 1], [20, 5, 2], [40, 10, 3],
    ]  # fmt: skip
    assert not np.array_equal(rows[0.2], choose_labels(y, [0.2], 4)[0.2])


def test_groups_and_splits_of_the_target_are_kept():
    X, y = patterns(20, ["x", "y"], 1)
    groups = np.arange(40) // 4
    for seed in range(3):
        pool, tests, text = divide(Corpus(X, y, groups.astype(str), None, []), 0.3, seed)
        assert not set(groups[pool]) & set(groups[tests["test"]])
        assert len(pool) + len(tests["test"]) == 40 and "grouped" in text
    split = np.array((["train"] * 10 + ["valid"] * 4 + ["test"] * 4 + ["far"] * 2) * 2)
    target = Bunch(data=X, target=(y == "y").astype(int), target_names=["x", "y"], split=split)
    source = patterns(12, ["a", "b", "c"], 0)
    found = run_transfer(
        source, target, fractions=[1.0], pipeline=small_pipeline(), n_seeds=1,
        methods={"plain": {"mpca": "target"}},
    )  # fmt: skip
    assert found.runs[0]["n_labels"] == 28 and set(found.runs[0]["extra"]) == {"far"}
    assert found.target["classes"] == ["x", "y"] and found.baseline == "plain"
    assert "far" in found.table()[0]


def test_files_and_sounds_go_through_the_transformer(noises, make_small_pipeline, tmp_path):
    files, y = noises
    pipeline = make_small_pipeline().set_params(scaler="passthrough", cnn__device="cpu")
    pipeline.set_params(cnn__max_epochs=5)
    options = {"pipeline": pipeline, "fractions": [1.0], "n_seeds": 1}
    options["methods"] = {"fine-tuned": {"start": True}}
    first = [i for i, name in enumerate(y) if name != "mid"]
    bunch = Bunch(filenames=np.array(files), target=np.unique(y, return_inverse=True)[1],
                  target_names=np.unique(y).tolist(), groups=None, split=None)  # fmt: skip
    found = run_transfer(bunch, ([files[i] for i in first], y[first]), **options)
    sounds = pipeline[0].fit(files).transform(files)
    of_sounds = run_transfer((sounds, y), (sounds[first], y[first]), **options)
    assert found.runs[0]["accuracy"] == of_sounds.runs[0]["accuracy"]
    assert found.source["tensor_shape"] == of_sounds.source["tensor_shape"]
    (tmp_path / "bad.wav").write_bytes(b"RIFF")
    pipeline.set_params(loader__on_error="warn")
    with pytest.warns(UserWarning, match="1 of 19 sound files") as caught:
        found = run_transfer(
            ([*files, str(tmp_path / "bad.wav")], [*y, "mid"]), (files, y), **options
        )
    assert caught[0].filename == __file__
    assert found.source["n_sounds"] == 18 and "bad.wav" in found.skipped[0][0]


def test_results_are_written(results, tmp_path, page_faults):
    results.write_json(tmp_path / "results.json")
    written = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert len(written["runs"]) == len(results.runs)
    assert written["table"][0]["method"] == "from scratch"
    results.to_report(tmp_path / "report.html", notes=["One & two."])
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "One &amp; two." in html and "fine-tuned slowly" in html
    assert page_faults(html) == []
    assert "from scratch" in results.summary() and "±" in results.summary()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fractions": []}, r"fractions=\[\]"),
        ({"fractions": [0.0, 0.5]}, r"give shares of the labels, in \(0, 1\]"),
        ({"fractions": [float("nan")]}, "fractions="),
        ({"n_seeds": 0}, "n_seeds=0"),
        ({"test_share": 1.0}, "test_share=1"),
        ({"methods": {}}, "methods is empty"),
        ({"methods": {"m": {"depth": 3}}}, r"'m' has \['depth'\]"),
        ({"methods": {"m": {"mpca": "both"}}}, "mpca is 'source' or 'target'"),
        (
            {"methods": {"m": {"mpca": "target", "start": True}}},
            "goes with the mpca of the source",
        ),
        ({"methods": {"m": {"frozen": 1}}}, "freezes layers without start=True"),
        ({"methods": {"m": {"start": True, "frozen": 9}}}, "no layer to train"),
        ({"pipeline": small_pipeline().set_params(cnn=linear_classifier())}, "a CNNClassifier"),
        ({"pipeline": small_pipeline().set_params(scaler=TensorScaler())}, "it has scaler, mpca"),
    ],
)
def test_bad_arguments_are_named(options, message):
    both = patterns(6, ["a", "b"], 0), patterns(6, ["x", "y"], 1)
    with pytest.raises(ValueError, match=message):
        run_transfer(*both, **{"pipeline": small_pipeline(), "n_seeds": 1, **options})


def test_bad_collections_are_named():
    good, pipeline = patterns(6, ["a", "b"], 0), small_pipeline()
    X, y = good
    for source, target, message in [
        ((X[:, :1], y), good, r"shape \(1, 3, 8, 4\), those of the target \(2, 3, 8, 4\)"),
        ((X, y[:-1]), good, "The source has 12 sounds and 11 classes"),
        (good, (X, ["a"] * 12), "The target has one class only, a"),
        (good, X, r"target must be a Bunch or a tuple \(X, y\)"),
        (Bunch(data=X), good, "source must have target, and data or filenames"),
        ((X * np.nan, y), good, "NaN"),
        (good, (X[:7], y[:7]), "Classes with a single sound: b"),
        (good, Bunch(data=X, target=y, groups=["one"] * 12), "all of one group"),
        (good, Bunch(data=X, target=y, split=["train"] * 12), "split has no test"),
    ]:
        with pytest.raises(ValueError, match=message):
            run_transfer(source, target, pipeline=pipeline, fractions=[1.0], n_seeds=1)
