"""The contract of every public estimator: scikit-learn's own checks, then ours for n-D data."""

import copy
import functools
import pickle
import subprocess
import sys

import numpy as np
import pytest
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.utils.estimator_checks import parametrize_with_checks

import skstrf
from tests.estimators import STYLES, data_for, public_estimators, run

# Exceptions to scikit-learn's checks, each with its reason.
EXPECTED_FAILURES = {
    "TensorPLS": {
        "check_transformer_n_iter": "tensorly does not report the number of iterations",
    },
    "CachedPipeline": dict.fromkeys(
        ["check_estimators_overwrite_params", "check_dont_overwrite_parameters"],
        "puts the fitted stages into `steps`, as scikit-learn's own Pipeline does",
    ),
    # Their max_iter is for inverse_transform; fit learns nothing and does not iterate.
    **{
        name: {"check_transformer_n_iter": "iterates in inverse_transform, not in fit"}
        for name in (
            "CochleogramTransformer",
            "GammatoneTransformer",
            "MFCCTransformer",
            "MelTransformer",
            "STFTTransformer",
            "STRFTransformer",
            "WaveletTransformer",
        )
    },
    "StyleTransfer": dict.fromkeys(
        ["check_n_features_in_after_fitting", "check_transformer_general"],
        "contents may have other lengths than the styles it was fitted on",
    )
    | {
        "check_transformer_n_iter": "iterates in transform; fit only takes the style",
        "check_estimators_dtypes": "its integers hold a silent sound, which is refused",
    },
    **{
        name: dict.fromkeys(
            ["check_n_features_in_after_fitting", "check_transformer_general"],
            "contents may have other lengths than the styles it was fitted on",
        )
        | {"check_estimators_dtypes": "its integers hold a silent sound, which is refused"}
        for name in ("FastStyleTransfer", "QuiltingStyleTransfer")
    },
    "CNNClassifier": {
        "check_sample_weight_equivalence_on_dense_data": (
            "batches, validation part and batch statistics depend on the number of rows, as in "
            "scikit-learn's own SGD estimators; integer weights are repetitions where they can be "
            "(tests/neural/test_classifier.py)"
        )
    },
}


every = pytest.mark.parametrize("estimator", public_estimators(), ids=lambda e: type(e).__name__)


@functools.cache
def fit_once(estimator, dtype=np.float64):
    """A fitted estimator, its data and its output: tests must not change them."""
    X, y = data_for(estimator, dtype=dtype)
    fitted = clone(estimator).fit(X, y)
    output = run(fitted, X)
    X.flags.writeable = False
    return fitted, X, output


@parametrize_with_checks(
    public_estimators(),
    expected_failed_checks=lambda e: EXPECTED_FAILURES.get(type(e).__name__, {}),
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@every
def test_constructs_without_arguments(estimator):
    if type(estimator) is skstrf.CachedPipeline:
        pytest.skip("without steps there is no pipeline, as in scikit-learn")
    type(estimator)()


@every
def test_same_data_same_result_and_data_untouched(estimator):
    X, y = data_for(estimator)
    before = X.copy()
    output = run(clone(estimator).fit(X, y), X)
    np.testing.assert_array_equal(output, fit_once(estimator)[2])
    np.testing.assert_array_equal(X, before)


@every
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_float_type_is_kept(estimator, dtype):
    _, _, output = fit_once(estimator, dtype)
    if not is_classifier(estimator):
        assert output.dtype == dtype


@every
def test_integers_are_accepted(estimator):
    X, y = data_for(estimator)
    X = np.round(10 * X).astype(np.int16)
    assert np.isfinite(run(clone(estimator).fit(X, y), X)).all()


@every
def test_pickle_and_copy_give_the_same_result(estimator):
    fitted, X, expected = fit_once(estimator)
    np.testing.assert_array_equal(run(pickle.loads(pickle.dumps(fitted)), X), expected)
    np.testing.assert_array_equal(run(copy.deepcopy(fitted), X), expected)


@every
def test_batch_equals_one_by_one(estimator):
    fitted, X, output = fit_once(estimator)
    single = np.concatenate([run(fitted, x[None]) for x in X])
    np.testing.assert_allclose(single, output, rtol=1e-5, atol=1e-6)


@every
def test_order_of_samples_carries_over(estimator):
    fitted, X, output = fit_once(estimator)
    order = np.random.default_rng(1).permutation(len(X))
    np.testing.assert_allclose(run(fitted, X[order]), output[order], rtol=1e-5, atol=1e-6)


@every
def test_other_trailing_axes_are_refused(estimator):
    if type(estimator) in {skstrf.AudioLoader, *STYLES}:
        pytest.skip("takes sounds of any length")
    fitted, X, _ = fit_once(estimator)
    # Trials may have other lengths.
    for axis in range(1, X.ndim - is_regressor(estimator)):
        with pytest.raises(ValueError, match=r"shape|features"):
            run(fitted, X.take(range(X.shape[axis] - 1), axis=axis))


@every
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_non_finite_values_are_refused(estimator, value):
    X, y = data_for(estimator)
    fitted = fit_once(estimator)[0]
    X[(3, *[1] * (X.ndim - 1))] = value
    with pytest.raises(ValueError, match=r"NaN|inf"):
        clone(estimator).fit(X, y)
    with pytest.raises(ValueError, match=r"NaN|inf"):
        run(fitted, X)


@every
def test_global_random_state_is_left_alone(estimator):
    import torch

    X, y = data_for(estimator)
    numpy_state = np.random.get_state()[1].copy()  # noqa: NPY002
    torch_state = torch.get_rng_state()
    run(clone(estimator).fit(X, y), X)
    after = np.random.get_state()[1]  # noqa: NPY002
    np.testing.assert_array_equal(after, numpy_state)
    assert torch.equal(torch.get_rng_state(), torch_state)


def test_every_public_name_is_there():
    for name in skstrf.__all__:
        assert getattr(skstrf, name) is not None
    assert set(skstrf.__all__) <= set(dir(skstrf))


def test_import_loads_nothing_heavy():
    heavy = ("torch", "librosa", "skorch", "numba", "matplotlib", "sklearn", "scipy", "tensorly")
    code = f"import sys, skstrf; print([m for m in {heavy} if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.strip() == "[]", result.stderr
