"""Writing files completely or not at all."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["atomic_write", "sync_folder"]


@contextmanager
def atomic_write(path: str | os.PathLike[str], *, suffix: str = ".tmp") -> Iterator[Path]:
    """Provide a temporary file that replaces `path` once the block has ended without an error.

    A process that is killed may leave the file behind, whose name ends in `suffix`.
    """
    path = Path(path)
    # In the same folder, so that the last step is a rename within one file system.
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}{suffix}")
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def sync_folder(folder: str | os.PathLike[str]) -> None:
    """Force the names in a folder to the disk, where the system can."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
