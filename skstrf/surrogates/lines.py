"""Tests of stationarity along lines, which predict slow variation from fast variation."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.fft
from scipy.special import ndtri
from scipy.stats import rankdata

from skstrf.surrogates.periodic import without_periodic
from skstrf.surrogates.spectra import (
    Band,
    band_of,
    draw_spectra,
    fit_spectra,
    mode_groups,
    pooled_power,
)
from skstrf.utils.validation import checked_number, checked_reals, checked_whole

__all__ = ["LinesTestResult", "lines_test", "rank_p_values"]

# Values are cut at this number of mean absolute deviations from the median.
_CUT = 5.0
# A step is removed before the fit if its squared score exceeds this value plus twice the logarithm
# of the number of lines. At most so many steps are removed, and none near the ends.
_BREAK, _MOST_BREAKS, _EDGE = 13.0, 3, 16
_NORM_POSITIONS = 64
# Slow coefficients are cut at this number of standard deviations before variability is measured.
_LEVEL_CUT = 2.0
# Share of the variance below which lines without their periodic components are constant.
_NOISELESS = 1e-5
# The median of the squares of normal variables of unit variance.
_MEDIAN_OF_SQUARES = 0.455
# p-values above this one belong to stationary lines.
_HALF = 0.5
_TINY = 1e-12


class LinesTestResult(NamedTuple):
    """Result of `lines_test`."""

    p_values: np.ndarray
    p_value: float
    level_p_value: float
    variance_p_value: float
    effect: float
    effect_interval: tuple[float, float]
    level_effect: float
    variance_effect: float
    rate: float
    rate_interval: tuple[float, float]
    tested: np.ndarray


def lines_test(
    x: np.ndarray,
    n_surrogates: int = 199,
    rng: np.random.Generator | int | None = None,
    *,
    detrend: bool = False,
    alpha: float = 0.05,
) -> LinesTestResult:
    """Test whether lines keep their level and their variability.

    The power of the slowest cosines of every line is compared with the power that stationary
    lines of the same faster fluctuations would have. Surrogates are draws of the slow cosines
    from their predictive distribution. The same test of the logarithmic size of the deviations
    measures changes of variability.

    Parameters
    ----------
    x : ndarray of shape (n_groups, n_lines, n_points) or (n_lines, n_points)
        Lines along the last axis. The lines of a group are neighbors in a plane, in order.
    n_surrogates : int, default=199
        Number of surrogates. No p-value of all lines is below about ``2 / (1 + n_surrogates)``.
    rng : numpy.random.Generator, int or None, default=None
        Random number generator, or its seed. The surrogates of a group do not depend on the
        other groups.
    detrend : bool, default=False
        If True, test for stationarity around a straight line.
    alpha : float, default=0.05
        Level of the test that decides whether the intervals contain stationarity. The intervals
        have the confidence ``1 - alpha``.

    Returns
    -------
    LinesTestResult
        Named tuple with the fields

        - ``p_values``, ndarray of shape (n_groups * n_lines,): p-value of every line; 1 for lines
          that cannot be tested.
        - ``p_value``, float: p-value of the hypothesis that all lines are stationary.
        - ``level_p_value`` and ``variance_p_value``, float: the same for level and for
          variability alone.
        - ``effect``, float: share of the variance of the lines that slow changes explain, beyond
          what stationary lines have; the larger of ``level_effect`` and ``variance_effect``, and
          at least 0.
        - ``effect_interval``, (float, float): its confidence interval, which contains 0 if and
          only if ``p_value > alpha``.
        - ``level_effect`` and ``variance_effect``, float: the same for level and for variability
          alone. They are negative if there is less slow variation than predicted.
        - ``rate``, float: estimated share of stationary lines.
        - ``rate_interval``, (float, float): its confidence interval, which contains 1 if and only
          if ``p_value > alpha``.
        - ``tested``, ndarray of bool of shape (n_groups * n_lines,): False for constant lines,
          lines that are constant but for one point, and lines of fewer than three points. They
          count as stationary.

    Raises
    ------
    ValueError
        If `x` is not real and finite, or has fewer than two axes.

    See Also
    --------
    plane_test : Test whether a plane is homogeneous.
    skstrf.StationarityScorer : Applies both tests along all axes of tensors.

    Notes
    -----
    See :doc:`/stationarity` for the method, and :doc:`/results/stationarity` for its size
    and power.

    References
    ----------
    .. [1] P. Whittle, "Estimation and information in stationary time series", Arkiv foer
       Matematik 2(5), 423-434, 1953.
    .. [2] T. J. Vogelsang, "Sources of nonmonotonic power when testing for a shift in mean of a
       dynamic time series", J. Econometrics 88(2), 283-299, 1999.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf.surrogates import lines_test
    >>> noise = np.random.default_rng(0).standard_normal((16, 128))
    >>> trend = np.linspace(0, 2, 128)
    >>> lines_test(noise, 99, 0).p_value > 0.05 > lines_test(noise + trend, 99, 0).p_value
    True
    """
    x = checked_reals(x, "x", ndim=2)
    checked_whole(n_surrogates, "n_surrogates")
    checked_number(alpha, "alpha", low=0, high=1)
    groups = x.reshape(-1, *x.shape[-2:])
    seed = np.random.default_rng(rng).integers(2**63)
    tested = _can_be_tested(groups)
    parts: list[list[_Comparison]] = []
    for group, kept in zip(groups, tested, strict=True):
        if kept.any():
            # All groups have the same seed, so that their sums keep the dependence between them.
            random = np.random.default_rng(seed)
            parts.append(_level_and_variability(group[kept], n_surrogates, random, detrend))
    if not parts:
        return _neutral(tested.ravel())
    level, variability = (_joined(side) for side in zip(*parts, strict=True))
    return _concluded(level, variability, tested, alpha)


class _Comparison(NamedTuple):
    """Slow power of lines, of surrogates (by row) and of surrogates added to the lines' changes.

    `expected` is in proportion to the slow power of stationary lines, and `total` is the power of
    whole lines.
    """

    slow: np.ndarray
    expected: np.ndarray
    total: np.ndarray
    null_slow: np.ndarray
    null_expected: np.ndarray
    null_total: np.ndarray
    changed: np.ndarray
    p_values: np.ndarray
    null_p_values: np.ndarray


def _joined(parts: tuple[_Comparison, ...]) -> _Comparison:
    return _Comparison(*(np.concatenate(arrays, axis=-1) for arrays in zip(*parts, strict=True)))


def _can_be_tested(groups: np.ndarray) -> np.ndarray:
    """Whether lines have three points, of which two differ from the others beyond rounding."""
    if groups.shape[-1] < 3:
        return np.zeros(groups.shape[:-1], dtype=bool)
    values = groups.astype(np.float64)
    rounding = 4 * np.finfo(groups.dtype).eps * np.abs(values).max(axis=-1, keepdims=True)
    middle = np.median(values, axis=-1, keepdims=True)
    return (np.abs(values - middle) > rounding).sum(axis=-1) >= 2


def _level_and_variability(
    group: np.ndarray, n_surrogates: int, rng: np.random.Generator, detrend: bool
) -> list[_Comparison]:
    """Compare the lines of a plane and the sizes of their deviations with surrogates."""
    band = band_of(group.shape[1])
    level = _standardized(group.astype(np.float64), detrend)
    fast, spectra, comparison = _compared(level, band, n_surrogates, rng, detrend)
    sizes = _standardized(_deviation_sizes(level, fast, spectra, band), detrend)
    return [comparison, _compared(sizes, band, n_surrogates, rng, detrend)[2]]


def _standardized(lines: np.ndarray, detrend: bool) -> np.ndarray:
    """Cosine transforms of lines without outliers and periodic components, on one scale."""
    middle = np.median(lines, axis=1, keepdims=True)
    width = _CUT * np.abs(lines - middle).mean(axis=1, keepdims=True)
    lines = (np.clip(lines, middle - width, middle + width) - middle) / np.maximum(width, 1e-300)
    lines = lines - lines.mean(axis=1, keepdims=True)
    if detrend:
        t = np.linspace(-1, 1, lines.shape[1])
        lines = lines - np.outer(lines @ t / (t @ t), t)
    lines = lines / np.maximum(lines.std(axis=1, keepdims=True), _TINY)
    c = scipy.fft.dct(without_periodic(lines), axis=1, norm="ortho")
    c[:, 0] = 0
    # What is left of a noiseless sinusoid is the error of its frequency.
    c[(c**2).mean(axis=1) < _NOISELESS] = 0
    band = band_of(lines.shape[1])
    if detrend:
        c[:, 1 : band.n_slow + 1] = _without_line(c[:, 1 : band.n_slow + 1], lines.shape[1])
    # A change must not alter the scale, which is that of most coefficients of the band.
    power = c[:, band.n_slow + 1 : band.last + 1] ** 2
    typical = np.median(power, axis=1, keepdims=True) / _MEDIAN_OF_SQUARES
    least = 1e-6 * (c**2).mean(axis=1, keepdims=True)
    return c / np.sqrt(np.maximum(np.maximum(typical, least), _TINY))


def _without_line(slow: np.ndarray, n_points: int) -> np.ndarray:
    """Slow coefficients without the share of a straight line."""
    line = scipy.fft.dct(np.linspace(-1, 1, n_points), norm="ortho")[1 : slow.shape[-1] + 1]
    line /= np.linalg.norm(line)
    return slow - (slow @ line)[..., None] * line


def _compared(
    c: np.ndarray, band: Band, n_surrogates: int, rng: np.random.Generator, detrend: bool
) -> tuple[np.ndarray, np.ndarray, _Comparison]:
    """Compare lines with surrogates; also return their fast part and mean spectrum."""
    n_lines, n = c.shape
    first, last = band.n_slow + 1, band.last + 1
    edges = mode_groups(n_lines)
    sizes = np.diff(edges)
    fast, fitted = _without_breaks(c, band, edges)
    modes = scipy.fft.dct(fast[:, first:last], axis=0, norm="ortho")
    power = np.maximum(pooled_power(modes, edges), _TINY)
    spectra = draw_spectra(power, sizes, band, fitted, n_surrogates, rng)
    deviation = np.sqrt(np.repeat(spectra, sizes, axis=1))
    draws = deviation * rng.standard_normal(deviation.shape)
    draws = scipy.fft.idct(draws, axis=1, norm="ortho")
    if detrend:
        draws = _without_line(draws, n)
    mean_spectrum = sizes @ fitted / n_lines
    expected_band = mean_spectrum[band.n_slow :].sum()
    of_band = (fast[:, first:last] ** 2).sum(axis=1)
    of_fast = (fast[:, first:] ** 2).sum(axis=1)
    # Power of the band of surrogates, relative to its expectation.
    degrees = last - first
    null_expected = rng.standard_gamma(degrees / 2, (n_surrogates, n_lines)) * 2 / degrees
    null_slow = (draws**2).sum(axis=2)
    null_fast = expected_band * null_expected + (of_fast - of_band).mean()
    total = (c**2).sum(axis=1)
    slow, expected = total - of_fast, of_band / expected_band
    excess = np.clip(
        1 - mean_spectrum[: band.n_slow].sum() * expected / np.maximum(slow, _TINY), 0, 1
    )
    change = c[:, 1:first] * np.sqrt(excess)[:, None]
    scale = np.sqrt(expected)[:, None]
    changed = ((change + scale * draws) ** 2).sum(axis=2) + slow - (c[:, 1:first] ** 2).sum(axis=1)
    ratios, null_ratios = slow / np.maximum(expected, _TINY), null_slow / null_expected
    pool = np.sort(null_ratios, axis=None)
    comparison = _Comparison(
        slow,
        expected,
        total,
        null_slow,
        null_expected,
        null_slow + null_fast,
        changed,
        1 - np.searchsorted(pool, ratios) / (1 + pool.size),
        1 - np.searchsorted(pool, null_ratios) / (1 + pool.size),
    )
    return fast, mean_spectrum, comparison


def _deviation_sizes(
    c: np.ndarray, fast: np.ndarray, mean_spectrum: np.ndarray, band: Band
) -> np.ndarray:
    """Logarithmic sizes of the whitened deviations of lines from their slow level.

    Slow coefficients are cut rather than removed, as removing them would make the deviations
    smaller near the ends of the lines.
    """
    n_slow, n = band.n_slow, c.shape[1]
    spectrum = np.concatenate([mean_spectrum, np.full(n - 1 - band.last, mean_spectrum[-1])])
    own = (fast[:, n_slow + 1 : band.last + 1] ** 2 / spectrum[n_slow : band.last]).mean(axis=1)
    white = fast.copy()
    white[:, 1 : n_slow + 1] = c[:, 1 : n_slow + 1]
    white[:, 1:] /= np.sqrt(np.maximum(np.outer(own, spectrum), _TINY))
    white[:, 1 : n_slow + 1] = np.clip(white[:, 1 : n_slow + 1], -_LEVEL_CUT, _LEVEL_CUT)
    deviations = scipy.fft.idct(white, axis=1, norm="ortho")
    # Normal scores, since the sizes of skewed deviations would reflect their level.
    scores = ndtri((rankdata(deviations, axis=1) - 0.5) / c.shape[1])
    typical = np.median(np.abs(scores), axis=1, keepdims=True)
    mean = np.abs(scores).mean(axis=1, keepdims=True)
    return np.log1p((scores / np.maximum(np.where(typical > 0, typical, mean), _TINY)) ** 2)


def _without_breaks(c: np.ndarray, band: Band, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fast coefficients of lines without steps, and the spectra fitted to what is left.

    The spectrum of a step resembles that of persistent noise, but its phases do not.
    """
    sizes = np.diff(edges)
    first, last = band.n_slow + 1, band.last + 1
    rest = c.copy()
    rest[:, :first] = 0
    for _ in range(3):
        modes = scipy.fft.dct(rest, axis=0, norm="ortho")
        spectra = _fitted(modes[:, first:last], edges, band)
        mean_spectrum = sizes @ spectra / len(c)
        own = (rest[:, first:last] ** 2).mean(axis=1)
        of_lines = np.outer(own / mean_spectrum[band.n_slow :].mean(), mean_spectrum)
        n_found, rest = _subtract_steps(rest, of_lines, band, np.full(len(c), len(c)))
        modes = scipy.fft.dct(rest, axis=0, norm="ortho") if n_found else modes
        n_common, modes = _subtract_steps(
            modes, np.repeat(spectra, sizes, axis=0), band, np.repeat(sizes, sizes)
        )
        if n_common:
            rest = scipy.fft.idct(modes, axis=0, norm="ortho")
        if n_found + n_common == 0:
            return rest, spectra
    return rest, _fitted(modes[:, first:last], edges, band)


