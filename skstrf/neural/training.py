"""Training: the skorch net and its callbacks."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from skorch import NeuralNet
from skorch.callbacks import Callback, EarlyStopping, LRScheduler
from skorch.helper import predefined_split

from skstrf.neural.batches import ArrayDataset, Batches
from skstrf.neural.layers import BatchNorm, LayeredNet

__all__ = [
    "history_rows",
    "make_callbacks",
    "make_net",
    "parameter_groups",
    "run_epochs",
    "train_network",
]

logger = logging.getLogger("skstrf")

OPTIMIZERS = {
    "adamw": (torch.optim.AdamW, {}),
    "adam": (torch.optim.Adam, {}),
    "sgd": (torch.optim.SGD, {"momentum": 0.9, "nesterov": True}),
}


# Settings of the classifier that decide on the steps of the optimiser.
OPTIMISATION = ("optimizer", "lr", "layer_lr", "weight_decay", "batch_size")


class Recorder(Callback):
    """Notes the learning rate and the share of validation samples that are right."""

    def on_epoch_begin(self, net, **kwargs):
        """Start counting."""
        self.right_, self.total_ = 0, 0
        rates = [float(group["lr"]) for group in net.optimizer_.param_groups]
        net.history.record("lr", max(rates))

    def on_batch_end(self, net, batch, training, y_pred=None, **kwargs):
        """Count the right answers of a validation batch."""
        if not training:
            right = y_pred.argmax(1).cpu() == batch[1].argmax(1)
            self.right_ += int(right.sum())
            self.total_ += len(right)

    def on_epoch_end(self, net, **kwargs):
        """Write the share down, where there was a validation part."""
        if self.total_:
            net.history.record("valid_accuracy", self.right_ / self.total_)


class Divergence(Callback):
    """Stops with a clear error when the training loss is no longer a number."""

    def on_epoch_end(self, net, **kwargs):
        """Look at the loss of the epoch."""
        row = net.history[-1]
        if not all(np.isfinite(row[key]) for key in ("train_loss", "valid_loss") if key in row):
            raise ValueError(
                f"training diverged: the loss of epoch {len(net.history)} is not finite. Use a "
                "smaller lr, or recipe='modern' with batch_norm=True."
            )


class Reporter(Callback):
    """Hands the figures of every epoch to a function, which may end the training by raising."""

    def __init__(self, function: Callable[[dict[str, float]], Any]):
        self.function: Any = function

    def on_epoch_end(self, net, **kwargs):
        """Report the epoch."""
        self.function(_figures(len(net.history), net.history[-1]))

    def on_train_end(self, net, **kwargs):
        """Let go of the function: the net is kept, and may be pickled."""
        self.function = None


class WarmStatistics(Callback):
    """Lets the first batches alone set the running statistics of normalisation.

    They start at mean 0 and variance 1, which ten batches at the usual momentum
    of 0.1 do not forget; the first ten batches are averaged evenly instead.
    """

    def on_train_begin(self, net, **kwargs):
        """Note how many batches every layer has seen."""
        layers = [m for m in net.module_.modules() if isinstance(m, BatchNorm)]
        self.seen_ = [(layer, int(layer.num_batches_tracked or 0)) for layer in layers]
        self.step_ = 0

    def on_batch_begin(self, net, training=False, **kwargs):
        """Set the momentum for the batch to come."""
        if training and self.step_ < 10:
            self.step_ += 1
            for layer, before in self.seen_:
                layer.momentum = max(0.1, 1 / (before + self.step_))


class Progress(Callback):
    """A tqdm bar over the epochs."""

    def __init__(self, total: int):
        self.total = total

    def on_train_begin(self, net, **kwargs):
        """Open the bar."""
        from tqdm.auto import tqdm

        self.bar_ = tqdm(total=self.total, desc="CNNClassifier", unit="epoch")

    def on_epoch_end(self, net, **kwargs):
        """Move it on, with the latest figures."""
        keys = ("train_loss", "valid_loss", "valid_accuracy")
        row = net.history[-1]
        self.bar_.set_postfix({k: f"{row[k]:.3f}" for k in keys if k in row})
        self.bar_.update()

    def on_train_end(self, net, **kwargs):
        """Close it."""
        self.bar_.close()


def _schedule(name: str, n_epochs: int, n_batches: int, monitor: str) -> LRScheduler:
    """Make the skorch callback of a learning-rate schedule."""
    schedulers = torch.optim.lr_scheduler
    steps = n_epochs * n_batches
    if name == "plateau":
        return LRScheduler(schedulers.ReduceLROnPlateau, monitor=monitor, factor=0.3, patience=5)
    if name == "cosine":
        return LRScheduler(schedulers.CosineAnnealingLR, step_every="batch", T_max=steps)
    return LRScheduler(_one_cycle, step_every="batch", total_steps=steps)


def _one_cycle(optimizer: torch.optim.Optimizer, **options: Any) -> Any:
    """Make a cycle for every group of parameters, up to the rate it was made with."""
    peaks = [group["lr"] for group in optimizer.param_groups]
    return torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=peaks, **options)


def parameter_groups(lr: float, layer_lr: Mapping[str, float]) -> list[tuple[str, dict[str, Any]]]:
    """Divide parameters by what the optimiser does with them.

    Parameters
    ----------
    lr : float
        Learning rate of layers that are not named.
    layer_lr : mapping of str to float
        What `lr` is multiplied by in the named layers.

    Returns
    -------
    list of (str, dict)
        Patterns of names and the settings of their group, as skorch takes them: the first
        pattern that fits counts. Biases and normalisation are without weight decay.

    Examples
    --------
    >>> from skstrf.neural.training import parameter_groups
    >>> [pattern for pattern, _ in parameter_groups(0.1, {"conv1": 0.5})]
    ['*conv1.*.bias', '*conv1.norm.*', '*conv1.*', '*.bias', '*.norm.*']
    """
    groups: list[tuple[str, dict[str, Any]]] = []
    for name, factor in layer_lr.items():
        # A compiled network has a prefix before its layers' names.
        rate = {"lr": lr * factor}
        bare = rate | {"weight_decay": 0.0}
        groups += [(f"*{name}.*.bias", bare), (f"*{name}.norm.*", bare), (f"*{name}.*", rate)]
    return groups + [(pattern, {"weight_decay": 0.0}) for pattern in ("*.bias", "*.norm.*")]


def make_callbacks(
    *,
    max_epochs: int,
    n_batches: int,
    lr_schedule: str | None = None,
    patience: int | None = None,
    has_validation: bool = False,
    verbose: bool = False,
    compile_module: bool = False,
    callback: Callable[[dict[str, float]], Any] | None = None,
) -> list[tuple[str, Callback]]:
    """Make the callbacks of one training.

    Parameters
    ----------
    max_epochs, n_batches : int
        Epochs at most, and batches in one of them: the length of a schedule.
    lr_schedule : {"onecycle", "cosine", "plateau"} or None
        See :class:`~skstrf.neural.CNNClassifier`.
    patience : int or None
        Epochs without a lower validation loss after which training stops, and
        the weights of the lowest come back; None trains to the end.
    has_validation : bool
        Whether there is a validation part to look at.
    verbose : bool
        Show a progress bar.
    compile_module : bool
        Whether torch compiles the network.
    callback : callable or None
        Gets a row of :func:`history_rows` after every epoch.

    Returns
    -------
    list of (str, Callback)
        As skorch takes them.
    """
    callbacks: list[tuple[str, Callback]] = [
        ("recorder", Recorder()),
        ("divergence", Divergence()),
    ]
    if not compile_module:  # a compiled network would be compiled anew at every change
        callbacks.append(("warm_statistics", WarmStatistics()))
    if lr_schedule is not None:
        monitor = "valid_loss" if has_validation else "train_loss"
        schedule = _schedule(lr_schedule, max_epochs, n_batches, monitor)
        callbacks.append(("lr_schedule", schedule))
    if verbose:
        callbacks.append(("progress", Progress(max_epochs)))
    if patience is not None and has_validation:
        # A threshold of 0: the lowest loss counts as the best, by however little.
        stopping = EarlyStopping(
            monitor="valid_loss", patience=patience, threshold=0, load_best=True, sink=logger.debug
        )
        callbacks.append(("early_stopping", stopping))
    if callback is not None:
        callbacks.append(("reporter", Reporter(callback)))
    return callbacks


class Net(NeuralNet):
    """skorch's net, which may learn in bfloat16 where that does no harm, and predicts in float32.

    Convolutions and dense layers multiply in bfloat16; weights, normalisation, loss and
    optimiser stay in float32. bfloat16 has float32's range: no loss needs scaling.
    """

    mixed = False

    def infer(self, x, **fit_params):
        """Score a batch, in mixed precision in training if that was asked for."""
        if not (self.mixed and self.module_.training):
            return super().infer(x, **fit_params)
        kind = torch.device(self.device).type
        with torch.autocast(kind, dtype=torch.bfloat16):
            return super().infer(x, **fit_params).float()


def make_net(
    module: LayeredNet,
    *,
    device: str,
    optimizer: str = "adamw",
    lr: float = 1e-3,
    layer_lr: Mapping[str, float] | None = None,
    weight_decay: float = 0.0,
    batch_size: int = 50,
    max_epochs: int = 1,
    callbacks: Sequence[tuple[str, Callback]] = (),
    generator: torch.Generator | None = None,
    mixup_alpha: float = 0.0,
    compile_module: bool = False,
    mixed_precision: bool = False,
    validation: ArrayDataset | None = None,
) -> NeuralNet:
    """Put a network into a skorch net, ready to train or to predict.

    Parameters
    ----------
    module : LayeredNet
        With its weights; moved to `device`.
    device : str
        Where it runs.
    optimizer : {"adamw", "adam", "sgd"}
        The last with Nesterov momentum of 0.9.
    lr, weight_decay : float
        The decay leaves biases and normalisation alone.
    layer_lr : mapping of str to float, optional
        What `lr` is multiplied by in the layers named.
    batch_size, max_epochs : int
        Samples in a batch, and epochs of a call of its ``fit``.
    callbacks : sequence of (str, Callback)
        From :func:`make_callbacks`.
    generator : torch.Generator, optional
        Shuffles and mixes, on the CPU.
    mixup_alpha : float
        See :func:`~skstrf.neural.augment.mixup`.
    compile_module : bool
        Whether torch compiles it.
    mixed_precision : bool
        Whether training multiplies in bfloat16.
    validation : ArrayDataset, optional
        The validation part.

    Returns
    -------
    skorch.NeuralNet
        Initialised.
    """
    kind, options = OPTIMIZERS[optimizer]
    net = Net(
        module,
        criterion=torch.nn.CrossEntropyLoss,
        optimizer=kind,
        lr=lr,
        max_epochs=max_epochs,
        batch_size=batch_size,
        iterator_train=Batches,
        iterator_train__generator=generator,
        iterator_train__alpha=mixup_alpha,
        iterator_valid=Batches,
        train_split=None if validation is None else predefined_split(validation),
        callbacks=list(callbacks),
        callbacks__print_log=None,
        verbose=0,
        device=device,
        compile=compile_module,
        optimizer__weight_decay=weight_decay,
        optimizer__param_groups=parameter_groups(lr, layer_lr or {}),
        **{f"optimizer__{key}": value for key, value in options.items()},
    )
    net.mixed = mixed_precision
    return net.initialize()


def run_epochs(net: NeuralNet, dataset: ArrayDataset, n_epochs: int) -> None:
    """Train for `n_epochs` or until early stopping.

    skorch's own ``partial_fit`` takes any keyboard interrupt for the end of the
    training; here only its early stopping ends it, and Ctrl-C stops the program.

    Parameters
    ----------
    net : skorch.NeuralNet
        Changed in place.
    dataset : ArrayDataset
        The training part.
    n_epochs : int
        How often to go through it.
    """
    net.notify("on_train_begin", X=dataset, y=None)
    try:
        net.fit_loop(dataset, None, epochs=n_epochs)
    except KeyboardInterrupt:
        stopping = dict(net.callbacks_).get("early_stopping")
        if stopping is None or stopping.misses_ < stopping.patience:
            raise
    net.notify("on_train_end", X=dataset, y=None)


def history_rows(net: NeuralNet, first_epoch: int = 1) -> list[dict[str, float]]:
    """Read the history of a net as plain numbers.

    Parameters
    ----------
    net : skorch.NeuralNet
        Trained.
    first_epoch : int
        Number of its first epoch.

    Returns
    -------
    list of dict
        One an epoch: ``epoch``, ``train_loss``, ``lr``, ``seconds`` and, with a
        validation part, ``valid_loss`` and ``valid_accuracy``.
    """
    return [_figures(number, row) for number, row in enumerate(net.history, start=first_epoch)]


def _figures(number: int, row: Mapping[str, Any]) -> dict[str, float]:
    names = {"train_loss": "train_loss", "valid_loss": "valid_loss", "lr": "lr", "dur": "seconds"}
    names["valid_accuracy"] = "valid_accuracy"
    figures = {new: float(row[old]) for old, new in names.items() if old in row}
    return {"epoch": number, **figures}


def train_network(
    module: LayeredNet,
    training: ArrayDataset,
    validation: ArrayDataset | None,
    *,
    settings: Mapping[str, Any],
    device: str,
    seeds: Sequence[int],
) -> NeuralNet:
    """Train a network that has its first weights and its standardisation.

    Parameters
    ----------
    module : LayeredNet
        Changed in place.
    training, validation : ArrayDataset
        The two parts; the second may be None.
    settings : mapping
        ``optimizer``, ``lr``, ``weight_decay``, ``lr_schedule``, ``batch_size``,
        ``layer_lr`` (by names of layers), ``max_epochs``, ``patience`` (None: to
        the end), ``mixup``, ``compile``, ``amp``, ``verbose`` and, if there is one,
        ``callback``, as in :class:`~skstrf.neural.CNNClassifier`.
    device : str
        Where to train.
    seeds : sequence of int
        For the order and mixing of samples, and for dropout and augmentation.

    Returns
    -------
    skorch.NeuralNet
        With the best or the last weights.
    """
    # Drawn where it is used: a permutation on the CPU, masks on the device.
    module.use_generator(torch.Generator(device).manual_seed(int(seeds[1])))
    callbacks = make_callbacks(
        max_epochs=settings["max_epochs"],
        n_batches=-(-len(training) // settings["batch_size"]),
        has_validation=validation is not None,
        compile_module=settings["compile"],
        callback=settings.get("callback"),
        **{key: settings[key] for key in ("lr_schedule", "patience", "verbose")},
    )
    net = make_net(
        module,
        device=device,
        callbacks=callbacks,
        generator=torch.Generator().manual_seed(int(seeds[0])),
        mixup_alpha=settings["mixup"],
        compile_module=settings["compile"],
        mixed_precision=settings["amp"],
        validation=validation,
        **{key: settings[key] for key in OPTIMISATION},
    )
    run_epochs(net, training, settings["max_epochs"])
    module.use_generator(None)
    return net
