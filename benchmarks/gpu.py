"""Time from waveform to decision on a CUDA GPU, each beside its floor, and the check by the CPU.

``python benchmarks/gpu.py --output gpu.csv``. It is written for less than eight minutes.
``--quick`` runs everything in small sizes and takes the CPU in the place of a missing GPU, on the
same road through the package.
The sounds are noise from a fixed seed. Times are the best of `--repeats` after one warm-up.
"""

import argparse
import csv
import os
import time

import numpy as np
import torch

from skstrf import MPCA, CNNClassifier, STFTTransformer, STRFTransformer, StyleTransfer
from skstrf.auditory import auditory_spectrogram
from skstrf.auditory.device_cochlea import auditory_spectrogram_on_device
from skstrf.neural import make_eremeeva2017_classifier
from skstrf.utils import devices

COLUMNS = ("work", "seconds", "spread", "floor_seconds", "floor", "difference")


def seconds(function, repeats, device):
    """Smallest and largest wall time of a call, after one that does not count."""
    times = []
    for _ in range(repeats + 1):
        wait(device)
        start = time.perf_counter()
        function()
        wait(device)
        times.append(time.perf_counter() - start)
    return min(times[1:]), max(times[1:])


def wait(device):
    if device.type == "cuda":
        torch.cuda.synchronize()


def measured_rates(device, quick):
    """Bytes per second over the bus and in the memory, and operations per second in float32."""
    n = 2**22 if quick else 2**28
    host = torch.empty(n, pin_memory=device.type == "cuda")
    there = torch.empty(n, device=device)
    other = torch.empty_like(there)
    size = 512 if quick else 8192
    square = torch.ones(size, size, device=device)
    bus = 4 * n / seconds(lambda: there.copy_(host, non_blocking=True), 3, device)[0]
    memory = 8 * n / seconds(lambda: other.copy_(there), 3, device)[0]
    operations = 2 * size**3 / seconds(lambda: square @ square, 3, device)[0]
    return bus, memory, operations


def worst(found, expected):
    """Largest difference relative to the largest value."""
    found = found.cpu().numpy() if isinstance(found, torch.Tensor) else found
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def transformer(device):
    return STRFTransformer(
        rates="eremeeva2017",
        scales="eremeeva2017",
        frame_step=16,
        pooling="sample",
        compression=None,
        contrast=False,
        device=device,
    )


def on_the_cpu(function):
    """Compute by the compiled code for the CPU, also where tensors on the CPU stand for a GPU."""
    saved = set(devices.HOST_KINDS)
    devices.HOST_KINDS.add("cpu")
    try:
        return function()
    finally:
        devices.HOST_KINDS.clear()
        devices.HOST_KINDS.update(saved)


