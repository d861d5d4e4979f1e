"""The stationarity of nine representations, on instruments and on music.

``python benchmarks/stationarity.py DATA`` takes the folders cc0_instruments, cc_music_excerpts and
instruments_many_libraries of DATA (so many clips of each class of instruments), and writes for
each of them tables, figures and a report to docs/results/stationarity or --output. Every
representation is tested as it is (raw), without the profiles of rows and columns (polish), and
with the contrast normalization that only STRF has by default (contrast): the logarithm of every
channel less its mean over all channels.
"""

import argparse
import csv
import os
from pathlib import Path

import numpy as np
import soundfile
from sklearn.base import BaseEstimator, clone

from skstrf import StationarityScorer
from skstrf.experiments import make_representations, run_stationarity
from skstrf.inspection import StationarityDisplay


def main():
    """Run on both folders, with and without profiles."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--output", type=Path, default=Path("docs/results/stationarity"))
    parser.add_argument("--per-class", type=int, default=10)
    parser.add_argument("--clips", type=int, help="at most so many of each folder")
    parser.add_argument("--surrogates", type=int, default=199)
    parser.add_argument("--max-lines", type=int, default=1024)
    parser.add_argument("--settings", nargs="+", default=["raw", "polish", "contrast"])
    parser.add_argument("--n-jobs", type=int, default=os.cpu_count())
    args = parser.parse_args()
    # Long enough for all but a few clips: padding would be a change of its own.
    sets = {
        "cc0_instruments": (args.per_class, 5.0),
        "cc_music_excerpts": (None, 5.0),
        "instruments_many_libraries": (args.per_class, 2.0),
    }
    for folder, (per_class, duration) in sets.items():
        if not (args.data / folder / "metadata.csv").exists():
            print(f"{folder} is not there: left out")
            continue
        files = stratified(args.data / folder, per_class, duration)[: args.clips]
        for setting in args.settings:
            compare(files, duration, setting, args, f"{folder}_{setting}")
    summarize(args.output)


def summarize(folder):
    """One small table a comparison: stationarity, half its interval, and rejections, per axis."""
    for path in sorted(folder.glob("[ci]*_[rpc]*.csv")):
        if path.stem.endswith("_pairs"):
            continue
        with path.open(encoding="utf-8", newline="") as file:
            found = list(csv.DictReader(file))
        rows = [["", "time", "rejected", "frequency", "rejected", "plane", "rejected"]]
        for kind in dict.fromkeys(row["representation"] for row in found):
            cells = {r["axis"]: r for r in found if r["representation"] == kind}
            row = [kind]
            for axis in ("time", "frequency", "plane"):
                keys = ("stationarity", "stationarity_low", "stationarity_high")
                mean, low, high = (float(cells[axis][k]) for k in keys)
                # No line break between a number and its spread.
                row.append(
                    f"{mean:.2f}\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}{(high - low) / 2:.2f}"
                )
                row.append(f"{float(cells[axis]['rejected']):.2f}")
            rows.append(row)
        with (folder / f"summary_{path.name}").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)


def stratified(folder, per_class, shortest, seed=0):
    """Files of at least `shortest` seconds, so many of each class, drawn by chance."""
    with (folder / "metadata.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    rng = np.random.default_rng(seed)
    classes = {row["class"]: [] for row in rows}
    for index in rng.permutation(len(rows)):
        chosen = classes[rows[index]["class"]]
        path = str(folder / rows[index]["file"])
        if per_class is not None and len(chosen) >= per_class:
            continue
        if soundfile.info(path).duration >= shortest - 0.01:
            chosen.append(path)
    # One of each class in turn, so that the first few are of many classes.
    longest = max(map(len, classes.values()))
    return [c[i] for i in range(longest) for c in classes.values() if i < len(c)]


class Contrast(BaseEstimator):
    """A transformer whose logarithms are relative to the mean over channels of every frame."""

    def __init__(self, transformer=None):
        self.transformer = transformer

    def fit(self, X, y=None):
        """Fit the transformer."""
        self.transformer_ = clone(self.transformer).fit(X)
        self.axes_ = self.transformer_.axes_
        return self

    def transform(self, X):
        """Subtract the mean over channels."""
        tensors = self.transformer_.transform(X)
        return tensors - tensors.mean(axis=-2, keepdims=True)


def compare(files, duration, setting, args, name):
    """Run one comparison and write what it found."""
    representations = make_representations(duration)
    # What the report called STRF: without the division by the mean of all channels.
    plain = clone(representations["STRF"]).set_params(contrast=False)
    if setting == "contrast":
        others = [kind for kind in representations if kind != "STRF"]
        representations |= {kind: Contrast(representations[kind]) for kind in others}
    else:
        representations |= {"STRF, no contrast": plain}
    results = run_stationarity(
        files,
        representations=representations,
        duration=duration,
        scorer=StationarityScorer(
            n_surrogates=args.surrogates,
            detrend="polish" if setting == "polish" else None,
            max_lines=args.max_lines,
            random_state=0,
        ),
        on_error="warn",
        n_jobs=args.n_jobs,
        verbose=True,
    )
    args.output.mkdir(parents=True, exist_ok=True)
    results.write_json(args.output / f"{name}.json")  # holds paths: for oneself
    with (args.output / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
        rows = results.table()
        table = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
    pairs = [
        {"axis": axis} | pair
        for axis in ("time", "frequency", "plane")
        for pair in results.comparisons(axis)
    ]
    with (args.output / f"{name}_pairs.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, list(pairs[0]), lineterminator="\n")
        table.writeheader()
        table.writerows(pairs)
    for measure in ("stationarity", "rate"):
        display = StationarityDisplay.from_results(results, measure=measure)
        display.figure_.savefig(args.output / f"{name}_{measure}.png", dpi=150)
    results.to_report(args.output / f"{name}.html", title=f"Stationarity: {name}")
    print(name, f"{len(results.files)} sounds", results.summary(), sep="\n", flush=True)
    for axis in ("time", "frequency", "plane"):
        for pair in results.comparisons(axis):
            if "STRF" in (pair["first"], pair["second"]):
                print(axis, pair)
    print({n: round(s / len(results.files), 2) for n, s in results.seconds.items()}, "s per clip")


if __name__ == "__main__":
    main()
