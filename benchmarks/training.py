"""Speed and accuracy of the training of networks on tensors of 198 channels, by option.

``python benchmarks/training.py`` takes CUDA where it is, else the CPU with fewer samples; batches
of 50. Samples are noise with a ripple of their class under it, so that accuracy can fall where an
option costs some. ``--gtzan`` then trains on 1000 recordings of 30 s for 40 epochs.
"""

import argparse
import csv
import os
import time
from pathlib import Path

import numpy as np
import torch

from skstrf import CNNClassifier
from skstrf.neural import SeparableNetwork

RESULTS = Path(__file__).parent.parent / "docs" / "results"
N_CLASSES, SCALES, RATES, FREQS = 10, 11, 18, 128
OPTIONS = {
    "float32": {},
    "amp": {"amp": True},
    "compile": {"compile": True},
    "amp and compile": {"amp": True, "compile": True},
}
NETWORKS = {
    "convolutional": {},
    "separable": {"network": SeparableNetwork(kernel_sizes=(3, 3, 3, 3))},
}


def samples(count, n_frames, random_state):
    """Tensors of 11 scales, 18 rates, 128 frequencies; each class has its channel and ripple."""
    rng = np.random.default_rng(random_state)
    y = np.arange(count) % N_CLASSES
    X = rng.standard_normal((count, SCALES, RATES, FREQS, n_frames), dtype=np.float32)
    cycles = 2 * np.pi * np.arange(FREQS, dtype=np.float32) / FREQS
    for label in range(N_CLASSES):
        ripple = np.cos((2 + label) * cycles)[:, None]
        X[y == label, label % SCALES, label] += 0.5 * ripple
    return X, y


def trained(X, y, held_out, device, epochs, options):
    """Speed of the later epochs, seconds before them, accuracy, memory of the GPU."""
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats()
    model = CNNClassifier(
        batch_size=50, max_epochs=epochs, device=device, random_state=0, **options
    )
    started = time.perf_counter()
    model.fit(X, y)
    wall = time.perf_counter() - started
    seconds = [row["seconds"] for row in model.history_]
    return {
        "samples per second": len(X) / np.median(seconds[1:]),
        "first epoch and set-up": wall - sum(seconds[1:]),
        "accuracy": model.score(*held_out),
        "GPU memory in GB": torch.cuda.max_memory_allocated() / 1e9 if device != "cpu" else 0.0,
    }


def rows(device, count, n_frames, epochs):
    """Yield one row a network and option."""
    X, y = samples(count, n_frames, 0)
    held_out = samples(max(100, count // 4), n_frames, 1)
    for network, settings in NETWORKS.items():
        for option, chosen in OPTIONS.items():
            found = trained(X, y, held_out, device, epochs, settings | chosen)
            # 40 epochs of 1000 recordings; one frame of a second each is a sample of 30 frames.
            hours = 40_000 / found["samples per second"] / 3600
            yield {"network": network, "option": option, "hours for 40 x 1000": hours} | found


def whole_run(device):
    """As many samples as GTZAN has, all epochs, with the options that are fastest on a GPU."""
    X, y = samples(1000, 30, 0)
    found = trained(X, y, samples(200, 30, 1), device, 40, OPTIONS["amp"])
    print("1000 samples of 30 frames, 40 epochs, amp:", found, flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--samples", type=int, help="default: 1000 on a GPU, 100 on a CPU")
    parser.add_argument("--frames", type=int, default=30, help="of a second each")
    parser.add_argument("--epochs", type=int, help="default: 20 on a GPU, 3 on a CPU")
    parser.add_argument("--gtzan", action="store_true")
    parser.add_argument("-o", "--output", type=Path, default=RESULTS / "training_speed.csv")
    options = parser.parse_args()
    on_cpu = options.device == "cpu"
    name = f"{os.cpu_count()} CPU cores" if on_cpu else torch.cuda.get_device_name()
    print(f"{name}, torch {torch.__version__}", flush=True)
    count = options.samples or (100 if on_cpu else 1000)
    epochs = options.epochs or (3 if on_cpu else 20)
    with options.output.open("w", newline="") as file:
        writer = None
        for row in rows(options.device, count, options.frames, epochs):
            row = {"device": name} | {
                k: f"{v:.3g}" if isinstance(v, float) else v for k, v in row.items()
            }
            writer = writer or csv.DictWriter(file, list(row))
            if file.tell() == 0:
                writer.writeheader()
            writer.writerow(row)
            file.flush()
            print(row, flush=True)
    if options.gtzan:
        whole_run(options.device)


if __name__ == "__main__":
    main()
