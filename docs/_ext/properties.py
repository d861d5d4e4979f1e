"""For the template of classes: which attributes have words of their own."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module


@dataclass(frozen=True)
class DocumentedProperty:
    """A function that can be pickled with the configuration, and equals itself the next time."""

    def __call__(self, module: str, class_name: str, name: str) -> bool:
        found = getattr(getattr(import_module(module), class_name), name, None)
        return isinstance(found, property) and bool(found.__doc__)
