"""Accuracy of the same two classifiers on each of nine representations.

``python benchmarks/representations.py DATA [--memory FOLDER]`` with DATA the folder that holds
`cc0_instruments` and `cc0_instruments_new_library`. Every row is written to docs/results or
--output as soon as it is known; rows that the file has already are not computed again.
``--table`` only prints the table of what the file holds.
"""

import argparse
import csv
import time
from itertools import product
from math import prod
from pathlib import Path

import numpy as np
from classification import SPLITS, flat, load, mean_and_deviation, score
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skstrf

FRAME_RATE = 125 / 8
# Frames averaged into one column of the network's image.
COLUMN = 4
C_GRID = tuple(10.0**k for k in range(-4, 6))
LOGISTIC, NETWORK = "logistic regression", "MPCA + CNN"
FIELDS = (
    "representation", "classifier", "seed", "tensor", "dimension", "seconds_per_clip",
    "features", "core", "settings", "fit_cpu_seconds", "epochs_to_best", "epochs_to_95",
    *SPLITS, "valid_by_epoch",
)  # fmt: skip


def representations(memory):
    """The nine on one grid and, where there is a magnitude, with log(1 + x / floor).

    The floors lie 80 dB below the loudest number of a few of the clips to learn from; the STRF's
    own is 83 dB below. MFCC is decibels with the floor of its mel bank, chroma is divided by the
    maximum of each frame and not compressed.
    """
    grid = {"frame_rate": FRAME_RATE, "memory": memory}
    log = grid | {"compression": "log"}
    strf = grid | {"n_jobs": 1, "device": "cpu"}
    return {
        "MFCC": skstrf.MFCCTransformer(**grid, compression_floor=3e-3),
        "Mel": skstrf.MelTransformer(**log, compression_floor=3e-3),
        "Chroma": skstrf.ChromaTransformer(**grid),
        "Cochleogram": skstrf.CochleogramTransformer(**log, compression_floor=5e-4),
        "Wavelet": skstrf.WaveletTransformer(**log, compression_floor=5e-4),
        "Gammatone": skstrf.GammatoneTransformer(**log, compression_floor=5e-4),
        "STFT": skstrf.STFTTransformer(**log, compression_floor=0.2),
        "STRF": skstrf.STRFTransformer(**strf),
        "Scattering": skstrf.ScatteringTransformer(**log, compression_floor=1e-4),
        "STRF without contrast": skstrf.STRFTransformer(**strf, contrast=False),
    }


def standardized(X):
    """Sounds of mean zero and variance one: the level of a recording is no feature."""
    X = X - X.mean(axis=1, keepdims=True)
    X /= X.std(axis=1, keepdims=True)
    return X


