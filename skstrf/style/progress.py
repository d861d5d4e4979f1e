"""Who is told of the iterations of a transfer: a progress bar and the user's callback."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["Watcher"]


class Watcher:
    """Tells a callback of every iteration and moves a progress bar.

    Parameters
    ----------
    callback : callable or None
        Gets a dict.
    n_blocks : int
        Blocks in all.
    max_iter : int
        Iterations of a block at most.
    verbose : bool
        Whether to show a bar.
    """

    def __init__(self, callback: Any, n_blocks: int, max_iter: int, verbose: bool):
        from tqdm.auto import tqdm

        self._callback, self._max_iter = callback, max_iter
        self._bar = tqdm(total=n_blocks * max_iter, disable=not verbose, desc="style transfer")
        self._blocks_done, self._place = -1, {"sound": 0, "channel": 0, "block": 0}

    def __enter__(self) -> Watcher:
        """Give itself."""
        return self

    def __exit__(self, *args: Any) -> None:
        """Close the bar."""
        self._bar.close()

    def sound(self, i: int) -> Watcher:
        """Go on to a sound."""
        self._place = {"sound": i, "channel": 0, "block": -1}
        return self

    def channel(self, k: int) -> Callable[[dict[str, Any]], None]:
        """Go on to a channel; what is returned takes the reports of its iterations."""
        self._place = self._place | {"channel": k, "block": -1}
        return self._report

    def _report(self, values: dict[str, Any]) -> None:
        if values["iteration"] == 0:
            self._place["block"] += 1
            self._blocks_done += 1
            # A block that stopped early counts as a whole one.
            self._bar.update(self._blocks_done * self._max_iter - self._bar.n)
        else:
            self._bar.update(1)
            self._bar.set_postfix(content=values["content"], style=values["style"], refresh=False)
        if self._callback is not None:
            self._callback(self._place | values)
