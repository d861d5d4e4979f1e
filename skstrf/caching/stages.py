"""Fitted estimators as bytes that hold plain values and arrays, and name no types to be built."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, clone

__all__ = ["NotPlainError", "dump_fitted", "load_fitted"]


class NotPlainError(ValueError):
    """Raised for estimators that hold other values, such as estimators or functions."""


def dump_fitted(step: Any, records: Sequence[type]) -> bytes:
    """Write what an estimator learned; `records` are types of plain fields that it may hold."""
    cls = type(step)
    own = getattr(cls, "__getstate__", None), getattr(cls, "__setstate__", None)
    if own != (BaseEstimator.__getstate__, BaseEstimator.__setstate__):
        raise NotPlainError("it has its own way of being stored")
    arrays: list[np.ndarray] = []
    # Parameters are looked at, since they may hold what was learned, but they are not read back.
    text = json.dumps(_plain(vars(step), arrays, {kind.__name__: kind for kind in records}))
    stream = io.BytesIO()
    for array in (np.frombuffer(text.encode(), np.uint8), *arrays):
        np.lib.format.write_array(stream, array, allow_pickle=False)
    return stream.getvalue()


def load_fitted(content: bytes, step: Any, records: Sequence[type]) -> Any:
    """Return a copy of an estimator with the attributes that `dump_fitted` has written."""
    stream = io.BytesIO(content)
    text = np.lib.format.read_array(stream, allow_pickle=False).tobytes()
    arrays = []
    while stream.tell() < len(content):
        arrays.append(np.lib.format.read_array(stream, allow_pickle=False))
    attributes = _value(json.loads(text), arrays, {kind.__name__: kind for kind in records})
    fitted = clone(step)
    parameters = fitted.get_params(deep=False)
    vars(fitted).update({k: v for k, v in attributes.items() if k not in parameters})
    return fitted


# JSON has the scalars as they are, and all else as [kind, content].
def _plain(value: Any, arrays: list[np.ndarray], records: dict[str, type]) -> Any:
    kind = type(value)
    if value is None or kind in (bool, int, float, str):
        return value
    if kind in (list, tuple):
        return [kind.__name__, [_plain(item, arrays, records) for item in value]]
    if kind is dict:
        items = [[_plain(part, arrays, records) for part in item] for item in value.items()]
        return ["dict", items]
    if (kind is np.ndarray or isinstance(value, np.generic)) and not value.dtype.hasobject:
        arrays.append(np.asanyarray(value))
        return ["array" if kind is np.ndarray else "scalar", len(arrays) - 1]
    if kind in records.values():
        names = [f.name for f in fields(value)] if is_dataclass(value) else value._fields
        return [kind.__name__, [_plain(getattr(value, n), arrays, records) for n in names]]
    raise NotPlainError(f"it holds a {kind.__name__}")


def _value(stored: Any, arrays: list[np.ndarray], records: dict[str, type]) -> Any:
    if not isinstance(stored, list):
        return stored
    kind, content = stored
    if kind in ("array", "scalar"):
        return arrays[content] if kind == "array" else arrays[content][()]
    if kind == "dict":
        return {_value(k, arrays, records): _value(v, arrays, records) for k, v in content}
    items = [_value(item, arrays, records) for item in content]
    if kind in records:
        return records[kind](*items)
    return {"list": list, "tuple": tuple}[kind](items)
