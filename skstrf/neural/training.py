"""Training: the skorch net and its callbacks."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from skorch import NeuralNet
from skorch.callbacks import Callback, EarlyStopping, LRScheduler
from skorch.helper import predefined_split

from skstrf.neural.architecture import design_network
from skstrf.neural.augmentation import mixup
from skstrf.neural.exceptions import TrainingDivergedError
from skstrf.neural.networks import (
    BatchNorm,
    LayeredNet,
    allocate,
    build_network,
    copy_layers,
    initialize,
)
from skstrf.neural.samples import (
    Images,
    fold_channels,
    input_statistics,
    split_validation,
)
from skstrf.utils.arrays import resolve_device
from skstrf.utils.lazy import Stored

if TYPE_CHECKING:
    from skstrf.neural.classifier import CNNClassifier

__all__ = [
    "continue_classifier",
    "fit_classifier",
    "history_rows",
    "make_callbacks",
    "make_net",
    "parameter_groups",
    "predict_logits",
    "restore_net",
    "run_epochs",
    "train_network",
    "weights_of",
]

logger = logging.getLogger("skstrf")


OPTIMIZERS = {
    "adamw": (torch.optim.AdamW, {}),
    "adam": (torch.optim.Adam, {}),
    "sgd": (torch.optim.SGD, {"momentum": 0.9, "nesterov": True}),
}


# Settings of the classifier that decide on the steps of the optimizer.
OPTIMISATION = ("optimizer", "lr", "layer_lr", "weight_decay", "batch_size")


def soft_targets(
    codes: np.ndarray, n_classes: int, weights: np.ndarray, smoothing: float = 0.0
) -> torch.Tensor:
    """Write each sample's weight under its class, a share of it spread over all.

    With the weights in the targets, the mean cross-entropy of a batch is the
    weighted one, and mixing two samples mixes their weights too.
    """
    onehot = np.eye(n_classes)[codes] * (1 - smoothing) + smoothing / n_classes
    weights = weights / weights.mean()
    return torch.as_tensor((onehot * weights[:, None]).astype(np.float32))


class ArrayDataset(torch.utils.data.Dataset):
    """Some of the samples with their targets, read a whole batch at a time."""

    def __init__(
        self, X: np.ndarray | Images, targets: torch.Tensor, rows: np.ndarray | None = None
    ):
        self.X, self.targets = X, targets
        self.rows = np.arange(len(X)) if rows is None else rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.from_numpy(self.X[self.rows[index]]), self.targets[index]


class Batches:
    """What skorch takes in place of torch's loader: batches of nearly one size.

    torch's loader copies sample by sample, draws its seed from the global
    generator, and may leave a last batch of one sample, which batch
    normalization cannot use.
    """

    def __init__(
        self,
        dataset: ArrayDataset,
        batch_size: int,
        generator: torch.Generator | None = None,
        alpha: float = 0.0,
    ):
        self.dataset, self.batch_size = dataset, batch_size
        self.generator, self.alpha = generator, alpha

    def __len__(self) -> int:
        return -(-len(self.dataset) // self.batch_size)

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        order = np.arange(len(self.dataset))
        if self.generator is not None:
            order = torch.randperm(len(order), generator=self.generator).numpy()
        for index in np.array_split(order, len(self)):
            x, targets = self.dataset[index]
            if self.generator is not None:
                x, targets = mixup(x, targets, self.alpha, self.generator)
            yield x, targets


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
            raise TrainingDivergedError(
                f"training diverged: the loss of epoch {len(net.history)} is not finite. Use a "
                "smaller lr, or a network with batch_norm=True."
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
    """Lets the first batches alone set the running statistics of normalization.

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
    """Divide parameters by what the optimizer does with them."""
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
    """Make the callbacks of one training."""
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

    Convolutions and dense layers multiply in bfloat16; weights, normalization, loss and
    optimizer stay in float32. bfloat16 has float32's range: no loss needs scaling.
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
    """Put a network into a skorch net, ready to train or to predict."""
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
    """Read the history of a net as plain numbers."""
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
    """Train a network that has its first weights and its standardization."""
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


# Of batch_size="auto".
BATCH_SIZE, SMALLEST_BATCH, FEWEST_BATCHES = 50, 8, 12
# Floats in the largest layer of one batch at prediction: 64 MB.
LARGEST_BATCH = 2**24


