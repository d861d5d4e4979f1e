"""
A study with Optuna
===================

:func:`~skstrf.experiments.run_search` draws candidates one after the other, stops hopeless ones
after some epochs, and fits the best for use. With a `storage` it may be stopped at any moment and
goes on later; several processes may share it.
"""

# %%

import matplotlib.pyplot as plt
import numpy as np

from skstrf import load_instruments
from skstrf.experiments import make_classification_pipeline, run_search
from skstrf.inspection import StudyDisplay

clips = load_instruments(load_content=False)
rows = np.flatnonzero(clips.split != "new_library")[::2]
paths, y = (
    np.array(clips.filenames)[rows],
    np.array(clips.target_names)[clips.target[rows]],
)

# %%
# A short training on a few channels; with your own sounds leave the defaults.

pipeline = make_classification_pipeline(
    duration=2.0, rates=[4, 16], scales=[0.5, 2, 8], max_epochs=8
)
space = {
    "mpca__n_components": [0.8, 0.95],
    "cnn__lr": [1e-4, 5e-3, 2e-2],
    "cnn__network__n_filters": [4, 16],
}
results = run_search(
    paths,
    y,
    cv=2,
    pipeline=pipeline,
    search_space=space,
    n_trials=10,
    random_state=0,
)
print(results.summary())

# %%
# The score shown is the one the best was chosen by. New sounds will be a little harder; a test
# part that the search never saw (``split=``) tells how much.

display = StudyDisplay.from_results(results)
plt.show()
