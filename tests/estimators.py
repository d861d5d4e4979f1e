"""A quick instance of every public estimator, and data for it."""

import tempfile

import joblib
import numpy as np
from sklearn.base import BaseEstimator, is_classifier, is_regressor
from sklearn.linear_model import LogisticRegression, RidgeClassifier

import skstrf

SOUND = {
    "AudioLoader",
    "AugmentedClassifier",
    "ChromaTransformer",
    "CochleogramTransformer",
    "FastStyleTransfer",
    "GammatoneTransformer",
    "MFCCTransformer",
    "MelTransformer",
    "QuiltingStyleTransfer",
    "STFTTransformer",
    "STRFTransformer",
    "ScatteringTransformer",
    "StyleTransfer",
    "VersionRetriever",
    "WaveletTransformer",
}
STYLES = {skstrf.FastStyleTransfer, skstrf.QuiltingStyleTransfer, skstrf.StyleTransfer}


class NamelessMemory(joblib.Memory):
    """Keeps its folder out of the names of tests, which are to be the same in every process."""

    def __repr__(self):
        return "Memory()"


def public_estimators():
    """One quick instance of every estimator that `skstrf` exports."""
    quick = {
        "CNNClassifier": {"max_epochs": 3, "random_state": 0},
        "AugmentedClassifier": {"n_copies": 1, "random_state": 0},
        "StationarityScorer": {"n_surrogates": 19, "random_state": 0},
        "STRFRegressor": {"n_lags": 1, "alpha": 0.01, "prior": "ridge"},
        "ScatteringTransformer": {"J": 4, "Q": (2, 1)},
        "WaveletTransformer": {"bins_per_octave": 2, "fmin": 200},
        "GammatoneTransformer": {"n_filters": 8},
        "CochleogramTransformer": {"n_filters": 8},
        "STRFTransformer": {"rates": (4, 8), "scales": (1, 2)},
        "NonNegativeCP": {"n_components": 2, "random_state": 0},
        "TensorPLS": {"n_components": 2},
        "ChannelSelector": {"estimator": RidgeClassifier(), "k": 3, "cv": 2},
        "FastStyleTransfer": {
            "representation": skstrf.STFTTransformer(frame_rate=8000, n_fft=4),
            "kernel_size": 1,
            "n_hidden": 4,
            "n_blocks": 1,
            "max_iter": 1,
            "batch_size": 2,
            "random_state": 0,
        },
        "QuiltingStyleTransfer": {"sample_rate": 500},
        "StyleTransfer": {
            "representation": skstrf.STFTTransformer(frame_rate=8000, n_fft=4),
            "kernel_size": 1,
            "n_filters": 8,
            "max_iter": 1,
            "optimizer": "adam",
            "random_state": 0,
        },
        "CachedPipeline": {
            "steps": [
                ("scaler", skstrf.TensorScaler()),
                ("mpca", skstrf.MPCA(vectorize=True)),
                ("last", LogisticRegression()),
            ],
            "memory": NamelessMemory(tempfile.mkdtemp(prefix="skstrf-tests-"), verbose=0),
        },
    }
    classes = [getattr(skstrf, name) for name in skstrf.__all__ if name[0].isupper()]
    return [c(**quick.get(c.__name__, {})) for c in classes if issubclass(c, BaseEstimator)]


def data_for(estimator, n=12, dtype=np.float64):
    """Data of the number of axes the estimator is made for, and labels."""
    rng = np.random.default_rng(0)
    takes_sound = type(estimator).__name__ in SOUND
    shape = (n, 2000) if takes_sound else (n, 2, 3, 6, 5)
    if type(estimator) in STYLES:
        shape = (n, 200)
    if is_regressor(estimator):  # responses of every frame
        X = rng.standard_normal((n, 3, 4, 20)).astype(dtype)
        return X, X.sum((1, 2)) + rng.standard_normal((n, 20))
    if type(estimator) is skstrf.StationarityScorer:  # surrogates of every line
        shape = (n, 2, 2, 3, 5)
    y = np.array(["bow", "pluck"])[np.arange(n) % 2]
    X = rng.standard_normal(shape).astype(dtype)
    X += (y == "bow").reshape(-1, *[1] * (len(shape) - 1)).astype(dtype)
    return (abs(X) if type(estimator) is skstrf.NonNegativeCP else X), y


def run(estimator, X):
    """Transform, class probabilities or predicted responses."""
    method = "predict_proba" if is_classifier(estimator) else "transform"
    method = "predict" if is_regressor(estimator) else method
    return getattr(estimator, method)(X)
