"""Time, memory and error of the transform of long sounds: ``python benchmarks/long_sound.py``.

Each duration is processed in a separate process, as peak memory is counted by process. The error
is the difference from the transform of the whole sound in memory, for the first duration.
"""

import argparse
import multiprocessing
import resource
import time
from concurrent.futures import ProcessPoolExecutor

import numpy as np

from skstrf import STRFTransformer
from skstrf.transforms.strf import transform_blocks

RATE = 16000


class Music:
    """Blocks of a generated sound of any duration: noise with a beat."""

    def __init__(self, seconds):
        self.seconds = seconds

    def __iter__(self):
        rng = np.random.default_rng(0)
        for second in range(self.seconds):
            times = second + np.arange(RATE) / RATE
            beat = 1.2 + np.sin(2 * np.pi * 2 * times) + 0.5 * np.sin(2 * np.pi * 0.03 * times)
            yield (beat * rng.standard_normal(RATE)).astype(np.float32)


def transformer(options):
    return STRFTransformer(
        rates=options.rates, scales=options.scales, frame_step=options.frame_step,
        pooling="sample", compression=None,
    )  # fmt: skip


def run(options, seconds, check):
    strf = transformer(options)
    next(transform_blocks(strf, Music(60)))  # loads imports and compiled kernels
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start, used = time.perf_counter(), time.process_time()
    kept, n_bytes = [], 0
    for block in transform_blocks(strf, Music(seconds)):
        n_bytes += block.nbytes
        if check:
            kept.append(block)
    wall, cpu = time.perf_counter() - start, time.process_time() - used
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    error = None
    if check:
        whole = strf.fit_transform(np.concatenate(list(Music(seconds)))[np.newaxis])[0]
        error = np.abs(np.concatenate(kept, axis=-1) - whole).max() / whole.max()
    return wall, cpu, before / 1024, peak / 1024, n_bytes / 1e6, error


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, nargs="+", default=[600, 600, 1200, 3600])
    parser.add_argument("--rates", default="eremeeva2017")
    parser.add_argument("--scales", default="eremeeva2017")
    parser.add_argument("--frame-step", type=int, default=16)
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    for index, seconds in enumerate(options.seconds):
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            future = pool.submit(run, options, seconds, index == 0)
            wall, cpu, before, peak, size, error = future.result()
        memory = (
            "kept whole to compare" if index == 0 else f"peak {peak:.0f} MB ({before:.0f} before)"
        )
        print(
            f"{seconds} s: output {size:.0f} MB, wall {wall:.1f} s, CPU {cpu:.1f} s, {memory}"
            + ("" if error is None else f", error {error:.1e} of the maximum"),
            flush=True,
        )


if __name__ == "__main__":
    main()
