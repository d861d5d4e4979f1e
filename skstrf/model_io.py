"""Fitted models as one file that holds no code: skops' zip of JSON and arrays, without pickle."""

from __future__ import annotations

import io
import json
import os
import uuid
import warnings
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from skstrf._version import __version__

__all__ = [
    "load_model",
    "read_metadata",
    "replacing",
    "save_model",
]


# Beside skops' own entries in the zip, which skops passes over when it reads one.
ENTRY = "skstrf.json"
FORMAT = 1
REMEDY = "Copy it again from where it came, or save the model again with save_model."


def save_model(
    model: Any,
    path: str | os.PathLike[str],
    *,
    metadata: Mapping[str, Any] | None = None,
    trusted: Iterable[str | type] = (),
) -> None:
    """Write an estimator to one file, whole or not at all.

    Parameters
    ----------
    model : BaseEstimator
        An estimator, or a pipeline of them, fitted as a rule.
    path : str or Path
        The file, ``.skops`` by custom. One that exists is replaced once the new one is complete.
    metadata : mapping or None
        Anything that JSON can hold: the classes, sample rate, settings, where the data came
        from. `read_metadata` gives it back; the versions of the packages are added.
    trusted : iterable of str or type
        Types in `model` that are neither of skstrf nor of scikit-learn, your own estimators, say:
        `load_model` must be given the same.

    Raises
    ------
    ValueError
        When `model` is no estimator, holds other types or something that cannot be written
        without pickle, or `metadata` holds something that JSON cannot.

    See Also
    --------
    load_model : Reads the file.

    Notes
    -----
    The format is that of skops: a zip of JSON and ``.npy`` files. No part of it is a pickle.

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
            f"metadata cannot be written as JSON: {error}. Use numbers, texts, lists and dicts."
        ) from error
    try:
        content = skops.io.dumps(model)
        foreign = sorted(set(skops.io.get_untrusted_types(data=content)) - _names(trusted))
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
    with replacing(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())


def load_model(path: str | os.PathLike[str], *, trusted: Iterable[str | type] = ()) -> Any:
    """Read an estimator that `save_model` wrote.

    Only the types of an allow-list are built: the estimators of skstrf and what skops trusts
    of scikit-learn, numpy and scipy. Nothing in the file is run or unpickled.

    Parameters
    ----------
    path : str or Path
        The file.
    trusted : iterable of str or type
        Further types to build, of your own estimators, say: only name those whose code you know.

    Returns
    -------
    BaseEstimator
        The estimator, as it was saved.

    Raises
    ------
    FileNotFoundError
        When there is no such file.
    ValueError
        When the file is damaged or something else than a model, or holds other types.

    Warns
    -----
    UserWarning
        When another version of skstrf wrote the file.

    See Also
    --------
    save_model : Writes the file.
    """
    import skops.io

    path = Path(path)
    content = _read(path)
    allowed = _names(trusted)
    try:
        found = set(skops.io.get_untrusted_types(data=content))
    except Exception as error:  # whatever it is that a damaged file sets off
        raise _unreadable(path, error) from error
    if foreign := sorted(found - allowed):
        raise ValueError(
            f"{path} holds types that are not trusted: {', '.join(foreign)}. If you know them "
            "and where the file came from, name them in trusted; otherwise do not use it."
        )
    _warn_of_version(path, _metadata(path, content))
    try:
        model = skops.io.loads(content, trusted=sorted(allowed))
    except Exception as error:
        raise _unreadable(path, error) from error
    return _checked(model, path)


def read_metadata(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read what `save_model` noted about a model, without building the model."""
    return _metadata(Path(path), _read(Path(path)))


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary file that takes the place of `path` once the block has ended well."""
    path = Path(path)
    # In the same folder, so that the last step is a rename within one file system.
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _names(trusted: Iterable[str | type]) -> set[str]:
    """Names of the types to trust: every public estimator of skstrf, what it holds, and these."""
    import skstrf
    from skstrf.feature_selection import ChannelScores
    from skstrf.neural import ConvolutionalNetwork, SeparableNetwork, TensorAugmentation
    from skstrf.transforms.base import Axis

    public = [getattr(skstrf, name) for name in skstrf.__all__]
    own = [item for item in public if isinstance(item, type) and hasattr(item, "get_params")]
    parts = (ConvolutionalNetwork, SeparableNetwork, TensorAugmentation)
    return {
        item if isinstance(item, str) else f"{item.__module__}.{item.__qualname__}"
        for item in [*own, *parts, Axis, ChannelScores, *trusted]
    }


def _read(path: Path) -> bytes:
    """Read the file; refuse what is not a zip of uncompressed entries, as skops writes it."""
    if not path.exists():
        raise FileNotFoundError(f"There is no model file {path}. Check the path.")
    if path.is_dir():
        raise ValueError(f"{path} is a folder, not a model file. Name the .skops file in it.")
    content = path.read_bytes()
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            # Compressed entries could fill the memory from a small file.
            if any(i.compress_type != zipfile.ZIP_STORED for i in archive.infolist()):
                raise ValueError("its parts are compressed, which save_model never does")
            damaged = archive.testzip()
            if damaged is not None:
                raise ValueError(f"the check sum of its part {damaged} is wrong")
            if not {"schema.json", ENTRY} <= set(archive.namelist()):
                raise ValueError("it was not written by save_model")
    except Exception as error:
        raise _unreadable(path, error) from error
    return content


def _metadata(path: Path, content: bytes) -> dict[str, Any]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        try:
            metadata = json.loads(archive.read(ENTRY))
            known = metadata["format"] == FORMAT and isinstance(metadata["versions"], dict)
        except (ValueError, KeyError, TypeError) as error:
            raise _unreadable(path, error) from error
    if not known:
        raise ValueError(
            f"{path} has the format {metadata['format']!r}, this skstrf {__version__} reads "
            f"{FORMAT}. Use the version that wrote it: {metadata['versions']}."
        )
    return metadata


def _checked(model: Any, path: Path) -> Any:
    from sklearn.base import BaseEstimator

    if not isinstance(model, BaseEstimator):
        raise ValueError(f"{path} holds no estimator but a {type(model).__name__}. {REMEDY}")
    try:
        model.get_params()
    except AttributeError as error:
        raise ValueError(
            f"{path} was written by another version of skstrf, whose estimators had other "
            f"parameters ({error}). Use that version, or fit the model again."
        ) from error
    return model


def _unreadable(path: Path, error: BaseException) -> ValueError:
    reason = str(error) or type(error).__name__
    return ValueError(
        f"{path} is not a model file that can be read: {reason.rstrip('.')}. {REMEDY}"
    )


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    names = ("numpy", "scikit-learn", "skops", "torch")
    return {"skstrf": __version__, **{name: version(name) for name in names}}


def _warn_of_version(path: Path, metadata: Mapping[str, Any]) -> None:
    written = metadata["versions"].get("skstrf")
    if written != __version__:
        warnings.warn(
            f"{path} was written by skstrf {written}, this is {__version__}: it may predict "
            "differently. Fit it again if in doubt.",
            UserWarning,
            stacklevel=3,
        )
