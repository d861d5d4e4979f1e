"""Model files: what goes in comes out, and nothing else gets in."""

import copy
import io
import json
import pickle
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import skops.io
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.base import BaseEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

import skstrf
from skstrf import (
    MPCA,
    AudioLoader,
    CachedPipeline,
    CNNClassifier,
    STRFTransformer,
    TensorScaler,
)
from skstrf.caching.files import atomic_write
from skstrf.model_io import load_model, read_metadata, save_model
from skstrf.neural import ConvolutionalNetwork
from tests.estimators import public_estimators


class Writer:
    """Unpickling this writes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


class Unwilling:
    """Cannot be written in any way."""

    def __getstate__(self):
        raise RuntimeError("no")


class Stranger(BaseEstimator):
    """An estimator of somebody else."""

    def fit(self, X, y=None):
        return self


@pytest.fixture(scope="module")
def fitted():
    """A whole pipeline, fitted on noise, and the noise."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((8, 4000)).astype(np.float32)
    y = np.array(["a", "b"] * 4)
    model = make_pipeline(
        AudioLoader(),
        STRFTransformer(rates=(4,), scales=(1,), channel_step=8),
        TensorScaler(),
        MPCA(0.8),
        CNNClassifier(ConvolutionalNetwork(n_filters=4), max_epochs=2, random_state=0),
    )
    return model.fit(X, y), X


