"""Wall time of the main stages alone and beside other programs that use all cores.

``python benchmarks/busy_machine.py`` starts one more busy process than the machine has cores and
prints the wall time of each stage with and without them, in turns. ``--spinning`` also measures
the waiting threads of torch as they are by default, with the module's idle threads left out.
"""

import argparse
import csv
import multiprocessing
import os
import platform
import statistics
import subprocess
import sys
import time
from contextlib import contextmanager

import numpy as np

# A variable of the environment that decides how threads wait would decide the result.
DECISIVE = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


def busy():
    """Use one core until the process is ended."""
    while True:
        sum(range(10_000))


@contextmanager
def load(n_processes):
    """Run processes that use a core each."""
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=busy, daemon=True) for _ in range(n_processes)]
    for process in processes:
        process.start()
    time.sleep(1.0 if processes else 0.0)
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.join()


def stages(quick):
    """Name and task of every stage, on inputs of some tenths of a second."""
    from skstrf import MPCA, CNNClassifier, StyleTransfer
    from skstrf.auditory import auditory_spectrogram, cortical_transform, moving_ripple

    seconds = 1 if quick else 30
    rng = np.random.default_rng(0)
    sound = moving_ripple(8, 1, seconds, random_state=0).astype(np.float32)
    spectrogram = auditory_spectrogram(sound)
    fine = {"rates": 2.0 ** np.arange(1, 5.25, 0.5), "scales": 2.0 ** np.arange(-2, 3.25, 0.5)}
    tensors = rng.standard_normal((20 if quick else 80, 11, 18, 128, 40), dtype=np.float32)
    samples = rng.standard_normal((40 if quick else 200, 6, 10, 32, 8), dtype=np.float32)
    labels = np.arange(len(samples)) % 4
    pair = rng.standard_normal((2, 16000 * (1 if quick else 3)), dtype=np.float32)
    classifier = CNNClassifier(max_epochs=2, random_state=0)
    transfer = StyleTransfer(network="random", max_iter=2 if quick else 20, random_state=0).fit(
        pair[1:]
    )
    return {
        "auditory_spectrogram": lambda: auditory_spectrogram(sound, n_jobs=-1),
        "cortical_transform": lambda: cortical_transform(
            spectrogram, **fine, frame_step=16, output="magnitude"
        ),
        "MPCA.fit": lambda: MPCA(0.95).fit(tensors),
        "CNNClassifier.fit": lambda: classifier.fit(samples, labels),
        "StyleTransfer.transform": lambda: transfer.transform(pair[:1]),
    }


def wall(task):
    """Wall time of one run in seconds."""
    start = time.perf_counter()
    task()
    return time.perf_counter() - start


def measured(options):
    """Rows of stage, policy and wall times in this process."""
    if options.policy == "spinning":
        from skstrf.utils import threads

        threads._process = os.getpid()  # as if the idle threads had been started
    n_busy = 1 + (os.cpu_count() or 1)
    tasks = stages(options.quick)
    for task in tasks.values():
        task()
    times = {name: ([], []) for name in tasks}
    for _ in range(options.repeats):
        for beside, n_processes in enumerate((0, n_busy)):
            with load(n_processes):
                for name, task in tasks.items():
                    times[name][beside].append(wall(task))
    for name, (alone, beside) in times.items():
        row = [statistics.median(alone), statistics.median(beside), max(beside)]
        yield name, options.policy, *row, row[1] / row[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="smallest inputs")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--spinning", action="store_true", help="measure torch's default too")
    parser.add_argument("--policy", choices=("sleeping", "spinning"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.policy:
        csv.writer(sys.stdout).writerows(measured(options))
        return
    print(f"{platform.machine()}, {os.cpu_count()} cores, one more busy process than cores")
    print(f"{'stage':26}{'threads':10}{'alone':>8}{'beside':>8}{'worst':>8}{'ratio':>7}")
    clean = {name: value for name, value in os.environ.items() if name not in DECISIVE}
    arguments = ["--repeats", str(options.repeats)] + (["--quick"] if options.quick else [])
    for policy in ("sleeping", "spinning") if options.spinning else ("sleeping",):
        command = [sys.executable, __file__, "--policy", policy, *arguments]
        output = subprocess.run(command, env=clean, stdout=subprocess.PIPE, text=True, check=True)
        for name, kind, *figures in csv.reader(output.stdout.splitlines()):
            alone, beside, worst, ratio = map(float, figures)
            print(f"{name:26}{kind:10}{alone:8.3f}{beside:8.3f}{worst:8.3f}{ratio:7.1f}")


if __name__ == "__main__":
    main()
