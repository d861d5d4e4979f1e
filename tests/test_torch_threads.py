"""Idle threads that keep the waiting threads of torch from spinning."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import os, numpy as np, torch
from skstrf.auditory import cortical_transform
from skstrf.utils import threads

def count():
    return len(os.listdir("/proc/self/task"))

n_threads = torch.get_num_threads()
torch.ones(2**22).neg_()
before = count()

# What the user has set is left alone.
for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
    os.environ[name] = "1"
    threads.sleep_while_waiting()
    threads._process = None
    del os.environ[name]
torch.set_num_threads(1)
threads.sleep_while_waiting()
threads._process = None
torch.set_num_threads(n_threads)
assert count() == before

spectrogram = np.ones((128, 50), dtype="float32")
for repetition in range(2):  # the second starts no more
    cortical_transform(spectrogram)
    torch.ones(2**22).neg_()
    print(count() - before, torch.get_num_threads() - n_threads)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="GNU OpenMP is Linux's")
def test_more_threads_than_cores_are_started_once_unless_the_user_decides():
    # Clusters that other tests have started leave the numbers of threads behind.
    decisive = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
    clean = {name: value for name, value in os.environ.items() if name not in decisive}
    program = [sys.executable, "-c", PROGRAM]
    found = subprocess.run(program, env=clean, capture_output=True, text=True, check=True).stdout
    n_cores = len(os.sched_getaffinity(0))
    if n_cores == 1:
        pytest.skip("torch uses one thread on one core")
    assert found.splitlines() == [f"{n_cores + 1} 0"] * 2
