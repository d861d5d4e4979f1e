"""
An STRF tensor, by ear and by eye
=================================

A moving ripple has one rate and one scale; a recording has many. The bank of
receptive fields tells them apart.
"""

# %%
# A ripple that falls at 8 Hz, with one cycle per octave.
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
# Where the tensor is largest tells what the ripple was made of. End filters are low- and
# high-pass; looking at the band-pass ones alone:
tensor = (
    strf.set_params(bandpass=True, contrast=False)
    .fit(ripple[None])
    .transform(ripple[None])
)
mean = tensor[0].mean(axis=(-1, -2))
scale, rate = np.unravel_index(mean.argmax(), mean.shape)
print(
    f"best scale {strf.scales_[scale]:g} cycles/octave, best rate {strf.rates_[rate]:g} Hz"
)

# %%
# A recorded instrument.
clips = load_instruments(split="test")
sound = clips.data[
    [clips.target_names[t] for t in clips.target].index("hand_drum")
]
strf = STRFTransformer(frame_step=8).fit(sound[None])
display = STRFDisplay.from_estimator(strf, sound, title="hand drum")
