"""Time and memory of the 198-channel transform on a CUDA GPU, and its bandwidth limit.

``python benchmarks/gpu.py --clips 1000``. It exits with a message if there is no GPU.
The sounds are moving ripples with noise; the time includes both transfers from and to main memory.
"""

import argparse
import os
import time

import numpy as np
import torch

from skstrf import STRFTransformer
from skstrf.auditory import moving_ripple

SECONDS = 30
FRAME_STEP = 16


def make_sounds(count):
    """Some different sounds, repeated at different levels."""
    rng = np.random.default_rng(0)
    base = np.stack([moving_ripple(r, 1, SECONDS, random_state=0) for r in (-8, -4, 4, 8)])
    base = base.astype(np.float32) + 0.1 * rng.standard_normal(base.shape, dtype=np.float32)
    return base[np.arange(count) % len(base)]


def transformer(device, pooling):
    return STRFTransformer(
        rates="eremeeva2017",
        scales="eremeeva2017",
        frame_step=FRAME_STEP,
        pooling=pooling,
        n_jobs=-1,
        device=device,
    )


def copy_bandwidth():
    """Bytes per second that the GPU reads and writes when it copies its own memory."""
    x = torch.empty(2**28, device="cuda")
    y = torch.empty_like(x)
    for _ in range(3):
        y.copy_(x)
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(10):
        y.copy_(x)
    torch.cuda.synchronize()
    return 10 * 2 * x.numel() * 4 / (time.perf_counter() - start)


def floor_bytes(n_frames, pooling):
    """Bytes that must move for one sound if every array were touched once."""
    spectrum = 128 * 2 * (1 << (n_frames - 1).bit_length()) * 8
    kept = n_frames if pooling == "mean" else -(-n_frames // FRAME_STEP)
    # Per rate the spectrum is read and its folded inverse written; per channel the response is
    # written and read once to take its magnitude.
    return 18 * (spectrum + 128 * kept * 8) + 198 * 2 * 128 * kept * 8


def run(count, pooling):
    X = make_sounds(min(count, 100))
    strf = transformer("cuda", pooling).fit(X)
    few = X[:4]
    expected = transformer("cpu", pooling).fit(few).transform(few)
    difference = np.abs(strf.transform(few) - expected).max() / np.abs(expected).max()
    torch.cuda.reset_peak_memory_stats()
    start = time.perf_counter()
    for first in range(0, count, len(X)):
        strf.transform(X[: min(len(X), count - first)])
    wall = time.perf_counter() - start
    ideal = count * floor_bytes(-(-X.shape[1] // 128), pooling) / copy_bandwidth()
    print(
        f"{pooling:8}{count:6} clips of {SECONDS} s: {wall:7.1f} s wall, floor {ideal:5.1f} s "
        f"(x {wall / ideal:.1f}), GPU memory {torch.cuda.max_memory_allocated() / 1e9:.1f} GB, "
        f"differs from the CPU by {difference:.1e} of the maximum"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=1000)
    options = parser.parse_args()
    if not torch.cuda.is_available():
        print("No CUDA GPU here: nothing was measured.")
        return
    print(torch.cuda.get_device_name(), f"{os.cpu_count()} CPUs, torch {torch.__version__}")
    for pooling in ("sample", "mean"):
        run(options.clips, pooling)


if __name__ == "__main__":
    main()
