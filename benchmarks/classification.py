"""Accuracy of pipelines and networks on instruments, and on other sample libraries.

``python benchmarks/classification.py DATA [--seeds 3]`` with DATA the folder that holds
`cc0_instruments` and `cc0_instruments_new_library`. Fitted on the train split; the valid split
is for choosing only, and stops no training here; test and new_library are scored once.
"""

import argparse
import json
import time
from pathlib import Path

import librosa
import numpy as np
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skstrf import (
    MPCA,
    CNNClassifier,
    LogContrast,
    STRFTransformer,
    TensorScaler,
    load_audio_folder,
)
from skstrf.augmentation import augment_sounds
from skstrf.experiments import make_separable_classifier
from skstrf.neural import ConvolutionalNetwork, make_eremeeva2017_classifier

SPLITS = ("valid", "test", "new_library")
N_COPIES = 3
N_NETWORKS = 3
MAX_EPOCHS = 1000  # bound of the numbers of epochs


def load(folder):
    """Sounds, labels and splits of both collections."""
    parts = [
        load_audio_folder(Path(folder) / name, duration=5.0, n_jobs=2)
        for name in ("cc0_instruments", "cc0_instruments_new_library")
    ]
    X = np.concatenate([part.data for part in parts])
    y = np.concatenate([np.array(part.target_names)[part.target] for part in parts])
    return X, y, np.concatenate([part.split for part in parts])


def mfcc(X):
    """20 coefficients, a frame every 32 ms."""
    return librosa.feature.mfcc(y=X, sr=16000, n_mfcc=20, hop_length=512).astype(np.float32)


def mean_and_deviation(Z):
    return np.concatenate([Z.mean(axis=-1), Z.std(axis=-1)], axis=1)


def flat(Z):
    return Z.reshape(len(Z), -1)


def score(models, Z, y, split):
    """Accuracy per split of the mean probability of some models."""
    p = sum(model.predict_proba(Z) for model in models)
    right = models[0].classes_[p.argmax(axis=1)] == y
    return [float(right[split == name].mean()) for name in SPLITS]


def logistic(C):
    return LogisticRegression(C=C, max_iter=2000)


def fixed_rows(Z, M, y, split):
    """Models without a seed."""
    train = split == "train"
    contrast_free = Z["log"].mean(axis=-1)
    rows = {
        "MFCC mean and deviation + logistic regression": (
            mean_and_deviation(M), make_pipeline(StandardScaler(), logistic(0.3))),
        "log time-mean STRF + PCA(150) + logistic regression": (
            flat(contrast_free), make_pipeline(
                PCA(min(150, train.sum()), random_state=0), logistic(0.3))),
        "STRF + MPCA(0.95) + logistic regression": (
            Z["default"], make_pipeline(
                MPCA(0.95, vectorize=True), StandardScaler(), logistic(0.01))),
    }  # fmt: skip
    for name, (data, model) in rows.items():
        yield name, [score([model.fit(data[train], y[train])], data, y, split)]


def seeded_rows(Z, M, y, split, seeds):
    """Models with a network, by seed."""
    train = split == "train"
    rows = {
        "STRF + MPCA(0.95) + CNN, all defaults": (Z["default"], (MPCA(0.95),), CNNClassifier()),
        "STRF + TensorScaler + MPCA(0.95) + CNN": (
            Z["default"], (TensorScaler(), MPCA(0.95)), CNNClassifier()),
        "STRF without contrast + MPCA(0.95) + CNN": (Z["log"], (MPCA(0.95),), CNNClassifier()),
        "STRF + MPCA(0.95) + the report's bare network": (
            Z["default"], (MPCA(0.95),), make_eremeeva2017_classifier(lr=1e-3)),
        "MFCC + CNN": (M, (), CNNClassifier(ConvolutionalNetwork(separable_kernels=True))),
    }  # fmt: skip
    for name, (data, steps, network) in rows.items():
        results = []
        for seed in seeds:
            network = clone(network).set_params(random_state=seed)
            network.set_params(max_epochs=min(network.max_epochs, MAX_EPOCHS))
            model = make_pipeline(*steps, network)
            results.append(score([model.fit(data[train], y[train])], data, y, split))
        yield name, results


