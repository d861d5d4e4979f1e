"""
Hearing a ripple
================

A moving ripple is to auditory cortex what a tone is to the cochlea: one rate, one scale, one
direction. Here are four of them, to hear and to see, and what the bank of receptive fields makes
of each.
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
# Noise whose spectral envelope is a sine that drifts. The *rate* says how many ridges pass a
# frequency in a second, its sign where they go: positive falls, negative rises. The *scale* says
# how many ridges lie in an octave.

RIPPLES = [(4, 0.5), (-4, 0.5), (16, 0.5), (4, 2)]
sounds = np.stack(
    [
        moving_ripple(rate, scale, 2.0, random_state=0)
        for rate, scale in RIPPLES
    ]
)

# %%
# Falling, four ridges a second, two octaves from one to the next:
Audio(sounds[0], rate=16000)

# %%
# The same, rising:
Audio(sounds[1], rate=16000)

# %%
# Four times as fast: the movement becomes a flutter.
Audio(sounds[2], rate=16000)

# %%
# Four times as many ridges: a comb that sweeps, nearly a pitch.
Audio(sounds[3], rate=16000)

# %%
# How they look
# -------------
#
# Above, half a second of the auditory spectrogram, where the ridges can be counted. Below, the
# mean magnitude of every channel: each ripple has its own place.

strf = STRFTransformer(bandpass=True, contrast=False, frame_step=16).fit(
    sounds
)
maps = strf.transform(sounds).mean(axis=(-2, -1))
frequencies = center_frequencies()

figure, axes = plt.subplots(
    2, 4, figsize=(10, 5), sharey="row", layout="constrained"
)
for (above, below), (rate, scale), x, picture in zip(
    axes.T, RIPPLES, sounds, maps, strict=True
):
    v = auditory_spectrogram(x)[:, 100:163]
    above.pcolormesh(
        np.arange(63) * 8, frequencies, v**0.5, cmap="magma", rasterized=True
    )
    above.set_yscale("log")
    above.set_title(
        f"{abs(rate)} Hz {'falling' if rate > 0 else 'rising'}, {scale} cyc/oct"
    )
    above.set_xlabel("time (ms)")
    below.imshow(picture, origin="lower", aspect="auto", cmap="magma")
    below.set_xticks(
        [0, 2, 4, 5, 7, 9],
        [f"{strf.rates_[i]:+.0f}" for i in (0, 2, 4, 5, 7, 9)],
    )
    below.set_yticks(range(6), [f"{s:g}" for s in strf.scales_])
    below.set_xlabel("rate (Hz)")
axes[0, 0].set_yticks(
    [250, 500, 1000, 2000, 4000], ["250", "500", "1000", "2000", "4000"]
)
axes[0, 0].minorticks_off()
axes[0, 0].set_ylabel("frequency (Hz)")
_ = axes[1, 0].set_ylabel("scale (cyc/oct)")

# %%
# The largest channel of each is the one it was made for.

for (rate, scale), picture in zip(RIPPLES, maps, strict=True):
    row, column = np.unravel_index(picture.argmax(), picture.shape)
    print(
        f"made of {rate:+d} Hz, {scale:g} cycles/octave; "
        f"largest at {strf.rates_[column]:+g} Hz, {strf.scales_[row]:g} cycles/octave"
    )
