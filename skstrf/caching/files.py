"""Writing files completely or not at all, under names that are swept if a process is killed."""

from __future__ import annotations

import os
import platform
import re
import shutil
import stat
import tempfile
import time
import uuid
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache, lru_cache
from pathlib import Path

__all__ = [
    "atomic_write",
    "open_to_others",
    "sweep",
    "sync_folder",
    "temporary_folder",
    "temporary_name",
]

# Seconds since its last change after which a temporary file may be abandoned.
ABANDONED = 600
# The computer, the process, and a random part.
_NAME = re.compile(r"\.skstrf-([0-9a-f]{8})-([0-9]{1,10})-[0-9a-f]{32}")


def temporary_name() -> str:
    """Return a new name for a temporary file or folder of this process."""
    return f".skstrf-{_computer()}-{os.getpid()}-{uuid.uuid4().hex}"


@cache
def _computer() -> str:
    return f"{zlib.crc32(platform.node().encode(errors='replace')):08x}"


def sweep(folder: str | os.PathLike[str], *, age: float = ABANDONED) -> None:
    """Remove the temporary files and folders that killed processes have left in a folder.

    Only names of `temporary_name` of this computer are removed, if their process has ended: those
    of another computer that shares the folder may still be in use.
    """
    with suppress(OSError), os.scandir(folder) as found:
        for entry in found:
            name = _NAME.fullmatch(entry.name)
            if name is None or name[1] != _computer() or _is_running(int(name[2])):
                continue
            with suppress(OSError):  # another process has removed it
                if time.time() - entry.stat(follow_symlinks=False).st_mtime >= age:
                    _remove(entry.path)


def open_to_others(path: str | os.PathLike[str]) -> str | None:
    """Return the file or folder through which another user could have written a file, if any.

    A folder like /tmp, in which nobody can replace what belongs to others, is no such folder.
    """
    if os.name == "nt":  # whose permissions the standard library does not read
        return os.fspath(path)
    path = Path(os.path.realpath(path))
    for place in (path, *path.parents):
        status = place.lstat()
        others_write = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        is_sticky = stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX
        if status.st_uid not in (0, os.geteuid()) or (others_write and not is_sticky):
            return str(place)
    return None


_sweep_once = lru_cache(maxsize=256)(sweep)


def _is_running(process: int) -> bool:
    if os.name == "nt":
        return True  # os.kill would end the process instead of asking for it
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _remove(path: str | os.PathLike[str]) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path, ignore_errors=True)
    else:
        os.unlink(path)


@contextmanager
def temporary_folder(parent: str | os.PathLike[str] | None = None) -> Iterator[str]:
    """Provide a folder that is removed after the block; None is the system's temporary folder."""
    parent = tempfile.gettempdir() if parent is None else parent
    sweep(parent)
    # Named before it is made, so that an interrupt at any moment finds it to be removed.
    folder = os.path.join(parent, temporary_name())
    try:
        os.mkdir(folder, mode=0o700)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def atomic_write(path: str | os.PathLike[str], *, durable: bool = True) -> Iterator[Path]:
    """Provide a temporary file that replaces `path` once the block has ended without an error.

    A file that is not durable may be damaged by a failure of the system; it needs a checksum.
    """
    path = Path(path)
    _sweep_once(path.parent)
    # In the same folder, so that the last step is a rename within one file system.
    temporary = path.with_name(temporary_name())
    try:
        yield temporary
        if durable:
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
