"""Accuracy against the share of labels, by method of transfer learning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from skstrf.inspection._drawing import (
    BLUE,
    ORANGE,
    check_axes,
    check_rows,
    finish_chart,
    legend_above,
    new_figure,
)

__all__ = ["TransferDisplay"]

# The first method is gray. The others have colors of Okabe and Ito, and markers of their own for
# readers who cannot distinguish the colors.
_STYLES = (
    ("0.45", "o"),
    ("#CC79A7", "v"),
    (BLUE, "s"),
    ("#009E73", "D"),
    (ORANGE, "^"),
    ("#56B4E9", "P"),
    ("#E69F00", "X"),
)


class TransferDisplay:
    """Accuracy on a target against the share of its labels that is known, one line per method.

    Parameters
    ----------
    rows : sequence of mapping
        Results, as in the table of TransferResults. Each mapping has ``method``, ``fraction``,
        ``accuracy`` and, if they are known, ``std`` over seeds and ``n_labels``.
    chance : float or None, default=None
        Accuracy of predicting the most frequent class.

    Attributes
    ----------
    figure_ : matplotlib.figure.Figure
        Figure that holds the axes.
    ax_ : matplotlib.axes.Axes
        Axes with the lines.
    lines_ : dict of str to ErrorbarContainer
        Means of each method, with bars of one standard deviation over seeds.
    chance_ : Line2D or None
        Line at the level of chance.

    See Also
    --------
    skstrf.experiments.run_transfer : Compute the accuracies.

    Examples
    --------
    >>> from skstrf.inspection import TransferDisplay
    >>> rows = [
    ...     {"method": "from scratch", "fraction": 0.1, "accuracy": 0.4, "std": 0.05},
    ...     {"method": "from scratch", "fraction": 1.0, "accuracy": 0.8, "std": 0.02},
    ...     {"method": "fine-tuned", "fraction": 0.1, "accuracy": 0.6, "std": 0.04},
    ...     {"method": "fine-tuned", "fraction": 1.0, "accuracy": 0.8, "std": 0.03},
    ... ]
    >>> display = TransferDisplay(rows, chance=0.1).plot()
    >>> list(display.lines_)
    ['from scratch', 'fine-tuned']
    >>> import matplotlib.pyplot as plt
    >>> plt.close(display.figure_)
    """

    def __init__(self, rows, *, chance=None):
        self.rows = rows
        self.chance = chance

    @classmethod
    def from_results(cls, results, *, ax=None) -> TransferDisplay:
        """Plot the results of an experiment.

        Parameters
        ----------
        results : TransferResults
            Results of :func:`skstrf.experiments.run_transfer`.
        ax : Axes or None, default=None
            Axes to plot on, see :meth:`plot`.

        Returns
        -------
        TransferDisplay
            The plotted display.
        """
        return cls(results.table(), chance=results.chance).plot(ax=ax)

    def plot(self, ax=None) -> TransferDisplay:
        """Plot one line for each method.

        Parameters
        ----------
        ax : Axes or None, default=None
            Axes to plot on. With None, a figure is created.

        Returns
        -------
        TransferDisplay
            The display itself.

        Raises
        ------
        ValueError
            If there is no row, or a row has no method, fraction or accuracy.
        """
        by_method: dict[str, list[Mapping[str, Any]]] = {}
        rows = check_rows(self.rows, "rows", ("method", "fraction", "accuracy"))
        for row in sorted(rows, key=lambda row: row["fraction"]):
            by_method.setdefault(row["method"], []).append(row)
        methods = list(dict.fromkeys(row["method"] for row in rows))
        if ax is None:
            ax = new_figure((6.4, 4.6)).subplots()
        self.figure_, (self.ax_,) = check_axes(ax, 1, "accuracy against the share of labels")
        self.lines_, self.chance_ = {}, None
        for number, method in enumerate(methods):
            color, marker = _STYLES[number % len(_STYLES)]
            # Slightly shifted, so that the bars of different methods do not hide each other.
            shift = 1 + 0.025 * (number - (len(methods) - 1) / 2)
            rows = by_method[method]
            self.lines_[method] = self.ax_.errorbar(
                [row["fraction"] * shift for row in rows],
                [row["accuracy"] for row in rows],
                np.array([row.get("std") for row in rows], dtype=float),  # None: NaN
                color=color,
                marker=marker,
                markersize=4.5,
                linewidth=1.4,
                elinewidth=0.9,
                capsize=2,
                linestyle="--" if number == 0 else "-",
                label=method,
            )
        if self.chance is not None:
            self.chance_ = self.ax_.axhline(
                self.chance, color="0.35", linewidth=1, linestyle=":", label="chance"
            )
        self._finish(by_method[methods[0]])
        return self

    def _finish(self, rows: list[Mapping[str, Any]]) -> None:
        ax = self.ax_
        ax.set_xscale("log")
        fractions = [row["fraction"] for row in rows]
        counts = [f"\n({row['n_labels']})" if "n_labels" in row else "" for row in rows]
        labels = [f"{100 * x:g} %{count}" for x, count in zip(fractions, counts, strict=True)]
        ax.set_xticks(fractions, labels)
        ax.set_xticks([], minor=True)
        ax.set_ylim(0, 1.05)
        legend_above(ax, 2)
        finish_chart(
            ax,
            "known labels of the target (sounds)",
            "accuracy on the target (mean ± std over seeds)",
            grid="y",
        )
