"""Packages that one feature alone needs, which an extra of the installation brings."""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["import_optional"]


def import_optional(name: str, *, extra: str) -> Any:
    """Import a module of an optional package; the error otherwise names its extra."""
    package = name.partition(".")[0]
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != package:
            raise  # The package is there and lacks something of its own.
        raise ImportError(
            f"The package {package} is required here and is not installed. Install it with: "
            f'pip install "skstrf[{extra}]"',
            name=package,
        ) from error
