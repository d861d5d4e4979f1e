"""Training and prediction of networks with skorch, from their first weights to a fitted one."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

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
from skstrf.neural.samples import Images, input_statistics, split_validation
from skstrf.utils.arrays import is_torch, resolve_device, to_numpy
from skstrf.utils.devices import HOST_KINDS, fits_share, loaded_ahead
from skstrf.utils.lazy import Stored

__all__ = [
    "FittedNetwork",
    "fit_network",
    "initial_network",
    "predict_logits",
    "raw_module",
    "restore_net",
    "train_one_epoch",
    "weights_of",
]

logger = logging.getLogger("skstrf")

OPTIMIZERS = {
    "adamw": (torch.optim.AdamW, {}),
    "adam": (torch.optim.Adam, {}),
    "sgd": (torch.optim.SGD, {"momentum": 0.9, "nesterov": True}),
}
# The limits of batch_size="auto".
BATCH_SIZE, SMALLEST_BATCH, FEWEST_BATCHES = 50, 8, 12
# Number of values in the largest layer of one batch in prediction: 64 MB.
LARGEST_BATCH = 2**24


# ---- fitted networks ----


@dataclass(frozen=True)
class FittedNetwork:
    """A net on its device, with what is needed to train it further and to build it again."""

    net: NeuralNet
    architecture: dict[str, Any]
    layer_lr: dict[str, float]
    device: str
    history: list[dict[str, float]]
    n_epochs_to_best: int
    # Whether the net and its optimizer come from `train_one_epoch`, so that it may go on.
    is_incremental: bool = False


def fit_network(
    X: Any,
    codes: np.ndarray,
    weights: np.ndarray,
    classes: np.ndarray,
    settings: Mapping[str, Any],
    *,
    seed: int,
    source: NeuralNet | None = None,
    validation: tuple[Any, np.ndarray, np.ndarray] | None = None,
    callback: Callable[[dict[str, float]], Any] | None = None,
) -> FittedNetwork:
    """Train a new network with the parameters of a classifier."""
    rows = _rows_with_weight(codes, weights, classes)
    device = _device_of(X, settings["device"])
    images, seeds, n_classes = _placed(X, device, settings), _seeds(seed), len(classes)
    module, architecture, layer_lr, is_standardized = _initial_module(
        images, n_classes, settings, seeds[0], source
    )
    valid = None
    if validation is not None:
        valid = _given_validation(validation, n_classes, device, settings)
    elif settings["early_stopping"]:
        rows, held_out = _split(codes, rows, settings, seeds[1])
        if held_out is not None:
            valid = _dataset(images, codes, weights, held_out, n_classes)
    if not is_standardized:
        _standardize(module, images, rows, weights, settings["input_scaling"])
    train = _dataset(images, codes, weights, rows, n_classes, settings["label_smoothing"])
    stops = settings["early_stopping"] and valid is not None
    batch_size = _batch_size(settings["batch_size"], len(rows))
    callbacks = _make_callbacks(
        max_epochs=settings["max_epochs"],
        n_batches=-(-len(train) // batch_size),
        lr_schedule=settings["lr_schedule"],
        patience=settings["patience"] if stops else None,
        has_validation=valid is not None,
        verbose=settings["verbose"],
        compile_module=settings["compile"],
        callback=callback,
    )
    # Permutations are drawn on the CPU, dropout and augmentation on the device.
    module.use_generator(torch.Generator(device).manual_seed(seeds[3]))
    net = _make_net(
        module,
        device,
        {**settings, "batch_size": batch_size, "layer_lr": layer_lr},
        callbacks,
        generator=torch.Generator().manual_seed(seeds[2]),
        validation=valid,
    )
    _run_epochs(net, train, settings["max_epochs"])
    module.use_generator(None)
    history = [_figures(number, row) for number, row in enumerate(net.history, start=1)]
    best = dict(net.callbacks_)["early_stopping"].best_epoch_ if stops else len(history)
    logger.info("CNNClassifier: %d epochs, weights of epoch %d kept", len(history), best)
    return FittedNetwork(net, architecture, layer_lr, device, history, int(best))


def initial_network(
    X: np.ndarray | Stored,
    codes: np.ndarray,
    weights: np.ndarray,
    classes: np.ndarray,
    settings: Mapping[str, Any],
    *,
    seed: int,
    source: NeuralNet | None = None,
) -> FittedNetwork:
    """Build a network with its first weights and its standardization, for `train_one_epoch`."""
    device = _device_of(X, settings["device"])
    images, rows = _placed(X, device, settings), np.flatnonzero(weights > 0)
    if len(classes) < 2:
        _rows_with_weight(codes, weights, classes)
    module, architecture, layer_lr, is_standardized = _initial_module(
        images, len(classes), settings, _seeds(seed)[0], source
    )
    if not is_standardized:
        _standardize(module, images, rows, weights, settings["input_scaling"])
    return FittedNetwork(_make_net(module, device), architecture, layer_lr, device, [], 0)


def train_one_epoch(
    fitted: FittedNetwork,
    X: np.ndarray | Stored,
    codes: np.ndarray,
    weights: np.ndarray,
    settings: Mapping[str, Any],
    *,
    seed: int,
) -> FittedNetwork:
    """Train a network for one more epoch at a constant learning rate, without validation."""
    module, number = raw_module(fitted.net), len(fitted.history) + 1
    if not fitted.is_incremental:
        size = BATCH_SIZE if settings["batch_size"] == "auto" else settings["batch_size"]
        net = _make_net(
            module,
            fitted.device,
            {**settings, "batch_size": size, "layer_lr": fitted.layer_lr},
            _make_callbacks(max_epochs=1, n_batches=1, compile_module=settings["compile"]),
            generator=torch.Generator(),
        )
        fitted = replace(fitted, net=net, is_incremental=True)
    seeds = _seeds(seed, number)
    fitted.net.iterator_train__generator.manual_seed(seeds[2])
    module.use_generator(torch.Generator(fitted.device).manual_seed(seeds[3]))
    rows, n_classes = np.flatnonzero(weights > 0), fitted.architecture["n_classes"]
    images = _placed(X, fitted.device, settings)
    train = _dataset(images, codes, weights, rows, n_classes, settings["label_smoothing"])
    _run_epochs(fitted.net, train, 1)
    module.use_generator(None)
    row = _figures(number, fitted.net.history[-1])
    return replace(fitted, history=[*fitted.history, row], n_epochs_to_best=number)


def restore_net(
    architecture: Mapping[str, Any], weights: Mapping[str, np.ndarray], device: str
) -> tuple[NeuralNet, str]:
    """Build a net for prediction from its weights; also the device, the CPU at worst."""
    module = build_network(architecture)
    expected = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    found = {name: array.shape for name, array in weights.items()}
    if expected != found:
        odd = sorted(k for k in expected | found if expected.get(k) != found.get(k))
        raise ValueError(f"weights and architecture differ in {odd}")
    module = allocate(module)
    module.load_state_dict({name: torch.tensor(array) for name, array in weights.items()})
    try:
        device = resolve_device(device)
    except ValueError:
        logger.warning("device %r is not available: the network is moved to the CPU", device)
        device = "cpu"
    return _make_net(module.eval(), device), device


def weights_of(net: NeuralNet) -> dict[str, np.ndarray]:
    """Copy all weights and statistics of a net to numpy."""
    state = raw_module(net).state_dict()
    return {name: tensor.detach().cpu().numpy().copy() for name, tensor in state.items()}


def raw_module(net: NeuralNet) -> LayeredNet:
    """Give the network itself, without the wrapper of a compiled one."""
    return getattr(net.module_, "_orig_mod", net.module_)


def predict_logits(net: NeuralNet, architecture: Mapping[str, Any], X: Any) -> Any:
    """Compute the scores of all classes in batches of one size."""
    # The number of samples in a batch decides which kernels the libraries below torch choose, and
    # so the last bits of a result. The last batch is filled up with zeros, so that the scores
    # of a sample do not depend on the others.
    images = Images(X)
    device = torch.device(net.device)
    maps = max(layer["out_channels"] for layer in architecture["plan"])
    largest = max(images.shape[1], maps) * images.shape[2] * images.shape[3]
    size = max(1, min(50, LARGEST_BATCH // largest))
    slices = [slice(first, first + size) for first in range(0, len(X), size)]
    scores = []
    for chunk in _on_device(images, slices, device):
        batch = chunk
        if len(chunk) < size:
            batch = chunk.new_zeros((size, *chunk.shape[1:]))
            batch[: len(chunk)] = chunk
        logits = net.evaluation_step((batch, None), training=False)
        scores.append(logits[: len(chunk)])
    result = torch.cat(scores)
    if not result.isfinite().all():
        bad = int((~result.isfinite()).sum())
        raise ValueError(
            f"{bad} scores are not finite: X lies too far outside the range of the training "
            f"data, its largest absolute value is {float(abs(X).max()):.3g}."
        )
    return result.to(X.device) if is_torch(X) else to_numpy(result)


# ---- the start of a training ----


def _seeds(seed: int, epoch: int = 0) -> list[int]:
    """Derive the seeds of the weights, the split, order and mixup, dropout and augmentation."""
    return [int(s) for s in np.random.SeedSequence([seed, epoch]).generate_state(4)]


def _rows_with_weight(codes: np.ndarray, weights: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Find the samples of positive weight, which must be of two classes at least."""
    rows = np.flatnonzero(weights > 0)
    labels = classes[np.unique(codes[rows])].tolist()
    if len(labels) < 2:
        raise ValueError(
            f"CNNClassifier needs samples of at least 2 classes, got {len(labels)} class: "
            f"{labels}. Samples of weight 0 do not count."
        )
    return rows


