"""
Follow a sound live
===================

`StreamingSTRF` computes the receptive fields of a sound block by block. A
classifier that learned from whole files with ``causal=True`` follows the
stream.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

import skstrf

# %%
# The classifier learns from ripples of four classes, one second each.

X, y = skstrf.make_ripple_genres(n_per_class=20, random_state=0)
strf = skstrf.STRFTransformer(
    causal=True, rates=[4, 8, 16], scales=[0.5, 1, 2]
)
rows = FunctionTransformer(lambda Z: Z.mean(axis=3).reshape(len(Z), -1))
model = make_pipeline(strf, rows, StandardScaler(), LogisticRegression(C=0.1))
model.fit(X, y)

# %%
# Four new ripples follow each other. They arrive in blocks of 20 ms, and every
# block gives a frame of the tensor once per second of sound.

new, labels = skstrf.make_ripple_genres(n_per_class=1, random_state=1)
sound = np.repeat(new, 3, axis=0).ravel()
stream = skstrf.StreamingSTRF.from_transformer(strf)
probabilities = []
for block in np.split(sound, len(sound) // 320):
    frames = stream.push(block)
    for k in range(frames.shape[-1]):
        tensor = frames[np.newaxis, ..., k : k + 1]
        probabilities.append(model[1:].predict_proba(tensor)[0])

# %%
# The probabilities follow the sound. The first second after a change still
# contains what was heard before.

figure, ax = plt.subplots(figsize=(8, 3), layout="constrained")
seconds = np.arange(len(probabilities) + 1)
for k, course in enumerate(np.transpose(probabilities)):
    ax.stairs(course, seconds, label=f"class {model.classes_[k]}", linewidth=2)
for second, label in zip(seconds[:-1:3], labels, strict=True):
    ax.axvline(second, color="gray", linestyle=":")
    ax.text(second + 0.1, 1.03, f"class {label}")
ax.set(xlabel="time (s)", ylabel="probability", ylim=(0, 1.15))
ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
plt.show()

# %%
# The latency of a channel is the delay of its rate filter and one window of
# frames: slow modulations are recognized later than fast ones.

fine = skstrf.StreamingSTRF()
for rate, latency in zip(fine.rates_[5:], fine.latency_[0, 5:], strict=True):
    print(f"{rate:4g} Hz: {1000 * latency:.0f} ms")
