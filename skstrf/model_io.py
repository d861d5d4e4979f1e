"""Model files, which hold fitted estimators as JSON and arrays without pickle."""

from __future__ import annotations

import gc
import importlib
import inspect
import io
import json
import os
import warnings
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

import numpy as np

from skstrf._version import __version__
from skstrf.caching.files import atomic_write
from skstrf.utils.messages import escape

__all__ = [
    "load_model",
    "read_metadata",
    "save_model",
]

# This entry of the zip lies beside those of skops, which ignores it.
ENTRY = "skstrf.json"
FORMAT = 1
REMEDY = "Copy it again from where it came, or save the model again with save_model."
# Parameters that belong to one machine or process, with their values in every model file.
LOCAL = {"memory": None, "warm_start_from": None, "callback": None, "device": "auto"}
# Types of skstrf that are trusted although they are no estimators: plain values.
VALUES = {"skstrf.transforms.base.Axis", "skstrf.feature_selection.ChannelScores"}


def save_model(
    model: Any,
    path: str | os.PathLike[str],
    *,
    metadata: Mapping[str, Any] | None = None,
    trusted: Iterable[str | type] = (),
) -> None:
    """Write an estimator to a file that holds no pickle.

    The file is replaced only when the new one is complete. Parameters that belong to one
    machine are not written: `memory`, `warm_start_from` and `callback` become None, `device`
    becomes "auto". `model` itself keeps them.

    Parameters
    ----------
    model : estimator
        Estimator or pipeline, usually fitted, such as a single :class:`skstrf.CNNClassifier`
        or a pipeline from sound files to classes.
    path : str or path-like
        Path of the file, usually with the extension ``.skops``.
    metadata : mapping, default=None
        JSON-serializable information, such as the classes, the sampling rate or the origin of
        the data. `read_metadata` returns it together with the versions of the packages.
    trusted : iterable of str or type, default=()
        Types in `model` that are part of neither skstrf nor scikit-learn, such as your own
        estimators. `load_model` needs the same.

    Raises
    ------
    ValueError
        If `model` is not an estimator, holds other types or values that cannot be written
        without pickle, or if `metadata` is not JSON-serializable.
    OSError
        If the file cannot be written.

    See Also
    --------
    load_model : Reads the file.

    Notes
    -----
    The format is that of skops: a zip archive of JSON and ``.npy`` files.

    Examples
    --------
    >>> import tempfile
    >>> from skstrf import AudioLoader
    >>> from skstrf.model_io import load_model, read_metadata, save_model
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_model(AudioLoader(duration=2.0), f"{folder}/a.skops", metadata={"by": "me"})
    ...     load_model(f"{folder}/a.skops"), read_metadata(f"{folder}/a.skops")["by"]
    (AudioLoader(duration=2.0), 'me')
    """
    import skops.io
    from sklearn.base import BaseEstimator

    if not isinstance(model, BaseEstimator):
        raise ValueError(f"model must be an estimator, got {type(model).__name__}: {model!r:.80}.")
    try:
        text = json.dumps({**(metadata or {}), "format": FORMAT, "versions": _versions()})
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"metadata cannot be written as JSON: {error}. Use numbers, strings, lists and dicts."
        ) from error
    try:
        copies: dict[int, Any] = {}
        content = skops.io.dumps(_portable(model, copies))
        for estimator in copies.values():
            _check_keys(estimator)
        foreign = _foreign(skops.io.get_untrusted_types(data=content), trusted)
    except Exception as error:  # skops has no common class for what it cannot write
        raise ValueError(
            f"{type(model).__name__} holds something that cannot be saved without pickle: "
            f"{error}. Leave it out of the parameters."
        ) from error
    if foreign:
        raise ValueError(
            f"{type(model).__name__} holds types that load_model would not trust: "
            f"{', '.join(foreign)}. Name them in trusted, there as here, or leave them out."
        )
    buffer = io.BytesIO(content)
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr(ENTRY, text)
    with atomic_write(path) as temporary:
        temporary.write_bytes(buffer.getvalue())


