"""Calibration and power of the tests of stationarity.

``python benchmarks/stationarity_calibration.py`` writes docs/results/stationarity_calibration.csv
in about fifteen minutes on one core. Every row is a field. The columns are the share of draws with
p <= .05 of every test, the mean rates in time (rate) and frequency (rate_frequency), and the mean
effect of the plane.
"""

import argparse
import csv
import time
from pathlib import Path

import numpy as np
from stationary_fields import CHANGING, HETEROGENEOUS, STATIONARY, make_field

from skstrf.surrogates import lines_test, phase_surrogates, plane_test, stationary_bootstrap
from skstrf.surrogates.generators import automatic_block_length, gaussianized
from skstrf.surrogates.lines import combined_p_values, kpss_statistic, stationarity_rate

COLUMNS = (
    "field",
    "kind",
    "draws",
    "time",
    "level",
    "variability",
    "lines",
    "rate",
    "rate_frequency",
    "plane",
    "plane_effect",
    "phase_surrogates",
    "stationary_bootstrap",
)


def main():
    """Write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=500)
    parser.add_argument("--power-draws", type=int, default=200, help="of what is not stationary")
    parser.add_argument("--surrogates", type=int, default=99)
    parser.add_argument("--shape", type=int, nargs=2, default=(64, 128))
    parser.add_argument("--alternatives", type=int, default=100, help="draws of other methods")
    parser.add_argument("--fields", nargs="+")
    parser.add_argument("--output", default="docs/results/stationarity_calibration.csv")
    args = parser.parse_args()
    kinds = {
        **dict.fromkeys(STATIONARY, "stationary"),
        **dict.fromkeys(CHANGING, "changing"),
        **dict.fromkeys(HETEROGENEOUS, "heterogeneous"),
        "harmonic comb": "stationary in time only",
    }
    chosen = args.fields or list(kinds)
    with Path(args.output).open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(COLUMNS)
        for name in chosen:
            began = time.perf_counter()
            n_draws = args.draws if name in STATIONARY else args.power_draws
            numbers = reject(name, tuple(args.shape), n_draws, args)
            row = [name, kinds[name], n_draws, *(f"{number:.3f}" for number in numbers)]
            table.writerow(row)
            file.flush()
            print(*row, f"{time.perf_counter() - began:.0f} s", sep=", ", flush=True)


def reject(name, shape, n_draws, args):
    """Shares of rejections of one field, mean rates and effect."""
    found, others = [], []
    for draw in range(n_draws):
        rng = np.random.default_rng([draw, 20])
        plane = make_field(name, shape, rng)
        lines = lines_test(plane, args.surrogates, rng)
        columns = lines_test(plane.T, args.surrogates, rng) if name == "harmonic comb" else None
        whole = plane_test(plane, args.surrogates, rng)
        found.append(
            [
                lines.p_value <= 0.05,
                lines.level_p_value <= 0.05,
                lines.variance_p_value <= 0.05,
                np.mean(lines.p_values <= 0.05),
                stationarity_rate(lines.p_values),
                np.nan if columns is None else stationarity_rate(columns.p_values),
                whole.p_value <= 0.05,
                whole.effect,
            ]
        )
        if draw < args.alternatives:
            others.append([p <= 0.05 for p in alternatives(plane, args.surrogates, rng)])
    return [*np.mean(found, axis=0), *np.mean(others, axis=0)]


def alternatives(plane, n_surrogates, rng):
    """p-values in time by the methods of the literature: unwhitened lines, other surrogates."""
    field = gaussianized(plane).astype(np.float32)
    phases = phase_surrogates(field, n_surrogates, rng)
    length = float(np.mean(automatic_block_length(field)))
    blocks = field[:, stationary_bootstrap(field.shape[1], n_surrogates, length, rng)]
    for copies in (phases, np.moveaxis(blocks, 1, 0)):
        both = np.concatenate([field[None], copies]).transpose(2, 0, 1)
        level = both - both.mean(axis=0)
        power = level**2
        statistics = [kpss_statistic(x).mean(axis=1) for x in (level, power - power.mean(axis=0))]
        yield combined_p_values(*statistics)


if __name__ == "__main__":
    main()
