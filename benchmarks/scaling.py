"""Time and memory by the number of clips and of workers: ``python benchmarks/scaling.py``.

Clips of noise are written to a temporary folder; clusters of processes with one thread each
transform them into a store and fit a scaler and an MPCA to it, a pass over the store each. Every
row is a cluster of its own, warm before it is timed. At the end, what docs/scaling.rst reckons
with: a clip of 30 s alone, and the size of what blocks send up the tree.
"""

import argparse
import csv
import pickle
import tempfile
import time
from pathlib import Path
from statistics import median

import dask.array as da
import numpy as np
import soundfile
from distributed import LocalCluster

from skstrf import MPCA, AudioLoader, STRFTransformer
from skstrf.corpus_store import store_tensors
from skstrf.multilinear import moments
from skstrf.utils.cluster import on_cluster, run_on_cluster

RATE = 16000


def write_clips(folder, n_clips, seconds, seed=0):
    rng = np.random.default_rng(seed)
    names = [str(Path(folder) / f"{i:04}.wav") for i in range(n_clips)]
    for name in names:
        soundfile.write(name, 0.1 * rng.standard_normal(int(seconds * RATE)), RATE)
    return names


def peak():
    """Most memory this process has had, bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("no VmHWM in /proc/self/status")


def lazily(path):
    """The store as a dask array, a file of it a block."""
    import zarr

    X = zarr.open_group(path, mode="r")["X"]
    return da.from_zarr(str(path), component="X", chunks=(X.shards or X.chunks))


def cpu_of(client):
    return sum(client.run(time.process_time).values())


def measure(names, n_workers, seconds, repeats):
    """Seconds of store and fit, each run, CPU seconds a clip, and the largest peaks."""
    strf = STRFTransformer()
    found = {"store": [], "fit": [], "cpu": []}
    with (
        tempfile.TemporaryDirectory() as folder,
        LocalCluster(n_workers=n_workers, threads_per_worker=1, dashboard_address=None) as cluster,
        on_cluster(cluster.scheduler_address, timeout=60) as client,
    ):
        store_tensors(names[: 4 * n_workers], f"{folder}/warm.zarr", strf, duration=seconds)
        MPCA(0.95).fit(lazily(f"{folder}/warm.zarr"))
        for run in range(repeats):
            path = f"{folder}/{run}.zarr"
            start, used = time.perf_counter(), cpu_of(client)
            store_tensors(names, path, strf, duration=seconds)
            found["store"].append(time.perf_counter() - start)
            found["cpu"].append((cpu_of(client) - used) / len(names))
            start = time.perf_counter()
            MPCA(0.95).fit(lazily(path))
            found["fit"].append(time.perf_counter() - start)
        found["worker"] = max(client.run(peak).values())
    found["driver"] = peak()
    return found


def spread(values):
    return f"{median(values):.1f} ({min(values):.1f} to {max(values):.1f})"


def one_clip(folder, seconds=30.0, repeats=4):
    """CPU seconds and bytes of a clip of 30 s, by its parts, as one thread does it."""
    (name,) = write_clips(folder, 1, seconds, seed=1)
    loader, rows = AudioLoader(duration=seconds), []
    for rates, options in (
        ("default", {}),
        ("eremeeva2017", dict.fromkeys(("rates", "scales"), "eremeeva2017")),
    ):
        strf = STRFTransformer(**options)
        X = strf.fit_transform(loader.fit_transform([name]))
        used = []
        for _ in range(repeats):
            start = time.process_time()
            strf.transform(loader.transform([name]))
            used.append(time.process_time() - start)
        start = time.process_time()
        for _ in range(repeats):
            sums = moments(np.repeat(X, 8, axis=0))
        fit = (time.process_time() - start) / repeats / 8
        up = len(pickle.dumps(sums, protocol=5))
        rows.append([rates, X.shape[1:], X.nbytes, median(used), max(used), fit, up])
    return rows


def nothing(item):
    return item


def overheads(n_tasks=2000, n_clips=10**6):
    """Seconds for each task of a cluster, and for noting in a store of a million what is done."""
    import dask
    import zarr

    from skstrf.corpus_store import DurableStore

    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        on_cluster(cluster.scheduler_address, timeout=60),
    ):
        start = time.perf_counter()
        dask.compute(*[dask.delayed(nothing)(i) for i in range(n_tasks)])
        graph = (time.perf_counter() - start) / n_tasks
        start = time.perf_counter()
        for _ in run_on_cluster(nothing, range(n_tasks)):
            pass
        ours = (time.perf_counter() - start) / n_tasks
    with tempfile.TemporaryDirectory() as folder:
        status = zarr.create_array(
            DurableStore(folder), shape=(n_clips,), chunks=(n_clips,), dtype="uint8"
        )
        times = []
        for _ in range(20):
            start = time.perf_counter()
            status[:] = np.ones(n_clips, np.uint8)
            times.append(time.perf_counter() - start)
    return graph, ours, median(times)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, nargs="+", default=[50, 200, 1000])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", help="write the table to this CSV file")
    options = parser.parse_args()
    header = [
        "clips",
        "workers",
        "store s",
        "CPU s a clip",
        "MPCA fit s",
        "worker MB",
        "driver MB",
    ]
    table = [header]
    with tempfile.TemporaryDirectory() as folder:
        names = write_clips(folder, max(options.clips), options.seconds)
        print("  ".join(f"{name:>20}" for name in header))
        for n_clips in options.clips:
            for n_workers in options.workers:
                found = measure(names[:n_clips], n_workers, options.seconds, options.repeats)
                row = [n_clips, n_workers, spread(found["store"]), f"{median(found['cpu']):.4f}"]
                row += [spread(found["fit"])]
                row += [f"{found[name] / 1e6:.0f}" for name in ("worker", "driver")]
                table.append(row)
                print("  ".join(f"{cell!s:>20}" for cell in row), flush=True)
        print("\n30 s alone: tensor, bytes, CPU s (median, most), moments CPU s, bytes of moments")
        for row in one_clip(folder):
            print(*row)
    graph, ours, noted = overheads()
    print(f"a task of a graph {1e3 * graph:.2f} ms, of run_on_cluster {1e3 * ours:.2f} ms, ")
    print(f"to note what is done of 1 million {1e3 * noted:.1f} ms")
    if options.out:
        with open(options.out, "w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(table)


if __name__ == "__main__":
    main()