def load_model(path: str | os.PathLike[str], *, trusted: Iterable[str | type] = ()) -> Any:
    """Read an estimator from a file that `save_model` wrote.

    Only known types are built: the estimators of skstrf and the types of scikit-learn, numpy
    and scipy that skops trusts. Nothing in the file is executed or unpickled, and its values of
    `memory`, `warm_start_from`, `callback` and `device` are ignored, as is `n_jobs` above the
    number of cores, which becomes -1.

    Parameters
    ----------
    path : str or path-like
        Path of the file.
    trusted : iterable of str or type, default=()
        Further types to build, such as your own estimators. Name only types whose code you know.

    Returns
    -------
    estimator
        The estimator as it was saved, on the best device that is available.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged, is not a model file, or holds other types. The message names
        the version of skstrf that wrote the file where this is known.

    Warns
    -----
    UserWarning
        If another version of skstrf wrote the file. Parameters that this version added take
        their defaults, and those that it does not have are dropped.

    See Also
    --------
    save_model : Writes the file.

    Examples
    --------
    >>> import tempfile
    >>> from skstrf import TensorScaler
    >>> from skstrf.model_io import load_model, save_model
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_model(TensorScaler(), f"{folder}/scaler.skops")
    ...     load_model(f"{folder}/scaler.skops")
    TensorScaler()
    """
    import skops.io
    from sklearn.base import BaseEstimator

    path = Path(path)
    content, shown = _read(path), escape(path)
    written = str(_metadata(path, content)["versions"].get("skstrf"))
    try:
        found = set(skops.io.get_untrusted_types(data=content))
    except Exception as error:  # a damaged file can raise anything
        raise _unreadable(path, error) from error
    foreign = _foreign(found, trusted)
    if gone := [name for name in foreign if name.startswith("skstrf.")]:
        raise ValueError(
            f"{shown} was written by skstrf {written} and holds {', '.join(gone)}, which skstrf "
            f"{__version__} does not have. Use version {written}, or fit the model again."
        )
    if foreign:
        raise ValueError(
            f"{shown} holds types that are not trusted: {', '.join(foreign)}. If you know them "
            "and where the file came from, name them in trusted; otherwise do not use it."
        )
    if written != __version__:
        warnings.warn(
            f"{shown} was written by skstrf {written}, this is {__version__}: its predictions may "
            "differ. Fit the model again if in doubt.",
            UserWarning,
            stacklevel=2,
        )
    try:
        model = skops.io.loads(content, trusted=sorted(found))
    except Exception as error:
        if written == __version__:
            raise _unreadable(path, error) from error
        raise ValueError(
            f"{shown} was written by skstrf {written} and cannot be read by {__version__}: "
            f"{error}. Use version {written}, or fit the model again."
        ) from error
    if not isinstance(model, BaseEstimator):
        raise ValueError(f"{shown} holds no estimator but a {type(model).__name__}. {REMEDY}")
    estimators = _estimators_within(model)
    for estimator in estimators:
        _forget_machine(estimator)
    changes = [text for estimator in estimators for text in _match_signature(estimator)]
    if changes:
        warnings.warn(
            f"{shown} was written by skstrf {written}, whose estimators had other parameters: "
            f"{'; '.join(changes)}.",
            UserWarning,
            stacklevel=2,
        )
    try:
        model.get_params()
    except AttributeError as error:  # of an estimator of another package
        raise ValueError(
            f"{shown} was written with other versions of the packages, whose estimators had other "
            f"parameters ({error}). Use those versions, or fit the model again."
        ) from error
    except Exception as error:  # a crafted pipeline can raise anything
        raise _unreadable(path, error) from error
    return model


