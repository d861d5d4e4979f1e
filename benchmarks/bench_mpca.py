"""Speed and subspaces of MPCA, kalelinear and pykale on the same data.

``python benchmarks/bench_mpca.py`` prints a table.
Libraries that are not installed are skipped with a message.
"""

import argparse
import importlib.util
import os
import platform
import tracemalloc

import numpy as np
from measure import measure
from suites.learning import low_rank

SHAPES = {"big": (100, 11, 18, 64, 64), "small": (200, 32, 32, 16)}
SHARE = 0.95


def fit_skstrf(x):
    from skstrf import MPCA

    model = MPCA(SHARE).fit(x)
    return model, model.components_


def fit_kalelinear(x):
    from kalelinear.transformer import MPCA

    model = MPCA(explained_variance_ratio=SHARE).fit(x)
    return model, model.proj_mats_


def fit_pykale(x):
    from kale.embed.factorization import MPCA

    model = MPCA(var_ratio=SHARE).fit(x)
    return model, model.proj_mats


PEERS = {"skstrf": fit_skstrf, "kalelinear": fit_kalelinear, "pykale": fit_pykale}
MODULES = {"skstrf": "skstrf", "kalelinear": "kalelinear", "pykale": "kale"}


def extra_memory(task):
    """Peak of what numpy allocated during the task, in MB."""
    tracemalloc.start()
    try:
        task()
        return tracemalloc.get_traced_memory()[1] / 2**20
    finally:
        tracemalloc.stop()


def subspace_distance(ours, theirs):
    """Largest difference of the projectors on the subspaces of any mode."""
    return max(
        np.abs(u.T @ u - v.T @ v).max() if len(u) == len(v) else np.inf
        for u, v in zip(ours, theirs, strict=True)
    )


def compare(name, repeats):
    """Print one line a peer for the data set `name`."""
    x = low_rank(SHAPES[name])
    print(f"\n{name}: {x.shape} float32, {x.nbytes / 1e6:.0f} MB, share {SHARE}, one sweep")
    print(f"{'':12}{'fit':>22}{'transform':>22}{'fit extra':>11}{'distance':>10}  ranks")
    print(f"{'':12}{'wall s':>11}{'CPU s':>11}{'wall s':>11}{'CPU s':>11}{'MB':>11}")
    reference = None
    for peer, fit in PEERS.items():
        if importlib.util.find_spec(MODULES[peer]) is None:
            print(f"{peer:12}not installed")
            continue
        fit(np.random.default_rng(0).random((4, 3, 3)))  # imports are nobody's memory
        memory = extra_memory(lambda fit=fit: fit(x))  # also the warm-up
        wall, cpu = measure(lambda fit=fit: fit(x), 1 if peer == "pykale" else repeats)
        model, bases = fit(x)
        reference = bases if reference is None else reference
        t_wall, t_cpu = measure(lambda model=model: model.transform(x), repeats)
        print(
            f"{peer:12}{wall:11.3f}{cpu:11.3f}{t_wall:11.3f}{t_cpu:11.3f}{memory:11.0f}"
            f"{subspace_distance(reference, bases):10.1e}  {[len(b) for b in bases]}"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", choices=SHAPES, nargs="*", default=list(SHAPES))
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    print(f"{platform.machine()}, {os.cpu_count()} CPUs, load {load:.1f} before the start")
    for name in options.data:
        compare(name, options.repeats)


if __name__ == "__main__":
    main()
