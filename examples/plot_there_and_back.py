"""
There and back
==============

A recording becomes a tensor of responses of auditory cortex. How much of the sound is still in
it? We go back, to the auditory spectrogram and to sound, from the complex tensor and from its
magnitudes alone.
"""

import matplotlib.pyplot as plt
from IPython.display import Audio

from skstrf import STRFTransformer, load_instruments
from skstrf.auditory import auditory_spectrogram, log_spectral_distance
from skstrf.inspection import ReceptiveFieldDisplay, ReconstructionDisplay

# %%
# The receptive fields
# --------------------
#
# What each channel answers to: red excites, blue inhibits. Positive rates answer to what moves
# downward in frequency.

_ = ReceptiveFieldDisplay.from_rates_scales(rates=(-4, 4, 16), scales=(0.5, 2))

# %%
# A recording, and its tensor
# ---------------------------

instruments = load_instruments()
x = instruments.data[3:4, 8000:32000]
Audio(x[0], rate=16000)

# %%
# With every eighth frame of the complex tensor the way back is a least-squares problem.

strf = STRFTransformer(output="complex", frame_step=8, pooling="sample").fit(x)
display = ReconstructionDisplay.from_estimator(strf, x)

# %%
# And so it sounds. The phase of the waveform was never kept: it is found by following the
# gradient of the difference of the spectrograms.

y = strf.inverse_transform(strf.transform(x), max_iter=40)
Audio(y[0], rate=16000)

# %%
# From magnitudes alone
# ---------------------
#
# Magnitudes leave the phase of every channel open too. Alternating projections find one that fits.

magnitudes = STRFTransformer(
    frame_step=1, pooling="sample", contrast=False
).fit(x)
back = magnitudes.inverse_transform(
    magnitudes.transform(x), to="spectrogram", max_iter=40
)
standard = (x - x.mean()) / x.std()
v = auditory_spectrogram(standard)
figure, axes = plt.subplots(
    1, 2, figsize=(9, 3.2), sharey=True, layout="constrained"
)
for ax, picture, title in zip(
    axes, (v[0], back[0]), ("original", "from magnitudes"), strict=True
):
    ax.imshow(picture**0.5, origin="lower", aspect="auto", cmap="magma")
    ax.set_title(title)
    ax.set_xlabel("frame (8 ms)")
axes[0].set_ylabel("channel")
print(
    f"log-spectral distance {float(log_spectral_distance(v[0], back[0])):.1f} dB"
)
