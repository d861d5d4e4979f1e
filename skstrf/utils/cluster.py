"""Computation on a dask cluster; dask is imported only when a cluster is used."""

from __future__ import annotations

import time
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import islice
from typing import Any, NamedTuple

from skstrf._version import __version__
from skstrf.utils.optional import import_optional

__all__ = ["WorkerDied", "current_client", "on_cluster", "run_on_cluster"]

_CURRENT: ContextVar[Any] = ContextVar("skstrf_cluster", default=None)
# Tasks submitted per thread of the cluster; more results would wait in memory.
AHEAD = 3
# Seconds between two checks of the cluster, and to wait for a cluster without workers.
LOOK, PATIENCE = 2.0, 60.0


class WorkerDied(NamedTuple):
    """Result of a task for which every worker process that tried it has died."""

    reason: str = (
        "ended every worker process that took it, by a crash or for lack of memory (see the "
        "workers' logs)"
    )


@contextmanager
def on_cluster(address: str | None, *, timeout: float = 10.0) -> Iterator[Any]:
    """Compute everything that is called in a block on a dask cluster.

    `store_tensors`, `run_classification`, `run_channels` and `run_search` send files, folds,
    channels and candidates to its workers; dask arrays are computed there too. The results equal
    those of one process. Workers need this package in the same version, and the files under the
    same absolute paths. If a worker dies, other workers take its tasks.

    Parameters
    ----------
    address : str or None
        Address of the scheduler, such as ``tcp://10.0.0.1:8786``. None computes in this process.
    timeout : float, default=10.0
        Time in seconds to wait for the scheduler, and then for a first worker.

    Yields
    ------
    distributed.Client or None
        The connected client, which is closed at the end of the block.

    Raises
    ------
    ValueError
        If no scheduler answers, it has no workers, or they have another version of this package
        or none.

    Examples
    --------
    >>> from skstrf.utils.cluster import current_client, on_cluster
    >>> with on_cluster(None):
    ...     print(current_client())
    None
    """
    if address is None:
        yield None
        return
    client = _connect(address, timeout)
    token = _CURRENT.set(client)
    try:
        yield client
    finally:
        _CURRENT.reset(token)
        client.close()


def current_client() -> Any:
    """Return the client of the innermost `on_cluster` block, or None."""
    return _CURRENT.get()


def run_on_cluster(
    function: Callable[..., Any], items: Iterable[Any], *shared: Any
) -> Iterator[tuple[Any, Any]]:
    """Yield every item with ``function(item, *shared)``, which the workers compute."""
    client = current_client()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sending large graph")
        held = client.submit(_hold, shared, pure=False)
        waiting: deque[tuple[Any, Any]] = deque()
        coming, looked, ahead = iter(items), -LOOK, 1
        while True:
            if (
                time.monotonic() - looked > LOOK
            ):  # workers can come and go; counting them takes time
                ahead = AHEAD * sum(client.nthreads().values())
                looked = time.monotonic()
            room = max(1 - len(waiting), ahead - len(waiting), 0)
            waiting.extend(
                (item, client.submit(_call, function, item, held, pure=False))
                for item in islice(coming, room)
            )
            if not waiting:
                return
            item, future = waiting.popleft()
            outcome = _outcome(client, future)
            if isinstance(outcome, WorkerDied):
                # Tasks that wait in a process that another task crashes fail too: try it alone.
                for _, other in waiting:
                    _settle(client, other)
                outcome = _outcome(client, client.submit(_call, function, item, held, pure=False))
            yield item, outcome


def _hold(shared: tuple[Any, ...]) -> tuple[Any, ...]:
    return shared


def _call(function: Callable[..., Any], item: Any, shared: tuple[Any, ...]) -> Any:
    return function(item, *shared)


def _outcome(client: Any, future: Any) -> Any:
    from distributed.scheduler import KilledWorker

    _settle(client, future)
    if future.cancelled():
        raise OSError("The dask scheduler has dropped the task: was it restarted?")
    try:
        return future.result()
    except KilledWorker:
        return WorkerDied()


def _settle(client: Any, future: Any) -> None:
    """Wait until a task has ended, as long as the cluster has workers."""
    from distributed import wait

    alone_since = None
    while not future.done():
        try:
            wait(future, timeout=LOOK)
        except TimeoutError:
            if client.status != "running":
                raise OSError("The connection to the dask scheduler is lost.") from None
            alone_since = None if client.nthreads() else alone_since or time.monotonic()
            if alone_since and time.monotonic() - alone_since > PATIENCE:
                raise OSError(
                    f"The dask cluster has had no worker for {PATIENCE:.0f} s: start some."
                ) from None


def _connect(address: str, timeout: float) -> Any:
    distributed = import_optional("distributed", extra="dask")
    try:
        client = distributed.Client(address, timeout=timeout)
    except Exception as error:  # of its sockets, its time-outs, or the reading of the address
        raise ValueError(
            f"No dask scheduler answers at {address} within {timeout:g} s ({error}). Start one "
            "with `dask scheduler`, and give the address that it prints, such as "
            "tcp://10.0.0.1:8786."
        ) from error
    try:
        _check_workers(client, address, timeout)
    except BaseException:
        client.close()
        raise
    return client


def _check_workers(client: Any, address: str, timeout: float) -> None:
    """Refuse a cluster without workers, or with workers of another version."""
    try:
        client.wait_for_workers(1, timeout=timeout)
    except TimeoutError:
        raise ValueError(
            f"The dask scheduler at {address} has no workers: start some with "
            f"`dask worker {address}`."
        ) from None
    found = client.run(_version, on_error="return")
    for worker, version in found.items():
        if isinstance(version, Exception):
            raise ValueError(
                f"The worker {worker} cannot import skstrf ({version}). Install the same version, "
                f"{__version__}, where it runs."
            ) from version
        if version != __version__:
            raise ValueError(
                f"The worker {worker} has skstrf {version}, here it is {__version__}: the numbers "
                "could differ. Install the same version everywhere."
            )


def _version() -> str:
    return __version__
