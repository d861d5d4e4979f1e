"""MPCA of a file larger than memory: ``python benchmarks/mpca_out_of_core.py --gigabytes 20``.

Writes a file of tensors, measures what the disk itself reads, and fits MPCA to it, each in a
process of its own whose peak memory is counted. The page cache is emptied of the file before
every run. The file is deleted at the end.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

# One sample: the 198 channels of 30 s at 7.8 frames a second.
SAMPLE = (11, 18, 128, 234)
RUNS = {
    "read": "the disk's own read",
    "stream": "partial_fit, batch by batch",
    "initial": "fit without sweeps",
    "fit": "fit, one sweep",
    "dask": "fit of a dask array",
    "cuda": "partial_fit on the GPU",
}


def write(path, n_samples, seed=0):
    """Tensors of decaying modes around a mean, no two alike, written a sample at a time."""
    rng = np.random.default_rng(seed)
    base = rng.standard_normal((7, *SAMPLE), dtype=np.float32)
    for axis, size in enumerate(SAMPLE, start=1):
        shape = [-1 if a == axis else 1 for a in range(base.ndim)]
        base *= np.exp(-4 * np.arange(size) / size).astype(np.float32).reshape(shape)
    mean = rng.standard_normal(SAMPLE, dtype=np.float32)
    x = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(n_samples, *SAMPLE))
    offset, shape = x.offset, x.shape
    del x
    with open(path, "r+b") as file:
        file.seek(offset)
        for _ in range(n_samples):
            weights = rng.standard_normal(len(base), dtype=np.float32)
            np.add(np.tensordot(weights, base, 1), mean).tofile(file)
        file.flush()
        os.fsync(file.fileno())
    return shape


def forget(path):
    """Empty the page cache of the file."""
    with open(path, "rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def peak():
    """Most memory this process has had, bytes; of itself alone, unlike ru_maxrss."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("no VmHWM in /proc/self/status")


def batches(x, n=16):
    return (x[i : i + n] for i in range(0, len(x), n))


def lazily(path, shape, rows=8):
    """A dask array that opens the file in every block; `from_array` would read it whole."""
    import dask.array as da

    def block(block_info=None):
        (start, stop), *_ = block_info[None]["array-location"]
        return np.array(np.load(path, mmap_mode="r")[start:stop])

    sizes = [min(rows, shape[0] - start) for start in range(0, shape[0], rows)]
    return da.map_blocks(block, chunks=(tuple(sizes), *shape[1:]), dtype=np.float32)


def task(run, path):
    """What is measured, ready to be called, and how often it goes through the file."""
    from skstrf import MPCA

    x = np.load(path, mmap_mode="r")
    warm = np.random.default_rng(0).random((9, 3, 4, 5, 6))
    MPCA(2).fit(warm).transform(warm)  # imports are nobody's memory
    if run == "read":
        return lambda: read(path), 1
    if run == "fit":
        return lambda: MPCA(0.95).fit(x), 3
    if run == "initial":
        return lambda: MPCA(0.95, max_iter=0).fit(x), 2
    if run == "dask":
        return lambda: MPCA(0.95).fit(lazily(path, x.shape)), 3
    model = MPCA(0.95)
    if run == "stream":
        return lambda: [model.partial_fit(batch) for batch in batches(x)][-1], 1
    import torch

    torch.zeros(1, device="cuda")
    return lambda: [model.partial_fit(torch.tensor(b, device="cuda")) for b in batches(x)][-1], 1


def read(path):
    buffer = bytearray(4 * 2**20)
    with open(path, "rb", buffering=0) as file:
        while file.readinto(buffer):
            pass


def child(run, path):
    """One run; its figures as a line of JSON, its bases beside the file."""
    work, passes = task(run, path)
    before, start, used = peak(), time.perf_counter(), time.process_time()
    model = work()
    wall, cpu = time.perf_counter() - start, time.process_time() - used
    if model is not None:
        np.savez(Path(path).with_suffix(f".{run}.npz"), *model.components_)
    figures = {"wall": wall, "cpu": cpu, "passes": passes, "before": before, "peak": peak()}
    print(json.dumps(figures))


def measure(run, path):
    forget(path)
    command = [sys.executable, __file__, "--child", run, str(path)]
    found = subprocess.run(command, capture_output=True, text=True)
    if found.returncode:
        raise RuntimeError(f"{run}: {found.stderr[-2000:]}")
    return json.loads(found.stdout.splitlines()[-1])


def distance(folder, first, second):
    """Largest difference of an entry of the projectors on the subspaces."""
    ours, theirs = (np.load(folder / f"x.{run}.npz") for run in (first, second))
    return max(np.abs(ours[k].T @ ours[k] - theirs[k].T @ theirs[k]).max() for k in ours)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gigabytes", type=float, default=20)
    parser.add_argument("--folder", help="where the file is made (default: a temporary one)")
    parser.add_argument("--runs", nargs="+", choices=RUNS, default=list(RUNS)[:4])
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(*options.child)
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        path = Path(folder) / "x.npy"
        n_samples = int(options.gigabytes * 1e9 / (4 * np.prod(SAMPLE))) + 1
        start = time.perf_counter()
        shape = write(path, n_samples)
        size = path.stat().st_size
        seconds = time.perf_counter() - start
        print(f"{shape} float32, {size / 1e9:.1f} GB, written in {seconds:.0f} s")
        print(f"{'':30}{'wall s':>8}{'CPU s':>8}{'GB/s':>7}{'peak MB':>9}{'before':>8}")
        for run in options.runs:
            found = measure(run, path)
            speed = found["passes"] * size / found["wall"] / 1e9
            print(
                f"{RUNS[run]:30}{found['wall']:8.1f}{found['cpu']:8.1f}{speed:7.2f}"
                f"{found['peak'] / 1e6:9.0f}{found['before'] / 1e6:8.0f}",
                flush=True,
            )
        for first, second in (("stream", "initial"), ("dask", "fit"), ("cuda", "stream")):
            if {first, second} <= set(options.runs):
                print(f"{first} against {second}: {distance(Path(folder), first, second):.1e}")


if __name__ == "__main__":
    main()
