"""
An STRF by hand
===============

One channel of the cortical tensor, from its formulas: a filter over frequency, a filter over
time, a product in the Fourier domain. Ten lines of numpy give the numbers of
:func:`~skstrf.auditory.cortical_transform`.
"""

import matplotlib.pyplot as plt
import numpy as np

from skstrf import load_instruments
from skstrf.auditory import (
    auditory_spectrogram,
    cortical_transform,
    receptive_field,
)

# %%
# The auditory spectrogram of a recording: 128 channels, 24 an octave; 125 frames a second.

x = load_instruments(split="test", duration=2.048).data[0]
v = auditory_spectrogram((x / x.std()).astype(float))
print(v.shape)

# %%
# The two filters
# ---------------
#
# Over frequency, a bump around the scale :math:`\Omega_0` (cycles per octave):
# :math:`S = q\,e^{1-q}` with :math:`q = (\Omega / \Omega_0)^2`.

scale, rate = 1.0, 8.0
n = 128
omega = np.arange(n) * 24 / (2 * n)
q = (omega / scale) ** 2
S = q * np.exp(1 - q)

# %%
# Over time, the transform of a damped oscillation at the rate :math:`\omega_0` (Hz):
# :math:`h(t) = \omega_0\,(\omega_0 t)^2\,e^{-3.5\,\omega_0 t}\sin(2\pi\omega_0 t)`, without its
# mean, with a peak gain of 1.

n_frames = v.shape[1]  # 256, a power of two: else it would be padded up to one
t = np.arange(n_frames) / 125
h = (
    rate
    * (rate * t) ** 2
    * np.exp(-3.5 * rate * t)
    * np.sin(2 * np.pi * rate * t)
)
h -= h.mean()
R = np.fft.fft(h, 2 * n_frames)[:n_frames]
R /= np.abs(R).max()

figure, axes = plt.subplots(1, 3, figsize=(10, 2.7), layout="constrained")
axes[0].plot(omega, S)
axes[0].set(xlabel="scale (cycles/octave)", title="S: filter over frequency")
axes[1].plot(t[:64] * 1000, h[:64])
axes[1].set(xlabel="time (ms)", title="h: response in time")
axes[2].plot(np.arange(n_frames) * 125 / (2 * n_frames), np.abs(R))
_ = axes[2].set(
    xlabel="rate (Hz)", title="|R|: filter over time", xlim=(0, 40)
)

# %%
# The product
# -----------
#
# Both axes are padded to twice their length. Only positive scales are kept, and positive rates
# alone for what moves downward: one quadrant, so the channel is complex and hears one direction.

spectrum = np.fft.fft(np.fft.fft(v, 2 * n, axis=0)[:n], 2 * n_frames, axis=1)
quadrant = np.zeros((2 * n, 2 * n_frames), complex)
quadrant[:n, :n_frames] = S[:, None] * R * spectrum[:, :n_frames]
by_hand = np.fft.ifft2(quadrant)[:n, :n_frames]

tensor = cortical_transform(v, rates=[rate], scales=[scale], bandpass=True)
channel = np.asarray(tensor)[
    0, 1
]  # rates are -8 and +8: upward, then downward
print(
    f"largest difference {np.abs(by_hand - channel).max() / np.abs(channel).max():.0e}"
)

# %%
# Looking at it
# -------------
#
# The field itself, and what it answers to the recording. Its magnitude says how strongly the
# sound moves downward at about 8 Hz with one ridge an octave; the real part has the phase in it.

field, times, octaves = receptive_field(
    rate, scale, time_limits=(-300, 50), octave_limits=(-2, 2)
)
figure, axes = plt.subplots(1, 4, figsize=(11, 3), layout="constrained")
largest = np.abs(field).max()
axes[0].pcolormesh(
    times, octaves, field, cmap="RdBu_r", vmin=-largest, vmax=largest
)
axes[0].set(
    title="receptive field",
    xlabel="time before the response (ms)",
    ylabel="octaves",
)
span = (0, n_frames / 125, 0, n)
axes[1].imshow(
    v**0.5, origin="lower", aspect="auto", cmap="magma", extent=span
)
axes[1].set_title("spectrogram")
largest = np.abs(channel).max()
axes[2].imshow(
    channel.real, origin="lower", aspect="auto", cmap="RdBu_r", extent=span,
    vmin=-largest, vmax=largest,
)  # fmt: skip
axes[2].set_title("response, real part")
axes[3].imshow(
    np.abs(channel), origin="lower", aspect="auto", cmap="magma", extent=span
)
axes[3].set_title("response, magnitude")
for ax in axes[1:]:
    ax.set_xlabel("time (s)")
