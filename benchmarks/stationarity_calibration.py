"""Size and power of the tests of stationarity, and of tests of others on the same planes.

``python benchmarks/stationarity_calibration.py`` writes size.csv, power.csv and frames.csv to
docs/results/stationarity_power or --output, in about an hour on one core (--quick: 5 minutes).
Columns: the share of draws with p <= .05 of the test along time (time), of its tests of level and
of variability, of single lines, and of the test of the plane; mean effect and rate, and the share
of intervals that contain 0 (effect) or 1 (rate); and of the other tests, which take statsmodels:
KPSS for each line with Fisher's combination; the share of draws in which Fisher's combination of
augmented Dickey-Fuller tests does not reject unit roots (ADF); the test of Dwivedi and Subba Rao
(DFT); and the index of Borgnat and Flandrin (INS).
"""

import argparse
import csv
import time
import warnings
from pathlib import Path

import numpy as np
from scipy.ndimage import uniform_filter1d
from scipy.stats import chi2
from stationary_fields import (
    CHANGING,
    CURVES,
    HETEROGENEOUS,
    STATIONARY,
    STATIONARY_ROWS,
    make_field,
)

from skstrf.surrogates import lines_test, phase_surrogates, plane_test

OWN = ("time", "level", "variability", "lines", "effect", "rate", "contains_0", "contains_1")
OTHERS = ("KPSS", "ADF", "DFT", "INS")
FRAMES = (32, 64, 128, 500, 2000)


def main():
    """Write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=200, help="of stationary fields")
    parser.add_argument("--power-draws", type=int, default=50, help="of what is not stationary")
    parser.add_argument("--others", type=int, default=20, help="draws of the tests of others")
    parser.add_argument("--surrogates", type=int, default=199)
    parser.add_argument("--shape", type=int, nargs=2, default=(64, 128))
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--tables", nargs="+", default=["size", "power", "frames"])
    parser.add_argument("--only", nargs="+", help="fields or curves")
    parser.add_argument("--quick", action="store_true", help="ten draws of each field")
    parser.add_argument("--output", type=Path, default=Path("docs/results/stationarity_power"))
    args = parser.parse_args()
    if args.quick:
        args.draws = args.power_draws = 10
        args.others = 5
    args.output.mkdir(parents=True, exist_ok=True)
    shape = tuple(args.shape)
    if "size" in args.tables:
        write(args.output / "size.csv", size_table(shape, args), args)
    if "power" in args.tables:
        write(args.output / "power.csv", power_table(shape, args), args)
    if "frames" in args.tables:
        write(args.output / "frames.csv", frames_table(shape[0], args), args)


def size_table(shape, args):
    """Fields of `make_field`: stationary ones, and the older list of others."""
    stationary = STATIONARY | STATIONARY_ROWS
    for name in (*stationary, *CHANGING, *HETEROGENEOUS, "harmonic comb"):
        draws = args.draws if name in stationary else args.power_draws
        kind = "stationary" if name in stationary else "changing"
        yield {"field": name, "kind": kind}, lambda r, n=name: make_field(n, shape, r), draws, True


def power_table(shape, args):
    """One row for each value of each curve."""
    for name, (values, field_of) in CURVES.items():
        for value in values:
            row = {"field": name, "value": value}
            field = field_of(value)
            yield row, lambda r, f=field: f(shape, r), args.power_draws, True


def frames_table(n_rows, args):
    """Lines of different lengths."""
    chosen = {name: STATIONARY[name] for name in ("white", "AR .9", "1/f, rows")}
    chosen["level step of 1 sd"] = CURVES["level step at 1/2 (sd)"][1](1)
    chosen["level step of 10 sd"] = CURVES["level step at 1/2 (sd)"][1](10)
    chosen["one cycle of modulation"] = CURVES["amplitude modulation (cycles)"][1](1)
    chosen["random walk"] = CHANGING["random walk"]
    for name, field in chosen.items():
        for n in FRAMES:
            row = {"field": name, "frames": n}
            yield row, lambda r, f=field, n=n: f((n_rows, n), r), args.power_draws, False


def write(path, rows, args):
    """Measure all rows and write them as they come."""
    table = None
    with path.open("w", newline="", encoding="utf-8") as file:
        for row, draw, n_draws, compare in rows:
            if args.only and row["field"] not in args.only:
                continue
            began = time.perf_counter()
            measured = reject(draw, n_draws, args.others if compare else 0, args)
            row = row | {"draws": n_draws} | {k: f"{v:.3f}" for k, v in measured.items()}
            if table is None:
                table = csv.DictWriter(file, list(row), lineterminator="\n")
                table.writeheader()
            table.writerow(row)
            file.flush()
            print(*row.values(), f"{time.perf_counter() - began:.0f} s", sep=", ", flush=True)


def reject(draw, n_draws, n_others, args):
    """Shares of rejections, mean effect and rate."""
    own, plane_p, others = [], [], []
    for i in range(n_draws):
        rng = np.random.default_rng([i, args.seed])
        plane = draw(rng)
        test = lines_test(plane, args.surrogates, rng)
        own.append(
            [
                test.p_value <= 0.05,
                test.level_p_value <= 0.05,
                test.variance_p_value <= 0.05,
                np.mean(test.p_values <= 0.05),
                test.effect,
                test.rate,
                test.effect_interval[0] == 0,
                test.rate_interval[1] == 1,
            ]
        )
        if i < n_others:
            plane_p.append(plane_test(plane, min(args.surrogates, 99), rng).p_value <= 0.05)
            others.append([kpss(plane), dickey_fuller(plane), dft_test(plane), ins(plane, rng)])
    found = dict(zip(OWN, np.mean(own, axis=0), strict=True))
    if n_others:
        found["plane"] = np.mean(plane_p)
        found |= dict(zip(OTHERS, np.mean(others, axis=0), strict=True))
    return found


# Tests of others


def fisher(p_values):
    """p-value of independent p-values, by Fisher's combination."""
    p_values = np.maximum(p_values, 1e-12)
    return chi2.sf(-2 * np.log(p_values).sum(), 2 * len(p_values))


