"""Errors and times of the inversion of spectrograms and tensors, one row per trial.

``python benchmarks/inversion.py FOLDER`` reads excerpts (any sound files) of FOLDER and writes
docs/results/inversion.csv.
"""

import argparse
import csv
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from skstrf import STRFTransformer
from skstrf.auditory import (
    auditory_spectrogram,
    cortical_transform,
    invert_auditory_spectrogram,
    invert_cortical_transform,
)
from skstrf.auditory.measures import log_spectral_distance, spectrogram_correlation
from skstrf.datasets.audio import read_audio

SECONDS = 3
RESULTS = Path(__file__).parent.parent / "docs" / "results" / "inversion.csv"
TENSORS = {
    "complex, every frame": {"output": "complex", "frame_step": 1},
    "complex, every 4th": {"output": "complex", "frame_step": 4},
    "complex, every 8th": {"output": "complex", "frame_step": 8},
    "complex, every 16th": {"output": "complex", "frame_step": 16},
    "real, every frame": {"output": "real", "frame_step": 1},
    "magnitude, every frame": {"output": "magnitude", "frame_step": 1, "contrast": False},
    "magnitude, every 8th": {"output": "magnitude", "frame_step": 8, "contrast": False},
    "mean of 8, no contrast": {"frame_step": 8, "pooling": "mean", "contrast": False},
    "mean of 125, contrast (default)": {"frame_step": 125, "pooling": "mean"},
}


def excerpts(folder, count):
    """Evenly chosen files of a folder: name and samples from 2 s on, unit variance."""
    paths = sorted(p for p in Path(folder).rglob("*") if p.suffix in (".ogg", ".wav", ".flac"))
    chosen = [paths[i] for i in np.linspace(0, len(paths) - 1, count).astype(int)]
    for path in chosen:
        x = read_audio(path, sample_rate=16000)
        x = (
            x[: SECONDS * 16000]
            if len(x) < (SECONDS + 2) * 16000
            else x[32000:][: SECONDS * 16000]
        )
        x = (x - x.mean()) / x.std()
        yield path.stem, x.astype(np.float32)


def measure(what, name, truth, back, seconds):
    """One row: how far the spectrogram that came back is from the true one."""
    return {
        "what": what,
        "excerpt": name,
        "squared_error": ((back - truth) ** 2).sum() / (truth**2).sum(),
        "l2_error": np.linalg.norm(back - truth) / np.linalg.norm(truth),
        "correlation": float(spectrogram_correlation(truth, back)),
        "log_spectral_distance": float(log_spectral_distance(truth, back)),
        "cpu_seconds": seconds,
    }


def trials(name, x):
    """All rows of one excerpt."""
    truth = auditory_spectrogram(x)
    for mode in ("linear", "half-wave", 0.1):
        v = auditory_spectrogram(x, nonlinearity=mode)
        for method in ("gradient", "projection"):
            start = time.process_time()
            y = invert_auditory_spectrogram(v, nonlinearity=mode, method=method)
            used = time.process_time() - start
            again = auditory_spectrogram(y, nonlinearity=mode)
            yield measure(f"sound by {method}, {mode}", name, v, again, used)
    tensor = cortical_transform(truth)
    start = time.process_time()
    back = invert_cortical_transform(tensor, method="normalized", n_frames=truth.shape[1])
    used = time.process_time() - start
    yield measure("complex, every frame, normalized (toolbox)", name, truth, back, used)
    for what, options in TENSORS.items():
        strf = STRFTransformer(**{"pooling": "sample", "random_state": 0} | options).fit(x[None])
        tensor = strf.transform(x[None])
        start = time.process_time()
        back = strf.inverse_spectrogram(tensor)[0]
        yield measure(what, name, truth, back, time.process_time() - start)
        if what in ("complex, every frame", "complex, every 8th", "magnitude, every frame"):
            start = time.process_time()
            y = strf.inverse_transform(tensor)[0]
            used = time.process_time() - start
            yield measure(f"{what}, to sound", name, truth, auditory_spectrogram(y), used)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("--count", type=int, default=10, help="number of excerpts")
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    rows = []
    for name, x in excerpts(options.folder, options.count):
        for row in trials(name, x):
            rows.append(row)
            numbers = {k: f"{v:.4g}" for k, v in row.items() if isinstance(v, float | np.floating)}
            print(f"{row['what']:44}{name:34}", *numbers.values(), flush=True)
    with options.output.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        for row in rows:
            writer.writerow(
                {k: v if isinstance(v, str) else f"{float(v):.5g}" for k, v in row.items()}
            )
    for what in dict.fromkeys(row["what"] for row in rows):
        some = [row for row in rows if row["what"] == what]
        middle = {k: np.median([r[k] for r in some]) for k in list(rows[0])[2:]}
        worst = max(r["squared_error"] for r in some)
        print(f"{what:44}", *(f"{v:9.4g}" for v in middle.values()), f"worst {worst:.4g}")


if __name__ == "__main__":
    main()