def read_metadata(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read the metadata of a model file without building the model."""
    return _metadata(Path(path), _read(Path(path)))


def _portable(value: Any, copies: dict[int, Any]) -> Any:
    """Copy an estimator and those within it, with the local parameters at their neutral values."""
    from sklearn.base import BaseEstimator
    from sklearn.utils import Bunch

    if isinstance(value, type) or id(value) in copies:
        return copies.get(id(value), value)
    if isinstance(value, BaseEstimator):
        # Neither __init__ nor __setstate__ runs: a network is not built again.
        twin = copies[id(value)] = object.__new__(type(value))
        parameters = set(type(value)._get_param_names())
        # What an estimator turns into plain values itself, such as a network, stays as it is.
        plain = type(value).__getstate__ is BaseEstimator.__getstate__
        for name, item in vars(value).items():
            inside = plain or name in parameters
            vars(twin)[name] = _portable(item, copies) if inside else item
        for name in LOCAL.keys() & parameters:
            vars(twin)[name] = LOCAL[name]
        return twin
    if type(value) in (list, tuple):
        return type(value)([_portable(item, copies) for item in value])
    if type(value) in (dict, Bunch):
        return type(value)({key: _portable(item, copies) for key, item in value.items()})
    return value


def _estimators_within(model: Any) -> list[Any]:
    """Find all estimators that an object holds, in whatever attribute or container."""
    from sklearn.base import BaseEstimator

    found, seen, todo = [], set(), [model]
    while todo:
        item = todo.pop()
        # What these refer to, such as the globals of a module, does not come from a file.
        if id(item) in seen or isinstance(
            item, type | ModuleType | FunctionType | BuiltinFunctionType
        ):
            continue
        seen.add(id(item))
        # The net of skorch that CNNClassifier builds has a device of its own, and no class method.
        if isinstance(item, BaseEstimator) and inspect.ismethod(type(item)._get_param_names):
            found.append(item)
        # The garbage collector knows what any object refers to, except for arrays.
        is_array = isinstance(item, np.ndarray) and item.dtype == object
        todo += item.ravel().tolist() if is_array else gc.get_referents(item)
    return found


def _forget_machine(estimator: Any) -> None:
    """Set the parameters that belong to another machine to their neutral values."""
    attributes = vars(estimator)
    for name in LOCAL.keys() & set(type(estimator)._get_param_names()):
        attributes[name] = LOCAL[name]
    n_jobs = attributes.get("n_jobs")
    if isinstance(n_jobs, int) and n_jobs > (os.cpu_count() or 1):
        attributes["n_jobs"] = -1


def _check_keys(estimator: Any) -> None:
    """Refuse dicts with boolean keys, all of which skops reads as True."""
    from sklearn.base import BaseEstimator

    if type(estimator).__getstate__ is not BaseEstimator.__getstate__:
        return
    for name, value in vars(estimator).items():
        if isinstance(value, dict) and any(isinstance(key, bool | np.bool_) for key in value):
            raise ValueError(f"{name} is a dict with the keys True or False")


def _match_signature(estimator: Any) -> list[str]:
    """Add parameters that an estimator of skstrf lacks, drop those it has no more; say which."""
    cls = type(estimator)
    if not cls.__module__.startswith("skstrf."):
        return []
    parameters = inspect.signature(cls.__init__).parameters
    defaults = {name: p.default for name, p in parameters.items() if p.default is not p.empty}
    attributes = vars(estimator)
    missing = sorted(defaults.keys() - attributes.keys())
    known = {*parameters, *(name for name in attributes if name[0] == "_" or name[-1] == "_")}
    unknown = sorted(attributes.keys() - known)
    attributes.update({name: defaults[name] for name in missing})
    for name in unknown:
        del attributes[name]
    return [
        *([f"{cls.__name__} takes the defaults of {', '.join(missing)}"] if missing else []),
        *([f"{cls.__name__} has no {', '.join(unknown)}"] if unknown else []),
    ]


def _foreign(names: Iterable[str], trusted: Iterable[str | type]) -> list[str]:
    """List the types that are neither trusted by the user nor estimators or values of skstrf."""
    known = {
        item if isinstance(item, str) else f"{item.__module__}.{item.__qualname__}"
        for item in trusted
    }
    return sorted(name for name in names if name not in known | VALUES and not _is_own(name))


def _is_own(name: str) -> bool:
    """Whether a type is an estimator of skstrf; only modules of skstrf are imported for it."""
    from sklearn.base import BaseEstimator

    module, _, attribute = name.rpartition(".")
    if not module.startswith("skstrf.") or "__" in name:
        return False
    try:
        value = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError):
        return False
    return isinstance(value, type) and issubclass(value, BaseEstimator)


def _read(path: Path) -> bytes:
    """Read the file and check that it is a zip of uncompressed entries, as skops writes it."""
    if not path.exists():
        raise FileNotFoundError(f"There is no model file {escape(path)}. Check the path.")
    if path.is_dir():
        raise ValueError(
            f"{escape(path)} is a folder, not a model file. Name the .skops file in it."
        )
    if not path.is_file():  # reading it could wait or go on forever
        raise ValueError(
            f"{escape(path)} is a pipe or a device, not a model file. Copy the model to a file."
        )
    try:
        with zipfile.ZipFile(path) as archive:
            _check_parts(archive, path.stat().st_size)
        content = path.read_bytes()
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            _check_parts(archive, len(content))
            damaged = archive.testzip()
            if damaged is not None:
                raise ValueError(f"the check sum of its part {damaged} is wrong")
            _count_nodes(json.loads(archive.read("schema.json")), {})
    except Exception as error:  # a damaged file can raise anything
        raise _unreadable(path, error) from error
    return content


def _check_parts(archive: zipfile.ZipFile, n_bytes: int) -> None:
    """Check that the parts are those of a model, and are not more than the file."""
    parts = archive.infolist()
    # Compressed or overlapping parts could fill the memory from a small file.
    if any(part.compress_type != zipfile.ZIP_STORED for part in parts):
        raise ValueError("its parts are compressed, which save_model never does")
    if sum(part.file_size for part in parts) > n_bytes:
        raise ValueError("its parts overlap")
    if not {"schema.json", ENTRY} <= set(archive.namelist()):
        raise ValueError("it was not written by save_model")


def _count_nodes(node: Any, known: dict[Any, int]) -> int:
    """Count the nodes of a schema, which refers to earlier ones only by repeating them.

    A short reference to a long node, repeated in other nodes, would never come to an end.
    """
    if isinstance(node, list):
        return sum(_count_nodes(item, known) for item in node)
    if not isinstance(node, dict):
        return 0
    n_nodes = 1 + sum(_count_nodes(item, known) for item in node.values())
    identity = node.get("__id__")
    if identity is not None and known.setdefault(identity, n_nodes) != n_nodes:
        raise ValueError("two different parts of it have one identity")
    return n_nodes


def _metadata(path: Path, content: bytes) -> dict[str, Any]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        try:
            metadata = json.loads(archive.read(ENTRY))
            known = metadata["format"] == FORMAT and isinstance(metadata["versions"], dict)
        except Exception as error:  # JSON can be anything, and nested too deeply
            raise _unreadable(path, error) from error
    if not known:
        raise ValueError(
            f"{escape(path)} has the format {metadata['format']!r}, this skstrf {__version__} "
            f"reads {FORMAT}. Use the version that wrote it: {metadata['versions']}."
        )
    return metadata


def _unreadable(path: Path, error: BaseException) -> ValueError:
    reason = str(error) or type(error).__name__
    return ValueError(
        f"{escape(path)} is not a model file that can be read: {reason.rstrip('.')}. {REMEDY}"
    )


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    names = ("numpy", "scikit-learn", "skops", "torch")
    return {"skstrf": __version__, **{name: version(name) for name in names}}
