"""Stationarity of representations along each of their axes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from skstrf.inspection._drawing import BLUE, TITLE, check_axes, finish_chart, new_figure
from skstrf.utils.validation import check_is_fitted

__all__ = ["StationarityDisplay"]

_ORDER = ("time", "frequency", "plane", "scale", "rate")
_LABELS = {
    "stationarity": "stationarity",
    "rate": "estimated share\nof stationary lines",
    "effect": "share of variance\nof slow changes",
}


class StationarityDisplay:
    """Mean stationarity with confidence intervals, one panel for each axis of the tensors.

    Parameters
    ----------
    rows : sequence of mapping
        Results. Each mapping has ``representation``, ``axis``, and `measure` with its bounds
        ``<measure>_low`` and ``<measure>_high``, None or NaN where they are unknown, as in the
        table of StationarityResults.
    measure : {"stationarity", "rate", "effect"}, default="stationarity"
        Measure to plot.

    Attributes
    ----------
    figure_ : matplotlib.figure.Figure
        Figure that holds the axes.
    axes_ : ndarray of Axes
        One for each axis of the tensors.
    points_ : list of Line2D
        Means of each panel.

    See Also
    --------
    skstrf.StationarityScorer : Compute the measures.
    StationarityDisplay.from_estimator : Plot one or several fitted scorers.

    Examples
    --------
    >>> from skstrf.inspection import StationarityDisplay
    >>> row = {"representation": "Mel", "axis": "time", "stationarity": 0.7}
    >>> bounds = {"stationarity_low": 0.6, "stationarity_high": 0.8}
    >>> display = StationarityDisplay([row | bounds]).plot()
    >>> [ax.get_title() for ax in display.axes_]
    ['time']
    >>> import matplotlib.pyplot as plt
    >>> plt.close(display.figure_)
    """

    def __init__(self, rows, *, measure="stationarity"):
        self.rows = rows
        self.measure = measure

    @classmethod
    def from_results(cls, results, *, measure="stationarity", ax=None) -> StationarityDisplay:
        """Plot a comparison of representations.

        Parameters
        ----------
        results : StationarityResults
            Results of :func:`skstrf.experiments.run_stationarity`.
        measure : {"stationarity", "rate", "effect"}, default="stationarity"
            Measure to plot.
        ax : array-like of Axes or None, default=None
            Axes to plot on, see :meth:`plot`.

        Returns
        -------
        StationarityDisplay
            The plotted display.
        """
        return cls(results.table(), measure=measure).plot(ax=ax)

    @classmethod
    def from_estimator(cls, estimator, *, measure="stationarity", ax=None) -> StationarityDisplay:
        """Plot fitted scorers.

        Parameters
        ----------
        estimator : StationarityScorer, or mapping of str to StationarityScorer
            Fitted scorers. The means are over the sounds seen in fit, with 95 % confidence
            intervals by a normal approximation.
        measure : {"stationarity", "rate", "effect"}, default="stationarity"
            Measure to plot.
        ax : array-like of Axes or None, default=None
            Axes to plot on, see :meth:`plot`.

        Returns
        -------
        StationarityDisplay
            The plotted display.

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
            score = scorer.plane_score_
            if score is not None and measure != "rate":
                columns["plane"] = 1 - score if measure == "effect" else score
            rows += [_row(name, axis, measure, values) for axis, values in columns.items()]
        return cls(rows, measure=measure).plot(ax=ax)

    def plot(self, ax=None) -> StationarityDisplay:
        """Plot one panel for each axis of the tensors.

        Parameters
        ----------
        ax : array-like of Axes or None, default=None
            Axes to plot on, one for each axis of the tensors. With None, a figure is created.

        Returns
        -------
        StationarityDisplay
            The display itself.

        Raises
        ------
        ValueError
            If no row has the measure.
        """
        rows = [row for row in self.rows if row.get(self.measure) is not None]
        if not rows:
            raise ValueError(f"rows hold no {self.measure!r}: choose another measure.")
        names = list(dict.fromkeys(row["representation"] for row in rows))
        found = dict.fromkeys(row["axis"] for row in rows)
        axes = [a for a in _ORDER if a in found] + [a for a in found if a not in _ORDER]
        if ax is None:
            figure = new_figure((1.2 + 1.9 * len(axes), 1.1 + 0.26 * len(names)))
            ax = figure.subplots(1, len(axes), sharey=True, squeeze=False)
        self.figure_, self.axes_ = check_axes(ax, len(axes), "one for each axis")
        self.points_ = []
        for panel, axis in zip(self.axes_, axes, strict=True):
            rows_of_axis = [row for row in rows if row["axis"] == axis]
            self.points_.append(_draw(panel, rows_of_axis, names, self.measure))
            panel.set_title(axis, fontsize=TITLE)
            if panel.get_subplotspec() is not None and panel is not self.axes_[0]:
                panel.tick_params(labelleft=False)
        return self


def _row(name: str, axis: str, measure: str, values: np.ndarray) -> dict[str, Any]:
    mean = float(np.mean(values))
    half = 1.96 * np.std(values, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
    low, high = np.clip([mean - half, mean + half], 0.0, 1.0)  # keeps the NaN of a single sound
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
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.set_xlim(-0.06, 1.06)
    ax.set_xticks([0, 0.5, 1])
    finish_chart(ax, _LABELS.get(measure, measure), grid="x")
    ax.spines["left"].set_visible(False)
    ax.tick_params(axis="y", length=0)
    return points
