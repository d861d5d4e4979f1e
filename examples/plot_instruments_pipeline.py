"""
From sounds to classes: the whole pipeline
==========================================

Sound, cochlea, cortex, multilinear PCA, network: three estimators in a row,
cross-validated like any other. The tensors are computed once, outside the folds.
"""

# %%
import numpy as np
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline

from skstrf import MPCA, CNNClassifier, STRFTransformer, load_instruments
from skstrf.inspection import ConfusionDisplay, MPCADisplay, TrainingDisplay
from skstrf.neural import ConvolutionalNetwork

clips = load_instruments()
train = np.isin(clips.split, ["train", "valid"])
test = clips.split == "test"
names = np.array(clips.target_names)
tensors = STRFTransformer().fit_transform(clips.data)
print("one tensor per clip, scale x rate x frequency x time:", tensors.shape)

# %%
# MPCA keeps 95 % of the variation in each mode.
network = CNNClassifier(
    ConvolutionalNetwork(separable_kernels=True), max_epochs=20, random_state=0
)
model = make_pipeline(MPCA(0.95), network)
folds = StratifiedKFold(3, shuffle=True, random_state=0)
scores = cross_val_score(
    model, tensors[train], names[clips.target[train]], cv=folds
)
print(f"cross-validated accuracy {scores.mean():.2f} +- {scores.std():.2f}")

# %%
model.fit(tensors[train], names[clips.target[train]])
modes = ["scale", "rate", "frequency", "time"]
display = MPCADisplay.from_estimator(model[0], mode_names=modes)

# %%
display = TrainingDisplay.from_estimator(model[-1])

# %%
# Notes that were not in the training set:
display = ConfusionDisplay.from_predictions(
    names[clips.target[test]], model.predict(tensors[test]), labels=names
)
