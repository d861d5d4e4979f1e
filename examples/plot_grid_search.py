"""
Search the parameters of a cached pipeline
==========================================

A grid search can optimize the parameters of the receptive fields, of
multilinear PCA and of the classifier together. :class:`~skstrf.CachedPipeline`
caches recordings, fits and transforms, so that twelve candidates in three
folds need two passes over the recordings instead of thirty-six.
"""

# %%
# The data are bundled recordings of instruments. One library of recordings is
# left out, as its recordings form a single group.

import tempfile

import matplotlib.pyplot as plt
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold

from skstrf import (
    MPCA,
    AudioLoader,
    CachedPipeline,
    STRFTransformer,
    load_instruments,
)

clips = load_instruments(load_content=False)
rows = np.flatnonzero(clips.split != "new_library")[::2]
paths, y = np.array(clips.filenames)[rows], clips.target[rows]

# %%
# The pipeline, the search and its parameters are those of scikit-learn. If the
# cache is in a permanent folder, later searches use it as well.

folder = tempfile.TemporaryDirectory()
pipeline = CachedPipeline(
    [
        ("loader", AudioLoader(duration=2.0)),
        ("strf", STRFTransformer(rates=[4, 16], scales=[0.5, 2, 8])),
        ("mpca", MPCA(vectorize=True)),
        ("classifier", LogisticRegression(max_iter=1000)),
    ],
    memory=folder.name,
)
grid = {
    "strf__contrast": [True, False],
    "mpca__n_components": [0.8, 0.95],
    "classifier__C": [0.01, 0.1, 1.0],
}
folds = StratifiedKFold(3, shuffle=True, random_state=0)
search = GridSearchCV(pipeline, grid, cv=folds).fit(paths, y)
folder.cleanup()
print(f"{search.best_score_:.3f} with {search.best_params_}")

# %%
# The figure shows all candidates with their standard deviation over folds.

results = search.cv_results_
order = np.argsort(results["mean_test_score"])
labels = [
    ", ".join(str(value) for _, value in sorted(results["params"][i].items()))
    for i in order
]
figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
ax.errorbar(
    results["mean_test_score"][order],
    np.arange(len(order)),
    xerr=results["std_test_score"][order],
    fmt="o",
    capsize=2,
)
ax.set_yticks(np.arange(len(order)), labels)
ax.set_xlabel("accuracy (mean ± std over folds)")
ax.set_ylabel("C, share of MPCA, contrast")
plt.show()
