"""
Learn from few labels with transfer learning
============================================

A network that was trained on some classes can be the starting point for other
classes. The benefit depends on the number of labels and on the similarity of
the two tasks. The data of this example are synthetic: noisy ripples whose
classes differ only in rate, scale and direction.
"""

# %%
# The source has four classes. The target has four other classes, which are
# other combinations of the same rates and scales.
from sklearn.utils import Bunch

from skstrf import MPCA, CNNClassifier, STRFTransformer, make_ripple_genres
from skstrf.experiments import make_classification_pipeline, run_transfer
from skstrf.inspection import TransferDisplay
from skstrf.neural import ConvolutionalNetwork

X, y = make_ripple_genres(15, n_classes=8, snr=-3, spread=0.6, random_state=0)
tensors = STRFTransformer(frame_step=25, channel_step=4).fit_transform(X)
source = Bunch(data=tensors[y < 4], target=y[y < 4])
target = Bunch(data=tensors[y >= 4], target=y[y >= 4])

# %%
# Every method is trained on the same few labels and tested on the same sounds.
# The bars are the standard deviation over two seeds; a small difference
# needs more seeds.
pipeline = make_classification_pipeline(max_epochs=15)
pipeline.set_params(
    cnn__network__separable_kernels=True, cnn__network__n_filters=16
)
results = run_transfer(
    source, target, fractions=[0.1, 0.2, 1.0], pipeline=pipeline, n_seeds=2
)
print(results.summary())

# %%
# The benefit is small in comparison with the bars, as classes that are other
# combinations of rate and scale leave little to reuse. Frozen layers reduce
# the accuracy. Transfer is more useful when the classes are the same and the
# recordings differ, see :doc:`/results/transfer`.
display = TransferDisplay.from_results(results)

# %%
# A classifier of your own is transferred in the same way: `warm_start_from`
# copies the layers of a fitted network, `frozen_layers` keeps some of them
# unchanged, and `layer_lr` is a lower learning rate of the copied layers.
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
