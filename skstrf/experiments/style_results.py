"""What transfers of style gave, and how to write it down."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from skstrf.experiments.results import WrittenResults
from skstrf.style import MEASURES

__all__ = ["StylePair", "StyleResults"]


@dataclass
class StylePair:
    """One content in one style by one network.

    Parameters
    ----------
    content, style, network : str
        Names of the files, and of the network.
    table : dict of str to dict of str to float
        For every measure its values for ``result``, ``content`` and ``style``.
    curve : ndarray of shape (n_iter + 1, 3)
        Total, content and style loss of the last block.
    seconds : float
        Of the transfer.
    sample_rate : int
        In Hz.
    sounds : dict of str to ndarray
        ``content``, ``result`` (each of shape (n_channels, n_times)) and ``style`` (n_times,).
    interrupted : bool
        Whether the user stopped it.
    """

    content: str
    style: str
    network: str
    table: dict[str, dict[str, float]]
    curve: np.ndarray
    seconds: float
    sample_rate: int
    sounds: dict[str, np.ndarray]
    interrupted: bool = False

    @property
    def name(self) -> str:
        """Content, style and network in words."""
        return f"{self.content} in the style of {self.style} ({self.network})"


@dataclass
class StyleResults(WrittenResults):
    """Everything that transfers gave.

    Parameters
    ----------
    pairs : list of StylePair
        One a content, style and network.
    settings : dict
        Of the transfers.
    random_state : int
        Their seed.
    versions : dict
        Of the packages.
    skipped : list of (str, str)
        Files that could not be used, and why.
    """

    pairs: list[StylePair]
    settings: dict[str, Any]
    random_state: int
    versions: dict[str, str]
    skipped: list[tuple[str, str]] = field(default_factory=list)

    def rows(self) -> list[list[Any]]:
        """Give content, style and network of every pair, and the measures of its result."""
        return [
            [p.content, p.style, p.network, *(p.table[name]["result"] for name in MEASURES)]
            for p in self.pairs
        ]

    def summary(self) -> str:
        """Give a line a pair.

        Returns
        -------
        str
            With the closeness to style and content, both untouched ones beside it.
        """
        return "\n".join(
            f"{p.name}: Gram distance to the style {p.table['gram_distance']['result']:.3f} "
            f"(untouched {p.table['gram_distance']['content']:.3f}), distance to the content "
            f"{p.table['content_distance']['result']:.3f} (of the style "
            f"{p.table['content_distance']['style']:.3f}), correlation of onsets "
            f"{p.table['onset_correlation']['result']:.2f}, {p.seconds:.0f} s"
            for p in self.pairs
        )

    def _plain_fields(self) -> dict[str, Any]:
        pairs = [
            {
                "content": p.content,
                "style": p.style,
                "network": p.network,
                "table": {k: {a: _finite(b) for a, b in v.items()} for k, v in p.table.items()},
                "iterations": len(p.curve) - 1,
                "loss": dict(zip(("total", "content", "style"), p.curve[-1], strict=True)),
                "sample_rate": p.sample_rate,
                "seconds": p.seconds,
            }
            for p in self.pairs
        ]
        return super()._plain_fields() | {"pairs": pairs}


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
