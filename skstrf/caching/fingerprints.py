"""Text that tells settings apart, the same in every process."""

from __future__ import annotations

import functools
import hashlib
import types
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any

import joblib
import numpy as np

from skstrf.utils.arrays import is_torch, to_numpy

__all__ = [
    "fingerprint",
]


_PLAIN = (type(None), bool, int, float, complex, str, bytes, range, slice, type(...))
_NAMED = (types.BuiltinFunctionType, np.ufunc, type)


def fingerprint(value: Any) -> str:
    """Text that is equal for equal settings and differs for different ones.

    ``joblib.hash`` alone will not do: it tells equal settings apart when they are one object
    twice rather than two, and a function it knows by name only, whatever its code.
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
    """What the code does, without the file and lines it stands in."""
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
