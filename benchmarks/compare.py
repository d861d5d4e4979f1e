"""Comparison of all stages with other libraries: ``python benchmarks/compare.py``."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import bench_auditory
import bench_mpca

if __name__ == "__main__":
    bench_auditory.main()
    bench_mpca.main()
