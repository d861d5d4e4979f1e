"""
Optimize hyperparameters with Optuna
====================================

:func:`~skstrf.experiments.run_search` evaluates candidates one after the
other, stops unpromising ones after some epochs, and fits the best one. With a
`storage`, a search can be interrupted and resumed, and several processes can
share it.
"""

# %%

import matplotlib.pyplot as plt
import numpy as np

from skstrf import load_instruments
from skstrf.experiments import make_classification_pipeline, run_search
from skstrf.inspection import StudyDisplay

clips = load_instruments(load_content=False)
rows = np.flatnonzero(clips.split != "new_library")[::2]
paths = np.array(clips.filenames)[rows]
y = np.array(clips.target_names)[clips.target[rows]]

# %%
# To keep the example short, the pipeline has few channels and epochs; with
# your own sounds, use the defaults.

pipeline = make_classification_pipeline(
    duration=2.0, rates=[4, 16], scales=[0.5, 2, 8], max_epochs=8
)
results = run_search(
    paths,
    y,
    cv=2,
    pipeline=pipeline,
    search_space={
        "mpca__n_components": [0.8, 0.95],
        "cnn__lr": [1e-4, 5e-3, 2e-2],
        "cnn__network__n_filters": [4, 16],
    },
    n_trials=10,
    random_state=0,
)
print(results.summary())

# %%
# The best candidate was selected by the score in the figure, so its accuracy
# on new sounds will be slightly lower. A test set that the search does not use
# (``split=``) gives an unbiased estimate.

display = StudyDisplay.from_results(results)
plt.show()
