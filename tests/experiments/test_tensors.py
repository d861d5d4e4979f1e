"""The tensors: computed once, whatever their size, and by the same stages as in the model."""

import os

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.svm import LinearSVC

from skstrf import MPCA, AudioLoader, STRFTransformer, TensorScaler
from skstrf.experiments._evaluation import (
    check_parameters,
    compute_tensors,
    divide_pipeline,
    fit_reduction,
    transform_rows,
)
from skstrf.utils.disk import create_memmap
from tests.hardening.test_full_disk import no_file_larger_than


def test_the_pipeline_is_divided_after_what_learns_nothing(small_pipeline):
    head, tail = divide_pipeline(small_pipeline)
    assert list(head.named_steps) == ["loader", "strf"]
    assert list(tail.named_steps) == ["scaler", "mpca", "cnn"]
    assert head[1] is not small_pipeline[1]
    assert head[1].get_params() == small_pipeline[1].get_params()


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([("strf", STRFTransformer()), ("lr", LogisticRegression())], "begin with an AudioLoader"),
        ([("loader", AudioLoader())], "begin with an AudioLoader"),
        ([("loader", AudioLoader()), ("svc", LinearSVC())], "svc, has no predict_proba"),
    ],
)
def test_pipelines_of_another_kind_are_refused(steps, message):
    with pytest.raises(ValueError, match=message):
        divide_pipeline(Pipeline(steps))


def test_tensors_are_those_of_the_pipeline(noises, small_pipeline, tmp_path):
    files, _ = noises
    head, _ = divide_pipeline(small_pipeline)
    X, errors = compute_tensors(head, files, folder=tmp_path)
    assert errors == {}
    assert not isinstance(X, np.memmap)
    np.testing.assert_array_equal(X, clone(head).fit_transform(files))


def test_large_tensors_go_to_a_file_and_are_the_same(noises, small_pipeline, tmp_path):
    files, y = noises
    X, _ = compute_tensors(divide_pipeline(small_pipeline)[0], files, folder=tmp_path)
    head, tail = divide_pipeline(small_pipeline)
    on_disk, _ = compute_tensors(head, files, folder=tmp_path, max_bytes=0)
    assert isinstance(on_disk, np.memmap)
    np.testing.assert_array_equal(on_disk, X)
    rows = np.arange(len(y))[::2]
    reductions = [Pipeline(clone(tail).steps[:-1]) for _ in range(2)]
    features = [
        fit_reduction(r, x, rows, y) for r, x in zip(reductions, (X, on_disk), strict=True)
    ]
    for mine, theirs in zip(*(r["mpca"].components_ for r in reductions), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    np.testing.assert_allclose(features[0], features[1], rtol=1e-5, atol=1e-5)
    assert not isinstance(features[1], np.memmap)
    for reduction, fitted in zip(reductions, features, strict=True):
        again = transform_rows(reduction, X, rows)
        np.testing.assert_allclose(again, fitted, rtol=1e-5, atol=1e-5)


def test_learning_from_disk_changes_nothing_on_disk(noises, small_pipeline, tmp_path):
    files, y = noises
    head, _ = divide_pipeline(small_pipeline)
    X, _ = compute_tensors(head, files, folder=tmp_path, max_bytes=0)
    before = np.array(X)
    # A scaler alone could write its result over its input.
    fit_reduction(Pipeline([("scaler", TensorScaler())]), X, np.arange(4), y)
    np.testing.assert_array_equal(X, before)


def test_bad_files_are_left_out_with_their_reason(noises, small_pipeline, tmp_path):
    files, _ = noises
    bad = tmp_path / "bad.wav"
    bad.write_bytes(b"no sound")
    mixed = [str(bad), *files[:3], str(tmp_path / "missing.wav"), *files[3:]]
    head, _ = divide_pipeline(small_pipeline.set_params(loader__on_error="warn"))
    X, errors = compute_tensors(head, mixed, folder=tmp_path)
    assert list(errors) == [0, 4]
    assert "does not exist" in errors[4]
    good, _ = compute_tensors(divide_pipeline(small_pipeline)[0], files, folder=tmp_path)
    np.testing.assert_array_equal(X, good)


def test_a_first_chunk_of_bad_files_only_is_passed_over(noises, small_pipeline, tmp_path):
    files, _ = noises
    missing = [str(tmp_path / f"{number}.wav") for number in range(40)]
    head, _ = divide_pipeline(small_pipeline.set_params(loader__on_error="warn"))
    X, errors = compute_tensors(head, [*missing, *files], folder=tmp_path)
    assert (len(X), len(errors)) == (len(files), 40)
    with pytest.raises(ValueError, match="None of the 40 sound files"):
        compute_tensors(head, missing, folder=tmp_path)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("mpca__n_components", 1.5, "n_components"),
        ("cnn__lr", -1, "lr"),
        ("strf__pooling", "median", "pooling"),
        ("strf__device", "abacus", "abacus"),
        ("cnn__device", "abacus", "abacus"),
        ("loader__duration", -1.0, "duration"),
    ],
)
def test_wrong_parameters_are_found_before_the_work(small_pipeline, name, value, message):
    check_parameters(small_pipeline)
    with pytest.raises(ValueError, match=message):
        check_parameters(small_pipeline.set_params(**{name: value}))


def test_mpca_without_a_scaler_is_fitted_from_disk_too(noises, small_pipeline, tmp_path):
    files, y = noises
    head, _ = divide_pipeline(small_pipeline)
    X, _ = compute_tensors(head, files, folder=tmp_path, max_bytes=0)
    rows = np.arange(len(y))
    features = fit_reduction(Pipeline([("mpca", MPCA(0.9))]), X, rows, y)
    np.testing.assert_allclose(
        features, MPCA(0.9).fit_transform(np.array(X)), rtol=1e-5, atol=1e-5
    )


def test_the_space_of_large_tensors_is_reserved(tmp_path):
    array = create_memmap(tmp_path / "a.npy", np.float32, (100, 1000))
    assert os.stat(tmp_path / "a.npy").st_blocks * 512 >= array.nbytes
    array[-1] = 1
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), array)


def test_space_is_reserved_without_the_call_of_the_system(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "posix_fallocate", raising=False)
    array = create_memmap(tmp_path / "a.npy", np.float32, (300, 1000))
    assert os.stat(tmp_path / "a.npy").st_blocks * 512 >= array.nbytes
    assert np.load(tmp_path / "a.npy").shape == (300, 1000)


@pytest.mark.parametrize("has_call", [True, False])
def test_tensors_that_do_not_fit_are_an_error_and_leave_nothing(tmp_path, monkeypatch, has_call):
    if not has_call:
        monkeypatch.delattr(os, "posix_fallocate", raising=False)
    with no_file_larger_than(10_000), pytest.raises(OSError, match=r"0.4 MB are needed for the"):
        create_memmap(tmp_path / "a.npy", np.float32, (100, 1000))
    assert not list(tmp_path.iterdir())
