"""
Cross-validate with groups of recordings
========================================

Clips of the same recording, player or artist are similar for reasons that are
unrelated to their class. If they are in both the training and the test set of
a fold, the score is too high. The splitters of scikit-learn keep groups
together, and metadata routing passes the groups to them.
"""

# %%

import tempfile

import matplotlib.pyplot as plt
import numpy as np
import sklearn
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    StratifiedGroupKFold,
    StratifiedKFold,
    cross_val_score,
)

from skstrf import (
    MPCA,
    AudioLoader,
    CachedPipeline,
    STRFTransformer,
    load_instruments,
)

clips = load_instruments(load_content=False)
paths, y = list(clips.filenames), clips.target

# %%
# As is common with long recordings, each recording is cut into several clips,
# here into two. The group of a clip is its file.

halves = [
    AudioLoader(duration=1.0, offset=offset).fit_transform(paths)
    for offset in (0.0, 1.0)
]
sounds, labels = np.concatenate(halves), np.tile(y, 2)
groups = np.tile(np.arange(len(paths)), 2)

folder = tempfile.TemporaryDirectory()
pipeline = CachedPipeline(
    [
        ("strf", STRFTransformer(rates=[4, 16], scales=[0.5, 2, 8])),
        ("mpca", MPCA(vectorize=True)),
        ("classifier", LogisticRegression(max_iter=1000)),
    ],
    memory=folder.name,
)

# %%
# The same pipeline is scored on the same sounds with two kinds of folds.

splitters = {
    "random folds": (StratifiedKFold, {}),
    "recordings kept apart": (StratifiedGroupKFold, {"groups": groups}),
}
results = {}
with sklearn.config_context(enable_metadata_routing=True):
    for name, (splitter, params) in splitters.items():
        folds = splitter(3, shuffle=True, random_state=0)
        scores = cross_val_score(
            pipeline, sounds, labels, cv=folds, params=params
        )
        results[name] = scores
        print(f"{name}: {scores.mean():.3f} ± {scores.std(ddof=1):.3f}")
folder.cleanup()

# %%
# The bars are the means of three folds, which are shown as dots.

figure, ax = plt.subplots(figsize=(5, 3), layout="constrained")
means = [scores.mean() for scores in results.values()]
ax.bar(list(results), means, width=0.5, color="C0")
for place, scores in enumerate(results.values()):
    ax.plot(np.full(scores.size, place), scores, "o", color="black")
ax.set(ylabel="accuracy", ylim=(0, 1))
plt.show()
