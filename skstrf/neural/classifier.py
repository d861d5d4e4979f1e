"""CNNClassifier: a convolutional network as a scikit-learn classifier of tensors."""

from __future__ import annotations

import logging
import os
from copy import copy
from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets

from skstrf.neural.samples import (
    check_labels,
    check_sample_weight,
    check_samples,
    class_weights,
    encode_labels,
    parts,
    readable,
)
from skstrf.neural.storage import StoredNetwork
from skstrf.utils.lazy import Stored, is_dask, map_samples
from skstrf.utils.validation import (
    HasMethods,
    Integral,
    Interval,
    Real,
    StrOptions,
    check_is_fitted,
    fit_context,
)

__all__ = ["CNNClassifier"]

logger = logging.getLogger("skstrf")

# What recipe="report" puts in the place of these arguments.
REPORT = {
    "batch_norm": False,
    "dropout": 0.0,
    "factorize": False,
    "gain": 0.0,
    "label_smoothing": 0.0,
    "lr_schedule": None,
    "mask": 0.0,
    "mask_channels": 0.0,
    "mixup": 0.0,
    "noise": 0.0,
    "shift": 0.0,
    "standardize": "all",
    "tilt": 0.0,
    "weight_decay": 0.0,
}


class CNNClassifier(ClassifierMixin, StoredNetwork):
    """Convolutional neural network for samples of any order.

    The last two axes of `X` are the image the filters move over; all axes
    between the samples and these are folded into its channels. An STRF tensor
    `(n_sounds, n_scales, n_rates, n_freqs, n_frames)` is an image of frequency
    by time with scale x rate channels. 3-D data have one channel, and 2-D data
    are images of a single row.

    The network is that of [1]_ (section 7): four convolutional layers of 64
    maps with kernels 11, 11, 5, 5 and strides 1, 2, 2, 2, each with a ReLU and
    max-pooling over 3 x 3, then 300 hidden units. It adapts itself to its
    input: where the image is too small for a kernel, stride or pool, that one
    is cut, axis by axis, which the log tells. ``network="separable"`` keeps the
    layout and makes its layers another way. The ``"modern"`` recipe, the
    default, surrounds it with what learning from some hundred clips needs
    (batch normalization, dropout, mixing and masking of the training data,
    weight decay, a learning-rate schedule); ``recipe="report"`` is the network
    alone.

    Parameters
    ----------
    n_filters : int or sequence of int, default=64
        Maps of every convolutional layer, or of each.
    kernel_sizes : sequence of int or of pairs, default=(11, 11, 5, 5)
        Kernel of each layer; their number is the number of layers. In a pair
        the first is for the first image axis (frequency), the second for the
        last (time). Even sizes become the next odd one.
    strides : int, or sequence of int or of pairs, default=(1, 2, 2, 2)
        Stride of every layer, or of each.
    pool_size : int, or sequence of int or of pairs, default=3
        Cells to take the maximum over after every layer, or after each; 1 for none.
    pool_stride : int, or sequence of int or of pairs, default=2
        Step between pools, which overlap where it is smaller than `pool_size`.
    n_hidden : int, default=300
        Units of the dense layer before the output; 0 leaves it out.
    network : {"report", "separable"}, default="report"
        "separable" has layers of attention over scale and rate (over whatever
        axes are folded into the channels) [4]_, a mixture of the channels and a
        filter for each mixture [5]_, and mean and deviation over time before
        the dense layers: far fewer weights of filters than "report" has, and
        when a sound begins has less part in it.
    standardize : {"channel", "cell", "all"}, default="all"
        What of the training data gives the mean and the standard deviation by
        which the input is standardized inside the network: each channel, each
        cell of each channel, or everything together. Cells suit input that is
        no image, such as the components of an MPCA.
    batch_norm : bool, default=True
        Normalize the maps of every layer over the batch.
    dropout : float, default=0.3
        Share of the values that is dropped before each dense layer, in training.
    factorize : bool, default=False
        Build a k x k kernel as a k x 1 filter along the first image axis, to
        half the maps, followed by a 1 x k filter along the last, in layers
        where this takes fewer multiplications: a tenth for 11 x 11, and as few
        weights to learn.
    mixup : float, default=0.3
        Blend each training sample with another, in a share from Beta(`mixup`,
        `mixup`) [2]_; 0 for none.
    mask : float, default=0.0
        Widest band that is blanked in each image axis of each training sample,
        as a share of the axis [3]_; 0 for none.
    mask_channels : float, default=0.0
        The same for each of the axes that are folded into the channels, scale
        and rate of an STRF tensor.
    shift, noise, gain, tilt : float, default=0.0
        Random changes of each training sample: move it by up to this share of
        each image axis; add Gaussian noise; add a random constant; add a random
        slope along the first image axis. The last three are standard
        deviations in units of the standardized input.
    label_smoothing : float, default=0.1
        Share of each target that is spread over all classes.
    recipe : {"modern", "report"}, default="modern"
        "report" is the bare network of [1]_, with the arguments for size,
        optimizer and early stopping as they stand, the input standardized as a
        whole (``standardize="all"``), and no `batch_norm`,
        `dropout`, `factorize`, `mixup`, `mask`, `mask_channels`, `shift`,
        `noise`, `gain`, `tilt`, `label_smoothing`, `weight_decay` or
        `lr_schedule`, whatever these say.
    optimizer : {"adamw", "adam", "sgd"}, default="adamw"
        "sgd" comes with Nesterov momentum of 0.9.
    lr : float, default=5e-3
        Learning rate; the highest one where there is a schedule.
    weight_decay : float, default=1e-2
        Decay of the weights; biases and normalization are left alone.
    lr_schedule : {"onecycle", "cosine", "plateau"} or None, default="onecycle"
        "onecycle" rises and falls, "cosine" falls, both over `max_epochs`;
        "plateau" multiplies by 0.3 after five epochs without a lower loss.
    batch_size : int, default=50
        Samples in a training batch at most. The "modern" recipe takes smaller
        ones, down to 8, where there are less than twelve batches: a few dozen
        sounds would otherwise be learned from in a handful of steps.
    max_epochs : int, default=40
        Times to go through the training data at most.
    early_stopping : bool, default=False
        Hold back a validation part (or take `validation_data`), stop when its
        loss no longer falls, and bring back the weights of the lowest one.
        Without it, or with too few samples for a validation part, training runs
        for `max_epochs` and the last weights stay. Off, because what is held
        back is missed more than a bad last epoch is feared: the learning rate
        falls to nothing by then.
    validation_fraction : float, default=0.1
        Share of the samples to hold back, every class in its proportion.
    patience : int, default=15
        Epochs without a lower validation loss before training stops.
    class_weight : "balanced", dict or None, default=None
        Weights of the classes in the loss; classes that a dict lacks have 1.
    warm_start_from : CNNClassifier, str, path-like or None, default=None
        Fitted classifier, or a file one was saved to, whose layers are the
        start: every layer of the same shape is copied, the output layer is
        new, and with the first layer its standardization of the input comes
        too. Cloning, and so a search or cross-validation, keeps it.
    frozen_layers : int or sequence of str, default=0
        Layers to leave as they start: the first so many, or by name ("conv1",
        "conv2", ..., "hidden", "output").
    layer_lr : float or dict of str to float, default=1.0
        What `lr` is multiplied by in some layers: a number is for all that
        `warm_start_from` filled (0.1 lets them move slowly under a new output
        layer), a dict has names as in `frozen_layers`.
    device : str, default="auto"
        "cpu", "cuda" (or "cuda:1" ...), or "auto": CUDA when there is one.
    compile : bool, default=False
        Let torch compile the network: a slow start, then faster epochs. The
        running statistics of `batch_norm` start from zero then, which shows in
        very short trainings.
    amp : bool, default=False
        Multiply in bfloat16 while training, and keep weights, normalization
        and predictions in float32. Faster on a GPU; on a CPU only where it has
        instructions for it.
    random_state : int, RandomState instance or None, default=None
        First weights, order of the samples, validation part and all random
        changes. On the CPU the same integer gives the same bits.
    verbose : bool, default=False
        Show a progress bar over the epochs.

    Attributes
    ----------
    net_ : skorch.NeuralNet
        The trained net; ``net_.module_`` is the network of torch.
    classes_ : ndarray of shape (n_classes,)
        The labels.
    history_ : list of dict
        One an epoch, of plain numbers: ``epoch``, ``train_loss`` (of the
        augmented training data), ``lr`` (the highest of all layers),
        ``seconds`` and, with a validation part, ``valid_loss`` and
        ``valid_accuracy``.
    n_epochs_to_best_ : int
        Epochs until the weights that were kept.
    n_iter_ : int
        Epochs trained.
    architecture_ : dict
        The network as it was built; ``architecture_["plan"]`` lists each
        layer's kernel, stride, pool and outgoing image.
    device_ : str
        Where the network is.
    layer_lr_ : dict of str to float
        Factors of the learning rate by layer, those that differ from 1.
    input_shape_ : tuple of int
        Axes of a sample.
    n_features_in_ : int
        Length of the second axis seen in fit.

    Notes
    -----
    The input may have any scale, as the network begins with its
    standardization. Computation is in float32; float64 input is standardized
    in float64 first.

    X may be larger than memory. Of a `numpy.memmap` or zarr array each batch is
    read when its turn comes; chunks of a zarr array should be of few samples,
    as those of ``skstrf transform`` are. A dask array is computed once, block
    after block, into a temporary file (into memory up to 64 MB), as every epoch
    takes the samples in another order. The numbers are those of the same
    samples in memory. `predict_proba` and `predict` read such arrays a batch at
    a time, and are lazy for a dask array.

    Random numbers come from generators of its own: the global ones of torch
    are neither read nor set, so several fits in threads do not disturb each
    other. `random_state=None` draws its seed from numpy's, as all of
    scikit-learn does.

    References
    ----------
    .. [1] E. Eremeeva, "Transform analysis and music style transfer with deep
       neural networks", ATIAM report, IRCAM, 2017, section 7.
    .. [2] H. Zhang, M. Cisse, Y. N. Dauphin and D. Lopez-Paz, "mixup: beyond
       empirical risk minimization", ICLR 2018.
    .. [3] D. S. Park et al., "SpecAugment: a simple data augmentation method
       for automatic speech recognition", Interspeech 2019.
    .. [4] J. Hu, L. Shen and G. Sun, "Squeeze-and-excitation networks", CVPR 2018.
    .. [5] D. Haase and M. Amthor, "Rethinking depthwise separable convolutions:
       how intra-kernel correlations lead to improved MobileNets", CVPR 2020.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf.neural import CNNClassifier
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat(["flat", "ramp"], 30)
    >>> X = rng.normal(size=(60, 2, 8, 6)) + 2 * (y == "ramp")[:, None, None, None] * np.arange(6)
    >>> clf = CNNClassifier(n_filters=8, max_epochs=20, random_state=0).fit(X, y)
    >>> clf.predict(X[[0, 59]])
    array(['flat', 'ramp'], dtype='<U4')
    """

    _parameter_constraints: dict = {
        "n_filters": [Interval(Integral, 1, None, closed="left"), "array-like"],
        "kernel_sizes": ["array-like"],
        "strides": [Interval(Integral, 1, None, closed="left"), "array-like"],
        "pool_size": [Interval(Integral, 1, None, closed="left"), "array-like"],
        "pool_stride": [Interval(Integral, 1, None, closed="left"), "array-like"],
        "n_hidden": [Interval(Integral, 0, None, closed="left")],
        "network": [StrOptions({"report", "separable"})],
        "standardize": [StrOptions({"channel", "cell", "all"})],
        "batch_norm": ["boolean"],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "factorize": ["boolean"],
        "mixup": [Interval(Real, 0, None, closed="left")],
        "mask": [Interval(Real, 0, 1, closed="left")],
        "mask_channels": [Interval(Real, 0, 1, closed="left")],
        "shift": [Interval(Real, 0, 1, closed="left")],
        "noise": [Interval(Real, 0, None, closed="left")],
        "gain": [Interval(Real, 0, None, closed="left")],
        "tilt": [Interval(Real, 0, None, closed="left")],
        "label_smoothing": [Interval(Real, 0, 1, closed="left")],
        "recipe": [StrOptions({"modern", "report"})],
        "optimizer": [StrOptions({"adamw", "adam", "sgd"})],
        "lr": [Interval(Real, 0, 1e30, closed="right")],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
        "lr_schedule": [StrOptions({"onecycle", "cosine", "plateau"}), None],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "max_epochs": [Interval(Integral, 1, None, closed="left")],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "patience": [Interval(Integral, 1, None, closed="left")],
        "class_weight": [dict, StrOptions({"balanced"}), None],
        "warm_start_from": [HasMethods(["predict_proba"]), str, os.PathLike, None],
        "frozen_layers": [Interval(Integral, 0, None, closed="left"), "array-like"],
        "layer_lr": [Interval(Real, 0, None, closed="neither"), dict],
        "device": [str],
        "compile": ["boolean"],
        "amp": ["boolean"],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        n_filters=64,
        kernel_sizes=(11, 11, 5, 5),
        strides=(1, 2, 2, 2),
        pool_size=3,
        pool_stride=2,
        n_hidden=300,
        *,
        network="report",
        standardize="all",
        batch_norm=True,
        dropout=0.3,
        factorize=False,
        mixup=0.3,
        mask=0.0,
        mask_channels=0.0,
        shift=0.0,
        noise=0.0,
        gain=0.0,
        tilt=0.0,
        label_smoothing=0.1,
        recipe="modern",
        optimizer="adamw",
        lr=5e-3,
        weight_decay=1e-2,
        lr_schedule="onecycle",
        batch_size=50,
        max_epochs=40,
        early_stopping=False,
        validation_fraction=0.1,
        patience=15,
        class_weight=None,
        warm_start_from=None,
        frozen_layers=0,
        layer_lr=1.0,
        device="auto",
        compile=False,
        amp=False,
        random_state=None,
        verbose=False,
    ):
        self.n_filters = n_filters
        self.kernel_sizes = kernel_sizes
        self.strides = strides
        self.pool_size = pool_size
        self.pool_stride = pool_stride
        self.n_hidden = n_hidden
        self.network = network
        self.standardize = standardize
        self.batch_norm = batch_norm
        self.dropout = dropout
        self.factorize = factorize
        self.mixup = mixup
        self.mask = mask
        self.mask_channels = mask_channels
        self.shift = shift
        self.noise = noise
        self.gain = gain
        self.tilt = tilt
        self.label_smoothing = label_smoothing
        self.recipe = recipe
        self.optimizer = optimizer
        self.lr = lr
        self.weight_decay = weight_decay
        self.lr_schedule = lr_schedule
        self.batch_size = batch_size
        self.max_epochs = max_epochs
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.class_weight = class_weight
        self.warm_start_from = warm_start_from
        self.frozen_layers = frozen_layers
        self.layer_lr = layer_lr
        self.device = device
        self.compile = compile
        self.amp = amp
        self.random_state = random_state
        self.verbose = verbose

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, *, sample_weight=None, validation_data=None, callback=None):
        """Train a new network.

        Parameters
        ----------
        X : array-like, zarr.Array or dask array of shape (n_samples, ..., height, width)
            Samples of any order; float32 and float64 stay, the rest becomes float64.
        y : array-like of shape (n_samples,)
            Labels of any type that can be sorted, two different ones at least.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights in the loss, times those of `class_weight`. Samples of
            weight 0 are left out.
        validation_data : (array-like, array-like), default=None
            Samples and labels of the validation part, in place of a random
            `validation_fraction` of `X`. Without early stopping it is only
            looked at, for `history_`.
        callback : callable, default=None
            Called after every epoch with its row of `history_`. An exception
            from it ends the training, as the pruning of a search does.

        Returns
        -------
        self : CNNClassifier
            The fitted classifier.

        Raises
        ------
        ValueError
            For NaN or infinities, a single class, a device that is not there,
            layers that do not fit each other, or a training that diverges; for
            chunks of unknown size and blocks of differing shapes.
        OSError
            When the disk has no room for the temporary file of a dask array.
        """
        from skstrf.neural.training import fit_classifier

        X, y = self._check_data(X, y, reset=True)
        check_classification_targets(y)
        self.classes_ = np.unique(y)
        weights = check_sample_weight(sample_weight, len(X))
        codes = encode_labels(y, self.classes_)
        weights = weights * class_weights(self.class_weight, self.classes_, codes)
        validation = None
        if validation_data is not None:
            validation = self._check_validation(*validation_data)
        self._seed = self._draw_seed()
        settings = self._settings() | {"callback": callback}
        fit_classifier(self, X, codes, weights, validation, settings)
        return self

    @fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y, classes=None, *, sample_weight=None):
        """Train for one more epoch, on the given data.

        There is no validation part, and the learning rate stays at `lr`. The
        first call on a new classifier makes the network and standardizes by its
        data. Calls in a row share the state of the optimizer; after a `fit`, or
        once pickled, it starts anew.

        Parameters
        ----------
        X : array-like of shape (n_samples, ..., height, width)
            Samples.
        y : array-like of shape (n_samples,)
            Labels.
        classes : array-like of shape (n_classes,), default=None
            All labels that will ever come, for the first call; those of `y`
            when not given.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights in the loss.

        Returns
        -------
        self : CNNClassifier
            The classifier, one epoch on.

        Raises
        ------
        ValueError
            For labels that are not among the classes, and as in `fit`.
        """
        from skstrf.neural.training import continue_classifier

        first = not hasattr(self, "net_")
        X, y = self._check_data(X, y, reset=first)
        check_classification_targets(y)
        if self.class_weight == "balanced":
            raise ValueError(
                "class_weight='balanced' needs all samples at once: give partial_fit a dict, "
                "or sample_weight."
            )
        if first:
            self.classes_ = np.unique(y if classes is None else np.asarray(classes))
            self._seed = self._draw_seed()
        elif classes is not None and not np.array_equal(np.unique(classes), self.classes_):
            raise ValueError(
                f"classes={list(classes)} is not what it was at first, "
                f"{self.classes_.tolist()}: leave it out, or start a new classifier."
            )
        codes = encode_labels(y, self.classes_)
        weights = check_sample_weight(sample_weight, len(X))
        weights = weights * class_weights(self.class_weight, self.classes_, codes)
        continue_classifier(self, X, codes, weights, self._settings())
        return self

    def predict_proba(self, X):
        """Give the probability of every class.

        Parameters
        ----------
        X : array-like, zarr.Array or dask array of shape (n_samples, ..., height, width)
            Samples of the shape seen in fit.

        Returns
        -------
        ndarray or dask array of shape (n_samples, n_classes)
            Rows sum to 1; float32 for float32 input, float64 for all other.
            Lazy for a dask array, block by block.

        Raises
        ------
        ValueError
            For samples of another shape, NaN or infinities, and values so large
            that the scores are not finite.
        """
        from skstrf.neural.training import predict_logits

        check_is_fitted(self)
        X = check_samples(self, X, reset=False)
        if is_dask(X):
            # A copy: fitting again must not change what is still to be computed.
            return map_samples(X, copy(self).predict_proba, (len(self.classes_),), X.dtype)
        if isinstance(X, Stored):
            return np.concatenate([self.predict_proba(X[rows]) for rows in parts(X)])
        logits = predict_logits(self, X).astype(np.float64)
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        return (odds / odds.sum(axis=1, keepdims=True)).astype(X.dtype)

    def predict(self, X):
        """Give the most probable class.

        Parameters
        ----------
        X : array-like, zarr.Array or dask array of shape (n_samples, ..., height, width)
            Samples of the shape seen in fit.

        Returns
        -------
        ndarray or dask array of shape (n_samples,)
            Labels, of the type seen in fit. Lazy for a dask array.

        Raises
        ------
        ValueError
            As in `predict_proba`.
        """
        check_is_fitted(self)
        if is_dask(X):
            X = check_samples(self, X, reset=False)
            return map_samples(X, copy(self).predict, (), self.classes_.dtype)
        proba = self.predict_proba(X)
        return self.classes_[proba.argmax(axis=1)]

    def _settings(self) -> dict[str, Any]:
        """Collect the parameters as they count: the recipe and its consequences."""
        settings = self.get_params(deep=False)
        if self.recipe == "report":
            settings.update(REPORT)
        return settings

    def _draw_seed(self) -> int:
        return int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))

    def _check_data(self, X, y, *, reset):
        """Check samples and labels: samples that can be read in any order, and labels."""
        X = check_samples(self, X, reset=reset)
        y = check_labels(self, X, y)
        return readable(self, X), y

    def _check_validation(self, X, y) -> tuple[Any, np.ndarray, np.ndarray]:
        """Check the samples of an explicit validation part: samples, codes, weights."""
        X = check_samples(self, X, reset=False)
        y = np.asarray(y)
        if y.shape != (len(X),):
            raise ValueError(
                f"validation_data has {len(X)} samples and labels of shape {y.shape}: give "
                "(samples, labels), one label for each sample."
            )
        codes = encode_labels(y, self.classes_)
        return readable(self, X), codes, class_weights(self.class_weight, self.classes_, codes)

    def __sklearn_clone__(self):
        """Clone the parameters, but hand on a fitted `warm_start_from` as it is."""
        twin = super().__sklearn_clone__()
        twin.warm_start_from = self.warm_start_from
        return twin

    def __sklearn_tags__(self):
        """Say that samples of more than one axis go in."""
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags
