"""STRFRegressor beside mne, mTRFpy and naplib on one simulated neuron.

Every estimator runs in a process of its own on the same data: 60 s of sound like speech,
128 channels, 125 frames/s, 30 lags, noise as strong as the response. Packages that are not
installed are left out. ``python benchmarks/encoding.py [--quick] [--seeds N]``.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ALPHA = 3000.0
N_LAGS = 30
FRAME_RATE = 125.0
CHANNELS_PER_OCTAVE = 24


def speech_like(n_seconds, seed):
    """Harmonic and noisy syllables with moving formants, 3 to 6 a second, at 16 kHz."""
    rng = np.random.default_rng(seed)
    rate = 16000
    sound = np.zeros(int(n_seconds * rate))
    start = 0.0
    while start < n_seconds - 0.4:
        length = rng.uniform(0.12, 0.3)
        t = np.arange(int(length * rate)) / rate
        f0 = rng.uniform(90, 260) * np.exp(rng.normal(0, 0.3) * t / length)
        phase = 2 * np.pi * np.cumsum(f0) / rate
        formants = rng.uniform([250, 800, 2000], [900, 2400, 3800])
        ends = formants * np.exp(rng.normal(0, 0.25, 3))
        level = np.hanning(t.size) * rng.uniform(0.3, 1)
        syllable = np.zeros(t.size)
        voiced = rng.random() < 0.75
        for k in range(1, int(7000 / f0.max()) if voiced else 60):
            frequency = k * f0 if voiced else np.full(t.size, rng.uniform(1500, 7000))
            track = formants[:, None] + (ends - formants)[:, None] * t / length
            gain = sum(
                np.exp(-(((frequency - one) / (0.12 * one + 60)) ** 2)) for one in track
            ) + (0.02 if voiced else 0.3)
            syllable += gain * np.sin((k * phase if voiced else 2 * np.pi * frequency * t) + k**2)
        at = int(start * rate)
        sound[at : at + t.size] += level * syllable
        start += length * rng.uniform(0.7, 1.3) + (rng.random() < 0.15) * rng.uniform(0.1, 0.5)
    return sound / sound.std() + 0.001 * rng.standard_normal(sound.size)


def planted_field(n_channels=128, center=64):
    """Receptive field of 8 Hz and 1 cycle/octave as coefficients, unit norm."""
    from skstrf.auditory import receptive_field

    field = receptive_field(8, 1, frame_rate=FRAME_RATE)
    weights, times, octaves = field
    lags = np.round(-times * FRAME_RATE / 1000).astype(int)
    channels = center + np.round(octaves * CHANNELS_PER_OCTAVE).astype(int)
    coef = np.zeros((n_channels, N_LAGS))
    for row, channel in enumerate(channels):
        for column, lag in enumerate(lags):
            if 0 <= channel < n_channels and 0 <= lag < N_LAGS:
                coef[channel, lag] = weights[row, column]
    return coef / np.linalg.norm(coef)


def make_data(n_seconds, seed):
    """Training and test trials, their responses, and the true field."""
    from skstrf.auditory import auditory_spectrogram
    from skstrf.encoding import simulate_neuron

    field = planted_field()
    parts = []
    for part in (0, 1):
        sound = speech_like(n_seconds, 2 * seed + part)
        v = np.sqrt(np.asarray(auditory_spectrogram(sound[None]))[0]).astype(np.float64)
        n = v.shape[1] // 5 * 5
        parts.append(np.ascontiguousarray(v[:, :n].reshape(128, 5, -1).swapaxes(0, 1)))
    y = simulate_neuron(parts[0], field, noise=1.0, random_state=seed)
    return parts[0], y, parts[1], simulate_neuron(parts[1], field), field


def fit_skstrf(X, y, **settings):
    from skstrf.encoding import STRFRegressor

    return STRFRegressor(N_LAGS, device="cpu", **settings).fit(X, y).coef_


def fit_mne(X, y, reg_type="ridge"):
    from mne.decoding import TimeDelayingRidge

    model = TimeDelayingRidge(
        0, (N_LAGS - 1) / FRAME_RATE, FRAME_RATE, alpha=ALPHA, reg_type=reg_type
    )
    n = X.shape[2]
    model.fit(np.moveaxis(X, 0, 1).transpose(2, 1, 0).reshape(n, len(X), 128), y.T[..., None])
    return model.coef_.reshape(1, 128, N_LAGS)


def fit_mtrf(X, y):
    from mtrf.model import TRF

    model = TRF(direction=1)
    trials = [x.T for x in X], [one[:, None] for one in y]
    model.train(*trials, FRAME_RATE, 0, (N_LAGS - 1) / FRAME_RATE, ALPHA / FRAME_RATE)
    return np.moveaxis(model.weights, 2, 0)


def fit_naplib(X, y):
    from naplib.encoding import TRF
    from sklearn.linear_model import Ridge

    model = TRF(0, (N_LAGS - 1) / FRAME_RATE, FRAME_RATE, Ridge(ALPHA), n_jobs=1)
    model.fit(X=[x.T for x in X], y=[one[:, None] for one in y])
    return model.coef_.reshape(1, 128, -1)[..., :N_LAGS]


SMOOTH = {"prior": "smooth", "widths": (3, 1.5)}
ESTIMATORS = {
    "skstrf, smooth": lambda X, y: fit_skstrf(X, y, alpha=ALPHA, **SMOOTH),
    "skstrf, smooth, 10 alphas x 5 folds": lambda X, y: fit_skstrf(X, y, **SMOOTH),
    "skstrf, smooth, alphas and widths": lambda X, y: fit_skstrf(X, y),
    "skstrf, smooth, 100 outputs": lambda X, y: fit_skstrf(
        X, np.repeat(y[..., None], 100, axis=2), alpha=ALPHA, **SMOOTH
    )[:1],
    "skstrf, ridge": lambda X, y: fit_skstrf(X, y, alpha=ALPHA, prior="ridge"),
    "skstrf, ridge, conjugate gradients": lambda X, y: fit_skstrf(
        X, y, alpha=ALPHA, prior="ridge", solver="cg"
    ),
    "skstrf, Laplacian": lambda X, y: fit_skstrf(X, y, alpha=ALPHA, prior="laplacian"),
    "mne TimeDelayingRidge": fit_mne,
    "mne TimeDelayingRidge, Laplacian": lambda X, y: fit_mne(X, y, "laplacian"),
    "mTRFpy": fit_mtrf,
    "naplib TRF, scikit-learn Ridge": fit_naplib,
}


def run_one(name, path):
    """Fit one estimator in this process and print what it took."""
    data = np.load(path)
    X, y = data["X"], data["y"]
    small = X[:, :, :40], y[:, :40]
    try:
        ESTIMATORS[name](*small)  # imports and compiled code
    except ImportError as error:
        print(json.dumps({"missing": str(error)}))
        return
    base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    before = time.process_time()
    coef = ESTIMATORS[name](X, y)
    seconds = time.process_time() - before
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    from skstrf.encoding import lagged

    predicted = [lagged.predict(x, np.asarray(coef, float), 0)[:, 0] for x in data["test"]]
    r_field = np.corrcoef(coef.ravel(), data["field"].ravel())[0, 1]
    r_test = np.corrcoef(np.concatenate(predicted), data["clean"].ravel())[0, 1]
    found = {"cpu": seconds, "peak": peak, "base": base, "r_field": r_field, "r_test": r_test}
    np.save(Path(path).with_name(f"{list(ESTIMATORS).index(name)}.npy"), coef)
    print(json.dumps(found))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="8 s and one seed")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        run_one(*args.one)
        return
    n_seconds, n_seeds = (8, 1) if args.quick else (60, args.seeds)
    rows = {}
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(n_seeds):
            X, y, test, clean, field = make_data(n_seconds, seed)
            path = Path(folder) / "data.npz"
            np.savez(path, X=X, y=y, test=test, clean=clean, field=field)
            for name in ESTIMATORS:
                command = [sys.executable, __file__, "--one", name, str(path)]
                out = subprocess.run(command, capture_output=True, text=True)
                if out.returncode:
                    print(f"{name}: {out.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
                    continue
                found = json.loads(out.stdout.strip().splitlines()[-1])
                if "missing" in found:
                    print(f"{name}: not installed ({found['missing']})", file=sys.stderr)
                    continue
                rows.setdefault(name, []).append(found)
            files = {n: Path(folder) / f"{i}.npy" for i, n in enumerate(ESTIMATORS)}
            pairs = (
                ("skstrf, ridge", "mne TimeDelayingRidge"),
                ("skstrf, Laplacian", "mne TimeDelayingRidge, Laplacian"),
            )
            for ours, theirs in pairs:
                if files[ours].exists() and files[theirs].exists():
                    a, b = np.load(files[ours]), np.load(files[theirs])
                    error = np.abs(a - b).max() / np.abs(b).max()
                    print(f"seed {seed}: {ours} - {theirs}: {error:.1e}")
    print(f"{'estimator':40}  CPU s        peak MB  (imports)  r with field   r predicted")
    for name, found in rows.items():
        mean = {key: np.mean([one[key] for one in found]) for key in found[0]}
        spread = {key: np.std([one[key] for one in found]) for key in found[0]}
        print(
            f"{name:40} {mean['cpu']:5.2f} ± {spread['cpu']:4.2f}  {mean['peak']:7.0f}  "
            f"{mean['base']:7.0f}   {mean['r_field']:.3f} ± {spread['r_field']:.3f}  "
            f"{mean['r_test']:.3f} ± {spread['r_test']:.3f}"
        )


if __name__ == "__main__":
    main()
