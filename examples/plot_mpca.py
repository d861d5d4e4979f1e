"""
Multilinear PCA: what is kept of a tensor
=========================================

A tensor of scale x rate x frequency x time gets one small basis for each of its axes. How many
components an axis needs says how much the sounds differ along it.
"""

# %%
# Tensors of the bundled instruments, each two seconds long, scaled so that quiet channels count
# as much as loud ones.
import matplotlib.pyplot as plt
import numpy as np

from skstrf import MPCA, STRFTransformer, TensorScaler, load_instruments
from skstrf.inspection import MPCADisplay

clips = load_instruments(split="train")
sounds = clips.data[:, :32000]
strf = STRFTransformer(frame_step=25).fit(sounds)
scaler = TensorScaler()
X = scaler.fit_transform(strf.transform(sounds))
names = [axis.name for axis in strf.axes_]
print(X.shape, names)

# %%
# A share of 0.9 is asked for **in each mode**. Each curve is what an axis keeps by itself;
# together the modes keep less, which ``explained_variance_ratio_`` tells.
mpca = MPCA(0.9).fit(X)
display = MPCADisplay.from_estimator(mpca, mode_names=names)
print(
    f"{X[0].size} entries become {np.prod(mpca.output_shape_)}: {mpca.output_shape_}"
)
print(
    f"all modes together keep {mpca.explained_variance_ratio_:.3f} of the variance"
)

# %%
# The way back shows what that loss looks like: here scale x frequency of one sound at its best
# rate, averaged over time. The share of the variance that is missing in all of the training
# sounds is what was said above.
restored = mpca.inverse_transform(mpca.transform(X))
missing = np.sum((X - restored) ** 2) / np.sum((X - X.mean(axis=0)) ** 2)
print(f"missing: {missing:.3f}")


def mark_octaves(ax):
    """Write every second octave at a logarithmic axis."""
    ax.minorticks_off()
    ax.set_xticks([250, 1000, 4000], ["250", "1k", "4k"])


sound = 0
rate = np.abs(X[sound]).mean(axis=(0, 2, 3)).argmax()
pictures = {
    "tensor": X[sound, :, rate].mean(axis=-1),
    "from 0.9 a mode": restored[sound, :, rate].mean(axis=-1),
}
for share in (0.7, 0.5):
    fewer = MPCA(share).fit(X)
    back = fewer.inverse_transform(fewer.transform(X[[sound]]))[0]
    pictures[f"from {share} a mode"] = back[:, rate].mean(axis=-1)
limit = max(np.abs(picture).max() for picture in pictures.values())
frequencies, scales = strf.axes_[2].values, strf.axes_[0].values
figure, axes = plt.subplots(
    1, 4, figsize=(9, 2.4), sharey=True, layout="constrained"
)
for ax, (title, picture) in zip(axes, pictures.items(), strict=True):
    image = ax.pcolormesh(
        frequencies,
        range(len(scales)),
        picture,
        cmap="RdBu_r",
        vmin=-limit,
        vmax=limit,
    )
    ax.set(title=title, xscale="log", xlabel="frequency (Hz)")
    mark_octaves(ax)
axes[0].set_yticks(range(len(scales)), [f"{scale:g}" for scale in scales])
axes[0].set_ylabel("scale (cycles/octave)")
figure.colorbar(image, ax=axes, label="deviations from the mean")

# %%
# Along its axes a component can be read: the first two of frequency, and of rate.
figure, axes = plt.subplots(1, 2, figsize=(9, 2.6), layout="constrained")
for row in mpca.components_[2][:2]:
    axes[0].plot(frequencies, row)
axes[0].set(xscale="log", xlabel="frequency (Hz)", ylabel="weight")
mark_octaves(axes[0])
rates = strf.axes_[1].values
for row in mpca.components_[1][:2]:
    axes[1].plot(range(len(rates)), row, "o-")
axes[1].set_xticks(range(len(rates)), [f"{value:g}" for value in rates])
axes[1].set(xlabel="rate (Hz), negative: rising")
axes[1].legend(["first", "second"], loc="lower center")
plt.show()
