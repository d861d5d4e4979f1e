"""The stationarity of nine representations, on instruments and on music.

``python benchmarks/stationarity.py DATA`` takes the folders cc0_instruments (so many clips of each
class) and cc_music_excerpts of DATA, and writes for each of them results, table, figure and report
to docs/results/stationarity or --output.
"""

import argparse
import csv
import os
from pathlib import Path

import numpy as np
from sklearn.base import clone

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
    parser.add_argument("--n-jobs", type=int, default=os.cpu_count())
    args = parser.parse_args()
    # Long enough for all but a few clips: padding would be a change of its own.
    sets = {"cc0_instruments": (args.per_class, 5.0), "cc_music_excerpts": (None, 5.0)}
    for folder, (per_class, duration) in sets.items():
        files = stratified(args.data / folder, per_class, duration)[: args.clips]
        for detrend in (None, "polish"):
            compare(files, duration, detrend, args, f"{folder}_{detrend or 'raw'}")
    summarize(args.output)


def summarize(folder):
    """One small table a comparison: rate, half its interval, and effect, per axis."""
    for path in sorted(folder.glob("c*_[rp]*.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            found = list(csv.DictReader(file))
        rows = [["", "time", "effect", "frequency", "effect", "plane", "effect"]]
        for kind in dict.fromkeys(row["representation"] for row in found):
            cells = {r["axis"]: r for r in found if r["representation"] == kind}
            row = [kind]
            for axis in ("time", "frequency", "plane"):
                rate, low, high = (
                    float(cells[axis][k]) for k in ("rate", "rate_low", "rate_high")
                )
                # No line break between a number and its spread.
                row.append(
                    f"{rate:.2f}\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}{(high - low) / 2:.2f}"
                )
                row.append(f"{float(cells[axis]['effect']):.2f}")
            rows.append(row)
        with (folder / f"summary_{path.name}").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)


def stratified(folder, per_class, shortest, seed=0):
    """Files of at least `shortest` seconds, so many of each class, drawn by chance."""
    with (folder / "metadata.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if float(row["duration_s"]) >= shortest - 0.01]
    rng = np.random.default_rng(seed)
    classes = {row["class"]: [] for row in rows}
    for index in rng.permutation(len(rows)):
        chosen = classes[rows[index]["class"]]
        if per_class is None or len(chosen) < per_class:
            chosen.append(str(folder / rows[index]["file"]))
    # One of each class in turn, so that the first few are of many classes.
    longest = max(map(len, classes.values()))
    return [c[i] for i in range(longest) for c in classes.values() if i < len(c)]


def compare(files, duration, detrend, args, name):
    """Run one comparison and write what it found."""
    representations = make_representations(duration)
    # What the report called STRF: without the division by the mean of all channels.
    plain = clone(representations["STRF"]).set_params(contrast=False)
    results = run_stationarity(
        files,
        representations=representations | {"STRF, no contrast": plain},
        duration=duration,
        scorer=StationarityScorer(n_surrogates=args.surrogates, detrend=detrend, random_state=0),
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
    for measure in ("rate", "effect"):
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
