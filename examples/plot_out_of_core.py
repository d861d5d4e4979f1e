"""
Process data larger than memory with dask
=========================================

The estimators accept dask arrays of paths or tensors and return dask arrays.
Files are read when their values are needed, one block at a time. This example
compares the results with those of NumPy arrays in memory.
"""

# %%
# The sound files, in a temporary folder, contain noise with slow or fast
# amplitude modulation.

# sphinx_gallery_thumbnail_number = 2
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
    sound = 0.1 * envelope * rng.standard_normal(16000)
    paths.append(str(Path(folder.name) / f"{number:02}.wav"))
    soundfile.write(paths[-1], sound, 16000)

# %%
# The input is a dask array of paths in blocks of eight. The output of the
# first two stages has a shape and a dtype, but no values yet.
lazy = da.from_array(np.array(paths), chunks=8)
front = make_pipeline(
    AudioLoader(duration=1.0), STRFTransformer(frame_step=25)
)
tensors = front.fit_transform(lazy)
print(tensors)

# %%
# Every pass of the scaler and of MPCA would read the sounds again. The command
# ``skstrf transform``, or the function below, computes the tensors once and
# stores them in a zarr array. It needs little memory and resumes after an
# interruption.
store = f"{folder.name}/tensors.zarr"
stored = store_tensors(paths, store, front[-1], duration=1.0)
tensors = da.from_zarr(stored.X, chunks=(8, *stored.X.shape[1:]))
back = make_pipeline(TensorScaler(), MPCA(0.9))
core = back.fit_transform(tensors)
print(type(core).__name__, core.shape, core.dtype)

# %%
# The same pipeline on NumPy arrays gives the same values.
in_memory = make_pipeline(TensorScaler(), MPCA(0.9))
expected = in_memory.fit_transform(front.fit_transform(paths))
difference = np.abs(core.compute() - expected).max() / np.abs(expected).max()
print(f"largest relative difference: {difference:.1e}")

names = [axis.name for axis in stored.axes]
display = MPCADisplay.from_estimator(back[-1], mode_names=names)

# %%
# A network trained on either array has the same weights, as it uses the same
# random numbers. Predictions of a dask array are lazy.
layers = ConvolutionalNetwork(
    n_filters=8, kernel_sizes=(3, 3), strides=1, n_hidden=16
)
network = CNNClassifier(layers, max_epochs=8, device="cpu", random_state=0)
lazy_proba = network.fit(core, y).predict_proba(core)
print(type(lazy_proba).__name__, lazy_proba.shape)
proba = network.fit(expected, y).predict_proba(expected)

figure, ax = plt.subplots(figsize=(5, 3), layout="constrained")
style = {"markersize": 9, "markerfacecolor": "none"}
ax.plot(proba[:, 1], "o", label="NumPy", **style)
ax.plot(lazy_proba[:, 1].compute(), ".", label="dask")
ax.set(xlabel="sound", ylabel="probability of the fast class")
ax.set_ylim(-0.05, 1.05)
ax.legend(loc="center right")
plt.show()
folder.cleanup()
