"""Peak memory of a 198-channel transform beyond its output: ``python benchmarks/memory.py``."""

import argparse
import resource
import time

import numpy as np

from skstrf import STRFTransformer


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=30)
    options = parser.parse_args()
    n_times = int(16000 * options.seconds)
    X = np.random.default_rng(0).standard_normal((options.clips, n_times), dtype=np.float32)
    strf = STRFTransformer(rates="eremeeva2017", scales="eremeeva2017", frame_step=16).fit(X)
    strf.transform(X[:1])  # imports and compiled kernels are nobody's memory
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start, used = time.perf_counter(), time.process_time()
    tensor = strf.transform(X)
    wall, cpu = time.perf_counter() - start, time.process_time() - used
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    beyond = (peak - before) * 1024 - tensor.nbytes
    print(
        f"{options.clips} clips of {options.seconds:g} s: output {tensor.nbytes / 1e6:.0f} MB, "
        f"beyond it {beyond / 1e6:.0f} MB, wall {wall:.1f} s, CPU {cpu:.1f} s"
    )


if __name__ == "__main__":
    main()