def seconds_per_clip(transformer, X, n=10):
    """CPU seconds of a transform, once its filters are made."""
    transformer = clone(transformer).set_params(memory=None).fit(X)
    some = X[:: len(X) // n][:n]
    transformer.transform(some[:1])
    start = time.process_time()
    transformer.transform(some)
    return (time.process_time() - start) / n


def features(transformer, X, chunk=50):
    """Means and deviations over frames, and tensors with longer frames."""
    transformer.fit(X)
    pooled, coarse = [], []
    for start in range(0, len(X), chunk):  # the tensors of all would fill the memory
        Z = transformer.transform(X[start : start + chunk])
        pooled.append(flat(mean_and_deviation(Z)))
        coarse.append(longer_frames(Z))
    return np.concatenate(pooled), np.concatenate(coarse), Z.shape[1:]


def longer_frames(Z):
    """Means over so many frames; the last may be of fewer."""
    starts = np.arange(0, Z.shape[-1], COLUMN)
    widths = np.diff(np.append(starts, Z.shape[-1]))
    return np.add.reduceat(Z, starts, axis=-1) / widths.astype(Z.dtype)


def logistic_row(F, y, split):
    """C by the valid split; the PCA turns the features and, on train, loses nothing."""
    train, valid = split == "train", split == "valid"
    start = time.process_time()
    n_components = min(int(train.sum()), F.shape[1])
    turn = make_pipeline(StandardScaler(), PCA(n_components, svd_solver="full"))
    F = turn.fit(F[train]).transform(F)
    models = [LogisticRegression(C=C, max_iter=2000).fit(F[train], y[train]) for C in C_GRID]
    best = max(models, key=lambda model: model.score(F[valid], y[valid]))
    return {
        "fit_cpu_seconds": time.process_time() - start,
        "core": str(n_components),
        "settings": f"C={best.C:g}",
    } | dict(zip(SPLITS, score([best], F, y, split), strict=True))


def network_row(cores, y, split, seed, max_epochs):
    """The last weights are scored; the valid split is looked at, and stops nothing."""
    train, valid = split == "train", split == "valid"
    start = time.process_time()
    model = skstrf.CNNClassifier(max_epochs=max_epochs, device="cpu", random_state=seed)
    model.fit(cores[train], y[train], validation_data=(cores[valid], y[valid]))
    curve = np.array([epoch["valid_accuracy"] for epoch in model.history_])
    return {
        "fit_cpu_seconds": time.process_time() - start,
        "core": "x".join(map(str, cores.shape[1:])),
        "settings": f"max_epochs={max_epochs}",
        "epochs_to_best": int(curve.argmax()) + 1,
        "epochs_to_95": int(np.argmax(curve >= 0.95 * curve.max())) + 1,
        "valid_by_epoch": " ".join(f"{value:.4f}" for value in curve),
    } | dict(zip(SPLITS, score([model], cores, y, split), strict=True))


def rows(name, transformer, X, y, split, wanted, max_epochs):
    """The rows that are wanted of one representation."""
    seconds = seconds_per_clip(transformer, X)
    F, Z, shape = features(transformer, X)
    same = {
        "representation": name,
        "tensor": "x".join(map(str, shape)),
        "dimension": prod(shape),
        "seconds_per_clip": seconds,
        "features": F.shape[1],
    }
    if (LOGISTIC, "") in wanted:
        yield same | {"classifier": LOGISTIC, "seed": ""} | logistic_row(F, y, split)
    seeds = [seed for classifier, seed in wanted if classifier == NETWORK]
    if seeds:
        cores = skstrf.MPCA(0.95).fit(Z[split == "train"]).transform(Z)
        same["features"] = prod(Z.shape[1:])
    for seed in seeds:
        found = network_row(cores, y, split, int(seed), max_epochs)
        yield same | {"classifier": NETWORK, "seed": seed} | found


def read(path):
    """Rows of an earlier run."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def append(path, row):
    """Write one row behind the others, at once."""
    text = {k: f"{v:.4g}" if isinstance(v, float) else v for k, v in row.items()}
    is_new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, FIELDS, lineterminator="\n")
        if is_new:
            table.writeheader()
        table.writerow(text)


def table(found):
    """A line for every representation and classifier, mean and deviation over seeds."""
    columns = ("dimension", "features", "core", "seconds_per_clip", "settings")
    numbers = (*SPLITS, "epochs_to_best", "epochs_to_95", "fit_cpu_seconds")
    print(*columns, *numbers)
    names = dict.fromkeys(row["representation"] for row in found)
    for pair in product(names, (LOGISTIC, NETWORK)):
        some = [row for row in found if (row["representation"], row["classifier"]) == pair]
        if not some:
            continue
        cells = [some[0][column] for column in columns]
        for key in numbers:
            values = [float(row[key]) for row in some if row[key] != ""]
            if values:
                cells.append(f"{np.mean(values):.3f} +- {np.std(values):.3f}")
        print("{:22}{:20}".format(*pair), *cells, sep="  ")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--max-epochs", type=int, default=40)
    parser.add_argument("--memory", help="a folder for the transforms of the clips")
    parser.add_argument("--table", action="store_true", help="print, and compute nothing")
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("docs/results/representations.csv")
    )
    options = parser.parse_args()
    if options.table:
        return table(read(options.output))
    X, y, split = load(options.data)
    X = standardized(X)
    every = [(LOGISTIC, ""), *((NETWORK, str(seed)) for seed in range(options.seeds))]
    done = {(r["representation"], r["classifier"], r["seed"]) for r in read(options.output)}
    for name, transformer in representations(options.memory).items():
        wanted = [key for key in every if (name, *key) not in done]
        if not wanted:
            continue
        for row in rows(name, transformer, X, y, split, wanted, options.max_epochs):
            append(options.output, row)
            shown = {k: v for k, v in row.items() if k != "valid_by_epoch"}
            print(*(f"{v:.3g}" if isinstance(v, float) else v for v in shown.values()), flush=True)
    table(read(options.output))


if __name__ == "__main__":
    main()
