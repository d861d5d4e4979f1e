"""Effect of augmentation and training options on the accuracy on other sample libraries.

``python benchmarks/augmentation.py DATA [sound] [network] [level]`` with DATA as for
benchmarks/classification.py. Each row is the separable network on contrast and envelope, fitted
on the train split and one changed copy of it, or on nothing but the train split with one option
of the network; as many steps in every row. "shifted" are the valid clips after equalizers, rooms,
pitches and noise that no copy had.
"""

import argparse
import csv
from pathlib import Path

import numpy as np
from classification import load

from skstrf import LogContrast, STRFTransformer
from skstrf.augmentation import augment_sounds
from skstrf.experiments import make_separable_classifier

RESULTS = Path(__file__).parent.parent / "docs" / "results"
COLUMNS = ("valid", "shifted", "test", "new_library")
NONE = {"pitch": 0, "equalizer": 0, "room": 0, "noise_snr_db": np.inf}
COPIES = {
    "pitch within 2 semitones": {"pitch": 2.0},
    "equalizer, 3 dB an octave": {"equalizer": 3.0},
    "room": {"room": 0.4},
    "noise, 25 to 60 dB": {"noise_snr_db": 25.0},
    "all four": {"pitch": 2.0, "equalizer": 3.0, "room": 0.4, "noise_snr_db": 25.0},
}
NETWORK = {
    "no mixup": {"augmentation__mixup": 0.0},
    "bands masked": {"augmentation__mask": 0.2},
    "channels masked": {"augmentation__mask_channels": 0.2},
    "moved in frequency and time": {"augmentation__shift": 0.05},
    "spectral tilt": {"augmentation__tilt": 1.0},
    "gain": {"augmentation__gain": 1.0},
    "noise": {"augmentation__noise": 0.3},
    "no label smoothing": {"label_smoothing": 0.0},
}
EPOCHS = 24  # of the train split alone; half with a copy


class Tensors:
    """Contrast and envelope of sounds."""

    def __init__(self, normalize=True):
        self.strf = STRFTransformer(
            compression=None, contrast=False, normalize=normalize, n_jobs=1
        )
        self.contrast = LogContrast()

    def __call__(self, X):
        return self.contrast.fit_transform(self.strf.fit_transform(X))


def scored(Z, parts, y_train, epochs, seeds, **options):
    """Accuracies of every column, one row a seed."""
    results = []
    for seed in seeds:
        model = make_separable_classifier(
            max_epochs=epochs, random_state=seed, device="cpu", **options
        )
        model.fit(Z, y_train)
        results.append([model.score(*parts[name]) for name in COLUMNS])
    return results


def parts_of(tensors, X, y, split):
    """Tensors and labels of every part that is scored, and of the train split."""
    sounds = {name: (X[split == name], y[split == name]) for name in set(split)}
    valid, labels = sounds["valid"]
    sounds["shifted"] = augment_sounds(valid, random_state=999), labels
    return {name: (tensors(x), labels) for name, (x, labels) in sounds.items()}


def rows(X, y, split, seeds, groups):
    """Yield a name and the results of every seed."""
    train, tensors = split == "train", Tensors()
    parts = parts_of(tensors, X, y, split)
    Z, labels = parts["train"]
    yield "nothing changed", scored(Z, parts, labels, EPOCHS, seeds)
    if "sound" in groups:
        for name, settings in COPIES.items():
            copy = tensors(augment_sounds(X[train], random_state=0, **NONE | settings))
            both, twice = np.concatenate([Z, copy]), np.tile(labels, 2)
            yield f"copy: {name}", scored(both, parts, twice, EPOCHS // 2, seeds)
    if "network" in groups:
        for name, options in NETWORK.items():
            yield f"network: {name}", scored(Z, parts, labels, EPOCHS, seeds, **options)
    if "level" in groups:
        raw = Tensors(normalize=False)
        parts = parts_of(raw, X, y, split)
        Z, labels = parts["train"]
        yield "levels as recorded", scored(Z, parts, labels, EPOCHS, seeds)
        copy = raw(augment_sounds(X[train], random_state=0, gain_db=12, **NONE))
        both, twice = np.concatenate([Z, copy]), np.tile(labels, 2)
        name = "levels as recorded, copy: gain within 12 dB"
        yield name, scored(both, parts, twice, EPOCHS // 2, seeds)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("groups", nargs="*", default=["sound", "network", "level"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("-o", "--output", type=Path, default=RESULTS / "augmentation.csv")
    parser.add_argument("--quick", action="store_true", help="check that the script runs")
    options = parser.parse_args()
    if options.quick:
        global EPOCHS
        options.seeds, EPOCHS = 1, 2
    found = rows(*load(options.data), range(options.seeds), options.groups)
    with options.output.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["changed", *COLUMNS])
        for name, results in found:
            mean, spread = np.mean(results, axis=0), np.std(results, axis=0)
            cells = [f"{m:.3f} ± {s:.3f}" for m, s in zip(mean, spread, strict=True)]
            writer.writerow([name, *cells])
            file.flush()
            print(f"{name:48}", *cells, flush=True)


if __name__ == "__main__":
    main()
