"""Measures of how well the versions of a piece are found."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils import column_or_1d

from skstrf.utils.arrays import to_numpy
from skstrf.utils.validation import checked_number, checked_whole

__all__ = ["retrieval_scores"]

_MEASURES = (
    "mean_average_precision", "mean_rank_of_first", "precision_at_1", "precision_at_10",
)  # fmt: skip


def retrieval_scores(
    distances: Any,
    works: Any,
    *,
    query_works: Any = None,
    recordings: Any = None,
    query_recordings: Any = None,
    confidence: float = 0.95,
    n_resamples: int = 1000,
    random_state: int | None = 0,
) -> dict[str, Any]:
    """Score a table of distances by the versions that it ranks first.

    Parameters
    ----------
    distances : array-like of shape (n_queries, n_pieces)
        Distance of every query to every piece of the collection. Infinite distances are allowed.
        Without `query_works` the queries are the pieces themselves, in the same order.
    works : array-like of shape (n_pieces,)
        Work of which each piece is a version.
    query_works : array-like of shape (n_queries,) or None, default=None
        Works of the queries. None means that the queries are the pieces of the collection.
    recordings : array-like of shape (n_pieces,) or None, default=None
        Recording from which each piece comes. Pieces of the query's own recording, such as two
        excerpts of one concert, are left out of its ranked list.
    query_recordings : array-like of shape (n_queries,) or None, default=None
        Recordings of the queries, if there are `query_works` and `recordings`.
    confidence : float, default=0.95
        Confidence of the intervals.
    n_resamples : int, default=1000
        Number of resamples of the bootstrap.
    random_state : int or None, default=0
        Seed of the bootstrap.

    Returns
    -------
    dict
        * ``mean_average_precision``: mean over queries of the average precision of the whole list.
        * ``mean_rank_of_first``: mean rank of the first version, 1 at best.
        * ``precision_at_1``: share of queries whose first piece is a version.
        * ``precision_at_10``: share of versions among the first ten pieces of a list; below 1 if
          works have fewer than ten other versions.
        * ``intervals``: mapping of these four names to (low, high), by bootstrap over works.
        * ``chance``: mean average precision that lists in random order have on average.
        * ``n_queries``, ``n_works``: numbers of the queries that count, and of their works.
        * ``average_precision``: ndarray with a value for each query, NaN for those that do not
          count.

    Raises
    ------
    ValueError
        If lengths do not match, distances contain NaN, or no query has a version to be found.

    See Also
    --------
    skstrf.VersionRetriever : Computes such distances.

    Notes
    -----
    The rules: (1) A query never finds itself: without `query_works`, the diagonal of `distances`
    is left out. (2) Pieces of the query's own recording are left out, neither right nor wrong. (3)
    Queries without any remaining version do not count, but stay among the pieces that other
    queries may find by mistake. (4) Pieces at equal distances are ordered with the versions last,
    so that constant distances never look good. (5) Every query has the same weight. The bootstrap
    draws works, with all their queries, because versions of one work are not independent.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf.versions import retrieval_scores
    >>> places = np.array([0.0, 0.1, 5.0, 5.2, 5.1])
    >>> distances = np.abs(places[:, None] - places)
    >>> scores = retrieval_scores(distances, ["a", "a", "b", "b", "c"])
    >>> round(scores["mean_average_precision"], 3), scores["n_queries"]
    (0.75, 4)
    """
    distances, found = _check(distances, works, query_works, recordings, query_recordings)
    works, query_works, recordings, query_recordings = found
    confidence = checked_number(confidence, "confidence", low=0, high=1)
    n_resamples = checked_whole(n_resamples, "n_resamples")
    itself = query_works is works
    values = np.full((len(distances), len(_MEASURES)), np.nan)
    chances = np.full(len(distances), np.nan)
    for query, row in enumerate(distances):
        allowed = np.ones(len(works), dtype=bool)
        if itself:
            allowed[query] = False
        if recordings is not None:
            allowed &= recordings != query_recordings[query]
        relevant = (works == query_works[query])[allowed]
        if relevant.any():
            order = np.lexsort((relevant, row[allowed]))  # versions last among equal distances
            ranks = np.flatnonzero(relevant[order]) + 1
            precision = float(np.mean(np.arange(1, len(ranks) + 1) / ranks))
            values[query] = precision, ranks[0], ranks[0] == 1, np.sum(ranks <= 10) / 10
            chances[query] = _chance(len(relevant), len(ranks))
    counts = ~np.isnan(chances)
    if not counts.any():
        raise ValueError(
            "No query has another version in the collection, so that there is nothing to find: "
            "works must hold at least one work with two versions"
            + (" of different recordings." if recordings is not None else ".")
        )
    values, query_works = values[counts], query_works[counts]
    precisions = np.full(len(counts), np.nan)
    precisions[counts] = values[:, 0]
    intervals = _bootstrap(values, query_works, confidence, n_resamples, random_state)
    return {
        **dict(zip(_MEASURES, values.mean(axis=0).tolist(), strict=True)),
        "intervals": dict(zip(_MEASURES, intervals, strict=True)),
        "chance": float(chances[counts].mean()),
        "n_queries": int(counts.sum()),
        "n_works": len(np.unique(query_works)),
        "average_precision": precisions,
    }


def _check(distances: Any, works: Any, query_works: Any, recordings: Any, query_recordings: Any):
    distances = np.asarray(to_numpy(distances))
    if distances.ndim != 2 or distances.size == 0 or distances.dtype.kind not in "fiu":
        raise ValueError(
            "distances must be a table of numbers of shape (n_queries, n_pieces), got an array of "
            f"dtype {distances.dtype} and shape {distances.shape}."
        )
    if np.isnan(distances).any():
        row, column = np.argwhere(np.isnan(distances))[0]
        raise ValueError(
            f"distances contain NaN, first that of query {row} and piece {column}: leave the "
            "pieces out, or give inf to pieces that are to come last."
        )
    works = _labels(works, "works", distances.shape[1])
    if query_works is None:
        if len(distances) != len(works):
            raise ValueError(
                f"distances have {len(distances)} rows and {len(works)} columns: give query_works "
                "if the queries are not the pieces of the collection."
            )
        query_works, query_recordings = works, recordings
    else:
        query_works = _labels(query_works, "query_works", len(distances))
    if recordings is not None:
        if query_recordings is None:
            raise ValueError("Give query_recordings as well, if there are query_works.")
        recordings = _labels(recordings, "recordings", distances.shape[1])
        query_recordings = _labels(query_recordings, "query_recordings", len(distances))
    return distances, (works, query_works, recordings, query_recordings)


def _labels(labels: Any, name: str, n: int) -> np.ndarray:
    labels = column_or_1d(np.asarray(labels))
    if len(labels) != n:
        raise ValueError(f"{name} has {len(labels)} entries, and distances need {n}.")
    if labels.dtype.kind == "f" and np.isnan(labels).any():
        raise ValueError(f"{name} contains NaN: name the work or recording of every piece.")
    return labels


def _chance(n_pieces: int, n_relevant: int) -> float:
    """Return the expected average precision of a random order."""
    ranks = np.arange(1, n_pieces + 1)
    others = (n_relevant - 1) / max(n_pieces - 1, 1)
    return float(np.mean((1 + others * (ranks - 1)) / ranks))


def _bootstrap(
    values: np.ndarray, works: np.ndarray, confidence: float, n_resamples: int, seed: int | None
) -> list[tuple[float, float]]:
    """Return percentile intervals of the means over queries, for resamples of works."""
    names, index = np.unique(works, return_inverse=True)
    n_works = len(names)
    sums = np.stack([np.bincount(index, column, n_works) for column in values.T], axis=1)
    sizes = np.bincount(index, minlength=n_works)
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(n_works, np.full(n_works, 1 / n_works), size=n_resamples)
    means = (drawn @ sums) / (drawn @ sizes)[:, None]
    half = (1 - confidence) / 2
    low, high = np.quantile(means, [half, 1 - half], axis=0)
    return list(zip(low.tolist(), high.tolist(), strict=True))