def augmented_row(X, Z, y, split, seeds):
    """The best: networks on changed copies too, their probabilities averaged."""
    train = split == "train"
    strf = STRFTransformer().fit(X[:1])
    copies = [strf.transform(augment_sounds(X[train], random_state=i)) for i in range(N_COPIES)]
    Z_train = np.concatenate([Z[train], *copies])
    y_train = np.tile(y[train], N_COPIES + 1)
    reduction = MPCA(0.97).fit(Z_train)
    cores, everything = reduction.transform(Z_train), reduction.transform(Z)
    single, averaged = [], []
    for seed in seeds:
        models = [
            CNNClassifier(
                ConvolutionalNetwork(separable_kernels=True),
                max_epochs=min(30, MAX_EPOCHS),
                random_state=100 * seed + i,
            )
            for i in range(N_NETWORKS)
        ]
        models = [model.fit(cores, y_train) for model in models]
        single.append(score(models[:1], everything, y, split))
        averaged.append(score(models, everything, y, split))
    yield f"STRF + MPCA(0.97) + CNN, {N_COPIES} changed copies", single
    yield f"the same, {N_NETWORKS} networks averaged", averaged


def separable_rows(X, y, split, seeds):
    """Contrast and envelope without MPCA, to the network of separable filters."""
    train = split == "train"
    strf = STRFTransformer(compression=None, contrast=False).fit(X[:1])
    stage = LogContrast()
    Z = stage.fit_transform(strf.transform(X))
    copies = [
        stage.transform(strf.transform(augment_sounds(X[train], random_state=i)))
        for i in range(N_COPIES)
    ]
    for name, Z_train, epochs in (
        ("STRF, LogContrast + separable network", Z[train], 40),
        (f"the same, {N_COPIES} changed copies", np.concatenate([Z[train], *copies]), 12),
    ):
        y_train = np.tile(y[train], len(Z_train) // train.sum())
        models = [
            make_separable_classifier(max_epochs=min(epochs, MAX_EPOCHS), random_state=seed).fit(
                Z_train, y_train
            )
            for seed in seeds
        ]
        yield name, [score([model], Z, y, split) for model in models]
        yield f"{name}, all {len(models)} averaged", [score(models, Z, y, split)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("-o", "--output", default="classification.json")
    parser.add_argument("--quick", action="store_true", help="check that the script runs")
    options = parser.parse_args()
    if options.quick:
        global N_COPIES, N_NETWORKS, MAX_EPOCHS
        options.seeds = N_COPIES = N_NETWORKS = MAX_EPOCHS = 1
    X, y, split = load(options.data)
    seeds = range(options.seeds)
    start = time.perf_counter()
    Z = {"default": STRFTransformer().fit_transform(X)}
    seconds = (time.perf_counter() - start) / len(X)
    Z["log"] = STRFTransformer(contrast=False).fit_transform(X)
    print(f"{len(X)} clips, {seconds:.3f} s a clip, tensors {Z['default'].shape[1:]}", flush=True)
    M = mfcc(X)
    found = {}
    for rows in (
        fixed_rows(Z, M, y, split),
        seeded_rows(Z, M, y, split, seeds),
        augmented_row(X, Z["default"], y, split, seeds),
        separable_rows(X, y, split, seeds),
    ):
        for name, results in rows:
            mean, spread = np.mean(results, axis=0), np.std(results, axis=0)
            found[name] = {"mean": mean.tolist(), "std": spread.tolist(), "runs": results}
            cells = "  ".join(
                f"{s} {m:.3f} +- {d:.3f}" for s, m, d in zip(SPLITS, mean, spread, strict=True)
            )
            print(f"{name:56}{cells}", flush=True)
            Path(options.output).write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
