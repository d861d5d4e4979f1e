"""Work on devices: what stays there, how much fits, and transfers that overlap with computation.

The functions take the CPU as a device too, for which transfers are plain copies, so that one road
serves both and is tested without a GPU. torch is imported only when it is used.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, TypeVar

from skstrf.utils.arrays import is_torch

if TYPE_CHECKING:
    import torch

__all__ = [
    "HostWriter",
    "check_one_device",
    "fits_share",
    "halve_on_full_device",
    "loaded_ahead",
    "stays_on_device",
    "widest_float",
    "work_bytes",
]

T = TypeVar("T")

# Kinds of devices whose tensors are worked on as numpy arrays, by compiled code for the CPU. Tests
# empty this set, so that tensors on the CPU take the road of those on a GPU.
HOST_KINDS = {"cpu"}
# Kinds of devices without float64.
WITHOUT_FLOAT64 = {"mps"}
# Size of work arrays on a device, and the share of the free memory of a GPU that they may take.
_WORK_BYTES = {"cpu": 256 * 2**20, "cuda": 2 * 2**30}
_WORK_SHARE = 0.25
# Number of parts that are loaded, or wait to be stored, while another is computed.
_AHEAD = 2


def stays_on_device(x: Any) -> bool:
    """Return whether `x` is a torch tensor that is not to be worked on as a numpy array."""
    return is_torch(x) and x.device.type not in HOST_KINDS


def widest_float(device: torch.device) -> torch.dtype:
    """Return float64, or float32 for devices without it."""
    import torch

    return torch.float32 if device.type in WITHOUT_FLOAT64 else torch.float64


def check_one_device(**tensors: Any) -> None:
    """Raise a ValueError if torch tensors given to one call are on several devices."""
    devices = {name: str(x.device) for name, x in tensors.items() if is_torch(x)}
    if len(set(devices.values())) > 1:
        places = " and ".join(f"{name} on {device}" for name, device in devices.items())
        raise ValueError(
            f"The tensors of one call must be on one device; got {places}. Move them with .to()."
        )


def free_bytes(device: torch.device) -> int | None:
    """Return the free memory of a GPU, including what torch holds unused; None for others."""
    import torch

    if device.type != "cuda":
        return None
    held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + held


def work_bytes(device: torch.device) -> int:
    """Return the size of the work arrays that suits a device."""
    limit = _WORK_BYTES.get(device.type, _WORK_BYTES["cpu"])
    free = free_bytes(device)
    return limit if free is None else min(limit, int(_WORK_SHARE * free))


def fits_share(n_bytes: int, device: torch.device, share: float) -> bool:
    """Return whether so many bytes are at most a share of the free memory of a device."""
    free = free_bytes(device)
    return share > 0 and (free is None or n_bytes <= share * free)


def halve_on_full_device(
    run: Callable[[int], T], size: int, smallest: str, device: torch.device
) -> T:
    """Call ``run(size)``, with half the size again and again while the memory is not enough."""
    import torch

    while True:
        try:
            return run(size)
        except torch.OutOfMemoryError as error:
            if size > 1:
                size //= 2
                reason = None
            else:
                reason = str(error)
        # Outside the handler, because the error holds the frames and tensors of the failed call.
        if reason is not None:
            free = free_bytes(device)
            found = "" if free is None else f" of which {free / 1e6:.0f} MB are free,"
            raise MemoryError(
                f"The memory of {device},{found} is too small for {smallest}. Free some of it, "
                f"use shorter sounds, or device='cpu'. torch says: {reason.splitlines()[0]}"
            )
        if device.type == "cuda":
            torch.cuda.empty_cache()


def _on_stream(stream: Any) -> AbstractContextManager:
    import torch

    return nullcontext() if stream is None else torch.cuda.stream(stream)


def _new_stream(device: torch.device) -> Any:
    """Return a stream beside the current one; None for devices without streams."""
    import torch

    return torch.cuda.Stream(device) if device.type == "cuda" else None


def loaded_ahead(
    items: Iterable[Any], load: Callable[[Any], Any], device: torch.device
) -> Iterator[Any]:
    """Yield tensors of ``load(item)`` on a device, while a thread loads and copies the next.

    `load` returns a numpy array or a tensor on the CPU. Copies to a GPU go through pinned memory
    and a stream of their own.
    """
    import torch

    stream = _new_stream(device)

    def task(item: Any) -> tuple[Any, Any]:
        loaded = load(item)
        host = loaded if is_torch(loaded) else torch.from_numpy(loaded)
        if stream is None:
            return host.to(device), None
        with _on_stream(stream):
            tensor = host.pin_memory().to(device, non_blocking=True)
            return tensor, stream.record_event()

    with ThreadPoolExecutor(1) as pool:
        waiting: deque[Future] = deque()
        remaining = iter(items)
        try:
            while True:
                while len(waiting) < _AHEAD:
                    try:
                        waiting.append(pool.submit(task, next(remaining)))
                    except StopIteration:
                        break
                if not waiting:
                    return
                tensor, ready = waiting.popleft().result()
                if ready is not None:
                    current = torch.cuda.current_stream(device)
                    current.wait_event(ready)
                    tensor.record_stream(current)
                yield tensor
        finally:
            for future in waiting:
                future.cancel()


class HostWriter:
    """Copies results from a device into an array of the host while the next are computed.

    A context manager. Leaving it waits for all copies and raises the first error of one.
    """

    def __init__(self, out: Any, device: torch.device):
        self._out, self._device = out, device
        self._stream = _new_stream(device)
        self._pool = ThreadPoolExecutor(1)
        self._waiting: deque[Future] = deque()

    def write(self, start: int, tensor: torch.Tensor) -> None:
        """Copy a tensor, which must not change afterwards, to the rows from `start` on."""
        import torch

        ready = None
        if self._stream is not None:
            self._stream.wait_stream(torch.cuda.current_stream(self._device))
            with _on_stream(self._stream):
                host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
                host.copy_(tensor, non_blocking=True)
                tensor.record_stream(self._stream)
                ready = self._stream.record_event()
            tensor = host
        self._waiting.append(self._pool.submit(self._store, start, tensor, ready))
        while len(self._waiting) > _AHEAD:
            self._waiting.popleft().result()

    def _store(self, start: int, host: torch.Tensor, ready: Any) -> None:
        import torch

        if ready is not None:
            ready.synchronize()
        torch.from_numpy(self._out[start : start + len(host)]).copy_(host)

    def __enter__(self) -> HostWriter:
        return self

    def __exit__(self, kind: Any, *rest: Any) -> None:
        try:
            while kind is None and self._waiting:
                self._waiting.popleft().result()
        finally:
            self._pool.shutdown(wait=True, cancel_futures=True)
