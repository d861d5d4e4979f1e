"""Paired comparisons over sounds: intervals, Wilcoxon's test and Holm's correction."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np

__all__ = ["compare_pairs", "holm", "mean_interval"]


def mean_interval(
    values: np.ndarray, *, random_state: int = 0, n_resamples: int = 2000
) -> tuple[float, float, float]:
    """Mean with its 95 % interval, by bootstrap over sounds.

    Parameters
    ----------
    values : ndarray of shape (n_sounds,)
        One for each sound.
    random_state : int, default=0
        Seed.
    n_resamples : int, default=2000
        Of the percentile bootstrap.

    Returns
    -------
    mean, low, high : float
        The interval is NaN for a single sound.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf.experiments.paired import mean_interval
    >>> mean_interval(np.array([0.5, 0.5, 0.5]))
    (0.5, 0.5, 0.5)
    """
    from scipy.stats import bootstrap

    values = np.asarray(values, dtype=float)
    if len(values) < 2:
        return float(values.mean()), float("nan"), float("nan")
    rng = np.random.default_rng(random_state)
    found = bootstrap(
        (values,), np.mean, n_resamples=n_resamples, method="percentile", rng=rng
    ).confidence_interval
    return float(values.mean()), float(found.low), float(found.high)


def holm(p_values: np.ndarray) -> np.ndarray:
    """Correct p-values for the number of tests.

    Parameters
    ----------
    p_values : ndarray of shape (n_tests,)
        Of any tests, dependent or not.

    Returns
    -------
    ndarray of shape (n_tests,)
        Corrected, at most 1.

    References
    ----------
    .. [1] S. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian J.
       Statistics 6(2), 65-70, 1979.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf.experiments.paired import holm
    >>> holm(np.array([0.01, 0.04, 0.03]))
    array([0.03, 0.06, 0.06])
    """
    order = np.argsort(p_values)
    steps = np.asarray(p_values)[order] * np.arange(len(order), 0, -1)
    corrected = np.empty(len(order))
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return corrected


def compare_pairs(values: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
    """Compare all pairs of methods measured on the same sounds.

    Parameters
    ----------
    values : mapping of str to ndarray of shape (n_sounds,)
        Of every method; the same sounds in the same order.

    Returns
    -------
    list of dict
        For each pair ``first``, ``second``, mean ``difference``, ``p_value`` of Wilcoxon's
        signed-rank test (1 where all sounds tie), ``p_holm`` corrected for the number of pairs,
        and ``rank_biserial``: the share of ranks of differences in favour of the first, less the
        share against it, in [-1, 1].

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf.experiments.paired import compare_pairs
    >>> [pair] = compare_pairs({"a": np.arange(8) / 10 + 0.3, "b": np.arange(8) / 20})
    >>> pair["rank_biserial"], pair["p_holm"] < 0.05
    (1.0, True)
    """
    pairs = [
        {"first": first, "second": second} | _compare(np.asarray(a) - np.asarray(b))
        for (first, a), (second, b) in combinations(values.items(), 2)
    ]
    corrected = holm(np.array([pair["p_value"] for pair in pairs]))
    return [pair | {"p_holm": float(p)} for pair, p in zip(pairs, corrected, strict=True)]


def _compare(difference: np.ndarray) -> dict[str, float]:
    from scipy.stats import rankdata, wilcoxon

    counted = difference[difference != 0]
    if len(counted) == 0:
        return {"difference": 0.0, "p_value": 1.0, "rank_biserial": 0.0}
    ranks = rankdata(np.abs(counted))
    return {
        "difference": float(difference.mean()),
        "p_value": float(wilcoxon(counted).pvalue),
        "rank_biserial": float((ranks * np.sign(counted)).sum() / ranks.sum()),
    }
