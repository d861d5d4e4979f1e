"""
Few labels: start from a network for other sounds
=================================================

A network that has learned to tell some classes is a start for others. How much it is worth
depends on how many labels there are, and on what the two have in common. Here both are synthetic:
noisy ripples whose classes differ by rate, scale and direction alone.
"""

# %%
# The source has four classes, the target four others, made of the same rates and scales.
from sklearn.utils import Bunch

from skstrf import STRFTransformer, make_ripple_genres
from skstrf.experiments import make_classification_pipeline, run_transfer
from skstrf.inspection import TransferDisplay

X, y = make_ripple_genres(15, n_classes=8, snr=-3, spread=0.6, random_state=0)
tensors = STRFTransformer(frame_step=25, channel_step=4).fit_transform(X)
source = Bunch(data=tensors[y < 4], target=y[y < 4])
target = Bunch(data=tensors[y >= 4], target=y[y >= 4])

# %%
# Every method learns from the same few labels and is tested on the same sounds. Three seeds give
# the spread; take more of them before you believe in a small difference.
pipeline = make_classification_pipeline(max_epochs=15)
pipeline.set_params(
    cnn__network__separable_kernels=True, cnn__network__n_filters=16
)
results = run_transfer(
    source, target, fractions=[0.1, 0.2, 1.0], pipeline=pipeline
)
print(results.summary())

# %%
# What helps here is little, if anything, and bars are long: classes that are told apart by other
# combinations of rate and scale leave little to reuse. Frozen layers hold the target back. It is
# other where the classes are the same and the recordings differ, see :doc:`/results/transfer`.
display = TransferDisplay.from_results(results)

# %%
# Layers of your own classifier are carried over in the same way: `warm_start_from` copies them,
# `frozen_layers` holds some, and `layer_lr` lets those that were copied learn more slowly than
# the new output layer.
from skstrf import MPCA, CNNClassifier
from skstrf.neural import ConvolutionalNetwork

reduction = MPCA(0.95).fit(source.data)
network = ConvolutionalNetwork(n_filters=16)
first = CNNClassifier(network, max_epochs=15, random_state=0)
first.fit(reduction.transform(source.data), source.target)
second = CNNClassifier(
    network,
    max_epochs=15,
    warm_start_from=first,
    layer_lr=0.1,
    random_state=0,
)
second.fit(reduction.transform(target.data), target.target)
print(second.layer_lr_)
