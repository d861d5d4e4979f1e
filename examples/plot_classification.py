"""
Classify instruments with a complete pipeline
=============================================

Three estimators lead from a sound to its class: the auditory model,
multilinear PCA and a convolutional network. The tensors do not depend on the
training set, so they are computed once, outside the cross-validation.
"""

# %%

# sphinx_gallery_thumbnail_number = 3
import numpy as np
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline

from skstrf import MPCA, CNNClassifier, STRFTransformer, load_instruments
from skstrf.inspection import ConfusionDisplay, MPCADisplay, TrainingDisplay
from skstrf.neural import ConvolutionalNetwork

clips = load_instruments()
train = np.isin(clips.split, ["train", "valid"])
test = clips.split == "test"
y = np.array(clips.target_names)[clips.target]
tensors = STRFTransformer().fit_transform(clips.data)
print(
    "shape of the tensors (scale, rate, frequency, time):", tensors.shape[1:]
)

# %%
# MPCA keeps 95 % of the variation of each mode.
network = CNNClassifier(
    ConvolutionalNetwork(separable_kernels=True), max_epochs=20, random_state=0
)
model = make_pipeline(MPCA(0.95), network)
folds = StratifiedKFold(3, shuffle=True, random_state=0)
scores = cross_val_score(model, tensors[train], y[train], cv=folds)
print(f"cross-validated accuracy: {scores.mean():.2f} ± {scores.std():.2f}")

# %%
# The final model is fitted on the whole training set.
model.fit(tensors[train], y[train])
modes = ["scale", "rate", "frequency", "time"]
display = MPCADisplay.from_estimator(model[0], mode_names=modes)

# %%
# Learning curves of the network:
display = TrainingDisplay.from_estimator(model[-1])

# %%
# Confusion matrix of notes that are not in the training set:
display = ConfusionDisplay.from_estimator(model, tensors[test], y[test])
