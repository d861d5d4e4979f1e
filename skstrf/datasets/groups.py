"""What must stay on one side of a split: names linked by pairs, as groups."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

__all__ = ["linked_groups"]


def linked_groups(names: Sequence[str], pairs: Iterable[tuple[str, str]]) -> list[str]:
    """Put names into one group that are linked, directly or over others.

    Parameters
    ----------
    names : sequence of str
        All names, each once.
    pairs : iterable of (str, str)
        What is linked; every one of them is among `names`.

    Returns
    -------
    list of str
        For every name the group it is in, which is called after its first member.

    Examples
    --------
    >>> from skstrf.datasets.groups import linked_groups
    >>> linked_groups(["a", "b", "c", "d"], [("d", "b"), ("b", "c")])
    ['a', 'b', 'b', 'b']
    """
    rows = {name: row for row, name in enumerate(names)}
    links = np.array([[rows[one], rows[other]] for one, other in pairs], dtype=int).reshape(-1, 2)
    graph = coo_array((np.ones(len(links)), (links[:, 0], links[:, 1])), shape=(len(rows),) * 2)
    _, labels = connected_components(graph, directed=False)
    _, first = np.unique(labels, return_index=True)
    return [names[first[label]] for label in labels]
