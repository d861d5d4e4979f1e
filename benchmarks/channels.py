"""Accuracy of single channels on instruments, and of selections of channels.

``python benchmarks/channels.py DATA [--learner network]`` with DATA the folder that holds
`cc0_instruments` and `cc0_instruments_new_library`. Channels are chosen and everything is fitted
on the train split; test and new_library are scored once. Writes CSV and figure to --output.
"""

import argparse
import csv
from pathlib import Path

import numpy as np
from classification import load

from skstrf import CNNClassifier, STRFTransformer
from skstrf.experiments._evaluation import linear_classifier
from skstrf.experiments._splits import plan_split
from skstrf.experiments.channels import compare_channels
from skstrf.inspection import ChannelScoreDisplay
from skstrf.neural import ConvolutionalNetwork


def tensors(folder, kept):
    """Tensors of both collections, classes, splits; read from the file `kept` if it is there."""
    if kept is None or not kept.is_file():
        X, y, split = load(folder)
        Z = STRFTransformer().fit_transform(X)
        if kept is None:
            return Z, y, split
        np.savez(kept, Z=Z, y=y, s=split)
    with np.load(kept) as arrays:
        return arrays["Z"], arrays["y"], arrays["s"]


def write_csv(path, rows):
    """Write rows, numbers in four decimals."""
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        table.writeheader()
        for row in rows:
            cells = row.items()
            table.writerow({k: f"{v:.4f}" if isinstance(v, float) else v for k, v in cells})


def main():
    """Compare, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--learner", choices=["linear", "network"], default="linear")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--max-epochs", type=int, default=20)
    parser.add_argument("--best", type=int, nargs="+", default=[1, 5, 10, 20])
    parser.add_argument("--mpca", type=float, nargs="+", default=[0.8, 0.9, 0.95, 0.98])
    parser.add_argument("--tensors", type=Path, help="npz file that keeps them between runs")
    parser.add_argument("--output", type=Path, default=Path("docs/results"))
    args = parser.parse_args()
    Z, y, split = tensors(args.data, args.tensors)
    learner = linear_classifier()
    if args.learner == "network":
        learner = CNNClassifier(
            ConvolutionalNetwork(separable_kernels=True), max_epochs=args.max_epochs
        )
    results = compare_channels(
        Z,
        y,
        plan_split(y, split),
        learner,
        k=args.best,
        ratios=args.mpca,
        n_seeds=args.seeds,
        verbose=True,
    )
    strf = STRFTransformer().fit(np.ones((1, 16000), dtype=np.float32))
    results.scales, results.rates = strf.scales_.tolist(), strf.rates_.tolist()
    print(results.summary(), flush=True)
    write_csv(args.output / f"channels_{args.learner}.csv", results.table())
    if args.learner == "linear":
        write_csv(args.output / "channels_scores.csv", results.best_channels(60))
        display = ChannelScoreDisplay.from_scores(
            results.scores, scales=results.scales, rates=results.rates, n_best=10
        )
        display.figure_.savefig(args.output / "channels.png", dpi=110)


if __name__ == "__main__":
    main()
