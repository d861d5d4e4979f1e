"""CNNClassifier: a convolutional network as a scikit-learn classifier of tensors."""

from __future__ import annotations

import os
from copy import copy
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets

from skstrf.neural.architecture import ConvolutionalNetwork, SeparableNetwork, TensorAugmentation
from skstrf.neural.samples import (
    check_labels,
    check_sample_weight,
    check_samples,
    class_weights,
    encode_labels,
    parts,
    readable,
)
from skstrf.utils.arrays import is_torch, to_numpy
from skstrf.utils.devices import check_one_device, widest_float
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

__all__ = ["CNNClassifier", "make_eremeeva2017_classifier"]

# The parameters whose default None stands for an object with parameters of its own.
_PARTS = {"network": ConvolutionalNetwork, "augmentation": TensorAugmentation}


class CNNClassifier(ClassifierMixin, BaseEstimator):
    """Convolutional neural network for samples of any order.

    The last two axes of `X` are the image that the filters move over; the axes
    between the samples and the image are folded into its channels. An STRF
    tensor `(n_sounds, n_scales, n_rates, n_freqs, n_frames)` is an image of
    frequency by time with n_scales x n_rates channels. 3-D data have one
    channel, and 2-D data are images with a single row.

    The default network has the layers of [1]_ (section 7), adapted to the size
    of the image. The other defaults add what learning from a few hundred clips
    needs: batch normalization, dropout, mixup, label smoothing, weight decay and
    a learning-rate schedule. `make_eremeeva2017_classifier` gives the network of
    [1]_ without these.

    Parameters
    ----------
    network : ConvolutionalNetwork, SeparableNetwork or None, default=None
        Layout of the network; None stands for ``ConvolutionalNetwork()``.
        Its parameters are reached by names such as ``network__dropout`` in
        `set_params` and in parameter grids, also when it is None.
    augmentation : TensorAugmentation or None, default=None
        Random changes of the training samples; None stands for
        ``TensorAugmentation()``, which is mixup. Its parameters are reached by
        names such as ``augmentation__mixup``.
    input_scaling : {"all", "channel", "cell"}, default="all"
        Part of the training data over which the mean and the standard deviation
        are computed that standardize the input: all values together, each
        channel, or each cell of each channel. "cell" suits input that is not an
        image, such as the components of an MPCA.
    label_smoothing : float, default=0.1
        Fraction of each target that is distributed over all classes.
    optimizer : {"adamw", "adam", "sgd"}, default="adamw"
        Optimizer; "sgd" uses Nesterov momentum of 0.9.
    lr : float, default=5e-3
        Learning rate; the maximum of the schedule where there is one.
    weight_decay : float, default=1e-2
        Weight decay, which biases and normalization layers are exempt from.
    lr_schedule : {"onecycle", "cosine", "plateau"} or None, default="onecycle"
        Learning-rate schedule. "onecycle" rises and falls and "cosine" falls,
        both over `max_epochs`; "plateau" multiplies the rate by 0.3 after five
        epochs without a lower loss.
    batch_size : int or "auto", default="auto"
        Number of samples in a training batch. "auto" is 50, or less, down to 8,
        where an epoch of `fit` would otherwise have less than twelve batches:
        a few dozen samples would be learned in a handful of steps.
    max_epochs : int, default=40
        Maximum number of epochs.
    early_stopping : bool, default=False
        Whether to hold out a validation part (or use `validation_data`), stop
        when its loss no longer decreases, and restore the weights of the lowest
        one. Otherwise, or with too few samples for a validation part, training
        takes `max_epochs` epochs and the last weights are kept. Disabled by
        default: on small data sets the held-out samples are more useful for
        training, and the learning rate ends near zero.
    validation_fraction : float, default=0.1
        Fraction of the samples to hold out, stratified by class.
    patience : int, default=15
        Number of epochs without a lower validation loss before training stops.
    class_weight : "balanced", dict or None, default=None
        Weights of the classes in the loss; classes missing from a dict have
        weight 1.
    warm_start_from : CNNClassifier, str, path-like or None, default=None
        Fitted classifier, or a file with a saved one, whose layers initialize
        the network: every layer of the same shape is copied except the output
        layer, and the standardization of the input is copied with the first
        layer. Clones keep this parameter, so that searches and cross-validation
        can use it.
    frozen_layers : int or sequence of str, default=0
        Layers that are not trained: the number of first layers, or names
        ("conv1", "conv2", ..., "hidden", "output").
    layer_lr : float or dict of str to float, default=1.0
        Factors of `lr` in some layers: a number applies to all layers copied
        from `warm_start_from` (0.1 lets them change slowly under a new output
        layer), a dict has the names of layers as in `frozen_layers`.
    device : str, default="auto"
        Device of the computation: "cpu", "cuda" ("cuda:1", ...), or "auto", which
        is CUDA when available.
    compile : bool, default=False
        Whether to compile the network with `torch.compile`: the start is slow,
        the epochs are faster. The running statistics of batch normalization then
        start at zero, which affects very short trainings.
    amp : bool, default=False
        Whether to train with automatic mixed precision in bfloat16; weights,
        normalization and predictions stay in float32. Faster on a GPU, and on a
        CPU with bfloat16 instructions only.
    device_share : float, default=0.5
        Share of the free memory of a GPU that the training samples may take. If they fit, they
        stay there for all epochs; otherwise, and with 0, every batch is read from the host while
        the one before is learned. The log says which. The result is the same.
    random_state : int, RandomState instance or None, default=None
        Seed of the initial weights, the order of the samples, the validation
        part and the augmentation. On the CPU the same integer gives the same
        bits.
    verbose : bool, default=False
        Whether to show a progress bar over the epochs.

    Attributes
    ----------
    net_ : skorch.NeuralNet
        Trained net; ``net_.module_`` is the torch module.
    classes_ : ndarray of shape (n_classes,)
        Class labels.
    history_ : list of dict
        One entry per epoch with the keys ``epoch``, ``train_loss`` (on the
        augmented training data), ``lr`` (the highest of all layers),
        ``seconds`` and, with a validation part, ``valid_loss`` and
        ``valid_accuracy``.
    n_epochs_to_best_ : int
        Number of epochs up to the weights that were kept.
    n_iter_ : int
        Number of epochs trained.
    architecture_ : dict
        Description of the network as it was built; ``architecture_["plan"]``
        lists the kernel, stride, pool and output image of each layer.
    device_ : str
        Device that the network is on.
    layer_lr_ : dict of str to float
        Factors of the learning rate of the layers where it differs from 1.
    input_shape_ : tuple of int
        Shape of a sample.
    n_features_in_ : int
        Length of the second axis of `X` in fit.

    See Also
    --------
    make_eremeeva2017_classifier : The network of [1]_ without regularization.
    pretrain_masked : Trains the convolutional layers without labels.

    Notes
    -----
    The input may have any scale, since the network begins with its
    standardization. Computation is in float32; float64 input is standardized in
    float64 first.

    `X` may be larger than memory. Each batch of a `numpy.memmap` or zarr array
    is read when it is needed; the chunks of a zarr array should hold few samples,
    as those of ``skstrf transform`` do. A dask array is computed once, block by
    block, into a temporary file (into memory up to 64 MB), since each epoch takes
    the samples in another order. The results equal those of the same samples in
    memory. `predict_proba` and `predict` read such arrays batch by batch, and are
    lazy for a dask array.

    The classifier has its own random generators: the global ones of torch are
    neither read nor set, so that fits in several threads do not disturb each
    other. With ``random_state=None`` the seed is drawn from numpy's global
    generator, as in scikit-learn.

    References
    ----------
    .. [1] E. Eremeeva, "Transform analysis and music style transfer with deep
       neural networks", ATIAM report, IRCAM, 2017.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf.neural import CNNClassifier, ConvolutionalNetwork
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat(["flat", "ramp"], 30)
    >>> X = rng.normal(size=(60, 2, 8, 6)) + 2 * (y == "ramp")[:, None, None, None] * np.arange(6)
    >>> network = ConvolutionalNetwork(n_filters=8)
    >>> clf = CNNClassifier(network, max_epochs=20, random_state=0).fit(X, y)
    >>> clf.predict(X[[0, 59]])
    array(['flat', 'ramp'], dtype='<U4')
    """

    _parameter_constraints: dict = {
        "network": [ConvolutionalNetwork, SeparableNetwork, None],
        "augmentation": [TensorAugmentation, None],
        "input_scaling": [StrOptions({"all", "channel", "cell"})],
        "label_smoothing": [Interval(Real, 0, 1, closed="left")],
        "optimizer": [StrOptions({"adamw", "adam", "sgd"})],
        "lr": [Interval(Real, 0, 1e30, closed="right")],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
        "lr_schedule": [StrOptions({"onecycle", "cosine", "plateau"}), None],
        "batch_size": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
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
        "device_share": [Interval(Real, 0, 1, closed="both")],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        network=None,
        augmentation=None,
        *,
        input_scaling="all",
        label_smoothing=0.1,
        optimizer="adamw",
        lr=5e-3,
        weight_decay=1e-2,
        lr_schedule="onecycle",
        batch_size="auto",
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
        device_share=0.5,
        random_state=None,
        verbose=False,
    ):
        self.network = network
        self.augmentation = augmentation
        self.input_scaling = input_scaling
        self.label_smoothing = label_smoothing
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
        self.device_share = device_share
        self.random_state = random_state
        self.verbose = verbose

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, *, sample_weight=None, validation_data=None, callback=None):
        """Fit a new network to labeled samples.

        Parameters
        ----------
        X : array-like, torch.Tensor, zarr.Array or dask array of shape \
                (n_samples, ..., height, width)
            Training samples of any order; a tensor on a GPU never leaves it. Other dtypes than
            float32 and float64 are converted to float64, half precision to float32.
        y : array-like of shape (n_samples,)
            Labels of any sortable type, of at least two classes.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the samples in the loss, which multiply those of `class_weight`. Samples
            of weight 0 are ignored.
        validation_data : (array-like, array-like), default=None
            Samples and labels of the validation part, instead of a random
            `validation_fraction` of `X`. Without early stopping it is only
            evaluated, for `history_`.
        callback : callable, default=None
            Function that is called after every epoch with its entry of `history_`. An
            exception ends the training; the pruning of a search uses this.

        Returns
        -------
        self : CNNClassifier
            The fitted classifier.

        Raises
        ------
        ValueError
            If `X` holds NaN or infinity, `y` has a single class, the device is not
            available, the layers do not fit each other, or a dask array has chunks of unknown
            size or blocks of other shapes.
        TrainingDivergedError
            If the loss is not finite.
        OSError
            If the disk is too small for the temporary file of a dask array.
        """
        from skstrf.neural.training import fit_network

        if validation_data is not None:
            check_one_device(X=X, validation_data=validation_data[0])
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
        fitted = fit_network(
            X,
            codes,
            weights,
            self.classes_,
            self._settings(),
            seed=self._seed,
            source=self._source_net(),
            validation=validation,
            callback=callback,
        )
        return self._keep(fitted)

    @fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y, classes=None, *, sample_weight=None):
        """Train the network for one more epoch on the given samples.

        There is no validation part, and the learning rate stays at `lr`. The
        first call on a new classifier builds the network and computes the
        standardization from its samples. Consecutive calls share the state of the
        optimizer, which is new after `fit` and after unpickling.

        Parameters
        ----------
        X : array-like of shape (n_samples, ..., height, width)
            Training samples.
        y : array-like of shape (n_samples,)
            Labels.
        classes : array-like of shape (n_classes,), default=None
            All classes, in the first call; by default those of `y`.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the samples in the loss.

        Returns
        -------
        self : CNNClassifier
            The classifier.

        Raises
        ------
        ValueError
            If `y` holds labels that are not among the classes, and as in `fit`.
        """
        from skstrf.neural.training import FittedNetwork, initial_network, train_one_epoch

        first = not hasattr(self, "net_")
        X, y = self._check_data(X, y, reset=first)
        check_classification_targets(y)
        if self.class_weight == "balanced":
            raise ValueError(
                "class_weight='balanced' needs all samples at once: use a dict or "
                "sample_weight with partial_fit."
            )
        if first:
            self.classes_ = np.unique(y if classes is None else np.asarray(classes))
            self._seed = self._draw_seed()
        elif classes is not None and not np.array_equal(np.unique(classes), self.classes_):
            raise ValueError(
                f"classes={list(classes)} differs from the classes of the first call, "
                f"{self.classes_.tolist()}: leave it out, or use a new classifier."
            )
        codes = encode_labels(y, self.classes_)
        weights = check_sample_weight(sample_weight, len(X))
        weights = weights * class_weights(self.class_weight, self.classes_, codes)
        settings = self._settings()
        if first:
            source = self._source_net()
            fitted = initial_network(
                X, codes, weights, self.classes_, settings, seed=self._seed, source=source
            )
        else:
            fitted = FittedNetwork(
                self.net_,
                self.architecture_,
                self.layer_lr_,
                self.device_,
                self.history_,
                self.n_epochs_to_best_,
                self._is_incremental,
            )
        return self._keep(train_one_epoch(fitted, X, codes, weights, settings, seed=self._seed))

    def predict_proba(self, X):
        """Predict the probabilities of all classes.

        Parameters
        ----------
        X : array-like, torch.Tensor, zarr.Array or dask array of shape \
                (n_samples, ..., height, width)
            Samples of the shape seen in fit.

        Returns
        -------
        ndarray, torch.Tensor or dask array of shape (n_samples, n_classes)
            Probabilities, whose rows sum to 1; float32 for float32 input, otherwise float64.
            Lazy for a dask array; a tensor on the device of `X` for a tensor.

        Raises
        ------
        ValueError
            If `X` has another shape of samples than in fit, holds NaN or infinity, or holds
            values so large that the scores are not finite.
        """
        from skstrf.neural.training import predict_logits

        check_is_fitted(self)
        given, X = X, check_samples(self, X, reset=False)
        if is_dask(X):
            # A copy, since fitting again must not change the lazy result.
            return map_samples(X, copy(self).predict_proba, (len(self.classes_),), X.dtype)
        if isinstance(X, Stored):
            return np.concatenate([self.predict_proba(X[rows]) for rows in parts(X)])
        logits = predict_logits(self.net_, self.architecture_, X)
        if is_torch(X):
            return logits.to(widest_float(X.device)).softmax(1).to(X.dtype)
        logits = logits.astype(np.float64)
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        proba = (odds / odds.sum(axis=1, keepdims=True)).astype(X.dtype)
        return _like(proba, given) if is_torch(given) else proba

    def predict(self, X):
        """Predict the most probable class.

        Parameters
        ----------
        X : array-like, zarr.Array or dask array of shape (n_samples, ..., height, width)
            Samples of the shape seen in fit.

        Returns
        -------
        ndarray or dask array of shape (n_samples,)
            Labels, of the dtype of `classes_`. Lazy for a dask array.

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
        return self.classes_[to_numpy(proba.argmax(1))]

    def get_params(self, deep=True):
        """Get the parameters of this estimator.

        Parameters
        ----------
        deep : bool, default=True
            Whether to include the parameters of `network` and `augmentation`, of
            their defaults where these are None.

        Returns
        -------
        dict of str to any
            Parameter names mapped to their values.
        """
        params = super().get_params(deep)
        for name, default in _PARTS.items():
            if deep and params[name] is None:
                nested = default().get_params()
                params.update({f"{name}__{key}": value for key, value in nested.items()})
        return params

    def set_params(self, **params):
        """Set the parameters of this estimator, of its network and of its augmentation.

        Parameters
        ----------
        **params : dict
            Parameters; names such as ``network__dropout`` reach those of an object. Where
            it is None, its default object is set first.

        Returns
        -------
        self : CNNClassifier
            The classifier.
        """
        for name, default in _PARTS.items():
            nested = any(key.startswith(f"{name}__") for key in params)
            if nested and params.get(name, getattr(self, name)) is None:
                params[name] = default()
        return super().set_params(**params)

    def _validate_params(self):
        """Validate the parameters, and those of the network and the augmentation."""
        super()._validate_params()
        for part in (self.network, self.augmentation):
            if part is not None:
                part._validate_params()

    def _settings(self) -> dict[str, Any]:
        """Collect the parameters, with the default objects in the place of None."""
        settings = self.get_params(deep=False)
        for name, default in _PARTS.items():
            settings[name] = default() if settings[name] is None else settings[name]
        changes = settings["augmentation"].get_params(deep=False)
        return settings | {"mixup": changes.pop("mixup"), "augmentation": changes}

    def _source_net(self) -> Any:
        """Find the trained net that `warm_start_from` stands for."""
        source = self.warm_start_from
        if source is None:
            return None
        if not hasattr(source, "predict_proba"):
            from skstrf.model_io import load_model

            source = load_model(source)
        net = getattr(source, "net_", None)
        if not hasattr(net, "module_"):
            raise ValueError(
                f"warm_start_from={source!r} has no trained network: give a fitted "
                "CNNClassifier, or the file of a saved one."
            )
        return net

    def _keep(self, fitted: Any) -> CNNClassifier:
        """Set the fitted attributes."""
        self.net_, self.device_ = fitted.net, fitted.device
        self.architecture_, self.layer_lr_ = fitted.architecture, fitted.layer_lr
        self.history_, self.n_iter_ = fitted.history, len(fitted.history)
        self.n_epochs_to_best_ = fitted.n_epochs_to_best
        self._is_incremental = fitted.is_incremental
        return self

    def __getstate__(self):
        """Replace the net by its weights, so that any pickler can take the classifier."""
        state = dict(super().__getstate__())
        state.pop("_is_incremental", None)
        if isinstance(state.get("class_weight"), dict):
            # The keys of a JSON object would all be strings.
            state["class_weight"] = tuple(state["class_weight"].items())
        net = state.pop("net_", None)
        if net is not None:
            from skstrf.neural.training import weights_of

            state["_weights"] = weights_of(net)
        return state

    def __setstate__(self, state):
        """Build the net from its weights, on a device that is available."""
        state = dict(state)
        weights = state.pop("_weights", None)
        if isinstance(state.get("class_weight"), tuple):
            state["class_weight"] = dict(state["class_weight"])
        super().__setstate__(state)
        if weights is not None:
            from skstrf.neural.training import restore_net

            self.net_, self.device_ = restore_net(
                self.architecture_, weights, state.get("device", "auto")
            )
            self._is_incremental = False

    def _draw_seed(self) -> int:
        return int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))

    def _check_data(self, X, y, *, reset):
        """Check samples and labels, and make the samples readable in any order."""
        X = check_samples(self, X, reset=reset)
        y = check_labels(self, X, y)
        return readable(self, X), y

    def _check_validation(self, X, y) -> tuple[Any, np.ndarray, np.ndarray]:
        """Check an explicit validation part and give its samples, codes and weights."""
        X = check_samples(self, X, reset=False)
        y = to_numpy(y)
        if y.shape != (len(X),):
            raise ValueError(
                f"validation_data has {len(X)} samples and labels of shape {y.shape}: give "
                "(samples, labels), one label for each sample."
            )
        codes = encode_labels(y, self.classes_)
        return readable(self, X), codes, class_weights(self.class_weight, self.classes_, codes)

    def __sklearn_clone__(self):
        """Clone the parameters, but keep a fitted `warm_start_from`."""
        twin = super().__sklearn_clone__()
        twin.warm_start_from = self.warm_start_from
        return twin

    def __sklearn_tags__(self):
        """Accept samples with more than one axis."""
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags


def _like(array: np.ndarray, tensor: Any) -> Any:
    import torch

    return torch.from_numpy(array).to(tensor.device)


def make_eremeeva2017_classifier(**params: Any) -> CNNClassifier:
    """Make a classifier with the network of the 2017 report, without regularization.

    The network of [1]_, section 7, has neither batch normalization nor dropout. It is
    trained in batches of 50 without augmentation, label smoothing, weight decay and
    learning-rate schedule.

    Parameters
    ----------
    **params : dict
        Parameters of :class:`CNNClassifier`, which take precedence. Names such as
        ``network__n_filters`` change one parameter of the network.

    Returns
    -------
    CNNClassifier
        The classifier, not fitted.

    References
    ----------
    .. [1] E. Eremeeva, "Transform analysis and music style transfer with deep
       neural networks", ATIAM report, IRCAM, 2017.

    Examples
    --------
    >>> from skstrf.neural import make_eremeeva2017_classifier
    >>> clf = make_eremeeva2017_classifier(lr=1e-3, network__n_filters=32)
    >>> clf.network
    ConvolutionalNetwork(batch_norm=False, dropout=0.0, n_filters=32)
    """
    classifier = CNNClassifier(
        network=ConvolutionalNetwork(batch_norm=False, dropout=0.0),
        augmentation=TensorAugmentation(mixup=0.0),
        input_scaling="all",
        label_smoothing=0.0,
        weight_decay=0.0,
        lr_schedule=None,
        batch_size=50,
    )
    return classifier.set_params(**params)
