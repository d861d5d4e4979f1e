"""What tells data and stages apart: short texts, the same in every process."""

from __future__ import annotations

import functools
import hashlib
import os
import sys
from typing import Any

import numpy as np

from skstrf.datasets import AudioLoader
from skstrf.datasets.batch import as_paths
from skstrf.transforms.base import SoundTransformer
from skstrf.transforms.fingerprint import fingerprint

__all__ = ["digest", "learns_nothing", "row_keys", "stage_settings"]

# Parameters of any estimator that change where and how fast, not what.
_WITHOUT_EFFECT = frozenset({"memory", "n_jobs", "verbose"})


def digest(*parts: str) -> str:
    """Make one short text of many.

    Parameters
    ----------
    *parts : str
        In an order that counts.

    Returns
    -------
    str
        32 hexadecimal digits.

    Examples
    --------
    >>> from skstrf.pipeline.keys import digest
    >>> digest("a", "bc") == digest("ab", "c")
    False
    """
    found = hashlib.blake2b(digest_size=16)
    for part in parts:
        data = part.encode()
        found.update(len(data).to_bytes(8, "little") + data)
    return found.hexdigest()


def learns_nothing(step: Any) -> bool:
    """Say whether a stage makes of a sound what does not depend on the others.

    Parameters
    ----------
    step : estimator
        Of a pipeline.

    Returns
    -------
    bool
        True for `AudioLoader` and the transformers of :mod:`skstrf.transforms`.

    Examples
    --------
    >>> from skstrf import MPCA, STRFTransformer
    >>> from skstrf.pipeline import learns_nothing
    >>> learns_nothing(STRFTransformer()), learns_nothing(MPCA())
    (True, False)
    """
    return isinstance(step, AudioLoader | SoundTransformer)


def stage_settings(step: Any) -> str:
    """Tell what a stage computes: its class, its version and its parameters.

    Parameters
    ----------
    step : estimator
        Fitted or not.

    Returns
    -------
    str
        Equal for stages that do the same.
    """
    kind = type(step)
    name = f"{kind.__module__}.{kind.__qualname__}"
    if isinstance(step, SoundTransformer):
        return f"{name} {fingerprint(step._cache_key())}"
    package = sys.modules.get(kind.__module__.partition(".")[0])
    params = {k: v for k, v in step.get_params(deep=False).items() if k not in _WITHOUT_EFFECT}
    return f"{name} {getattr(package, '__version__', '')} {fingerprint(params)}"


def row_keys(X: Any) -> list[str] | None:
    """Tell the samples apart: files and arrays by their content.

    Parameters
    ----------
    X : list, tuple or ndarray
        Paths or numbers.

    Returns
    -------
    list of str or None
        One a sample. None for data of other kinds (dask, torch ...), which are not to be read
        only to tell them apart.
    """
    if not isinstance(X, list | tuple | np.ndarray) or not len(X):
        return None
    paths = as_paths(X)
    if paths is not None:
        return [_file_key(path) for path in paths]
    rows = np.asarray(X)
    if rows.dtype.hasobject:
        return None
    return [_array_key(row) for row in rows]


def _array_key(row: np.ndarray) -> str:
    found = hashlib.blake2b(repr((row.dtype.str, row.shape)).encode(), digest_size=16)
    found.update(np.ascontiguousarray(row).data)
    return found.hexdigest()


def _file_key(path: str) -> str:
    try:
        status = os.stat(path)
        # Decoders go by the ending too.
        return _content_key(path, status.st_size, status.st_mtime_ns, status.st_ino)
    except OSError as error:  # the loader says what is wrong, or makes a row of silence
        return digest("not read", path, str(error.errno))


@functools.lru_cache(maxsize=100_000)
def _content_key(path: str, *unchanged: int) -> str:
    with open(path, "rb") as file:
        content = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16))
    return digest(os.path.splitext(path)[1].lower(), content.hexdigest())
