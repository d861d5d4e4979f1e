"""Free space on a disk: checked before work begins, and reserved for memory maps."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import numpy as np

from skstrf.utils.messages import escape

__all__ = ["check_free_space", "create_memmap"]

# Bytes that are written at a time where the system cannot reserve space.
BLOCK = 1 << 20


def check_free_space(path: str | os.PathLike[str], n_bytes: float) -> None:
    """Raise a ValueError if the disk of a file or folder has too little room."""
    place = Path(path).absolute()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if free < n_bytes:
        raise ValueError(
            f"{escape(path)} needs about {n_bytes / 1e6:,.1f} MB, but its disk has "
            f"{free / 1e6:,.1f} MB of free space. Make room, or name a folder on another disk."
        )


def create_memmap(
    path: str | os.PathLike[str], dtype: np.typing.DTypeLike, shape: tuple[int, ...]
) -> np.memmap:
    """Create a .npy file of a given shape, and open it as a memory map.

    Its space is reserved: a process that writes to the map of a sparse file on a full disk is
    ended by the system (SIGBUS), without an exception.
    """
    try:
        array = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
        with open(path, "rb+") as file:
            _reserve(file.fileno(), os.fstat(file.fileno()).st_size)
    except OSError as error:
        Path(path).unlink(missing_ok=True)
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        n_bytes = np.prod(shape, dtype=float) * np.dtype(dtype).itemsize
        text = (
            f"{error.strerror}: {n_bytes / 1e6:,.1f} MB are needed for the tensors. Make room, or "
            "use a folder on another disk"
        )
        raise OSError(error.errno, text, os.fspath(path)) from error
    return array


def _reserve(descriptor: int, n_bytes: int) -> None:
    """Reserve the space of a sparse file, whose content stays the same."""
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(descriptor, 0, n_bytes)
            return
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS):
                raise
    start = os.lseek(descriptor, 0, os.SEEK_SET)
    while start < n_bytes:
        block = os.pread(descriptor, BLOCK, start)
        start += os.pwrite(descriptor, block, start)
