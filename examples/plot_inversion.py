"""
Reconstruct a sound from its STRF tensor
========================================

How much of a sound is contained in the responses of auditory cortex? This
example reconstructs the auditory spectrogram and the sound, first from the
complex tensor and then from its magnitude alone.
"""

# sphinx_gallery_thumbnail_number = 2
import matplotlib.pyplot as plt
from IPython.display import Audio

from skstrf import STRFTransformer, load_instruments
from skstrf.auditory import auditory_spectrogram
from skstrf.auditory.measures import log_spectral_distance
from skstrf.inspection import ReceptiveFieldDisplay, ReconstructionDisplay

# %%
# Receptive fields
# ----------------
#
# Each channel responds to sound that resembles its receptive field. Sound in
# the red regions excites the channel, and sound in the blue regions inhibits
# it. Channels with positive rates respond to downward movement in frequency.

_ = ReceptiveFieldDisplay.from_rates_scales(rates=(-4, 4, 16), scales=(0.5, 2))

# %%
# Complex tensor
# --------------

instruments = load_instruments()
x = instruments.data[3:4, 8000:32000]
Audio(x[0], rate=16000)

# %%
# Inversion of the complex tensor is a linear least-squares problem, here with
# every eighth frame.

strf = STRFTransformer(
    output="complex", frame_step=8, pooling="sample", random_state=0
).fit(x)
display = ReconstructionDisplay.from_estimator(strf, x)

# %%
# The auditory spectrogram does not contain the phase of the waveform. The
# sound is found by gradient descent on the difference of the spectrograms.

strf.set_params(max_iter=40)
y = strf.inverse_transform(strf.transform(x))
Audio(y[0], rate=16000)

# %%
# Magnitude
# ---------
#
# The magnitude does not contain the phase of the channels either. Alternating
# projections find a phase that is consistent with it.

magnitudes = STRFTransformer(
    frame_step=1, pooling="sample", contrast=False, max_iter=40
)
reconstruction = magnitudes.inverse_spectrogram(magnitudes.fit_transform(x))
v = auditory_spectrogram((x - x.mean()) / x.std())
figure, axes = plt.subplots(
    1, 2, figsize=(9, 3.2), sharey=True, layout="constrained"
)
images = {"original": v[0], "from the magnitude": reconstruction[0]}
for ax, (title, image) in zip(axes, images.items(), strict=True):
    ax.imshow(image**0.5, origin="lower", aspect="auto", cmap="magma")
    ax.set(title=title, xlabel="frame (8 ms)")
axes[0].set_ylabel("channel")
distance = log_spectral_distance(v[0], reconstruction[0])
print(f"log-spectral distance: {distance:.1f} dB")