def _initial_module(
    images: Images,
    n_classes: int,
    settings: Mapping[str, Any],
    seed: int,
    source: NeuralNet | None,
) -> tuple[LayeredNet, dict[str, Any], dict[str, float], bool]:
    """Build the module with its first weights; also whether its standardization was copied."""
    architecture = design_network(
        settings["network"],
        images.shape[1:],
        n_classes,
        channel_axes=images.channel_axes,
        input_scaling=settings["input_scaling"],
        augmentation=settings["augmentation"],
    )
    module = allocate(build_network(architecture))
    initialize(module, torch.Generator().manual_seed(seed))
    copied: list[str] | None = None
    if source is not None:
        copied = copy_layers(raw_module(source), module)
        logger.info("layers copied from warm_start_from: %s", copied)
    names = _names_to_freeze(module, settings["frozen_layers"], copied)
    architecture["frozen"] = names
    module.freeze(names)
    layer_lr = _layer_rates(module, settings["layer_lr"], copied or [])
    return module, architecture, layer_lr, "conv1" in (copied or [])


def _names_to_freeze(
    module: LayeredNet, frozen: int | Sequence[str], copied: list[str] | None
) -> list[str]:
    """Name the layers to freeze; some must be left, and each must have been copied."""
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
            f"frozen_layers names {lost}, which could not be copied from warm_start_from: its "
            "layers of that name have other shapes, or do not exist. Use the same n_filters, "
            "kernel_sizes and shape of samples, or freeze fewer layers."
        )
    return list(names)