def raw_module(net: NeuralNet) -> LayeredNet:
    """Give the network itself where torch wrapped a compiled one around it."""
    return getattr(net.module_, "_orig_mod", net.module_)


def weights_of(net: NeuralNet) -> dict[str, np.ndarray]:
    """Copy all weights and statistics of a net to numpy."""
    state = raw_module(net).state_dict()
    return {name: tensor.detach().cpu().numpy().copy() for name, tensor in state.items()}


def _present(codes: np.ndarray, weights: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Find the samples that count; at least two classes must be among them."""
    rows = np.flatnonzero(weights > 0)
    labels = classes[np.unique(codes[rows])].tolist()
    if len(labels) < 2:
        raise ValueError(
            f"CNNClassifier needs samples of at least 2 classes, got {len(labels)} class: "
            f"{labels}. Samples of weight 0 do not count."
        )
    return rows


def _split(codes, rows, settings, seed) -> tuple[np.ndarray, np.ndarray | None]:
    """Hold back a validation part of `rows` where one is wanted and possible."""
    if not settings["early_stopping"]:
        return rows, None
    parts = split_validation(codes[rows], settings["validation_fraction"], seed)
    if parts is None:
        logger.warning(
            "%d samples of %d classes leave no validation part with every class in it: training "
            "goes on for max_epochs=%d epochs and keeps the last weights",
            len(rows),
            len(np.unique(codes[rows])),
            settings["max_epochs"],
        )
        return rows, None
    return rows[parts[0]], rows[parts[1]]


def _dataset(images, codes, weights, rows, n_classes, smoothing=0.0) -> ArrayDataset:
    targets = soft_targets(codes[rows], n_classes, weights[rows], smoothing)
    return ArrayDataset(images, targets, rows)


def _explicit_part(
    validation: tuple[np.ndarray | Stored, np.ndarray, np.ndarray], n_classes: int
) -> ArrayDataset:
    """Make the dataset of a validation part that was given: samples, codes, weights."""
    X, codes, weights = validation
    rows = np.flatnonzero(weights > 0)
    if not len(rows):
        raise ValueError("validation_data holds no sample that class_weight leaves a weight.")
    return _dataset(Images(X), codes, weights, rows, n_classes)


def _names_to_freeze(
    module: LayeredNet, frozen: int | Sequence[str], copied: list[str] | None
) -> list[str]:
    """Name the layers to freeze, if their weights are worth keeping and others are left."""
    if isinstance(frozen, int | np.integer):
        names = module.layer_names[: int(frozen)]
    else:
        names = tuple(frozen)
    module.check_names(names)
    if set(names) >= set(module.layer_names):
        raise ValueError(f"frozen_layers={frozen!r} leaves no layer to train.")
    lost = [name for name in names if copied is not None and name not in copied]
    if lost:
        raise ValueError(
            f"frozen_layers names {lost}, which warm_start_from could not fill: its layers of "
            "that name have other shapes, or do not exist. Use the same n_filters, kernel_sizes "
            "and shape of samples, or freeze fewer layers."
        )
    return list(names)


def _layer_rates(module: LayeredNet, layer_lr: Any, copied: list[str]) -> dict[str, float]:
    """Read the factors of the learning rate: by name, or one for all layers that were copied."""
    if not isinstance(layer_lr, Mapping):
        return {name: float(layer_lr) for name in copied if layer_lr != 1}
    module.check_names(layer_lr)
    bad = {name: f for name, f in layer_lr.items() if not (_is_number(f) and 0 < f < math.inf)}
    if bad:
        raise ValueError(
            f"layer_lr has {bad}: factors of the learning rate are positive numbers. Name layers "
            "that shall not learn in frozen_layers."
        )
    return {name: float(factor) for name, factor in layer_lr.items()}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.integer | np.floating) and value is not True


def _source_module(source: Any) -> LayeredNet:
    """Find the network to start from in a fitted classifier or a saved one."""
    from skstrf.neural.classifier import CNNClassifier

    if not hasattr(source, "predict_proba"):
        source = CNNClassifier.load(source)
    net = getattr(source, "net_", None)
    if not isinstance(net, NeuralNet):
        raise ValueError(
            f"warm_start_from={source!r} has no trained network: give a fitted CNNClassifier, or "
            "the file one was saved to."
        )
    return raw_module(net)


def _new_module(
    classifier: CNNClassifier, images: Images, settings: Mapping[str, Any], seed: int
) -> tuple[LayeredNet, bool]:
    """Build the network with its first weights; also whether it knows its standardization."""
    _, n_channels, height, width = images.shape
    shape = (n_channels, height, width)
    classifier.architecture_ = design_network(
        settings["network"],
        shape,
        len(classifier.classes_),
        channel_axes=images.channel_axes,
        input_scaling=settings["input_scaling"],
        augmentation=settings["augmentation"],
    )
    module = allocate(build_network(classifier.architecture_))
    initialize(module, torch.Generator().manual_seed(seed))
    copied: list[str] | None = None
    if settings["warm_start_from"] is not None:
        copied = copy_layers(_source_module(settings["warm_start_from"]), module)
        logger.info("layers copied from warm_start_from: %s", copied)
    names = _names_to_freeze(module, settings["frozen_layers"], copied)
    classifier.architecture_["frozen"] = names
    module.freeze(names)
    classifier.layer_lr_ = _layer_rates(module, settings["layer_lr"], copied or [])
    return module, "conv1" in (copied or [])


def _standardize(module: LayeredNet, images, rows, weights, over: str) -> None:
    mean, scale = input_statistics(images, rows, weights[rows], over)
    module.standardize.mean.copy_(torch.from_numpy(mean))
    module.standardize.scale.copy_(torch.from_numpy(scale))


def _seeds(seed: int, epoch: int = 0) -> list[int]:
    """Four independent seeds: first weights, split, order and mixing, random changes."""
    return [int(s) for s in np.random.SeedSequence([seed, epoch]).generate_state(4)]


def fit_classifier(
    classifier: CNNClassifier,
    X: np.ndarray | Stored,
    codes: np.ndarray,
    weights: np.ndarray,
    validation: tuple[np.ndarray | Stored, np.ndarray, np.ndarray] | None,
    settings: Mapping[str, Any],
) -> None:
    """Train a new network and set the fitted attributes."""
    n_classes = len(classifier.classes_)
    images, seeds = Images(X), _seeds(classifier._seed)
    rows = _present(codes, weights, classifier.classes_)
    device = resolve_device(classifier.device)
    module, is_standardized = _new_module(classifier, images, settings, seeds[0])
    valid = None
    if validation is not None:
        valid = _explicit_part(validation, n_classes)
    else:
        rows, held = _split(codes, rows, settings, seeds[1])
        if held is not None:
            valid = _dataset(images, codes, weights, held, n_classes)
    if not is_standardized:
        _standardize(module, images, rows, weights, settings["input_scaling"])
    train = _dataset(images, codes, weights, rows, n_classes, settings["label_smoothing"])
    stops = settings["early_stopping"] and valid is not None
    settings = {
        **settings,
        "layer_lr": classifier.layer_lr_,
        "patience": settings["patience"] if stops else None,
        "batch_size": _batch_size(settings["batch_size"], len(rows)),
    }
    net = train_network(module, train, valid, settings=settings, device=device, seeds=seeds[2:])
    classifier.net_, classifier.device_ = net, device
    classifier.history_ = history_rows(net)
    classifier.n_iter_ = len(classifier.history_)
    classifier.n_epochs_to_best_ = classifier.n_iter_
    if stops:
        classifier.n_epochs_to_best_ = int(dict(net.callbacks_)["early_stopping"].best_epoch_)
    classifier._incremental = False
    logger.info(
        "CNNClassifier: %d epochs, weights of epoch %d kept",
        classifier.n_iter_,
        classifier.n_epochs_to_best_,
    )


def _batch_size(asked: int | str, n_samples: int) -> int:
    """Choose the batch size "auto" so that a small training set still has a dozen batches."""
    if asked != "auto":
        return int(asked)
    return min(BATCH_SIZE, max(SMALLEST_BATCH, n_samples // FEWEST_BATCHES))


def continue_classifier(
    classifier: CNNClassifier,
    X: np.ndarray | Stored,
    codes: np.ndarray,
    weights: np.ndarray,
    settings: Mapping[str, Any],
) -> None:
    """Train for one epoch more, from new if need be, and set the fitted attributes."""
    images, rows = Images(X), np.flatnonzero(weights > 0)
    first = not hasattr(classifier, "net_")
    if first:
        if len(classifier.classes_) < 2:
            _present(codes, weights, classifier.classes_)
        seed = _seeds(classifier._seed)[0]
        module, is_standardized = _new_module(classifier, images, settings, seed)
        if not is_standardized:
            _standardize(module, images, rows, weights, settings["input_scaling"])
        classifier.device_ = resolve_device(classifier.device)
        classifier.history_, classifier.n_iter_ = [], 0
    else:
        module = raw_module(classifier.net_)
    if not getattr(classifier, "_incremental", False):
        asked = settings["batch_size"]
        size = BATCH_SIZE if asked == "auto" else asked
        settings = {**settings, "layer_lr": classifier.layer_lr_, "batch_size": size}
        classifier.net_ = _plain_net(module, classifier.device_, settings)
        classifier._incremental = True
    net, seeds = classifier.net_, _seeds(classifier._seed, classifier.n_iter_ + 1)
    net.iterator_train__generator.manual_seed(seeds[2])
    module.use_generator(torch.Generator(classifier.device_).manual_seed(seeds[3]))
    smoothing, n_classes = settings["label_smoothing"], len(classifier.classes_)
    run_epochs(net, _dataset(images, codes, weights, rows, n_classes, smoothing), 1)
    module.use_generator(None)
    classifier.n_iter_ += 1
    classifier.n_epochs_to_best_ = classifier.n_iter_
    classifier.history_.append(history_rows(net, 1)[-1] | {"epoch": classifier.n_iter_})


def _plain_net(module: LayeredNet, device: str, settings: Mapping[str, Any]) -> NeuralNet:
    """Make a net that trains at a constant rate, epoch by epoch, without validation."""
    callbacks = make_callbacks(max_epochs=1, n_batches=1, compile_module=settings["compile"])
    return make_net(
        module,
        device=device,
        callbacks=callbacks,
        generator=torch.Generator(),
        mixup_alpha=settings["mixup"],
        compile_module=settings["compile"],
        mixed_precision=settings["amp"],
        **{key: settings[key] for key in OPTIMISATION},
    )


def predict_logits(classifier: CNNClassifier, X: np.ndarray) -> np.ndarray:
    """Score samples, always in batches of one size.

    The number of samples in a batch decides which kernels the libraries under
    torch take, and so the last bits of a result: filling up the last batch with
    zeros makes a sample's scores the same in any company.
    """
    net, images = classifier.net_, fold_channels(X)
    maps = max(layer["out_channels"] for layer in classifier.architecture_["plan"])
    largest = max(images.shape[1], maps) * images.shape[2] * images.shape[3]
    size = max(1, min(50, LARGEST_BATCH // largest))
    scores = []
    for first in range(0, len(images), size):
        chunk = images[first : first + size]
        batch = np.zeros((size, *images.shape[1:]), dtype=X.dtype)
        batch[: len(chunk)] = chunk
        logits = net.evaluation_step((torch.from_numpy(batch), None), training=False)
        scores.append(logits[: len(chunk)].cpu().numpy())
    result = np.concatenate(scores)
    if not np.isfinite(result).all():
        bad = math.prod(result.shape) - int(np.isfinite(result).sum())
        raise ValueError(
            f"{bad} scores are not finite: X lies too far outside the range of the training "
            f"data, its largest absolute value is {np.abs(X).max():.3g}."
        )
    return result


def restore_net(classifier: CNNClassifier, weights: Mapping[str, np.ndarray]) -> None:
    """Build the net of an unpickled or loaded classifier from its weights."""
    module = build_network(classifier.architecture_)
    expected = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    found = {name: array.shape for name, array in weights.items()}
    if expected != found:
        odd = sorted(k for k in expected | found if expected.get(k) != found.get(k))
        raise ValueError(f"weights and architecture differ in {odd}")
    module = allocate(module)
    module.load_state_dict({name: torch.tensor(array) for name, array in weights.items()})
    try:
        device = resolve_device(classifier.device)
    except ValueError:
        logger.warning("device %r is not there: the network goes to the CPU", classifier.device)
        device = "cpu"
    # Enough to predict; partial_fit makes its own, by the parameters of then.
    classifier.net_ = make_net(module.eval(), device=device)
    classifier.device_ = device
    classifier._incremental = False
