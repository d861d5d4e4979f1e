"""Store of joblib for arrays of numbers, which are read without running any code."""

from __future__ import annotations

import gzip
import os
import warnings
import zlib
from contextlib import suppress
from typing import Any, BinaryIO

import joblib
import numpy as np
from joblib.memory import CacheWarning, FileSystemStoreBackend, extract_first_line

from skstrf.caching.files import atomic_write

__all__ = ["ArrayStore", "open_memory"]

BACKEND = "skstrf"
# No pickle: Memory.reduce_size goes by the time at which a file of this name was read.
_FILE = "output.pkl"


class ArrayStore(FileSystemStoreBackend):
    """Store of joblib whose entries are arrays with a checksum, never pickles."""

    @staticmethod
    def _open_item(path: str | os.PathLike[str], mode: str) -> Any:
        """Open a file; others, such as pipes, could be read without end."""
        if "r" in mode and not os.path.isfile(path):
            raise FileNotFoundError(f"{path} is no file.")
        return open(path, mode)

    def path(self, call_id: Any) -> str:
        """Return the path of an entry."""
        return os.path.join(self.location, *call_id, _FILE)

    def contains_item(self, call_id: Any) -> bool:
        """Say whether there is an entry, which may be damaged."""
        return os.path.isfile(self.path(call_id))

    def load_item(
        self, call_id: Any, verbose: int = 1, timestamp: Any = None, metadata: Any = None
    ) -> np.ndarray:
        """Read an entry; raise a ValueError if it is damaged or belongs to another call."""
        path = self.path(call_id)
        with self._open_item(path, "rb") as file:
            array, checksum = _read(file, as_map=self.mmap_mode is not None)
        if checksum != _checksum(array, call_id):
            raise ValueError("its checksum is wrong")
        with suppress(OSError):
            os.utime(path)  # also where the system does not note that files are read
        return array

    def dump_item(self, call_id: Any, item: Any, verbose: int = 1) -> None:
        """Write an entry; warn, as joblib does, where that is impossible."""
        path = self.path(call_id)
        try:
            if not isinstance(item, np.ndarray):
                raise ValueError(f"{type(item).__name__} is no array")
            self.create_location(os.path.dirname(path))
            with (
                atomic_write(path, durable=False) as temporary,
                self._open_item(temporary, "wb") as file,
            ):
                _write(file, item, _checksum(item, call_id), self.compress)
        except (OSError, ValueError) as error:
            warnings.warn(f"Unable to cache to disk: {error}", CacheWarning, stacklevel=2)

    def get_cached_func_code(self, call_id: Any) -> str:
        """Read the source that joblib compares, which is never run."""
        try:
            text = super().get_cached_func_code(call_id)
            extract_first_line(text)
        except ValueError as error:
            raise OSError(f"{self.location} holds a damaged func_code.py.") from error
        return text


joblib.register_store_backend(BACKEND, ArrayStore)


def open_memory(memory: Any, *, mmap_mode: str | None = None) -> Any:
    """Return a Memory of arrays without pickle in a folder, or in the folder of a Memory."""
    if memory is None:
        return joblib.Memory(None)
    if isinstance(memory, str | os.PathLike):
        folder, compress = os.fsdecode(memory), False
    elif not isinstance(memory, joblib.Memory):
        raise ValueError(
            f"memory must be None, a folder or a joblib.Memory, got {type(memory).__name__}."
        )
    elif memory.backend not in ("local", BACKEND):
        raise ValueError(
            f"memory has the store backend {memory.backend!r}, from which pickles would be "
            "loaded, which can run code. Give a folder, or a Memory with the backend 'local'."
        )
    else:
        folder, compress = memory.location, memory.compress
        mmap_mode = None if compress else memory.mmap_mode
    try:
        return joblib.Memory(
            folder, backend=BACKEND, mmap_mode=mmap_mode, compress=compress, verbose=0
        )
    except OSError as error:
        raise ValueError(
            f"memory={folder!r} cannot be created as a folder: {error}. "
            "Give a folder that can be written to, or None."
        ) from error


_GZIP = b"\x1f\x8b"


def _write(file: BinaryIO, array: np.ndarray, checksum: bytes, compress: Any) -> None:
    """Write an array as a .npy file, followed by its checksum."""
    if compress:
        level = compress[1] if isinstance(compress, tuple) else compress
        level = level if type(level) is int else 3
        with gzip.GzipFile(fileobj=file, mode="wb", compresslevel=level) as stream:
            np.lib.format.write_array(stream, array, allow_pickle=False)
            stream.write(checksum)
    else:
        np.lib.format.write_array(file, array, allow_pickle=False)
        file.write(checksum)


def _read(file: BinaryIO, *, as_map: bool) -> tuple[np.ndarray, bytes]:
    """Read what `_write` has written; too long a checksum shows that there is more."""
    is_compressed = file.read(len(_GZIP)) == _GZIP
    file.seek(0)
    if as_map and not is_compressed:
        array = np.lib.format.open_memmap(file.name, mode="r")  # which refuses objects
        file.seek(array.offset + array.nbytes)
        return array, file.read(5)
    stream: Any = gzip.GzipFile(fileobj=file) if is_compressed else file
    return np.lib.format.read_array(stream, allow_pickle=False), stream.read(5)


def _checksum(array: np.ndarray, call_id: Any) -> bytes:
    """Return the CRC-32 of the values, their shape and dtype, and the key of the entry."""
    header = repr((*call_id, array.dtype.str, array.shape)).encode()
    return zlib.crc32(np.ascontiguousarray(array).data, zlib.crc32(header)).to_bytes(4, "little")
