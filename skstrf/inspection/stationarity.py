"""StationarityDisplay: how stationary representations are along each axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from skstrf.inspection._drawing import BLUE, new_figure, panels
from skstrf.utils.validation import check_is_fitted

__all__ = ["StationarityDisplay"]

_ORDER = ("time", "frequency", "plane", "scale", "rate")


class StationarityDisplay:
    """Mean rates of stationarity with their intervals: a panel for each axis, a row for each name.

    Parameters
    ----------
    rows : sequence of mapping
        Each with ``representation``, ``axis``, and `measure` with its ``_low`` and ``_high``
        bounds, None or NaN where unknown; such as the table of StationarityResults.
    measure : str, default="rate"
        What to draw: "rate", "pi0", "effect".

    Attributes
    ----------
    figure_ : matplotlib.figure.Figure
        The figure drawn in.
    axes_ : ndarray of Axes
        One for each axis.
    points_ : list of Line2D
        The means of every panel.

    See Also
    --------
    skstrf.StationarityScorer : Where rates come from.
    StationarityDisplay.from_estimator : From a fitted scorer, or several.

    Examples
    --------
    >>> from skstrf.inspection import StationarityDisplay
    >>> row = {"representation": "Mel", "axis": "time", "rate": 0.7}
    >>> display = StationarityDisplay([row | {"rate_low": 0.6, "rate_high": 0.8}]).plot()
    >>> [ax.get_title() for ax in display.axes_]
    ['time']
    >>> import matplotlib.pyplot as plt
    >>> plt.close(display.figure_)
    """

    def __init__(self, rows, *, measure="rate"):
        self.rows = rows
        self.measure = measure

    @classmethod
    def from_results(cls, results, *, measure="rate", ax=None) -> StationarityDisplay:
        """Draw the comparison of representations.

        Parameters
        ----------
        results : StationarityResults
            Of :func:`skstrf.experiments.run_stationarity`.
        measure : str, default="rate"
            "rate", "pi0" or "effect".
        ax : array-like of Axes or None, default=None
            See :meth:`plot`.

        Returns
        -------
        StationarityDisplay
            Drawn.
        """
        return cls(results.table(), measure=measure).plot(ax=ax)

    @classmethod
    def from_estimator(cls, estimator, *, measure="rate", ax=None) -> StationarityDisplay:
        """Draw fitted scorers.

        Parameters
        ----------
        estimator : StationarityScorer, or mapping of str to StationarityScorer
            Fitted; the means are over the sounds seen in fit, the intervals hold 95 % of means by
            a normal approximation.
        measure : str, default="rate"
            "rate", "pi0" or "effect".
        ax : array-like of Axes or None, default=None
            See :meth:`plot`.

        Returns
        -------
        StationarityDisplay
            Drawn.

        Examples
        --------
        >>> import numpy as np
        >>> from skstrf import StationarityScorer
        >>> from skstrf.inspection import StationarityDisplay
        >>> X = np.random.default_rng(0).standard_normal((3, 16, 32))
        >>> scorer = StationarityScorer(n_surrogates=19, random_state=0).fit(X)
        >>> display = StationarityDisplay.from_estimator(scorer)
        >>> import matplotlib.pyplot as plt
        >>> plt.close(display.figure_)
        """
        scorers = estimator if isinstance(estimator, Mapping) else {"": estimator}
        rows = []
        for name, scorer in scorers.items():
            check_is_fitted(scorer)
            columns = dict(zip(scorer.axis_names_, getattr(scorer, f"{measure}_").T, strict=True))
            whole = {"rate": scorer.plane_score_, "effect": scorer.plane_effect_}.get(measure)
            if whole is not None:
                columns["plane"] = whole
            rows += [_row(name, axis, measure, values) for axis, values in columns.items()]
        return cls(rows, measure=measure).plot(ax=ax)

    def plot(self, ax=None) -> StationarityDisplay:
        """Draw one panel an axis.

        Parameters
        ----------
        ax : array-like of Axes or None, default=None
            One for each axis; None makes a figure.

        Returns
        -------
        StationarityDisplay
            This object.

        Raises
        ------
        ValueError
            When there is nothing to draw.
        """
        rows = [row for row in self.rows if row.get(self.measure) is not None]
        if not rows:
            raise ValueError(f"rows hold no {self.measure!r}: give measure another value.")
        names = list(dict.fromkeys(row["representation"] for row in rows))
        found = dict.fromkeys(row["axis"] for row in rows)
        axes = [a for a in _ORDER if a in found] + [a for a in found if a not in _ORDER]
        if ax is None:
            figure = new_figure((1.2 + 1.9 * len(axes), 1.1 + 0.26 * len(names)))
            ax = figure.subplots(1, len(axes), sharey=True, squeeze=False)
        self.figure_, self.axes_ = panels(ax, len(axes), "one for each axis")
        self.points_ = [
            _draw(panel, [row for row in rows if row["axis"] == axis], names, self.measure)
            for panel, axis in zip(self.axes_, axes, strict=True)
        ]
        for panel, axis in zip(self.axes_, axes, strict=True):
            panel.set_title(axis, fontsize=9)
        self._label(names)
        return self

    def _label(self, names: Sequence[str]) -> None:
        texts = {
            "rate": "rate of stationarity",
            "pi0": "estimated share\nof stationary lines",
            "effect": "effect (1: stationary)",
        }
        for panel in self.axes_:
            panel.set_yticks(range(len(names)), names, fontsize=8)
            panel.set_ylim(len(names) - 0.5, -0.5)
            panel.set_xlabel(texts.get(self.measure, self.measure), fontsize=8)
            panel.tick_params(labelsize=8)
            if self.measure in ("rate", "pi0"):
                panel.set_xlim(-0.06, 1.06)
                panel.set_xticks([0, 0.5, 1])
            else:
                panel.axvline(1, color="0.45", linewidth=0.9, linestyle=":")
                panel.margins(x=0.12)
            panel.grid(axis="x", color="0.9", linewidth=0.8)
            panel.set_axisbelow(True)
            for side in ("top", "right", "left"):
                panel.spines[side].set_visible(False)
            panel.tick_params(axis="y", length=0)
        for panel in self.axes_[1:]:
            if panel.get_subplotspec() is not None:
                panel.tick_params(labelleft=False)


def _row(name: str, axis: str, measure: str, values: np.ndarray) -> dict[str, Any]:
    mean = float(np.mean(values))
    half = 1.96 * np.std(values, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
    low, high = mean - half, mean + half
    if measure in ("rate", "pi0"):
        low, high = max(0.0, low), min(1.0, high)
    bounds = {measure: mean, f"{measure}_low": low, f"{measure}_high": high}
    return {"representation": name, "axis": axis} | bounds


def _draw(ax: Any, rows: list[Mapping[str, Any]], names: list[str], measure: str) -> Any:
    means = [float(row[measure]) for row in rows]
    places = [names.index(row["representation"]) for row in rows]
    for mean, place, row in zip(means, places, rows, strict=True):
        low, high = row.get(f"{measure}_low"), row.get(f"{measure}_high")
        if low is not None and high is not None and np.isfinite([low, high]).all():
            ax.plot([low, high], [place, place], color=BLUE, linewidth=2.2, alpha=0.45)
        ax.annotate(
            f"{mean:.2f}",
            (mean, place),
            xytext=(0, 4),
            textcoords="offset points",
            ha="center",
            fontsize=6,
            color="0.3",
        )
    (points,) = ax.plot(means, places, "o", color=BLUE, markersize=4.5, linestyle="none")
    return points
