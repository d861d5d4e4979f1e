"""
A map of what every channel tells
=================================

Which rates and scales tell sounds apart? :func:`~skstrf.channel_scores` cross-validates a
classifier on every channel alone.
"""

import tempfile

import joblib
import matplotlib.pyplot as plt
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from skstrf import (
    ChannelSelector,
    STRFTransformer,
    channel_scores,
    make_ripple_genres,
)
from skstrf.inspection import ChannelScoreDisplay

# %%
# Synthetic sounds whose classes differ by modulation alone: one of two rates, one of two scales,
# up or down, in noise twice as loud. Levels and long-term spectra are the same.

X, y = make_ripple_genres(12, n_classes=4, snr=-6, random_state=0)
strf = STRFTransformer(channel_step=16).fit(X)
tensors = strf.transform(X)
print(tensors.shape)

# %%
# One score for each scale and rate. A cell with a dot may be chance.

scores = channel_scores(None, tensors, y, cv=3)
display = ChannelScoreDisplay.from_scores(
    scores, scales=strf.scales_, rates=strf.rates_
)

# %%
# The classes are +4 Hz at .5 cycles per octave, -4 at 2, +16 at 2 and -16 at .5. A channel that
# answers to one of them tells it from the other three, and does no better than that: it takes
# several to tell all four.
#
# The score of the best channel flatters
# --------------------------------------
#
# It is the largest of sixty noisy numbers. Choosing inside the pipeline, anew in each fold, gives
# one that can be quoted.


def flatten(tensors):
    return np.reshape(tensors, (len(tensors), -1))


def classifier():
    return make_pipeline(
        FunctionTransformer(flatten),
        StandardScaler(),
        LogisticRegression(max_iter=1000),
    )


folder = (
    tempfile.TemporaryDirectory()
)  # a fold's channels are scored once for all counts
counts = [1, 3, 10, "all"]
means, errors = [], []
for k in counts:
    model = make_pipeline(
        ChannelSelector(
            k=k, cv=2, memory=joblib.Memory(folder.name, verbose=0)
        ),
        classifier(),
    )
    folds = cross_val_score(model, tensors, y, cv=3)
    means.append(folds.mean())
    errors.append(folds.std(ddof=1))
    print(f"{k} channels: {means[-1]:.2f} ± {errors[-1]:.2f}")

figure, ax = plt.subplots(figsize=(5, 3), layout="constrained")
ax.errorbar(
    range(4), means, errors, fmt="o", capsize=3, label="chosen in each fold"
)
ax.axhline(
    scores.mean.max(), color="C1", linestyle="--", label="best of the map"
)
ax.axhline(scores.chance, color="gray", linestyle=":", label="chance")
ax.set_xticks(range(4), [str(k) for k in counts])
ax.set(xlabel="channels kept", ylabel="accuracy (± std over folds)")
_ = ax.legend(loc="lower right")
folder.cleanup()
