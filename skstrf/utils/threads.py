"""Threads of torch: asleep while they wait for each other, and one in forked processes."""

from __future__ import annotations

import os
import sys
import threading
from typing import Any

__all__ = ["sleep_while_waiting"]

# Elements of a torch operation per thread, twice the number below which torch adds no thread.
_ELEMENTS_PER_THREAD = 2**16

_lock = threading.Lock()
_process: int | None = None  # in which the idle threads run: a forked child has none of them


def sleep_while_waiting() -> None:
    """Make the waiting threads of torch sleep early, for the rest of the process.

    On Linux, torch computes with the threads of GNU OpenMP. A thread that waits for the others
    tries 300,000 times before it sleeps, which takes the core away from whatever it waits for if
    the machine runs other programs too: small networks are then many times slower. The runtime
    tries 1,000 times if the process has more OpenMP threads than the machine has cores (see
    GOMP_SPINCOUNT in its manual), so this function starts that many, which stay idle. Nothing is
    done where the variables of the environment that decide this are set.
    """
    global _process
    with _lock:
        if _process == os.getpid():
            return
        _process = os.getpid()
        if {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & os.environ.keys():
            return
        import torch
        from threadpoolctl import ThreadpoolController

        runtimes = ThreadpoolController().select(prefix="libgomp")
        if not runtimes.lib_controllers or torch.get_num_threads() == 1:
            return
        started = threading.Event()
        n_threads = 1 + len(os.sched_getaffinity(0))  # known wherever GNU OpenMP is torch's
        arguments = (runtimes, n_threads, started)
        threading.Thread(target=_hold_team, args=arguments, daemon=True).start()
        started.wait()


def _hold_team(runtimes: Any, n_threads: int, started: threading.Event) -> None:
    """Start OpenMP threads, which live as long as the thread that started them."""
    import torch

    try:
        torch.get_num_threads()  # sets the number of threads once per thread, so it goes first
        with runtimes.limit(limits=n_threads):  # of this thread alone
            torch.ones(n_threads * _ELEMENTS_PER_THREAD).neg_()
    finally:
        started.set()
    threading.Event().wait()


def _use_one_thread() -> None:
    """Let torch compute in one thread, for which none has to wait."""
    global _lock, _process
    _lock, _process = threading.Lock(), os.getpid()  # another thread may have held the lock
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(1)


# A forked process has only one of the threads of its parent. OpenMP does not know this and would
# wait for the others without end.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_use_one_thread)
