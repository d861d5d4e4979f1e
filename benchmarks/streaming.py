"""Accuracy and speed of causal receptive fields and streams.

``python benchmarks/streaming.py [DATA] [--quick]``. DATA is the folder that holds
`cc0_instruments`; with it, the same classifier learns from causal and from other tensors.
"""

import argparse
import time

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skstrf import StreamingSTRF, STRFTransformer, load_audio_folder, load_instruments
from skstrf.auditory import (
    auditory_spectrogram,
    causal_cortical_transform,
    cortical_transform,
    moving_ripple,
)

METHODS = {
    "recursive": {"method": "recursive"},
    "fir, no look-ahead": {"method": "fir", "look_ahead": 0},
    "fir, 4 frames": {"method": "fir", "look_ahead": 4},
    "fir, 12 frames": {"method": "fir"},
}


def relative_error(actual, expected):
    return float(np.linalg.norm(actual - expected) / np.linalg.norm(expected))


def accuracy(n_sounds):
    """Relative L2 errors of the tensors, and the share of frames with the right direction."""
    X = load_instruments(split="test", duration=4.0).data[:n_sounds].astype(float)
    X = (X - X.mean(axis=1, keepdims=True)) / X.std(axis=1, keepdims=True)
    v = auditory_spectrogram(X)
    expected = cortical_transform(v, bandpass=True)
    ripples = [
        (rate, auditory_spectrogram(moving_ripple(rate, 1, 4, sample_rate=16000, random_state=0)))
        for rate in (-16, -8, -4, 4, 8, 16)
    ]
    print(f"{'filters':20s}  complex  magnitude   2 Hz  32 Hz direction")
    for name, options in METHODS.items():
        c = causal_cortical_transform(v, bandpass=True, **options)
        right = []
        for rate, spectrogram in ripples:
            responses = causal_cortical_transform(
                spectrogram, rates=[abs(rate)], scales=[1], **options
            )
            levels = np.abs(responses).mean(axis=(0, 2))[:, 125:]
            right.append(np.mean(levels[int(rate > 0)] > levels[int(rate < 0)]))
        each = [relative_error(c[:, :, r], expected[:, :, r]) for r in (5, 9)]
        print(
            f"{name:20s} {relative_error(c, expected):8.3f} "
            f"{relative_error(np.abs(c), np.abs(expected)):10.3f} {each[0]:6.3f} {each[1]:6.3f} "
            f"{np.mean(right):9.4f}"
        )


def speed(seconds):
    """CPU time of pushes of 8 ms, all 60 channels of (scale, rate, direction)."""
    x = np.random.default_rng(0).standard_normal(128 * int(125 * seconds)).astype(np.float32)
    print(f"{'filters':20s} {'share of a core':>15s} {'median ms':>10s} {'99 % ms':>8s}")
    for name, options in METHODS.items():
        stream = StreamingSTRF(**options)
        stream.push(x[:12800])
        wall = []
        start = time.process_time()
        for block in x.reshape(-1, 128):
            before = time.perf_counter()
            stream.push(block)
            wall.append(1000 * (time.perf_counter() - before))
        share = (time.process_time() - start) / (len(x) / 16000)
        print(f"{name:20s} {share:15.3f} {np.median(wall):10.2f} {np.percentile(wall, 99):8.2f}")


def instruments(folder, n_train):
    """Accuracy with the mean and deviation over frames of causal and other tensors."""
    data = load_audio_folder(folder)
    X = np.asarray(data.data, dtype=np.float32)
    y, split = np.asarray(data.target), np.asarray(data.split)
    keep = np.concatenate(
        [np.flatnonzero(split == "train")[:n_train], np.flatnonzero(split != "train")]
    )
    X, y, split = X[keep], y[keep], split[keep]
    for causal in (False, True, "fir"):
        strf = STRFTransformer(causal=causal, frame_step=25)
        parts = []
        start = time.process_time()
        for first in range(0, len(X), 20):
            Z = strf.fit(X[first : first + 20]).transform(X[first : first + 20])
            parts.append(np.stack([Z.mean(axis=-1), Z.std(axis=-1)], axis=1).reshape(len(Z), -1))
        seconds = (time.process_time() - start) / len(X)
        F = np.concatenate(parts)
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=2000))
        model.fit(F[split == "train"], y[split == "train"])
        scores = {
            name: model.score(F[split == name], y[split == name])
            for name in sorted(set(split) - {"train"})
        }
        print(f"causal={causal!s:6s} {seconds:.2f} CPU s a clip, accuracy", scores, flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", nargs="?", help="folder that holds cc0_instruments")
    parser.add_argument("--quick", action="store_true", help="smallest settings")
    args = parser.parse_args()
    accuracy(2 if args.quick else 28)
    speed(1 if args.quick else 20)
    if args.data:
        instruments(f"{args.data}/cc0_instruments", 20 if args.quick else 10**6)


if __name__ == "__main__":
    main()
