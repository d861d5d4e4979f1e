"""
Nine pictures of one sound
==========================

Nine transformers, one grid of frames: what each of them sees of the same recording.
"""

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import Audio

import skstrf

# %%
# Four notes of a saxophone.

clips = skstrf.load_instruments(split="test", duration=2.5)
x = clips.data[clips.target == clips.target_names.index("alto_sax")][:1]
x = x / x.std()
Audio(x[0], rate=16000)

# %%
# With one `frame_rate` frame `k` of each stands for the same 16 ms. The STRF tensor has four
# axes: shown is its mean over scale and rate, and below, some channels by themselves.

grid = {"frame_rate": 62.5}
transformers = {
    "STFT": skstrf.STFTTransformer(**grid),
    "mel": skstrf.MelTransformer(**grid),
    "MFCC": skstrf.MFCCTransformer(**grid),
    "chroma": skstrf.ChromaTransformer(**grid),
    "wavelet": skstrf.WaveletTransformer(**grid),
    "scattering, order 1": skstrf.ScatteringTransformer(**grid),
    "gammatone": skstrf.GammatoneTransformer(**grid),
    "cochleogram": skstrf.CochleogramTransformer(**grid),
    "STRF, mean": skstrf.STRFTransformer(**grid, contrast=False),
}
tensors = {name: t.fit_transform(x)[0] for name, t in transformers.items()}


def picture_of(name):
    """What to draw of a tensor: frequency by time."""
    tensor = tensors[name]
    if name == "STRF, mean":
        return tensor.mean(axis=(0, 1))
    if name == "MFCC":
        return tensor[1:]  # the first is loudness, and would hide the others
    if name == "scattering, order 1":
        return tensor[transformers[name].orders_ == 1][
            ::-1
        ]  # highest frequency first
    # Of decibels the loudest 60; chroma and cochleogram are none.
    return (
        tensor if tensor.min() >= 0 else np.maximum(tensor, tensor.max() - 60)
    )


figure, axes = plt.subplots(
    3, 3, figsize=(10, 7.5), sharex=True, layout="constrained"
)
for ax, (name, tensor) in zip(axes.flat, tensors.items(), strict=True):
    axis = transformers[name].axes_[-2]
    picture = picture_of(name)
    ax.imshow(
        picture,
        origin="lower",
        aspect="auto",
        cmap="magma",
        extent=(0, 2.5, 0, len(picture)),
    )
    ax.set_title(f"{name}: {' x '.join(map(str, tensor.shape))}", fontsize=10)
    ax.set_ylabel(f"{axis.name} (index)")
for ax in axes[-1]:
    ax.set_xlabel("time (s)")

# %%
# Harmonics are evenly spaced lines in STFT, ever closer ones in the logarithmic pictures, and one
# line for each pitch class in chroma. Scattering averages over a quarter of a second; what that
# loses is in its order 2, which is not drawn: how each line is modulated.
#
# Some channels of the STRF tensor: high scales keep the harmonics, low ones the envelope; low
# rates keep what lasts, high ones what begins and ends.

strf, tensor = transformers["STRF, mean"], tensors["STRF, mean"]
figure, axes = plt.subplots(
    2, 4, figsize=(10, 4), sharex=True, sharey=True, layout="constrained"
)
for row, scale in zip(axes[::-1], (0.5, 4), strict=True):
    for ax, rate in zip(row, (-16, -2, 2, 16), strict=True):
        picture = tensor[
            list(strf.scales_).index(scale), list(strf.rates_).index(rate)
        ]
        ax.imshow(
            picture,
            origin="lower",
            aspect="auto",
            cmap="magma",
            extent=(0, 2.5, 0, 128),
        )
        ax.set_title(f"{scale:g} cyc/oct, {rate:+d} Hz", fontsize=10)
for ax in axes[-1]:
    ax.set_xlabel("time (s)")
for ax in axes[:, 0]:
    ax.set_ylabel("frequency (channel)")
