"""
Compare nine time-frequency representations
===========================================

The nine transformers of skstrf compute different representations of the same
recording on a common grid of frames.
"""

import matplotlib.pyplot as plt
from IPython.display import Audio

import skstrf

# %%
# The recording contains four notes of an alto saxophone.

clips = skstrf.load_instruments(split="test", duration=2.5)
x = clips.data[clips.target == clips.target_names.index("alto_sax")][:1]
x = x / x.std()
Audio(x[0], rate=16000)

# %%
# With the same `frame_rate`, frame `k` of every representation covers the same
# 16 ms. The STRF tensor has four axes; the figure shows its mean over scale
# and rate.

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


def to_image(name):
    """Return an image of frequency by time."""
    tensor = tensors[name]
    if name == "STRF, mean":
        return tensor.mean(axis=(0, 1))
    if name == "MFCC":
        return tensor[1:]  # the first coefficient is the loudness
    if name == "scattering, order 1":
        # The paths begin with the highest frequency.
        return tensor[transformers[name].orders_ == 1][::-1]
    # Show the upper 60 dB; chroma and cochleogram are not in dB.
    return tensor if tensor.min() >= 0 else tensor.clip(tensor.max() - 60)


style = {"origin": "lower", "aspect": "auto", "cmap": "magma"}
figure, axes = plt.subplots(
    3, 3, figsize=(10, 7.5), sharex=True, layout="constrained"
)
for ax, (name, tensor) in zip(axes.flat, tensors.items(), strict=True):
    axis = transformers[name].axes_[-2]
    image = to_image(name)
    ax.imshow(image, extent=(0, 2.5, 0, len(image)), **style)
    ax.set_title(f"{name}: {' x '.join(map(str, tensor.shape))}", fontsize=10)
    ax.set_ylabel(f"{axis.name} (index)")
for ax in axes[-1]:
    ax.set_xlabel("time (s)")

# %%
# Harmonics are evenly spaced lines in the STFT. On a logarithmic frequency
# axis, they move closer together toward high frequencies, and in chroma they
# fold into pitch classes. First-order scattering averages over a quarter of a
# second; the second order, which is not shown, holds the modulation of each
# band that this average loses.
#
# The following channels of the STRF tensor show that high scales respond to
# harmonics and low scales to the spectral envelope. Low rates respond to
# sustained sounds, and high rates to onsets and offsets.

strf, tensor = transformers["STRF, mean"], tensors["STRF, mean"]
scales, rates = list(strf.scales_), list(strf.rates_)
figure, axes = plt.subplots(
    2, 4, figsize=(10, 4), sharex=True, sharey=True, layout="constrained"
)
for row, scale in zip(axes[::-1], (0.5, 4), strict=True):
    for ax, rate in zip(row, (-16, -2, 2, 16), strict=True):
        image = tensor[scales.index(scale), rates.index(rate)]
        ax.imshow(image, extent=(0, 2.5, 0, 128), **style)
        ax.set_title(f"{scale:g} cyc/oct, {rate:+d} Hz", fontsize=10)
for ax in axes[-1]:
    ax.set_xlabel("time (s)")
for ax in axes[:, 0]:
    ax.set_ylabel("frequency (channel)")