def _layer_rates(module: LayeredNet, layer_lr: Any, copied: list[str]) -> dict[str, float]:
    """Expand the factors of the learning rate to the names of layers."""
    if not isinstance(layer_lr, Mapping):
        return {name: float(layer_lr) for name in copied if layer_lr != 1}
    module.check_names(layer_lr)
    numbers = int | float | np.integer | np.floating
    bad = {
        name: factor
        for name, factor in layer_lr.items()
        if not isinstance(factor, numbers) or factor is True or not 0 < factor < math.inf
    }
    if bad:
        raise ValueError(
            f"layer_lr has {bad}: factors of the learning rate must be positive numbers. Name "
            "layers that are not to be trained in frozen_layers."
        )
    return {name: float(factor) for name, factor in layer_lr.items()}


def _standardize(module: LayeredNet, images, rows, weights, over: str) -> None:
    mean, scale = input_statistics(images, rows, weights[rows], over)
    module.standardize.mean.copy_(torch.from_numpy(mean))
    module.standardize.scale.copy_(torch.from_numpy(scale))


# ---- data ----


def _device_of(X: Any, asked: str) -> str:
    """Return the device that was asked for; "auto" is that of a tensor."""
    return str(X.device) if is_torch(X) and asked == "auto" else resolve_device(asked)


