"""
Larger than memory: dask in, the same numbers out
=================================================

The stages take dask arrays, of paths or of tensors, and stay lazy: nothing is read until it is
needed, and then a block at a time. Here both roads are gone, and compared.
"""

# %%
# Sound files in a temporary folder: noise that is modulated slowly or fast.
import tempfile
from pathlib import Path

import dask.array as da
import matplotlib.pyplot as plt
import numpy as np
import soundfile
from sklearn.pipeline import make_pipeline

from skstrf import (
    MPCA,
    AudioLoader,
    CNNClassifier,
    STRFTransformer,
    TensorScaler,
)
from skstrf.corpus_store import store_tensors
from skstrf.inspection import MPCADisplay
from skstrf.neural import ConvolutionalNetwork

rng = np.random.default_rng(0)
folder = tempfile.TemporaryDirectory()
times = np.arange(16000) / 16000
y = np.arange(48) % 2
paths = []
for number, label in enumerate(y):
    rate = (4, 16)[label] * rng.uniform(0.8, 1.25)
    envelope = 1 + np.sin(2 * np.pi * (rate * times + rng.random()))
    paths.append(str(Path(folder.name) / f"{number:02}.wav"))
    soundfile.write(
        paths[-1], 0.1 * envelope * rng.standard_normal(16000), 16000
    )

# %%
# A dask array of paths, eight in a block. The tensors that come out of the first two stages have
# a shape and a type, and no values yet.
lazy = da.from_array(np.array(paths), chunks=8)
front = make_pipeline(
    AudioLoader(duration=1.0), STRFTransformer(frame_step=25)
)
tensors = front.fit_transform(lazy)
print(tensors)

# %%
# Each pass of the scaler and of MPCA would read the sounds again. ``skstrf transform`` (here its
# function) computes them once into a zarr store, in flat memory; it goes on where it was stopped.
# A file of the store is a block.
stored = store_tensors(
    paths, f"{folder.name}/tensors.zarr", front[-1], duration=1.0
)
tensors = da.from_zarr(
    f"{folder.name}/tensors.zarr",
    component="X",
    chunks=(8, *stored.X.shape[1:]),
)
back = make_pipeline(TensorScaler(), MPCA(0.9))
core = back.fit_transform(tensors)
print(type(core).__name__, core.shape, core.dtype)

# %%
# numpy gives the same: all at once in memory.
X = front.fit_transform(paths)
in_memory = make_pipeline(TensorScaler(), MPCA(0.9))
expected = in_memory.fit_transform(X)
difference = np.abs(core.compute() - expected).max() / np.abs(expected).max()
print(f"largest difference {difference:.1e} of the largest number")

display = MPCADisplay.from_estimator(
    back[-1], mode_names=[axis.name for axis in stored.axes]
)

# %%
# A network learns from either, with the same random numbers. Predictions of a dask array are lazy.
layers = ConvolutionalNetwork(8, (3, 3), 1, n_hidden=16)
network = CNNClassifier(layers, max_epochs=8, device="cpu", random_state=0)
proba = network.fit(core, y).predict_proba(core)
print(type(proba).__name__, proba.shape)
again = network.fit(expected, y).predict_proba(expected)

figure, ax = plt.subplots(figsize=(5, 3), layout="constrained")
ax.plot(again[:, 1], "o", markersize=9, markerfacecolor="none", label="numpy")
ax.plot(proba[:, 1].compute(), ".", label="dask")
ax.set(
    xlabel="sound", ylabel="probability of the fast class", ylim=(-0.05, 1.05)
)
ax.legend(loc="center right")
plt.show()
folder.cleanup()
