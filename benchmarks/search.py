"""Number of computations of a grid search over the whole pipeline, with and without a cache.

    python benchmarks/search.py [--sounds 60] [--out docs/results/search.csv]

Three folds and twelve candidates (two STRFs, two MPCAs, three networks) on bundled instruments.
Recordings transformed, MPCA fits and MPCA transforms are counted, beside the least possible.
"""

import argparse
import csv
import tempfile
import time
from collections import Counter

import numpy as np
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import Pipeline

from skstrf import MPCA, AudioLoader, CachedPipeline, CNNClassifier, STRFTransformer
from skstrf.datasets import load_instruments
from skstrf.neural import ConvolutionalNetwork

COUNTS = Counter()
N_FOLDS, N_STRFS, N_MPCAS = 3, 2, 2


class CountingLoader(AudioLoader):
    def transform(self, X):
        COUNTS["files read"] += len(X)
        return super().transform(X)


class CountingSTRF(STRFTransformer):
    def _compute(self, X):
        COUNTS["recordings transformed"] += len(X)
        return super()._compute(X)


class CountingMPCA(MPCA):
    def fit(self, X, y=None):
        COUNTS["MPCA fits"] += 1
        return super().fit(X, y)

    def transform(self, X):
        COUNTS["MPCA transforms"] += 1
        return super().transform(X)


GRID = {
    "strf__contrast": [True, False],
    "mpca__n_components": [0.8, 0.95],
    "cnn__network__n_filters": [4, 8, 16],
}


def search(memory, kind, paths, y):
    COUNTS.clear()
    network = CNNClassifier(
        ConvolutionalNetwork(n_hidden=32), max_epochs=3, random_state=0, device="cpu"
    )
    steps = [
        ("loader", CountingLoader(duration=5.0)),
        ("strf", CountingSTRF()),
        ("mpca", CountingMPCA()),
        ("cnn", network),
    ]
    if kind == "recordings cached":
        steps[1][1].set_params(memory=memory)
    if kind == "Pipeline(memory=)":
        pipeline = Pipeline(steps, memory=memory)
    else:
        pipeline = CachedPipeline(steps, memory=memory if kind == "CachedPipeline" else None)
    wall, cpu = time.perf_counter(), time.process_time()
    folds = StratifiedKFold(N_FOLDS, shuffle=True, random_state=0)
    found = GridSearchCV(pipeline, GRID, cv=folds, refit=False).fit(paths, y)
    times = {"wall s": time.perf_counter() - wall, "CPU s": time.process_time() - cpu}
    return dict(COUNTS), times, found.cv_results_["mean_test_score"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sounds", type=int, default=60)
    parser.add_argument("--out")
    args = parser.parse_args()
    clips = load_instruments(load_content=False)
    rows = np.linspace(0, len(clips.filenames) - 1, min(args.sounds, len(clips.filenames)))
    rows = np.unique(rows.round().astype(int))
    paths, y = np.array(clips.filenames)[rows], clips.target[rows]
    n_fits = N_FOLDS * N_STRFS * N_MPCAS
    least = {
        "files read": N_STRFS * len(rows),
        "recordings transformed": N_STRFS * len(rows),
        "MPCA fits": n_fits,
        "MPCA transforms": 2 * n_fits,
    }
    names = [*least, "wall s", "CPU s"]
    table = [["", *names], ["least possible", *least.values(), "", ""]]
    search(None, "nothing cached", paths[:9], np.arange(9) % 3)  # loads torch and kernels
    scores = []
    for kind in ("CachedPipeline", "CachedPipeline, again", "recordings cached",
                 "Pipeline(memory=)", "nothing cached"):  # fmt: skip
        if kind != "CachedPipeline, again":
            folder = tempfile.TemporaryDirectory()
        counts, times, score = search(folder.name, kind.partition(",")[0], paths, y)
        scores.append(score)
        row = [counts.get(name, 0) for name in least] + [f"{t:.1f}" for t in times.values()]
        table.append([kind, *row])
    print(f"{len(rows)} recordings; largest difference of a score "
          f"{max(np.abs(s - scores[0]).max() for s in scores):.2g}")  # fmt: skip
    for row in table:
        print("  ".join(f"{cell!s:>22}" for cell in row))
    if args.out:
        with open(args.out, "w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(table)


if __name__ == "__main__":
    main()