class PlacedImages(Images):
    """Images and the device that they are learned on, None for the CPU."""

    device: torch.device | None = None


def _placed(X: Any, device: str, settings: Mapping[str, Any]) -> PlacedImages:
    """Samples as images, in the memory of the device if they fit into their share of it."""
    place = torch.device(device)
    if is_torch(X):
        X = X.to(place)
    images = PlacedImages(X)
    if place.type in HOST_KINDS:
        return images
    images.device = place
    megabytes = images.nbytes / 1e6
    if is_torch(X):
        logger.info("%.0f MB of samples are on %s", megabytes, place)
    elif fits_share(images.nbytes, place, settings["device_share"]):
        logger.info("%.0f MB of samples are kept on %s for all epochs", megabytes, place)
        slices = list(_part_slices(images))
        whole = torch.empty(X.shape, dtype=getattr(torch, str(images.dtype)), device=place)
        for rows, part in zip(slices, loaded_ahead(slices, lambda s: X[s], place), strict=True):
            whole[rows] = part
        images.X = whole
    else:
        logger.info("%.0f MB of samples are read from the host in every epoch", megabytes)
    return images


def _part_slices(images: Images) -> Iterator[slice]:
    """Divide images into slices of about 64 MB."""
    step = max(1, 2**26 * len(images.X) // max(1, images.nbytes))
    return (slice(first, first + step) for first in range(0, len(images.X), step))


def _on_device(
    images: Images, rows: Sequence[Any], device: torch.device | None
) -> Iterator[torch.Tensor]:
    """Yield the images of every slice or array of indices, ahead of time if they are copied."""
    if device is None or device.type in HOST_KINDS or is_torch(images.X):
        for some in rows:
            found = images[some]
            yield found if is_torch(found) else torch.from_numpy(found)
        return
    yield from loaded_ahead(rows, lambda some: np.ascontiguousarray(images[some]), device)


class ArrayDataset(torch.utils.data.Dataset):
    """Some of the samples with their targets, read a whole batch at a time."""

    def __init__(self, images: PlacedImages, targets: torch.Tensor, rows: np.ndarray):
        self.images, self.rows = images, rows
        self.targets = targets if images.device is None else targets.to(images.device)

    def __len__(self) -> int:
        return len(self.rows)

    def batches(
        self, indices: Sequence[np.ndarray]
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield the images and the targets of every array of indices."""
        found = _on_device(self.images, [self.rows[i] for i in indices], self.images.device)
        for index, images in zip(indices, found, strict=True):
            yield images, self.targets[torch.from_numpy(index).to(self.targets.device)]


class Batches:
    """Iterates over batches of nearly equal size, in place of torch's loader."""

    # torch's loader copies sample by sample, draws its seed from the global generator, and may
    # leave a last batch of one sample, which batch normalization cannot use.

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
        for x, targets in self.dataset.batches(np.array_split(order, len(self))):
            if self.generator is not None:
                yield mixup(x, targets, self.alpha, self.generator)
            else:
                yield x, targets


def _dataset(images, codes, weights, rows, n_classes, smoothing=0.0) -> ArrayDataset:
    """Combine samples with targets, which hold the weights of the samples."""
    # With the weights in the targets, the mean cross-entropy of a batch is the weighted one, and
    # mixup of two samples mixes their weights too.
    onehot = np.eye(n_classes)[codes[rows]] * (1 - smoothing) + smoothing / n_classes
    weights = weights[rows] / weights[rows].mean()
    targets = torch.as_tensor((onehot * weights[:, None]).astype(np.float32))
    return ArrayDataset(images, targets, rows)


def _split(codes, rows, settings, seed) -> tuple[np.ndarray, np.ndarray | None]:
    """Hold out a validation part of `rows` where that is possible."""
    parts = split_validation(codes[rows], settings["validation_fraction"], seed)
    if parts is not None:
        return rows[parts[0]], rows[parts[1]]
    logger.warning(
        "%d samples of %d classes leave no validation part with every class in it: training "
        "goes on for max_epochs=%d epochs and keeps the last weights",
        len(rows),
        len(np.unique(codes[rows])),
        settings["max_epochs"],
    )
    return rows, None


def _given_validation(
    validation: tuple[Any, np.ndarray, np.ndarray],
    n_classes: int,
    device: str,
    settings: Mapping[str, Any],
) -> ArrayDataset:
    """Make the dataset of an explicit validation part: samples, codes, weights."""
    X, codes, weights = validation
    rows = np.flatnonzero(weights > 0)
    if not len(rows):
        raise ValueError("validation_data holds no sample with a positive class_weight.")
    return _dataset(_placed(X, device, settings), codes, weights, rows, n_classes)


def _batch_size(asked: int | str, n_samples: int) -> int:
    """Choose the batch size "auto" so that a small training set still has a dozen batches."""
    if asked != "auto":
        return int(asked)
    return min(BATCH_SIZE, max(SMALLEST_BATCH, n_samples // FEWEST_BATCHES))


# ---- nets of skorch ----


class Net(NeuralNet):
    """A net of skorch that may train in bfloat16 and predicts in float32."""

    # Convolutions and dense layers multiply in bfloat16; weights, normalization, loss and
    # optimizer stay in float32. bfloat16 has the range of float32: the loss needs no scaling.

    mixed = False

    def run_single_epoch(self, iterator, training, prefix, step_fn, **fit_params):
        """Run an epoch as skorch does, but read all losses at its end."""
        # skorch reads the loss of every batch, which waits for the GPU each time.
        if iterator is None:
            return
        start = len(self.history[-1]["batches"])
        losses, sizes = [], []
        for batch in iterator:
            self.notify("on_batch_begin", batch=batch, training=training)
            step = step_fn(batch, **fit_params)
            losses.append(step["loss"].detach())
            sizes.append(len(batch[0]))
            self.notify("on_batch_end", batch=batch, training=training, **step)
        rows = self.history[-1]["batches"][start:]
        for row, loss, size in zip(rows, torch.stack(losses).tolist(), sizes, strict=True):
            row[f"{prefix}_loss"], row[f"{prefix}_batch_size"] = loss, size
        self.history.record(f"{prefix}_batch_count", len(losses))

    def infer(self, x, **fit_params):
        """Score a batch, in mixed precision in training if requested."""
        if not (self.mixed and self.module_.training):
            return super().infer(x, **fit_params)
        kind = torch.device(self.device).type
        with torch.autocast(kind, dtype=torch.bfloat16):
            return super().infer(x, **fit_params).float()


# The settings of a net that only predicts; they are replaced before it is trained.
PREDICTION = {
    "optimizer": "adamw",
    "lr": 1e-3,
    "layer_lr": {},
    "weight_decay": 0.0,
    "batch_size": BATCH_SIZE,
    "max_epochs": 1,
    "mixup": 0.0,
    "compile": False,
    "amp": False,
}


def _make_net(
    module: LayeredNet,
    device: str,
    settings: Mapping[str, Any] = PREDICTION,
    callbacks: Sequence[tuple[str, Callback]] = (),
    *,
    generator: torch.Generator | None = None,
    validation: ArrayDataset | None = None,
) -> NeuralNet:
    """Wrap a module in a net of skorch, ready to train or to predict."""
    kind, options = OPTIMIZERS[settings["optimizer"]]
    net = Net(
        module,
        criterion=torch.nn.CrossEntropyLoss,
        optimizer=kind,
        lr=settings["lr"],
        max_epochs=settings["max_epochs"],
        batch_size=settings["batch_size"],
        iterator_train=Batches,
        iterator_train__generator=generator,
        iterator_train__alpha=settings["mixup"],
        iterator_valid=Batches,
        train_split=None if validation is None else predefined_split(validation),
        callbacks=list(callbacks),
        callbacks__print_log=None,
        verbose=0,
        device=device,
        compile=settings["compile"],
        optimizer__weight_decay=settings["weight_decay"],
        optimizer__param_groups=_parameter_groups(settings["lr"], settings["layer_lr"]),
        **{f"optimizer__{key}": value for key, value in options.items()},
    )
    net.mixed = settings["amp"]
    return net.initialize()


def _parameter_groups(
    lr: float, layer_lr: Mapping[str, float]
) -> list[tuple[str, dict[str, Any]]]:
    """Group the parameters of the layers by learning rate and weight decay."""
    groups: list[tuple[str, dict[str, Any]]] = []
    for name, factor in layer_lr.items():
        # The names of layers have a prefix in a compiled network.
        rate = {"lr": lr * factor}
        bare = rate | {"weight_decay": 0.0}
        groups += [(f"*{name}.*.bias", bare), (f"*{name}.norm.*", bare), (f"*{name}.*", rate)]
    return groups + [(pattern, {"weight_decay": 0.0}) for pattern in ("*.bias", "*.norm.*")]


def _run_epochs(net: NeuralNet, dataset: ArrayDataset, n_epochs: int) -> None:
    """Train for `n_epochs` or until early stopping."""
    # partial_fit of skorch ends the training at any keyboard interrupt. Here only its early
    # stopping does, and Ctrl-C ends the program.
    net.notify("on_train_begin", X=dataset, y=None)
    try:
        net.fit_loop(dataset, None, epochs=n_epochs)
    except KeyboardInterrupt:
        stopping = dict(net.callbacks_).get("early_stopping")
        if stopping is None or stopping.misses_ < stopping.patience:
            raise
    net.notify("on_train_end", X=dataset, y=None)


def _figures(number: int, row: Mapping[str, Any]) -> dict[str, float]:
    """Convert one epoch of skorch's history to plain numbers."""
    names = {"train_loss": "train_loss", "valid_loss": "valid_loss", "lr": "lr", "dur": "seconds"}
    names["valid_accuracy"] = "valid_accuracy"
    figures = {new: float(row[old]) for old, new in names.items() if old in row}
    return {"epoch": number, **figures}


# ---- callbacks ----


def _make_callbacks(
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
    if not compile_module:  # a change of the momentum would compile the network again
        callbacks.append(("warm_statistics", WarmStatistics()))
    if lr_schedule is not None:
        monitor = "valid_loss" if has_validation else "train_loss"
        schedule = _schedule(lr_schedule, max_epochs, n_batches, monitor)
        callbacks.append(("lr_schedule", schedule))
    if verbose:
        callbacks.append(("progress", Progress(max_epochs)))
    if patience is not None:
        # With a threshold of 0 the lowest loss counts as the best, by however little.
        stopping = EarlyStopping(
            monitor="valid_loss", patience=patience, threshold=0, load_best=True, sink=logger.debug
        )
        callbacks.append(("early_stopping", stopping))
    if callback is not None:
        callbacks.append(("reporter", Reporter(callback)))
    return callbacks


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
    """Make a cycle whose maximum is the learning rate of each parameter group."""
    peaks = [group["lr"] for group in optimizer.param_groups]
    return torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=peaks, **options)


class Recorder(Callback):
    """Records the learning rate and the accuracy on the validation part."""

    def on_epoch_begin(self, net, **kwargs):
        """Record the learning rate and reset the counts."""
        self.right_, self.total_ = 0, 0
        rates = [float(group["lr"]) for group in net.optimizer_.param_groups]
        net.history.record("lr", max(rates))

    def on_batch_end(self, net, batch, training, y_pred=None, **kwargs):
        """Count the correct predictions of a validation batch."""
        if not training:
            right = y_pred.argmax(1) == batch[1].to(y_pred.device).argmax(1)
            self.right_ = self.right_ + right.sum()  # stays on the device until the end
            self.total_ += len(right)

    def on_epoch_end(self, net, **kwargs):
        """Record the accuracy where there is a validation part."""
        if self.total_:
            net.history.record("valid_accuracy", int(self.right_) / self.total_)


class Divergence(Callback):
    """Ends the training with an error when a loss is not finite."""

    def on_epoch_end(self, net, **kwargs):
        """Check the losses of the epoch."""
        row = net.history[-1]
        if not all(np.isfinite(row[key]) for key in ("train_loss", "valid_loss") if key in row):
            raise TrainingDivergedError(
                f"training diverged: the loss of epoch {len(net.history)} is not finite. Use a "
                "smaller lr, or a network with batch_norm=True."
            )


class Reporter(Callback):
    """Passes the figures of every epoch to a function, whose errors end the training."""

    def __init__(self, function: Callable[[dict[str, float]], Any]):
        self.function: Any = function

    def on_epoch_end(self, net, **kwargs):
        """Report the epoch."""
        self.function(_figures(len(net.history), net.history[-1]))

    def on_train_end(self, net, **kwargs):
        """Drop the function, since the net is kept and may be pickled."""
        self.function = None


class WarmStatistics(Callback):
    """Averages the first ten batches evenly in the running statistics of batch normalization."""

    # They start at mean 0 and variance 1, which still count after ten batches at the usual
    # momentum of 0.1.

    def on_train_begin(self, net, **kwargs):
        """Read the number of batches that each layer has seen."""
        layers = [m for m in net.module_.modules() if isinstance(m, BatchNorm)]
        self.seen_ = [(layer, int(layer.num_batches_tracked or 0)) for layer in layers]
        self.step_ = 0

    def on_batch_begin(self, net, training=False, **kwargs):
        """Set the momentum for the next batch."""
        if training and self.step_ < 10:
            self.step_ += 1
            for layer, before in self.seen_:
                layer.momentum = max(0.1, 1 / (before + self.step_))


class Progress(Callback):
    """Shows a tqdm bar over the epochs."""

    def __init__(self, total: int):
        self.total = total

    def on_train_begin(self, net, **kwargs):
        """Open the bar."""
        from tqdm.auto import tqdm

        self.bar_ = tqdm(total=self.total, desc="CNNClassifier", unit="epoch")

    def on_epoch_end(self, net, **kwargs):
        """Advance the bar and show the latest figures."""
        keys = ("train_loss", "valid_loss", "valid_accuracy")
        row = net.history[-1]
        self.bar_.set_postfix({k: f"{row[k]:.3f}" for k in keys if k in row})
        self.bar_.update()

    def on_train_end(self, net, **kwargs):
        """Close the bar."""
        self.bar_.close()
