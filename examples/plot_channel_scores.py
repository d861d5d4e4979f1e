"""
Score and select scale-rate channels
====================================

Which rates and scales distinguish sounds? :func:`~skstrf.channel_scores`
cross-validates a classifier on every channel alone, and
:class:`~skstrf.ChannelSelector` keeps the best channels.
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
# The classes of these synthetic sounds differ only in their modulation: in one
# of two rates, one of two scales, and the direction. Their levels and
# long-term spectra are the same, and the noise is twice as loud as the
# modulated sound.

X, y = make_ripple_genres(12, n_classes=4, snr=-6, random_state=0)
strf = STRFTransformer(channel_step=16).fit(X)
tensors = strf.transform(X)
print(tensors.shape)

# %%
# Each cell of the map is the accuracy of one channel. Dots mark channels that
# may be at chance.

scores = channel_scores(None, tensors, y, cv=3)
display = ChannelScoreDisplay.from_scores(
    scores, scales=strf.scales_, rates=strf.rates_
)

# %%
# The classes are ripples of +4 Hz at 0.5 cycles/octave, -4 Hz at 2, +16 Hz at
# 2 and -16 Hz at 0.5. A channel that responds to one class distinguishes it
# from the other three, but not those from each other: all four classes need
# several channels.
#
# Unbiased estimate
# -----------------
#
# The score of the best channel is the largest of sixty noisy numbers, so it is
# biased. Selection inside a pipeline, which is repeated in each fold, gives an
# unbiased estimate.


def flatten(tensors):
    return np.reshape(tensors, (len(tensors), -1))


# Scores of a fold are computed once and serve for all numbers of channels.
folder = tempfile.TemporaryDirectory()
memory = joblib.Memory(folder.name, verbose=0)
counts = [1, 3, 10, "all"]
means, errors = [], []
for k in counts:
    model = make_pipeline(
        ChannelSelector(k=k, cv=2, memory=memory),
        FunctionTransformer(flatten),
        StandardScaler(),
        LogisticRegression(max_iter=1000),
    )
    folds = cross_val_score(model, tensors, y, cv=3)
    means.append(folds.mean())
    errors.append(folds.std(ddof=1))
    print(f"{k} channels: {means[-1]:.2f} ± {errors[-1]:.2f}")
folder.cleanup()

figure, ax = plt.subplots(figsize=(5, 3), layout="constrained")
ax.errorbar(
    range(4), means, errors, fmt="o", capsize=3, label="selected in each fold"
)
ax.axhline(
    scores.mean.max(), color="C1", linestyle="--", label="best of the map"
)
ax.axhline(scores.chance, color="gray", linestyle=":", label="chance")
ax.set_xticks(range(4), [str(k) for k in counts])
ax.set(xlabel="number of channels", ylabel="accuracy (± std over folds)")
_ = ax.legend(loc="lower right")