def _fitted(modes: np.ndarray, edges: np.ndarray, band: Band) -> np.ndarray:
    power = np.maximum(pooled_power(modes, edges), _TINY)
    return fit_spectra(power, np.diff(edges), band)


def _subtract_steps(
    c: np.ndarray, spectra: np.ndarray, band: Band, n_alike: np.ndarray
) -> tuple[int, np.ndarray]:
    """Subtract significant steps from series of given spectra, by their fast coefficients.

    The position of a step is that of the largest matched filter. Returns the number of steps.
    """
    n = c.shape[1]
    first, last = band.n_slow + 1, band.last + 1
    weights = np.zeros(c.shape)
    weights[:, first:last] = 1 / np.maximum(spectra[:, band.n_slow :], _TINY)
    positions = np.unique(np.linspace(1, n - 1, min(n - 1, _NORM_POSITIONS)).round().astype(int))
    norms = weights[:, 1:last] @ (_steps(positions, n)[:, : last - 1] ** 2).T
    # The norm varies slowly with the position of the step.
    left = np.clip(np.searchsorted(positions, np.arange(1, n), "right") - 1, 0, len(positions) - 2)
    share = (np.arange(1, n) - positions[left]) / np.diff(positions)[left]
    norms = norms[:, left] * (1 - share) + norms[:, left + 1] * share
    margin = max(2, n // _EDGE) - 1
    norms[:, :margin] = norms[:, n - 1 - margin :] = np.inf
    threshold = _BREAK + 2 * np.log(n_alike)
    rows, n_steps, c = np.arange(len(c)), 0, c.copy()
    for _ in range(_MOST_BREAKS):
        filtered = scipy.fft.idct(c[rows] * weights[rows], axis=1, norm="ortho")
        scores = -np.cumsum(filtered, axis=1)[:, :-1]
        gains = scores**2 / norms[rows]
        best = gains.argmax(axis=1)
        hit = np.flatnonzero(gains[np.arange(len(rows)), best] > threshold[rows])
        if len(hit) == 0:
            break
        best, found = best[hit], rows[hit]
        heights = scores[hit, best] / norms[found, best]
        c[found, first:] -= heights[:, None] * _steps(best + 1, n)[:, first - 1 :]
        rows, n_steps = found, n_steps + len(found)
    return n_steps, c


def _steps(positions: np.ndarray, n: int) -> np.ndarray:
    """Cosine transforms, from coefficient 1, of unit steps after so many points."""
    half = np.pi * np.arange(1, n) / (2 * n)
    return -np.sqrt(2 / n) * np.sin(2 * half * positions[:, None]) / (2 * np.sin(half))


# Conclusions


def _concluded(
    level: _Comparison, variability: _Comparison, tested: np.ndarray, alpha: float
) -> LinesTestResult:
    """p-values, effects and rate from both comparisons, so that none contradicts another."""
    each = 1 - np.sqrt(1 - alpha)  # level of each of two tests
    sides = [_effect_of(side, each, tested.size) for side in (level, variability)]
    rejected = min(side.p_value for side in sides) <= each
    largest = max(sides, key=lambda side: side.effect)
    effect = max(0.0, largest.effect)
    low, high = np.quantile(largest.replicates, [alpha / 2, 1 - alpha / 2])
    if not rejected:
        low = 0.0
    elif low <= 0:
        low = max(side.bound for side in sides)
    p_values = np.ones(tested.size)
    p_values[tested.ravel()] = _either(level.p_values, variability.p_values)
    null = _either(level.null_p_values, variability.null_p_values)
    p_value = _either(*(np.array(side.p_value) for side in sides))
    rate, rate_interval = _stationary_share(p_values, tested.ravel(), null, rejected, alpha)
    return LinesTestResult(
        p_values,
        float(p_value),
        float(sides[0].p_value),
        float(sides[1].p_value),
        float(effect),
        (float(min(low, effect)), float(np.clip(high, effect, 1.0))),
        float(sides[0].effect),
        float(sides[1].effect),
        rate,
        rate_interval,
        tested.ravel(),
    )


def _neutral(tested: np.ndarray) -> LinesTestResult:
    """Result without lines that can be tested."""
    nothing = (0.0, 0.0)
    return LinesTestResult(
        np.ones(len(tested)), 1.0, 1.0, 1.0, 0.0, nothing, 0.0, 0.0, 1.0, (1.0, 1.0), tested
    )


class _Effect(NamedTuple):
    """Effect of one side with its bound, which is positive if and only if the test rejects."""

    p_value: float
    effect: float
    bound: float
    replicates: np.ndarray


def _effect_of(side: _Comparison, alpha: float, n_lines: int) -> _Effect:
    observed = _excess(side.slow, side.expected, side.total)
    null = _excess(side.null_slow, side.null_expected, side.null_total)
    p_value = (1 + np.sum(null >= observed)) / (1 + len(null))
    fast = side.total - side.slow
    expected = np.exp(np.median(null)) * side.expected

    def share(slow: np.ndarray, stationary: np.ndarray) -> np.ndarray:
        return ((slow - stationary) / np.maximum(slow + fast, _TINY)).sum(axis=-1) / n_lines

    n_above = int(alpha * (1 + len(null)) + 1e-9)
    limit = np.sort(null)[-n_above] if n_above else np.inf
    bound = share(side.slow, np.exp(limit) * side.expected) if n_above else 0.0
    replicates = share(side.changed, expected)
    return _Effect(p_value, float(share(side.slow, expected)), float(bound), replicates)


def _excess(slow: np.ndarray, expected: np.ndarray, total: np.ndarray) -> np.ndarray:
    """Logarithm of slow power relative to `expected`, over lines of equal weight."""
    total = np.maximum(total, _TINY)
    shares = (slow / total).sum(axis=-1), (expected / total).sum(axis=-1)
    return np.log(np.maximum(shares[0], _TINY)) - np.log(np.maximum(shares[1], _TINY))


def _stationary_share(
    p_values: np.ndarray, tested: np.ndarray, null: np.ndarray, rejected: bool, alpha: float
) -> tuple[float, tuple[float, float]]:
    """Storey's estimate of the share of stationary lines, with an interval from surrogates."""
    n_lines, n_tested = len(p_values), int(tested.sum())
    above = np.mean(p_values[tested] > _HALF)
    of_null = np.maximum(np.mean(null > _HALF, axis=1), 1 / (2 * n_tested))
    divisors = np.array([of_null.mean(), *np.quantile(of_null, [1 - alpha / 2, alpha / 2])])
    most = 1 - 1 / n_lines if rejected else 1.0
    shares = (np.minimum(1, above / divisors) * n_tested + n_lines - n_tested) / n_lines
    rate, low, high = np.minimum(shares, most)
    high = high if rejected else 1.0
    return float(rate), (float(min(low, rate)), float(max(high, rate)))


def _either(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """p-value of the smaller of two independent p-values."""
    return 1 - (1 - np.minimum(first, second)) ** 2


def rank_p_values(statistics: np.ndarray) -> np.ndarray:
    """p-value of every entry along axis 0 from its rank among all entries."""
    return rankdata(-statistics, method="max", axis=0) / len(statistics)
