"""A zarr store on the local disk that has what it says it has, even after a power cut."""

from __future__ import annotations

import asyncio
import errno
import os
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

from zarr.storage import LocalStore

__all__ = ["DurableStore"]


class DurableStore(LocalStore):
    """zarr's LocalStore, with every value on the disk before `set` returns.

    A value is written beside its place, forced to the disk, and moved there in one step, so that
    a reader finds the old or the new one and never half of it.

    Parameters
    ----------
    root : str or Path
        The folder.
    read_only : bool
        As in zarr.

    Examples
    --------
    >>> import tempfile, zarr
    >>> from skstrf.store.durable import DurableStore
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     array = zarr.create_array(DurableStore(folder), shape=(3,), dtype="int8")
    ...     array[:] = [1, 2, 3]
    ...     print(zarr.open_array(folder, mode="r")[:])
    [1 2 3]
    """

    async def set(self, key: str, value: Any) -> None:
        """Write a value, durably."""
        await asyncio.to_thread(self.set_sync, key, value)

    def set_sync(self, key: str, value: Any) -> None:
        """Write a value, durably."""
        _write(Path(self.root) / key, memoryview(value.as_numpy_array()))


def _write(path: Path, data: memoryview) -> None:
    beside = path.with_name(f"{path.name}.{uuid.uuid4().hex}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise OSError(
                error.errno,
                f"{error.strerror}. What was finished before is complete; make room and run the "
                "same again to go on from there",
                str(path),
            ) from error
        raise


def sync_folder(folder: Path) -> None:
    """Force the names in a folder to the disk, where the system can."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
