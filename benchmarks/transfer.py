"""Transfer from some instruments to others, to other libraries and to synthetic genres.

``python benchmarks/transfer.py DATA`` with DATA the folder that holds `cc0_instruments` and
`cc0_instruments_new_library`. Source and target never share a sound; see TASKS for what they are.
Writes CSV and figure of each task to --output.
"""

import argparse
from pathlib import Path

import numpy as np
from channels import tensors, write_csv

from skstrf import STRFTransformer, make_ripple_genres
from skstrf.experiments import make_classification_pipeline, run_transfer
from skstrf.inspection import TransferDisplay

# Half of the instruments, of both kinds: blown, bowed, plucked, struck.
OTHERS = (
    "baritone_sax", "double_bass_pizz", "electric_bass", "acoustic_guitar", "electric_piano",
    "transistor_organ", "body_percussion",
)  # fmt: skip


def tasks(data, kept):
    """Source and target of each task."""
    Z, y, split = tensors(data, kept)
    new = split == "new_library"
    usual = ~new
    others = np.isin(y, OTHERS)
    yield "other_instruments", part(Z, y, None, usual & ~others), part(Z, y, split, usual & others)
    yield "other_libraries", part(Z, y, None, usual), part(Z, y, None, new)
    X, genre = make_ripple_genres(20, 8, duration=5.0, snr=-3.0, spread=0.6, random_state=0)
    genres = {"data": STRFTransformer().fit_transform(X), "target": genre}
    yield "synthetic_genres", part(Z, y, None, usual), genres


def part(Z, y, split, rows):
    """Some of the sounds; valid sounds of a split belong to the pool of labels."""
    found = {"data": Z[rows], "target": y[rows]}
    return found if split is None else found | {"split": split[rows]}


def main():
    """Run every task, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--max-epochs", type=int, default=20)
    parser.add_argument("--only", nargs="+", help="names of tasks")
    parser.add_argument("--tensors", type=Path, help="npz file that keeps them between runs")
    parser.add_argument("--output", type=Path, default=Path("docs/results"))
    args = parser.parse_args()
    pipeline = make_classification_pipeline(max_epochs=args.max_epochs)
    pipeline.set_params(cnn__network__separable_kernels=True)
    for name, source, target in tasks(args.data, args.tensors):
        if args.only and name not in args.only:
            continue
        results = run_transfer(source, target, pipeline=pipeline, n_seeds=args.seeds, verbose=True)
        print(name, results.source, results.target, results.summary(), sep="\n", flush=True)
        write_csv(args.output / f"transfer_{name}.csv", results.table())
        display = TransferDisplay.from_results(results)
        display.ax_.set_title(name.replace("_", " "), fontsize=10)
        display.figure_.savefig(args.output / f"transfer_{name}.png", dpi=110)


if __name__ == "__main__":
    main()
