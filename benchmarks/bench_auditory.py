"""Speed of the auditory spectrogram and naplib, and of the cortical tensor and plain numpy.

``python benchmarks/bench_auditory.py`` prints a table.
"""

import argparse
import importlib.util
import os
import platform
import warnings

import numpy as np
from measure import measure

from skstrf.auditory import (
    auditory_spectrogram,
    cortical_transform,
    moving_ripple,
    rate_filter,
    scale_filter,
)
from skstrf.auditory.modulation_filters import filter_kinds, two_sided

SECONDS = 30
RATES = 2.0 ** np.arange(1, 5.25, 0.5)
SCALES = 2.0 ** np.arange(-2, 3.25, 0.5)


def make_sound():
    """30 s of moving ripple, float32, 16 kHz."""
    return moving_ripple(4, 1, SECONDS, random_state=0).astype(np.float32)


def naplib_spectrogram(x):
    from naplib.features import auditory_spectrogram as theirs

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return theirs(x, 16000, frame_len=8, tc=8, factor="linear").T


def numpy_cortex(v):
    """Give the definition, written down with full-length numpy Fourier transforms."""
    n_channels, n_frames = v.shape
    half = 1 << (n_frames - 1).bit_length()
    spectrum = np.fft.fft(np.fft.rfft(v, 256, axis=0)[:128], 2 * half, axis=1)
    rates = list(zip(RATES, filter_kinds(len(RATES), False), strict=True))
    responses = [two_sided(rate_filter(r, half, kind=k), "up") for r, k in rates[::-1]]
    responses += [two_sided(rate_filter(r, half, kind=k), "down") for r, k in rates]
    scales = zip(SCALES, filter_kinds(len(SCALES), False), strict=True)
    gains = [scale_filter(s, kind=k).astype(np.float32)[:, None] for s, k in scales]
    tensor = np.empty((len(gains), len(responses), n_channels, n_frames), np.complex64)
    for r, response in enumerate(responses):
        product = spectrum * response.astype(np.complex64)
        filtered = np.fft.ifft(product, axis=1)[:, :n_frames].astype(np.complex64)
        for s, gain in enumerate(gains):
            tensor[s, r] = np.fft.ifft(filtered * gain, 256, axis=0)[:n_channels]
    return tensor


def row(name, wall, cpu, note=""):
    print(f"{name:44}{wall:9.3f}{cpu:9.3f}  {note}")


def compare_cochlea(repeats):
    x = make_sound()
    print(f"\nauditory spectrogram, {SECONDS} s at 16 kHz\n{'':44}{'wall s':>9}{'CPU s':>9}")
    ours = auditory_spectrogram(x)
    for n_jobs in (1, 2):
        times = measure(lambda n=n_jobs: auditory_spectrogram(x, n_jobs=n), repeats)
        row(f"skstrf, {n_jobs} thread(s)", *times)
    for mode in ("half-wave", "hard", 0.1):
        times = measure(lambda m=mode: auditory_spectrogram(x, nonlinearity=m, n_jobs=1), repeats)
        row(f"skstrf, 1 thread, nonlinearity={mode!r}", *times)
    if importlib.util.find_spec("naplib") is None:
        print("naplib is not installed")
        return
    theirs = naplib_spectrogram(x)
    difference = np.abs(ours - theirs).max() / ours.max()
    times = measure(lambda: naplib_spectrogram(x), repeats)
    row("naplib", *times, f"largest difference {difference:.1e} of the maximum")


def compare_cortex(repeats):
    v = auditory_spectrogram(make_sound())
    bank = {"rates": RATES, "scales": SCALES}
    print(f"\ncortical tensor, 198 channels of {v.shape}\n{'':44}{'wall s':>9}{'CPU s':>9}")
    ours = cortical_transform(v, **bank)
    row("skstrf, all frames", *measure(lambda: cortical_transform(v, **bank), repeats))
    theirs = numpy_cortex(v)
    difference = np.abs(ours - theirs).max() / np.abs(theirs).max()
    times = measure(lambda: numpy_cortex(v), 2)
    row("numpy FFT, all frames", *times, f"largest difference {difference:.1e} of the maximum")
    del theirs
    step = cortical_transform(v, **bank, frame_step=16)
    difference = np.abs(step - ours[..., ::16]).max() / np.abs(ours).max()
    del ours
    options = {"frame_step": 16}
    times = measure(lambda: cortical_transform(v, **bank, **options), repeats)
    row("skstrf, every 16th frame", *times, f"differs {difference:.1e} from slicing")
    options |= {"output": "magnitude", "pooling": "mean"}
    times = measure(lambda: cortical_transform(v, **bank, **options), repeats)
    row("skstrf, mean magnitude of every 16 frames", *times)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}")
    compare_cochlea(options.repeats)
    compare_cortex(options.repeats)


if __name__ == "__main__":
    main()
