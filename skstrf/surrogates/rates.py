"""From p-values to one number: what share of the lines is stationary."""

from __future__ import annotations

import numpy as np
from scipy.stats import false_discovery_control, rankdata

from skstrf.utils.settings import checked_number, checked_reals

__all__ = ["combined_p_values", "null_share", "rank_p_values", "stationarity_rate"]

_TINY = 1e-30


def rank_p_values(statistics: np.ndarray) -> np.ndarray:
    """p-value of every entry among all: its own, and those of the surrogates.

    Parameters
    ----------
    statistics : ndarray of shape (1 + n_surrogates, ...)
        Large where the null hypothesis is doubtful.

    Returns
    -------
    ndarray of shape (1 + n_surrogates, ...)
        Share of entries along the first axis that are as large or larger; between
        ``1 / (1 + n_surrogates)`` and 1, which is what equal entries get.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf.surrogates.rates import rank_p_values
    >>> rank_p_values(np.array([3.0, 1.0, 2.0, 1.0]))
    array([0.25, 1.  , 0.5 , 1.  ])
    """
    return rankdata(-statistics, method="max", axis=0) / len(statistics)


def combined_p_values(*statistics: np.ndarray) -> np.ndarray:
    """One p-value for several statistics, none of which need be independent.

    Parameters
    ----------
    *statistics : ndarray of shape (1 + n_surrogates, ...)
        Of the data first, then of surrogates, the same for every statistic.

    Returns
    -------
    ndarray of shape (...)
        p-value of the smallest of their p-values, which the surrogates have too. No correction
        for several tests is needed (L. H. C. Tippett's combination, by resampling). Among equal
        ones, the larger statistic in units of its mean comes first.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf.surrogates.rates import combined_p_values
    >>> float(combined_p_values(np.array([9.0, 1, 2, 1]), np.array([0.0, 1, 0, 2])))
    0.25
    """
    smallest = np.min([rank_p_values(values) for values in statistics], axis=0)
    excess = np.max([v / np.maximum(v.mean(axis=0), _TINY) for v in statistics], axis=0)
    # Steps of p-values are 1 / n, and no statistic is more than n times its mean.
    order = smallest - 0.5 * excess / len(excess) ** 2
    return (order <= order[0]).mean(axis=0)


def stationarity_rate(p_values: np.ndarray, alpha: float = 0.05) -> float:
    """Share of lines whose stationarity is not rejected, all tests taken together.

    Parameters
    ----------
    p_values : ndarray of shape (n_lines,)
        Of a test of each line.
    alpha : float, default=0.05
        Share of false rejections among all that are borne.

    Returns
    -------
    float
        In [0, 1].

    References
    ----------
    .. [1] Y. Benjamini and Y. Hochberg, "Controlling the false discovery rate", J. Royal
       Statistical Society B 57(1), 289-300, 1995.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf.surrogates import stationarity_rate
    >>> stationarity_rate(np.array([0.001, 0.01, 0.3, 0.9]))
    0.5
    """
    p_values = _shares(p_values)
    checked_number(alpha, "alpha", low=0, high=1)
    return float(np.mean(false_discovery_control(p_values) > alpha))


def null_share(p_values: np.ndarray) -> float:
    """Estimate the share of lines that are stationary, from the p-values above one half.

    Parameters
    ----------
    p_values : ndarray of shape (n_lines,)
        Of a test of each line.

    Returns
    -------
    float
        In [0, 1]; needs no level.

    References
    ----------
    .. [1] J. D. Storey, "A direct approach to false discovery rates", J. Royal Statistical
       Society B 64(3), 479-498, 2002.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf.surrogates import null_share
    >>> null_share(np.array([0.001, 0.01, 0.3, 0.9]))
    0.5
    """
    return min(1.0, 2 * float(np.mean(_shares(p_values) > 0.5)))


def _shares(p_values: np.ndarray) -> np.ndarray:
    p_values = checked_reals(p_values, "p_values")
    if p_values.min() < 0 or p_values.max() > 1:
        raise ValueError("p_values must lie between 0 and 1.")
    return p_values.ravel()
