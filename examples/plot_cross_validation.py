"""
Cross-validation that keeps recordings apart
============================================

Clips of one recording, player or artist are alike for reasons that have nothing to do with their
class. If they are on both sides of a fold, the score flatters. scikit-learn's splitters keep
groups together, and metadata routing takes them there.
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
paths, y = np.array(clips.filenames), clips.target

# %%
# Two clips are cut from each recording here, its first and its second half, as is usual with long
# recordings: the group is the file.

halves, groups = [], np.tile(np.arange(len(paths)), 2)
for offset in (0.0, 1.0):
    halves.append(
        AudioLoader(duration=1.0, offset=offset).fit_transform(list(paths))
    )
sounds, labels = np.concatenate(halves), np.tile(y, 2)

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
# The same pipeline and the same sounds, divided in two ways.

mixed = StratifiedKFold(3, shuffle=True, random_state=0)
apart = StratifiedGroupKFold(3, shuffle=True, random_state=0)
results = {}
with sklearn.config_context(enable_metadata_routing=True):
    for name, folds, params in (
        ("halves mixed", mixed, {}),
        ("recordings kept apart", apart, {"groups": groups}),
    ):
        scores = cross_val_score(
            pipeline, sounds, labels, cv=folds, params=params
        )
        results[name] = scores
        print(f"{name}: {scores.mean():.3f} ± {scores.std(ddof=1):.3f}")
folder.cleanup()

# %%
# Three folds of each; the bars are their means.

figure, ax = plt.subplots(figsize=(5, 3), layout="constrained")
ax.bar(
    list(results),
    [scores.mean() for scores in results.values()],
    width=0.5,
    color="C0",
)
for place, scores in enumerate(results.values()):
    ax.plot(np.full(scores.size, place), scores, "o", color="black")
ax.set(ylabel="accuracy", ylim=(0, 1))
plt.show()
