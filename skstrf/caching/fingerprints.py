"""Deterministic cache keys of settings, samples and pipeline steps."""

from __future__ import annotations

import functools
import hashlib
import os
import sys
import types
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any

import joblib
import numpy as np

from skstrf.utils.arrays import is_torch, to_numpy

__all__ = [
    "array_key",
    "file_key",
    "fingerprint",
    "hash_strings",
    "is_stateless",
    "stage_settings",
]


def hash_strings(*parts: str) -> str:
    """Return a short hash of several strings, which their division into parts changes too."""
    found = hashlib.blake2b(digest_size=16)
    for part in parts:
        data = part.encode(errors="surrogateescape")
        found.update(len(data).to_bytes(8, "little") + data)
    return found.hexdigest()


def array_key(array: np.ndarray) -> str:
    """Return a hash of the dtype, shape and values of an array of numbers."""
    found = hashlib.blake2b(repr((array.dtype.str, array.shape)).encode(), digest_size=16)
    found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()


def file_key(path: str) -> str:
    """Return a hash of a file's content and of its name's ending, by which decoders go too."""
    try:
        status = os.stat(path)
        return _content_key(path, status.st_size, status.st_mtime_ns, status.st_ino)
    except OSError as error:  # whoever reads the file reports the error
        return hash_strings("not read", path, str(error.errno))


@functools.lru_cache(maxsize=100_000)
def _content_key(path: str, *_unchanged: int) -> str:
    with open(path, "rb") as file:
        content = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16))
    return hash_strings(os.path.splitext(path)[1].lower(), content.hexdigest())


def is_stateless(step: Any) -> bool:
    """Say whether a step maps every sample on its own, whatever it was fitted on.

    Such steps say so themselves: scikit-learn's tag ``requires_fit=False`` does not tell whether
    transform looks at other samples of the batch.
    """
    return bool(getattr(step, "_is_stateless", False))


# Parameters of any estimator that do not change its output.
_WITHOUT_EFFECT = frozenset({"memory", "n_jobs", "verbose"})


def stage_settings(step: Any) -> str:
    """Describe what a pipeline step computes by its class, version and parameters."""
    kind = type(step)
    name = f"{kind.__module__}.{kind.__qualname__}"
    if hasattr(step, "_cache_key"):
        return f"{name} {fingerprint(step._cache_key())}"
    package = sys.modules.get(kind.__module__.partition(".")[0])
    params = {k: v for k, v in step.get_params(deep=False).items() if k not in _WITHOUT_EFFECT}
    return f"{name} {getattr(package, '__version__', '')} {fingerprint(params)}"


_PLAIN = (type(None), bool, int, float, complex, str, bytes, range, slice, type(...))
_NAMED = (types.BuiltinFunctionType, np.ufunc, type)


def fingerprint(value: Any) -> str:
    """Return a text that is equal for equal settings, in every process, and differs for others.

    ``joblib.hash`` alone is not enough: its result depends on whether equal settings are one
    object or two, and it identifies a function by its name, whatever its code.
    """
    return _text(value, ())


def _text(value: Any, within: tuple[int, ...]) -> str:
    if isinstance(value, np.generic | np.ndarray):
        return _array_text(np.asarray(value), within)
    if isinstance(value, _PLAIN) and type(value) in _PLAIN:
        return repr(value)
    if id(value) in within:  # a function may enclose itself
        return "<itself>"
    within = (*within, id(value))
    if isinstance(value, Mapping):
        items = [f"{_text(k, within)}: {_text(v, within)}" for k, v in value.items()]
        return "{" + ", ".join(sorted(items)) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_text(v, within) for v in value) + "]"
    if isinstance(value, AbstractSet):
        return "{" + ", ".join(sorted(_text(v, within) for v in value)) + "}"
    if is_torch(value):
        return "torch " + _array_text(to_numpy(value), within)
    if isinstance(value, _NAMED) and not getattr(value, "__self__", None):
        return f"<{getattr(value, '__module__', None)}.{value.__name__}>"
    if isinstance(value, types.FunctionType | types.MethodType | functools.partial):
        return _function_text(value, within)
    return _object_text(value)


def _array_text(array: np.ndarray, within: tuple[int, ...]) -> str:
    if array.ndim == 0 and array.dtype.kind in "biufcSU" and array.dtype.char not in "gG":
        return repr(array.item())
    if array.dtype.hasobject:
        content = _text(array.tolist(), within)
    else:
        content = hashlib.md5(array.tobytes(), usedforsecurity=False).hexdigest()
    return f"array({np.lib.format.dtype_to_descr(array.dtype)}, {array.shape}, {content})"


def _function_text(function: Any, within: tuple[int, ...]) -> str:
    if isinstance(function, functools.partial):
        parts: tuple[Any, ...] = ("partial", function.func, function.args, function.keywords)
    elif isinstance(function, types.MethodType):
        parts = ("method", function.__func__, function.__self__)
    else:
        cells = [_cell_content(cell) for cell in function.__closure__ or ()]
        defaults = (function.__defaults__, function.__kwdefaults__)
        code = _code_parts(function.__code__)
        parts = (function.__module__, function.__qualname__, code, defaults, cells)
    return "<function " + _text(parts, within) + ">"


def _cell_content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not filled yet
        return ...


def _code_parts(code: types.CodeType) -> list[Any]:
    """Return the instructions of a function, without their file and lines."""
    constants = [_code_parts(c) if isinstance(c, types.CodeType) else c for c in code.co_consts]
    return [code.co_code, code.co_names, code.co_varnames, code.co_freevars, constants]


def _object_text(value: Any) -> str:
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    try:
        return f"<{kind} {joblib.hash(value)}>"
    except Exception as error:  # pickling runs the object's own code, which may raise anything
        raise ValueError(
            f"{value!r:.80} is of the type {kind}, which cannot be pickled, so a cache cannot "
            f"tell it from others ({error}). Set memory=None, or use settings that can be pickled."
        ) from error
