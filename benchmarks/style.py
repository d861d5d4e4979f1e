"""Comparison of StyleTransfer with the algorithm of Ulyanov and Lebedev.

``python benchmarks/style.py CONTENT STYLE`` runs both on ten seconds of each, measures all
results by 4096 random filters that no transfer has used, and writes docs/results/style_speed.csv.
``--max-iter`` bounds the iterations of the original algorithm.
"""

import argparse
import csv
import time
from pathlib import Path

import numpy as np
import torch
from scipy.optimize import minimize

from skstrf import STFTTransformer, STRFTransformer, StyleTransfer
from skstrf.datasets.audio import read_audio
from skstrf.style.metrics import onset_correlation
from skstrf.style.sounds import at_level
from skstrf.texture import RandomNetwork, gram_matrix
from skstrf.texture.gram import relative_distance

RATE = 22050
RESULTS = Path(__file__).parent.parent / "docs" / "results" / "style_speed.csv"


def representation(**settings):
    """The original's: log(1 + |STFT|), 1025 bins, 43 frames a second."""
    return STFTTransformer(
        RATE, RATE / 512, n_fft=2048, compression="log", compression_floor=1.0, **settings
    )


def log_stft(sound):
    """What the network sees, 1025 x frames."""
    stft = representation()
    return torch.from_numpy(stft.fit_transform(sound[None])[0])


def as_sound(spectrogram, n_times, max_iter):
    """Sound of a log spectrogram by Griffin-Lim."""
    stft = representation(max_iter=max_iter)
    stft.fit(np.zeros((1, n_times), np.float32))
    return stft.inverse_transform(spectrogram.clamp(min=0).numpy()[None])[0]


def original(content, style, *, max_iter, seed=0):
    """Transfer as the original does: random start, 4096 filters, L-BFGS, content weight 0.01."""
    c, s = log_stft(content), log_stft(style)
    network = RandomNetwork(len(c), 4096, 11, seed)
    n_frames = c.shape[-1]
    with torch.no_grad():
        content_features = network(c)
        style_features = network(s)
        style_gram = style_features @ style_features.T / n_frames
    evaluations = 0

    def loss_and_gradient(flat):
        nonlocal evaluations
        evaluations += 1
        x = torch.from_numpy(flat.astype(np.float32)).reshape(c.shape).requires_grad_()
        features = network(x)
        gram = features @ features.T / n_frames
        near = 0.01 * (features - content_features).square().sum()
        loss = near + (gram - style_gram).square().sum()
        loss.backward()
        return float(loss.detach()), x.grad.double().numpy().ravel()

    start = 1e-3 * np.random.default_rng(seed).standard_normal(c.numel())
    found = minimize(
        loss_and_gradient, start, jac=True, method="L-BFGS-B", options={"maxiter": max_iter}
    )
    spectrogram = torch.from_numpy(found.x.astype(np.float32)).reshape(c.shape)
    return spectrogram, evaluations


class Measure:
    """Closeness to content and style by 4096 filters of another seed."""

    def __init__(self, content, style):
        self.content, self.style = content, style
        self.network = RandomNetwork(1025, 4096, 11, 12345)
        with torch.no_grad():
            self.features = self.network(log_stft(content))
            self.gram = gram_matrix(self.network(log_stft(style)))

    def of_spectrogram(self, spectrogram):
        """Relative distances of Gram matrices and of activations."""
        with torch.no_grad():
            features = self.network(spectrogram)
            return {
                "gram": float(relative_distance(gram_matrix(features), self.gram)),
                "content": float(relative_distance(features, self.features)),
            }

    def __call__(self, sound):
        """The same for a sound, and the correlation of its onsets with the content's."""
        onset = onset_correlation(self.content, sound, sample_rate=RATE)
        return self.of_spectrogram(log_stft(at_level(sound))) | {"onset": onset}


def written(value):
    """Three digits; what only rounding keeps from 0 is 0."""
    return f"{value:.0f}" if value >= 100 else f"{value if value > 1e-9 else 0:.3g}"


def timed(task):
    """Result, wall and CPU seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = task()
    return result, time.perf_counter() - wall, time.process_time() - cpu


def rows(content, style, arguments):
    """Yield one row a method."""
    measure = Measure(content, style)
    yield {"method": "untouched content"} | measure(content)
    yield {"method": "untouched style"} | measure(style)
    settings = {
        "ours, straight to the sound": {},
        "ours, content_weight=0.03": {"content_weight": 0.03},
        "ours, 100 iterations": {"max_iter": 100},
        "ours, by spectrogram": {"domain": "spectrogram"},
    }
    for name, chosen in settings.items():
        transfer = StyleTransfer(representation(), random_state=0, **chosen).fit(style[None])
        result, wall, cpu = timed(lambda t=transfer: t.transform(content[None])[0])
        times = {"iterations": transfer.n_iter_, "seconds": wall, "CPU seconds": cpu}
        yield {"method": name} | times | measure(result)
    five = content[: 5 * RATE]
    strf = STRFTransformer(sample_rate=RATE)
    transfer = StyleTransfer(strf, "cortical", random_state=0).fit(style[None, : len(five)])
    _, wall, cpu = timed(lambda: transfer.transform(five[None]))
    times = {"iterations": transfer.n_iter_, "seconds": wall, "CPU seconds": cpu}
    yield {"method": "ours, cortical, 5 s"} | times
    if arguments.max_iter == 0:
        return
    (spectrogram, count), wall, cpu = timed(
        lambda: original(content, style, max_iter=arguments.max_iter)
    )
    times = {"iterations": count, "seconds": wall, "CPU seconds": cpu}
    yield {"method": "original, its spectrogram"} | times | measure.of_spectrogram(spectrogram)
    sound, wall, cpu = timed(lambda: as_sound(spectrogram, len(content), 500))
    times = {"iterations": 500, "seconds": wall, "CPU seconds": cpu}
    yield {"method": "original, its sound"} | times | measure(sound)


def main():
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("content", type=Path)
    parser.add_argument("style", type=Path)
    parser.add_argument(
        "--max-iter", type=int, default=300, help="of the original; 0 leaves it out"
    )
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--output", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    n_times = int(arguments.seconds * RATE)
    content, style = (
        at_level(read_audio(path, sample_rate=RATE)[:n_times].astype(np.float32))
        for path in (arguments.content, arguments.style)
    )
    fields = ["method", "gram", "content", "onset", "iterations", "seconds", "CPU seconds"]
    with arguments.output.open("w", newline="") as file:
        writer = csv.DictWriter(file, fields)
        writer.writeheader()
        for row in rows(content, style, arguments):
            shown = {k: written(v) if isinstance(v, float) else v for k, v in row.items()}
            print(shown, flush=True)
            writer.writerow(shown)


if __name__ == "__main__":
    main()
