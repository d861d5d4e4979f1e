"""Wall and CPU time of a task."""

import time


def measure(task, repeats):
    """Smallest wall and CPU time in seconds of several runs, the latter over all threads."""
    wall, cpu = [], []
    for _ in range(repeats):
        start, used = time.perf_counter(), time.process_time()
        task()
        wall.append(time.perf_counter() - start)
        cpu.append(time.process_time() - used)
    return min(wall), min(cpu)
