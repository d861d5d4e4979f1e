"""
Reduce tensors with multilinear PCA
===================================

Multilinear PCA finds one small basis for each axis of a tensor of scale, rate,
frequency and time. The number of components that an axis needs indicates how
much the sounds differ along it.
"""

# %%
# The data are tensors of two seconds of each bundled instrument recording,
# scaled such that weak channels count as much as strong ones.
import matplotlib.pyplot as plt
import numpy as np

from skstrf import MPCA, STRFTransformer, TensorScaler, load_instruments
from skstrf.inspection import MPCADisplay

clips = load_instruments(split="train")
sounds = clips.data[:, :32000]
strf = STRFTransformer(frame_step=25)
X = TensorScaler().fit_transform(strf.fit_transform(sounds))
names = [axis.name for axis in strf.axes_]
print(X.shape, names)

# %%
# A share of 0.9 applies to **each mode**. Each curve shows the share of the
# variation that the components of one axis keep. All axes together keep less,
# which ``explained_variance_ratio_`` tells.
mpca = MPCA(0.9).fit(X)
display = MPCADisplay.from_estimator(mpca, mode_names=names)
print(f"{X[0].size} entries become {np.prod(mpca.output_shape_)}")
print(f"explained variance ratio: {mpca.explained_variance_ratio_:.3f}")

# %%
# The inverse transform shows the loss. The share of the variance that is
# missing in the training set complements the explained variance ratio.
restored = mpca.inverse_transform(mpca.transform(X))
missing = np.sum((X - restored) ** 2) / np.sum((X - X.mean(axis=0)) ** 2)
print(f"missing: {missing:.3f}")

# %%
# The images show scale by frequency of one sound at the rate of its largest
# response, averaged over time.


def mark_octaves(ax):
    """Label every second octave of a logarithmic frequency axis."""
    ax.minorticks_off()
    ax.set_xticks([250, 1000, 4000], ["250", "1k", "4k"])


rate = np.abs(X[0]).mean(axis=(0, 2, 3)).argmax()
images = {
    "tensor": X[0, :, rate].mean(axis=-1),
    "share 0.9": restored[0, :, rate].mean(axis=-1),
}
for share in (0.7, 0.5):
    smaller = MPCA(share).fit(X)
    restored = smaller.inverse_transform(smaller.transform(X[:1]))
    images[f"share {share}"] = restored[0, :, rate].mean(axis=-1)
limit = max(np.abs(image).max() for image in images.values())
colors = {"cmap": "RdBu_r", "vmin": -limit, "vmax": limit}
frequencies, scales = strf.axes_[2].values, strf.axes_[0].values
figure, axes = plt.subplots(
    1, 4, figsize=(9, 2.4), sharey=True, layout="constrained"
)
for ax, (title, image) in zip(axes, images.items(), strict=True):
    mesh = ax.pcolormesh(frequencies, range(len(scales)), image, **colors)
    ax.set(title=title, xscale="log", xlabel="frequency (Hz)")
    mark_octaves(ax)
axes[0].set_yticks(range(len(scales)), [f"{scale:g}" for scale in scales])
axes[0].set_ylabel("scale (cycles/octave)")
figure.colorbar(mesh, ax=axes, label="deviations from the mean")

# %%
# The components can be interpreted along their axes. The panels show the first
# two components of frequency and of rate.
figure, axes = plt.subplots(1, 2, figsize=(9, 2.6), layout="constrained")
for row in mpca.components_[2][:2]:
    axes[0].plot(frequencies, row)
axes[0].set(xscale="log", xlabel="frequency (Hz)", ylabel="weight")
mark_octaves(axes[0])
rates = strf.axes_[1].values
for row in mpca.components_[1][:2]:
    axes[1].plot(range(len(rates)), row, "o-")
axes[1].set_xticks(range(len(rates)), [f"{value:g}" for value in rates])
axes[1].set(xlabel="rate (Hz), negative: upward")
axes[1].legend(["first", "second"], loc="lower center")
plt.show()
