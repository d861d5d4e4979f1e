"""Table of the stored results of asv: ``python benchmarks/baseline_table.py``.

To make a new baseline, with nothing else running:
``cd benchmarks; asv run --python=same --set-commit-hash HEAD --machine NAME``.
"""

import argparse
import csv
import itertools
import json
import math
from pathlib import Path

from asv.results import Results

HERE = Path(__file__).parent
OUTPUT = HERE.parent / "docs" / "results" / "speed_baseline.csv"


def newest(machine):
    """Results of the last run on a machine."""
    files = [p for p in (HERE / "baseline" / machine).glob("*.json") if p.name != "machine.json"]
    if not files:
        raise SystemExit(f"no results in {HERE / 'baseline' / machine}: run asv first")
    return max((Results.load(str(p)) for p in files), key=lambda results: results.date)


def rows(results):
    """Yield benchmark, parameters, value with its quartiles, and unit."""
    for name in sorted(results.get_all_result_keys()):
        params = results.get_result_params(name)
        values = results.get_result_value(name, params)
        stats = results.get_result_stats(name, params)
        for chosen, value, stat in zip(itertools.product(*params), values, stats, strict=True):
            if value is None or math.isnan(value):
                continue
            memory = "peakmem" in name
            scale = 1e-6 if memory else 1
            cells = [value, *((stat["q_25"], stat["q_75"]) if stat else (value, value))]
            shown = [f"{scale * cell:.3g}" for cell in cells]
            yield [name, ", ".join(chosen).replace("'", ""), *shown, "MB" if memory else "s"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--machine", default="two-cores")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    options = parser.parse_args()
    results = newest(options.machine)
    with options.output.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["benchmark", "parameters", "median", "quartile", "quartile", "unit"])
        writer.writerows(rows(results))
    machine = json.loads((HERE / "baseline" / options.machine / "machine.json").read_text())
    print(f"{options.output}: commit {results.commit_hash[:8]}, {machine.get('cpu')}")


if __name__ == "__main__":
    main()
