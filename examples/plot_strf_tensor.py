"""
Compute and plot the STRF tensor of a sound
===========================================

A moving ripple has one rate and one scale, whereas a recording has many. The
bank of spectro-temporal receptive fields (STRFs) separates them.
"""

# %%
# The first sound is a ripple that moves downward at 8 Hz, with one cycle per
# octave.

# sphinx_gallery_thumbnail_number = 2
import numpy as np

from skstrf import STRFTransformer, load_instruments
from skstrf.auditory import moving_ripple
from skstrf.inspection import STRFDisplay

ripple = moving_ripple(rate=8, scale=1, duration=2.0, random_state=0)
strf = STRFTransformer(frame_step=8).fit(ripple[None])
display = STRFDisplay.from_estimator(
    strf, ripple, title="moving ripple, 8 Hz, 1 cycle/octave"
)

# %%
# The maximum of the tensor is at the rate and the scale of the ripple. By
# default, the filters at the ends of the bank are low-pass and high-pass; here
# all filters are band-pass.
strf.set_params(bandpass=True, contrast=False)
tensor = strf.fit_transform(ripple[None])
mean = tensor[0].mean(axis=(-1, -2))
scale, rate = np.unravel_index(mean.argmax(), mean.shape)
print(f"scale of the maximum: {strf.scales_[scale]:g} cycles/octave")
print(f"rate of the maximum: {strf.rates_[rate]:g} Hz")

# %%
# The second sound is a recorded instrument.
clips = load_instruments(split="test")
names = [clips.target_names[t] for t in clips.target]
sound = clips.data[names.index("hand_drum")]
strf = STRFTransformer(frame_step=8).fit(sound[None])
display = STRFDisplay.from_estimator(strf, sound, title="hand drum")
