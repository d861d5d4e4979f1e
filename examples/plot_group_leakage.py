"""
Measure leakage between clips of the same artist
================================================

Clips of the same recording, album or artist are similar for reasons that are
unrelated to their genre. On synthetic data, whose true structure is known,
this example measures how much that similarity adds to a score.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, KFold, cross_val_score
from sklearn.pipeline import make_pipeline

from skstrf import MPCA, STRFTransformer, make_ripple_genres

# %%
# The two genres differ in their modulation. Each genre has eight artists, and
# each artist has a studio that filters all of their clips with a fixed
# equalizer. The studios do not depend on the genre.

N_CLIPS, N_ARTISTS = 96, 16
X, y = make_ripple_genres(
    N_CLIPS // 2, n_classes=2, snr=-6, spread=0.6, random_state=0
)
order = np.argsort(y, kind="stable")
X, y = X[order], y[order]
artists = np.arange(N_CLIPS) * N_ARTISTS // N_CLIPS
random = np.random.default_rng(1)
bins = np.arange(8001)
for artist in range(N_ARTISTS):
    gains = random.normal(0, 4, 24)
    curve = np.interp(bins, np.linspace(0, 8000, 24), gains)
    for clip in np.flatnonzero(artists == artist):
        spectrum = np.fft.rfft(X[clip]) * 10 ** (curve / 20)
        X[clip] = np.fft.irfft(spectrum, 16000)

# %%
# The pipeline keeps the spectral envelope, so it can learn the studios. Every
# artist has one genre, and therefore the artist determines the genre.

strf = STRFTransformer(
    rates=[4, 16], scales=[0.5, 2], channel_step=4, contrast=False
)
tensors = strf.fit_transform(X)
model = make_pipeline(
    MPCA(0.95, vectorize=True), LogisticRegression(max_iter=1000)
)
folds = {
    "random folds": KFold(4, shuffle=True, random_state=0),
    "artists kept apart": GroupKFold(4),
}


def accuracies(labels):
    """Return the accuracies of each fold for both kinds of folds."""
    return {
        name: cross_val_score(model, tensors, labels, cv=cv, groups=artists)
        for name, cv in folds.items()
    }


true_genres = accuracies(y)
for name, scores in true_genres.items():
    print(f"{name}: {scores.mean():.2f} ± {scores.std(ddof=1):.2f}")

# %%
# Which of the two scores is correct? If labels are assigned to the artists at
# random, there is nothing to learn. With artists kept apart, the accuracy is
# at chance; with random folds, it shows that the model has learned the
# studios.

random_labels = {name: [] for name in folds}
for _ in range(10):
    labels = random.permutation(np.arange(N_ARTISTS) % 2)[artists]
    for name, scores in accuracies(labels).items():
        random_labels[name].append(scores.mean())
for name, scores in random_labels.items():
    mean, std = np.mean(scores), np.std(scores, ddof=1)
    print(f"random labels, {name}: {mean:.2f} ± {std:.2f}")

# %%
figure, ax = plt.subplots(figsize=(6, 3.2), layout="constrained")
places = np.arange(2)
for shift, (label, results) in zip(
    (-0.2, 0.2),
    {"true genres": true_genres, "random labels": random_labels}.items(),
    strict=True,
):
    means = [np.mean(scores) for scores in results.values()]
    errors = [np.std(scores, ddof=1) for scores in results.values()]
    ax.bar(places + shift, means, 0.36, yerr=errors, capsize=4, label=label)
ax.axhline(0.5, color="black", linestyle=":", linewidth=1)
ax.set_xticks(places, list(folds))
ax.set(ylabel="accuracy (± std)", ylim=(0, 1.25))
_ = ax.legend(loc="upper right", ncols=2)

# %%
# In practice, the groups are the column `group` of `metadata.csv`, which
# ``skstrf classify`` respects, or `groups` of the corpora that have them
# (:doc:`/datasets`).