def kpss(plane):
    """Whether KPSS tests reject level stationarity (statsmodels: p-values from .01 to .10)."""
    from statsmodels.tsa.stattools import kpss as test

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # p-values beyond the table
        # A p-value of .10 stands for all larger ones, which are .55 on average.
        p = [test(line, regression="c", nlags="auto")[1] for line in plane if np.ptp(line) > 0]
    p = np.where(np.array(p) >= 0.1, 0.55, p)
    return fisher(p) <= 0.05


def dickey_fuller(plane):
    """Whether augmented Dickey-Fuller tests do not reject unit roots."""
    from statsmodels.tsa.stattools import adfuller

    lines = [line for line in plane if np.ptp(line) > 0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a change of the type of the result
        p = [adfuller(line, maxlag=4, autolag=None)[1] for line in lines]
    return fisher(p) > 0.05


def dft_test(plane, n_lags=3):
    """Whether Fourier coefficients are correlated (Dwivedi and Subba Rao 2011, section 2)."""
    n = plane.shape[1]
    centered = plane - plane.mean(axis=1, keepdims=True)
    transform = np.fft.fft(centered, axis=1) / np.sqrt(2 * np.pi * n)
    spectrum = uniform_filter1d(np.abs(transform) ** 2, 2 * int(n**0.5) + 1, axis=1, mode="wrap")
    scaled = transform / np.sqrt(np.maximum(spectrum, 1e-30))
    lags = range(1, n_lags + 1)
    covariances = [np.mean(scaled * np.roll(scaled, -r, axis=1).conj(), axis=1) for r in lags]
    statistic = n * np.sum(np.abs(covariances) ** 2, axis=0)
    return fisher(chi2.sf(statistic, 2 * n_lags)) <= 0.05


def ins(plane, rng, n_surrogates=39):
    """Whether local spectra vary more than those of phase surrogates (Borgnat et al. 2010)."""
    copies = phase_surrogates(plane, n_surrogates, rng)
    variation = [local_variation(x) for x in (plane, *copies)]
    return np.mean(np.array(variation) >= variation[0]) <= 0.05


def local_variation(plane):
    """Variance over time of the distance of local spectra from their mean, summed over lines."""
    width = plane.shape[1] // 4
    frames = np.lib.stride_tricks.sliding_window_view(plane, width, axis=1)[:, :: width // 4]
    spectra = np.abs(np.fft.rfft(frames * np.hanning(width), axis=2)) ** 2 + 1e-12
    mean = spectra.mean(axis=1, keepdims=True)
    local, overall = (s / s.sum(axis=2, keepdims=True) for s in (spectra, mean))
    divergence = ((local - overall) * np.log(local / overall)).sum(axis=2)
    deviation = np.abs(np.log(spectra / mean)).sum(axis=2)
    return (divergence * (1 + deviation)).var(axis=1).sum()


if __name__ == "__main__":
    main()
