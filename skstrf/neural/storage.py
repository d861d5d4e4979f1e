"""One file for a fitted network: weights as tensors, everything else as JSON.

Reading it runs no code from the file: no pickle is involved.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from skstrf.neural.architecture import ConvolutionalNetwork, SeparableNetwork, TensorAugmentation
from skstrf.utils.validation import check_is_fitted

__all__ = ["StoredNetwork", "read_network", "write_network"]

logger = logging.getLogger("skstrf")

FITTED = (
    "architecture_",
    "classes_",
    "device_",
    "history_",
    "input_shape_",
    "layer_lr_",
    "n_epochs_to_best_",
    "n_features_in_",
    "n_iter_",
)
PARTS = {p.__name__: p for p in (ConvolutionalNetwork, SeparableNetwork, TensorAugmentation)}
FORMAT = "skstrf.CNNClassifier"
VERSION = 1


def _is_exact(dtype: np.dtype) -> bool:
    """Whether the values become Python ones without loss, as no longdouble does."""
    return dtype.kind in "UO" or (dtype.kind in "biuf" and dtype.itemsize <= 8)


def _encode(value: Any, name: str) -> Any:
    """Turn plain Python and numpy values into what JSON can hold without loss."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, list):
        return [_encode(v, name) for v in value]
    if isinstance(value, tuple):
        return {"tuple": [_encode(v, name) for v in value]}
    if isinstance(value, Mapping):
        pairs = [[_encode(k, name), _encode(v, name)] for k, v in value.items()]
        return {"dict": pairs}
    if type(value).__name__ in PARTS:
        return {"part": type(value).__name__, "params": _encode(value.get_params(), name)}
    if isinstance(value, np.generic):
        return _encode(value.item(), name)
    if isinstance(value, np.ndarray) and value.ndim == 1 and _is_exact(value.dtype):
        items = [_encode(v, name) for v in value.tolist()]
        return {"array": items, "dtype": value.dtype.str}
    raise ValueError(
        f"{name} cannot be saved: {type(value).__name__} is neither a number, a string, nor a "
        "list, tuple, dict or 1-D array of those. Use labels and parameters that are, or pickle."
    )


def _decode(value: Any) -> Any:
    """Undo :func:`_encode`."""
    if isinstance(value, list):
        return [_decode(v) for v in value]
    if not isinstance(value, dict):
        return value
    if "tuple" in value:
        return tuple(_decode(v) for v in value["tuple"])
    if "dict" in value:
        return {_decode(k): _decode(v) for k, v in value["dict"]}
    if "part" in value:
        return PARTS[value["part"]](**_decode(value["params"]))
    dtype = np.dtype(value["dtype"])
    if not _is_exact(dtype):
        raise ValueError(f"no labels of dtype {dtype} are known")
    array = np.empty(len(value["array"]), dtype=dtype)
    array[:] = value["array"]
    return array


def _digest(text: str, weights: Mapping[str, np.ndarray]) -> str:
    """Check sum over everything in the file; safetensors itself has none."""
    sha = hashlib.sha256(text.encode())
    for name in sorted(weights):
        sha.update(name.encode())
        sha.update(weights[name].tobytes())
    return sha.hexdigest()


def write_network(
    path: str | os.PathLike, state: Mapping[str, Any], weights: Mapping[str, np.ndarray]
) -> None:
    """Write a fitted network, whole or not at all."""
    from safetensors.numpy import save

    path = Path(path)
    text = json.dumps({name: _encode(value, name) for name, value in state.items()})
    metadata = {"format": FORMAT, "version": str(VERSION), "state": text}
    metadata["sha256"] = _digest(text, weights)
    content = save({k: np.asarray(v, order="C") for k, v in weights.items()}, metadata)
    # Beside the target, so that the last step is a rename within one file system.
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with open(temporary, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def read_network(path: str | os.PathLike) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Read what :func:`write_network` wrote."""
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"no model file {path}: check the path, or save the model first.")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise unreadable(path, f"not a whole safetensors file ({error})") from error
    if metadata.get("format") != FORMAT:
        raise unreadable(path, "it was not written by CNNClassifier.save")
    if metadata.get("version") != str(VERSION):
        version = metadata.get("version")
        raise unreadable(path, f"its format version is {version}, this release reads {VERSION}")
    text = metadata.get("state", "")
    if _digest(text, weights) != metadata.get("sha256"):
        raise unreadable(path, "its check sum does not match: it was damaged or changed")
    try:
        state = {name: _decode(value) for name, value in json.loads(text).items()}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise unreadable(path, f"its settings cannot be read ({error!r})") from error
    return state, weights


def unreadable(path: str | os.PathLike, reason: str) -> ValueError:
    """Make the error for a file that cannot be used, with what to do about it."""
    return ValueError(
        f"{os.fspath(path)} cannot be loaded as a CNNClassifier: {reason}. Save the model again "
        "with CNNClassifier.save, or copy the file again from where it came."
    )


class StoredNetwork(BaseEstimator):
    """Mixin: pickles, copies and files of a classifier hold values, never a live net.

    The net becomes its weights as arrays, and is built again from them. So any
    pickler can take the classifier, one that admits only plain types too.
    """

    random_state: Any

    def __getstate__(self):
        """Plain Python values and numpy arrays alone: the net becomes its weights."""
        state = dict(super().__getstate__())
        state.pop("_incremental", None)
        net = state.pop("net_", None)
        if net is not None:
            from skstrf.neural.training import weights_of

            state["_weights"] = weights_of(net)
        return state

    def __setstate__(self, state):
        """Take the values and build the net from its weights, on a device of here."""
        state = dict(state)
        weights = state.pop("_weights", None)
        super().__setstate__(state)
        if weights is not None:
            from skstrf.neural.training import restore_net

            restore_net(self, weights)

    def save(self, path):
        """Write the fitted classifier to one file, which holds no pickle.

        The weights are tensors in the safetensors format; parameters, classes
        and history are JSON in its metadata. A file of that name is replaced
        when the new one is complete. `warm_start_from` is not written, as the
        weights have it in them, nor is a RandomState in `random_state`.

        Parameters
        ----------
        path : str or path-like
            The file, usually ending in ``.safetensors``.

        Raises
        ------
        ValueError
            For labels or parameters that JSON cannot hold.
        """
        check_is_fitted(self)
        state = self.__getstate__()
        weights = state.pop("_weights")
        state["warm_start_from"] = None
        if isinstance(self.random_state, np.random.RandomState):
            state["random_state"] = None
        write_network(path, state, weights)

    @classmethod
    def load(cls, path):
        """Read a classifier that `save` wrote; nothing in the file is run.

        Parameters
        ----------
        path : str or path-like
            The file.

        Returns
        -------
        CNNClassifier
            Fitted. With ``device="auto"`` it runs on the best device here.

        Raises
        ------
        FileNotFoundError
            When there is no such file.
        ValueError
            For a damaged, truncated or foreign file.
        """
        state, weights = read_network(path)
        expected = {*cls().get_params(deep=False), *FITTED, "_seed"}
        if set(state) != expected:
            odd = sorted(set(state) ^ expected)
            raise unreadable(path, f"it has other settings than this release ({odd})")
        classifier = cls.__new__(cls)
        try:
            classifier.__setstate__({**state, "_weights": weights})
        except (AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise unreadable(path, f"its weights do not fit its settings ({error})") from error
        return classifier
