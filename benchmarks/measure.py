"""Time a task: the best of some runs, wall and CPU."""

import time


def measure(task, repeats):
    """Best wall and CPU seconds of some runs; the CPU counts all threads."""
    wall, cpu = [], []
    for _ in range(repeats):
        start, used = time.perf_counter(), time.process_time()
        task()
        wall.append(time.perf_counter() - start)
        cpu.append(time.process_time() - used)
    return min(wall), min(cpu)
