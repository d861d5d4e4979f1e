"""
Genres, groups and a split that leaks
=====================================

Several clips of one recording, album or artist are alike for reasons that have nothing to do
with the genre. Here is a corpus in which it can be seen how much that adds to a score: it is
synthetic, so the truth is known.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, KFold, cross_val_score
from sklearn.pipeline import make_pipeline

from skstrf import MPCA, STRFTransformer, make_ripple_genres

# %%
# Two genres, told apart by their modulation; sixteen artists, eight in each genre. Each artist has
# a studio that colors all of their clips: a fixed equalizer. Nothing in the studios depends on
# the genre.

N_CLIPS, N_ARTISTS = 96, 16
X, y = make_ripple_genres(
    N_CLIPS // 2, n_classes=2, snr=-6, spread=0.6, random_state=0
)
order = np.argsort(y, kind="stable")
X, y = X[order], y[order]
artists = (
    np.arange(N_CLIPS) * N_ARTISTS // N_CLIPS
)  # clips of one genre, then of the other
random = np.random.default_rng(1)
for artist in range(N_ARTISTS):
    curve = np.interp(
        np.arange(8001), np.linspace(0, 8000, 24), random.normal(0, 4, 24)
    )
    for clip in np.flatnonzero(artists == artist):
        X[clip] = np.fft.irfft(
            np.fft.rfft(X[clip]) * 10 ** (curve / 20), 16000
        )

# %%
# A pipeline that keeps the spectral envelope, so that it can learn the studios. Every artist has
# one genre: whoever knows the artist knows the genre.

tensors = STRFTransformer(
    rates=[4, 16], scales=[0.5, 2], channel_step=4, contrast=False
)
tensors = tensors.fit_transform(X)
model = make_pipeline(
    MPCA(0.95, vectorize=True), LogisticRegression(max_iter=1000)
)

random_folds = KFold(4, shuffle=True, random_state=0)
leaky = cross_val_score(model, tensors, y, cv=random_folds)
honest = cross_val_score(model, tensors, y, cv=GroupKFold(4), groups=artists)
print(f"random folds:       {leaky.mean():.2f} ± {leaky.std(ddof=1):.2f}")
print(f"artists kept apart: {honest.mean():.2f} ± {honest.std(ddof=1):.2f}")

# %%
# Which of the two is true? With labels that mean nothing, drawn artist by artist, there is nothing
# to learn. Kept apart, the score says so; random folds report knowledge of the studios.

chance = {"random folds": [], "artists kept apart": []}
for _ in range(10):
    by_artist = random.permutation(np.arange(N_ARTISTS) % 2)
    drawn = by_artist[artists]
    chance["random folds"].append(
        cross_val_score(model, tensors, drawn, cv=random_folds).mean()
    )
    apart = cross_val_score(
        model, tensors, drawn, cv=GroupKFold(4), groups=artists
    )
    chance["artists kept apart"].append(apart.mean())
for name, scores in chance.items():
    print(
        f"labels that mean nothing, {name}: {np.mean(scores):.2f} ± {np.std(scores, ddof=1):.2f}"
    )

# %%
figure, ax = plt.subplots(figsize=(6, 3.2), layout="constrained")
places = np.arange(2)
bars = {
    "true genres": (
        [leaky.mean(), honest.mean()],
        [leaky.std(ddof=1), honest.std(ddof=1)],
    ),
    "labels that mean nothing": (
        [np.mean(s) for s in chance.values()],
        [np.std(s, ddof=1) for s in chance.values()],
    ),
}
for shift, (name, (means, errors)) in zip(
    (-0.2, 0.2), bars.items(), strict=True
):
    ax.bar(places + shift, means, 0.36, yerr=errors, capsize=4, label=name)
ax.axhline(0.5, color="black", linestyle=":", linewidth=1)
ax.set_xticks(places, list(chance))
ax.set(ylabel="accuracy (± std)", ylim=(0, 1.25))
_ = ax.legend(loc="upper right", ncols=2)

# %%
# In practice: a column `group` in `metadata.csv`, which ``skstrf classify`` respects, or `groups`
# of the corpora that come with one (:doc:`/datasets`).