@pytest.fixture(scope="module")
def model_file(fitted, tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "model.skops"
    save_model(fitted[0], path, metadata={"classes": ["a", "b"], "sample_rate": 16000})
    return path


def test_a_fitted_pipeline_comes_back_the_same(fitted, model_file):
    model, X = fitted
    loaded = load_model(model_file)
    np.testing.assert_array_equal(loaded.predict_proba(X), model.predict_proba(X))
    assert loaded.predict(X).tolist() == model.predict(X).tolist()
    assert repr(loaded) == repr(model)
    for mine, theirs in zip(loaded[1].axes_, model[1].axes_, strict=True):
        assert mine.name == theirs.name
        np.testing.assert_array_equal(mine.values, theirs.values)


def test_what_was_loaded_can_be_saved_again(fitted, model_file, tmp_path):
    save_model(load_model(model_file), tmp_path / "again.skops")
    again = load_model(tmp_path / "again.skops")
    np.testing.assert_array_equal(
        again.predict_proba(fitted[1]), fitted[0].predict_proba(fitted[1])
    )


def test_it_loads_in_a_process_that_has_imported_nothing(model_file):
    code = f"from skstrf.model_io import load_model; print(load_model({str(model_file)!r})[-1])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.startswith("CNNClassifier(")


def test_metadata_come_back_with_the_versions(model_file):
    metadata = read_metadata(model_file)
    assert metadata["classes"] == ["a", "b"]
    assert metadata["sample_rate"] == 16000
    assert {"skstrf", "numpy", "scikit-learn"} <= set(metadata["versions"])


def test_scikit_learn_estimators_are_trusted(tmp_path):
    X, y = np.random.default_rng(0).standard_normal((20, 3)), np.arange(20) % 2
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
    save_model(model, tmp_path / "m.skops")
    np.testing.assert_array_equal(load_model(tmp_path / "m.skops").predict(X), model.predict(X))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_is_refused_and_not_run(tmp_path, protocol):
    victim, path = tmp_path / "victim", tmp_path / "evil.skops"
    path.write_bytes(pickle.dumps(Writer(victim), protocol))
    with pytest.raises(ValueError, match=r"evil\.skops is not a model file"):
        load_model(path)
    assert not victim.exists()
    pickle.loads(path.read_bytes()).close()  # it would have done it
    assert victim.exists()


def test_a_pickle_inside_the_zip_is_refused_and_not_run(model_file, tmp_path):
    victim, path = tmp_path / "victim", tmp_path / "evil.skops"
    evil = pickle.dumps(Writer(victim))
    # An object array in .npy is a pickle, after a header.
    array = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        array, {"descr": "|O", "fortran_order": False, "shape": ()}
    )
    array.write(evil)
    with zipfile.ZipFile(model_file) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            new.writestr(name, array.getvalue() if name.endswith(".npy") else old.read(name))
    with pytest.raises(ValueError, match=r"evil\.skops"):
        load_model(path)
    assert not victim.exists()


def _rewritten(source, target, schema):
    """Copy a model file with another schema."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            new.writestr(name, schema if name == "schema.json" else old.read(name))


@pytest.mark.parametrize(
    ("module", "name"), [("os", "system"), ("builtins", "eval"), ("subprocess", "Popen")]
)
def test_a_file_that_names_a_dangerous_function_is_refused(model_file, tmp_path, module, name):
    path, victim = tmp_path / "evil.skops", tmp_path / "victim"
    node = {"__class__": name, "__module__": module, "__loader__": "FunctionNode"}
    node |= {"content": {"module_path": module, "function": name}}
    reduced = {
        "__class__": name,
        "__module__": module,
        "__loader__": "ObjectNode",
        "content": {"__reduce__": [node, f"touch {victim}"]},
    }
    for schema in (node, reduced):
        _rewritten(model_file, path, json.dumps(schema | {"protocol": 2, "_skops_version": "0"}))
        with pytest.raises(ValueError, match=r"evil\.skops"):
            load_model(path)
        assert not victim.exists()


def test_foreign_types_are_named_with_the_remedy_and_may_be_vouched_for(tmp_path):
    path = tmp_path / "foreign.skops"
    model = make_pipeline(StandardScaler(), Stranger())
    with pytest.raises(ValueError, match=r"Pipeline holds types .*Stranger.* trusted"):
        save_model(model, path)
    save_model(model, path, trusted=[Stranger])
    with pytest.raises(ValueError, match=r"foreign\.skops .*Stranger.* trusted"):
        load_model(path)
    assert isinstance(load_model(path, trusted=[Stranger])[1], Stranger)


def test_a_file_of_skops_itself_that_we_did_not_write_is_refused(tmp_path):
    path = tmp_path / "other.skops"
    skops.io.dump(StandardScaler(), path)
    with pytest.raises(ValueError, match=r"other\.skops .*not written by save_model"):
        load_model(path)


def test_compressed_parts_are_refused(model_file, tmp_path):
    path = tmp_path / "bomb.skops"
    squeezed = zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED)
    with zipfile.ZipFile(model_file) as old, squeezed as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    with pytest.raises(ValueError, match=r"bomb\.skops .*compressed"):
        load_model(path)


@pytest.mark.parametrize("content", [b"", b"RIFF", b"PK\x03\x04", b"\x80\x04.", b"\0" * 1000])
def test_files_of_another_kind_are_refused_by_name(tmp_path, content):
    path = tmp_path / "thing.skops"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"thing\.skops is not a model file"):
        load_model(path)
    with pytest.raises(ValueError, match=r"thing\.skops is not a model file"):
        read_metadata(path)


def test_an_archive_with_nothing_in_it_is_refused(tmp_path):
    path = tmp_path / "empty.skops"
    with zipfile.ZipFile(path, "w"):
        pass
    with pytest.raises(ValueError, match=r"empty\.skops .*not written by save_model"):
        load_model(path)


@pytest.mark.parametrize("schema", ["", "[]", "{}", "null", '{"__class__": "a"}', "[" * 100_000])
def test_a_broken_schema_is_refused_by_name(model_file, tmp_path, schema):
    path = tmp_path / "broken.skops"
    _rewritten(model_file, path, schema)
    with pytest.raises(ValueError, match=r"broken\.skops"):
        load_model(path)


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(share=st.floats(0, 1, exclude_max=True))
def test_a_truncated_file_is_refused_by_name(model_file, tmp_path, share):
    content = model_file.read_bytes()
    path = tmp_path / "cut.skops"
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ValueError, match=r"cut\.skops is not a model file"):
        load_model(path)


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(share=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255))
def test_a_flipped_byte_is_refused_or_harmless(fitted, model_file, tmp_path, share, flip):
    content = bytearray(model_file.read_bytes())
    content[int(share * len(content))] ^= flip
    path = tmp_path / "flipped.skops"
    path.write_bytes(content)
    try:
        loaded = load_model(path)
    except ValueError as error:
        assert "flipped.skops" in str(error)
    else:  # a date in the directory of the zip, say
        model, X = fitted
        np.testing.assert_array_equal(loaded.predict_proba(X[:2]), model.predict_proba(X[:2]))


def test_missing_files_and_folders_are_told_apart(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no model file .*nowhere\.skops"):
        load_model(tmp_path / "nowhere.skops")
    with pytest.raises(ValueError, match="is a folder"):
        load_model(tmp_path)


def _with_version(source, target, **changes):
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "skstrf.json":
                content = json.dumps(json.loads(content) | changes)
            new.writestr(name, content)


def test_another_version_is_warned_of(fitted, model_file, tmp_path):
    path = tmp_path / "old.skops"
    _with_version(model_file, path, versions={"skstrf": "0.0.1"})
    with pytest.warns(UserWarning, match=r"old\.skops was written by skstrf 0\.0\.1"):
        loaded = load_model(path)
    np.testing.assert_array_equal(
        loaded.predict_proba(fitted[1]), fitted[0].predict_proba(fitted[1])
    )


def test_a_model_of_a_version_with_other_parameters_loads(tmp_path):
    loader = AudioLoader(duration=2.0)
    del loader.n_jobs  # a parameter that the older version did not have
    loader.rate = 8000  # one that only the older version had
    model = make_pipeline(StandardScaler(), FunctionTransformer())
    model.steps[0] = ("loader", loader)
    save_model(model, tmp_path / "now.skops")
    path = tmp_path / "old.skops"
    _with_version(tmp_path / "now.skops", path, versions={"skstrf": "0.0.1"})
    with pytest.warns(UserWarning) as caught:
        loaded = load_model(path)[0]
    text = [str(warning.message) for warning in caught][-1]
    assert "written by skstrf 0.0.1" in text
    assert "AudioLoader takes the defaults of n_jobs" in text
    assert "AudioLoader has no rate" in text
    assert loaded.get_params() == AudioLoader(duration=2.0).get_params()
    assert not hasattr(loaded, "rate")


def test_a_network_of_a_version_with_fewer_parameters_predicts_the_same(fitted, tmp_path):
    model, X = fitted
    tensors, network = model[:-1].transform(X), copy.deepcopy(model[-1])
    for owner, name in ((network, "amp"), (network, "device"), (network.network, "n_hidden")):
        delattr(owner, name)
    save_model(network, tmp_path / "m.skops")
    with pytest.warns(UserWarning, match=r"defaults of amp; ConvolutionalNetwork .* n_hidden"):
        loaded = load_model(tmp_path / "m.skops")
    assert (loaded.amp, loaded.device, loaded.network.n_hidden) == (False, "auto", 300)
    np.testing.assert_array_equal(loaded.predict_proba(tensors), model[-1].predict_proba(tensors))


@pytest.mark.parametrize("module", ["skstrf.contrast", "skstrf.preprocessing"])
def test_types_that_are_gone_name_the_version_that_has_them(tmp_path, module):
    save_model(TensorScaler(), tmp_path / "m.skops")
    with zipfile.ZipFile(tmp_path / "m.skops") as archive:
        schema = json.loads(archive.read("schema.json"))
    schema |= {"__module__": module, "__class__": "Contrast"}
    _rewritten(tmp_path / "m.skops", tmp_path / "gone.skops", json.dumps(schema))
    path = tmp_path / "old.skops"
    _with_version(tmp_path / "gone.skops", path, versions={"skstrf": "0.0.1"})
    with pytest.raises(ValueError, match=rf"old\.skops .*0\.0\.1 .*{module}\.Contrast"):
        load_model(path)


@pytest.mark.parametrize("way", ["saved", "forged"])
def test_folders_and_devices_of_another_machine_are_not_taken_over(tmp_path, way):
    folder, path = tmp_path / "joblib", tmp_path / "m.skops"
    strf = STRFTransformer(rates=(4,), scales=(1,), memory=str(folder), device="cuda:7")
    model = CachedPipeline([("strf", strf), ("scaler", TensorScaler())], memory=str(folder))
    if way == "saved":
        save_model(model, path)
    else:  # a file of somebody else
        forged = io.BytesIO(skops.io.dumps(model))
        with zipfile.ZipFile(forged, "a") as archive:
            versions = {"skstrf": skstrf.__version__}
            archive.writestr("skstrf.json", json.dumps({"format": 1, "versions": versions}))
        path.write_bytes(forged.getvalue())
    loaded = load_model(path)
    assert (loaded.memory, loaded[0].memory, loaded[0].device) == (None, None, "auto")
    loaded.fit_transform(np.random.default_rng(0).standard_normal((2, 4000)))
    assert not folder.exists()
    assert (model.memory, strf.memory, strf.device) == (str(folder), str(folder), "cuda:7")


def test_every_public_estimator_comes_back_without_a_warning(tmp_path, recwarn):
    for estimator in public_estimators():
        save_model(estimator, tmp_path / "m.skops")
        assert type(load_model(tmp_path / "m.skops")) is type(estimator)
    assert [str(w.message) for w in recwarn if "skstrf" in str(w.message)] == []


@pytest.mark.parametrize("changes", [{"format": 99}, {"versions": None}])
def test_another_format_is_refused(model_file, tmp_path, changes):
    path = tmp_path / "new.skops"
    _with_version(model_file, path, **changes)
    with pytest.raises(ValueError, match=r"new\.skops has the format"):
        load_model(path)


@pytest.mark.parametrize("key", [True, np.True_])
def test_boolean_keys_which_would_not_come_back_are_refused(tmp_path, key):
    model = make_pipeline(LogisticRegression(class_weight={key: 1.0, not key: 2.0}))
    with pytest.raises(ValueError, match="class_weight is a dict with the keys True or False"):
        save_model(model, tmp_path / "m.skops")


@pytest.mark.parametrize("model", [None, {"a": 1}, StandardScaler, "text"])
def test_only_estimators_are_saved(tmp_path, model):
    with pytest.raises(ValueError, match="model must be an estimator"):
        save_model(model, tmp_path / "m.skops")
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_written_leaves_the_old_file(model_file, tmp_path):
    path = tmp_path / "m.skops"
    path.write_bytes(model_file.read_bytes())
    with pytest.raises(ValueError, match=r"FunctionTransformer holds types .*lambda"):
        save_model(FunctionTransformer(lambda x: x), path)
    with pytest.raises(ValueError, match="FunctionTransformer holds something"):
        save_model(FunctionTransformer(kw_args={"array": Unwilling()}), path)
    with pytest.raises(ValueError, match="metadata cannot be written as JSON"):
        save_model(StandardScaler(), path, metadata={"a": object()})
    assert path.read_bytes() == model_file.read_bytes()
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt])
def test_replacing_leaves_the_old_file_on_any_error(tmp_path, kind):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(kind), atomic_write(path) as temporary:
        temporary.write_text("half")
        raise kind
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
    with atomic_write(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
