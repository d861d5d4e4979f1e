"""Accuracies of several pipelines with their spread."""

from __future__ import annotations

import numpy as np

from skstrf.inspection._drawing import BLUE, check_axes, check_rows, finish_chart, new_figure

__all__ = ["ComparisonDisplay"]


class ComparisonDisplay:
    """Accuracies of several pipelines with their spread, one row for each.

    Parameters
    ----------
    rows : sequence of mapping
        Results. Each mapping has ``name`` and ``accuracy``, itself a mapping with ``mean`` and
        ``std`` (None where it is unknown).
    chance : float or None, default=None
        Accuracy of predicting the most frequent class.

    Attributes
    ----------
    figure_ : matplotlib.figure.Figure
        Figure that holds the axes.
    ax_ : matplotlib.axes.Axes
        Axes with the accuracies.
    points_ : ErrorbarContainer
        Means, with bars of one standard deviation.
    chance_ : Line2D or None
        Line at the level of chance.

    See Also
    --------
    skstrf.experiments.run_comparison : Compute the accuracies.

    Examples
    --------
    >>> from skstrf.inspection import ComparisonDisplay
    >>> rows = [
    ...     {"name": "all", "accuracy": {"mean": 0.9, "std": 0.02}},
    ...     {"name": "MPCA", "accuracy": {"mean": 0.92, "std": None}},
    ... ]
    >>> display = ComparisonDisplay(rows, chance=0.1).plot()
    >>> [label.get_text() for label in display.ax_.get_yticklabels()]
    ['all', 'MPCA']
    >>> import matplotlib.pyplot as plt
    >>> plt.close(display.figure_)
    """

    def __init__(self, rows, *, chance=None):
        self.rows = rows
        self.chance = chance

    @classmethod
    def from_results(cls, results, *, ax=None) -> ComparisonDisplay:
        """Plot the results of a comparison.

        Parameters
        ----------
        results : ComparisonResults
            Results of :func:`skstrf.experiments.run_comparison`.
        ax : Axes or None, default=None
            Axes to plot on, see :meth:`plot`.

        Returns
        -------
        ComparisonDisplay
            The plotted display.
        """
        return cls(results.rows, chance=results.chance).plot(ax=ax)

    def plot(self, ax=None) -> ComparisonDisplay:
        """Plot the accuracies.

        Parameters
        ----------
        ax : Axes or None, default=None
            Axes to plot on. With None, a figure is created.

        Returns
        -------
        ComparisonDisplay
            The display itself.

        Raises
        ------
        ValueError
            If there is no row, or a row has no name or accuracy.
        """
        rows = check_rows(self.rows, "rows", ("name", "accuracy"))
        if ax is None:
            ax = new_figure((7.6, 1.2 + 0.32 * len(rows))).subplots()
        self.figure_, (self.ax_,) = check_axes(ax, 1, "accuracy")
        places = list(range(len(rows)))
        self.points_ = self.ax_.errorbar(
            [row["accuracy"]["mean"] for row in rows],
            places,
            xerr=np.array([row["accuracy"]["std"] for row in rows], dtype=float),  # None: NaN
            fmt="o",
            color=BLUE,
            markersize=5,
            capsize=2,
        )
        self.chance_ = None
        if self.chance is not None:
            self.chance_ = self.ax_.axvline(self.chance, color="0.35", linewidth=1, linestyle=":")
            # A label beside the line could hide a point that is no better.
            self.ax_.set_title("dotted: chance", fontsize=8, loc="right", color="0.35")
        self.ax_.set_yticks(places, [row["name"] for row in rows])
        self.ax_.invert_yaxis()
        self.ax_.set_xlim(0, 1.02)
        finish_chart(self.ax_, "accuracy (mean ± std)", grid="x")
        return self
