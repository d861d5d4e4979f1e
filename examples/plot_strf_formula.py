"""
Compute one STRF channel from its formula
=========================================

A channel of the cortical model is a filter over frequency and a filter over
time, applied as a product in the Fourier domain. Ten lines of NumPy reproduce
the values of :func:`~skstrf.auditory.cortical_transform`.
"""

# sphinx_gallery_thumbnail_number = 2
import matplotlib.pyplot as plt
import numpy as np

from skstrf import load_instruments
from skstrf.auditory import (
    auditory_spectrogram,
    cortical_transform,
    receptive_field,
)

# %%
# The input is the auditory spectrogram of a recording, with 128 channels, 24
# per octave, and 125 frames per second.

x = load_instruments(split="test", duration=2.048).data[0]
v = auditory_spectrogram((x / x.std()).astype(float))
print(v.shape)

# %%
# The two filters
# ---------------
#
# The filter over frequency has its maximum at the scale :math:`\Omega_0`
# (cycles/octave): :math:`S = q\,e^{1-q}` with :math:`q = (\Omega /
# \Omega_0)^2`.

scale, rate = 1.0, 8.0
n = 128
omega = np.arange(n) * 24 / (2 * n)
q = (omega / scale) ** 2
S = q * np.exp(1 - q)

# %%
# The filter over time is the Fourier transform of a damped oscillation at the
# rate :math:`\omega_0` (Hz), :math:`h(t) = \omega_0\,(\omega_0 t)^2\,e^{-3.5\,
# \omega_0 t}\sin(2\pi\omega_0 t)`, without its mean and with a peak gain of 1.

n_frames = v.shape[1]  # 256; other lengths are padded to a power of two
t = np.arange(n_frames) / 125
envelope = rate * (rate * t) ** 2 * np.exp(-3.5 * rate * t)
h = envelope * np.sin(2 * np.pi * rate * t)
h -= h.mean()
R = np.fft.fft(h, 2 * n_frames)[:n_frames]
R /= np.abs(R).max()

figure, axes = plt.subplots(1, 3, figsize=(10, 2.7), layout="constrained")
axes[0].plot(omega, S)
axes[0].set(xlabel="scale (cycles/octave)", title="S: filter over frequency")
axes[1].plot(t[:64] * 1000, h[:64])
axes[1].set(xlabel="time (ms)", title="h: impulse response")
axes[2].plot(np.arange(n_frames) * 125 / (2 * n_frames), np.abs(R))
_ = axes[2].set(
    xlabel="rate (Hz)", title="|R|: filter over time", xlim=(0, 40)
)

# %%
# The product
# -----------
#
# Both axes are padded to twice their length. A channel keeps one quadrant of
# the spectrum: positive scales and, for downward movement, positive rates.
# Therefore its response is complex and selective for one direction.

spectrum = np.fft.fft(np.fft.fft(v, 2 * n, axis=0)[:n], 2 * n_frames, axis=1)
quadrant = np.zeros((2 * n, 2 * n_frames), complex)
quadrant[:n, :n_frames] = S[:, None] * R * spectrum[:, :n_frames]
computed = np.fft.ifft2(quadrant)[:n, :n_frames]

tensor = cortical_transform(v, rates=[rate], scales=[scale], bandpass=True)
channel = np.asarray(tensor)[0, 1]  # the rates are -8 and +8
error = np.abs(computed - channel).max() / np.abs(channel).max()
print(f"largest relative difference: {error:.0e}")

# %%
# Receptive field and response
# ----------------------------
#
# The magnitude of the response indicates how strongly the sound moves downward
# at about 8 Hz with one ridge per octave. The real part contains the phase.

field, times, octaves = receptive_field(
    rate, scale, time_limits=(-300, 50), octave_limits=(-2, 2)
)
figure, axes = plt.subplots(1, 4, figsize=(11, 3), layout="constrained")
axes[0].pcolormesh(times, octaves, field, cmap="RdBu_r")
axes[0].set(title="receptive field", xlabel="time (ms)", ylabel="octaves")
images = {
    "spectrogram": (v**0.5, "magma"),
    "response, real part": (channel.real, "RdBu_r"),
    "response, magnitude": (np.abs(channel), "magma"),
}
span = (0, n_frames / 125, 0, n)
for ax, (title, (image, cmap)) in zip(axes[1:], images.items(), strict=True):
    ax.imshow(image, origin="lower", aspect="auto", cmap=cmap, extent=span)
    ax.set(title=title, xlabel="time (s)")
for ax, values in ((axes[0], field), (axes[2], channel.real)):
    largest = np.abs(values).max()
    (ax.collections or ax.images)[0].set_clim(-largest, largest)
