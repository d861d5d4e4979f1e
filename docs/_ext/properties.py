"""Tell the template of classes which attributes are properties with a docstring."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module


@dataclass(frozen=True)
class DocumentedProperty:
    """Function that can be pickled and compared, as the configuration of sphinx requires."""

    def __call__(self, module: str, class_name: str, name: str) -> bool:
        found = getattr(getattr(import_module(module), class_name), name, None)
        return isinstance(found, property) and bool(found.__doc__)