def sound_rows(device, quick, repeats, rates, clips):
    """Cochlea and 198 channels, from and to the memory of the host or of the device."""
    bus, memory, _ = rates
    length = 8000 if quick else 480_000
    rng = np.random.default_rng(0)
    few = rng.standard_normal((2 if quick else 50, length), dtype=np.float32)
    X = few[np.arange(clips) % len(few)]
    there = torch.from_numpy(few).to(device)
    expected = on_the_cpu(lambda: auditory_spectrogram(few[:2]))
    n_passes = 4 * 129 * few.size * 4  # products, transforms and sums touch all channels
    yield (
        f"cochlea, {len(few)} sounds on the device",
        seconds(lambda: auditory_spectrogram_on_device(there), repeats, device),
        n_passes / memory,
        "memory",
        worst(auditory_spectrogram_on_device(there[:2]), expected),
    )
    strf = transformer(str(device)).fit(few)
    expected = on_the_cpu(lambda: transformer("cpu").fit(few).transform(few[:2]))
    result = 4 * expected[0].size
    yield (
        f"198 channels, {clips} sounds from and to the host",
        seconds(lambda: strf.transform(X), repeats, device),
        clips * (4 * length + result) / bus,
        "bus",
        worst(strf.transform(few[:2]), expected),
    )
    half = transformer(str(device)).set_params(storage_dtype="float16").fit(few)
    yield (
        f"the same in float16, {clips} sounds",
        seconds(lambda: half.transform(X), repeats, device),
        clips * (4 * length + result / 2) / bus,
        "bus",
        worst(half.transform(few[:2]).astype(np.float32), expected),
    )

    def stay():
        for _ in range(-(-clips // len(few))):
            strf.transform(there)

    yield (
        f"198 channels, {clips} sounds on the device",
        seconds(stay, repeats, device),
        clips * result * 3 / memory,
        "memory",
        worst(strf.transform(there[:2]), expected),
    )


def learning_rows(device, quick, repeats, rates):
    """MPCA and one epoch of the network of the report."""
    bus, memory, operations = rates
    shape = (12, 3, 4, 16, 8) if quick else (60, 11, 18, 128, 53)
    X = np.random.default_rng(1).standard_normal(shape, dtype=np.float32)
    there = torch.from_numpy(X).to(device)
    expected = on_the_cpu(lambda: MPCA(0.9).fit(X))
    found = MPCA(0.9).fit(there)
    work = 2 * X.size * sum(shape[1:])
    yield (
        f"MPCA fit, {X.nbytes / 1e6:.0f} MB on the device",
        seconds(lambda: MPCA(0.9).fit(there), repeats, device),
        max(3 * X.nbytes / memory, work / operations),
        "memory, operations",
        worst(np.array(found.scatter_), np.array(expected.scatter_)),
    )
    shape = (20, 2, 3, 16, 8) if quick else (1000, 11, 18, 128, 30)
    X = np.random.default_rng(2).standard_normal(shape, dtype=np.float32)
    y = np.arange(len(X)) % 4
    few = X[:20]
    options = {"random_state": 0, "max_epochs": 1 if quick else 3}
    losses = [
        on_the_cpu(
            lambda: make_eremeeva2017_classifier(device="cpu", **options).fit(few, y[:20])
        ).history_[0]["train_loss"],
        make_eremeeva2017_classifier(device=str(device), **options)
        .fit(few, y[:20])
        .history_[0]["train_loss"],
    ]
    for name, more in {
        "resident": {},
        "read ahead": {"device_share": 0.0},
        "resident, bfloat16": {"amp": True},
    }.items():
        clf = make_eremeeva2017_classifier(device=str(device), **options, **more)
        clf.fit(X, y)
        times = [row["seconds"] for row in clf.history_[-2:]]
        floor = X.nbytes / (bus if name == "read ahead" else memory)
        kind = "bus" if name == "read ahead" else "memory"
        gap = abs(losses[1] / losses[0] - 1)
        yield (f"epoch, {len(X)} samples, {name}", (min(times), max(times)), floor, kind, gap)
    clf = CNNClassifier(device=str(device), **options).fit(X[:40], y[:40])
    there = torch.from_numpy(X).to(device)
    yield (
        f"predict_proba, {len(X)} samples on the device",
        seconds(lambda: clf.predict_proba(there), repeats, device),
        X.nbytes / memory,
        "memory",
        worst(clf.predict_proba(there[:8]), on_the_cpu(lambda: clf.predict_proba(X[:8]))),
    )


def style_rows(device, quick, repeats):
    """Style transfer of one pair; its floor is not known."""
    seconds_of_sound = 0.5 if quick else 10
    rng = np.random.default_rng(3)
    sounds = rng.standard_normal((2, int(16000 * seconds_of_sound)), dtype=np.float32)
    style = StyleTransfer(
        STFTTransformer(), max_iter=2 if quick else 100, random_state=0, device=str(device)
    )
    style.fit(sounds[:1])
    times = seconds(lambda: style.transform(sounds[1:]), 1 if quick else repeats, device)
    yield (f"style transfer, a pair of {seconds_of_sound:g} s", times, np.nan, "", np.nan)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--output", help="CSV file of the table")
    options = parser.parse_args()
    if not torch.cuda.is_available() and not options.quick:
        parser.exit(1, "There is no CUDA GPU here; --quick runs in small sizes on the CPU.\n")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cpu":
        devices.HOST_KINDS.clear()
    clips, repeats = (3, 1) if options.quick else (options.clips, options.repeats)
    name = torch.cuda.get_device_name() if device.type == "cuda" else "CPU in place of a GPU"
    rates = measured_rates(device, options.quick)
    print(f"{name}, {os.cpu_count()} CPUs, torch {torch.__version__}")
    bus, memory, operations = rates
    print(f"bus {bus / 1e9:.1f} GB/s, memory {memory / 1e9:.0f} GB/s", end=", ")
    print(f"{operations / 1e12:.2f} TFLOP/s")
    table = []
    print(f"{'work':52}{'seconds':>16}{'floor':>10}  difference from the CPU")
    for rows in (
        sound_rows(device, options.quick, repeats, rates, clips),
        learning_rows(device, options.quick, repeats, rates),
        style_rows(device, options.quick, repeats),
    ):
        for work, (least, most), floor, kind, gap in rows:
            table.append((work, least, most - least, floor, kind, gap))
            print(
                f"{work:52}{least:8.3f}-{most:<7.3f}{floor:10.4f}  {gap:.1e} ({kind})", flush=True
            )
    if options.output:
        with open(options.output, "w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([COLUMNS, *table])
    wrong = [work for work, *_, gap in table if gap > (2e-3 if "float16" in work else 1e-4)]
    if wrong:
        parser.exit(1, f"These differ from the CPU: {', '.join(wrong)}.\n")


if __name__ == "__main__":
    main()
