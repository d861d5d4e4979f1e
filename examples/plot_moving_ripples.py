"""
Listen to moving ripples
========================

Moving ripples are to auditory cortex what pure tones are to the cochlea: each
has one rate, one scale and one direction. This example plays four ripples,
plots their auditory spectrograms, and shows how the bank of spectro-temporal
receptive fields responds to each of them.
"""

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import Audio

from skstrf import STRFTransformer
from skstrf.auditory import (
    auditory_spectrogram,
    center_frequencies,
    moving_ripple,
)

# %%
# A ripple is noise whose spectral envelope is a drifting sinusoid. The *rate*
# is the number of ridges that pass a frequency per second. Its sign is the
# direction: positive rates move downward in frequency, negative rates upward.
# The *scale* is the number of ridges per octave.

RIPPLES = [(4, 0.5), (-4, 0.5), (16, 0.5), (4, 2)]
sounds = np.stack(
    [moving_ripple(*ripple, 2.0, random_state=0) for ripple in RIPPLES]
)

# %%
# The first ripple moves downward. Four ridges pass per second, and neighboring
# ridges are two octaves apart:
Audio(sounds[0], rate=16000)

# %%
# The second is the same ripple moving upward:
Audio(sounds[1], rate=16000)

# %%
# The third is four times as fast, and its movement is heard as flutter:
Audio(sounds[2], rate=16000)

# %%
# The fourth has four times as many ridges per octave and resembles a sweeping
# comb filter:
Audio(sounds[3], rate=16000)

# %%
# Spectrograms and responses
# --------------------------
#
# The upper row shows half a second of the auditory spectrograms, in which the
# ridges can be counted. The lower row shows the mean magnitude of every
# channel: each ripple is represented at a different place.

strf = STRFTransformer(bandpass=True, contrast=False, frame_step=16)
maps = strf.fit_transform(sounds).mean(axis=(-2, -1))
frequencies = center_frequencies()

figure, axes = plt.subplots(
    2, 4, figsize=(10, 5), sharey="row", layout="constrained"
)
ticks = [0, 2, 4, 5, 7, 9]
for (above, below), (rate, scale), x, image in zip(
    axes.T, RIPPLES, sounds, maps, strict=True
):
    v = auditory_spectrogram(x)[:, 100:163]
    above.pcolormesh(np.arange(63) * 8, frequencies, v**0.5, cmap="magma")
    above.set_yscale("log")
    direction = "downward" if rate > 0 else "upward"
    above.set_title(f"{abs(rate)} Hz {direction}\n{scale} cyc/oct")
    above.set_xlabel("time (ms)")
    below.imshow(image, origin="lower", aspect="auto", cmap="magma")
    below.set_xticks(ticks, [f"{strf.rates_[i]:+.0f}" for i in ticks])
    below.set_yticks(range(6), [f"{s:g}" for s in strf.scales_])
    below.set_xlabel("rate (Hz)")
axes[0, 0].set_yticks([250, 1000, 4000], ["250", "1000", "4000"])
axes[0, 0].minorticks_off()
axes[0, 0].set_ylabel("frequency (Hz)")
_ = axes[1, 0].set_ylabel("scale (cyc/oct)")

# %%
# The channel with the largest response has the rate and the scale of the
# ripple.

for (rate, scale), image in zip(RIPPLES, maps, strict=True):
    row, column = np.unravel_index(image.argmax(), image.shape)
    print(
        f"ripple: {rate:+d} Hz, {scale:g} cycles/octave; maximum: "
        f"{strf.rates_[column]:+g} Hz, {strf.scales_[row]:g} cycles/octave"
    )
